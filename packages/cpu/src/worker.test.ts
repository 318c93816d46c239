/** Drives the built worker, as another thread would; `npm test` builds first. */
import { createRequire } from 'node:module';
import { MessageChannel, Worker } from 'node:worker_threads';
import type { ServedComponent } from '@shootdown/machine';
import { releaseProxy, wrap, type Endpoint, type Remote } from 'comlink';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

let worker: Worker;
let cpu: Remote<ServedComponent>;
let exited: Promise<never>;

beforeEach(() => {
  const { port1, port2 } = new MessageChannel();
  worker = new Worker(createRequire(import.meta.url).resolve('@shootdown/cpu/worker'), {
    workerData: { port: port2 },
    transferList: [port2],
    execArgv: [],
  });
  exited = new Promise((_, reject) => {
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new Error(`worker exited with ${code}`)));
  });
  exited.catch(() => undefined);
  cpu = wrap<ServedComponent>(port1 as unknown as Endpoint);
});

afterEach(async () => {
  cpu[releaseProxy]();
  await worker.terminate();
});

describe('the CPU worker', () => {
  it('serves the actor: an interrupt is taken in user mode and returns there', async () => {
    const call = <T>(answer: Promise<T>): Promise<T> => Promise.race([answer, exited]);
    expect(await call(cpu.start())).toEqual({
      value: 'irqs_on',
      context: { preempt_count: 0, interrupted: 'irqs_on' },
      emitted: [],
    });
    expect(await call(cpu.send({ type: 'enter_user' }))).toMatchObject({ value: 'user' });
    expect(await call(cpu.send({ type: 'ipi', vector: 'call' }))).toMatchObject({
      value: 'hardirq',
      emitted: [{ type: 'interrupt', vector: 'call' }],
    });
    await expect(call(cpu.send({ type: 'ipi', vector: 'call' }))).rejects.toThrow(
      'component: cpu: ipi is not accepted in "hardirq"',
    );
    expect(await call(cpu.send({ type: 'iret' }))).toMatchObject({ value: 'user', emitted: [] });
  });
});
