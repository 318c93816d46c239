import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startShootdown, type Said } from './one-process.test-support.ts';

const root = new URL('../../../', import.meta.url);
const page = readFileSync(new URL('docs/c.md', root), 'utf8');
const readme = readFileSync(new URL('README.md', root), 'utf8');
let folder = '';
let said: readonly Said[] = [];
const shootdown = startShootdown({ cwd: () => folder, loadsCode: true });

/** Blocks of a page: what stands behind the fence, and the text. */
function blocks(text: string): { readonly info: string; readonly body: string }[] {
  return [...text.matchAll(/^```(\S.*)?\n([\s\S]*?)^```$/gm)].map(([, info = '', body = '']) => ({ info, body }));
}

const transcripts = blocks(page).filter(({ info }) => info === 'console');

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'shootdown-'));
  for (const { info, body } of blocks(page)) {
    const name = /^(?:c|diff) (\S+)$/.exec(info)?.[1];
    if (name) writeFileSync(join(folder, name), body);
  }
  const lines = transcripts.map(({ body }) => (body.split('\n')[0] ?? '').replace(/^\$ npx shootdown /, '').split(' '));
  said = await Promise.all(lines.map((words) => shootdown(...words)));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('docs/c.md', () => {
  it.each(transcripts.map(({ body }, i) => [body.split('\n')[0] ?? '', i, body] as const))('%s', (_, i, body) => {
    const { stdout = '', stderr = '' } = said[i] ?? {};
    const text = stdout === '' ? stderr : stdout;
    const shown = body.split('\n').slice(1).join('\n').trimEnd();
    let from = 0;
    // What stands between two lines of dots follows in this order.
    for (const part of shown.split(/^\.\.\.$/m)) {
      const wanted = part.replace(/^\n|\n$/g, '');
      const at = text.indexOf(wanted, from);
      expect(at, `${wanted} in ${text}`).toBeGreaterThanOrEqual(0);
      from = at + wanted.length;
    }
  });

  it('has the function that the README shows, and what comes of it', () => {
    const [file] = blocks(readme).filter(({ info }) => info === 'c my.c');
    expect(file?.body).toBe(blocks(page).find(({ info }) => info === 'c my.c')?.body);
    const shown = blocks(readme).find(({ body }) => body.startsWith('$ npx shootdown explore'));
    expect(shown?.body).toBe(transcripts[0]?.body);
  });
});
