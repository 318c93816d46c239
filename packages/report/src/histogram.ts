/** Histograms with a bucket per power of two, drawn as bpftrace draws them. */
import { checkOptions, keysOf } from '@shootdown/machine';
import { formatNumber } from './numbers.ts';
import { WIDTH_DEFAULT } from './width.ts';
import { plainLine } from './wrap.ts';

/** Percent of the values, with bounds that these do not exceed. */
const PERCENTILES = [50, 90, 99] as const;
/** Enough for every whole number that a double holds exactly. */
const BUCKETS = 54;

/** Counts values in buckets [0], [1], [2, 4), [4, 8) and so on: constant memory, however long the run. */
export class Histogram {
  readonly #counts = new Float64Array(BUCKETS);
  #count = 0;
  #sum = 0;
  #min = Number.POSITIVE_INFINITY;
  #max = Number.NEGATIVE_INFINITY;

  /** A histogram of these values. */
  static of(values: Iterable<number>): Histogram {
    const histogram = new Histogram();
    for (const value of values) histogram.add(value);
    return histogram;
  }

  /**
   * Counts one whole number.
   * @throws RangeError if it is negative, a fraction, or beyond 2^53
   */
  add(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0)
      throw new RangeError(`report: histogram: value out of range (${value}); count whole numbers from 0 to 2^53 - 1`);
    const bucket = bucketOf(value);
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
    this.#count++;
    this.#sum += value;
    this.#min = Math.min(this.#min, value);
    this.#max = Math.max(this.#max, value);
  }

  /** Adds everything another histogram has counted. */
  merge(other: Histogram): void {
    other.#counts.forEach((count, bucket) => {
      this.#counts[bucket] = (this.#counts[bucket] as number) + count;
    });
    this.#count += other.#count;
    this.#sum += other.#sum;
    this.#min = Math.min(this.#min, other.#min);
    this.#max = Math.max(this.#max, other.#max);
  }

  /** Values counted. */
  get count(): number {
    return this.#count;
  }

  /** NaN of nothing. */
  get mean(): number {
    return this.#sum / this.#count;
  }

  /** Infinity of nothing. */
  get min(): number {
    return this.#min;
  }

  /** -Infinity of nothing. */
  get max(): number {
    return this.#max;
  }

  /** From the lowest to the highest bucket that holds a value, with the empty ones between. `high` is exclusive. */
  get buckets(): readonly { readonly low: number; readonly high: number; readonly count: number }[] {
    if (this.#count === 0) return [];
    const buckets = [];
    for (let bucket = bucketOf(this.#min); bucket <= bucketOf(this.#max); bucket++) {
      buckets.push({ low: lowOf(bucket), high: lowOf(bucket + 1), count: this.#counts[bucket] as number });
    }
    return buckets;
  }

  /**
   * A bound that at least this share of the values (0 to 1) does not exceed: the end of a bucket, at most twice the
   * true quantile, and never above the largest value. NaN of nothing.
   */
  quantile(share: number): number {
    const rank = Math.max(1, Math.ceil(share * this.#count));
    let seen = 0;
    for (const { high, count } of this.buckets) {
      seen += count;
      if (seen >= rank) return Math.min(high - 1, this.#max);
    }
    return Number.NaN;
  }

  /** For `JSON.stringify`. */
  toJSON(): object {
    const empty = this.#count === 0;
    return {
      count: this.#count,
      min: empty ? null : this.#min,
      mean: empty ? null : this.mean,
      max: empty ? null : this.#max,
      percentiles: Object.fromEntries(
        PERCENTILES.map((percent) => [percent, empty ? null : this.quantile(percent / 100)]),
      ),
      buckets: this.buckets,
    };
  }
}

/** How a histogram is drawn. */
export interface HistogramOptions {
  readonly title?: string;
  /** Unit of the values: `cycles`, `ns`. */
  readonly unit?: string;
  /** Characters per line at most. Default 76. */
  readonly width?: number;
}

const HISTOGRAM_KEYS = keysOf<HistogramOptions>()('title', 'unit', 'width');

const BAR_MIN = 4;

/** Draws a histogram: a line of figures, then a bar per bucket as bpftrace's hist() does. */
export function histogramText(histogram: Histogram, options: HistogramOptions = {}): string {
  checkOptions('report: histogramText', options, HISTOGRAM_KEYS);
  const width = options.width ?? WIDTH_DEFAULT;
  const title = options.title === undefined ? [] : [plainLine(options.title)];
  if (histogram.count === 0) return [...title, 'nothing was counted', ''].join('\n');
  const { buckets } = histogram;
  const labels = buckets.map(({ low, high }) => (high - low <= 1 ? `[${low}]` : `[${binary(low)}, ${binary(high)})`));
  const counts = buckets.map(({ count }) => formatNumber(count));
  const labelWidth = Math.max(...labels.map((label) => label.length));
  const countWidth = Math.max(...counts.map((count) => count.length));
  const barWidth = Math.max(BAR_MIN, width - labelWidth - countWidth - ' '.length * 2 - '||'.length);
  const most = Math.max(...buckets.map(({ count }) => count));
  const bars = buckets.map(({ count }, i) => {
    // A bucket that is not empty shows at least one mark.
    const marks = count === 0 ? 0 : Math.max(1, Math.round((count / most) * barWidth));
    return `${(labels[i] as string).padEnd(labelWidth)} ${(counts[i] as string).padStart(countWidth)} |${'@'.repeat(marks).padEnd(barWidth)}|`;
  });
  return [...title, ...figures(histogram, options.unit, width), ...bars, ''].join('\n');
}

function figures(histogram: Histogram, unit: string | undefined, width: number): string[] {
  const number = (value: number): string => formatNumber(value, Number.isInteger(value) ? {} : { decimals: 1 });
  const parts = [
    `n ${number(histogram.count)}`,
    `min ${number(histogram.min)}`,
    `mean ${number(histogram.mean)}`,
    `p50 <= ${number(histogram.quantile(0.5))}`,
    `p99 <= ${number(histogram.quantile(0.99))}`,
    `max ${number(histogram.max)}${unit === undefined ? '' : ` ${plainLine(unit)}`}`,
  ];
  const lines: string[] = [];
  for (const part of parts) {
    const line = lines.at(-1);
    if (line !== undefined && line.length + 2 + part.length <= width) lines[lines.length - 1] = `${line}  ${part}`;
    else lines.push(part);
  }
  return lines;
}

/** Bits of a whole number: 0 for 0, 1 for 1, 2 for 2 and 3. */
function bucketOf(whole: number): number {
  const high = Math.floor(whole / 2 ** 32);
  return high > 0 ? 64 - Math.clz32(high) : 32 - Math.clz32(whole);
}

function lowOf(bucket: number): number {
  return bucket === 0 ? 0 : 2 ** (bucket - 1);
}

/** 1024 as `1K`: the bounds are powers of two. */
function binary(value: number): string {
  const letters = ['', 'K', 'M', 'G', 'T', 'P'];
  let power = 0;
  while (value >= 1024 && power < letters.length - 1) {
    value /= 1024;
    power++;
  }
  return `${value}${letters[power]}`;
}
