/** The table of `shootdown mutate`: every line of the code, what was done to it, and what that came to. */
import type { JudgedMutant, Judgement, MutateResult } from '@shootdown/explorer';
import { Change, formatMutation, valueAlwaysRead, type CodeLine } from '@shootdown/machine';
import { headingOf, scenarioWords, type RequestedScenario } from './scenario-request.ts';

const TEXT_MAX = 44;

/** What is printed for people. */
export function mutationTable(resolved: RequestedScenario, result: MutateResult): string {
  const lines = [headingOf(resolved), ''];
  if (result.unchanged.verdict !== 'safe') return `${[...lines, ...notSafe(resolved, result)].join('\n')}\n`;
  lines.push(
    ...rowsOf(result, resolved.memoryModel),
    '',
    ...summary(result),
    ...notModelled(result),
    ...howToRead(resolved, result),
  );
  return `${lines.join('\n')}\n`;
}

function notSafe(resolved: RequestedScenario, { unchanged }: MutateResult): string[] {
  const { verdict, property, stoppedBy, limit } = unchanged;
  const why = verdict === 'bounded' ? `stopped by ${limit ?? stoppedBy ?? 'its bounds'}` : (property ?? '');
  return [
    `${verdict.toUpperCase()} as it is (${why}): there is nothing to measure changes against.`,
    `npx shootdown explore ${scenarioWords(resolved)}`,
  ];
}

/** Lines by routine; a line with several changes is printed once, its changes below one another. */
function rowsOf({ lines, mutants }: MutateResult, memoryModel: string): string[] {
  const rows: string[] = [];
  let routine = '';
  for (const line of lines) {
    const changes = mutants.filter((mutant) => mutant.line === line);
    if (changes.length === 0) continue;
    if (line.routine !== routine)
      rows.push(...(routine === '' ? [] : ['']), `${line.routine}()  [${line.processors.join(', ')}]`);
    ({ routine } = line);
    const text = cut(line.text);
    changes.forEach((mutant, i) =>
      rows.push(row(i === 0 ? text : '', changeWords(mutant), outcome(mutant, memoryModel))),
    );
  }
  return rows;
}

function row(text: string, change: string, result: string): string {
  return `  ${text.padEnd(TEXT_MAX)}  ${change.padEnd(16)}  ${result}`.trimEnd();
}

function hex(value: number): string {
  return value >= 0 && value < 10 ? String(value) : `0x${(value >>> 0).toString(16)}`;
}

function cut(text: string): string {
  return text.length <= TEXT_MAX ? text : `${text.slice(0, TEXT_MAX - 3)}...`;
}

function changeWords({ mutation: { change } }: JudgedMutant): string {
  switch (change) {
    case Change.leaveOut:
      return 'left out';
    case Change.leaveOutPair:
      return 'pair left out';
    case Change.recheck:
      return 'not read again';
    case Change.loadThenStore:
      return 'load, then store';
    case Change.swap:
      return 'after the next';
    default: {
      const value = valueAlwaysRead(change);
      return value === undefined ? change.replaceAll('-', ' ') : `always reads ${hex(value)}`;
    }
  }
}

function outcome({ line, judgement }: JudgedMutant, memoryModel: string): string {
  if (judgement === null) return 'not judged';
  switch (judgement.result) {
    case 'needed':
      return `NEEDED: ${breaks(judgement)}`;
    case 'not needed':
      return `not needed here${unmodelled(line)}`;
    case 'no difference':
      return `no difference to any state${unordered(line, memoryModel)}${unmodelled(line)}`;
    case 'bounded':
      return `BOUNDED: nothing broke before the search ended (${judgement.property ?? judgement.stoppedBy ?? 'its bounds'})`;
  }
}

function breaks({ property, kind, witnessGone, schedule }: Judgement): string {
  if (witnessGone) return `a witness is gone: ${property ?? ''}`;
  if (kind === 'crash') return `the code breaks down (${cut(property ?? '')})`;
  return `${property ?? ''}${schedule ? ` (${schedule.length} steps)` : ''}`;
}

/** A barrier that changes nothing has not been put to the test. */
function unordered({ isBarrier }: CodeLine, memoryModel: string): string {
  return isBarrier ? `; ${memoryModel} reorders nothing here that it keeps in order` : '';
}

function unmodelled(line: CodeLine): string {
  return line.unmodelled.length === 0 ? '' : `; not modelled: ${line.unmodelled.join(', ')}`;
}

function summary({ mutants, lines, seconds }: MutateResult): string[] {
  const count = (wanted: (judgement: Judgement) => boolean): number =>
    mutants.filter(({ judgement }) => judgement !== null && wanted(judgement)).length;
  const parts = [
    `${count((j) => j.result === 'needed')} needed`,
    `${count((j) => j.witnessGone)} of them because a witness is gone`,
    `${count((j) => j.result === 'not needed')} not needed here`,
    `${count((j) => j.result === 'no difference')} without any difference`,
    `${count((j) => j.result === 'bounded')} bounded`,
    `${mutants.filter(({ judgement }) => judgement === null).length} not judged`,
  ].filter((part) => !part.startsWith('0 '));
  return [`${mutants.length} changes of ${lines.length} lines: ${parts.join(', ')}; ${seconds.toFixed(0)} s`];
}

/** Lines that only cost time. */
function notModelled({ lines }: MutateResult): string[] {
  const texts = lines.filter(({ onlyCost }) => onlyCost).map(({ routine, text }) => `${routine}: ${text}`);
  return texts.length === 0 ? [] : [`Not put to the test, because what it does is not modelled: ${texts.join('; ')}`];
}

function howToRead(resolved: RequestedScenario, { mutants }: MutateResult): string[] {
  const needed = mutants.find(({ judgement }) => judgement?.result === 'needed' && judgement.schedule !== null);
  const lines = [
    '"Not needed here": no property of this scenario fails without it, with these processors, on this memory model.',
  ];
  if (!needed) return lines;
  const { line, mutation } = needed;
  const name = formatMutation({ routine: line.routine, step: line.step, change: mutation.change });
  return [
    ...lines,
    'To see what breaks (--json has the command of every row):',
    `  npx shootdown explore ${scenarioWords(resolved)} --mutate '${name}'`,
  ];
}
