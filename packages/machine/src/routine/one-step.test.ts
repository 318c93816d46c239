import { describe, expect, it } from 'vitest';
import { DirectExecutor } from '../execute/direct.ts';
import { SystemBuilder } from '../system/system.ts';
import { BLOCKED, defineOperation, operation } from './operation.ts';
import { performInOneStep } from './one-step.ts';
import { load, nop, store } from './operations.ts';
import { replaceRoutines } from './replacing.ts';
import { assertThat, count, point, program, routine } from './routine.ts';

const builder = new SystemBuilder({ memoryModel: 'tso' });
const word = builder.region('word', 2);
const stores = routine('stores', function* () {
  yield* store(word.at(0), 1);
  yield* nop();
});
builder.processor({ name: 'CPU0', tasks: [program(stores)] });
const system = builder.build();

const WAIT = defineOperation({ name: 'wait', perform: () => BLOCKED });

describe('a routine within one step', () => {
  it('is performed to its end, calls and all, past the store buffer of the processor', () => {
    const executor = new DirectExecutor(system);
    executor.observe = true;
    const counted: string[] = [];
    executor.onCount = (_, counter) => void counted.push(counter);
    expect(executor.step(0)).toBe(true);
    const callee = routine('callee', function* () {
      return 1 + (yield* load(word.at(0)));
    });
    const body = routine('body', function* () {
      yield* store(word.at(1), 7 + (yield* callee()));
      yield* count('done');
    });
    performInOneStep(executor, program(body));
    expect([executor.read(word.at(0)), executor.read(word.at(1)), counted]).toEqual([0, 8, ['done']]);
  });

  it('is the one that stands in for it, calls too', () => {
    const callee = routine('callee', function* () {
      yield* store(word.at(1), 1);
    });
    const body = routine('body', function* () {
      yield* callee();
    });
    const other = routine('callee', function* () {
      yield* store(word.at(1), 2);
    });
    const executor = new DirectExecutor(replaceRoutines(system, { callee: other }));
    performInOneStep(executor, program(body));
    expect(executor.read(word.at(1))).toBe(2);
  });

  it('has an end', () => {
    const body = routine('body', function* () {
      for (;;) {
        yield* point('again');
        yield* load(word.at(0));
      }
    });
    expect(() => performInOneStep(new DirectExecutor(system), program(body))).toThrow(
      /^routine: body: step 100000 .*: 100000 operations within one step: does it wait for others\?$/,
    );
  });

  it('reports what it asserts', () => {
    const executor = new DirectExecutor(system);
    const said: string[] = [];
    executor.onViolation = ({ property }) => void said.push(property);
    const body = routine('body', function* () {
      yield* nop();
      yield* assertThat(false, 'it holds');
    });
    performInOneStep(executor, program(body));
    expect(said).toEqual(['it holds']);
  });

  it('cannot wait', () => {
    const body = routine('body', function* () {
      yield* nop();
      yield operation(WAIT, 0, 0, 0, undefined, { label: 'down(sem)' });
    });
    expect(() => performInOneStep(new DirectExecutor(system), program(body))).toThrow(
      'routine: body: step 1 (after down(sem)): down(sem): cannot be had in one step',
    );
  });
});
