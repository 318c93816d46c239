/** A scenario, or C in place of a kernel function: written here, searched here. Nothing runs before it is asked to. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { Columns } from '../panes/Columns.tsx';
import { exploreSystem, mutateSystem, ownEntries, waitingCode } from '../store.ts';
import type { Editor } from '../write/editor.ts';
import {
  found,
  gallery,
  isBusy,
  isFunction,
  mistakes,
  name,
  opened,
  openExample,
  openWrite,
  runCode,
  searched,
  states,
  step,
  stopCode,
  target,
  targets,
} from '../write/store.ts';

const STAMPS = { safe: '✓ Safe', violation: '× Violation', deadlock: '× Deadlock', bounded: '? Bounded' } as const;

export function Write() {
  const box = useRef<HTMLDivElement>(null);
  const [editor, setEditor] = useState<Editor | null>(null);
  useEffect(() => {
    let isThere = true;
    void import('../write/editor.ts').then(({ createEditor }) => {
      if (isThere && box.current) setEditor(createEditor(box.current, () => undefined));
    });
    void openWrite();
    return () => {
      isThere = false;
      box.current?.replaceChildren();
    };
  }, []);
  const waiting = waitingCode.value;
  // A link may come while this screen is there.
  useEffect(() => {
    if (waiting !== null) void openWrite();
  }, [waiting]);
  const code = opened.value;
  useEffect(() => {
    if (editor && code) editor.open(code.text, code.name);
  }, [editor, code]);
  useEffect(() => editor?.show(mistakes.value), [editor, mistakes.value]);
  const run = (): void => void (editor && runCode(editor.text()));
  return (
    <main class="screen" data-settled={editor !== null && code !== null && isBusy.value === null}>
      <section class="head" aria-label="code">
        <div class="picks">
          <Gallery />
          <label class="pick">
            <span>file</span>
            <input
              class="wide"
              value={name.value}
              onChange={(event) => (name.value = event.currentTarget.value)}
              title=".ts: a scenario; .c: a program, or a function in place of a scenario's; .patch: the same"
            />
          </label>
          {isFunction.value && <Target />}
          <button class="btn pri" onClick={run} disabled={!editor || !code} data-testid="run">
            Explore
          </button>
          {isBusy.value !== null && (
            <button class="btn" onClick={stopCode}>
              Stop
            </button>
          )}
        </div>
        {waitingCode.value !== null && (
          <p class="cov reads" data-testid="waiting">
            <b>From a link</b>
            <span>Somebody sent this code. It has not run; read it, then press Explore.</span>
          </p>
        )}
      </section>
      <div class="writing">
        <section class="panel editor" aria-label="editor" ref={box} />
        <Outcome onLine={(line) => editor?.goTo(line)} />
      </div>
    </main>
  );
}

function Gallery() {
  const groups = [...new Set(gallery.value.map(({ group }) => group))];
  return (
    <label class="pick">
      <span>begin with</span>
      <select
        value=""
        data-testid="gallery"
        onChange={(event) => {
          const chosen = gallery.value[Number(event.currentTarget.value)];
          if (event.currentTarget.value !== '' && chosen) void openExample(chosen);
        }}
      >
        <option value="">an example</option>
        {groups.map((group) => (
          <optgroup key={group} label={group}>
            {gallery.value.map((entry, i) =>
              entry.group === group ? (
                <option key={entry.name} value={i}>
                  {entry.name.replace('packages/scenarios/src/', '')}
                </option>
              ) : null,
            )}
          </optgroup>
        ))}
      </select>
    </label>
  );
}

/** Where a C function belongs. */
function Target() {
  const now = target.value;
  const entry = targets.value.find((one) => one.name === now?.scenario) ?? targets.value[0];
  return (
    <>
      <label class="pick">
        <span>in place of one of</span>
        <select
          value={entry?.name}
          data-testid="target"
          onChange={(event) => {
            const chosen = targets.value.find((one) => one.name === event.currentTarget.value);
            const variant = chosen?.variants[0];
            if (chosen && variant) target.value = { scenario: chosen.name, variant: variant.name };
          }}
        >
          {targets.value.map((one) => (
            <option key={one.name} value={one.name}>
              {one.name}
            </option>
          ))}
        </select>
      </label>
      <label class="pick">
        <span>variant</span>
        <select
          value={now?.variant}
          onChange={(event) => {
            if (entry) target.value = { scenario: entry.name, variant: event.currentTarget.value };
          }}
        >
          {entry?.variants.map((one) => (
            <option key={one.name} value={one.name}>
              {one.name}
            </option>
          ))}
        </select>
      </label>
    </>
  );
}

function Outcome({ onLine }: { readonly onLine: (line: number) => void }) {
  const verdict = found.value;
  const system = searched.value;
  return (
    <section class="panel detail" aria-label="outcome" data-testid="outcome">
      {isBusy.value === null && mistakes.value.length === 0 && !verdict && (
        <p class="note ink2">
          A scenario in TypeScript: its types are taken off, not checked. Or C: a program with P0(), P1(), or a function
          with the name of a scenario’s. It runs in a worker of its own that has no network, and only when asked to.
        </p>
      )}
      {isBusy.value !== null && (
        <p class="note" role="status">
          {isBusy.value === 'reading' ? 'Reading it ...' : `Searching: ${states.value.toLocaleString('en')} states`}
        </p>
      )}
      {mistakes.value.length > 0 && (
        <ul class="mistakes" role="alert">
          {mistakes.value.map(({ line, text }) => (
            <li key={`${line ?? ''}${text}`}>
              {line !== null && (
                <button class="btn" onClick={() => onLine(line)}>
                  line {line}
                </button>
              )}{' '}
              {text}
            </li>
          ))}
        </ul>
      )}
      {verdict && system && (
        <>
          <OwnPickers />
          <div class="verd note">
            <span class={`stamp ${verdict.result.verdict}`} data-testid="own-verdict">
              {STAMPS[verdict.result.verdict]}
            </span>
            <b>{verdict.result.property ?? verdict.summary}</b>
          </div>
          <p class="note ink2">
            {verdict.result.states.toLocaleString('en')} states, depth {verdict.result.depth}, {system.memoryModel}
            {verdict.expected !== null &&
              (verdict.agrees === true ? ' · ✓ as expected' : ` · × expected ${verdict.expected}`)}
          </p>
          <div class="ph">
            <h2>{verdict.isCounterexample ? 'Shortest counterexample' : 'One run of it'}</h2>
            <span class="sp" />
            <button class="btn" onClick={() => exploreSystem(system)}>
              Open in Explore
            </button>
            <button class="btn" onClick={() => mutateSystem(system)}>
              Mutate
            </button>
          </div>
          <Columns shown={verdict.walk} now={step.value} onStep={(to) => (step.value = to)} />
        </>
      )}
    </section>
  );
}

/** Scenario, variant and memory model of the code. */
function OwnPickers() {
  const system = searched.value;
  if (!system?.own) return null;
  const { own } = system;
  const entry = ownEntries.value.find((one) => one.name === system.scenario);
  const again = (change: Partial<typeof system>): void =>
    void runCode(own.text, { scenario: system.scenario, variant: system.variant, ...change });
  return (
    <div class="picks note">
      {entry && (
        <label class="pick">
          <span>variant</span>
          <select
            value={system.variant}
            data-testid="own-variant"
            onChange={(event) => again({ variant: event.currentTarget.value })}
          >
            {entry.variants.map((one) => (
              <option key={one.name} value={one.name}>
                {one.name}
              </option>
            ))}
          </select>
        </label>
      )}
      <div class="seg" role="group" aria-label="memory model">
        {(['sc', 'tso', 'arm'] as const).map((model) => (
          <button key={model} aria-pressed={system.memoryModel === model} onClick={() => again({ memoryModel: model })}>
            {model}
          </button>
        ))}
      </div>
    </div>
  );
}
