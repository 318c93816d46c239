/**
 * Assembly: from a description to a system of actors.
 */
import { arm64Costs, Frames, ModelError, program, routine, SystemBuilder, withCosts, x86Costs, type CostModel, type Steps, type System } from '@shootdown/machine';
import { addCpu, do_idle, startCpu, type Cpu } from '@shootdown/cpu';
import { connectMmus, Mmu, parseTlbGeometry, tlbGeometry, walkShape, type WalkShape } from '@shootdown/mmu';
import { arm64Tlb, CALL_FUNCTION_VECTOR, Mm, Smp, x86Tlb, type Kernel, type TlbArch } from '@shootdown/mm';
import { geometryNamed } from '@shootdown/page-table';
import { addTimer } from './timer.ts';
import { areaNamesIn, forkedIn, isArm, type Topology } from './schema.ts';
import { runActions, thread, type ProcessState, type ThreadContext } from './script.ts';

/** A machine, ready to run. */
export interface AssembledMachine {
  readonly topology: Topology;
  readonly system: System;
  readonly kernel: Kernel;
  readonly costs: CostModel;
  /** Processors whose work ends: the run is over when they are done. */
  readonly until: readonly number[];
}

/** Routines of one's own, by process name and CPU: they run instead of that thread's actions. */
export type OwnThreads = ReadonlyMap<string, (context: ThreadContext) => Steps>;

const INHERITED_AREAS_MAX = 256;

/** Key of {@link OwnThreads}. */
export function ownThreadKey(process: string, cpu: number): string {
  return `${process}@${cpu}`;
}

/** Builds the actors, words and routines of a machine. */
export function assemble(topology: Topology, own: OwnThreads = new Map()): AssembledMachine {
  const builder = new SystemBuilder({ memoryModel: topology.memoryModel });
  const shape = walkShape(geometryNamed(topology.architecture));
  const frames = new Frames(builder, { tables: topology.memory.tables, entriesPerTable: entriesPerTable(shape), pages: topology.memory.pages });
  const cpus = Array.from({ length: topology.cpus }, (_, id) => addCpu(builder, id, [CALL_FUNCTION_VECTOR]));
  const { l1, l2, walkCache } = topology.tlb;
  const sizes = { l1: parseTlbGeometry(l1), l2: parseTlbGeometry(l2), walkCacheEntries: tlbGeometry(walkCache, walkCache).entries };
  const mmus = cpus.map((cpu) => new Mmu(builder, cpu.name, frames, shape, sizes));
  const smp = new Smp(builder, cpus);
  const mms = topology.processes.map((_, i) => new Mm(builder, i + 1));
  const broadcast = isArm(topology);
  if (broadcast) connectMmus(builder, mmus);
  const jiffies = topology.hz > 0 ? addTimer(builder, topology.hz) : undefined;
  const x86Options = { ceiling: topology.flushCeiling, ...(jiffies === undefined ? {} : { jiffies: { address: jiffies, hz: topology.hz } }) };
  const arch: TlbArch = broadcast ? arm64Tlb(builder, cpus, mmus) : x86Tlb(builder, smp, mmus, () => mms, x86Options);
  const kernel: Kernel = { builder, cpus, mmus, frames, shape, arch, ptl: builder.region('ptl', topology.memory.tables) };
  const processes = processStates(topology, builder, mms);
  const until = startThreads(topology, builder, kernel, smp, processes, own);
  const base = broadcast ? arm64Costs : x86Costs;
  const costs = Object.keys(topology.costs).length > 0 ? withCosts(base, topology.costs) : base;
  return { topology, system: builder.build(), kernel, costs, until };
}

const idle = routine('swapper', (cpu: Cpu) => do_idle(cpu));

function startThreads(topology: Topology, builder: SystemBuilder, kernel: Kernel, smp: Smp, processes: readonly ProcessState[], own: OwnThreads): number[] {
  const bodies = new Map<number, { context: Omit<ThreadContext, 'areas'>; first: boolean; body: (context: ThreadContext) => Steps; ends: boolean }>();
  topology.processes.forEach((description, p) => {
    const process = processes[p] as ProcessState;
    description.threads.forEach((t, index) => {
      const cpu = kernel.cpus[t.cpu] as Cpu;
      const context = { kernel, cpu, process, mm: process.mm, processNamed: (name: string) => named(processes, name) };
      const mine = own.get(ownThreadKey(description.name, t.cpu));
      const last = t.run.at(-1)?.do;
      const body = mine ?? ((c: ThreadContext) => runActions(c, t.run));
      bodies.set(t.cpu, { context, first: index === 0, body, ends: mine !== undefined || (last !== 'spin' && last !== 'sleep') });
    });
  });
  const until: number[] = [];
  for (const cpu of kernel.cpus) {
    const work = bodies.get(cpu.id);
    if (work?.ends) until.push(cpu.id);
    const task = work ? program(thread, work.context, work.first, work.body) : program(idle, cpu);
    startCpu(builder, cpu, [task], { [CALL_FUNCTION_VECTOR]: smp.handler(cpu) });
  }
  return until;
}

function processStates(topology: Topology, builder: SystemBuilder, mms: readonly Mm[]): ProcessState[] {
  return topology.processes.map((p, i) => {
    const parent = topology.processes.find((other) => other.threads.some((t) => forkedIn(t.run).includes(p.name)));
    const names = new Set<string>();
    for (const t of parent?.threads ?? []) areaNamesIn(t.run, INHERITED_AREAS_MAX, {}, names);
    return {
      name: p.name,
      mm: mms[i] as Mm,
      threads: p.threads.length,
      resting: builder.region(`${p.name}.resting`, 1),
      started: builder.region(`${p.name}.started`, 1),
      forked: parent !== undefined,
      inheritedNames: [...names],
      inherited: builder.region(`${p.name}.inherited`, Math.max(1, 2 * names.size)),
    };
  });
}

function named(processes: readonly ProcessState[], name: string): ProcessState {
  const process = processes.find((p) => p.name === name);
  if (!process) throw new ModelError(`topology: no process ${name} (have: ${processes.map((p) => p.name).join(', ')})`);
  return process;
}

function entriesPerTable(shape: WalkShape): number {
  return Math.max(...shape.levels.map((level) => level.entries));
}
