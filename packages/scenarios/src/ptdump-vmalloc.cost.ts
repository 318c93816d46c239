/**
 * What each design costs: the machine of the scenario with tables of real size, run in virtual time.
 *
 * Three runs per design: a mapping with nobody dumping, a mapping that comes just when a dump has taken its lock, and a
 * dump that comes just when a mapping has cleared its first entry. Every pud entry is 1 GB with a full pmd table below.
 */
import { explore, resolveScenario } from '@shootdown/explorer';
import {
  arm64Costs,
  BLOCKED,
  defineOperation,
  DirectExecutor,
  operation,
  program,
  replaceRoutines,
  rest,
  routine,
  runVirtualTime,
  type CostModel,
  type Operation,
  type Program,
  type Replacements,
  type Steps,
} from '@shootdown/machine';
import { vmalloc } from '@shootdown/mm';
import { RWSEM_WRITER_LOCKED } from '@shootdown/sync';
import { everyRow, type Comparison, type EachRow, type Patch } from './comparison.ts';
import { buildPtdumpVmalloc, ptdumpVmalloc, vmapDesign, type Machine } from './ptdump-vmalloc.ts';
import type { Design } from './ptdump-vmalloc.variants.ts';

const PTRS_PER_TABLE = 512;

/** The designs that are compared; ratios are against the first. */
const COMPARED = [
  'unlocked',
  'v1',
  'v2',
  'v3',
  'v6-one-dumper',
  'trylock-2026',
  'percpu-rwsem',
  'rcu-walk',
  'rcu-walk-sync',
] as const;

const GRACE_PERIOD_CYCLES = 30_000_000;

/**
 * arm64, and a grace period of 10 ms; Documentation/locking/percpu-rw-semaphore.rst says up to hundreds of
 * milliseconds.
 */
const costs: CostModel = {
  ...arm64Costs,
  costs: {
    ...arm64Costs.costs,
    rcu_grace_period: { cycles: GRACE_PERIOD_CYCLES, source: 'a normal grace period, some 10 ms; rule of thumb' },
  },
};

/** One design's row. Cycles are those of a 3 GHz machine. */
export interface PtdumpVmallocCost {
  readonly variant: string;
  /** Whether the explorer finds it safe. */
  readonly right: 'yes' | 'no';
  /** Times the mapping takes a lock (or a read-side count) to replace one pud entry, with nobody dumping. */
  readonly lockAcquisitionsPerPud: number;
  /** Calls on the way that may sleep, with nobody dumping: none may be made where vmalloc must not sleep. */
  readonly maySleepCallsPerPud: number;
  /** One mapping with nobody dumping. */
  readonly mapCycles: number;
  /** What the design adds to that. */
  readonly mapAddedCycles: number;
  /** One mapping that comes while a dump walks. */
  readonly mapDuringDumpCycles: number;
  /** Of these, asleep. */
  readonly mapAsleepCycles: number;
  /** Times the mapping sleeps there. */
  readonly mapSleeps: number;
  /** Whether that mapping gets its block. */
  readonly hugeDuringDump: 'yes' | 'no';
  /** Interrupts that one dump sends to every other processor. */
  readonly ipisPerDumpAndCpu: number;
  /** One dump with nobody mapping. */
  readonly dumpCycles: number;
  /** How long a dump waits if it comes while a mapping is freeing tables. */
  readonly dumpWaitCycles: number;
}

/** Operations that put a task to sleep when they cannot go on. */
const SLEEPS: ReadonlySet<string> = new Set([
  'down_read_wait',
  'down_write_wait',
  'percpu_rwsem_woken',
  'rcuwait_schedule',
  'rcu_wait_grace_period',
  'rcu_sync_wait',
  'mutex_lock',
]);
/** Calls that may come to that. */
const MAY_SLEEP: readonly string[] = ['down_read', 'rcu_start_grace_period'];

/** What one processor did in a run. */
interface Account {
  cycles: number;
  asleepCycles: number;
  sleeps: number;
  readonly operations: Map<string, number>;
}

type Moment = (machine: Machine, read: (address: number) => number) => boolean;

const UNTIL = defineOperation({
  name: 'until',
  cost: 'choose',
  perform: (cx, op) =>
    (op.data as (read: (address: number) => number) => boolean)((address) => cx.read(address)) ? 0 : BLOCKED,
});

const idle = program(routine('idle', () => rest()));

/** The dump holds its lock. */
const dumpHasBegun: Moment = ({ kernel }, read) => (read(kernel.init_mm.mmap_lock.count) & RWSEM_WRITER_LOCKED) !== 0;

/** The mapping has cleared an entry, or holds the lock under which it will. */
const mappingHasBegun: Moment = ({ kernel }, read) => {
  const [top, first] = [kernel.pud(0), kernel.frames.entry(1, 0)];
  return !vmalloc.pxd_table(read(top.address)) || !vmalloc.pxd_table(read(first.address));
};

/** A program that begins at a moment of another's. */
function after(machine: Machine, moment: Moment, body: Program): Program {
  const waits = routine('until', function* (): Steps {
    yield operation(UNTIL, 0, 0, 0, (read: (address: number) => number) => moment(machine, read), {
      label: '(not yet)',
    });
    yield* body.start() as Steps;
  });
  return program(waits);
}

/** Who runs, and who begins only when the other has. */
interface Plan {
  readonly dump: 'absent' | 'first' | 'second';
  readonly map: 'absent' | 'first' | 'second';
  /** The run ends when this processor is done; or when the dump begins to read. */
  readonly until: typeof DUMP | typeof MAP | 'walk';
}

/** One row: a design, as it ships or with routines replaced. */
interface Compared {
  readonly variant: string;
  readonly patch?: Patch;
}

/** What the processors do. */
const DUMP = 0;
const MAP = 1;
const RCUC = 2;

/** Runs one design, with that many entries per pte table. */
function run(
  design: Design,
  ptes: number,
  plan: Plan,
  replace: Replacements,
): { readonly dump: Account; readonly map: Account; readonly huge: boolean; readonly violated: boolean } {
  let kernel: vmalloc.VmallocKernel | undefined;
  const programs = (machine: Machine): Program[] => {
    kernel = machine.kernel;
    const [dumper] = machine.dumpers;
    const scheduled = (when: Plan['dump'], body: Program, moment: Moment): Program =>
      when === 'absent' ? idle : when === 'first' ? body : after(machine, moment, body);
    const dump = dumper ? program(machine.design.dump, machine.kernel, dumper, DUMP) : idle;
    const map = program(vmalloc.vmap_range, machine.kernel, MAP, vmapDesign(machine.design), 0, 0);
    const both = [scheduled(plan.dump, dump, mappingHasBegun), scheduled(plan.map, map, dumpHasBegun)];
    return machine.design.rcu ? [...both, machine.kernel.rcu.rcuc(RCUC)] : both;
  };
  const request = { variant: design, memoryModel: 'sc', parameters: sizes(ptes) } as const;
  // The watch on the walk caches looks at every entry at each flush: the explorer has that done, at a small size.
  const system = buildPtdumpVmalloc(request, { programs, breakBeforeMake: false });
  const executor = new DirectExecutor(replaceRoutines(system, replace));
  const accounts = [newAccount(), newAccount()] as const;
  const last = [0, 0];
  const { end } = runVirtualTime(executor, {
    costs,
    ...(plan.until !== 'walk' && { until: [plan.until] }),
    onStep: ({ choice, startCycles, durationCycles, operation: op }) => {
      const account = choice.kind === 'advance' ? accounts[choice.processor] : undefined;
      if (choice.kind !== 'advance' || !account || !op) return true;
      const before = op.definition === UNTIL ? startCycles : (last[choice.processor] ?? 0);
      last[choice.processor] = startCycles + durationCycles;
      note(account, op, startCycles - before, durationCycles);
      return plan.until !== 'walk' || op.definition.name !== 'ptdump_read';
    },
  });
  const huge = kernel !== undefined && vmalloc.pxd_leaf(executor.store.read(kernel.pud(0).address));
  return { dump: accounts[DUMP], map: accounts[MAP], huge, violated: end === 'violation' };
}

const sizes = (ptes: number) => ({ vmaps: 1, children: PTRS_PER_TABLE, ptes });

function newAccount(): Account {
  return { cycles: 0, asleepCycles: 0, sleeps: 0, operations: new Map() };
}

/** Books an operation that began `gap` cycles after the one before was complete. */
function note(account: Account, op: Operation, gap: number, duration: number): void {
  const { name } = op.definition;
  if (op.definition === UNTIL) return;
  account.cycles += gap + duration;
  account.operations.set(name, (account.operations.get(name) ?? 0) + 1);
  const gracePeriod = name === 'rcu_wait_grace_period';
  if (!SLEEPS.has(name) || (gap === 0 && !gracePeriod)) return;
  account.sleeps++;
  account.asleepCycles += gap + (gracePeriod ? duration : 0);
}

function counted({ operations }: Account, names: readonly string[]): number {
  let sum = 0;
  for (const name of names) sum += operations.get(name) ?? 0;
  return sum;
}

/**
 * The rows of the comparison, `unlocked` first. Takes some ten seconds with tables of real size.
 * @param ptes entries per pte table: what is below them only makes a dump take longer
 */
export async function ptdumpVmallocCosts(
  ptes = PTRS_PER_TABLE,
  each = everyRow,
  patch?: Patch,
): Promise<PtdumpVmallocCost[]> {
  const dumpings = new Map<vmalloc.Dump, Account>();
  let first: number | undefined;
  const compared = patch ? [{ variant: patch.variant }, { variant: patch.variant, patch }] : COMPARED.map(asItShips);
  return await each(compared, async ({ variant, patch: changed }: Compared) => {
    const request = { scenario: ptdumpVmalloc.name, variant, memoryModel: 'sc' } as const;
    const shipped = resolveScenario([ptdumpVmalloc], request);
    const replaced = changed && { ...request, replace: await changed.routines(shipped.parameters) };
    const resolved = replaced ? resolveScenario([ptdumpVmalloc], replaced) : shipped;
    const design = resolved.variant;
    const { verdict } = await explore(resolved.build());
    const replace = (await changed?.routines(sizes(ptes))) ?? {};
    const alone = run(design, ptes, { dump: 'absent', map: 'first', until: MAP }, replace);
    // A mapping that does not look at dumps takes as long with one as without; its run would end at the first freed
    // table read.
    const together = run(design, ptes, { dump: 'first', map: 'second', until: MAP }, replace);
    const during = together.violated ? alone : together;
    const late = run(design, ptes, { dump: 'second', map: 'first', until: 'walk' }, replace);
    const known = changed ? undefined : dumpings.get(design.dump);
    const dumping = known ?? run(design, ptes, { dump: 'first', map: 'absent', until: DUMP }, replace).dump;
    dumpings.set(design.dump, dumping);
    const percpuReads = counted(alone.map, ['this_cpu_add']) / 2;
    first ??= alone.map.cycles;
    return {
      variant: changed?.name ?? variant,
      right: yesNo(verdict === 'safe'),
      lockAcquisitionsPerPud: counted(alone.map, ['down_read', 'down_read_trylock']) + percpuReads,
      maySleepCallsPerPud: counted(alone.map, MAY_SLEEP) + percpuReads,
      mapCycles: alone.map.cycles,
      mapAddedCycles: alone.map.cycles - first,
      mapDuringDumpCycles: during.map.cycles,
      mapAsleepCycles: during.map.asleepCycles,
      mapSleeps: during.map.sleeps,
      hugeDuringDump: yesNo(during.huge),
      ipisPerDumpAndCpu: counted(dumping, ['ipi_send']),
      dumpCycles: dumping.cycles,
      dumpWaitCycles: late.dump.asleepCycles,
    };
  });
}

const asItShips = (variant: string): Compared => ({ variant });

const yesNo = (value: boolean): 'yes' | 'no' => (value ? 'yes' : 'no');

/** The table of `shootdown compare ptdump-vmalloc`. */
export async function comparePtdumpVmalloc(each: EachRow, patch?: Patch): Promise<Comparison> {
  return {
    name: 'ptdump-vmalloc',
    title:
      'Replacing one pud entry with 512 pte tables below by a block, and dumping the table: what each design costs',
    columns: [
      { key: 'right', heading: 'right', unit: '' },
      { key: 'lockAcquisitionsPerPud', heading: 'locks', unit: 'per pud' },
      { key: 'maySleepCallsPerPud', heading: 'may sleep', unit: 'per pud' },
      { key: 'mapCycles', heading: 'map, no dump', unit: 'cycles', ratio: true },
      { key: 'mapAddedCycles', heading: 'added', unit: 'cycles' },
      { key: 'mapDuringDumpCycles', heading: 'map during dump', unit: 'cycles' },
      { key: 'mapAsleepCycles', heading: 'asleep', unit: 'cycles' },
      { key: 'mapSleeps', heading: 'sleeps', unit: 'count' },
      { key: 'hugeDuringDump', heading: 'block', unit: 'during dump' },
      { key: 'ipisPerDumpAndCpu', heading: 'IPIs', unit: 'per dump and CPU' },
      { key: 'dumpCycles', heading: 'dump alone', unit: 'cycles', ratio: true },
      { key: 'dumpWaitCycles', heading: 'dump waits', unit: 'cycles' },
    ],
    rows: (await ptdumpVmallocCosts(PTRS_PER_TABLE, each, patch)).map((row) => ({ ...row })),
    notes: [
      'Costs are rules of thumb with their sources in packages/machine/src/schedule/cost.ts: read ratios, not times.',
      'Printing is not counted, so a real dump holds its lock for much longer; nor is the time a sleeper takes to wake up.',
      'A grace period is taken to last 10 ms.',
    ],
  };
}
