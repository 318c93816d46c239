import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { explore, resolveScenario } from '@shootdown/explorer';
import { X86Counter } from '@shootdown/mm';
import { scenarios } from './scenarios/index.ts';

const root = new URL('../../../', import.meta.url);
const readme = readFileSync(new URL('README.md', root), 'utf8');

/** The code block that the README calls by this name, and the file it is a copy of. */
function shownAndReal(name: string): [string | undefined, string] {
  const shown = new RegExp(`\`\`\`ts ${name}\\n([\\s\\S]*?)\\n\`\`\``).exec(readme)?.[1];
  return [shown, readFileSync(new URL(`examples/${name}.ts`, import.meta.url), 'utf8').trimEnd()];
}

describe('the README', () => {
  it('shows the custom machine as it is in examples/, and it runs', async () => {
    const [shown, real] = shownAndReal('custom-machine');
    expect(shown).toBe(real);
    const { result } = await import('./examples/custom-machine.ts');
    expect(result.end).toBe('done');
    expect(result.total[X86Counter.interrupts]).toEqual([0, 10]);
  });

  it('shows the patch idea as it is in examples/, and its verdicts', async () => {
    const [shown, real] = shownAndReal('my-patch');
    expect(shown).toBe(real);
    const { checkThenClear, clearThenCheck } = await import('./examples/my-patch.ts');
    expect(readme).toContain(`check, clear, free: ${checkThenClear.verdict} - ${checkThenClear.property}`);
    expect(readme).toContain(`clear, check, free: ${clearThenCheck.verdict} - ${clearThenCheck.states} states`);
    expect([checkThenClear.verdict, clearThenCheck.verdict]).toEqual(['violation', 'safe']);
  });

  const rows = [...readme.matchAll(/^\| `([\w-]+)` \| (sc|tso) \| (\w+) \| ([\d,]+) \| (\d*) \| [\d.]+ \|$/gm)];

  it('has a scenario table', () => expect(rows.length).toBeGreaterThan(10));

  it.each(rows.map(([, variant, model, verdict, states, steps]) => ({ variant, model, verdict, states, steps })))(
    'says of $variant on $model what the explorer finds',
    async ({ variant, model, verdict, states, steps }) => {
      const resolved = resolveScenario(scenarios, { scenario: 'ptdump-vmalloc', variant, memoryModel: model as 'sc' | 'tso' });
      const found = await explore(resolved.build(), { reduction: false });
      expect([found.verdict, found.states.toLocaleString('en'), String(found.schedule?.length ?? '')]).toEqual([verdict, states, steps]);
    },
  );
});
