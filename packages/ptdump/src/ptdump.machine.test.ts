import { describe, expect, it } from 'vitest';
import { createActor } from 'xstate';
import { ptdumpMachine, type PtdumpEmitted, type PtdumpEvent } from './index.ts';

/** The actor after some messages, and what it emitted on the way. */
function run(...events: readonly PtdumpEvent[]) {
  const actor = createActor(ptdumpMachine);
  const emitted: PtdumpEmitted[] = [];
  actor.on('*', (event) => emitted.push(event));
  actor.start();
  for (const event of events) actor.send(event);
  return { snapshot: actor.getSnapshot(), emitted };
}

const begin: PtdumpEvent = { type: 'walk_begin' };
const end: PtdumpEvent = { type: 'walk_end' };
const note = (level: string): PtdumpEvent => ({ type: 'note_page', level });

describe('ptdump actor', () => {
  it('merges adjacent ranges of one level into one line', () => {
    const { emitted } = run(begin, note('pte'), note('pte'), note('none'), note('pmd'), end);
    expect(emitted).toEqual([
      { type: 'ptdump', walking: true },
      { type: 'line', level: 'pte' },
      { type: 'line', level: 'none' },
      { type: 'line', level: 'pmd' },
      { type: 'ptdump', walking: false },
    ]);
  });

  it('prints no line for a walk that met nothing', () => {
    expect(run(begin, end).emitted).toEqual([
      { type: 'ptdump', walking: true },
      { type: 'ptdump', walking: false },
    ]);
  });

  it('starts afresh when the file is read again', () => {
    const { snapshot, emitted } = run(begin, note('pte'), end, begin, note('pte'), end);
    expect(snapshot.value).toBe('done');
    expect(emitted.filter((event) => event.type === 'line')).toHaveLength(2);
  });

  it('accepts no page outside a walk, and no second walk inside one', () => {
    expect(run().snapshot.can(note('pte'))).toBe(false);
    expect(run(begin).snapshot.can(begin)).toBe(false);
    expect(run(begin, end).snapshot.can(note('pte'))).toBe(false);
  });
});
