/**
 * `sme-dvmsync-erratum`: when a coprocessor's accesses outlive the DSB of a TLBI, does the mask of CPUs that use it
 * miss one? (arm64 erratum 4193714, 2026)
 *
 * C1-Pro answers a DVM sync before accesses of its SME unit that are under way have completed. The workaround keeps a
 * mask of CPUs that are in user mode with SME on; after TLBI and DSB it interrupts those, and taking the interrupt
 * waits for the unit. CPU0 gives a page back. CPU1 enters user mode and accesses it with SME. See docs/arm.md.
 */
import type { BuildRequest, Scenario, Variant } from '@shootdown/explorer';
import { addCpu, startCpu, type Cpu } from '@shootdown/cpu';
import {
  accessOf,
  BLOCKED,
  defineOperation,
  dsb_ish,
  dsb_ishst,
  Frames,
  invalidate,
  isMemoryFault,
  load,
  operation,
  program,
  routine,
  set_bit,
  smp_mb,
  store,
  SystemBuilder,
  type Access,
  type Address,
  type EntryPointer,
  type Region,
  type Steps,
  type System,
  type Translation,
  waitFor,
} from '@shootdown/machine';
import { CALL_FUNCTION_VECTOR, Smp } from '@shootdown/mm';
import { _PAGE_PRESENT, _PAGE_RW, _PAGE_USER, mk_pte, pte_present } from '@shootdown/mmu';

interface Design extends Variant {
  /** What is between setting the own bit in the mask and the first access. Default: nothing. */
  readonly barrier?: 'smp_mb' | 'dsb';
  /** The mask is looked at after the DSB, and CPUs in it are interrupted. Default: they are. */
  readonly looks?: false;
  /** The mask is looked at before the DSB and the TLBI (a mutant). */
  readonly looksEarly?: true;
}

const SERIES = '"arm64: errata: Work around early CME DVMSync acknowledgement", Catalin Marinas, March 2026';

const designs: readonly Design[] = [
  {
    name: 'no-workaround',
    expected: 'violation',
    expectedOn: { arm: 'violation' },
    source: SERIES,
    summary: 'TLBI and DSB alone',
    looks: false,
  },
  {
    name: 'no-barrier',
    expected: 'safe',
    expectedOn: { arm: 'violation' },
    source: SERIES,
    summary: 'cpumask_set_cpu() is relaxed, and nothing is between it and the first access',
  },
  {
    name: 'dmb',
    expected: 'safe',
    expectedOn: { arm: 'safe' },
    source: `${SERIES}: smp_mb() in sme_set_active()`,
    summary: 'a DMB in between: who does not see the bit has had its DVM sync answered before the access',
    barrier: 'smp_mb',
  },
  {
    name: 'dsb',
    expected: 'safe',
    expectedOn: { arm: 'safe' },
    source: `${SERIES}: asked for in review`,
    summary: 'a DSB in between: no more than is needed',
    barrier: 'dsb',
  },
  {
    name: 'mask-before-tlbi',
    expected: { sc: 'safe', tso: 'violation' },
    expectedOn: { arm: 'violation' },
    source: 'no outside authority',
    summary: 'with the DMB, and the mask is looked at before the DSB: a CPU that enters it later is missed',
    barrier: 'smp_mb',
    looksEarly: true,
  },
];

const RW = _PAGE_PRESENT | _PAGE_RW | _PAGE_USER;
const [TABLE, PAGE_FRAME, CPUS, CPU1] = [0, 1, 2, 1];
const HISTORY_MAX = 64;
const FREED_PAGE = 'no access of the coprocessor reaches a page that has been given back';

interface Machine {
  readonly pte: EntryPointer;
  readonly sme_active_cpus: Address;
  /** 1 while an access is under way in the unit, and 1 once the page has been given back. */
  readonly under_way: Address;
  readonly freed: Address;
  readonly smp: Smp;
  readonly drain: number;
  readonly arm: boolean;
}

const freedAt = (op: { readonly data: unknown }): Machine => op.data as Machine;

/** The unit begins an access: it is translated now, and made at some later time. */
const BEGIN = defineOperation({
  name: 'sme_access',
  role: 'environment',
  cost: 'load',
  user: true,
  perform(cx, op) {
    const { pte, under_way } = freedAt(op);
    if (pte_present(cx.read(pte.address))) cx.write(under_way, 1);
    return 0;
  },
  weak(cx, memory, op) {
    const { pte, under_way } = freedAt(op);
    const access: Access = accessOf({ kind: 'load', address: pte.address, translated: true });
    if (!isMemoryFault(memory.access(access))) cx.write(under_way, 1);
    return 0;
  },
});

const COMPLETE = defineOperation({
  name: 'sme_access_completes',
  role: 'environment',
  cost: 'nop',
  rests: true,
  perform(cx, op) {
    const { under_way, freed } = freedAt(op);
    if (cx.read(under_way) === 0) return BLOCKED;
    if (cx.read(freed) !== 0) cx.fail(FREED_PAGE, () => 'the page belongs to somebody else');
    cx.write(under_way, 0);
    return 0;
  },
});

const FREE = defineOperation({
  name: 'free_page',
  perform(cx, op) {
    cx.write(freedAt(op).freed, 1);
    return 0;
  },
});

function* tlbi(machine: Machine): Steps {
  const { pte, arm } = machine;
  // Elsewhere there is no TLB between the unit and the entry.
  if (arm) yield* invalidate({ pages: [pte.address], broadcast: true, dependencies: null }, { label: 'tlbi vale1is' });
}

const zap_page = routine('zap_page', function* (machine: Machine, design: Design, cpu: Cpu): Steps {
  const { pte, smp, drain, sme_active_cpus } = machine;
  const label = 'cpumask_test_cpu(CPU1, sme_active_cpus)';
  let active = 0;
  yield* store(pte.address, 0, { label: 'pte_clear()' });
  if (design.looksEarly) active = yield* load(sme_active_cpus, { label });
  yield* dsb_ishst();
  yield* tlbi(machine);
  yield* dsb_ish();
  if (design.looks !== false && !design.looksEarly) active = yield* load(sme_active_cpus, { label });
  if (active !== 0) yield* smp.smp_call_function_many(cpu, active, drain);
  yield operation(FREE, 0, 0, 0, machine, { label: 'free_page()' });
});

const ret_to_user = routine('sme_set_active', function* (machine: Machine, { barrier }: Design): Steps {
  const { sme_active_cpus } = machine;
  yield* set_bit(sme_active_cpus, 1 << CPU1, { label: 'cpumask_set_cpu(CPU1, sme_active_cpus)' });
  if (barrier === 'smp_mb') yield* smp_mb();
  if (barrier === 'dsb') yield* dsb_ish();
  yield operation(BEGIN, 0, 0, 0, machine, { label: '(user mode: SME access)' });
});

const sme_unit = routine('SME unit', function* (machine: Machine): Steps {
  yield operation(COMPLETE, 0, 0, 0, machine, { label: '(the access is made)' });
});

function translationOf(pte: EntryPointer, page: Region): Translation {
  return {
    pages: [pte.address],
    decode: (value) => ({
      valid: pte_present(value),
      accessed: true,
      writable: true,
      dirtyManaged: false,
      output: page.at(0),
    }),
    accessed: (value) => value,
    dirtied: (value) => value,
    ets2: false,
    hardware: Array.from({ length: CPUS + 1 }, () => ({ accessFlag: false, dirty: false })),
  };
}

function buildErratum({ variant, memoryModel }: BuildRequest<Design>): System {
  const initial = mk_pte(PAGE_FRAME, RW);
  let walked: { readonly pte: EntryPointer; readonly page: Region } | null = null;
  const builder = new SystemBuilder({
    memoryModel,
    maxHistory: HISTORY_MAX,
    weak: () =>
      walked
        ? {
            translation: translationOf(walked.pte, walked.page),
            translated: [
              { address: walked.pte.address, value: initial },
              { address: walked.page.at(0), value: 0 },
            ],
          }
        : {},
  });
  const frames = new Frames(builder, {
    tables: 1,
    entriesPerTable: 1,
    pages: 1,
    initialTables: [[initial]],
    initialPages: 1,
  });
  const pte = frames.entry(TABLE, 0);
  walked = { pte, page: builder.region('page', 1) };
  const cpus = Array.from({ length: CPUS }, (_, id) => addCpu(builder, id, [CALL_FUNCTION_VECTOR]));
  const smp = new Smp(builder, cpus, undefined, 'do_handle_IPI');
  const ghost = builder.region('sme', 2, {
    memory: 'ghost',
    cellName: (cell) => (cell === 0 ? 'sme.under_way' : 'page.given_back'),
  });
  const [under_way, freed] = [ghost.at(0), ghost.at(1)];
  // The exception has the unit finish; the DSB in the handler waits for it.
  const drain = smp.register({
    name: 'sme_dvmsync_ipi',
    *run() {
      yield* waitFor(under_way, -1, 0, { label: 'dsb() (the SME unit has finished)' });
    },
  });
  const sme_active_cpus = builder.region('sme_active_cpus', 1).at(0);
  const machine: Machine = { pte, sme_active_cpus, under_way, freed, smp, drain, arm: memoryModel === 'arm' };
  const [first, second] = cpus as [Cpu, Cpu];
  startCpu(builder, first, [program(zap_page, machine, variant, first)], {
    [CALL_FUNCTION_VECTOR]: smp.handler(first),
  });
  startCpu(builder, second, [program(ret_to_user, machine, variant)], { [CALL_FUNCTION_VECTOR]: smp.handler(second) });
  builder.processor({ name: 'SME', tasks: [program(sme_unit, machine)] });
  builder.property({
    name: 'an access is under way',
    kind: 'sometimes',
    why: 'otherwise there is nothing to wait for',
    reads: [under_way],
    check: (read) => read(under_way) !== 0,
  });
  return builder.build();
}

/** arm64 erratum 4193714: does a mask of CPUs miss one whose coprocessor still accesses an unmapped page? */
export const smeDvmsyncErratum: Scenario<Design> = {
  name: 'sme-dvmsync-erratum',
  title: 'arm64 erratum 4193714: does a mask of CPUs miss one whose coprocessor still accesses an unmapped page?',
  seed: 'S1',
  variants: designs,
  build: buildErratum,
};
