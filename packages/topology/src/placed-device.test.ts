/** A device with a table of its own as a part by itself. Drives the built worker entry; `npm test` builds first. */
import { afterEach, expect, test, vi } from 'vitest';
import { FREED_FRAME, work } from '@shootdown/machine';
import type { Worker } from 'node:worker_threads';
import { LinkEnd } from './device-link.ts';
import { partsOf } from './parts.ts';
import { DriverLink } from './remote-device.ts';
import { PlacedRun, type PlacedOptions } from './placed-run.ts';
import { parseTopology, type Action, type Topology } from './schema.ts';

const PAGES = 8;
const ROUNDS = 20;

const dma = { do: 'dma', mmu: 'nic', rounds: ROUNDS, write: true, cycles: 3000 } as const;

/** A thread that unmaps what a device uses, over and over, and the one that stands for the device. */
function adapter(
  placement: 'process' | 'worker' | undefined,
  {
    name = 'adapter',
    kind = 'device',
    costs = {},
    dmas = [1],
  }: { name?: string; kind?: 'device' | 'kvm'; costs?: object; dmas?: number[] } = {},
): Topology {
  const drops: Action[] = [
    { do: 'mmap', area: 'buffer', pages: PAGES },
    { do: 'touch', area: 'buffer' },
    { do: 'attach', mmu: 'nic', area: 'buffer' },
    {
      do: 'repeat',
      times: 6,
      body: [
        { do: 'compute', cycles: 60_000 },
        { do: 'madvise-dontneed', area: 'buffer' },
        { do: 'touch', area: 'buffer' },
      ],
    },
  ];
  return parseTopology(
    {
      name,
      architecture: 'x86-64-4l',
      cpus: 1 + dmas.length,
      costs,
      memory: { tables: 32, pages: 64 },
      processes: [
        {
          name: 'p',
          threads: [
            { cpu: 0, run: drops },
            ...dmas.map((times, i) => ({
              cpu: 1 + i,
              run: kind === 'kvm' ? [] : Array.from({ length: times }, () => dma),
            })),
          ],
          secondaryMmus: [{ name: 'nic', kind, ...(placement && { placement }) }],
        },
      ],
    },
    'file',
  );
}

afterEach(() => void vi.restoreAllMocks());

async function run(topology: Topology, options: PlacedOptions = {}) {
  const placed = new PlacedRun(topology, options);
  try {
    while (await placed.advance(2000));
    return { parts: placed.parts, ...placed.result() };
  } finally {
    await placed.stop();
  }
}

test('it asks for pages by messages, drops what it is told to, and comes to the same in a worker, in process, and twice', async () => {
  const inWorker = await run(adapter('worker'));
  expect(inWorker).toMatchObject({ end: 'done', violation: null });
  expect(inWorker.parts.map(({ name, placement, processors }) => [name, placement, ...processors])).toEqual([
    ['adapter', 'process', 'CPU0', 'CPU1'],
    ['nic', 'worker', 'nic'],
  ]);
  // Every page was dropped several times under the device, which had to ask again.
  expect(inWorker.total['page_request']?.[1]).toBeGreaterThan(2 * PAGES);
  const accesses = inWorker.total['tlb_miss']?.[2] ?? 0;
  expect(accesses).toBeGreaterThan(2 * PAGES);
  const print = ({ fingerprint, steps, cycles }: typeof inWorker): object => ({ fingerprint, steps, cycles });
  expect(print(await run(adapter('worker'), { inProcess: true }))).toEqual(print(inWorker));
  expect(print(await run(adapter('process')))).toEqual(print(inWorker));
  expect(print(await run(adapter('worker')))).toEqual(print(inWorker));
});

test('a device that dies is named', async () => {
  const workers = new Map<string, Worker>();
  const placed = new PlacedRun(adapter('worker'), { onWorker: (name, worker) => workers.set(name, worker) });
  expect(await placed.advance(500)).toBe(true);
  await workers.get('nic')?.terminate();
  expect(await placed.advance(2000)).toBe(false);
  expect(placed.parts.map(({ name, lost }) => `${name}: ${lost}`)).toEqual(['adapter: null', 'nic: exit code 1']);
  expect(placed.result().end).toBe('stopped');
  await placed.stop();
});

test('a driver that does not wait for the answer frees what the device may still use', async () => {
  // The answer takes longer than all else that comes before the page is freed.
  const costs = { device_message: 40_000 };
  expect(await run(adapter('process', { costs }))).toMatchObject({ end: 'done', violation: null });
  vi.spyOn(DriverLink.prototype, 'sync').mockImplementation(function* () {});
  expect(await run(adapter('process', { costs }))).toMatchObject({ end: 'violation', violation: FREED_FRAME });
});

test('a driver that does not tell the device frees what the device may still use', async () => {
  vi.spyOn(DriverLink.prototype, 'invalidate').mockImplementation(function* () {});
  vi.spyOn(DriverLink.prototype, 'sync').mockImplementation(function* () {});
  expect(await run(adapter('process'))).toMatchObject({ end: 'violation', violation: FREED_FRAME });
});

test('a machine that waits for an answer that nobody will give is deadlocked', async () => {
  vi.spyOn(LinkEnd.prototype, 'send').mockImplementation(function* (this: LinkEnd, message) {
    if (message.type !== 'invalidate') this.put(message);
    yield* work('compute');
  });
  expect(await run(adapter('process'))).toMatchObject({ end: 'deadlock', violation: null });
});

test('its driver has it work again and again, whatever its costs', async () => {
  const once = await run(adapter('process'));
  const twice = await run(adapter('process', { dmas: [2] }));
  expect(twice).toMatchObject({ end: 'done', violation: null });
  expect(twice.cycles).toBeGreaterThan(1.5 * once.cycles);
  // Messages that are under way for longer than anything else takes: windows in which nobody does anything.
  for (const device_message of [1, 100_000])
    expect(await run(adapter('process', { costs: { device_message } }))).toMatchObject({
      end: 'done',
      violation: null,
    });
});

test('the machine without a placement is one part, and a placement that cannot be is refused', () => {
  expect(partsOf(adapter(undefined))).toHaveLength(1);
  const at = 'topology: file: processes.0.secondaryMmus.0.placement: worker:';
  expect(() => adapter('worker', { kind: 'kvm' })).toThrow(
    `${at} the vCPUs of nic are threads of the process, whose words they share: only a device can be placed`,
  );
  expect(() => adapter('worker', { dmas: [1, 1] })).toThrow(`${at} nic has one engine, and 2 threads use it`);
  // Its parts could not be told apart.
  expect(() => adapter('process', { name: 'nic' })).toThrow(
    'topology: file: processes.0.secondaryMmus.0: name taken by the machine (nic)',
  );
  expect(() => adapter('worker', { costs: { device_message: 0 } })).toThrow(
    'topology: file: costs: device_message: parts cannot run side by side without it (0)',
  );
});
