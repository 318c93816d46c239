/** Where the time went, how long routines take, and the course of a counter: A is filled, B is a line of ink. */
import { signal } from '@preact/signals';
import type { RanMachine, RoutineTimesOf } from '../engine/api.ts';
import { counter, ranA, ranB } from './store.ts';
import { shortName, shortNumber } from './table.ts';

/** Charts are drawn at their size, so that their text has its own: wide, or as on a phone. */
const narrow = matchMedia('(max-width: 800px)');
const width = signal(0);
const sized = (): void => {
  width.value = narrow.matches ? 350 : 540;
};
sized();
narrow.addEventListener('change', sized);
const LEFT = 46;
const NAMES = 56;
const ROW = 20;
const MS = 1e6;

const milliseconds = (nanoseconds: number): string => (nanoseconds / MS).toFixed(nanoseconds < 10 * MS ? 2 : 0);

/** Busy, stolen and idle time of every processor. */
export function WhereTimeWent() {
  const a = ranA.value;
  if (!a) return null;
  const b = ranB.value;
  const longest = Math.max(a.nanoseconds, b?.nanoseconds ?? 0, 1);
  const x = (nanoseconds: number): number => ((width.value - NAMES - 8) * nanoseconds) / longest;
  const height = a.processors.length * ROW + 20;
  const bars = (ran: RanMachine, i: number, y: number, tall: number, fill: string) => (
    <>
      <rect x={NAMES} y={y} width={x(ran.busyNanoseconds[i] ?? 0)} height={tall} fill={`var(--${fill})`} />
      {ran.stealNanoseconds && (
        <rect
          x={NAMES + x(ran.busyNanoseconds[i] ?? 0)}
          y={y}
          width={x(ran.stealNanoseconds[i] ?? 0)}
          height={tall}
          fill="url(#stolen)"
        />
      )}
    </>
  );
  return (
    <section class="panel" aria-label="where the time went">
      <div class="ph">
        <h2>Where {milliseconds(a.nanoseconds)} ms went</h2>
        <span class="n">by processor{b ? ', A above B' : ''}</span>
      </div>
      <svg viewBox={`0 0 ${width.value} ${height}`} role="img" aria-label="busy and stolen time of every processor">
        <Hatch />
        {a.processors.map((name, i) => (
          <g key={name}>
            <text x={4} y={i * ROW + 14}>
              {shortName(name)}
            </text>
            {bars(a, i, i * ROW + 4, b ? 6 : 12, 'c0')}
            {b && bars(b, i, i * ROW + 11, 5, 'ink2')}
          </g>
        ))}
        <TimeTicks longest={longest} x={(nanoseconds) => NAMES + x(nanoseconds)} y={height - 4} />
      </svg>
      <p class="lg">
        <span>
          <i class="mark a" /> {b ? 'A runs' : 'runs'}
        </span>
        {b && (
          <span>
            <i class="mark b" /> B runs
          </span>
        )}
        {a.stealNanoseconds && (
          <span>
            <i class="mark stolen" /> stolen: another vCPU has the CPU
          </span>
        )}
      </p>
    </section>
  );
}

interface TimeTicksProps {
  readonly longest: number;
  readonly x: (nanoseconds: number) => number;
  readonly y: number;
}

const TICKS = 6;

/** Virtual time at a few places, the last of them the end. */
function TimeTicks({ longest, x, y }: TimeTicksProps) {
  const base = 10 ** Math.floor(Math.log10(longest / TICKS));
  const tick = [1, 2, 5, 10].map((factor) => factor * base).find((size) => size * TICKS >= longest) ?? longest;
  const places = Array.from({ length: Math.floor(longest / tick) + 1 }, (_, i) => i * tick);
  return (
    <>
      {places
        .filter((place) => place <= longest - tick / 2)
        .map((place) => (
          <text key={place} x={x(place)} y={y} text-anchor={place === 0 ? 'start' : 'middle'}>
            {place === 0 ? 0 : milliseconds(place)}
          </text>
        ))}
      <text x={width.value - 8} y={y} text-anchor="end">
        {milliseconds(longest)} ms
      </text>
    </>
  );
}

function Hatch() {
  return (
    <defs>
      <pattern id="stolen" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
        <rect width="6" height="6" fill="var(--stales)" />
        <rect width="3" height="6" fill="var(--stale)" opacity="0.55" />
      </pattern>
    </defs>
  );
}

const TALL = 124;
/** Room above the bars for what stands at the percentiles. */
const LABELS = 32;
const LOG_TICKS = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000];

/** How often a routine took how long; both axes are logarithmic. */
export function TimesOf({ routine }: { readonly routine: string }) {
  const a = ranA.value?.times[routine];
  const b = ranB.value?.times[routine];
  if (!a) return null;
  const lows = [...a.buckets, ...(b?.buckets ?? [])].map(({ low }) => low);
  const [from, to] = [Math.log2(Math.max(1, Math.min(...lows))), Math.log2(Math.max(2, ...lows)) + 1];
  const peak = Math.max(...[...a.buckets, ...(b?.buckets ?? [])].map(({ count }) => count));
  const x = (value: number): number =>
    LEFT + ((width.value - LEFT - 8) * (Math.log2(Math.max(1, value)) - from)) / Math.max(1, to - from);
  const y = (count: number): number =>
    count === 0 ? TALL : TALL - 8 - ((TALL - 8 - LABELS) * Math.log10(count)) / scaleOf(peak);
  const every = Math.ceil((to - from) / 9);
  return (
    <section class="panel" aria-label={`times of ${routine}`}>
      <div class="ph">
        <h2 class="m">{routine}()</h2>
        <span class="n">
          n {a.count.toLocaleString('en')}
          {b && `, ${b.count.toLocaleString('en')}`} · mean {both(a, b, 'mean')} · longest {both(a, b, 'max')} cycles
        </span>
      </div>
      <svg viewBox={`0 0 ${width.value} ${TALL + 18}`} role="img" aria-label={`histogram of the cycles of ${routine}`}>
        {LOG_TICKS.filter((tick) => tick <= peak).map((tick) => (
          <g key={tick}>
            <line x1={LEFT} x2={width.value - 8} y1={y(tick)} y2={y(tick)} stroke="var(--line)" />
            <text x={LEFT - 4} y={y(tick) + 4} text-anchor="end">
              {shortCount(tick)}
            </text>
          </g>
        ))}
        {a.buckets.map(({ low, high, count }) => (
          <rect
            key={low}
            x={x(low) + 1}
            width={Math.max(2, x(high) - x(low) - 2)}
            y={y(count)}
            height={TALL - y(count)}
            fill="var(--c0s)"
            stroke="var(--c0)"
          />
        ))}
        {b?.buckets.map(({ low, high, count }) => (
          <line
            key={low}
            x1={x(low) + 1}
            x2={x(high) - 1}
            y1={y(count)}
            y2={y(count)}
            stroke="var(--ink)"
            stroke-width={count === 0 ? 0 : 3}
          />
        ))}
        {Array.from({ length: Math.floor((to - from) / every) + 1 }, (_, i) => 2 ** (from + i * every)).map((value) => (
          <text
            key={value}
            x={Math.min(x(value), width.value - 4)}
            y={TALL + 14}
            text-anchor={x(value) > width.value - 16 ? 'end' : 'middle'}
          >
            {shortNumber(value)}
          </text>
        ))}
        <Percentile name="p50" x={x(a.atMost50)} y={12} text={atMost(a, b, 'atMost50')} />
        <Percentile name="p99" x={x(a.atMost99)} y={26} text={atMost(a, b, 'atMost99')} />
      </svg>
    </section>
  );
}

interface PercentileProps {
  readonly name: string;
  readonly x: number;
  readonly y: number;
  readonly text: string;
}

/** A dotted line at A's, and what it is of both. */
function Percentile({ name, x, y, text }: PercentileProps) {
  const isRight = x > width.value / 2;
  return (
    <>
      <line x1={x} x2={x} y1={y - 8} y2={TALL} stroke="var(--ink)" stroke-dasharray="2 3" />
      <text x={isRight ? x - 4 : x + 4} y={y} text-anchor={isRight ? 'end' : 'start'}>
        {name} {text}
      </text>
    </>
  );
}

function atMost(a: RoutineTimesOf, b: RoutineTimesOf | undefined, key: 'atMost50' | 'atMost99'): string {
  return b ? `A ≤ ${shortNumber(a[key])}, B ≤ ${shortNumber(b[key])}` : `≤ ${shortNumber(a[key])}`;
}

function scaleOf(peak: number): number {
  return Math.max(1, Math.log10(peak));
}

function shortCount(count: number): string {
  return count >= 1000 ? `${count / 1000}k` : String(count);
}

function both(a: RoutineTimesOf, b: RoutineTimesOf | undefined, key: 'mean' | 'max'): string {
  return b ? `${shortNumber(a[key])}, ${shortNumber(b[key])}` : shortNumber(a[key]);
}

/** Routines worth a histogram: those that took the most time in all. */
export function timedRoutines(ran: RanMachine, count: number): string[] {
  return Object.entries(ran.times)
    .filter(([, times]) => times.count > 1)
    .sort(([, a], [, b]) => b.count * b.mean - a.count * a.mean)
    .slice(0, count)
    .map(([routine]) => routine);
}

/** The course of a counter over virtual time, as its rate. */
export function CourseOf() {
  const a = ranA.value;
  const b = ranB.value;
  const name = counter.value;
  if (!a || name === null) return null;
  const rates = [a, ...(b ? [b] : [])].map((ran) => ratesOf(ran, name));
  const longest = Math.max(a.nanoseconds, b?.nanoseconds ?? 0, 1);
  const peak = Math.max(1e-9, ...rates.flat().map(([, rate]) => rate));
  const x = (nanoseconds: number): number => LEFT + ((width.value - LEFT - 8) * nanoseconds) / longest;
  const y = (rate: number): number => TALL - ((TALL - 12) * rate) / peak;
  const line = (points: readonly (readonly [number, number])[]): string =>
    points.map(([at, rate]) => `${x(at).toFixed(1)},${y(rate).toFixed(1)}`).join(' ');
  const [first = [], second = []] = rates;
  return (
    <section class="panel" aria-label={`course of ${name}`}>
      <div class="ph">
        <h2 class="m">{name}</h2>
        <span class="n">per ms of virtual time, at most {peak.toFixed(peak < 10 ? 1 : 0)}</span>
      </div>
      <svg
        viewBox={`0 0 ${width.value} ${TALL + 18}`}
        role="img"
        aria-label={`${name} over virtual time`}
        data-testid="course"
      >
        <line x1={LEFT} x2={width.value - 8} y1={TALL} y2={TALL} stroke="var(--line2)" />
        <polygon
          points={`${LEFT},${TALL} ${line(first)} ${x(first.at(-1)?.[0] ?? 0)},${TALL}`}
          fill="var(--c0s)"
          stroke="var(--c0)"
        />
        {b && <polyline points={line(second)} fill="none" stroke="var(--ink)" stroke-width="2" />}
        <text x={LEFT - 4} y={y(peak) + 8} text-anchor="end">
          {peak.toFixed(peak < 10 ? 1 : 0)}
        </text>
        <TimeTicks longest={longest} x={x} y={TALL + 14} />
      </svg>
    </section>
  );
}

/** Points `[nanoseconds, events per millisecond]`, at the ends of the intervals. */
function ratesOf(
  { series: { intervalNanoseconds, counters }, nanoseconds }: RanMachine,
  name: string,
): [number, number][] {
  return (counters[name] ?? []).map((events, i): [number, number] => {
    // The last interval ends with the run.
    const end = Math.min(nanoseconds, (i + 1) * intervalNanoseconds);
    const passed = Math.max(1, end - i * intervalNanoseconds);
    return [end, (events / passed) * MS];
  });
}
