import { expectedVerdict, resolveScenario, type Scenario } from '@shootdown/explorer';
import { describe, expect, it } from 'vitest';
import * as contpteScenarios from './contpte/index.ts';
import { cowVsSecondary } from './cow-vs-secondary.ts';
import { gupFastVsCollapse } from './gup-fast-vs-collapse.ts';
import { gupFastVsUnmap } from './gup-fast-vs-unmap.ts';
import { scenarios } from './index.ts';
import { kernelRangeFlush } from './kernel-range-flush.ts';
import { ksmVsGup } from './ksm-vs-gup.ts';
import { ksmVsSecondary } from './ksm-vs-secondary.ts';
import { kvmFaultVsInvalidate } from './kvm-fault-vs-invalidate.ts';
import { kvmPvFlush } from './kvm-pv-flush.ts';
import { lazyTlbVsFlush } from './lazy-tlb-vs-flush.ts';
import { DEEP } from './matrix.test-support.ts';
import { explanationOf, MutantGolden, mutantTable, type Survivor } from './mutants.test-support.ts';
import { ofContpte, ofContpteFault, sizeOfContpte } from './mutants.survivors-contpte.test-support.ts';
import { ofCollapse, ofKsmGup, ofPae } from './mutants.survivors-gup.test-support.ts';
import { ofKsmSecondary, ofSecondary } from './mutants.survivors-secondary.test-support.ts';
import {
  ofCalls,
  ofKernelRange,
  ofRiscv,
  ofTransition,
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
import { paeLocklessRead } from './pae-lockless-read.ts';
import { ptdumpVmalloc } from './ptdump-vmalloc.ts';
import { referencePtdump } from './reference-ptdump.ts';
import { remoteFlush } from './remote-flush.ts';
import { riscvNewMapping } from './riscv-new-mapping.ts';
import { secondaryTlbOrder } from './secondary-tlb-order.ts';
import { smeDvmsyncErratum } from './sme-dvmsync-erratum.ts';
import { switchMmVsFlush } from './switch-mm-vs-flush.ts';
import { twoFlushes } from './two-flushes.ts';

/** Variants whose lines are changed; `quick` ones in every test run. */
interface Mutated {
  readonly scenario: Scenario;
  readonly variants: readonly string[];
  readonly quick: readonly string[];
  readonly survivors: readonly Survivor[];
  /** Parameters that are not their defaults. */
  readonly sizeOf?: (scenario: string, variant: string) => Readonly<Record<string, number>>;
  /** Left out, survivors that make no difference are told from others: see `mutate`. */
  readonly compare?: false;
}

/** Safe variants that are not there, most of them because they take too long: see the README of this package. */
const NOT_THERE: Readonly<Record<string, RegExp>> = {
  'ptdump-vmalloc': /^(?:v6|v6-pmd)$/,
  'gup-fast-vs-unmap': /\/(?:batch|batch-full|allocation-may-fail\/(?:pt-reclaim|sync-rcu))$/,
  'switch-mm-vs-flush': /^two-first-runs$/,
  'pae-lockless-read': /^native\/flush-under-ptl$/,
  'break-before-make': /./,
  'contpte-fault': /^gathered-noop-test-dbm$/,
};

/** Where most variants are large, those that are there; the others have the same lines. */
const THERE: Readonly<Record<string, RegExp>> = {
  'cow-vs-secondary':
    /^(?:E1-change-then-set|E3\/device-tlb|E3\/device-tlb-zap|E4\/device-tlb-zap|E5\/reader|notifier-on-collapse)$/,
  'kvm-fault-vs-invalidate': /^(?:protocol|rmap-lock|memslot-added)$/,
  'ksm-vs-secondary': /^(?:E1-change-then-set|E5\/thread|E5\/zap)$/,
};

function mutated(scenario: Scenario, quick: readonly string[], ...survivors: (readonly Survivor[])[]): Mutated {
  const variants = scenario.variants
    .filter((variant) => expectedVerdict(variant, variant.memoryModel ?? 'sc') === 'safe')
    .map(({ name }) => name)
    .filter((name) => NOT_THERE[scenario.name]?.test(name) !== true && THERE[scenario.name]?.test(name) !== false);
  return { scenario, variants, quick, survivors: survivors.flat() };
}

const all: readonly Mutated[] = [
  mutated(ptdumpVmalloc, ['trylock-2026'], ofPtdumpVmalloc, ofCalls),
  mutated(kvmPvFlush, [], ofKvmPvFlush, ofCalls, ofZap, ofX86Tlb),
  mutated(gupFastVsUnmap, ['native-ipi/page-batch'], ofGupFastVsUnmap, ofCalls),
  mutated(gupFastVsCollapse, [], ofCollapse, ofCalls),
  mutated(ksmVsGup, [], ofKsmGup, ofCalls),
  mutated(paeLocklessRead, [], ofPae, ofCalls),
  mutated(lazyTlbVsFlush, [], ofZap, ofX86Tlb, ofCalls, ofTransition),
  mutated(switchMmVsFlush, [], ofZap, ofX86Tlb, ofCalls),
  mutated(twoFlushes, [], ofZap, ofX86Tlb, ofCalls),
  mutated(remoteFlush, [], ofZap, ofX86Tlb, ofCalls, ofTransition),
  mutated(kernelRangeFlush, [], ofKernelRange, ofCalls),
  mutated(riscvNewMapping, [], ofRiscv, ofCalls),
  ...(Object.values(contpteScenarios) as unknown as Scenario[]).map((scenario): Mutated => ({
    ...mutated(
      scenario,
      scenario.name === 'contpte-fold' ? ['two-folios'] : [],
      scenario.name === 'contpte-fault' ? ofContpteFault : ofContpte,
    ),
    sizeOf: sizeOfContpte,
    compare: false,
  })),
  mutated(referencePtdump, ['merged'], ofReferencePtdump),
  mutated(smeDvmsyncErratum, [], ofSme, ofCalls),
  mutated(cowVsSecondary, [], ofKsmSecondary, ofSecondary, ofZap, ofCalls),
  mutated(kvmFaultVsInvalidate, [], ofKsmSecondary, ofSecondary, ofZap, ofCalls),
  mutated(ksmVsSecondary, ['E5/zap'], ofKsmSecondary, ofSecondary, ofZap, ofCalls),
  mutated(secondaryTlbOrder, [], ofKsmSecondary, ofSecondary, ofZap, ofCalls),
];

const shipped = (scenario: string, variant: string, parameters: Readonly<Record<string, number>> = {}) =>
  resolveScenario(scenarios, { scenario, variant, parameters });

describe.each(all)('lines of $scenario.name', ({ scenario, variants, quick, survivors, sizeOf, compare }) => {
  const golden = new MutantGolden(scenario.name);

  it.each(DEEP ? variants : quick)('%s: each is needed, or it is known why not', async (variant) => {
    const size = sizeOf?.(scenario.name, variant) ?? {};
    const resolved = shipped(scenario.name, variant, size);
    const sizes = Object.entries(size).map(([name, value]) => ` (${name}=${value})`);
    const where = `${scenario.name} / ${variant}${sizes.join('')}`;
    const rows = await mutantTable({
      where,
      variant,
      survivors,
      ...(compare === false && { compare }),
      systemOf: () => resolved.build(),
      shipped: (...named) => shipped(...named).build(),
    });
    const heading = `${where} on ${resolved.memoryModel}`;
    expect([heading, ...rows].join('\n')).toBe(golden.section(heading, rows));
  });
});

it('an explanation speaks of the variants and changes that it names', () => {
  const survivors = [
    { change: 'a/b:leave-out', variants: 'x/*', because: 'first' },
    { change: 'a/*', because: 'second' },
  ];
  expect(explanationOf(survivors, 'x/y', 'a/b:leave-out')?.because).toBe('first');
  expect(explanationOf(survivors, 'y', 'a/b:leave-out')?.because).toBe('second');
  expect(explanationOf(survivors, 'y', 'c/b:leave-out')).toBeUndefined();
});
