/**
 * The dump of one kernel page table: which entry is read next and for what, and which line is being written.
 *
 * ```
 *       walk_begin         ptdump_walk_pgd                       the last entry           walk_end
 *  idle -----------> opened --------------> pxd_none, pxd_leaf ... -----------> walked ------------> done
 *                                             |            ^
 *                                             +-- entry ---+ the same again, its table, or the next
 * ```
 *
 * The states of a read have the names of walk_pud_range() and walk_pmd_range() (mm/pagewalk.c), with `pxd` for `pud`
 * and `pmd`: the multi-fetch walkers read an entry for pxd_none(), ptdump_pxd_entry(), pxd_leaf(), pxd_present(), for a
 * pud entry once more, and in pxd_offset() for the address of the lower table. Single-fetch walkers, and all of them at
 * the last level, read it once: pxdp_get(). Whoever walks on a CPU sends what a read has found, and gets what to read.
 *
 * Lines mirror struct pg_state and note_page() of arch/arm64/mm/ptdump.c, v6.18: adjacent ranges of one level make one
 * line, and the range under way is printed when another one begins or by note_page_flush().
 */
import { emit, enqueueActions, setup } from 'xstate';
import type { WalkLevel } from './place.ts';

/**
 * How often the walker reads an entry. `multi` is the kernel up to v6.19; `multi-7.0` has "mm/pagewalk: fix race
 * between concurrent split and refault" (3b89863c3fa4, v7.0-rc6), which tests a snapshot of the pud entry just before
 * pmd_offset() reads it again.
 */
export type Fetch = 'single' | 'multi' | 'multi-7.0';

/** What a walker is made for. */
export interface PtdumpInput {
  readonly levels: readonly WalkLevel[];
  readonly fetch: Fetch;
  /** Lines are wanted: otherwise none is remembered, so that an exploration does not pay for it. */
  readonly lines: boolean;
}

/** At which level the walk is, and the line that is being written. */
export interface PtdumpContext extends PtdumpInput {
  /** 0 at the top; -1 outside a walk. */
  readonly depth: number;
  /** Level of the line being written; empty before the first. */
  readonly level: string;
}

/** What the walk reports. */
export type PtdumpEvent =
  /** The file is opened. */
  | { readonly type: 'walk_begin' }
  /** ptdump_walk_pgd() of the tree below that table. */
  | { readonly type: 'ptdump_walk_pgd'; readonly root: number }
  /**
   * What the read that was asked for has found: if it is a table, which; and how many tables end with this entry, its
   * own and those above.
   */
  | { readonly type: 'entry'; readonly is: EntryKind; readonly table: number; readonly ends: number }
  | { readonly type: 'walk_end' };

/** What an entry turned out to be. */
export type EntryKind = 'none' | 'leaf' | 'table';

/** What an entry is read for, in the order of the multi-fetch walkers; `pxdp_get` reads it once for all. */
export const READS = [
  'pxd_none',
  'ptdump_pxd_entry',
  'pxd_leaf',
  'pxd_present',
  'pxd_none_again',
  'pxd_offset',
  'pxdp_get',
] as const;
/** One of them. */
export type ReadName = (typeof READS)[number];

/** What the walker on a CPU is to do, and what becomes of it. */
export type PtdumpEmitted =
  | { readonly type: 'ptdump'; readonly walking: boolean }
  /** On to the first entry of a table, and to the next entry, be it in a table above. */
  | { readonly type: 'enter'; readonly table: number }
  | { readonly type: 'next' }
  /** The entry there is to be read. */
  | { readonly type: 'read'; readonly call: ReadName }
  /** Every entry has been read. */
  | { readonly type: 'walked' }
  /** A line is complete. */
  | { readonly type: 'line'; readonly level: string };

/** {@link PtdumpContext.depth}: no walk is under way. */
const OUTSIDE = -1;

/** A table of four entries, read once each. */
const EXAMPLE: PtdumpInput = { levels: [{ name: 'pte', entries: 4 }], fetch: 'single', lines: true };

/** The first read of an entry: in a table of the last level it is the only one. */
export function firstRead({ fetch, levels }: PtdumpInput, depth: number): ReadName {
  return fetch === 'single' || depth === levels.length - 1 ? 'pxdp_get' : 'pxd_none';
}

const level = ({ levels, depth }: PtdumpContext): WalkLevel | undefined => levels[depth];

/** The walker of ptdump: what it reads, which entries make one line, and when it ends. */
export const ptdumpMachine = setup({
  types: {
    context: {} as PtdumpContext,
    events: {} as PtdumpEvent,
    emitted: {} as PtdumpEmitted,
    input: {} as PtdumpInput | undefined,
  },
  guards: {
    isNone: ({ event }) => event.type === 'entry' && event.is === 'none',
    isLeaf: ({ event }) => event.type === 'entry' && event.is === 'leaf',
    isTable: ({ event }) => event.type === 'entry' && event.is === 'table',
    looksAgain: ({ context }) => level(context)?.looksAgain === true,
    // ACTION_AGAIN: none to the walker of v6.18, and a block as well to that of v7.0.
    goesAgain: ({ context, event }) =>
      event.type === 'entry' && (event.is === 'none' || (event.is === 'leaf' && context.fetch === 'multi-7.0')),
    isOver: ({ context }) => context.depth < 0,
    readsOnce: ({ context }) => firstRead(context, context.depth) === 'pxdp_get',
  },
  actions: {
    begin: emit({ type: 'ptdump' as const, walking: true }),
    end: emit({ type: 'ptdump' as const, walking: false }),
    enter: enqueueActions(({ event, enqueue }) => {
      if (event.type !== 'ptdump_walk_pgd') return;
      enqueue.assign({ depth: 0 });
      enqueue.emit({ type: 'enter', table: event.root });
    }),
    descend: enqueueActions(({ context, event, enqueue }) => {
      if (event.type !== 'entry') return;
      enqueue.assign({ depth: context.depth + 1 });
      enqueue.emit({ type: 'enter', table: event.table });
    }),
    next: enqueueActions(({ context, event, enqueue }) => {
      if (event.type !== 'entry') return;
      const depth = context.depth - event.ends;
      enqueue.assign({ depth });
      if (depth >= 0) enqueue.emit({ type: 'next' });
    }),
    ask: emit((_, { call }: { call: ReadName }) => ({ type: 'read' as const, call })),
    sayWalked: emit({ type: 'walked' as const }),
    note_page: enqueueActions(({ context, event, enqueue }) => {
      if (!context.lines || event.type !== 'entry') return;
      const noted = event.is === 'none' ? 'none' : (level(context)?.name ?? '');
      if (noted === context.level) return;
      if (context.level !== '') enqueue.emit({ type: 'line', level: context.level });
      enqueue.assign({ level: noted });
    }),
    note_page_flush: enqueueActions(({ context, enqueue }) => {
      if (context.level !== '') enqueue.emit({ type: 'line', level: context.level });
      enqueue.assign({ level: '', depth: OUTSIDE });
    }),
  },
}).createMachine({
  id: 'ptdump',
  context: ({ input }) => ({ ...(input ?? EXAMPLE), depth: OUTSIDE, level: '' }),
  initial: 'idle',
  states: {
    idle: { on: { walk_begin: { target: 'walking', actions: 'begin' } } },
    walking: {
      initial: 'opened',
      on: {
        ptdump_walk_pgd: { target: '.at_entry', actions: 'enter' },
        walk_end: { target: 'done', actions: ['note_page_flush', 'end'] },
      },
      states: {
        opened: {},
        at_entry: {
          always: [
            { guard: 'isOver', target: 'walked' },
            { guard: 'readsOnce', target: 'pxdp_get' },
            { target: 'pxd_none' },
          ],
        },
        pxd_none: {
          entry: { type: 'ask', params: { call: 'pxd_none' } },
          on: {
            entry: [
              { guard: 'isNone', target: 'at_entry', actions: ['note_page', 'next'] },
              { target: 'ptdump_pxd_entry' },
            ],
          },
        },
        ptdump_pxd_entry: {
          entry: { type: 'ask', params: { call: 'ptdump_pxd_entry' } },
          on: {
            entry: [{ guard: 'isLeaf', target: 'at_entry', actions: ['note_page', 'next'] }, { target: 'pxd_leaf' }],
          },
        },
        pxd_leaf: {
          entry: { type: 'ask', params: { call: 'pxd_leaf' } },
          on: { entry: [{ guard: 'isLeaf', target: 'at_entry', actions: 'next' }, { target: 'pxd_present' }] },
        },
        pxd_present: {
          entry: { type: 'ask', params: { call: 'pxd_present' } },
          on: {
            entry: [
              { guard: 'isNone', target: 'at_entry', actions: 'next' },
              { guard: 'looksAgain', target: 'pxd_none_again' },
              { target: 'pxd_offset' },
            ],
          },
        },
        pxd_none_again: {
          entry: { type: 'ask', params: { call: 'pxd_none_again' } },
          on: { entry: [{ guard: 'goesAgain', target: 'pxd_none' }, { target: 'pxd_offset' }] },
        },
        pxd_offset: {
          entry: { type: 'ask', params: { call: 'pxd_offset' } },
          on: {
            entry: [
              { guard: 'isTable', target: 'at_entry', actions: 'descend' },
              // A wild read, which is a violation; the walk goes on as if it had found a hole there.
              { target: 'at_entry', actions: 'next' },
            ],
          },
        },
        pxdp_get: {
          entry: { type: 'ask', params: { call: 'pxdp_get' } },
          on: {
            entry: [
              { guard: 'isTable', target: 'at_entry', actions: 'descend' },
              { target: 'at_entry', actions: ['note_page', 'next'] },
            ],
          },
        },
        walked: { entry: 'sayWalked' },
      },
    },
    done: { on: { walk_begin: { target: 'walking', actions: 'begin' } } },
  },
});
