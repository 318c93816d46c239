/**
 * The MMU of a CPU in a *run*: a real TLB hierarchy over simulated tables.
 */
import { defineOperation, FrameKind, operation, type Frames, type OperationContext, type Region, type Saying, type Steps, type SystemBuilder } from '@shootdown/machine';
import { _PAGE_DIRTY, _PAGE_RW, pte_pfn } from './entry.ts';
import type { FlushMonitor } from './flush-monitor.ts';
import { MmuInstructions } from './instructions.ts';
import type { Flush, Root } from './mmu.machine.ts';
import { TlbWords, type PageSize } from './tlb-words.ts';
import { tlbGeometry, type TlbGeometry } from './trace/geometry.ts';
import { Fault, isGlobal, rootPointer, Walker, type WalkShape } from './walk.ts';

/** Sizes of an MMU's caches. */
export interface MmuGeometry {
  readonly l1: TlbGeometry;
  readonly l2: TlbGeometry;
  /** Paging-structure cache: entries that point at last-level tables, fully associative. */
  readonly walkCacheEntries: number;
}

/** Skylake-like sizes: L1D 64x4, L2 1536x12, 32 page-directory entries. */
export const defaultMmuGeometry: MmuGeometry = { l1: tlbGeometry(64, 4), l2: tlbGeometry(1536, 12), walkCacheEntries: 32 };

const PAGE_SIZES: readonly PageSize[] = [0, 1, 2];

/** The MMU of one CPU. */
export class Mmu extends MmuInstructions {
  /** Check that no translation is used after its flush completed, if the machine wants it. */
  monitors: readonly FlushMonitor[] = [];
  readonly #root: Region;
  readonly #l1: TlbWords;
  readonly #l2: TlbWords;
  readonly #walkCache: TlbWords;
  readonly #walker: Walker;
  readonly #frames: Frames;

  constructor(builder: SystemBuilder, cpuName: string, frames: Frames, shape: WalkShape, geometry: MmuGeometry = defaultMmuGeometry) {
    super(builder, cpuName);
    this.#root = builder.region(`${this.name}.root`, 2);
    this.#l1 = new TlbWords(builder, `${this.name}.l1`, geometry.l1, shape.bitsPerLevel);
    this.#l2 = new TlbWords(builder, `${this.name}.l2`, geometry.l2, shape.bitsPerLevel);
    this.#walkCache = new TlbWords(builder, `${this.name}.pde`, tlbGeometry(geometry.walkCacheEntries, geometry.walkCacheEntries), shape.bitsPerLevel);
    this.#walker = new Walker(shape, frames);
    this.#frames = frames;
  }

  /** Counts tlb hits, misses and walks. */
  override *access(vpn: number, write: boolean, saying?: Saying): Steps<number> {
    return yield operation(ACCESS, write ? 1 : 0, 0, 0, { mmu: this, vpn }, { label: `${write ? 'write' : 'read'} page 0x${vpn.toString(16)}`, ...saying });
  }

  /** The access itself; used by the operation. */
  translate(cx: OperationContext, vpn: number, write: boolean): number {
    const asid = cx.read(this.#root.base + 1);
    for (const size of PAGE_SIZES) {
      const hit = this.#l1.lookup(cx, vpn, asid, size);
      if (hit !== 0 && serves(hit, write)) {
        cx.count('tlb_l1_hit');
        return this.#use(cx, vpn, hit, size);
      }
    }
    for (const size of PAGE_SIZES) {
      const hit = this.#l2.lookup(cx, vpn, asid, size);
      if (hit !== 0 && serves(hit, write)) {
        cx.count('tlb_l2_hit');
        cx.spend('tlb_l2_hit');
        this.#l1.insert(cx, vpn, asid, size, hit, isGlobal(hit));
        return this.#use(cx, vpn, hit, size);
      }
    }
    return this.#walk(cx, vpn, asid, write);
  }

  /**
   * A walk that faults, or whose cached entry did not serve, leaves nothing cached for the page; a fault drops the
   * paging-structure cache entries on its way too, so that it does not recur for what memory no longer says (SDM 4.10.4.1).
   */
  #walk(cx: OperationContext, vpn: number, asid: number, write: boolean): number {
    cx.count('tlb_miss');
    const drop: Flush = { type: 'tlb.flush', scope: 'page', vpn, pages: 1, asid, global: true, leafOnly: true, everyTable: false };
    this.#l1.flushPage(cx, drop);
    this.#l2.flushPage(cx, drop);
    const depth = this.#walker.shape.levels.length - 1;
    const cached = depth > 0 ? this.#walkCache.lookup(cx, vpn, asid, 1) : 0;
    const root = cached === 0 ? rootPointer(cx.read(this.#root.base)) : cached;
    const walked = this.#walker.walk(cx, root, cached === 0 ? 0 : depth, vpn, write);
    cx.count('walk_references', walked.references);
    cx.spend('page_walk');
    if (walked.fault !== Fault.none) {
      this.#walkCache.flushPage(cx, drop);
      return walked.fault;
    }
    if (cached === 0 && depth > 0 && walked.lastTable !== 0) this.#walkCache.insert(cx, vpn, asid, 1, walked.lastTable, false);
    const { entry, size } = walked;
    this.#l1.insert(cx, vpn, asid, size, entry, isGlobal(entry));
    this.#l2.insert(cx, vpn, asid, size, entry, isGlobal(entry));
    return this.#use(cx, vpn, entry, size);
  }

  /** The access goes through: its frame must be what the translation takes it for. */
  #use(cx: OperationContext, vpn: number, entry: number, size: PageSize): number {
    if (size === 0) checkPage(cx, this.#frames, pte_pfn(entry));
    const root = cx.read(this.#root.base);
    for (const monitor of this.monitors) monitor.used(cx, root, vpn, entry);
    return Fault.none;
  }

  protected override setRoot(cx: OperationContext, event: Root): void {
    cx.write(this.#root.base, event.root);
    cx.write(this.#root.base + 1, event.asid);
  }

  protected override flush(cx: OperationContext, flush: Flush): void {
    if (flush.scope !== 'page') {
      cx.count('tlb_dropped', this.#l1.flush(cx, flush) + this.#l2.flush(cx, flush));
      this.#walkCache.flush(cx, flush);
      return;
    }
    for (let vpn = flush.vpn; vpn < flush.vpn + flush.pages; vpn++) this.#flushPage(cx, vpn === flush.vpn ? flush : { ...flush, vpn });
    if (flush.everyTable) this.#walkCache.flush(cx, { ...flush, scope: 'asid' });
  }

  #flushPage(cx: OperationContext, flush: Flush): void {
    cx.count('tlb_dropped', this.#l1.flushPage(cx, flush) + this.#l2.flushPage(cx, flush));
    if (!flush.everyTable && !flush.leafOnly) this.#walkCache.flushPage(cx, flush);
  }
}

/** Memory behind a translation must be a page now. Frames the machine does not have are devices. */
export function checkPage(cx: OperationContext, frames: Frames, frame: number): void {
  if (frame < frames.count) frames.check(cx, frame, FrameKind.page, 'access through a translation to');
}

/** A cached entry serves an access if it permits it; a write also needs the dirty bit to be set already. */
function serves(entry: number, write: boolean): boolean {
  return !write || (entry & (_PAGE_RW | _PAGE_DIRTY)) === (_PAGE_RW | _PAGE_DIRTY);
}

const ACCESS = defineOperation({
  name: 'access',
  cost: 'tlb_hit',
  perform(cx, op) {
    const { mmu, vpn } = op.data as { mmu: Mmu; vpn: number };
    return mmu.translate(cx, vpn, op.a === 1);
  },
});
