import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const program = new URL('../dist/shootdown.js', import.meta.url).href;
const packages = new URL('../../../packages/', import.meta.url).href;
const deep = process.env['SHOOTDOWN_DEEP'] === '1';
const SECONDS_MAX = 0.3;
const ATTEMPTS = 5;

/** Addresses of the modules that a command loads where they are not in one bundle, whose modules have none. */
function modulesOf(...words: string[]): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'shootdown-'));
  const script = `await (await import('${program}')).main(${JSON.stringify(words)})`;
  const env = { ...process.env, NODE_V8_COVERAGE: folder };
  spawnSync(process.execPath, ['--input-type=module', '-e', script], { env });
  const urls = readdirSync(folder).flatMap((file) => {
    const { result } = JSON.parse(readFileSync(join(folder, file), 'utf8')) as { result: { url: string }[] };
    return result.map(({ url }) => url);
  });
  rmSync(folder, { recursive: true });
  return urls;
}

/** CPU seconds of what comes between the modules that every command loads and the routine, in a process of its own. */
function frontEndSeconds(): number {
  const script = `
    const { ptdumpVmalloc } = await import('${packages}scenarios/dist/index.js');
    const before = process.cpuUsage();
    const [{ replacements }, offer] = [await import('${packages}c/dist/index.js'), await ptdumpVmalloc.c()];
    const text = 'int pud_free_pmd_page(pud_t *p, unsigned long addr) { pud_clear(p); return 1; }';
    const own = ptdumpVmalloc.routines(ptdumpVmalloc.variants[0]);
    await replacements({ offer, files: [{ name: 'my.c', text }], parameters: {}, own });
    const { user, system } = process.cpuUsage(before);
    console.log((user + system) / 1e6);
  `;
  return Number(spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' }).stdout);
}

describe('the C front end', () => {
  it('is not loaded by a command that is given no C', () => {
    const urls = modulesOf('list', '--json');
    expect(urls.some((url) => url.includes('/scenarios/dist/'))).toBe(true);
    expect(urls.filter((url) => /\/c\/dist\/|tree-sitter/.test(url))).toEqual([]);
  });

  it.runIf(deep)(`costs at most ${SECONDS_MAX} s of CPU where there is some`, () => {
    const seconds = Array.from({ length: ATTEMPTS }, frontEndSeconds);
    expect(seconds.every((one) => one > 0)).toBe(true);
    expect(Math.min(...seconds)).toBeLessThan(SECONDS_MAX);
  });
});
