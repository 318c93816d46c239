/**
 * The flush-count table: IPIs and TLB flushes of four address-space operations on a 4-CPU x86 machine.
 *
 * The main thread on CPU 0 maps 100 private anonymous areas one after another, touches every page, and does one
 * operation on each area in order of creation, while other threads of the process spin in user mode or sleep.
 */
import { X86Counter } from '@shootdown/mm';
import { machine, MachineRunner, type Action, type Counters } from '@shootdown/topology';
import { checkValues, is, ModelError, type OptionValues } from '@shootdown/machine';

/** Operations measured, in the order in which one run does them. */
export const flushOperations = [
  'mprotect-ro',
  'mprotect-rw',
  'madv-dontneed',
  'munmap',
  'mmap+munmap-untouched',
] as const;
export type FlushOperation = (typeof flushOperations)[number];

/** What the other threads do. */
export const remoteStates = ['none', 'spin', 'sleep'] as const;
export type RemoteState = (typeof remoteStates)[number];

/** One line of the table: deltas over the 100 operations. */
export interface FlushCountRow {
  readonly operation: FlushOperation;
  readonly pages: number;
  readonly remote: number;
  readonly state: RemoteState;
  /** TLB shootdown interrupts received, per CPU. */
  readonly ipis: readonly number[];
  readonly remoteFlush: number;
  readonly received: number;
  readonly localAll: number;
  readonly localOne: number;
}

/** What to count. */
export interface FlushCountRequest {
  readonly operation?: FlushOperation;
  readonly pages?: number;
  readonly remote?: number;
  readonly state?: RemoteState;
}

const REQUEST: OptionValues<FlushCountRequest> = {
  operation: is.oneOf(flushOperations),
  // The command says their flags.
  pages: is.anything,
  remote: is.anything,
  state: is.oneOf(remoteStates),
};

const AREAS = 100;
const CPUS = 4;
const PAGES_MAX = 512;
/** Areas the program maps, touches and unmaps before it measures anything. */
const SCRATCH_ROUNDS = 2;
const SCRATCH_PAGES = 1024;

/** The lines of the shipped table: pages, remote threads, state. */
const shippedLines: readonly { readonly pages: number; readonly remote: number; readonly state: RemoteState }[] = [
  { remote: 0, state: 'none' as const },
  { remote: 1, state: 'spin' as const },
  { remote: 1, state: 'sleep' as const },
  { remote: 2, state: 'spin' as const },
  { remote: 2, state: 'sleep' as const },
].flatMap((line) => [1, 33, 34].map((pages) => ({ pages, ...line })));

/** Counts; without filters, the lines of the shipped table. Throws ModelError on filters that mean nothing. */
export function flushCounts(request: FlushCountRequest = {}): FlushCountRow[] {
  return [...flushCountsInPortions(request)].flat();
}

/** The same in portions of work, most of which end no line: for callers that have something to do in between. */
export function* flushCountsInPortions(request: FlushCountRequest = {}): Generator<FlushCountRow[]> {
  for (const { pages, remote, state } of linesOf(request)) {
    for (const rows of countLine(pages, remote, state))
      yield rows.filter((row) => request.operation === undefined || row.operation === request.operation);
  }
}

function linesOf(
  request: FlushCountRequest,
): readonly { readonly pages: number; readonly remote: number; readonly state: RemoteState }[] {
  checkValues('flush-counts', request, REQUEST);
  const { pages, remote, state } = request;
  if (pages !== undefined && !(Number.isInteger(pages) && pages >= 1 && pages <= PAGES_MAX))
    throw new ModelError(`flush-counts: --pages: expected 1 .. ${PAGES_MAX} (${pages})`);
  if (remote !== undefined && !(Number.isInteger(remote) && remote >= 0 && remote < CPUS))
    throw new ModelError(`flush-counts: --remote: expected 0 .. ${CPUS - 1} (${remote})`);
  if (state !== undefined && state !== 'none' && remote === 0)
    throw new ModelError(`flush-counts: --state ${state} needs --remote of at least 1`);
  if (state === 'none' && remote !== undefined && remote > 0)
    throw new ModelError(`flush-counts: --state none means --remote 0 (${remote})`);
  const states =
    state !== undefined
      ? [state]
      : remote === 0
        ? ['none' as const]
        : remote === undefined
          ? remoteStates
          : (['spin', 'sleep'] as const);
  const lines = states.flatMap((s) => {
    const counts = remote !== undefined ? [remote] : s === 'none' ? [0] : [1, 2];
    return counts.flatMap((r) =>
      (pages === undefined ? [1, 33, 34] : [pages]).map((p) => ({ pages: p, remote: r, state: s })),
    );
  });
  return pages === undefined && remote === undefined && state === undefined ? shippedLines : lines;
}

function forEachArea(body: (area: string) => Action[]): Action {
  return { do: 'repeat', times: AREAS, as: 'i', body: body('a{i}') };
}

const mapAll = (pages: number): Action => forEachArea((area) => [{ do: 'mmap', area, pages }]);
const touchAll = forEachArea((area) => [{ do: 'touch', area }]);

/** The measured program. */
function mainThread(pages: number): Action[] {
  return [
    { do: 'wait-for-others' },
    // What a C library does before main(): its own areas come and go, tables with them.
    {
      do: 'repeat',
      times: SCRATCH_ROUNDS,
      body: [
        { do: 'mmap', area: 'scratch', pages: SCRATCH_PAGES },
        { do: 'touch', area: 'scratch' },
        { do: 'munmap', area: 'scratch' },
      ],
    },
    mapAll(pages),
    touchAll,
    { do: 'measure', phase: 'mprotect-ro' },
    forEachArea((area) => [{ do: 'mprotect', area, prot: 'r' }]),
    { do: 'measure', phase: 'mprotect-rw' },
    forEachArea((area) => [{ do: 'mprotect', area, prot: 'rw' }]),
    { do: 'measure', phase: 'madv-dontneed' },
    forEachArea((area) => [{ do: 'madvise-dontneed', area }]),
    { do: 'measure', phase: 'touch again' },
    touchAll,
    { do: 'measure', phase: 'munmap' },
    forEachArea((area) => [{ do: 'munmap', area }]),
    { do: 'measure', phase: 'mmap+munmap-untouched' },
    {
      do: 'repeat',
      times: AREAS,
      body: [
        { do: 'mmap', area: 'b', pages },
        { do: 'munmap', area: 'b' },
      ],
    },
  ];
}

/** The machine of one line. */
function flushCountMachine(pages: number, remote: number, state: RemoteState) {
  const tables = Math.ceil((AREAS * pages + SCRATCH_PAGES) / 512) + 16;
  const builder = machine({
    name: `flush-counts ${pages} ${remote} ${state}`,
    architecture: 'x86-64-4l',
    cpus: CPUS,
    memory: { tables, pages: AREAS * pages + SCRATCH_PAGES + 64 },
  });
  builder.thread('program', 0, mainThread(pages));
  for (let cpu = 1; cpu <= remote; cpu++)
    builder.thread('program', cpu, [{ do: state === 'sleep' ? 'sleep' : 'spin' }]);
  return builder.assemble();
}

const PORTION_STEPS = 20_000;

function* countLine(pages: number, remote: number, state: RemoteState): Generator<FlushCountRow[]> {
  const runner = new MachineRunner(flushCountMachine(pages, remote, state));
  while (runner.advance(PORTION_STEPS)) yield [];
  const run = runner.result();
  if (run.end !== 'done')
    throw new ModelError(
      `flush-counts: the run ended in ${run.end} after ${run.steps} steps (${pages} pages, ${remote} ${state})`,
    );
  yield flushOperations.map((operation) => {
    const counters = run.phases[operation] ?? {};
    return {
      operation,
      pages,
      remote,
      state,
      ipis: counters[X86Counter.interrupts] ?? Array.from({ length: CPUS }, () => 0),
      remoteFlush: sum(counters, X86Counter.remoteFlush),
      received: sum(counters, X86Counter.received),
      localAll: sum(counters, X86Counter.localAll),
      localOne: sum(counters, X86Counter.localOne),
    };
  });
}

function sum(counters: Counters, name: string): number {
  return (counters[name] ?? []).reduce((a, b) => a + b, 0);
}
