/** What one processor's C has on its stack. */
import { Local, ModelError } from '@shootdown/machine';
import type { Value } from '../compile/code.ts';
import { distinct, STACK_CELLS_MAX } from './words.ts';

const CALLS_MAX = 200;

/** Memory of the calls under way: variables whose address is taken, arrays, structs. Callees change it, so it is a Local. */
export class Stack extends Local {
  readonly cells: (Value | undefined)[] = [];
  depth = 0;

  override get words(): readonly number[] {
    return this.cells.flatMap((cell) => distinct(cell));
  }

  /** Makes room for a call; returns where it begins. */
  push(cells: number, where: string): number {
    if (++this.depth > CALLS_MAX) throw new ModelError(`${where}: more than ${CALLS_MAX} calls within one another`);
    const base = this.cells.length;
    if (base + cells > STACK_CELLS_MAX) throw new ModelError(`${where}: the stack is full`);
    for (let i = 0; i < cells; i++) this.cells.push(undefined);
    return base;
  }

  pop(base: number): void {
    this.depth--;
    this.cells.length = base;
  }
}
