import { FREED_FRAME, TabulatedExecutor, type Steps } from '@shootdown/machine';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BBML0 } from './break-before-make.ts';
import {
  _PAGE_ACCESSED,
  _PAGE_DIRTY,
  _PAGE_GLOBAL,
  _PAGE_PSE,
  _PAGE_RW,
  _PAGE_TABLE,
  mk_pte,
  pte_pfn,
} from './entry.ts';
import { everyRun } from '@shootdown/machine/every-run';
import { RW, smallMachine, type Small } from './machines.test-support.ts';
import { cacheable } from './offered.ts';
import { Fault } from './walk.ts';

const PAGES = [0, 1, 4] as const;
const runs = process.env['SHOOTDOWN_DEEP'] === '1' ? 400 : 60;

/** A program of one CPU: changes of entries, invalidations, accesses. */
type Step =
  | { readonly kind: 'map'; readonly table: 1 | 2; readonly index: number; readonly frame: number }
  | { readonly kind: 'table'; readonly index: 0 | 1; readonly table: 0 | 1 | 2 }
  | { readonly kind: 'invlpg' | 'vae1' | 'vale1'; readonly vpn: number }
  | { readonly kind: 'reload' }
  | { readonly kind: 'access'; readonly vpn: number };

const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('map' as const),
      table: fc.constantFrom(1 as const, 2 as const),
      index: fc.nat(1),
      frame: fc.constantFrom(0, 100, 101),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('table' as const),
      index: fc.constantFrom(0 as const, 1 as const),
      table: fc.constantFrom(0 as const, 1 as const, 2 as const),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('invlpg' as const, 'vae1' as const, 'vale1' as const),
      vpn: fc.constantFrom(...PAGES),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'reload' as const }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('access' as const), vpn: fc.constantFrom(...PAGES) }) },
);

const leafOf = (frame: number): number => (frame === 0 ? 0 : mk_pte(frame, RW));
const pointerTo = (table: number): number => (table === 0 ? 0 : mk_pte(table, _PAGE_TABLE));

function* perform({ frames, mmus, pgd }: Small, step: Step): Steps {
  const mmu = mmus[0]!;
  switch (step.kind) {
    case 'map':
      yield* frames.xchg(frames.entry(step.table, step.index), leafOf(step.frame));
      return;
    case 'table':
      yield* frames.xchg(pgd(4 * step.index), pointerTo(step.table));
      return;
    case 'invlpg':
      yield* mmu.invlpg(step.vpn);
      return;
    case 'vae1':
    case 'vale1':
      yield* mmu.tlbi_local({ scope: 'page', vpn: step.vpn, asid: 1, leafOnly: step.kind === 'vale1' });
      return;
    case 'reload':
      yield* mmu.reload_cr3(1);
      return;
    case 'access':
      yield* mmu.access(step.vpn, false);
  }
}

/** What an access may come to: the entries it may use, sorted, and whether it may fault. */
interface Values {
  readonly entries: readonly number[];
  readonly mayFault: boolean;
}

/** What each access of the program may come to according to the saturated TLB. */
function saturatedValues(script: readonly Step[]): Values[] {
  const { system, saturated } = smallMachine({ cpus: 1, tlb: 'saturated', pages: PAGES, pageFrames: 6 }, [
    function* (small) {
      for (const step of script) yield* perform(small, step);
    },
  ]);
  const executor = new TabulatedExecutor(system);
  const values: Values[] = [];
  for (;;) {
    const operation = executor.pendingOperation(0);
    if (!operation) return values;
    if (operation.definition.name === 'access') {
      const entries = saturated!.leaves((address) => executor.store.read(address), 0, operation.b);
      const mayFault = entries.length === 0 || executor.branchesOf(0) > entries.length;
      values.push({ entries: entries.toSorted((a, b) => a - b), mayFault });
    }
    expect(executor.step(0, 0)).toBe(true);
  }
}

/** A TLB that holds at most one translation and one table pointer per page, filled and evicted whenever it likes. */
class FillAndEvict {
  readonly entries = new Map<string, number>();
  readonly tables = new Map<number, number>();
  /** `page -> leaf, page -> pointer`, as text: a state of the TLB. */
  states = new Set<string>([JSON.stringify({})]);

  constructor() {
    [1, 2].forEach((table, i) => this.tables.set(i, table));
    [
      [0, 0],
      [1, 1],
      [4, 2],
    ].forEach(([vpn, i]) => this.entries.set(key(1 + Math.floor(vpn! / 4), vpn! % 4), cacheable(mk_pte(4 + i!, RW))));
    this.#close();
  }

  step(step: Step): Values | null {
    if (step.kind === 'access') {
      const values = this.#values(step.vpn);
      if (values.entries.length === 0)
        this.#forget((vpn) => [Math.floor(vpn / 4) === Math.floor(step.vpn / 4) ? `table ${vpn}` : '']);
      return values;
    }
    if (step.kind === 'map') this.entries.set(key(step.table, step.index), leafOf(step.frame));
    if (step.kind === 'table') this.tables.set(step.index, step.table);
    this.states = new Set(
      [...this.states].map((text) => JSON.stringify(this.#invalidated(JSON.parse(text) as TlbState, step))),
    );
    this.#close();
    return null;
  }

  #invalidated(state: TlbState, step: Step): TlbState {
    const next = { ...state };
    for (const vpn of PAGES) {
      if (step.kind === 'reload') {
        delete next[`leaf ${vpn}`];
        delete next[`table ${vpn}`];
      } else if (step.kind === 'invlpg' || step.kind === 'vae1' || step.kind === 'vale1') {
        const sameTable = Math.floor(vpn / 4) === Math.floor(step.vpn / 4);
        if (vpn === step.vpn) delete next[`leaf ${vpn}`];
        if (step.kind === 'invlpg' || (step.kind === 'vae1' && sameTable)) delete next[`table ${vpn}`];
      }
    }
    return next;
  }

  /** What a fault drops. */
  #forget(keysOf: (vpn: number) => readonly string[]): void {
    const gone = new Set(PAGES.flatMap(keysOf));
    this.states = new Set(
      [...this.states].map((text) =>
        JSON.stringify(
          Object.fromEntries(Object.entries(JSON.parse(text) as TlbState).filter(([name]) => !gone.has(name))),
        ),
      ),
    );
    this.#close();
  }

  /** Every state that fills and evictions lead to. */
  #close(): void {
    const queue = [...this.states];
    for (let text = queue.pop(); text !== undefined; text = queue.pop()) {
      const state = JSON.parse(text) as TlbState;
      for (const next of PAGES.flatMap((vpn) => this.#fills(state, vpn))) {
        const nextText = JSON.stringify(
          Object.fromEntries(Object.entries(next).toSorted(([a], [b]) => (a < b ? -1 : 1))),
        );
        if (this.states.has(nextText)) continue;
        this.states.add(nextText);
        queue.push(nextText);
      }
    }
  }

  /** Walks through the cached table pointer or through memory; caching the pointer or not. */
  #fills(state: TlbState, vpn: number): TlbState[] {
    const table = this.tables.get(Math.floor(vpn / 4))!;
    const next: TlbState[] = [];
    if (table !== 0) next.push({ ...state, [`table ${vpn}`]: table });
    for (const through of [state[`table ${vpn}`] ?? 0, table]) {
      const leaf = through === 0 ? 0 : (this.entries.get(key(through, vpn % 4)) ?? 0);
      if (leaf !== 0) next.push({ ...state, [`leaf ${vpn}`]: leaf });
    }
    return next;
  }

  #values(vpn: number): Values {
    const states = [...this.states].map((text) => JSON.parse(text) as TlbState);
    const held = states.map((state) => state[`leaf ${vpn}`] ?? 0);
    // Without a leaf of its own the access walks, through the table pointer that is cached or through memory's.
    const walked = states
      .filter((state) => (state[`leaf ${vpn}`] ?? 0) === 0)
      .map((state) => state[`table ${vpn}`] ?? this.tables.get(Math.floor(vpn / 4))!)
      .map((table) => (table === 0 ? 0 : (this.entries.get(key(table, vpn % 4)) ?? 0)));
    return {
      entries: [...new Set(held)].filter((entry) => entry !== 0).toSorted((a, b) => a - b),
      mayFault: walked.includes(0),
    };
  }
}

type TlbState = Record<string, number>;
const key = (table: number, index: number): string => `${table}.${index}`;

describe('the saturated TLB', () => {
  test('lets an access use exactly what a TLB that fills and evicts at will may hold', () => {
    fc.assert(
      fc.property(fc.array(steps, { minLength: 1, maxLength: 8 }), (script) => {
        const reference = new FillAndEvict();
        const expected = script.map((step) => reference.step(step)).filter((values) => values !== null);
        expect(saturatedValues(script)).toEqual(expected);
      }),
      { numRuns: runs },
    );
  });

  test('a stale member shows until the flush', () => {
    const states: boolean[] = [];
    const { system, saturated } = smallMachine({ cpus: 1, tlb: 'saturated', pages: PAGES }, [
      function* (small) {
        yield* small.frames.xchg(small.pte(0), 0);
        yield* small.mmus[0]!.invlpg(1);
        yield* small.mmus[0]!.invlpg(0);
      },
    ]);
    const executor = new TabulatedExecutor(system);
    while (executor.step(0)) states.push(saturated!.isStale((address) => executor.store.read(address), 0, 0));
    expect(states.slice(-4)).toEqual([false, true, true, false]);
    expect(states.slice(0, -3)).not.toContain(true);
  });

  test('an access may use the old translation or the new one, and no third', () => {
    const used = new Set<number>();
    const { system } = smallMachine({ cpus: 1, tlb: 'saturated', pages: [0], pageFrames: 6 }, [
      function* ({ frames, pte, mmus }) {
        yield* frames.xchg(pte(0), mk_pte(100, RW));
        used.add((yield* mmus[0]!.access(0, false)) + 1);
      },
    ]);
    expect(everyRun(system)).toMatchObject({ violations: new Set(), deadlock: false });
    expect(used).toEqual(new Set([1]));
  });

  describe('an access whose translation the CPU may hold, but memory has no more,', () => {
    /** CPU 0 removes the entry, or its table, and does nothing else; CPU 1 accesses the page. */
    const faultsOf = (clear: 'pte' | 'pgd', write: boolean, dirtyBits = false): Set<number> => {
      const faults = new Set<number>();
      const { system } = smallMachine({ cpus: 2, tlb: 'saturated', pages: [0], dirtyBits }, [
        function* ({ frames, pte, pgd }) {
          yield* frames.xchg(clear === 'pte' ? pte(0) : pgd(0), 0);
        },
        function* ({ mmus }) {
          faults.add(yield* mmus[1]!.access(0, write));
        },
      ]);
      expect(everyRun(system)).toMatchObject({ violations: new Set(), deadlock: false });
      return faults;
    };

    test.each(['pte', 'pgd'] as const)('uses it or misses, and a walk finds nothing: %s', (clear) => {
      for (const write of [false, true])
        expect(faultsOf(clear, write)).toEqual(new Set([Fault.none, Fault.notPresent]));
      expect(faultsOf(clear, true, true)).toEqual(new Set([Fault.none, Fault.notPresent]));
    });

    test('is one step more where it decides something, and none where it does not', () => {
      const outcomes = (entry: number): number[] => {
        const { system, saturated } = smallMachine({ cpus: 1, tlb: 'saturated', pages: [0] }, [
          function* ({ frames, pte, mmus }) {
            yield* frames.xchg(pte(0), entry);
            yield* mmus[0]!.access(0, false);
          },
        ]);
        const executor = new TabulatedExecutor(system);
        while (executor.pendingOperation(0)!.definition.name !== 'access') executor.step(0);
        return [executor.branchesOf(0), saturated!.leaves((address) => executor.store.read(address), 0, 0).length];
      };
      expect(outcomes(mk_pte(100, RW))).toEqual([2, 2]);
      expect(outcomes(0)).toEqual([2, 1]);
    });

    test('leaves nothing cached when it faults (x86): the next access faults too', () => {
      const later = new Set<number>();
      const { system } = smallMachine({ cpus: 1, tlb: 'saturated', pages: [0] }, [
        function* ({ frames, pte, mmus }) {
          yield* frames.xchg(pte(0), 0);
          if ((yield* mmus[0]!.access(0, false)) !== Fault.none) later.add(yield* mmus[0]!.access(0, false));
        },
      ]);
      everyRun(system);
      expect(later).toEqual(new Set([Fault.notPresent]));
    });
  });

  test('a global entry stays when its address space is dropped, and goes with its page', () => {
    const { system, saturated } = smallMachine({ cpus: 1, tlb: 'saturated', pages: [0] }, [
      function* ({ frames, pte, mmus }) {
        yield* frames.xchg(pte(0), mk_pte(100, RW | _PAGE_GLOBAL));
        yield* frames.xchg(pte(0), 0);
        yield* mmus[0]!.reload_cr3(1);
        yield* mmus[0]!.invlpg(0);
      },
    ]);
    const executor = new TabulatedExecutor(system);
    const leaves: number[][] = [];
    while (executor.step(0)) leaves.push(saturated!.leaves((address) => executor.store.read(address), 0, 0));
    expect(leaves.slice(-2)).toEqual([[mk_pte(100, RW | _PAGE_GLOBAL)], []]);
  });

  describe('a global entry', () => {
    const GLOBAL = RW | _PAGE_GLOBAL;

    /**
     * The page is global; the CPU goes to another address space, whose tree does not have it any more, and back if
     * told.
     */
    const switching = (leaves: { after: (mmu: Small['mmus'][number]) => Steps; back?: boolean }): Set<number> => {
      const faults = new Set<number>();
      const { system } = smallMachine({ cpus: 1, tlb: 'saturated', pages: [0] }, [
        function* ({ frames, pte, mmus }) {
          const mmu = mmus[0]!;
          yield* frames.xchg(pte(0), mk_pte(100, GLOBAL));
          yield* frames.xchg(pte(0), 0);
          yield* mmu.load_root(0, 2, false);
          yield* leaves.after(mmu);
          if (leaves.back) yield* mmu.load_root(0, 1, false);
          faults.add(yield* mmu.access(0, false));
        },
      ]);
      everyRun(system);
      return faults;
    };

    test.each([false, true])('outlives a switch of address spaces, and is used in the other: back %s', (back) => {
      expect(switching({ after: function* () {}, back })).toEqual(new Set([Fault.none, Fault.notPresent]));
    });

    test('outlives a flush of either address space, and goes with INVLPG or everything', () => {
      expect(switching({ after: (mmu) => mmu.reload_cr3(1) })).toEqual(new Set([Fault.none, Fault.notPresent]));
      expect(switching({ after: (mmu) => mmu.invlpg(0) })).toEqual(new Set([Fault.notPresent]));
      expect(switching({ after: (mmu) => mmu.invpcid_all(), back: true })).toEqual(new Set([Fault.notPresent]));
    });

    test('is used by a CPU that runs on no tree of its own', () => {
      expect(switching({ after: (mmu) => mmu.load_root(-1, 0, true) })).toEqual(
        new Set([Fault.none, Fault.notPresent]),
      );
    });
  });

  describe('where entries that are not present may be cached', () => {
    /** CPU 0 maps a page that was not mapped, CPU 1 fences and accesses it. */
    const faultsOf = (fence: 'page' | 'everything' | null, cachesInvalid: boolean): Set<number> => {
      const faults = new Set<number>();
      const { system } = smallMachine({ cpus: 1, tlb: 'saturated', pages: [0], cachesInvalid }, [
        function* ({ frames, pte, mmus }) {
          yield* frames.xchg(pte(0), 0);
          yield* mmus[0]!.sfence_vma();
          yield* frames.xchg(pte(0), mk_pte(100, RW));
          if (fence !== null) yield* mmus[0]!.sfence_vma(fence === 'page' ? 0 : undefined);
          faults.add(yield* mmus[0]!.access(0, false));
        },
      ]);
      everyRun(system);
      return faults;
    };

    test('a page that has been mapped may fault until the fence', () => {
      expect(faultsOf(null, true)).toEqual(new Set([Fault.none, Fault.notPresent]));
      expect(faultsOf('page', true)).toEqual(new Set([Fault.none]));
      expect(faultsOf('everything', true)).toEqual(new Set([Fault.none]));
      expect(faultsOf(null, false)).toEqual(new Set([Fault.none]));
    });

    test('a fault does not help: the access may fault again', () => {
      const faults = new Set<number>();
      const { system } = smallMachine({ cpus: 1, tlb: 'saturated', pages: [0], cachesInvalid: true }, [
        function* ({ frames, pte, mmus }) {
          yield* frames.xchg(pte(0), 0);
          yield* frames.xchg(pte(0), mk_pte(100, RW));
          if ((yield* mmus[0]!.access(0, false)) !== Fault.none) faults.add(yield* mmus[0]!.access(0, false));
        },
      ]);
      everyRun(system);
      expect(faults).toEqual(new Set([Fault.none, Fault.notPresent]));
    });

    test('a fence of the page leaves what is cached of the tables above', () => {
      const faults: Set<number>[] = [new Set(), new Set()];
      for (const [i, everything] of [false, true].entries()) {
        const { system } = smallMachine({ cpus: 1, tlb: 'saturated', pages: [0], cachesInvalid: true }, [
          function* ({ frames, pgd, mmus }) {
            const table = yield* frames.xchg(pgd(0), 0);
            yield* mmus[0]!.sfence_vma();
            yield* frames.xchg(pgd(0), table);
            yield* mmus[0]!.sfence_vma(everything ? undefined : 0);
            faults[i]!.add(yield* mmus[0]!.access(0, false));
          },
        ]);
        everyRun(system);
      }
      expect(faults).toEqual([new Set([Fault.none, Fault.notPresent]), new Set([Fault.none])]);
    });
  });

  describe('a table that is freed', () => {
    const freeing = (flush: boolean) =>
      function* ({ frames, pgd, mmus }: Small): Steps {
        yield* frames.xchg(pgd(4), 0);
        if (flush) yield* mmus[0]!.tlbi_is({ scope: 'page', vpn: 4, asid: 1, leafOnly: false });
        if (flush) yield* mmus[0]!.dsb('ish');
        yield* frames.free(2);
      };
    const idle = function* (): Steps {};

    test('before every CPU has dropped its pointer is a violation, even if that CPU never touches the page', () => {
      const { system } = smallMachine({ cpus: 2, tlb: 'saturated', pages: [4] }, [freeing(false), idle]);
      expect(everyRun(system).violations).toEqual(new Set([FREED_FRAME]));
    });

    test('after a broadcast TLBI VAE1 and DSB is none', () => {
      const { system } = smallMachine({ cpus: 2, tlb: 'saturated', pages: [4] }, [freeing(true), idle]);
      expect(everyRun(system)).toMatchObject({ violations: new Set(), deadlock: false });
    });

    test('is no concern of a CPU that comes back to the tree with a flush; without one it is', () => {
      const comingBack = (noflush: boolean): Set<string> =>
        new Set(
          everyRun(
            smallMachine({ cpus: 1, tlb: 'saturated', pages: [4] }, [
              function* (small) {
                yield* small.mmus[0]!.load_root(-1, 0, true);
                yield* freeing(false)(small);
                yield* small.mmus[0]!.load_root(0, 1, noflush);
              },
            ]).system,
          ).violations,
        );
      expect(comingBack(false)).toEqual(new Set());
      expect(comingBack(true)).toEqual(new Set([FREED_FRAME]));
    });

    test('is no concern of a CPU that has left the tree', () => {
      const { system } = smallMachine({ cpus: 1, tlb: 'saturated', pages: [4] }, [
        function* (small) {
          yield* small.mmus[0]!.load_root(-1, 0, true);
          yield* freeing(false)(small);
        },
      ]);
      expect(everyRun(system).violations).toEqual(new Set());
    });
  });

  test('a large translation goes to the part of its page that is asked for: it must not have been freed', () => {
    /** Pages 0 to 3 become one large page; one part of it is freed, and nothing is flushed. */
    const violations = (freed: number): ReadonlySet<string> => {
      const { system } = smallMachine({ cpus: 1, tlb: 'saturated', pages: [0, 1] }, [
        function* ({ frames, pte, pgd, mmus }) {
          const parts = [pte_pfn(yield* frames.read(pte(0))), pte_pfn(yield* frames.read(pte(1)))];
          yield* frames.xchg(pgd(0), mk_pte(parts[0]!, RW | _PAGE_PSE));
          yield* mmus[0]!.invpcid_all();
          yield* frames.free(parts[freed]!);
          yield* mmus[0]!.access(1, false);
        },
      ]);
      return everyRun(system).violations;
    };
    expect(violations(0)).toEqual(new Set());
    expect(violations(1)).toEqual(new Set([FREED_FRAME]));
  });

  test.each([
    ['x86', undefined, [Fault.none]],
    ['arm64', BBML0, [Fault.none, Fault.protection]],
  ] as const)('after a fault through an old entry the next access may take it again: %s', (_name, rule, again) => {
    const later = new Set<number>();
    const { system } = smallMachine({ cpus: 1, tlb: 'saturated', pages: [0], ...(rule && { breakBeforeMake: rule }) }, [
      function* ({ frames, pte, mmus }) {
        const writable = yield* frames.read(pte(0));
        yield* frames.xchg(pte(0), writable & ~_PAGE_RW);
        yield* mmus[0]!.tlbi_local({ scope: 'all', vpn: 0, asid: -1, leafOnly: false });
        yield* frames.xchg(pte(0), writable);
        if ((yield* mmus[0]!.access(0, true)) === Fault.protection) later.add(yield* mmus[0]!.access(0, true));
      },
    ]);
    expect(everyRun(system).violations).toEqual(new Set());
    expect(later).toEqual(new Set(again));
  });

  describe('with dirty bits, a write', () => {
    test('marks its entry in a table that memory has no more, but the CPU may still have a pointer to', () => {
      const [faults, left] = [new Set<number>(), new Set<number>()];
      const { system } = smallMachine({ cpus: 1, tlb: 'saturated', pages: [0], dirtyBits: true }, [
        function* ({ frames, pte, pgd, mmus }) {
          const entry = yield* frames.read(pte(0));
          yield* frames.xchg(pgd(0), 0);
          const fault = yield* mmus[0]!.access(0, true);
          faults.add(fault);
          if (fault === Fault.none) left.add((yield* frames.read(pte(0))) ^ entry);
        },
      ]);
      expect(everyRun(system).violations).toEqual(new Set());
      expect(faults).toEqual(new Set([Fault.none, Fault.notPresent]));
      expect(left).toEqual(new Set([_PAGE_DIRTY]));
    });

    /** CPU 0 clears the entry, flushes nothing, and CPU 1 writes at any time; what memory and the writes came to. */
    const writes = (initial: number): { readonly faults: Set<number>; readonly cleared: Set<number> } => {
      const [faults, cleared] = [new Set<number>(), new Set<number>()];
      const { system } = smallMachine({ cpus: 2, tlb: 'saturated', pages: [0], pageFrames: 6, dirtyBits: true }, [
        function* ({ frames, pte }) {
          yield* frames.xchg(pte(0), initial);
          cleared.add(yield* frames.xchg(pte(0), 0));
        },
        function* ({ mmus }) {
          faults.add(yield* mmus[1]!.access(0, true));
        },
      ]);
      expect(everyRun(system)).toMatchObject({ violations: new Set(), deadlock: false });
      return { faults, cleared };
    };
    const clean = mk_pte(100, RW);

    test('through an entry that is clean sets the bit in memory, or faults when the entry is gone', () => {
      expect(writes(clean)).toEqual({
        faults: new Set([Fault.none, Fault.notPresent]),
        cleared: new Set([clean, clean | _PAGE_ACCESSED | _PAGE_DIRTY]),
      });
    });

    test('through an entry that is dirty goes on when memory has it no more, or misses', () => {
      const late: number[] = [];
      const { system } = smallMachine({ cpus: 1, tlb: 'saturated', pages: [0], pageFrames: 6, dirtyBits: true }, [
        function* ({ frames, pte, mmus }) {
          yield* frames.xchg(pte(0), clean | _PAGE_DIRTY);
          yield* mmus[0]!.invlpg(0);
          yield* frames.xchg(pte(0), 0);
          late.push(yield* mmus[0]!.access(0, true));
        },
      ]);
      expect(everyRun(system)).toMatchObject({ violations: new Set(), deadlock: false });
      expect(new Set(late)).toEqual(new Set([Fault.none, Fault.notPresent]));
    });

    test('through an entry that writeback has made read-only in memory faults', () => {
      const late: number[] = [];
      const { system } = smallMachine({ cpus: 1, tlb: 'saturated', pages: [0], pageFrames: 6, dirtyBits: true }, [
        function* ({ frames, pte, mmus }) {
          yield* frames.xchg(pte(0), clean);
          yield* mmus[0]!.invlpg(0);
          yield* frames.xchg(pte(0), clean & ~_PAGE_RW);
          late.push(yield* mmus[0]!.access(0, true));
        },
      ]);
      everyRun(system);
      expect(new Set(late)).toEqual(new Set([Fault.protection]));
    });
  });

  test('a page that is not followed is refused', () => {
    const { saturated } = smallMachine({ cpus: 1, tlb: 'saturated', pages: [4] }, [function* (): Steps {}]);
    expect(() => saturated!.translate(0, 5).next()).toThrow('mmu: translate: page 0x5 is not followed (have: 4)');
  });
});
