/**
 * Sets of CPUs: struct cpumask. Mirrors include/linux/cpumask.h, v6.18, with words of 32 bits.
 *
 * A machine of at most 32 CPUs has masks of one word, and a mask that a routine has read is that word. A larger one has
 * a word per 32 CPUs, and reading a mask reads each of them: as in the kernel, a mask is no snapshot then.
 */
import { load, type Address, type Region, type Saying, type Steps } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';

/** CPUs per word of a mask. */
export const BITS_PER_WORD = 32;
/** Which word a CPU's bit is in: its number shifted right by so much. */
export const WORD_SHIFT = 5;

/** A set of CPUs: bit `id` of a number (CPUs 0 .. 31), or bit `id % 32` of word `id / 32`. */
export type CpuMask = number | readonly number[];

/** Words of a mask in a machine of so many CPUs. */
export function cpumaskWords(cpus: number): number {
  return Math.max(1, Math.ceil(cpus / BITS_PER_WORD));
}

/** The bit of a CPU in its word. */
export function cpuBit(id: number): number {
  return 1 << (id % BITS_PER_WORD);
}

/** The word of a mask that has the bit of a CPU. */
export function wordOfCpu(mask: Region, id: number): Address {
  return mask.at(id >>> WORD_SHIFT);
}

/** The CPUs of a machine for which `holds` is true. */
export function cpumaskWhere(cpus: readonly Cpu[], holds: (id: number) => boolean): CpuMask {
  const words = Array.from({ length: cpumaskWords(cpus.length) }, () => 0);
  for (const { id } of cpus)
    if (holds(id)) words[id >>> WORD_SHIFT] = (words[id >>> WORD_SHIFT] as number) | cpuBit(id);
  return words.length === 1 ? (words[0] as number) : words;
}

/** cpumask_test_cpu(). */
export function cpumask_test_cpu(id: number, mask: CpuMask): boolean {
  const word = typeof mask === 'number' ? (id < BITS_PER_WORD ? mask : 0) : (mask[id >>> WORD_SHIFT] ?? 0);
  return (word & cpuBit(id)) !== 0;
}

/** The mask without a CPU: cpumask_clear_cpu() on a copy. */
export function cpumask_without(mask: CpuMask, id: number): CpuMask {
  if (typeof mask === 'number') return id < BITS_PER_WORD ? mask & ~cpuBit(id) : mask;
  return mask.map((word, i) => (i === id >>> WORD_SHIFT ? word & ~cpuBit(id) : word));
}

/** cpumask_or(). */
export function cpumask_or(a: CpuMask, b: CpuMask): CpuMask {
  if (typeof a === 'number' && typeof b === 'number') return a | b;
  const [x, y] = [wordsOf(a), wordsOf(b)];
  return Array.from({ length: Math.max(x.length, y.length) }, (_, i) => (x[i] ?? 0) | (y[i] ?? 0));
}

/** cpumask_empty(). */
export function cpumask_empty(mask: CpuMask): boolean {
  return typeof mask === 'number' ? mask === 0 : mask.every((word) => word === 0);
}

/** cpumask_equal(). */
export function cpumask_equal(mask: CpuMask, other: CpuMask): boolean {
  const [a, b] = [wordsOf(mask), wordsOf(other)];
  return Array.from({ length: Math.max(a.length, b.length) }).every((_, i) => (a[i] ?? 0) === (b[i] ?? 0));
}

/** Reads a mask, a word at a time. */
export function* load_cpumask(mask: Region, saying: Saying): Steps<CpuMask> {
  if (mask.cells === 1) return yield* load(mask.at(0), saying);
  const words: number[] = [];
  for (let i = 0; i < mask.cells; i++) words.push(yield* load(mask.at(i), saying));
  return words;
}

/** A mask in binary, CPU 0 last. */
export function formatCpumask(mask: CpuMask): string {
  const words = wordsOf(mask);
  const last = words.findLastIndex((word) => word !== 0);
  const [highest = 0, ...lower] = words.slice(0, Math.max(0, last) + 1).toReversed();
  return `0b${binary(highest)}${lower.map((word) => binary(word).padStart(BITS_PER_WORD, '0')).join('')}`;
}

function binary(word: number): string {
  return (word >>> 0).toString(2);
}

function wordsOf(mask: CpuMask): readonly number[] {
  return typeof mask === 'number' ? [mask] : mask;
}
