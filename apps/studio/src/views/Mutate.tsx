/** Which line is needed for what: every line by configuration, and what breaks without it. */
import { effect } from '@preact/signals';
import { HeatStrip } from '../mutate/HeatStrip.tsx';
import { MutantDetail } from '../mutate/MutantDetail.tsx';
import { addConfiguration, configurations, isWorking, kind, measure, rows, stopMeasuring } from '../mutate/store.ts';
import { kinds, needOf } from '../mutate/table.ts';
import { Pickers } from '../panes/Pickers.tsx';
import { request, scenario, tab } from '../store.ts';

effect(() => {
  if (tab.value === 'mutate' && request.value) measure(request.value);
});

const whole = (n: number): string => n.toLocaleString('en');

export function Mutate() {
  const first = configurations.value[0];
  return (
    <main class="screen" data-settled={configurations.value.length > 0 && !isWorking.value}>
      <section class="head" aria-label="measurement">
        <div class="picks">
          <Pickers />
          <div class="seg" role="group" aria-label="what is done to a line">
            {kinds.map((name) => (
              <button key={name} aria-pressed={kind.value === name} onClick={() => (kind.value = name)}>
                {name}
              </button>
            ))}
          </div>
          <MoreColumns />
        </div>
        <Figures />
        <p class="big">
          {first?.outcome && first.outcome.verdict !== 'safe' ? (
            <>
              <span class="stamp">{first.outcome.verdict}</span> as it is: there is nothing to measure changes against
              <span class="ink2"> {first.outcome.property}</span>
            </>
          ) : (
            <Summary />
          )}
        </p>
        <p class="cov reads">
          <b>Reads as</b>
          <span>
            every interleaving of the machine with that one line changed. “Not needed” says that no property of this
            scenario fails without it, here, on this memory model. Locks are left out with their unlocks.
          </span>
        </p>
      </section>
      <div class="mutate">
        <HeatStrip />
        <MutantDetail />
      </div>
    </main>
  );
}

function Summary() {
  const needs = rows.value.map(needOf);
  const count = (need: string): number => needs.filter((n) => n === need).length;
  return (
    <>
      {count('all')} of {needs.length} lines are needed in every configuration, {count('some')} in some, {count('none')}{' '}
      in none
      <span class="ink2">
        {count('unknown') > 0 && ` · ${count('unknown')} cannot be judged: a witness is gone, or a bound was hit`}
      </span>
    </>
  );
}

function Figures() {
  const all = configurations.value;
  const judged = all.reduce((sum, { judged: n }) => sum + n, 0);
  const largest = Math.max(0, ...all.map(({ outcome }) => outcome?.states ?? 0));
  const seconds = all.reduce((sum, { outcome }) => sum + (outcome?.seconds ?? 0), 0);
  const facts: [string, string][] = [
    [whole(all.length), 'configurations'],
    [whole(judged), 'searches'],
    [largest === 0 ? '…' : whole(largest), 'states as it is, largest'],
    [`${seconds.toFixed(0)} s`, 'one worker'],
  ];
  return (
    <div class="facts">
      {isWorking.value && (
        <button class="btn" onClick={stopMeasuring}>
          Stop
        </button>
      )}
      {facts.map(([value, what]) => (
        <div class="fact" key={what}>
          <b>{value}</b>
          <span>{what}</span>
        </div>
      ))}
    </div>
  );
}

/** Other variants and memory models, beside those shown. */
function MoreColumns() {
  const base = request.value;
  const entry = scenario.value;
  if (!base || !entry) return null;
  const known = configurations.value.map(({ request: { variant, memoryModel } }) => `${variant} ${memoryModel}`);
  const others = entry.variants.flatMap((variant) =>
    variant.memoryModels
      .map((memoryModel) => ({ variant: variant.name, memoryModel, name: `${variant.name} ${memoryModel}` }))
      .filter(({ name }) => !known.includes(name)),
  );
  return (
    <label class="pick">
      <span>beside it</span>
      <select
        value=""
        data-testid="beside"
        onChange={(event) => {
          const chosen = others.find(({ name }) => name === event.currentTarget.value);
          if (chosen) addConfiguration({ ...base, variant: chosen.variant, memoryModel: chosen.memoryModel });
        }}
      >
        <option value="">add a configuration</option>
        {others.map(({ name }) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}
