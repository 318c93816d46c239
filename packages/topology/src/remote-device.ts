/** Both ends of a device that is a part by itself: its driver in the machine, and the device. */
import {
  FREED_FRAME,
  FrameKind,
  Frames,
  load,
  noteMethods,
  program,
  routine,
  store,
  SystemBuilder,
  waitFor,
  work,
  xchg,
  type CostModel,
  type Executor,
  type Region,
  type Saying,
  type Steps,
} from '@shootdown/machine';
import { secondary, type Kernel } from '@shootdown/mm';
import { Fault, formatEntry, Mmu, tinyShape, type MmuGeometry } from '@shootdown/mmu';
import {
  pagefault_mr,
  type Odp,
  type PrimaryMmu,
  type SecondaryTable,
  type SecondaryTlb,
} from '@shootdown/mmu-notifier';
import { COMPUTE_STEP_CYCLES } from './actions.ts';
import { LinkEnd, type LinkMessage } from './device-link.ts';
import type { SecondaryBody } from './secondary.ts';

const REQUESTED = 1;
const FINISHED = 3;

/** The driver's end: the entries as the driver keeps them, and what the device has asked. */
export class DriverLink implements SecondaryTable, SecondaryTlb {
  static {
    noteMethods(this);
  }

  readonly end: LinkEnd;
  readonly entries: number;
  /** The driver's copy of the device's table. */
  readonly #copy: Region;
  /** What the device wants, of which page, and whether to write; invalidations asked for, and answered. */
  readonly #words: Region;
  /** Frames by the entries that the device has been told of. */
  readonly #told = new Map<number, number>();
  /** Frames that the device may use: those, and those taken from it until it has answered. */
  readonly #usable = new Set<number>();
  /** Frames taken from it since it was last asked to drop anything, and those of each time that it has not answered. */
  #taken: number[] = [];
  readonly #asked: (readonly number[])[] = [];

  constructor({ builder, frames }: Kernel, name: string) {
    this.entries = frames.entriesPerTable;
    builder.watch(frames.state, (cx, address) => {
      const frame = address - frames.state.base;
      if (this.#usable.has(frame) && cx.read(address) !== FrameKind.page)
        cx.fail(FREED_FRAME, () => `${name} may use 0x${frame.toString(16)} until it has answered, and it is freed`);
    });
    this.#copy = builder.region(`${name}.copy`, this.entries, { format: formatEntry });
    this.#words = builder.region(`${name}.link`, 5);
    this.end = new LinkEnd(
      (executor, message) => this.#arrives(executor, message),
      undefined,
      (message) => this.#noted(message),
    );
  }

  #noted(message: LinkMessage): void {
    if (message.type === 'invalidate') this.#asked.push(this.#taken.splice(0));
    if (message.type !== 'set') return;
    const { index, entry } = message;
    const before = this.#told.get(index);
    if (before !== undefined) this.#taken.push(before);
    this.#told.delete(index);
    if (!secondary.entryFormat.present(entry)) return;
    const frame = secondary.entryFormat.pfn(entry);
    this.#told.set(index, frame);
    this.#usable.add(frame);
  }

  #answered(): void {
    const still = new Set(this.#told.values());
    for (const frame of this.#asked.shift() ?? []) if (!still.has(frame)) this.#usable.delete(frame);
  }

  #arrives({ store: words }: Executor, message: LinkMessage): void {
    const at = (index: number): number => this.#words.at(index);
    switch (message.type) {
      case 'page_request':
        words.write(at(1), message.index);
        words.write(at(2), message.write ? 1 : 0);
        words.write(at(0), REQUESTED);
        return;
      case 'finished':
        words.write(at(0), FINISHED);
        return;
      case 'invalidated':
        words.write(at(4), words.read(at(4)) + 1);
        this.#answered();
        return;
      default:
    }
  }

  /** The entry as it was told. */
  *read(index: number, label: Saying): Steps<number> {
    return yield* load(this.#copy.at(index), label);
  }

  /** The device is told of the new entry. */
  *xchg(index: number, entry: number, label: Saying): Steps<number> {
    const old = yield* xchg(this.#copy.at(index), entry, label);
    yield* this.end.send({ type: 'set', index, entry });
    return old;
  }

  /** The device drops what it has cached. */
  *invalidate(label: string): Steps {
    const asked = yield* load(this.#words.at(3), { label });
    yield* store(this.#words.at(3), asked + 1, { label: '(invalidations asked for)' });
    yield* this.end.send({ type: 'invalidate' });
  }

  /** It has. */
  *sync(label: string): Steps {
    const asked = yield* load(this.#words.at(3), { label: '(invalidations asked for)' });
    yield* waitFor(this.#words.at(4), -1, asked, { label });
  }

  /** The driver's work while the device accesses memory: it finds the pages that the device asks for. */
  *serves(odp: Odp, primary: PrimaryMmu, pages: number, { rounds, write, cycles }: SecondaryBody): Steps {
    yield* this.end.send({ type: 'start', rounds, write, cycles, pages });
    for (;;) {
      yield* waitFor(this.#words.at(0), REQUESTED, REQUESTED, { label: '(waits for the device)' });
      const wanted = yield* load(this.#words.at(0), { label: '(what it wants)' });
      yield* store(this.#words.at(0), 0, { label: '(taken)' });
      if (wanted === FINISHED) return;
      const index = yield* load(this.#words.at(1), { label: '(page)' });
      const writes = (yield* load(this.#words.at(2), { label: '(access)' })) === 1;
      const served = yield* pagefault_mr(odp, primary, index, writes);
      yield* this.end.send({ type: served ? 'response' : 'stop' });
      if (!served) return;
    }
  }
}

/** A device, ready to run. */
export interface AssembledDevice {
  readonly topology: { readonly runMicroseconds?: number | undefined };
  readonly system: ReturnType<SystemBuilder['build']>;
  readonly costs: CostModel;
  readonly vms: readonly [];
  readonly link: LinkEnd;
}

const DROP_ALL = { type: 'invpcid', kind: 2, asid: 0, vpn: 0 } as const;

/** The device: an engine, its TLB, and a table of one level that nobody else writes. */
export function assembleRemoteDevice(
  name: string,
  entries: number,
  geometry: MmuGeometry,
  costs: CostModel,
): AssembledDevice {
  const builder = new SystemBuilder();
  const frames = new Frames(builder, {
    tables: 1,
    entriesPerTable: entries,
    pages: 1,
    initialTables: [[]],
    formatEntry,
  });
  const mmu = new Mmu(builder, name, frames, tinyShape(1, entries), geometry);
  const drops = builder.channel({
    name: `${name}.invalidations`,
    to: mmu.name,
    policy: 'fifo',
    capacity: 1,
    latency: 'message',
  });
  // Whether it has work, and waits for a page; then the work: rounds, whether it writes, cycles, pages.
  const words = builder.region(`${name}.work`, 6);
  let owed = 0;
  const arrives = (executor: Executor, message: LinkMessage): void => {
    const { store: to } = executor;
    switch (message.type) {
      case 'start':
        to.write(words.at(2), message.rounds);
        to.write(words.at(3), message.write ? 1 : 0);
        to.write(words.at(4), message.cycles);
        to.write(words.at(5), message.pages);
        to.write(words.at(0), 1);
        return;
      case 'set':
        to.write(frames.entry(0, message.index).address, message.entry);
        return;
      case 'response':
      case 'stop':
        to.write(words.at(1), message.type === 'response' ? 0 : 2);
        return;
      case 'invalidate':
        if (executor.messageOn(drops) === null) executor.send(drops, DROP_ALL);
        owed++;
        return;
      default:
    }
  };
  // The answer is on its way when its TLB has taken the invalidation, which is between two accesses.
  const settles = (executor: Executor): void => {
    for (; owed > 0 && executor.messageOn(drops) === null; owed--) link.put({ type: 'invalidated' });
  };
  const link: LinkEnd = new LinkEnd(arrives, settles);
  const dma = routine(`${name}: dma`, function* (): Steps {
    const rounds = yield* load(words.at(2));
    const write = (yield* load(words.at(3))) === 1;
    const cycles = yield* load(words.at(4));
    const pages = yield* load(words.at(5));
    yield* mmu.load_root(0, 0, false);
    for (let i = 0; i < rounds * pages; i++) {
      for (let left = cycles; left > 0; left -= COMPUTE_STEP_CYCLES) yield* work('compute');
      while ((yield* mmu.access(i % pages, write)) !== Fault.none) {
        yield* store(words.at(1), 1, { label: '(waits for a page)' });
        yield* link.send({ type: 'page_request', index: i % pages, write });
        if ((yield* waitFor(words.at(1), 1, 0, { label: '(waits for a page)' })) !== 0) return;
      }
    }
    yield* link.send({ type: 'finished' });
  });
  const engine = routine(`${name} engine`, function* (): Steps {
    for (;;) {
      yield* waitFor(words.at(0), -1, 1, { label: '(waits for work)' });
      yield* store(words.at(0), 0, { label: '(begins)' });
      yield* dma();
    }
  });
  builder.processor({ name, tasks: [program(engine)] });
  return { topology: {}, system: builder.build(), costs, vms: [], link };
}
