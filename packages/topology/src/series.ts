/** Counters over virtual time: a fixed number of intervals, which grow as the run does. */

/** Intervals at most. */
const INTERVALS_MAX = 256;
const INTERVAL_FIRST_CYCLES = 1024;

/** How much of one counter was counted in each interval so far. */
export interface CounterSeries {
  values: number[];
}

/** Counts events by the interval of virtual time in which they happen; constant memory, however long the run. */
export class TimeSeries {
  #intervalCycles = INTERVAL_FIRST_CYCLES;
  readonly #counts = new Map<string, CounterSeries>();

  /** Cycles of an interval; the first begins at 0. */
  get intervalCycles(): number {
    return this.#intervalCycles;
  }

  /** Per counter: how much was counted in each interval up to the last in which anything was. */
  get counts(): Readonly<Record<string, readonly number[]>> {
    const length = Math.max(0, ...[...this.#counts.values()].map(({ values }) => values.length));
    const padded = (values: readonly number[]): number[] => Array.from({ length }, (_, i) => values[i] ?? 0);
    return Object.fromEntries([...this.#counts].map(([counter, { values }]) => [counter, padded(values)]));
  }

  /** The series of a counter. */
  of(counter: string): CounterSeries {
    let series = this.#counts.get(counter);
    if (series === undefined) this.#counts.set(counter, (series = { values: [] }));
    return series;
  }

  /** Books an amount at a time. */
  add(series: CounterSeries, cycles: number, amount: number): void {
    while (cycles >= this.#intervalCycles * INTERVALS_MAX) this.#widen();
    const index = Math.floor(cycles / this.#intervalCycles);
    const { values } = series;
    while (values.length <= index) values.push(0);
    values[index] = (values[index] as number) + amount;
  }

  #widen(): void {
    this.#intervalCycles *= 2;
    for (const series of this.#counts.values()) {
      const { values } = series;
      series.values = Array.from(
        { length: Math.ceil(values.length / 2) },
        (_, i) => (values[2 * i] ?? 0) + (values[2 * i + 1] ?? 0),
      );
    }
  }
}
