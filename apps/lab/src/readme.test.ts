import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { counterexample, explore, resolveScenario } from '@shootdown/explorer';
import { lazy, X86Counter } from '@shootdown/mm';
import { renderTrace } from '@shootdown/report';
import { requestedScenario } from './scenario-request.ts';
import { findHazards, scenarios } from '@shootdown/scenarios';

const root = new URL('../../../', import.meta.url);
const readme = readFileSync(new URL('README.md', root), 'utf8');

/** The code block that the README calls by this name, and the file it is a copy of. */
function shownAndReal(name: string): [string | undefined, string] {
  const shown = new RegExp(`\`\`\`ts ${name}\\n([\\s\\S]*?)\\n\`\`\``).exec(readme)?.[1];
  return [shown, readFileSync(pathOf(name, 'ts'), 'utf8').trimEnd()];
}

/** Where an example is: what `shootdown init` writes is one, too. */
function pathOf(name: string, ext: 'ts' | 'js'): string {
  const file = name === 'mremap' ? '../templates/init/scenario.ts' : `examples/${name}.${ext}`;
  return new URL(file, import.meta.url).pathname;
}

describe('the README', () => {
  it('shows the custom machine as it is in examples/, and it runs', async () => {
    const [shown, real] = shownAndReal('custom-machine');
    expect(shown).toBe(real);
    const { result } = await import('./examples/custom-machine.ts');
    expect(result.end).toBe('done');
    expect(result.total[X86Counter.interrupts]).toEqual([0, 10]);
  });

  it.each([
    ['mremap', 'v4.18', 'violation'],
    ['mremap', 'v4.19', 'safe'],
    ['my-patch', 'check-clear-free', 'violation'],
    ['my-patch', 'clear-check-free', 'safe'],
    ['x2apic-ipi', 'no-fence', 'violation'],
    ['x2apic-ipi', 'fence', 'safe'],
  ] as const)('shows %s as it is in examples/, whose %s is a %s', async (name, variant, verdict) => {
    const [shown, real] = shownAndReal(name);
    expect(shown).toBe(real);
    const resolved = await requestedScenario(pathOf(name, 'js'), { variant });
    const result = await explore(resolved.build());
    expect(result.verdict).toBe(verdict);
    if (name !== 'x2apic-ipi' && result.schedule)
      expect(readme).toContain(renderTrace('text', counterexample(resolved, result), {}).trim());
  });

  it('shows a section of lazy MMU mode as it is in examples/, and what the detector says of it', async () => {
    const [shown, real] = shownAndReal('my-section');
    expect(shown).toBe(real);
    const { clear_refs_pte_range: section } = await import('./examples/my-section.ts');
    const subject = { name: section.routineName, generation: 'current', version: '', section } as const;
    const found = await Promise.all(Object.values(lazy.lazyArchs).map((arch) => findHazards(subject, arch)));
    const dirty = found.filter(({ hazards }) => hazards.length > 0);
    expect(dirty.map(({ arch, hazards, routine, step }) => [arch, hazards, routine, step])).toEqual([
      ['xen-pv', ['H1'], 'clear_refs_pte_range', 'ptep_get()'],
    ]);
  });

  it('shows the machine of the actor as it is in examples/', () => {
    const [shown, real] = shownAndReal('x2apic.machine');
    expect(shown).toBe(real);
  });

  const rows = [...readme.matchAll(/^\| `([\w-]+)` \| (sc|tso) \| (\w+) \| ([\d,]+) \| (\d*) \| [\d.]+ \|$/gm)];

  it('has a scenario table', () => expect(rows.length).toBeGreaterThan(10));

  it.each(rows.map(([, variant, model, verdict, states, steps]) => ({ variant, model, verdict, states, steps })))(
    'says of $variant on $model what the explorer finds',
    async ({ variant, model, verdict, states, steps }) => {
      const resolved = resolveScenario(scenarios, {
        scenario: 'ptdump-vmalloc',
        variant,
        memoryModel: model as 'sc' | 'tso',
      });
      const found = await explore(resolved.build(), { reduction: false });
      expect([found.verdict, found.states.toLocaleString('en'), String(found.schedule?.length ?? '')]).toEqual([
        verdict,
        states,
        steps,
      ]);
    },
  );
});
