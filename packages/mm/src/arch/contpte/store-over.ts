/** A plain store over an entry that the caller has read, and the check that hardware has not been there in between. */
import {
  BLOCKED,
  defineOperation,
  operation,
  type Operation,
  type OperationContext,
  type Steps,
  noted,
} from '@shootdown/machine';
import type { ContpteLayerCpu, Ptep } from './kernel.ts';
import { formatPte, pte_dirty, pte_young } from './pte.ts';

/**
 * Built-in property: violated by a plain store over an entry in which hardware has set what the storing CPU had not
 * seen.
 */
export const LOST_UPDATE = 'no accessed or dirty bit that hardware sets is overwritten unseen';

const STORE_OVER = defineOperation({
  name: 'write_entry',
  cost: 'store',
  perform(cx: OperationContext, op: Operation) {
    const now = cx.read(op.a);
    if (!cx.storeBuffered(op.a, op.b)) return BLOCKED;
    const lost =
      (pte_dirty(now) && !pte_dirty(op.c) && !pte_dirty(op.b)) ||
      (pte_young(now) && !pte_young(op.c) && !pte_young(op.b));
    if (lost)
      cx.fail(LOST_UPDATE, () => `${formatPte(now)} becomes ${formatPte(op.b)}; what was read is ${formatPte(op.c)}`);
    return 0;
  },
});

/** WRITE_ONCE() of an entry, of which the caller knows `seen`. */
export const storeOver = noted(function* storeOver(cpu: ContpteLayerCpu, ptep: Ptep, seen: number, pte: number): Steps {
  const entry = yield* cpu.kernel.entryOf(ptep, '__set_pte');
  if (entry)
    yield operation(STORE_OVER, entry.address, pte, seen, undefined, {
      label: `__set_pte(pte[${ptep.index}], ${formatPte(pte)})`,
    });
});
