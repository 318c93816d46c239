/**
 * Stores of user code that have their translation and still wait in a store buffer, and the invalidations that wait for
 * them.
 *
 * An invalidation on another CPU is complete when the accesses that used what it invalidated are (Arm ARM, DDI 0487,
 * completion of TLB maintenance instructions; AMD APM vol. 3, TLBSYNC). A load is one step with its translation. A
 * store may be in its CPU's store buffer still when the invalidation arrives there: then whoever sent it waits until
 * the store is in memory.
 */
import { FrameKind, type Frames, type OperationContext, type Region, type SystemBuilder } from '@shootdown/machine';

/** Words per place in a store buffer: page frame plus one (0: no store of user code), page, translation. */
const WORDS_PER_PLACE = 3;

/** What an invalidation wants to know of the translation that a store went through. */
export interface StoreTranslation {
  readonly page: number;
  readonly space: number;
  readonly global: boolean;
  /** Of one of the upper levels. */
  readonly large: boolean;
}

/** The stores in flight of the CPUs of a machine with store buffers. */
export class InFlight {
  readonly #frames: Frames;
  readonly #cpus: number;
  readonly #places: number;
  /** Per CPU, 1 + the processor whose buffer holds stores of user code, 0 while it holds none. */
  readonly #owner: Region;
  readonly #stores: Region;
  /** Per sender and CPU: how many of the oldest stores in the CPU's buffer the sender's invalidations wait for. */
  readonly #awaited: Region;

  constructor(builder: SystemBuilder, name: string, frames: Frames, cpus: number) {
    this.#frames = frames;
    this.#cpus = cpus;
    this.#places = builder.storeBufferEntries;
    this.#owner = builder.region(`${name}.in_flight.processor`, cpus);
    this.#stores = builder.region(`${name}.in_flight.store`, cpus * this.#places * WORDS_PER_PLACE);
    this.#awaited = builder.region(`${name}.in_flight.awaited`, cpus * cpus);
    builder.watchDrains((cx) => this.#drained(cx));
  }

  /** The store that the CPU has just put into its buffer goes to a page, through a translation. */
  entered(cx: OperationContext, cpu: number, frame: number, { page, space, global, large }: StoreTranslation): void {
    const place = this.#place(cpu, cx.buffered() - 1);
    cx.write(place, frame + 1);
    cx.write(place + 1, page);
    cx.write(place + 2, 4 * space + (large ? 2 : 0) + (global ? 1 : 0));
    cx.write(this.#owner.at(cpu), cx.processor + 1);
  }

  /**
   * An invalidation has arrived at a CPU: its sender waits for the stores in its buffer that it concerns, and so for
   * all before them.
   */
  arrived(
    cx: OperationContext,
    cpu: number,
    sender: number,
    concerns: (translation: StoreTranslation) => boolean,
  ): void {
    if (cx.read(this.#owner.at(cpu)) === 0) return;
    for (let i = this.#places - 1; i >= 0; i--) {
      const place = this.#place(cpu, i);
      if (cx.read(place) === 0) continue;
      const [page, translation] = [cx.read(place + 1), cx.read(place + 2)];
      const [space, large, global] = [translation >> 2, (translation & 2) !== 0, (translation & 1) !== 0];
      if (!concerns({ page, space, large, global })) continue;
      const awaited = this.#awaited.at(sender * this.#cpus + cpu);
      if (cx.read(awaited) < i + 1) cx.write(awaited, i + 1);
      return;
    }
  }

  /** True when no CPU has a store in its buffer that an invalidation of the sender waits for. */
  none(cx: OperationContext, sender: number): boolean {
    for (let cpu = 0; cpu < this.#cpus; cpu++)
      if (cx.read(this.#awaited.at(sender * this.#cpus + cpu)) !== 0) return false;
    return true;
  }

  /** The oldest store of a processor has left its buffer: what it went to must be a page still. */
  #drained(cx: OperationContext): void {
    for (let cpu = 0; cpu < this.#cpus; cpu++) {
      if (cx.read(this.#owner.at(cpu)) !== cx.processor + 1) continue;
      const frame = cx.read(this.#place(cpu, 0)) - 1;
      if (frame >= 0 && frame < this.#frames.count)
        this.#frames.check(cx, frame, FrameKind.page, 'buffered store through a translation to');
      this.#shift(cx, cpu);
    }
  }

  #shift(cx: OperationContext, cpu: number): void {
    const words = this.#places * WORDS_PER_PLACE;
    const base = this.#place(cpu, 0);
    let left = 0;
    for (let i = 0; i < words; i++) {
      const next = i + WORDS_PER_PLACE < words ? cx.read(base + i + WORDS_PER_PLACE) : 0;
      if (cx.read(base + i) !== next) cx.write(base + i, next);
      left |= next;
    }
    if (left === 0) cx.write(this.#owner.at(cpu), 0);
    for (let sender = 0; sender < this.#cpus; sender++) {
      const awaited = this.#awaited.at(sender * this.#cpus + cpu);
      if (cx.read(awaited) > 0) cx.write(awaited, cx.read(awaited) - 1);
    }
  }

  #place(cpu: number, i: number): number {
    return this.#stores.base + (cpu * this.#places + i) * WORDS_PER_PLACE;
  }
}
