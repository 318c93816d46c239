/**
 * What an invalidation removes from the saturated TLB of exploration, and which stores its sender waits for: those that
 * used what it removes.
 */
import type { OperationContext } from '@shootdown/machine';
import type { InFlight } from './in-flight.ts';
import type { Flush } from './mmu.machine.ts';
import { isLeaf } from './offered.ts';
import type { Saturation } from './saturation.ts';
import { isGlobal, type WalkLevel, type WalkShape } from './walk.ts';

/** Options of {@link Invalidations}. */
interface InvalidationsOptions {
  /** Virtual page numbers, by index. */
  readonly pages: readonly number[];
  /** Address spaces whose translations are kept apart. */
  readonly spaces: number;
  readonly shape: WalkShape;
  /** Null where stores are in memory at once. */
  readonly inFlight: InFlight | null;
}

/** The invalidations of a saturated TLB. */
export class Invalidations {
  readonly #held: Saturation;
  readonly #of: InvalidationsOptions;

  /** @param held what the CPUs may have cached */
  constructor(held: Saturation, of: InvalidationsOptions) {
    this.#held = held;
    this.#of = of;
  }

  /** One takes effect on a CPU. */
  arrive(cx: OperationContext, cpu: number, flush: Flush): void {
    this.#awaitStores(cx, cpu, flush);
    for (let space = 0; space < this.#of.spaces; space++) {
      const concerned = this.#concernsSpace(cx, cpu, space, flush);
      this.#of.pages.forEach((vpn, page) =>
        this.#of.shape.levels.forEach((level, depth) => {
          const covered = covers(flush, level, vpn);
          this.#held.members.keep(cx, this.#held.members.at(cpu, space, page, depth), (entry) => {
            if (!isLeaf(this.#of.shape, depth, entry))
              return !concerned || flush.leafOnly || !(covered || flush.everyTable);
            return !covered || (isGlobal(entry) ? !flush.global : !concerned);
          });
          if (covered && (concerned || flush.global)) this.#forgetInvalid(cx, cpu, space, page, depth, flush.leafOnly);
        }),
      );
    }
  }

  /** An invalidation of the last level only leaves what is cached of the levels above. */
  #forgetInvalid(
    cx: OperationContext,
    cpu: number,
    space: number,
    page: number,
    depth: number,
    leafOnly: boolean,
  ): void {
    if (!this.#held.invalid || (leafOnly && depth < this.#of.shape.levels.length - 1)) return;
    const address = this.#held.invalidAddress(this.#held.invalid, cpu, space, page);
    cx.write(address, cx.read(address) & ~(1 << depth));
  }

  #concernsSpace(cx: OperationContext, cpu: number, space: number, flush: Flush): boolean {
    const tag = cx.read(this.#held.tags.at(cpu * this.#of.spaces + space));
    return flush.asid < 0 || tag === flush.asid + 1 || flush.scope === 'all' || flush.scope === 'non-global';
  }

  /** Whoever has sent an invalidation waits for stores that used what it invalidates. */
  #awaitStores(cx: OperationContext, cpu: number, flush: Flush): void {
    const { from = cpu } = flush;
    if (from === cpu) return;
    const last = this.#of.shape.levels.length - 1;
    this.#of.inFlight?.arrived(cx, cpu, from, ({ page, space, global, large }) => {
      const level = this.#of.shape.levels[large ? Math.max(0, last - 1) : last] as WalkLevel;
      const concerned = global ? flush.global : this.#concernsSpace(cx, cpu, space, flush);
      return concerned && covers(flush, level, this.#of.pages[page] as number);
    });
  }
}

/** True if an invalidation covers what an entry of a level caches for a page. */
function covers({ scope, vpn, pages }: Flush, { spanPages }: WalkLevel, cached: number): boolean {
  if (scope !== 'page') return true;
  const unit = Math.floor(cached / spanPages);
  return Math.floor(vpn / spanPages) <= unit && unit <= Math.floor((vpn + pages - 1) / spanPages);
}
