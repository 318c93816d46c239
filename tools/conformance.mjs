/**
 * Compares `shootdown litmus` on a folder with a table of somebody else's answers.
 *
 *   npm run conformance -- DIR [--table FILE] [--column NAME] [--ets2] [--promises auto|never]
 *
 * A table is tab- or blank-separated: one line per test, its file (below DIR) or its name first, and an answer in some
 * column: Never, Sometimes, Always, or Forbidden, Allowed, Required. A first line that begins with `#` may name the
 * columns after a colon. Without --table it is expected.tsv, herd7.tsv or kinds.txt in DIR, or a herd log
 * `FILE.litmus.expected` beside each test. Exit code 1 when an answer of the table is contradicted.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const command = fileURLToPath(new URL('../apps/lab/bin/shootdown.mjs', import.meta.url));
const OUTPUT_BYTES_MAX = 1 << 28;
const TABLES = ['expected.tsv', 'herd7.tsv', 'kinds.txt'];
const ANSWERS = new Set(['Never', 'Sometimes', 'Always', 'Forbidden', 'Allowed', 'Required']);

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    table: { type: 'string' },
    column: { type: 'string' },
    ets2: { type: 'boolean', default: false },
    promises: { type: 'string', default: 'auto' },
  },
});

/** @param {string} line @returns {never} */
function fail(line) {
  console.error(`conformance: ${line}`);
  process.exit(10);
}

const [folder] = positionals;
if (folder === undefined || !existsSync(folder)) fail(`no such folder (${folder ?? 'none given'})`);

/** Answers by file and by name. @param {string} path @returns {Map<string, string>} */
function readTable(path) {
  const lines = readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line.trim() !== '');
  const names = lines[0]?.startsWith('#')
    ? (lines[0].split(':').at(-1) ?? '').split(',').map((name) => name.trim())
    : [];
  const wanted = values.column ?? (values.ets2 ? 'observed with ETS2' : 'observed');
  const column = names.indexOf(wanted);
  const table = new Map();
  for (const line of lines) {
    if (line.startsWith('#')) continue;
    const cells = line.includes('\t') ? line.split('\t') : line.trim().split(/\s+/);
    const answer = column >= 0 ? cells[column] : cells.findLast((cell) => ANSWERS.has(cell));
    if (answer !== undefined && ANSWERS.has(answer)) table.set(cells[0], answer);
  }
  return table;
}

/** The answer of a log of herd. @param {string} path @returns {string | undefined} */
function answerInLog(path) {
  return existsSync(path) ? /^Observation \S+ (\w+)/m.exec(readFileSync(path, 'utf8'))?.[1] : undefined;
}

const tablePath = values.table ?? TABLES.map((name) => join(folder, name)).find((path) => existsSync(path));
const table = tablePath === undefined ? new Map() : readTable(tablePath);
const flags = ['--json', '--promises', values.promises, ...(values.ets2 ? ['--ets2'] : [])];
const run = spawnSync(process.execPath, [command, 'litmus', folder, ...flags], {
  encoding: 'utf8',
  maxBuffer: OUTPUT_BYTES_MAX,
  stdio: ['ignore', 'pipe', 'inherit'],
});
if (run.status !== 0) fail(`shootdown litmus ended with ${run.status}`);

/** Whether an observation is what the table says. @param {string} said @param {string} seen */
function agrees(said, seen) {
  if (said === 'Forbidden') return seen === 'Never';
  if (said === 'Allowed') return seen !== 'Never';
  return seen === (said === 'Required' ? 'Always' : said);
}

const tests = JSON.parse(run.stdout);
const counts = { tests: tests.length, compared: 0, equal: 0, forbidden: 0, unanswered: 0 };
let seconds = 0;
for (const test of tests) {
  seconds += test.seconds;
  const said = answerInLog(`${test.file}.expected`) ?? table.get(relative(folder, test.file)) ?? table.get(test.name);
  if (said === undefined) continue;
  counts.compared++;
  if (test.observation === null) {
    counts.unanswered++;
    console.log(`${test.file}: ${said}, no answer: ${test.unsupported ?? 'a bound was hit'}`);
  } else if (agrees(said, test.observation)) counts.equal++;
  else {
    // An answer that the table forbids is a mistake; one that is missing may be a limit that the package's README
    // names.
    const forbidden = said === 'Never' || said === 'Forbidden';
    if (forbidden) counts.forbidden++;
    console.log(`${test.file}: ${said}, observed ${test.observation}${forbidden ? ': FORBIDDEN' : ''}`);
  }
}
console.log(
  `${counts.tests} tests, ${counts.compared} with an answer: ${counts.equal} equal, ${counts.forbidden} forbidden and observed, ` +
    `${counts.compared - counts.equal - counts.forbidden - counts.unanswered} allowed and not observed, ${counts.unanswered} unanswered; ${seconds.toFixed(1)} s`,
);
process.exitCode = counts.forbidden > 0 ? 1 : 0;
