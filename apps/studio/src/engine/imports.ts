/** Which modules a module imports, and where it says so. */
import { parse } from 'sucrase/dist/esm/parser/index.js';
import { TokenType } from 'sucrase/dist/esm/parser/tokenizer/types.js';

/** An import of a module's text, or an export from another module. */
export interface Import {
  /** Where the import begins. */
  readonly at: number;
  /** What is imported: between the quotes, or between the brackets of an `import()`. */
  readonly from: number;
  readonly to: number;
  readonly isDynamic: boolean;
}

/** Throws SyntaxError of one line that ends in `(line:column)`. */
export function importsOf(text: string): Import[] {
  const { tokens } = parse(text, false, true, false);
  const found: Import[] = [];
  const is = (i: number, type: number): boolean => tokens[i]?.type === type;
  const says = (i: number, word: string): boolean => {
    const token = tokens[i];
    return token?.type === TokenType.name && text.slice(token.start, token.end) === word;
  };
  const quoted = (at: number, i: number): void => {
    const token = tokens[i];
    if (token?.type !== TokenType.string) return;
    found.push({ at, from: token.start + 1, to: token.end - 1, isDynamic: false });
  };
  tokens.forEach(({ type, start, end }, i) => {
    if (type === TokenType._import && is(i + 1, TokenType.parenL)) {
      const to = tokens[i + 2]?.end ?? end;
      found.push({ at: start, from: tokens[i + 1]?.end ?? end, to, isDynamic: true });
    } else if (type === TokenType._import && !is(i + 1, TokenType.dot)) {
      let last = i + 1;
      if (!is(last, TokenType.string)) while (last < tokens.length && !isFrom(last)) last++;
      quoted(start, says(last, 'from') ? last + 1 : last);
    } else if (type === TokenType._export && (is(i + 1, TokenType.star) || is(i + 1, TokenType.braceL))) {
      let last = i + 1;
      if (is(last, TokenType.braceL)) while (last < tokens.length && !is(last, TokenType.braceR)) last++;
      else while (last < tokens.length && !isFrom(last + 1)) last++;
      if (isFrom(last + 1)) quoted(start, last + 2);
    }
  });
  return found;

  function isFrom(i: number): boolean {
    return says(i, 'from') && is(i + 1, TokenType.string);
  }
}
