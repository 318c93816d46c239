/**
 * What the instructions of {@link MmuInstructions} do, one step each: when they wait, and what they tell the MMU of
 * their CPU and, by channels, those of others.
 */
import {
  BLOCKED,
  defineOperation,
  operation,
  type Message,
  type Operation,
  type OperationContext,
  type Request,
} from '@shootdown/machine';
import type { MmuInstructions } from './instructions.ts';

interface AtOnce {
  readonly targets: (cx: OperationContext) => readonly MmuInstructions[];
  readonly message: Message;
}

const tellOwnMmu = (cx: OperationContext, op: Operation): number => {
  cx.send(op.a, op.data as Message);
  return 0;
};

/** CR3 writes, INVLPG and INVPCID are serializing: stores before them are in memory first (Intel SDM vol. 3A, 9.3). */
const tellWhenDrained = (cx: OperationContext, op: Operation): number => (cx.drained() ? tellOwnMmu(cx, op) : BLOCKED);

export const INVLPG = defineOperation({ name: 'invlpg', effect: true, perform: tellWhenDrained });
export const INVPCID = defineOperation({ name: 'invpcid', effect: true, cost: 'cr3_write', perform: tellWhenDrained });
export const CR3_WRITE = defineOperation({ name: 'cr3_write', effect: true, perform: tellWhenDrained });
/** No barrier: on arm64 a store to a table before it is ordered by the DSB that comes with the change. */
export const MSR_TTBR0_EL1 = defineOperation({
  name: 'msr_ttbr0_el1',
  cost: 'cr3_write',
  architecture: 'arm64',
  perform: tellOwnMmu,
});
export const FLUSH_AT_ONCE = defineOperation({
  name: 'flush_at_once',
  cost: 'invlpg',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const { targets, message } = op.data as AtOnce;
    for (const { port } of targets(cx)) cx.send(port, message);
    return 0;
  },
});
export const SFENCE_VMA = defineOperation({ name: 'sfence_vma', cost: 'invlpg', perform: tellWhenDrained });
export const TLBI = defineOperation({ name: 'tlbi', effect: true, perform: tellOwnMmu });

/** Here at once, and on its way to all others; waits while a channel is full. */
function everywhere(cx: OperationContext, op: Operation): number {
  const { mmu, message } = op.data as { mmu: MmuInstructions; message: Message };
  if (mmu.broadcast.some((channel) => cx.channelFull(channel))) return BLOCKED;
  cx.send(op.a, message);
  for (const channel of mmu.broadcast) cx.send(channel, message);
  return 0;
}

export const TLBI_IS = defineOperation({ name: 'tlbi_is', cost: 'tlbi', perform: everywhere });
export const INVLPGB = defineOperation({ name: 'invlpgb', perform: everywhere });

/** The same for the CPUs of a mask, when what was stored before the exit is in memory. */
export const HYPERCALL = defineOperation({
  name: 'hypercall',
  cost: 'vmexit_hypercall',
  perform(cx, op) {
    const { mmu, message } = op.data as { mmu: MmuInstructions; message: Message };
    const targets = mmu.channels.filter((_, to) => (op.b & (1 << to)) !== 0);
    if (!cx.drained() || targets.some((channel) => channel >= 0 && cx.channelFull(channel))) return BLOCKED;
    for (const channel of targets) cx.send(channel < 0 ? op.a : channel, message);
    return 0;
  },
});

/** What a DSB, and an ISB, do for their own processor on a weakly ordered machine. */
const ALL_DONE = { kind: 'dsb', type: 'full', dependencies: null } as const satisfies Request;
const STORES_DONE = { kind: 'dsb', type: 'store', dependencies: null } as const satisfies Request;
const SYNCHRONISED = { kind: 'isb', dependencies: null } as const satisfies Request;

/** Operands: whether it waits for invalidations, whether it is shareable, whether it looks at stores alone. */
export const DSB = defineOperation({
  name: 'dsb',
  ordering: 'full',
  architecture: 'arm64',
  weaker: ({ definition, a, b, data }, memoryModel) =>
    memoryModel === 'arm' && a === 1
      ? [{ change: 'dsb-ishst-instead', operation: operation(definition, 0, b, 1, data, { label: 'dsb(ishst)' }) }]
      : [],
  role: 'barrier',
  leftOut: () => 0,
  perform: (cx, op) => (cx.drained() ? synchronisedWalks(cx, op) : BLOCKED),
  weak(cx, memory, op) {
    const result = synchronisedWalks(cx, op);
    if (result !== BLOCKED) memory.request(op.c === 1 ? STORES_DONE : ALL_DONE);
    return result;
  },
});

/** What a DSB is to the MMUs: its invalidations are complete, and walks see what was stored before. */
function synchronisedWalks(cx: OperationContext, op: Operation): number {
  const mmu = op.data as MmuInstructions;
  if (op.a === 1 && !mmu.complete(cx)) return BLOCKED;
  mmu.ordered(cx, op.b === 1);
  return completed(cx, op, 'dsb');
}

/** The MMU answers that everything that it has sent is complete. */
function completed(cx: OperationContext, op: Operation, type: string): number {
  cx.note((op.data as MmuInstructions).port, type);
  return 0;
}

/** TLBSYNC is serializing. */
export const TLBSYNC = defineOperation({
  name: 'tlbsync',
  leftOut: () => 0,
  perform: (cx, op) =>
    cx.drained() && (op.data as MmuInstructions).complete(cx) ? completed(cx, op, 'tlbsync') : BLOCKED,
});

export const HYPERCALL_RETURNS = defineOperation({
  name: 'hypercall_returns',
  role: 'part',
  cost: 'wait',
  perform: (cx, op) => ((op.data as MmuInstructions).complete(cx) ? 0 : BLOCKED),
});

export const ISB = defineOperation({
  name: 'isb',
  ordering: 'context',
  architecture: 'arm64',
  role: 'barrier',
  perform: () => 0,
  weak: (_cx, memory) => memory.request(SYNCHRONISED),
  footprint: () => ({ reads: [], writes: [] }),
});
