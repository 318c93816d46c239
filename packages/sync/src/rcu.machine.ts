/**
 * One grace period: what synchronize_rcu() and the callback list wait for.
 *
 * ```
 *          start(readers)                quiescent (the last one)            collect
 *   idle ------------------> waiting -----------------------------> over -------------> idle
 *     \________ start({}) __________________________________________^
 * ```
 *
 * A grace period waits for the read-side sections that were open when it started, and for no others. It is over as
 * early as RCU's guarantee allows (Documentation/RCU/Design/Requirements, "Grace-Period Guarantee"); every later end is
 * that one with the waiter going on later. Which processors hold which sections is said in events; nothing else is
 * known here.
 */
import { assign, emit, setup } from 'xstate';

/** The sections that are waited for. */
export interface GracePeriodContext {
  /** A bit per section that was open at the start and has not been left since. */
  readonly readers: number;
}

/** A grace period is asked for, or a section is left. */
export type GracePeriodEvent =
  | { readonly type: 'start'; readonly readers: number }
  /** A section has been left, or a processor was seen outside any. */
  | { readonly type: 'quiescent'; readonly readers: number }
  /** The waiter has seen that the grace period is over. */
  | { readonly type: 'collect' };

/** A grace period begins or is over. */
export type GracePeriodEmitted = { readonly type: 'grace_period'; readonly over: boolean };

/** A grace period: which read-side sections it still waits for. */
export const gracePeriodMachine = setup({
  types: {
    context: {} as GracePeriodContext,
    events: {} as GracePeriodEvent,
    emitted: {} as GracePeriodEmitted,
  },
  guards: {
    noReaders: ({ event }) => event.type === 'start' && event.readers === 0,
    concerns: ({ context, event }) => event.type === 'quiescent' && (context.readers & event.readers) !== 0,
    lastReader: ({ context, event }) => event.type === 'quiescent' && (context.readers & ~event.readers) === 0,
  },
  actions: {
    snapshot: assign({ readers: ({ event }) => (event.type === 'start' ? event.readers : 0) }),
    strike: assign({
      readers: ({ context, event }) =>
        event.type === 'quiescent' ? context.readers & ~event.readers : context.readers,
    }),
    announceOver: emit({ type: 'grace_period' as const, over: true }),
    announceIdle: emit({ type: 'grace_period' as const, over: false }),
  },
}).createMachine({
  id: 'grace_period',
  context: { readers: 0 },
  initial: 'idle',
  states: {
    idle: {
      on: {
        start: [
          { guard: 'noReaders', target: 'over', actions: 'announceOver' },
          { target: 'waiting', actions: 'snapshot' },
        ],
      },
    },
    waiting: {
      on: {
        quiescent: [
          { guard: 'lastReader', target: 'over', actions: ['strike', 'announceOver'] },
          { guard: 'concerns', actions: 'strike' },
        ],
      },
    },
    over: { on: { collect: { target: 'idle', actions: 'announceIdle' } } },
  },
});
