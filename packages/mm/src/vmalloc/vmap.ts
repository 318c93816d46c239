/**
 * vmap_range() with huge mappings. Mirrors vmap_pud_range() and below of mm/vmalloc.c, v6.18.
 *
 * A huge mapping replaces a table that an earlier, smaller mapping left behind; that is the only moment at which the
 * kernel's own tables are freed. The address and size checks before it are taken as passed.
 */
import {
  checkedOnce,
  checkValues,
  each,
  is,
  point,
  routine,
  wordsOf,
  type EntryPointer,
  type OptionValues,
  type Routine,
  type Steps,
} from '@shootdown/machine';
import { _PAGE_PRESENT, _PAGE_RW, mk_pte } from '@shootdown/mmu';
import { blockDescriptor, pageDescriptor, pxd_pgtable, pxd_table } from './descriptor.ts';
import type { FreeTables } from './free-tables.ts';
import { lazy_mmu_mode_disable, lazy_mmu_mode_enable, returns } from '../lazy/mode.ts';
import { kernel_access, set_pte } from '../lazy/pte.ts';
import type { SectionRoutine } from '../lazy/sections.ts';
import { mmap_read_trylock, mmap_read_unlock } from '../mmap-lock.ts';
import type { VmallocKernel } from './kernel.ts';

/**
 * What vmap_try_huge_pud() and vmap_try_huge_pmd() do about a table in their way.
 *
 * `free`: free it, then set the entry. `trylock`: both under mmap_read_trylock(init_mm), and no huge mapping if that
 * fails (series of July 2026). `unsupported`: arch_vmap_pud_supported() says no. Mutants: `trylock-unchecked` goes on
 * when the trylock has failed, `trylock-dropped` releases the lock before the free.
 */
export type TryHuge = 'free' | 'trylock' | 'unsupported' | 'trylock-unchecked' | 'trylock-dropped';

type Level = 'pud' | 'pmd';

/** One design of the vmap side. */
export interface VmapDesign {
  readonly tables: FreeTables;
  readonly tryHuge: TryHuge;
  /** Largest block, as max_page_shift says it. */
  readonly largest: Level;
}

const FREE_TABLES_VALUES: OptionValues<FreeTables> = { pmd_free_pte_page: is.callable, pud_free_pmd_page: is.callable };

const VMAP_VALUES: OptionValues<VmapDesign> = {
  tables: is.options(FREE_TABLES_VALUES, ['pmd_free_pte_page', 'pud_free_pmd_page']),
  tryHuge: is.oneOf(wordsOf<TryHuge>()('free', 'trylock', 'unsupported', 'trylock-unchecked', 'trylock-dropped')),
  largest: is.oneOf(wordsOf<Level>()('pud', 'pmd')),
};

const checkVmap = checkedOnce((design: VmapDesign) =>
  checkValues('vmalloc: vmap_range: design', design, VMAP_VALUES, ['tables', 'tryHuge', 'largest']),
);

/** What a mapping maps: consecutive frames from here on. */
const FIRST_PFN = 0x40;

/** vmap_try_huge_pud() and vmap_try_huge_pmd(): 1 if the entry is a block now. */
type TryHugeAt = Routine<[kernel: VmallocKernel, cpu: number, design: VmapDesign, entry: EntryPointer], number>;

/** One version of the pair. */
interface VmapTryHuge {
  readonly vmap_try_huge_pud: TryHugeAt;
  readonly vmap_try_huge_pmd: TryHugeAt;
}

/** v6.18: what is in the way is freed. */
const v6_18: VmapTryHuge = {
  vmap_try_huge_pud: routine('vmap_try_huge_pud', function* (kernel, cpu, { tables }, pud) {
    if (pxd_table(yield* kernel.get(pud, 'pud_present'))) yield* tables.pud_free_pmd_page(kernel, cpu, pud);
    yield* kernel.set(pud, blockDescriptor(FIRST_PFN + pud.index), 'pud');
    return 1;
  }),
  vmap_try_huge_pmd: routine('vmap_try_huge_pmd', function* (kernel, cpu, { tables }, pmd) {
    if (pxd_table(yield* kernel.get(pmd, 'pmd_present'))) yield* tables.pmd_free_pte_page(kernel, cpu, pmd);
    yield* kernel.set(pmd, blockDescriptor(FIRST_PFN + pmd.index), 'pmd');
    return 1;
  }),
};

/** Series of July 2026: under mmap_read_trylock(init_mm), and no huge mapping if that fails. */
const trylock: VmapTryHuge = {
  vmap_try_huge_pud: routine('vmap_try_huge_pud', function* (kernel, cpu, { tables }, pud) {
    if (pxd_table(yield* kernel.get(pud, 'pud_present'))) {
      if ((yield* mmap_read_trylock(kernel.init_mm)) === 0) return 0;
      yield* tables.pud_free_pmd_page(kernel, cpu, pud);
      yield* kernel.set(pud, blockDescriptor(FIRST_PFN + pud.index), 'pud');
      yield* mmap_read_unlock(kernel.init_mm);
      return 1;
    }
    yield* kernel.set(pud, blockDescriptor(FIRST_PFN + pud.index), 'pud');
    return 1;
  }),
  vmap_try_huge_pmd: routine('vmap_try_huge_pmd', function* (kernel, cpu, { tables }, pmd) {
    if (pxd_table(yield* kernel.get(pmd, 'pmd_present'))) {
      if ((yield* mmap_read_trylock(kernel.init_mm)) === 0) return 0;
      yield* tables.pmd_free_pte_page(kernel, cpu, pmd);
      yield* kernel.set(pmd, blockDescriptor(FIRST_PFN + pmd.index), 'pmd');
      yield* mmap_read_unlock(kernel.init_mm);
      return 1;
    }
    yield* kernel.set(pmd, blockDescriptor(FIRST_PFN + pmd.index), 'pmd');
    return 1;
  }),
};

/** arch_vmap_pud_supported() and arch_vmap_pmd_supported() of a kernel that has ptdump. */
const arch_vmap_supported = (): boolean => false;

/** v6.17 and before, with CONFIG_PTDUMP_DEBUGFS: the architecture says no. */
const unsupported: VmapTryHuge = {
  vmap_try_huge_pud: routine('vmap_try_huge_pud', function* (kernel, _cpu, _design, pud) {
    if (!arch_vmap_supported()) return 0;
    yield* kernel.set(pud, blockDescriptor(FIRST_PFN + pud.index), 'pud');
    return 1;
  }),
  vmap_try_huge_pmd: routine('vmap_try_huge_pmd', function* (kernel, _cpu, _design, pmd) {
    if (!arch_vmap_supported()) return 0;
    yield* kernel.set(pmd, blockDescriptor(FIRST_PFN + pmd.index), 'pmd');
    return 1;
  }),
};

/** Mutant: goes on when the trylock has failed. */
const trylockUnchecked: VmapTryHuge = {
  vmap_try_huge_pud: routine('vmap_try_huge_pud', function* (kernel, cpu, { tables }, pud) {
    if (pxd_table(yield* kernel.get(pud, 'pud_present'))) {
      const locked = yield* mmap_read_trylock(kernel.init_mm);
      yield* tables.pud_free_pmd_page(kernel, cpu, pud);
      yield* kernel.set(pud, blockDescriptor(FIRST_PFN + pud.index), 'pud');
      if (locked === 1) yield* mmap_read_unlock(kernel.init_mm);
      return 1;
    }
    yield* kernel.set(pud, blockDescriptor(FIRST_PFN + pud.index), 'pud');
    return 1;
  }),
  vmap_try_huge_pmd: routine('vmap_try_huge_pmd', function* (kernel, cpu, { tables }, pmd) {
    if (pxd_table(yield* kernel.get(pmd, 'pmd_present'))) {
      const locked = yield* mmap_read_trylock(kernel.init_mm);
      yield* tables.pmd_free_pte_page(kernel, cpu, pmd);
      yield* kernel.set(pmd, blockDescriptor(FIRST_PFN + pmd.index), 'pmd');
      if (locked === 1) yield* mmap_read_unlock(kernel.init_mm);
      return 1;
    }
    yield* kernel.set(pmd, blockDescriptor(FIRST_PFN + pmd.index), 'pmd');
    return 1;
  }),
};

/** Mutant: releases the lock before the free. */
const trylockDropped: VmapTryHuge = {
  vmap_try_huge_pud: routine('vmap_try_huge_pud', function* (kernel, cpu, { tables }, pud) {
    if (pxd_table(yield* kernel.get(pud, 'pud_present'))) {
      if ((yield* mmap_read_trylock(kernel.init_mm)) === 0) return 0;
      yield* mmap_read_unlock(kernel.init_mm);
      yield* tables.pud_free_pmd_page(kernel, cpu, pud);
    }
    yield* kernel.set(pud, blockDescriptor(FIRST_PFN + pud.index), 'pud');
    return 1;
  }),
  vmap_try_huge_pmd: routine('vmap_try_huge_pmd', function* (kernel, cpu, { tables }, pmd) {
    if (pxd_table(yield* kernel.get(pmd, 'pmd_present'))) {
      if ((yield* mmap_read_trylock(kernel.init_mm)) === 0) return 0;
      yield* mmap_read_unlock(kernel.init_mm);
      yield* tables.pmd_free_pte_page(kernel, cpu, pmd);
    }
    yield* kernel.set(pmd, blockDescriptor(FIRST_PFN + pmd.index), 'pmd');
    return 1;
  }),
};

const VERSIONS: Readonly<Record<TryHuge, VmapTryHuge>> = {
  free: v6_18,
  trylock,
  unsupported,
  'trylock-unchecked': trylockUnchecked,
  'trylock-dropped': trylockDropped,
};

const vmap_pte_range = routine('vmap_pte_range', function* (kernel: VmallocKernel, table: number): Steps {
  for (let i = 0; i < kernel.tree.ptes; i++) {
    yield* kernel.set(kernel.frames.entry(table, i), pageDescriptor(FIRST_PFN + i), 'pte');
  }
});

/** The tables below are the ones that were there: this is only reached when they have not been freed. */
const vmap_pmd_range = routine(
  'vmap_pmd_range',
  function* (kernel: VmallocKernel, cpu: number, design: VmapDesign, pud: EntryPointer): Steps {
    checkVmap(design);
    const table = pxd_pgtable(yield* kernel.get(pud, 'pudp_get'));
    for (let i = 0; i < kernel.tree.pmds; i++) {
      yield* point('next_pmd', table, i);
      const pmd = kernel.frames.entry(table, i);
      if ((yield* VERSIONS[design.tryHuge].vmap_try_huge_pmd(kernel, cpu, design, pmd)) === 1) continue;
      yield* vmap_pte_range(kernel, pxd_pgtable(yield* kernel.get(pmd, 'pmdp_get')));
    }
  },
);

/** The routines below vmap_range(), by their names. */
export const vmapRoutines = { ...v6_18, vmap_pmd_range, vmap_pte_range };

/** vmap_range(): maps the pud entries first .. last, each with one block if it can be had. */
export const vmap_range = routine(
  'vmap_range',
  function* (kernel: VmallocKernel, cpu: number, design: VmapDesign, first: number, last: number): Steps {
    checkVmap(design);
    for (let i = first; i <= last; i++) {
      yield* point('next_pud', i);
      const pud = kernel.pud(i);
      const huge = design.largest === 'pud';
      if (huge && (yield* VERSIONS[design.tryHuge].vmap_try_huge_pud(kernel, cpu, design, pud)) === 1) continue;
      yield* vmap_pmd_range(kernel, cpu, design, pud);
    }
  },
);

const MAPPED = _PAGE_PRESENT | _PAGE_RW;

/**
 * vmap_pte_range(): one section for the range, its barriers batched; the caller uses the mapping when it has returned.
 */
export const vmap_pte_range_lazy: SectionRoutine = routine(
  'vmap_pte_range',
  function* ({ lazy, current, ptes }): Steps {
    yield* lazy_mmu_mode_enable(lazy, current);
    yield* each(ptes.length, function* (i) {
      yield* set_pte(lazy, current, ptes[i] as EntryPointer, mk_pte(1 + i, MAPPED), { label: 'set_pte_at(page)' });
      return undefined;
    });
    yield* lazy_mmu_mode_disable(lazy, current);
    for (const ptep of ptes) yield* kernel_access(lazy, current, ptep, '*(char *)area->addr');
    yield* returns(lazy, current);
  },
);
