/** `explore --replace x.patch`: what a scenario says before the patch and after it, beside each other. */
import type { ExploreResult } from '@shootdown/explorer';
import type { Arguments } from '../arguments.ts';
import type { Side } from '../c-files.ts';
import { exitCodeOf } from '../counterexample.ts';
import { replacementOf, scenarioOf, type RequestedScenario } from '../scenario-request.ts';
import type { Found } from './explore.ts';

const SIDES: readonly Side[] = ['before', 'after'];
const WIDTH = 36;

interface FoundOnSide extends Found {
  readonly side: Side;
  readonly resolved: RequestedScenario;
}

/** Searches both sides of a patch and prints what came out; the exit code is that of the patched kernel. */
export async function exploreBothSides(
  name: string,
  args: Arguments,
  search: (resolved: RequestedScenario) => Promise<Found>,
): Promise<number> {
  args.refuse(
    ['save-schedule', 'format', 'mutate'],
    'goes with one side of a patch: give --side before or --side after',
  );
  // A mistake in one side is said before the other is searched.
  const resolved: RequestedScenario[] = [];
  for (const side of SIDES) resolved.push(await scenarioOf('explore', name, args, replacementOf(args, side)));
  const found: FoundOnSide[] = [];
  for (const [i, one] of resolved.entries())
    found.push({ side: SIDES[i] ?? 'after', resolved: one, ...(await search(one)) });
  if (args.has('json')) {
    const documents = Object.fromEntries(found.map(({ side, document }) => [side, document]));
    process.stdout.write(`${JSON.stringify(documents)}\n`);
  } else process.stdout.write(`${summary(found)}\n${found.map(onSide).join('\n')}`);
  return exitCodeOf((found.at(-1) as Found).result);
}

function onSide({ side, text }: FoundOnSide): string {
  return `${side} the patch: ${text}`;
}

function summary(found: readonly FoundOnSide[]): string {
  const row = (title: string, cells: readonly string[]): string =>
    `${title.padEnd(10)}${cells.map((cell) => cell.padEnd(WIDTH)).join('  ')}`.trimEnd();
  const property = ({ property: sentence }: Pick<ExploreResult, 'property'>): string => sentence ?? '-';
  const wrapped = found.map(({ result }) => pieces(property(result)));
  const height = Math.max(...wrapped.map((lines) => lines.length));
  return [
    found.map(({ side, result }) => `${side}: ${result.verdict.toUpperCase()}`).join(', '),
    '',
    row(
      '',
      found.map(({ side }) => side),
    ),
    row(
      'verdict',
      found.map(({ result }) => result.verdict.toUpperCase()),
    ),
    ...Array.from({ length: height }, (_, i) =>
      row(
        i === 0 ? 'property' : '',
        wrapped.map((lines) => lines[i] ?? ''),
      ),
    ),
    row(
      'replaced',
      found.map(({ resolved }) => resolved.replaced.map((name) => `${name}()`).join(' ') || 'nothing: as it ships'),
    ),
    '',
  ].join('\n');
}

/** Words in lines of the width of a column. */
function pieces(text: string): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const last = lines.at(-1) ?? '';
    if (last !== '' && last.length + 1 + word.length > WIDTH) lines.push(word);
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`;
  }
  return lines;
}
