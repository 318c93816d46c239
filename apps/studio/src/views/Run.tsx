/** What does a design cost: counters, times and their course, of one machine or of two beside one another. */
import { effect } from '@preact/signals';
import { CourseOf, timedRoutines, TimesOf, WhereTimeWent } from '../run/Charts.tsx';
import { Counters } from '../run/Counters.tsx';
import {
  choiceA,
  choiceB,
  chooseMachines,
  counter,
  countersA,
  machines,
  mistake,
  openRun,
  ownMachine,
  phase,
  ranA,
  ranB,
  running,
  stopRun,
  type MachineChoice,
} from '../run/store.ts';
import { changeText, groupsOf } from '../run/table.ts';
import { machinesInLink, tab } from '../store.ts';

const HISTOGRAMS = 3;
const whole = (n: number): string => Math.round(n).toLocaleString('en');

let opened = '';
effect(() => {
  const wanted = machinesInLink.value;
  const key = JSON.stringify(wanted);
  if (tab.value !== 'run' || key === opened) return;
  opened = key;
  void openRun(wanted.a, wanted.b);
});

effect(() => {
  if (counter.value === null || !(counter.value in countersA.value))
    counter.value = groupsOf(countersA.value, null)[0]?.rows[0]?.counter ?? null;
});

export function Run() {
  const ran = ranA.value;
  return (
    <main class="screen" data-settled={(ran !== null && running.value === null) || mistake.value !== null}>
      <section class="head" aria-label="machines">
        <div class="picks">
          <Picker label="topology" choice={choiceA.value} onChoose={(word) => chooseMachines(word, wordB())} />
          <Picker
            label="against"
            choice={choiceB.value}
            none="nothing"
            onChoose={(word) => chooseMachines(choiceA.value?.word ?? null, word)}
          />
          {ran && Object.keys(ran.phases).length > 1 && (
            <label class="pick">
              <span>phase</span>
              <select value={phase.value} onChange={(event) => (phase.value = event.currentTarget.value)}>
                <option value="">all</option>
                {Object.keys(ran.phases).map((name) => (
                  <option key={name} value={name}>
                    {name}
                  </option>
                ))}
              </select>
            </label>
          )}
          <label class="btn file">
            Topology from a file
            <input
              type="file"
              accept=".json,application/json"
              onChange={(event) => void fromFile(event.currentTarget)}
            />
          </label>
        </div>
        <Figures />
        <Headline />
      </section>
      {mistake.value !== null && (
        <p class="trouble" role="alert">
          <b>×</b> {mistake.value}
        </p>
      )}
      <div class="runs">
        {ran ? <Counters /> : <section class="panel" />}
        <div class="charts">
          <WhereTimeWent />
          <CourseOf />
          {ran && timedRoutines(ran, HISTOGRAMS).map((routine) => <TimesOf key={routine} routine={routine} />)}
          <Description />
        </div>
      </div>
    </main>
  );
}

interface PickerProps {
  readonly label: string;
  readonly choice: MachineChoice | null;
  readonly none?: string;
  readonly onChoose: (word: string | null) => void;
}

function Picker({ label, choice, none, onChoose }: PickerProps) {
  const own = choice !== null && choice.word !== choice.name;
  return (
    <label class="pick">
      <span>{label}</span>
      <select
        value={own ? '*' : (choice?.name ?? '')}
        data-testid={label}
        onChange={(event) => onChoose(event.currentTarget.value || null)}
      >
        {none !== undefined && <option value="">{none}</option>}
        {own && <option value="*">{choice.name} (own)</option>}
        {machines.value.map(({ name, title }) => (
          <option key={name} value={name} title={title}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

async function fromFile(input: HTMLInputElement): Promise<void> {
  const file = input.files?.[0];
  if (file) {
    const { word } = await ownMachine(file.name.replace(/\.json$/, ''), await file.text());
    chooseMachines(word, wordB());
  }
  input.value = '';
}

function Figures() {
  const ran = ranA.value;
  const now = running.value;
  if (now)
    return (
      <div class="facts">
        <span role="status">
          Running {now.name}: {whole(now.steps)} steps, {(now.nanoseconds / 1e6).toFixed(2)} ms of virtual time
        </span>
        <button class="btn" onClick={stopRun}>
          Stop
        </button>
      </div>
    );
  if (!ran) return null;
  const facts: [string, string][] = [
    [whole(ran.steps), 'steps'],
    [`${(ran.nanoseconds / 1e6).toFixed(ran.nanoseconds < 1e7 ? 3 : 1)} ms`, 'virtual time'],
    [`${ran.wallSeconds.toFixed(2)} s`, 'wall clock'],
    [`${whole(ran.stepsPerSecond / 1000)} k`, 'steps per second'],
  ];
  return (
    <div class="facts">
      {facts.map(([value, what]) => (
        <div class="fact" key={what}>
          <b data-fact={what}>{value}</b>
          <span>{what}</span>
        </div>
      ))}
    </div>
  );
}

/** The counters that differ most, in words. */
function Headline() {
  const a = ranA.value;
  const b = ranB.value;
  if (!a) return null;
  const rows = groupsOf(a.total, b?.total ?? null).flatMap((group) => group.rows);
  const apart = rows
    .filter((row) => row.b !== null && row.a !== row.b)
    .sort((one, other) => differenceOf(other) - differenceOf(one))
    .slice(0, 3)
    .map((row) => `${row.counter} ${whole(row.b ?? 0)} → ${whole(row.a)} (${changeText(row.a, row.b ?? 0)})`);
  return (
    <>
      <p class="big">
        {b ? `${a.name} against ${b.name}` : a.name}
        <span class="ink2">
          {' '}
          {b ? (apart.length > 0 ? apart.join(', ') : 'no counter differs') : `${endWords(a.end)}, ${a.architecture}`}
          {a.violation !== null && ` · × ${a.violation}`}
        </span>
      </p>
      <div class="cov">
        <b>Covers</b>
        <span>
          one schedule, deterministic: {a.processors.length} processors, {(a.nanoseconds / 1e6).toFixed(2)} ms on{' '}
          {a.memoryModel}, {endWords(a.end)}
        </span>
        <b>Did not test</b>
        <span>other schedules · contention for caches and memory · what real hardware costs</span>
      </div>
    </>
  );
}

function differenceOf({ a, b }: { readonly a: number; readonly b: number | null }): number {
  return Math.abs(Math.log((a + 1) / ((b ?? 0) + 1))) * Math.log10(10 + a + (b ?? 0));
}

function endWords(end: string): string {
  return end === 'time' ? 'ended when its time was up' : `ended: ${end}`;
}

/** The topology itself, to look at and to change. */
function Description() {
  const choice = choiceA.value;
  if (!choice) return null;
  return (
    <details class="panel describe">
      <summary class="ph">
        <h2>Topology of A</h2>
        <span class="n">change it and run it</span>
      </summary>
      <textarea class="m" aria-label="topology of A" spellcheck={false} rows={18} key={choice.text} id="topology">
        {choice.text}
      </textarea>
      <div class="ph">
        <button class="btn pri" onClick={() => void runChanged(choice, wordB())}>
          Run it
        </button>
        <button class="btn" onClick={() => void runChanged(choice, choice.word)}>
          Run it against what it was
        </button>
      </div>
    </details>
  );
}

async function runChanged({ name }: MachineChoice, against: string | null): Promise<void> {
  const area = document.querySelector<HTMLTextAreaElement>('#topology');
  const { word } = await ownMachine(name, area?.value ?? '');
  chooseMachines(word, against);
}

function wordB(): string | null {
  return choiceB.value?.word ?? null;
}
