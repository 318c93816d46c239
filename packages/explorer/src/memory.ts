/**
 * How much memory a search may still take. It looks at what the process has been given: the heap of V8, the address
 * space (`ulimit -v`), the memory of the computer or of the container. Where none of that can be asked, as in a
 * browser, there is no limit.
 */

/** Of what was there when the search began, so much may be used: the rest is for telling what was found. */
const SHARE = 0.75;
/** Of a small space at least so much, or this share, is left: V8 ends a process that cannot have room to collect. */
const RESERVE_BYTES = 64 * 2 ** 20;
const SHARE_MIN = 0.25;

/** One kind of memory: how much is in use, and how much there is. */
interface Kind {
  readonly used: () => number;
  readonly limit: number;
  /** Bytes that must stay free, if that leaves anything. */
  readonly reserve?: number;
}

/** Tells when a search must stop. */
export class MemoryLimit {
  readonly #kinds: readonly Kind[];

  /** @param maxBytes memory of the whole process, whatever else there is */
  constructor(maxBytes = Number.POSITIVE_INFINITY, kinds: readonly Kind[] = kindsOfProcess(), asked = residentBytes()) {
    const shares = kinds.map(({ used, limit, reserve = 0 }) => {
      const before = used();
      const room = limit - before;
      return { used, limit: before + Math.max(SHARE_MIN * room, Math.min(SHARE * room, room - reserve)) };
    });
    this.#kinds =
      asked === null || maxBytes === Number.POSITIVE_INFINITY ? shares : [...shares, { used: asked, limit: maxBytes }];
  }

  /** True if three quarters of what there was are used, or all that may be. A few microseconds. */
  get exceeded(): boolean {
    return this.#kinds.some(({ used, limit }) => used() > limit);
  }
}

/** Whether an error says that memory could not be had. */
export function isOutOfMemory(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause)
    if (at instanceof RangeError && /allocation failed|Invalid typed array length|Array buffer/i.test(at.message))
      return true;
  return false;
}

const PAGE_BYTES = 4096;

/** What Node can be asked for, if this is Node. */
interface Node {
  readonly memoryUsage?: { rss(): number };
  availableMemory?(): number;
  getBuiltinModule?(id: string): unknown;
}

/** What tells how much memory the process has; null: nobody can. */
function residentBytes(): (() => number) | null {
  const usage = nodeOf()?.memoryUsage;
  return usage ? () => usage.rss() : null;
}

function nodeOf(): Node | undefined {
  return (globalThis as { readonly process?: Node }).process;
}

function kindsOfProcess(): Kind[] {
  const node = nodeOf();
  const builtin = <T>(id: string): T | undefined => node?.getBuiltinModule?.(id) as T | undefined;
  const v8 = builtin<{ getHeapStatistics(): { used_heap_size: number; heap_size_limit: number } }>('node:v8');
  const fs = builtin<{ readFileSync(path: string, encoding: 'utf8'): string }>('node:fs');
  const kinds: Kind[] = [];
  if (v8) {
    const limit = v8.getHeapStatistics().heap_size_limit;
    kinds.push({ used: () => v8.getHeapStatistics().used_heap_size, limit });
  }
  const usage = node?.memoryUsage;
  const available = node?.availableMemory?.();
  if (usage && available !== undefined) kinds.push({ used: () => usage.rss(), limit: usage.rss() + available });
  const addressSpace = fs && addressSpaceOf((path) => fs.readFileSync(path, 'utf8'));
  return addressSpace ? [...kinds, addressSpace] : kinds;
}

/** The address space of a Linux process that has a limit on it. */
function addressSpaceOf(read: (path: string) => string): Kind | null {
  try {
    const limit = Number(/^Max address space +(\d+)/m.exec(read('/proc/self/limits'))?.[1]);
    const used = (): number => Number(read('/proc/self/statm').split(' ')[0]) * PAGE_BYTES;
    return Number.isFinite(limit) && Number.isFinite(used()) ? { used, limit, reserve: RESERVE_BYTES } : null;
  } catch {
    return null;
  }
}
