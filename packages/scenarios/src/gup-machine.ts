/**
 * The machine under the GUP-fast scenarios: CPU0 walks, CPU1 removes, and CPU2 runs RCU callbacks where there are any.
 */
import { addCpu, startCpu, type Cpu } from '@shootdown/cpu';
import { addVcpu, KVM_VCPU_PREEMPTED, type Vcpu } from '@shootdown/hypervisor';
import {
  FrameKind,
  program,
  SystemBuilder,
  type Address,
  type Frames,
  type MemoryModel,
  type OperationContext,
  type Program,
  type Property,
  type System,
} from '@shootdown/machine';
import { gup, Smp, type HeldTranslations } from '@shootdown/mm';
import { _PAGE_PSE, formatEntry, pte_pfn, pte_present } from '@shootdown/mmu';
import { elided } from './flush-machine.ts';

/** How the machine flushes. */
export type Flush = 'native-ipi' | 'kvm-pv' | 'hypercall' | 'invlpgb' | 'tlbi';

/** What the machine is made of. */
export interface GupMachineOptions {
  readonly memoryModel: MemoryModel;
  readonly flush: Flush;
  readonly guards: gup.GupGuards;
  /** pte tables, of one page each; CPU0 walks to any of the pages. Default 1. */
  readonly tables?: number;
  /** Left out: no RCU. With callbacks a third CPU runs them. */
  readonly rcu?: { readonly kind: gup.RcuKind; readonly callbacks: boolean };
  /** What CPU1 does. */
  readonly remove: (kernel: gup.GupKernel, cpu: Cpu) => Program;
  /** The entry whose removal during a walk must have a witness. */
  readonly removed: 'pmd' | 'pte';
  /** The tables are freed in the end, unless they have been put back. */
  readonly tablesAreFreed: boolean;
  /** The address is mapped in the end, if it is to be: whoever moves a page puts it back. */
  readonly staysMapped?: boolean;
  /** References to pages in the end, besides the walk's: what is gone is in other hands. */
  readonly references: number;
  /** With several tables: the first may be freed before the last is unlinked, which must have a witness. */
  readonly midway?: boolean;
}

/** Operations in a row without a point: more than the longest path through a flush, a sync and a free. */
const HISTORY_MAX = 80;
const { WALKER } = gup;
const REMOVER = 1;
type FlushBackEnd = gup.FlushBackEnd;
const MM_CPUMASK = (1 << WALKER) | (1 << REMOVER);

/** Builds the machine. */
export function buildGupMachine(options: GupMachineOptions): System {
  const { memoryModel, flush, guards, rcu, remove, tables } = options;
  const builder = new SystemBuilder({ memoryModel, maxHistory: HISTORY_MAX });
  const cpus = Array.from({ length: rcu?.callbacks ? 3 : 2 }, (_, id) =>
    addCpu(builder, id, rcu ? gup.GUP_VECTORS : gup.GUP_VECTORS.slice(0, 1)),
  );
  const smp = new Smp(builder, cpus);
  const vcpu: Vcpu | null =
    flush === 'kvm-pv'
      ? addVcpu(builder, cpus[WALKER] as Cpu, {
          entry: 'atomic',
          flushed: (cx) => flushing.held?.invalidated(cx, WALKER),
        })
      : null;
  const flushing: FlushBackEnd = backEnd(flush, smp, vcpu);
  const kernel = new gup.GupKernel(builder, cpus, smp, flushing, { rcu: rcu?.kind, tables });
  kernel.tracepoints.folio_unpinned.attach((cx, frame) => notWritten(cx, frame, kernel, vcpu));
  const programs = [
    program(gup.gup_fast_fallback, kernel, cpus[WALKER] as Cpu, guards),
    remove(kernel, cpus[REMOVER] as Cpu),
  ];
  for (const cpu of cpus) {
    const body = programs[cpu.id] ?? kernel.rcu?.rcuc(cpu.id);
    if (body)
      startCpu(builder, cpu, [body], kernel.handlers(cpu), cpu.id === WALKER && vcpu ? { gate: vcpu.gateName } : {});
  }
  for (const property of propertiesOf(kernel, options, vcpu)) builder.property(property);
  return builder.build();
}

function backEnd(flush: Flush, smp: Smp, vcpu: Vcpu | null): FlushBackEnd {
  if (flush === 'kvm-pv') return gup.kvmPv(smp, MM_CPUMASK, { stealTime: [vcpu?.stealTime] });
  if (flush === 'hypercall') return gup.hypercall(smp, MM_CPUMASK);
  if (flush === 'invlpgb') return gup.invlpgb();
  return flush === 'tlbi' ? gup.tlbi() : gup.nativeIpi(smp, MM_CPUMASK);
}

function propertiesOf(
  { frames, monitor, tables, flush }: gup.GupKernel,
  { removed, tablesAreFreed, staysMapped = false, references, midway }: GupMachineOptions,
  vcpu: Vcpu | null,
): Property[] {
  const each = Array.from({ length: tables }, (_, i) => i);
  const states = each.map((i) => frames.state.at(gup.PTE_TABLE + i));
  const pmds = each.map((i) => frames.entry(gup.PMD_TABLE, i).address);
  const entries = removed === 'pmd' ? pmds : each.map((i) => frames.entry(gup.PTE_TABLE + i, 0).address);
  const walking = monitor.walking.at(0);
  const pinned = monitor.pinned.at(0);
  const properties: Property[] = [
    ...(flush.held ? [nothingIsHeldThatIsFree(flush.held, frames, walking, vcpu)] : []),
    {
      name: 'the walk pins a page',
      kind: 'sometimes',
      why: 'a walk that always gives up is right about nothing',
      reads: [pinned],
      check: (read) => read(pinned) !== 0,
    },
    {
      name: `the ${removed} is cleared during a walk`,
      kind: 'sometimes',
      why: 'otherwise the two never meet',
      reads: [walking, ...entries],
      check: (read) => read(walking) !== 0 && read(entries[read(walking) - 1] as number) === 0,
    },
  ];
  if (tablesAreFreed) {
    properties.push({
      name: gup.Invariant.I5,
      kind: 'finally',
      why: 'what waits for walkers must not wait for ever: every table is freed in the end, or linked again',
      reads: [...states, ...pmds],
      check: (read) =>
        each.every(
          (i) =>
            // Freed, and perhaps a page since.
            read(states[i] as number) !== FrameKind.table || pte_pfn(read(pmds[i] as number)) === gup.PTE_TABLE + i,
        ),
      detail: (read) => pmds.map((pmd, i) => `pmd[${i}] is ${formatEntry(read(pmd))}`).join(', '),
    });
  }
  if (staysMapped) {
    const [pmd, pte] = [frames.entry(gup.PMD_TABLE, 0).address, frames.entry(gup.PTE_TABLE, 0).address];
    properties.push({
      name: 'the address is mapped in the end',
      kind: 'finally',
      why: 'what the page holds would be lost',
      reads: [pmd, pte],
      check: (read) => pte_present(read(pmd)) && ((read(pmd) & _PAGE_PSE) !== 0 || pte_present(read(pte))),
      detail: (read) => `pmd is ${formatEntry(read(pmd))}, pte ${formatEntry(read(pte))}`,
    });
  }
  const words = Array.from({ length: frames.count }, (_, i) => [frames.state.at(i), frames.refcount.at(i)] as const);
  properties.push({
    name: 'every reference is accounted for in the end',
    kind: 'finally',
    why: 'one is left to each new owner and one to the walk if it has pinned a page: none is leaked, none is lost',
    reads: [pinned, ...words.flat()],
    check: (read) =>
      words.reduce((sum, [state, count]) => sum + (read(state) === FrameKind.page ? read(count) : 0), 0) ===
      references + (read(pinned) === 0 ? 0 : 1),
  });
  const [first] = states;
  const last = pmds.at(-1);
  if (midway && first !== undefined && last !== undefined) {
    properties.push({
      name: 'the first table is freed while the last is linked',
      kind: 'sometimes',
      why: 'otherwise nothing is freed before the gather is finished',
      reads: [first, last],
      check: (read) => read(first) !== FrameKind.table && read(last) !== 0,
    });
  }
  if (vcpu) properties.push(elided(vcpu));
  return properties;
}

/**
 * Pages: as long as the CPU runs user code. Tables: as long as it runs at all, for it walks them whenever it likes.
 * What a vCPU holds that is preempted KVM flushes before it runs again.
 */
function nothingIsHeldThatIsFree(
  held: HeldTranslations,
  frames: Frames,
  walking: Address,
  vcpu: Vcpu | null,
): Property {
  const [tables, pages] = held.wordsOf(WALKER);
  const states = Array.from({ length: frames.count }, (_, frame) => frames.state.at(frame));
  return {
    name: gup.Invariant.I4,
    kind: 'always',
    why: 'the next owner would find its page written to, or hardware would walk what is no table',
    reads: [tables, pages, walking, ...states, ...(vcpu ? [vcpu.stealTime] : [])],
    check(read) {
      if (vcpu && (read(vcpu.stealTime) & KVM_VCPU_PREEMPTED) !== 0) return true;
      const used = read(tables) | (read(walking) === 0 ? read(pages) : 0);
      return states.every((state, frame) => (used & (1 << frame)) === 0 || read(state) > 0);
    },
    detail(read) {
      const used = read(tables) | read(pages);
      const frame = states.findIndex((state, i) => (used & (1 << i)) !== 0 && read(state) <= 0);
      return `CPU${WALKER} may hold 0x${frame.toString(16)}`;
    },
  };
}

/** Whoever takes a page for unpinned reads it, or hands it on: no old translation may write to it by then. */
function notWritten(
  cx: OperationContext,
  frame: number,
  { flush: { held }, monitor }: gup.GupKernel,
  vcpu: Vcpu | null,
): void {
  const mapped = monitor.page(cx, 0) === frame;
  if (!held || mapped || (vcpu && (cx.read(vcpu.stealTime) & KVM_VCPU_PREEMPTED) !== 0)) return;
  const [, pages] = held.wordsOf(WALKER);
  if ((cx.read(pages) & (1 << frame)) !== 0)
    cx.fail(gup.Invariant.I4, () => `0x${frame.toString(16)} may still be written to by CPU${WALKER}`);
}
