/** Whose mistake an error is: the user's, or the command's own. */
import { LimitError, ModelError } from '@shootdown/machine';
import { expect, it } from 'vitest';
import { UsageError } from './arguments.ts';
import { answerTo } from './errors.ts';

const own = new URL('host.ts', import.meta.url).href;
const mine = 'file:///tmp/shootdown-module-x/0-mine.mjs';

/** An error that was thrown at the first of these places, called from the next. */
function thrownAt(...files: readonly string[]): Error {
  const calls = files.map((file) => `    at look (${file}:3:7)`);
  return Object.assign(new TypeError('x is null'), { stack: ['TypeError: x is null', ...calls].join('\n') });
}

const bug = 'shootdown: this is a bug in shootdown: please report this line and the command that led to it: ';
const threw = (what: string): string => `scenario: mine.mjs: a module threw ${what}`;

it.each<[string, unknown, string, number]>([
  ['thrown by the module', thrownAt(mine, own), threw('TypeError: x is null'), 10],
  ['thrown by what the module calls', thrownAt(own, mine, own), threw('TypeError: x is null'), 10],
  ['thrown by the command', thrownAt(own, own, 'node:internal/timers'), `${bug}TypeError: x is null`, 70],
  ['that is no error', null, threw('null'), 10],
  ['without a stack', thrownAt(), threw('TypeError: x is null'), 10],
  ['in words of the command', new ModelError('step: no'), 'step: no', 10],
  ['that is a limit of the model', new LimitError('wire: send: full'), 'wire: send: full', 2],
  ['that such a one has led to', new ModelError('r: full', { cause: new LimitError('full') }), 'r: full', 2],
  ['of the command line', new UsageError('no flag'), 'no flag', 64],
])('an error %s while a module runs', (_, error, line, code) => {
  expect(answerTo(error, 'mine.mjs')).toEqual({ lines: [line], code });
});

it("while no module runs, every error is the command's", () => {
  expect(answerTo(null, null)).toEqual({ lines: [`${bug}null`], code: 70 });
});
