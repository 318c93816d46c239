import { beforeAll, describe, expect, it } from 'vitest';
import { startShootdown, type Said } from './one-process.test-support.ts';
import { commands } from './shootdown.ts';

const lists = [['list'], ['list', 'ptdump-vmalloc'], ['list', 'cow-vs-secondary'], ['machines'], ['--help']];
const helps = Object.keys(commands).map((name) => ['help', name]);
const narrow = ['explore', 'ptdump-vmalloc', '--variant', 'unlocked', '--coverage', '--width', '60'];
const checked = ['check', 'cow-vs-secondary', '--variant', 'E2-rapoport-ro-until-notified/extra-reference-v5.19'];

describe('the width of what is printed', () => {
  let said: readonly Said[];
  const shootdown = startShootdown();
  beforeAll(async () => {
    said = await Promise.all([...lists, ...helps, checked, narrow].map((words) => shootdown(...words)));
  });
  const widest = (text: string): number => Math.max(...text.split('\n').map((line) => line.length));

  it.each([...lists, ...helps, checked].map((line, i) => [line.join(' '), i] as const))('%s: 100 columns', (_, i) => {
    const { status, stdout } = said[i] as Said;
    expect(status).toBe(0);
    expect(stdout.length).toBeGreaterThan(0);
    expect(widest(stdout)).toBeLessThanOrEqual(100);
  });

  it('is what was asked for, but for links and commands, which are to be copied', () => {
    const { stdout } = said.at(-1) as Said;
    expect(widest(stdout.replace(/^studio: .*$/m, ''))).toBeLessThanOrEqual(60);
  });
});
