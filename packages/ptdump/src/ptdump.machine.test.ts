import { describe, expect, it } from 'vitest';
import { createActor } from 'xstate';
import {
  ptdumpMachine,
  type EntryKind,
  type PtdumpEmitted,
  type PtdumpEvent,
  type PtdumpInput,
  type WalkLevel,
} from './index.ts';

const pud: WalkLevel = { name: 'pud', entries: 2, looksAgain: true };
const pmd: WalkLevel = { name: 'pmd', entries: 2 };
const pte: WalkLevel = { name: 'pte', entries: 2 };
const ROOT = 5;

/** The actor after some messages, and what it emitted on the way. */
function run(input: Partial<PtdumpInput>, ...events: readonly PtdumpEvent[]) {
  const actor = createActor(ptdumpMachine, {
    input: { levels: [pud, pmd, pte], fetch: 'single', lines: true, ...input },
  });
  const emitted: PtdumpEmitted[] = [];
  actor.on('*', (event) => emitted.push(event));
  actor.start();
  for (const event of events) actor.send(event);
  return { snapshot: actor.getSnapshot(), emitted };
}

/** What a walk of these finds is read for, in order: `pxd_none pud 0x5[0]`. */
function reads(input: Partial<PtdumpInput>, ...found: readonly PtdumpEvent[]): string[] {
  const levels = input.levels ?? [pud, pmd, pte];
  return run(input, begin, walk, ...found).emitted.flatMap((event) =>
    event.type === 'read'
      ? [`${event.call} ${levels[event.depth]?.name} 0x${event.table.toString(16)}[${event.index}]`]
      : event.type === 'walked'
        ? ['walked']
        : [],
  );
}

const begin: PtdumpEvent = { type: 'walk_begin' };
const walk: PtdumpEvent = { type: 'ptdump_walk_pgd', root: ROOT };
const end: PtdumpEvent = { type: 'walk_end' };
const entry = (is: EntryKind, table = -1): PtdumpEvent => ({ type: 'entry', is, table });
const [none, leaf] = [entry('none'), entry('leaf')];
const table = (frame: number) => entry('table', frame);

describe('ptdump actor', () => {
  it('has the single-fetch walker read each entry once, tables below before what follows', () => {
    expect(reads({}, table(6), none, table(7), leaf, none, leaf)).toEqual([
      'pxdp_get pud 0x5[0]',
      'pxdp_get pmd 0x6[0]',
      'pxdp_get pmd 0x6[1]',
      'pxdp_get pte 0x7[0]',
      'pxdp_get pte 0x7[1]',
      'pxdp_get pud 0x5[1]',
      'walked',
    ]);
  });

  it('has the multi-fetch walker read a pud entry six times and a pmd entry five times', () => {
    const [six, five] = [Array.from({ length: 6 }, () => table(6)), Array.from({ length: 5 }, () => table(7))];
    expect(reads({ fetch: 'multi' }, ...six, ...five).map((read) => read.replace(/ 0x.*/, ''))).toEqual([
      ...['pxd_none', 'ptdump_pxd_entry', 'pxd_leaf', 'pxd_present', 'pxd_none_again', 'pxd_offset'].map(
        (read) => `${read} pud`,
      ),
      ...['pxd_none', 'ptdump_pxd_entry', 'pxd_leaf', 'pxd_present', 'pxd_offset'].map((read) => `${read} pmd`),
      'pxdp_get pte',
    ]);
  });

  it('begins again where a pud entry was cleared, and since v7.0 where it has become a block', () => {
    const found = [table(6), table(6), table(6), table(6)];
    const last = (fetch: PtdumpInput['fetch'], is: PtdumpEvent) => reads({ fetch }, ...found, is).at(-1);
    expect(last('multi', none)).toBe('pxd_none pud 0x5[0]');
    expect(last('multi-7.0', none)).toBe('pxd_none pud 0x5[0]');
    expect(last('multi', leaf)).toBe('pxd_offset pud 0x5[0]');
    expect(last('multi-7.0', leaf)).toBe('pxd_none pud 0x5[0]');
  });

  it('merges adjacent ranges of one level into one line', () => {
    const { emitted } = run({}, begin, walk, table(6), table(7), leaf, leaf, none, leaf, end);
    expect(emitted.filter(({ type }) => type !== 'read')).toEqual([
      { type: 'ptdump', walking: true },
      { type: 'line', level: 'pte' },
      { type: 'line', level: 'none' },
      { type: 'walked' },
      { type: 'line', level: 'pud' },
      { type: 'ptdump', walking: false },
    ]);
  });

  it('keeps no line if nobody wants any', () => {
    const { emitted, snapshot } = run({ lines: false }, begin, walk, table(6), leaf);
    expect(emitted.some(({ type }) => type === 'line')).toBe(false);
    expect(snapshot.context.level).toBe('');
  });

  it('prints no line for a dump that walked nothing', () => {
    expect(run({}, begin, end).emitted).toEqual([
      { type: 'ptdump', walking: true },
      { type: 'ptdump', walking: false },
    ]);
  });

  it('starts afresh when the file is read again', () => {
    const { snapshot, emitted } = run({}, begin, walk, none, leaf, end, begin, walk, none, leaf, end);
    expect(snapshot.value).toBe('done');
    expect(emitted.flatMap((event) => (event.type === 'line' ? [event.level] : []))).toEqual([
      'none',
      'pud',
      'none',
      'pud',
    ]);
  });

  it('accepts no entry that it has not asked for, no walk outside a dump, and no second dump inside one', () => {
    expect(run({}).snapshot.can(walk)).toBe(false);
    expect(run({}, begin).snapshot.can(none)).toBe(false);
    expect(run({}, begin).snapshot.can(begin)).toBe(false);
    expect(run({}, begin, walk, none, none).snapshot.can(none)).toBe(false);
    expect(run({}, begin, walk, none, none, end).snapshot.can(walk)).toBe(false);
  });
});
