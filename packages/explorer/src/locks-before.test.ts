/**
 * What looks as if it came under a lock and does not: the old value of a word is still there for it on `arm`, and no
 * state may leave it out.
 */
import {
  acquireWord,
  assertThat,
  BLOCKED,
  cmpxchgOrdered,
  defineOperation,
  load,
  operation,
  perform,
  program,
  routine,
  smp_store_release,
  store,
  SystemBuilder,
  type Address,
  type ChannelPolicy,
  type Effect,
  type Steps,
  type System,
} from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { explore } from './explore.ts';
import { interruptibleMachine } from './interruptible.test-support.machine.ts';

const NEWER = 'what was stored before the flag is seen after it';

/** Sends a message of a type to a channel, and is acquire in all that this does. */
const TELL = defineOperation({
  name: 'tell',
  order: 'acquire',
  perform: (cx, op) => (cx.send(op.a, { type: op.data as string }) ? 0 : BLOCKED),
});

/** What a reader is made of. */
interface Machine {
  readonly lock: Address;
  readonly flag: Address;
  readonly data: Address;
  /** Tells the component of a CPU something. */
  readonly tell: (cpu: 0 | 1, type: 'ipi' | 'poke') => Steps<unknown>;
}

interface Parts {
  /** What CPU0 does when it has stored both. */
  readonly after?: (machine: Machine) => Steps;
  readonly reads: (machine: Machine) => Steps;
  readonly handler?: (machine: Machine) => Steps;
  readonly poked?: (machine: Machine) => Effect;
  readonly policy?: ChannelPolicy;
  /** Of a third CPU. */
  readonly other?: (machine: Machine) => Steps;
}

/** CPU0 stores data under a lock and then a flag, which nothing orders after the data; CPU1 reads. */
function machineOf({ after, reads, handler, poked, policy = 'fifo', other }: Parts): System {
  const builder = new SystemBuilder({ memoryModel: 'arm' });
  const [flag, data] = [builder.region('flag', 1).at(0), builder.region('data', 1).at(0)];
  const channels: number[] = [];
  const machine: Machine = {
    lock: builder.region('lock', 1, { memory: 'strong' }).at(0),
    flag,
    data,
    tell: (cpu, type) => perform(operation(TELL, channels[cpu] ?? -1, 0, 0, type)),
  };
  const writer = routine('writer', function* (): Steps {
    yield* acquireWord(machine.lock, 1, 1);
    yield* store(data, 1);
    yield* smp_store_release(machine.lock, 0);
    yield* store(flag, 1);
    if (after) yield* after(machine);
  });
  const [reader, handle] = [routine('reader', reads), routine('handler', handler ?? function* (): Steps {})];
  for (const [cpu, task] of [program(writer), program(reader, machine)].entries()) {
    const component = `component ${cpu}`;
    const handlers = { ipi: program(handle, machine) };
    builder.processor({ name: `CPU${cpu}`, tasks: [task], component, handlers });
    builder.component({
      name: component,
      machine: interruptibleMachine,
      effects: { poked: poked?.(machine) ?? (() => undefined) },
    });
    channels.push(builder.channel({ name: `to CPU${cpu}`, to: component, policy }));
  }
  if (other) builder.processor({ name: 'CPU2', tasks: [program(routine('other', other), machine)] });
  return builder.build();
}

const readBoth = (between: (machine: Machine) => Steps<unknown>) =>
  function* (machine: Machine): Steps {
    const seen = yield* load(machine.flag);
    yield* between(machine);
    const { data } = machine;
    yield* assertThat(seen <= (yield* load(data)), NEWER);
  };

const locked = function* ({ lock, data }: Machine): Steps {
  yield* acquireWord(lock, 1, 1);
  yield* load(data);
  yield* smp_store_release(lock, 0);
};

describe('a word is not read under a lock', () => {
  it.each<[string, Parts]>([
    ['that may not be had', { reads: readBoth(({ lock }) => cmpxchgOrdered('acquire', lock, 0, 2)), other: locked }],
    [
      'by an interrupt handler that does not take it',
      { reads: locked, handler: readBoth(function* () {}), after: ({ tell }) => tell(1, 'ipi') as Steps },
    ],
    [
      'by hardware',
      {
        reads: locked,
        poked:
          ({ flag, data }) =>
          (cx) => {
            if (cx.load(flag) > cx.load(data)) cx.fail(NEWER, () => '');
          },
        after: ({ tell }) => tell(1, 'poke') as Steps,
        policy: 'synchronous',
      },
    ],
    [
      'because another processor takes it in the same step',
      {
        reads: readBoth(({ tell }) => tell(0, 'poke')),
        poked:
          ({ lock }) =>
          (cx) =>
            cx.write(lock, cx.read(lock)),
        policy: 'synchronous',
      },
    ],
  ])('%s', async (_how, parts) => {
    for (const reduction of [true, false])
      expect(await explore(machineOf(parts), { reduction })).toMatchObject({ verdict: 'violation', property: NEWER });
  });

  it('and where it is, the old value is gone', async () => {
    const reads = function* (machine: Machine): Steps {
      yield* readBoth(({ lock }) => acquireWord(lock, 1, 1))(machine);
      yield* smp_store_release(machine.lock, 0);
    };
    expect(await explore(machineOf({ reads }))).toMatchObject({ verdict: 'safe' });
  });
});
