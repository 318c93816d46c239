/**
 * No line above 120 columns: the formatter breaks code, this looks after comments and prose. A line of code may be
 * longer by a string, a table row of Markdown by what stands in it, and nothing is broken where it has no space.
 * Usage: `node tools/columns.mjs [--fix] [files]`; without files, all that Git knows.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const COLUMNS = 120;
const SOURCE = /\.(?:[cm]?[jt]sx?)$/;
const FENCE = /^\s*(?:\*\s?)?```/;
/** What begins a paragraph of its own, after the prefix of a comment. */
const BEGINS = /^(?:[-*+] |\d+\. |@|#|\||>|```|$|\s{2,})/;

/**
 * Where to break a text so that `width` columns are enough: the last space outside of `code`, links and the like; -1 if
 * there is none.
 * @param {string} text @param {number} width
 */
function breakAt(text, width) {
  let ticks = 0;
  let best = -1;
  let anywhere = -1;
  for (let i = 0; i < text.length && i <= width; i++) {
    if (text[i] === '`') ticks++;
    if (text[i] !== ' ' || text.slice(0, i).trim() === '') continue;
    anywhere = i;
    // A line must not begin with what would be a list, a heading or a quotation there.
    if (ticks % 2 === 0 && !BEGINS.test(text.slice(i + 1))) best = i;
  }
  return best < 0 ? (ticks > 0 ? -1 : anywhere) : best;
}

/**
 * The lines of one kind of prose, broken: what is too much goes to the front of the next line of the paragraph.
 * @param {string[]} lines @param {(line: string) => { prefix: string, text: string, hang: string } | null} parse
 */
function wrapped(lines, parse) {
  const out = [...lines];
  let fenced = false;
  for (let i = 0; i < out.length; i++) {
    const line = out[i] ?? '';
    if (FENCE.test(line)) fenced = !fenced;
    if (line.length <= COLUMNS || fenced) continue;
    const parsed = parse(line);
    if (parsed === null) continue;
    const { prefix, text, hang } = parsed;
    const at = breakAt(text, COLUMNS - prefix.length);
    if (at < 0) continue;
    const rest = text.slice(at + 1).trimStart();
    out[i] = (prefix + text.slice(0, at)).trimEnd();
    const next = out[i + 1];
    const following = next === undefined || FENCE.test(next) ? null : parse(next);
    const goesOn =
      following !== null && following.prefix === hang && following.text !== '' && !BEGINS.test(following.text);
    if (goesOn) out[i + 1] = `${hang}${rest} ${following.text}`;
    else out.splice(i + 1, 0, `${hang}${rest}`);
  }
  return out;
}

/** @param {string} source */
function wrappedSource(source) {
  // A doc comment of one line becomes one of three.
  const opened = source.split('\n').flatMap((line) => {
    const one = line.length > COLUMNS ? /^(\s*)\/\*\* (.*) \*\/$/.exec(line) : null;
    return one ? [`${one[1]}/**`, `${one[1]} * ${one[2]}`, `${one[1]} */`] : [line];
  });
  return wrapped(opened, (line) => {
    const comment = /^(\s*(?:\*|\/\/) )(.*)$/.exec(line);
    if (!comment) return null;
    const [, prefix = '', text = ''] = comment;
    if (text.startsWith('|') || text.endsWith('*/')) return null;
    const item = /^(?:[-*] |\d+\. )/.exec(text)?.[0] ?? '';
    return { prefix, text, hang: prefix + ' '.repeat(item.length) };
  }).join('\n');
}

/** @param {string} source */
function wrappedMarkdown(source) {
  const lines = source.split('\n');
  return wrapped(lines, (line) => {
    if (/^\s*(?:\||#|<|\[[^\]]+\]:)/.test(line)) return null;
    const [, indent = '', item = '', text = ''] = /^(\s*)((?:[-*+] |\d+\. )?)(.*)$/.exec(line) ?? [];
    return { prefix: indent + item, text, hang: indent + ' '.repeat(item.length) };
  }).join('\n');
}

/** The text of a file with its comments and prose broken. @param {string} path @param {string} source */
export function narrowed(path, source) {
  if (path.endsWith('.md')) return wrappedMarkdown(source);
  return SOURCE.test(path) ? wrappedSource(source) : source;
}

/** What is longer than it may be: numbers of lines. @param {string} path @param {string} source @returns {number[]} */
export function wideLines(path, source) {
  const markdown = path.endsWith('.md');
  if (!markdown && !SOURCE.test(path)) return [];
  const better = narrowed(path, source);
  const lines = source.split('\n');
  if (better !== source)
    return lines.flatMap((line, i) => (line.length > COLUMNS && !better.includes(line) ? [i + 1] : []));
  if (markdown) return [];
  return lines.flatMap((line, i) => {
    const comment = /^\s*(?:\/?\*|\/\/)/.test(line);
    const bare = line.replaceAll(
      /'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`|\/(?:[^/\\]|\\.)+\/[a-z]*/g,
      "''",
    );
    return !comment && line.length > COLUMNS && bare.length > COLUMNS && !/[`'"]/.test(line) ? [i + 1] : [];
  });
}

function main() {
  const root = fileURLToPath(new URL('..', import.meta.url));
  const args = process.argv.slice(2);
  const fix = args.includes('--fix');
  const named = args.filter((arg) => !arg.startsWith('--'));
  const tracked = execFileSync('git', ['ls-files'], { cwd: root, encoding: 'utf8', maxBuffer: 1 << 26 }).split('\n');
  let count = 0;
  for (const path of named.length > 0 ? named : tracked.filter((file) => file !== '')) {
    if (!path.endsWith('.md') && !SOURCE.test(path)) continue;
    const source = readFileSync(`${root}/${path}`, 'utf8');
    if (fix) {
      const better = narrowed(path, source);
      if (better !== source) writeFileSync(`${root}/${path}`, better);
      continue;
    }
    for (const line of wideLines(path, source)) {
      console.log(`${path}:${line}: more than ${COLUMNS} columns: npm run columns -- --fix`);
      count++;
    }
  }
  if (!fix) console.log(`columns: ${count} lines above ${COLUMNS}`);
  process.exitCode = count === 0 ? 0 : 1;
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) main();
