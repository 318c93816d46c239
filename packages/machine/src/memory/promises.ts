/**
 * Stores that overtake earlier loads of their own processor (load buffering).
 *
 * The machine performs a program in its order, so such a store is in memory before the machine comes to it: it is
 * promised. When the machine does come to it, its message must be where a store may stand then, or the run is none. All
 * promises may be made at the beginning: stores are put between those that are there, so nothing is lost (Pulte,
 * Pichon-Pharabod, Kang, Lee, Hur, "Promising-ARM/RISC-V", PLDI 2019, section 7).
 */
import type { Way } from './access.ts';
import { NOTHING } from './events.ts';
import type { Model } from './model.ts';
import type { StoreToCome } from './requests.ts';
import { copyState, type MemoryState } from './state.ts';
import { agreements } from './walk.ts';

/** Puts a store to come behind everything that is in memory. */
export function promise(model: Model, state: MemoryState, processor: number, store: StoreToCome): Way[] {
  const { address, value, site, hardware } = store;
  const after = copyState(state);
  const messages = model.history(after, address);
  const last = messages.length - 1;
  const newest = messages[last];
  const place = model.placesFor(after, address, NOTHING, last, last).at(-1);
  if (!newest || newest.taken || !place) return [];
  model.put(after, address, place, value);
  const message = messages.at(-1);
  if (message) message.promise = { processor, site, hardware };
  const descriptors = model.isDescriptor(address) ? [address] : [];
  return agreements(model, after, descriptors).map((agreed) => ({ state: agreed, result: 0 }));
}
