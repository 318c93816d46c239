/**
 * The description of a machine: what a topology file may say. Unknown keys are errors.
 */
import { arm64Costs, ModelError, x86Costs } from '@shootdown/machine';
import { parseTlbGeometry } from '@shootdown/mmu';
import { z } from 'zod';

const CPUS_MAX = 16;

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
  /** Ends the thread in user mode, computing for ever; or asleep, with its CPU idle. */
  | { readonly do: 'spin' | 'sleep' }
  /** Waits until all other threads of the process have come to rest in spin or sleep. */
  | { readonly do: 'wait-for-others' }
  /** Counters from here on are booked under this name. */
  | { readonly do: 'measure'; readonly phase: string }
  | { readonly do: 'repeat'; readonly times: number; readonly as?: string | undefined; readonly body: readonly Action[] };

const area = z.string().min(1);

const action: z.ZodType<Action> = z.lazy(() =>
  z.discriminatedUnion('do', [
    z.strictObject({ do: z.literal('mmap'), area, pages: z.int().min(1).max(1 << 20) }),
    z.strictObject({ do: z.literal('touch'), area, write: z.boolean().optional() }),
    z.strictObject({ do: z.literal('mprotect'), area, prot: z.enum(['r', 'rw']) }),
    z.strictObject({ do: z.enum(['madvise-dontneed', 'munmap']), area }),
    z.strictObject({ do: z.literal('fork'), child: z.string() }),
    z.strictObject({ do: z.enum(['exit', 'spin', 'sleep', 'wait-for-others']) }),
    z.strictObject({ do: z.literal('measure'), phase: z.string() }),
    z.strictObject({ do: z.literal('repeat'), times: z.int().min(1).max(1_000_000), as: z.string().optional(), body: z.array(action) }),
  ]),
);

const geometry = z.string().superRefine((text, context) => {
  try {
    parseTlbGeometry(text);
  } catch (error) {
    context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) });
  }
});

const topologySchema = z.strictObject({
  name: z.string().min(1),
  /** x86-64-4l and x86-64-5l flush by IPI, arm64-4k-48 by broadcast TLBI. */
  architecture: z.enum(['x86-64-4l', 'x86-64-5l', 'arm64-4k-48']),
  memoryModel: z.enum(['sc', 'tso']).default('sc'),
  cpus: z.int().min(1).max(CPUS_MAX),
  tlb: z.strictObject({ l1: geometry.default('64x4'), l2: geometry.default('1536x12'), walkCache: z.int().min(1).max(1024).default(32) }).prefault({}),
  memory: z.strictObject({ tables: z.int().min(4).max(4096).default(64), pages: z.int().min(1).max(1 << 18).default(8192) }).prefault({}),
  /** Cycles that replace entries of the architecture's cost table. */
  costs: z.record(z.string(), z.int().min(0)).default({}),
  /** x86: pages a flush may have before it becomes a full one. */
  flushCeiling: z.int().min(0).default(33),
  /** Timer interrupts per second of virtual time that advance jiffies; 0: time stands still and mm_cpumask is never trimmed. */
  hz: z.int().min(0).max(10_000).default(0),
  processes: z
    .array(
      z.strictObject({
        name: z.string().min(1),
        threads: z.array(z.strictObject({ cpu: z.int().min(0), run: z.array(action) })).min(1),
      }),
    )
    .min(1),
});

/** A machine description with defaults filled in. */
export type Topology = z.output<typeof topologySchema>;
/** A machine description as one writes it. */
export type TopologyInput = z.input<typeof topologySchema>;

/** Checks a description. Throws a ModelError of one line that names the place and the mistake. */
export function parseTopology(input: unknown, source = 'topology'): Topology {
  const parsed = topologySchema.safeParse(input);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const place = issue && issue.path.length > 0 ? issue.path.join('.') : 'top level';
    throw new ModelError(`topology: ${source}: ${place}: ${issue?.message ?? 'not a topology'}`);
  }
  checkReferences(parsed.data, source);
  return parsed.data;
}

/** Checks a description given as JSON text. */
export function parseTopologyText(text: string, source: string): Topology {
  let input: unknown;
  try {
    input = JSON.parse(text);
  } catch (error) {
    throw new ModelError(`topology: ${source}: not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  return parseTopology(input, source);
}

function checkReferences(topology: Topology, source: string): void {
  const used = new Map<number, string>();
  const names = new Set<string>();
  topology.processes.forEach((process, p) => {
    if (names.has(process.name)) throw new ModelError(`topology: ${source}: processes.${p}: name taken twice (${process.name})`);
    names.add(process.name);
    process.threads.forEach((thread, t) => {
      const place = `processes.${p}.threads.${t}`;
      if (thread.cpu >= topology.cpus) throw new ModelError(`topology: ${source}: ${place}: CPU ${thread.cpu} of ${topology.cpus} (0 .. ${topology.cpus - 1})`);
      const other = used.get(thread.cpu);
      if (other !== undefined) throw new ModelError(`topology: ${source}: ${place}: CPU ${thread.cpu} already runs ${other} (one thread per CPU)`);
      used.set(thread.cpu, place);
    });
  });
  checkForks(topology, source, names);
  const known = isArm(topology) ? arm64Costs.costs : x86Costs.costs;
  for (const name of Object.keys(topology.costs)) {
    if (!Object.hasOwn(known, name)) throw new ModelError(`topology: ${source}: costs: no entry ${name} (have: ${Object.keys(known).join(', ')})`);
  }
}

/** Every forked process has one parent, and the first parent of all is not forked. */
function checkForks(topology: Topology, source: string, names: ReadonlySet<string>): void {
  const parents = new Map<string, string>();
  for (const process of topology.processes) {
    for (const child of process.threads.flatMap((t) => forkedIn(t.run))) {
      if (!names.has(child)) throw new ModelError(`topology: ${source}: fork: no process ${child} (have: ${[...names].join(', ')})`);
      if (parents.has(child)) throw new ModelError(`topology: ${source}: fork: process ${child} is forked twice: give every fork a process of its own`);
      parents.set(child, process.name);
    }
  }
  for (const process of topology.processes) {
    const seen = new Set<string>();
    for (let name: string | undefined = process.name; name !== undefined; name = parents.get(name)) {
      if (seen.has(name)) throw new ModelError(`topology: ${source}: fork: process ${name} is its own ancestor`);
      seen.add(name);
    }
  }
}

/** True for the architectures that flush by broadcast TLBI. */
export function isArm(topology: Pick<Topology, 'architecture'>): boolean {
  return topology.architecture.startsWith('arm64');
}

/** Names of the processes forked by a script. */
export function forkedIn(run: readonly Action[]): string[] {
  return run.flatMap((a) => (a.do === 'fork' ? [a.child] : a.do === 'repeat' ? repeated(a.times, forkedIn(a.body)) : []));
}

/** What a loop forks, twice if it goes round more than once: enough to see that it does. */
function repeated(times: number, children: readonly string[]): readonly string[] {
  return times > 1 ? [...children, ...children] : children;
}

/** Names of the areas a script maps, loops unrolled; at most `limit`. */
export function areaNamesIn(run: readonly Action[], limit: number, variables: Readonly<Record<string, number>> = {}, names = new Set<string>()): Set<string> {
  for (const action of run) {
    if (names.size > limit) throw new ModelError(`topology: fork: a process that forks may map at most ${limit} areas`);
    if (action.do === 'mmap') names.add(substitute(action.area, variables));
    if (action.do !== 'repeat') continue;
    const times = action.as === undefined ? 1 : action.times;
    for (let i = 0; i < times; i++) areaNamesIn(action.body, limit, action.as === undefined ? variables : { ...variables, [action.as]: i }, names);
  }
  return names;
}

/** Replaces `{i}` by the loop variable `i`. */
export function substitute(text: string, variables: Readonly<Record<string, number>>): string {
  return text.replaceAll(/\{(\w+)\}/g, (whole, name: string) => (variables[name] === undefined ? whole : String(variables[name])));
}
