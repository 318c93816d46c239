/**
 * Accesses to memory in exploration, translation and data in one step: an invalidation waits for accesses under way, so
 * nothing of it can fall between the two.
 */
import {
  assertThat,
  BLOCKED,
  defineOperation,
  FrameKind,
  operation,
  point,
  retry,
  routine,
  type Frames,
  type Operation,
  type OperationContext,
  type Steps,
  noted,
} from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { Fault, type SaturatedMmu, type SaturatedTlb } from '@shootdown/mmu';
import { handle_mm_fault } from '../fault.ts';
import type { Kernel, Mm } from '../kernel.ts';
import type { PageContents } from '../contents.ts';
import { SecondaryInvariant } from './invariants.ts';

/** What an access gave: a version (0 and up), or why it did not go through. */
export const AccessFault = { notPresent: -1, protection: -2, stopped: -3 } as const;

/** Somebody who accesses memory through one of the translations of a saturated TLB. */
export interface Agent {
  readonly tlb: SaturatedTlb;
  /** Its number in that TLB. */
  readonly index: number;
  readonly frames: Frames;
  readonly contents: PageContents;
  /** A word that is not 0 once the agent has been stopped. Left out: it never is. */
  readonly stopped?: number;
  /** J2 is not judged: the agent says itself what its loads must show. */
  readonly mayReadOld?: boolean;
}

/** A store of user code on a CPU: faults until it goes through. The mmap lock is left out: everybody would read it. */
export const user_write = routine(
  'user_write',
  function* (kernel: Kernel, cpu: Cpu, mm: Mm, vpn: number, version: number): Steps {
    for (;;) {
      yield* point('user_write');
      if ((yield* cpu_access(kernel, cpu, vpn, version)) >= 0) return;
      yield* handle_mm_fault(kernel, cpu, mm, vpn, true);
    }
  },
);

/** What threads of user code find out by themselves. */
export const READS_GO_FORWARD = 'a thread never reads an older value of a page than it has read, or written, before';

/** A load of user code on a CPU: faults until it goes through; the version read. */
const user_read = routine('user_read', (kernel: Kernel, cpu: Cpu, mm: Mm, vpn: number): Steps<number> =>
  retry(function* () {
    const version = yield* cpu_access(kernel, cpu, vpn, 0);
    if (version >= 0) return version;
    yield* handle_mm_fault(kernel, cpu, mm, vpn, false);
    return undefined;
  }),
);

/** A thread that reads a page twice. */
export const user_reads_twice = routine(
  'user_reads_twice',
  function* (kernel: Kernel, cpu: Cpu, mm: Mm, vpn: number): Steps {
    const first = yield* user_read(kernel, cpu, mm, vpn);
    const second = yield* user_read(kernel, cpu, mm, vpn);
    yield* assertThat(second >= first, READS_GO_FORWARD, `has read ${first}, then ${second}`);
  },
);

/** A thread that writes to a page and reads it again. */
export const user_reads_back = routine(
  'user_reads_back',
  function* (kernel: Kernel, cpu: Cpu, mm: Mm, vpn: number, version: number): Steps {
    yield* user_write(kernel, cpu, mm, vpn, version);
    const second = yield* user_read(kernel, cpu, mm, vpn);
    yield* assertThat(second >= version, READS_GO_FORWARD, `has written ${version}, then read ${second}`);
  },
);

/** One attempt of a CPU to load (version 0) or store. Its store waits in the store buffer, its translation does not. */
export const cpu_access = noted(function* cpu_access(
  kernel: Kernel,
  cpu: Cpu,
  vpn: number,
  version: number,
): Steps<number> {
  const { tlb, cpu: index } = kernel.mmus[cpu.id] as SaturatedMmu;
  const agent: Agent = { tlb, index, frames: kernel.frames, contents: kernel.contents as PageContents };
  return yield access(CPU_ACCESS, agent, vpn, version);
});

/** One attempt of a guest or device to load (version 0) or store through its secondary MMU. */
export const secondary_access = noted(function* secondary_access(
  agent: Agent,
  vpn: number,
  version: number,
): Steps<number> {
  return yield access(SECONDARY_ACCESS, agent, vpn, version);
});

function access(definition: typeof CPU_ACCESS, agent: Agent, vpn: number, version: number): Operation {
  const label = version > 0 ? `store to page ${vpn}` : `load from page ${vpn}`;
  return operation(definition, agent.tlb.pageNumber(vpn), version, vpn, agent, {
    label,
    fact: (result) => factOf(result, version),
  });
}

function factOf(result: number, version: number): string {
  if (result === AccessFault.notPresent) return 'fault: not present';
  if (result === AccessFault.protection) return 'fault: read-only';
  if (result === AccessFault.stopped) return 'stopped';
  return version > 0 ? `value ${version}` : `reads ${result}`;
}

const outcomes = (cx: OperationContext, op: Operation): number => {
  const { tlb, index } = op.data as Agent;
  return tlb.outcomes(cx, index, op.a, op.b > 0);
};

/** The frame of the translation taken, or the fault. */
function translate(cx: OperationContext, op: Operation, branch: number): number {
  const { tlb, index } = op.data as Agent;
  const resolved = tlb.resolve(cx, index, op.a, op.b > 0, branch);
  if (resolved.fault === Fault.none) return resolved.frame;
  tlb.access(cx, index, op.a, resolved);
  return faultCode(resolved.fault);
}

function faultCode(fault: number): number {
  return fault === Fault.notPresent ? AccessFault.notPresent : AccessFault.protection;
}

const CPU_ACCESS = defineOperation({
  name: 'user_access',
  role: 'environment',
  cost: 'tlb_hit',
  branches: outcomes,
  perform(cx, op, branch) {
    const { tlb, index, contents } = op.data as Agent;
    const resolved = tlb.resolve(cx, index, op.a, op.b > 0, branch);
    if (op.b === 0) {
      const fault = tlb.access(cx, index, op.a, resolved);
      return fault === Fault.none ? cx.load(contents.versions.at(resolved.frame)) : faultCode(fault);
    }
    const fault = tlb.store(cx, index, op.a, resolved, (frame) => contents.versions.at(frame), op.b);
    return fault === Fault.none ? op.b : fault === BLOCKED ? BLOCKED : faultCode(fault);
  },
});

function performSecondaryAccess(cx: OperationContext, op: Operation, branch: number): number {
  const { frames, contents, stopped } = op.data as Agent;
  if (stopped !== undefined && cx.read(stopped) !== 0) return AccessFault.stopped;
  const frame = translate(cx, op, branch);
  if (frame < 0) return frame;
  const hex = `0x${frame.toString(16)}`;
  if (cx.read(frames.state.at(frame)) !== FrameKind.page)
    cx.fail(SecondaryInvariant.J1, () => `page ${op.c} is still ${hex} there`);
  if (op.b > 0) {
    if (contents.isKsm(cx, frame)) cx.fail(SecondaryInvariant.J5, () => `page ${op.c} is ${hex}`);
    cx.write(contents.versions.at(frame), op.b);
    return op.b;
  }
  const { mayReadOld } = op.data as Agent;
  // Its stores are in memory at once, so a load of its own is one of memory; on arm it need not be of the newest.
  const version = mayReadOld ? cx.load(contents.versions.at(frame)) : cx.read(contents.versions.at(frame));
  const newest = cx.read(contents.newest.at(op.c));
  if (version < newest && !mayReadOld)
    cx.fail(
      SecondaryInvariant.J2,
      () => `page ${op.c} is still ${hex} there and holds ${version}, memory has ${newest}`,
    );
  return version;
}

/**
 * A secondary agent is coherent and has no store buffer: leaving guest mode and a device's answer to an invalidation
 * drain it.
 */
const SECONDARY_ACCESS = defineOperation({
  name: 'secondary_access',
  role: 'environment',
  cost: 'tlb_hit',
  branches: outcomes,
  perform: performSecondaryAccess,
  weak(cx, memory, op, branch) {
    const result = performSecondaryAccess(cx, op, branch);
    const { tlb, index } = op.data as Agent;
    memory.handOnTo(tlb.components[index] as number);
    return result;
  },
});
