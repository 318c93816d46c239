/**
 * The benchmark of the thread of 2014 that nobody ran: what does change_pte() save, and what do the three options cost?
 *
 * A guest reads its memory while its pages are replaced, by ksmd that merges them or by writes that break a merge; the
 * kernels differ in what they tell KVM.
 */
import {
  checkValues,
  checkWhole,
  checkWord,
  cyclesOf,
  DirectExecutor,
  is,
  VirtualTimeScheduler,
  withCosts,
  x86Costs,
  type OptionValues,
} from '@shootdown/machine';
import { CHANGE_PTE_X86, secondary, X86Counter, type ChangePteDesign } from '@shootdown/mm';
import { everyRow, type Comparison, type ComparisonColumn, type ComparisonRow, type EachRow } from './comparison.ts';
import {
  buildChangePte,
  MERGEABLE_PAGES,
  GuestCounter,
  type ChangePteKernel,
  type Replacer,
} from './change-pte-machine.ts';

/** What a vCPU computes between two reads. */
const COMPUTE_CYCLES = 2000;
/** What KVM does for a second-stage fault besides exit, entry and what is modelled. */
const FAULT_CYCLES = cyclesOf(x86Costs, 'ept_violation') - cyclesOf(x86Costs, 'vmexit');
const SLOW_FAULT_CYCLES = 10_000;
/** Pages per second. KSM's defaults, 100 pages every 20 ms, let it look at 5,000. */
const KSM_DEFAULT_RATE = 5000;
const RATE = 20_000;
const RATES = [KSM_DEFAULT_RATE, RATE, 80_000] as const;
const ONE_IN = [1, 4, 16] as const;
/** Fewer at the slowest rate, or the run takes too long. */
const PAGES_AT_DEFAULT_RATE = 64;
/** vCPUs that do nothing but read. */
const READERS: Readonly<Record<Replacer, number>> = { merge: 2, 'host breaks': 2, 'guest breaks': 1 };

const ESTABLISHES: ChangePteDesign = { ...CHANGE_PTE_X86, absent: 'establish' };
const { NotifierEra } = secondary;
const OPTION_1: ChangePteKernel = { design: NotifierEra.E5 };
/** Repaired: see docs/mmu-notifier.md, claim 6. */
const OPTION_2: ChangePteKernel = {
  design: NotifierEra['E2-rapoport-ro-until-notified/extra-reference'],
  change_pte: CHANGE_PTE_X86,
};

/** The kernels compared; the first is what 2014 had. */
const kernels: Readonly<Record<string, ChangePteKernel>> = {
  'v3.7 to v6.9': { design: NotifierEra.E2, change_pte: CHANGE_PTE_X86 },
  'the proposal': { design: NotifierEra['E2-rapoport'], change_pte: CHANGE_PTE_X86 },
  'option 1 (v6.10)': OPTION_1,
  'option 2': OPTION_2,
  'option 2, RDMA too': { ...OPTION_2, device: true },
  'option 3': { design: NotifierEra.E2, change_pte: ESTABLISHES },
  'v3.6, order fixed': { design: NotifierEra['E1-change-then-set'], change_pte: CHANGE_PTE_X86 },
};

/** What one run gives, per page replaced unless it says otherwise. */
export interface ChangePteRun {
  /** Pages replaced in all. */
  readonly replaced: number;
  /** Exits of all vCPUs: second-stage faults, and interrupts that found the vCPU in the guest. */
  readonly exits: number;
  readonly faults: number;
  /** Those of them that came to nothing, because an invalidation was under way: the guest faults again. */
  readonly staleFaults: number;
  /** Times a vCPU dropped its second-stage translations. */
  readonly guestFlushes: number;
  /** IPIs by which CPUs were flushed of primary translations. */
  readonly cpuFlushes: number;
  /** Cycles in which the reading vCPUs did not compute. */
  readonly guestCycles: number;
  /** Share of the readers' time that this is, at the rate of the run. */
  readonly guestPercent: number;
  /** Cycles of the CPU that replaces. */
  readonly replacerCycles: number;
}

/** What a run may have besides. */
export interface ChangePteOptions {
  /** Of every so many pages the guest reads one. Default 1: it reads all of them. */
  readonly oneIn?: number;
  /** Default {@link FAULT_CYCLES}. */
  readonly faultCycles?: number;
}

const OPTIONS: OptionValues<ChangePteOptions> = { oneIn: is.whole(1), faultCycles: is.whole() };

/** Replaces pages of a guest at a rate, once each. Throws ModelError on options that mean nothing. */
export function runChangePte(
  kernel: ChangePteKernel,
  replacer: Replacer,
  pagesPerSecond: number,
  options: ChangePteOptions = {},
): ChangePteRun {
  checkValues('compare: change-pte: options', options, OPTIONS);
  checkWord('compare: change-pte: replacer', replacer, Object.keys(READERS));
  checkWhole('compare: change-pte: pagesPerSecond', pagesPerSecond, 1);
  const { oneIn = 1, faultCycles = FAULT_CYCLES } = options;
  const pages = pagesPerSecond <= KSM_DEFAULT_RATE ? PAGES_AT_DEFAULT_RATE : MERGEABLE_PAGES;
  const pauseCycles = Math.round(x86Costs.hertz / pagesPerSecond);
  const executor = new DirectExecutor(buildChangePte(kernel, { replacer, pause: 'pause', pages, oneIn }));
  const totals = new Map<string, number>();
  executor.observe = true;
  executor.onCount = (_processor, counter, amount) => totals.set(counter, (totals.get(counter) ?? 0) + amount);
  const replacing = replacer === 'guest breaks' ? 1 : 0;
  let [pauses, done] = [0, 0];
  const scheduler = new VirtualTimeScheduler(executor, {
    costs: withCosts(x86Costs, { guest_compute: COMPUTE_CYCLES, kvm_page_fault: faultCycles, pause: pauseCycles }),
    onStep({ startCycles, durationCycles, choice, operation }) {
      executor.store.commit();
      if (operation?.definition.name === 'pause') pauses++;
      if (choice.kind === 'advance' && choice.processor === replacing) done = startCycles + durationCycles;
      // The last page replaced is given as long to come back as the others.
      return pauses < pages || startCycles < done + pauseCycles;
    },
  });
  scheduler.advance(Number.POSITIVE_INFINITY);
  const { end, cycles } = scheduler.result();
  if (end === 'violation') throw new Error(`compare: change-pte: ${executor.violation?.property ?? end}`);
  return resultOf(totals, cycles, done - pauses * pauseCycles, READERS[replacer], undisturbedCycles());
}

const UNDISTURBED_CYCLES = 8_000_000;
const WARM_UP_CYCLES = 4_000_000;

let measuredCycles: number | undefined;

/**
 * Cycles between two reads of a guest whose pages nobody replaces, once its TLB is warm. The same in all runs, so the
 * first one measures it.
 */
function undisturbedCycles(): number {
  measuredCycles ??= measureUndisturbed();
  return measuredCycles;
}

function measureUndisturbed(): number {
  const executor = new DirectExecutor(
    buildChangePte(OPTION_1, { replacer: 'merge', pause: 'pause', pages: 1, oneIn: 1 }),
  );
  let [now, accesses] = [0, 0];
  executor.observe = true;
  executor.onCount = (_processor, counter) => {
    if (counter === GuestCounter.accesses && now >= WARM_UP_CYCLES) accesses++;
  };
  const scheduler = new VirtualTimeScheduler(executor, {
    costs: withCosts(x86Costs, { guest_compute: COMPUTE_CYCLES, pause: 2 * UNDISTURBED_CYCLES }),
    onStep({ startCycles }) {
      executor.store.commit();
      now = startCycles;
      return now < UNDISTURBED_CYCLES;
    },
  });
  scheduler.advance(Number.POSITIVE_INFINITY);
  return (READERS.merge * (UNDISTURBED_CYCLES - WARM_UP_CYCLES)) / accesses;
}

function resultOf(
  totals: ReadonlyMap<string, number>,
  cycles: number,
  replacerCycles: number,
  readers: number,
  accessCycles: number,
): ChangePteRun {
  const of = (counter: string): number => totals.get(counter) ?? 0;
  const replaced = of(GuestCounter.replaced);
  const lost = readers * cycles - of(GuestCounter.accesses) * accessCycles;
  return {
    replaced,
    exits: (of(GuestCounter.faultExits) + of(GuestCounter.interruptExits)) / replaced,
    faults: of(GuestCounter.faultExits) / replaced,
    staleFaults: of('kvm: stale faults') / replaced,
    guestFlushes: of(GuestCounter.flushes) / replaced,
    cpuFlushes: of(X86Counter.interrupts) / replaced,
    guestCycles: lost / replaced,
    guestPercent: (100 * lost) / (readers * cycles),
    replacerCycles: replacerCycles / replaced,
  };
}

const COLUMNS: readonly ComparisonColumn[] = [
  { key: 'exits', heading: 'exits', unit: 'per page' },
  { key: 'faults', heading: 'faults', unit: 'per page' },
  { key: 'staleFaults', heading: 'of them stale', unit: 'per page' },
  { key: 'guestFlushes', heading: 'vCPU flushes', unit: 'per page' },
  { key: 'cpuFlushes', heading: 'primary IPIs', unit: 'per page' },
  { key: 'guestCycles', heading: 'guest', unit: 'cycles per page', ratio: true },
  { key: 'replacerCycles', heading: 'replacer', unit: 'cycles per page', ratio: true },
  { key: 'guestPercent', heading: `at ${RATE / 1000}k/s`, unit: '% of guest' },
];

function rowsOf(replacer: Replacer, each: EachRow): Promise<ComparisonRow[]> {
  return each(Object.entries(kernels), ([variant, kernel]) => ({ variant, ...runChangePte(kernel, replacer, RATE) }));
}

/**
 * How much of the guest's time a working change_pte() saves (option 2 against option 1), by merge rate and by how much
 * is read again.
 */
function sweep(each: EachRow): Promise<ComparisonRow[]> {
  const slow = [{ rate: RATE, oneIn: 1, faultCycles: SLOW_FAULT_CYCLES }];
  const points = [
    ...ONE_IN.flatMap((oneIn) => RATES.map((rate) => ({ rate, oneIn, faultCycles: FAULT_CYCLES }))),
    ...slow,
  ];
  return each(points, ({ rate, ...options }) => {
    const [without, working] = [OPTION_1, OPTION_2].map((kernel) => runChangePte(kernel, 'merge', rate, options)) as [
      ChangePteRun,
      ChangePteRun,
    ];
    const { oneIn, faultCycles } = options;
    return {
      variant: `${rate.toLocaleString('en')} per second, ${oneIn === 1 ? 'every page' : `1 page in ${oneIn}`} is read${faultCycles === FAULT_CYCLES ? '' : `, faults of ${faultCycles.toLocaleString('en')}`}`,
      without: without.guestPercent,
      with: working.guestPercent,
      saved: without.guestPercent - working.guestPercent,
      ksmd: (100 * (working.replacerCycles - without.replacerCycles) * rate) / x86Costs.hertz,
    };
  });
}

/** The tables of `shootdown compare change-pte`. */
export async function compareChangePte(each = everyRow): Promise<Comparison> {
  const [merge, host, guest] = [
    await rowsOf('merge', each),
    await rowsOf('host breaks', each),
    await rowsOf('guest breaks', each),
  ];
  return {
    name: 'change-pte',
    title: 'change_pte(): KSM merges the pages of a guest of two vCPUs that reads them',
    columns: COLUMNS,
    rows: merge,
    more: [
      {
        title: 'The monitor writes to merged pages (a COW break by the host), both vCPUs read',
        columns: COLUMNS,
        rows: host,
      },
      {
        title: 'A vCPU writes to merged pages (a COW break by the guest), the other one reads',
        columns: COLUMNS,
        rows: guest,
      },
      {
        title: 'Where a working change_pte() (option 2) would be measurable against none (option 1): KSM merges',
        columns: [
          { key: 'without', heading: 'option 1', unit: '% of guest' },
          { key: 'with', heading: 'option 2', unit: '% of guest' },
          { key: 'saved', heading: 'guest saves', unit: '% of guest' },
          { key: 'ksmd', heading: 'ksmd pays', unit: '% of a CPU' },
        ],
        rows: await sweep(each),
      },
    ],
    notes: [
      `The guest computes ${COMPUTE_CYCLES.toLocaleString('en')} cycles between two reads; its time is that of the vCPUs that read. Costs: packages/machine/src/schedule/cost.ts; a fault that is not modelled in full costs what ept_violation says.`,
      `KSM with its defaults (100 pages every 20 ms) merges at most ${KSM_DEFAULT_RATE.toLocaleString('en')} pages per second.`,
      'A vCPU that is interrupted leaves the guest: every flush of the primary page table costs an exit per running vCPU, whatever KVM is told.',
      "The guest's TLB is flushed whole. No EPT pages above the last level, one merged page, no scan of the stable tree.",
    ],
  };
}
