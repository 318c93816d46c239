/**
 * The classic litmus tests, on both memory models, by trying every interleaving.
 *
 * Names and verdicts: Sewell, Sarkar, Owens, Zappa Nardelli, Myreen, "x86-TSO", CACM 53(7), 2010, and Owens, Sarkar,
 * Sewell, "A better x86 memory model: x86-TSO", TPHOLs 2009 (amd and iwp numbers are the vendors' own examples quoted
 * there).
 */
import { describe, expect, it } from 'vitest';
import type { Steps } from '../routine/operation.ts';
import { atomicAdd, cmpxchg, load, smp_mb, smp_rmb, smp_wmb, store, waitFor, xchg } from '../routine/operations.ts';
import { program, routine } from '../routine/routine.ts';
import { SystemBuilder } from '../system/system.ts';
import type { MemoryModel } from '../system/specs.ts';
import { TabulatedExecutor } from './tabulated.ts';
import type { Address } from '../state/words.ts';

interface Litmus {
  /** `as in the literature: shape`. */
  readonly name: string;
  /** One routine per processor; `out(i)` is where it leaves register i. */
  readonly threads: readonly ((at: { readonly x: Address; readonly y: Address }) => Steps<readonly number[]>)[];
  /** The relaxed outcome, as `r0 r1 ..; x y`. */
  readonly outcome: string;
  readonly sc: 'allowed' | 'forbidden';
  readonly tso: 'allowed' | 'forbidden';
}

const REGISTERS_PER_THREAD = 2;
const NO_REGISTER = 9;

/** All outcomes: every register of every thread, then the final memory. */
function outcomesOf(litmus: Litmus, memoryModel: MemoryModel): ReadonlySet<string> {
  const builder = new SystemBuilder({ memoryModel });
  const memory = builder.region('memory', 2);
  const registers = builder.region('register', REGISTERS_PER_THREAD * litmus.threads.length, {
    initial: Array.from({ length: 8 }, () => NO_REGISTER),
  });
  litmus.threads.forEach((thread, t) => {
    const body = routine(`P${t}`, function* () {
      const values = yield* thread({ x: memory.at(0), y: memory.at(1) });
      // An exchange, so that the register reaches memory without another store in the buffer.
      for (const [i, value] of values.entries()) yield* xchg(registers.at(REGISTERS_PER_THREAD * t + i), value);
    });
    builder.processor({ name: `P${t}`, tasks: [program(body)] });
  });
  const executor = new TabulatedExecutor(builder.build());
  const { store: words } = executor;
  const seen = new Set<string>();
  const outcomes = new Set<string>();
  const visit = (): void => {
    if (seen.has(executor.fingerprint)) return;
    seen.add(executor.fingerprint);
    let enabled = false;
    for (let choice = 0; choice < executor.system.choices.length; choice++) {
      const { mark, lo, hi } = words;
      if (!executor.step(choice)) continue;
      enabled = true;
      visit();
      words.undo(mark, lo, hi);
    }
    if (enabled) return;
    expect(executor.atRest()).toBe(true);
    const values = Array.from({ length: registers.cells }, (_, i) => words.read(registers.at(i))).filter(
      (v) => v !== NO_REGISTER,
    );
    outcomes.add(`${values.join(' ')}; ${words.read(memory.at(0))} ${words.read(memory.at(1))}`);
  };
  visit();
  return outcomes;
}

const tests: readonly Litmus[] = [
  {
    name: 'SB (store buffering; Dekker)',
    threads: [
      function* ({ x, y }) {
        yield* store(x, 1);
        return [yield* load(y)];
      },
      function* ({ x, y }) {
        yield* store(y, 1);
        return [yield* load(x)];
      },
    ],
    outcome: '0 0; 1 1',
    sc: 'forbidden',
    tso: 'allowed',
  },
  {
    name: 'SB+mfences (amd5)',
    threads: [
      function* ({ x, y }) {
        yield* store(x, 1);
        yield* smp_mb();
        return [yield* load(y)];
      },
      function* ({ x, y }) {
        yield* store(y, 1);
        yield* smp_mb();
        return [yield* load(x)];
      },
    ],
    outcome: '0 0; 1 1',
    sc: 'forbidden',
    tso: 'forbidden',
  },
  {
    name: 'SB+mfence+po: one barrier is not enough',
    threads: [
      function* ({ x, y }) {
        yield* store(x, 1);
        yield* smp_mb();
        return [yield* load(y)];
      },
      function* ({ x, y }) {
        yield* store(y, 1);
        return [yield* load(x)];
      },
    ],
    outcome: '0 0; 1 1',
    sc: 'forbidden',
    tso: 'allowed',
  },
  {
    name: 'MP+wmb+rmb (message passing)',
    threads: [
      function* ({ x, y }) {
        yield* store(x, 1);
        yield* smp_wmb();
        yield* store(y, 1);
        return [];
      },
      function* ({ x, y }) {
        const flag = yield* load(y);
        yield* smp_rmb();
        return [flag, yield* load(x)];
      },
    ],
    outcome: '1 0; 1 1',
    sc: 'forbidden',
    tso: 'forbidden',
  },
  {
    name: 'SB+wmbs: smp_wmb() orders no store before a load',
    threads: [
      function* ({ x, y }) {
        yield* store(x, 1);
        yield* smp_wmb();
        return [yield* load(y)];
      },
      function* ({ x, y }) {
        yield* store(y, 1);
        yield* smp_wmb();
        return [yield* load(x)];
      },
    ],
    outcome: '0 0; 1 1',
    sc: 'forbidden',
    tso: 'allowed',
  },
  {
    name: 'SB with xchg (iwp2.8.a: loads are not reordered with older locked instructions)',
    threads: [
      function* ({ x, y }) {
        yield* xchg(x, 1);
        return [yield* load(y)];
      },
      function* ({ x, y }) {
        yield* xchg(y, 1);
        return [yield* load(x)];
      },
    ],
    outcome: '0 0; 1 1',
    sc: 'forbidden',
    tso: 'forbidden',
  },
  {
    name: 'SB with a locked instruction between: a cmpxchg that fails and an add are barriers too',
    threads: [
      function* ({ x, y }) {
        yield* store(x, 1);
        yield* cmpxchg(x, 7, 8);
        return [yield* load(y)];
      },
      function* ({ x, y }) {
        yield* store(y, 1);
        yield* atomicAdd(y, 0);
        return [yield* load(x)];
      },
    ],
    outcome: '0 0; 1 1',
    sc: 'forbidden',
    tso: 'forbidden',
  },
  {
    name: 'MP (message passing; iwp2.1, amd1)',
    threads: [
      function* ({ x, y }) {
        yield* store(x, 1);
        yield* store(y, 1);
        return [];
      },
      function* ({ x, y }) {
        return [yield* load(y), yield* load(x)];
      },
    ],
    outcome: '1 0; 1 1',
    sc: 'forbidden',
    tso: 'forbidden',
  },
  {
    name: 'MP with a locked flag (iwp2.8.b: stores are not reordered with locked instructions)',
    threads: [
      function* ({ x, y }) {
        yield* xchg(x, 1);
        yield* store(y, 1);
        return [];
      },
      function* ({ x, y }) {
        return [yield* load(y), yield* load(x)];
      },
    ],
    outcome: '1 0; 1 1',
    sc: 'forbidden',
    tso: 'forbidden',
  },
  {
    name: 'MP with a spinning reader: what a wait sees, the loads after it see too',
    threads: [
      function* ({ x, y }) {
        yield* store(x, 1);
        yield* store(y, 1);
        return [];
      },
      function* ({ x, y }) {
        yield* waitFor(y, 1, 1);
        return [yield* load(x)];
      },
    ],
    outcome: '0; 1 1',
    sc: 'forbidden',
    tso: 'forbidden',
  },
  {
    name: 'LB (load buffering; iwp2.2, amd2)',
    threads: [
      function* ({ x, y }) {
        const r = yield* load(x);
        yield* store(y, 1);
        return [r];
      },
      function* ({ x, y }) {
        const r = yield* load(y);
        yield* store(x, 1);
        return [r];
      },
    ],
    outcome: '1 1; 1 1',
    sc: 'forbidden',
    tso: 'forbidden',
  },
  {
    name: 'iwp2.4, amd9 (intra-processor forwarding is allowed)',
    threads: [
      function* ({ x, y }) {
        yield* store(x, 1);
        return [yield* load(x), yield* load(y)];
      },
      function* ({ x, y }) {
        yield* store(y, 1);
        return [yield* load(y), yield* load(x)];
      },
    ],
    outcome: '1 0 1 0; 1 1',
    sc: 'forbidden',
    tso: 'allowed',
  },
  {
    name: 'CoWR: a processor never reads around its own store',
    threads: [
      function* ({ x }) {
        yield* store(x, 1);
        return [yield* load(x)];
      },
    ],
    outcome: '0; 1 0',
    sc: 'forbidden',
    tso: 'forbidden',
  },
  {
    name: 'CoRR: two loads of one word see its stores in order',
    threads: [
      function* ({ x }) {
        yield* store(x, 1);
        return [];
      },
      function* ({ x }) {
        return [yield* load(x), yield* load(x)];
      },
    ],
    outcome: '1 0; 1 0',
    sc: 'forbidden',
    tso: 'forbidden',
  },
  {
    name: 'IRIW (amd6: independent reads of independent writes)',
    threads: [
      function* ({ x }) {
        yield* store(x, 1);
        return [];
      },
      function* ({ y }) {
        yield* store(y, 1);
        return [];
      },
      function* ({ x, y }) {
        return [yield* load(x), yield* load(y)];
      },
      function* ({ x, y }) {
        return [yield* load(y), yield* load(x)];
      },
    ],
    outcome: '1 0 1 0; 1 1',
    sc: 'forbidden',
    tso: 'forbidden',
  },
  {
    name: 'WRC (iwp2.5, amd8: stores are transitively visible)',
    threads: [
      function* ({ x }) {
        yield* store(x, 1);
        return [];
      },
      function* ({ x, y }) {
        const r = yield* load(x);
        yield* store(y, 1);
        return [r];
      },
      function* ({ x, y }) {
        return [yield* load(y), yield* load(x)];
      },
    ],
    outcome: '1 1 0; 1 1',
    sc: 'forbidden',
    tso: 'forbidden',
  },
  {
    name: 'n6 (a processor reads its own store early, and the other one overtakes it in memory)',
    threads: [
      function* ({ x, y }) {
        yield* store(x, 1);
        return [yield* load(x), yield* load(y)];
      },
      function* ({ x, y }) {
        yield* store(y, 2);
        yield* store(x, 2);
        return [];
      },
    ],
    outcome: '1 0; 1 2',
    sc: 'forbidden',
    tso: 'allowed',
  },
  {
    name: "n5 (each reads the other's store of one word after its own)",
    threads: [
      function* ({ x }) {
        yield* store(x, 1);
        return [yield* load(x)];
      },
      function* ({ x }) {
        yield* store(x, 2);
        return [yield* load(x)];
      },
    ],
    outcome: '2 1; 1 0',
    sc: 'forbidden',
    tso: 'forbidden',
  },
  {
    name: "n4b (no load sees a store that comes after its own processor's later one)",
    threads: [
      function* ({ x }) {
        const r = yield* load(x);
        yield* store(x, 1);
        return [r];
      },
      function* ({ x }) {
        const r = yield* load(x);
        yield* store(x, 2);
        return [r];
      },
    ],
    outcome: '2 1; 1 0',
    sc: 'forbidden',
    tso: 'forbidden',
  },
  {
    name: 'R (a store may still be buffered when a load of the same processor has passed it)',
    threads: [
      function* ({ x, y }) {
        yield* store(x, 1);
        yield* store(y, 1);
        return [];
      },
      function* ({ x, y }) {
        yield* store(y, 2);
        return [yield* load(x)];
      },
    ],
    outcome: '0; 1 2',
    sc: 'forbidden',
    tso: 'allowed',
  },
  {
    name: 'S (a store does not pass an earlier load)',
    threads: [
      function* ({ x, y }) {
        yield* store(x, 2);
        yield* store(y, 1);
        return [];
      },
      function* ({ x, y }) {
        const r = yield* load(y);
        yield* store(x, 1);
        return [r];
      },
    ],
    outcome: '1; 2 1',
    sc: 'forbidden',
    tso: 'forbidden',
  },
  {
    name: '2+2W (stores drain in order)',
    threads: [
      function* ({ x, y }) {
        yield* store(x, 1);
        yield* store(y, 2);
        return [];
      },
      function* ({ x, y }) {
        yield* store(y, 1);
        yield* store(x, 2);
        return [];
      },
    ],
    outcome: '; 1 1',
    sc: 'forbidden',
    tso: 'forbidden',
  },
];

describe.each(tests)('$name', (litmus) => {
  it.each(['sc', 'tso'] as const)('on %s', (memoryModel) => {
    const outcomes = outcomesOf(litmus, memoryModel);
    expect(outcomes.has(litmus.outcome) ? 'allowed' : 'forbidden').toBe(litmus[memoryModel]);
  });

  it('tso allows whatever sc allows', () => {
    expect([...outcomesOf(litmus, 'sc')].filter((outcome) => !outcomesOf(litmus, 'tso').has(outcome))).toEqual([]);
  });
});

it('a full store buffer makes the next store wait', () => {
  const builder = new SystemBuilder({ memoryModel: 'tso', storeBufferEntries: 2 });
  const words = builder.region('word', 3);
  builder.processor({
    name: 'P0',
    tasks: [
      program(
        routine('P0', function* () {
          for (let i = 0; i < 3; i++) yield* store(words.at(i), i + 1);
        }),
      ),
    ],
  });
  const executor = new TabulatedExecutor(builder.build());
  const drain = executor.system.choices.findIndex((choice) => choice.kind === 'drain');
  expect([executor.step(0), executor.step(0), executor.step(0)]).toEqual([true, true, false]);
  expect(executor.step(drain)).toBe(true);
  expect(executor.step(0)).toBe(true);
  expect(Array.from({ length: 3 }, (_, i) => executor.store.read(words.at(i)))).toEqual([1, 0, 0]);
});
