import type { MemoryModel, System } from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { explore } from './explore.ts';
import type { ExploreOptions, ExploreResult, SystemSource } from './result.ts';

const module = new URL('../test/systems.mjs', import.meta.url).href;
const sourceOf = (variant: string, memoryModel: MemoryModel): SystemSource => ({
  module,
  export: 'build',
  request: { variant, memoryModel, parameters: {} },
});

async function systemOf(source: SystemSource): Promise<System> {
  const { build } = (await import(source.module)) as { build: (request: SystemSource['request']) => System };
  return build(source.request);
}

/** Everything but how long it took and how much memory. */
function comparable(result: ExploreResult): unknown {
  const { seconds: _s, statesPerSecond: _r, bytesPerState: _b, workers: _w, ...rest } = result;
  return rest;
}

const cases: readonly (readonly [
  variant: string,
  memoryModel: MemoryModel,
  verdict: string,
  options: ExploreOptions,
])[] = [
  ['storeBuffering', 'sc', 'safe', {}],
  ['storeBuffering', 'tso', 'violation', {}],
  ['deadlock', 'sc', 'deadlock', { reduction: false }],
  ['interrupts', 'sc', 'violation', { all: true }],
  ['interrupts', 'tso', 'violation', { reduction: false }],
  ['crossfire', 'sc', 'violation', { all: true }],
  ['limit', 'sc', 'bounded', {}],
];

describe('a limit of the model', () => {
  it.each<ExploreOptions>([{}, { reduction: false }, { search: 'dfs' }])('ends a search, with %j', async (options) => {
    expect(await explore(await systemOf(sourceOf('limit', 'sc')), options)).toMatchObject({
      verdict: 'bounded',
      complete: false,
      stoppedBy: 'limit',
      limit: 'routine: body: step 0: store: watcher: more than one',
      property: null,
    });
  });

  it('says nothing of what was found before', async () => {
    expect(await explore(await systemOf(sourceOf('limitAfterViolation', 'sc')))).toMatchObject({
      verdict: 'violation',
      property: 'nothing is stored',
      limit: null,
    });
  });
});

describe('explore in worker threads', () => {
  it.each(cases)('%s on %s: %s, the same for 1 and 2 workers', async (variant, memoryModel, verdict, options) => {
    const source = sourceOf(variant, memoryModel);
    const alone = await explore(await systemOf(source), options);
    const together = await explore(await systemOf(source), { ...options, workers: 2, source });
    expect(alone.verdict).toBe(verdict);
    expect(comparable(together)).toEqual(comparable(alone));
  });

  it('says which export is missing', async () => {
    const source = { ...sourceOf('deadlock', 'sc'), export: 'biuld' };
    await expect(explore(await systemOf(source), { workers: 2, source, reduction: true })).rejects.toThrow(
      /exports no scenario or function biuld \(have: build, crash\)/,
    );
  });

  it('fails when a worker dies', async () => {
    const source = { ...sourceOf('deadlock', 'sc'), export: 'crash' };
    await expect(explore(await systemOf(source), { workers: 2, source, reduction: true })).rejects.toThrow(
      /worker \d: ended early \(exit code 7\)/,
    );
  });

  it('reports an error of the model as such', async () => {
    const source = sourceOf('nothing', 'sc');
    await expect(
      explore(await systemOf(sourceOf('deadlock', 'sc')), { workers: 2, source, reduction: true }),
    ).rejects.toThrow(/is not a function/);
  });
});
