/**
 * `kernel-range-flush`: does every CPU forget a kernel mapping before its place is used again? (x86 and arm64)
 *
 * vunmap() takes a page away, and its address goes to somebody else. Kernel mappings are the same in every address
 * space, and their translations global: they outlive the switch to another one, and every CPU may have them, whatever
 * it runs.
 */
import type { BuildRequest, Scenario, Variant } from '@shootdown/explorer';
import { addCpu, startCpu, type Cpu, schedules } from '@shootdown/cpu';
import {
  clearBits,
  Frames,
  load,
  program,
  routine,
  smp_rmb,
  smp_wmb,
  store,
  SystemBuilder,
  type Address,
  type Property,
  type Routine,
  type Steps,
  type System,
} from '@shootdown/machine';
import {
  arm64FlushKernelRange,
  CALL_FUNCTION_VECTOR,
  invlpgbFlushKernelRange,
  Smp,
  x86FlushKernelRange,
  type FlushTlbKernelRange,
  type KernelRangeMutant,
} from '@shootdown/mm';
import {
  _PAGE_GLOBAL,
  _PAGE_PRESENT,
  _PAGE_RW,
  _PAGE_TABLE,
  BBML0,
  connectMmus,
  FlushMonitor,
  mk_pte,
  SaturatedTlb,
  tinyShape,
  type MmuInstructions,
  formatEntry,
} from '@shootdown/mmu';

interface Design extends Variant {
  readonly arch: 'x86' | 'invlpgb' | 'arm64';
  readonly mutant?: KernelRangeMutant;
  /** The flush names one address space, and so leaves global translations. */
  readonly oneAsid?: boolean;
}

const X86 = 'flush_tlb_kernel_range(), arch/x86/mm/tlb.c, v6.18';
const INVLPGB = 'invlpgb_kernel_range_flush(), arch/x86/mm/tlb.c, v6.18';
const ARM64 = 'flush_tlb_kernel_range(), arch/arm64/include/asm/tlbflush.h, v6.18';
const SDM = 'Intel SDM vol. 3A, 4.10.4.1: MOV to CR3 keeps global translations';

const designs: readonly Design[] = [
  { name: 'x86', expected: 'safe', source: X86, summary: 'an IPI to every CPU, which executes INVLPG', arch: 'x86' },
  {
    name: 'x86/cpus-of-the-mm',
    expected: 'violation',
    source: X86,
    summary: 'an IPI to those that run the current mm: a CPU that has gone to another is forgotten',
    arch: 'x86',
    mutant: 'only the CPUs of the mm',
  },
  {
    name: 'x86/cr3-reload',
    expected: 'violation',
    source: SDM,
    summary: 'every CPU gets the IPI and writes CR3, which leaves global translations',
    arch: 'x86',
    mutant: 'CR3 is reloaded',
  },
  { name: 'invlpgb', expected: 'safe', source: INVLPGB, summary: 'INVLPGB that includes global ones', arch: 'invlpgb' },
  {
    name: 'invlpgb/no-global',
    expected: 'violation',
    source: 'AMD APM vol. 3, INVLPGB: rAX[3]',
    summary: 'INVLPGB of one PCID',
    arch: 'invlpgb',
    oneAsid: true,
  },
  { name: 'arm64', expected: 'safe', source: ARM64, summary: 'TLBI VAALE1IS, DSB', arch: 'arm64' },
  {
    name: 'arm64/by-asid',
    expected: 'violation',
    source: 'Arm ARM, DDI 0487: TLBI ASIDE1IS applies to non-global entries',
    summary: 'TLBI ASIDE1IS of the current address space',
    arch: 'arm64',
    oneAsid: true,
  },
];

const ENTRIES = 2;
const HISTORY_MAX = 96;
/** The kernel's page: the first of the upper half, whose table both address spaces share. */
const KERNEL_PAGE = 2;
/** Frames: two root tables, the kernel's table, the page that goes and the one that comes. */
const [ROOT_1, ROOT_2, KERNEL_TABLE, OLD, NEW] = [0, 1, 2, 3, 4];
const [ASID_1, ASID_2] = [1, 2];
const FLAGS = _PAGE_PRESENT | _PAGE_RW | _PAGE_GLOBAL;

interface KernelRangeMachine {
  readonly frames: Frames;
  readonly mmus: readonly MmuInstructions[];
  readonly monitor: FlushMonitor;
  readonly flush: FlushTlbKernelRange;
  /** Set when the address has been given out again. */
  readonly published: Address;
  readonly cpumask: Address;
}

/** CPU 0 takes the page away and maps another in its place. */
const vunmap = routine('vunmap', function* (machine: KernelRangeMachine, cpu: Cpu): Steps {
  const { frames, monitor, flush, published } = machine;
  const ptep = frames.entry(KERNEL_TABLE, KERNEL_PAGE % ENTRIES);
  yield* frames.xchg(ptep, 0, { label: 'ptep_get_and_clear()' });
  yield* monitor.begin(cpu.id, KERNEL_PAGE, KERNEL_PAGE + 1);
  yield* flush(cpu, KERNEL_PAGE, KERNEL_PAGE + 1);
  yield* monitor.end(cpu.id, KERNEL_PAGE, KERNEL_PAGE + 1);
  yield* frames.put(OLD);
  yield* frames.write(ptep, mk_pte(NEW, FLAGS), { label: 'set_pte_at(new page)' });
  yield* smp_wmb();
  yield* store(published, 1, { label: 'pointer = address' });
});

/** CPU 1 goes to another address space, and uses the address once it has been given out again. */
const schedule = schedules(function* (machine: KernelRangeMachine, cpu: Cpu): Steps {
  const mmu = machine.mmus[cpu.id] as MmuInstructions;
  yield* mmu.load_root(ROOT_2, ASID_2, false);
  yield* clearBits(machine.cpumask, 1 << cpu.id, { label: 'cpumask_clear_cpu(self, mm_cpumask(prev))' });
  if ((yield* load(machine.published, { label: 'pointer' })) === 0) return;
  yield* smp_rmb();
  yield* mmu.access(KERNEL_PAGE, false);
});

/** Builds the machine of a variant. */
function buildKernelRangeFlush({ variant, memoryModel }: BuildRequest<Design>): System {
  const builder = new SystemBuilder({ memoryModel, maxHistory: HISTORY_MAX });
  const kernelTable = mk_pte(KERNEL_TABLE, _PAGE_TABLE);
  const frames = new Frames(builder, {
    tables: 3,
    entriesPerTable: ENTRIES,
    formatEntry,
    pages: 2,
    initialTables: [[0, kernelTable], [0, kernelTable], [mk_pte(OLD, FLAGS)]],
    initialPages: 2,
  });
  const shape = tinyShape(2, ENTRIES);
  const cpus = [0, 1].map((id) => addCpu(builder, id, [CALL_FUNCTION_VECTOR]));
  const names = cpus.map((cpu) => cpu.name);
  const tlb = new SaturatedTlb(builder, names, frames, shape, ROOT_1, [KERNEL_PAGE], {
    asid: ASID_1,
    spaces: 2,
    faultsInvalidate: variant.arch !== 'arm64',
    ...(variant.arch === 'arm64' && { breakBeforeMake: BBML0 }),
  });
  if (variant.arch !== 'x86') connectMmus(builder, tlb.mmus, variant.arch === 'arm64' ? 'dvm' : 'invlpgb_remote');
  const root = builder.region('init_mm.pgd', 1, { initial: ROOT_1 + 1 }).at(0);
  const monitor = new FlushMonitor(builder, frames, shape, { root, cpus: 2, pages: [KERNEL_PAGE], kernel: true });
  tlb.monitors = [monitor];
  const smp = new Smp(builder, cpus);
  const cpumask = builder.region('mm_cpumask', 1, { initial: 0b11 }).at(0);
  const published = builder.region('pointer', 1).at(0);
  const flush = flushOf(variant, smp, tlb.mmus, cpumask);
  const machine = { frames, mmus: tlb.mmus, monitor, flush, published, cpumask };
  builder.property(staleElsewhere(tlb));
  const routines: readonly Routine<readonly [KernelRangeMachine, Cpu], void>[] = [vunmap, schedule];
  cpus.forEach((cpu, id) =>
    startCpu(builder, cpu, [program(routines[id] as typeof vunmap, machine, cpu)], {
      [CALL_FUNCTION_VECTOR]: smp.handler(cpu),
    }),
  );
  return builder.build();
}

function flushOf(
  { arch, mutant, oneAsid }: Design,
  smp: Smp,
  mmus: readonly MmuInstructions[],
  cpumask: Address,
): FlushTlbKernelRange {
  if (arch === 'x86')
    return x86FlushKernelRange(smp, mmus, KERNEL_PAGE + 1, { cpumask, asid: ASID_2, ...(mutant && { mutant }) });
  if (arch === 'invlpgb') return invlpgbFlushKernelRange(mmus, { includesGlobal: !oneAsid, asid: ASID_2 });
  return arm64FlushKernelRange(mmus, oneAsid ? { byAsid: ASID_2 } : {});
}

function staleElsewhere(tlb: SaturatedTlb): Property {
  const loaded = tlb.words;
  return {
    name: 'CPU1 may use the old page in another address space',
    kind: 'sometimes',
    why: 'otherwise a switch would have been enough',
    reads: loaded,
    check: (read) => tlb.addressSpace(read, 1) === ASID_2 && tlb.leaves(read, 1, 0).includes(mk_pte(OLD, FLAGS)),
  };
}

/** vunmap(): does a CPU in another address space keep a global translation of the kernel? */
export const kernelRangeFlush: Scenario<Design> = {
  name: 'kernel-range-flush',
  title: 'vunmap(): does a CPU in another address space keep a global translation of the kernel?',
  seed: 'S2',
  variants: designs,
  build: buildKernelRangeFlush,
};
