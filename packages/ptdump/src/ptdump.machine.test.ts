import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import type { ServedComponent } from '@shootdown/machine';
import { wrap } from 'comlink';
import { describe, expect, it } from 'vitest';
import { createActor } from 'xstate';
import { ptdumpMachine, type PtdumpEmitted, type PtdumpEvent } from './index.ts';

/** The actor after some messages, and what it emitted on the way. */
function run(...events: readonly PtdumpEvent[]) {
  const actor = createActor(ptdumpMachine);
  const emitted: PtdumpEmitted[] = [];
  actor.on('*', (event) => emitted.push(event));
  actor.start();
  for (const event of events) actor.send(event);
  return { snapshot: actor.getSnapshot(), emitted };
}

const begin: PtdumpEvent = { type: 'walk_begin' };
const end: PtdumpEvent = { type: 'walk_end' };
const note = (level: string): PtdumpEvent => ({ type: 'note_page', level });

describe('ptdump actor', () => {
  it('merges adjacent ranges of one level into one line', () => {
    const { emitted } = run(begin, note('pte'), note('pte'), note('none'), note('pmd'), end);
    expect(emitted).toEqual([
      { type: 'ptdump', walking: true },
      { type: 'line', level: 'pte' },
      { type: 'line', level: 'none' },
      { type: 'line', level: 'pmd' },
      { type: 'ptdump', walking: false },
    ]);
  });

  it('prints no line for a walk that met nothing', () => {
    expect(run(begin, end).emitted).toEqual([
      { type: 'ptdump', walking: true },
      { type: 'ptdump', walking: false },
    ]);
  });

  it('starts afresh when the file is read again', () => {
    const { snapshot, emitted } = run(begin, note('pte'), end, begin, note('pte'), end);
    expect(snapshot.value).toBe('done');
    expect(emitted.filter((event) => event.type === 'line')).toHaveLength(2);
  });

  it('accepts no page outside a walk, and no second walk inside one', () => {
    expect(run().snapshot.can(note('pte'))).toBe(false);
    expect(run(begin).snapshot.can(begin)).toBe(false);
    expect(run(begin, end).snapshot.can(note('pte'))).toBe(false);
  });

  it('is the same actor behind a worker', async () => {
    // The package's own exports lead to the built worker, because a plain Node worker cannot load src.
    const path = createRequire(import.meta.url).resolve('@shootdown/ptdump/worker');
    const { port1, port2 } = new MessageChannel();
    const worker = new Worker(path, { workerData: { port: port2 }, transferList: [port2], execArgv: [] });
    // A call to a worker that has died never settles, so its death must fail the test.
    const died = new Promise<never>((_, reject) => {
      worker.once('error', reject).once('exit', (code) => reject(new Error(`ptdump: worker: exited (${code})`)));
    });
    const remote = wrap<ServedComponent>(port1);
    const session = async (): Promise<void> => {
      expect(await remote.start()).toMatchObject({ value: 'idle' });
      expect(await remote.send(begin)).toMatchObject({
        value: 'walking',
        emitted: [{ type: 'ptdump', walking: true }],
      });
      await remote.send(note('pte'));
      expect(await remote.send(end)).toMatchObject({
        value: 'done',
        emitted: [
          { type: 'line', level: 'pte' },
          { type: 'ptdump', walking: false },
        ],
      });
    };
    try {
      await Promise.race([session(), died]);
    } finally {
      port1.close();
      await worker.terminate();
    }
  });
});
