/** Pickers, the verdict and what it rests on: always at the same place. */
import type { Verdict } from '../engine/api.ts';
import type { ComponentType } from 'preact';
import { at, progress, request, scenario, scenarios, stopSearch, variant, verdict, walk } from '../store.ts';
import { Later } from '../views/Later.tsx';

/** They come when it is known what there is to pick. */
const pickers = async (): Promise<ComponentType> => (await import('./Pickers.tsx')).Pickers;

const whole = (n: number): string => n.toLocaleString('en');

const STAMPS = { safe: '✓ Safe', violation: '× Violation', deadlock: '× Deadlock', bounded: '? Bounded' } as const;

function Facts({ found }: { readonly found: Verdict }) {
  const { result } = found;
  const facts: [string, string][] = [
    [
      whole(walk.value?.trace.steps.length ?? 0),
      found.isCounterexample ? (result.shortest ? 'steps, shortest' : 'steps') : 'steps of one run',
    ],
    [whole(walk.value?.contextSwitches ?? 0), 'context switches'],
    [whole(result.states), result.reduction ? 'states (reduced)' : 'states'],
    [whole(result.transitions), 'transitions'],
    [`${result.seconds.toFixed(1)} s`, 'to the verdict'],
  ];
  return (
    <div class="facts">
      {facts.map(([value, what]) => (
        <div class="fact" key={what}>
          <b>{value}</b>
          <span>{what}</span>
        </div>
      ))}
    </div>
  );
}

function VerdictLine({ found }: { readonly found: Verdict }) {
  const { result, agrees, expected, source, summary } = found;
  const detail = walk.value?.trace.steps.at(-1)?.violation?.detail ?? '';
  return (
    <>
      <div class="verd">
        <span class={`stamp ${result.verdict}`} data-testid="verdict">
          {STAMPS[result.verdict]}
        </span>
        <b class="prop" data-testid="property" title={result.property ?? summary}>
          {result.property ?? summary}
        </b>
        {found.isCounterexample && <span class="ink2 detail">{detail}</span>}
      </div>
      <p class="expect ink2">
        {agrees === null ? 'nothing expected on this model' : agrees ? '✓ as expected' : `× expected ${expected ?? ''}`}
        <span class="dim"> · {source}</span>
      </p>
    </>
  );
}

/** What the search has seen, in words of the same size as what it has not. */
function coveredIn({ result }: Verdict): string {
  const limits = Object.entries(result.bounds).filter(([name, value]) => value !== undefined && name !== 'maxStates');
  const bounds =
    limits.length > 0 ? `, within ${limits.map(([name, value]) => `${name} ${String(value)}`).join(', ')}` : '';
  if (result.verdict === 'safe') {
    const many = result.interleavings === null ? '' : ` (${result.interleavings} of them)`;
    return `every interleaving${many} to depth ${result.depth}${bounds}`;
  }
  if (result.verdict === 'bounded')
    return `part of the interleavings: stopped by ${result.limit ?? result.stoppedBy ?? 'its bounds'}`;
  return `every interleaving to depth ${result.depth}${result.shortest ? '; no shorter counterexample' : ''}${bounds}`;
}

function notTested({ result }: Verdict): string {
  const now = request.value;
  const models = (variant.value?.memoryModels ?? []).filter((model) => model !== now?.memoryModel).join(', ');
  const unseen = result.sometimes.filter(({ witnessed }) => !witnessed).map(({ name }) => `no witness: ${name}`);
  const parameters = Object.keys(scenario.value?.parameters ?? {}).map((name) => `other values of ${name}`);
  const { notTested: orders, weakerArchitectures } = result.scope;
  const noOps = orders.map(
    ({ operation, sites }) => `${sites} ${operation}, which ${now?.memoryModel ?? ''} makes nothing of`,
  );
  const weaker = weakerArchitectures.map((architecture) => `${architecture}'s ordering of loads and stores`);
  const others = models === '' ? [] : [`memory models ${models}`];
  return [...noOps, ...weaker, ...others, ...parameters, ...unseen].join(' · ');
}

export function Head() {
  const found = verdict.value;
  return (
    <section class="head" aria-label="verdict">
      <div class="picking">{scenarios.value.length > 0 && <Later load={pickers} />}</div>
      {found && <Facts found={found} />}
      {found && <VerdictLine found={found} />}
      {!found && progress.value && (
        <div class="verd" role="status">
          <span class="stamp working">Searching</span>
          <b class="prop" data-testid="progress">
            {whole(progress.value.states)} states, {whole(Math.round(progress.value.statesPerSecond))} a second, depth{' '}
            {progress.value.depth}
          </b>
          <button class="btn" onClick={stopSearch}>
            Stop
          </button>
        </div>
      )}
      {found && (
        <div class="cov" aria-live="off" data-step={at.value}>
          <b>Covers</b>
          <span title={coveredIn(found)}>{coveredIn(found)}</span>
          <b>Did not test</b>
          <span title={notTested(found)}>{notTested(found)}</span>
        </div>
      )}
    </section>
  );
}
