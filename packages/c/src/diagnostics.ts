/** What is wrong with a C file: one line per mistake, each with file and line. */
import { ModelError } from '@shootdown/machine';

/** Mistakes that are listed; more of them help nobody. */
const PROBLEMS_MAX = 20;

/** C that cannot be run as it stands. `lines` holds one mistake each; the message is the first. */
export class CError extends ModelError {
  readonly lines: readonly string[];

  constructor(lines: readonly string[]) {
    super(lines[0] ?? 'c: something is wrong');
    this.lines = lines;
  }
}

/** Collects mistakes, so that one run names all of them. */
export class Problems {
  readonly file: string;
  readonly #found = new Map<number, string>();

  constructor(file: string) {
    this.file = file;
  }

  /**
   * One mistake per line is said, the first: others in it mostly follow from that.
   * @param line counted from 1
   */
  add(line: number, what: string): void {
    if (!this.#found.has(line)) this.#found.set(line, `${this.file}:${line}: ${what}`);
  }

  get any(): boolean {
    return this.#found.size > 0;
  }

  /** Throws CError if anything was added. */
  check(): void {
    if (!this.any) return;
    const lines = [...this.#found].sort(([a], [b]) => a - b).map(([, text]) => text);
    const rest = lines.length - PROBLEMS_MAX;
    throw new CError(rest > 0 ? [...lines.slice(0, PROBLEMS_MAX), `${this.file}: and ${rest} more`] : lines);
  }
}
