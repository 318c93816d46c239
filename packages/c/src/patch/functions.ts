/** Functions out of a whole kernel file: the rest of it is nothing that a scenario would know. */
import { loadParser, type Node } from '../source/parser.ts';

/** The functions and directives that hold some lines, in the lines that they have in the file. */
export async function functionsOf(text: string, lines: readonly number[]): Promise<string> {
  const parser = await loadParser();
  const source = text.split('\n');
  const kept = new Set<number>();
  const keep = (node: Node): void => {
    const [first, last] = [node.startPosition.row, node.endPosition.row];
    if (!lines.some((line) => line - 1 >= first && line - 1 <= last)) return;
    for (let row = first; row <= last; row++) kept.add(row);
  };
  for (const node of parser.topLevel(text)) keep(node);
  return source.map((line, row) => (kept.has(row) ? line : '')).join('\n');
}
