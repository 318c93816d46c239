/**
 * The second stage: from a virtual machine's physical memory to the host's (EPT, NPT).
 *
 * A tree in frames of the host whose leaves say which host frame stands behind a guest frame. Intel SDM vol. 3C, 29.3
 * (EPT); AMD APM vol. 2, 15.25 (nested paging). What the guest's memory holds is kept under the guest's frame numbers,
 * in the guest's own {@link Frames}: the host frame behind it says whether that memory is there at all, and whose it
 * is.
 */
import {
  FrameKind,
  NO_FRAME,
  type Frames,
  type OperationContext,
  type Region,
  type SystemBuilder,
  checkValues,
  is,
  type OptionValues,
} from '@shootdown/machine';
import { _PAGE_PRESENT, _PAGE_TABLE, mk_pte, pte_pfn } from './entry.ts';
import { indexOf, rootPointer, Walker, type Walked, type WalkLevel, type WalkShape } from './walk.ts';

/** What a second stage consists of. */
export interface SecondStageOptions {
  /**
   * Frames of the host: tables of the tree, and the pages behind the guest's memory. Several machines may share them.
   */
  readonly host: Frames;
  readonly shape: WalkShape;
  /** Table frame of the host that is the root; it must be allocated. */
  readonly root: number;
  /** Guest frames there are: the memory slot. */
  readonly guestFrames: number;
  /** Prefix of the region names. Default `ept`. */
  readonly name?: string;
}

const SECOND_STAGE_VALUES: OptionValues<SecondStageOptions> = {
  host: is.anything,
  shape: is.anything,
  root: is.whole(),
  guestFrames: is.whole(1),
  name: is.text,
};

/** The tree of one virtual machine. */
export class SecondStage {
  readonly host: Frames;
  readonly shape: WalkShape;
  readonly guestFrames: number;
  readonly root: number;
  readonly #walker: Walker;
  /** Per host frame: the guest frame it stands behind, plus one; 0 if it is none of this machine's. */
  readonly #rmap: Region;

  constructor(builder: SystemBuilder, options: SecondStageOptions) {
    checkValues('mmu: second stage: new', options, SECOND_STAGE_VALUES, ['host', 'shape', 'root', 'guestFrames']);
    const { host, shape, root, guestFrames, name = 'ept' } = options;
    this.host = host;
    this.shape = shape;
    this.root = root;
    this.guestFrames = guestFrames;
    this.#walker = new Walker(shape, host);
    this.#rmap = builder.region(`${name}.rmap`, host.count, {
      format: (word) => (word === 0 ? 'none' : `gfn 0x${(word - 1).toString(16)}`),
    });
  }

  /**
   * The hardware's walk for a guest frame: the leaf says which host frame, and whether it may be written.
   * @returns an object that the next walk overwrites; a fault in it is an EPT violation
   */
  walk(cx: OperationContext, gfn: number, write: boolean, table: number = rootPointer(this.root), depth = 0): Walked {
    return this.#walker.walk(cx, table, depth, gfn, write);
  }

  /** The guest frame that a host frame stands behind, or -1. */
  guestFrameOf(cx: OperationContext, frame: number): number {
    return cx.read(this.#rmap.base + frame) - 1;
  }

  /** The host frame behind a guest frame, or -1: a look at the tree without accessed bits. */
  hostFrameOf(cx: OperationContext, gfn: number): number {
    const entry = this.entryOf(cx, gfn);
    return (entry & _PAGE_PRESENT) === 0 ? -1 : pte_pfn(entry);
  }

  /** The entry of a guest frame; 0 if there is none. */
  entryOf(cx: OperationContext, gfn: number): number {
    const at = this.#leaf(cx, gfn, false);
    return at < 0 ? 0 : cx.read(at);
  }

  /**
   * Exchanges the entry of a guest frame; tables above it are made for one that is not 0. Returns the old one, or
   * {@link NO_FRAME} if the host has none left for a table.
   */
  exchange(cx: OperationContext, gfn: number, entry: number): number {
    const at = this.#leaf(cx, gfn, entry !== 0);
    if (at < 0) return entry === 0 ? 0 : NO_FRAME;
    const old = cx.read(at);
    cx.write(at, entry);
    return old;
  }

  /** Takes a host frame to stand behind a guest frame; {@link NO_FRAME}: the host is out of memory. */
  take(cx: OperationContext, gfn: number): number {
    const frame = this.host.take(cx, FrameKind.page);
    if (frame !== NO_FRAME) cx.write(this.#rmap.base + frame, gfn + 1);
    return frame;
  }

  /** Gives a host frame back: whoever still translates to it uses freed memory. */
  release(cx: OperationContext, frame: number): void {
    cx.write(this.#rmap.base + frame, 0);
    this.host.give(cx, frame);
  }

  /** Address of the leaf entry of a guest frame; tables above it are made if asked for. -1: there is none. */
  #leaf(cx: OperationContext, gfn: number, make: boolean): number {
    let table = this.root;
    const last = this.shape.levels.length - 1;
    for (let depth = 0; ; depth++) {
      const at =
        this.host.entries.base +
        table * this.host.entriesPerTable +
        indexOf(this.shape.levels[depth] as WalkLevel, gfn);
      if (depth === last) return at;
      let entry = cx.read(at);
      if ((entry & _PAGE_PRESENT) === 0) {
        const fresh = make ? this.host.take(cx, FrameKind.table) : NO_FRAME;
        if (fresh === NO_FRAME) return -1;
        entry = mk_pte(fresh, _PAGE_TABLE);
        cx.write(at, entry);
      }
      table = pte_pfn(entry);
    }
  }
}
