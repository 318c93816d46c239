/** Whether speedscope takes what is written for it: its own importer, out of the page that its package ships. */
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { createContext, runInContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import {
  deadlock,
  fourProcessors,
  ipiShootdown,
  longLabels,
  ptdumpUseAfterFree,
  uncountedKey,
} from '../test-data/traces.ts';
import { perfettoJson } from './index.ts';

interface Profile {
  getName(): string;
  getTotalWeight(): number;
}
type Import = (name: string, text: string) => Promise<{ readonly profiles: readonly Profile[] } | null>;

/** What stands for everything that the page asks of its browser. */
const browser: unknown = new Proxy(class {}, {
  get: (_, key) => (key === Symbol.toPrimitive ? () => '' : key === 'then' ? undefined : browser),
  apply: () => browser,
  construct: () => browser as object,
  set: () => true,
});

/**
 * The importer, and what it complains of. The page is one script that keeps everything to itself; its modules, though,
 * are objects with a getter per export.
 */
async function speedscope(): Promise<{ readonly importText: Import; readonly complaints: string[] }> {
  const require = createRequire(import.meta.url);
  const release = join(dirname(require.resolve('speedscope/package.json')), 'dist/release');
  const script = readdirSync(release).find((name) => /^speedscope-.*\.js$/.test(name)) ?? '';
  const complaints: string[] = [];
  const complain = (...words: unknown[]): void => void complaints.push(words.join(' '));
  const found: { importer?: () => Import } = {};
  const context = createContext({
    console: {
      log: () => undefined,
      warn: complain,
      error: complain,
      assert: (holds: boolean, ...words: unknown[]) => holds || complain('assertion', ...words),
    },
    onExport: (name: string, get: () => Import) => {
      if (name === 'importProfileGroupFromText') found.importer = get;
    },
    ...Object.fromEntries(
      ['document', 'window', 'navigator', 'localStorage', 'matchMedia', 'requestAnimationFrame', 'location'].map(
        (name) => [name, browser],
      ),
    ),
    self: {},
    performance,
    setTimeout,
    clearTimeout,
    TextDecoder,
    TextEncoder,
    URL,
    Blob,
    Image: browser,
    FontFace: browser,
    FileReader: browser,
  });
  runInContext(
    `{
      const define = Object.defineProperty;
      Object.defineProperty = (object, name, descriptor) => {
        if (descriptor?.get) onExport(name, descriptor.get);
        return define(object, name, descriptor);
      };
    }`,
    context,
  );
  try {
    runInContext(readFileSync(join(release, script), 'utf8'), context);
  } catch {
    // Where it begins to draw, it misses its browser.
  }
  // Modules that the page loads later initialise by themselves.
  await new Promise((resolve) => setTimeout(resolve, 0));
  complaints.length = 0;
  const importText: Import = async (name, text) => {
    if (!found.importer) throw new Error('speedscope: no importer found in its script');
    return await found.importer()(name, text);
  };
  return { importText, complaints };
}

describe('speedscope', async () => {
  const { importText, complaints } = await speedscope();

  it.each(Object.entries({ ipiShootdown, uncountedKey, deadlock, fourProcessors, longLabels, ptdumpUseAfterFree }))(
    'opens %s without a warning',
    async (name, trace) => {
      complaints.length = 0;
      const group = await importText(name, perfettoJson(trace, { hertz: 3e9 }));
      expect(complaints).toEqual([]);
      const tracks = new Set(trace.steps.map(({ column }) => column));
      expect(group?.profiles).toHaveLength(tracks.size);
      for (const profile of group?.profiles ?? []) expect(profile.getTotalWeight()).toBeGreaterThan(0);
    },
  );

  it('complains of slices that overlap, so that its silence means something', async () => {
    complaints.length = 0;
    const place = { pid: 1, tid: 1, cat: 'x' };
    const overlapping = [
      { ...place, ph: 'X', name: 'a', ts: 0, dur: 10 },
      { ...place, ph: 'X', name: 'b', ts: 5, dur: 10 },
    ];
    await importText('overlapping', JSON.stringify({ traceEvents: overlapping }));
    expect(complaints).not.toEqual([]);
  });
});
