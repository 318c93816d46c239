/** What of a long row is worth drawing: what is in the window, and of that what a pixel can show. */
import { positionAt, type Stretch } from '@shootdown/report';

/** Steps that are on the screen, and how wide each is. */
export interface Window extends Stretch {
  readonly pixelsPerStep: number;
}

/**
 * The stretches of a row that are on the screen, in their order; of those that end in one pixel, the first. The row is
 * sorted and does not overlap, so that what lies between is skipped, not looked at: a row gives at most two per pixel
 * and two more, however long it is.
 */
export function* visible<T extends Stretch>(row: readonly T[], { from, to, pixelsPerStep }: Window): Generator<T> {
  const stepsPerPixel = 1 / pixelsPerStep;
  for (let i = Math.max(0, positionAt(row, from)); i < row.length;) {
    const stretch = row[i] as T;
    if (stretch.from >= to) return;
    if (stretch.to > from) yield stretch;
    const drawnTo = Math.max(stretch.to, Math.max(stretch.from, from) + stepsPerPixel);
    // The last that begins within what has been drawn may reach beyond it.
    const next = positionAt(row, drawnTo);
    i = next <= i ? i + 1 : (row[next] as T).to > drawnTo ? next : next + 1;
  }
}
