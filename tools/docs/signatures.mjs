/**
 * Writes into the README of every package what it exports: signatures with a line of meaning, by source file, from the
 * declarations in `dist`. Usage: `npm run signatures [-- --check]`, after a build. `--check` writes nothing and exits
 * with 1 where a README is out of date. An export without a doc comment is an error in both.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ts } from '@ts-morph/common';

const HEADING = '## Signatures';
const FENCE = '```';
const COLUMNS = 100;
const root = fileURLToPath(new URL('../../packages/', import.meta.url));
const check = process.argv.includes('--check');
const names = readdirSync(root).sort();
const indexOf = (/** @type {string} */ name) => `${root}${name}/dist/index.d.ts`;
const program = ts.createProgram(names.map(indexOf), {
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  target: ts.ScriptTarget.ES2023,
  skipLibCheck: true,
  types: [],
});
const checker = program.getTypeChecker();

/** The first sentence of a doc comment, in one line. @param {string} text */
function meaning(text) {
  const prose = text
    .replaceAll(/\{@link (\w+)\}/g, '`$1`')
    .replaceAll(/\s+/g, ' ')
    .trim();
  return /^.*?[.:](?= [A-Z`(]|$)/.exec(prose)?.[0] ?? prose;
}

/** A comment of one line, or of more if it is long. @param {string} indent @param {string} prose */
function comment(indent, prose) {
  if (indent.length + prose.length + 7 <= COLUMNS) return `${indent}/** ${prose} */`;
  const lines = wrapped(prose, COLUMNS - indent.length - 3);
  return [`${indent}/**`, ...lines.map((line) => `${indent} * ${line}`), `${indent} */`].join('\n');
}

/** Lines of a text. @param {string} text @param {number} columns */
function wrapped(text, columns) {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? '';
    if (line.length + 1 + word.length > columns) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines;
}

/** A declaration as a header would have it: no bodies, no private members, short comments. @param {string} text */
function asHeader(text) {
  return text
    .replaceAll(/^( *)\/\*\*([\s\S]*?)\*\//gm, (_, /** @type {string} */ indent, /** @type {string} */ said) => {
      const prose = said.replaceAll(/^\s*\* ?/gm, '').split(/^@|\s@(?:param|returns|throws|defaultValue)\b/m)[0] ?? '';
      return prose.trim() === '' ? '' : comment(indent, meaning(prose));
    })
    .replaceAll(/^\s*(#private|private [^;]*);\n/gm, '')
    .replaceAll(/^export (default )?(declare )?|^declare /gm, '')
    .replaceAll(/^(const \w+: ).*\bStateMachine<[^]*$/gm, '$1StateMachine;')
    .replaceAll(/^( +)/gm, (indent) => ' '.repeat(indent.length / 2));
}

/** @param {import('@ts-morph/common').ts.Symbol} symbol */
function resolved(symbol) {
  return symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
}

/** What one package exports: texts by source file, and names by the package they come from. */
class Exports {
  /** @type {Map<string, Map<number, string>>} */
  files = new Map();
  /** @type {Map<string, string[]>} */
  borrowed = new Map();
  /** @type {string[]} */
  problems = [];

  /** @param {string} name */
  constructor(name) {
    this.name = name;
    const index = program.getSourceFile(indexOf(name));
    const module = index && checker.getSymbolAtLocation(index);
    if (!module) throw new Error(`signatures: ${name}: not built`);
    this.addAll(module, '');
  }

  /** @param {import('@ts-morph/common').ts.Symbol} module @param {string} space */
  addAll(module, space) {
    for (const exported of checker.getExportsOfModule(module)) this.add(exported, space);
  }

  /** @param {import('@ts-morph/common').ts.Symbol} exported @param {string} space */
  add(exported, space) {
    const symbol = resolved(exported);
    for (const declaration of symbol.declarations ?? []) {
      if (ts.isSourceFile(declaration)) return this.addAll(symbol, `${exported.name}.`);
      const file = declaration.getSourceFile().fileName;
      if (!file.startsWith(`${root}${this.name}/`)) {
        const ours = /packages\/([\w-]+)\/dist/.exec(file)?.[1];
        const from = ours === undefined ? /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1] : `@shootdown/${ours}`;
        if (from === undefined) throw new Error(`signatures: ${exported.name}: from ${file}`);
        this.borrowed.set(from, [...(this.borrowed.get(from) ?? []), `${space}${exported.name}`]);
        return;
      }
      // Names within a namespace are the kernel's.
      if (space === '' && ts.displayPartsToString(symbol.getDocumentationComment(checker)).trim() === '')
        this.problems.push(`${this.name}: ${space}${exported.name} has no doc comment`);
      const statement = ts.isVariableDeclaration(declaration) ? declaration.parent.parent : declaration;
      const path = relative(dirname(indexOf(this.name)), file).replace('.d.ts', '.ts');
      const key = space === '' ? path : `${path}, as ${space}*`;
      const texts = this.files.get(key) ?? new Map();
      this.files.set(key, texts.set(statement.pos, asHeader(statement.getFullText().trim())));
    }
  }

  /** The section of the README. */
  get text() {
    const own = [...this.files].map(([file, texts]) => {
      const inOrder = [...texts].toSorted(([a], [b]) => a - b).map(([, text]) => text);
      return `// ${file}\n${inOrder.join('\n')}`;
    });
    const others = [...this.borrowed].map(([from, exported]) =>
      wrapped(`From \`${from}\`: ${exported.map((e) => `\`${e}\``).join(', ')}.`, COLUMNS).join('\n'),
    );
    return [
      HEADING,
      '<details><summary>What the package exports, by source file</summary>',
      ...(own.length > 0 ? [`${FENCE}ts\n${own.join('\n\n')}\n${FENCE}`] : []),
      ...others,
      '</details>\n',
    ].join('\n\n');
  }
}

/** @type {string[]} */
const problems = [];
for (const name of names) {
  const readme = `${root}${name}/README.md`;
  const before = readFileSync(readme, 'utf8');
  const start = before.indexOf(`\n${HEADING}\n`);
  const head = start < 0 ? `${before.trimEnd()}\n` : before.slice(0, start);
  const exported = new Exports(name);
  problems.push(...exported.problems);
  const after = `${head}\n${exported.text}`;
  if (after === before) continue;
  if (check) problems.push(`packages/${name}/README.md: signatures are out of date (npm run signatures)`);
  else writeFileSync(readme, after);
}
for (const problem of problems) console.error(`signatures: ${problem}`);
process.exitCode = problems.length > 0 ? 1 : 0;
