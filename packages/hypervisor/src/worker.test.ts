/** Drives the built worker, as another thread would; `npm test` builds first. */
import { createRequire } from 'node:module';
import { MessageChannel, Worker } from 'node:worker_threads';
import type { ServedComponent } from '@shootdown/machine';
import { releaseProxy, wrap, type Endpoint, type Remote } from 'comlink';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

let worker: Worker;
let vcpu: Remote<ServedComponent>;
let exited: Promise<never>;

beforeEach(() => {
  const { port1, port2 } = new MessageChannel();
  worker = new Worker(createRequire(import.meta.url).resolve('@shootdown/hypervisor/worker'), {
    workerData: { port: port2 },
    transferList: [port2],
    execArgv: [],
  });
  exited = new Promise((_, reject) => {
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new Error(`worker exited with ${code}`)));
  });
  exited.catch(() => undefined);
  vcpu = wrap<ServedComponent>(port1 as unknown as Endpoint);
});

afterEach(async () => {
  vcpu[releaseProxy]();
  await worker.terminate();
});

describe('the vCPU worker', () => {
  it('serves the actor: preempted and resumed, it flushes before it enters the guest', async () => {
    const call = <T>(answer: Promise<T>): Promise<T> => Promise.race([answer, exited]);
    expect(await call(vcpu.start())).toMatchObject({ value: 'in_guest', emitted: [] });
    expect(await call(vcpu.send({ type: 'preempt' }))).toMatchObject({
      value: 'preempted',
      emitted: [
        { type: 'left_guest' },
        { type: 'vm_exit', reason: 'external_interrupt' },
        { type: 'sched_out', preempted: true },
        { type: 'kvm_steal_time_set_preempted', at_instruction_boundary: true },
      ],
    });
    await expect(call(vcpu.send({ type: 'preempt' }))).rejects.toThrow(
      'component: vcpu: preempt is not accepted in "preempted"',
    );
    expect(await call(vcpu.send({ type: 'resume' }))).toMatchObject({
      value: 'entering',
      emitted: [{ type: 'sched_in' }],
    });
    expect(await call(vcpu.send({ type: 'enter' }))).toMatchObject({
      value: 'in_guest',
      emitted: [{ type: 'record_steal_time' }, { type: 'entered_guest' }],
    });
  });
});
