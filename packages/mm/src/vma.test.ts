import { DirectExecutor, program, routine, SystemBuilder, type Steps } from '@shootdown/machine';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PAGES_MAX, VM_READ, VM_SPECIAL, VM_WRITE, VmaList } from './vma.ts';

/** Runs steps on a fresh list; returns what they return. */
function onList<T>(body: (list: VmaList) => Steps<T>): T {
  const builder = new SystemBuilder();
  const list = new VmaList(builder, 'mm');
  const results: T[] = [];
  const main = routine('main', function* (): Steps {
    results.push(yield* body(list));
  });
  builder.processor({ name: 'CPU0', tasks: [program(main)] });
  const executor = new DirectExecutor(builder.build());
  while (executor.step(0));
  return results[0]!;
}

const SPAN = 40;
const RW = VM_READ | VM_WRITE;

/** Flags by page: what a list of areas means. */
class PageMap {
  readonly flags = new Map<number, number>();

  set(start: number, end: number, flags: number): void {
    for (let vpn = start; vpn < end; vpn++) {
      if (flags === 0) this.flags.delete(vpn);
      else this.flags.set(vpn, flags);
    }
  }

  has(start: number, end: number): boolean {
    return Array.from({ length: end - start }, (_, i) => start + i).some((vpn) => this.flags.has(vpn));
  }

  protect(start: number, end: number, flags: number): boolean {
    let changed = false;
    for (let vpn = start; vpn < end; vpn++) {
      const old = this.flags.get(vpn);
      if (old === undefined || (old & ~VM_SPECIAL) === flags) continue;
      this.flags.set(vpn, flags | (old & VM_SPECIAL));
      changed = true;
    }
    return changed;
  }

  gapBelow(vpn: number): number {
    let pages = 0;
    while (vpn - pages > 0 && !this.flags.has(vpn - pages - 1)) pages++;
    return pages;
  }

  gapAbove(vpn: number): number {
    for (let pages = 0; pages < 2 * SPAN; pages++) if (this.flags.has(vpn + pages)) return pages;
    return PAGES_MAX;
  }

  /** The highest place below `top`. */
  unmappedArea(top: number, pages: number): number {
    let below = pages;
    while (this.has(top - below, top - below + pages)) below++;
    return below;
  }
}

const range = fc
  .tuple(fc.nat(SPAN - 1), fc.integer({ min: 1, max: 12 }))
  .map(([start, pages]) => ({ start, end: start + pages }));
const step = fc.record({
  kind: fc.constantFrom('insert' as const, 'remove' as const, 'protect' as const),
  range,
  flags: fc.constantFrom(VM_READ, RW),
});

describe('the areas of an mm', () => {
  test('mean the same as flags by page, whatever is inserted, removed and protected', () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 20 }),
        fc.nat(SPAN),
        fc.integer({ min: 1, max: 10 }),
        (script, vpn, pages) => {
          const naive = new PageMap();
          const expected: unknown[] = [];
          for (const {
            kind,
            range: { start, end },
            flags,
          } of script) {
            if (kind === 'protect') expected.push(naive.protect(start, end, flags));
            else if (kind === 'remove') naive.set(start, end, 0);
            else if (!naive.has(start, end)) naive.set(start, end, flags);
          }
          const found = Array.from({ length: 2 * SPAN }, (_, p) => naive.flags.get(p) ?? 0);
          // Gaps are asked for where an area has just been removed.
          naive.set(vpn, vpn + 1, 0);
          expected.push(found, naive.gapBelow(vpn), naive.gapAbove(vpn), naive.unmappedArea(SPAN + 20, pages));
          const known = new PageMap();
          const actual = onList(function* (list) {
            const said: unknown[] = [];
            for (const {
              kind,
              range: { start, end },
              flags,
            } of script) {
              if (kind === 'protect') said.push(yield* list.protect(start, end, flags));
              else if (kind === 'remove') yield* list.remove(start, end);
              else if (!known.has(start, end)) yield* list.insert(start, end, flags);
              if (kind === 'protect') known.protect(start, end, flags);
              else if (kind === 'remove' || !known.has(start, end))
                known.set(start, end, kind === 'remove' ? 0 : flags);
            }
            const flagsNow: number[] = [];
            for (let p = 0; p < 2 * SPAN; p++) flagsNow.push(yield* list.find(p));
            yield* list.remove(vpn, vpn + 1);
            said.push(
              flagsNow,
              yield* list.gapBelow(vpn),
              yield* list.gapAbove(vpn),
              yield* list.unmappedArea(SPAN + 20, pages),
            );
            return said;
          });
          expect(actual).toEqual(expected);
        },
      ),
      { numRuns: 150 },
    );
  });

  test('neighbours with equal flags merge; the vdso does not', () => {
    const areas = onList(function* (list) {
      yield* list.insert(30, 36, VM_READ | VM_SPECIAL);
      yield* list.insert(20, 25, RW);
      yield* list.insert(25, 30, RW);
      return [yield* list.count(), yield* list.at(0), yield* list.at(1)];
    });
    expect(areas).toEqual([2, { start: 20, end: 30, flags: RW }, { start: 30, end: 36, flags: VM_READ | VM_SPECIAL }]);
  });

  test('protecting a range makes no area where there was none', () => {
    const areas = onList(function* (list) {
      yield* list.insert(0, 4, RW);
      yield* list.insert(8, 12, RW);
      const changed = yield* list.protect(2, 10, VM_READ);
      return [
        changed,
        yield* list.find(1),
        yield* list.find(2),
        yield* list.find(5),
        yield* list.find(9),
        yield* list.find(11),
      ];
    });
    expect(areas).toEqual([true, RW, VM_READ, 0, VM_READ, RW]);
  });

  test('addresses beyond 32 bits of pages survive', () => {
    const high = 0x7_ffff_7fff;
    expect(
      onList(function* (list) {
        yield* list.insert(high - 6, high, VM_READ);
        return { area: yield* list.at(0), free: high - (yield* list.unmappedArea(high, 100)) };
      }),
    ).toEqual({ area: { start: high - 6, end: high, flags: VM_READ }, free: high - 106 });
  });
});
