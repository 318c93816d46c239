import { FrameKind, Frames, FREED_FRAME, SystemBuilder } from '@shootdown/machine';
import { describe, expect, test } from 'vitest';
import {
  _PAGE_ACCESSED,
  _PAGE_DIRTY,
  _PAGE_GLOBAL,
  _PAGE_PRESENT,
  _PAGE_RW,
  _PAGE_TABLE,
  _PAGE_USER,
  mk_pte,
} from './entry.ts';
import { PlainMemory, mapGuestFrame, zapGuestFrame } from './memory.test-support.ts';
import type { Flush, MmuEvent } from './mmu.machine.ts';
import { NestedMmu, PhysicalTlb, VPID_MAX } from './nested-mmu.ts';
import { SecondStage } from './second-stage.ts';
import type { MmuGeometry } from './tlb-caches.ts';
import { tlbGeometry } from './trace/geometry.ts';
import { Fault, SECOND_STAGE, tinyShape } from './walk.ts';

const RW = _PAGE_PRESENT | _PAGE_USER | _PAGE_RW | _PAGE_ACCESSED | _PAGE_DIRTY;
const SMALL: MmuGeometry = { l1: tlbGeometry(4, 4), l2: tlbGeometry(8, 4), walkCacheEntries: 2 };
const ALL = {
  type: 'tlb.flush',
  scope: 'all',
  vpn: 0,
  pages: 1,
  asid: -1,
  global: true,
  leafOnly: false,
  everyTable: false,
} as const;

/**
 * Two vCPUs of two machines on one physical CPU. Each guest: root table gfn 0, table 1, page 0 mapped to gfn 4, global
 * page 1 to 5.
 */
function hostWithTwoGuests() {
  const builder = new SystemBuilder();
  const shape = tinyShape(2, 4);
  const host = new Frames(builder, { name: 'host', tables: 8, entriesPerTable: 4, pages: 16, initialTables: [[], []] });
  const tlb = new PhysicalTlb(builder, 'pcpu', shape.bitsPerLevel, SMALL, { nestedTlb: 8, nestedTables: 2 });
  const guests = [0, 1].map((vm) => {
    const frames = new Frames(builder, {
      name: `vm${vm}.frame`,
      tables: 4,
      entriesPerTable: 4,
      pages: 4,
      initialTables: [[mk_pte(1, _PAGE_TABLE)], [mk_pte(4, RW), mk_pte(5, RW | _PAGE_GLOBAL)]],
      initialPages: 2,
    });
    const stage = new SecondStage(builder, { name: `vm${vm}.ept`, host, shape, root: vm, guestFrames: 8 });
    const violations: number[] = [];
    const mmu = new Opened(builder, `vm${vm}.CPU0`, frames, shape, {
      stage,
      tlb,
      vpid: vm + 1,
      violation: (_, gfn) => void violations.push(gfn),
    });
    return { frames, stage, mmu, violations };
  });
  const memory = new PlainMemory(builder);
  for (const { stage, mmu } of guests) {
    for (let gfn = 0; gfn < 6; gfn++) mapGuestFrame(stage, memory, gfn);
    mmu.load(memory, 0, 1);
  }
  return { memory, host, tlb, guests: guests as [(typeof guests)[0], (typeof guests)[0]] };
}

/** What the actor around it would make it do. */
class Opened extends NestedMmu {
  load(memory: PlainMemory, root: number, asid: number): void {
    this.setRoot(memory, { type: 'mmu.root', root, asid } satisfies { type: 'mmu.root' } & Pick<
      Extract<MmuEvent, { type: 'load_root' }>,
      'root' | 'asid'
    >);
  }

  perform(memory: PlainMemory, flush: Flush): void {
    this.flush(memory, flush);
  }
}

function misses(memory: PlainMemory, access: () => number): number {
  const before = memory.counts.get('tlb_miss') ?? 0;
  expect(access()).toBe(Fault.none);
  return (memory.counts.get('tlb_miss') ?? 0) - before;
}

describe('the MMU of a guest', () => {
  test('caches what both stages say under its VPID: another guest on the same CPU walks for itself, for global pages too', () => {
    const { memory, guests } = hostWithTwoGuests();
    for (const vpn of [0, 1]) {
      expect(misses(memory, () => guests[0].mmu.translate(memory, vpn, true))).toBe(1);
      expect(misses(memory, () => guests[0].mmu.translate(memory, vpn, true))).toBe(0);
      expect(misses(memory, () => guests[1].mmu.translate(memory, vpn, true))).toBe(1);
    }
    expect(memory.failures).toEqual([]);
  });

  test("the guest's own flush of everything reaches its VPID and leaves guest-physical mappings alone", () => {
    const { memory, guests } = hostWithTwoGuests();
    for (const { mmu } of guests) mmu.translate(memory, 0, false);
    guests[0].mmu.perform(memory, ALL);
    expect(misses(memory, () => guests[1].mmu.translate(memory, 0, false))).toBe(0);
    const before = memory.counts.get('second_stage_references') ?? 0;
    expect(misses(memory, () => guests[0].mmu.translate(memory, 0, false))).toBe(1);
    expect(memory.counts.get('second_stage_references')).toBe(before);
  });

  test('INVEPT reaches every guest, and guest-physical mappings', () => {
    const { memory, guests, tlb } = hostWithTwoGuests();
    for (const { mmu } of guests) mmu.translate(memory, 0, false);
    tlb.invept(memory);
    const before = memory.counts.get('second_stage_references') ?? 0;
    for (const { mmu } of guests) expect(misses(memory, () => mmu.translate(memory, 0, false))).toBe(1);
    expect((memory.counts.get('second_stage_references') ?? 0) - before).toBeGreaterThan(0);
  });

  test('an EPT violation is told to the hypervisor with its guest frame; the guest sees no fault', () => {
    const { memory, guests } = hostWithTwoGuests();
    const { stage, mmu, violations } = guests[0];
    stage.release(memory, zapGuestFrame(stage, memory, 4));
    expect(mmu.translate(memory, 0, false)).toBe(SECOND_STAGE);
    expect(violations).toEqual([4]);
    mapGuestFrame(stage, memory, 4);
    expect(mmu.translate(memory, 0, false)).toBe(Fault.none);
  });

  test('a combined mapping that outlives its host frame is reported when it is used, also when another guest has the frame', () => {
    for (const reused of [false, true]) {
      const { memory, guests, tlb } = hostWithTwoGuests();
      const [{ stage, mmu }, other] = guests;
      mmu.translate(memory, 0, false);
      stage.release(memory, zapGuestFrame(stage, memory, 4));
      if (reused) expect(mapGuestFrame(other.stage, memory, 6)).toBe(true);
      mmu.translate(memory, 0, false);
      expect(memory.failures.map((text) => text.split(':')[0])).toContain(FREED_FRAME);
      memory.failures.length = 0;
      tlb.invept(memory);
      expect(mmu.translate(memory, 0, false)).toBe(SECOND_STAGE);
      expect(memory.failures).toEqual([]);
    }
  });

  test('so is a cached guest table that outlives its host frame, also when another guest has the frame', () => {
    for (const reused of [false, true]) {
      const { memory, guests, tlb } = hostWithTwoGuests();
      const [{ stage, mmu }, other] = guests;
      mmu.translate(memory, 0, false);
      stage.release(memory, zapGuestFrame(stage, memory, 1));
      if (reused) expect(mapGuestFrame(other.stage, memory, 6)).toBe(true);
      mmu.translate(memory, 1, false);
      expect(memory.failures.map((text) => text.split(':')[0])).toContain(FREED_FRAME);
      memory.failures.length = 0;
      tlb.invept(memory);
      expect(mmu.translate(memory, 1, false)).toBe(SECOND_STAGE);
      expect(memory.failures).toEqual([]);
    }
  });

  test('with a page of the guest that was freed by the guest itself: its own mistake is reported as natively', () => {
    const { memory, guests } = hostWithTwoGuests();
    const { frames, mmu } = guests[0];
    mmu.translate(memory, 0, false);
    frames.give(memory, 4);
    mmu.translate(memory, 0, false);
    expect(memory.failures.join()).toContain(
      `${FREED_FRAME}: access through a translation to 0x4, which is freed (was a page)`,
    );
    expect(memory.read(frames.state.at(4))).toBe(-FrameKind.page);
  });

  test.each([0, VPID_MAX + 1])('VPID %i is refused', (vpid) => {
    const builder = new SystemBuilder();
    const shape = tinyShape(2, 4);
    const host = new Frames(builder, { name: 'host', tables: 1, entriesPerTable: 4, pages: 1, initialTables: [[]] });
    const stage = new SecondStage(builder, { host, shape, root: 0, guestFrames: 1 });
    const tlb = new PhysicalTlb(builder, 'pcpu', shape.bitsPerLevel, SMALL);
    const frames = new Frames(builder, { tables: 1, entriesPerTable: 4, pages: 1 });
    expect(
      () => new NestedMmu(builder, 'CPU0', frames, shape, { stage, tlb, vpid, violation: () => undefined }),
    ).toThrow(`mmu: CPU0.mmu: VPID ${vpid} outside 1 .. ${VPID_MAX}`);
  });
});
