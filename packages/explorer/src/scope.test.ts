/** What a verdict says that it does not speak of. */
import {
  assertThat,
  defineOperation,
  isb,
  load,
  operation,
  perform,
  point,
  program,
  nop,
  noted,
  routine,
  smp_load_acquire,
  smp_mb,
  smp_rmb,
  smp_store_release,
  smp_wmb,
  store,
  SystemBuilder,
  xchgOrdered,
  type MemoryModel,
  type Region,
  type Steps,
} from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { explore } from './explore.ts';

const DSB = defineOperation({
  name: 'dsb',
  ordering: 'full',
  architecture: 'arm64',
  perform: (cx) => (cx.drained() ? 0 : 2 ** 40),
});

const writer = routine('writer', function* (shared: Region): Steps {
  yield* store(shared.at(0), 1);
  yield* smp_wmb();
  yield* store(shared.at(1), 1);
  yield* smp_mb({ label: 'dsb(ishst)', unmodelled: 'the walk caches' });
});
const fence = routine('fence', function* (): Steps {
  yield* smp_rmb();
});
const reader = routine('reader', function* (shared: Region): Steps {
  for (let i = 0; i < 2; i++) {
    yield* point('round', i);
    const seen = yield* load(shared.at(1));
    if (seen === 1) yield* smp_rmb();
    yield* smp_rmb();
    yield* fence();
    yield* assertThat(seen === 0 || (yield* load(shared.at(0))) === 1, 'message passing');
  }
});

async function scopeOn(memoryModel: MemoryModel, arm64 = false) {
  const builder = new SystemBuilder({ memoryModel });
  const shared = builder.region('shared', 2);
  builder.processor({ name: 'CPU0', tasks: [program(writer, shared)] });
  builder.processor({ name: 'CPU1', tasks: [program(reader, shared)] });
  if (arm64) builder.processor({ name: 'CPU2', tasks: [program(routine('dsb', () => perform(operation(DSB))))] });
  const result = await explore(builder.build());
  expect(result.verdict).toBe('safe');
  return result.scope;
}
const counted = ({ notTested }: Awaited<ReturnType<typeof scopeOn>>) =>
  notTested.map(({ sites, operation: name, routines }) => `${sites} ${name} in ${routines.join(', ')}`);

describe('what was not tested', () => {
  it('sc makes nothing of any barrier; sites are places in the source, however often and from where they are reached', async () => {
    expect(counted(await scopeOn('sc'))).toEqual([
      '3 smp_rmb in fence, reader',
      '1 smp_mb in writer',
      '1 smp_wmb in writer',
    ]);
  });

  it('lists what lines do in the kernel and not in this model', async () => {
    const { notModelled } = await scopeOn('sc');
    expect(notModelled).toEqual([{ what: 'the walk caches', operations: ['dsb(ishst)'] }]);
  });

  it('tso makes something of full barriers only', async () => {
    expect(counted(await scopeOn('tso'))).toEqual(['3 smp_rmb in fence, reader', '1 smp_wmb in writer']);
  });

  it('arm64 instructions on a stronger model: the order of its plain accesses was not tested', async () => {
    expect((await scopeOn('sc', true)).weakerArchitectures).toEqual(['arm64']);
    expect((await scopeOn('tso', true)).weakerArchitectures).toEqual(['arm64']);
    expect((await scopeOn('sc')).weakerArchitectures).toEqual([]);
  });

  it('acquire, release and ISB count, and operations that are yielded as they are', async () => {
    const raw = noted(function* (): Steps {
      yield operation(DSB);
    });
    const all = routine('all', function* (shared: Region): Steps {
      yield* smp_store_release(shared.at(0), 1);
      yield* smp_load_acquire(shared.at(0));
      yield* xchgOrdered('acquire', shared.at(0), 1);
      yield* xchgOrdered('relaxed', shared.at(0), 1);
      yield* isb();
      yield* raw();
    });
    const listed: Record<string, string[]> = {};
    for (const memoryModel of ['sc', 'tso', 'arm'] as const) {
      const builder = new SystemBuilder({ memoryModel });
      builder.processor({ name: 'CPU0', tasks: [program(all, builder.region('shared', 1))] });
      listed[memoryModel] = counted((await explore(builder.build())).scope);
    }
    const weak = ['1 isb', '1 smp_load_acquire', '1 smp_store_release', '1 xchg_acquire'].map((one) => `${one} in all`);
    expect(listed).toEqual({ sc: ['1 dsb in all', ...weak], tso: weak, arm: [] });
  });

  it('assertions reached are named', async () => {
    expect((await scopeOn('tso')).assertionsReached).toEqual(['message passing']);
  });

  it('handlers that no interrupt starts, and properties of an end that never comes', async () => {
    const builder = new SystemBuilder();
    const shared = builder.region('shared', 2);
    const spins = routine('spins', function* (): Steps {
      for (;;) {
        yield* point('again');
        yield* load(shared.at(0));
      }
    });
    builder.processor({
      name: 'CPU0',
      tasks: [program(spins)],
      handlers: { never: program(routine('handler', () => nop())) },
    });
    builder.property({ name: 'ends well', kind: 'finally', why: '', check: () => true });
    const { scope, boundsGiven } = await explore(builder.build(), { bounds: { maxStates: 10 } });
    expect(scope.routinesNeverBegun).toEqual(['handler']);
    expect(scope.propertiesNeverEvaluated).toEqual(['ends well']);
    expect(boundsGiven).toEqual(['maxStates']);
  });
});
