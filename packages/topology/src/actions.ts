/** What a thread can be told to do, and what one can tell of a script without running it. */
import { ModelError } from '@shootdown/machine';

/** A thread that computes takes interrupts every so many cycles: the `compute` entry of the cost table. */
export const COMPUTE_STEP_CYCLES = 1000;

/** What a thread can be told to do. Areas are named; `{i}` in a name is replaced by the loop variable `i`. */
export type Action =
  | { readonly do: 'mmap'; readonly area: string; readonly pages: number }
  | { readonly do: 'touch'; readonly area: string; readonly write?: boolean | undefined }
  | { readonly do: 'mprotect'; readonly area: string; readonly prot: 'r' | 'rw' }
  | { readonly do: 'madvise-dontneed' | 'munmap'; readonly area: string }
  /** Copies the address space; the process `child` may run from then on, and knows the areas mapped so far. */
  | { readonly do: 'fork'; readonly child: string }
  /** Removes the whole address space. */
  | { readonly do: 'exit' }
  /** Ends the thread in user mode, computing for ever. */
  | { readonly do: 'spin' }
  /** Sleeps for so long, a whole number of ticks. Without a time it ends the thread asleep, with its CPU idle. */
  | { readonly do: 'sleep'; readonly microseconds?: number | undefined }
  /** Waits until all other threads of the process have come to rest in spin or sleep, or have ended. */
  | { readonly do: 'wait-for-others' }
  /** arm64: maps a range of kernel memory that is the thread's own, in small pages or in one block. */
  | { readonly do: 'vmalloc'; readonly huge?: boolean | undefined }
  /** Unmaps it; or reads the kernel's page table, as debugfs shows it. */
  | { readonly do: 'vfree' | 'ptdump' }
  /** A secondary MMU of the process translates the pages of an area from now on (KVM_SET_USER_MEMORY_REGION). */
  | { readonly do: 'attach'; readonly mmu: string; readonly area: string }
  /**
   * The guest, or the device, accesses each page of its memory so many times over, with so many cycles of computing
   * before each access. Waits until there is an area attached.
   */
  | {
      readonly do: 'guest' | 'dma';
      readonly mmu: string;
      readonly rounds: number;
      readonly write?: boolean | undefined;
      readonly cycles?: number | undefined;
    }
  /** A kernel thread looks at so many pages of a process, and merges them (ksmd). */
  | { readonly do: 'ksm-scan'; readonly process: string; readonly pages: number }
  /** It replaces tables of small pages by huge ones (khugepaged). */
  | { readonly do: 'collapse'; readonly process: string; readonly pages: number }
  /**
   * It has so many pages fault when they are used next, so that they come to the node of whoever does (task_numa_work).
   */
  | { readonly do: 'numa-scan'; readonly process: string; readonly pages: number }
  /** It takes those of them away that have not been used since the last time (kswapd). */
  | { readonly do: 'reclaim'; readonly process: string; readonly pages: number }
  /** Counters from here on are booked under this name. */
  | { readonly do: 'measure'; readonly phase: string }
  /** Computes in user mode for so many cycles, a multiple of {@link COMPUTE_STEP_CYCLES}. */
  | { readonly do: 'compute'; readonly cycles: number }
  /** Counts one event of the program's own. */
  | { readonly do: 'count'; readonly counter: string }
  | {
      readonly do: 'repeat';
      readonly times: number;
      readonly as?: string | undefined;
      readonly body: readonly Action[];
    };

/** Counter names that begin with this are phases: `measure` actions. */
export const PHASE_PREFIX = 'phase:';

/** What only a kernel thread does; */
export const KERNEL_ACTIONS: ReadonlySet<Action['do']> = new Set(['ksm-scan', 'reclaim', 'collapse', 'numa-scan']);
/** and what it can do as any other thread. */
export const EVERYBODYS_ACTIONS: ReadonlySet<Action['do']> = new Set([
  'vmalloc',
  'vfree',
  'ptdump',
  'measure',
  'compute',
  'count',
  'sleep',
  'repeat',
]);

/** The actions of a script, those inside of loops too. */
export function actionsIn(run: readonly Action[]): Action[] {
  return run.flatMap((action) => (action.do === 'repeat' ? actionsIn(action.body) : [action]));
}

/** True if nothing can come after an action. */
export function endsThread(action: Action): boolean {
  return action.do === 'exit' || isRest(action);
}

function isRest(action: Action): boolean {
  return action.do === 'spin' || (action.do === 'sleep' && action.microseconds === undefined);
}

/** True if the last thing that a thread does is to spin or to sleep for good. */
export function endsAtRest(run: readonly Action[]): boolean {
  const last = run.at(-1);
  return last?.do === 'repeat' ? endsAtRest(last.body) : last !== undefined && isRest(last);
}

/** True if a thread sleeps for a time: then its CPU has a scheduler. */
export function sleepsForATime(run: readonly Action[]): boolean {
  return run.some((action) =>
    action.do === 'repeat' ? sleepsForATime(action.body) : action.do === 'sleep' && action.microseconds !== undefined,
  );
}

/** Names of the processes forked by a script. */
export function forkedIn(run: readonly Action[]): string[] {
  return run.flatMap((a) =>
    a.do === 'fork' ? [a.child] : a.do === 'repeat' ? repeated(a.times, forkedIn(a.body)) : [],
  );
}

/** What a loop forks, twice if it goes round more than once: enough to see that it does. */
function repeated(times: number, children: readonly string[]): readonly string[] {
  const once = [...new Set(children)];
  return times > 1 ? [...once, ...once] : children;
}

/** Names of the areas a script maps, loops unrolled; at most `limit`. */
export function areaNamesIn(
  run: readonly Action[],
  limit: number,
  variables: Readonly<Record<string, number>> = {},
  names = new Set<string>(),
): Set<string> {
  for (const action of run) {
    if (action.do === 'mmap') names.add(substitute(action.area, variables));
    if (names.size > limit) throw new ModelError(`topology: fork: a process that forks may map at most ${limit} areas`);
    if (action.do !== 'repeat') continue;
    // A loop whose variable names no area maps the same ones each time it goes round.
    const times = action.as !== undefined && namesArea(action.body, action.as) ? action.times : 1;
    for (let i = 0; i < times; i++)
      areaNamesIn(action.body, limit, action.as === undefined ? variables : { ...variables, [action.as]: i }, names);
  }
  return names;
}

function namesArea(run: readonly Action[], variable: string): boolean {
  return run.some((action) =>
    action.do === 'mmap'
      ? action.area.includes(`{${variable}}`)
      : action.do === 'repeat' && action.as !== variable && namesArea(action.body, variable),
  );
}

/** Replaces `{i}` by the loop variable `i`. */
export function substitute(text: string, variables: Readonly<Record<string, number>>): string {
  return text.replaceAll(/\{(\w+)\}/g, (whole, name: string) =>
    Object.hasOwn(variables, name) ? String(variables[name]) : whole,
  );
}
