/** Ctrl-C: long work asks between portions whether to stop, so that what was found so far can still be printed. */
import type { EachRow } from '@shootdown/scenarios';

/** Runs `work` in portions, letting signals in between; stops early on SIGINT. Returns true if it was interrupted. */
export async function untilDoneOrInterrupted(work: () => boolean): Promise<boolean> {
  let interrupted = false;
  const onSignal = (): void => {
    interrupted = true;
  };
  process.once('SIGINT', onSignal);
  try {
    while (!interrupted && work()) await new Promise((resolve) => setImmediate(resolve));
  } finally {
    process.off('SIGINT', onSignal);
  }
  return interrupted;
}

/** A wish to stop, until `ignore` is called. */
export interface Interruption {
  readonly signal: AbortSignal;
  readonly ignore: () => void;
}

/** Turns Ctrl-C into a signal for work that takes one. A second Ctrl-C ends the process. */
export function interruption(): Interruption {
  const controller = new AbortController();
  const onSignal = (): void => controller.abort();
  process.once('SIGINT', onSignal);
  return { signal: controller.signal, ignore: () => process.off('SIGINT', onSignal) };
}

/** Computes rows one after another until Ctrl-C; `onRow` hears how many there are. */
export function rowsUntilInterrupted(onRow: (rows: number) => void): Interruption & { readonly each: EachRow } {
  const { signal, ignore } = interruption();
  let done = 0;
  return {
    signal,
    ignore,
    async each(items, row) {
      const rows = [];
      for (const item of items) {
        await new Promise((resolve) => setImmediate(resolve));
        if (signal.aborted) break;
        rows.push(await row(item));
        onRow(++done);
      }
      return rows;
    },
  };
}
