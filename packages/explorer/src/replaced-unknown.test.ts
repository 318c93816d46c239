/**
 * A routine in place of one that there is not: the machine would be the one without the patch, and its verdict SAFE.
 */
import { everyRun } from '@shootdown/machine/every-run';
import {
  nop,
  program,
  replaceRoutines,
  routine,
  store,
  SystemBuilder,
  type Replacements,
  type Steps,
  type System,
} from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { explore } from './explore.ts';
import { fuzz } from './fuzz.ts';
import { resolveScenario, type Scenario } from './scenario.ts';

const lamp_turn_on = routine('lamp_turn_on', function* (): Steps {
  yield* nop();
});
const lamp_idle = routine('lamp_idle', function* (): Steps {
  yield* nop();
});

function build(replace: Replacements = {}): System {
  const builder = new SystemBuilder();
  const word = builder.region('word', 1).at(0);
  const task = routine('lamp_task', function* (): Steps {
    yield* store(word, 1);
    yield* lamp_turn_on();
    // Made when the routine runs, as what a module has that is loaded late.
    yield* routine('lamp_made_late', () => nop())();
  });
  builder.processor({ name: 'CPU0', tasks: [program(task)] });
  return replaceRoutines(builder.build(), replace);
}

const other = (name: string) => routine(name, () => nop());
const unknown = 'replaceRoutines: nothing was replaced: no routine lamp_turn_no: did you mean lamp_turn_on?';

describe('a routine in place of one that there is not', () => {
  it('is refused by every search', async () => {
    for (const stand of [other('lamp_turn_no'), other('lamp_turn_on'), () => nop()]) {
      const system = build({ lamp_turn_no: stand });
      await expect(explore(system)).rejects.toThrow(/lamp_turn_no.*did you mean lamp_turn_on\?$/);
      await expect(fuzz(system, { kind: 'random', seed: 1, runs: 1, stepsMax: 9 })).rejects.toThrow('lamp_turn_no');
      expect(() => everyRun(system)).toThrow('lamp_turn_no');
    }
  });

  it('is named, and the one that was meant', async () => {
    const search = explore(build({ lamp_turn_no: other('lamp_turn_no') }));
    const said = await search.then(
      () => 'nothing',
      (error: Error) => error.message,
    );
    expect(said.replace(/ \(have: .*\)/, '')).toBe(`explore: ${unknown}`);
  });

  it.each(['lamp_turn_on', 'lamp_idle', 'lamp_made_late'])('is none in place of %s', async (name) => {
    const system = build({ [name]: other(name) });
    expect((await explore(system)).verdict).toBe('safe');
    expect(everyRun(system).deadlock).toBe(false);
  });
});

describe('routineNames of a scenario', () => {
  const scenario = (routineNames: readonly string[]): Scenario => ({
    name: 'lamp',
    title: 'a lamp',
    seed: 'S9',
    routineNames,
    variants: [{ name: 'v', expected: 'safe', source: 's', summary: 's' }],
    build: () => build(),
  });

  it('are names of routines that there are, or come to be', () => {
    const names = ['lamp_turn_on', lamp_idle.routineName, 'lamp_made_late'];
    expect(resolveScenario([scenario(names)], { scenario: 'lamp' }).replaced).toEqual([]);
  });

  it('are refused otherwise, also when something is there to stand in', () => {
    for (const replaced of [() => undefined, () => ({ lamp_turn_of: other('lamp_turn_of') })])
      expect(() => resolveScenario([scenario(['lamp_turn_of'])], { scenario: 'lamp', replace: replaced() })).toThrow(
        /^scenario: lamp: routineNames: no routine lamp_turn_of.*: did you mean lamp_turn_on\?$/,
      );
  });
});
