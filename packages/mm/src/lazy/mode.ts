/**
 * lazy_mmu_mode_enable(), _disable(), _pause(), _resume(): include/linux/pgtable.h, v7.0; arch_enter/leave/flush of
 * each architecture.
 */
import {
  defineOperation,
  operation,
  retry,
  routine,
  type Operation,
  type OperationContext,
  type PairEnd,
  type Steps,
  noted,
} from '@shootdown/machine';
import type { Current, LazyMmu, PteBarriers } from './lazy-mmu.ts';

interface Subject {
  readonly lazy: LazyMmu;
  readonly current: Current;
  /** Fewer barriers than the machine has (a mutant). */
  readonly barriers?: PteBarriers;
}

function define(name: string, perform: (cx: OperationContext, subject: Subject) => number) {
  return defineOperation({ name, cost: 'nop', perform: (cx, op) => perform(cx, op.data as Subject) });
}

/** A rule is judged, or something noted for one: no instruction. */
function check(name: string, perform: (cx: OperationContext, subject: Subject) => number) {
  return defineOperation({
    name,
    role: 'environment',
    cost: 'rest',
    perform: (cx, op) => perform(cx, op.data as Subject),
  });
}

const PREEMPT_DISABLE = { type: 'preempt_disable' } as const;
const PREEMPT_ENABLE = { type: 'preempt_enable' } as const;

/** Counts outermost sections. */
export const SECTIONS = 'lazy_mmu_sections';

/** Result 1: this is the outermost section, and the architecture enters. */
const ENABLE = define('lazy_mmu_mode_enable', (cx, { lazy, current }) => {
  if (lazy.arch.nesting === 'counts') {
    if (current.interrupt === true || lazy.counted(cx, 'pause', current) > 0) return 0;
    if (lazy.count(cx, 'enable', current, 1) !== 1) return 0;
    cx.count(SECTIONS);
    return 1;
  }
  return current.interrupt === true && !lazy.arch.defersInInterrupts ? 0 : 1;
});

/** Result 0: nothing to do; 1: the architecture leaves; 2: it flushes. */
const DISABLE = define('lazy_mmu_mode_disable', (cx, { lazy, current }) => {
  if (lazy.arch.nesting === 'counts') {
    if (current.interrupt === true || lazy.counted(cx, 'pause', current) > 0) return 0;
    return lazy.count(cx, 'enable', current, -1) === 0 ? 1 : 2;
  }
  return current.interrupt === true && !lazy.arch.defersInInterrupts ? 0 : 1;
});

/** Before v7.0 what pauses leaves, and what resumes enters. */
const PAUSE = define('lazy_mmu_mode_pause', (cx, { lazy, current }) => {
  if (current.interrupt === true) return 0;
  if (lazy.arch.nesting !== 'counts') return 1;
  return lazy.count(cx, 'pause', current, 1) === 1 && lazy.counted(cx, 'enable', current) > 0 ? 1 : 0;
});

const RESUME = define('lazy_mmu_mode_resume', (cx, { lazy, current }) => {
  if (current.interrupt === true) return 0;
  if (lazy.arch.nesting !== 'counts') return 1;
  return lazy.count(cx, 'pause', current, -1) === 0 && lazy.counted(cx, 'enable', current) > 0 ? 1 : 0;
});

function enter(cx: OperationContext, { lazy, current }: Subject): number {
  lazy.enter(cx, current);
  return 0;
}

function leave(cx: OperationContext, { lazy, current }: Subject): number {
  lazy.leave(cx, current);
  return 0;
}

const ENTER = define('arch_enter_lazy_mmu_mode', enter);
const LEAVE = define('arch_leave_lazy_mmu_mode', leave);
/** Whose batch it is, where the architecture keeps no record of that and rule H4 asks for it. */
const TAKE = { ...check('(takes the batch)', enter), ghost: true };
const RELEASE = { ...check('(releases the batch)', leave), ghost: true };

const PREEMPTION_OFF = 'preemption off';
const preemption = (op: Operation): PairEnd => ({ end: op.a === 1 ? 'open' : 'close', of: PREEMPTION_OFF });

const PREEMPT = defineOperation({
  name: 'preempt_count',
  cost: 'nop',
  pair: preemption,
  perform(cx, op) {
    const { lazy } = op.data as Subject;
    const cpu = lazy.cpus[cx.processor];
    if (cpu) cx.send(cpu.port, op.a === 1 ? PREEMPT_DISABLE : PREEMPT_ENABLE);
    return 0;
  },
});

const DRAIN = defineOperation({
  name: 'mmu_update',
  cost: 'nop',
  leftOut: () => 0,
  perform: (cx, op) => (op.data as Subject).lazy.drainOne(cx),
});

const BARRIERS = defineOperation({
  name: 'emit_pte_barriers',
  cost: 'nop',
  weaker: ({ definition, a, b, c, data, label, fact }, memoryModel) =>
    memoryModel === 'arm'
      ? [
          ['isb-alone-instead', { dsb: false, isb: true }] as const,
          ['dsb-ishst-alone-instead', { dsb: true, isb: false }] as const,
        ].map(([change, barriers]) => ({
          change,
          operation: operation(definition, a, b, c, { ...(data as Subject), barriers }, { label, fact }),
        }))
      : [],
  perform: (cx, op) => {
    const { lazy, current } = op.data as Subject;
    return lazy.emitBarriers(cx, current);
  },
  weak: (cx, memory, op) => {
    const { lazy, current } = op.data as Subject;
    const pending = lazy.emitBarriers(cx, current);
    if (pending === 1) {
      lazy.orderEntries(memory, (op.data as Subject).barriers);
      cx.explain(() => ({ kind: 'fact', text: lazy.barrierText((op.data as Subject).barriers) }));
    }
    return pending;
  },
});

const RETURNS = check('(returns)', (cx, { lazy, current }) => {
  if (lazy.counted(cx, 'enable', current) > 0 || (lazy.arch.nesting !== 'counts' && lazy.isActive(cx, current)))
    lazy.hazard(cx, 'H7', () => `task ${current.task} returns to user mode in lazy MMU mode`);
  return 0;
});

const MIGHT_SLEEP = check('might_sleep', (cx, { lazy, current }) => {
  if (lazy.isActive(cx, current)) {
    const how = lazy.arch.disablesPreemption ? ', with preemption disabled' : '';
    lazy.hazard(cx, 'H8', () => `task ${current.task} may sleep in lazy MMU mode${how}`);
  }
  return 0;
});

/**
 * Everything deferred takes effect: xen_mc_flush(), __flush_tlb_pending(), the batch of s390, the barriers of arm64.
 */
export const arch_flush_lazy_mmu_mode = routine(
  'arch_flush_lazy_mmu_mode',
  function* (lazy: LazyMmu, current: Current): Steps {
    const subject: Subject = { lazy, current };
    switch (lazy.arch.defers) {
      case 'nothing':
        return;
      case 'barrier':
        yield operation(BARRIERS, 0, 0, 0, subject, {
          label: 'emit_pte_barriers()',
          fact: (was) => (was === 0 ? 'none pending' : undefined),
        });
        return;
      case 'store':
      case 'cache':
      case 'flush': {
        const label = lazy.arch.defers === 'flush' ? '__flush_tlb_pending()' : 'mmu_update()';
        yield* retry(function* () {
          const more = yield operation(DRAIN, 0, 0, 0, subject, { label });
          return more === 0 ? true : undefined;
        });
      }
    }
  },
);

const arch_enter_lazy_mmu_mode = routine(
  'arch_enter_lazy_mmu_mode',
  function* (lazy: LazyMmu, current: Current): Steps {
    const subject: Subject = { lazy, current };
    if (lazy.arch.disablesPreemption) yield operation(PREEMPT, 1, 0, 0, subject, { label: 'preempt_disable()' });
    if (lazy.arch.nesting === 'inner leave ends')
      yield operation(ENTER, 0, 0, 0, subject, { label: 'set_thread_flag(TIF_LAZY_MMU)' });
    else if (lazy.arch.activity === 'cpu') yield operation(ENTER, 0, 0, 0, subject, { label: 'batch.active = 1' });
    else if (lazy.isPerCpu) yield operation(TAKE, 0, 0, 0, subject, { label: '(takes the batch)' });
  },
);

const arch_leave_lazy_mmu_mode = routine(
  'arch_leave_lazy_mmu_mode',
  function* (lazy: LazyMmu, current: Current): Steps {
    const subject: Subject = { lazy, current };
    yield* arch_flush_lazy_mmu_mode(lazy, current);
    if (lazy.arch.nesting === 'inner leave ends')
      yield operation(LEAVE, 0, 0, 0, subject, { label: 'clear_thread_flag(TIF_LAZY_MMU)' });
    else if (lazy.arch.activity === 'cpu') yield operation(LEAVE, 0, 0, 0, subject, { label: 'batch.active = 0' });
    else if (lazy.isPerCpu) yield operation(RELEASE, 0, 0, 0, subject, { label: '(releases the batch)' });
    if (lazy.arch.disablesPreemption) yield operation(PREEMPT, 0, 0, 0, subject, { label: 'preempt_enable()' });
  },
);

/** What the generic layer asks first: its counts, or what the architecture did before there was such a layer. */
function saying({ arch }: LazyMmu, counts: string): { readonly label: string } {
  return { label: arch.nesting === 'counts' ? counts : 'in_interrupt()' };
}

/** lazy_mmu_mode_enable(). */
export const lazy_mmu_mode_enable = routine('lazy_mmu_mode_enable', function* (lazy: LazyMmu, current: Current): Steps {
  const enters = yield operation(ENABLE, 0, 0, 0, { lazy, current }, saying(lazy, 'enable_count++'));
  if (enters === 1 && lazy.hasToEnter) yield* arch_enter_lazy_mmu_mode(lazy, current);
});

/** lazy_mmu_mode_disable(): nested or not, everything before it is effective when it returns. */
export const lazy_mmu_mode_disable = routine(
  'lazy_mmu_mode_disable',
  function* (lazy: LazyMmu, current: Current): Steps {
    const what = yield operation(DISABLE, 0, 0, 0, { lazy, current }, saying(lazy, 'enable_count--'));
    if (lazy.arch.defers === 'nothing') return;
    if (what === 1) yield* arch_leave_lazy_mmu_mode(lazy, current);
    if (what === 2) yield* arch_flush_lazy_mmu_mode(lazy, current);
  },
);

/** lazy_mmu_mode_pause(): everything is immediate until lazy_mmu_mode_resume(). */
export const lazy_mmu_mode_pause = routine('lazy_mmu_mode_pause', function* (lazy: LazyMmu, current: Current): Steps {
  const leaves = yield operation(PAUSE, 0, 0, 0, { lazy, current }, saying(lazy, 'pause_count++'));
  if (leaves === 1 && lazy.arch.defers !== 'nothing') yield* arch_leave_lazy_mmu_mode(lazy, current);
});

/** lazy_mmu_mode_resume(). */
export const lazy_mmu_mode_resume = routine('lazy_mmu_mode_resume', function* (lazy: LazyMmu, current: Current): Steps {
  const enters = yield operation(RESUME, 0, 0, 0, { lazy, current }, saying(lazy, 'pause_count--'));
  if (enters === 1 && lazy.hasToEnter) yield* arch_enter_lazy_mmu_mode(lazy, current);
});

/** The end of a system call: from here on the task is in user mode. Rule H7. */
export const returns = noted(function* returns(lazy: LazyMmu, current: Current): Steps {
  yield operation(RETURNS, 0, 0, 0, { lazy, current }, { label: '(returns to user mode)' });
});

/** might_sleep(). Rule H8. */
export const might_sleep = noted(function* might_sleep(lazy: LazyMmu, current: Current, what: string): Steps {
  yield operation(MIGHT_SLEEP, 0, 0, 0, { lazy, current }, { label: what });
});
