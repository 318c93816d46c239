/**
 * The MMU of a guest's CPU in a *run*, under a second stage: it translates with what its physical CPU has cached,
 * tagged by VPID and PCID, and walks in two dimensions.
 */
import {
  FREED_FRAME,
  ModelError,
  type Frames,
  type OperationContext,
  type Region,
  type Saying,
  type Steps,
  type SystemBuilder,
  noteMethods,
  retry,
  checkOptions,
  keysOf,
} from '@shootdown/machine';
import { PFN_SHIFT, pte_pfn } from './entry.ts';
import type { FlushMonitor } from './flush-monitor.ts';
import { MmuInstructions } from './instructions.ts';
import { accessOperation, checkPage, evict, Evicted } from './mmu.ts';
import type { Flush, Root } from './mmu.machine.ts';
import {
  defaultNestedCacheSizes,
  EVERYTHING,
  NestedCaches,
  NestedWalker,
  type NestedCacheSizes,
  type NestedWalked,
} from './nested-walk.ts';
import type { SecondStage } from './second-stage.ts';
import { defaultMmuGeometry, dropOfPage, TlbCaches, type MmuGeometry } from './tlb-caches.ts';
import { ASID_LIMIT, PCID_BITS } from './tlb-words.ts';
import { Fault, rootPointer, SECOND_STAGE, type WalkShape } from './walk.ts';

/** VPIDs there are: 1 up to this. 0 is the host. */
export const VPID_MAX = (ASID_LIMIT >> PCID_BITS) - 1;

/** What one physical CPU has cached for the guests that run on it. */
export class PhysicalTlb {
  /** Combined mappings: guest virtual to host physical. */
  readonly combined: TlbCaches;
  /** Guest-physical mappings. */
  readonly nested: NestedCaches;

  constructor(
    builder: SystemBuilder,
    name: string,
    bitsPerLevel: number,
    geometry: MmuGeometry = defaultMmuGeometry,
    sizes: NestedCacheSizes = defaultNestedCacheSizes,
  ) {
    this.combined = new TlbCaches(builder, name, geometry, bitsPerLevel, PCID_BITS);
    this.nested = new NestedCaches(builder, name, sizes, bitsPerLevel);
  }

  /** INVEPT, all contexts (ept_sync_global()): combined and guest-physical mappings of every guest. */
  invept(cx: OperationContext): void {
    this.combined.flush(cx, EVERYTHING);
    this.nested.flush(cx);
  }
}

/** What a guest's MMU stands on. */
export interface NestedMmuOptions {
  readonly stage: SecondStage;
  readonly tlb: PhysicalTlb;
  /** Virtual processor identifier, 1 to {@link VPID_MAX}; one per vCPU. */
  readonly vpid: number;
  /** The walk found no translation in the second stage: the exit, and whatever the host does about it. */
  readonly violation: (cx: OperationContext, gfn: number, write: boolean, mmu: number) => void;
}

const NESTED_MMU_KEYS = keysOf<NestedMmuOptions>()('stage', 'tlb', 'vpid', 'violation');

/** The MMU of one vCPU. */
export class NestedMmu extends MmuInstructions {
  static {
    noteMethods(this);
  }

  /** Check that no translation is used after the guest's flush completed, if the machine wants it. */
  monitors: readonly FlushMonitor[] = [];
  readonly #root: Region;
  readonly #walker: NestedWalker;
  readonly #frames: Frames;
  readonly #options: NestedMmuOptions;

  /** @param frames the guest's physical memory */
  constructor(builder: SystemBuilder, cpuName: string, frames: Frames, shape: WalkShape, options: NestedMmuOptions) {
    super(builder, cpuName);
    checkOptions(`mmu: ${this.name}: new`, options, NESTED_MMU_KEYS, ['stage', 'tlb', 'vpid', 'violation']);
    const { vpid, stage, tlb } = options;
    if (!(vpid >= 1 && vpid <= VPID_MAX))
      throw new ModelError(`mmu: ${this.name}: VPID ${vpid} outside 1 .. ${VPID_MAX}`);
    this.#root = builder.region(`${this.name}.root`, 2);
    this.#walker = new NestedWalker(shape, frames, stage, tlb.nested);
    this.#frames = frames;
    this.#options = options;
  }

  /** The vCPU exits on an EPT violation and executes the access again, as often as it takes. */
  override *access(vpn: number, write: boolean, saying?: Saying): Steps<number> {
    const fault = yield accessOperation(this, vpn, write, saying);
    return fault === SECOND_STAGE ? yield* this.#again(vpn, write, saying) : fault;
  }

  #again(vpn: number, write: boolean, saying: Saying | undefined): Steps<number> {
    return retry(() => this.#attempt(vpn, write, saying));
  }

  *#attempt(vpn: number, write: boolean, saying: Saying | undefined): Steps<number | undefined> {
    const fault = yield accessOperation(this, vpn, write, saying);
    return fault === SECOND_STAGE ? undefined : fault;
  }

  /** The access itself; used by the operation. A `Fault` code, or {@link SECOND_STAGE}. */
  translate(cx: OperationContext, vpn: number, write: boolean, evicted: number = Evicted.nothing): number {
    const { combined, nested } = this.#options.tlb;
    const tag = (this.#options.vpid << PCID_BITS) | cx.read(this.#root.base + 1);
    evict(cx, combined, dropOfPage(vpn, cx.read(this.#root.base + 1)), evicted, this.#options.vpid);
    if (evicted === Evicted.tableToo) nested.flush(cx);
    const hit = combined.lookup(cx, vpn, tag, write);
    return hit === 0 ? this.#walk(cx, vpn, tag, write) : this.#use(cx, vpn, hit);
  }

  #walk(cx: OperationContext, vpn: number, tag: number, write: boolean): number {
    const { combined } = this.#options.tlb;
    const { vpid } = this.#options;
    cx.count('tlb_miss');
    const drop = dropOfPage(vpn, cx.read(this.#root.base + 1));
    combined.dropPage(cx, drop, vpid);
    const depth = this.#walker.shape.levels.length - 1;
    const table = depth > 0 ? combined.lookupTable(cx, vpn, tag) : 0;
    const walked = this.#walker.walk(
      cx,
      table === 0
        ? { from: 'root', pointer: rootPointer(cx.read(this.#root.base)) }
        : { from: 'table', pointer: table },
      vpn,
      write,
    );
    this.#account(cx, walked);
    if (walked.fault !== Fault.none) {
      combined.dropTable(cx, drop, vpid);
      if (walked.fault === SECOND_STAGE) this.#options.violation(cx, walked.gfn, walked.gfnWrite, this.component);
      return walked.fault;
    }
    if (table === 0 && depth > 0 && walked.lastTable !== 0) combined.insertTable(cx, vpn, tag, walked.lastTable);
    combined.insert(cx, vpn, tag, 0, walked.entry);
    return this.#use(cx, vpn, walked.entry);
  }

  #account(cx: OperationContext, { references, secondStageReferences }: NestedWalked): void {
    cx.count('walk_references', references);
    cx.count('second_stage_references', secondStageReferences);
    cx.spend('page_walk');
    cx.spend('second_stage_reference', secondStageReferences);
  }

  /** The access goes through: the host frame must be one, and the guest's must be what the guest takes it for. */
  #use(cx: OperationContext, vpn: number, entry: number): number {
    const { stage } = this.#options;
    checkPage(cx, stage.host, pte_pfn(entry));
    const gfn = stage.guestFrameOf(cx, pte_pfn(entry));
    if (gfn < 0) {
      cx.fail(
        FREED_FRAME,
        () => `access through a translation to host frame 0x${pte_pfn(entry).toString(16)}, which is not this guest's`,
      );
      return Fault.none;
    }
    checkPage(cx, this.#frames, gfn);
    if (this.monitors.length > 0) {
      const root = cx.read(this.#root.base);
      const seen = (gfn << PFN_SHIFT) | (entry & ((1 << PFN_SHIFT) - 1));
      for (const monitor of this.monitors) monitor.used(cx, root, vpn, seen);
    }
    return Fault.none;
  }

  protected override setRoot(cx: OperationContext, event: Root): void {
    cx.write(this.#root.base, event.root);
    cx.write(this.#root.base + 1, event.asid);
  }

  /** The guest's own flushes, and INVVPID, reach combined mappings of this VPID and nothing else. */
  protected override flush(cx: OperationContext, flush: Flush): void {
    this.#options.tlb.combined.flush(cx, flush, this.#options.vpid);
  }
}
