/**
 * What is in the pages, as far as it can be told apart: a version per page, which a store raises and a copy carries
 * over.
 */
import {
  BLOCKED,
  defineOperation,
  operation,
  work,
  type Frames,
  type Operation,
  type OperationContext,
  type Region,
  type Steps,
  type SystemBuilder,
  noted,
} from '@shootdown/machine';
import type { Kernel } from './kernel.ts';

/** Words per frame, and per virtual page whose contents matter. */
export class PageContents {
  /** Per frame: the version of what is in it. */
  readonly versions: Region;
  /** Per virtual page: the newest version of it that memory has held, which everybody must read from now on. */
  readonly newest: Region;
  /** Per frame: the virtual page that it holds a copy of, plus one. */
  readonly #home: Region;
  /** A bit per frame that is in KSM's stable tree. */
  readonly #ksm: Region;

  /**
   * @param home per page frame in use: the virtual page it holds, or -1
   * @param ksm bits of the frames that are in the stable tree from the start
   */
  constructor(builder: SystemBuilder, frames: Frames, home: readonly number[], ksm = 0) {
    const pages = 1 + Math.max(...home);
    const initial = [...Array.from({ length: frames.tables }, () => 0), ...home.map((vpn) => vpn + 1)];
    this.versions = builder.region('page.version', frames.count);
    this.newest = builder.region('page.newest_version', pages, { memory: 'ghost' });
    this.#home = builder.region('page.home', frames.count, { initial, memory: 'ghost' });
    this.#ksm = builder.region('page.is_ksm', 1, { initial: ksm, memory: 'ghost' });
    builder.watch(this.versions, (cx, address) => this.#look(cx, address - this.versions.base));
  }

  isKsm(cx: OperationContext, frame: number): boolean {
    return (cx.read(this.#ksm.base) & (1 << frame)) !== 0;
  }

  /** A frame becomes a copy of another: of the same virtual page, with the same contents. */
  copy(cx: OperationContext, to: number, from: number): boolean {
    if (!cx.storeBuffered(this.versions.at(to), cx.load(this.versions.at(from)))) return false;
    cx.write(this.#home.at(to), cx.read(this.#home.at(from)));
    return true;
  }

  #look(cx: OperationContext, frame: number): void {
    const page = cx.read(this.#home.at(frame)) - 1;
    const version = cx.read(this.versions.at(frame));
    if (page >= 0 && version > cx.read(this.newest.at(page))) cx.write(this.newest.at(page), version);
  }
}

/** copy_user_highpage(). Where contents do not matter it only takes its time. */
export const copy_user_highpage = noted(function* copy_user_highpage(
  { contents }: Kernel,
  to: number,
  from: number,
): Steps {
  if (!contents) yield* work('page_copy', { label: 'copy_user_highpage()' });
  else
    yield operation(COPY, to, from, 0, contents, {
      label: `copy_user_highpage(0x${to.toString(16)}, 0x${from.toString(16)})`,
    });
});

/** memcmp_pages() == 0: whether two pages are equal. */
export const pages_identical = noted(function* pages_identical(
  { contents }: Kernel,
  a: number,
  b: number,
): Steps<boolean> {
  if (!contents) {
    yield* work('memcmp', { label: 'pages_identical()' });
    return true;
  }
  const label = `pages_identical(0x${a.toString(16)}, 0x${b.toString(16)})`;
  return (
    (yield operation(COMPARE, contents.versions.at(a), contents.versions.at(b), 0, undefined, {
      label,
      fact: (same) => (same === 1 ? 'equal' : 'different'),
    })) === 1
  );
});

/** One step: nobody stores to a page while it is copied or compared, since it is mapped read-only. */
const COPY = defineOperation({
  name: 'page_copy',
  perform: (cx, op: Operation) => ((op.data as PageContents).copy(cx, op.a, op.b) ? 0 : BLOCKED),
});

const COMPARE = defineOperation({
  name: 'memcmp',
  perform: (cx, op) => (cx.load(op.a) === cx.load(op.b) ? 1 : 0),
  // Who does not compare takes them for equal.
  leftOut: () => 1,
  footprint: (op) => ({ reads: [op.a, op.b], writes: [] }),
});
