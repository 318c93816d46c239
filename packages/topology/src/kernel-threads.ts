/** Kernel threads: ksmd and its like, and what they can be told to do. They have no address space of their own. */
import { load, noted, routine, type Steps, type SystemBuilder } from '@shootdown/machine';
import { daemons, type Mm } from '@shootdown/mm';
import { EVERYBODYS_ACTIONS, type Action, type KernelDescription } from './schema.ts';
import { repeatActions, returns, runCommonAction, type ProcessState, type RunContext } from './script.ts';

/** What kernel threads share. */
export interface KernelThreads {
  readonly tree: daemons.StableTree;
  /** ksmd's place in each process. */
  readonly ksm: ReadonlyMap<Mm, daemons.ScanHand>;
  /** And kswapd's; */
  readonly lru: ReadonlyMap<Mm, daemons.ScanHand>;
  /** khugepaged's; */
  readonly thp: ReadonlyMap<Mm, daemons.ScanHand>;
  /** and that of NUMA balancing. */
  readonly numa: ReadonlyMap<Mm, daemons.ScanHand>;
}

/** Adds what the kernel threads of a machine need, if it has any. */
export function addKernelThreads(
  { kernelThreads = [] }: KernelDescription,
  builder: SystemBuilder,
  processes: readonly ProcessState[],
): KernelThreads | null {
  if (kernelThreads.length === 0) return null;
  const hands = (what: string): ReadonlyMap<Mm, daemons.ScanHand> =>
    new Map(processes.map(({ name, mm }) => [mm, new daemons.ScanHand(builder, `${what}.${name}`)]));
  return {
    tree: new daemons.StableTree(builder),
    ksm: hands('ksm_scan'),
    lru: hands('lru'),
    thp: hands('khugepaged_scan'),
    numa: hands('numa_scan'),
  };
}

/** A kernel thread's life. */
export const kthread = routine(
  'kernel thread',
  function* (machine: RunContext, threads: KernelThreads, run: readonly Action[]): Steps {
    const context: RunContext = { ...machine };
    yield* runKernelActions(context, threads, run, {});
    if (context.task) yield* context.task.scheduler.do_task_dead(context.cpu);
  },
);

function* runKernelActions(
  context: RunContext,
  threads: KernelThreads,
  actions: readonly Action[],
  variables: Readonly<Record<string, number>>,
): Steps {
  for (const action of actions) {
    if (action.do === 'repeat')
      yield* repeatActions(action, variables, (body, inner) => runKernelActions(context, threads, body, inner));
    else if (EVERYBODYS_ACTIONS.has(action.do)) yield* runCommonAction(context, action, variables);
    else yield* runKernelAction(context, threads, action);
    yield* cond_resched(context);
  }
}

/** A kernel thread gives its CPU away where it says so. */
const cond_resched = noted(function* cond_resched(context: RunContext): Steps {
  yield* returns(context);
});

function* runKernelAction(context: RunContext, threads: KernelThreads, action: Action): Steps {
  if (!isScan(action)) return;
  const { kernel, cpu } = context;
  const { mm, started } = context.processNamed(action.process);
  if ((yield* load(started.at(0), { label: '(process started?)' })) === 0) return;
  const { pages } = action;
  const hand = (of: ReadonlyMap<Mm, daemons.ScanHand>): daemons.ScanHand => of.get(mm) as daemons.ScanHand;
  switch (action.do) {
    case 'ksm-scan':
      return yield* daemons.ksm_do_scan(kernel, cpu, threads.tree, mm, hand(threads.ksm), pages);
    case 'reclaim':
      return yield* daemons.kswapd_shrink_node(kernel, cpu, mm, hand(threads.lru), pages);
    case 'collapse':
      return yield* daemons.khugepaged_scan_mm_slot(kernel, cpu, mm, hand(threads.thp), pages);
    case 'numa-scan':
      return yield* daemons.task_numa_work(kernel, cpu, mm, hand(threads.numa), pages);
  }
}

type Scan = Extract<Action, { process: string }>;

function isScan(action: Action): action is Scan {
  return 'process' in action;
}
