import {
  DirectExecutor,
  Frames,
  program,
  Random,
  routine,
  SystemBuilder,
  type MemoryModel,
  type Steps,
} from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { BBML0, BBML2_NOABORT, BREAK_BEFORE_MAKE, TLB_CONFLICT } from './break-before-make.ts';
import { cachedForm } from './cached-form.ts';
import { ContiguousTlb, type ContiguousTlbOptions, type Translator } from './contiguous-tlb.ts';
import {
  _PAGE_ACCESSED,
  _PAGE_CONT,
  _PAGE_GLOBAL,
  _PAGE_PRESENT,
  _PAGE_RDONLY,
  _PAGE_RW,
  _PAGE_USER,
  mk_pte,
} from './entry.ts';
import { connectMmus } from './instructions.ts';
import { Fault } from './walk.ts';

const BLOCK = 4;
const FIRST = 4;
const CLEAN = _PAGE_PRESENT | _PAGE_USER | _PAGE_RW | _PAGE_RDONLY | _PAGE_ACCESSED;
const FOLDED = CLEAN | _PAGE_CONT;

interface Small {
  readonly frames: Frames;
  readonly tlb: ContiguousTlb;
}

/** One table of two blocks, the first one mapped; CPU0 runs a routine. */
function machine(
  flags: number,
  body: (small: Small) => Steps,
  options: Partial<ContiguousTlbOptions> = {},
  translators: readonly Translator[] = [{ name: 'CPU0' }, { name: 'CPU1' }],
  memoryModel: MemoryModel = 'sc',
) {
  const builder = new SystemBuilder({ memoryModel });
  const frames = new Frames(builder, {
    tables: BLOCK,
    entriesPerTable: 2 * BLOCK,
    pages: BLOCK,
    initialTables: [Array.from({ length: 2 * BLOCK }, (_, i) => (i < BLOCK ? mk_pte(FIRST + i, flags) : 0))],
    initialPages: BLOCK,
  });
  const tlb = new ContiguousTlb(builder, translators, frames, { blockEntries: BLOCK, root: 0, ...options });
  connectMmus(builder, tlb.mmus, 'dvm');
  builder.processor({ name: 'CPU0', tasks: [program(routine('test', () => body({ frames, tlb })))] });
  const executor = new DirectExecutor(builder.build());
  const read = (address: number): number => executor.store.read(address);
  return { executor, tlb, read };
}

/** Runs CPU0 alone to its end. */
function run(executor: DirectExecutor): string | null {
  const { choices } = executor.system;
  for (let moved = true; moved && !executor.violation;) moved = choices.some((_, choice) => executor.step(choice, 0));
  return executor.violation?.property ?? null;
}

const idle = function* (): Steps {};

describe('the saturated TLB with contiguous entries', () => {
  it('begins with no table whose entries contradict one another: nothing would ever compare them', () => {
    const mixed = (other: number, options: Partial<ContiguousTlbOptions> = {}) => {
      const builder = new SystemBuilder();
      const [first, , ...rest] = Array.from({ length: BLOCK }, (_, i) => mk_pte(FIRST + i, FOLDED));
      const initialTables = [[first!, other, ...rest, 0, 0, 0, 0]];
      const frames = new Frames(builder, {
        tables: BLOCK,
        entriesPerTable: 2 * BLOCK,
        pages: BLOCK,
        initialTables,
        initialPages: BLOCK,
      });
      return new ContiguousTlb(builder, [{ name: 'CPU0' }], frames, { blockEntries: BLOCK, root: 0, ...options });
    };
    const unfolded = mk_pte(FIRST + 1, CLEAN);
    expect(() => mixed(mk_pte(FIRST + BLOCK + 1, FOLDED))).toThrow('mmu: contiguous TLB: the table to begin with:');
    expect(() => mixed(unfolded)).toThrow('mmu: contiguous TLB: the table to begin with:');
    expect(() => mixed(unfolded, { breakBeforeMake: false })).not.toThrow();
    expect(() => mixed(unfolded, { rule: BBML2_NOABORT })).not.toThrow();
    expect(() => mixed(mk_pte(FIRST + 1, FOLDED & ~_PAGE_RW))).not.toThrow();
  });

  it('has who ignores the contiguous bit mark the own entry of a page dirty, and no other', () => {
    const { tlb, read } = machine(FOLDED, idle, {}, [{ name: 'CPU0' }, { name: 'CPU1', ignoresContiguous: true }]);
    const updated = (who: number): number[] => tlb.mmus[who]!.outcomes(read, 1, true).map(({ updates }) => updates);
    expect(updated(0)).toHaveLength(BLOCK);
    expect(updated(1)).toEqual([tlb.frames.entry(0, 1).address]);
  });

  it('serves every page of a block by any of its entries', () => {
    const { executor, tlb, read } = machine(FOLDED, function* ({ frames }) {
      yield* frames.xchg(frames.entry(0, 2), 0);
    });
    run(executor);
    expect(tlb.translations(read, 1, 2)).toHaveLength(1);
    expect(tlb.mmus[1]!.outcomes(read, 2, false).map(({ fault }) => fault)).toEqual([Fault.none, Fault.notPresent]);
  });

  it('loses what is held for the block to an invalidation of any of its pages, but not what is held for another page', () => {
    const { executor, tlb, read } = machine(FOLDED, function* (small) {
      for (let page = 0; page < BLOCK; page++) yield* small.frames.xchg(small.frames.entry(0, page), 0);
      yield* small.tlb.mmus[0]!.tlbi_local({ scope: 'page', vpn: 1, asid: 1, leafOnly: true });
    });
    run(executor);
    expect(tlb.translations(read, 0, 1)).toEqual([]);
    // Held for its own page alone it survives.
    expect(tlb.translations(read, 0, 3)).toHaveLength(1);
    expect(tlb.translations(read, 1, 1)).toHaveLength(1);
  });

  it('takes a range in one instruction', () => {
    const { executor, tlb, read } = machine(CLEAN, function* (small) {
      for (let page = 0; page < BLOCK; page++) yield* small.frames.xchg(small.frames.entry(0, page), 0);
      yield* small.tlb.mmus[0]!.tlbi_is({ scope: 'page', vpn: 0, pages: 3, asid: 1, leafOnly: true });
      yield* small.tlb.mmus[0]!.dsb('ish');
    });
    run(executor);
    expect([0, 1, 2, 3].map((page) => tlb.translations(read, 1, page).length)).toEqual([0, 0, 0, 1]);
  });

  it.each([
    ['may still be used on another CPU where nobody has waited', false, 1],
    ['is gone everywhere once the DSB is complete', true, 0],
  ])('what a broadcast invalidation is for %s', (_, waits, left) => {
    const { executor, tlb, read } = machine(CLEAN, function* (small) {
      yield* small.frames.xchg(small.frames.entry(0, 0), 0);
      yield* small.tlb.mmus[0]!.tlbi_is({ scope: 'page', vpn: 0, asid: 1, leafOnly: true });
      if (waits) yield* small.tlb.mmus[0]!.dsb('ish');
    });
    const choices = executor.system.choices.map((choice, index) => ({ ...choice, index }));
    const of = (kind: string) => choices.filter((choice) => choice.kind === kind).map(({ index }) => index);
    const tries = (kind: string): boolean => of(kind).some((choice) => executor.step(choice));
    // Messages are delivered only where somebody waits for them.
    while (tries('advance') || (waits && tries('deliver')));
    expect(executor.isDone(0)).toBe(true);
    expect(tlb.translations(read, 1, 0)).toHaveLength(left);
  });

  it.each([
    ['sc', false, 0],
    ['arm', true, 0],
    // The walk may have come before the store.
    ['arm', false, 1],
    // A queue in memory is seen after what was stored before.
    ['arm', 'by a queue', 0],
  ] as const)('on %s an invalidation after a store (a DSB in between: %s) leaves %i', (memoryModel, ordered, left) => {
    const { executor, tlb, read } = machine(
      CLEAN,
      function* ({ frames, tlb: { mmus } }) {
        yield* frames.xchg(frames.entry(0, 0), 0);
        if (ordered === true) yield* mmus[0]!.dsb('ishst');
        yield* mmus[0]!.tlbi_is({ scope: 'page', vpn: 0, asid: 1, leafOnly: true });
        yield* mmus[0]!.dsb('ish');
      },
      {},
      undefined,
      memoryModel,
    );
    tlb.mmus[1]!.queued = ordered === 'by a queue';
    expect(run(executor)).toBeNull();
    expect(tlb.translations(read, 1, 0)).toHaveLength(left);
    // What has not changed comes back in any case.
    expect(tlb.translations(read, 1, 1)).toHaveLength(1);
  });

  describe('on arm', () => {
    const PAGE = { scope: 'page', vpn: 0, asid: 1, leafOnly: true } as const;
    const heldBy = (who: number, body: (small: Small) => Steps) => {
      const { executor, tlb, read } = machine(CLEAN, body, { breakBeforeMake: false }, undefined, 'arm');
      expect(run(executor)).toBeNull();
      return tlb.translations(read, who, 0);
    };

    it('a TLBI takes away what was overwritten before the DSB, whatever is stored while it is under way', () => {
      // As try_to_unmap_one() does: clear, flush without waiting, store the swap entry, wait.
      const unmapped = function* ({ frames, tlb: { mmus } }: Small): Steps {
        yield* frames.xchg(frames.entry(0, 0), 0);
        yield* mmus[0]!.dsb('ishst');
        yield* mmus[0]!.tlbi_is(PAGE);
        yield* frames.xchg(frames.entry(0, 0), 0x100);
        yield* mmus[0]!.dsb('ish');
      };
      expect([0, 1].map((who) => heldBy(who, unmapped))).toEqual([[], []]);
    });

    it('a TLBI takes away what was overwritten before the DSB, whatever is stored before it is sent', () => {
      const faulted = mk_pte(FIRST + 1, CLEAN);
      const zapped = function* ({ frames, tlb: { mmus } }: Small): Steps {
        yield* frames.xchg(frames.entry(0, 0), 0);
        yield* mmus[0]!.dsb('ishst');
        yield* frames.xchg(frames.entry(0, 0), faulted);
        yield* mmus[0]!.tlbi_is(PAGE);
        yield* mmus[0]!.dsb('ish');
      };
      expect([0, 1].map((who) => heldBy(who, zapped))).toEqual([[cachedForm(faulted)], [cachedForm(faulted)]]);
    });

    it('a TLBI leaves everything that was overwritten since the last DSB, and the DSB after it takes nothing away', () => {
      const second = mk_pte(FIRST + 1, CLEAN);
      const twice = function* ({ frames, tlb: { mmus } }: Small): Steps {
        yield* frames.xchg(frames.entry(0, 0), 0);
        yield* mmus[0]!.tlbi_is(PAGE);
        yield* mmus[0]!.dsb('ish');
        yield* mmus[0]!.tlbi_is(PAGE);
        yield* mmus[0]!.dsb('ish');
        yield* frames.xchg(frames.entry(0, 0), second);
        yield* frames.xchg(frames.entry(0, 0), 0);
        yield* mmus[0]!.tlbi_is(PAGE);
        yield* mmus[0]!.dsb('ish');
      };
      // The first page went with the second TLBI.
      expect([0, 1].map((who) => heldBy(who, twice))).toEqual([[cachedForm(second)], [cachedForm(second)]]);
    });

    it('a DSB that is not shareable orders the walks of its own CPU', () => {
      const alone = function* ({ frames, tlb: { mmus } }: Small): Steps {
        yield* frames.xchg(frames.entry(0, 0), 0);
        yield* mmus[0]!.dsb('nshst');
        yield* mmus[0]!.tlbi_is(PAGE);
        yield* mmus[0]!.dsb('ish');
      };
      expect([0, 1].map((who) => heldBy(who, alone))).toEqual([[], [cachedForm(mk_pte(FIRST, CLEAN))]]);
    });
  });

  it('sets the access flag in any entry of a block; who cannot set it holds no old entry, and faults', () => {
    const { tlb, read } = machine(FOLDED & ~_PAGE_ACCESSED, idle, {}, [
      { name: 'CPU0' },
      { name: 'SMMU', hardwareAccess: false },
    ]);
    const [cpu, smmu] = [0, 1].map((who) => tlb.mmus[who]!.outcomes(read, 2, false));
    const set = cpu!.filter(({ updates }) => updates >= 0);
    expect(set.map(({ updates }) => updates - tlb.frames.entries.base)).toEqual([0, 1, 2, 3]);
    expect(set.every(({ value, fault }) => fault === Fault.none && (value & _PAGE_ACCESSED) !== 0)).toBe(true);
    expect(tlb.translations(read, 1, 2)).toEqual([]);
    expect(smmu!.map(({ fault }) => fault)).toEqual([Fault.notPresent]);
  });

  it('marks a page of a block dirty in any of its entries, and in its own where there is no block', () => {
    const folded = machine(FOLDED, idle);
    const plain = machine(CLEAN, idle);
    const updates = ({ tlb, read }: typeof folded) =>
      tlb.mmus[1]!.outcomes(read, 2, true).map(({ updates: address }) => address - tlb.frames.entries.base);
    expect(updates(folded)).toEqual([0, 1, 2, 3]);
    expect(updates(plain)).toEqual([2]);
  });

  it('faults a store to a clean page where hardware does not manage dirty state', () => {
    const { tlb, read } = machine(FOLDED, idle, {}, [{ name: 'CPU0' }, { name: 'SMMU', hardwareDirty: false }]);
    expect(tlb.mmus[1]!.outcomes(read, 2, true).map(({ fault }) => fault)).toEqual([Fault.protection]);
  });

  it('reports the same whether or not an entry that goes on from the one before it is compared anew', () => {
    const random = new Random(7);
    const flags = [CLEAN, FOLDED, FOLDED & ~_PAGE_RW, CLEAN | _PAGE_GLOBAL, FOLDED | _PAGE_GLOBAL];
    const reports = new Set<string | null>();
    for (let round = 0; round < 200; round++) {
      const writes = Array.from({ length: 1 + random.below(12) }, () => ({
        page: random.below(BLOCK),
        frame: FIRST + random.below(2) * random.below(BLOCK),
        flags: random.below(3) === 0 ? 0 : flags[random.below(flags.length)]!,
        flush: random.below(4) === 0,
      }));
      const [quick, anew] = [undefined, () => false].map((sameContents) => {
        const { executor } = machine(
          FOLDED,
          function* ({ frames, tlb }) {
            for (const { page, frame, flags: bits, flush } of writes) {
              yield* frames.xchg(frames.entry(0, page), bits === 0 ? 0 : mk_pte(frame + page, bits));
              if (flush) yield* tlb.mmus[0]!.tlbi_local({ scope: 'page', vpn: page, asid: 1, leafOnly: true });
            }
          },
          { rule: { ...BBML0, ...(sameContents && { sameContents }) } },
          [{ name: 'CPU0' }],
        );
        return `${run(executor)} after ${executor.fingerprint}`;
      });
      expect(quick).toBe(anew);
      reports.add(quick!.split(' after ')[0]!);
    }
    expect(reports).toEqual(new Set(['null', BREAK_BEFORE_MAKE]));
  });

  it('reports a block that is split in place', () => {
    const { executor } = machine(FOLDED, function* (small) {
      yield* small.frames.xchg(small.frames.entry(0, 0), mk_pte(FIRST, CLEAN));
    });
    expect(run(executor)).toBe(BREAK_BEFORE_MAKE);
  });

  it.each([
    ['aborts', { rule: { level: 2 } as const }, TLB_CONFLICT],
    ['uses either where it never aborts', { rule: BBML2_NOABORT }, null],
  ])('with BBML2 an access %s', (_, options, expected) => {
    const { executor } = machine(
      FOLDED,
      function* (small) {
        yield* small.frames.xchg(small.frames.entry(0, 0), mk_pte(FIRST, CLEAN));
        yield* small.tlb.mmus[0]!.access(0, false);
      },
      options,
    );
    expect(run(executor)).toBe(expected);
  });

  it('refuses a table that has no whole blocks', () => {
    expect(() => machine(FOLDED, idle, { blockEntries: 3 })).toThrow('has no blocks of 3');
  });
});
