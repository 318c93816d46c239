/**
 * Entries as the routines of a kernel change them: in lazy MMU mode where the kernel has it and the architecture puts
 * off what the routine does, and otherwise directly. Mirrors include/linux/pgtable.h, v7.0.
 *
 * A kernel without {@link Kernel.lazy} performs what it performed before there was the mode: the same operations, and
 * none for the mode.
 */
import { noted, type EntryPointer, type Saying, type Steps } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { _PAGE_ACCESSED, _PAGE_RW } from '@shootdown/mmu';
import { pte_unlock, type Kernel } from './kernel.ts';
import type { Current } from './lazy/lazy-mmu.ts';
import * as mode from './lazy/mode.ts';
import * as entries from './lazy/pte.ts';

/** The task of a CPU: a kernel with the mode runs one on each. */
function currentOn(cpu: Cpu): Current {
  return { task: cpu.id };
}

/** lazy_mmu_mode_enable(). */
export const lazy_mmu_mode_enable = noted(function* lazy_mmu_mode_enable({ lazy }: Kernel, cpu: Cpu): Steps {
  if (lazy) yield* mode.lazy_mmu_mode_enable(lazy, currentOn(cpu));
});

/** lazy_mmu_mode_disable(). */
export const lazy_mmu_mode_disable = noted(function* lazy_mmu_mode_disable({ lazy }: Kernel, cpu: Cpu): Steps {
  if (lazy) yield* mode.lazy_mmu_mode_disable(lazy, currentOn(cpu));
});

/** ptep_get(). */
export function ptep_get({ lazy, frames }: Kernel, cpu: Cpu, ptep: EntryPointer, saying: Saying): Steps<number> {
  return lazy?.defersUpdates ? entries.ptep_get(lazy, currentOn(cpu), ptep, saying) : frames.read(ptep, saying);
}

/** ptep_get_and_clear(): an exchange. */
export function ptep_get_and_clear(
  { lazy, frames }: Kernel,
  cpu: Cpu,
  ptep: EntryPointer,
  saying: Saying,
): Steps<number> {
  return lazy?.defersUpdates
    ? entries.ptep_get_and_clear(lazy, currentOn(cpu), ptep, saying)
    : frames.xchg(ptep, 0, saying);
}

/** ptep_modify_prot_start(). */
export function ptep_modify_prot_start(
  { lazy, frames }: Kernel,
  cpu: Cpu,
  ptep: EntryPointer,
  saying: Saying,
): Steps<number> {
  return lazy?.defersUpdates
    ? entries.ptep_modify_prot_start(lazy, currentOn(cpu), ptep)
    : frames.xchg(ptep, 0, saying);
}

/** ptep_set_wrprotect(): atomic, for hardware may be setting accessed and dirty bits. Returns what was replaced. */
export const ptep_set_wrprotect = noted(function* ptep_set_wrprotect(
  { lazy, frames }: Kernel,
  cpu: Cpu,
  ptep: EntryPointer,
  seen: number,
): Steps<number> {
  const saying = { label: 'ptep_set_wrprotect(src_pte)' };
  if (lazy?.defersUpdates) return yield* entries.ptep_set_wrprotect(lazy, currentOn(cpu), ptep, saying);
  for (let old = seen; ; old = seen) {
    seen = yield* frames.cmpxchg(ptep, old, old & ~_PAGE_RW, saying);
    if (seen === old) return old;
  }
});

/** ptep_test_and_clear_young(): atomic for the same reason. Returns what was replaced. */
export const ptep_test_and_clear_young = noted(function* ptep_test_and_clear_young(
  { lazy, frames }: Kernel,
  cpu: Cpu,
  ptep: EntryPointer,
  seen: number,
): Steps<number> {
  if (lazy?.defersUpdates) return yield* entries.ptep_test_and_clear_young(lazy, currentOn(cpu), ptep);
  for (let old = seen; ; old = seen) {
    seen = yield* frames.cmpxchg(ptep, old, old & ~_PAGE_ACCESSED, { label: 'ptep_test_and_clear_young()' });
    if (seen === old) return old;
  }
});

/** set_pte(). */
export function set_pte({ lazy, frames }: Kernel, cpu: Cpu, ptep: EntryPointer, value: number, saying: Saying): Steps {
  return lazy?.defersUpdates
    ? entries.set_pte(lazy, currentOn(cpu), ptep, value, saying)
    : frames.write(ptep, value, saying);
}

/** spin_unlock() of the page-table lock: nothing may be queued any more (rule H3). */
export const pte_unmap_unlock = noted(function* pte_unmap_unlock(kernel: Kernel, cpu: Cpu, table: number): Steps {
  if (kernel.lazy?.defersUpdates) yield* entries.unlocks(kernel.lazy, currentOn(cpu));
  yield* pte_unlock(kernel, table);
});

/** The end of a system call: nobody returns in the mode (rule H7). */
export const returns = noted(function* returns({ lazy }: Kernel, cpu: Cpu): Steps {
  if (lazy) yield* mode.returns(lazy, currentOn(cpu));
});

/** A flush begins: no store that it is for may be queued (rule H2). */
export const flush_begins = noted(function* flush_begins({ lazy }: Pick<Kernel, 'lazy'>, cpu: Cpu): Steps {
  if (lazy?.defersUpdates) yield* entries.flush_begins(lazy, currentOn(cpu));
});
