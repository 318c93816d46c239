import { createActor } from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { faultMachine, type FaultEvent } from './fault.machine.ts';

const NEEDED: FaultEvent = { type: 'retry', needed: true };
const NOT_NEEDED: FaultEvent = { type: 'retry', needed: false };

type Said = Exclude<FaultEvent['type'], 'retry'> | FaultEvent;

/** Where a fault stands after what its routine has said, and whether an entry was installed that no check covers. */
function after(...said: readonly Said[]) {
  const actor = createActor(faultMachine);
  let uncovered = false;
  actor.on('uncovered', () => (uncovered = true));
  actor.start();
  for (const event of said) actor.send(typeof event === 'string' ? { type: event } : event);
  return { value: actor.getSnapshot().value, uncovered };
}

describe('a fault of a secondary MMU', () => {
  it('installs what a check under the lock covers', () => {
    expect(after('read_begin', 'lookup', 'lock', NOT_NEEDED)).toEqual({ value: 'covered', uncovered: false });
    expect(after('read_begin', 'lookup', 'lock', NOT_NEEDED, 'install')).toEqual({
      value: 'installed',
      uncovered: false,
    });
    expect(after('read_begin', 'lookup', 'lock', NOT_NEEDED, 'install', 'unlock', 'end').value).toBe('idle');
  });

  it('begins again after an invalidation, with a new look at the sequence', () => {
    expect(after('read_begin', 'lookup', 'lock', NEEDED).value).toBe('retry');
    expect(after('read_begin', 'lookup', 'lock', NEEDED, 'unlock', 'end', 'read_begin').value).toBe('collecting');
    expect(after('read_begin', 'lookup', 'lock', NEEDED, 'unlock', 'read_begin').value).toBe('collecting');
    expect(after('read_begin', NEEDED).value).toBe('retry');
  });

  const uncovered: readonly { readonly what: string; readonly said: readonly Said[] }[] = [
    { what: 'nobody has checked', said: ['read_begin', 'lookup', 'lock'] },
    { what: 'was checked without the lock', said: ['read_begin', 'lookup', NOT_NEEDED, 'lock'] },
    {
      what: 'was checked before the lock was dropped',
      said: ['read_begin', 'lookup', 'lock', NOT_NEEDED, 'unlock', 'lock'],
    },
    { what: 'was checked, and was to be tried again', said: ['read_begin', 'lookup', 'lock', NEEDED] },
    {
      what: 'was checked twice, and was to be tried again in the end',
      said: ['read_begin', 'lookup', 'lock', NOT_NEEDED, NEEDED],
    },
    { what: 'nobody has looked up', said: ['lock'] },
    { what: 'was looked up before the sequence', said: ['lookup', 'read_begin', 'lock', NOT_NEEDED] },
  ];
  it.each(uncovered)('says so when it installs what $what', ({ said }) => {
    expect(after(...said).uncovered).toBe(false);
    expect(after(...said, 'install')).toEqual({ value: 'uncovered', uncovered: true });
  });
});
