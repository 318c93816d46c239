/**
 * What operations cost, in cycles.
 *
 * One table per architecture; every number names its source. Absolute times mean little; the tables exist so that
 * designs can be compared on the same terms. Entries are looked up by `OperationDefinition.cost ?? name`.
 */

/** A cost with the place it comes from. */
export interface Cost {
  readonly cycles: number;
  readonly source: string;
}

/** A cost table. `default` stands for operations without an entry. */
export interface CostModel {
  readonly name: string;
  readonly hertz: number;
  readonly costs: Readonly<Record<string, Cost>>;
}

const cost = (cycles: number, source: string): Cost => ({ cycles, source });

const HANSEN_2014 = 'Dave Hansen, x86/mm TLB series, 2014';
const MOLNAR_2015 = 'Ingo Molnar, lkml, 2015';
const RULE_OF_THUMB = 'rule of thumb; no measurement found';
const NOT_FOUND = 'no measurement found';
const CORE_TO_CORE = 'nviennot/core-to-core-latency, Xeon 8275CL at 3 GHz: 7.6 ns siblings, 47 ns, 134 ns sockets';
const INTEL_2008 = 'Intel, Performance Analysis Guide for Core i7 and Xeon 5500';
const LU_2018 = 'Aaron Lu, lkml, 2018: most of the time under zone->lock is cache misses on struct page';
const LUTOMIRSKI_2017 = 'kvm-unit-tests, Andy Lutomirski, 2017';

/** x86-64 at 3 GHz. */
export const x86Costs: CostModel = {
  name: 'x86-64',
  hertz: 3_000_000_000,
  costs: {
    default: cost(4, RULE_OF_THUMB),
    load: cost(4, 'L1 hit'),
    store: cost(1, 'store buffer'),
    xchg: cost(20, 'Agner Fog, instruction tables: LOCK-prefixed read-modify-write, line in L1'),
    cmpxchg: cost(20, 'Agner Fog, instruction tables: LOCK CMPXCHG, line in L1'),
    acquire: cost(20, 'as cmpxchg'),
    wait: cost(4, 'one more spin'),
    smp_mb: cost(33, 'Agner Fog, instruction tables: MFENCE or LOCK ADD'),
    smp_wmb: cost(0, 'compiler barrier on x86'),
    smp_rmb: cost(0, 'compiler barrier on x86'),
    nop: cost(4, RULE_OF_THUMB),
    choose: cost(0, 'no instruction'),
    rest: cost(0, 'no instruction'),
    drain: cost(10, RULE_OF_THUMB),
    local_irq: cost(3, 'CLI/STI, Agner Fog, instruction tables'),
    ipi_send: cost(600, 'per extra target; ' + RULE_OF_THUMB),
    ipi: cost(1500, 'one way; ' + RULE_OF_THUMB),
    line: cost(141, `a cache line from another core; ${CORE_TO_CORE}`),
    line_sibling: cost(23, `from the other thread of the core; ${CORE_TO_CORE}`),
    line_remote: cost(402, `from another socket; ${CORE_TO_CORE}`),
    dram: cost(180, `a line from memory of the own node, about 60 ns; ${INTEL_2008}`),
    dram_remote: cost(300, `of the other socket, about 100 ns; ${INTEL_2008}`),
    ipi_remote: cost(1761, `to another socket: ipi, and what the way adds to a cache line; ${CORE_TO_CORE}`),
    interrupt_entry: cost(500, 'IPI handler entry and exit; ' + RULE_OF_THUMB),
    invlpg: cost(250, `INVLPG, ${MOLNAR_2015} (260), ${HANSEN_2014} (~100 ns)`),
    cr3_write: cost(100, `CR3 write, ${MOLNAR_2015} (96)`),
    tlb_hit: cost(1, 'L1 TLB hit, hidden'),
    tlb_l2_hit: cost(7, 'STLB hit, Intel optimization manual'),
    page_walk: cost(45, `dTLB refill, ${HANSEN_2014}`),
    page_fault: cost(1000, 'exception entry and exit with mitigations; ' + RULE_OF_THUMB),
    page_copy: cost(1000, '4 KB copy, about 4 B per cycle; ' + RULE_OF_THUMB),
    memcmp: cost(500, 'two pages of 4 KB compared to the end, about 16 B per cycle; ' + RULE_OF_THUMB),
    page_zero: cost(500, '4 KB clear; ' + RULE_OF_THUMB),
    page_alloc: cost(200, RULE_OF_THUMB),
    page_free: cost(100, RULE_OF_THUMB),
    buddy: cost(180, `a page back to its zone: the struct page of its buddy, as dram; ${LU_2018}`),
    swap_writepage: cost(6000, 'a page of 4 KB to compressed memory, about 2 us; ' + RULE_OF_THUMB),
    syscall: cost(200, RULE_OF_THUMB),
    vma: cost(300, 'maple tree operation; ' + RULE_OF_THUMB),
    vmexit: cost(
      1250,
      `exit that the kernel handles, and entry: between vmcall and cpuid (1291 to 1313), ${LUTOMIRSKI_2017}`,
    ),
    vmexit_hypercall: cost(1190, `vmcall and entry: ${LUTOMIRSKI_2017} (1181 to 1195)`),
    vmexit_device: cost(2400, `exit to a device in the kernel, and entry: ${LUTOMIRSKI_2017} (2339 to 2435)`),
    ept_violation: cost(7500, 'exit, kvm_tdp_page_fault() and entry; ' + RULE_OF_THUMB),
    kvm_page_fault: cost(6250, 'kvm_tdp_page_fault() but for what is modelled: ept_violation without vmexit'),
    second_stage_reference: cost(11, 'a quarter of page_walk: a native walk of four references'),
    compute: cost(1000, "a thousand cycles of the program's own"),
    mmu_update: cost(100, 'one page-table update checked by a hypervisor, within a hypercall; ' + RULE_OF_THUMB),
    hypercall_flush: cost(
      2750,
      'from the hypercall to the flush of a vCPU that runs: an IPI between physical CPUs and its exit; ' +
        RULE_OF_THUMB,
    ),
    invlpgb: cost(250, 'issue only, taken for an INVLPG; ' + NOT_FOUND),
    invlpgb_remote: cost(
      1000,
      'from INVLPGB to its effect on another CPU, taken for TLBI + DSB on arm64; ' + NOT_FOUND,
    ),
    tlbsync: cost(50, 'without outstanding INVLPGB, taken for a DSB; ' + NOT_FOUND),
    device_message: cost(
      1500,
      'a write that a device sees, or one of its own that a CPU sees: half a microsecond; ' + RULE_OF_THUMB,
    ),
    message: cost(100, RULE_OF_THUMB),
  },
};

/** arm64 at 3 GHz. What is not listed costs as on x86. */
export const arm64Costs: CostModel = {
  name: 'arm64',
  hertz: 3_000_000_000,
  costs: {
    ...x86Costs.costs,
    smp_mb: cost(20, 'DMB ISH; ' + RULE_OF_THUMB),
    smp_wmb: cost(20, 'DMB ISHST, taken for a DMB ISH; ' + RULE_OF_THUMB),
    smp_rmb: cost(20, 'DMB ISHLD, taken for a DMB ISH; ' + RULE_OF_THUMB),
    dsb: cost(50, 'DSB ISHST without outstanding TLBI; ' + RULE_OF_THUMB),
    isb: cost(20, 'ISB; ' + RULE_OF_THUMB),
    tlbi: cost(50, 'issue only; ' + RULE_OF_THUMB),
    dvm_remote: cost(1261, `to another socket: dvm, and what the way adds to a cache line; ${CORE_TO_CORE}`),
    dvm: cost(1000, 'TLBI + DSB: 3.2 to 2.85 us in mprotect none to rw, about 0.35 us for one'),
  },
};

/** The cost models that ship, by name. */
export const costModels: Readonly<Record<string, CostModel>> = { 'x86-64': x86Costs, arm64: arm64Costs };

/** Cycles of an entry. */
export function cyclesOf(model: CostModel, name: string): number {
  return (model.costs[name] ?? model.costs['default'])?.cycles ?? 0;
}

/** A copy with some entries replaced, for experiments. */
export function withCosts(model: CostModel, cycles: Readonly<Record<string, number>>): CostModel {
  const changed = Object.fromEntries(
    Object.entries(cycles).map(([name, value]) => [name, cost(value, 'set by the user')]),
  );
  return { ...model, name: `${model.name} (changed)`, costs: { ...model.costs, ...changed } };
}
