/** tree-sitter with its C grammar: loaded once, when the first file is read. */
import { Parser, type Node } from 'web-tree-sitter';
import type { Problems } from '../diagnostics.ts';
import { MARK } from './casts.ts';
import { loadGrammar } from './grammar.ts';
import { TYPEOF } from './typeofs.ts';

export type { Node } from 'web-tree-sitter';

let loading: Promise<Parser> | undefined;

/** Loads grammar and parser; once loaded, they stay. */
export async function loadParser(): Promise<CParser> {
  loading ??= load();
  return new CParser(await loading);
}

async function load(): Promise<Parser> {
  const grammar = await loadGrammar();
  const parser = new Parser();
  parser.setLanguage(grammar);
  return parser;
}

/** Nesting of a tree that is looked at: the compiler calls itself for each level. */
const DEPTH_MAX = 400;
const QUOTED_MAX = 40;
const TYPEOFS = new RegExp(`struct ${TYPEOF}\\d+`, 'g');

/** Parses preprocessed C. */
export class CParser {
  readonly #parser: Parser;

  constructor(parser: Parser) {
    this.#parser = parser;
  }

  /**
   * The tree of a text; null, with what is wrong in `problems`, if it is no C.
   * @param ours a header, which is not nested deep: looking costs more than parsing
   */
  parse(text: string, problems: Problems, ours = false): Node | null {
    const tree = this.#parser.parse(text);
    if (!tree) {
      problems.add(1, 'syntax: cannot be parsed');
      return null;
    }
    const deep = ours ? null : tooDeep(tree.rootNode);
    if (deep !== null) {
      problems.add(deep, `nested more than ${DEPTH_MAX} deep`);
      return null;
    }
    if (tree.rootNode.hasError) reportErrors(tree.rootNode, problems);
    return problems.any ? null : tree.rootNode;
  }

  /**
   * What stands outside of functions in a file that need not be understood: functions, and what is within conditionals.
   */
  topLevel(text: string): Node[] {
    const within = (node: Node): Node[] =>
      partsOf(node).flatMap((part) => (/^preproc_(if|ifdef|else|elif)$/.test(part.type) ? within(part) : [part]));
    const root = this.#parser.parse(text)?.rootNode;
    return root
      ? within(root).filter((node) => node.type === 'function_definition' || node.type === 'preproc_function_def')
      : [];
  }
}

/** Line of the first node that is nested too deep. */
function tooDeep(root: Node): number | null {
  const cursor = root.walk();
  let depth = 0;
  for (;;) {
    if (depth > DEPTH_MAX) return cursor.startPosition.row + 1;
    if (cursor.gotoFirstChild()) {
      depth++;
      continue;
    }
    while (!cursor.gotoNextSibling()) {
      if (!cursor.gotoParent()) return null;
      depth--;
    }
  }
}

function reportErrors(node: Node, problems: Problems): void {
  if (node.isMissing) {
    problems.add(lineOfMissing(node), `syntax: ${node.type} is missing`);
    return;
  }
  if (node.type === 'ERROR') {
    const inner = node.children.find((child) => child?.isMissing || child?.type === 'ERROR');
    if (inner) reportErrors(inner, problems);
    else
      problems.add(
        lineOf(node),
        `syntax: not understood: ${quoted(node)}${endsItsLine(node) ? ': is a ; missing?' : ''}`,
      );
    return;
  }
  if (!node.hasError) return;
  for (const child of node.children) if (child) reportErrors(child, problems);
}

/** True if what follows a node is in another line: what was not understood then is often the end of a statement. */
function endsItsLine(node: Node): boolean {
  const next = node.nextSibling;
  return next !== null && next.startPosition.row > node.endPosition.row;
}

/** What is missing is missing behind what stands before it, which may be some lines up. */
function lineOfMissing(node: Node): number {
  const before = node.previousSibling;
  return before ? before.endPosition.row + 1 : lineOf(node);
}

/** Line of a node, from 1. */
export function lineOf(node: Node): number {
  return node.startPosition.row + 1;
}

/** A node's text, short enough for a message. */
export function quoted(node: Node): string {
  const text = node.text
    .replaceAll(`struct ${MARK}`, '')
    .replaceAll(TYPEOFS, 'typeof(...)')
    .replaceAll(/\s+/g, ' ')
    .trim();
  return text.length > QUOTED_MAX ? `${text.slice(0, QUOTED_MAX)}...` : text;
}

/** Named children but comments. */
export function partsOf(node: Node): Node[] {
  return node.namedChildren.filter((child): child is Node => child !== null && child.type !== 'comment');
}

/** The child in a field. Trees without errors have it. */
export function field(node: Node, name: string): Node {
  const child = node.childForFieldName(name);
  if (!child) throw new Error(`c: ${node.type} at ${lineOf(node)} has no ${name}`);
  return child;
}

/** All children in a field. */
export function fields(node: Node, name: string): Node[] {
  return node.childrenForFieldName(name).filter((child): child is Node => child !== null && child.type !== 'comment');
}
