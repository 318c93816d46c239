import { store, waitFor, type Executor, type Steps } from '@shootdown/machine';
import { _PAGE_RW, pte_dirty, pte_pfn, tinyShape } from '@shootdown/mmu';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { unfold } from './arch/arm64-contpte.ts';
import { pte_mkclean } from './arch/contpte/pte.ts';
import { user_access } from './fault.ts';
import { fork } from './fork.ts';
import { use_mm, type Mm } from './kernel.ts';
import {
  BASE,
  entryOf,
  inUse,
  mmMachine,
  randomRuns,
  recording,
  runMachine,
  type Body,
  type Flushed,
  type Machine,
  type MachineOptions,
} from './machines.test-support.ts';
import { exit_mmap, madvise_dontneed, mmap, mmdrop, munmap } from './mmap.ts';
import { mprotect } from './mprotect.ts';
import { pgd_alloc, pte_offset } from './pgtable.ts';
import { VM_DATA_DEFAULT_FLAGS, VM_READ, VM_WRITE } from './vma.ts';

type Cpu = Parameters<Body>[1];

/** CPU 0 maps two pages, writes them, forks; then parent and child, on CPU 1, go on as told. */
function forked(
  parent: (m: Machine, cpu: Cpu) => Steps<unknown>,
  child: (m: Machine, cpu: Cpu) => Steps<unknown>,
  options: Partial<MachineOptions> = {},
): Machine {
  return mmMachine({ cpus: 2, mms: 2, ...options }, [
    function* (m, cpu) {
      const [mm, childMm] = m.mms as [Mm, Mm];
      yield* pgd_alloc(m.kernel, mm);
      yield* use_mm(m.kernel, cpu, mm);
      yield* mmap(mm, BASE, 2);
      for (const vpn of [BASE - 2, BASE - 1]) yield* user_access(m.kernel, cpu, mm, vpn, true);
      yield* fork(m.kernel, cpu, mm, childMm);
      yield* store(m.flags.at(0), 1);
      yield* parent(m, cpu);
    },
    function* (m, cpu) {
      yield* waitFor(m.flags.at(0), -1, 1);
      yield* use_mm(m.kernel, cpu, m.mms[1]!);
      yield* child(m, cpu);
    },
  ]);
}

const nothing = function* (): Steps {};
const write =
  (process: 0 | 1, vpn: number) =>
  ({ kernel, mms }: Machine, cpu: Cpu) =>
    user_access(kernel, cpu, mms[process]!, vpn, true);

function frameOf(machine: Machine, executor: Executor, process: 0 | 1, vpn: number): number {
  return pte_pfn(entryOf(machine, executor, machine.mms[process]!, vpn));
}

describe('fork()', () => {
  test('gives the child the same frames, read-only in both, with a reference each', () => {
    const machine = forked(nothing, nothing);
    const { executor } = runMachine(machine);
    for (const vpn of [BASE - 2, BASE - 1]) {
      const frame = frameOf(machine, executor, 0, vpn);
      expect(frameOf(machine, executor, 1, vpn)).toBe(frame);
      expect(executor.store.read(machine.kernel.frames.refcount.at(frame))).toBe(2);
      for (const mm of machine.mms) expect(entryOf(machine, executor, mm, vpn) & _PAGE_RW).toBe(0);
    }
  });

  test.each([
    ['x86 does not flush', 'x86', undefined],
    ['arm64 flushes', 'arm64', [1, 1]],
  ] as const)(
    'a writer who is alone by then takes the page over: what is more permissive than before %s',
    (_, arch, flushes) => {
      const machine = forked(
        function* (m, cpu) {
          yield* waitFor(m.flags.at(1), -1, 1);
          yield* write(0, BASE - 2)(m, cpu);
        },
        function* (m, cpu) {
          yield* madvise_dontneed(m.kernel, cpu, m.mms[1]!, BASE - 2, BASE - 1);
          yield* store(m.flags.at(1), 1);
        },
        { arch },
      );
      // The other CPU's is that of madvise().
      expect(runMachine(machine).counts['tlbi_va']).toEqual(flushes);
    },
  );

  test('of a folio of 64 KB gives the child each page as dirty as the parent has it: FPB_RESPECT_DIRTY', () => {
    const [pages, clean] = [16, 5];
    const options = { cpus: 1, mms: 2, arch: 'arm64', shape: tinyShape(2, pages), tables: 16, pages: 32 } as const;
    const machine = mmMachine({ ...options, contpte: true }, [
      function* ({ kernel, mms }, cpu) {
        const [parent, child] = mms as [Mm, Mm];
        yield* pgd_alloc(kernel, parent);
        yield* parent.vmas.insert(0, pages, VM_DATA_DEFAULT_FLAGS);
        yield* use_mm(kernel, cpu, parent);
        yield* user_access(kernel, cpu, parent, 0, true);
        // One page of the folio has been written back: the block is unfolded, and that entry is clean.
        for (let vpn = 0; vpn < pages; vpn++) {
          const ptep = (yield* pte_offset(kernel, parent, vpn))!;
          yield* unfold(kernel, cpu, parent, vpn, ptep);
          if (vpn === clean) yield* kernel.frames.write(ptep, pte_mkclean(yield* kernel.frames.read(ptep)));
        }
        yield* fork(kernel, cpu, parent, child);
      },
    ]);
    const { executor } = runMachine(machine);
    const dirty = machine.mms.map((mm) =>
      Array.from({ length: pages }, (_, vpn) => pte_dirty(entryOf(machine, executor, mm, vpn))),
    );
    expect(dirty[0]).toEqual(Array.from({ length: pages }, (_, vpn) => vpn !== clean));
    expect(dirty[1]).toEqual(dirty[0]);
  });

  test('flushes everything of the parent, as if tables were freed, even when nothing was protected', () => {
    const flushes: Flushed[] = [];
    runMachine(
      mmMachine({ cpus: 1, mms: 2, wrap: recording(flushes) }, [
        function* ({ kernel, mms }, cpu) {
          yield* pgd_alloc(kernel, mms[0]!);
          yield* use_mm(kernel, cpu, mms[0]!);
          yield* mmap(mms[0]!, BASE, 2);
          yield* fork(kernel, cpu, mms[0]!, mms[1]!);
        },
      ]),
    );
    expect(flushes).toEqual([{ cpu: 0, start: 0, end: Number.MAX_SAFE_INTEGER, freed_tables: true }]);
  });

  test.each([
    ['the parent', 0],
    ['the child', 1],
  ] as const)(
    '%s that writes first copies the page; the other then has the old one alone and takes it over',
    (_, first) => {
      const machine = forked(
        function* (m, cpu) {
          if (first === 1) yield* waitFor(m.flags.at(1), -1, 1);
          yield* write(0, BASE - 1)(m, cpu);
          yield* store(m.flags.at(1), 1);
        },
        function* (m, cpu) {
          if (first === 0) yield* waitFor(m.flags.at(1), -1, 1);
          yield* write(1, BASE - 1)(m, cpu);
          yield* store(m.flags.at(1), 1);
        },
      );
      const { executor } = runMachine(machine);
      const frames = ([0, 1] as const).map((process) => frameOf(machine, executor, process, BASE - 1));
      expect(new Set(frames).size).toBe(2);
      expect(frames.map((frame) => executor.store.read(machine.kernel.frames.refcount.at(frame)))).toEqual([1, 1]);
      expect(inUse(machine, executor).pages).toHaveLength(3);
    },
  );

  test('both write at once: in every schedule tried each ends with a frame of its own and nothing leaks', () => {
    const machine = forked(write(0, BASE - 1), write(1, BASE - 1));
    randomRuns(
      machine,
      Array.from({ length: 150 }, (_, i) => i),
      (run, executor) => {
        expect(run).toMatchObject({ end: 'rest', violation: null });
        expect(frameOf(machine, executor, 0, BASE - 1)).not.toBe(frameOf(machine, executor, 1, BASE - 1));
        expect(inUse(machine, executor).pages.length).toBe(3);
      },
    );
  });

  test('a fork that runs out of table frames says so', () => {
    const machine = forked(nothing, nothing, { tables: 5 });
    expect(() => runMachine(machine)).toThrow(
      'mm: fork: out of table frames (5): give the machine more (memory.tables)',
    );
  });
});

/** What a thread of the random processes below can do. */
const action = fc.oneof(
  fc.record({ do: fc.constantFrom('read' as const, 'write' as const), page: fc.nat(3) }),
  fc.record({ do: fc.constantFrom('dontneed' as const, 'protect' as const, 'unprotect' as const), page: fc.nat(3) }),
  fc.record({ do: fc.constantFrom('own' as const, 'lazy' as const), page: fc.nat(3) }),
);
type Action = typeof action extends fc.Arbitrary<infer T> ? T : never;

/** Shared pages are BASE-4 .. BASE-1; `own` maps, writes and unmaps pages that nobody else knows. */
function* act(m: Machine, cpu: Cpu, mm: Mm, { do: what, page }: Action): Steps {
  const vpn = BASE - 4 + page;
  switch (what) {
    case 'read':
    case 'write':
      yield* user_access(m.kernel, cpu, mm, vpn, what === 'write');
      return;
    case 'dontneed':
      yield* madvise_dontneed(m.kernel, cpu, mm, vpn, BASE);
      return;
    case 'protect':
    case 'unprotect':
      yield* mprotect(m.kernel, cpu, mm, BASE - 4, vpn + 1, what === 'protect' ? VM_READ : VM_READ | VM_WRITE);
      return;
    case 'own': {
      const start = yield* mmap(mm, BASE, 1 + page);
      yield* user_access(m.kernel, cpu, mm, start, true);
      yield* munmap(m.kernel, cpu, mm, start, start + 1 + page);
      return;
    }
    case 'lazy':
      yield* m.kernel.arch.enter_lazy_tlb(cpu);
      yield* m.kernel.arch.switch_mm(cpu, mm);
  }
}

/**
 * CPU 0 and 1 are threads of the parent, CPU 2 and 3 of the child. Thread 0 forks in the middle; the even CPUs exit
 * last.
 */
function family(cpus: number, scripts: readonly (readonly Action[])[], options: Partial<MachineOptions>): Machine {
  const body = function* (m: Machine, cpu: Cpu): Steps {
    const process = Math.floor(cpu.id / 2);
    const mm = m.mms[process]!;
    const script = scripts[cpu.id] ?? [];
    const started = m.flags.at(process);
    const left = m.flags.at(2 + process);
    const partner = cpu.id % 2 === 0 && cpu.id + 1 < cpus;
    if (cpu.id === 0) {
      yield* pgd_alloc(m.kernel, mm);
      yield* mmap(mm, BASE, 4);
      yield* store(started, 1);
    } else yield* waitFor(started, -1, 1);
    yield* use_mm(m.kernel, cpu, mm);
    for (const [i, a] of script.entries()) {
      if (cpu.id === 0 && cpus > 2 && i === script.length >> 1) yield* forkChild(m, cpu);
      yield* act(m, cpu, mm, a);
    }
    if (cpu.id === 0 && cpus > 2 && script.length === 0) yield* forkChild(m, cpu);
    if (cpu.id % 2 === 1) {
      yield* m.kernel.arch.enter_lazy_tlb(cpu);
      yield* store(left, 1);
      yield* mmdrop(m.kernel, cpu, mm);
      return;
    }
    if (partner) yield* waitFor(left, -1, 1);
    yield* exit_mmap(m.kernel, cpu, mm);
  };
  return mmMachine(
    { cpus, mms: 2, tables: 24, pages: 40, ...options },
    Array.from({ length: cpus }, () => body),
  );
}

function* forkChild(m: Machine, cpu: Cpu): Steps {
  yield* fork(m.kernel, cpu, m.mms[0]!, m.mms[1]!);
  yield* store(m.flags.at(1), 1);
}

describe('two processes of one or two threads', () => {
  const scripts = fc.array(fc.array(action, { maxLength: 6 }), { minLength: 4, maxLength: 4 });

  test.each([
    ['x86', 'sc', 'real'],
    ['x86', 'tso', 'real'],
    ['arm64', 'sc', 'real'],
    ['x86', 'sc', 'saturated'],
    ['arm64', 'sc', 'saturated'],
  ] as const)(
    '%s, %s, %s TLB: whatever they do, no rule is broken, and at the end every frame is free',
    (arch, memoryModel, tlb) => {
      const watched = Array.from({ length: 24 }, (_, i) => BASE - 24 + i);
      fc.assert(
        fc.property(fc.integer({ min: 2, max: 4 }), scripts, fc.nat(1_000_000), (cpus, all, seed) => {
          const machine = family(cpus, all, { arch, memoryModel, tlb, watched });
          randomRuns(machine, [seed, seed + 1], (run, executor) => {
            expect({ end: run.end, violation: run.violation }).toEqual({ end: 'rest', violation: null });
            expect(inUse(machine, executor)).toEqual({ tables: [], pages: [] });
            for (const mm of machine.mms)
              expect(
                [mm.mmap_lock.count, mm.tlb_flush_pending.at(0), mm.pgd.at(0)].map((word) => executor.store.read(word)),
              ).toEqual([0, 0, 0]);
          });
        }),
        { numRuns: 20 },
      );
    },
  );
});
