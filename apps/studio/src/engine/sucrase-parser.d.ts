/** The part of the type stripper that reads a program, which its package has without types. */
declare module 'sucrase/dist/esm/parser/index.js' {
  interface Token {
    /** A value of `TokenType`. */
    readonly type: number;
    readonly start: number;
    readonly end: number;
  }
  /** Throws SyntaxError: `... (line:column)`. */
  export function parse(
    text: string,
    isJsx: boolean,
    isTypeScript: boolean,
    isFlow: boolean,
  ): { readonly tokens: readonly Token[] };
}

declare module 'sucrase/dist/esm/parser/tokenizer/types.js' {
  export const TokenType: Readonly<
    Record<'_export' | '_import' | 'braceL' | 'braceR' | 'dot' | 'name' | 'parenL' | 'star' | 'string', number>
  >;
}
