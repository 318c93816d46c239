/**
 * A processor that can be interrupted, stopped by its host, and poked to write a word: what random systems are made of.
 */
import { emit, setup } from 'xstate';

type Event =
  | { readonly type: 'ipi' }
  | { readonly type: 'poke' }
  | { readonly type: 'iret' }
  | { readonly type: 'stop' }
  | { readonly type: 'resume' };
type Emitted = { readonly type: 'interrupt'; readonly vector: string } | { readonly type: 'poked' };

export const interruptibleMachine = setup({
  types: { events: {} as Event, emitted: {} as Emitted, tags: {} as 'executes' },
}).createMachine({
  id: 'interruptible',
  initial: 'running',
  states: {
    running: {
      tags: ['executes'],
      on: {
        ipi: { target: 'hardirq', actions: emit({ type: 'interrupt', vector: 'ipi' }) },
        poke: { actions: emit({ type: 'poked' }) },
        stop: 'stopped',
      },
    },
    hardirq: { tags: ['executes'], on: { iret: 'running' } },
    stopped: { on: { resume: 'running' } },
  },
});
