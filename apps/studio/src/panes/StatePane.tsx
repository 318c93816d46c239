/**
 * The shared state after the present step: page tables, TLBs, CPUs, locks, words, actors; what the step changed is
 * marked.
 */
import { lastAt, tlbsOf, type TlbStretch } from '@shootdown/report';
import { at, walk } from '../store.ts';
import type { Walk } from '../engine/api.ts';
import { actorsAfter, stateAfter, type ShownWord } from './shown-state.ts';
import { lookOf, shortTrackName, since } from './tracks.ts';
import { mostOf, steady } from './steady.ts';
import { typedState, type ShownEntry, type ShownFrame, type ShownLock, type TypedState } from './typed-state.ts';

const CHANGED_MAX = 6;
const ROW_PX = 18;
/** Longer names do not fit into half of the pane. */
const NAME_LETTERS = 20;

const mostChanges = mostOf<Walk>(({ states }) => states.steps.map(({ changes }) => changes.length));

export function StatePane() {
  const shown = walk.value as Walk;
  const step = at.value;
  const words = stateAfter(shown, step);
  const changed = words.filter(({ before }) => before !== null);
  const typed = typedState(shown, words, step);
  return (
    <section class="panel state" aria-label="state" tabIndex={0}>
      <Changed step={step} words={changed} all={words.length} rows={Math.min(CHANGED_MAX + 1, mostChanges(shown))} />
      <PageTables frames={typed.frames} />
      <Tlbs places={typed.tlbs.map((word) => placeAt(shown, word, step))} />
      <PerCpu cpus={typed.cpus} perCpu={typed.perCpu} />
      <Locks locks={typed.locks} />
      <SharedWords words={typed.others} />
      <Actors actors={actorsAfter(shown, step)} changed={shown.states.steps[step - 1]?.actors ?? {}} />
    </section>
  );
}

interface ChangedProps {
  readonly step: number;
  readonly words: readonly ShownWord[];
  readonly all: number;
  /** Rows that it has room for at every step, so that what is below stands still. */
  readonly rows: number;
}

function Changed({ step, words, all, rows }: ChangedProps) {
  return (
    <div class="sec changed">
      <h3>
        Changed by step {step} <span>{words.length === 0 ? 'no shared word' : `${words.length} of ${all} words`}</span>
      </h3>
      <div class="diff" data-testid="changed" style={{ minHeight: `${rows * ROW_PX}px` }}>
        {words.slice(0, CHANGED_MAX).map((word) => (
          <div class="chg" key={word.address} title={`${word.name}: ${word.before} → ${word.text}`}>
            <span>{word.name}</span> <i>{word.before}</i> <b>{word.text}</b>
          </div>
        ))}
        {words.length > CHANGED_MAX && <div class="dim">and {words.length - CHANGED_MAX} more</div>}
      </div>
    </div>
  );
}

const Locks = steady(({ locks }: { readonly locks: readonly ShownLock[] }) => {
  if (locks.length === 0) return null;
  return (
    <div class="sec">
      <h3>Locks</h3>
      <div class="words one m">
        {locks.map(({ name, text, holders, waiters, changed: isNew }) => (
          <div class={isNew ? 'w chg' : 'w'} key={name} title={`${name}: ${text}`}>
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
  );
});

const SharedWords = steady(({ words }: { readonly words: readonly ShownWord[] }) => {
  if (words.length === 0) return null;
  return (
    <div class="sec">
      <h3>Shared words</h3>
      <div class={words.some(({ name }) => name.length > NAME_LETTERS) ? 'words one named m' : 'words m'}>
        {words.map((word) => (
          <Word key={word.address} word={word} />
        ))}
      </div>
    </div>
  );
});

function Word({ word }: { readonly word: ShownWord }) {
  return (
    <div class={word.before === null ? 'w' : 'w chg'} title={`${word.name} = ${word.text}`}>
      <span class="ink2">{word.name}</span>
      <span class={word.text.includes('freed') ? 'freed' : ''}>{word.text}</span>
    </div>
  );
}

/** Trees from their roots; tables that nothing points to stand alone. */
const PageTables = steady(({ frames }: { readonly frames: readonly ShownFrame[] }) => {
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
});

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

/** A place of a TLB as it is after a step. */
interface Place {
  readonly word: ShownWord;
  readonly look: string;
  /** The step that gave it what it holds; 0: it has had that from the beginning. */
  readonly from: number;
  readonly now: TlbStretch | null;
}

function placeAt(shown: Walk, word: ShownWord, step: number): Place {
  return {
    word,
    look: lookOf(shown, word.address, step),
    from: since(shown, word.address, step),
    now: lastAt(tlbsOf(shown.states).get(word.address)?.stretches ?? [], step),
  };
}

/** What each TLB may hold: since when, and whether memory still offers it. */
const Tlbs = steady(({ places }: { readonly places: readonly Place[] }) => {
  if (places.length === 0) return null;
  return (
    <div class="sec" data-testid="tlbs">
      <h3>TLBs</h3>
      <div class="words one brief m">
        {places.map(({ word, look, from, now }) => {
          const { state = 'none', cachedAt = null, staleSince = null, flushCompletedAt = null } = now ?? {};
          return (
            <div class={word.before === null ? 'w' : 'w chg'} key={word.address}>
              <span class="ink2">{shortTrackName(word.name).replace(/^TLB /, '')}</span>
              <span>
                <span class={`entry ${look}`}>{word.text}</span>
                {state === 'none' && from > 0 && <span class="dim"> flushed at {from}</span>}
                {cachedAt !== null && cachedAt > 0 && <span class="dim"> cached at {cachedAt}</span>}
                {state === 'stale' && <b class="st"> STALE since {staleSince}</b>}
                {state === 'flushed' && (
                  <b class="x">
                    {' '}
                    STALE since {staleSince} × flushed at {flushCompletedAt}
                  </b>
                )}
              </span>
            </div>
          );
        })}
      </div>
    </div>
  );
});

const PerCpu = steady(({ cpus, perCpu }: Pick<TypedState, 'cpus' | 'perCpu'>) => {
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
                <td key={cpus[i]} class={word !== null && word.before !== null ? 'chg' : ''} title={word?.text}>
                  {word?.text ?? ''}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
});

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

interface ActorsProps {
  readonly actors: Readonly<Record<string, string>>;
  /** Those that the step has changed. */
  readonly changed: Readonly<Record<string, string>>;
}

const Actors = steady(({ actors, changed }: ActorsProps) => {
  const all = Object.entries(actors);
  if (all.length === 0) return null;
  return (
    <div class="sec">
      <h3>Actors</h3>
      <div class="words one brief m">
        {all.map(([name, text]) => (
          <div class={name in changed ? 'w chg' : 'w'} key={name} title={actorText(text)}>
            <span class="ink2">{name}</span>
            <span>{actorText(text)}</span>
          </div>
        ))}
      </div>
    </div>
  );
});
