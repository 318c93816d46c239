/**
 * The MMU of a CPU in a *run*: a real TLB hierarchy over simulated tables, and the instructions that invalidate it.
 */
import {
  BLOCKED,
  defineOperation,
  operation,
  type Frames,
  type Message,
  type Operation,
  type OperationContext,
  type Region,
  type Saying,
  type Steps,
  type SystemBuilder,
} from '@shootdown/machine';
import { _PAGE_DIRTY, _PAGE_RW, mk_pte, _PAGE_TABLE, pte_pfn } from './entry.ts';
import { mmuMachine, type Flush, type Root } from './mmu.machine.ts';
import { TlbWords, type PageSize } from './tlb-words.ts';
import { tlbGeometry, type TlbGeometry } from './trace/geometry.ts';
import { Fault, isGlobal, Walker, type WalkShape } from './walk.ts';

/** Sizes of an MMU's caches. */
export interface MmuGeometry {
  readonly l1: TlbGeometry;
  readonly l2: TlbGeometry;
  /** Paging-structure cache: entries that point at last-level tables, fully associative. */
  readonly walkCacheEntries: number;
}

/** Skylake-like sizes: L1D 64x4, L2 1536x12, 32 page-directory entries. */
export const defaultMmuGeometry: MmuGeometry = { l1: tlbGeometry(64, 4), l2: tlbGeometry(1536, 12), walkCacheEntries: 32 };

const DVM_CAPACITY = 16;
const PAGE_SIZES: readonly PageSize[] = [0, 1, 2];

/** The MMU of one CPU. Make all of a machine's MMUs, then {@link connectMmus} if TLBIs are broadcast. */
export class Mmu {
  readonly name: string;
  /** Index of the actor. */
  readonly component: number;
  readonly #root: Region;
  readonly #l1: TlbWords;
  readonly #l2: TlbWords;
  readonly #walkCache: TlbWords;
  readonly #walker: Walker;
  /** Channels that carry this MMU's broadcast TLBIs to the others. */
  broadcast: readonly number[] = [];

  constructor(builder: SystemBuilder, cpuName: string, frames: Frames, shape: WalkShape, geometry: MmuGeometry = defaultMmuGeometry) {
    this.name = `${cpuName}.mmu`;
    this.#root = builder.region(`${this.name}.root`, 2);
    this.#l1 = new TlbWords(builder, `${this.name}.l1`, geometry.l1, shape.bitsPerLevel);
    this.#l2 = new TlbWords(builder, `${this.name}.l2`, geometry.l2, shape.bitsPerLevel);
    this.#walkCache = new TlbWords(builder, `${this.name}.pde`, tlbGeometry(geometry.walkCacheEntries, geometry.walkCacheEntries), shape.bitsPerLevel);
    this.#walker = new Walker(shape, frames);
    this.component = builder.component({
      name: this.name,
      machine: mmuMachine,
      effects: {
        'mmu.root': (cx, event) => this.#setRoot(cx, event as unknown as Root),
        'tlb.flush': (cx, event) => this.#flush(cx, event as unknown as Flush),
      },
    });
  }

  /** A user access to a page: {@link Fault} code, 0 if it went through. Counts tlb hits, misses and walks. */
  *access(vpn: number, write: boolean, saying?: Saying): Steps<number> {
    return yield operation(ACCESS, write ? 1 : 0, 0, 0, { mmu: this, vpn }, { label: `${write ? 'write' : 'read'} page 0x${vpn.toString(16)}`, ...saying });
  }

  /** MOV to CR3 (or TTBR0): from now on this tree and address space. `noflush`: keep what is cached of it. */
  *load_root(root: number, asid: number, noflush: boolean): Steps {
    yield this.#tell(LOAD_ROOT, { type: 'load_root', root, asid, noflush }, `write_cr3(root 0x${root.toString(16)}, pcid ${asid}${noflush ? ', noflush' : ''})`);
  }

  /** INVLPG. */
  *invlpg(vpn: number): Steps {
    yield this.#tell(INVLPG, { type: 'invlpg', vpn }, `invlpg(0x${vpn.toString(16)})`);
  }

  /** INVPCID type 1: everything of one address space but global entries. */
  *invpcid_single_context(asid: number): Steps {
    yield this.#tell(LOAD_ROOT, { type: 'invpcid', kind: 1, asid, vpn: 0 }, `invpcid(single context, pcid ${asid})`);
  }

  /** INVPCID type 2: everything, global entries too. */
  *invpcid_all(): Steps {
    yield this.#tell(LOAD_ROOT, { type: 'invpcid', kind: 2, asid: 0, vpn: 0 }, 'invpcid(all)');
  }

  /** A TLBI for this CPU only, complete at the next {@link dsb}. */
  *tlbi_local(message: Omit<TlbiRequest, 'type'>): Steps {
    yield this.#tell(TLBI, { type: 'tlbi', ...message }, `tlbi ${tlbiName(message)}`);
  }

  /** A TLBI ..IS: takes effect here at once and on each other CPU when it arrives there. Waits while the interconnect is full. */
  *tlbi_is(message: Omit<TlbiRequest, 'type'>): Steps {
    yield operation(TLBI_IS, this.component, 0, 0, { mmu: this, message: { type: 'tlbi', ...message } }, { label: `tlbi ${tlbiName(message)}is` });
  }

  /** DSB: waits until own stores are visible to walkers and own broadcast TLBIs are complete everywhere. */
  *dsb(kind: 'ish' | 'ishst' | 'nsh' | 'nshst'): Steps {
    yield operation(DSB, kind === 'ish' ? 1 : 0, 0, 0, this, { label: `dsb(${kind})` });
  }

  /** ISB. */
  *isb(): Steps {
    yield operation(ISB, 0, 0, 0, undefined, { label: 'isb()' });
  }

  /** The access itself; used by the operation. */
  translate(cx: OperationContext, vpn: number, write: boolean): number {
    const asid = cx.read(this.#root.base + 1);
    for (const size of PAGE_SIZES) {
      const hit = this.#l1.lookup(cx, vpn, asid, size);
      if (hit !== 0 && serves(hit, write)) {
        cx.count('tlb_l1_hit');
        return Fault.none;
      }
    }
    for (const size of PAGE_SIZES) {
      const hit = this.#l2.lookup(cx, vpn, asid, size);
      if (hit !== 0 && serves(hit, write)) {
        cx.count('tlb_l2_hit');
        cx.spend('tlb_l2_hit');
        this.#l1.insert(cx, vpn, asid, size, hit, isGlobal(hit));
        return Fault.none;
      }
    }
    return this.#walk(cx, vpn, asid, write);
  }

  /** A walk that faults, or whose cached entry did not serve, leaves nothing cached for the page (SDM 4.10.4.1). */
  #walk(cx: OperationContext, vpn: number, asid: number, write: boolean): number {
    cx.count('tlb_miss');
    const drop: Flush = { type: 'tlb.flush', scope: 'page', vpn, asid, global: true, leafOnly: true };
    this.#l1.flushPage(cx, drop);
    this.#l2.flushPage(cx, drop);
    const depth = this.#walker.shape.levels.length - 1;
    const cached = depth > 0 ? this.#walkCache.lookup(cx, vpn, asid, 1) : 0;
    const walked = cached === 0 ? this.#walker.walk(cx, cx.read(this.#root.base), 0, vpn, write) : this.#walker.walk(cx, pte_pfn(cached), depth, vpn, write);
    cx.count('walk_references', walked.references);
    cx.spend('page_walk');
    if (walked.fault !== Fault.none) return walked.fault;
    if (cached === 0 && walked.lastTable >= 0) this.#walkCache.insert(cx, vpn, asid, 1, mk_pte(walked.lastTable, _PAGE_TABLE), false);
    const { entry, size } = walked;
    this.#l1.insert(cx, vpn, asid, size, entry, isGlobal(entry));
    this.#l2.insert(cx, vpn, asid, size, entry, isGlobal(entry));
    return Fault.none;
  }

  #setRoot(cx: OperationContext, event: Root): void {
    cx.write(this.#root.base, event.root);
    cx.write(this.#root.base + 1, event.asid);
  }

  /** INVLPG drops all paging-structure caches of the address space, whatever their address (SDM 4.10.4.1). */
  #flush(cx: OperationContext, flush: Flush): void {
    if (flush.scope === 'page') {
      cx.count('tlb_dropped', this.#l1.flushPage(cx, flush) + this.#l2.flushPage(cx, flush));
      if (!flush.leafOnly) this.#walkCache.flush(cx, { ...flush, scope: flush.asid < 0 ? 'all' : 'asid' });
      return;
    }
    cx.count('tlb_dropped', this.#l1.flush(cx, flush) + this.#l2.flush(cx, flush));
    this.#walkCache.flush(cx, flush);
  }

  #tell(definition: typeof INVLPG, message: Message, label: string): Operation {
    return operation(definition, this.component, 0, 0, message, { label });
  }
}

/** What a TLBI invalidates. */
export interface TlbiRequest {
  readonly type: 'tlbi';
  readonly scope: 'page' | 'asid' | 'all';
  readonly vpn: number;
  readonly asid: number;
  readonly leafOnly: boolean;
}

/** Connects MMUs by channels for broadcast TLBIs: one per pair, unordered, complete for the sender when empty. */
export function connectMmus(builder: SystemBuilder, mmus: readonly Mmu[]): void {
  for (const from of mmus) {
    from.broadcast = mmus
      .filter((to) => to !== from)
      .map((to) => builder.channel({ name: `${from.name}->${to.name}`, to: to.name, policy: 'unordered', capacity: DVM_CAPACITY, latency: 'dvm' }));
  }
}

/** A cached entry serves an access if it permits it; a write also needs the dirty bit to be set already. */
function serves(entry: number, write: boolean): boolean {
  return !write || (entry & (_PAGE_RW | _PAGE_DIRTY)) === (_PAGE_RW | _PAGE_DIRTY);
}

function tlbiName(request: Omit<TlbiRequest, 'type'>): string {
  if (request.scope === 'all') return 'vmalle1';
  if (request.scope === 'asid') return `aside1(asid ${request.asid})`;
  const form = request.asid < 0 ? (request.leafOnly ? 'vaale1' : 'vaae1') : request.leafOnly ? 'vale1' : 'vae1';
  return `${form}(0x${request.vpn.toString(16)})`;
}

const tellOwnMmu = (cx: OperationContext, op: Operation): number => {
  cx.tell(op.a, op.data as Message);
  return 0;
};

const ACCESS = defineOperation({
  name: 'access',
  cost: 'tlb_hit',
  perform(cx, op) {
    const { mmu, vpn } = op.data as { mmu: Mmu; vpn: number };
    return mmu.translate(cx, vpn, op.a === 1);
  },
});

const INVLPG = defineOperation({ name: 'invlpg', perform: tellOwnMmu });
const LOAD_ROOT = defineOperation({ name: 'cr3_write', perform: tellOwnMmu });
const TLBI = defineOperation({ name: 'tlbi', perform: tellOwnMmu });

const TLBI_IS = defineOperation({
  name: 'tlbi_is',
  cost: 'tlbi',
  perform(cx, op) {
    const { mmu, message } = op.data as { mmu: Mmu; message: Message };
    if (mmu.broadcast.some((channel) => cx.channelFull(channel))) return BLOCKED;
    cx.tell(op.a, message);
    for (const channel of mmu.broadcast) cx.send(channel, message);
    return 0;
  },
});

const DSB = defineOperation({
  name: 'dsb',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const waits = op.a === 1 && (op.data as Mmu).broadcast.some((channel) => !cx.channelEmpty(channel));
    return waits ? BLOCKED : 0;
  },
});

const ISB = defineOperation({ name: 'isb', perform: () => 0, footprint: () => ({ reads: [], writes: [] }) });


