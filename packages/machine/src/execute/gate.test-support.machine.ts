import { setup as xstate } from 'xstate';

/** A CPU that takes every interrupt, and a host that preempts it. */
export const setup = {
  listener: xstate({ types: { events: {} as { type: 'ipi' }, tags: {} as 'executes' } }).createMachine({
    id: 'listener',
    initial: 'running',
    states: { running: { tags: 'executes', on: { ipi: 'interrupted' } }, interrupted: { tags: 'executes' } },
  }),
  host: xstate({
    types: { events: {} as { type: 'preempt' } | { type: 'resume' }, tags: {} as 'executes' },
  }).createMachine({
    id: 'host',
    initial: 'inGuest',
    states: { inGuest: { tags: 'executes', on: { preempt: 'preempted' } }, preempted: { on: { resume: 'inGuest' } } },
  }),
};
