/** Messages on their way: the step that sent each, and the step that delivered it. */
import type { StateTrace, Trace } from '@shootdown/machine';

/** A message. Numbers of steps count from 1, as columns and replays print them. */
export interface Delivery {
  readonly channel: string;
  readonly sentAt: number;
  /** Column of the step that sent it; -1 for none. */
  readonly fromColumn: number;
  /** Null: it is on its way still. */
  readonly deliveredAt: number | null;
  readonly toColumn: number | null;
}

/** The messages of a run in the order in which they were sent. A channel delivers in order. */
export function deliveriesOf(states: StateTrace, { steps }: Pick<Trace, 'steps'>): Delivery[] {
  const deliveries: Delivery[] = [];
  /** By channel: positions of those that are on their way. */
  const waiting = new Map<string, number[]>();
  states.steps.forEach(({ sent, delivered }, i) => {
    const column = steps[i]?.column ?? -1;
    for (const channel of sent) {
      const positions = waiting.get(channel) ?? [];
      waiting.set(channel, positions);
      positions.push(deliveries.length);
      deliveries.push({ channel, sentAt: i + 1, fromColumn: column, deliveredAt: null, toColumn: null });
    }
    const first = delivered === null ? undefined : waiting.get(delivered)?.shift();
    const message = first === undefined ? undefined : deliveries[first];
    if (first !== undefined && message) deliveries[first] = { ...message, deliveredAt: i + 1, toColumn: column };
  });
  return deliveries;
}
