/** The host takes a frame from a guest that uses it: every interleaving on a machine with one vCPU. */
import {
  entryBranch,
  entryChoice,
  Frames,
  FREED_FRAME,
  LiveExecutor,
  program,
  RandomScheduler,
  routine,
  runScheduler,
  SystemBuilder,
  TabulatedExecutor,
  type Steps,
  type System,
} from '@shootdown/machine';
import { everyRun } from '@shootdown/machine/every-run';
import { addCpu, startCpu } from '@shootdown/cpu';
import { addVcpu, ept_violation, Vm, type Vcpu, type VcpuOptions } from '@shootdown/hypervisor';
import {
  _PAGE_ACCESSED,
  _PAGE_DIRTY,
  _PAGE_PRESENT,
  _PAGE_RW,
  _PAGE_TABLE,
  mk_pte,
  NestedMmu,
  PhysicalTlb,
  SecondStage,
  tinyShape,
  tlbGeometry,
} from '@shootdown/mmu';
import { describe, expect, it } from 'vitest';
import { GuestMemory, unmapGuestFrame, type GuestMemoryOptions } from './guest-memory.ts';

const RW = _PAGE_PRESENT | _PAGE_RW | _PAGE_ACCESSED | _PAGE_DIRTY;
/** Guest: root 0, table 1, one page at frame 2. */
const GFN = 2;
const TABLE_GFN = 1;

interface Wanted {
  readonly gfn?: number;
  readonly mutant?: GuestMemoryOptions['mutant'];
  readonly host?: VcpuOptions;
  /** False: a request for a flush is looked at by nobody. */
  readonly invept?: boolean;
}

function machine({ gfn = GFN, mutant, host, invept = true }: Wanted): { system: System; vcpu: Vcpu } {
  const builder = new SystemBuilder();
  const shape = tinyShape(2, 2);
  const hostFrames = new Frames(builder, {
    name: 'host.frame',
    tables: 3,
    entriesPerTable: 2,
    pages: 4,
    initialTables: [[]],
  });
  const frames = new Frames(builder, {
    tables: 2,
    entriesPerTable: 2,
    pages: 1,
    initialTables: [[mk_pte(TABLE_GFN, _PAGE_TABLE)], [mk_pte(GFN, RW)]],
    initialPages: 1,
  });
  const stage = new SecondStage(builder, { host: hostFrames, shape, root: 0, guestFrames: 4 });
  const one = tlbGeometry(1, 1);
  const tlb = new PhysicalTlb(
    builder,
    'tlb',
    shape.bitsPerLevel,
    { l1: one, l2: one, walkCacheEntries: 1 },
    { nestedTlb: 1, nestedTables: 1 },
  );
  const vm = new Vm(builder, {
    page_fault: (cx, missing, who) => memory.page_fault(cx, missing, who),
    takesMemory: true,
  });
  const memory: GuestMemory = new GuestMemory(builder, vm, { name: 'kvm', stage, ...(mutant && { mutant }) });
  const cpu = addCpu(builder, 0, []);
  const mmu: NestedMmu = new NestedMmu(builder, cpu.name, frames, shape, {
    stage,
    tlb,
    vpid: 1,
    violation: (cx, missing) => ept_violation(cx, vcpu, missing),
  });
  const vcpu: Vcpu = addVcpu(builder, cpu, {
    mmu,
    exploreBound: 1,
    ...host,
    of: { vm, interruptPending: () => false, ...(invept && { invept: (cx) => tlb.invept(cx) }) },
  });
  const accesses = routine('guest', function* (): Steps {
    yield* mmu.load_root(0, 1, true);
    for (let i = 0; i < 2; i++) yield* mmu.access(0, true);
  });
  const takes = routine('host', function* (): Steps {
    yield* unmapGuestFrame(memory, gfn);
  });
  startCpu(builder, cpu, [program(accesses)], {}, { gate: vcpu.gateName });
  builder.processor({ name: 'kswapd', tasks: [program(takes)] });
  return { system: builder.build(), vcpu };
}

describe('a guest frame that the host takes away', () => {
  it.each([
    ['the page', GFN],
    ['the page table that maps it', TABLE_GFN],
  ])('%s: after the flush no vCPU uses it, in every run, and the guest faults it in again', (_, gfn) => {
    expect(everyRun(machine({ gfn }).system)).toMatchObject({ violations: new Set(), deadlock: false });
  });

  it('nor if the vCPU may be preempted anywhere, on its way in too', () => {
    expect(everyRun(machine({ host: { entry: 'xchg', exploreBound: 2 } }).system)).toMatchObject({
      violations: new Set(),
      deadlock: false,
    });
  });

  it.each(['no flush', 'flush before zap', 'no kick', 'no wait'] as const)(
    '%s: a stale combined translation is used, and reported',
    (mutant) => {
      expect(everyRun(machine({ mutant }).system).violations).toEqual(new Set([FREED_FRAME]));
    },
  );

  it('a vCPU that does not look at its requests on the way in uses it too', () => {
    expect(everyRun(machine({ invept: false }).system).violations).toEqual(new Set([FREED_FRAME]));
  });

  it.each([undefined, 'no flush', 'no wait'] as const)('%s: live and tabulated execution agree', (mutant) => {
    const { system } = machine({ ...(mutant && { mutant }), host: { entry: 'xchg', exploreBound: 2 } });
    const [tabulated, live] = [new TabulatedExecutor(system), new LiveExecutor(system)];
    for (let seed = 0; seed < 20; seed++) {
      const { schedule } = runScheduler(tabulated, new RandomScheduler(seed), 80);
      live.reset();
      for (const entry of schedule) expect(live.step(entryChoice(entry), entryBranch(entry))).toBe(true);
      expect(live.fingerprint).toBe(tabulated.fingerprint);
    }
    live.stop();
  });
});
