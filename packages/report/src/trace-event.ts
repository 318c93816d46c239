/**
 * An event of the Trace Event Format, without its place. Times are whole nanoseconds here, and microseconds in the
 * file.
 */
export type Event = { readonly ph: string; readonly ts?: number } & Readonly<Record<string, unknown>>;

/**
 * What ends a slice. Slices are pairs of events, never one with a duration: a viewer that adds a duration to a start
 * comes, by a rounding error, to another time than the next slice begins at. The end has the name and arguments of the
 * beginning: speedscope tells slices that meet apart by them.
 */
export function endOf({ name, args }: Event, ts: number): Event {
  return { ph: 'E', ts, name, ...(args !== undefined && { args }) };
}
