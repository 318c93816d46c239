/** Page tables over a run: which frame is a table, which entry of it points where, which space it is the root of. */
import type { StateTrace } from '@shootdown/machine';
import { historiesOf, stretchesOf, type Stretch, type WordHistory } from './histories.ts';

/** What an entry says for some steps. */
export interface EntryStretch extends Stretch {
  readonly value: number;
  readonly text: string;
  /** The frame that it points to; null: none of this machine. */
  readonly pointsTo: number | null;
}

/** An entry of a table. */
export interface TableEntry {
  readonly index: number;
  readonly address: number;
  readonly stretches: readonly EntryStretch[];
}

/** What a frame is for some steps. */
export interface FrameStretch extends Stretch {
  /** `a table`, `a page`, `free`, `a freed table`: as the machine says it. */
  readonly text: string;
  readonly value: number;
  readonly isTable: boolean;
  readonly isFreed: boolean;
}

/** A frame of physical memory. */
export interface FrameView {
  readonly frame: number;
  readonly address: number;
  readonly stretches: readonly FrameStretch[];
  /** The spaces whose root it is, and when. */
  readonly roots: readonly ({ readonly name: string } & Stretch)[];
  readonly entries: readonly TableEntry[];
}

/** Formats of x86 and arm64 alike: bit 0 says that an entry is there, and the frame begins at bit 12. */
const PRESENT = 1;
const FRAME_SHIFT = 12;

const known = new WeakMap<StateTrace, readonly FrameView[]>();

/** The frames of a machine's memory. */
export function framesOf(states: StateTrace): readonly FrameView[] {
  const found = known.get(states);
  if (found) return found;
  const words = [...historiesOf(states).values()];
  const steps = states.steps.length;
  const kinds = words.filter(({ region }) => region === 'frame.state');
  const entries = words.filter(({ region }) => region === 'frame.entry');
  const each = entriesPerTable(kinds, entries.length);
  const roots = words
    .filter(({ name }) => /\bpgd$/.test(name))
    .flatMap((word) => stretchesOf(word, steps).map((one) => ({ ...one, name: word.name.replace(/\.?pgd$/, '') })));
  const frames = kinds.map((kind, frame): FrameView => ({
    frame,
    address: kind.address,
    stretches: stretchesOf(kind, steps).map(({ from, to, text, value }) => ({
      from,
      to,
      text,
      value,
      isTable: /table/.test(text),
      isFreed: /freed/.test(text),
    })),
    roots: roots.filter(({ value }) => value === frame + 1).map(({ name, from, to }) => ({ name, from, to })),
    entries: entries
      .slice(frame * each, (frame + 1) * each)
      .map((word, index) => ({ index, address: word.address, stretches: entryStretches(word, steps, kinds.length) })),
  }));
  known.set(states, frames);
  return frames;
}

function entryStretches(word: WordHistory, steps: number, frames: number): EntryStretch[] {
  return stretchesOf(word, steps).map(({ from, to, value, text }) => {
    const frame = value >>> FRAME_SHIFT;
    return { from, to, value, text, pointsTo: (value & PRESENT) !== 0 && frame < frames ? frame : null };
  });
}

/**
 * Tables come first, and only they have entries: as many each as make room for every frame that is a table at some
 * time.
 */
function entriesPerTable(kinds: readonly WordHistory[], entries: number): number {
  const wereTables = kinds.map(({ values }) => values.some(({ text }) => /table/.test(text)));
  for (let tables = Math.max(1, wereTables.lastIndexOf(true) + 1); tables <= kinds.length; tables++)
    if (entries % tables === 0) return entries / tables;
  return 0;
}
