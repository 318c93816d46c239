import { readFileSync } from 'node:fs';
import { expectedVerdict } from '@shootdown/explorer';
import { describe, expect, it } from 'vitest';
import { scenarios } from './index.ts';

const page = readFileSync(new URL('../../../../docs/kvm-gup-fast.md', import.meta.url), 'utf8');
const NAMES = ['gup-fast-vs-unmap', 'gup-fast-vs-collapse', 'pae-lockless-read', 'remote-flush', 'zap-vs-writeback'];
const rows = scenarios.filter((s) => NAMES.includes(s.name)).flatMap((s) => s.variants.map((variant) => [s.name, variant.name, variant] as const));

/** The table under the heading of a scenario. */
function tableOf(scenario: string): readonly string[] {
  const section = page.split(`### \`${scenario}\`\n`)[1] ?? '';
  return (section.split('\n#')[0] ?? '').split('\n');
}

describe('docs/kvm-gup-fast.md', () => {
  it.each(rows)('gives %s %s with its verdict', (scenario, name, variant) => {
    const line = tableOf(scenario).find((text) => text.startsWith(`| \`${name}\` | `) && text.endsWith(` | ${variant.summary} |`));
    const [sc, tso] = [expectedVerdict(variant, 'sc'), expectedVerdict(variant, 'tso')];
    expect(line?.split(' | ')[1]).toBe(sc === tso ? sc : `${sc} on sc, ${tso} on tso`);
  });

  it('names no variant that does not exist', () => {
    const known = new Set(rows.map(([, name]) => name));
    const named = [...(page.split('## All variants')[0] ?? '').matchAll(/`(?:gup-fast-vs-unmap |gup-fast-vs-collapse |pae-lockless-read |remote-flush |zap-vs-writeback )([^ `]+)`/g)].map(([, name]) => name ?? '');
    expect(named.length).toBeGreaterThan(0);
    expect(named.filter((name) => !known.has(name))).toEqual([]);
  });

  it.each(['gup-fast-vs-unmap.kvm-pv-call-rcu-no-recheck', 'pae-lockless-read.native-one-zapper'])('shows the counterexample %s as it is', (name) => {
    expect(page).toContain(readFileSync(new URL(`golden/${name}.txt`, import.meta.url), 'utf8').trim());
  });
});
