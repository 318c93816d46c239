/**
 * The host's scheduler on one physical CPU: vCPUs take turns, a timeslice each, unless they halt, wake up or yield.
 *
 * It stands for kernel/sched/fair.c among tasks of one weight, with time counted in ticks: `runtime` is what a vCPU has
 * had, the one that has had least is next, and a buddy set by yield_to() goes first if it has had no more than its
 * share.
 */
import { enqueueActions, setup } from 'xstate';

/** Nobody. */
const NONE = -1;

/** The vCPUs of a physical CPU, and what each has had of it. */
export interface HostContext {
  /**
   * vCPUs that share the physical CPU: which of them are runnable, and ticks each has had more than the least served of
   * those.
   */
  readonly runnable: readonly boolean[];
  readonly runtime: readonly number[];
  /** Who has the CPU; -1: it is idle. */
  readonly current: number;
  /** Ticks of a timeslice, and how many of them are over. */
  readonly sliceTicks: number;
  readonly used: number;
}

/** The vCPUs of a physical CPU, and the parameters of its scheduler. */
export interface HostInput {
  readonly vcpus: number;
  readonly sliceTicks: number;
  /** Ticks of the first timeslice that are over already. */
  readonly used: number;
}

/** What happens on the host, or in a guest that it hears of. */
export type HostEvent =
  /** The host's timer: sched_tick(). */
  | { readonly type: 'tick' }
  /** A vCPU halts. */
  | { readonly type: 'block'; readonly vcpu: number }
  /** An interrupt for a halted vCPU. */
  | { readonly type: 'wake'; readonly vcpu: number }
  /** The vCPU that has the CPU lets another have it: yield_task_fair() and schedule(). */
  | { readonly type: 'yield' }
  /** Somebody yields to this vCPU: set_next_buddy() and resched_curr(). */
  | { readonly type: 'yield_to'; readonly vcpu: number };

/** What the host does with its vCPUs. */
export type HostEmitted =
  /** The tick interrupts the vCPU that has the CPU. */
  | { readonly type: 'sched_tick'; readonly vcpu: number }
  /** The CPU changes hands. -1: from or to nobody. */
  | { readonly type: 'schedule'; readonly from: number; readonly to: number };

/** entity_eligible(): it has had no more than the average of those who want the CPU. */
function isEligible({ runnable, runtime }: HostContext, vcpu: number): boolean {
  if (!runnable[vcpu]) return false;
  const others = runtime.filter((_, v) => runnable[v]);
  return (runtime[vcpu] as number) * others.length <= others.reduce((a, b) => a + b, 0);
}

/**
 * Who has had least; among equals the next after the current one, itself last of all. -1 if nobody but `except` wants
 * the CPU.
 */
function leastServed({ runnable, runtime, current }: HostContext, except: number): number {
  let best = NONE;
  for (let i = 1; i <= runnable.length; i++) {
    const vcpu = (Math.max(current, 0) + i) % runnable.length;
    if (vcpu === except || !runnable[vcpu]) continue;
    if (best === NONE || (runtime[vcpu] as number) < (runtime[best] as number)) best = vcpu;
  }
  return best;
}

/**
 * Runtimes relative to the least served of those who want the CPU, so that equal situations are equal states and few.
 */
function normalized({ runnable, runtime }: Pick<HostContext, 'runnable' | 'runtime'>): readonly number[] {
  const least = Math.min(...runtime.filter((_, v) => runnable[v]));
  return runtime.map((ticks) => Math.max(0, ticks - least));
}

/** The scheduler of a host: which vCPU has a physical CPU, and for how long. */
export const hostMachine = setup({
  types: {
    context: {} as HostContext,
    events: {} as HostEvent,
    emitted: {} as HostEmitted,
    input: {} as HostInput | undefined,
  },
  actions: {
    tick: enqueueActions(({ context, enqueue }) => {
      const { current, used, sliceTicks } = context;
      if (current === NONE) return;
      const runtime = normalized({
        ...context,
        runtime: context.runtime.map((ticks, v) => (v === current ? ticks + 1 : ticks)),
      });
      const next = used + 1 < sliceTicks ? current : leastServed({ ...context, runtime }, NONE);
      if (next === current) {
        enqueue.assign({ runtime, used: (used + 1) % sliceTicks });
        enqueue.emit({ type: 'sched_tick', vcpu: current });
        return;
      }
      enqueue.assign({ runtime, used: 0, current: next });
      enqueue.emit({ type: 'schedule', from: current, to: next });
    }),
    block: enqueueActions(({ context, event, enqueue }) => {
      if (event.type !== 'block') return;
      const runnable = context.runnable.map((is, v) => is && v !== event.vcpu);
      const next = event.vcpu === context.current ? leastServed({ ...context, runnable }, NONE) : context.current;
      enqueue.assign({ runnable, current: next, ...(next !== context.current && { used: 0 }) });
      if (next !== context.current && next !== NONE) enqueue.emit({ type: 'schedule', from: NONE, to: next });
    }),
    // place_entity(): who has slept comes back with no more credit than the least served of those who have not.
    wake: enqueueActions(({ context, event, enqueue }) => {
      if (event.type !== 'wake') return;
      const served = context.runtime.filter((_, v) => context.runnable[v]);
      const runtime = context.runtime.map((ticks, v) =>
        v === event.vcpu && served.length > 0 ? Math.max(ticks, Math.min(...served)) : ticks,
      );
      const runnable = context.runnable.map((is, v) => is || v === event.vcpu);
      const idle = context.current === NONE;
      enqueue.assign({
        runnable,
        runtime: normalized({ runnable, runtime }),
        ...(idle && { current: event.vcpu, used: 0 }),
      });
      if (idle) enqueue.emit({ type: 'schedule', from: NONE, to: event.vcpu });
    }),
    yield: enqueueActions(({ context, enqueue }) => {
      const next = leastServed(context, context.current);
      if (context.current === NONE || next === NONE) return;
      enqueue.assign({ current: next, used: 0 });
      enqueue.emit({ type: 'schedule', from: context.current, to: next });
    }),
    yieldTo: enqueueActions(({ context, event, enqueue }) => {
      if (event.type !== 'yield_to' || event.vcpu === context.current) return;
      const next = isEligible(context, event.vcpu) ? event.vcpu : leastServed(context, NONE);
      if (next === context.current || next === NONE) return;
      enqueue.assign({ current: next, used: 0 });
      enqueue.emit({ type: 'schedule', from: context.current, to: next });
    }),
  },
}).createMachine({
  id: 'host',
  context: ({ input }) => ({
    runnable: Array.from({ length: input?.vcpus ?? 1 }, () => true),
    runtime: Array.from({ length: input?.vcpus ?? 1 }, () => 0),
    current: 0,
    sliceTicks: input?.sliceTicks ?? 1,
    used: input?.used ?? 0,
  }),
  initial: 'running',
  states: {
    running: {
      on: {
        tick: { actions: 'tick' },
        block: { actions: 'block' },
        wake: { actions: 'wake' },
        yield: { actions: 'yield' },
        yield_to: { actions: 'yieldTo' },
      },
    },
  },
});
