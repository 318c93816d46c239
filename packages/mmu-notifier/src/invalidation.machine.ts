/**
 * The actor of a secondary page table that knows which invalidations of it are under way, and of which range.
 *
 * ```
 *            begin [in_progress 1, this range]            begin [in_progress + 1, both ranges]
 *  quiet ----------------------------------> invalidating ------------+
 *    ^                                            |  ^                |
 *    +---------- end [in_progress 0] -------------+  +----------------+
 * ```
 *
 * The range only grows until the last invalidation has ended. Mirrors virt/kvm/kvm_main.c, v6.18:
 * kvm_mmu_invalidate_begin(), kvm_mmu_invalidate_range_add(), kvm_mmu_invalidate_end().
 */
import { enqueueActions, setup } from 'xstate';

/** How many invalidations are under way, and of what. */
export interface InvalidationContext {
  readonly in_progress: number;
  /** Entries concerned, half open; only meaningful while in_progress is not 0. */
  readonly start: number;
  readonly end: number;
  /** False: a range replaces the one before (a mutant). */
  readonly rangeGrows: boolean;
}

/** An invalidation begins or ends. */
export type InvalidationEvent =
  | { readonly type: 'begin'; readonly start: number; readonly end: number }
  | { readonly type: 'end' };

/** What page faults look at: the counter, and the range. */
export interface InvalidationEmitted extends Omit<InvalidationContext, 'rangeGrows'> {
  readonly type: 'under_way';
}

const QUIET = { in_progress: 0, start: 0, end: 0 } as const;

/** mmu_invalidate_in_progress of KVM with its range: begins, and ends. */
export const invalidationMachine = setup({
  types: {
    context: {} as InvalidationContext,
    events: {} as InvalidationEvent,
    emitted: {} as InvalidationEmitted,
    input: {} as Pick<InvalidationContext, 'rangeGrows'> | undefined,
  },
  guards: { isLast: ({ context }) => context.in_progress === 1 },
  actions: {
    add: enqueueActions(({ context, event, enqueue }) => {
      if (event.type !== 'begin') return;
      const { in_progress, start, end, rangeGrows } = context;
      const first = in_progress === 0 || !rangeGrows;
      const next = {
        in_progress: in_progress + 1,
        start: first ? event.start : Math.min(start, event.start),
        end: first ? event.end : Math.max(end, event.end),
      };
      enqueue.assign(next);
      enqueue.emit({ type: 'under_way', ...next });
    }),
    remove: enqueueActions(({ context, enqueue }) => {
      const next = { in_progress: context.in_progress - 1, start: context.start, end: context.end };
      enqueue.assign(next);
      enqueue.emit({ type: 'under_way', ...next });
    }),
    clear: enqueueActions(({ enqueue }) => {
      enqueue.assign(QUIET);
      enqueue.emit({ type: 'under_way', ...QUIET });
    }),
  },
}).createMachine({
  id: 'invalidation',
  context: ({ input }) => ({ ...QUIET, rangeGrows: input?.rangeGrows ?? true }),
  initial: 'quiet',
  states: {
    quiet: { on: { begin: { target: 'invalidating', actions: 'add' } } },
    invalidating: {
      on: {
        begin: { actions: 'add' },
        end: [{ guard: 'isLast', target: 'quiet', actions: 'clear' }, { actions: 'remove' }],
      },
    },
  },
});
