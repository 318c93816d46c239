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

/** Where a walk that finds these goes, and what it reads for: `enter 5`, `pxd_none`, `next`. */
function steps(input: Partial<PtdumpInput>, ...found: readonly PtdumpEvent[]): string[] {
  return run(input, begin, walk, ...found).emitted.flatMap((event) => {
    if (event.type === 'enter') return [`enter ${event.table}`];
    if (event.type === 'read') return [event.call];
    return event.type === 'next' || event.type === 'walked' ? [event.type] : [];
  });
}

const begin: PtdumpEvent = { type: 'walk_begin' };
const walk: PtdumpEvent = { type: 'ptdump_walk_pgd', root: 5 };
const end: PtdumpEvent = { type: 'walk_end' };
const entry = (is: EntryKind, table = -1, ends = 0): PtdumpEvent => ({ type: 'entry', is, table, ends });
const [none, leaf] = [entry('none'), entry('leaf')];
const table = (frame: number) => entry('table', frame);
/** The last entry of its table, and of so many tables above. */
const last = (is: EntryKind, ends = 1) => entry(is, -1, ends);

describe('ptdump actor', () => {
  it('has the single-fetch walker read each entry once, tables below before what follows', () => {
    expect(steps({}, table(6), none, table(7), leaf, last('none', 2), last('leaf'))).toEqual(
      'enter 5,pxdp_get,enter 6,pxdp_get,next,pxdp_get,enter 7,pxdp_get,next,pxdp_get,next,pxdp_get,walked'.split(','),
    );
  });

  it('has the multi-fetch walker read a pud entry six times and a pmd entry five times', () => {
    const [six, five] = [Array.from({ length: 6 }, () => table(6)), Array.from({ length: 5 }, () => table(7))];
    const tests = ['pxd_none', 'ptdump_pxd_entry', 'pxd_leaf', 'pxd_present'];
    expect(steps({ fetch: 'multi' }, ...six, ...five)).toEqual([
      'enter 5',
      ...tests,
      'pxd_none_again',
      'pxd_offset',
      'enter 6',
      ...tests,
      'pxd_offset',
      'enter 7',
      'pxdp_get',
    ]);
  });

  it('begins again where a pud entry was cleared, and since v7.0 where it has become a block', () => {
    const found = [table(6), table(6), table(6), table(6)];
    const then = (fetch: PtdumpInput['fetch'], is: PtdumpEvent) => steps({ fetch }, ...found, is).at(-1);
    expect(then('multi', none)).toBe('pxd_none');
    expect(then('multi-7.0', none)).toBe('pxd_none');
    expect(then('multi', leaf)).toBe('pxd_offset');
    expect(then('multi-7.0', leaf)).toBe('pxd_none');
  });

  it('merges adjacent ranges of one level into one line', () => {
    const { emitted } = run({}, begin, walk, table(6), table(7), leaf, last('leaf'), last('none'), last('leaf'), end);
    expect(emitted.filter(({ type }) => !['read', 'enter', 'next'].includes(type))).toEqual([
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
    const { snapshot, emitted } = run({}, begin, walk, none, last('leaf'), end, begin, walk, none, last('leaf'), end);
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
    expect(run({}, begin, walk, none, last('none')).snapshot.can(none)).toBe(false);
    expect(run({}, begin, walk, none, last('none'), end).snapshot.can(walk)).toBe(false);
  });
});
