/** Which system is looked at: scenario, variant, parameters, memory model. */
import type { SystemRequest } from '../engine/api.ts';
import { choose, offered, openTab, request, scenario, scenarios, variant } from '../store.ts';

export function Pickers() {
  const now = request.value;
  if (!now) return null;
  const groups = [...new Set(offered.value.map(({ seed }) => seed ?? 'reference'))];
  return (
    <div class="picks">
      <label class="pick">
        <span>scenario</span>
        <select
          value={now.scenario}
          onChange={(event) => choose({ scenario: event.currentTarget.value })}
          data-testid="scenario"
        >
          {!scenario.value && <option value={now.scenario}>{now.scenario}</option>}
          {groups.map((group) => (
            <optgroup key={group} label={group}>
              {offered.value
                .filter(({ seed }) => (seed ?? 'reference') === group)
                .map(({ name }) => (
                  <option key={name} value={name}>
                    {name}
                  </option>
                ))}
            </optgroup>
          ))}
        </select>
      </label>
      <label class="pick">
        <span>variant</span>
        <select
          value={now.variant}
          onChange={(event) => choose({ variant: event.currentTarget.value })}
          data-testid="variant"
        >
          {!variant.value && <option value={now.variant}>{now.variant}</option>}
          {scenario.value?.variants.map(({ name }) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
      </label>
      {Object.entries(scenario.value?.parameters ?? {}).map(([name, parameter]) => (
        <label class="pick" key={name} title={parameter.meaning}>
          <span>{name}</span>
          <input
            type="number"
            min={parameter.min}
            max={parameter.max}
            value={now.parameters[name] ?? parameter.default}
            onChange={(event) =>
              choose({ parameters: { ...now.parameters, [name]: Number(event.currentTarget.value) } })
            }
          />
        </label>
      ))}
      <div class="seg" role="group" aria-label="memory model">
        {(variant.value?.memoryModels ?? [now.memoryModel]).map((model) => (
          <button key={model} aria-pressed={now.memoryModel === model} onClick={() => choose({ memoryModel: model })}>
            {model}
          </button>
        ))}
      </div>
      {now.own && (
        <span class="pick own m" title="code of your own">
          {now.own.name}
          <button aria-label="edit the code" onClick={() => openTab('write')}>
            edit
          </button>
          <button aria-label="without the code" onClick={() => choose(withoutOwn())}>
            ×
          </button>
        </span>
      )}
      {now.mutations.map((mutation) => (
        <span class="pick mutation m" key={mutation} title="one line of the code is changed">
          {mutation}
          <button
            aria-label={`without the change ${mutation}`}
            onClick={() => choose({ mutations: now.mutations.filter((other) => other !== mutation) })}
          >
            ×
          </button>
        </span>
      ))}
    </div>
  );
}

/** What ships, instead: the same scenario if it is one of those. */
function withoutOwn(): Partial<SystemRequest> {
  const now = request.value;
  const shipped = scenarios.value.find(({ name }) => name === now?.scenario) ?? scenarios.value[0];
  const same = shipped?.variants.find(({ name }) => name === now?.variant) ?? shipped?.variants[0];
  return { own: null, scenario: shipped?.name ?? '', variant: same?.name ?? '' };
}
