import {
  assertThat,
  atomicAdd,
  Frames,
  load,
  program,
  routine,
  smp_mb,
  smp_wmb,
  store,
  SystemBuilder,
  type Address,
  type MemoryModel,
  type Steps,
} from '@shootdown/machine';
import { everyRun } from '@shootdown/machine/every-run';
import { describe, expect, test } from 'vitest';
import { FileFolio } from './file-folio.ts';
import { folio_try_get } from './folio.ts';
import type { Kernel, Mm } from './kernel.ts';

const PAGE = 1;
const SEEN = 'what was stored before the last reference was dropped is seen';

/** A page with no reference or one, and what two processors do with it and two words. */
function twoOf(
  model: MemoryModel,
  references: 0 | 1,
  bodies: (frames: Frames, x: Address, y: Address, builder: SystemBuilder) => readonly (() => Steps)[],
) {
  const builder = new SystemBuilder({ memoryModel: model });
  const frames = new Frames(builder, {
    tables: 1,
    entriesPerTable: 2,
    pages: 1,
    initialTables: [[]],
    initialPages: references,
  });
  const [x, y] = ['x', 'y'].map((name) => builder.region(name, 1).at(0)) as [Address, Address];
  bodies(frames, x, y, builder).forEach((body, i) =>
    builder.processor({ name: `CPU${i}`, tasks: [program(routine(`body${i}`, body))] }),
  );
  return builder.build();
}

describe('folio_try_get()', () => {
  test('orders nothing on arm if it fails', () => {
    const system = twoOf('arm', 1, (frames, x) => {
      const drop = function* (): Steps {
        yield* store(x, 1);
        yield* smp_wmb();
        yield* atomicAdd(frames.refcount.at(PAGE), -1);
      };
      const get = function* (): Steps {
        const got = yield* folio_try_get(frames, PAGE);
        yield* assertThat(got || (yield* load(x)) === 1, SEEN);
      };
      return [drop, get];
    });
    expect(everyRun(system)).toMatchObject({ violations: new Set([SEEN]), deadlock: false });
  });
});

describe.each([
  // atomic_add_unless() looks before it issues a locked instruction, folio_ref_freeze() does not.
  ['folio_try_get()', 'tso', 0, true],
  ['folio_try_get()', 'tso', 1, false],
  ['folio_try_get()', 'arm', 0, true],
  ['folio_try_get()', 'arm', 1, false],
  ['__remove_mapping()', 'tso', 0, false],
  ['__remove_mapping()', 'tso', 1, false],
  ['__remove_mapping()', 'arm', 0, true],
  ['__remove_mapping()', 'arm', 1, false],
] as const)('%s on %s of a page with %i references', (name, model, references, passes) => {
  test(`is ${passes ? 'no' : 'a'} full barrier`, () => {
    let passed = false;
    const system = twoOf(model, references, (frames, x, y, builder) => {
      const folio = new FileFolio({ builder, frames } as Kernel, {} as Mm, PAGE, 0);
      const own = function* (): Steps {
        yield* store(x, 1);
        if (name === 'folio_try_get()') yield* folio_try_get(frames, PAGE);
        else yield* folio.remove_mapping();
        if ((yield* load(y)) === 0) yield* store(x, 2);
      };
      const other = function* (): Steps {
        yield* store(y, 1);
        yield* smp_mb();
        if ((yield* load(x)) === 0) yield* store(y, 2);
      };
      return [own, other];
    });
    const words = ['x', 'y'].map((name) => system.layout.regions.find((region) => region.name === name)?.base ?? -1);
    // 2: it saw nothing of the other.
    everyRun(system, undefined, (read) => (passed ||= words.every((word) => read(word) === 2)));
    expect(passed).toBe(passes);
  });
});
