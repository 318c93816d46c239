/**
 * Ctrl-C, and what else asks the command to end: long work asks between portions whether to stop, so that what was
 * found so far can still be printed. While nothing is under way there is nothing to print, and the command ends at
 * once.
 */
import type { EachRow } from '@shootdown/scenarios';

/** Ctrl-C; `kill`, a batch system whose time is up; a terminal that is closed. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const INTERRUPTED = 130;

/** What is under way and wants to hear of it, once. */
const underWay = new Set<() => void>();
let listening = false;

/** Listens from the start of the process on: a signal that comes before, or the second one, ends it. */
export function listenForSignals(): void {
  if (listening) return;
  listening = true;
  for (const signal of SIGNALS) process.on(signal, onSignal);
}

function onSignal(): void {
  if (underWay.size === 0) process.exit(INTERRUPTED);
  const heard = [...underWay];
  underWay.clear();
  for (const stop of heard) stop();
}

/** A wish to stop, until `ignore` is called. */
export interface Interruption {
  readonly signal: AbortSignal;
  readonly ignore: () => void;
}

/** Turns Ctrl-C into a signal for work that takes one. A second Ctrl-C ends the process. */
export function interruption(): Interruption {
  listenForSignals();
  const controller = new AbortController();
  const stop = (): void => controller.abort();
  underWay.add(stop);
  return { signal: controller.signal, ignore: () => void underWay.delete(stop) };
}

/** Runs `work` in portions, letting signals in between; stops early on Ctrl-C. Returns true if it was interrupted. */
export async function untilDoneOrInterrupted(work: () => boolean): Promise<boolean> {
  const { signal, ignore } = interruption();
  try {
    while (!signal.aborted && work()) await new Promise((resolve) => setImmediate(resolve));
  } finally {
    ignore();
  }
  return signal.aborted;
}

/** Computes rows one after another until Ctrl-C; `onRow` hears which of how many is next. */
export function rowsUntilInterrupted(
  onRow: (row: number, rows: number) => void,
): Interruption & { readonly each: EachRow } {
  const { signal, ignore } = interruption();
  return {
    signal,
    ignore,
    async each(items, row) {
      const rows = [];
      for (const item of items) {
        await new Promise((resolve) => setImmediate(resolve));
        if (signal.aborted) break;
        onRow(rows.length + 1, items.length);
        // A row may be computed in one go: what is said of it is to be read before.
        await new Promise((resolve) => setImmediate(resolve));
        if (signal.aborted) break;
        rows.push(await row(item));
      }
      return rows;
    },
  };
}
