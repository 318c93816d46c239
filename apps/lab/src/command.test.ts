import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { shootdownEach, type Said } from './one-process.test-support.ts';

const lab = new URL('../', import.meta.url).pathname;
const data = join(lab, 'data/traces');
let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'shootdown-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function shootdown(...args: string[]): {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
} {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(lab, 'bin/shootdown.mjs'), ...args], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  return { status, stdout, stderr };
}

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const oneThread = (...run: object[]): object => ({
  name: 't',
  architecture: 'x86-64-4l',
  cpus: 1,
  processes: [{ name: 'p', threads: [{ cpu: 0, run }] }],
});
const topologyFile = (name: string, topology: object): string => file(name, JSON.stringify(topology));
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
const trace = join(data, 'gups-1m.u64.gz');
const unlocked = ['explore', 'ptdump-vmalloc', '--variant', 'unlocked'];

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
    [
      'a schedule that is a folder',
      () => ['run', 'shootdown', '--save-schedule', folder],
      10,
      /a directory, not a file/,
    ],
    [
      'a comparison and something else',
      () => ['compare', 'ptdump-vmalloc', 'nothing'],
      64,
      /ptdump-vmalloc is compared alone \(nothing\)/,
    ],
  ];
  let said: readonly Said[] = [];
  beforeAll(() => {
    said = shootdownEach(cases.map(([, line]) => line()));
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

describe('what has come out is said, and all of it', () => {
  const saved = (name: string): string => join(folder, name);
  const starving = {
    ...oneThread({ do: 'mmap', area: 'a', pages: 64 }, { do: 'touch', area: 'a' }),
    memory: { pages: 8 },
  };
  const waiting = {
    ...oneThread(),
    cpus: 2,
    processes: [
      {
        name: 'p',
        threads: [
          { cpu: 0, run: [{ do: 'wait-for-others' }] },
          { cpu: 1, run: [] },
        ],
      },
    ],
  };
  let said: Readonly<Record<string, Said>> = {};
  beforeAll(() => {
    const lines: Readonly<Record<string, readonly string[]>> = {
      saved: [...unlocked, '--save-schedule', saved('found.json'), '--json'],
      replayed: ['replay', saved('found.json'), '--json'],
      nothingToSave: [
        'explore',
        'ptdump-vmalloc',
        '--variant',
        'v1',
        '--save-schedule',
        saved('none.json'),
        '--format',
        'perfetto',
      ],
      safe: ['explore', 'ptdump-vmalloc', '--variant', 'v1', '--json'],
      fuzzed: [...unlocked, '--fuzz', 'random', '--save-schedule', saved('fuzzed.json'), '--json'],
      fuzzedInVain: [
        'explore',
        'ptdump-vmalloc',
        '--variant',
        'v1',
        '--fuzz',
        'pct',
        '--runs',
        '3',
        '--seed',
        '7',
        '--json',
      ],
      starving: ['run', topologyFile('starving.json', starving)],
      compared: ['compare', topologyFile('waiting.json', waiting), saved('starving.json'), 'shootdown', '--json'],
      json: ['run', 'shootdown', '--json', '--format', 'text'],
      timeline: ['run', 'shootdown', '--format', 'text', '--phase', 'munmap'],
      summary: ['run', 'flush-counts', '--summary', '--pages', '1', '--state', 'none'],
      help: ['tour', '--help'],
    };
    const results = shootdownEach(Object.values(lines));
    said = Object.fromEntries(Object.keys(lines).map((name, i) => [name, results[i] as Said]));
  });
  const of = (name: string): Said => said[name] as Said;

  it('a counterexample as a document and as a file that replays', () => {
    expect(of('saved').status).toBe(12);
    const { schedule } = JSON.parse(of('saved').stdout) as { schedule: string };
    const { sometimes } = JSON.parse(of('safe').stdout) as { sometimes: { schedule: string | null }[] };
    expect(JSON.parse(readFileSync(saved('found.json'), 'utf8'))).toMatchObject({ schedule });
    expect(sometimes[0]?.schedule).toMatch(/^[\dx.,]+$/);
    expect(JSON.parse(of('replayed').stdout)).toMatchObject({ format: 'shootdown-trace', end: { kind: 'violation' } });
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('that there is no counterexample to print or save', () => {
    const { stdout, stderr } = of('nothingToSave');
    expect(stdout).toBe('');
    expect(stderr).toMatch(/no counterexample to print as perfetto: safe\nno counterexample to save: safe\n$/);
  });

  it('of random schedules what a search says too', () => {
    const keys = { states: null, transitions: null, depth: null, complete: false, interleavings: null };
    expect(JSON.parse(of('fuzzed').stdout)).toMatchObject({ ...keys, verdict: 'violation', agrees: true });
    expect(of('fuzzed').status).toBe(12);
    expect(readFileSync(saved('fuzzed.json'), 'utf8')).toContain('"variant":"unlocked"');
    expect(JSON.parse(of('fuzzedInVain').stdout)).toMatchObject({ ...keys, verdict: 'bounded', seed: 7, runs: 3 });
  });

  it('that accesses failed, and that machines did not come to their end', () => {
    expect(of('starving').stdout).toContain('*** 56 accesses failed: out of memory');
    expect(of('compared').status).toBe(11);
    const { rows } = JSON.parse(of('compared').stdout) as { rows: unknown[] };
    expect(rows).toMatchObject([
      { end: 'deadlock' },
      { end: 'done', failedAccesses: 56 },
      { end: 'done', failedAccesses: 0 },
    ]);
  });

  it('as one document if a document is asked for, and as the tour shows it', () => {
    expect(JSON.parse(of('json').stdout)).toMatchObject({ name: 'shootdown' });
    expect(of('timeline').stdout).toMatch(/^ *ns .*\n/);
    expect(of('summary').stdout).toContain('2 sleep');
    expect(of('help').stdout).toContain('usage: shootdown tour');
  });
});

it('a full disk ends the command in one line; progress that cannot be written ends nothing', () => {
  const command = [process.execPath, join(lab, 'bin/shootdown.mjs')].join(' ');
  const { stdout, stderr } = spawnSync(
    'bash',
    [
      '-c',
      `${command} list >/dev/full; echo $?; ${command} ${unlocked.join(' ')} --save-schedule /dev/null --format json 2>/dev/full | tail -c 3; echo \${PIPESTATUS[0]}`,
    ],
    { encoding: 'utf8' },
  );
  expect(stderr).toBe('shootdown: the output cannot be written (ENOSPC)\n');
  expect(stdout).toBe('74\n\n}\n12\n');
});

it('workers are sent the name of a variant and its parameters, and find what one thread finds', () => {
  const [one, two] = ['1', '2'].map((workers) => {
    const { status, stdout } = shootdown(
      'explore',
      'kvm-pv-flush',
      '--variant',
      'read-then-clear',
      '--set',
      'preemptions=1',
      '--workers',
      workers,
      '--json',
    );
    const { verdict, property, states, transitions, schedule } = JSON.parse(stdout) as Record<string, unknown>;
    return { status, verdict, property, states, transitions, schedule };
  });
  expect(two).toEqual(one);
  expect(two).toMatchObject({ status: 12, verdict: 'violation' });
});

it('a reader that has seen enough ends the command in silence, as SIGPIPE does', () => {
  const command = [
    process.execPath,
    join(lab, 'bin/shootdown.mjs'),
    'explore',
    'ptdump-vmalloc',
    '--variant',
    'unlocked',
    '--json',
  ];
  // `exec <&-`: a reader that reads nothing and is gone before the command writes.
  const { stdout, stderr } = spawnSync(
    'bash',
    ['-c', '"$@" | { exec <&-; sleep 0.1; }; echo "${PIPESTATUS[0]}"', 'bash', ...command],
    { encoding: 'utf8' },
  );
  expect(stderr.split('\n').filter((line) => /EPIPE|at /.test(line))).toEqual([]);
  expect(stdout.trim()).toBe('141');
});

describe('shootdown tlb', () => {
  const expected = {
    l1i: { hits: 1_212_051, misses: 732 },
    l1d: { hits: 439_725, misses: 677 },
    l2: { hits: 1_087, misses: 322 },
  };

  it('counts the same from text and packed records, gzipped or not', () => {
    const text = gunzipSync(readFileSync(join(data, 'ls.lackey.txt.gz')));
    const plain = shootdown('tlb', file('ls.lackey.txt', text), '--json');
    const zipped = shootdown(
      'tlb',
      join(data, 'ls.lackey.txt.gz'),
      '--l1i',
      '64x4',
      '--l1d',
      '64x4',
      '--l2',
      '1536x12',
      '--json',
    );
    expect(JSON.parse(plain.stdout)).toMatchObject(expected);
    expect(JSON.parse(zipped.stdout)).toMatchObject(expected);
    const packed = gunzipSync(readFileSync(join(data, 'gups-1m.u64.gz')));
    const counts = (path: string) => ({
      ...(JSON.parse(shootdown('tlb', path, '--json').stdout) as Record<string, unknown>),
      seconds: 0,
    });
    expect(counts(file('gups.u64', packed))).toEqual(counts(join(data, 'gups-1m.u64.gz')));
  });
});

describe('shootdown run and replay', () => {
  it('replays a saved schedule to the same fingerprint, with either executor', () => {
    const saved = join(folder, 'saved.json');
    const run = JSON.parse(shootdown('run', 'shootdown', '--save-schedule', saved, '--json').stdout) as {
      fingerprint: string;
      end: string;
      steps: number;
    };
    expect(run.end).toBe('done');
    for (const executor of ['tabulated', 'live']) {
      const replayed = shootdown('replay', saved, '--executor', executor);
      expect(replayed.stderr).toContain(`${run.steps} steps, fingerprint ${run.fingerprint}`);
      expect(replayed.status).toBe(0);
    }
  });

  it('runs the topology files that ship, on every executor to the same end', () => {
    const deep = process.env['SHOOTDOWN_DEEP'] === '1';
    for (const name of ['arm64-munmap', 'arm64-folios', 'two-processes-tso', 'kvm-two-vms']) {
      const executors = deep || name === 'arm64-munmap' ? ['direct', 'tabulated', 'live'] : ['direct', 'live'];
      const ends = executors.map((executor) => {
        const { stdout } = shootdown('run', join(lab, `topologies/${name}.json`), '--executor', executor, '--json');
        const { end, steps, cycles, fingerprint } = JSON.parse(stdout) as Record<string, unknown>;
        return { end, steps, cycles, fingerprint };
      });
      expect(ends[0]).toMatchObject({ end: 'done' });
      expect(new Set(ends.map((e) => JSON.stringify(e))).size).toBe(1);
    }
  });

  it.each([
    ['a deadlock', 'ptdump-vmalloc', 'trylock-2026-plus-v6', [], 11, /\*\*\* deadlock\n +\*\*\* waits in/],
    [
      'a broken promise at rest',
      'zap-vs-writeback',
      'v3.14/mapped-twice',
      [],
      12,
      /\*\*\* no lost accessed\/dirty bit/,
    ],
    ['a state that must not be', 'ksm-vs-secondary', 'write-protection-in-silence', [], 12, /\*\*\* J4/],
    ['a step with others after it', 'ptdump-vmalloc', 'unlocked', [',0'], 12, /\*\*\* /],
  ] as const)(
    'replays what explore has found to the same verdict: %s',
    (_what, scenario, variant, [more = ''], status, line) => {
      const found = JSON.parse(shootdown('explore', scenario, '--variant', variant, '--json').stdout) as {
        schedule: string;
      };
      const replayed = shootdown('replay', scenario, '--variant', variant, '--schedule', found.schedule + more);
      expect(replayed.stdout).toMatch(line);
      expect(replayed.status).toBe(status);
      if (more !== '') expect(replayed.stderr).toMatch(/violated at step \d+ of \d+: no access to a freed/);
    },
  );

  it("explores a scenario of the user's own, with workers too, and replays what comes out", () => {
    const path = join(lab, 'dist/examples/my-patch.js');
    const saved = join(folder, 'mine.json');
    const { stdout, status } = shootdown(
      'explore',
      path,
      '--variant',
      'check-clear-free',
      '--workers',
      '2',
      '--save-schedule',
      saved,
    );
    expect(status).toBe(12);
    expect(stdout).toContain('--schedule 1x4,0x3,1x4,0');
    for (const replayed of [
      ['replay', saved],
      ['replay', path, '--variant', 'check-clear-free', '--schedule', '1x4,0x3,1x4,0'],
    ])
      expect(shootdown(...replayed).status).toBe(12);
  });

  it('runs a host of virtual machines, and prints the same as text and as a document', () => {
    const document = JSON.parse(shootdown('run', 'kvm-host', '--json').stdout) as {
      end: string;
      host: {
        exits: Record<string, number[]>;
        ipis: Record<string, number[]>;
        secondStage: { faults: number };
        stealMicroseconds: number[];
        flushLatency: { unit: string; histogram: { count: number } };
      };
    };
    const total = (row: number[] | undefined): number => (row ?? []).reduce((a, b) => a + b, 0);
    expect(document.end).toBe('time');
    expect(total(document.host.ipis['elided'])).toBeGreaterThan(0);
    expect(document.host.stealMicroseconds).toHaveLength(8);
    expect(document.host.flushLatency.histogram.count).toBeGreaterThan(100);
    const twin = shootdown('run', 'kvm-host-ipi', '--max-steps', '60000');
    expect(twin.status).toBe(2);
    for (const part of [
      'exits by reason',
      'msr_write',
      'elided',
      'steal time',
      'second stage:',
      'flush_tlb_mm_range()',
    ])
      expect(twin.stdout).toContain(part);
    expect(shootdown('run', 'kvm-host', '--format', 'text', '--max-steps', '300').stdout).toContain('vm0.CPU0');
  });

  it('sends no IPI on arm64', () => {
    const run = JSON.parse(shootdown('run', 'shootdown-arm64', '--json').stdout) as { total: Record<string, number[]> };
    expect(run.total['irq_tlb_count']).toBeUndefined();
    expect(run.total['tlbi_va']?.[0]).toBe(4);
  });
});

describe('run --messages', () => {
  it('says who sent what to whom, of a machine that comes with the command', () => {
    const { messages } = JSON.parse(shootdown('run', 'arm64-munmap', '--messages', '--json').stdout) as {
      messages: { from: string; to: string; type: string; count: number }[];
    };
    expect(messages).toContainEqual({ from: 'CPU0.mmu', to: 'CPU1.mmu', type: 'tlbi', count: 320 });
    expect(messages).toContainEqual({ from: 'CPU1.mmu', to: 'CPU0.mmu', type: 'complete', count: 320 });
    const { status, stdout } = shootdown('run', 'arm64-munmap', '--messages');
    expect([status, stdout]).toEqual([0, expect.stringMatching(/^CPU0\.mmu +CPU1\.mmu +tlbi +320$/m)]);
  });
});
