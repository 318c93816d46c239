/** What one processor's C has on its stack. */
import { Local, ModelError } from '@shootdown/machine';
import type { Value } from '../compile/code.ts';
import type { Loaded } from './program.ts';
import { distinct, STACK_CELLS_MAX } from './words.ts';

const CALLS_MAX = 200;

/**
 * Memory of the calls under way: variables whose address is taken, arrays, structs. Callees change it, so it is a
 * Local.
 */
class Stack extends Local {
  readonly cells: (Value | undefined)[] = [];
  /** Loads that the cells came from, where somebody asks. */
  readonly slots: number[] = [];
  depth = 0;

  override get words(): readonly number[] {
    return [...this.cells.flatMap((cell) => distinct(cell)), ...this.slots];
  }

  /** Slots of loads that some cell still holds the value of. */
  get needed(): number {
    return this.slots.reduce((all, slots) => all | slots, 0);
  }

  /** Makes room for a call; returns where it begins. */
  push(cells: number, where: string): number {
    if (++this.depth > CALLS_MAX) throw new ModelError(`${where}: more than ${CALLS_MAX} calls within one another`);
    const base = this.cells.length;
    if (base + cells > STACK_CELLS_MAX) throw new ModelError(`${where}: the stack is full`);
    for (let i = 0; i < cells; i++) this.cells.push(undefined);
    return base;
  }

  /** Says which loads a cell came from. */
  note(cell: number, slots: number): void {
    while (this.slots.length <= cell) this.slots.push(0);
    this.slots[cell] = slots;
  }

  pop(base: number): void {
    this.depth--;
    this.cells.length = base;
    if (this.slots.length > base) this.slots.length = base;
  }
}

/** One processor's run of a program: what all of its calls share. */
export class Thread<K extends object> {
  readonly loaded: Loaded<K>;
  readonly cpu: number;
  readonly stack = new Stack();
  /** Instructions since the last access of shared memory. */
  quiet = 0;
  /** Loads that branches depended on since the last access; null: nobody asks which loads a value came from. */
  control: number | null;
  /** Slots that the callers still need. */
  readonly below: number[] = [];

  /** @param dependencies the machine asks which loads a value came from */
  constructor(loaded: Loaded<K>, cpu: number, dependencies = false) {
    this.loaded = loaded;
    this.cpu = cpu;
    this.control = dependencies ? 0 : null;
  }
}
