import {
  DirectExecutor,
  Frames,
  program,
  RandomScheduler,
  routine,
  runScheduler,
  SystemBuilder,
  type Steps,
} from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import {
  BBML0,
  BBML2_NOABORT,
  BREAK_BEFORE_MAKE,
  changeThatNeedsBreak,
  reportChangesInPlace,
  type BreakBeforeMakeRule,
} from './break-before-make.ts';
import {
  _PAGE_ACCESSED,
  _PAGE_CONT,
  _PAGE_DIRTY,
  _PAGE_GLOBAL,
  _PAGE_NC,
  _PAGE_NX,
  _PAGE_PSE,
  _PAGE_RW,
  _PAGE_TABLE,
  mk_pte,
} from './entry.ts';
import { randomRuns, RO, RW, smallMachine, type Small } from './machines.test-support.ts';

const of = (frame: number, flags: number, leaf = true) => ({ entry: mk_pte(frame, flags), leaf });

describe('changes that need a break (Arm ARM D8.16.1)', () => {
  it.each([
    ['output address', of(1, RW), of(2, RW)],
    ['table address', of(1, _PAGE_TABLE, false), of(2, _PAGE_TABLE, false)],
    ['block size', of(1, _PAGE_TABLE, false), of(1, RW | _PAGE_PSE)],
    ['memory type', of(1, RW), of(1, RW | _PAGE_NC)],
    ['contiguous bit', of(1, RW), of(1, RW | _PAGE_CONT)],
    ['non-global to global', of(1, RW), of(1, RW | _PAGE_GLOBAL)],
  ])('%s', (what, old, now) => {
    expect(changeThatNeedsBreak(old, now, BBML0)).toBe(what);
  });

  it.each([
    ['permissions', of(1, RW), of(1, RO)],
    ['accessed and dirty bits', of(1, RW), of(1, RW | _PAGE_ACCESSED | _PAGE_DIRTY)],
    ['global to non-global', of(1, RW | _PAGE_GLOBAL), of(1, RW)],
  ])('%s need none', (_, old, now) => {
    expect(changeThatNeedsBreak(old, now, BBML0)).toBeNull();
  });

  it('the address of a read-only page may change to a page that holds the same', () => {
    const rule: BreakBeforeMakeRule = { level: 0, sameContents: (a, b) => a + b === 3 };
    expect(changeThatNeedsBreak(of(1, RO), of(2, RO), rule)).toBeNull();
    expect(changeThatNeedsBreak(of(1, RO), of(3, RO), rule)).toBe('output address');
    expect(changeThatNeedsBreak(of(1, RW), of(2, RO), rule)).toBe('output address');
  });

  it.each([
    [1, 'contiguous bit', 'block size'],
    [2, null, null],
  ] as const)('BBML%i', (level, bit, size) => {
    expect(changeThatNeedsBreak(of(1, RW), of(1, RW | _PAGE_CONT), { level })).toBe(bit);
    expect(changeThatNeedsBreak(of(1, _PAGE_TABLE, false), of(1, RW), { level })).toBe(size);
  });

  it('with erratum 2645198 a page that is no longer executable needs one; one that becomes executable does not', () => {
    const rule: BreakBeforeMakeRule = { level: 0, executableNeedsBreak: true };
    expect(changeThatNeedsBreak(of(1, RO), of(1, RO | _PAGE_NX), rule)).toBe('execute permission');
    expect(changeThatNeedsBreak(of(1, RO | _PAGE_NX), of(1, RO), rule)).toBeNull();
    expect(changeThatNeedsBreak(of(1, RO), of(1, RO | _PAGE_NX), BBML0)).toBeNull();
  });

  it('BBML2 lets nobody change an address in place', () => {
    expect(changeThatNeedsBreak(of(1, RW), of(2, RW), BBML2_NOABORT)).toBe('output address');
  });
});

describe('a machine with the saturated TLB of arm64', () => {
  const runs = (body: (small: Small) => Steps) =>
    randomRuns(smallMachine({ cpus: 2, tlb: 'saturated', breakBeforeMake: BBML0 }, [body, idle]).system, 20);
  function* idle(): Steps {}

  it('reports an address that is changed in place, and who may hold the old one', () => {
    const [run] = runs(function* ({ frames, pte }) {
      yield* frames.xchg(pte(0), mk_pte(5, _PAGE_RW | RO));
    });
    expect(run?.violation?.property).toBe(BREAK_BEFORE_MAKE);
    expect(run?.violation?.detail).toMatch(/output address of page 0x0 changed from .* to 0x5.*, CPU\d.* may hold/);
  });

  it('reports one that is cleared and set again before the TLBI is complete', () => {
    const found = runs(function* ({ frames, pte, mmus }) {
      yield* frames.xchg(pte(0), 0);
      yield* mmus[0]!.tlbi_is({ scope: 'page', vpn: 0, asid: 1, leafOnly: true });
      yield* frames.xchg(pte(0), mk_pte(5, RW));
    });
    expect(found.some(({ violation }) => violation?.property === BREAK_BEFORE_MAKE)).toBe(true);
  });

  it('says nothing of break-before-make', () => {
    const found = runs(function* ({ frames, pte, mmus }) {
      yield* frames.xchg(pte(0), 0);
      yield* mmus[0]!.tlbi_is({ scope: 'page', vpn: 0, asid: 1, leafOnly: true });
      yield* mmus[0]!.dsb('ish');
      yield* frames.xchg(pte(0), mk_pte(5, RW));
    });
    expect(found.map(({ violation }) => violation)).toEqual(found.map(() => null));
  });
});

describe('a machine of arm64 with the TLBs of hardware', () => {
  it.each([
    ['another page', [mk_pte(2, RW), mk_pte(3, RW)], 'output address'],
    ['another table', [mk_pte(0, _PAGE_TABLE), mk_pte(1, _PAGE_TABLE)], 'table address'],
    ['a table in place of a block', [mk_pte(2, RW | _PAGE_PSE), mk_pte(1, _PAGE_TABLE)], 'block size'],
    ['permissions', [mk_pte(2, RW), mk_pte(2, RO)], null],
    ['another page, cleared first', [mk_pte(2, RW), 0, mk_pte(3, RW)], null],
  ])('%s', (_, entries, what) => {
    const builder = new SystemBuilder();
    const frames = new Frames(builder, { tables: 2, entriesPerTable: 2, pages: 2, initialTables: [[], []] });
    reportChangesInPlace(builder, frames);
    const writes = routine('writes', function* (): Steps {
      for (const entry of entries) yield* frames.write(frames.entry(0, 1), entry);
    });
    builder.processor({ name: 'CPU0', tasks: [program(writes)] });
    const executor = new DirectExecutor(builder.build());
    executor.observe = true;
    const { violation } = runScheduler(executor, new RandomScheduler(1), 10);
    expect(violation?.property ?? null).toBe(what && BREAK_BEFORE_MAKE);
    if (what) expect(violation?.detail).toMatch(new RegExp(`^${what} of entry 1 of table 0x0 changed`));
  });
});
