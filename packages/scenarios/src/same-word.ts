/**
 * `same-word`: is anything lost when CPUs change one word at once? (x86, v6.18)
 *
 * mm_cpumask has a bit per CPU, and each sets and clears its own; a queue of cross-CPU calls has many senders. All of
 * that is atomic: cpumask_set_cpu(), cpumask_clear_cpu(), llist_add(), llist_del_all(). Here are the machines that need
 * it, so that `shootdown mutate` can say what comes of a load and a store instead: a CPU that no flush reaches any more
 * (see arch/x86/mm/tlb.c, flush_tlb_func(), and 6db2526c1d69, which trims the mask), or a caller that waits for ever
 * (kernel/smp.c).
 */
import type { BuildRequest, Scenario, Variant } from '@shootdown/explorer';
import { addCpu, startCpu, user_mode, type Cpu } from '@shootdown/cpu';
import { Frames, program, routine, SystemBuilder, type MemoryModel, type Steps, type System } from '@shootdown/machine';
import { CALL_FUNCTION_VECTOR, do_wp_page, ipiTlb, Mm, Smp, type Kernel } from '@shootdown/mm';
import { _PAGE_ACCESSED, _PAGE_PRESENT, _PAGE_USER, mk_pte, pte_pfn, tinyShape } from '@shootdown/mmu';
import { comes, flushMachine, PAGE, startMachine, unmap, type CpuRoutine, type FlushMachine } from './flush-machine.ts';
import { asUser } from './tasks.ts';

interface Design extends Variant {
  readonly build: (memoryModel: MemoryModel) => System;
}

/** CPU 0 flushes the page, as mprotect() would, and later gives it back, which is a flush again. */
const flushesTwice: CpuRoutine = routine('mprotect, madvise', function* (machine: FlushMachine, cpu: Cpu): Steps {
  const { kernel, mms } = machine;
  yield* kernel.arch.flush_tlb_mm_range(cpu, mms[0] as Mm, PAGE, PAGE + 1, false);
  yield* unmap(machine, cpu);
});

/** CPU 1 runs another mm: it only takes interrupts. */
const elsewhere: CpuRoutine = routine('another process', function* (_machine: FlushMachine, cpu: Cpu): Steps {
  yield* user_mode(cpu);
});

/** CPU 1 is taken out of the mask while CPU 2 comes to the mm for the first time. */
function trimmed(memoryModel: MemoryModel): System {
  const machine = flushMachine({ memoryModel, mms: 2, loaded: [1, 2, 2], left: [1], trims: true });
  const mask = (machine.mms[0] as Mm).cpumask.at(0);
  machine.builder.property({
    name: 'one CPU leaves the mask and another comes',
    kind: 'sometimes',
    why: 'otherwise one CPU changes it',
    reads: [mask],
    check: (read) => read(mask) === LEFT_AND_CAME,
  });
  return startMachine(machine, [flushesTwice, elsewhere, comes]);
}

const LEFT_AND_CAME = 0b101;

interface Callers {
  readonly smp: Smp;
  readonly fn: number;
}

/** Makes CPU 2 run a function, and waits until it has. */
const calls = routine('smp_call_function_single', function* ({ smp, fn }: Callers, cpu: Cpu): Steps {
  yield* smp.smp_call_function_many(cpu, CALLED, fn);
});

const CALLED = 0b100;
const CPUS = 3;

const interrupted = asUser(function* (cpu: Cpu): Steps {
  yield* user_mode(cpu);
});

/** Two CPUs call a function on a third. */
function called(memoryModel: MemoryModel): System {
  const builder = new SystemBuilder({ memoryModel });
  const cpus = Array.from({ length: CPUS }, (_, id) => addCpu(builder, id, [CALL_FUNCTION_VECTOR]));
  const smp = new Smp(builder, cpus);
  const callers: Callers = { smp, fn: smp.register({ name: 'func', *run(): Steps {} }) };
  for (const cpu of cpus) {
    const body = cpu.id < 2 ? program(calls, callers, cpu) : program(interrupted, cpu);
    startCpu(builder, cpu, [body], { [CALL_FUNCTION_VECTOR]: smp.handler(cpu) });
  }
  return builder.build();
}

/** Frames: the tables of two processes, the page that they share, and one that each can have to itself. */
const PROCESSES = 2;
const SHARED = PROCESSES;
const READ_ONLY = mk_pte(SHARED, _PAGE_PRESENT | _PAGE_USER | _PAGE_ACCESSED);

interface Process {
  readonly kernel: Kernel;
  readonly mm: Mm;
}

const writes = asUser(function* ({ kernel, mm }: Process, cpu: Cpu): Steps {
  const ptep = kernel.frames.entry(cpu.id, PAGE);
  yield* do_wp_page(kernel, cpu, mm, PAGE, ptep, READ_ONLY);
  yield* user_mode(cpu);
});

/** After fork() both processes write to a page: each holds a page-table lock, and it is not the same one. */
function shared(memoryModel: MemoryModel): System {
  const builder = new SystemBuilder({ memoryModel });
  const cpus = Array.from({ length: PROCESSES }, (_, id) => addCpu(builder, id, [CALL_FUNCTION_VECTOR]));
  const frames = new Frames(builder, {
    pointsTo: pte_pfn,
    tables: PROCESSES,
    entriesPerTable: 1,
    pages: 1 + PROCESSES,
    initialTables: cpus.map(() => [READ_ONLY]),
    initialPages: 1,
    initialReferences: [PROCESSES],
  });
  const smp = new Smp(builder, cpus);
  const ptl = builder.region('ptl', PROCESSES, { memory: 'strong' });
  const kernel: Kernel = { builder, cpus, mmus: [], frames, shape: tinyShape(1, 1), arch: ipiTlb(smp, [], 1), ptl };
  for (const cpu of cpus) {
    const mm = new Mm(builder, 1 + cpu.id, { root: cpu.id, cpumask: 0 });
    startCpu(builder, cpu, [program(writes, { kernel, mm }, cpu)], { [CALL_FUNCTION_VECTOR]: smp.handler(cpu) });
  }
  const entries = cpus.map(({ id }) => frames.entry(id, PAGE).address);
  builder.property({
    name: 'each has a page of its own in the end, and holds the only reference',
    kind: 'finally',
    why: 'a reference that was lost frees a page that is mapped, and one too many keeps it for ever',
    reads: [...entries, ...Array.from({ length: frames.count }, (_, frame) => frames.refcount.at(frame))],
    check(read) {
      const pages = entries.map((entry) => pte_pfn(read(entry)));
      const references = Array.from({ length: frames.count }, (_, frame) => read(frames.refcount.at(frame)));
      return references.slice(PROCESSES).every((count, i) => count === (pages.includes(PROCESSES + i) ? 1 : 0));
    },
  });
  builder.property({
    name: 'both copy the page',
    kind: 'sometimes',
    why: 'otherwise one of them takes it over, and nobody counts at the same time',
    reads: entries,
    check: (read) => entries.every((entry) => pte_pfn(read(entry)) !== SHARED),
  });
  return builder.build();
}

const designs: readonly Design[] = [
  {
    name: 'cpumask',
    expected: 'safe',
    source: 'cpumask_set_cpu() and cpumask_clear_cpu() in arch/x86/mm/tlb.c, v6.18; 6db2526c1d69 (v6.14)',
    summary: 'a flush makes a CPU leave mm_cpumask while another comes to the mm: the next flush reaches that one',
    build: trimmed,
  },
  {
    name: 'call-queue',
    expected: 'safe',
    source: 'llist_add() and llist_del_all() in kernel/smp.c, v6.18',
    summary: 'two CPUs call a function on a third: neither waits for ever',
    build: called,
  },
  {
    name: 'folio-refcount',
    expected: 'safe',
    source: 'folio_get() and folio_put() in mm/memory.c, do_wp_page() and wp_page_copy(), v6.18',
    summary: 'two processes write to a page that they share after fork(): neither count is lost',
    build: shared,
  },
];

/** x86: CPUs change one word at once: is anything lost? */
export const sameWord: Scenario<Design> = {
  name: 'same-word',
  title: 'x86: CPUs change one word at once, a mask, a queue or a count: is anything lost?',
  seed: 'S1',
  variants: designs,
  build: ({ variant, memoryModel }: BuildRequest<Design>) => variant.build(memoryModel),
};
