/** What a search does, with all defaults filled in and all contradictions refused. */
import {
  checkFlag,
  checkOptions,
  checkValues,
  checkWord,
  is,
  keysOf,
  ModelError,
  type OptionValues,
  type System,
} from '@shootdown/machine';
import { checkSystem } from './checked-system.ts';
import { interleavingsMax, MAX_STATES_DEFAULT, type Bounds, type ExploreOptions } from './result.ts';

/** Operations of a routine without a `point` after which it counts as an endless loop. */
const HISTORY_MAX = 10_000;

/** A search with every blank filled in. */
export interface Plan {
  /** The system as it is searched: with symmetry only if it is in force. */
  readonly model: System;
  /** The same system without symmetry, for replaying schedules. */
  readonly plain: System;
  readonly search: 'bfs' | 'dfs';
  readonly reduction: boolean;
  readonly symmetry: boolean;
  readonly exact: boolean;
  readonly all: boolean;
  readonly workers: number;
  readonly bounds: Bounds & { readonly maxStates: number };
  readonly boundsGiven: readonly (keyof Bounds)[];
  readonly maxDepth: number;
  readonly preemptions: number;
  readonly interleavingsStatesMax: number;
  /** Begin with random runs, so that reduction need not start from nothing. */
  readonly warmUp: boolean;
  /** Begin without reduction: a small space costs less than what reduction has to learn first. */
  readonly smallFirst: boolean;
  /** Report the plain search if that came to the counterexample with fewer states. */
  readonly fewestStates: boolean;
  /** PCT may run beside the search. */
  readonly sampled: boolean;
}

const EXPLORE_KEYS = keysOf<ExploreOptions>()(
  'search',
  'reduction',
  'symmetry',
  'exact',
  'all',
  'bounds',
  'verifyPoints',
  'workers',
  'source',
  'fresh',
  'pct',
  'interleavingsStatesMax',
  'signal',
  'onProgress',
);
const PCT_VALUES: OptionValues<NonNullable<ExploreOptions['pct']>> = {
  seed: is.whole(),
  afterMilliseconds: is.whole(),
};
const BOUNDS_KEYS = keysOf<Bounds>()(
  'maxStates',
  'maxDepth',
  'preemptions',
  'timeoutSeconds',
  'maxMemoryBytes',
) as readonly (keyof Bounds)[];

/** Fills in defaults. Throws ModelError on bounds out of range and on options that do not go together. */
export function planOf(system: System, options: ExploreOptions): Plan {
  checkSystem('explore', system);
  if (system.choices.length === 0)
    throw new ModelError('explore: nothing can happen: the system has no processor, no channel and no choice');
  checkOptions('explore: options', options, EXPLORE_KEYS);
  checkWord('explore: options: search', options.search ?? 'bfs', ['bfs', 'dfs']);
  const { search = 'bfs', exact = false, all = false, workers = 1, bounds = {} } = options;
  for (const name of ['reduction', 'symmetry', 'exact', 'all', 'verifyPoints'] as const)
    if (options[name] !== undefined) checkFlag(`explore: options: ${name}`, options[name]);
  if (options.pct !== undefined) checkValues('explore: options: pct', options.pct, PCT_VALUES, ['seed']);
  checkOptions('explore: bounds', bounds, BOUNDS_KEYS);
  checkBounds(bounds);
  const { maxDepth, preemptions } = bounds;
  if (!Number.isInteger(workers) || workers < 1)
    throw new ModelError(`explore: workers: must be a whole number from 1 (${workers})`);
  if (search === 'dfs') {
    refuse(exact, 'exact comparison', 'dfs: use bfs');
    refuse(workers > 1, 'several workers', 'dfs: use bfs');
    refuse(maxDepth !== undefined, 'max-depth', 'dfs, which reaches states on long ways first: use bfs');
    refuse(preemptions !== undefined, 'preemptions', 'dfs: use bfs');
  }
  refuse(exact && workers > 1, 'exact comparison', 'several workers: use one');
  refuse(
    workers > 1 && options.source === undefined,
    'several workers',
    'a system that no module can build: pass `source`',
  );
  // What a processor may do next is more than what its own tasks may do, where tasks migrate.
  const migrates = system.processors.some((p) => p.migratesTo.length > 0);
  const reduction = (options.reduction ?? true) && !migrates && maxDepth === undefined && preemptions === undefined;
  const wanted = options.symmetry ?? options.reduction ?? true;
  const symmetry =
    wanted && !exact && !migrates && preemptions === undefined && system.symmetric.some((group) => group.length > 1);
  refuse(workers > 1 && system.weak !== null, 'several workers', 'the memory model arm: use one');
  const { plain, symmetric } = modelOf(system);
  return {
    model: symmetry ? symmetric : plain,
    plain,
    search,
    reduction,
    symmetry,
    exact,
    all,
    workers,
    bounds: { ...bounds, maxStates: bounds.maxStates ?? MAX_STATES_DEFAULT },
    boundsGiven: BOUNDS_KEYS.filter((name) => bounds[name] !== undefined),
    maxDepth: maxDepth ?? Number.POSITIVE_INFINITY,
    preemptions: preemptions ?? Number.POSITIVE_INFINITY,
    interleavingsStatesMax: options.interleavingsStatesMax ?? interleavingsMax(system.memoryModel),
    warmUp: true,
    smallFirst: options.reduction === undefined && reduction && !symmetry && search === 'bfs',
    fewestStates: options.reduction === undefined && search === 'bfs' && !all,
    sampled: !all && maxDepth === undefined && preemptions === undefined,
  };
}

/** A system as it is searched without and with symmetry: a routine that never says `point` is an endless loop. */
export function modelOf(system: System): { readonly plain: System; readonly symmetric: System } {
  const symmetric: System = { ...system, maxHistory: Math.min(system.maxHistory, HISTORY_MAX) };
  return { plain: { ...symmetric, symmetric: [] }, symmetric };
}

function refuse(condition: boolean, what: string, why: string): void {
  if (condition) throw new ModelError(`explore: options: ${what} does not go with ${why}`);
}

function checkBounds(bounds: Bounds): void {
  const check = (name: string, value: number | undefined, min: number): void => {
    if (value !== undefined && !(value >= min))
      throw new ModelError(`explore: bounds: ${name} must be at least ${min} (${value})`);
  };
  check('maxStates', bounds.maxStates, 1);
  check('maxDepth', bounds.maxDepth, 1);
  check('preemptions', bounds.preemptions, 0);
  check('timeoutSeconds', bounds.timeoutSeconds, 0);
  check('maxMemoryBytes', bounds.maxMemoryBytes, 1);
}
