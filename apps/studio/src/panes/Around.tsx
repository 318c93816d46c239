/** The states around the present one: the path, what branches off it, and how far the bug is on each branch. */
import type { EnabledChoice } from '@shootdown/machine';
import { useMemo } from 'preact/hooks';
import { at, beyond, goTo, steps, walk } from '../store.ts';
import { take } from '../walking.ts';
import { hueOf } from './hue.ts';
import { steady } from './steady.ts';

/** It is drawn at its size, so that its text has its own: wide, or as on a phone. */
const WIDE = 428;
const NARROW = 350;
const PHONE = 800;
const HEIGHT = 98;
const MIDDLE = 42;
/** Steps that are shown; and after how many of them others are, so that they stand still while most steps are taken. */
const SHOWN = 12;
const PAGE = 6;
/** Branches of one step: more would not be told apart. */
const BRANCHES_MAX = 2;
/** Besides their hue, edges of processors differ in their dashes. */
const DASHES = ['', '6 3', '2 3'];

export function Around() {
  const shown = walk.value;
  const around = beyond.value;
  const now = at.value;
  const page = Math.floor(Math.max(0, now - PAGE / 2) / PAGE) * PAGE;
  const first = Math.max(0, Math.min(page, steps.value - SHOWN));
  const last = Math.min(steps.value, first + SHOWN);
  const width = innerWidth < PHONE ? NARROW : WIDE;
  const unit = (width - 40) / Math.max(1, last - first);
  const x = (step: number): number => 20 + (step - first) * unit;
  const numbers = Array.from({ length: last - first }, (_, i) => first + i);
  // As long as the same steps are shown, only the present one of them is another.
  const paths = useMemo(
    () => shown && numbers.map((step) => <Path key={step} step={step} x={x(step)} unit={unit} />),
    [shown, around, first, last, width],
  );
  if (!shown) return null;
  return (
    <section class="panel around" aria-label="states around here">
      <div class="ph">
        <h2>States around here</h2>
        <span class="n">
          <b class="out ok">✓</b> no bug beyond · <b class="out bad">9</b> steps to the bug
        </span>
      </div>
      <svg viewBox={`0 0 ${width} ${HEIGHT}`} role="img" aria-label={`steps ${first} to ${last} and their branches`}>
        {paths}
        {[...numbers, last].map((step) => (
          <Dot key={step} step={step} x={x(step)} isHere={step === now} />
        ))}
      </svg>
    </section>
  );
}

interface PlaceProps {
  readonly step: number;
  readonly x: number;
}

/** From one state to the next, and what branches off there. */
function Path({ step, x, unit }: PlaceProps & { readonly unit: number }) {
  const shown = walk.value;
  const column = shown?.trace.steps[step]?.column ?? -1;
  const others = (shown?.states.steps[step]?.enabled ?? []).filter(({ entry }) => entry !== shown?.schedule[step]);
  return (
    <>
      <line
        x1={x}
        x2={x + unit}
        y1={MIDDLE}
        y2={MIDDLE}
        stroke={`var(--c${hueOf(column)})`}
        stroke-width="3"
        stroke-dasharray={DASHES[column % DASHES.length]}
      />
      {others.slice(0, BRANCHES_MAX).map((choice, i) => (
        <Branch key={choice.entry} choice={choice} isUp={i === 0} step={step} x={x} unit={unit} />
      ))}
    </>
  );
}

interface BranchProps extends PlaceProps {
  readonly choice: EnabledChoice;
  readonly isUp: boolean;
  readonly unit: number;
}

function Branch({ choice: { entry, column, violates }, isUp, step, x, unit }: BranchProps) {
  const distance = beyond.value?.steps[step]?.find((way) => way.entry === entry)?.distance;
  const [toX, toY] = [x + unit * 0.55, MIDDLE + (isUp ? -20 : 20)];
  const label = violates ? '×' : distance === undefined ? '' : distance === null ? '✓' : String(distance - 1);
  return (
    <g
      class="branch"
      onClick={() => {
        goTo(step + 1);
        take(entry);
      }}
    >
      <line
        x1={x}
        y1={MIDDLE}
        x2={toX}
        y2={toY}
        stroke={`var(--c${hueOf(column)})`}
        stroke-width="1.5"
        stroke-dasharray={DASHES[column % DASHES.length]}
      />
      <text x={toX} y={toY + (isUp ? -3 : 13)} text-anchor="middle" class={distance === null ? 'ok' : 'bad'}>
        {label}
      </text>
    </g>
  );
}

const Dot = steady(({ step, x, isHere }: PlaceProps & { readonly isHere: boolean }) => (
  <g onClick={() => goTo(step)} class="branch">
    <circle
      cx={x}
      cy={MIDDLE}
      r={isHere ? 5 : 3.5}
      fill={isHere ? 'var(--ink)' : 'var(--panel)'}
      stroke="var(--ink)"
      stroke-width="1.5"
    />
    <text x={x} y={HEIGHT - 3} text-anchor="middle" class={isHere ? 'here' : ''}>
      {step}
    </text>
  </g>
));
