/**
 * Stands for what CodeMirror's commands ask the grammar of a language. The editor has none: of these commands it uses
 * the one that deletes, which wants to know how far code is indented.
 */

const SPACES_PER_LEVEL = 2;

export const getIndentUnit = (): number => SPACES_PER_LEVEL;

function none(): never {
  throw new Error('write: the editor has no grammar');
}

export {
  none as syntaxTree,
  none as getIndentation,
  none as indentString,
  none as matchBrackets,
  none as IndentContext,
  none as NodeProp,
  none as indentUnit,
};
