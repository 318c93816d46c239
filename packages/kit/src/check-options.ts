/** Refuses options of a small machine that nobody knows, or that contradict each other. */
import type { Cpu } from '@shootdown/cpu';
import {
  checkValues,
  checkWord,
  is,
  MEMORY_MODELS,
  ModelError,
  printable,
  type OptionValues,
} from '@shootdown/machine';
import { asidIsMm } from './architecture.ts';
import { FLUSHES, type SmallMachineOptions } from './options.ts';

/** CPUs of a machine that says nothing of them. */
export const CPUS_DEFAULT = 2;
const LEVELS_MAX = 4;
const LEAST = { pages: 1, mapped: 0, spare: 0, mms: 1 } as const;

const VALUES: OptionValues<SmallMachineOptions> = {
  memoryModel: is.oneOf(MEMORY_MODELS),
  cpus: is.anything,
  names: is.listOf(is.text),
  mms: is.anything,
  pages: is.anything,
  mapped: is.anything,
  spare: is.anything,
  levels: is.anything,
  entries: is.whole(1),
  flags: is.whole(),
  references: is.whole(),
  contents: is.flag,
  dirtyBits: is.flag,
  lazy: is.anything,
  vcpus: is.anything,
  flush: (where, flush) => typeof flush === 'function' || checkWord(where, flush, FLUSHES),
  x86: is.anything,
  kvm: is.anything,
  hypercall: is.anything,
  spaces: is.whole(1),
  global: is.anything,
  connected: is.flag,
  checksFlushes: is.flag,
  ignoresNestedGathers: is.flag,
  maxHistory: is.whole(1),
};

/** Throws ModelError on such options. */
export function checkSmallMachine(options: SmallMachineOptions, pages: number, mapped: number, levels: number): void {
  checkValues('kit: smallMachine', options, VALUES, ['memoryModel']);
  const { flush, cpus = CPUS_DEFAULT, mms = 1 } = options;
  const count = typeof cpus === 'object' ? cpus.length : cpus;
  if (!(Number.isInteger(count) && count >= 1)) fail(`cpus: expected at least 1 (${printable(count)})`);
  for (const [name, value] of Object.entries({ pages, mapped, spare: options.spare ?? 0, mms }))
    if (!(Number.isInteger(value) && value >= LEAST[name as keyof typeof LEAST]))
      fail(`${name}: expected at least ${LEAST[name as keyof typeof LEAST]} (${printable(value)})`);
  if (typeof cpus === 'object') is.listOf(is.whole(0, mms))('kit: smallMachine: cpus: mm', cpus);
  if (mapped > pages) fail(`mapped: ${mapped} pages, have ${pages}`);
  if (!(Number.isInteger(levels) && levels >= 1 && levels <= LEVELS_MAX))
    fail(`levels: expected 1 .. ${LEVELS_MAX} (${printable(levels)})`);
  checkBackEnd(options);
  checkNumbers(options, count, mms);
  if (flush === 'kvm' && options.vcpus === undefined) fail('flush: kvm needs vcpus, whose steal time it looks at');
}

/** Options of a back end that the machine has not would be ignored. */
function checkBackEnd({ flush = 'x86', lazy = [], x86, kvm, hypercall }: SmallMachineOptions): void {
  if (typeof flush === 'function') {
    for (const [name, given] of Object.entries({ x86, kvm, hypercall, lazy: lazy.length > 0 || undefined }))
      if (given !== undefined) fail(`${name}: a flush of one's own is handed what it needs by whoever makes it`);
    return;
  }
  if (lazy.length > 0 && asidIsMm(flush)) fail(`lazy: ${flush} has no lazy CPUs: use the flush x86`);
  if (x86 !== undefined && asidIsMm(flush)) fail(`x86: ${flush} has nothing of x86`);
  if (kvm !== undefined && flush !== 'kvm') fail(`kvm: the flush is ${flush}: use the flush kvm`);
  if (hypercall !== undefined && flush !== 'hyper-v' && flush !== 'xen-pv')
    fail(`hypercall: the flush is ${flush}: use the flush hyper-v or xen-pv`);
}

/** Numbers of CPUs and mms that the machine has not would be ignored. */
function checkNumbers(
  { names = [], lazy = [], vcpus = [], global = [] }: SmallMachineOptions,
  cpus: number,
  mms: number,
): void {
  if (names.length > cpus) fail(`names: ${names.length} for ${cpus} CPUs`);
  is.listOf(is.whole(0, cpus - 1))('kit: smallMachine: lazy', lazy);
  is.listOf(is.whole(1, mms))('kit: smallMachine: global', global);
  is.listOf(is.anything)('kit: smallMachine: vcpus', vcpus);
  if (vcpus.length > cpus) fail(`vcpus: ${vcpus.length} for ${cpus} CPUs`);
  vcpus.forEach((vcpu, id) => {
    if (vcpu !== undefined && typeof vcpu !== 'function' && (typeof vcpu !== 'object' || vcpu === null))
      fail(`vcpus: ${id}: expected options or a function that makes them (${printable(vcpu)})`);
  });
}

function fail(what: string): never {
  throw new ModelError(`kit: smallMachine: ${what}`);
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
