/**
 * The per-CPU lists of the page allocator: what a CPU frees, it gets again, and only when a list is empty or too long
 * do pages come from, or go back to, the free lists of the zone. It changes how long steps take, never which frame one
 * gets.
 *
 * Mirrors mm/page_alloc.c, v6.18: rmqueue_bulk(), free_pcppages_bulk(), zone_batchsize(), zone_highsize().
 */
import type { OperationContext } from '../routine/operation.ts';
import type { SystemBuilder } from '../system/system.ts';
import type { Region } from './words.ts';

/** pcp->batch: zone_batchsize() of a zone of a gigabyte and more. */
const PCP_BATCH = 63;
/** pcp->high: four batches at least. */
const PCP_HIGH = PCP_BATCH << 2;
/** What one page that goes back to the zone costs: an entry of the cost table. */
const BUDDY = 'buddy';

/** The lists of one zone. */
export class PageLists {
  /** Pages on the list of each processor. */
  readonly #count: Region;
  /** zone->lock: how often it has been taken, which makes its cache line go from one CPU to another. */
  readonly #lock: Region;

  constructor(builder: SystemBuilder, name: string, processors: number) {
    this.#count = builder.region(`${name}.pcp.count`, processors, { memory: 'ghost' });
    this.#lock = builder.region(`${name}.zone.lock`, 1, { memory: 'ghost', lineWords: 1 });
  }

  /** The processor has been given a page. */
  taken(cx: OperationContext): void {
    const word = this.#count.at(cx.processor);
    const count = cx.read(word);
    if (count === 0) this.#locked(cx);
    cx.write(word, (count === 0 ? PCP_BATCH : count) - 1);
  }

  /** The processor has freed a page that nobody maps any more. */
  given(cx: OperationContext): void {
    const word = this.#count.at(cx.processor);
    const count = cx.read(word) + 1;
    cx.write(word, count > PCP_HIGH ? count - PCP_BATCH : count);
    if (count <= PCP_HIGH) return;
    this.#locked(cx);
    cx.spend(BUDDY, PCP_BATCH);
  }

  #locked(cx: OperationContext): void {
    const word = this.#lock.at(0);
    cx.write(word, (cx.read(word) + 1) | 0);
  }
}
