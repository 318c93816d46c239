import { emit, setup } from 'xstate';

/** A guest's CPU that takes every interrupt, and its MMU, which says when it is flushed. */
export const testMachines = {
  cpu: setup({ types: { events: {} as { type: 'ipi' }, tags: {} as 'executes' } }).createMachine({
    id: 'cpu',
    initial: 'running',
    states: { running: { tags: 'executes', on: { ipi: 'interrupted' } }, interrupted: { tags: 'executes' } },
  }),
  mmu: setup({
    types: {
      events: {} as { type: 'invpcid'; kind: number; asid: number; vpn: number },
      emitted: {} as { type: 'flushed' },
    },
    actions: { flushed: emit({ type: 'flushed' as const }) },
  }).createMachine({
    id: 'mmu',
    initial: 'translating',
    states: { translating: { on: { invpcid: { actions: 'flushed' } } } },
  }),
};
