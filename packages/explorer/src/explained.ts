/** A counterexample in words, with how it ends. */
import { recordTrace, shownText, TabulatedExecutor, type Executor, type Trace } from '@shootdown/machine';
import type { ExploreResult } from './result.ts';
import type { ResolvedScenario } from './scenario.ts';

/** The counterexample in words, with how it ends. */
export function counterexample(
  resolved: Pick<ResolvedScenario, 'build'>,
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
    return op === null || executor.isDone(p.index)
      ? []
      : [`${p.name}: waits in ${(op.label ?? op.definition.name).replace(/ returns$/, '')}`];
  });
  const kind = problem.verdict === 'deadlock' ? 'deadlock' : problem.kind === 'finally' ? 'finally' : 'violation';
  const property = executor.system.properties.find(({ name }) => name === problem.property);
  const detail = property?.detail?.((address) => executor.store.read(address));
  const sentence = detail === undefined ? problem.property : `${problem.property}: ${shownText(detail)}`;
  const text = kind === 'deadlock' ? ['deadlock', ...waiting].join('; ') : sentence;
  return { ...trace, end: { kind, text } };
}
