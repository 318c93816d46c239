/** The kernel's own page table on arm64: threads that map and unmap kernel memory, and threads that dump the table. */
import { ScopedBuilder, type Steps, type SystemBuilder } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { vmalloc, type Smp } from '@shootdown/mm';
import { KERNEL } from './tasks.ts';
import { actionsIn, type Action, type KernelDescription } from './schema.ts';

/** What one thread has of the kernel's page table: a range of its own, and a reader. */
export interface KernelRange {
  /** vmalloc() of the whole range, in small pages or, where the design has it, in a block. */
  map(cpu: Cpu, huge: boolean): Steps;
  /** vfree(). */
  unmap(): Steps;
  /** Reads /sys/kernel/debug/kernel_page_tables. */
  dump(cpu: Cpu): Steps;
}

/** The version that was merged as fa93b45fd397: who frees a table waits for readers if there are any. */
const DESIGN: vmalloc.VmapDesign = { tables: vmalloc.freeTables.keyed, tryHuge: 'free', largest: 'pud' };

const maps = ({ do: what }: Action): boolean => what === 'vmalloc' || what === 'vfree';
const dumps = ({ do: what }: Action): boolean => what === 'ptdump';

/** True if a thread has to do with the kernel's page table. */
function usesKernelTables(run: readonly Action[]): boolean {
  return actionsIn(run).some((action) => maps(action) || dumps(action));
}

/** Adds the table, if any thread needs it; returns what each thread has of it, by process and thread. */
export function addKernelTables(
  description: KernelDescription & { readonly kernelTables?: { readonly pmds: number; readonly ptes: number } },
  builder: SystemBuilder,
  cpus: readonly Cpu[],
  smp: Smp,
): (process: number, thread: number) => KernelRange | null {
  const users = description.processes.flatMap(({ threads }, p) =>
    threads.flatMap(({ run }, t) => (usesKernelTables(run) ? [{ key: `${p}.${t}`, run }] : [])),
  );
  description.kernelThreads?.forEach(({ run }, t) => {
    if (usesKernelTables(run)) users.push({ key: `${KERNEL}.${t}`, run });
  });
  if (users.length === 0 || description.kernelTables === undefined) return () => null;
  const scope = new ScopedBuilder(builder, 'kernel');
  const kernel = new vmalloc.VmallocKernel(scope, {
    tree: { puds: users.length, ...description.kernelTables },
    processors: cpus.length,
    kick_all_cpus_sync: (id) => smp.kick_all_cpus_sync(cpus[id] as Cpu),
  });
  const ranges = new Map(
    users.map(({ key, run }, index): [string, KernelRange] => {
      const reader = actionsIn(run).some(dumps) ? vmalloc.addPtdump(scope, kernel, `ptdump${index}`, 'single') : null;
      return [key, rangeOf(kernel, index, reader)];
    }),
  );
  return (process, thread) => ranges.get(`${process}.${thread}`) ?? null;
}

function rangeOf(
  kernel: vmalloc.VmallocKernel,
  index: number,
  reader: ReturnType<typeof vmalloc.addPtdump> | null,
): KernelRange {
  const pud = kernel.pud(index);
  return {
    map: (cpu, huge) =>
      huge ? vmalloc.vmap_range(kernel, cpu.id, DESIGN, index, index) : vmalloc.vmap_pages_pud_range(kernel, pud),
    unmap: () => vmalloc.vunmap_pud_range(kernel, pud),
    *dump(cpu) {
      if (reader) yield* vmalloc.dumps.countingDump(kernel, reader, cpu.id);
    },
  };
}
