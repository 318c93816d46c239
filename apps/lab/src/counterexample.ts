/** What a search that found something has to say: the command that replays it, the exit code. */
import type { ExploreResult } from '@shootdown/explorer';
import { formatSchedule } from '@shootdown/machine';
import { ExitCode } from './exit-codes.ts';
import { scenarioWords, type RequestedScenario } from './scenario-request.ts';

/** The command that shows the counterexample again. */
export function replayCommand(resolved: RequestedScenario, result: Pick<ExploreResult, 'schedule'>): string {
  return `npx shootdown replay ${scenarioWords(resolved)} --schedule ${formatSchedule(result.schedule ?? [])}`;
}

/** The exit code of a verdict. */
export function exitCodeOf(result: Pick<ExploreResult, 'verdict'>): number {
  switch (result.verdict) {
    case 'safe':
      return ExitCode.ok;
    case 'bounded':
      return ExitCode.bounded;
    case 'deadlock':
      return ExitCode.deadlock;
    case 'violation':
      return ExitCode.violation;
  }
}
