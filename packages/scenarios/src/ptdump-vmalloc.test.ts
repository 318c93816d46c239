import { readFileSync } from 'node:fs';
import { expectedVerdict, explore, type Variant } from '@shootdown/explorer';
import { FREED_FRAME, recordTrace, TabulatedExecutor } from '@shootdown/machine';
import { CLEARED_ENTRY } from '@shootdown/ptdump';
import { describe, expect, it } from 'vitest';
import { describeScenario, expectAgreement, MODELS, UNCOUNTED } from './matrix.test-support.ts';
import { ptdumpVmalloc } from './ptdump-vmalloc.ts';

const { systemOf, searched } = describeScenario(ptdumpVmalloc, {
  golden: [
    'unlocked',
    'v3-two-dumpers',
    'roberts-order',
    'v6-multi-fetch',
    'v6-no-isb-no-kick',
    'trylock-2026-plus-v6',
    'other-mm',
  ],
  pointStatesMax: 20_000,
});

describe('ptdump-vmalloc', () => {
  it.each([
    ['unlocked', FREED_FRAME],
    ['v3-two-dumpers', FREED_FRAME],
    ['v4', 'a huge mapping is installed'],
    ['roberts-order', FREED_FRAME],
    ['trylock-2026-plus-v6', 'no deadlock'],
    ['other-mm', FREED_FRAME],
    ['v6-multi-fetch', CLEARED_ENTRY],
    ['rcu-walk-multi-fetch', CLEARED_ENTRY],
  ])('%s violates "%s"', async (name, property) => {
    expect((await searched(name)).property).toBe(property);
  });

  it('v6 with a walker that reads an entry several times never reads a freed table: only the dereference goes wrong', async () => {
    const result = await explore(systemOf('v6-multi-fetch'), { ...UNCOUNTED, all: true });
    expect(result.problems.map((problem) => problem.property)).toEqual([CLEARED_ENTRY]);
  });

  it('the deadlock of the two schemes is the nested read lock behind a queued writer', async () => {
    const system = systemOf('trylock-2026-plus-v6');
    const { schedule } = await searched('trylock-2026-plus-v6');
    const { steps } = recordTrace(new TabulatedExecutor(system), schedule ?? []);
    const lines = steps.map((step) => [step.text, ...step.facts].join(': '));
    expect(lines).toContain('mmap_read_trylock(init_mm): locked');
    expect(lines).toContain('mmap_write_lock(init_mm): queued');
    expect(lines).toContain('mmap_read_lock(init_mm): queued');
  });

  it.each(['v1', 'v6-one-dumper', 'trylock-2026'])('%s with two tasks that map is right as well', async (name) => {
    expect((await explore(systemOf(name, 'sc', { vmaps: 2 }), UNCOUNTED)).verdict).toBe('safe');
  });

  it('docs/ptdump-vmalloc.md gives every variant with its verdict', () => {
    const page = readFileSync(new URL('../../../docs/ptdump-vmalloc.md', import.meta.url), 'utf8');
    const inWords = (variant: Variant): string => {
      const [sc, tso] = MODELS.map((model) => expectedVerdict(variant, model));
      return sc === tso ? `${sc}` : `${sc} on sc, ${tso} on tso`;
    };
    for (const variant of ptdumpVmalloc.variants) {
      const line = page
        .split('\n')
        .find((text) => text.startsWith(`| \`${variant.name}\` | `) && text.endsWith(` | ${variant.summary} |`));
      expect(line?.split(' | ')[1]).toBe(inWords(variant));
    }
    expect(page).toContain(readFileSync(new URL('golden/ptdump-vmalloc.unlocked.txt', import.meta.url), 'utf8').trim());
  });
});

const STEPS_MAX = 1000;

describe('live and tabulated execution', () => {
  it.each(['v1', 'v3-two-dumpers', 'percpu-rwsem', 'rcu-walk', 'trylock-2026-multi-fetch'])(
    'agree on %s, step by step',
    (name) => {
      for (const model of MODELS) expectAgreement(systemOf(name, model), STEPS_MAX);
    },
  );
});
