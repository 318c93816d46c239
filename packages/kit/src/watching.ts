/** What a model may want to see: accesses as they happen, promises, the return of a system call. */
import {
  BLOCKED,
  defineOperation,
  FrameKind,
  ModelError,
  operation,
  printable,
  type Frames,
  type Operation,
  type OperationContext,
} from '@shootdown/machine';
import { formatEntry, pte_pfn, type AccessObserver } from '@shootdown/mmu';

/** An access that goes through. */
export interface Access {
  /** Number of the CPU. */
  readonly cpu: number;
  /** Virtual page number. */
  readonly vpn: number;
  /** The page frame behind the translation. */
  readonly frame: number;
  /** The translation: an entry that memory has now, or had. */
  readonly entry: number;
  readonly write: boolean;
}

/**
 * Judges an access.
 * @param read memory, by address: page tables, ghost words
 * @returns false if it violates the property
 */
export type AccessRule = (access: Access, read: (address: number) => number) => boolean;

/** Fails the property at the access that violates it. */
export function accessObserver(property: string, rule: AccessRule): AccessObserver {
  return {
    used(cx, _root, vpn, entry, cpu, write) {
      const allowed: unknown = rule({ cpu, vpn, frame: pte_pfn(entry), entry, write }, (address) => cx.read(address));
      if (typeof allowed !== 'boolean')
        throw new ModelError(
          `kit: onAccess: ${property}: the rule returned ${printable(allowed)}, which is neither true nor false`,
        );
      if (allowed) return;
      const what = `${write ? 'writes' : 'reads'} page 0x${vpn.toString(16)} through ${formatEntry(entry)}`;
      cx.fail(property, () => `CPU${cpu} ${what}`);
    },
  };
}

/** Writes a word that no kernel has. It is a step, as everything that others may see before or after. */
export const GHOST = defineOperation({
  name: 'ghost',
  role: 'environment',
  cost: 'choose',
  addressed: true,
  perform(cx, op) {
    cx.write(op.a, op.b);
    return 0;
  },
  footprint: (op) => ({ reads: [], writes: [op.a] }),
});

/** Words of data behind page frames: address by frame. */
export type DataOf = (frame: number) => number;

interface KernelAccess {
  readonly frames: Frames;
  readonly data: DataOf | null;
}

function checked(cx: OperationContext, op: Operation, what: string): KernelAccess {
  const access = op.data as KernelAccess;
  access.frames.check(cx, op.a, FrameKind.page, what);
  return access;
}

/** The kernel reads a page through its own mapping of all memory: a frame, whoever maps it. */
export const KERNEL_READ = defineOperation({
  name: 'kernel_read',
  cost: 'load',
  perform(cx, op) {
    const { data } = checked(cx, op, 'the kernel reads page');
    return data === null ? 0 : cx.load(data(op.a));
  },
});

/** The same, a store. */
export const KERNEL_WRITE = defineOperation({
  name: 'kernel_write',
  cost: 'store',
  perform(cx, op) {
    const { data } = checked(cx, op, 'the kernel writes page');
    return data === null || cx.storeBuffered(data(op.a), op.b) ? 0 : BLOCKED;
  },
});

/** A kernel's access to a frame, as an operation. */
export function kernelAccess(
  definition: typeof KERNEL_READ,
  frames: Frames,
  data: DataOf | null,
  frame: number,
  value: number,
): Operation {
  const hex = `0x${frame.toString(16)}`;
  const access: KernelAccess = { frames, data };
  const shows = definition === KERNEL_READ && data !== null;
  return operation(definition, frame, value, 0, access, {
    label: definition === KERNEL_READ ? `*page_address(${hex})` : `*page_address(${hex}) = ${value}`,
    ...(shows && { fact: (word: number) => String(word) }),
  });
}
