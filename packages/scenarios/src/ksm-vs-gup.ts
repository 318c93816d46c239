/**
 * `ksm-vs-gup`: may KSM merge a page that GUP-fast has just pinned, when its flush sends no IPI? (mm/ksm.c, since 2009)
 *
 * ksmd makes the entry read-only and then counts references: "no O_DIRECT can happen after the check". Its comment
 * argues with the IPI of the flush, which a walk with interrupts off holds up. Where the flush is no IPI, it is the
 * second look of GUP-fast that keeps the promise. See docs/mmu-notifier.md.
 */
import type { BuildRequest, Scenario, Variant } from '@shootdown/explorer';
import { program, type System } from '@shootdown/machine';
import { gup } from '@shootdown/mm';
import { buildGupMachine, type Flush } from './gup-machine.ts';

/** A variant with the parts it is built from. */
interface KsmGupVariant extends Variant {
  readonly flush: Flush;
  readonly recheck: gup.Recheck;
  readonly section?: gup.ReadSection;
  readonly counting?: gup.Counting;
}

const KSM = 'mm/ksm.c, v6.18: write_protect_page()';
const DERIVED = 'derived: clear, then count, against pin, then look again';
const NOBODY = 'no outside authority';

const ksmGupVariants: readonly KsmGupVariant[] = [
  {
    name: 'pin-recheck',
    expected: 'safe',
    expectedOn: { arm: 'safe' },
    source: DERIVED,
    summary: 'a flush without IPI (TLBI): the walk looks at the entry again after it has pinned the page',
    flush: 'tlbi',
    recheck: 'pte+pmd',
  },
  {
    name: 'no-recheck',
    expected: 'violation',
    expectedOn: { arm: 'violation' },
    source: DERIVED,
    summary: 'it does not',
    flush: 'tlbi',
    recheck: 'none',
  },
  {
    name: 'kvm-pv/pin-recheck',
    expected: 'safe',
    source: DERIVED,
    summary: 'a KVM guest whose vCPUs are preempted',
    flush: 'kvm-pv',
    recheck: 'pte+pmd',
  },
  {
    name: 'kvm-pv/no-recheck',
    expected: 'violation',
    source: DERIVED,
    summary: 'the same without the second look',
    flush: 'kvm-pv',
    recheck: 'none',
  },
  {
    name: 'native-ipi/no-recheck',
    expected: 'safe',
    source: KSM,
    summary: 'bare metal without the second look: the flush waits for the walk, as the comment says',
    flush: 'native-ipi',
    recheck: 'none',
  },
  {
    name: 'native-ipi/no-recheck/irqs-on',
    expected: 'violation',
    source: NOBODY,
    summary: 'the same with interrupts on',
    flush: 'native-ipi',
    recheck: 'none',
    section: 'none',
  },
  {
    name: 'count-before-clear',
    expected: 'violation',
    expectedOn: { arm: 'violation' },
    source: NOBODY,
    summary: 'ksmd counts references before it clears the entry',
    flush: 'tlbi',
    recheck: 'pte+pmd',
    counting: 'before the clear',
  },
  {
    name: 'no-count',
    expected: 'violation',
    expectedOn: { arm: 'violation' },
    source: NOBODY,
    summary: 'ksmd does not count references',
    flush: 'tlbi',
    recheck: 'pte+pmd',
    counting: 'never',
  },
];

function buildKsmVsGup({ variant, memoryModel }: BuildRequest<KsmGupVariant>): System {
  const { flush, recheck, section = 'irqs off', counting = 'after the clear' } = variant;
  return buildGupMachine({
    memoryModel,
    flush,
    guards: { ...gup.GUP_GUARDS, recheck, section },
    remove: (kernel, cpu) => program(gup.ksmd, kernel, cpu, counting),
    removed: 'pte',
    tablesAreFreed: false,
    staysMapped: true,
    references: 2,
  });
}

/** KSM against GUP-fast: is a page merged that somebody has pinned? */
export const ksmVsGup: Scenario<KsmGupVariant> = {
  name: 'ksm-vs-gup',
  title: 'KSM against GUP-fast: is a page merged that somebody has pinned?',
  seed: 'S3',
  variants: ksmGupVariants,
  build: buildKsmVsGup,
};
