import {
  DirectExecutor,
  FrameKind,
  Frames,
  FREED_FRAME,
  nop,
  program,
  routine,
  SystemBuilder,
} from '@shootdown/machine';
import { describe, expect, test } from 'vitest';
import { _PAGE_PRESENT, _PAGE_RW, _PAGE_TABLE, mk_pte } from './entry.ts';
import { cacheable } from './offered.ts';
import { SaturatedTlb } from './saturated.ts';
import { tinyShape } from './walk.ts';

const PAGE = 0;
const leaf = (frame: number): number => mk_pte(frame, _PAGE_PRESENT | _PAGE_RW);

/** A tree of two tables that exists from the start and maps one page; frames 2 and 3 are pages. */
function guest(suspendable = true) {
  const builder = new SystemBuilder();
  const frames = new Frames(builder, {
    tables: 2,
    entriesPerTable: 2,
    pages: 2,
    initialTables: [[mk_pte(1, _PAGE_TABLE)], [leaf(2)]],
    initialPages: 2,
  });
  const tlb = new SaturatedTlb(builder, ['CPU0'], frames, tinyShape(2, 2), 0, [PAGE], { suspendable });
  builder.processor({ name: 'CPU0', tasks: [program(routine('task', () => nop()))] });
  const cx = new DirectExecutor(builder.build());
  const pte = frames.entry(1, PAGE).address;
  return {
    cx,
    tlb,
    map: (entry: number) => cx.write(pte, entry),
    free: () => cx.write(frames.state.at(1), -FrameKind.table),
    leaves: () => tlb.leaves((address) => cx.read(address), 0, 0),
  };
}

describe('the saturated TLB of a virtual CPU', () => {
  test('holds what memory offers from the start', () => {
    expect(guest().leaves()).toEqual([cacheable(leaf(2))]);
  });

  test('keeps what it has while the CPU is out of guest mode, and caches nothing new', () => {
    const { cx, tlb, map, leaves } = guest();
    tlb.suspend(cx, 0, true);
    map(leaf(3));
    map(0);
    expect(leaves()).toEqual([cacheable(leaf(2))]);
    tlb.suspend(cx, 0, false);
    expect(leaves()).toEqual([cacheable(leaf(2))]);
    map(leaf(3));
    expect(leaves()).toEqual([leaf(2), leaf(3)].map(cacheable));
  });

  test('does not walk a table that is freed meanwhile: it would when the CPU comes back without a flush', () => {
    const { cx, tlb, free } = guest();
    tlb.suspend(cx, 0, true);
    free();
    expect(cx.violation).toBeNull();
    tlb.suspend(cx, 0, false);
    expect(cx.violation?.property).toBe(FREED_FRAME);
  });

  test('of a machine without virtual CPUs cannot be suspended', () => {
    const { cx, tlb } = guest(false);
    expect(() => tlb.suspend(cx, 0, true)).toThrow(
      'mmu: suspend: the saturated TLB was not made for virtual CPUs (CPU 0): give it the option suspendable',
    );
  });
});
