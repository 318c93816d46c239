/** Which front end reads which dialect. */
import { aarch64 } from './aarch64/front-end.ts';
import { unsupported } from './errors.ts';
import type { FrontEnd, LitmusTest } from './litmus-test.ts';
import { x86 } from './x86/front-end.ts';

/** The dialects of this package. */
export const frontEnds: readonly FrontEnd[] = [aarch64, x86];

/** The front end for a file, by its first word. Throws `Unsupported` on a dialect that nobody reads. */
export function frontEndOf(text: string, among: readonly FrontEnd[] = frontEnds): FrontEnd {
  const [dialect = ''] = text.trimStart().split(/\s+/);
  return (
    among.find((frontEnd) => frontEnd.dialect.toLowerCase() === dialect.toLowerCase()) ??
    unsupported(`dialect ${dialect.slice(0, 20)} (have: ${among.map((frontEnd) => frontEnd.dialect).join(', ')})`)
  );
}

/** Reads a test in any dialect. */
export async function readLitmus(text: string, among: readonly FrontEnd[] = frontEnds): Promise<LitmusTest> {
  return await frontEndOf(text, among).read(text);
}
