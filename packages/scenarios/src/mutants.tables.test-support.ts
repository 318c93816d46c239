/**
 * Which variants have a golden table of `mutate`: every one that is safe, but for those that are said not to, with the
 * reason.
 */
import { expectedVerdict, resolveScenario, type Scenario } from '@shootdown/explorer';
import type { MemoryModel } from '@shootdown/machine';
import { scenarios } from './index.ts';
import type { GoldenRow, Survivor, TableRequest } from './mutants.test-support.ts';
import {
  ofBreakBeforeMake,
  ofContpte,
  ofContpteFault,
  sizeOfContpte,
} from './mutants.survivors-contpte.test-support.ts';
import { ofCollapse, ofKsmGup, ofPae } from './mutants.survivors-gup.test-support.ts';
import {
  ofFolioRefcount,
  ofLazyMmu,
  ofLazyVmalloc,
  ofLazyVmallocOnSc,
  ofSameWord,
} from './mutants.survivors-lazy.test-support.ts';
import { ofKsmSecondary, ofSecondary } from './mutants.survivors-secondary.test-support.ts';
import {
  ofCalls,
  ofKernelRange,
  ofRiscv,
  ofTransition,
  ofWriteback,
  ofX86Tlb,
  ofZap,
} from './mutants.survivors-x86.test-support.ts';
import {
  ofGupFastVsUnmap,
  ofKvmPvFlush,
  ofPtdumpVmalloc,
  ofReferencePtdump,
  ofSme,
} from './mutants.survivors.test-support.ts';

/** A variant whose lines are changed one by one. */
export interface MutantTable {
  readonly scenario: string;
  readonly variant: string;
  readonly model: MemoryModel;
  /** Parameters that are not their defaults. */
  readonly size: Readonly<Record<string, number>>;
  readonly survivors: readonly Survivor[];
  /** In every test run; all others are in the deep one. */
  readonly quick: boolean;
  /** False: survivors that make no difference are not told from others, see `mutate`. */
  readonly compare: boolean;
  /** Variants whose tables have the other changes: those are not judged here again. */
  readonly onlyBeyond: readonly string[];
}

/** A variant that is safe and has no table. */
export interface WithoutTable {
  readonly scenario: string;
  readonly variant: string;
  readonly because: string;
}

/** How the variants of a scenario are looked at. */
interface Plan {
  readonly survivors: readonly (readonly Survivor[])[];
  readonly quick?: readonly string[];
  readonly sizeOf?: (scenario: string, variant: string) => Readonly<Record<string, number>>;
  /** Variants whose states are too many to be compared without reduction. */
  readonly uncompared?: RegExp;
  /**
   * Variants that are too large for all of their changes to be searched: their tables have those only that the tables
   * of the variants named have not, which run the same routines on a smaller machine. Each change is judged somewhere.
   */
  readonly large?: Readonly<Record<string, readonly string[]>>;
  /** Memory models besides the one of the variant. */
  readonly models?: Partial<Record<MemoryModel, readonly Survivor[]>>;
}

const SECONDARY = [ofKsmSecondary, ofSecondary, ofZap, ofCalls];
const X86 = [ofZap, ofX86Tlb, ofCalls];

const plans: Readonly<Record<string, Plan>> = {
  'ptdump-vmalloc': { survivors: [ofPtdumpVmalloc, ofCalls], quick: ['trylock-2026'] },
  'kvm-pv-flush': { survivors: [ofKvmPvFlush, ofCalls, ofZap, ofX86Tlb] },
  'gup-fast-vs-unmap': {
    survivors: [ofGupFastVsUnmap, ofCalls],
    large: {
      // The batch is full, or there is none: what is queued or sent instead is the same as in the others.
      'kvm-pv/batch-full': ['kvm-pv/batch', 'kvm-pv/allocation-may-fail'],
      'kvm-pv/allocation-may-fail/pt-reclaim': ['kvm-pv/allocation-may-fail', 'kvm-pv/call-rcu'],
    },
  },
  'gup-fast-vs-collapse': { survivors: [ofCollapse, ofCalls] },
  'ksm-vs-gup': { survivors: [ofKsmGup, ofCalls] },
  'pae-lockless-read': {
    survivors: [ofPae, ofCalls],
    // The flush comes before the lock is dropped, and is the same.
    large: { 'native/flush-under-ptl': ['native/one-zapper/below-4g', 'clear-counter'] },
  },
  'lazy-tlb-vs-flush': { survivors: [...X86, ofTransition] },
  'switch-mm-vs-flush': {
    survivors: X86,
    // A second CPU does what the first one does.
    large: { 'two-first-runs': ['first-run'] },
  },
  'two-flushes': { survivors: X86 },
  'same-word': { survivors: [ofFolioRefcount, ofSameWord, ...X86], quick: ['call-queue'] },
  'remote-flush': { survivors: [...X86, ofTransition] },
  'zap-vs-writeback': { survivors: [ofWriteback, ...X86] },
  'kernel-range-flush': { survivors: [ofKernelRange, ofCalls] },
  'riscv-new-mapping': { survivors: [ofRiscv, ofCalls] },
  'reference-ptdump': { survivors: [ofReferencePtdump], quick: ['merged'] },
  'sme-dvmsync-erratum': { survivors: [ofSme, ofCalls] },
  'cow-vs-secondary': {
    survivors: SECONDARY,
    uncompared: /^(?:E2-rapoport-ro-until-notified|E3|E4|E4\/arm64|E5|option-3)$/,
    large: {
      // A third reference; a guest and a device at once; the brackets of a caller around those of do_wp_page().
      'E2-rapoport-ro-until-notified/extra-reference-v5.9': [
        'E2-rapoport-ro-until-notified',
        'E2-rapoport-kvm-only',
        'E2/device',
      ],
      'E5/guest-and-device': ['E5', 'E2/device'],
      'option-3-nested-bracket/leave': ['option-3'],
      'option-3-nested-bracket/alone': ['option-3'],
    },
  },
  'kvm-fault-vs-invalidate': {
    survivors: SECONDARY,
    // Two invalidators of one range, or of two, that are each like the one of the others.
    large: { 'two-ranges': ['protocol'], 'two-invalidators': ['protocol', 'rmap-lock'] },
  },
  'ksm-vs-secondary': {
    survivors: SECONDARY,
    uncompared: /^(?:E2|E2-rapoport|E5|E5\/device)$/,
  },
  'secondary-tlb-order': { survivors: SECONDARY },
  'contpte-fault': { survivors: [ofContpteFault], sizeOf: sizeOfContpte, uncompared: /./ },
  'break-before-make': { survivors: [ofBreakBeforeMake], sizeOf: sizeOfContpte, uncompared: /./ },
  'lazy-vmalloc': { survivors: [ofLazyVmallocOnSc], models: { arm: ofLazyVmalloc } },
  'lazy-nesting': { survivors: [ofLazyMmu], quick: ['current'] },
  'lazy-softirq': { survivors: [ofLazyMmu], quick: ['arm64'] },
};

const CONTPTE: Plan = { survivors: [ofContpte], sizeOf: sizeOfContpte, uncompared: /./ };

function planOf({ name }: Scenario): Plan {
  if (name === 'contpte-fold') return { ...CONTPTE, quick: ['two-folios'] };
  if (plans[name]) return plans[name];
  return name.startsWith('lazy-') ? { survivors: [ofLazyMmu] } : CONTPTE;
}

/** Variants without a table. */
export const withoutTable: readonly WithoutTable[] = [
  {
    scenario: 'contpte-fault',
    variant: 'gathered-noop-test-dbm',
    because: 'no code of the kernel runs: all hardware marks entries dirty by itself, so that nobody faults',
  },
];

/** Of a scenario: its safe variants, each on its own memory model. */
export function safeVariantsOf(scenario: Scenario): string[] {
  return scenario.variants
    .filter((variant) => expectedVerdict(variant, variant.memoryModel ?? 'sc') === 'safe')
    .map(({ name }) => name);
}

function tablesOf(scenario: Scenario): MutantTable[] {
  const { survivors, quick = [], sizeOf, uncompared, large = {}, models = {} } = planOf(scenario);
  const missing = new Set(withoutTable.filter((one) => one.scenario === scenario.name).map(({ variant }) => variant));
  return scenario.variants.flatMap((variant) => {
    const own = variant.memoryModel ?? 'sc';
    const on: readonly (readonly [string, readonly Survivor[]])[] = [
      [own, survivors.flat()],
      ...Object.entries(models),
    ];
    return on
      .filter(([model]) => expectedVerdict(variant, model as MemoryModel) === 'safe' && !missing.has(variant.name))
      .map(([model, explained]) => ({
        scenario: scenario.name,
        variant: variant.name,
        model: model as MemoryModel,
        size: sizeOf?.(scenario.name, variant.name) ?? {},
        survivors: explained,
        quick: model === own && quick.includes(variant.name),
        compare: uncompared?.test(variant.name) !== true && !(variant.name in large),
        onlyBeyond: large[variant.name] ?? [],
      }));
  });
}

/** All of them, in the order of `shootdown list`. */
export const tables: readonly MutantTable[] = scenarios.flatMap(tablesOf);

/** The first line of a table. */
export function headingOf(table: MutantTable): string {
  const { model, onlyBeyond } = table;
  const others = onlyBeyond.length === 0 ? '' : ` (only what ${onlyBeyond.join(' and ')} has not)`;
  return `${whereOf(table)}${others} on ${model}`;
}

/** `scenario / variant (block=2)`. */
function whereOf({ scenario, variant, size }: MutantTable): string {
  const sizes = Object.entries(size).map(([name, value]) => ` (${name}=${value})`);
  return `${scenario} / ${variant}${sizes.join('')}`;
}

/** What a table is made with. */
export function requestOf(table: MutantTable): TableRequest {
  const { scenario, variant, model, size, survivors, compare } = table;
  const build = (name: string, of: string, memoryModel?: MemoryModel, parameters = {}) =>
    resolveScenario(scenarios, { scenario: name, variant: of, memoryModel, parameters }).build();
  return {
    heading: headingOf(table),
    variant,
    survivors,
    compare,
    systemOf: (memoryModel = model) => build(scenario, variant, memoryModel, size),
    // On arm a line is needed for its order, and elsewhere for what it does.
    shipped: (name, of, { parameters, memoryModel = model === 'arm' ? model : undefined } = {}) =>
      build(name, of, memoryModel, parameters),
  };
}

/** Changes that a table leaves to others, by the golden tables that are there. */
export function leftToOthers(
  { scenario, onlyBeyond }: MutantTable,
  golden: ReadonlyMap<string, readonly GoldenRow[]>,
): ReadonlySet<string> {
  const others = tables.filter((table) => table.scenario === scenario && onlyBeyond.includes(table.variant));
  return new Set(others.flatMap((table) => golden.get(headingOf(table)) ?? []).map(({ change }) => change));
}
