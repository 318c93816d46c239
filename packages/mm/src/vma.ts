/**
 * The virtual memory areas of an mm: a sorted list of [start, end) page ranges with flags.
 *
 * The kernel keeps them in a maple tree under mmap_lock. Here each look-up or change is one operation on a sorted list:
 * what is under the lock is not what this laboratory is about.
 */
import {
  defineOperation,
  ModelError,
  operation,
  type Operation,
  type OperationContext,
  type Region,
  type Saying,
  type Steps,
  type SystemBuilder,
  noteMethods,
} from '@shootdown/machine';

/** The program may read. */
export const VM_READ = 1 << 0;
/** The program may write. */
export const VM_WRITE = 1 << 1;
/** Not for merging or unmapping by the program: the vdso and the stack. */
export const VM_SPECIAL = 1 << 2;

/** vm_flags of ordinary anonymous memory. */
export const VM_DATA_DEFAULT_FLAGS = VM_READ | VM_WRITE;

const WORDS_PER_VMA = 5;
/** Areas of an mm, unless it is told otherwise. */
export const VMAS_MAX_DEFAULT = 256;
const LOW_WORD = 0x1_0000_0000;
/** Gaps and offsets are reported in pages up to this many. */
export const PAGES_MAX = 0x3fff_ffff;

interface Vma {
  readonly start: number;
  readonly end: number;
  readonly flags: number;
}

/** The areas of one mm. Pages are virtual page numbers; ranges are half open. */
export class VmaList {
  static {
    noteMethods(this);
  }

  readonly #region: Region;
  readonly #max: number;

  /** @param max areas at most; more is an error of the model, reported as such */
  constructor(builder: SystemBuilder, name: string, max = VMAS_MAX_DEFAULT) {
    this.#max = max;
    this.#region = builder.region(`${name}.vma`, max * WORDS_PER_VMA, { memory: 'ghost' });
  }

  /** find_vma(): flags of the area that holds a page; 0 if none does. */
  *find(vpn: number): Steps<number> {
    return yield operation(FIND, 0, 0, 0, { list: this, vpn }, { label: `find_vma(0x${vpn.toString(16)})` });
  }

  /** True if one area covers [start, end). */
  *covers(start: number, end: number): Steps<boolean> {
    return 1 === (yield operation(COVERS, 0, 0, 0, { list: this, start, end }, { label: 'thp_vma_suitable_order()' }));
  }

  /** Adds [start, end), merged with neighbours of equal flags. */
  *insert(start: number, end: number, flags: number, saying?: Saying): Steps {
    yield operation(INSERT, flags, 0, 0, { list: this, start, end }, saying);
  }

  /** Removes [start, end), splitting areas at its ends. */
  *remove(start: number, end: number, saying?: Saying): Steps {
    yield operation(REMOVE, 0, 0, 0, { list: this, start, end }, saying);
  }

  /** Gives the areas in [start, end) new flags, splitting and merging; holes stay holes. True if any flags changed. */
  *protect(start: number, end: number, flags: number, saying?: Saying): Steps<boolean> {
    return 1 === (yield operation(PROTECT, flags, 0, 0, { list: this, start, end }, saying));
  }

  /** Pages between the end of the area below `vpn` (or page 0) and `vpn`; at most {@link PAGES_MAX}. */
  *gapBelow(vpn: number): Steps<number> {
    return yield operation(GAP, 0, 0, 0, { list: this, vpn }, { label: 'vma_prev()' });
  }

  /** Pages between `vpn` and the start of the area above it; {@link PAGES_MAX} if there is none. */
  *gapAbove(vpn: number): Steps<number> {
    return yield operation(GAP, 1, 0, 0, { list: this, vpn }, { label: 'vma_next()' });
  }

  /** vm_unmapped_area(), top down: where below `top` a range of `pages` fits, as pages below `top`. */
  *unmappedArea(top: number, pages: number): Steps<number> {
    return yield operation(UNMAPPED, pages, 0, 0, { list: this, top }, { label: `vm_unmapped_area(${pages} pages)` });
  }

  /** find_vma(): the first page at or above `vpn` that is in an area which is not special; -1 if there is none. */
  *nextPage(vpn: number): Steps<number> {
    const half = (high: number): Operation =>
      operation(NEXT, high, 0, 0, { list: this, vpn }, { label: `find_vma(0x${vpn.toString(16)})` });
    const high = yield half(1);
    return high < 0 ? -1 : wide(yield half(0), high);
  }

  /** The number of areas. */
  *count(): Steps<number> {
    return yield operation(COUNT, 0, 0, 0, { list: this });
  }

  /** Start, end and flags of area `index`, as two words each (low, high) and one. */
  *at(index: number): Steps<Vma> {
    const word = (field: number): Operation =>
      operation(FIELD, index, field, 0, { list: this }, { label: 'vma_next()' });
    const startLow = yield word(0);
    const startHigh = yield word(1);
    const endLow = yield word(2);
    const endHigh = yield word(3);
    const flags = yield word(4);
    return { start: wide(startLow, startHigh), end: wide(endLow, endHigh), flags };
  }

  read(cx: OperationContext): Vma[] {
    const list: Vma[] = [];
    for (let i = 0; i < this.#max; i++) {
      const at = this.#region.base + i * WORDS_PER_VMA;
      const flags = cx.read(at + 4);
      if (flags === 0) break;
      list.push({ start: wide(cx.read(at), cx.read(at + 1)), end: wide(cx.read(at + 2), cx.read(at + 3)), flags });
    }
    return list;
  }

  write(cx: OperationContext, list: readonly Vma[]): void {
    if (list.length > this.#max) throw new ModelError(`mm: vma: more than ${this.#max} areas (vm.max_map_count)`);
    for (let i = 0; i < this.#max; i++) {
      const at = this.#region.base + i * WORDS_PER_VMA;
      const vma = list[i];
      if (!vma && cx.read(at + 4) === 0) break;
      cx.write(at, (vma?.start ?? 0) | 0);
      cx.write(at + 1, Math.floor((vma?.start ?? 0) / LOW_WORD));
      cx.write(at + 2, (vma?.end ?? 0) | 0);
      cx.write(at + 3, Math.floor((vma?.end ?? 0) / LOW_WORD));
      cx.write(at + 4, vma?.flags ?? 0);
    }
  }

  field(cx: OperationContext, index: number, field: number): number {
    return cx.read(this.#region.base + index * WORDS_PER_VMA + field);
  }
}

function wide(low: number, high: number): number {
  return (low >>> 0) + high * LOW_WORD;
}

/** The list without [start, end), split at the ends. */
function without(list: readonly Vma[], start: number, end: number): Vma[] {
  return list.flatMap((vma) => {
    if (vma.end <= start || vma.start >= end) return [vma];
    const rest: Vma[] = [];
    if (vma.start < start) rest.push({ ...vma, end: start });
    if (vma.end > end) rest.push({ ...vma, start: end });
    return rest;
  });
}

/** The list with one more area, merged with its neighbours where flags agree. */
function withArea(list: readonly Vma[], area: Vma): Vma[] {
  const sorted = [...list, area].sort((a, b) => a.start - b.start);
  const merged: Vma[] = [];
  for (const vma of sorted) {
    const last = merged.at(-1);
    const mergeable = last && last.end === vma.start && last.flags === vma.flags && (vma.flags & VM_SPECIAL) === 0;
    if (mergeable) merged[merged.length - 1] = { ...last, end: vma.end };
    else merged.push(vma);
  }
  return merged;
}

interface Range {
  readonly list: VmaList;
  readonly start: number;
  readonly end: number;
}

const FIND = defineOperation({
  name: 'find_vma',
  cost: 'vma',
  perform(cx, op) {
    const { list, vpn } = op.data as { list: VmaList; vpn: number };
    return list.read(cx).find((vma) => vma.start <= vpn && vpn < vma.end)?.flags ?? 0;
  },
});

/** The upper half of the page's number, or the lower one: together one look-up. */
const NEXT = defineOperation({
  name: 'find_vma_next',
  cost: 'vma',
  perform(cx, op) {
    const { list, vpn } = op.data as { list: VmaList; vpn: number };
    const area = list.read(cx).find(({ end, flags }) => end > vpn && (flags & VM_SPECIAL) === 0);
    if (!area) return -1;
    const page = Math.max(vpn, area.start);
    return op.a === 1 ? Math.floor(page / LOW_WORD) : page | 0;
  },
});

const COVERS = defineOperation({
  name: 'vma_covers',
  cost: 'load',
  perform(cx, op) {
    const { list, start, end } = op.data as Range;
    return list.read(cx).some((vma) => vma.start <= start && end <= vma.end) ? 1 : 0;
  },
});

const INSERT = defineOperation({
  name: 'vma_insert',
  cost: 'vma',
  perform(cx, op) {
    const { list, start, end } = op.data as Range;
    list.write(cx, withArea(list.read(cx), { start, end, flags: op.a }));
    return 0;
  },
});

const REMOVE = defineOperation({
  name: 'vma_remove',
  cost: 'vma',
  perform(cx, op) {
    const { list, start, end } = op.data as Range;
    list.write(cx, without(list.read(cx), start, end));
    return 0;
  },
});

const PROTECT = defineOperation({
  name: 'vma_protect',
  cost: 'vma',
  perform(cx, op) {
    const { list, start, end } = op.data as Range;
    const areas = list.read(cx);
    const inside = areas.filter((vma) => vma.end > start && vma.start < end && (vma.flags & ~VM_SPECIAL) !== op.a);
    if (inside.length === 0) return 0;
    const clipped = inside.map((vma) => ({
      start: Math.max(start, vma.start),
      end: Math.min(end, vma.end),
      flags: op.a | (vma.flags & VM_SPECIAL),
    }));
    list.write(
      cx,
      clipped.reduce<readonly Vma[]>((rest, vma) => withArea(without(rest, vma.start, vma.end), vma), areas),
    );
    return 1;
  },
});

const GAP = defineOperation({
  name: 'vma_neighbour',
  cost: 'vma',
  perform(cx, op) {
    const { list, vpn } = op.data as { list: VmaList; vpn: number };
    const areas = list.read(cx);
    if (op.a === 0) return Math.min(PAGES_MAX, vpn - (areas.filter((vma) => vma.end <= vpn).at(-1)?.end ?? 0));
    return Math.min(PAGES_MAX, (areas.find((vma) => vma.start >= vpn)?.start ?? Number.POSITIVE_INFINITY) - vpn);
  },
});

const UNMAPPED = defineOperation({
  name: 'vm_unmapped_area',
  cost: 'vma',
  perform(cx, op) {
    const { list, top } = op.data as { list: VmaList; top: number };
    let end = top;
    for (const vma of list.read(cx).reverse()) {
      if (vma.start >= end) continue;
      if (end - vma.end >= op.a) break;
      end = Math.min(end, vma.start);
    }
    return top - (end - op.a);
  },
});

const COUNT = defineOperation({
  name: 'map_count',
  cost: 'load',
  perform: (cx, op) => (op.data as { list: VmaList }).list.read(cx).length,
});
const FIELD = defineOperation({
  name: 'vma_field',
  cost: 'load',
  perform: (cx, op) => (op.data as { list: VmaList }).list.field(cx, op.a, op.b),
});
