/** What a command that runs in a thread of its own tells the thread that watches over it. Elsewhere nobody listens. */
import type { Progress } from '@shootdown/explorer';

/** What a search is about, before it says anything. */
export interface Searching {
  readonly scenario: string;
  readonly variant: string;
  readonly memoryModel: string;
  readonly parameters: Readonly<Record<string, number>>;
  readonly expected: string | null;
  readonly json: boolean;
}

/** From the command to its host. */
export type Told =
  /** It has loaded a module of the user's. */
  | { readonly type: 'loaded' }
  /** Every second, unless something keeps the thread busy. */
  | { readonly type: 'alive' }
  | { readonly type: 'searching'; readonly searching: Searching }
  /** What is searched has been built: its time begins. */
  | { readonly type: 'built' }
  | { readonly type: 'progress'; readonly progress: Progress }
  | { readonly type: 'write'; readonly to: 'stdout' | 'stderr'; readonly text: string | Uint8Array }
  | { readonly type: 'code'; readonly code: number };

let host: ((told: Told) => void) | null = null;

/** Has the host told. */
export function linkHost(tell: (told: Told) => void): void {
  host = tell;
}

/** Tells the host, if there is one. */
export function tellHost(told: Told): void {
  host?.(told);
}

/** True in a command that somebody watches over: it runs a module of the user's. */
export function hasHost(): boolean {
  return host !== null;
}
