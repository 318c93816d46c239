/** `#if` and its relatives: which lines of a file are compiled. */
import type { Problems } from '../diagnostics.ts';
import { evaluate, NotConstant } from './constant.ts';
import type { Expander } from './macros.ts';
import type { Token } from './tokens.ts';

interface Level {
  readonly line: number;
  /** The lines around are compiled. */
  readonly outer: boolean;
  /** These are. */
  included: boolean;
  /** One of the branches was. */
  taken: boolean;
  otherwise: boolean;
}

/** The conditionals that are open at a line. */
export class Conditionals {
  readonly #expander: Expander;
  readonly #problems: Problems;
  readonly #levels: Level[] = [];

  constructor(expander: Expander, problems: Problems) {
    this.#expander = expander;
    this.#problems = problems;
  }

  /** True if the lines here are compiled. */
  get included(): boolean {
    return this.#levels.at(-1)?.included ?? true;
  }

  /** Handles a directive; false if it is none of these. */
  take(name: string, words: readonly Token[], line: number): boolean {
    switch (name) {
      case 'if':
        this.#begin(line, () => this.#truth(words, line));
        return true;
      case 'ifdef':
        this.#begin(line, () => this.#defined(words, line));
        return true;
      case 'ifndef':
        this.#begin(line, () => !this.#defined(words, line));
        return true;
      case 'elif':
        this.#other(name, line, () => this.#truth(words, line));
        return true;
      case 'else':
        this.#other(name, line, () => true);
        return true;
      case 'endif':
        if (this.#levels.pop() === undefined) this.#problems.add(line, 'syntax: #endif without #if');
        return true;
      default:
        return false;
    }
  }

  /** At the end of the file nothing may be open. */
  end(): void {
    for (const { line } of this.#levels) this.#problems.add(line, 'syntax: #if without #endif');
  }

  #begin(line: number, condition: () => boolean): void {
    const outer = this.included;
    const included = outer && condition();
    this.#levels.push({ line, outer, included, taken: included, otherwise: false });
  }

  #other(name: string, line: number, condition: () => boolean): void {
    const level = this.#levels.at(-1);
    if (!level || level.otherwise) {
      this.#problems.add(line, `syntax: #${name} ${level ? 'after #else' : 'without #if'}`);
      return;
    }
    level.otherwise = name === 'else';
    level.included = level.outer && !level.taken && condition();
    level.taken ||= level.included;
  }

  #defined(words: readonly Token[], line: number): boolean {
    const name = words[0];
    if (name?.kind === 'name') return this.#expander.macros.has(name.text);
    this.#problems.add(line, 'syntax: #ifdef needs a name');
    return false;
  }

  #truth(words: readonly Token[], line: number): boolean {
    try {
      return evaluate(this.#expander.expandCondition(words)) !== 0n;
    } catch (error) {
      if (!(error instanceof NotConstant)) throw error;
      this.#problems.add(line, `syntax: #if: ${error.message}`);
      return false;
    }
  }
}
