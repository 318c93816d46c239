/**
 * The tests that ship, with their observations by name of shape; and that each ordering rule of the machine is needed
 * by one. (Those in the kernel's C: `packages/c/src/program/shipped.test.ts`.)
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { load, ORDERING_RULES, smp_wmb, store, type OrderingRule } from '@shootdown/machine';
import { inOrder, readCondition } from './condition.ts';
import type { LitmusTest, Memory } from './litmus-test.ts';
import { frontEndOf, readLitmus } from './registry.ts';
import { runLitmus } from './run.ts';

const folder = join(import.meta.dirname, '../tests');
const deep = process.env['SHOOTDOWN_DEEP'] === '1';

const table = readFileSync(join(folder, 'expected.tsv'), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => line.split('\t') as [file: string, observed: string, withEts2: string]);

const read = async (file: string): Promise<LitmusTest> => await readLitmus(readFileSync(join(folder, file), 'utf8'));

describe.each(['aarch64', 'vmsa', 'x86'])('tests/%s', (below) => {
  const rows = table.filter(([file]) => file.startsWith(`${below}/`));

  it.each(rows)('%s: %s, with ETS2 %s', async (file, observed, withEts2) => {
    const test = await read(file);
    const { memoryModel } = frontEndOf(readFileSync(join(folder, file), 'utf8'));
    expect(runLitmus(test, { memoryModel, promises: 'auto' }).observation).toBe(observed);
    if (test.translation)
      expect(runLitmus(test, { memoryModel, ets2: true, promises: 'auto' }).observation).toBe(withEts2);
  });
});

it.each([
  ['vmsa/no-break-before-make', ['break-before-make expected']],
  ['vmsa/break-before-make', []],
])('%s: warns %j', async (file, warnings) => {
  const result = runLitmus(await read(`${file}.litmus`), { memoryModel: 'arm', promises: 'auto' });
  expect(result.warnings).toEqual(warnings);
});

/**
 * The shape S in kernel routines, which say no dependencies: P0 has seen the flag, so its store of x is the last one.
 * The programs are routines as the kernel's are, since instructions of a litmus test say what they depend on.
 */
const S_OF_ROUTINES: LitmusTest = (() => {
  const condition = readCondition('exists (0:flag=1 /\\ x=2)', {
    register: (_thread, name) => name,
    variable: (name) => name,
    value: Number,
  });
  return {
    name: 'S+wmb+po in kernel routines',
    dialect: 'C',
    variables: [
      { name: 'x', initial: 0 },
      { name: 'y', initial: 0 },
    ],
    threads: [
      {
        name: 'P0',
        *start(memory: Memory) {
          const flag = yield* load(memory.at('y'));
          yield* store(memory.at('x'), 1);
          return { flag };
        },
      },
      {
        name: 'P1',
        *start(memory: Memory) {
          yield* store(memory.at('x'), 2);
          yield* smp_wmb();
          yield* store(memory.at('y'), 1);
          return {};
        },
      },
    ],
    hardware: [],
    condition,
    observables: inOrder(condition.observes),
    show: String,
    showFault: () => '',
    translation: null,
    needsBreak: null,
    warnings: [],
  };
})();

/** For each rule the test that it decides: a file that ships, or the one above. */
const decides: Readonly<Record<OrderingRule, string | LitmusTest>> = {
  coherence: 'aarch64/CoRR',
  atomicity: 'aarch64/Atomic-add-twice',
  forwarding: 'aarch64/PPOAA',
  'address-dependency': 'aarch64/MP+dmb.st+addr',
  'data-dependency': 'aarch64/S+dmb.st+data',
  'control-to-store': 'aarch64/S+dmb.st+ctrl',
  'address-to-store': 'aarch64/S+dmb.st+addr-po',
  'load-to-store': S_OF_ROUTINES,
  'dmb-full': 'aarch64/SB+dmb.sys',
  'dmb-load': 'aarch64/MP+dmb.st+dmb.ld',
  'dmb-store': 'aarch64/MP+dmb.st+dmb.ld',
  acquire: 'aarch64/MP+rel+acq',
  release: 'aarch64/MP+rel+acq',
  'release-to-acquire': 'aarch64/SB+rel-acqs',
  'atomic-acquire-release': 'aarch64/SB+swpals',
  dsb: 'aarch64/SB+dsbs',
  'isb-control': 'aarch64/MP+dmb.st+ctrlisb',
  'isb-address': 'aarch64/MP+dmb.st+addr-po-isb',
  'isb-walk': 'vmsa/valid+isb',
  'isb-completion': 'vmsa/own-unmap',
  'exception-entry': 'vmsa/handler+order',
  'walk-coherence': 'vmsa/valid+same',
  'walk-to-store': 'vmsa/valid+store',
  'walk-order': 'vmsa/unmap+later-walk-of-the-page',
  'context-to-walk': 'vmsa/map-own',
  'invalid-not-cached': 'vmsa/map-own',
  'fault-order': 'vmsa/permission-granted',
  'tlbi-issue': 'vmsa/unmap',
  'tlbi-walk': 'vmsa/own-unmap',
  'tlbi-access': 'vmsa/unmap-then-reuse',
  'dsb-tlbi': 'vmsa/unmap',
  'ets2-completion': 'vmsa/own-unmap+no-isb',
  'ets2-fault': 'vmsa/map-own+no-dsb',
  'update-order': 'vmsa/dirty+control',
  'update-completion': 'vmsa/dirty+dsb',
};

describe('an ordering rule that is left out changes what a test shows', () => {
  const rows = Object.entries(decides).map(
    ([rule, test]) => [rule, typeof test === 'string' ? test : test.name, test] as const,
  );

  it.each(rows)('%s: %s', async (rule, _name, decided) => {
    const test = typeof decided === 'string' ? await read(`${decided}.litmus`) : decided;
    const ets2 = rule.startsWith('ets2');
    // The canonical form drops what the rules make unreachable, so it goes with all of them only.
    const leftOut = new Set([rule as OrderingRule]);
    const whole = runLitmus(test, { memoryModel: 'arm', ets2, canonical: false });
    const without = runLitmus(test, { memoryModel: 'arm', ets2, canonical: false, leftOut });
    expect(whole.observation).toBe('Never');
    expect(without.observation).not.toBe('Never');
  });

  it('is asked of every rule', () => {
    expect(Object.keys(decides).sort()).toEqual(Object.keys(ORDERING_RULES).sort());
  });
});

describe('load buffering', () => {
  it.each(['LB', 'LB+dmb.sy+po', 'LB+ctrl+po'])('%s needs a store that overtakes a load', async (name) => {
    const test = await read(`aarch64/${name}.litmus`);
    expect(runLitmus(test, { memoryModel: 'arm', promises: 'never' }).observation).toBe('Never');
    expect(runLitmus(test, { memoryModel: 'arm', promises: 'auto' }).observation).toBe('Sometimes');
  });
});

describe('the canonical form', () => {
  /** Loops whose states are endlessly many without it. */
  const endless = ['Spinlock'];
  const rows = table.filter(
    ([file]) => /^(?:aarch64|vmsa)\//.test(file) && !endless.some((name) => file.includes(name)),
  );
  const some = deep ? rows : rows.filter((_, i) => i % 6 === 0);

  it.each(some)('leaves the final states of %s alone', async (file) => {
    const test = await read(file);
    const texts = (canonical: boolean, ets2: boolean) =>
      runLitmus(test, { memoryModel: 'arm', canonical, ets2 }).outcomes.map(({ text }) => text);
    for (const ets2 of test.translation ? [false, true] : [false])
      expect(texts(true, ets2)).toEqual(texts(false, ets2));
  });
});
