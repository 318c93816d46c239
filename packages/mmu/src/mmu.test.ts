import { DirectExecutor, FREED_FRAME, runVirtualTime, x86Costs, type Steps } from '@shootdown/machine';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { _PAGE_DIRTY, _PAGE_RW, mk_pte, pte_pfn } from './entry.ts';
import { everyRun } from '@shootdown/machine/every-run';
import { STALE_TRANSLATION } from './flush-monitor.ts';
import { randomRuns, RO, RW, smallMachine, type Small } from './machines.test-support.ts';
import { Fault } from './walk.ts';

/** What accesses came to that was not expected. */
const surprises: string[] = [];

/** Runs one routine alone; returns its counters. */
function alone(body: (small: Small) => Steps): Map<string, number> {
  surprises.length = 0;
  const { system } = smallMachine({ cpus: 1, tlb: 'real' }, [body]);
  const executor = new DirectExecutor(system);
  const counts = new Map<string, number>();
  executor.observe = true;
  executor.onCount = (_, counter, amount) => counts.set(counter, (counts.get(counter) ?? 0) + amount);
  const run = runVirtualTime(executor, { costs: x86Costs });
  expect(run.end).toBe('rest');
  return counts;
}

function* expectAccess({ mmus }: Small, vpn: number, write: boolean, fault: number): Steps {
  const came = yield* mmus[0]!.access(vpn, write);
  if (came !== fault) surprises.push(`${write ? 'write' : 'read'} of page ${vpn}: ${came} instead of ${fault}`);
}

describe('an access', () => {
  test('misses once, then hits the L1; what falls out of the L1 hits the L2', () => {
    const counts = alone(function* (small) {
      for (const vpn of [0, 0, 1, 4, 0]) yield* expectAccess(small, vpn, false, Fault.none);
    });
    expect(surprises).toEqual([]);
    expect(Object.fromEntries(counts)).toEqual({
      tlb_miss: 3,
      tlb_l1_hit: 1,
      tlb_l2_hit: 1,
      walk_references: 2 + 1 + 2,
    });
  });

  test('the first write through a clean entry walks again and sets dirty in memory; the second hits', () => {
    const counts = alone(function* (small) {
      yield* expectAccess(small, 0, false, Fault.none);
      expect((yield* small.frames.read(small.pte(0))) & _PAGE_DIRTY).toBe(0);
      yield* expectAccess(small, 0, true, Fault.none);
      expect((yield* small.frames.read(small.pte(0))) & _PAGE_DIRTY).toBe(_PAGE_DIRTY);
      yield* expectAccess(small, 0, true, Fault.none);
    });
    expect(counts.get('tlb_miss')).toBe(2);
  });

  test('may find in exploration that its translation has been evicted, or the pointer to its table, too', () => {
    const faultsOf = (clear: 'pte' | 'pgd'): Set<number> => {
      const faults = new Set<number>();
      const { system } = smallMachine({ cpus: 1, tlb: 'real', pages: [0] }, [
        function* ({ frames, pte, pgd, mmus }) {
          yield* mmus[0]!.access(0, false);
          yield* frames.xchg(clear === 'pte' ? pte(0) : pgd(0), 0);
          faults.add(yield* mmus[0]!.access(0, false));
        },
      ]);
      expect(everyRun(system)).toMatchObject({ violations: new Set(), deadlock: false });
      return faults;
    };
    for (const clear of ['pte', 'pgd'] as const)
      expect(faultsOf(clear)).toEqual(new Set([Fault.none, Fault.notPresent]));
  });

  test('a stale entry is used until it is flushed', () => {
    alone(function* (small) {
      yield* expectAccess(small, 0, true, Fault.none);
      yield* small.frames.xchg(small.pte(0), 0);
      yield* expectAccess(small, 0, true, Fault.none);
      yield* small.mmus[0]!.invlpg(0);
      yield* expectAccess(small, 0, true, Fault.notPresent);
    });
    expect(surprises).toEqual([]);
  });

  test('a stale read-only entry costs one spurious fault at most: the fault drops it', () => {
    alone(function* (small) {
      yield* small.frames.xchg(small.pte(0), mk_pte(4, RO));
      yield* expectAccess(small, 0, false, Fault.none);
      yield* small.frames.xchg(small.pte(0), mk_pte(4, RW));
      yield* expectAccess(small, 0, true, Fault.none);
    });
    expect(surprises).toEqual([]);
  });

  test('a fault drops the table pointer it went through, so that it does not recur', () => {
    alone(function* (small) {
      yield* expectAccess(small, 0, false, Fault.none);
      yield* small.frames.xchg(small.pgd(0), mk_pte(2, RW));
      yield* expectAccess(small, 2, false, Fault.notPresent);
      yield* small.frames.xchg(small.frames.entry(2, 2), mk_pte(5, RW));
      yield* expectAccess(small, 2, false, Fault.none);
    });
    expect(surprises).toEqual([]);
  });

  test('a table that is read-only from above stays so when its pointer is cached', () => {
    alone(function* (small) {
      yield* small.frames.xchg(small.pgd(0), mk_pte(1, RO));
      yield* small.frames.xchg(small.pte(0), mk_pte(4, RW | _PAGE_DIRTY));
      yield* expectAccess(small, 1, false, Fault.none);
      yield* expectAccess(small, 0, false, Fault.none);
      yield* expectAccess(small, 0, true, Fault.protection);
    });
    expect(surprises).toEqual([]);
  });
});

describe('invalidation', () => {
  const cached = function* (small: Small): Steps {
    for (const vpn of [0, 1, 4]) yield* expectAccess(small, vpn, false, Fault.none);
    for (const vpn of [0, 1, 4]) yield* small.frames.xchg(small.pte(vpn), 0);
  };

  test('INVLPG drops its page and leaves others', () => {
    alone(function* (small) {
      yield* cached(small);
      yield* small.mmus[0]!.invlpg(1);
      for (const [vpn, fault] of [
        [0, Fault.none],
        [1, Fault.notPresent],
        [4, Fault.none],
      ] as const)
        yield* expectAccess(small, vpn, false, fault);
    });
    expect(surprises).toEqual([]);
  });

  test.each([
    ['a CR3 write', (small: Small) => small.mmus[0]!.load_root(0, 1, false)],
    ['a CR3 write with the value it has', (small: Small) => small.mmus[0]!.reload_cr3(1)],
    ['INVPCID type 1', (small: Small) => small.mmus[0]!.invpcid_single_context(1)],
    ['INVPCID type 2', (small: Small) => small.mmus[0]!.invpcid_all()],
    ['TLBI ASIDE1', (small: Small) => small.mmus[0]!.tlbi_local({ scope: 'asid', vpn: 0, asid: 1, leafOnly: false })],
  ])('%s drops the address space', (_, flush) => {
    alone(function* (small) {
      yield* cached(small);
      yield* flush(small);
      for (const vpn of [0, 1, 4]) yield* expectAccess(small, vpn, false, Fault.notPresent);
    });
    expect(surprises).toEqual([]);
  });

  test.each([
    ['a CR3 write with bit 63', (small: Small) => small.mmus[0]!.load_root(0, 1, true)],
    ['INVPCID type 1 for another PCID', (small: Small) => small.mmus[0]!.invpcid_single_context(2)],
    [
      'TLBI VAE1 for another ASID',
      (small: Small) => small.mmus[0]!.tlbi_local({ scope: 'page', vpn: 0, asid: 2, leafOnly: false }),
    ],
  ])('%s drops nothing', (_, flush) => {
    alone(function* (small) {
      yield* cached(small);
      yield* flush(small);
      for (const vpn of [0, 1, 4]) yield* expectAccess(small, vpn, false, Fault.none);
    });
    expect(surprises).toEqual([]);
  });

  const walks = (flush: (small: Small) => Steps): number | undefined =>
    alone(function* (small) {
      yield* expectAccess(small, 0, false, Fault.none);
      yield* expectAccess(small, 4, false, Fault.none);
      yield* flush(small);
      yield* expectAccess(small, 1, false, Fault.none);
      yield* small.mmus[0]!.tlbi_local({ scope: 'page', vpn: 4, asid: 1, leafOnly: true });
      yield* expectAccess(small, 4, false, Fault.none);
    }).get('walk_references');

  test('INVLPG drops every paging-structure cache of the PCID, TLBI VAE1 those of its page, TLBI VALE1 none', () => {
    expect(walks((small) => small.mmus[0]!.invlpg(0))).toBe(4 + 2 + 2);
    expect(walks((small) => small.mmus[0]!.tlbi_local({ scope: 'page', vpn: 0, asid: 1, leafOnly: false }))).toBe(
      4 + 2 + 1,
    );
    expect(walks((small) => small.mmus[0]!.tlbi_local({ scope: 'page', vpn: 0, asid: 1, leafOnly: true }))).toBe(
      4 + 1 + 1,
    );
  });
});

/** arm64: entries change, TLBIs go out, and after the DSB the frame is put. */
function unmapper(vpns: readonly number[], options: { readonly dsb: boolean; readonly flushFirst?: boolean }) {
  return function* ({ frames, mmus, monitor, pte }: Small, cpu: number): Steps {
    for (const vpn of vpns) {
      const old = options.flushFirst ? yield* frames.read(pte(vpn)) : yield* frames.xchg(pte(vpn), 0);
      yield* monitor.begin(cpu, vpn, vpn + 1);
      yield* mmus[cpu]!.dsb('ishst');
      yield* mmus[cpu]!.tlbi_is({ scope: 'page', vpn, asid: 1, leafOnly: true });
      if (options.dsb) yield* mmus[cpu]!.dsb('ish');
      yield* monitor.end(cpu, vpn, vpn + 1);
      if (options.flushFirst) yield* frames.xchg(pte(vpn), 0);
      if (pte_pfn(old) !== 0) yield* frames.put(pte_pfn(old));
    }
  };
}

function reader(vpns: readonly number[]) {
  return function* ({ mmus }: Small, cpu: number): Steps {
    for (const vpn of vpns) yield* mmus[cpu]!.access(vpn, false);
  };
}

describe('broadcast TLBI', () => {
  test.each(['real', 'saturated'] as const)('%s TLB: after dsb(ish) no CPU uses the page, in every run', (tlb) => {
    const { system } = smallMachine({ cpus: 2, tlb, pages: [0] }, [unmapper([0], { dsb: true }), reader([0, 0, 0])]);
    expect(everyRun(system)).toMatchObject({ violations: new Set(), deadlock: false });
  });

  test.each(['real', 'saturated'] as const)('%s TLB: without the DSB the other CPU may still use it', (tlb) => {
    const { system } = smallMachine({ cpus: 2, tlb, pages: [0] }, [unmapper([0], { dsb: false }), reader([0, 0, 0])]);
    expect(everyRun(system).violations).toContain(STALE_TRANSLATION);
  });

  test.each(['real', 'saturated'] as const)('%s TLB: flushed before it is cleared, the page comes back', (tlb) => {
    const { system } = smallMachine({ cpus: 2, tlb, pages: [0] }, [
      unmapper([0], { dsb: true, flushFirst: true }),
      reader([0, 0, 0]),
    ]);
    expect(everyRun(system).violations).toEqual(new Set([FREED_FRAME]));
  });

  test('three CPUs, random schedules: after a completed flush nobody uses a translation that memory no longer offers', () => {
    const change = fc.constantFrom(0, 1, 4).map((vpn) => ({ vpn }));
    fc.assert(
      fc.property(
        fc.array(change, { minLength: 1, maxLength: 5 }),
        fc.array(fc.constantFrom(0, 1, 4), { maxLength: 12 }),
        fc.nat(1000),
        (changes, accesses, seed) => {
          const { system } = smallMachine({ cpus: 3, tlb: 'real' }, [
            unmapper(
              changes.map((c) => c.vpn),
              { dsb: true },
            ),
            reader(accesses),
            reader(accesses.toReversed()),
          ]);
          for (const run of randomRuns(system, 1 + (seed % 3)))
            expect(run).toMatchObject({ end: 'rest', violation: null });
        },
      ),
      { numRuns: 150 },
    );
  });

  test('more TLBIs than the interconnect holds wait, and all arrive', () => {
    const { system } = smallMachine({ cpus: 2, tlb: 'real' }, [
      function* ({ mmus }) {
        for (let i = 0; i < 40; i++) yield* mmus[0]!.tlbi_is({ scope: 'page', vpn: 0, asid: 1, leafOnly: true });
        yield* mmus[0]!.dsb('ish');
      },
      reader([0]),
    ]);
    expect(randomRuns(system, 20).map((run) => run.end)).toEqual(Array.from({ length: 20 }, () => 'rest'));
  });
});

describe('under tso', () => {
  test('INVLPG and CR3 writes wait until the own stores are in memory', () => {
    for (const flush of [
      (small: Small) => small.mmus[0]!.invlpg(0),
      (small: Small) => small.mmus[0]!.reload_cr3(1),
      (small: Small) => small.mmus[0]!.invpcid_all(),
    ]) {
      const { system } = smallMachine({ cpus: 1, tlb: 'saturated', memoryModel: 'tso', pages: [0] }, [
        function* (small) {
          yield* small.frames.write(small.pte(0), 0);
          yield* flush(small);
          yield* expectAccess(small, 0, false, Fault.notPresent);
        },
      ]);
      expect(everyRun(system)).toMatchObject({ deadlock: false, violations: new Set() });
      expect(surprises).toEqual([]);
    }
  });

  test('the walker reads memory, not the store buffer', () => {
    const faults = new Set<number>();
    const { system } = smallMachine({ cpus: 1, tlb: 'saturated', memoryModel: 'tso', pages: [0] }, [
      function* ({ frames, mmus, pte }) {
        yield* frames.write(pte(0), mk_pte(5, RW & ~_PAGE_RW));
        faults.add(yield* mmus[0]!.access(0, true));
      },
    ]);
    everyRun(system);
    expect(faults).toEqual(new Set([Fault.none, Fault.protection]));
  });
});
