import {
  DirectExecutor,
  LiveExecutor,
  load,
  nop,
  RandomScheduler,
  recordTrace,
  replaceRoutines,
  replay,
  routine,
  runScheduler,
  TabulatedExecutor,
  x86Costs,
  type Executor,
} from '@shootdown/machine';
import { mmap, user_access, X86Counter } from '@shootdown/mm';
import { describe, expect, test } from 'vitest';
import { assemble, type AssembledMachine } from './assemble.ts';
import { machine, type MachineOptions } from './builder.ts';
import { MachineRunner, runMachine } from './run.ts';
import { parseTopology, type Action, type TopologyInput } from './schema.ts';
import { MMAP_BASE_PAGE, VDSO_PAGES } from './script.ts';

const SMALL = { tlb: { l1: '4x2', l2: '8x2', walkCache: 2 }, memory: { tables: 16, pages: 16 } } as const;

/** fork, then parent and child write the same pages: what one of the demos does, with fewer pages. */
function forkCow(options: Partial<TopologyInput> = {}): AssembledMachine {
  const run = [{ do: 'touch', area: 'a' }, { do: 'exit' }] as const;
  return assemble(
    parseTopology({
      name: 'fork-cow',
      architecture: 'x86-64-4l',
      cpus: 3,
      ...SMALL,
      ...options,
      processes: [
        {
          name: 'parent',
          threads: [
            {
              cpu: 0,
              run: [
                { do: 'mmap', area: 'a', pages: 2 },
                { do: 'touch', area: 'a' },
                { do: 'measure', phase: 'fork' },
                { do: 'fork', child: 'child' },
                ...run,
              ],
            },
          ],
        },
        { name: 'child', threads: [{ cpu: 1, run }] },
      ],
    }),
  );
}

test('phases and counters may be called what every object has', () => {
  const { phases, total } = runMachine(
    machine({ name: 'm', architecture: 'x86-64-4l', cpus: 1, ...SMALL })
      .thread('p', 0, [
        { do: 'measure', phase: '__proto__' },
        { do: 'count', counter: 'constructor' },
        { do: 'count', counter: '__proto__' },
      ])
      .assemble(),
  );
  expect(Object.keys(phases)).toContain('__proto__');
  expect(total['constructor']).toEqual([1]);
  expect(JSON.stringify(phases)).toContain('"__proto__":{"constructor":[1],"__proto__":[1]}');
  expect(Object.keys(Object.prototype)).toEqual([]);
});

describe('a machine whose threads end in spin or sleep', () => {
  const work = (last: 'spin' | 'sleep'): Action[] => [
    {
      do: 'repeat',
      times: 3,
      body: [
        { do: 'mmap', area: 'a', pages: 4 },
        { do: 'touch', area: 'a' },
        { do: 'munmap', area: 'a' },
      ],
    },
    { do: last },
  ];
  const run = (first: readonly Action[], second: readonly Action[], options: Partial<MachineOptions> = {}) =>
    runMachine(
      machine({ name: 'm', architecture: 'x86-64-4l', cpus: 2, ...SMALL, ...options })
        .thread('p', 0, first)
        .thread('p', 1, second)
        .assemble(),
    );

  test.each([
    ['all spin', work('spin'), [{ do: 'spin' }]],
    ['all sleep', work('sleep'), [{ do: 'sleep' }]],
    ['the last action is in a loop', [{ do: 'repeat', times: 1, body: work('sleep') }], [{ do: 'spin' }]],
    ['another thread ends before', work('spin'), []],
  ] as const)('does what comes before that: %s', (_, first, second) => {
    for (const options of [{}, { memoryModel: 'tso' }, { architecture: 'arm64-4k-48' }, { hz: 1000 }] as const) {
      const { end, total } = run(first, second, options);
      expect(end).toBe('done');
      expect(total['pgfault']?.[0]).toBe(12);
    }
  });

  test('of as many CPUs as a description may have, on arm64', () => {
    const built = machine({ name: 'm', architecture: 'arm64-4k-48', cpus: 16, ...SMALL })
      .thread('p', 0, work('sleep'))
      .thread('p', 15, [{ do: 'spin' }])
      .assemble();
    expect(runMachine(built)).toMatchObject({ end: 'done', violation: null });
  });

  test('is over when the last of them has come to rest', () => {
    expect(run([{ do: 'spin' }], [{ do: 'spin' }]).steps).toBeGreaterThan(0);
    expect(run([{ do: 'wait-for-others' }, { do: 'spin' }], [{ do: 'wait-for-others' }, { do: 'spin' }]).end).toBe(
      'deadlock',
    );
  });
});

describe('the builder', () => {
  test("runs a routine of one's own beside actions", () => {
    const values: number[] = [];
    const built = machine({ name: 'own', architecture: 'x86-64-4l', cpus: 2, ...SMALL })
      .thread('program', 0, function* ({ kernel, cpu, mm, process }) {
        const start = yield* mmap(mm, MMAP_BASE_PAGE, 3);
        values.push(MMAP_BASE_PAGE - start);
        yield* user_access(kernel, cpu, mm, start, true);
        values.push(yield* load(process.started.at(0)));
      })
      .thread('program', 1, [{ do: 'spin' }])
      .assemble();
    expect(runMachine(built)).toMatchObject({ end: 'done', violation: null });
    expect(values).toEqual([VDSO_PAGES + 3, 1]);
  });

  test('refuses what a file may not say either', () => {
    const built = machine({ name: 'two', architecture: 'x86-64-4l', cpus: 1 }).thread('a', 0, []).thread('b', 1, []);
    expect(() => built.assemble()).toThrow('topology: two: processes.1.threads.0: CPU 1 of 1 (0 .. 0)');
  });

  test('an area that nobody mapped is one line', () => {
    const built = machine({ name: 'm', architecture: 'x86-64-4l', cpus: 1, ...SMALL }).thread('p', 0, [
      { do: 'mmap', area: 'a', pages: 1 },
      { do: 'touch', area: 'b' },
    ]);
    expect(() => runMachine(built.assemble())).toThrow(
      'topology: p on CPU0: no area b is mapped by this thread (have: a)',
    );
  });
});

describe('a run', () => {
  test('a routine in place of one that there is not is refused', () => {
    const built = forkCow();
    const system = replaceRoutines(built.system, { do_wp_pge: routine('do_wp_pge', () => nop()) });
    expect(() => runMachine({ ...built, system })).toThrow(
      'run: replaceRoutines: nothing was replaced: no routine do_wp_pge: did you mean do_wp_page?',
    );
  });

  test('books counters by phase, and all of them in the total', () => {
    const run = runMachine(
      machine({ name: 'phases', architecture: 'x86-64-4l', cpus: 2, ...SMALL })
        .thread('p', 0, [
          { do: 'wait-for-others' },
          { do: 'mmap', area: 'a', pages: 2 },
          { do: 'touch', area: 'a' },
          { do: 'measure', phase: 'first' },
          { do: 'madvise-dontneed', area: 'a' },
          { do: 'measure', phase: 'nothing' },
          { do: 'measure', phase: 'second {i}' },
          {
            do: 'repeat',
            times: 2,
            as: 'i',
            body: [
              { do: 'measure', phase: 'second {i}' },
              { do: 'touch', area: 'a' },
              { do: 'madvise-dontneed', area: 'a' },
            ],
          },
        ])
        .thread('p', 1, [{ do: 'spin' }])
        .assemble(),
    );
    expect(Object.keys(run.phases)).toEqual(['start-up', 'first', 'nothing', 'second {i}', 'second 0', 'second 1']);
    const ipis = ['start-up', 'first', 'nothing', 'second 0', 'second 1'].map(
      (phase) => run.phases[phase]?.[X86Counter.interrupts] ?? [0, 0],
    );
    expect(ipis).toEqual([
      [0, 0],
      [0, 1],
      [0, 0],
      [0, 1],
      [0, 1],
    ]);
    expect(run.total[X86Counter.interrupts]).toEqual([0, 3]);
  });

  test('gives the same in portions as at once', () => {
    const whole = runMachine(forkCow(), { keepSchedule: true });
    const runner = new MachineRunner(forkCow(), { keepSchedule: true });
    let portions = 1;
    while (runner.advance(100)) portions++;
    const parts = runner.result();
    expect(whole.end).toBe('done');
    expect(portions).toBe(Math.ceil(whole.steps / 100));
    for (const key of ['end', 'steps', 'cycles', 'fingerprint', 'phases', 'total', 'schedule'] as const)
      expect(parts[key]).toEqual(whole[key]);
  });

  test('says stopped before its end, and steps when the limit is reached', () => {
    const runner = new MachineRunner(forkCow());
    runner.advance(10);
    expect(runner.result()).toMatchObject({ end: 'stopped', steps: 10 });
    expect(runMachine(forkCow(), { stepsMax: 10 })).toMatchObject({ end: 'steps', steps: 10 });
  });

  test('replayed from its schedule it ends in the same state, with a line per step', () => {
    const run = runMachine(forkCow(), { keepSchedule: true });
    const trace = recordTrace(new DirectExecutor(forkCow().system), run.schedule!);
    expect(trace.fingerprint).toBe(run.fingerprint);
    expect(trace.steps).toHaveLength(run.steps);
    expect(trace.columns.map((column) => column.name)).toEqual(['CPU0', 'CPU1', 'CPU2']);
  });

  test('frees every frame when all processes have exited', () => {
    const built = forkCow();
    const executor = new DirectExecutor(built.system);
    runMachine(built, { executor });
    const { frames } = built.kernel;
    expect(
      Array.from({ length: frames.count }, (_, f) => executor.store.read(frames.state.at(f))).filter(
        (state) => state > 0,
      ),
    ).toEqual([]);
  });

  test('a cost that is changed changes the time and nothing else', () => {
    const [plain, slow] = [forkCow(), forkCow({ costs: { page_alloc: 100_000 } })].map((built) => runMachine(built));
    expect(slow!.cycles).toBeGreaterThan(plain!.cycles + 100_000);
    expect(slow!.total['pgfault']).toEqual(plain!.total['pgfault']);
  });

  test('with a timer the trimming of mm_cpumask has a clock', () => {
    const built = machine({ name: 'timer', architecture: 'x86-64-4l', cpus: 1, hz: 1000, ...SMALL })
      .thread('p', 0, [
        {
          do: 'repeat',
          times: 200,
          body: [
            { do: 'mmap', area: 'a', pages: 1 },
            { do: 'touch', area: 'a' },
            { do: 'munmap', area: 'a' },
          ],
        },
      ])
      .assemble();
    const run = runMachine(built, { keepSchedule: true });
    const tick = built.system.choices.findIndex((choice) => choice.name === 'timer tick');
    const ticks = run.schedule!.filter((entry) => entry === tick).length;
    expect(Math.abs(ticks - (run.cycles / built.costs.hertz) * 1000)).toBeLessThan(2);
  });

  test.each([1e9, 3e9])('at %i Hz a second has as many jiffies and timeslices', (hertz) => {
    const threads = (count: number) => [
      {
        name: 'p',
        threads: Array.from({ length: count }, (_, cpu) => ({
          cpu,
          run: [{ do: 'compute', cycles: hertz / 100 }] as const,
        })),
      },
    ];
    const native = assemble(
      parseTopology({ name: 'jiffies', architecture: 'x86-64-4l', cpus: 1, hz: 1000, ...SMALL, processes: threads(1) }),
      new Map(),
      { ...x86Costs, hertz },
    );
    const executor = new DirectExecutor(native.system);
    runMachine(native, { executor });
    expect(executor.store.read(native.system.layout.regions.find(({ name }) => name === 'jiffies')!.base)).toBe(10);
    const vms = ['a', 'b'].map((name) => ({ name, vcpus: 1, processes: threads(1) }));
    const host = assemble(
      parseTopology({
        name: 'host',
        architecture: 'x86-64-4l',
        cpus: 1,
        ...SMALL,
        runMicroseconds: 10_500,
        host: { timesliceMicroseconds: 2000, vms },
      }),
      new Map(),
      { ...x86Costs, hertz },
    );
    expect(runMachine(host).total['kvm_sched_in']).toEqual([2, 3]);
  });

  test.each(['x86-64-4l', 'x86-64-5l', 'arm64-4k-48'] as const)(
    '%s: fork and copy-on-write come to an end under sc and tso',
    (architecture) => {
      for (const memoryModel of ['sc', 'tso'] as const)
        expect(runMachine(forkCow({ architecture, memoryModel }))).toMatchObject({ end: 'done', violation: null });
    },
  );
});

describe('executors agree on a topology', () => {
  const fingerprints = (executor: Executor, schedule: readonly number[]): string[] => {
    const list: string[] = [];
    replay(executor, schedule, () => list.push(executor.fingerprint));
    return list;
  };

  test.each([
    ['x86-64-4l', 'sc'],
    ['x86-64-4l', 'tso'],
    ['arm64-4k-48', 'sc'],
  ] as const)(
    '%s, %s: live, tabulated and direct have the same fingerprint after every step of random schedules',
    (architecture, memoryModel) => {
      const { system } = forkCow({ architecture, memoryModel });
      const direct = new DirectExecutor(system);
      const tabulated = new TabulatedExecutor(system);
      const live = new LiveExecutor(system);
      for (let seed = 0; seed < 4; seed++) {
        const { schedule, end } = runScheduler(direct, new RandomScheduler(seed), 5000);
        expect(end).toBe('rest');
        const expected = fingerprints(direct, schedule);
        expect(fingerprints(tabulated, schedule)).toEqual(expected);
        expect(fingerprints(live, schedule)).toEqual(expected);
      }
      live.stop();
    },
  );

  test('two machines of one description are one machine: the same schedule gives the same fingerprints', () => {
    const { schedule } = runScheduler(new DirectExecutor(forkCow().system), new RandomScheduler(7), 5000);
    expect(fingerprints(new DirectExecutor(forkCow().system), schedule)).toEqual(
      fingerprints(new TabulatedExecutor(forkCow().system), schedule),
    );
  });
});

describe('a machine of more CPUs than a word has bits', () => {
  const SPIN: Action = { do: 'spin' };
  const unmaps = (times: number, pages: number): Action[] => [
    { do: 'wait-for-others' },
    {
      do: 'repeat',
      times,
      body: [
        { do: 'mmap', area: 'a', pages },
        { do: 'touch', area: 'a' },
        { do: 'munmap', area: 'a' },
      ],
    },
  ];
  const run = (cpus: number, spins: number, options: Partial<MachineOptions> = {}) =>
    runMachine(
      machine({ name: 'm', architecture: 'x86-64-4l', cpus, ...SMALL, ...options })
        .thread('p', 0, unmaps(5, 1))
        .thread('p', spins, [SPIN])
        .assemble(),
    );

  test.each([
    [32, 31],
    [33, 32],
    [192, 100],
    [256, 255],
  ])('sends the IPIs that a small one sends: %i CPUs, CPU %i spins', (cpus, spins) => {
    const { end, total } = run(cpus, spins);
    const counts = total[X86Counter.interrupts] ?? [];
    expect(end).toBe('done');
    expect(counts.map((n, cpu) => [cpu, n]).filter(([, n]) => n !== 0)).toEqual([[spins, 5]]);
  });

  // Steps and fingerprints of a scheduler that asked every CPU before every step; cycles since cache lines cost some.
  test.each([
    [4, 6_395, 543_444, 'd6c5ef05709d333b'],
    [32, 29_775, 1_392_852, '8d1fef17cff913b3'],
    [64, 60_305, 2_426_604, 'd61368870b1bbbc7'],
  ])('all %i of which but one spin, has every one of them flush', (cpus, steps, cycles, fingerprint) => {
    const description = parseTopology({
      name: 'm',
      architecture: 'x86-64-4l',
      cpus,
      processes: [
        {
          name: 'p',
          threads: Array.from({ length: cpus }, (_, cpu) => ({ cpu, run: cpu === 0 ? unmaps(30, 4) : [SPIN] })),
        },
      ],
    });
    const run = runMachine(assemble(description));
    expect(run).toMatchObject({ end: 'done', steps, cycles, fingerprint });
    expect(run.total[X86Counter.interrupts]?.slice(1)).toEqual(Array.from({ length: cpus - 1 }, () => 30));
  });

  test('runs alike twice, and under tso', () => {
    expect(run(40, 39).fingerprint).toBe(run(40, 39).fingerprint);
    expect(run(40, 39, { memoryModel: 'tso' }).end).toBe('done');
  });
});
