/** What is wrong is said in one line, with the right exit code. */
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { startShootdown, type Said } from './one-process.test-support.ts';
import { oneThread, ownFolder } from './own-folder.test-support.ts';

const lab = new URL('../', import.meta.url).pathname;
const trace = join(lab, 'data/traces/gups-1m.u64.gz');
const unlocked = ['explore', 'ptdump-vmalloc', '--variant', 'unlocked'];
const { at, file, topologyFile } = ownFolder();
const loops = (depth: number): object =>
  depth === 0 ? { do: 'mmap', area: 'a', pages: 1 } : { do: 'repeat', times: 1, body: [loops(depth - 1)] };
/** Two scenarios in one module: nothing happens in either. */
const twoScenarios = `
  import { nop, program, routine, SystemBuilder } from ${JSON.stringify(new URL('../../../packages/machine/dist/index.js', import.meta.url).href)};
  const scenario = (name, expected) => ({ name, title: 'nothing happens', seed: 'S1',
    variants: ['v', 'w'].map((variant) => ({ name: variant, expected, source: 'derived', summary: 'rests' })),
    build() {
      const builder = new SystemBuilder({ memoryModel: 'sc' });
      builder.processor({ name: 'CPU0', tasks: [program(routine('r', () => nop()))] });
      return builder.build();
    } });
  export const a = scenario('first', 'safe'), b = scenario('second', 'violation');`;

describe('what is wrong is said in one line, with the right exit code', () => {
  const cases: readonly (readonly [what: string, line: () => readonly string[], status: number, message: RegExp])[] = [
    [
      'a truncated trace',
      () => ['tlb', file('cut.u64', new Uint8Array(27))],
      10,
      /truncated record at byte 24: 3 of 8 bytes/,
    ],
    ['a missing trace', () => ['tlb', '/nowhere/x.u64'], 10, /\/nowhere\/x\.u64/],
    ['a trace without end', () => ['tlb', '/dev/zero'], 10, /a device, not a file or pipe \(\/dev\/zero\)/],
    ['63 entries in 4 ways', () => ['tlb', trace, '--l1d', '63x4'], 10, /--l1d: .*63x4/],
    ['a geometry that is none', () => ['tlb', trace, '--l2', 'big'], 64, /--l2: expected entries x ways/],
    [
      'an unknown key',
      () => ['run', topologyFile('key.json', { ...oneThread(), colour: 'blue' })],
      10,
      /top level: .*colour/,
    ],
    [
      'a key of two lines',
      () => ['run', topologyFile('lines.json', { ...oneThread(), 'a\nb\u001b[2J': 1 })],
      10,
      /a\\nb\\u001b\[2J/,
    ],
    [
      'a CPU that is not there',
      () => [
        'run',
        topologyFile('cpu.json', { ...oneThread(), processes: [{ name: 'p', threads: [{ cpu: 3, run: [] }] }] }),
      ],
      10,
      /CPU 3 of 1/,
    ],
    ['text that is no JSON', () => ['run', file('bad.json', '{')], 10, /not JSON/],
    [
      'a terminal escape that is no JSON',
      () => ['run', file('escape.json', '\n\u001b[31m')],
      10,
      /not JSON: .*\\u001b/,
    ],
    [
      'loops too deep to read',
      () => ['run', topologyFile('deep.json', oneThread(loops(900)))],
      10,
      /nested more than 64 deep/,
    ],
    [
      'an area nobody mapped',
      () => ['run', topologyFile('area.json', oneThread({ do: 'touch', area: 'x' }))],
      10,
      /no area x/,
    ],
    ['a topology by another name that is none', () => ['run', file('machine.txt', '{')], 10, /machine\.txt: not JSON/],
    ['a demo of a long name', () => ['run', 'x'.repeat(5000)], 10, /no demo x+/],
    ['a demo whose name no file can have', () => ['run', 'a\0.json'], 10, /no name that a file can have/],
    ['an unknown demo', () => ['run', 'no-such-demo'], 10, /no demo no-such-demo \(have: flush-counts/],
    [
      'a demo that is no machine',
      () => ['compare', 'flush-counts', 'shootdown'],
      10,
      /flush-counts: a table of runs, not a machine/,
    ],
    ['an unknown command', () => ['fly'], 64, /no command fly/],
    ['a command with a letter too few', () => ['explor'], 64, /no command explor: did you mean explore\?/],
    ['help on no command', () => ['help', 'fly'], 64, /no command fly/],
    ['a flag with a letter wrong', () => [...unlocked, '--max-state', '3'], 64, /did you mean --max-states\?/],
    ['a scenario with a letter too few', () => ['explore', 'ptdump-vmaloc'], 10, /did you mean ptdump-vmalloc\?/],
    [
      'a variant with a letter wrong',
      () => ['explore', 'ptdump-vmalloc', '--variant', 'unlokced'],
      10,
      /did you mean unlocked\?/,
    ],
    ['a value with a letter wrong', () => [...unlocked, '--format', 'mermiad'], 64, /did you mean mermaid\?/],
    ['a flag given twice', () => [...unlocked, '-v', 'v1'], 64, /--variant is given twice/],
    ['a switch given twice', () => ['list', '--json', '-j'], 64, /--json is given twice/],
    ['a flag for a value', () => ['tlb', '--l1d', '--json', 'x'], 64, /--l1d: a value is missing \(--json is a flag\)/],
    ['a flag without a value', () => [...unlocked, '--format'], 64, /--format: a value is missing/],
    ['a value for a switch', () => ['list', '--json=3'], 64, /--json takes no value/],
    ['a width that nothing fits into', () => ['list', '--width', '3'], 10, /--width: .* at least 32/],
    ['a shell without a script', () => ['completion', 'tcsh'], 64, /no script for tcsh \(have: bash, zsh, fish\)/],
    ['a list of no scenario', () => ['list', 'ptdump-vmaloc'], 10, /did you mean ptdump-vmalloc\?/],
    [
      'two scenarios in a module and none named',
      () => ['explore', file('two.mjs', twoScenarios)],
      10,
      /has several scenarios, name one of them \(.*two\.mjs#first, .*two\.mjs#second\)/,
    ],
    [
      'a scenario that a module has not',
      () => ['explore', `${file('two.mjs', twoScenarios)}#fist`],
      10,
      /no scenario fist \(have: first, second\): did you mean first\?/,
    ],
    ['an unknown flag', () => ['list', '--colour'], 64, /--colour/],
    ['an unknown flag of the tour', () => ['tour', '--colour'], 64, /--colour/],
    ['a flag of another demo', () => ['run', 'shootdown', '--pages', '3'], 64, /--pages belongs to/],
    [
      'a flag of a machine',
      () => ['run', 'flush-counts', '--max-steps', '3'],
      64,
      /--max-steps does not go with flush-counts/,
    ],
    ['a phase of no timeline', () => ['run', 'shootdown', '--phase', 'munmap'], 64, /--phase belongs to a timeline/],
    [
      'a phase that is not there',
      () => ['run', 'shootdown', '--phase', 'x', '--format', 'text'],
      10,
      /no phase x \(have: start-up, munmap\)/,
    ],
    [
      'a negative number',
      () => [...unlocked, '--max-states', '-1'],
      64,
      /--max-states: expected a whole number of at least 1 \(-1\)/,
    ],
    [
      'memory that is no number',
      () => [...unlocked, '--max-memory', 'lots'],
      64,
      /--max-memory: expected MiB, or a number with its unit: 512, 2GiB \(lots\)/,
    ],
    ['no memory', () => [...unlocked, '--max-memory', '0'], 10, /--max-memory: expected at least 1MiB/],
    ['a number that is none', () => ['run', 'flush-counts', '--pages', 'many'], 64, /--pages: expected a whole number/],
    [
      'a page count out of range',
      () => ['run', 'flush-counts', '--pages', '100000'],
      10,
      /--pages: expected 1 \.\. 512/,
    ],
    ['no pages', () => ['run', 'flush-counts', '--pages', '0'], 10, /--pages: expected a whole number of at least 1/],
    [
      'a schedule that is none',
      () => ['replay', file('s.json', '{"shootdown":1,"schedule":"a"}')],
      10,
      /schedule|names neither/,
    ],
    [
      'a schedule of another machine',
      () => ['replay', file('s2.json', '{"shootdown":1,"machine":{"demo":"fork-cow"},"schedule":"1,1,1,77"}')],
      10,
      /is not enabled there|no choice/,
    ],
    [
      'a variant for a file',
      () => ['replay', file('s3.json', '{}'), '--variant', 'x'],
      64,
      /--variant goes with a scenario/,
    ],
    ['an unknown scenario', () => ['explore', 'nothing'], 10, /no scenario nothing \(have: /],
    [
      'an unknown variant',
      () => ['explore', 'reference-ptdump', '--variant', 'x'],
      10,
      /no variant of reference-ptdump x/,
    ],
    [
      'a scenario in a module that is not there',
      () => ['explore', './nowhere.mjs'],
      10,
      /nowhere\.mjs: cannot be loaded/,
    ],
    [
      'a module without a scenario',
      () => ['explore', file('empty.mjs', 'export const x = 1;')],
      10,
      /empty\.mjs: exports no object with name, variants and build\(\) \(has: x\)/,
    ],
    [
      'a module that cannot build its scenario',
      () => [
        'explore',
        file(
          'broken.mjs',
          "export const x = { name: 'x', variants: [{ name: 'y', expected: 'safe' }], build() { return nothing; } };",
        ),
      ],
      10,
      /broken\.mjs: cannot be built \(ReferenceError: nothing is not defined/,
    ],
    [
      'a module whose variants expect nothing',
      () => [
        'explore',
        file('unexpecting.mjs', "export const x = { name: 'x', variants: [{ name: 'y' }], build() {} };"),
      ],
      10,
      /variant y: expected: undefined is none of safe/,
    ],
    ['a scenario in TypeScript', () => ['explore', 'mine.ts'], 10, /mine\.ts: cannot be loaded \(Could not resolve/],
    ['a parameter out of range', () => ['explore', 'reference-ptdump', '--set', 'n=99'], 10, /n must be/],
    ['a seed without --fuzz', () => [...unlocked, '--seed', 'x'], 64, /--seed belongs to --fuzz/],
    [
      'workers that fuzz',
      () => [...unlocked, '--fuzz', 'random', '--workers', '2'],
      64,
      /--workers does not go with --fuzz/,
    ],
    [
      'whole states in two threads',
      () => [...unlocked, '--exact', '--workers', '2'],
      64,
      /--exact does not go with several workers/,
    ],
    [
      'a schedule in no folder',
      () => [...unlocked, '--save-schedule', '/nowhere/x.json'],
      10,
      /\/nowhere\/x\.json: cannot be written \(no such folder\)/,
    ],
    ['a schedule that is a folder', () => ['run', 'shootdown', '--save-schedule', at()], 10, /a directory, not a file/],
    [
      'a comparison and something else',
      () => ['compare', 'ptdump-vmalloc', 'nothing'],
      64,
      /ptdump-vmalloc is compared alone \(nothing\)/,
    ],
  ];
  const shootdown = startShootdown({ loadsCode: true });
  let said: readonly Said[] = [];
  beforeAll(async () => {
    said = await Promise.all(cases.map(([, line]) => shootdown(...line())));
  });

  it.each(cases.map(([what, , status, message], i) => ({ what, status, message, i })))(
    '$what',
    ({ status, message, i }) => {
      const result = said[i] as Said;
      expect(result.stderr).toMatch(/^[^\p{Cc}]+\n$/u);
      expect(result.stderr).toMatch(message);
      expect(result.status).toBe(status);
      expect(result.stdout).toBe('');
    },
  );
});
