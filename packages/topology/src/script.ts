/**
 * Threads: the actions of a topology as routines.
 */
import {
  noted,
  atomicAdd,
  count,
  defineOperation,
  load,
  ModelError,
  nop,
  operation,
  rest,
  routine,
  store,
  waitFor,
  type Address,
  type Region,
  type Steps,
} from '@shootdown/machine';
import { do_idle, user_mode, type Cpu, type Scheduler } from '@shootdown/cpu';
import {
  exit_mmap,
  fork,
  lazy_returns,
  madvise_dontneed,
  mmap,
  mprotect,
  munmap,
  pgd_alloc,
  use_mm,
  user_access,
  VM_READ,
  VM_SPECIAL,
  VM_WRITE,
  type Kernel,
  type Mm,
} from '@shootdown/mm';
import type { KernelRange } from './kernel-tables.ts';
import { COMPUTE_STEP_CYCLES, PHASE_PREFIX, substitute, type Action } from './schema.ts';
import type { SecondaryUse } from './secondary.ts';

/**
 * Top of the mmap area without address-space randomisation (x86-64, 8 MB stack limit): page number of 0x7ffff7fff000.
 */
export const MMAP_BASE_PAGE = 0x7_ffff_7fff;
/** [vvar] and [vdso] lie just below it, so they share a page table with what is mapped first. */
export const VDSO_PAGES = 6;

/** A process while it runs: its address space and how many of its threads have come to rest, or ended. */
export interface ProcessState {
  readonly name: string;
  readonly mm: Mm;
  readonly threads: number;
  readonly resting: Region;
  /** Set when the address space exists. */
  readonly started: Region;
  /** True if another process's fork makes it. */
  readonly forked: boolean;
  /**
   * Areas handed over by fork: their names, and for each its distance below the mmap base and its size (0: not mapped).
   */
  readonly inheritedNames: readonly string[];
  readonly inherited: Region;
  /** Tasks of the scheduler among its threads: they sleep while they wait for one another. */
  readonly tasks: readonly number[];
}

/** A thread on a CPU whose tasks take turns. */
export interface Task {
  readonly scheduler: Scheduler;
  /** Number of the task. */
  readonly id: number;
  /** current->mm: the id of the address space, or 0. */
  readonly mm: Address;
  /** How many tasks of the machine have work left. */
  readonly unfinished: Address;
  readonly tickMicroseconds: number;
}

/** What any thread can use, one of the kernel's as well. */
export interface RunContext {
  readonly kernel: Kernel;
  /** Where the thread runs: on a CPU that it shares it may be another one after each action. */
  readonly cpu: Cpu;
  /** Null: the thread has its CPU to itself. */
  readonly task: Task | null;
  /** The scheduler of the machine, if some of its CPUs have one. */
  readonly scheduler: Scheduler | null;
  /** What it has of the kernel's own page table, if it uses it. */
  readonly kernelRange: KernelRange | null;
  readonly processNamed: (name: string) => ProcessState;
}

/** What a thread of a process can use. Routines of one's own get this too: see `MachineBuilder.thread`. */
export interface ThreadContext extends RunContext {
  readonly process: ProcessState;
  readonly mm: Mm;
  /** Another thread of the process waits for its others, this one among them. */
  readonly awaited: boolean;
  /** The process's secondary MMUs, by name. */
  readonly secondary: (mmu: string) => SecondaryUse | null;
  /** Areas mapped so far, by name: first page and size. Local to the thread. */
  readonly areas: Map<string, { readonly start: number; readonly pages: number }>;
}

/** A thread's life: comes up on its CPU, does what it is told. */
export const thread = routine(
  'thread',
  function* (machine: Omit<ThreadContext, 'areas'>, first: boolean, body: (context: ThreadContext) => Steps): Steps {
    const { process, kernel, mm } = machine;
    // Executors run a routine many times over, some at once: what is local to the thread is made here.
    const context: ThreadContext = { ...machine, areas: new Map() };
    // It may have been taken to another CPU before it ran for the first time.
    if (context.task?.scheduler.balances === true)
      runsOn(context, yield* context.task.scheduler.task_cpu(context.task.id));
    if (first && !process.forked) yield* start_process(context);
    else yield* waits(context, process.started.at(0), 1, '(not started yet)');
    if (process.forked) yield* inheritAreas(context);
    if (context.task) yield* store(context.task.mm, mm.id, { label: 'current->mm = mm' });
    yield* use_mm(kernel, context.cpu, mm);
    yield* body(context);
    if (context.awaited) yield* isThrough(context, '(has ended)');
    if (context.task) yield* ends(context, context.task);
  },
);

/** Sleeps on a CPU with a scheduler, otherwise spins, until a word of the process has a value. */
function* waits(context: ThreadContext, word: Address, value: number, label: string): Steps {
  const { task, cpu } = context;
  if (task) runsOn(context, yield* task.scheduler.wait_event(cpu, task.id, word, value, { label }));
  else yield* waitFor(word, -1, value, { label });
}

/** Those who wait for a word of a process look at it again. */
function* wakes({ scheduler }: RunContext, { tasks }: ProcessState, word: Address): Steps {
  if (scheduler && tasks.length > 0) yield* scheduler.wake_up(tasks, word);
}

function* ends({ cpu }: ThreadContext, { scheduler, unfinished }: Task): Steps {
  yield* atomicAdd(unfinished, -1, { label: 'do_exit()' });
  yield* scheduler.do_task_dead(cpu);
}

/** The thread goes on there. */
function runsOn(context: RunContext, cpu: number): void {
  (context as { cpu: Cpu }).cpu = context.kernel.cpus[cpu] as Cpu;
}

/** The way back to user mode, where others may want the CPU. */
export function* returns(context: RunContext, stays = false): Steps {
  const { task, cpu } = context;
  if (task) runsOn(context, yield* task.scheduler.exit_to_user_mode(cpu, task.id, stays));
}

const start_process = routine('execve', function* (context: ThreadContext): Steps {
  const { kernel, mm, process } = context;
  yield* pgd_alloc(kernel, mm);
  yield* mmap(mm, MMAP_BASE_PAGE, VDSO_PAGES, VM_READ | VM_SPECIAL);
  yield* store(process.started.at(0), 1, { label: '(process started)' });
  yield* wakes(context, process, process.started.at(0));
});

/** A child finds its parent's areas where they were. */
function* inheritAreas(context: ThreadContext): Steps {
  const { inherited, inheritedNames } = context.process;
  for (const [i, name] of inheritedNames.entries()) {
    const pages = yield* load(inherited.at(2 * i + 1), { label: `(area ${name})` });
    if (pages === 0) continue;
    const below = yield* load(inherited.at(2 * i), { label: `(area ${name})` });
    context.areas.set(name, { start: MMAP_BASE_PAGE - below, pages });
  }
}

function* bequeathAreas(context: ThreadContext, child: ProcessState): Steps {
  for (const [i, name] of child.inheritedNames.entries()) {
    const area = context.areas.get(name);
    if (!area) continue;
    yield* store(child.inherited.at(2 * i), MMAP_BASE_PAGE - area.start, { label: `(area ${name})` });
    yield* store(child.inherited.at(2 * i + 1), area.pages, { label: `(area ${name})` });
  }
}

/** Performs a list of actions. */
export const runActions = noted(function* runActions(
  context: ThreadContext,
  actions: readonly Action[],
  variables: Readonly<Record<string, number>> = {},
): Steps {
  for (const action of actions) {
    yield* runAction(context, action, variables);
    yield* lazy_returns(context.kernel, context.cpu);
    if (!NO_SYSTEM_CALL.has(action.do)) yield* returns(context);
  }
});

/** Actions after which a thread does not come back from the kernel. */
const NO_SYSTEM_CALL: ReadonlySet<Action['do']> = new Set(['repeat', 'measure', 'count', 'touch', 'compute']);

function* runAction(context: ThreadContext, action: Action, variables: Readonly<Record<string, number>>): Steps {
  const { kernel, cpu, mm, process, task } = context;
  switch (action.do) {
    case 'mmap': {
      const name = substitute(action.area, variables);
      const start = yield* mmap(mm, MMAP_BASE_PAGE, action.pages);
      context.areas.set(name, { start, pages: action.pages });
      return;
    }
    case 'touch': {
      const { start, pages } = areaOf(context, action.area, variables);
      for (let i = 0; i < pages; i++) {
        yield* user_access(kernel, context.cpu, mm, start + i, action.write ?? true);
        yield* returns(context);
      }
      return;
    }
    case 'mprotect': {
      const { start, pages } = areaOf(context, action.area, variables);
      yield* mprotect(kernel, cpu, mm, start, start + pages, action.prot === 'rw' ? VM_READ | VM_WRITE : VM_READ);
      return;
    }
    case 'madvise-dontneed': {
      const { start, pages } = areaOf(context, action.area, variables);
      yield* madvise_dontneed(kernel, cpu, mm, start, start + pages);
      return;
    }
    case 'munmap': {
      const { start, pages } = areaOf(context, action.area, variables);
      yield* munmap(kernel, cpu, mm, start, start + pages);
      context.areas.delete(substitute(action.area, variables));
      return;
    }
    case 'fork': {
      const child = context.processNamed(action.child);
      yield* fork(kernel, cpu, mm, child.mm);
      yield* bequeathAreas(context, child);
      yield* store(child.started.at(0), 1, { label: 'wake_up_new_task()' });
      yield* wakes(context, child, child.started.at(0));
      return;
    }
    case 'exit':
      if (task) yield* store(task.mm, 0, { label: 'current->mm = NULL' });
      yield* exit_mmap(kernel, cpu, mm);
      return;
    case 'spin':
      yield* comesToRest(context, '(spins)');
      if (task) {
        yield* returns(context, true);
        yield* rest({ label: '(user mode)' });
      } else yield* user_mode(cpu);
      return;
    case 'sleep':
      yield* sleeps(context, action.microseconds);
      return;
    case 'wait-for-others':
      yield* waits(context, process.resting.at(0), process.threads - 1, '(waits for the other threads)');
      return;
    case 'attach': {
      const { start, pages } = areaOf(context, action.area, variables);
      yield* secondaryOf(context, action.mmu).attach(start, pages);
      yield* wakes(context, process, secondaryOf(context, action.mmu).slot.there);
      return;
    }
    case 'guest':
    case 'dma': {
      const use = secondaryOf(context, action.mmu);
      yield* waits(context, use.slot.there, 1, '(waits for memory)');
      const { rounds, write = false, cycles = 0 } = action;
      const computes = (): Steps => computesFor(cycles);
      yield* use.run(context.cpu, { rounds, write, cycles, computes, ...(use.fault && { fault: use.fault }) });
      return;
    }
    case 'repeat':
      yield* repeatActions(action, variables, (body, inner) => runActions(context, body, inner));
      return;
    default:
      yield* runCommonAction(context, action, variables);
  }
}

/** Does a body over and over, with the variable of the loop. */
export function* repeatActions(
  { times, as, body }: Extract<Action, { do: 'repeat' }>,
  variables: Readonly<Record<string, number>>,
  run: (body: readonly Action[], variables: Readonly<Record<string, number>>) => Steps,
): Steps {
  for (let i = 0; i < times; i++) yield* run(body, as === undefined ? variables : { ...variables, [as]: i });
}

/** What any thread can do, one of the kernel's as well. */
export function* runCommonAction(
  context: RunContext,
  action: Action,
  variables: Readonly<Record<string, number>>,
): Steps {
  const { cpu, task, kernelRange } = context;
  switch (action.do) {
    case 'compute':
      yield* returns(context, true);
      yield* computesFor(action.cycles);
      if (task) runsOn(context, yield* task.scheduler.enter_from_user_mode(task.id));
      return;
    case 'sleep':
      if (task && action.microseconds !== undefined) yield* schedule_timeout(context, task, action.microseconds);
      return;
    case 'vmalloc':
      if (kernelRange) yield* kernelRange.map(cpu, action.huge ?? false);
      return;
    case 'vfree':
      if (kernelRange) yield* kernelRange.unmap();
      return;
    case 'ptdump':
      if (kernelRange) yield* kernelRange.dump(cpu);
      return;
    case 'count':
      yield* count(action.counter);
      return;
    case 'measure':
      yield* count(PHASE_PREFIX + substitute(action.phase, variables));
      return;
    default:
      throw new ModelError(`topology: ${action.do}: no thread of this kind does that`);
  }
}

function* schedule_timeout(context: RunContext, task: Task, microseconds: number): Steps {
  const ticks = Math.ceil(microseconds / task.tickMicroseconds);
  runsOn(context, yield* task.scheduler.schedule_timeout(context.cpu, task.id, ticks));
}

function secondaryOf({ secondary, process }: ThreadContext, mmu: string): SecondaryUse {
  const use = secondary(mmu);
  if (!use) throw new ModelError(`topology: ${process.name}: no secondary MMU ${mmu}`);
  return use;
}

/** Who waits for the other threads need not wait for this one any longer. */
function* isThrough(context: ThreadContext, label: string): Steps {
  const { process } = context;
  yield* atomicAdd(process.resting.at(0), 1, { label });
  yield* wakes(context, process, process.resting.at(0));
}

/** From here on nothing more happens in this thread. */
function* comesToRest(context: ThreadContext, label: string): Steps {
  const { task } = context;
  yield* isThrough(context, label);
  if (task) yield* atomicAdd(task.unfinished, -1, { label: '(nothing more to do)' });
}

/** nanosleep(), for a time or for good. */
function* sleeps(context: ThreadContext, microseconds: number | undefined): Steps {
  const { task, cpu, kernel } = context;
  yield* nop({ label: 'nanosleep()' });
  if (task && microseconds !== undefined) {
    yield* schedule_timeout(context, task, microseconds);
    return;
  }
  if (task) {
    yield* comesToRest(context, '(sleeps)');
    yield* task.scheduler.schedule_timeout(cpu, task.id, 0);
    return;
  }
  yield* kernel.arch.enter_lazy_tlb(cpu);
  yield* comesToRest(context, '(sleeps)');
  yield* do_idle(cpu);
}

const COMPUTE = defineOperation({
  name: 'compute',
  user: true,
  perform: () => 0,
  footprint: () => ({ reads: [], writes: [] }),
});

function* computesFor(cycles: number): Steps {
  for (let left = cycles; left > 0; left -= COMPUTE_STEP_CYCLES) yield* computes();
}

function* computes(): Steps {
  yield operation(COMPUTE, 0, 0, 0, undefined, { label: '(computes)' });
}

function areaOf(
  context: ThreadContext,
  name: string,
  variables: Readonly<Record<string, number>>,
): { readonly start: number; readonly pages: number } {
  const resolved = substitute(name, variables);
  const area = context.areas.get(resolved);
  if (!area) {
    const have = [...context.areas.keys()].slice(0, 8).join(', ') || 'none';
    throw new ModelError(
      `topology: ${context.process.name} on ${context.cpu.name}: no area ${resolved} is mapped by this thread (have: ${have})`,
    );
  }
  return area;
}
