/** What a frame is, and how that reads. */
import { ModelError, printable } from './errors.ts';

/**
 * Built-in property: violated by a load, store or free of a frame that is not (or no longer) what the toucher takes it
 * for.
 */
export const FREED_FRAME = 'no access to a freed frame or table';

/** What frames can be allocated as; the numbers are what the state words hold. */
export const FrameKind = { free: 0, page: 1, table: 2 } as const;
export type FrameKind = (typeof FrameKind)[keyof typeof FrameKind];

/** Returned by an allocation that found no free frame. */
export const NO_FRAME = -1;

/** A frame's number. Throws ModelError on what is none. */
export function hex(frame: number): string {
  if (typeof frame !== 'number' || !Number.isInteger(frame))
    throw new ModelError(`frames: ${printable(frame)} is no frame`);
  return `0x${frame.toString(16)}`;
}

/** As an allocation returns it. */
export function formatFrame(frame: number): string {
  return frame === NO_FRAME ? 'out of memory' : `frame ${hex(frame)}`;
}

/** The word that says what a frame is. */
export function formatState(state: number): string {
  const kind = Object.entries(FrameKind).find(([, value]) => value === Math.abs(state))?.[0] ?? String(state);
  return state < 0 ? `freed (was a ${kind})` : kind === 'free' ? 'free' : `a ${kind}`;
}
