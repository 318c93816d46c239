/**
 * ksmd against a walk without locks. Mirrors mm/ksm.c, v6.18. Its locks keep out whoever takes them; GUP-fast takes
 * none.
 */
import { FrameKind, routine, type Steps, checkWord } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { try_to_merge_one_page, type KsmMutant } from '../secondary/ksm.ts';
import type { Counting } from './invariants.ts';
import type { GupKernel } from './kernel.ts';

const MUTANTS: Readonly<Record<Counting, KsmMutant | undefined>> = {
  'after the clear': undefined,
  'before the clear': 'counts before the clear',
  never: 'does not count',
};

/** The page that is merged: the first. */
const VPN = 0;

/** Merges the page with a stable one, unless it is pinned. */
export const ksmd = routine('ksm_scan_thread', function* (kernel: GupKernel, cpu: Cpu, counting: Counting): Steps {
  checkWord('gup: ksmd: counting', counting, Object.keys(MUTANTS));
  const kpage = yield* kernel.frames.alloc(FrameKind.page, { label: 'get_ksm_page()' });
  yield* try_to_merge_one_page(kernel, cpu, kernel.mm, VPN, kpage, MUTANTS[counting]);
});
