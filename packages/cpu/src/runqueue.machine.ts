/**
 * The run queue of one CPU: its tasks take turns, a time slice each, unless they sleep, wake up or end.
 *
 * It stands for kernel/sched/core.c and fair.c, v6.18, among tasks of one weight, with time counted in ticks: `runtime`
 * is what a task has had, and the one that has had least is next. A task that wakes up does not take the CPU from
 * another before its slice is over (RUN_TO_PARITY); it takes it from the idle loop.
 */
import { enqueueActions, setup } from 'xstate';

/** Nobody: the idle loop has the CPU. */
export const IDLE_TASK = -1;

/** A task of the queue. */
export interface Entity {
  readonly task: number;
  /** It wants the CPU, or has it. */
  readonly runnable: boolean;
  /** Ticks it has had more than the least served of those who want the CPU. */
  readonly runtime: number;
  /** Ticks until its schedule_timeout() is over; 0: it waits for no time. */
  readonly timeout: number;
}

/** The tasks of a CPU, and what each has had of it. */
export interface RunQueueContext {
  readonly entities: readonly Entity[];
  /** Who has the CPU, or {@link IDLE_TASK}. */
  readonly current: number;
  /** Ticks of a time slice, and how many of them are over. */
  readonly sliceTicks: number;
  readonly used: number;
  /** Whether other CPUs take what waits here. */
  readonly balances: boolean;
}

/** The tasks that a run queue begins with, and its parameters. */
export interface RunQueueInput {
  /** All are runnable, and the first has the CPU. */
  readonly tasks: readonly number[];
  readonly sliceTicks: number;
  /** Default false. */
  readonly balances?: boolean;
}

/** What a run queue is told or asked. */
export type RunQueueEvent =
  /** sched_tick() and the timer wheel. */
  | { readonly type: 'tick' }
  /** schedule(): who is next? */
  | { readonly type: 'pick' }
  /** The current task sleeps: until it is woken, or for so many ticks. */
  | { readonly type: 'block'; readonly ticks: number }
  /** do_task_dead(). */
  | { readonly type: 'exit' }
  /** try_to_wake_up(). */
  | { readonly type: 'wake'; readonly task: number }
  /** A task that waits here for the CPU is taken to another queue, or comes from one. */
  | { readonly type: 'detach'; readonly task: number }
  | { readonly type: 'attach'; readonly task: number };

/** What a run queue answers or asks for. */
export type RunQueueEmitted =
  /** resched_curr(): the current task shall call schedule(). */
  | { readonly type: 'resched' }
  /** The answer to `pick`. */
  | { readonly type: 'picked'; readonly task: number }
  /** nohz_balancer_kick(): a CPU that idles shall take one of those who wait here. */
  | { readonly type: 'kick' }
  /** How many want the CPU, whenever that changes. */
  | { readonly type: 'nr_running'; readonly count: number };

/**
 * Who has had least; among equals the next after the current one, itself last of all. {@link IDLE_TASK} if nobody wants
 * the CPU.
 */
function leastServed({ entities, current }: Pick<RunQueueContext, 'entities' | 'current'>): number {
  const at = entities.findIndex(({ task }) => task === current);
  let best: Entity | null = null;
  for (let i = 1; i <= entities.length; i++) {
    const entity = entities[(Math.max(at, 0) + i) % entities.length] as Entity;
    if (entity.runnable && (best === null || entity.runtime < best.runtime)) best = entity;
  }
  return best === null ? IDLE_TASK : best.task;
}

/** Runtimes relative to the least served, so that equal situations are equal states and few. */
function normalized(entities: readonly Entity[]): readonly Entity[] {
  const least = leastRuntime(entities);
  return entities.map((entity) => ({ ...entity, runtime: Math.max(0, entity.runtime - least) }));
}

function leastRuntime(entities: readonly Entity[]): number {
  const runtimes = entities.filter(({ runnable }) => runnable).map(({ runtime }) => runtime);
  return runtimes.length === 0 ? 0 : Math.min(...runtimes);
}

/** place_entity(): who has slept comes back with no more credit than the least served of those who have not. */
function woken(entities: readonly Entity[], wakes: (entity: Entity) => boolean): readonly Entity[] {
  const least = leastRuntime(entities);
  return entities.map((entity) =>
    entity.runnable || !wakes(entity)
      ? entity
      : { ...entity, runnable: true, timeout: 0, runtime: Math.max(entity.runtime, least) },
  );
}

function runnable(entities: readonly Entity[]): number {
  return entities.filter((entity) => entity.runnable).length;
}

/** The run queue of a CPU: who runs next, and for how long. */
export const runQueueMachine = setup({
  types: {
    context: {} as RunQueueContext,
    events: {} as RunQueueEvent,
    emitted: {} as RunQueueEmitted,
    input: {} as RunQueueInput | undefined,
  },
  actions: {
    tick: enqueueActions(({ context, enqueue }) => {
      const { current, used, sliceTicks } = context;
      const aged = context.entities.map((entity) => ({
        ...entity,
        runtime: entity.runtime + (entity.task === current ? 1 : 0),
        timeout: Math.max(0, entity.timeout - 1),
      }));
      const over = woken(aged, ({ task }) => context.entities.some((e) => e.task === task && e.timeout === 1));
      const entities = normalized(over);
      const sliceIsOver = current !== IDLE_TASK && used + 1 >= sliceTicks;
      enqueue.assign({ entities, used: current === IDLE_TASK || sliceIsOver ? 0 : used + 1 });
      const others = runnable(entities) - (current === IDLE_TASK ? 0 : 1);
      if (others > 0 && (sliceIsOver || current === IDLE_TASK)) enqueue.emit({ type: 'resched' });
      if (runnable(entities) !== runnable(context.entities))
        enqueue.emit({ type: 'nr_running', count: runnable(entities) });
      if (context.balances && runnable(entities) > 1) enqueue.emit({ type: 'kick' });
    }),
    pick: enqueueActions(({ context, enqueue }) => {
      const next = leastServed(context);
      if (next !== context.current) enqueue.assign({ current: next, used: 0 });
      enqueue.emit({ type: 'picked', task: next });
    }),
    block: enqueueActions(({ context, event, enqueue }) => {
      if (event.type !== 'block') return;
      const entities = context.entities.map((entity) =>
        entity.task === context.current ? { ...entity, runnable: false, timeout: event.ticks } : entity,
      );
      enqueue.assign({ entities: normalized(entities) });
      enqueue.emit({ type: 'nr_running', count: runnable(entities) });
    }),
    exit: enqueueActions(({ context, enqueue }) => {
      const entities = context.entities.filter(({ task }) => task !== context.current);
      enqueue.assign({ entities: normalized(entities) });
      enqueue.emit({ type: 'nr_running', count: runnable(entities) });
    }),
    wake: enqueueActions(({ context, event, enqueue }) => {
      if (event.type !== 'wake') return;
      const entities = woken(context.entities, ({ task }) => task === event.task);
      if (runnable(entities) === runnable(context.entities)) return;
      enqueue.assign({ entities });
      enqueue.emit({ type: 'nr_running', count: runnable(entities) });
      if (context.current === IDLE_TASK) enqueue.emit({ type: 'resched' });
    }),
    detach: enqueueActions(({ context, event, enqueue }) => {
      if (event.type !== 'detach') return;
      const entities = context.entities.filter(({ task }) => task !== event.task);
      enqueue.assign({ entities: normalized(entities) });
      enqueue.emit({ type: 'nr_running', count: runnable(entities) });
    }),
    attach: enqueueActions(({ context, event, enqueue }) => {
      if (event.type !== 'attach') return;
      const runtime = leastRuntime(context.entities);
      const entities = [...context.entities, { task: event.task, runnable: true, runtime, timeout: 0 }];
      enqueue.assign({ entities });
      enqueue.emit({ type: 'nr_running', count: runnable(entities) });
    }),
  },
  guards: {
    waitsForTheCpu: ({ context, event }) =>
      event.type === 'detach' &&
      event.task !== context.current &&
      context.entities.some(({ task, runnable: wants }) => task === event.task && wants),
  },
}).createMachine({
  id: 'runqueue',
  context: ({ input }) => ({
    entities: (input?.tasks ?? []).map((task) => ({ task, runnable: true, runtime: 0, timeout: 0 })),
    current: input?.tasks[0] ?? IDLE_TASK,
    sliceTicks: input?.sliceTicks ?? 1,
    used: 0,
    balances: input?.balances ?? false,
  }),
  initial: 'running',
  states: {
    running: {
      on: {
        tick: { actions: 'tick' },
        pick: { actions: 'pick' },
        block: { actions: 'block' },
        exit: { actions: 'exit' },
        wake: { actions: 'wake' },
        detach: { guard: 'waitsForTheCpu', actions: 'detach' },
        attach: { actions: 'attach' },
      },
    },
  },
});
