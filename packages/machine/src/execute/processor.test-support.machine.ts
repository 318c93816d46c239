/** Machines for the tests of this package: as small as they can be and still use everything a component may do. */
import { assign, emit, enqueueActions, setup } from 'xstate';

/** A processor that masks interrupts, takes them, and switches tasks. */
export const processorMachine = setup({
  types: {
    context: {} as { readonly depth: number },
    events: {} as
      | { readonly type: 'mask' | 'unmask' | 'iret' | 'tick' | 'halt' | 'nest' | 'unnest' }
      | { readonly type: 'irq'; readonly vector: string },
    emitted: {} as { readonly type: 'interrupt'; readonly vector: string } | { readonly type: 'switch' },
    tags: {} as 'executes',
  },
  guards: {
    flat: ({ context }) => context.depth === 0,
    nested: ({ context }) => context.depth > 0,
    shallow: ({ context }) => context.depth < 2,
  },
  actions: {
    take: emit(({ event }) => ({ type: 'interrupt' as const, vector: event.type === 'irq' ? event.vector : '' })),
    switchTask: emit({ type: 'switch' as const }),
    deeper: assign({ depth: ({ context }) => context.depth + 1 }),
    shallower: assign({ depth: ({ context }) => context.depth - 1 }),
  },
}).createMachine({
  id: 'processor',
  context: { depth: 0 },
  initial: 'open',
  on: { nest: { guard: 'shallow', actions: 'deeper' }, unnest: { guard: 'nested', actions: 'shallower' } },
  states: {
    open: {
      tags: 'executes',
      on: {
        mask: 'masked',
        irq: { target: 'handler', actions: 'take' },
        tick: { guard: 'flat', actions: 'switchTask' },
        halt: 'halted',
      },
    },
    masked: { tags: 'executes', on: { unmask: 'open' } },
    handler: { tags: 'executes', on: { iret: 'open' } },
    halted: { on: { irq: { target: 'handler', actions: 'take' } } },
  },
});

/** A device that answers every `ask` on a channel and is busy (refuses) until the host calls `ready`. */
export const deviceMachine = setup({
  types: {
    context: {} as { readonly answers: number; readonly channel: number },
    events: {} as { readonly type: 'ask'; readonly from: number } | { readonly type: 'ready' },
    emitted: {} as
      | {
          readonly type: 'send';
          readonly channel: number;
          readonly message: { readonly type: string; readonly n: number };
        }
      | { readonly type: 'done'; readonly from: number },
    input: {} as { readonly channel: number },
  },
  actions: {
    answer: enqueueActions(({ enqueue, context, event }) => {
      if (event.type !== 'ask') return;
      enqueue.assign({ answers: (context.answers + 1) % 3 });
      if (context.channel >= 0)
        enqueue.emit({ type: 'send', channel: context.channel, message: { type: 'answer', n: context.answers } });
      enqueue.emit({ type: 'done', from: event.from });
    }),
  },
}).createMachine({
  id: 'device',
  context: ({ input }) => ({ answers: 0, channel: input.channel }),
  initial: 'idle',
  states: {
    idle: { on: { ask: { target: 'busy', actions: 'answer' } } },
    busy: { on: { ready: 'idle' } },
  },
});

/** Accepts `note` messages, one word's worth of memory of the last one. */
export const listenerMachine = setup({
  types: {
    context: {} as { readonly last: number },
    events: {} as { readonly type: 'note' | 'answer'; readonly n: number } | { readonly type: 'poison' | 'leak' },
    emitted: {} as { readonly type: 'heard'; readonly n: number },
    tags: {} as 'executes',
  },
  actions: {
    keep: assign({ last: ({ event }) => ('n' in event ? event.n : -1) }),
    tell: emit(({ event }) => ({ type: 'heard' as const, n: 'n' in event ? event.n : -1 })),
    fall: assign(() => {
      throw new Error('the listener fell over');
    }),
    leak: () => undefined,
  },
}).createMachine({
  id: 'listener',
  context: { last: 0 },
  initial: 'listening',
  states: {
    listening: {
      tags: 'executes',
      on: {
        note: { actions: ['keep', 'tell'] },
        answer: { actions: ['keep', 'tell'] },
        poison: { actions: 'fall' },
        leak: { actions: 'leak' },
      },
    },
  },
});

/** What it says depends on its input by way of a function, or is one: no content of a state shows that. */
export const chosenMachine = setup({
  types: {
    context: {} as { readonly answer: () => number },
    events: {} as { readonly type: 'note'; readonly n: number },
    emitted: {} as { readonly type: 'heard'; readonly n: number },
    input: {} as { readonly id: number } | { readonly answer: () => number },
  },
  actions: { tell: emit(({ context }) => ({ type: 'heard' as const, n: context.answer() })) },
}).createMachine({
  id: 'chosen',
  context: ({ input }) => ({ answer: 'answer' in input ? input.answer : () => input.id }),
  on: { note: { actions: 'tell' } },
});

/** The same value and context can stand for two states here: `back` returns to what was left. */
export const historyMachine = setup({
  types: { events: {} as { readonly type: 'swap' | 'away' | 'back' } },
}).createMachine({
  id: 'memory',
  initial: 'on',
  states: {
    on: {
      initial: 'left',
      on: { away: 'off' },
      states: { left: { on: { swap: 'right' } }, right: { on: { swap: 'left' } }, last: { type: 'history' } },
    },
    off: { on: { back: 'on.last' } },
  },
});
