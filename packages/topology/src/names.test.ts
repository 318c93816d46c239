import { lazy } from '@shootdown/mm';
import { _PAGE_ACCESSED, _PAGE_CONT, _PAGE_PRESENT, _PAGE_PROTNONE, _PAGE_RW, mk_pte } from '@shootdown/mmu';
import { describe, expect, test } from 'vitest';
import { assemble } from './assemble.ts';
import { parseTopology, type TopologyInput } from './schema.ts';

const process = { name: 'p', threads: [{ cpu: 0 }] };
const native = (changes: Partial<TopologyInput> = {}): TopologyInput => ({
  name: 'm',
  architecture: 'x86-64-4l',
  cpus: 2,
  memory: { tables: 16, pages: 16 },
  processes: [process],
  ...changes,
});
const vm = (name: string, cpu: number, placement: 'process' | 'worker' = 'process') => ({
  name,
  vcpus: 1,
  cpus: [cpu],
  placement,
  processes: [process],
});
const hosting = (name: string, ...vms: readonly ReturnType<typeof vm>[]): TopologyInput =>
  native({ name, processes: [], host: { vms: [...vms] } });
const thread = (name: string) => ({ name, cpu: 1, run: [{ do: 'compute' as const, cycles: 1000 }] });
const nic = (name: string) => ({ name, kind: 'device' as const });

describe('a name is the name of one actor', () => {
  test.each([
    ['a placed VM and its machine', hosting('m', vm('m', 0, 'worker')), 'host.vms.0: name taken by the machine (m)'],
    [
      'a VM and what belongs to another',
      hosting('m', vm('a.b', 0), vm('a', 1)),
      'host.vms.0: what belongs to a has such names: take another (a.b)',
    ],
    [
      'kernel threads',
      native({ kernelThreads: [thread('ksmd'), thread('kswapd'), thread('ksmd')] }),
      'kernelThreads.2: name taken twice (ksmd)',
    ],
    ['processes', native({ processes: [process, process] }), 'processes.1: name taken twice (p)'],
    [
      'processes of a VM',
      hosting('m', { ...vm('a', 0), processes: [process, process] }),
      'host.vms.0.processes.1: name taken twice (p)',
    ],
    [
      'devices',
      native({ processes: [{ ...process, secondaryMmus: [nic('a'), nic('b'), nic('a')] }] }),
      'processes.0.secondaryMmus.2: name taken twice (a)',
    ],
    ['VMs', hosting('m', vm('a', 0), vm('a', 1)), 'host.vms.1: name taken twice (a)'],
  ])('%s', (_, topology, message) => {
    expect(() => parseTopology(topology, 'file')).toThrow(`topology: file: ${message}`);
  });

  test('where nothing can be mistaken, names may be the same', () => {
    expect(() => parseTopology(hosting('m', vm('m', 0), vm('mm', 1)))).not.toThrow();
    expect(() => parseTopology(native({ name: 'p', kernelThreads: [thread('p')] }))).not.toThrow();
  });
});

describe('entries in a trace of a run', () => {
  const FRAME = 0x41;
  const entries = [
    [mk_pte(FRAME, _PAGE_PRESENT | _PAGE_RW), '0x41 P RW'],
    [mk_pte(FRAME, _PAGE_PROTNONE | _PAGE_ACCESSED), '0x41 A PROTNONE'],
    [mk_pte(FRAME, _PAGE_PRESENT | _PAGE_CONT), '0x41 P CON'],
    [lazy.make_migration_entry(FRAME), 'migration 0x41'],
    [0, 'none'],
  ] as const;
  const format = (input: TopologyInput): string[] => {
    const { system, kernel } = assemble(parseTopology(input));
    return entries.map(([entry]) => system.layout.formatValue(kernel.frames.entry(0, 0).address, entry));
  };
  const expected = entries.map(([, text]) => text);

  test('are in words, those that are not present as well', () => {
    expect(format(native())).toEqual(expected);
    expect(format(native({ architecture: 'arm64-4k-48', folio: '64K' }))).toEqual(expected);
    expect(format(hosting('m', vm('a', 0)))).toEqual(expected);
  });
});
