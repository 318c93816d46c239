/** KVM's callbacks and faults, one entry at a time. */
import {
  acquireWord,
  atomicAdd,
  Frames,
  LiveExecutor,
  load,
  nop,
  program,
  RandomScheduler,
  routine,
  runScheduler,
  store,
  SystemBuilder,
  TabulatedExecutor,
  type Address,
  type Steps,
  type System,
} from '@shootdown/machine';
import { everyRun, type EveryRun } from '@shootdown/machine/every-run';
import {
  addFaultHandler,
  IN_PROGRESS_NOT_NEGATIVE,
  MmuNotifierSubscriptions,
  RETRY_PROTOCOL,
  type EntryFormat,
  type Lock,
  type MmuNotifierOps,
  type PrimaryMmu,
  type SecondaryMmuOptions,
  type SecondaryTlb,
} from '@shootdown/mmu-notifier';
import { describe, expect, it } from 'vitest';
import { Kvm, type KvmOptions } from './kvm.ts';
import { Memslots } from './memslots.ts';
import { CHANGE_PTE_ARM64, CHANGE_PTE_X86, type ChangePteDesign } from './notifiers.ts';
import { FAULT_PROTOCOL, kvm_tdp_page_fault, type FaultProtocol } from './page-fault.ts';

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
const NEW_PAGE = format.make(2, false);
const NEW_WRITABLE = format.make(2, true);

interface Bench {
  readonly builder: SystemBuilder;
  readonly frames: Frames;
  readonly subscriptions: MmuNotifierSubscriptions;
  readonly options: SecondaryMmuOptions;
  readonly primary: PrimaryMmu;
  readonly tlb: SecondaryTlb;
  /** How often the vCPUs have been flushed. */
  readonly flushes: Address;
  /** The primary entry that lookups find. */
  readonly pte: Address;
}

function lockOn(builder: SystemBuilder, name: string): Lock {
  const word = builder.region(name, 1).at(0);
  return { lock: () => acquireWord(word, -1, 1), unlock: () => store(word, 0) };
}

/** How executors describe a component. */
interface Stands {
  readonly value: string;
}

/** Everything a secondary MMU of one entry needs, that entry included. */
function bench(entry: number): Bench {
  const builder = new SystemBuilder();
  const frames = new Frames(builder, { tables: 1, entriesPerTable: 1, pages: 1, initialTables: [[entry]] });
  const flushes = builder.region('flushes', 1).at(0);
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
    tlb: {
      *invalidate() {
        yield* atomicAdd(flushes, 1);
      },
      *sync() {},
    },
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
): { ends: string[]; run: EveryRun } {
  tasks.forEach((body, id) => builder.processor({ name: `CPU${id}`, tasks: [program(routine(`task${id}`, body))] }));
  const ends = new Set<string>();
  const run = everyRun(builder.build(), undefined, (read) => ends.add(words.map(read).join(' ')));
  return { ends: [...ends].sort(), run };
}

function kvmOn({ builder, options, tlb }: Bench, more: Partial<KvmOptions> = {}): Kvm {
  return new Kvm(builder, 'kvm', { ...options, tlb, ...more });
}

const told = (
  parts: Bench,
  ops: MmuNotifierOps,
  tell: (subscriptions: MmuNotifierSubscriptions) => Steps<unknown>,
  entry: Address,
): string[] => {
  parts.subscriptions.add('it', ops);
  return atRest(parts.builder, [entry, parts.flushes], () => tell(parts.subscriptions)).ends;
};

describe('KVM', () => {
  it.each([
    ['maps nothing: nothing to flush', 0, '0 0'],
    ['maps the page: the entry goes, and the vCPUs are flushed once', OLD_PAGE, '0 1'],
  ])('told of an invalidation, %s', (_, entry, expected) => {
    const parts = bench(entry);
    const kvm = kvmOn(parts);
    expect(told(parts, kvm.ops, (s) => s.mmu_notifier_invalidate_range_start(0, 1), kvm.entryAddress(0))).toEqual([
      expected,
    ]);
  });

  const X86: ChangePteDesign = { ...CHANGE_PTE_X86, countsSequence: false };
  it.each<[string, number, number, ChangePteDesign, string]>([
    ['switches a mapping to a read-only page', OLD_PAGE, NEW_PAGE, X86, `${NEW_PAGE} 1`],
    ['drops it on x86 if the new entry is writable', OLD_PAGE, NEW_WRITABLE, X86, '0 1'],
    ['maps it read-only on arm64', OLD_PAGE, NEW_WRITABLE, CHANGE_PTE_ARM64, `${NEW_PAGE} 1`],
    ['maps it on arm64 although it was not mapped', 0, NEW_WRITABLE, CHANGE_PTE_ARM64, `${NEW_PAGE} 0`],
    ['leaves alone what is not mapped', 0, NEW_PAGE, X86, '0 0'],
    ['maps it, by option 3 of 2014', 0, NEW_PAGE, { ...X86, absent: 'establish' }, `${NEW_PAGE} 0`],
    ['does not, outside of a bracket of its own', 0, NEW_PAGE, { ...X86, absent: 'establish alone' }, '0 0'],
  ])('told of a new entry, %s', (_, entry, pte, change_pte, expected) => {
    const parts = bench(entry);
    const kvm = kvmOn(parts, { change_pte });
    expect(told(parts, kvm.ops, (s) => s.mmu_notifier_change_pte(0, pte, false), kvm.entryAddress(0))).toEqual([
      expected,
    ]);
  });

  it.each<[string, (s: MmuNotifierSubscriptions) => Steps<number>, number, string]>([
    [
      'clear_flush_young() says so, makes it old, and flushes',
      (s) => s.mmu_notifier_clear_flush_young(0, 1),
      1,
      `${format.old(OLD_PAGE)} 1`,
    ],
    ['clear_young() does not flush', (s) => s.mmu_notifier_clear_young(0, 1), 1, `${format.old(OLD_PAGE)} 0`],
    ['test_young() only looks', (s) => s.mmu_notifier_test_young(0), 1, `${OLD_PAGE} 0`],
  ])('asked about a page that the guest has used: %s', (_, ask, young, expected) => {
    const parts = bench(OLD_PAGE);
    const kvm = kvmOn(parts);
    const answers = new Set<number>();
    const ends = told(
      parts,
      kvm.ops,
      function* (s) {
        answers.add(yield* ask(s));
        yield* nop();
      },
      kvm.entryAddress(0),
    );
    expect([ends, [...answers]]).toEqual([[expected], [young]]);
  });

  it('asked about a page that the guest has not used says so', () => {
    const parts = bench(format.old(OLD_PAGE));
    const answers = new Set<number>();
    told(
      parts,
      kvmOn(parts).ops,
      function* (s) {
        answers.add(yield* s.mmu_notifier_clear_flush_young(0, 1));
        yield* nop();
      },
      parts.flushes,
    );
    expect([...answers]).toEqual([0]);
  });

  it('whose address space goes drops everything', () => {
    const parts = bench(OLD_PAGE);
    const kvm = kvmOn(parts);
    expect(told(parts, kvm.ops, (s) => s.mmu_notifier_release(), kvm.entryAddress(0))).toEqual(['0 1']);
  });

  it('is concerned with the pages that its memslots cover, and with no others', () => {
    const inside = (s: MmuNotifierSubscriptions): Steps<number> =>
      s.mmu_notifier_invalidate_range_start(0, Number.MAX_SAFE_INTEGER);
    for (const [tell, expected] of [
      [inside, '0 1'],
      [(s: MmuNotifierSubscriptions) => s.mmu_notifier_invalidate_range_start(1, 9), `${OLD_PAGE} 0`],
      [(s: MmuNotifierSubscriptions) => s.mmu_notifier_change_pte(7, NEW_PAGE, false), `${OLD_PAGE} 0`],
      [(s: MmuNotifierSubscriptions) => s.mmu_notifier_clear_flush_young(1, 2), `${OLD_PAGE} 0`],
      [(s: MmuNotifierSubscriptions) => s.mmu_notifier_test_young(1), `${OLD_PAGE} 0`],
    ] as const) {
      const parts = bench(OLD_PAGE);
      const kvm = kvmOn(parts, { change_pte: X86 });
      expect(
        told(
          parts,
          kvm.ops,
          function* (s) {
            yield* tell(s);
            yield* nop();
          },
          kvm.entryAddress(0),
        ),
      ).toEqual([expected]);
    }
  });

  it('has no change_pte() where faults are checked under the lock of the rmap chain: that takes mmu_lock alone', () => {
    const parts = bench(OLD_PAGE);
    expect(() => kvmOn(parts, { change_pte: X86, rmap_lock: parts.options.lock })).toThrow(/rmap_lock/);
  });

  /** CPU0 clears the primary entry within a bracket, CPU1 faults; the entry at rest. */
  const raced = (more: Partial<KvmOptions>, underRmapLock = false): string[] => {
    const parts = bench(0);
    const kvm = kvmOn(parts, { ...more, ...(underRmapLock && { rmap_lock: lockOn(parts.builder, 'rmap') }) });
    parts.subscriptions.add('kvm', kvm.ops);
    const { mmu_notifier_invalidate_range_start: start, mmu_notifier_invalidate_range_end: end } = parts.subscriptions;
    const zap = function* (): Steps {
      yield* start(0, 1);
      yield* store(parts.pte, 0);
      yield* end(0, 1);
    };
    return atRest(parts.builder, [kvm.entryAddress(0)], zap, () => kvm_tdp_page_fault(kvm, parts.primary, 0, false))
      .ends;
  };

  it('that faults while the page is taken away never maps it', () => {
    expect(raced({})).toEqual(['0']);
    expect(raced({ protocol: { ...FAULT_PROTOCOL, checksEarly: true } })).toEqual(['0']);
  });

  it.each(['looksAtSequence', 'looksAtInProgress'] as const)('does, without %s', (guard) => {
    expect(raced({ protocol: { ...FAULT_PROTOCOL, [guard]: false } })).toEqual(['0', String(OLD_PAGE)].sort());
  });

  it.each(['looksAtSequence', 'looksAtInProgress'] as const)(
    'does, without %s, under the lock of the rmap chain as well',
    (guard) => {
      expect(raced({}, true)).toEqual(['0']);
      expect(raced({ protocol: { ...FAULT_PROTOCOL, [guard]: false } }, true)).toEqual(['0', String(OLD_PAGE)].sort());
    },
  );

  /** What the actor of the faults refuses, in any interleaving of a fault and an invalidation. */
  const refused = (more: Partial<KvmOptions>): boolean => {
    const parts = bench(0);
    const kvm = kvmOn(parts, more);
    parts.subscriptions.add('kvm', kvm.ops);
    const primary = { ...parts.primary, fault: addFaultHandler(parts.builder, 'CPU1', 'kvm', { refuses: true }) };
    const bracket = function* (): Steps {
      yield* parts.subscriptions.mmu_notifier_invalidate_range_start(0, 1);
      yield* parts.subscriptions.mmu_notifier_invalidate_range_end(0, 1);
    };
    const fault = function* (): Steps {
      yield* nop();
      yield* kvm_tdp_page_fault(kvm, primary, 0, false);
    };
    const { run } = atRest(parts.builder, [], bracket, fault);
    return run.violations.has(RETRY_PROTOCOL);
  };

  it.each<readonly [string, boolean, Partial<FaultProtocol>]>([
    ['as the kernel does', false, {}],
    ['with an early look', false, { checksEarly: true }],
    ['before the lock', true, { check: 'before the lock' }],
    ['under a lock that it drops', true, { dropsLock: true }],
    ['against a sequence that it reads too late', true, { snapshot: 'after the lookup' }],
  ])('that checks %s is covered, or refused by who asks for that (%s)', (_, refuses, protocol) => {
    expect(refused({ protocol: { ...FAULT_PROTOCOL, ...protocol } })).toBe(refuses);
  });

  it('tells the actor of its fault what it does, within its own steps', () => {
    const parts = bench(0);
    const kvm = kvmOn(parts);
    const fault = addFaultHandler(parts.builder, 'CPU0', 'kvm');
    const body = routine('fault', () => kvm_tdp_page_fault(kvm, { ...parts.primary, fault }, 0, false));
    parts.builder.processor({ name: 'CPU0', tasks: [program(body)] });
    const executor = new TabulatedExecutor(parts.builder.build());
    const told: string[] = [];
    executor.onMessage = ({ from, to, type }) => told.push(`${from} tells ${to}: ${type}`);
    const states: string[] = [];
    executor.onDelivery = ({ index }) => states.push((JSON.parse(executor.describeComponent(index)) as Stands).value);
    executor.observe = true;
    while (executor.step(0));
    const says = ['read_begin', 'lock', 'retry', 'install', 'end'];
    expect(told).toEqual(says.map((type) => `CPU0 tells CPU0.kvm.fault: ${type}`));
    expect(states).toEqual(['collecting', 'locked', 'covered', 'installed', 'idle']);
  });

  it.each([
    [true, false],
    [false, true],
  ])(
    'finds the memslots at the end of an invalidation as they were at its start if changing them waits (%s)',
    (waits, goesWrong) => {
      const parts = bench(0);
      const memslots = new Memslots(parts.builder, 'kvm', { waits });
      const kvm = kvmOn(parts, { memslots });
      parts.subscriptions.add('kvm', kvm.ops);
      const bracket = function* (): Steps {
        yield* parts.subscriptions.mmu_notifier_invalidate_range_start(0, 1);
        yield* parts.subscriptions.mmu_notifier_invalidate_range_end(0, 1);
      };
      const { run } = atRest(parts.builder, [], bracket, () => memslots.kvm_swap_active_memslots());
      expect(run.violations.has(IN_PROGRESS_NOT_NEGATIVE)).toBe(goesWrong);
      expect(run.deadlock).toBe(false);
    },
  );

  it('has memslots of its own, whatever other VMs there are', () => {
    const { builder } = bench(0);
    expect(new Set(['vm0', 'vm1'].map((name) => new Memslots(builder, name).slot)).size).toBe(2);
  });
});

const STEPS_MAX = 500;

describe('live and tabulated execution', () => {
  it('agree step by step on a fault and two invalidations', () => {
    const parts = bench(OLD_PAGE);
    const kvm = kvmOn(parts);
    parts.subscriptions.add('kvm', kvm.ops);
    const bracket = function* (): Steps {
      yield* parts.subscriptions.mmu_notifier_invalidate_range_start(0, 1);
      yield* parts.subscriptions.mmu_notifier_invalidate_range_end(0, 1);
    };
    const primary = { ...parts.primary, fault: addFaultHandler(parts.builder, 'CPU2', 'kvm') };
    const tasks = [bracket, bracket, (): Steps<unknown> => kvm_tdp_page_fault(kvm, primary, 0, false)];
    tasks.forEach((body, id) =>
      parts.builder.processor({ name: `CPU${id}`, tasks: [program(routine(`task${id}`, body))] }),
    );
    const system: System = parts.builder.build();
    const [tabulated, live] = [new TabulatedExecutor(system), new LiveExecutor(system)];
    for (let seed = 0; seed < 20; seed++) {
      const { schedule } = runScheduler(tabulated, new RandomScheduler(seed), STEPS_MAX);
      expect(schedule.length).toBeGreaterThan(10);
      live.reset();
      for (const choice of schedule) expect(live.step(choice)).toBe(true);
      expect(live.fingerprint).toBe(tabulated.fingerprint);
    }
    live.stop();
  });
});
