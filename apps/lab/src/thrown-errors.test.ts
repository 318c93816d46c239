import { ModelError, ThrownError } from '@shootdown/machine';
import { expect, it } from 'vitest';
import { isUserError, noteForeignCode } from './errors.ts';

it('what effects and watchers throw is a bug of ours, unless a module of the user’s was loaded', () => {
  expect(isUserError(new ModelError('drain CPU0: no such word'))).toBe(true);
  const thrown = new ThrownError('drain CPU0: threw TypeError: no such word');
  expect(isUserError(thrown)).toBe(false);
  noteForeignCode();
  expect(isUserError(thrown)).toBe(true);
});
