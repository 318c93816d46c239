/**
 * `ksm-vs-secondary`: may KSM take a page away that a guest, or a device, writes to? (2009 to 2024)
 *
 * ksmd merges a page of the process with an equal page of its stable tree: it makes the page read-only, compares, and
 * replaces it. A guest, or a device, has it mapped writable, reads it, writes to it and reads it again. A write after
 * the merge breaks it: copy-on-write. See docs/mmu-notifier.md.
 */
import type { BuildRequest, Scenario, Variant } from '@shootdown/explorer';
import { program, type Address, type Property, type System } from '@shootdown/machine';
import { CHANGE_PTE_X86, secondary, type IpiTlbOptions, type KvmMutant } from '@shootdown/mm';
import { pte_pfn, pte_present, pte_write } from '@shootdown/mmu';
import { alsoOnArm } from './on-arm.ts';
import {
  buildSecondaryMachine,
  entryPair,
  isMerged,
  merges,
  zaps,
  type PrimaryCpu,
  type SecondaryMachine,
} from './secondary-machine.ts';

/** A variant with the parts it is built from. */
interface KsmVariant extends Variant {
  readonly era: keyof typeof secondary.NotifierEra;
  /** `thread`: nobody but another thread of the process. `zap`: which gives the page back. */
  readonly who: 'guest' | 'device' | 'thread' | 'zap';
  readonly tlb?: IpiTlbOptions;
  readonly mutant?: secondary.KsmMutant;
  readonly kvm?: KvmMutant;
}

const PAGE = 0;
const VERSION = 1;
const LOAD = { page: PAGE, version: 0 } as const;
const ACCESSES = [LOAD, { page: PAGE, version: VERSION }, LOAD] as const;
const NOBODY = 'no outside authority';
const BETWEEN = 'derived: between the lock and invalidate_page() the device still writes';
const THREAD = '"mm/mmu_notifier: restore set_pte_at_notify semantics", January 2014';

const ksmVariants: readonly KsmVariant[] = alsoOnArm([
  {
    name: 'E1-change-then-set',
    era: 'E1-change-then-set',
    who: 'guest',
    expected: 'safe',
    source: 'mm/ksm.c, v3.6',
    summary: 'v3.6: change_pte() makes the mapping read-only, then switches it to the stable page',
  },
  {
    name: 'E2',
    era: 'E2',
    who: 'guest',
    expected: 'safe',
    source: '6bdb913f0a70',
    summary: 'v3.7: a bracket around each of the two',
  },
  {
    name: 'E2-rapoport',
    era: 'E2-rapoport',
    who: 'guest',
    expected: 'safe',
    source: THREAD,
    summary: 'the proposal of 2014: no bracket around the write protection, the one around the replacement stays',
  },
  {
    name: 'E2-rapoport/device',
    era: 'E2-rapoport',
    who: 'device',
    expected: 'violation',
    source: BETWEEN,
    summary: 'the same with a device that has no change_pte(): J4, and nothing else',
  },
  {
    name: 'E2-rapoport-no-brackets',
    era: 'E2-rapoport-no-brackets',
    who: 'guest',
    expected: 'safe',
    source: 'derived: change_pte() under the page-table lock',
    summary: 'without that one, too: change_pte() works again',
  },
  {
    name: 'E2-rapoport-no-brackets/device',
    era: 'E2-rapoport-no-brackets',
    who: 'device',
    expected: 'violation',
    source: BETWEEN,
    summary: 'the same with a device',
  },
  {
    name: 'E5',
    era: 'E5',
    who: 'guest',
    expected: 'safe',
    source: 'f7842747d13d',
    summary: 'v6.10: the brackets alone',
  },
  {
    name: 'E5/device',
    era: 'E5',
    who: 'device',
    expected: 'safe',
    source: 'f7842747d13d',
    summary: 'the same with a device',
  },
  {
    name: 'E5/thread',
    era: 'E5',
    who: 'thread',
    expected: 'safe',
    source: 'mm/ksm.c, v6.18: ptep_clear_flush()',
    summary: 'nobody but the process: another thread writes to the page and reads it again',
  },
  {
    name: 'E5/thread/no-ipi',
    era: 'E5',
    who: 'thread',
    expected: 'violation',
    source: NOBODY,
    summary: 'the same, and its CPU is not flushed',
    tlb: { sendsIpis: false },
  },
  {
    name: 'E5/zap',
    era: 'E5',
    who: 'zap',
    expected: 'safe',
    source: 'mm/ksm.c, v6.18: each of its steps takes the page-table lock and looks again',
    summary: 'nobody but the process: another thread gives the page back meanwhile',
  },
  {
    name: 'write-protection-in-silence',
    era: 'E5',
    who: 'guest',
    expected: 'violation',
    source: NOBODY,
    summary: 'nobody is told that the page is read-only now',
    mutant: 'write protection in silence',
  },
  {
    name: 'replacement-in-silence',
    era: 'E5',
    who: 'guest',
    expected: 'violation',
    source: NOBODY,
    summary: 'nobody is told that the page is replaced',
    mutant: 'replacement in silence',
  },
  {
    name: 'E1-change-then-set/keeps-permission',
    era: 'E1-change-then-set',
    who: 'guest',
    expected: 'violation',
    source: NOBODY,
    summary: 'v3.6, but change_pte() leaves a mapping as writable as it was',
    kvm: 'keeps permission',
  },
]);

function buildKsmVsSecondary({
  variant: { era, who, mutant, kvm, tlb },
  memoryModel,
}: BuildRequest<KsmVariant>): System {
  const ksmd = merges(PAGE, mutant);
  const thread: PrimaryCpu = {
    accesses: true,
    run: ({ kernel, mm }, cpu) => program(secondary.user_reads_back, kernel, cpu, mm, PAGE, VERSION),
  };
  return buildSecondaryMachine(
    {
      memoryModel,
      pages: [{ writable: true, references: 1, established: true }],
      freePages: 1,
      stablePage: true,
      design: secondary.NotifierEra[era],
      ...(tlb && { tlb }),
      cpus: [ksmd, ...(who === 'thread' ? [thread] : []), ...(who === 'zap' ? [zaps(PAGE)] : [])],
      ...(who === 'guest' && {
        guest: { accesses: ACCESSES, ...(era !== 'E5' && { change_pte: CHANGE_PTE_X86 }), ...(kvm && { mutant: kvm }) },
      }),
      ...(who === 'device' && { device: { accesses: ACCESSES, kind: 'table' as const } }),
    },
    (machine) => propertiesOf(machine, who),
  );
}

function propertiesOf(machine: SecondaryMachine, who: KsmVariant['who']): Property[] {
  const { kernel, contents, kpage } = machine;
  const primary = kernel.frames.entry(0, PAGE).address;
  if (who === 'zap') return [isMerged(machine, PAGE), isHeldAfterZap(machine, primary)];
  const mmu = machine.kvm ?? machine.odp;
  const pair = mmu && entryPair(machine, PAGE, mmu.entryAddress(PAGE));
  return [
    ...(pair
      ? [secondary.secondaryAgreesAtRest(mmu.name, pair), secondary.secondaryIsNoMoreWritable(mmu.name, pair)]
      : []),
    isMerged(machine, PAGE),
    {
      name: 'a merge is broken by a write',
      kind: 'sometimes',
      why: 'whoever writes then has a copy of its own',
      reads: [primary, contents.newest.at(PAGE), contents.versions.at(kpage)],
      check: (read) =>
        pte_present(read(primary)) &&
        pte_write(read(primary)) &&
        pte_pfn(read(primary)) > kpage &&
        read(contents.newest.at(PAGE)) === VERSION,
    },
  ];
}

/** ksmd has the page, and nobody maps it any more. */
function isHeldAfterZap({ kernel: { frames }, kpage }: SecondaryMachine, primary: Address): Property {
  const references = frames.refcount.at(kpage - 1);
  return {
    name: 'the page is given back while ksmd is at it',
    kind: 'sometimes',
    why: 'otherwise the two never meet',
    reads: [primary, references],
    check: (read) => !pte_present(read(primary)) && read(references) === 1,
  };
}

/**
 * KSM against secondary MMUs: does a guest or a device write to a page that has been merged, or lose what it has
 * written?
 */
export const ksmVsSecondary: Scenario<KsmVariant> = {
  name: 'ksm-vs-secondary',
  title:
    'KSM against secondary MMUs: does a guest or a device write to a page that has been merged, or lose what it has written?',
  seed: 'S3',
  variants: ksmVariants,
  build: buildKsmVsSecondary,
};
