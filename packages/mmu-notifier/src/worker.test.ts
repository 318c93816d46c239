/** Drives the built worker, as another thread would; `npm test` builds first. */
import { createRequire } from 'node:module';
import { MessageChannel, Worker } from 'node:worker_threads';
import type { ServedComponent } from '@shootdown/machine';
import { releaseProxy, wrap, type Endpoint, type Remote } from 'comlink';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

let worker: Worker;
let subscription: Remote<ServedComponent>;
let exited: Promise<never>;

beforeEach(() => {
  const { port1, port2 } = new MessageChannel();
  worker = new Worker(createRequire(import.meta.url).resolve('@shootdown/mmu-notifier/worker'), {
    workerData: { port: port2 },
    transferList: [port2],
    execArgv: [],
  });
  exited = new Promise((_, reject) => {
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new Error(`worker exited with ${code}`)));
  });
  exited.catch(() => undefined);
  subscription = wrap<ServedComponent>(port1 as unknown as Endpoint);
});

afterEach(async () => {
  subscription[releaseProxy]();
  await worker.terminate();
});

describe('the subscription worker', () => {
  it('serves the actor: callbacks are made once it is registered, and breaches are emitted', async () => {
    const call = <T>(answer: Promise<T>): Promise<T> => Promise.race([answer, exited]);
    expect(await call(subscription.start())).toMatchObject({ value: 'unregistered', emitted: [] });
    await expect(call(subscription.send({ type: 'invalidate_range_start' }))).rejects.toThrow(
      'component: subscription: invalidate_range_start is not accepted in "unregistered"',
    );
    expect(await call(subscription.send({ type: 'mmu_notifier_register' }))).toMatchObject({ value: 'registered' });
    expect(await call(subscription.send({ type: 'invalidate_range_start' }))).toMatchObject({
      emitted: [{ type: 'called' }],
    });
    expect(await call(subscription.send({ type: 'invalidate_range_end' }))).toMatchObject({
      emitted: [{ type: 'called' }],
    });
    expect(await call(subscription.send({ type: 'invalidate_range_end' }))).toMatchObject({
      emitted: [{ type: 'breach' }, { type: 'called' }],
    });
  });
});
