/** A limit of the model, such as a channel that is full, ends in the same exit code whatever comes to it. */
import { expect, it } from 'vitest';
import { startShootdown } from './one-process.test-support.ts';
import { ownFolder } from './own-folder.test-support.ts';

const machine = new URL('../../../packages/machine/dist/index.js', import.meta.url).href;
const { file } = ownFolder();
const shootdown = startShootdown({ loadsCode: true });
const BOUNDED = 2;
const LIMIT = 'routine: victim: step 1: store: watcher: more than one';

/** The second store is one too many. */
const text = `
  import { LimitError, nop, program, routine, store, SystemBuilder } from ${JSON.stringify(machine)};
  export const mine = {
    name: 'mine', title: 't', variants: [{ name: 'v', expected: 'safe', source: 's', summary: 's' }],
    build() {
      const builder = new SystemBuilder();
      const words = builder.region('words', 1);
      builder.watch(words, (cx) => { if (cx.read(words.at(0)) > 1) throw new LimitError('watcher: more than one'); });
      const victim = routine('victim', function* () {
        yield* store(words.at(0), 1);
        yield* store(words.at(0), 2);
      });
      builder.processor({ name: 'CPU0', tasks: [program(victim)] });
      return builder.build();
    },
  };`;

it('of explore, check, mutate and replay', async () => {
  const path = file('limit.mjs', text);
  const explored = await shootdown('explore', path);
  expect([explored.status, explored.stdout.split('\n').find((line) => line.startsWith('BOUNDED'))]).toEqual([
    BOUNDED,
    `BOUNDED: no violation within bounds (stopped by a limit of the model: ${LIMIT})`,
  ]);
  const asJson = await shootdown('explore', path, '--json');
  expect([asJson.status, JSON.parse(asJson.stdout)]).toEqual([
    BOUNDED,
    expect.objectContaining({ verdict: 'bounded', stoppedBy: 'limit', limit: LIMIT, complete: false }),
  ]);
  expect((await shootdown('check', path)).status).toBe(BOUNDED);
  const mutated = await shootdown('mutate', path, '--variant', 'v');
  expect([mutated.status, mutated.stdout]).toEqual([BOUNDED, expect.stringContaining(`stopped by ${LIMIT}`)]);
  for (const line of [
    ['replay', path, '--variant', 'v', '--schedule', '0x2'],
    ['explore', path, '--fuzz', 'random', '--seed', '1'],
  ]) {
    const { status, stderr } = await shootdown(...line);
    expect([status, stderr]).toEqual([BOUNDED, expect.stringContaining(LIMIT)]);
  }
});
