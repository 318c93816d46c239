/**
 * The dump of one kernel page table: whether it is under way, and which line it is writing.
 *
 * ```
 *          walk_begin            walk_end            walk_begin
 *   idle ------------> walking ----------> done -----------------> walking
 *                        | note_page: another level or attribute begins a new line
 * ```
 *
 * Mirrors struct pg_state and note_page() of arch/arm64/mm/ptdump.c, v6.18: adjacent ranges of one level make one line,
 * and the range under way is printed when another one begins or by note_page_flush(). The walk itself is a routine
 * (`walk.ts`).
 */
import { assign, emit, setup } from 'xstate';

/** The line that is being written. */
export interface PtdumpContext {
  /** Level of the line being written; empty before the first. */
  readonly level: string;
}

/** What the walk reports. */
export type PtdumpEvent =
  | { readonly type: 'walk_begin' }
  /** A leaf or a hole of that level (`pud`, `pmd`, `pte`; a hole is `none`). */
  | { readonly type: 'note_page'; readonly level: string }
  | { readonly type: 'walk_end' };

/** A walk begins or ends, or a line is complete. */
export type PtdumpEmitted =
  | { readonly type: 'ptdump'; readonly walking: boolean }
  /** A line is complete. */
  | { readonly type: 'line'; readonly level: string };

/** The writer of ptdump: which entries make one line, and when it ends. */
export const ptdumpMachine = setup({
  types: { context: {} as PtdumpContext, events: {} as PtdumpEvent, emitted: {} as PtdumpEmitted },
  guards: {
    sameLine: ({ context, event }) => event.type === 'note_page' && event.level === context.level,
    firstLine: ({ context }) => context.level === '',
  },
  actions: {
    begin: emit({ type: 'ptdump' as const, walking: true }),
    end: emit({ type: 'ptdump' as const, walking: false }),
    print: emit(({ context }) => ({ type: 'line' as const, level: context.level })),
    start: assign({ level: ({ event }) => (event.type === 'note_page' ? event.level : '') }),
  },
}).createMachine({
  id: 'ptdump',
  context: { level: '' },
  initial: 'idle',
  states: {
    idle: { on: { walk_begin: { target: 'walking', actions: 'begin' } } },
    walking: {
      on: {
        note_page: [{ guard: 'sameLine' }, { guard: 'firstLine', actions: 'start' }, { actions: ['print', 'start'] }],
        walk_end: [
          { guard: 'firstLine', target: 'done', actions: 'end' },
          { target: 'done', actions: ['print', 'start', 'end'] },
        ],
      },
    },
    done: { on: { walk_begin: { target: 'walking', actions: 'begin' } } },
  },
});
