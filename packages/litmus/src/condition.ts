/** The final condition of a litmus test: `exists`, `~exists` or `forall` over registers, variables and faults. */
import { unsupported } from './errors.ts';

/** Something a final state shows. */
export interface Observable {
  readonly kind: 'register' | 'variable' | 'fault';
  /** Index of the thread; -1 of a variable. */
  readonly thread: number;
  readonly name: string;
}

/** A final state. */
export interface FinalState {
  valueOf(observable: Observable): number;
}

/** A sentence about a final state. */
export interface Formula {
  holds(state: FinalState): boolean;
}

/** The whole condition. */
export interface Condition {
  readonly quantifier: 'exists' | '~exists' | 'forall';
  readonly formula: Formula;
  /** As it is printed: `exists (1:X0=1 /\ 1:X2=0)`. */
  readonly text: string;
  /** What it looks at, each once. */
  readonly observes: readonly Observable[];
}

/** What a condition means in a dialect. */
export interface ConditionDialect {
  /** A register of a thread by the name it has in the condition: its proper name. */
  register(thread: number, name: string): string;
  /** A variable by its name there, `x` or `PTE(x)`: its proper name. */
  variable(name: string): string;
  /** A value: what stands on the right of `=`. */
  value(text: string, of: Observable): number;
  /** The sentence that a fault happened: the text between the brackets of `fault(...)`. */
  fault?(text: string): { readonly thread: number; holds(value: number): boolean };
}

/** Which final states are looked at: those of which a `filter` holds. */
export interface Filter {
  readonly formula: Formula;
  /** What it looks at, each once. */
  readonly observes: readonly Observable[];
}

const FILTER = /^filter\b\s*/;

/** Reads `filter (1:X0=1)`. Throws {@link Unsupported} on one that cannot be read. */
export function readFilter(text: string, dialect: ConditionDialect): Filter {
  const reader = new FormulaReader(text.replace(FILTER, ''), dialect);
  return { formula: reader.read(), observes: reader.observes };
}

const QUANTIFIER = /^(~\s*exists|exists|forall)\s*/;

/** Reads a condition. Throws {@link Unsupported} on one that cannot be read. */
export function readCondition(text: string, dialect: ConditionDialect): Condition {
  const [all = '', quantifier = ''] = QUANTIFIER.exec(text) ?? [];
  const reader = new FormulaReader(text.slice(all.length), dialect);
  const formula = reader.read();
  return {
    quantifier: quantifier.startsWith('~') ? '~exists' : (quantifier as 'exists' | 'forall'),
    formula,
    text: `${quantifier.replace(/\s/g, '')} ${bracketed(reader.consumed.trim().replace(/\s+/g, ' '))}`,
    observes: reader.observes,
  };
}

function bracketed(text: string): string {
  return text.startsWith('(') && text.endsWith(')') ? text : `(${text})`;
}

/** Reads `locations [0:X1; x; PTE(y);]`. */
export function readLocations(text: string, dialect: ConditionDialect): Observable[] {
  return text
    .replace(/^\[|\]$/g, '')
    .split(';')
    .map((item) => item.trim())
    .filter((item) => item !== '')
    .map((item) => observableOf(item, dialect));
}

const REGISTER = /^P?(\d+):\s*(\w+)$/;

function observableOf(text: string, dialect: ConditionDialect): Observable {
  const [, thread, register] = REGISTER.exec(text) ?? [];
  if (thread !== undefined && register !== undefined)
    return { kind: 'register', thread: Number(thread), name: dialect.register(Number(thread), register) };
  const name = text
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/^\*/, '')
    .trim();
  return { kind: 'variable', thread: -1, name: dialect.variable(name) };
}

class FormulaReader {
  readonly observes: Observable[] = [];
  readonly #text: string;
  readonly #dialect: ConditionDialect;
  #at = 0;

  constructor(text: string, dialect: ConditionDialect) {
    this.#text = text;
    this.#dialect = dialect;
  }

  /** What has been read. */
  get consumed(): string {
    return this.#text.slice(0, this.#at);
  }

  read(): Formula {
    const formula = this.#implication();
    const rest = this.#text.slice(this.#at).trim();
    if (rest !== '' && !rest.startsWith(';') && !/^(locations|filter|with|exists|forall|~\s*exists)\b/.test(rest))
      unsupported(`condition: ${rest.slice(0, 40)}`);
    return formula;
  }

  #implication(): Formula {
    const left = this.#or();
    if (this.#eat(/^=>/) === null) return left;
    const right = this.#implication();
    return { holds: (state) => !left.holds(state) || right.holds(state) };
  }

  #or(): Formula {
    const parts = [this.#and()];
    while (this.#eat(/^\\\//) !== null) parts.push(this.#and());
    return parts.length === 1 ? (parts[0] as Formula) : { holds: (state) => parts.some((part) => part.holds(state)) };
  }

  #and(): Formula {
    const parts = [this.#unary()];
    while (this.#eat(/^\/\\/) !== null) parts.push(this.#unary());
    return parts.length === 1 ? (parts[0] as Formula) : { holds: (state) => parts.every((part) => part.holds(state)) };
  }

  #unary(): Formula {
    if (this.#eat(/^(~|not\b)/) !== null) {
      const part = this.#unary();
      return { holds: (state) => !part.holds(state) };
    }
    if (this.#eat(/^true\b/) !== null) return { holds: () => true };
    if (this.#eat(/^false\b/) !== null) return { holds: () => false };
    const fault = this.#eat(/^[Ff]ault\s*\(/);
    if (fault !== null) return this.#fault(this.#balanced());
    if (this.#eat(/^\(/) !== null) {
      const inner = this.#implication();
      if (this.#eat(/^\)/) === null)
        unsupported(`condition: ) expected at ${this.#text.slice(this.#at, this.#at + 20)}`);
      return inner;
    }
    return this.#atom();
  }

  #atom(): Formula {
    const left = this.#eat(/^(P?\d+:\s*\w+|\[[^\]]+\]|\*?\w+\([^)]*\)|\*?[A-Za-z_][\w.]*(?:\[\d+\])?)/);
    if (left === null) unsupported(`condition: ${this.#text.slice(this.#at, this.#at + 30)}`);
    const observable = this.#note(observableOf(left.trim(), this.#dialect));
    const equal = this.#eat(/^(==|=|!=|<>)/);
    if (equal === null) unsupported(`condition: = expected after ${left}`);
    const positive = equal === '=' || equal === '==';
    const right = this.#eat(/^\d+:\s*[A-Za-z_]\w*/);
    if (right !== null) {
      const other = this.#note(observableOf(right, this.#dialect));
      return { holds: (state) => (state.valueOf(observable) === state.valueOf(other)) === positive };
    }
    const value = this.#dialect.value(this.#value(), observable);
    return { holds: (state) => (state.valueOf(observable) === value) === positive };
  }

  /** A word, perhaps with brackets behind it, or something in brackets. */
  #value(): string {
    const simple = this.#eat(/^(label:"[^"]*"|-?\w[\w:.]*|&?\w+|")/) ?? '';
    this.#skip();
    if (this.#text[this.#at] !== '(') return simple;
    this.#at++;
    return `${simple}(${this.#balanced()})`;
  }

  #fault(text: string): Formula {
    const fault = this.#dialect.fault?.(text);
    if (!fault) unsupported(`fault(${text}) in a condition`);
    const observable = this.#note({ kind: 'fault', thread: fault.thread, name: 'fault' });
    return { holds: (state) => fault.holds(state.valueOf(observable)) };
  }

  /** From behind an opening bracket to behind its closing one: what is in between. */
  #balanced(): string {
    const start = this.#at;
    for (let depth = 1; this.#at < this.#text.length; this.#at++) {
      if (this.#text[this.#at] === '(') depth++;
      else if (this.#text[this.#at] === ')' && --depth === 0) return this.#text.slice(start, this.#at++);
    }
    return unsupported('condition: a bracket is not closed');
  }

  #note(observable: Observable): Observable {
    const known = this.observes.find((other) => sameObservable(other, observable));
    if (!known) this.observes.push(observable);
    return known ?? observable;
  }

  #skip(): void {
    while (/\s/.test(this.#text[this.#at] ?? '')) this.#at++;
  }

  #eat(pattern: RegExp): string | null {
    this.#skip();
    const found = pattern.exec(this.#text.slice(this.#at));
    if (!found) return null;
    this.#at += found[0].length;
    return found[0];
  }
}

/** Whether two observables are one. */
export function sameObservable(a: Observable, b: Observable): boolean {
  return a.kind === b.kind && a.thread === b.thread && a.name === b.name;
}

/** Each observable once, in the order in which a state is printed: registers, variables, faults. */
export function inOrder(observables: readonly Observable[]): Observable[] {
  const unique = observables.filter((one, i) => observables.findIndex((other) => sameObservable(one, other)) === i);
  const rank = { register: 0, variable: 1, fault: 2 };
  return unique.sort(
    (a, b) =>
      rank[a.kind] - rank[b.kind] || a.thread - b.thread || a.name.localeCompare(b.name, 'en', { numeric: true }),
  );
}
