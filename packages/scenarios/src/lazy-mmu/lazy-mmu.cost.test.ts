import { describe, expect, it } from 'vitest';
import { isOff } from '../comparison.ts';
import { compareLazyMmu } from './lazy-mmu.cost.ts';

describe('compare lazy-mmu', () => {
  it('shows what is saved, what a flush before every read leaves of it, and the published curve', async () => {
    const { rows, more } = await compareLazyMmu();
    const of = (variant: string) => rows.find((row) => row.variant === variant);
    expect(of('xen-pv, write-protect')?.['lazy']).toBeLessThan(-50);
    // "Would completely revert the very idea."
    for (const variant of ['xen-pv, write-protect', 'xen-pv, fork', 's390, fork', 'arm64, vmap'])
      expect(of(variant)?.['flushing']).toBeGreaterThan(0);
    // An exchange is trapped, mode or not.
    expect(of('xen-pv, unmap')?.['lazy']).toBe(0);
    expect(rows.some(({ variant }) => variant.startsWith('x86-native'))).toBe(false);

    const curve = more?.[0]?.rows ?? [];
    const changes = curve.map(({ change }) => change as number);
    expect(curve.map(({ variant }) => variant)).toEqual(['1', '2', '4', '8', '16', '32', '64', '128', '256', '512']);
    // One page pays for the mode; then each gains a barrier, and it saturates.
    expect(changes[0]).toBeGreaterThan(0);
    expect(changes).toEqual(changes.toSorted((a, b) => b - a));
    expect(changes.at(-1)).toBeGreaterThan((changes.at(-3) as number) - 1);
    for (const { change, m2, altra, reason } of curve) {
      const off = isOff(change as number, m2 as number) || isOff(change as number, altra as number);
      expect(reason !== '', `${change as number} against ${m2 as number} and ${altra as number}`).toBe(off);
    }
  });
});
