/**
 * `lazy-vmalloc`: is one `dsb(ishst); isb` when lazy MMU mode is left enough for everybody who uses the new mapping?
 * (arm64, v6.16)
 *
 * CPU0 maps two pages into the kernel's table, uses them, and hands the mapping to CPU1: as a pointer, or by setting a
 * flag. Whoever takes a translation fault on it has not seen the entry. An invalid entry is in no TLB, so this is a
 * matter of order alone, and of `arm` alone. See docs/lazy-mmu.md.
 */
import type { BuildRequest, Scenario, Variant } from '@shootdown/explorer';
import { addCpu, startCpu, type Cpu } from '@shootdown/cpu';
import {
  accessOf,
  after,
  defineOperation,
  dereferenced,
  Frames,
  isMemoryFault,
  operation,
  program,
  routine,
  smp_load_acquire,
  smp_store_release,
  store,
  SystemBuilder,
  type Access,
  type Address,
  type Dependencies,
  type EntryPointer,
  type OperationContext,
  type Region,
  type Steps,
  type System,
  type Translation,
} from '@shootdown/machine';
import { lazy } from '@shootdown/mm';
import { mk_pte, pte_pfn, pte_present, _PAGE_PRESENT, _PAGE_RW, formatEntry } from '@shootdown/mmu';

interface Design extends Variant {
  /** Default: both. */
  readonly barriers?: lazy.PteBarriers;
  /** How CPU1 learns of the mapping. Default: it is given the pointer. */
  readonly reader?: 'pointer' | 'flag';
  readonly ets2?: boolean;
  /** is_spurious_el1_translation_fault(): a fault is taken for one only if a second look finds no entry. */
  readonly looksAgain?: boolean;
}

const PGTABLE = 'arch/arm64/include/asm/pgtable.h, v6.16: queue_pte_barriers(), emit_pte_barriers()';
const ARM_ARM = 'Arm ARM, DDI 0487: translation table walks are ordered by address dependencies and ISB';
const NOBODY = 'no outside authority';

const designs: readonly Design[] = [
  {
    name: 'current',
    expected: 'safe',
    expectedOn: { arm: 'safe' },
    source: PGTABLE,
    summary: 'both barriers once, when the mode is left; CPU1 is given a pointer, and its walk depends on that load',
  },
  {
    name: 'no-barrier-at-leave',
    expected: 'safe',
    expectedOn: { arm: 'violation' },
    source: PGTABLE,
    summary: 'the mode is left without them: the CPU that maps may fault itself',
    barriers: { dsb: false, isb: false },
  },
  {
    name: 'no-dsb',
    expected: 'safe',
    expectedOn: { arm: 'violation' },
    source: PGTABLE,
    summary: 'the ISB alone: it waits for no store',
    barriers: { dsb: false, isb: true },
  },
  {
    name: 'no-isb',
    expected: 'safe',
    expectedOn: { arm: 'violation' },
    source: PGTABLE,
    summary: 'the DSB alone: the walk may have been made before it',
    barriers: { dsb: true, isb: false },
  },
  {
    name: 'no-isb-ets2',
    expected: 'safe',
    expectedOn: { arm: 'safe' },
    source: 'Arm ARM, FEAT_ETS2: walks are after a completed DSB',
    summary: 'the same with FEAT_ETS2',
    barriers: { dsb: true, isb: false },
    ets2: true,
  },
  {
    name: 'by-flag',
    expected: 'safe',
    expectedOn: { arm: 'violation' },
    source: ARM_ARM,
    summary: 'CPU1 is told by a flag, which it reads by smp_load_acquire(): no dependency, and its walk may be older',
    reader: 'flag',
  },
  {
    name: 'by-flag-ets2',
    expected: 'safe',
    expectedOn: { arm: 'safe' },
    source: 'Arm ARM, FEAT_ETS2: a fault is ordered as the access would be',
    summary: 'the same with FEAT_ETS2',
    reader: 'flag',
    ets2: true,
  },
  {
    name: 'by-flag-spurious-fault',
    expected: 'safe',
    expectedOn: { arm: 'safe' },
    source: 'arch/arm64/mm/fault.c, v6.18: is_spurious_el1_translation_fault()',
    summary: 'the same without, and the handler of the fault looks again: the exception has synchronised the context',
    reader: 'flag',
    looksAgain: true,
  },
  {
    name: 'by-flag-no-dsb-spurious-fault',
    expected: 'safe',
    expectedOn: { arm: 'safe' },
    source: NOBODY,
    summary: 'and without the DSB: smp_store_release() of the flag orders the entry before it',
    reader: 'flag',
    looksAgain: true,
    barriers: { dsb: false, isb: true },
  },
];

const [TABLE, PAGES, CPUS] = [0, 2, 2];
const FIRST_PAGE = 1;
const NO_FAULT = 'nobody faults on a kernel mapping that exists';
const RW = _PAGE_PRESENT | _PAGE_RW;
const POINTER = 0;

interface Machine {
  readonly lazy: lazy.LazyMmu;
  readonly contents: Region;
  readonly ptes: readonly EntryPointer[];
  /** Where the mapping is handed on: the address of the last entry, or 1. */
  readonly shared: Address;
  readonly looksAgain: boolean;
}

interface Subject {
  readonly access: Access;
  readonly looksAgain: boolean;
}

/** A load through a kernel mapping; on `sc` and `tso` a walk finds what is in memory. */
const KERNEL_LOAD = defineOperation({
  name: 'kernel_load',
  role: 'environment',
  cost: 'load',
  perform(cx, op) {
    if (!pte_present(cx.read(op.a))) cx.fail(NO_FAULT, () => 'there is no entry');
    return 0;
  },
  weak(cx, memory, op) {
    const { access, looksAgain } = op.data as Subject;
    const faults = isMemoryFault(memory.access(access));
    if (faults && !(looksAgain && !isMemoryFault(memory.access(access)))) cx.fail(NO_FAULT, () => faulted(cx, op.a));
    return 0;
  },
});

/** What a walk has come to. */
const faulted = (cx: OperationContext, address: number): string =>
  `translation fault: the walk has not seen ${formatEntry(cx.read(address))} in the entry`;

function* use({ ptes, looksAgain }: Machine, page: number, dependencies: Dependencies | null = null): Steps {
  const { address } = ptes[page] as EntryPointer;
  const access = accessOf({ kind: 'load', address, translated: true, dependencies });
  yield operation(KERNEL_LOAD, address, 0, 0, { access, looksAgain } satisfies Subject, { label: `*(va + ${page})` });
}

const vmap = routine('vmap', function* (machine: Machine, design: Design): Steps {
  const current = { task: 0 };
  const { lazy: mode, ptes, shared } = machine;
  yield* lazy.lazy_mmu_mode_enable(mode, current);
  for (const [page, ptep] of ptes.entries())
    yield* lazy.set_pte(mode, current, ptep, mk_pte(FIRST_PAGE + page, RW), { label: `set_pte_at(page ${page})` });
  yield* lazy.lazy_mmu_mode_disable(mode, current);
  // Who is told by a flag is another CPU: the own accesses are those of the other variants.
  if (design.reader === 'flag') {
    yield* smp_store_release(shared, 1, { label: 'smp_store_release(ready, 1)' });
    return;
  }
  for (const page of ptes.keys()) yield* use(machine, page);
  yield* store(shared, 1, { label: 'WRITE_ONCE(shared, va)' });
});

const kthread = routine('kthread', function* (machine: Machine, design: Design): Steps {
  const { shared, ptes } = machine;
  const last = ptes.length - 1;
  if (design.reader === 'flag') {
    if ((yield* smp_load_acquire(shared, { label: 'smp_load_acquire(ready)' })) === 1) yield* use(machine, last);
    return;
  }
  const va = yield* dereferenced(shared, POINTER, { label: 'va = READ_ONCE(shared)' });
  if (va === 1) yield* use(machine, last, after(POINTER));
});

/** The kernel's table: its entries lead to a word per page. */
function translationOf(pages: readonly Address[], contents: Region, ets2: boolean): Translation {
  return {
    pages,
    decode: (value) => ({
      valid: pte_present(value),
      accessed: true,
      writable: true,
      dirtyManaged: false,
      output: contents.at(pte_present(value) ? pte_pfn(value) - FIRST_PAGE : 0),
    }),
    accessed: (value) => value,
    dirtied: (value) => value,
    ets2,
    hardware: Array.from({ length: CPUS }, () => ({ accessFlag: false, dirty: false })),
  };
}

function buildLazyVmalloc({ variant, memoryModel }: BuildRequest<Design>): System {
  let machine: Machine | null = null;
  const builder = new SystemBuilder({
    memoryModel,
    weak: () => {
      if (!machine) return {};
      const { ptes, contents } = machine;
      const pages = ptes.map(({ address }) => address);
      const words = [...pages, ...pages.map((_, page) => contents.at(page))];
      return {
        translation: translationOf(pages, contents, variant.ets2 ?? false),
        translated: words.map((address) => ({ address, value: 0 })),
      };
    },
  });
  const frames = new Frames(builder, {
    tables: 1,
    entriesPerTable: PAGES,
    pages: PAGES,
    initialPages: PAGES,
    formatEntry,
  });
  const cpus = Array.from({ length: CPUS }, (_, id) => addCpu(builder, id, []));
  machine = {
    lazy: new lazy.LazyMmu(builder, {
      frames,
      cpus,
      tasks: 1,
      arch: lazy.lazyArchs.arm64,
      invalidate: () => {},
      pageAt: () => -1,
      // The damage is judged here, not the rule.
      hazards: 'ignore',
      ...(variant.barriers && { barriers: variant.barriers }),
    }),
    contents: builder.region('page', PAGES),
    ptes: Array.from({ length: PAGES }, (_, i) => frames.entry(TABLE, i)),
    shared: builder.region('shared', 1).at(0),
    looksAgain: variant.looksAgain ?? false,
  };
  const [first, second] = cpus as [Cpu, Cpu];
  startCpu(builder, first, [program(vmap, machine, variant)]);
  startCpu(builder, second, [program(kthread, machine, variant)]);
  const { shared } = machine;
  builder.property({
    name: 'the mapping is handed on',
    kind: 'sometimes',
    why: 'otherwise nobody else uses it',
    reads: [shared],
    check: (read) => read(shared) === 1,
  });
  return builder.build();
}

/** Lazy MMU mode: do the barriers that are emitted once suffice for every reader of a kernel mapping? */
export const lazyVmalloc: Scenario<Design> = {
  name: 'lazy-vmalloc',
  title: 'Lazy MMU mode: do the barriers that are emitted once suffice for every reader of a kernel mapping?',
  seed: 'S0',
  variants: designs,
  build: buildLazyVmalloc,
};
