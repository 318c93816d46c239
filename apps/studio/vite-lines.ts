/** Modules without the spaces that nobody needs, and with the lines that somebody does. */
import { decode } from '@jridgewell/sourcemap-codec';
import { minifySync } from 'vite';

/** Without spaces and line breaks; names and code are as they were. */
export function minified(name: string, code: string): { readonly code: string; readonly mappings: string } {
  const {
    code: text,
    map,
    errors,
  } = minifySync(name, code, { module: true, compress: false, mangle: false, sourcemap: true });
  if (errors.length > 0) throw new Error(`build: ${name}: ${errors[0]?.message ?? 'it cannot be minified'}`);
  return { code: text, mappings: map?.mappings ?? '' };
}

/** Without spaces; what stood on lines of its own still does. Throws Error if that would make another program of it. */
export function linesWithoutSpaces(name: string, code: string): string {
  const { code: text, mappings } = minified(name, code);
  const lines = text.split('\n');
  let before = 0;
  const broken = decode(mappings).map((segments, i) => {
    const line = lines[i] ?? '';
    let result = '';
    let from = 0;
    for (const [column, , sourceLine] of segments) {
      if (sourceLine === undefined || sourceLine === before) continue;
      before = sourceLine;
      result += `${line.slice(from, column)}${column > from ? '\n' : ''}`;
      from = column;
    }
    return result + line.slice(from);
  });
  const result = broken.join('\n');
  if (minified(name, result).code !== text) throw new Error(`build: ${name}: a line break changes what it means`);
  return result;
}
