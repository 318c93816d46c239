/** Drives the built worker entry, as the command does; `npm test` builds first. */
import { expect, test } from 'vitest';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { partsOf } from './parts.ts';
import { PlacedRun, type PlacedOptions } from './placed-run.ts';
import { parseTopology, type Topology, type TopologyInput } from './schema.ts';

type Vm = NonNullable<TopologyInput['host']>['vms'][number];

function vm(name: string, options: Partial<Vm>): Vm {
  const body = [
    { do: 'mmap', area: 'a', pages: 2 },
    { do: 'touch', area: 'a' },
    { do: 'munmap', area: 'a' },
  ] as const;
  const run = [{ do: 'repeat' as const, times: 5, body: [...body] }];
  return { name, vcpus: 2, processes: [{ name: 'p', threads: [{ cpu: '0-1', run }] }], ...options };
}

function hosting(...vms: Vm[]): Topology {
  return parseTopology(
    {
      name: 'host',
      architecture: 'x86-64-4l',
      cpus: 4,
      tlb: { l1: '4x2', l2: '8x2', walkCache: 2 },
      memory: { tables: 16, pages: 16 },
      host: { vms },
    },
    'file',
  );
}

async function run(topology: Topology, options: PlacedOptions = {}) {
  const placed = new PlacedRun(topology, options);
  try {
    while (await placed.advance(500));
    return { parts: placed.parts, ...placed.result() };
  } finally {
    await placed.stop();
  }
}

const apart = (placement: 'process' | 'worker'): Topology =>
  hosting(vm('a', { cpus: '0-1', placement }), vm('b', { cpus: [2, 3], placement }));

test('two virtual machines on CPUs of their own give the same fingerprint in workers, in process, and twice', async () => {
  const inWorkers = await run(apart('worker'));
  expect(inWorkers).toMatchObject({ end: 'done', violation: null });
  expect(inWorkers.parts.map(({ name, placement }) => `${name} ${placement}`)).toEqual(['a worker', 'b worker']);
  const prints = [
    inWorkers,
    await run(apart('worker')),
    await run(apart('process')),
    await run(apart('worker'), { inProcess: true }),
  ].map(({ fingerprint, steps, cycles }) => ({ fingerprint, steps, cycles }));
  for (const print of prints) expect(print).toEqual(prints[0]);
});

test('a part that ends in an error ends the others', async () => {
  const run = [{ do: 'repeat' as const, times: 1_000_000, body: [{ do: 'compute' as const, cycles: 1000 }] }];
  const processes = [{ name: 'p', threads: [{ cpu: 0, run }] }];
  const placed = new PlacedRun(hosting(vm('a', { cpus: '0-1', processes }), vm('b', { cpus: [2, 3], processes })));
  let heard = 0;
  const onProgress = (): void => {
    if (heard++ === 0) throw new Error('enough');
  };
  await expect(placed.run(500, { onProgress })).rejects.toThrow('enough');
  const later = async (): Promise<number> => {
    for (let i = 0; i < 4; i++) await new Promise((resolve) => setImmediate(resolve));
    return placed.result().steps;
  };
  expect(await later()).toBe(await later());
});

test('a run to the end comes to the same, and is heard of on the way', async () => {
  const [before] = [await run(apart('process'))];
  for (const placement of ['process', 'worker'] as const) {
    const placed = new PlacedRun(apart(placement));
    let progress = 0;
    await placed.run(500, { onProgress: () => progress++ });
    await placed.stop();
    const { end, steps, cycles, fingerprint } = placed.result();
    expect({ end, steps, cycles, fingerprint }).toEqual({
      end: 'done',
      steps: before.steps,
      cycles: before.cycles,
      fingerprint: before.fingerprint,
    });
    expect(progress).toBeGreaterThan(1);
  }
});

test('a run that is interrupted ends with what was measured, in one thread as well', async () => {
  const many = [{ do: 'repeat' as const, times: 1_000_000, body: [{ do: 'compute' as const, cycles: 1000 }] }];
  const endless = hosting(
    ...['a', 'b'].map((name, i) =>
      vm(name, { vcpus: 1, cpus: [i], processes: [{ name: 'p', threads: [{ cpu: 0, run: many }] }] }),
    ),
  );
  const controller = new AbortController();
  const placed = new PlacedRun(endless);
  setTimeout(() => controller.abort(), 1);
  await placed.run(Number.POSITIVE_INFINITY, { signal: controller.signal });
  await placed.stop();
  expect(placed.result()).toMatchObject({ end: 'stopped' });
  expect(placed.result().steps).toBeGreaterThan(0);
});

test('a worker that dies is named, and what was measured is there', async () => {
  const workers = new Map<string, Worker>();
  const placed = new PlacedRun(apart('worker'), { onWorker: (name, worker) => workers.set(name, worker) });
  expect(await placed.advance(200)).toBe(true);
  await workers.get('b')?.terminate();
  expect(await placed.advance(200)).toBe(false);
  expect(placed.parts.map(({ name, lost }) => `${name}: ${lost}`)).toEqual(['a: null', 'b: exit code 1']);
  const { end, steps } = placed.result();
  expect(end).toBe('stopped');
  expect(steps).toBe(600);
  await placed.stop();
});

test('threads make the references of traces in a worker as in process, each virtual machine its own', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'shootdown-placed-'));
  try {
    writeFileSync(join(folder, 'a.lackey'), ' S 04000000,8\n L 04001000,8\n');
    writeFileSync(join(folder, 'b.lackey'), ' S 04000000,8\n');
    const traced = (placement: 'process' | 'worker'): Topology =>
      hosting(
        ...['a', 'b'].map((name, i) =>
          vm(name, {
            cpus: [2 * i, 2 * i + 1],
            placement,
            processes: [{ name: 'p', threads: [{ cpu: 0, trace: `./${name}.lackey` }] }],
          }),
        ),
      );
    const inWorkers = await run(traced('worker'), { folder });
    expect(inWorkers).toMatchObject({ end: 'done', total: { pgfault: [2, 0, 1, 0] } });
    expect(inWorkers.parts.map(({ processors }) => processors)).toEqual([
      ['a.CPU0', 'a.CPU1'],
      ['b.CPU0', 'b.CPU1'],
    ]);
    expect((await run(traced('process'), { folder })).fingerprint).toBe(inWorkers.fingerprint);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('machines that share a CPU are one part', () => {
  expect(partsOf(hosting(vm('a', { cpus: '0-1' }), vm('b', { cpus: '1-2' }), vm('c', { cpus: 3 })))).toMatchObject([
    { name: 'a, b', topology: { cpus: 3 } },
    { name: 'c', topology: { cpus: 1 } },
  ]);
  expect(partsOf(hosting(vm('a', {}), vm('b', { cpus: 3 })))).toHaveLength(1);
});

test.each([
  [
    () => hosting(vm('a', { cpus: '0-2', placement: 'worker' }), vm('b', { cpus: [2, 3] })),
    'topology: file: host.vms.0.placement: worker: a shares CPU 2 with b, which a worker would cut',
  ],
  [
    () => hosting(vm('a', { cpus: '0-1', placement: 'worker' }), vm('b', {})),
    'topology: file: host.vms.0.placement: worker: b runs on every CPU of the host, and so shares CPUs: give both VMs',
  ],
  [() => hosting(vm('host', {})), 'topology: file: host.vms.0: name taken by the machine (host)'],
  [() => hosting(vm('a', { cpus: '3-4' })), 'topology: file: host.vms.0.cpus: CPU 4 of 4 (0 .. 3)'],
  [
    () =>
      parseTopology(
        {
          name: 'm',
          architecture: 'x86-64-4l',
          cpus: 1,
          processes: [{ name: 'p', placement: 'worker', threads: [{ cpu: 0, run: [] }] }],
        },
        'file',
      ),
    "topology: file: processes.0.placement: worker: p shares the kernel's memory with the rest of its machine",
  ],
])('a placement that would cut through shared memory is refused in one line (%#)', (parse, message) => {
  expect(parse).toThrow(message);
});
