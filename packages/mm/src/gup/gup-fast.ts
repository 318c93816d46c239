/**
 * GUP-fast: pins the page behind an address without any lock, with interrupts off.
 *
 * Mirrors mm/gup.c, v6.15: gup_fast_fallback(), gup_fast(), gup_fast_pmd_range(), gup_fast_pte_range(),
 * try_grab_folio_fast(). One address, FOLL_GET | FOLL_WRITE. FOLL_PIN's write_protect_seq and the upper levels are left
 * out: nothing here forks, and the pmd table stays.
 */
import {
  choose,
  routine,
  type Steps,
  checkedOnce,
  checkValues,
  is,
  wordsOf,
  type OptionValues,
} from '@shootdown/machine';
import { local_irq_restore, local_irq_save, type Cpu } from '@shootdown/cpu';
import { _PAGE_PSE, formatEntry, pte_pfn, pte_present, pte_write } from '@shootdown/mmu';
import { folio_try_get, type ReferenceGuards } from '../folio.ts';
import { walkerLoad } from './invariants.ts';
import { PMD_TABLE, type GupKernel } from './kernel.ts';

/** Which entries are read again after the page was pinned. `pmd` alone was never in a kernel. */
export type Recheck = 'none' | 'pte' | 'pmd' | 'pte+pmd';

/**
 * What keeps tables while the walk is under way: GUP-fast has interrupts off. Others, as users of pte_offset_map(), are
 * only in an RCU section.
 */
export type ReadSection = 'irqs off' | 'rcu_read_lock' | 'none';

/** The guards of the walk; each can be left out to see what it is for. */
export interface GupGuards extends ReferenceGuards {
  readonly recheck: Recheck;
  readonly section: ReadSection;
}

const GUARDS_VALUES: OptionValues<GupGuards> = {
  recheck: is.oneOf(wordsOf<Recheck>()('none', 'pte', 'pmd', 'pte+pmd')),
  refcountTest: is.flag,
  refcountBarrier: is.flag,
  section: is.oneOf(wordsOf<ReadSection>()('irqs off', 'rcu_read_lock', 'none')),
};

const checkGuards = checkedOnce((guards: GupGuards) =>
  checkValues('gup: gup_fast_fallback: guards', guards, GUARDS_VALUES, [
    'recheck',
    'refcountTest',
    'refcountBarrier',
    'section',
  ]),
);

/** v6.0 and later (70cbc3cc78a9). */
export const GUP_GUARDS: GupGuards = {
  recheck: 'pte+pmd',
  refcountTest: true,
  refcountBarrier: true,
  section: 'irqs off',
};

/** Result of a walk that pinned nothing. */
export const NONE = -1;

/**
 * gup_fast_fallback() with FOLL_FAST_ONLY: whoever gets nothing goes on under mmap_lock, which is not this routine's
 * subject. The address lies in the span of any of the tables.
 */
export const gup_fast_fallback = routine(
  'gup_fast_fallback',
  function* (kernel: GupKernel, cpu: Cpu, guards: GupGuards): Steps {
    checkGuards(guards);
    const address =
      kernel.tables === 1 ? 0 : yield* choose(kernel.tables, { label: 'addr', fact: (i) => `is below pmd[${i}]` });
    yield* kernel.tracepoints.gup_fast_begin.trace(address, 'gup_fast_fallback(addr, 1, FOLL_WRITE)');
    const flags = yield* enter(kernel, cpu, guards.section);
    const page = yield* gup_fast_pmd_range(kernel, guards, address);
    const result = page === NONE ? 'nr_pinned = 0' : `pages[nr] = 0x${page.toString(16)}`;
    yield* kernel.tracepoints.gup_fast_end.trace(page, result);
    yield* leave(kernel, cpu, guards.section, flags);
  },
);

function* enter({ rcu }: GupKernel, cpu: Cpu, section: ReadSection): Steps<number> {
  if (section === 'irqs off') return yield* local_irq_save(cpu);
  if (section === 'rcu_read_lock' && rcu) yield* rcu.rcu_read_lock();
  return 0;
}

function* leave({ rcu }: GupKernel, cpu: Cpu, section: ReadSection, flags: number): Steps {
  if (section === 'irqs off') yield* local_irq_restore(cpu, flags);
  if (section === 'rcu_read_lock' && rcu) yield* rcu.rcu_read_unlock(cpu.id);
}

const gup_fast_pmd_range = routine(
  'gup_fast_pmd_range',
  function* (kernel: GupKernel, guards: GupGuards, address: number): Steps<number> {
    const pmd = yield* pmdp_get_lockless(kernel, address);
    if (!pte_present(pmd)) return NONE;
    if ((pmd & _PAGE_PSE) !== 0) return yield* gup_fast_pmd_leaf(kernel, guards, address, pmd);
    return yield* gup_fast_pte_range(kernel, guards, address, pmd);
  },
);

const gup_fast_pte_range = routine(
  'gup_fast_pte_range',
  function* (kernel: GupKernel, guards: GupGuards, address: number, pmd: number): Steps<number> {
    const { frames } = kernel;
    const pte = yield* walkerLoad(frames, pte_pfn(pmd), 0, 'ptep_get_lockless(ptep)', formatEntry);
    if (!pte_present(pte) || !pte_write(pte)) return NONE;
    const page = pte_pfn(pte);
    if (!(yield* folio_try_get(frames, page, guards))) return NONE;
    let same = true;
    if (recheckOf(guards, 'pmd')) same = (yield* pmdp_get_lockless(kernel, address)) === pmd;
    if (same && recheckOf(guards, 'pte'))
      same = (yield* walkerLoad(frames, pte_pfn(pmd), 0, 'ptep_get(ptep)', formatEntry)) === pte;
    if (same) return page;
    yield* frames.put(page, { label: `gup_put_folio(0x${page.toString(16)})` });
    return NONE;
  },
);

const gup_fast_pmd_leaf = routine(
  'gup_fast_pmd_leaf',
  function* (kernel: GupKernel, guards: GupGuards, address: number, pmd: number): Steps<number> {
    const page = pte_pfn(pmd);
    if (!(yield* folio_try_get(kernel.frames, page, guards))) return NONE;
    if (guards.recheck === 'none' || (yield* pmdp_get_lockless(kernel, address)) === pmd) return page;
    yield* kernel.frames.put(page, { label: `gup_put_folio(0x${page.toString(16)})` });
    return NONE;
  },
);

/** The routines below gup_fast_fallback(), by their names. */
export const gupFastRoutines = { gup_fast_pmd_range, gup_fast_pte_range, gup_fast_pmd_leaf };

function* pmdp_get_lockless(kernel: GupKernel, address: number): Steps<number> {
  return yield* walkerLoad(kernel.frames, PMD_TABLE, address, 'pmdp_get_lockless(pmdp)', formatEntry);
}

function recheckOf({ recheck }: GupGuards, level: 'pte' | 'pmd'): boolean {
  return recheck === level || recheck === 'pte+pmd';
}
