/** Drives the built worker, as another thread would; `npm test` builds first. */
import { createRequire } from 'node:module';
import { MessageChannel, Worker } from 'node:worker_threads';
import type { ServedComponent } from '@shootdown/machine';
import { releaseProxy, wrap, type Endpoint, type Remote } from 'comlink';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

let worker: Worker;
let mmu: Remote<ServedComponent>;
let exited: Promise<never>;

beforeEach(() => {
  const { port1, port2 } = new MessageChannel();
  worker = new Worker(createRequire(import.meta.url).resolve('@shootdown/mmu/worker'), {
    workerData: { port: port2 },
    transferList: [port2],
    execArgv: [],
  });
  exited = new Promise((_, reject) => {
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new Error(`worker exited with ${code}`)));
  });
  exited.catch(() => undefined);
  mmu = wrap<ServedComponent>(port1 as unknown as Endpoint);
});

afterEach(async () => {
  mmu[releaseProxy]();
  await worker.terminate();
});

describe('the MMU worker', () => {
  it('serves the actor: INVLPG flushes the page in the address space that CR3 names', async () => {
    const call = <T>(answer: Promise<T>): Promise<T> => Promise.race([answer, exited]);
    expect(await call(mmu.start({ root: 1, asid: 2 }))).toEqual({
      value: 'translating',
      context: { root: 1, asid: 2 },
      emitted: [],
    });
    expect(await call(mmu.send({ type: 'load_root', root: 5, asid: 6, noflush: true }))).toMatchObject({
      emitted: [{ type: 'mmu.root', root: 5, asid: 6 }],
    });
    expect(await call(mmu.send({ type: 'invlpg', vpn: 9 }))).toMatchObject({
      emitted: [{ type: 'tlb.flush', scope: 'page', vpn: 9, asid: 6, global: true, leafOnly: false }],
    });
    await expect(call(mmu.send({ type: 'wbinvd' }))).rejects.toThrow(
      'component: mmu: wbinvd is not accepted in "translating"',
    );
  });
});
