/**
 * Threads: the actions of a topology as routines.
 */
import {
  atomicAdd,
  count,
  defineOperation,
  load,
  ModelError,
  nop,
  operation,
  routine,
  store,
  waitFor,
  type Region,
  type Steps,
} from '@shootdown/machine';
import { do_idle, user_mode, type Cpu } from '@shootdown/cpu';
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
import { COMPUTE_STEP_CYCLES, PHASE_PREFIX, substitute, type Action } from './schema.ts';

/**
 * Top of the mmap area without address-space randomisation (x86-64, 8 MB stack limit): page number of 0x7ffff7fff000.
 */
export const MMAP_BASE_PAGE = 0x7_ffff_7fff;
/** [vvar] and [vdso] lie just below it, so they share a page table with what is mapped first. */
export const VDSO_PAGES = 6;

/** A process while it runs: its address space and how many of its threads have come to rest. */
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
}

/** What a thread can use. Routines of one's own get this too: see `MachineBuilder.thread`. */
export interface ThreadContext {
  readonly kernel: Kernel;
  readonly cpu: Cpu;
  readonly process: ProcessState;
  readonly mm: Mm;
  readonly processNamed: (name: string) => ProcessState;
  /** Areas mapped so far, by name: first page and size. Local to the thread. */
  readonly areas: Map<string, { readonly start: number; readonly pages: number }>;
}

/** A thread's life: comes up on its CPU, does what it is told. */
export const thread = routine(
  'thread',
  function* (machine: Omit<ThreadContext, 'areas'>, first: boolean, body: (context: ThreadContext) => Steps): Steps {
    const { process, kernel, cpu, mm } = machine;
    // Executors run a routine many times over, some at once: what is local to the thread is made here.
    const context: ThreadContext = { ...machine, areas: new Map() };
    if (first && !process.forked) yield* start_process(context);
    else yield* waitFor(process.started.at(0), -1, 1, { label: '(not started yet)' });
    if (process.forked) yield* inheritAreas(context);
    yield* use_mm(kernel, cpu, mm);
    yield* body(context);
  },
);

const start_process = routine('execve', function* (context: ThreadContext): Steps {
  const { kernel, mm, process } = context;
  yield* pgd_alloc(kernel, mm);
  yield* mmap(mm, MMAP_BASE_PAGE, VDSO_PAGES, VM_READ | VM_SPECIAL);
  yield* store(process.started.at(0), 1, { label: '(process started)' });
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
export function* runActions(
  context: ThreadContext,
  actions: readonly Action[],
  variables: Readonly<Record<string, number>> = {},
): Steps {
  for (const action of actions) {
    yield* runAction(context, action, variables);
    yield* lazy_returns(context.kernel, context.cpu);
  }
}

function* runAction(context: ThreadContext, action: Action, variables: Readonly<Record<string, number>>): Steps {
  const { kernel, cpu, mm, process } = context;
  switch (action.do) {
    case 'mmap': {
      const name = substitute(action.area, variables);
      const start = yield* mmap(mm, MMAP_BASE_PAGE, action.pages);
      context.areas.set(name, { start, pages: action.pages });
      return;
    }
    case 'touch': {
      const { start, pages } = areaOf(context, action.area, variables);
      for (let i = 0; i < pages; i++) yield* user_access(kernel, cpu, mm, start + i, action.write ?? true);
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
      return;
    }
    case 'exit':
      yield* exit_mmap(kernel, cpu, mm);
      return;
    case 'spin':
      yield* atomicAdd(process.resting.at(0), 1, { label: '(spins)' });
      yield* user_mode(cpu);
      return;
    case 'sleep':
      yield* nop({ label: 'nanosleep()' });
      yield* kernel.arch.enter_lazy_tlb(cpu);
      yield* atomicAdd(process.resting.at(0), 1, { label: '(sleeps)' });
      yield* do_idle(cpu);
      return;
    case 'wait-for-others':
      yield* waitFor(process.resting.at(0), -1, process.threads - 1, { label: '(waits for the other threads)' });
      return;
    case 'compute':
      for (let left = action.cycles; left > 0; left -= COMPUTE_STEP_CYCLES) yield* computes();
      return;
    case 'count':
      yield* count(action.counter);
      return;
    case 'measure':
      yield* count(PHASE_PREFIX + substitute(action.phase, variables));
      return;
    case 'repeat':
      for (let i = 0; i < action.times; i++) {
        yield* runActions(context, action.body, action.as === undefined ? variables : { ...variables, [action.as]: i });
      }
  }
}

const COMPUTE = defineOperation({
  name: 'compute',
  user: true,
  perform: () => 0,
  footprint: () => ({ reads: [], writes: [] }),
});

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
