/**
 * The shared state after the present step: page tables, TLBs, CPUs, locks, words, actors; what the step changed is
 * marked.
 */
import { lastAt, tlbsOf } from '@shootdown/report';
import { at, walk } from '../store.ts';
import type { Walk } from '../engine/api.ts';
import { actorsAfter, stateAfter, type ShownWord } from './shown-state.ts';
import { lookOf, shortTrackName, since } from './tracks.ts';
import { typedState, type ShownEntry, type ShownFrame, type TypedState } from './typed-state.ts';

const CHANGED_MAX = 6;

export function StatePane() {
  const shown = walk.value as Walk;
  const words = stateAfter(shown, at.value);
  const changed = words.filter(({ before }) => before !== null);
  const typed = typedState(shown, words, at.value);
  return (
    <section class="panel state" aria-label="state" tabIndex={0}>
      <div class="sec changed">
        <h3>
          Changed by step {at.value} <span>{changed.length === 0 ? 'no shared word' : `of ${words.length} words`}</span>
        </h3>
        <div class="diff" data-testid="changed">
          {changed.slice(0, CHANGED_MAX).map((word) => (
            <div class="chg" key={word.address}>
              <span>{word.name}</span> <i>{word.before}</i> <b>{word.text}</b>
            </div>
          ))}
          {changed.length > CHANGED_MAX && <div class="dim">and {changed.length - CHANGED_MAX} more</div>}
        </div>
      </div>
      <PageTables frames={typed.frames} />
      <Tlbs shown={shown} words={typed.tlbs} />
      <PerCpu typed={typed} />
      {typed.locks.length > 0 && (
        <div class="sec">
          <h3>Locks</h3>
          <div class="words m">
            {typed.locks.map(({ name, text, holders, waiters, changed: isNew }) => (
              <div class={isNew ? 'w chg' : 'w'} key={name}>
                <span class="ink2">{name}</span>
                <span>
                  {text}
                  {holders.length > 0 && <b> · {holders.join(', ')}</b>}
                  {waiters.length > 0 && <span class="dim"> · {waiters.join(', ')} waits</span>}
                </span>
              </div>
            ))}
          </div>
        </div>
      )}
      {typed.others.length > 0 && (
        <div class="sec">
          <h3>Shared words</h3>
          <div class="words m">
            {typed.others.map((word) => (
              <Word key={word.address} word={word} />
            ))}
          </div>
        </div>
      )}
      <Actors shown={shown} />
    </section>
  );
}

function Word({ word }: { readonly word: ShownWord }) {
  return (
    <div class={word.before === null ? 'w' : 'w chg'} title={`${word.name} = ${word.text}`}>
      <span class="ink2">{word.name}</span>
      <span class={word.text.includes('freed') ? 'freed' : ''}>{word.text}</span>
    </div>
  );
}

/** Trees from their roots; tables that nothing points to stand alone. */
function PageTables({ frames }: { readonly frames: readonly ShownFrame[] }) {
  const tables = frames.filter(({ isTable }) => isTable);
  if (tables.length === 0) return null;
  const pointedTo = new Set(tables.flatMap(({ entries }) => entries.map(({ to }) => to)));
  const tops = tables.filter(({ frame, roots }) => roots.length > 0 || !pointedTo.has(frame));
  return (
    <div class="sec" data-testid="page-tables">
      <h3>
        Page tables <span>physical frames by number</span>
      </h3>
      <ul class="tree m">
        {tops.map((top) => (
          <Frame key={top.frame} frame={top} frames={frames} above={[]} />
        ))}
      </ul>
    </div>
  );
}

interface FrameProps {
  readonly frame: ShownFrame;
  readonly frames: readonly ShownFrame[];
  /** Frames on the way here: a table may be its own child. */
  readonly above: readonly number[];
}

function Frame({ frame, frames, above }: FrameProps) {
  const { frame: number, roots, isFreed, isTable, entries, changed } = frame;
  return (
    <li>
      <span class={`${isFreed ? 'freed' : ''} ${changed ? 'chg' : ''}`}>
        {roots.length > 0 && `${roots.join(', ')} pgd · `}
        {isTable ? 'table' : 'page'} 0x{number.toString(16)}
      </span>
      {isFreed && <b class="x"> FREED</b>}
      {entries.length > 0 && (
        <ul>
          {entries.map((entry) => (
            <Entry key={entry.index} entry={entry} frames={frames} above={[...above, number]} />
          ))}
        </ul>
      )}
    </li>
  );
}

function Entry({
  entry,
  frames,
  above,
}: {
  readonly entry: ShownEntry;
  readonly frames: readonly ShownFrame[];
  readonly above: readonly number[];
}) {
  const target = frames.find(({ frame }) => frame === entry.to);
  return (
    <li>
      <span class={entry.changed ? 'chg' : ''}>
        <span class="dim">[{entry.index}]</span> {entry.text === '0x0' || entry.text === '0' ? 'none' : entry.text}
      </span>
      {target?.isTable && !above.includes(target.frame) && (
        <ul>
          <Frame frame={target} frames={frames} above={above} />
        </ul>
      )}
      {target && !target.isTable && (
        <span class={target.isFreed ? 'freed' : 'dim'}>
          {' '}
          → page 0x{target.frame.toString(16)}
          {target.isFreed ? ' FREED' : ''}
        </span>
      )}
    </li>
  );
}

/** What each TLB may hold: since when, and whether memory still offers it. */
function Tlbs({ shown, words }: { readonly shown: Walk; readonly words: readonly ShownWord[] }) {
  if (words.length === 0) return null;
  const places = tlbsOf(shown.states);
  return (
    <div class="sec" data-testid="tlbs">
      <h3>TLBs</h3>
      <div class="words one m">
        {words.map((word) => {
          const now = lastAt(places.get(word.address)?.stretches ?? [], at.value);
          const from = since(shown, word.address, at.value);
          const { state = 'none', cachedAt = null, staleSince = null, flushCompletedAt = null } = now ?? {};
          return (
            <div class={word.before === null ? 'w' : 'w chg'} key={word.address}>
              <span class="ink2">{shortTrackName(word.name).replace(/^TLB /, '')}</span>
              <span>
                <span class={`entry ${lookOf(shown, word.address, at.value)}`}>{word.text}</span>
                {state === 'none' && from > 0 && <span class="dim"> flushed at {from}</span>}
                {cachedAt !== null && cachedAt > 0 && <span class="dim"> cached at {cachedAt}</span>}
                {state === 'stale' && <b class="st"> STALE since {staleSince}</b>}
                {state === 'flushed' && (
                  <b class="x">
                    {' '}
                    STALE since {staleSince} × flush ended at {flushCompletedAt}
                  </b>
                )}
              </span>
            </div>
          );
        })}
      </div>
    </div>
  );
}

function PerCpu({ typed: { cpus, perCpu } }: { readonly typed: TypedState }) {
  if (perCpu.length === 0) return null;
  return (
    <div class="sec">
      <table class="percpu m">
        <thead>
          <tr>
            <th>per CPU</th>
            {cpus.map((cpu) => (
              <th key={cpu}>CPU{cpu}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {perCpu.map(({ name, cells }) => (
            <tr key={name}>
              <th class="ink2">{name}</th>
              {cells.map((word, i) => (
                <td key={cpus[i]} class={word !== null && word.before !== null ? 'chg' : ''}>
                  {word?.text ?? ''}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** `{"value":"irqs_on","context":{...}}` as a reader wants it. */
function actorText(text: string): string {
  try {
    const { value, context } = JSON.parse(text) as { value?: unknown; context?: Record<string, unknown> };
    const facts = Object.entries(context ?? {}).map(([name, fact]) => `${name} ${JSON.stringify(fact)}`);
    return [typeof value === 'string' ? value : JSON.stringify(value), ...facts].join(', ');
  } catch {
    return text;
  }
}

function Actors({ shown }: { readonly shown: Walk }) {
  const actors = Object.entries(actorsAfter(shown, at.value));
  if (actors.length === 0) return null;
  const changed = shown.states.steps[at.value - 1]?.actors ?? {};
  return (
    <div class="sec">
      <h3>Actors</h3>
      <div class="words one m">
        {actors.map(([name, text]) => (
          <div class={name in changed ? 'w chg' : 'w'} key={name} title={actorText(text)}>
            <span class="ink2">{name}</span>
            <span>{actorText(text)}</span>
          </div>
        ))}
      </div>
    </div>
  );
}
