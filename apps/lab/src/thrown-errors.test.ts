import { expect, it, vi } from 'vitest';

it('what effects and watchers throw is a bug of ours, unless a module of the user’s was loaded', async () => {
  // Another test of this process may have loaded one.
  vi.resetModules();
  const { ModelError, ThrownError } = await import('@shootdown/machine');
  const { isUserError, noteForeignCode } = await import('./errors.ts');
  expect(isUserError(new ModelError('drain CPU0: no such word'))).toBe(true);
  const thrown = new ThrownError('drain CPU0: threw TypeError: no such word');
  expect(isUserError(thrown)).toBe(false);
  noteForeignCode();
  expect(isUserError(thrown)).toBe(true);
});
