/** Who sent what to whom in a run: a matrix of counts, and a line per kind of message. */
import { textTable, type Cell } from './table.ts';

/** So many messages of one type from one component to another. */
export interface MessageCount {
  readonly from: string;
  readonly to: string;
  readonly type: string;
  readonly count: number;
}

/** Counts messages as they are sent. */
export class MessageCounts {
  readonly #counts = new Map<string, { from: string; to: string; type: string; count: number }>();

  /** One more. */
  add({ from, to, type }: Omit<MessageCount, 'count'>): void {
    const key = `${from}\n${to}\n${type}`;
    const known = this.#counts.get(key);
    if (known) known.count++;
    else this.#counts.set(key, { from, to, type, count: 1 });
  }

  /** By sender, receiver and type, in the order of their names. */
  get list(): readonly MessageCount[] {
    const compare = (a: string, b: string): number => a.localeCompare(b, 'en', { numeric: true });
    return [...this.#counts.values()].sort(
      (a, b) => compare(a.from, b.from) || compare(a.to, b.to) || compare(a.type, b.type),
    );
  }
}

/** A row per sender and a column per receiver; then the types of what each sent to each. */
export function messagesText(messages: readonly MessageCount[], width = 96): string {
  const receivers = [...new Set(messages.map(({ to }) => to))].sort((a, b) =>
    a.localeCompare(b, 'en', { numeric: true }),
  );
  const senders = [...new Set(messages.map(({ from }) => from))];
  const total = (from: string, to: string): Cell => {
    const sum = messages.reduce((n, m) => (m.from === from && m.to === to ? n + m.count : n), 0);
    return sum === 0 ? null : sum;
  };
  const matrix = textTable(
    {
      columns: ['from \\ to', ...receivers.map((to) => ({ heading: to, align: 'right' as const }))],
      rows: senders.map((from) => [from, ...receivers.map((to) => total(from, to))]),
    },
    { width },
  );
  const list = textTable(
    {
      columns: ['from', 'to', 'type', 'count'],
      rows: messages.map(({ from, to, type, count }) => [from, to, type, count]),
    },
    { width },
  );
  return `${matrix}\n${list}`;
}
