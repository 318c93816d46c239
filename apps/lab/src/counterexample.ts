/** What a search that found something has to say: the counterexample in words, the command that replays it, the exit code. */
import type { ExploreResult, ResolvedScenario } from '@shootdown/explorer';
import { formatSchedule, recordTrace, TabulatedExecutor, type Executor, type Trace } from '@shootdown/machine';
import { ExitCode } from './exit-codes.ts';
import { scenarioWords, type RequestedScenario } from './scenario-request.ts';

/** The counterexample in words, with how it ends. */
export function counterexample(
  resolved: ResolvedScenario,
  result: Pick<ExploreResult, 'schedule' | 'verdict' | 'property' | 'kind'>,
): Trace {
  const executor = new TabulatedExecutor(resolved.build());
  return explained(executor, recordTrace(executor, result.schedule ?? []), result);
}

/** A trace with how it ends: what is wrong in the state that the executor is in. */
export function explained(
  executor: Executor,
  trace: Trace,
  problem: Pick<ExploreResult, 'verdict' | 'property' | 'kind'>,
): Trace {
  if (trace.end !== null || problem.property === null) return trace;
  const waiting = executor.system.processors.flatMap((p) => {
    const op = executor.pendingOperation(p.index);
    return op === null || executor.isDone(p.index) ? [] : [`${p.name}: waits in ${op.label ?? op.definition.name}`];
  });
  const kind = problem.verdict === 'deadlock' ? 'deadlock' : problem.kind === 'finally' ? 'finally' : 'violation';
  const text = kind === 'deadlock' ? ['deadlock', ...waiting].join('; ') : problem.property;
  return { ...trace, end: { kind, text } };
}

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
