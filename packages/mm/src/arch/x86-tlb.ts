/**
 * TLB flushing and address-space switching on x86, natively: by IPI.
 *
 * Mirrors arch/x86/mm/tlb.c, v6.18: flush_tlb_mm_range(), native_flush_tlb_multi(), should_flush_tlb(),
 * flush_tlb_func(), switch_mm_irqs_off(), enter_lazy_tlb().
 */
import {
  noted,
  notedMethods,
  atomicAdd,
  clearBits,
  count,
  defineOperation,
  load,
  operation,
  routine,
  setBits,
  smp_mb,
  smp_rmb,
  store,
  type Operation,
  type Steps,
  type SystemBuilder,
  checkValues,
  is,
} from '@shootdown/machine';
import { local_irq_disable, local_irq_enable, local_irq_restore, local_irq_save, type Cpu } from '@shootdown/cpu';
import type { MmuInstructions } from '@shootdown/mmu';
import {
  cpuBit,
  cpumask_empty,
  cpumask_test_cpu,
  cpumask_without,
  cpumaskWhere,
  formatCpumask,
  load_cpumask,
  wordOfCpu,
  type CpuMask,
} from '../cpumask.ts';
import type { Mm, TlbArch, TlbBatching } from '../kernel.ts';
import type { Smp } from '../smp.ts';
import {
  broadcast_tlb_flush,
  consider_global_asid,
  INVLPGB_VALUES,
  invlpgb_flush_all_nonglobals,
  is_global_asid,
  mm_global_asid,
  mm_in_asid_transition,
  mm_needs_global_asid,
} from './invlpgb.ts';
import {
  flushStart,
  Info,
  ANY_MM,
  INIT_MM,
  infoWord,
  LOADED_MM_SWITCHING,
  LOW_WORD,
  mmuOf,
  pte_needs_flush,
  TLB_GENERATION_INVALID,
  TLB_NR_DYN_ASIDS,
  TLB_SINGLE_PAGE_FLUSH_CEILING,
  X86_TLB_VALUES,
  X86Counter,
  type X86TlbOptions,
  type X86TlbState,
} from './x86-state.ts';

/** Native x86. */
export interface X86Tlb extends TlbArch {
  readonly state: X86TlbState;
}

/**
 * Adds x86 TLB management to a machine. `mms` is asked when a routine runs, so it may grow while assembling; those that
 * CPUs have loaded exist.
 */
export function x86Tlb(
  builder: SystemBuilder,
  smp: Smp,
  mmus: readonly MmuInstructions[],
  mms: () => readonly Mm[],
  options: X86TlbOptions = {},
): X86Tlb {
  checkValues('x86Tlb', options, X86_TLB_VALUES);
  if (options.invlpgb !== undefined) checkValues('x86Tlb: invlpgb', options.invlpgb, INVLPGB_VALUES);
  const n = smp.cpus.length;
  const { loaded = [], lazy = [] } = options;
  is.listOf(is.whole(0, n - 1))('x86Tlb: lazy', lazy);
  const firstSlots = (words: readonly number[]): number[] =>
    words.flatMap((word) => [word, ...Array.from({ length: TLB_NR_DYN_ASIDS - 1 }, () => 0)]);
  const perCpu = (field: string) => (cpu: number) => `per_cpu(${field}, ${cpu})`;
  const perSlot = (field: string) => (slot: number) =>
    `per_cpu(ctxs[${slot % TLB_NR_DYN_ASIDS}].${field}, ${Math.floor(slot / TLB_NR_DYN_ASIDS)})`;
  const format = (id: number): string =>
    id === LOADED_MM_SWITCHING ? 'LOADED_MM_SWITCHING' : id === INIT_MM ? 'init_mm' : `mm${id}`;
  const state: X86TlbState = {
    smp,
    mmus,
    mms,
    options,
    flushFunction: smp.register({
      name: 'flush_tlb_func',
      run: (cpu, source) => flush_tlb_func(state, cpu, source, false),
    }),
    loaded_mm: builder.region('cpu_tlbstate.loaded_mm', n, {
      cellName: perCpu('loaded_mm'),
      format,
      initial: loaded,
      lineWords: 1,
    }),
    loaded_mm_asid: builder.region('cpu_tlbstate.loaded_mm_asid', n, {
      cellName: perCpu('loaded_mm_asid'),
      initial: loaded.map((id) => mms()[id - 1]?.initial?.globalAsid ?? 0),
    }),
    is_lazy: builder.region('cpu_tlbstate.is_lazy', n, {
      cellName: perCpu('is_lazy'),
      lineWords: 1,
      initial: smp.cpus.map(({ id }) => (lazy.includes(id) ? 1 : 0)),
    }),
    next_asid: builder.region('cpu_tlbstate.next_asid', n, {
      cellName: perCpu('next_asid'),
      initial: loaded.map((id) => (id === INIT_MM ? 0 : 1)),
    }),
    ctx_id: builder.region('cpu_tlbstate.ctxs.ctx_id', n * TLB_NR_DYN_ASIDS, {
      cellName: perSlot('ctx_id'),
      initial: firstSlots(loaded),
    }),
    ctx_tlb_gen: builder.region('cpu_tlbstate.ctxs.tlb_gen', n * TLB_NR_DYN_ASIDS, {
      cellName: perSlot('tlb_gen'),
      initial: firstSlots(loaded.map((id) => (id === INIT_MM ? 0 : 1))),
    }),
    global_asid_lock: builder.region('global_asid_lock', 1, { memory: 'strong' }),
    info: builder.region('flush_tlb_info', n * Info.words, { lineWords: Info.words }),
  };
  return {
    name: 'x86-native',
    state,
    flush_tlb_mm_range: (cpu, mm, start, end, freed_tables) =>
      flush_tlb_mm_range(state, cpu, mm, start, end, freed_tables),
    switch_mm: (cpu, next) => switch_mm(state, cpu, next),
    enter_lazy_tlb: (cpu) => enter_lazy_tlb(state, cpu),
    leave_mm: (cpu) => leave_mm(state, cpu),
    init_new_context: (mm) => init_new_context(state, mm),
    pte_needs_flush,
    tlbbatch: x86TlbBatch(state),
  };
}

const flush_tlb_mm_range = routine(
  'flush_tlb_mm_range',
  function* (x86: X86TlbState, cpu: Cpu, mm: Mm, start: number, end: number, freed_tables: boolean): Steps {
    const new_tlb_gen = yield* atomicAdd(mm.tlb_gen.at(0), 1, {
      label: 'inc_mm_tlb_gen(mm)',
      fact: (gen) => `tlb_gen ${gen}`,
    });
    const all = end - start > (x86.options.ceiling ?? TLB_SINGLE_PAGE_FLUSH_CEILING);
    yield* get_flush_tlb_info(x86, cpu, mm, start, all ? 0 : end - start, new_tlb_gen);
    const flush_tlb_multi = x86.options.flush_tlb_multi ?? native_flush_tlb_multi;
    const global_asid = yield* mm_global_asid(x86, mm);
    if (global_asid !== 0) {
      yield* broadcast_tlb_flush(x86, cpu, mm, global_asid, (mask) =>
        flush_tlb_multi(x86, cpu, mm, mask, freed_tables, false),
      );
      return;
    }
    const mask = yield* load_cpumask(mm.cpumask, {
      label: 'mm_cpumask(mm)',
      fact: (word) => `CPUs ${formatCpumask(word)}`,
    });
    if (!cpumask_empty(cpumask_without(mask, cpu.id))) {
      const trim_cpumask = yield* should_trim_cpumask(x86, mm);
      yield* flush_tlb_multi(x86, cpu, mm, mask, freed_tables, trim_cpumask);
      yield* consider_global_asid(x86, mm);
    } else if ((yield* load(x86.loaded_mm.at(cpu.id), { label: 'cpu_tlbstate.loaded_mm' })) === mm.id) {
      if (x86.options.mutant === 'no local flush') return;
      yield* local_irq_disable(cpu);
      yield* flush_tlb_func(x86, cpu, cpu.id, true);
      yield* local_irq_enable(cpu);
    }
  },
);

/** Batched flushes of reclaim: arch_tlbbatch_add_pending(), arch_tlbbatch_flush(). */
function x86TlbBatch(x86: X86TlbState): TlbBatching {
  return notedMethods({
    *should_defer_flush(cpu, mm) {
      const mask = yield* load_cpumask(mm.cpumask, { label: 'mm_cpumask(mm)' });
      return !cpumask_empty(cpumask_without(mask, cpu.id));
    },
    *arch_tlbbatch_add_pending(_cpu, mm) {
      yield* atomicAdd(mm.tlb_gen.at(0), 1, { label: 'inc_mm_tlb_gen(mm)' });
      return yield* load_cpumask(mm.cpumask, { label: 'cpumask_or(&batch->cpumask, mm_cpumask(mm))' });
    },
    arch_tlbbatch_flush: (cpu, mask) => arch_tlbbatch_flush(x86, cpu, mask),
  });
}

const arch_tlbbatch_flush = routine(
  'arch_tlbbatch_flush',
  function* (x86: X86TlbState, cpu: Cpu, mask: CpuMask): Steps {
    yield* get_flush_tlb_info(x86, cpu, null, 0, 0, TLB_GENERATION_INVALID);
    const flush_tlb_multi = x86.options.flush_tlb_multi ?? native_flush_tlb_multi;
    if (x86.options.invlpgb) {
      // CPUs that use a global ASID do nothing for an IPI.
      yield* invlpgb_flush_all_nonglobals(x86, cpu);
    } else if (!cpumask_empty(cpumask_without(mask, cpu.id))) {
      yield* flush_tlb_multi(x86, cpu, null, mask, false, false);
    } else if (cpumask_test_cpu(cpu.id, mask)) {
      yield* local_irq_disable(cpu);
      yield* flush_tlb_func(x86, cpu, cpu.id, true);
      yield* local_irq_enable(cpu);
    }
  },
);

/** Sends the IPI, to all of the mask or to those for whom it matters, and waits until they have flushed. */
export const native_flush_tlb_multi = routine(
  'native_flush_tlb_multi',
  function* (
    x86: X86TlbState,
    cpu: Cpu,
    mm: Mm | null,
    mask: CpuMask,
    freed_tables: boolean,
    trim_cpumask: boolean,
  ): Steps {
    yield* count(X86Counter.remoteFlush);
    const in_transition = !freed_tables && (yield* mm_in_asid_transition(x86, mm));
    const told = new Set<number>();
    for (const other of x86.smp.cpus) {
      if (!cpumask_test_cpu(other.id, mask)) continue;
      // Page tables about to be freed: a lazy CPU may still walk them speculatively, so everybody is told. So it is
      // as long as CPUs change to a global ASID: the flush is what has them do that.
      const everybody = freed_tables && x86.options.mutant !== 'lazy CPUs keep freed tables';
      if (everybody || in_transition || (yield* should_flush_tlb(x86, other, mm, trim_cpumask))) told.add(other.id);
    }
    const flushesSelf = told.has(cpu.id) && x86.options.mutant !== 'no local flush';
    const local = flushesSelf ? () => flush_tlb_func(x86, cpu, cpu.id, true) : undefined;
    const targets = cpumaskWhere(x86.smp.cpus, (id) => told.has(id));
    yield* x86.smp.smp_call_function_many(cpu, targets, x86.flushFunction, local);
  },
);

const should_flush_tlb = routine(
  'should_flush_tlb',
  function* (x86: X86TlbState, target: Cpu, mm: Mm | null, trim_cpumask: boolean): Steps<boolean> {
    const loadedMm = (): Steps<number> =>
      load(x86.loaded_mm.at(target.id), { label: `per_cpu(loaded_mm, ${target.id})` });
    const isLazy = (): Steps<number> => load(x86.is_lazy.at(target.id), { label: `per_cpu(is_lazy, ${target.id})` });
    if (x86.options.mutant === 'before fea4e317f9e7')
      return (yield* isLazy()) === 0 && ((yield* loadedMm()) === mm?.id || trim_cpumask);
    const loaded_mm = yield* loadedMm();
    yield* smp_rmb();
    if ((yield* isLazy()) !== 0) return false;
    if (mm === null) return true;
    if (loaded_mm === LOADED_MM_SWITCHING && x86.options.mutant !== 'no flush while switching') return true;
    return loaded_mm === mm.id || trim_cpumask;
  },
);

/**
 * The flush itself, on the CPU that performs it, with interrupts off. `source` is the CPU whose flush_tlb_info it is.
 */
const flush_tlb_func = routine(
  'flush_tlb_func',
  function* (x86: X86TlbState, cpu: Cpu, source: number, local: boolean): Steps {
    const mmId = yield* load(infoWord(x86, source, Info.mm), { label: 'info->mm' });
    const loaded_mm = yield* load(x86.loaded_mm.at(cpu.id), { label: 'cpu_tlbstate.loaded_mm' });
    if (!local) {
      yield* count(X86Counter.interrupts);
      yield* count(X86Counter.received);
    }
    const mm = x86.mms()[(mmId === ANY_MM ? loaded_mm : mmId) - 1] as Mm;
    if (mmId !== ANY_MM && loaded_mm !== mmId) {
      yield* clearBits(wordOfCpu(mm.cpumask, cpu.id), cpuBit(cpu.id), {
        label: 'cpumask_clear_cpu(self, mm_cpumask(mm))',
      });
      return;
    }
    if (loaded_mm === INIT_MM) return;
    if (x86.options.invlpgb?.lazyFirst && (yield* leaves_lazy_mm(x86, cpu))) return;
    if (x86.options.invlpgb && (yield* uses_global_asid(x86, cpu, mm))) return;
    if (!x86.options.invlpgb?.lazyFirst && (yield* leaves_lazy_mm(x86, cpu))) return;
    const asid = yield* load(x86.loaded_mm_asid.at(cpu.id), { label: 'cpu_tlbstate.loaded_mm_asid' });
    const slot = x86.ctx_tlb_gen.at(cpu.id * TLB_NR_DYN_ASIDS + asid);
    const local_tlb_gen = yield* load(slot, { label: 'ctxs[asid].tlb_gen' });
    const new_tlb_gen = yield* load(infoWord(x86, source, Info.newTlbGen), { label: 'info->new_tlb_gen' });
    // Another flush has been faster and covered this one.
    if (new_tlb_gen !== TLB_GENERATION_INVALID && new_tlb_gen <= local_tlb_gen) return;
    const mm_tlb_gen = yield* load(mm.tlb_gen.at(0), { label: 'mm->context.tlb_gen' });
    const pages = yield* load(infoWord(x86, source, Info.pages), { label: 'info->end - info->start' });
    // Two flushes, and this CPU has caught up with both at the first.
    if (local_tlb_gen === mm_tlb_gen) return;
    const nothingMissed =
      (new_tlb_gen === local_tlb_gen + 1 && new_tlb_gen === mm_tlb_gen) ||
      x86.options.mutant === 'partial flush skips generations';
    if (pages !== 0 && nothingMissed) {
      const start = yield* flushStart(x86, source);
      for (let i = 0; i < pages; i++) yield* mmuOf(x86, cpu).invlpg(start + i);
      if (local) yield* count(X86Counter.localOne, pages);
    } else {
      yield* mmuOf(x86, cpu).reload_cr3(asid + 1);
      if (local) yield* count(X86Counter.localAll);
    }
    const caughtUp =
      x86.options.mutant === 'tlb_gen is read again after the flush'
        ? yield* load(mm.tlb_gen.at(0), { label: 'mm->context.tlb_gen' })
        : mm_tlb_gen;
    yield* store(slot, caughtUp, { label: 'ctxs[asid].tlb_gen = mm_tlb_gen' });
  },
);

/** A lazy CPU that is told of a flush gives the mm up: true. */
function* leaves_lazy_mm(x86: X86TlbState, cpu: Cpu): Steps<boolean> {
  if ((yield* load(x86.is_lazy.at(cpu.id), { label: 'cpu_tlbstate.is_lazy' })) === 0) return false;
  yield* switch_to_init_mm(x86, cpu);
  return true;
}

/** A CPU that uses a global ASID, after it has changed to it if it must, is kept up to date by INVLPGB. */
function* uses_global_asid(x86: X86TlbState, cpu: Cpu, mm: Mm): Steps<boolean> {
  const loaded_mm_asid = yield* load(x86.loaded_mm_asid.at(cpu.id), { label: 'cpu_tlbstate.loaded_mm_asid' });
  if (yield* mm_needs_global_asid(x86, mm, loaded_mm_asid)) {
    yield* switch_mm_irqs_off(x86, cpu, mm);
    return true;
  }
  return is_global_asid(loaded_mm_asid);
}

const switch_mm_irqs_off = routine('switch_mm_irqs_off', function* (x86: X86TlbState, cpu: Cpu, next: Mm): Steps {
  const id = cpu.id;
  const prev = yield* load(x86.loaded_mm.at(id), { label: 'cpu_tlbstate.loaded_mm' });
  const was_lazy = yield* load(x86.is_lazy.at(id), { label: 'cpu_tlbstate.is_lazy' });
  if (was_lazy !== 0 && x86.options.mutant !== 'lazy mode is never left')
    yield* store(x86.is_lazy.at(id), 0, { label: 'is_lazy = false' });
  if (prev === next.id) {
    if (x86.options.invlpgb) {
      const prev_asid = yield* load(x86.loaded_mm_asid.at(id), { label: 'cpu_tlbstate.loaded_mm_asid' });
      if (yield* mm_needs_global_asid(x86, next, prev_asid)) {
        yield* reload_tlb(x86, cpu, next, yield* load(next.tlb_gen.at(0), { label: 'next->context.tlb_gen' }));
        return;
      }
      if (is_global_asid(prev_asid)) return;
    }
    if (was_lazy === 0 || x86.options.mutant === 'lazy mode ends without flush') return;
    // Either the flusher sees that this CPU is lazy no more, or this CPU sees the flusher's tlb_gen.
    if (x86.options.mutant !== 'no barrier after lazy mode') yield* smp_mb();
    const asid = yield* load(x86.loaded_mm_asid.at(id));
    const slot = x86.ctx_tlb_gen.at(id * TLB_NR_DYN_ASIDS + asid);
    const next_tlb_gen = yield* load(next.tlb_gen.at(0), { label: 'next->context.tlb_gen' });
    if ((yield* load(slot, { label: 'ctxs[asid].tlb_gen' })) === next_tlb_gen) return;
    yield* store(slot, next_tlb_gen);
    yield* mmuOf(x86, cpu).load_root((yield* load(next.pgd.at(0))) - 1, asid + 1, false);
    return;
  }
  const late = x86.options.mutant === 'switching is said late' || x86.options.mutant === 'before fea4e317f9e7';
  if (!late) yield* say_switching(x86, cpu);
  // A full barrier: either the flusher sees LOADED_MM_SWITCHING, or this CPU sees the flusher's tlb_gen.
  const bits = wordOfCpu(next.cpumask, id);
  const isSet =
    x86.options.mutant === 'no barrier while switching' &&
    ((yield* load(bits, { label: 'cpumask_test_cpu(self, mm_cpumask(next))' })) & cpuBit(id)) !== 0;
  if (!isSet) yield* setBits(bits, cpuBit(id), { label: 'cpumask_set_cpu(self, mm_cpumask(next))' });
  const next_tlb_gen = yield* load(next.tlb_gen.at(0), { label: 'next->context.tlb_gen' });
  yield* reload_tlb(x86, cpu, next, next_tlb_gen, late);
});

/** CR3 gets the next mm, flushed if it has missed a flush, and only then the CPU says so. */
function* reload_tlb(x86: X86TlbState, cpu: Cpu, next: Mm, next_tlb_gen: number, late = false): Steps {
  const { id } = cpu;
  const { asid, need_flush } = yield* choose_new_asid(x86, cpu, next, next_tlb_gen);
  if (late) yield* say_switching(x86, cpu);
  const slot = id * TLB_NR_DYN_ASIDS + asid;
  const readsLate = need_flush && x86.options.mutant === 'tlb_gen is read after CR3';
  if (need_flush) yield* store(x86.ctx_id.at(slot), next.id);
  if (need_flush && !readsLate) yield* store(x86.ctx_tlb_gen.at(slot), next_tlb_gen);
  yield* mmuOf(x86, cpu).load_root((yield* load(next.pgd.at(0))) - 1, asid + 1, !need_flush);
  if (readsLate) {
    const late_tlb_gen = yield* load(next.tlb_gen.at(0), { label: 'next->context.tlb_gen' });
    yield* store(x86.ctx_tlb_gen.at(slot), late_tlb_gen);
  }
  yield* store(x86.loaded_mm.at(id), next.id, { label: 'loaded_mm = next' });
  yield* store(x86.loaded_mm_asid.at(id), asid, { label: `loaded_mm_asid = ${asid}` });
}

function* say_switching(x86: X86TlbState, cpu: Cpu): Steps {
  yield* store(x86.loaded_mm.at(cpu.id), LOADED_MM_SWITCHING, { label: 'loaded_mm = LOADED_MM_SWITCHING' });
}

const switch_mm = routine('switch_mm', function* (x86: X86TlbState, cpu: Cpu, next: Mm): Steps {
  const flags = yield* local_irq_save(cpu);
  yield* switch_mm_irqs_off(x86, cpu, next);
  yield* local_irq_restore(cpu, flags);
});

/** The mm's global ASID; a slot of the six that holds the mm already; otherwise the next in turn. */
const choose_new_asid = routine(
  'choose_new_asid',
  function* (x86: X86TlbState, cpu: Cpu, next: Mm, next_tlb_gen: number): Steps<{ asid: number; need_flush: boolean }> {
    const global = yield* mm_global_asid(x86, next);
    if (global !== 0) return { asid: global, need_flush: false };
    const base = cpu.id * TLB_NR_DYN_ASIDS;
    for (let asid = 0; asid < TLB_NR_DYN_ASIDS; asid++) {
      if ((yield* load(x86.ctx_id.at(base + asid), { label: `ctxs[${asid}].ctx_id` })) !== next.id) continue;
      const gen = yield* load(x86.ctx_tlb_gen.at(base + asid), { label: `ctxs[${asid}].tlb_gen` });
      return { asid, need_flush: gen < next_tlb_gen };
    }
    const asid = yield* load(x86.next_asid.at(cpu.id), { label: 'cpu_tlbstate.next_asid' });
    yield* store(x86.next_asid.at(cpu.id), (asid + 1) % TLB_NR_DYN_ASIDS);
    return { asid, need_flush: true };
  },
);

/**
 * switch_mm_irqs_off(NULL, &init_mm, NULL): the lazy mm is dropped, but its cpumask bit stays until a flush notices.
 */
const switch_to_init_mm = routine('switch_mm_irqs_off', function* (x86: X86TlbState, cpu: Cpu): Steps {
  yield* store(x86.is_lazy.at(cpu.id), 0, { label: 'is_lazy = false' });
  yield* store(x86.loaded_mm.at(cpu.id), LOADED_MM_SWITCHING, { label: 'loaded_mm = LOADED_MM_SWITCHING' });
  yield* mmuOf(x86, cpu).load_root(-1, 0, true);
  yield* store(x86.loaded_mm.at(cpu.id), INIT_MM, { label: 'loaded_mm = &init_mm' });
});

const leave_mm = routine('leave_mm', function* (x86: X86TlbState, cpu: Cpu): Steps {
  const flags = yield* local_irq_save(cpu);
  if ((yield* load(x86.loaded_mm.at(cpu.id), { label: 'cpu_tlbstate.loaded_mm' })) !== INIT_MM)
    yield* switch_to_init_mm(x86, cpu);
  yield* local_irq_restore(cpu, flags);
});

const init_new_context = noted(function* init_new_context(x86: X86TlbState, mm: Mm): Steps {
  if (x86.options.invlpgb) {
    yield* store(mm.global_asid.at(0), 0, { label: 'global_asid = 0' });
    yield* store(mm.asid_transition.at(0), 0, { label: 'asid_transition = false' });
  }
  const timer = x86.options.jiffies;
  if (!timer) return;
  const now = yield* load(timer.address, { label: 'jiffies' });
  yield* store(mm.next_trim_cpumask.at(0), now + timer.hz, { label: 'next_trim_cpumask = jiffies + HZ' });
});

const enter_lazy_tlb = routine('enter_lazy_tlb', function* (x86: X86TlbState, cpu: Cpu): Steps {
  if ((yield* load(x86.loaded_mm.at(cpu.id), { label: 'cpu_tlbstate.loaded_mm' })) === INIT_MM) return;
  yield* store(x86.is_lazy.at(cpu.id), 1, { label: 'is_lazy = true' });
});

/** Once a second, flushes also go to CPUs that are in the mask but run something else, so that they leave it. */
function* should_trim_cpumask(x86: X86TlbState, mm: Mm): Steps<boolean> {
  const timer = x86.options.jiffies;
  if (!timer) return false;
  const now = yield* load(timer.address, { label: 'jiffies' });
  if (now <= (yield* load(mm.next_trim_cpumask.at(0), { label: 'next_trim_cpumask' }))) return false;
  yield* store(mm.next_trim_cpumask.at(0), now + timer.hz, { label: 'next_trim_cpumask = jiffies + HZ' });
  return true;
}

/** Fills this CPU's flush_tlb_info. It is private until it is handed over under a csd, so filling it is one step. */
function* get_flush_tlb_info(
  x86: X86TlbState,
  cpu: Cpu,
  mm: Mm | null,
  start: number,
  pages: number,
  new_tlb_gen: number,
): Steps {
  const words = [mm?.id ?? ANY_MM, start | 0, Math.floor(start / LOW_WORD), pages, new_tlb_gen];
  const label = pages === 0 ? 'get_flush_tlb_info(mm, TLB_FLUSH_ALL)' : `get_flush_tlb_info(mm, ${pages} pages)`;
  yield operation(FILL_INFO, x86.info.base + cpu.id * Info.words, 0, 0, words, { label });
}

const FILL_INFO = defineOperation({
  name: 'get_flush_tlb_info',
  perform(cx, op: Operation) {
    (op.data as readonly number[]).forEach((word, i) => cx.write(op.a + i, word));
    return 0;
  },
});
