/**
 * `riscv-new-mapping`: may a hart fault on a page that the kernel has mapped, because it remembers that there was none?
 * (RISC-V, 2023 to 2026)
 *
 * The RISC-V architecture lets a hart cache entries that are not valid. A mapping that vmalloc() adds is then not there
 * for it until an SFENCE.VMA; with the extension Svvptc it is, after a bounded time. Since v6.12 nobody fences in
 * advance: a hart that faults looks whether anything has been mapped since its last fence, fences, and tries again.
 */
import type { BuildRequest, Scenario, Variant } from '@shootdown/explorer';
import { addCpu, startCpu, type Cpu } from '@shootdown/cpu';
import {
  assertThat,
  Frames,
  load,
  point,
  program,
  routine,
  smp_rmb,
  smp_wmb,
  store,
  SystemBuilder,
  type Address,
  type Property,
  type Steps,
  type System,
} from '@shootdown/machine';
import { CALL_FUNCTION_VECTOR, riscvVmap, Smp, type RiscvVmap, type VmapFence, type VmapMutant } from '@shootdown/mm';
import {
  _PAGE_GLOBAL,
  _PAGE_PRESENT,
  _PAGE_RW,
  Fault,
  mk_pte,
  SaturatedTlb,
  tinyShape,
  type MmuInstructions,
  formatEntry,
} from '@shootdown/mmu';
import { asUser } from './tasks.ts';

interface Design extends Variant {
  readonly fence: VmapFence;
  readonly mutant?: VmapMutant;
  /** The harts cache no invalid entries. Default: they do. */
  readonly svvptc?: boolean;
  /** Harts that use the mappings, and mappings. Default one of each. */
  readonly harts?: number;
  readonly mappings?: 1 | 2;
}

const FENCES = 'comment to 503638e0babf: since v6.5 there is no vmalloc fault, so every hart is fenced';
const NEW_VMALLOC = '503638e0babf ("riscv: Stop emitting preventive sfence.vma for new vmalloc mappings"), v6.12';
const RFC = 'changelog of its RFC v2, 20240131155929.169961-1-alexghiti@rivosinc.com';
const SVVPTC = 'Svvptc: explicit stores of valid entries are seen by walks within a bounded time';
const NOBODY = 'no outside authority';

const designs: readonly Design[] = [
  {
    name: 'svvptc',
    expected: 'safe',
    source: SVVPTC,
    summary: 'the harts cache no invalid entries, and nobody fences',
    fence: 'nobody',
    svvptc: true,
  },
  {
    name: 'no-fence',
    expected: 'violation',
    source: FENCES,
    summary: 'they do, and nobody fences',
    fence: 'nobody',
  },
  {
    name: 'fence-own-hart',
    expected: 'violation',
    source: FENCES,
    summary: 'the hart that maps fences, and no other',
    fence: 'own hart',
  },
  { name: 'fence-every-hart', expected: 'safe', source: FENCES, summary: 'every hart fences', fence: 'every hart' },
  {
    name: 'fence-in-fault',
    expected: 'safe',
    source: NEW_VMALLOC,
    summary: 'a hart that faults fences, if its bit in new_vmalloc is set',
    fence: 'in the fault',
    mappings: 2,
  },
  {
    name: 'fence-in-fault/marked-before-entry',
    expected: 'violation',
    source: NOBODY,
    summary: 'the bits are set before the entry is: a fault on another mapping uses them up',
    fence: 'in the fault',
    mappings: 2,
    mutant: 'marked before the entry',
  },
  {
    name: 'fence-in-fault/fence-first',
    expected: 'violation',
    source: NOBODY,
    summary: 'the hart fences before it clears its bit: what is mapped in between is forgotten',
    fence: 'in the fault',
    mappings: 2,
    mutant: 'fence before the bit is cleared',
  },
  {
    name: 'fence-in-fault/two-harts',
    expected: 'safe',
    source: RFC,
    summary: 'two harts use the mappings, and each clears its own bit by AMOXOR',
    fence: 'in the fault',
    mappings: 2,
    harts: 2,
  },
  {
    name: 'fence-in-fault/two-harts-load-and-store',
    expected: 'violation',
    source: RFC,
    summary: 'each clears its bit by load and store: the bit of another, set in between, is lost',
    fence: 'in the fault',
    mappings: 2,
    harts: 2,
    mutant: 'bit cleared by load and store',
  },
];

const HISTORY_MAX = 64;
const ENTRIES = 2;
/** Frames: the table, then the pages. */
const [ROOT, FIRST_PAGE] = [0, 1];
const FLAGS = _PAGE_PRESENT | _PAGE_RW | _PAGE_GLOBAL;
const DOES_NOT_FAULT = 'the kernel does not fault on a page that it has mapped';

interface RiscvMachine {
  readonly frames: Frames;
  readonly mmus: readonly MmuInstructions[];
  readonly vmap: RiscvVmap;
  /** Mappings that have been made. */
  readonly published: Address;
  readonly mappings: number;
}

/** Hart 0 maps one page after the other, and says so. */
const vmalloc = routine('vmalloc', function* (machine: RiscvMachine, cpu: Cpu): Steps {
  const { frames, vmap, published, mappings } = machine;
  for (let page = 0; page < mappings; page++) {
    const entry = mk_pte(FIRST_PAGE + page, FLAGS);
    yield* vmap.map(cpu, () => frames.write(frames.entry(ROOT, page), entry, { label: `set_pte(page ${page})` }));
    yield* smp_wmb();
    yield* store(published, page + 1, { label: `pointer to page ${page}` });
  }
});

/** Another hart uses each mapping that it hears of. */
const user = asUser(function* (machine: RiscvMachine, cpu: Cpu): Steps {
  const { mmus, vmap, published, mappings } = machine;
  for (let page = 0; page < mappings; page++) {
    if ((yield* load(published, { label: `pointer to page ${page}` })) <= page) return;
    yield* smp_rmb();
    for (;;) {
      yield* point('access', page);
      if ((yield* (mmus[cpu.id] as MmuInstructions).access(page, false)) === Fault.none) break;
      const again = yield* vmap.fault(cpu);
      yield* assertThat(again, DOES_NOT_FAULT, `page ${page}`);
      if (!again) return;
    }
  }
});

/** Builds the machine of a variant. */
function buildRiscvNewMapping({ variant, memoryModel }: BuildRequest<Design>): System {
  const { fence, mutant, svvptc = false, harts = 1, mappings = 1 } = variant;
  const builder = new SystemBuilder({ memoryModel, maxHistory: HISTORY_MAX });
  const frames = new Frames(builder, {
    tables: 1,
    entriesPerTable: ENTRIES,
    formatEntry,
    pages: mappings,
    initialTables: [[]],
    initialPages: mappings,
  });
  const cpus = Array.from({ length: 1 + harts }, (_, id) => addCpu(builder, id, [CALL_FUNCTION_VECTOR]));
  const names = cpus.map((cpu) => cpu.name);
  const pages = Array.from({ length: mappings }, (_, page) => page);
  const tlb = new SaturatedTlb(builder, names, frames, tinyShape(1, ENTRIES), ROOT, pages, {
    faultsInvalidate: false,
    cachesInvalid: !svvptc,
  });
  const smp = new Smp(builder, cpus, undefined, 'handle_IPI');
  const new_vmalloc = builder.region('new_vmalloc', 1);
  const vmap = riscvVmap(smp, tlb.mmus, new_vmalloc, { fence, ...(mutant && { mutant }) });
  const published = builder.region('published', 1).at(0);
  const machine: RiscvMachine = { frames, mmus: tlb.mmus, vmap, published, mappings };
  builder.property(isUsed(frames, published, tlb));
  cpus.forEach((cpu, id) =>
    startCpu(builder, cpu, [program(id === 0 ? vmalloc : user, machine, cpu)], {
      [CALL_FUNCTION_VECTOR]: smp.handler(cpu),
    }),
  );
  return builder.build();
}

function isUsed({ state }: Frames, published: Address, tlb: SaturatedTlb): Property {
  return {
    name: 'a mapping is there when a hart hears of it',
    kind: 'sometimes',
    why: 'otherwise it is not used',
    reads: [published, state.at(FIRST_PAGE), ...tlb.words],
    check: (read) => read(published) > 0 && tlb.leaves(read, 1, 0).length > 0,
  };
}

/** RISC-V: may a hart fault on a new kernel mapping because it has cached that there was none? */
export const riscvNewMapping: Scenario<Design> = {
  name: 'riscv-new-mapping',
  title: 'RISC-V: may a hart fault on a new kernel mapping because it has cached that there was none?',
  seed: 'S2',
  variants: designs,
  build: buildRiscvNewMapping,
};
