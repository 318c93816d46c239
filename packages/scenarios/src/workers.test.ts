/** Drives the built worker entries, as another thread would; `npm test` builds first. */
import { createRequire } from 'node:module';
import { MessageChannel, Worker } from 'node:worker_threads';
import type { Message, ServedComponent } from '@shootdown/machine';
import { releaseProxy, wrap, type Endpoint } from 'comlink';
import { expect, test } from 'vitest';

const { resolve } = createRequire(import.meta.url);

/** An entry, an event that its machine accepts at first, the state before and after, and what comes out. */
const ENTRIES: readonly (readonly [
  entry: string,
  event: Message,
  before: unknown,
  after: unknown,
  emitted: Message[],
])[] = [
  ['cpu', { type: 'ipi', vector: 'call' }, 'irqs_on', 'hardirq', [{ type: 'interrupt', vector: 'call' }]],
  [
    'mmu',
    { type: 'load_root', root: 5, asid: 6, noflush: true },
    'translating',
    'translating',
    [{ type: 'mmu.root', root: 5, asid: 6 }],
  ],
  [
    'hypervisor',
    { type: 'preempt' },
    'in_guest',
    'preempted',
    [
      { type: 'left_guest' },
      { type: 'vm_exit', reason: 'external_interrupt' },
      { type: 'sched_out', preempted: true },
      { type: 'kvm_steal_time_set_preempted', at_instruction_boundary: true },
    ],
  ],
  ['mmu-notifier', { type: 'mmu_notifier_register' }, 'unregistered', 'registered', []],
  ['ptdump', { type: 'walk_begin' }, 'idle', { walking: 'opened' }, [{ type: 'ptdump', walking: true }]],
  ['sync', { type: 'start', readers: 0 }, 'idle', 'over', [{ type: 'grace_period', over: true }]],
];

test.each(ENTRIES)('the %s worker serves its actor', async (entry, event, before, after, emitted) => {
  const { port1, port2 } = new MessageChannel();
  const worker = new Worker(resolve(`@shootdown/${entry}/worker`), {
    workerData: { port: port2 },
    transferList: [port2],
    execArgv: [],
  });
  // A call to a worker that has died never settles, so its death must fail the test.
  const died = new Promise<never>((_, reject) => {
    worker.once('error', reject).once('exit', (code) => reject(new Error(`worker exited with ${code}`)));
  });
  died.catch(() => undefined);
  const actor = wrap<ServedComponent>(port1 as unknown as Endpoint);
  const call = <T>(answer: Promise<T>): Promise<T> => Promise.race([answer, died]);
  try {
    expect(await call(actor.start())).toMatchObject({ value: before });
    await expect(call(actor.send({ type: 'nonsense' }))).rejects.toThrow(
      /^component: [\w-]+: nonsense is not accepted in/,
    );
    expect(await call(actor.send(event))).toMatchObject({ value: after, emitted });
  } finally {
    actor[releaseProxy]();
    await worker.terminate();
  }
});
