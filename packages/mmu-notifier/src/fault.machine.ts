/**
 * The actor of whoever fills in entries of a secondary table: how far its fault has come, and whether a check covers
 * what it installs.
 *
 * ```
 *          read_begin               lock           retry [no]            install
 *    idle ------------> collecting ------> locked ------------> covered ---------> installed
 *     |                  ^   |  ^           |  |                   |
 *     | lookup           |   |  +-- unlock -+--|------ unlock -----+
 *     v                  |   |                 |
 *   blind                |   +- retry [yes] ---+--> retry --+
 *                        +----------- read_begin ----------+   end: from anywhere to idle
 * ```
 *
 * It is told by the routine, within the steps that this performs anyway. An entry may be installed while it is covered:
 * the sequence was read before the page was looked up, and the check under the lock under which it is installed has
 * found no invalidation since. Mirrors include/linux/kvm_host.h, v6.18: mmu_invalidate_retry(); mm/mmu_notifier.c,
 * v6.18, mmu_interval_read_begin() and its comment have the same protocol.
 */
import { emit, setup } from 'xstate';

/** What the routine of a fault says. */
export type FaultEvent =
  /** It has read mmu_invalidate_seq: invalidations that end from here on are noticed. */
  | { readonly type: 'read_begin' }
  /** It begins to look the page up in the primary MMU. */
  | { readonly type: 'lookup' }
  | { readonly type: 'lock' }
  | { readonly type: 'unlock' }
  /** mmu_invalidate_retry() has answered: whether an invalidation is under way, or has ended since. */
  | { readonly type: 'retry'; readonly needed: boolean }
  | { readonly type: 'install' }
  /** It returns, whatever has come of it. */
  | { readonly type: 'end' };

/** An entry has been installed that no check covers. */
export type FaultEmitted = { readonly type: 'uncovered' };

const MUST_RETRY = { guard: 'isNeeded', target: 'retry' } as const;
const INSTALLS_UNCOVERED = { install: { target: 'uncovered', actions: 'sayUncovered' } } as const;

/** A fault of a secondary MMU: from the look at the sequence to the entry, or back. */
export const faultMachine = setup({
  types: { events: {} as FaultEvent, emitted: {} as FaultEmitted },
  guards: { isNeeded: ({ event }) => event.type === 'retry' && event.needed },
  actions: { sayUncovered: emit({ type: 'uncovered' as const }) },
}).createMachine({
  id: 'fault',
  initial: 'idle',
  on: { end: '.idle' },
  states: {
    idle: { on: { ...INSTALLS_UNCOVERED, read_begin: 'collecting', lookup: 'blind' } },
    /** What it has looked up may be older than the sequence that it compares: no check covers that. */
    blind: { on: { ...INSTALLS_UNCOVERED, retry: [MUST_RETRY, { target: 'blind' }] } },
    /** A check without the lock may be out of date when that is taken: it covers nothing. */
    collecting: { on: { ...INSTALLS_UNCOVERED, retry: [MUST_RETRY, { target: 'collecting' }], lock: 'locked' } },
    locked: {
      on: { ...INSTALLS_UNCOVERED, retry: [MUST_RETRY, { target: 'covered' }], unlock: 'collecting' },
    },
    covered: { on: { install: 'installed', unlock: 'collecting', retry: [MUST_RETRY, { target: 'covered' }] } },
    /** What it installs all the same is older than the invalidation that it was told of. */
    retry: { on: { ...INSTALLS_UNCOVERED, read_begin: 'collecting' } },
    installed: {},
    uncovered: {},
  },
});
