import { PFN_LIMIT, pte_present } from '@shootdown/mmu';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  device_exclusive_pfn,
  formatLazyEntry,
  is_device_exclusive_entry,
  is_migration_entry,
  make_device_exclusive_entry,
  make_migration_entry,
  migration_pfn,
  SWP_MIG_FLAGS,
} from './swap-entries.ts';

test('any frame that an entry has room for comes back out of a swap-style one', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: PFN_LIMIT - 1 }), (pfn) => {
      for (const entry of [make_migration_entry(pfn), make_migration_entry(pfn) | SWP_MIG_FLAGS]) {
        expect(migration_pfn(entry)).toBe(pfn);
        expect([is_migration_entry(entry), is_device_exclusive_entry(entry), pte_present(entry)]).toEqual([
          true,
          false,
          false,
        ]);
        expect(formatLazyEntry(entry)).toBe(`migration 0x${pfn.toString(16)}`);
      }
      const exclusive = make_device_exclusive_entry(pfn);
      expect(device_exclusive_pfn(exclusive)).toBe(pfn);
      expect([is_migration_entry(exclusive), is_device_exclusive_entry(exclusive)]).toEqual([false, true]);
    }),
    { examples: [[0], [1], [PFN_LIMIT / 2], [PFN_LIMIT - 1]] },
  );
});
