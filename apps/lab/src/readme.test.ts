import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { X86Counter } from '@shootdown/mm';

const root = new URL('../../../', import.meta.url);
const readme = readFileSync(new URL('README.md', root), 'utf8');

describe('the README', () => {
  it('shows the custom machine as it is in examples/, and that runs', async () => {
    const shown = /```ts custom-machine\n([\s\S]*?)\n```/.exec(readme)?.[1];
    expect(shown).toBe(readFileSync(new URL('examples/custom-machine.ts', import.meta.url), 'utf8').trimEnd());
    const { result } = await import('./examples/custom-machine.ts');
    expect(result.end).toBe('done');
    expect(result.total[X86Counter.interrupts]).toEqual([0, 10]);
  });
});
