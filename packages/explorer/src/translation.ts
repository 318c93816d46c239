/** Rewrites the numbers in rows of words that come from another thread; see the machine's `Numbering`. */
import type { Numbering, System } from '@shootdown/machine';

/** Translates rows in place. */
export type Translate = (rows: Int32Array, width: number, numbering: Numbering) => void;

/** Finds out which words of a system hold numbers of nodes, component states and messages. */
export function translator(system: System): Translate {
  const nodes: number[] = [];
  const states = system.components.map((component) => component.address);
  const messages: number[] = [];
  for (const p of system.processors) {
    p.tasks.forEach((_, slot) => nodes.push(p.taskBase + slot));
    if (p.interruptAddress >= 0) nodes.push(p.interruptAddress);
  }
  for (const channel of system.channels) for (let i = 0; i < channel.capacity; i++) messages.push(channel.base + i);
  return (rows, width, numbering) => {
    for (let row = 0; row < rows.length; row += width) {
      for (const word of nodes) rows[row + word] = numbering.nodes[rows[row + word] as number] as number;
      for (const word of states) rows[row + word] = numbering.states[rows[row + word] as number] as number;
      for (const word of messages) rows[row + word] = numbering.messages[rows[row + word] as number] as number;
    }
  };
}
