/** Counters in groups, and two runs side by side. */

/** One counter: A by processor, and both sums. */
export interface CounterRow {
  readonly counter: string;
  readonly each: readonly number[];
  readonly a: number;
  readonly b: number | null;
}

const GROUPS: readonly (readonly [title: string, pattern: RegExp])[] = [
  ['Exits', /exit/],
  ['vCPU scheduling', /sched|preempt|yield|halt|kick/],
  ['Translation', /tlb_(miss|hit|dropped)|walk|fault|references|pgfault/],
  ['IPIs and flushes', /ipi|flush|csd|irq|tlbi|dvm|tlb/],
  ['Other', /./],
];
/** The order in which a reader looks at them. */
const ORDER = ['IPIs and flushes', 'Exits', 'vCPU scheduling', 'Translation', 'Other'];

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

/** Rows by group, without those that are 0 everywhere. */
export function groupsOf(
  a: Readonly<Record<string, readonly number[]>>,
  b: Readonly<Record<string, readonly number[]>> | null,
): { readonly title: string; readonly rows: readonly CounterRow[] }[] {
  const names = [...new Set([...Object.keys(a), ...Object.keys(b ?? {})])];
  const rows = names
    .map((counter): CounterRow => ({
      counter,
      each: a[counter] ?? [],
      a: sum(a[counter] ?? []),
      b: b && sum(b[counter] ?? []),
    }))
    .filter((row) => row.a !== 0 || (row.b ?? 0) !== 0);
  const groupOf = (counter: string): string => GROUPS.find(([, pattern]) => pattern.test(counter))?.[0] ?? 'Other';
  return ORDER.map((title) => ({ title, rows: rows.filter(({ counter }) => groupOf(counter) === title) })).filter(
    (group) => group.rows.length > 0,
  );
}

/** A against B in a few characters: `−5.0 %`, or the difference where B is 0. */
export function changeText(a: number, b: number): string {
  if (a === b) return '0';
  const sign = a > b ? '+' : '−';
  if (b === 0) return `${sign}${Math.abs(a - b).toLocaleString('en')}`;
  const percent = Math.abs((100 * (a - b)) / b);
  return `${sign}${percent.toFixed(percent < 10 ? 1 : 0)} %`;
}

/** A vCPU's name where there is little room: `vm0.CPU1` as `vm0.1`. */
export function shortName(processor: string): string {
  return processor.replace(/\.CPU(\d+)$/, '.$1');
}

/** 8192 as `8K`. */
export function shortNumber(value: number): string {
  if (value >= 2 ** 30) return `${trimmed(value / 2 ** 30)}G`;
  if (value >= 2 ** 20) return `${trimmed(value / 2 ** 20)}M`;
  return value >= 2 ** 10 ? `${trimmed(value / 2 ** 10)}K` : String(value);
}

function trimmed(value: number): string {
  return value >= 10 || Number.isInteger(value) ? value.toFixed(0) : value.toFixed(1);
}
