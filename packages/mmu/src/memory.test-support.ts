/** Words, frames and a context to try hardware on without a machine around it. */
import {
  FrameKind,
  Frames,
  SystemBuilder,
  type FrameOptions,
  type Message,
  type OperationContext,
} from '@shootdown/machine';
import { _PAGE_DIRTY, _PAGE_PRESENT, _PAGE_RW, _PAGE_TABLE, mk_pte, pte_pfn } from './entry.ts';
import type { SecondStage } from './second-stage.ts';
import { indexOf, type WalkLevel, type WalkShape } from './walk.ts';

/** Memory as hardware sees it: reads and writes go through at once, violations and counts are kept. */
export class PlainMemory implements OperationContext {
  readonly processor = 0;
  readonly replacements = undefined;
  readonly words: Int32Array;
  readonly failures: string[] = [];
  readonly counts = new Map<string, number>();

  constructor(builder: SystemBuilder) {
    this.words = builder.layout.initial();
  }

  read(address: number): number {
    return this.words[address]!;
  }

  load(address: number): number {
    return this.read(address);
  }

  write(address: number, value: number): void {
    this.words[address] = value;
  }

  storeBuffered(address: number, value: number): boolean {
    this.write(address, value);
    return true;
  }

  drained(): boolean {
    return true;
  }

  buffered(): number {
    return 0;
  }

  fail(property: string, detail: () => string): void {
    this.failures.push(`${property}: ${detail()}`);
  }

  send(_channel: number, message: Message): boolean {
    throw new Error(`no channels here: ${message.type}`);
  }

  note(): void {}

  tell(_component: number, message: Message): boolean {
    throw new Error(`no components here: ${message.type}`);
  }

  channelEmpty(): boolean {
    return true;
  }

  channelFull(): boolean {
    return false;
  }

  operationOf(): null {
    return null;
  }

  spend(): void {}

  explain(): void {}

  count(counter: string, amount = 1): void {
    this.counts.set(counter, (this.counts.get(counter) ?? 0) + amount);
  }
}

/** A tree that maps pages by hand. */
export class Tree {
  readonly memory: PlainMemory;
  readonly frames: Frames;
  readonly shape: WalkShape;
  readonly root: number;

  constructor(shape: WalkShape, options: Partial<FrameOptions> = {}) {
    const builder = new SystemBuilder();
    this.shape = shape;
    const entriesPerTable = Math.max(...shape.levels.map((level) => level.entries));
    this.frames = new Frames(builder, { tables: 12, pages: 8, entriesPerTable, ...options });
    this.memory = new PlainMemory(builder);
    this.root = this.table();
  }

  table(): number {
    return this.frames.take(this.memory, FrameKind.table);
  }

  page(): number {
    return this.frames.take(this.memory, FrameKind.page);
  }

  /** The address of the entry for a page at a depth; tables above it are made as needed, with these flags. */
  entryAddress(vpn: number, depth: number, flags: number = _PAGE_TABLE): number {
    let table = this.root;
    for (let d = 0; ; d++) {
      const { address } = this.frames.entry(table, indexOf(this.shape.levels[d] as WalkLevel, vpn));
      if (d === depth) return address;
      if (this.memory.read(address) === 0) this.memory.write(address, mk_pte(this.table(), flags));
      table = this.memory.read(address) >>> 12;
    }
  }

  /** Sets the entry for a page; default at the last level. */
  set(vpn: number, entry: number, depth: number = this.shape.levels.length - 1): void {
    this.memory.write(this.entryAddress(vpn, depth), entry);
  }
}

/** What a host does about a guest frame: a page behind it, or write permission for the one that is there. */
export function mapGuestFrame(stage: SecondStage, cx: OperationContext, gfn: number): boolean {
  const old = stage.entryOf(cx, gfn);
  const frame = (old & _PAGE_PRESENT) === 0 ? stage.take(cx, gfn) : pte_pfn(old);
  return frame >= 0 && stage.exchange(cx, gfn, mk_pte(frame, _PAGE_PRESENT | _PAGE_RW)) >= 0;
}

/** Removes the entry of a guest frame; the page that stood behind it, or -1. */
export function zapGuestFrame(stage: SecondStage, cx: OperationContext, gfn: number): number {
  const frame = stage.hostFrameOf(cx, gfn);
  if (frame >= 0) stage.exchange(cx, gfn, 0);
  return frame;
}

/** Takes write permission from a guest frame, as dirty logging does. */
export function writeProtectGuestFrame(stage: SecondStage, cx: OperationContext, gfn: number): void {
  const old = stage.entryOf(cx, gfn);
  if ((old & _PAGE_PRESENT) !== 0) stage.exchange(cx, gfn, old & ~(_PAGE_RW | _PAGE_DIRTY));
}
