/** What things cost in one run: its cost table, each entry looked up by name once. */
import type { OperationDefinition } from '../routine/operation.ts';
import type { CacheCosts } from './cache-lines.ts';
import { cyclesOf, type Cost, type CostModel } from './cost.ts';

/** An entry of the cost table, and the bytes that its operations bring into the cache besides their words. */
export interface Price {
  readonly cycles: number;
  readonly traffic: number;
}

/** The prices of a run. */
export class Prices {
  readonly #model: CostModel;
  readonly #caches: CacheCosts | undefined;
  readonly #default: number;
  /** By entry of the cost table. */
  readonly #known = new Map<string, Price>();

  constructor(model: CostModel, caches: CacheCosts | undefined) {
    this.#model = model;
    this.#caches = caches;
    this.#default = cyclesOf(model, 'default');
  }

  /** Cycles of an entry of the table; what is not in it costs what `default` does. */
  cyclesOf(entry: string): number {
    return this.#of(entry).cycles;
  }

  /** What it costs to perform an operation. */
  ofOperation({ cost, name }: OperationDefinition): Price {
    return this.#of(cost ?? name);
  }

  #of(entry: string): Price {
    const known = this.#known.get(entry);
    if (known !== undefined) return known;
    const { costs } = this.#model;
    const cycles = Object.hasOwn(costs, entry) ? (costs[entry] as Cost).cycles : this.#default;
    const price: Price = { cycles, traffic: this.#caches?.traffic[entry] ?? 0 };
    this.#known.set(entry, price);
    return price;
  }
}
