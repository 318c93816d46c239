import { createActor } from '@shootdown/machine';
import { describe, expect, test } from 'vitest';
import { mmuMachine, type MmuEmitted, type MmuEvent } from './mmu.machine.ts';

/** What the actor emits for an event when it translates with PCID 3. */
function emitted(event: MmuEvent): MmuEmitted[] {
  const actor = createActor(mmuMachine, { input: { root: 0x10, asid: 3 } });
  const list: MmuEmitted[] = [];
  actor.on('*', (output) => list.push(output as MmuEmitted));
  actor.start();
  actor.send(event);
  return list;
}

const flush = { type: 'tlb.flush', vpn: 0, pages: 1, asid: -1, global: false, leafOnly: false, everyTable: false };

describe('Intel SDM vol. 3A, 4.10.4.1', () => {
  test('INVLPG drops the page of the current PCID, global or not, and all paging-structure caches of that PCID', () => {
    expect(emitted({ type: 'invlpg', vpn: 0x7f })).toEqual([
      { ...flush, scope: 'page', vpn: 0x7f, asid: 3, global: true, everyTable: true },
    ]);
  });

  test('INVPCID type 0 drops one page of the PCID named, but no global entry', () => {
    expect(emitted({ type: 'invpcid', kind: 0, asid: 5, vpn: 0x7f })).toEqual([
      { ...flush, scope: 'page', vpn: 0x7f, asid: 5 },
    ]);
  });

  test('INVPCID type 1 drops everything of the PCID named, but no global entry', () => {
    expect(emitted({ type: 'invpcid', kind: 1, asid: 5, vpn: 0 })).toEqual([{ ...flush, scope: 'asid', asid: 5 }]);
  });

  test('INVPCID type 2 drops everything, global entries too', () => {
    expect(emitted({ type: 'invpcid', kind: 2, asid: 0, vpn: 0 })).toEqual([{ ...flush, scope: 'all', global: true }]);
  });

  test('INVPCID type 3 drops everything of every PCID but global entries', () => {
    expect(emitted({ type: 'invpcid', kind: 3, asid: 0, vpn: 0 })).toEqual([{ ...flush, scope: 'non-global' }]);
  });

  test('MOV to CR3 drops what the new PCID has cached, but no global entry, and then walks the new tree', () => {
    expect(emitted({ type: 'load_root', root: 0x20, asid: 4, noflush: false })).toEqual([
      { ...flush, scope: 'asid', asid: 4 },
      { type: 'mmu.root', root: 0x20, asid: 4 },
    ]);
  });

  test('MOV to CR3 with bit 63 set drops nothing', () => {
    expect(emitted({ type: 'load_root', root: 0x20, asid: 4, noflush: true })).toEqual([
      { type: 'mmu.root', root: 0x20, asid: 4 },
    ]);
  });

  test('INVLPG after a MOV to CR3 concerns the new PCID', () => {
    const actor = createActor(mmuMachine, { input: { root: 0, asid: 1 } });
    const list: MmuEmitted[] = [];
    actor.on('*', (output) => list.push(output as MmuEmitted));
    actor.start();
    actor.send({ type: 'load_root', root: 0x20, asid: 4, noflush: true });
    actor.send({ type: 'invlpg', vpn: 1 });
    expect(list.at(-1)).toMatchObject({ scope: 'page', asid: 4 });
  });
});

describe('Arm ARM D8.14', () => {
  test.each([
    ['VAE1', { scope: 'page', vpn: 9, asid: 3, leafOnly: false }, { scope: 'page', vpn: 9, asid: 3, global: true }],
    [
      'VALE1',
      { scope: 'page', vpn: 9, asid: 3, leafOnly: true },
      { scope: 'page', vpn: 9, asid: 3, global: true, leafOnly: true },
    ],
    ['VAAE1', { scope: 'page', vpn: 9, asid: -1, leafOnly: false }, { scope: 'page', vpn: 9, asid: -1, global: true }],
    ['ASIDE1', { scope: 'asid', vpn: 0, asid: 3, leafOnly: false }, { scope: 'asid', asid: 3 }],
    ['VMALLE1', { scope: 'all', vpn: 0, asid: -1, leafOnly: false }, { scope: 'all', global: true }],
  ] as const)('TLBI %s leaves the walk caches of other pages alone', (_, request, expected) => {
    expect(emitted({ type: 'tlbi', ...request })).toEqual([{ ...flush, ...expected }]);
  });
});

describe('an invalidation from outside', () => {
  test.each([
    ['of INVLPGB leaves global entries, and other PCIDs', 3, false],
    ['of a hypervisor goes through all address spaces', -1, true],
  ])('%s', (_, asid, global) => {
    expect(emitted({ type: 'range', vpn: 9, pages: 4, asid })).toEqual([
      { ...flush, scope: 'page', vpn: 9, pages: 4, asid, global },
    ]);
  });
});
