/** The states around the present one: the path, what branches off it, and how far the bug is on each branch. */
import { at, beyond, goTo, steps, walk } from '../store.ts';
import { take } from '../walking.ts';
import { hueOf } from './hue.ts';

/** It is drawn at its size, so that its text has its own: wide, or as on a phone. */
const WIDE = 428;
const NARROW = 350;
const PHONE = 800;
const HEIGHT = 86;
const MIDDLE = 42;
/** Steps that are shown before the present one, and after it. */
const BEFORE = 8;
const AFTER = 4;
/** Branches of one step: more would not be told apart. */
const BRANCHES_MAX = 2;
/** Besides their hue, edges of processors differ in their dashes. */
const DASHES = ['', '6 3', '2 3'];

export function Around() {
  const shown = walk.value;
  const around = beyond.value;
  if (!shown) return null;
  const width = innerWidth < PHONE ? NARROW : WIDE;
  const last = Math.min(steps.value, Math.max(at.value + AFTER, BEFORE + AFTER));
  const first = Math.max(0, last - BEFORE - AFTER);
  const unit = (width - 40) / Math.max(1, last - first);
  const x = (step: number): number => 20 + (step - first) * unit;
  const numbers = Array.from({ length: last - first }, (_, i) => first + i);
  return (
    <section class="panel around" aria-label="states around here">
      <div class="ph">
        <h2>States around here</h2>
        <span class="n">
          <b class="out ok">✓</b> no bug beyond · <b class="out bad">9</b> steps to the bug
        </span>
      </div>
      <svg viewBox={`0 0 ${width} ${HEIGHT}`} role="img" aria-label={`steps ${first} to ${last} and their branches`}>
        {numbers.map((step) => {
          const column = shown.trace.steps[step]?.column ?? -1;
          return (
            <line
              key={step}
              x1={x(step)}
              x2={x(step + 1)}
              y1={MIDDLE}
              y2={MIDDLE}
              stroke={`var(--c${hueOf(column)})`}
              stroke-width="3"
              stroke-dasharray={DASHES[column % DASHES.length]}
            />
          );
        })}
        {numbers.map((step) => {
          const enabled = shown.states.steps[step]?.enabled ?? [];
          const others = enabled.filter(({ entry }) => entry !== shown.schedule[step]).slice(0, BRANCHES_MAX);
          return others.map(({ entry, column, violates }, i) => {
            const up = i === 0 ? -1 : 1;
            const distance = around?.steps[step]?.find((way) => way.entry === entry)?.distance;
            const [toX, toY] = [x(step) + unit * 0.55, MIDDLE + up * 20];
            const label = violates ? '×' : distance === undefined ? '' : distance === null ? '✓' : String(distance - 1);
            return (
              <g
                key={`${step} ${entry}`}
                class="branch"
                onClick={() => {
                  goTo(step + 1);
                  take(entry);
                }}
              >
                <line
                  x1={x(step)}
                  y1={MIDDLE}
                  x2={toX}
                  y2={toY}
                  stroke={`var(--c${hueOf(column)})`}
                  stroke-width="1.5"
                  stroke-dasharray={DASHES[column % DASHES.length]}
                />
                <text
                  x={toX}
                  y={toY + (up < 0 ? -3 : 13)}
                  text-anchor="middle"
                  class={distance === null ? 'ok' : 'bad'}
                >
                  {label}
                </text>
              </g>
            );
          });
        })}
        {[...numbers, last].map((step) => (
          <g key={step} onClick={() => goTo(step)} class="branch">
            <circle
              cx={x(step)}
              cy={MIDDLE}
              r={step === at.value ? 5 : 3.5}
              fill={step === at.value ? 'var(--ink)' : 'var(--panel)'}
              stroke="var(--ink)"
              stroke-width="1.5"
            />
            <text x={x(step)} y={HEIGHT - 3} text-anchor="middle" class={step === at.value ? 'here' : ''}>
              {step}
            </text>
          </g>
        ))}
      </svg>
    </section>
  );
}
