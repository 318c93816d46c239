/**
 * The machine of the lazy-MMU scenarios: tables of a few entries, CPUs with saturated TLBs, the mode, and a flush that
 * is one step.
 */
import { addCpu, send_IPI, type Cpu } from '@shootdown/cpu';
import {
  defineOperation,
  Frames,
  ModelError,
  operation,
  routine,
  SystemBuilder,
  type EntryPointer,
  type MemoryModel,
  type Region,
  type Steps,
} from '@shootdown/machine';
import { lazy, lazy_flush_begins, Mm, type Kernel } from '@shootdown/mm';
import { _PAGE_PRESENT, _PAGE_RW, _PAGE_USER, BBML0, mk_pte, pte_pfn, SaturatedTlb, tinyShape } from '@shootdown/mmu';
import type { Spinlock } from '@shootdown/sync';

const ENTRIES = 2;
const HISTORY_MAX = 96;
/** Tables: the process's own, a child's or the kernel's. */
const TABLE = { own: 0, other: 1 } as const;
export const RW = _PAGE_PRESENT | _PAGE_RW | _PAGE_USER;
const PAGES = 8;
/** Frame of the page that a fault maps where it finds nothing. */
export const EMPTY_PAGE = 9;

/** Violated by an access through a translation that a system call which has returned has revoked. */
const REVOKED = 'no access through a translation that a finished system call has revoked';

/** What a machine consists of. */
export interface LazyMachineOptions {
  readonly memoryModel: MemoryModel;
  readonly arch: lazy.LazyArch;
  readonly cpus: number;
  readonly tasks: number;
  /** Entries of the first table to begin with. Default: both pages mapped, writable. */
  readonly own?: readonly number[];
  /** The second table is the kernel's. Default false. */
  readonly kernelTable?: boolean;
  /** Entries of the second table to begin with. */
  readonly other?: readonly number[];
  readonly hazards?: 'fail' | 'count' | 'ignore';
  /** Vectors that CPUs take interrupts on. */
  readonly vectors?: readonly string[];
}

/** A machine under construction. */
export interface LazyMachine {
  readonly builder: SystemBuilder;
  readonly frames: Frames;
  readonly cpus: readonly Cpu[];
  readonly tlb: SaturatedTlb;
  readonly lazy: lazy.LazyMmu;
  readonly own: readonly EntryPointer[];
  readonly other: readonly EntryPointer[];
  readonly ptl: readonly Spinlock[];
  /** The lock words of both tables. */
  readonly locks: Region;
  /** Frames of the pages that the first table maps to begin with. */
  readonly mapped: readonly number[];
  /** Per page: what may no longer be done through a cached entry: 1 write, 2 anything. */
  readonly revoked: Region;
}

/** What may no longer be done with a page. */
export const Revoked = { writes: 1, accesses: 2 } as const;

/** Builds everything but the tasks. */
export function lazyMachine(options: LazyMachineOptions): LazyMachine {
  const builder = new SystemBuilder({ memoryModel: options.memoryModel, maxHistory: HISTORY_MAX });
  const own = options.own ?? [mk_pte(2, RW), mk_pte(3, RW)];
  const frames = new Frames(builder, {
    tables: 2,
    entriesPerTable: ENTRIES,
    formatEntry: lazy.formatLazyEntry,
    entryName: (table, i) => `${table === TABLE.own ? 'pte' : 'other pte'}[${i}]`,
    pages: PAGES,
    initialTables: [own, options.other ?? []],
    initialPages: PAGES,
  });
  const cpus = Array.from({ length: options.cpus }, (_, id) => addCpu(builder, id, options.vectors ?? []));
  const tlb = new SaturatedTlb(
    builder,
    cpus.map(({ name }) => name),
    frames,
    tinyShape(1, ENTRIES),
    TABLE.own,
    [0, 1],
    options.arch.name === 'arm64' ? { breakBeforeMake: BBML0 } : {},
  );
  const pointers = (table: number) => Array.from({ length: ENTRIES }, (_, i) => frames.entry(table, i));
  const locks = builder.region('ptl', 2, { memory: 'strong' });
  const mode = new lazy.LazyMmu(builder, {
    frames,
    cpus,
    tasks: options.tasks,
    arch: options.arch,
    ...(options.hazards && { hazards: options.hazards }),
    invalidate: (cx, vpn, pages) => {
      for (const cpu of cpus)
        tlb.invalidate(cx, cpu.id, {
          type: 'tlb.flush',
          scope: 'page',
          vpn,
          pages,
          asid: 0,
          global: true,
          leafOnly: false,
          everyTable: false,
        });
    },
    pageAt: (address) => {
      const cell = address - frames.entries.base;
      return options.kernelTable === true && cell >= ENTRIES ? -1 : cell % ENTRIES;
    },
  });
  return {
    builder,
    frames,
    cpus,
    tlb,
    lazy: mode,
    own: pointers(TABLE.own),
    other: pointers(TABLE.other),
    locks,
    ptl: [0, 1].map((i) => ({ name: i === 0 ? 'ptl' : 'dst_ptl', word: locks.at(i) })),
    mapped: own.map((entry) => pte_pfn(entry)),
    revoked: builder.region('revoked', ENTRIES),
  };
}

/** The kernel of the runs, and an address space whose table is the process's own. */
export function kernelOfTheRuns({ builder, frames, cpus, lazy: mode, locks }: LazyMachine): { runs: Kernel; mm: Mm } {
  const mm = new Mm(builder, 1, { root: TABLE.own, cpumask: 1 });
  const unused = (what: string): never => {
    throw new ModelError(`hazards: ${what}: this machine has one address space`);
  };
  const runs: Kernel = {
    builder,
    cpus,
    mmus: [],
    frames,
    shape: tinyShape(1, ENTRIES),
    arch: {
      name: 'one step',
      *flush_tlb_mm_range(cpu, _mm, start, end): Steps {
        yield* lazy_flush_begins({ lazy: mode }, cpu);
        yield* lazy.flush_tlb_range(mode, { task: cpu.id }, start, Math.min(end, ENTRIES) - start);
      },
      switch_mm: () => unused('switch_mm'),
      enter_lazy_tlb: () => unused('enter_lazy_tlb'),
      leave_mm: () => unused('leave_mm'),
      init_new_context: () => unused('init_new_context'),
      pte_needs_flush: () => true,
    },
    ptl: locks,
    lazy: mode,
  };
  return { runs, mm };
}

const REVOKE = defineOperation({
  name: '(system call returns)',
  role: 'environment',
  cost: 'nop',
  perform(cx, op) {
    cx.write(op.a, Math.max(cx.read(op.a), op.b));
    return 0;
  },
});

/** A system call has returned: from here on nobody may do that with the page through what it had cached. */
export function* revoke({ revoked }: LazyMachine, page: number, what: number): Steps {
  yield operation(REVOKE, revoked.at(page), what, 0, undefined, { label: '(system call returns)' });
}

const ACCESS = defineOperation({
  name: 'access',
  user: true,
  branches: (cx, op) => {
    const { tlb } = op.data as LazyMachine;
    return tlb.outcomes(cx, op.a, tlb.pageNumber(op.b), op.c === 1);
  },
  perform(cx, op, branch) {
    const { tlb, revoked } = op.data as LazyMachine;
    const entry = tlb.leaves((address) => cx.read(address), op.a, tlb.pageNumber(op.b))[branch];
    if (entry === undefined || (entry & _PAGE_PRESENT) === 0) return 0;
    const write = op.c === 1;
    const forbidden = cx.read(revoked.at(op.b));
    if (write && (entry & _PAGE_RW) === 0) return 0;
    if (forbidden === Revoked.accesses || (forbidden === Revoked.writes && write))
      cx.fail(REVOKED, () => {
        const done = write ? 'written' : 'read';
        return `page 0x${op.b.toString(16)} is ${done} through ${lazy.formatLazyEntry(entry)}, which CPU${op.a} has cached`;
      });
    return 1;
  },
});

/** A user's access to a page through any translation the CPU may hold; 0: it faults. */
export function* access(machine: LazyMachine, cpu: number, page: number, write: boolean): Steps<number> {
  const label = `${write ? 'write' : 'read'} page 0x${page.toString(16)}`;
  const fact = (done: number): string | undefined => (done === 0 ? 'faults' : undefined);
  return yield operation(ACCESS, cpu, page, write ? 1 : 0, machine, { label, fact });
}

/** The vector of {@link raiseSoftirq}. */
export const SOFTIRQ = 'softirq';

/** A kernel section that a softirq may interrupt: it maps the last page of the kernel's table, and then uses it. */
export const mapInSection = routine('vmap_range (interrupted)', function* (machine: LazyMachine): Steps {
  const current = { task: 0 };
  const ptep = machine.other.at(-1) as EntryPointer;
  yield* lazy.lazy_mmu_mode_enable(machine.lazy, current);
  yield* lazy.set_pte(machine.lazy, current, ptep, mk_pte(4, RW), { label: 'set_pte_at(page)' });
  yield* lazy.lazy_mmu_mode_disable(machine.lazy, current);
  yield* lazy.kernel_access(machine.lazy, current, ptep, '*(char *)area->addr');
});

/** Something that raises a softirq on a CPU, at any time. */
export const raiseSoftirq = routine('timer_interrupt', function* (target: Cpu): Steps {
  yield* send_IPI(target, SOFTIRQ);
});
