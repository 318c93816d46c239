/**
 * What an executor has discovered, in a form that another executor of the same system (in another thread) can adopt.
 *
 * Routine nodes, component states and messages are numbered in order of discovery, so the numbers differ between
 * threads. What is handed over is how each of them came about; adopting makes the same thing happen and remembers both
 * numbers.
 */
import type { Message } from './operation.ts';

/** How much has been discovered: a position from which to go on later. */
export interface Discovered {
  readonly nodes: number;
  readonly edges: number;
  readonly states: number;
  readonly messages: number;
}

/** Discoveries between two positions, in the numbers of the executor that made them. Plain data. */
export interface Discoveries {
  /** Program and node of every first local state. */
  readonly roots: readonly number[];
  /** Node, result and next node of every edge. */
  readonly edges: Int32Array;
  /** Component, state before, message and state after; state before and message are 0 for an initial state. */
  readonly states: readonly number[];
  /** Number of the first message that follows. */
  readonly firstMessage: number;
  readonly messages: readonly Message[];
}

/** The own numbers of another executor's nodes, component states and messages; index 0 is "none". */
export class Numbering {
  readonly nodes: number[] = [0];
  readonly states: number[] = [0];
  readonly messages: number[] = [0];
}

/** Before anything was discovered. */
export const NOTHING_DISCOVERED: Discovered = { nodes: 1, edges: 0, states: 1, messages: 1 };
