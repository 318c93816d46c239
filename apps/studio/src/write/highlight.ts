/** What words of a program are, for their colours: TypeScript and C are near enough to be read by one set of rules. */
import { StreamLanguage, type StreamParser } from '@codemirror/language';

const KEYWORDS: Readonly<Record<'c' | 'ts', ReadonlySet<string>>> = {
  c: new Set(
    (
      'break case char const continue default do double else enum extern float for goto if inline int long register ' +
      'return short signed sizeof static struct switch typedef union unsigned void volatile while bool'
    ).split(' '),
  ),
  ts: new Set(
    (
      'as async await break case catch class const continue default delete do else export extends finally for from ' +
      'function if implements import in instanceof interface let new of private readonly return satisfies static ' +
      'switch throw try type typeof var void while yield'
    ).split(' '),
  ),
};
const ATOMS = new Set(['true', 'false', 'null', 'undefined', 'NULL', 'this', 'super']);

/** What goes on in the next line: a comment, or a text between backticks. */
interface Inside {
  until: '*/' | '`' | null;
}

function rules(kind: 'c' | 'ts'): StreamParser<Inside> {
  const keywords = KEYWORDS[kind];
  return {
    name: kind,
    startState: () => ({ until: null }),
    token(stream, state) {
      if (state.until !== null) {
        const look = state.until === '`' ? 'string' : 'comment';
        const end = state.until === '`' ? /^(?:[^`\\]|\\.)*`/ : /^.*?\*\//;
        if (stream.match(end)) state.until = null;
        else stream.skipToEnd();
        return look;
      }
      if (stream.eatSpace()) return null;
      if (stream.match('/*')) {
        state.until = '*/';
        return 'comment';
      }
      if (kind === 'ts' && stream.match('`')) {
        state.until = '`';
        return 'string';
      }
      if (stream.match('//')) {
        stream.skipToEnd();
        return 'comment';
      }
      if (kind === 'c' && stream.sol() && stream.match(/^#\s*\w+/)) return 'keyword';
      if (stream.match(/^(?:"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?)/)) return 'string';
      if (stream.match(/^(?:0[xXbB][\da-fA-F_]+|\d[\d_.]*(?:[eE][+-]?\d+)?)[uUlLn]*/)) return 'number';
      const word = stream.match(/^[A-Za-z_$][\w$]*/) as RegExpMatchArray | null;
      if (!word) {
        stream.next();
        return null;
      }
      const [name] = word;
      if (keywords.has(name)) return 'keyword';
      if (ATOMS.has(name)) return 'atom';
      if (stream.match(/^\s*\(/, false)) return 'variableName.function';
      return /^[A-Z]\w*[a-z]/.test(name) ? 'typeName' : null;
    },
    languageData: { commentTokens: { line: '//', block: { open: '/*', close: '*/' } } },
  };
}

/** The rules for a file; null: it has none. */
export function languageOf(name: string): StreamLanguage<Inside> | null {
  if (/\.(patch|diff)$/.test(name)) return null;
  return StreamLanguage.define(rules(name.endsWith('.c') ? 'c' : 'ts'));
}
