import { readFileSync } from 'node:fs';
import { expectedVerdict, explore } from '@shootdown/explorer';
import { FREED_FRAME, recordTrace, TabulatedExecutor, verifyPoints, type MemoryModel } from '@shootdown/machine';
import { CLEARED_ENTRY } from '@shootdown/ptdump';
import { describe, expect, it } from 'vitest';
import { visited } from './local-states.test-support.ts';
import { bothWays, counterexampleOf, expectAgreement, searchOnce, systemsOf, UNCOUNTED } from './matrix.test-support.ts';
import { ptdumpVmalloc } from './ptdump-vmalloc.ts';

const MODELS: readonly MemoryModel[] = ['sc', 'tso'];
const VISITED_MAX = 20_000;

const systemOf = systemsOf(ptdumpVmalloc);

const searched = searchOnce(systemOf);

const rows = ptdumpVmalloc.variants.flatMap((variant) =>
  MODELS.map((model) => [variant.name, model, expectedVerdict(variant, model)] as const).filter(([, , expected]) => expected !== null),
);

describe('ptdump-vmalloc', () => {
  it.each(rows)('%s on %s: %s, reduced or not', async (name, model, expected) => {
    await bothWays(() => systemOf(name, model), expected, searched(name, model));
  });

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
    const result = await explore(systemOf('v6-multi-fetch'), { all: true });
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
    const page = readFileSync(new URL('../../../../docs/ptdump-vmalloc.md', import.meta.url), 'utf8');
    const inWords = (name: string): string => {
      const [sc, tso] = MODELS.map((model) => rows.find((row) => row[0] === name && row[1] === model)?.[2]);
      return sc === tso ? `${sc}` : `${sc} on sc, ${tso} on tso`;
    };
    for (const { name, summary } of ptdumpVmalloc.variants) {
      const line = page.split('\n').find((text) => text.startsWith(`| \`${name}\` | `) && text.endsWith(` | ${summary} |`));
      expect(line?.split(' | ')[1]).toBe(inWords(name));
    }
    expect(page).toContain(readFileSync(new URL('golden/ptdump-vmalloc.unlocked.txt', import.meta.url), 'utf8').trim());
  });

  it.each(['unlocked', 'v3-two-dumpers', 'roberts-order', 'v6-multi-fetch', 'v6-no-isb-no-kick', 'trylock-2026-plus-v6', 'other-mm'])(
    '%s: the counterexample reads as it always did',
    async (name) => {
      await expect(await counterexampleOf(systemOf(name), searched(name))).toMatchFileSnapshot(`golden/ptdump-vmalloc.${name}.txt`);
    },
  );

  it.each(ptdumpVmalloc.variants.map((variant) => variant.name))('%s: every point of its routines says all that the future depends on', (name) => {
    const executor = visited(systemOf(name), VISITED_MAX);
    expect(verifyPoints(executor.system.programs, executor.nodes)).toEqual([]);
  });
});

const STEPS_MAX = 1000;

describe('live and tabulated execution', () => {
  it.each(['v1', 'v3-two-dumpers', 'percpu-rwsem', 'rcu-walk', 'trylock-2026-multi-fetch'])('agree on %s, step by step', (name) => {
    for (const model of MODELS) expectAgreement(systemOf(name, model), STEPS_MAX);
  });
});
