/** Where a kernel thread that goes through an address space page by page has come to: a clock hand. */
import { load, noteMethods, store, type Region, type Steps, type SystemBuilder } from '@shootdown/machine';
import type { Mm } from '../kernel.ts';

/** Page numbers have up to 45 bits, words have 32. */
const LOW_WORD = 2 ** 31;

/** The hand of one thread in one address space. */
export class ScanHand {
  static {
    noteMethods(this);
  }

  readonly #at: Region;

  constructor(builder: SystemBuilder, name: string) {
    this.#at = builder.region(`${name}.address`, 2);
  }

  /** The next page of an area, round and round; -1 if there is none. The caller holds mmap_lock. */
  *next(mm: Mm): Steps<number> {
    const low = yield* load(this.#at.at(0), { label: '(address of the scan)' });
    const at = low + LOW_WORD * (yield* load(this.#at.at(1), { label: '(address of the scan)' }));
    let vpn = yield* mm.vmas.nextPage(at);
    if (vpn < 0 && at > 0) vpn = yield* mm.vmas.nextPage(0);
    if (vpn < 0) return -1;
    yield* this.moveTo(vpn + 1);
    return vpn;
  }

  /** It goes on there. */
  *moveTo(vpn: number): Steps {
    yield* store(this.#at.at(0), vpn % LOW_WORD, { label: '(address of the scan)' });
    yield* store(this.#at.at(1), Math.floor(vpn / LOW_WORD), { label: '(address of the scan)' });
  }
}
