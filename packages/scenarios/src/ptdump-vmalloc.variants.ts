/**
 * The designs that were posted for huge vmalloc against ptdump on arm64, the ones proposed in replies, and mutants of
 * them. What each does is in packages/mm/src/vmalloc; this table says which parts make up which design, and who expects
 * what.
 */
import type { Variant } from '@shootdown/explorer';
import { vmalloc } from '@shootdown/mm';
import type { Fetch } from '@shootdown/ptdump';

const { dumps, freeTables } = vmalloc;

/** A variant with the parts it is built from. */
export interface Design extends Variant {
  readonly tables: vmalloc.FreeTables;
  readonly tryHuge: vmalloc.TryHuge;
  /** Largest block asked for. */
  readonly largest: 'pud' | 'pmd';
  /** One dump per entry, each on a processor of its own. */
  readonly dump: vmalloc.Dump;
  readonly dumpers: number;
  readonly fetch: Fetch;
  /** Code patching ends with kick_all_cpus_sync(), by IPI. */
  readonly kick: boolean;
  /** There is efi_mm too. */
  readonly efi: boolean;
  /** Needs an RCU callback thread. */
  readonly rcu: boolean;
  readonly withoutDsb: boolean;
  readonly withoutIsb: boolean;
  readonly withoutBarrierB: boolean;
  /** Which witnesses must exist. */
  readonly witnesses: readonly WitnessName[];
}

/** Witnesses against verdicts that hold because nothing happened. */
export type WitnessName = 'huge' | 'freed-during-dump' | 'contended' | 'key-on' | 'key-off';

type Parts = Partial<Omit<Design, 'name' | 'expected' | 'source' | 'summary'>>;

const UNLOCKED: readonly WitnessName[] = ['huge', 'freed-during-dump'];
const LOCKED: readonly WitnessName[] = [...UNLOCKED, 'contended'];
const KEYED: readonly WitnessName[] = [...LOCKED, 'key-on', 'key-off'];

const DEFAULTS = {
  tables: freeTables.beforeFix,
  tryHuge: 'free',
  largest: 'pud',
  dump: dumps.plainDump,
  dumpers: 1,
  fetch: 'single',
  kick: false,
  efi: false,
  rcu: false,
  withoutDsb: false,
  withoutIsb: false,
  withoutBarrierB: false,
  witnesses: LOCKED,
} as const satisfies Parts;

const V6: Parts = { tables: freeTables.keyed, dump: dumps.countingDump, kick: true, witnesses: KEYED };
const TRYLOCK: Parts = { tables: freeTables.beforeFix, tryHuge: 'trylock' };
const RCU: Parts = { dump: dumps.rcuDump, rcu: true, witnesses: UNLOCKED };
const PERCPU: Parts = {
  tables: freeTables.percpuRwsem,
  dump: dumps.percpuDump,
  rcu: true,
  witnesses: UNLOCKED,
};
/** The protocol as litmus tests have it: no IPI, so only the barriers in the code order anything. */
const LITMUS: Parts = { ...V6, kick: false };

const V1_MAIL = 'v1, 20250530082021.18182-1-dev.jain@arm.com: every clear under the read lock';
const V3_MAIL = 'v3, 20250616103310.17625-1-dev.jain@arm.com';
const V6_MAIL = 'v6, 20250922064126.63016-1-dev.jain@arm.com, merged as fa93b45fd397';
const SERIES_2026 = '20260714-series-vmap-race-fix-v3-0-b812eccfa0f9@kernel.org';
const RETRACTED = 'objection to v3 retracted in 351c113c-d658-4cf6-9e5c-441b1c96bf17@arm.com';
const LITMUS_MAIL = 'store buffering; aGsYZ7W0yunbeqQV@arm.com, reply to v4, and an LKMM litmus test under v5';
const DERIVED = 'derived from the reads of walk_pud_range(), mm/pagewalk.c';
const NOBODY = 'no outside authority';

function design(name: string, expected: Variant['expected'], source: string, summary: string, parts: Parts): Design {
  // On arm the verdict is that of sc, but for the barriers that the code needs there.
  const arm = typeof expected === 'string' ? expected : (expected.arm ?? expected.sc);
  return { ...DEFAULTS, ...parts, name, expected, ...(arm && { expectedOn: { arm } }), source, summary };
}

const posted: readonly Design[] = [
  design(
    'unlocked',
    'violation',
    'lore: the race that the series fixes; syzbot fd95a72470f5a44e464c',
    'v6.17 and before with huge vmalloc: clear, flush, free',
    { witnesses: UNLOCKED },
  ),
  design('v1', 'safe', V1_MAIL, 'every clear under mmap_read_lock(init_mm)', { tables: freeTables.v1 }),
  design('v2', 'safe', 'v2: as v1, tables isolated first', 'v1 with the pud entry isolated first: one lock per pud', {
    tables: freeTables.v2,
  }),
  design(
    'v3',
    'safe',
    `${V3_MAIL}; ${RETRACTED}`,
    'static key, not counted; the free waits on the read lock if it is on; one dumper',
    { ...V6, dump: dumps.enablingDump },
  ),
  design(
    'v3-two-dumpers',
    'violation',
    'review of v5: what serialises the toggling of the key?',
    'v3 with two dumps at once',
    { ...V6, dump: dumps.enablingDump, dumpers: 2 },
  ),
  design(
    'v4',
    'violation',
    'v5, 20250723102905.7894-1-dev.jain@arm.com, changelog: the change of arch_vmap_*_supported() was dropped by mistake',
    'v3 with arch_vmap_pud_supported() left off: no huge mapping is ever made',
    {
      ...V6,
      dump: dumps.enablingDump,
      tryHuge: 'unsupported',
      witnesses: ['huge'],
    },
  ),
  design('v6', 'safe', V6_MAIL, 'counted static key, two dumps at once', { ...V6, dumpers: 2 }),
  design('v6-one-dumper', 'safe', V6_MAIL, 'v6 with one dump', V6),
  design('v6-pmd', 'safe', V6_MAIL, 'v6, mapping pmd blocks: pmd_free_pte_page() with acquire_mmap_lock', {
    ...V6,
    largest: 'pmd',
  }),
  design(
    'roberts-order',
    'violation',
    'reply to v3: sample the key, lock, clear, unlock, free',
    'the key is sampled before the clear',
    { ...V6, tables: freeTables.robertsOrder, dump: dumps.enablingDump },
  ),
  design(
    'percpu-rwsem',
    'safe',
    'proposed in reply to v3',
    'clear and free under percpu_down_read(), the dump under percpu_down_write()',
    PERCPU,
  ),
  design(
    'rcu-walk',
    'safe',
    'proposed in 20250530123527.GA30463 (reply to v1)',
    'the walk is an RCU section, tables are freed by call_rcu()',
    { ...RCU, tables: freeTables.rcuCallback },
  ),
  design('rcu-walk-sync', 'safe', 'as rcu-walk', 'as rcu-walk with synchronize_rcu(): vmalloc sleeps', {
    ...RCU,
    tables: freeTables.rcuSynchronize,
  }),
  design(
    'trylock-2026',
    'safe',
    SERIES_2026,
    'mmap_read_trylock(init_mm) around free and set; smaller mappings if it fails',
    TRYLOCK,
  ),
  design(
    'trylock-2026-plus-v6',
    'deadlock',
    `${SERIES_2026}: why the arm64 part has to be reverted`,
    'the trylock of 2026 around the freeing of v6',
    { ...V6, tryHuge: 'trylock', witnesses: [] },
  ),
  design('other-mm', 'violation', SERIES_2026, 'trylock-2026, the dump walks efi_mm under its own lock', {
    ...TRYLOCK,
    dump: dumps.efiDump,
    efi: true,
    witnesses: UNLOCKED,
  }),
  design('other-mm-fixed', 'safe', SERIES_2026, "the dump of efi_mm takes init_mm's lock too", {
    ...TRYLOCK,
    dump: dumps.efiDumpNested,
    efi: true,
  }),
];

const barriers: readonly Design[] = [
  design(
    'v6-no-barrier',
    { sc: 'safe', tso: 'violation', arm: 'violation' },
    LITMUS_MAIL,
    'no DSB between clear and key, no IPI when the key is patched (as the litmus test has it)',
    {
      ...LITMUS,
      withoutDsb: true,
      witnesses: KEYED,
    },
  ),
  design(
    'v6-no-kick',
    'safe',
    'herd7 test in the log of fa93b45fd397: no IPI in it',
    'v6 on a kernel without kick_all_cpus_sync() in jump_label (before v6.11)',
    LITMUS,
  ),
  design(
    'v6-no-barrier-kick',
    'safe',
    'derived: the IPI that patches the key orders the clear before the walk',
    'no DSB between clear and key, but the IPI',
    { ...V6, withoutDsb: true },
  ),
  design(
    'v6-no-isb',
    'safe',
    'derived: the IPI synchronizes the context',
    'no ISB between clear and key, but the IPI',
    { ...V6, withoutIsb: true },
  ),
  design(
    'v6-no-isb-no-kick',
    'violation',
    'derived: an old instruction may be executed',
    'neither ISB nor IPI: the key is seen off after it was turned on',
    { ...LITMUS, withoutIsb: true },
  ),
  design(
    'percpu-rwsem-no-barrier-b',
    'safe',
    'derived: a table is freed by a value-returning atomic, which is a full barrier',
    'percpu-rwsem without smp_mb() in percpu_up_read()',
    { ...PERCPU, withoutBarrierB: true },
  ),
];

const fetches: readonly Design[] = [
  design(
    'unlocked-multi-fetch',
    'violation',
    DERIVED,
    'unlocked, with the walker as it is: every entry is read five or six times',
    { fetch: 'multi', witnesses: UNLOCKED },
  ),
  design('v1-multi-fetch', 'safe', DERIVED, 'v1, with the walker as it is', { tables: freeTables.v1, fetch: 'multi' }),
  design('v2-multi-fetch', 'safe', DERIVED, 'v2, with the walker as it is', { tables: freeTables.v2, fetch: 'multi' }),
  design('v6-multi-fetch', 'violation', DERIVED, 'v6, with the walker as it is: the clear holds no lock', {
    ...V6,
    fetch: 'multi',
  }),
  design(
    'v6-multi-fetch-7.0',
    'violation',
    'derived from the reads of walk_pmd_range() since 3b89863c3fa4 (v7.0-rc6), 9b25a6e3d243 (v7.1-rc1)',
    'v6, with the walker of v7.0: pmd_offset() still reads again after the last test',
    {
      ...V6,
      fetch: 'multi-7.0',
    },
  ),
  design('percpu-rwsem-multi-fetch', 'safe', DERIVED, 'percpu-rwsem, with the walker as it is', {
    tables: freeTables.percpuRwsem,
    dump: dumps.percpuDump,
    rcu: true,
    fetch: 'multi',
    witnesses: UNLOCKED,
  }),
  design(
    'rcu-walk-multi-fetch',
    'violation',
    DERIVED,
    'rcu-walk, with the walker as it is: the clear waits for nobody',
    { ...RCU, tables: freeTables.rcuCallback, fetch: 'multi' },
  ),
  design('trylock-2026-multi-fetch', 'safe', DERIVED, 'trylock-2026, with the walker as it is', {
    ...TRYLOCK,
    fetch: 'multi',
  }),
];

const mutants: readonly Design[] = [
  design('mutant-sampled-before-clear', 'violation', NOBODY, 'v6 with the key sampled before the clear', {
    ...V6,
    tables: freeTables.sampledBeforeClear,
  }),
  design('mutant-freed-before-wait', 'violation', NOBODY, 'v6 with the free before the wait', {
    ...V6,
    tables: freeTables.freedBeforeWait,
  }),
  design(
    'mutant-not-isolated',
    'violation',
    NOBODY,
    'v6 with children freed without the lock before the pud entry is cleared',
    { ...V6, tables: freeTables.notIsolated },
  ),
  design('mutant-dec-before-unlock', 'safe', NOBODY, 'v6 with the key turned off before the unlock, after the walk', {
    ...V6,
    dump: dumps.decBeforeUnlock,
  }),
  design('mutant-dec-before-walk', 'violation', NOBODY, 'v6 with the key turned off before the walk', {
    ...V6,
    dump: dumps.decBeforeWalk,
  }),
  design('mutant-inc-after-lock', 'safe', NOBODY, 'v6 with the key turned on inside the lock', {
    ...V6,
    dump: dumps.incAfterLock,
  }),
  design('mutant-dump-without-lock', 'violation', NOBODY, 'v6 with a dump that takes no lock', {
    ...V6,
    dump: dumps.dumpWithoutLock,
    witnesses: ['huge'],
  }),
  design('mutant-trylock-unchecked', 'violation', NOBODY, 'trylock-2026 that goes on when the trylock has failed', {
    ...TRYLOCK,
    tryHuge: 'trylock-unchecked',
  }),
  design('mutant-trylock-dropped', 'violation', NOBODY, 'trylock-2026 that releases the lock before the free', {
    ...TRYLOCK,
    tryHuge: 'trylock-dropped',
  }),
  design('mutant-rcu-unprotected', 'violation', NOBODY, 'rcu-walk with a walk outside any RCU section', {
    ...RCU,
    tables: freeTables.rcuCallback,
    dump: dumps.plainDump,
  }),
];

/** All designs, in the order in which they are listed and compared. */
export const designs: readonly Design[] = [...posted, ...barriers, ...fetches, ...mutants];
