/**
 * The MMU of a CPU in a *run*: a real TLB hierarchy over simulated tables.
 */
import {
  defineOperation,
  FrameKind,
  operation,
  type Frames,
  type OperationContext,
  type Region,
  type Saying,
  type Steps,
  type SystemBuilder,
  noteMethods,
} from '@shootdown/machine';
import { _PAGE_CONT, pte_pfn } from './entry.ts';
import type { FlushMonitor } from './flush-monitor.ts';
import { MmuInstructions } from './instructions.ts';
import type { Flush, Root } from './mmu.machine.ts';
import { defaultMmuGeometry, dropOfPage, TlbCaches, type MmuGeometry } from './tlb-caches.ts';
import { ANY_VPID, CONTIGUOUS, PCID_BITS, type PageSize } from './tlb-words.ts';
import { Fault, rootPointer, SECOND_STAGE, Walker, type WalkShape } from './walk.ts';

/** The caches of a core whose threads share them. */
export interface SharedTlb {
  readonly caches: TlbCaches;
  /**
   * Number of the thread, 1 and up: it is served by, and flushes, its own entries alone, which compete with its
   * siblings' for room (x86). 0: siblings share entries too, and what one of them drops is gone for all (arm64).
   */
  readonly thread: number;
}

/** Caches for the threads of one core. `tagged`: each thread has entries of its own. */
export function siblingCaches(
  builder: SystemBuilder,
  name: string,
  geometry: MmuGeometry,
  { bitsPerLevel }: WalkShape,
  tagged: boolean,
): TlbCaches {
  return new TlbCaches(builder, name, geometry, bitsPerLevel, tagged ? PCID_BITS : undefined);
}

/** The MMU of one CPU. */
export class Mmu extends MmuInstructions {
  static {
    noteMethods(this);
  }

  /** Check that no translation is used after its flush completed, if the machine wants it. */
  monitors: readonly FlushMonitor[] = [];
  readonly #root: Region;
  readonly #caches: TlbCaches;
  readonly #walker: Walker;
  readonly #frames: Frames;
  readonly #contiguousPages: number;
  readonly #thread: number;
  readonly #vpid: number;

  /** @param shared left out: the caches are its own */
  constructor(
    builder: SystemBuilder,
    cpuName: string,
    frames: Frames,
    shape: WalkShape,
    geometry: MmuGeometry = defaultMmuGeometry,
    shared?: SharedTlb,
  ) {
    super(builder, cpuName);
    this.#root = builder.region(`${this.name}.root`, 2);
    this.#caches = shared?.caches ?? new TlbCaches(builder, this.name, geometry, shape.bitsPerLevel);
    this.#thread = shared?.thread ?? 0;
    this.#vpid = this.#thread === 0 ? ANY_VPID : this.#thread;
    this.#walker = new Walker(shape, frames);
    this.#frames = frames;
    this.#contiguousPages = geometry.contiguousPages ?? 0;
  }

  /** Counts tlb hits, misses and walks. */
  override *access(vpn: number, write: boolean, saying?: Saying): Steps<number> {
    return yield accessOperation(this, vpn, write, saying);
  }

  /** The access itself; used by the operation. */
  translate(cx: OperationContext, vpn: number, write: boolean, evicted: number = Evicted.nothing): number {
    const asid = cx.read(this.#root.base + 1);
    evict(cx, this.#caches, dropOfPage(vpn, asid), evicted, this.#vpid);
    const hit = this.#caches.lookup(cx, vpn, this.#tagOf(asid), write);
    return hit === 0 ? this.#walk(cx, vpn, asid, write) : this.#use(cx, vpn, hit, this.#caches.size);
  }

  #tagOf(asid: number): number {
    return (this.#thread << PCID_BITS) | asid;
  }

  /**
   * A walk that faults, or whose cached entry did not serve, leaves nothing cached for the page; a fault drops the
   * paging-structure cache entries on its way too, so that it does not recur for what memory no longer says (SDM
   * 4.10.4.1).
   */
  #walk(cx: OperationContext, vpn: number, asid: number, write: boolean): number {
    cx.count('tlb_miss');
    const drop = dropOfPage(vpn, asid);
    const tag = this.#tagOf(asid);
    this.#caches.dropPage(cx, drop, this.#vpid);
    const depth = this.#walker.shape.levels.length - 1;
    const cached = depth > 0 ? this.#caches.lookupTable(cx, vpn, tag) : 0;
    const root = cached === 0 ? rootPointer(cx.read(this.#root.base)) : cached;
    const walked = this.#walker.walk(cx, root, cached === 0 ? 0 : depth, vpn, write);
    cx.count('walk_references', walked.references);
    cx.spend('page_walk');
    if (walked.fault !== Fault.none) {
      this.#caches.dropTable(cx, drop, this.#vpid);
      return walked.fault;
    }
    if (cached === 0 && depth > 0 && walked.lastTable !== 0) this.#caches.insertTable(cx, vpn, tag, walked.lastTable);
    const { entry } = walked;
    const size =
      walked.size === 0 && this.#contiguousPages > 0 && (entry & _PAGE_CONT) !== 0 ? CONTIGUOUS : walked.size;
    this.#caches.insert(cx, vpn, tag, size, entry);
    return this.#use(cx, vpn, entry, size);
  }

  /** The access goes through: its frame must be what the translation takes it for. */
  #use(cx: OperationContext, vpn: number, entry: number, size: PageSize): number {
    if (size === 0) checkPage(cx, this.#frames, pte_pfn(entry));
    else if (size === CONTIGUOUS) checkPage(cx, this.#frames, this.#pageOfBlock(entry, vpn));
    else checkPage(cx, this.#frames, pte_pfn(entry) + (vpn % this.#pagesOf(size)));
    const root = cx.read(this.#root.base);
    for (const monitor of this.monitors) monitor.used(cx, root, vpn, entry);
    return Fault.none;
  }

  #pagesOf(size: PageSize): number {
    const { levels } = this.#walker.shape;
    return levels[levels.length - 1 - size]?.spanPages ?? 1;
  }

  /** The block is aligned, and so is what it maps: any of its entries says where all of them point. */
  #pageOfBlock(entry: number, vpn: number): number {
    const pfn = pte_pfn(entry);
    return pfn - (pfn % this.#contiguousPages) + (vpn % this.#contiguousPages);
  }

  protected override setRoot(cx: OperationContext, event: Root): void {
    cx.write(this.#root.base, event.root);
    cx.write(this.#root.base + 1, event.asid);
  }

  protected override flush(cx: OperationContext, flush: Flush): void {
    this.#caches.flush(cx, flush, this.#vpid);
  }
}

/** Memory behind a translation must be a page now. Frames the machine does not have are devices. */
export function checkPage(cx: OperationContext, frames: Frames, frame: number): void {
  if (frame < frames.count) frames.check(cx, frame, FrameKind.page, 'access through a translation to');
}

/** What the hardware may have evicted of a page before an access. A run takes the first. */
export const Evicted = { nothing: 0, translation: 1, tableToo: 2 } as const;
const EVICTIONS = Object.keys(Evicted).length;

/** Evicts what is cached for a page. */
export function evict(cx: OperationContext, caches: TlbCaches, drop: Flush, evicted: number, vpid?: number): void {
  if (evicted !== Evicted.nothing) caches.dropPage(cx, drop, vpid);
  if (evicted === Evicted.tableToo) caches.dropTable(cx, drop, vpid);
}

/** What performs an access. */
interface Translates {
  /** Channel to its actor. */
  readonly port: number;
  translate(cx: OperationContext, vpn: number, write: boolean, evicted: number): number;
}

/** One access by user code, as an operation. */
export function accessOperation(mmu: Translates, vpn: number, write: boolean, saying?: Saying) {
  const label = `${write ? 'write' : 'read'} page 0x${vpn.toString(16)}`;
  return operation(ACCESS, write ? 1 : 0, 0, 0, { mmu, vpn }, saying === undefined ? { label } : { label, ...saying });
}

const ACCESS = defineOperation({
  name: 'access',
  role: 'environment',
  cost: 'tlb_hit',
  user: true,
  branches: () => EVICTIONS,
  perform(cx, op, branch) {
    const { mmu, vpn } = op.data as { mmu: Translates; vpn: number };
    cx.note(mmu.port, 'access');
    const fault = mmu.translate(cx, vpn, op.a === 1, branch);
    if (fault !== Fault.none && fault !== SECOND_STAGE) cx.note(mmu.port, 'page_fault', true);
    return fault;
  },
});
