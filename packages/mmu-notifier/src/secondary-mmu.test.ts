import {
  acquireWord,
  Frames,
  load,
  nop,
  program,
  routine,
  store,
  SystemBuilder,
  type Address,
  type Steps,
} from '@shootdown/machine';
import { everyRun } from '@shootdown/machine/every-run';
import { describe, expect, it } from 'vitest';
import { addDevice, type Device } from './device.ts';
import { testMmu } from './mmu.test-support.machine.ts';
import { MmuNotifierSubscriptions, type MmuNotifierOps } from './notifier.ts';
import { Odp, pagefault_mr } from './odp.ts';
import type { EntryFormat, Lock, PrimaryMmu, SecondaryMmuOptions } from './secondary-mmu.ts';
import { InvalidationQueue, type SecondaryTlb } from './secondary-tlb.ts';
import { Sva } from './sva.ts';

/** Present, writable, young, and the frame above them. */
const P = 1;
const W = 2;
const A = 4;
const PFN = 8;
const format: EntryFormat = {
  make: (pfn, writable) => pfn * PFN + P + A + (writable ? W : 0),
  pfn: (entry) => Math.floor(entry / PFN),
  present: (entry) => (entry & P) !== 0,
  writable: (entry) => (entry & W) !== 0,
  young: (entry) => (entry & A) !== 0,
  old: (entry) => entry & ~A,
  format: String,
};
const OLD_PAGE = format.make(1, false);

interface Bench {
  readonly builder: SystemBuilder;
  readonly frames: Frames;
  readonly subscriptions: MmuNotifierSubscriptions;
  readonly options: SecondaryMmuOptions;
  readonly primary: PrimaryMmu;
  readonly tlb: SecondaryTlb;
  /** How often the agent has been flushed. */
  readonly flushes: Address;
  /** The primary entry that lookups find. */
  readonly pte: Address;
}

function lockOn(builder: SystemBuilder, name: string): Lock {
  const word = builder.region(name, 1).at(0);
  return { lock: () => acquireWord(word, -1, 1), unlock: () => store(word, 0) };
}

/** Everything a secondary MMU of one entry needs, that entry included. */
function bench(entry: number): Bench {
  const builder = new SystemBuilder();
  const frames = new Frames(builder, { tables: 1, entriesPerTable: 1, pages: 1, initialTables: [[entry]] });
  const flushes = builder.region('flushes', 1).at(0);
  builder.component({
    name: 'mmu',
    machine: testMmu,
    effects: { flushed: (cx) => cx.write(flushes, cx.read(flushes) + 1) },
  });
  const lock = lockOn(builder, 'mmu_lock');
  const pte = builder.region('pte', 1, { initial: OLD_PAGE }).at(0);
  const primary: PrimaryMmu = {
    *lookup() {
      const found = yield* load(pte);
      return format.present(found) ? { pfn: format.pfn(found), writable: format.writable(found) } : null;
    },
    *release() {},
  };
  const subscriptions = new MmuNotifierSubscriptions(builder, 'mm', { changePteNeedsBracket: false });
  return {
    builder,
    frames,
    subscriptions,
    tlb: new InvalidationQueue(builder, 'tlb', ['mmu'], { type: 'flush' }),
    flushes,
    pte,
    primary,
    options: { frames, table: 0, format, lock },
  };
}

/** Runs one task (or several) in all interleavings, and reads words where everything has come to rest. */
function atRest(
  builder: SystemBuilder,
  words: readonly number[],
  ...tasks: readonly (() => Steps<unknown>)[]
): string[] {
  tasks.forEach((body, id) => builder.processor({ name: `CPU${id}`, tasks: [program(routine(`task${id}`, body))] }));
  const ends = new Set<string>();
  everyRun(builder.build(), undefined, (read) => ends.add(words.map(read).join(' ')));
  return [...ends].sort();
}

const told = (
  parts: Bench,
  ops: MmuNotifierOps,
  tell: (subscriptions: MmuNotifierSubscriptions) => Steps<unknown>,
  entry: Address,
): string[] => {
  parts.subscriptions.add('it', ops);
  return atRest(parts.builder, [entry, parts.flushes], () => tell(parts.subscriptions));
};

describe('devices', () => {
  const device = (parts: Bench): Device => addDevice(parts.builder, 'device');

  it('with a table of their own: the driver maps what the engine asks for', () => {
    const parts = bench(0);
    const odp = new Odp(parts.builder, 'odp', { ...parts.options, tlb: parts.tlb, device: device(parts) });
    expect(atRest(parts.builder, [odp.entryAddress(0)], () => pagefault_mr(odp, parts.primary, 0, false))).toEqual([
      String(OLD_PAGE),
    ]);
  });

  it('with a table of their own: an invalidation empties it and waits for the device', () => {
    const parts = bench(OLD_PAGE);
    const odp = new Odp(parts.builder, 'odp', { ...parts.options, tlb: parts.tlb, device: device(parts) });
    expect(told(parts, odp.ops, (s) => s.mmu_notifier_invalidate_range_start(0, 1), odp.entryAddress(0))).toEqual([
      '0 1',
    ]);
    expect(odp.ops.change_pte).toBeUndefined();
  });

  it('with a table of their own: a region hears of its own pages alone', () => {
    const parts = bench(OLD_PAGE);
    const odp = new Odp(parts.builder, 'odp', { ...parts.options, tlb: parts.tlb, device: device(parts) });
    expect(
      told(
        parts,
        odp.ops,
        function* (s) {
          yield* s.mmu_notifier_invalidate_range_start(1, 9);
          yield* nop();
        },
        odp.entryAddress(0),
      ),
    ).toEqual([`${OLD_PAGE} 0`]);
    const whole = bench(OLD_PAGE);
    const other = new Odp(whole.builder, 'odp', { ...whole.options, tlb: whole.tlb, device: device(whole) });
    expect(told(whole, other.ops, (s) => s.mmu_notifier_release(), other.entryAddress(0))).toEqual(['0 1']);
  });

  it('with a TLB alone: nothing begins and nothing ends, and an invalidation is a flush', () => {
    const parts = bench(0);
    const sva = new Sva(device(parts), parts.tlb);
    expect(sva.ops.invalidate_range_start).toBeUndefined();
    expect(told(parts, sva.ops, (s) => s.mmu_notifier_arch_invalidate_secondary_tlbs(0, 1), parts.flushes)).toEqual([
      '1 1',
    ]);
  });

  it('are stopped when the address space goes', () => {
    const parts = bench(0);
    const it = device(parts);
    expect(told(parts, new Sva(it, parts.tlb).ops, (s) => s.mmu_notifier_release(), it.stopped)).toEqual(['1 1']);
  });
});
