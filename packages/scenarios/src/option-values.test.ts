/**
 * Words and numbers that mean nothing, all over the public API: each would be taken for something else, and the verdict
 * would be that of another machine.
 */
import { printedHeader, readProgram, replacements, sidesOf } from '@shootdown/c';
import { addCpu, Scheduler, startCpu, type Cpu } from '@shootdown/cpu';
import { explore, fuzz } from '@shootdown/explorer';
import { addHost, addVcpu, Vm } from '@shootdown/hypervisor';
import { ModelError, program, rest, routine, SystemBuilder, type Steps } from '@shootdown/machine';
import {
  arm64FlushKernelRange,
  CHANGE_PTE_X86,
  daemons,
  filemap,
  gup,
  hypercallTlbFlush,
  invlpgbFlushKernelRange,
  ipiTlb,
  kickedVcpus,
  Kvm,
  kvmTlbFlush,
  FAULT_PROTOCOL,
  lazy,
  Mm,
  riscvVmap,
  secondary,
  Smp,
  vmalloc,
  x86FlushKernelRange,
  x86Tlb,
} from '@shootdown/mm';
import { connectMmus, SaturatedTlb } from '@shootdown/mmu';
import { MmuNotifierSubscriptions } from '@shootdown/mmu-notifier';
import { PercpuRwsem, Rcu } from '@shootdown/sync';
import { MachineRunner } from '@shootdown/topology';
import { describe, expect, it } from 'vitest';
import { runChangePte } from './change-pte.cost.ts';
import { flushCounts } from './demos/flush-counts.ts';
import { vmallocOffer } from './ptdump-vmalloc.c.ts';

/** Looked at later than what is refused. */
const ANY = null as never;
const TREE = { puds: 1, pmds: 1, ptes: 1 };
const { NotifierEra } = secondary;

const builder = new SystemBuilder();
const system = (() => {
  const own = new SystemBuilder();
  own.processor({ name: 'CPU0', tasks: [program(routine('rests', () => rest()))] });
  return own.build();
})();
const twoCpus = (): Smp => {
  const own = new SystemBuilder();
  return new Smp(own, [addCpu(own, 0), addCpu(own, 1)]);
};
const kernel = new vmalloc.VmallocKernel(new SystemBuilder(), { tree: TREE, processors: 1 });

/** What somebody says who is told what a routine is made of when it begins. */
async function begins(steps: () => Steps<unknown>): Promise<void> {
  const own = new SystemBuilder();
  own.processor({ name: 'CPU0', tasks: [program(routine('begins', steps))] });
  await explore(own.build());
}

const x86 = (options: object) => () => x86Tlb(builder, twoCpus(), [], () => [], options);
const vcpu = (options: object) => () => addVcpu(builder, { id: 0 }, options);
const kvm = (options: object) => () =>
  new Kvm(builder, 'kvm', { frames: ANY, table: ANY, format: ANY, lock: ANY, tlb: ANY, ...options } as never);
const notifiers = (design: object) => () =>
  secondary.notifierRules({ ...NotifierEra.E5, ...design } as secondary.NotifierDesign);

const V6_18 = { tables: vmalloc.freeTables.keyed, tryHuge: 'free', largest: 'pud' } as const;
const vmap = (design: object) => () =>
  begins(() => vmalloc.vmap_range(kernel, 0, { ...V6_18, ...design } as vmalloc.VmapDesign, 0, 0));

const BATCH = { batch: 1, allocation: 'succeeds', one: 'at once', free: 'call-rcu' } as const;
const unmap = (design: object) => () =>
  begins(() => gup.unmap_region(ANY, ANY, { tableFreeing: BATCH, unmap: 'munmap', ...design } as gup.UnmapDesign));
const freeing = (rule: object) => unmap({ tableFreeing: { ...BATCH, ...rule } });

const PAE = {
  reader: 'low-high-low',
  flushPosition: 'after-ptl',
  clear: 'split',
  fault: 'anonymous',
  recheck: 'none',
  irqs: 'off',
  counted: 'after the clear',
} as const;
const pae = (design: object) => () => begins(() => gup.gup_fast_pte(ANY, ANY, { ...PAE, ...design } as gup.PaeDesign));

const zap = (design: object) => () =>
  begins(() =>
    filemap.zap_page_range(ANY, ANY, 0, { flushUnderPtl: true, delayedRmap: true, ...design } as filemap.ZapDesign),
  );
const writeback = (design: object) => () =>
  begins(() => filemap.writeback(ANY, ANY, 0, design as filemap.WritebackDesign));

const lazyMmu = (options: object) => () =>
  new lazy.LazyMmu(builder, {
    frames: ANY,
    cpus: [],
    tasks: 1,
    arch: lazy.lazyArchs['xen-pv'],
    invalidate: () => undefined,
    pageAt: () => 0,
    ...options,
  } as never);
const offered = (options: object) => () => printedHeader({ ...vmallocOffer, ...options } as never, {});
const replaced = (options: object) => () =>
  replacements({ offer: vmallocOffer as never, files: [], parameters: {}, own: {}, ...options });
const changePte = (options: object) => () => runChangePte(ANY, 'merge', 1, options);
const saturated = (options: object) => () => new SaturatedTlb(builder, [], ANY, ANY, 0, [], options);
const guards = (given: object) => () =>
  begins(() => gup.gup_fast_fallback(ANY, ANY, { ...gup.GUP_GUARDS, ...given } as gup.GupGuards));

/** By what begins the line: calls, and what of the line is about the value. */
const refused: Readonly<Record<string, readonly (readonly [() => unknown, string])[]>> = {
  'x86Tlb: ': [
    [x86({ mutant: 'no locl flush' }), 'mutant: "no locl flush" is none of lazy CPUs'],
    [x86({ mutant: 'no locl flush' }), ': did you mean no local flush?'],
    [x86({ invlpgb: { mutant: 'no TLBSYN' } }), 'invlpgb: mutant: "no TLBSYN" is none of no TLBSYNC, '],
    [x86({ invlpgb: { lazyFirst: 'no' } }), 'invlpgb: lazyFirst: expected true or false ("no")'],
    [x86({ invlpgb: { countMax: 0 } }), 'invlpgb: countMax: expected a whole number from 1 (0)'],
    [x86({ invlpgb: true }), 'invlpgb: expected an object of countMax, lazyFirst, mutant (true)'],
    [x86({ lazy: [2] }), 'lazy[0]: expected a whole number 0 .. 1 (2)'],
    [x86({ ceiling: '33' }), 'ceiling: expected a whole number from 0 ("33")'],
    [x86({ flush_tlb_multi: 'kvm' }), 'flush_tlb_multi: expected a function ("kvm")'],
  ],
  'mm: hypercallTlbFlush: ': [
    [() => hypercallTlbFlush({ hypervisor: 'xenpv' as never }), 'hypervisor: "xenpv" is none of hyper-v, xen-pv'],
    [() => hypercallTlbFlush({ hypervisor: 'xen-pv', mayFail: 1 as never }), 'mayFail: expected true or false (1)'],
    [() => hypercallTlbFlush({ hypervisor: 'hyper-v', mutant: 'no' as never }), 'mutant: "no" is none of lazy CPUs'],
  ],
  'mm: kvmTlbFlush: ': [
    [() => kvmTlbFlush({ stealTime: [], mutant: 'plain' as never }), 'mutant: "plain" is none of plain store'],
  ],
  'hypervisor: vCPU0: addVcpu: ': [
    [vcpu({ honoursFlush: 'no' }), 'honoursFlush: expected true or false ("no")'],
    [vcpu({ keepsPendingFlush: 'no' }), 'keepsPendingFlush: expected true or false ("no")'],
    [vcpu({ onlyAtInstructionBoundary: 0 }), 'onlyAtInstructionBoundary: expected true or false (0)'],
    [vcpu({ waits: 'yes' }), 'waits: expected true or false ("yes")'],
    [vcpu({ entry: 'atomik' }), 'entry: "atomik" is none of atomic, xchg, read_then_clear: did you mean atomic?'],
    [vcpu({ entry: ['reed'] }), 'entry[0]: "reed" is none of exchange, read, clear: did you mean read?'],
    [vcpu({ exploreBound: -2 }), 'exploreBound: expected a whole number from -1 (-2)'],
    [vcpu({ emulator: { translates: () => undefined } }), 'emulator: translate: expected a function (undefined)'],
    [
      vcpu({ of: { vm: ANY, interruptPending: () => true, invep: 1 } }),
      'of: unknown option invep: did you mean invept?',
    ],
  ],
  'vmalloc: kernel: new: ': [
    [
      () => new vmalloc.VmallocKernel(builder, { tree: { ...TREE, ptess: 1 } as never, processors: 1 }),
      'tree: unknown option ptess: did you mean ptes? (have: puds, pmds, ptes)',
    ],
    [
      () => new vmalloc.VmallocKernel(builder, { tree: { ...TREE, pmds: 0 }, processors: 1 }),
      'tree: pmds: expected a whole number from 1 (0)',
    ],
    [
      () => new vmalloc.VmallocKernel(builder, { tree: TREE, processors: 1, withoutDsb: 'no' as never }),
      'withoutDsb: expected true or false ("no")',
    ],
  ],
  'ptdump: new: ': [
    [
      () => vmalloc.addPtdump(builder, kernel, 'ptdump', 'sngle' as never),
      'fetch: "sngle" is none of single, multi, multi-7.0: did you mean single?',
    ],
  ],
  'vmalloc: vmap_range: design: ': [
    [
      vmap({ tables: { ...vmalloc.freeTables.keyed, pmd_free_pte_pag: vmalloc.freeTables.v1.pmd_free_pte_page } }),
      'tables: unknown option pmd_free_pte_pag: did you mean pmd_free_pte_page?',
    ],
    [vmap({ tables: { pmd_free_pte_page: () => 1 } }), 'tables: pud_free_pmd_page is missing'],
    [vmap({ largest: 'PUD' }), 'largest: "PUD" is none of pud, pmd'],
    [vmap({ tryHuge: 'fre' }), 'tryHuge: "fre" is none of free, trylock, '],
    [vmap({ tryhuge: 'free' }), 'unknown option tryhuge: did you mean tryHuge?'],
  ],
  'gup: unmap_region: design: ': [
    [unmap({ unmap: 'dontned' }), 'unmap: "dontned" is none of munmap, dontneed: did you mean dontneed?'],
    [unmap({ tableFreing: BATCH }), 'unknown option tableFreing: did you mean tableFreeing?'],
    [freeing({ one: 'sync-rcuu' }), 'tableFreeing: one: "sync-rcuu" is none of sync-ipi, sync-rcu, '],
    [freeing({ free: 'rcu' }), 'tableFreeing: free: "rcu" is none of call-rcu, at once'],
    [freeing({ allocation: true }), 'tableFreeing: allocation: true is none of succeeds, fails, may fail'],
    [freeing({ batch: 'with page' }), 'tableFreeing: batch: "with page" is none of with pages'],
    [freeing({ batch: undefined }), 'tableFreeing: batch is missing'],
  ],
  'gup: PAE: design: ': [
    ...Object.keys(PAE).map((name) => [pae({ [name]: 'of' }), `${name}: "of" is none of `] as const),
    [pae({ rechek: 'none' }), 'unknown option rechek: did you mean recheck?'],
  ],
  'filemap: zap_page_range: design: ': [
    [zap({ flushUnderPtl: 'no' }), 'flushUnderPtl: expected true or false ("no")'],
    [zap({ delayedRmap: 0 }), 'delayedRmap: expected true or false (0)'],
    [zap({ mutant: 'not markd' }), 'mutant: "not markd" is none of not marked, read, then clear: did you mean not '],
    [zap({ mutan: 'not marked' }), 'unknown option mutan: did you mean mutant?'],
  ],
  'filemap: writeback: design: ': [
    [writeback({ sync: 'no' }), 'sync: expected true or false ("no")'],
    [writeback({ syn: true }), 'unknown option syn: did you mean sync?'],
    [writeback({}), 'sync is missing'],
  ],
  'mm: notifiers: design: ': [
    ...['bracketsSetPte', 'atSet', 'withoutChangePte', 'secondaryTlbs', 'readOnlyUntilNotified'].map(
      (name) => [notifiers({ [name]: 'now and then' }), `${name}: "now and then" is none of `] as const,
    ),
    [notifiers({ atset: 'nothing' }), 'unknown option atset: did you mean atSet?'],
    [notifiers({ contracts: {} }), 'contracts: invalidate_range_start is missing'],
  ],
  'mmu-notifier: mm: new: ': [
    [
      () => new MmuNotifierSubscriptions(builder, 'mm', { changePteNeedsBracket: 'no' as never }),
      'changePteNeedsBracket: expected true or false ("no")',
    ],
  ],
  'mm: ': [
    [() => ipiTlb(ANY, [], 1, { sendsIpis: 'no' as never }), 'ipiTlb: sendsIpis: expected true or false ("no")'],
    [() => riscvVmap(ANY, [], ANY, { fence: 'own hat' as never }), 'riscvVmap: fence: "own hat" is none of nobody, '],
    [() => riscvVmap(ANY, [], ANY, { fence: 'own hart', mutnt: 1 } as never), 'riscvVmap: unknown option mutnt'],
    [
      () => x86FlushKernelRange(ANY, [], 1, { cpumask: 0 as never, mutant: 'CR3' as never }),
      'x86FlushKernelRange: mutant: "CR3" is none of only the CPUs of the mm, CR3 is reloaded',
    ],
    [
      () => invlpgbFlushKernelRange([], { includesGlobal: 'no' as never }),
      'invlpgbFlushKernelRange: includesGlobal: expected true or false ("no")',
    ],
    [() => arm64FlushKernelRange([], { byAsdi: 1 } as never), 'arm64FlushKernelRange: unknown option byAsdi'],
    [() => secondary.primaryMmu(ANY, ANY, ANY, { faultsIn: 'no' as never }), 'primaryMmu: faultsIn: expected true or'],
    [() => new Mm(builder, 1, undefined, { tasks: 0 }), 'mm1: new: tasks: expected a whole number from 1 (0)'],
    [
      () => begins(() => secondary.try_to_merge_one_page(ANY, ANY, ANY, 0, 0, 'counts' as never)),
      'try_to_merge_one_page: mutant: "counts" is none of write protection in silence, ',
    ],
  ],
  'lazy mmu: new: ': [
    [lazyMmu({ hazards: 'no' }), 'hazards: "no" is none of fail, count, ignore'],
    [lazyMmu({ barriers: { dsb: 'no', isb: true } }), 'barriers: dsb: expected true or false ("no")'],
    [lazyMmu({ arch: { ...lazy.lazyArchs['xen-pv'], defers: 'stores' } }), 'arch: defers: "stores" is none of nothing'],
    [lazyMmu({ batch: 0 }), 'batch: expected a whole number from 1 (0)'],
  ],
  'gup: ': [
    [() => new gup.GupKernel(builder, [], ANY, ANY, { rcu: 'blnd' as never }), 'kernel: new: rcu: "blnd" is none of '],
    [guards({ recheck: 'ptes' }), 'gup_fast_fallback: guards: recheck: "ptes" is none of none, pte, '],
    [guards({ section: 'irq off' }), 'gup_fast_fallback: guards: section: "irq off" is none of irqs off, '],
    [guards({ refcountTest: 'no' }), 'gup_fast_fallback: guards: refcountTest: expected true or false ("no")'],
    [
      () => begins(() => gup.khugepaged(ANY, ANY, 'ipis' as never, 'kept', true)),
      'khugepaged: sync: "ipis" is none of',
    ],
    [() => begins(() => gup.khugepaged(ANY, ANY, 'ipi', 'keep' as never, true)), 'khugepaged: deposit: "keep" is none'],
    [() => begins(() => gup.ksmd(ANY, ANY, 'nevr' as never)), 'ksmd: counting: "nevr" is none of after the clear, '],
  ],
  'mmu: ': [
    [saturated({ dirtyBits: 'no' }), 'saturated TLB: new: dirtyBits: expected true or false ("no")'],
    [saturated({ spaces: 0 }), 'saturated TLB: new: spaces: expected a whole number from 1 (0)'],
    [
      saturated({ breakBeforeMake: { level: 3 } }),
      'saturated TLB: new: breakBeforeMake: level: expected a whole number 0',
    ],
    [saturated({ breakBeforeMake: { levl: 2 } }), 'saturated TLB: new: breakBeforeMake: unknown option levl: did you'],
    [() => connectMmus(builder, [], 'dmv' as never), 'connectMmus: latency: "dmv" is none of dvm, '],
  ],
  'hypervisor: ': [
    [() => new Vm(builder, { takesMemory: 'no' as never }), 'vm: new: takesMemory: expected true or false ("no")'],
    [() => addHost(builder, 0, [], { timesliceCycles: 0 }), 'host CPU0: addHost: timesliceCycles: expected a whole '],
  ],
  'cpu: ': [
    [() => startCpu(builder, { name: 'CPU0' } as Cpu, [], {}, { ticks: 'no' as never }), 'CPU0: startCpu: ticks: '],
    [() => new Scheduler(builder, [], { tickCycle: 1 } as never), 'scheduler: new: unknown option tickCycle: did you'],
  ],
  'rcu: new: ': [[() => new Rcu(builder, { processors: 0 }), 'processors: expected a whole number from 1 (0)']],
  'percpu-rwsem: sem: new: ': [
    [
      () => new PercpuRwsem(builder, 'sem', ANY, { withoutBarrierB: 'no' as never }),
      'withoutBarrierB: expected true or',
    ],
  ],
  'fuzz: options: ': [
    [
      () => fuzz(system, { kind: 'rndom' as never, seed: 1, runs: 1, stepsMax: 1 }),
      'kind: "rndom" is none of random, pct: did you mean random?',
    ],
  ],
  'explore: options: ': [
    [() => explore(system, { exact: 'no' as never }), 'exact: expected true or false ("no")'],
    [() => explore(system, { all: 1 as never }), 'all: expected true or false (1)'],
    [() => explore(system, { pct: { seed: 1, afterMiliseconds: 5 } as never }), 'pct: unknown option afterMiliseconds'],
    [() => explore(system, { pct: {} as never }), 'pct: seed is missing'],
    [() => explore(system, { pct: { seed: -1 } }), 'pct: seed: expected a whole number from 0 (-1)'],
    [
      () => explore(system, { pct: { seed: 1, afterMilliseconds: 'now' as never } }),
      'pct: afterMilliseconds: expected',
    ],
  ],
  'compare: change-pte: ': [
    [changePte({ onIn: 2 }), 'options: unknown option onIn: did you mean oneIn? (have: oneIn, faultCycles)'],
    [changePte({ oneIn: 0 }), 'options: oneIn: expected a whole number from 1 (0)'],
    [() => runChangePte(ANY, 'merges' as never, 1), 'replacer: "merges" is none of merge, host breaks, guest breaks'],
    [() => runChangePte(ANY, 'merge', 0), 'pagesPerSecond: expected a whole number from 1 (0)'],
  ],
  'flush-counts: ': [
    [() => flushCounts({ stat: 'spin' } as never), 'unknown option stat: did you mean state?'],
    [() => flushCounts({ state: 'spins' as never }), 'state: "spins" is none of none, spin, sleep: did you mean spin?'],
    [() => flushCounts({ operation: 'unmap' as never }), 'operation: "unmap" is none of mprotect-ro, '],
  ],
  'c: ': [
    [offered({ nulable: [] }), 'offer: unknown option nulable: did you mean nullable?'],
    [offered({ nullable: ['pmd_fre'] }), 'offer: nullable: no function pmd_fre: did you mean pmd_free?'],
    [offered({ header: 'int x;' }), 'offer: header: expected a function ("int x;")'],
    [
      offered({ routines: { 'void f(void)': { enter: () => 0, cal: () => 0 } } }),
      'offer: routines: void f(void): unknown option cal: did you mean call?',
    ],
    [() => printedHeader(vmallocOffer as never, { entries: '2' } as never), 'header: parameters: entries: expected a'],
    [replaced({ optinal: true }), 'replacements: unknown option optinal: did you mean optional?'],
    [replaced({ optional: 'no' }), 'replacements: optional: expected true or false ("no")'],
    [
      replaced({ files: [{ name: 'my.c', txt: '' }] }),
      'replacements: files[0]: unknown option txt: did you mean text?',
    ],
    [() => readProgram('my.c', undefined as never), 'readProgram: text: expected some text (undefined)'],
    [() => sidesOf('my.patch', 5 as never), 'sidesOf: text: expected some text (5)'],
    [() => sidesOf('my.patch', '', '/linux' as never), 'sidesOf: tree: expected a function ("/linux")'],
  ],
  'mm: NumaBalancing: ': [
    [() => new daemons.NumaBalancing(0 as never), 'nodeOf: expected a function (0)'],
    [() => (new daemons.NumaBalancing(() => 0).mutant = 'no pte_same' as never), 'mutant: "no pte_same" is none of'],
  ],
  'mm: BatchedUnmaps: ': [
    [() => (new daemons.BatchedUnmaps(builder, []).mutant = 'flush' as never), 'mutant: "flush" is none of no flush'],
  ],
  'run: options: ': [
    [() => new MachineRunner(ANY, { keepSchedule: 'no' as never }), 'keepSchedule: expected true or false ("no")'],
  ],
  'kvm: kickedVcpus: ': [
    [() => kickedVcpus({ vcpus: [] } as never, 'no kik' as never), 'mutant: "no kik" is none of no kick, no wait'],
  ],
  'kvm: kvm: new: ': [
    [kvm({ mutant: 'no flsh' }), 'mutant: "no flsh" is none of counts down first, no flush, '],
    [kvm({ change_pte: { ...CHANGE_PTE_X86, writable: 'zapp' } }), 'change_pte: writable: "zapp" is none of zap, '],
    [kvm({ change_pte: { ...CHANGE_PTE_X86, absent: 'no' } }), 'change_pte: absent: "no" is none of leave, '],
    [kvm({ change_pte: { ...CHANGE_PTE_X86, countsSequence: 1 } }), 'change_pte: countsSequence: expected true or '],
    [kvm({ change_pte: { ...CHANGE_PTE_X86, takesLok: false } }), 'change_pte: unknown option takesLok: did you mean '],
    [kvm({ protocol: { ...FAULT_PROTOCOL, check: 'never' } }), 'protocol: check: "never" is none of under the lock, '],
    [kvm({ protocol: { ...FAULT_PROTOCOL, dropsLock: 'no' } }), 'protocol: dropsLock: expected true or false ("no")'],
    [kvm({ rangeGrows: 'no' }), 'rangeGrows: expected true or false ("no")'],
  ],
};

describe.each(Object.entries(refused))('%s', (where, calls) => {
  it.each(calls.map(([call, line]) => [line, call] as const))('%s', async (line, call) => {
    const made = (async () => await call())();
    await expect(made).rejects.toThrow(ModelError);
    const message = await made.then(String, (error: unknown) => (error as Error).message);
    expect(message).not.toContain('\n');
    expect(message).toContain(where);
    expect(message).toContain(line);
  });
});
