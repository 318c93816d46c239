/**
 * `reference-ptdump`: a transition system whose number of states is known from elsewhere.
 *
 * N walkers and M unmappers over a table of FAN x FAN leaf entries, one transition per shared access. SPIN (without
 * reduction), hand-written JavaScript, XState and TLA+ agree on its states and transitions, so it is the yardstick of
 * the explorer: its counts with `--no-reduction` must be exactly those. `point` before every operation makes the local
 * states those of the Promela text in `tools/bench/reference.pml`.
 */
import type { BuildRequest, Scenario, Variant } from '@shootdown/explorer';
import {
  acquireWord,
  assertThat,
  atomicAdd,
  load,
  nop,
  point,
  program,
  routine,
  store,
  SystemBuilder,
  type Region,
  type System,
} from '@shootdown/machine';

/** The lock word: number of readers in the low half, the writer above. */
const WRITER = 0x1_0000;
const ANYBODY = 0x1_ffff;

/** Values of the parameter `fix`. */
const FIX = { none: 0, merged: 1, keyTestedFirst: 3 } as const;

type ReferenceParameter = 'n' | 'm' | 'fan' | 'fix';

const NO_FREED_LEAF_READ = 'no walker reads a freed leaf table';

interface Shared {
  readonly pud: Region;
  readonly pmd: Region;
  readonly freed: Region;
  readonly lock: Region;
  readonly key: Region;
  readonly fan: number;
}

const walker = routine('walker', function* ({ pud, pmd, freed, lock, key, fan }: Shared) {
  yield* point('w0');
  yield* atomicAdd(key.at(0), 1, { label: 'static_key_slow_inc(key)' });
  yield* point('w1');
  yield* acquireWord(lock.at(0), ANYBODY, WRITER, { label: 'mmap_write_lock(mm)' });
  for (let i = 0; i < fan; i++) {
    yield* point('w2', i);
    if ((yield* load(pud.at(i), { label: `pmd = READ_ONCE(pud[${i}])` })) === 0) continue;
    for (let j = 0; j < fan; j++) {
      const leaf = i * fan + j;
      yield* point('w3', i, j);
      if ((yield* load(pmd.at(leaf), { label: `pte = READ_ONCE(pmd[${leaf}])` })) === 0) continue;
      for (let k = 0; k < fan; k++) {
        yield* point('w4', i, j, k);
        const gone = yield* load(freed.at(leaf), {
          label: `read leaf ${leaf} entry ${k}`,
          fact: (result) => (result ? 'freed' : undefined),
        });
        yield* assertThat(gone === 0, NO_FREED_LEAF_READ, `leaf ${leaf}`);
      }
    }
  }
  yield* point('w5');
  yield* atomicAdd(lock.at(0), -WRITER, { label: 'mmap_write_unlock(mm)' });
  yield* point('w6');
  yield* atomicAdd(key.at(0), -1, { label: 'static_key_slow_dec(key)' });
});

const unmapper = routine('unmapper', function* ({ pmd, freed, lock, key }: Shared, leaf: number, fix: number) {
  const clear = () => store(pmd.at(leaf), 0, { label: `pmd_clear(pmd[${leaf}])` });
  const flush = () => nop({ label: 'flush_tlb' });
  const testKey = () =>
    load(key.at(0), { label: 'static_branch_unlikely(key)', fact: (result) => (result > 0 ? 'on' : 'off') });
  let locked: boolean = false;
  if (fix === FIX.keyTestedFirst) {
    yield* point('u0');
    locked = (yield* testKey()) > 0;
    yield* point('u1', Number(locked));
    yield* clear();
    yield* point('u2', Number(locked));
    yield* flush();
  } else {
    yield* point('u0');
    yield* clear();
    yield* point('u1');
    yield* flush();
    yield* point('u2');
    if (fix === FIX.merged) locked = (yield* testKey()) > 0;
    else yield* nop({ label: '(no lock)' });
  }
  if (locked) {
    yield* point('u3');
    yield* acquireWord(lock.at(0), WRITER, 1, { label: 'mmap_read_lock(mm)' });
    yield* point('u4');
    yield* atomicAdd(lock.at(0), -1, { label: 'mmap_read_unlock(mm)' });
  }
  yield* point('u5');
  yield* store(freed.at(leaf), 1, { label: `free leaf ${leaf}` });
});

function build({ memoryModel, parameters: { n, m, fan, fix } }: BuildRequest<Variant, ReferenceParameter>): System {
  const builder = new SystemBuilder({ memoryModel });
  const leaves = fan * fan;
  const shared: Shared = {
    pud: builder.region('pud', fan, { initial: 1 }),
    pmd: builder.region('pmd', leaves, { initial: 1 }),
    freed: builder.region('freed', leaves),
    lock: builder.region('lock', 1, { memory: 'strong' }),
    key: builder.region('key', 1),
    fan,
  };
  const walk = program(walker, shared);
  const walkers = Array.from({ length: n }, (_, i) => `CPU${i}`);
  for (const name of walkers) builder.processor({ name, tasks: [walk] });
  for (let i = 0; i < m; i++)
    builder.processor({ name: `CPU${n + i}`, tasks: [program(unmapper, shared, i % leaves, fix)] });
  // A store buffer is a processor's own, so under tso nobody is interchangeable.
  if (memoryModel === 'sc') builder.symmetric(...walkers);
  return builder.build();
}

const GOLDEN = 'SPIN -DNOREDUCE, TLA+ and hand-written searches agree';

/** The yardstick of the explorer; see the head of this file. */
export const referencePtdump: Scenario<Variant, ReferenceParameter> = {
  name: 'reference-ptdump',
  title: 'Reference: page-table walkers against unmappers, with known numbers of states',
  seed: 'S2',
  parameters: {
    n: { default: 1, min: 1, max: 4, meaning: 'walkers' },
    m: { default: 1, min: 1, max: 8, meaning: 'unmappers' },
    fan: { default: 2, min: 1, max: 4, meaning: 'entries per table' },
    fix: {
      default: FIX.merged,
      min: 0,
      max: 3,
      meaning: '0 no lock, 1 the merged shape, 3 key tested before the clear',
    },
  },
  variants: [
    {
      name: 'merged',
      expected: { sc: 'safe', tso: 'violation' },
      source: `${GOLDEN}; tso derived: no barrier between clearing the entry and testing the key`,
      summary: 'clear, flush, test the key, lock and unlock if it is on, free',
      parameters: { fix: FIX.merged },
    },
    {
      name: 'no-lock',
      expected: 'violation',
      source: GOLDEN,
      summary: 'clear, flush, free',
      parameters: { fix: FIX.none },
    },
    {
      name: 'key-tested-first',
      expected: 'violation',
      source: GOLDEN,
      summary: 'the key is tested before the entry is cleared',
      parameters: { fix: FIX.keyTestedFirst },
    },
  ],
  build,
  // The known counts are those of the whole system, states behind violations included.
  all: true,
};
