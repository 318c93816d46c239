/** Refuses options of a small machine that nobody knows, or that contradict each other. */
import type { Cpu } from '@shootdown/cpu';
import { checkOptions, keysOf, ModelError, printable } from '@shootdown/machine';
import { asidIsMm } from './architecture.ts';
import { FLUSHES, type SmallMachineOptions } from './options.ts';

const LEVELS_MAX = 4;
const LEAST = { pages: 1, mapped: 0, spare: 0, mms: 1 } as const;

const KEYS = keysOf<SmallMachineOptions>()(
  'memoryModel',
  'cpus',
  'names',
  'mms',
  'pages',
  'mapped',
  'spare',
  'levels',
  'entries',
  'flags',
  'references',
  'contents',
  'dirtyBits',
  'lazy',
  'vcpus',
  'flush',
  'x86',
  'kvm',
  'hypercall',
  'spaces',
  'global',
  'connected',
  'checksFlushes',
  'ignoresNestedGathers',
  'maxHistory',
);

/** Throws ModelError on such options. */
export function checkSmallMachine(options: SmallMachineOptions, pages: number, mapped: number, levels: number): void {
  checkOptions('kit: smallMachine', options, KEYS, ['memoryModel']);
  const { flush, lazy = [], cpus } = options;
  const fail = (what: string): never => {
    throw new ModelError(`kit: smallMachine: ${what}`);
  };
  if (typeof flush === 'string' && !FLUSHES.includes(flush))
    fail(`flush: unknown ${String(flush)} (have: ${FLUSHES.join(', ')})`);
  const count = typeof cpus === 'object' ? cpus.length : (cpus ?? 1);
  if (!(Number.isInteger(count) && count >= 1)) fail(`cpus: expected at least 1 (${count})`);
  for (const [name, value] of Object.entries({ pages, mapped, spare: options.spare ?? 0, mms: options.mms ?? 1 }))
    if (!(Number.isInteger(value) && value >= LEAST[name as keyof typeof LEAST]))
      fail(`${name}: expected at least ${LEAST[name as keyof typeof LEAST]} (${value})`);
  if (mapped > pages) fail(`mapped: ${mapped} pages, have ${pages}`);
  if (!(levels >= 1 && levels <= LEVELS_MAX)) fail(`levels: expected 1 .. ${LEVELS_MAX} (${levels})`);
  if (lazy.length > 0 && asidIsMm(flush)) fail(`lazy: ${String(flush)} has no lazy CPUs: use the flush x86`);
  if (flush === 'kvm' && options.vcpus === undefined) fail('flush: kvm needs vcpus, whose steal time it looks at');
}

/** Throws ModelError unless it is a CPU of this machine: the number of one is none. */
export function checkCpu(what: string, cpu: Cpu, cpus: readonly Cpu[]): void {
  if (!cpus.includes(cpu))
    throw new ModelError(
      `kit: ${what}: ${printable(cpu)} is no CPU of this machine: pass the cpu that a routine is given`,
    );
}

/** Throws ModelError for a page that the machine has not: its entry would be that of another one. */
export function checkPage(what: string, vpn: number, pages: number, have = 'pages'): void {
  if (!(Number.isInteger(vpn) && vpn >= 0 && vpn < pages))
    throw new ModelError(`kit: ${what}: no page ${printable(vpn)} (have: ${pages} ${have}, from 0 on)`);
}

/** Throws ModelError unless pages [start, end) are some, and the first is one of the machine's. */
export function checkPages(what: string, start: number, end: number, pages: number): void {
  checkPage(what, start, pages);
  if (!(Number.isInteger(end) && end > start))
    throw new ModelError(
      `kit: ${what}: pages [${printable(start)}, ${printable(end)}) are none: the end comes after the last`,
    );
}
