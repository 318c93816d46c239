/** Progress on stderr: in a terminal one line that changes, elsewhere lines. */
import type { Progress } from '@shootdown/explorer';
import { statusLine } from './terminal.ts';

/** Work that is shorter says nothing. */
const FIRST_MILLISECONDS = 500;
const INTERVAL_MILLISECONDS = 1000;
const INTERVAL_TERMINAL_MILLISECONDS = 200;

/** Tells how far long work is. It need not be asked in time: whoever does the work calls {@link Pulse.beat} often. */
export class Pulse {
  #next = performance.now() + FIRST_MILLISECONDS;
  #shown = false;
  #timer: NodeJS.Timeout | undefined;

  /** Says how far the work is, unless that was said a moment ago. */
  beat(text: () => string): void {
    if (performance.now() >= this.#next) this.say(text());
  }

  /** Says it now. */
  say(text: string): void {
    const terminal = process.stderr.isTTY;
    this.#next = performance.now() + (terminal ? INTERVAL_TERMINAL_MILLISECONDS : INTERVAL_MILLISECONDS);
    process.stderr.write(terminal ? statusLine(text) : `${text}\n`);
    this.#shown = terminal;
  }

  /** Says it again and again while other threads do the work, or this one lets timers run. */
  repeat(text: () => string): void {
    this.#timer = setInterval(() => this.beat(text), INTERVAL_TERMINAL_MILLISECONDS);
    this.#timer.unref();
  }

  /** Makes room for what is printed next. */
  clear(): void {
    if (this.#shown) process.stderr.write(statusLine(''));
    this.#shown = false;
  }

  /** The work has ended. */
  end(): void {
    clearInterval(this.#timer);
    this.clear();
  }
}

/** How far a search is: `12000 states, searching, 300 k/s, depth 12, queue 400`. */
export function progressLine(p: Progress): string {
  const { phase, states, transitions, depth, depthMax, statesMax } = p;
  if (states === 0) return transitions > 0 ? `${transitions} random steps before the search` : phase;
  const deep = depthMax === null ? `depth ${depth}` : `depth ${depth} of ${depthMax}`;
  const rate = `${Math.round(p.statesPerSecond / 1000)} k/s`;
  const known = statesMax === null ? '' : ` of at most ${statesMax}`;
  return `${states} states${known}, ${phase}, ${rate}, ${deep}, queue ${p.queue}`;
}
