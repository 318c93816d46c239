/**
 * Address dependencies of kernel routines, where they matter: values are plain numbers, so who follows a pointer says
 * which load it came from.
 *
 * ```ts
 * const p = yield* dereferenced(pointer, 0);
 * const value = yield* performAccess(accessOf({ kind: 'load', address: p, dependencies: after(0) }));
 * ```
 */
import type { Saying, Steps } from '../routine/operation.ts';
import type { Address } from '../state/words.ts';
import { accessOf, performAccess } from './instructions.ts';
import { NO_SLOT, type Dependencies } from './requests.ts';

const none: Dependencies = {
  address: 0,
  addressPick: 0,
  data: 0,
  dataPick: 0,
  expected: 0,
  expectedPick: 0,
  control: 0,
  into: NO_SLOT,
  keep: 0,
};

/** Of an access to an address that was computed from what {@link dereferenced} has put into these slots. */
export function after(...slots: readonly number[]): Dependencies {
  return { ...none, address: slots.reduce((set, slot) => set | (1 << slot), 0) };
}

/** READ_ONCE() or rcu_dereference() of a pointer that is followed: {@link after} names it by its slot. */
export function dereferenced(address: Address, slot: number, saying?: Saying): Steps<number> {
  const dependencies = { ...none, into: slot, keep: 1 << slot };
  return performAccess(accessOf({ kind: 'load', address, dependencies }), {
    label: `READ_ONCE(${address})`,
    ...saying,
  });
}
