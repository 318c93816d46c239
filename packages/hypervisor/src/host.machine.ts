/**
 * The host's scheduler on one physical CPU: vCPUs take turns, a timeslice each.
 *
 * It stands for sched/fair.c among equal, always runnable tasks: who is put off and who goes on is all that a guest notices.
 */
import { assign, enqueueActions, setup } from 'xstate';

export interface HostContext {
  /** vCPUs that share the physical CPU, and which of them has it. */
  readonly vcpus: number;
  readonly current: number;
}

export type HostEvent = { readonly type: 'tick' };
export type HostEmitted = { readonly type: 'schedule'; readonly from: number; readonly to: number };

export const hostMachine = setup({
  types: {
    context: {} as HostContext,
    events: {} as HostEvent,
    emitted: {} as HostEmitted,
    input: {} as { readonly vcpus: number } | undefined,
  },
  guards: { isShared: ({ context }) => context.vcpus > 1 },
  actions: {
    takeTurns: enqueueActions(({ context, enqueue }) => {
      const to = (context.current + 1) % context.vcpus;
      enqueue.emit({ type: 'schedule', from: context.current, to });
      enqueue(assign({ current: to }));
    }),
  },
}).createMachine({
  id: 'host',
  context: ({ input }) => ({ vcpus: input?.vcpus ?? 1, current: 0 }),
  initial: 'running',
  states: { running: { on: { tick: { guard: 'isShared', actions: 'takeTurns' } } } },
});
