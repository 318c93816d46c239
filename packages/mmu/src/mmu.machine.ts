/**
 * The MMU actor of one CPU: which tree it walks, and which invalidations it performs.
 *
 * Instructions of its own CPU (CR3 write, INVLPG, INVPCID, local TLBI) are told to it at once; broadcast TLBIs of other
 * CPUs come over the interconnect and take effect when they are delivered. Cached translations are words of the
 * machine; every invalidation is emitted as one `tlb.flush` that says exactly what may go and what must stay.
 *
 * Sources: Intel SDM vol. 3A, 4.10.4 (invalidation); Arm ARM (DDI 0487) D8.14 (TLB maintenance).
 */
import { emit, enqueueActions, setup } from 'xstate';

/** What to invalidate. */
export interface Flush {
  readonly type: 'tlb.flush';
  /** One page (with every page size), one address space, everything but global entries, everything. */
  readonly scope: 'page' | 'asid' | 'non-global' | 'all';
  /** First virtual page number for `page`, otherwise 0. */
  readonly vpn: number;
  /** Pages from `vpn` on. */
  readonly pages: number;
  /** The address space concerned; -1 for all (page scope of TLBI VAA..). */
  readonly asid: number;
  /** Global entries go too (INVLPG, TLBI VA). */
  readonly global: boolean;
  /** Paging-structure caches stay (TLBI ..L, last level only). */
  readonly leafOnly: boolean;
  /** Number of the MMU that sent it, if somebody waits for its completion and accesses take longer than a step. */
  readonly from?: number;
  /** With scope `page`: the paging-structure caches of all other pages of the address space go too (INVLPG). */
  readonly everyTable: boolean;
}

/** Tells the machine around the actor which tree is walked now. */
export interface Root {
  readonly type: 'mmu.root';
  readonly root: number;
  readonly asid: number;
}

/** The tree that is walked, and its tag. */
export interface MmuContext {
  readonly root: number;
  readonly asid: number;
}

/** See {@link Flush.from}. */
interface Sender {
  readonly from?: number;
}

/** Instructions that reach an MMU, and invalidations that others send. */
export type MmuEvent =
  /** MOV to CR3, or TTBR0_EL1: `noflush` is CR3 bit 63 (always so on arm64). */
  | { readonly type: 'load_root'; readonly root: number; readonly asid: number; readonly noflush: boolean }
  | { readonly type: 'invlpg'; readonly vpn: number }
  /** INVPCID types 0 to 3. */
  | ({ readonly type: 'invpcid'; readonly kind: 0 | 1 | 2 | 3; readonly asid: number; readonly vpn: number } & Sender)
  /** TLBI VAE1, VALE1, VAAE1, ASIDE1, VMALLE1 and their broadcast forms. */
  | ({
      readonly type: 'tlbi';
      readonly scope: 'page' | 'asid' | 'all';
      readonly vpn: number;
      readonly asid: number;
      readonly leafOnly: boolean;
      /** TLBI RVAE1 and its forms: as many pages from `vpn` on. Left out: one. */
      readonly pages?: number;
    } & Sender)
  /**
   * Consecutive pages of one address space, without global entries (INVLPGB), or of all of them (asid -1: a
   * hypervisor's list of addresses).
   */
  | ({ readonly type: 'range'; readonly vpn: number; readonly pages: number; readonly asid: number } & Sender);

/** What is to be invalidated, or which tree is walked from now on. */
export type MmuEmitted = Flush | Root;

const sender = ({ from }: Sender): Sender => (from === undefined ? {} : { from });

const NOTHING = { vpn: 0, pages: 1, asid: -1, leafOnly: false, everyTable: false } as const;
const EVERYTHING = { type: 'tlb.flush', ...NOTHING, scope: 'all', global: true } as const;

/** The MMU of a CPU: which tree it walks, and what an instruction invalidates. */
export const mmuMachine = setup({
  types: {
    context: {} as MmuContext,
    events: {} as MmuEvent,
    emitted: {} as MmuEmitted,
    input: {} as { readonly root: number; readonly asid: number } | undefined,
  },
  actions: {
    loadRoot: enqueueActions(({ enqueue, event }) => {
      if (event.type !== 'load_root') return;
      enqueue.assign({ root: event.root, asid: event.asid });
      // One instruction: what the address space had cached is gone before anything walks the new tree.
      if (!event.noflush)
        enqueue.emit({ type: 'tlb.flush', ...NOTHING, scope: 'asid', asid: event.asid, global: false });
      enqueue.emit({ type: 'mmu.root', root: event.root, asid: event.asid });
    }),
    // INVLPG drops global entries too, and all paging-structure caches of the current PCID whatever their address.
    invlpg: emit(({ context, event }) => ({
      type: 'tlb.flush' as const,
      scope: 'page' as const,
      vpn: event.type === 'invlpg' ? event.vpn : 0,
      pages: 1,
      asid: context.asid,
      global: true,
      leafOnly: false,
      everyTable: true,
    })),
    invpcid: emit(({ event }) => {
      if (event.type !== 'invpcid') return { ...EVERYTHING };
      const { kind, asid, vpn } = event;
      const flush = { type: 'tlb.flush' as const, ...NOTHING, ...sender(event) };
      switch (kind) {
        case 0:
          return { ...flush, scope: 'page' as const, vpn, asid, global: false };
        case 1:
          return { ...flush, scope: 'asid' as const, asid, global: false };
        case 2:
          return { ...flush, scope: 'all' as const, global: true };
        case 3:
          return { ...flush, scope: 'non-global' as const, global: false };
      }
    }),
    range: emit(({ event }) => {
      if (event.type !== 'range') return { ...EVERYTHING };
      const { vpn, pages, asid } = event;
      const what = { scope: 'page' as const, vpn, pages, asid, global: asid < 0 };
      return { type: 'tlb.flush' as const, ...NOTHING, ...what, ...sender(event) };
    }),
    tlbi: emit(({ event }) => {
      if (event.type !== 'tlbi') return { ...EVERYTHING };
      const { scope, vpn, asid, leafOnly, pages = 1 } = event;
      const what = { scope, vpn, pages, asid, global: scope !== 'asid', leafOnly };
      return { type: 'tlb.flush' as const, ...NOTHING, ...what, ...sender(event) };
    }),
  },
}).createMachine({
  id: 'mmu',
  context: ({ input }) => ({ root: input?.root ?? 0, asid: input?.asid ?? 0 }),
  initial: 'translating',
  states: {
    translating: {
      on: {
        load_root: { actions: 'loadRoot' },
        invlpg: { actions: 'invlpg' },
        invpcid: { actions: 'invpcid' },
        tlbi: { actions: 'tlbi' },
        range: { actions: 'range' },
      },
    },
  },
});
