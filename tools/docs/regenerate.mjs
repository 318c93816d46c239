/**
 * Writes states, steps and seconds of the scenario tables anew, from the explorer: the one of README.md (without
 * reduction) and those of docs/. Verdicts are not written: one that is not as the page says is printed, and the exit
 * code is 1. Usage: `npm run docs [-- page ...]`, after a build.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { expectedVerdict, explore, resolveScenario } from '@shootdown/explorer';
import { scenarios } from '@shootdown/scenarios';

const root = new URL('../../', import.meta.url);
const README_SCENARIO = 'ptdump-vmalloc';
const README_ROW = /^\| `([\w-]+)` \| (sc|tso|arm) \| (\w+) \| [\d,]+ \| \d* \| [\d.]+ \|$/;
const HEADING = /^### `([\w-]+)`$/;
const DOCS_ROW = /^\| `([^`]+)` \| ([^|]+) \| [\d,]+ \| \d* \| (.*) \|$/;

/**
 * @param {string} scenario @param {string} variant @param {'sc' | 'tso' | undefined} memoryModel @param
 * {import('@shootdown/explorer').ExploreOptions} options
 */
async function searched(scenario, variant, memoryModel, options) {
  const resolved = resolveScenario(scenarios, { scenario, variant, memoryModel });
  const found = await explore(resolved.build(), { ...options, interleavingsStatesMax: 0 });
  const expected = expectedVerdict(resolved.variant, resolved.memoryModel);
  if (found.verdict !== expected) {
    console.log(`${scenario} ${variant} on ${resolved.memoryModel}: ${found.verdict}, expected ${expected}`);
    process.exitCode = 1;
  }
  const steps = found.schedule === null ? '' : String(found.schedule.length);
  return {
    verdict: found.verdict,
    states: found.states.toLocaleString('en'),
    steps,
    seconds: found.seconds.toFixed(2),
  };
}

/** @param {string} line @param {string} scenario */
async function written(line, scenario) {
  const top = README_ROW.exec(line);
  if (top) {
    const [, variant = '', model = ''] = top;
    const { verdict, states, steps, seconds } = await searched(README_SCENARIO, variant, /** @type {'sc'} */ (model), {
      reduction: false,
    });
    return `| \`${variant}\` | ${model} | ${verdict} | ${states} | ${steps} | ${seconds} |`;
  }
  const row = DOCS_ROW.exec(line);
  if (!row || !scenarios.some(({ name, variants }) => name === scenario && variants.some((v) => v.name === row[1])))
    return line;
  const { states, steps } = await searched(scenario, row[1] ?? '', undefined, {});
  return `| \`${row[1]}\` | ${row[2]} | ${states} | ${steps} | ${row[3]} |`;
}

const pages =
  process.argv.length > 2
    ? process.argv.slice(2)
    : ['README.md', ...readdirSync(new URL('docs/', root)).map((name) => `docs/${name}`)];
for (const page of pages) {
  const url = new URL(page, root);
  let scenario = '';
  const lines = [];
  for (const line of readFileSync(url, 'utf8').split('\n')) {
    const heading = HEADING.exec(line);
    if (heading) scenario = heading[1] ?? '';
    else if (line.startsWith('#')) scenario = '';
    lines.push(await written(line, scenario));
  }
  writeFileSync(url, lines.join('\n'));
  console.log(page);
}
