/**
 * What paravirtual flushing buys: a load that maps, writes and unmaps, in one, two and three VMs of four vCPUs that share four
 * physical CPUs, with IPIs and with kvm_flush_tlb_multi(). The shape of `ebizzy -M`, on which it was proposed.
 */
import { addCpu, startCpu, type Cpu } from '@shootdown/cpu';
import { addHost, addVcpu, type Vcpu } from '@shootdown/hypervisor';
import { count, DirectExecutor, Frames, program, routine, store, SystemBuilder, VirtualTimeScheduler, waitFor, withCosts, work, x86Costs, type Address, type Steps, type System } from '@shootdown/machine';
import { CALL_FUNCTION_VECTOR, KvmCounter, kvmTlbFlush, Mm, mmap, munmap, pgd_alloc, Smp, use_mm, user_access, X86Counter, x86Tlb, type Kernel, type TlbArch } from '@shootdown/mm';
import { defaultMmuGeometry, Mmu, tinyShape } from '@shootdown/mmu';
import { Histogram } from '@shootdown/report';
import type { Comparison } from '../comparison.ts';

/** The parameters of the load; the same in every row. */
export const PvFlushLoad = {
  physicalCpus: 4,
  vcpusPerVm: 4,
  /** Pages a record maps, writes and unmaps. */
  pages: 4,
  /** What a thread computes per record, in steps of so many cycles each. */
  computeSteps: 250,
  computeStepCycles: 1000,
  /** sched_base_slice of a 6.x kernel on four CPUs: 3 ms, at 3 GHz. */
  timesliceCycles: 9_000_000,
  runCycles: 270_000_000,
} as const;

const TABLE_ENTRIES = 16;
const CYCLES_PER_MICROSECOND = 3000;
const CYCLES_PER_SECOND = 3_000_000_000;
const RECORDS = 'records';
const FLUSH_BEGINS = 'flush begins';
const FLUSH_ENDS = 'flush ends';
/** An IPI of a guest costs its sender an exit, the write to the ICR; one that is taken while running is posted. */
const costs = withCosts(x86Costs, { compute: PvFlushLoad.computeStepCycles, ipi_send: (x86Costs.costs['ipi_send']?.cycles ?? 0) + (x86Costs.costs['vmexit']?.cycles ?? 0) });

/** One run of so many VMs. */
export interface PvFlushRun {
  readonly recordsPerSecond: number;
  readonly recordsPerVm: readonly number[];
  readonly exits: number;
  readonly ipisSent: number;
  readonly ipisReceived: number;
  readonly elided: number;
  readonly flushMicroseconds: Histogram;
  readonly meanFlushMicroseconds: number;
  /** Share of the time in which a vCPU waits for its physical CPU. */
  readonly stealPercent: number;
  readonly steps: number;
  readonly stepsPerSecond: number;
}

interface Host {
  readonly system: System;
  /** Actor of each vCPU. */
  readonly vcpus: readonly number[];
}

/** The VMs are processes of one simulated kernel: they share nothing but its frames, and no flush crosses them. */
function buildHost(vms: number, paravirtual: boolean): Host {
  const { physicalCpus, vcpusPerVm, pages, timesliceCycles } = PvFlushLoad;
  const builder = new SystemBuilder();
  const total = vms * vcpusPerVm;
  const frames = new Frames(builder, { tables: vms * (1 + TABLE_ENTRIES), entriesPerTable: TABLE_ENTRIES, pages: total * pages });
  const cpus = Array.from({ length: total }, (_, id) => addCpu(builder, id, [CALL_FUNCTION_VECTOR]));
  const shape = tinyShape(2, TABLE_ENTRIES);
  const mmus = cpus.map((cpu) => new Mmu(builder, cpu.name, frames, shape, defaultMmuGeometry));
  const vcpus = cpus.map((cpu, id): Vcpu => addVcpu(builder, cpu, { mmu: mmus[id] as Mmu, waits: id >= physicalCpus }));
  for (let id = 0; id < physicalCpus; id++) {
    // The physical CPUs are out of step with one another, as the schedulers of a host are.
    const firstCycles = Math.floor((timesliceCycles * (id + 1)) / physicalCpus);
    addHost(builder, id, vcpus.filter((_, vcpu) => vcpu % physicalCpus === id), { timesliceCycles, firstCycles });
  }
  const smp = new Smp(builder, cpus);
  const mms = Array.from({ length: vms }, (_, i) => new Mm(builder, i + 1));
  const stealTime = vcpus.map((vcpu) => vcpu.stealTime);
  const arch = timed(x86Tlb(builder, smp, mmus, () => mms, paravirtual ? { flush_tlb_multi: kvmTlbFlush({ stealTime }) } : {}));
  const kernel: Kernel = { builder, cpus, mmus, frames, shape, arch, ptl: builder.region('ptl', frames.tables) };
  const started = builder.region('started', vms);
  cpus.forEach((cpu, id) => {
    const vm = Math.floor(id / vcpusPerVm);
    const task = program(thread, kernel, cpu, mms[vm] as Mm, started.at(vm), id % vcpusPerVm === 0);
    startCpu(builder, cpu, [task], { [CALL_FUNCTION_VECTOR]: smp.handler(cpu) }, { gate: (vcpus[id] as Vcpu).gateName });
  });
  return { system: builder.build(), vcpus: vcpus.map((vcpu) => vcpu.component) };
}

/** One thread: allocates, fills, searches and frees. */
const thread = routine('ebizzy', function* (kernel: Kernel, cpu: Cpu, mm: Mm, started: Address, first: boolean): Steps {
  if (first) {
    yield* pgd_alloc(kernel, mm);
    yield* store(started, 1);
  } else yield* waitFor(started, -1, 1);
  yield* use_mm(kernel, cpu, mm);
  for (;;) {
    const start = yield* mmap(mm, TABLE_ENTRIES * TABLE_ENTRIES, PvFlushLoad.pages);
    for (let vpn = start; vpn < start + PvFlushLoad.pages; vpn++) yield* user_access(kernel, cpu, mm, vpn, true);
    for (let step = 0; step < PvFlushLoad.computeSteps; step++) yield* work('compute');
    yield* munmap(kernel, cpu, mm, start, start + PvFlushLoad.pages);
    yield* count(RECORDS);
  }
});

function timed(arch: TlbArch): TlbArch {
  return {
    ...arch,
    *flush_tlb_mm_range(cpu, mm, start, end, freed_tables) {
      yield* count(FLUSH_BEGINS);
      yield* arch.flush_tlb_mm_range(cpu, mm, start, end, freed_tables);
      yield* count(FLUSH_ENDS);
    },
  };
}

/** Runs so many VMs for {@link PvFlushLoad.runCycles}. */
export function runPvFlush(vms: number, paravirtual: boolean): PvFlushRun {
  const { system, vcpus } = buildHost(vms, paravirtual);
  const executor = new DirectExecutor(system);
  const counts: Record<string, number[]> = {};
  const flushMicroseconds = new Histogram();
  const since = system.processors.map(() => 0);
  const waitsSince = vcpus.map((_, id): number => (id < PvFlushLoad.physicalCpus ? -1 : 0));
  let flushCycles = 0;
  let stolenCycles = 0;
  let exits = 0;
  let ipisSent = 0;
  let heard: ((cycles: number) => void)[] = [];
  executor.observe = true;
  executor.onCount = (cpu, counter, amount) => {
    const row = (counts[counter] ??= system.processors.map(() => 0));
    row[cpu] = (row[cpu] ?? 0) + amount;
    if (counter === FLUSH_BEGINS) heard.push((cycles) => { since[cpu] = cycles; });
    if (counter === FLUSH_ENDS) heard.push((cycles) => {
      flushCycles += cycles - (since[cpu] ?? 0);
      flushMicroseconds.add(Math.round((cycles - (since[cpu] ?? 0)) / CYCLES_PER_MICROSECOND));
    });
  };
  executor.onDelivery = (component, { type }) => {
    const vcpu = vcpus.indexOf(component.index);
    if (vcpu < 0) return;
    heard.push((cycles) => {
      if (type === 'preempt') exits++;
      else stolenCycles += cycles - (waitsSince[vcpu] ?? 0);
      waitsSince[vcpu] = type === 'preempt' ? cycles : -1;
    });
  };
  const began = performance.now();
  const scheduler = new VirtualTimeScheduler(executor, {
    costs,
    onStep({ startCycles, durationCycles, operation }) {
      if (operation?.definition.name === 'ipi_send') ipisSent++;
      for (const hear of heard) hear(startCycles + durationCycles);
      heard = [];
      return startCycles < PvFlushLoad.runCycles;
    },
  });
  scheduler.advance(Number.POSITIVE_INFINITY);
  const { steps } = scheduler.result();
  const seconds = (performance.now() - began) / 1000;
  const of = (counter: string): number => (counts[counter] ?? []).reduce((a, b) => a + b, 0);
  for (const from of waitsSince) if (from >= 0) stolenCycles += PvFlushLoad.runCycles - from;
  const perVm = Array.from({ length: vms }, (_, vm) => (counts[RECORDS] ?? []).slice(vm * PvFlushLoad.vcpusPerVm, (vm + 1) * PvFlushLoad.vcpusPerVm).reduce((a, b) => a + b, 0));
  return {
    recordsPerSecond: of(RECORDS) / (PvFlushLoad.runCycles / CYCLES_PER_SECOND),
    recordsPerVm: perVm,
    exits: exits + ipisSent,
    ipisSent,
    ipisReceived: of(X86Counter.interrupts),
    elided: of(KvmCounter.elided),
    flushMicroseconds,
    meanFlushMicroseconds: flushCycles / CYCLES_PER_MICROSECOND / Math.max(1, of(FLUSH_ENDS)),
    stealPercent: (100 * stolenCycles) / (PvFlushLoad.runCycles * vcpus.length),
    steps,
    stepsPerSecond: steps / seconds,
  };
}

/** `ebizzy -M` in VMs of 64 vCPUs on 64 CPUs: what the paravirtual flush gains (cover letter of the series of 2017). */
const PUBLISHED_GAIN: Readonly<Record<number, string>> = { 1: '+4 %', 2: '+78 %', 3: '+132 %' };

/** The comparison: one row per number of VMs and kind of flush. */
export function comparePvFlush(vmsMax = 3): Comparison {
  const numbers = Array.from({ length: vmsMax }, (_, i) => i + 1);
  const rows = numbers.flatMap((vms) => {
    const native = runPvFlush(vms, false);
    return [rowOf(vms, 'IPI', native, native), rowOf(vms, 'paravirtual', runPvFlush(vms, true), native)];
  });
  const { physicalCpus, vcpusPerVm, pages, computeSteps, computeStepCycles, timesliceCycles, runCycles } = PvFlushLoad;
  return {
    name: 'pv-flush',
    title: `munmap-heavy load in VMs of ${vcpusPerVm} vCPUs on ${physicalCpus} CPUs: flush by IPI, and paravirtual flush`,
    columns: [
      { key: 'recordsPerSecond', heading: 'records', unit: '1/s' },
      { key: 'gain', heading: 'gain', unit: 'ours' },
      { key: 'published', heading: 'gain', unit: 'published' },
      { key: 'exits', heading: 'exits', unit: 'count' },
      { key: 'ipisSent', heading: 'IPIs', unit: 'sent' },
      { key: 'elided', heading: 'IPIs', unit: 'elided' },
      { key: 'ipisReceived', heading: 'IPIs', unit: 'received' },
      { key: 'flushMicroseconds', heading: 'flush', unit: 'us, mean' },
      { key: 'stealPercent', heading: 'steal', unit: '%' },
    ],
    rows,
    notes: [
      `A record maps, writes and unmaps ${pages} pages and computes ${Math.round((computeSteps * computeStepCycles) / CYCLES_PER_MICROSECOND)} us; timeslice ${timesliceCycles / CYCLES_PER_MICROSECOND} us; ${runCycles / CYCLES_PER_MICROSECOND / 1000} ms of virtual time; the same in every row.`,
      'Published: ebizzy -M in VMs of 64 vCPUs on 64 CPUs. Another load on another machine, so only the shape compares: next to nothing gained without overcommit, much with it. Nothing here is fitted to it.',
      'The host knows no pause-loop exits and no directed yield, so a vCPU that waits for an IPI burns its timeslice; mmap_lock is spun on. Both make IPIs look worse than they are.',
      'Sending an IPI costs the exit of the ICR write; taking one is posted. Costs are rules of thumb with their sources in packages/machine/src/cost.ts.',
      ...numbers.map((vms, i) => `Flush latency with ${vms} VM${vms > 1 ? 's' : ''}, us: ${[0, 1].map((j) => `${j === 0 ? 'IPI' : 'paravirtual'} ${rows[2 * i + j]?.latency ?? ''}`).join('; ')}.`),
    ],
  };
}

function rowOf(vms: number, flush: string, run: PvFlushRun, native: PvFlushRun) {
  const gain = Math.round(100 * (run.recordsPerSecond / native.recordsPerSecond - 1));
  const isNative = run === native;
  return {
    variant: `${vms} VM${vms > 1 ? 's' : ''}, ${flush}`,
    recordsPerSecond: Math.round(run.recordsPerSecond),
    gain: isNative ? '' : `${gain < 0 ? '' : '+'}${gain} %`,
    published: isNative ? '' : (PUBLISHED_GAIN[vms] ?? ''),
    exits: run.exits,
    ipisSent: run.ipisSent,
    elided: run.elided,
    ipisReceived: run.ipisReceived,
    flushMicroseconds: Number(run.meanFlushMicroseconds.toFixed(1)),
    stealPercent: Math.round(run.stealPercent),
    latency: bucketsOf(run.flushMicroseconds),
  };
}

/** A histogram in one line: `[2, 4) 3775`. */
function bucketsOf(histogram: Histogram): string {
  return histogram.buckets
    .filter((bucket) => bucket.count > 0)
    .map(({ low, high, count: values }) => `[${low}, ${high}) ${values}`)
    .join(', ');
}
