import { emit, setup } from 'xstate';

/** An agent that translates, and says when it is flushed. */
export const testMmu = setup({
  types: { events: {} as { type: 'flush' }, emitted: {} as { type: 'flushed' } },
  actions: { flushed: emit({ type: 'flushed' as const }) },
}).createMachine({
  id: 'mmu',
  initial: 'translating',
  states: { translating: { on: { flush: { actions: 'flushed' } } } },
});
