import { explore, counterexample, resolveScenario, type ExploreResult } from '@shootdown/explorer';
import { mmuOf, type X86TlbState } from '@shootdown/mm';
import { _PAGE_PRESENT, _PAGE_USER, BREAK_BEFORE_MAKE, mk_pte } from '@shootdown/mmu';
import { describe, expect, it } from 'vitest';
import {
  do_idle,
  FLUSHES,
  load,
  point,
  pte_pfn,
  routine,
  smallMachine,
  store,
  type Cpu,
  type CpuCode,
  type FlushName,
  type Mm,
  type Scenario,
  type SmallMachine,
  type SmallMachineOptions,
} from './index.ts';

const PAGE = 0;

type Code = Readonly<Record<string, CpuCode>>;

/** What a machine comes to, with what `watch` adds to it. */
async function explored(
  options: Partial<SmallMachineOptions>,
  code: Code,
  watch: (machine: SmallMachine) => void = () => {},
): Promise<ExploreResult> {
  const machine = smallMachine({ memoryModel: 'sc', ...options });
  watch(machine);
  return explore(machine.start(code));
}

/** Clears the entry, flushes or not, and then nobody may use it. */
const removes = (flushes: boolean): CpuCode =>
  function* (m, cpu) {
    const pte = yield* m.ptep_get_and_clear(PAGE);
    if (flushes) yield* m.flush_tlb_page(cpu, PAGE);
    yield* m.folio_put(pte_pfn(pte));
  };
const reads: CpuCode = (m, cpu) => m.read(cpu, PAGE);

describe('a flush', () => {
  const options = (flush: FlushName): Partial<SmallMachineOptions> => ({
    flush,
    ...(flush === 'kvm' && { vcpus: [undefined, { exploreBound: 1 }] }),
  });

  it.each(FLUSHES)('%s: a page is not used after its flush, and is without one', async (flush) => {
    if (flush !== 'kvm')
      expect((await explored(options(flush), { unmap: removes(true), user: reads })).verdict).toBe('safe');
    expect(await explored(options(flush), { unmap: removes(false), user: reads })).toMatchObject({
      verdict: 'violation',
      property: 'no access to a freed frame or table',
    });
  });

  it('that is atomic has fewer states than one by IPI, and on tso waits for stores', async () => {
    const states = async (flush: FlushName, memoryModel: 'sc' | 'tso') =>
      (await explored({ flush, memoryModel }, { unmap: removes(true), user: reads })).states;
    expect(await states('atomic', 'sc')).toBeLessThan((await states('ipi', 'sc')) / 2);
    const m = smallMachine({ memoryModel: 'tso', flush: 'atomic', contents: true });
    const overwritten = m.ghost('overwritten');
    m.property({
      name: 'what is written after the flush stays',
      kind: 'always',
      why: "the frame is somebody else's by then",
      check: (read) => read(overwritten) === 0,
    });
    const system = m.start({
      *unmap(_, cpu) {
        const pte = yield* m.ptep_get_and_clear(PAGE);
        yield* m.flush_tlb_page(cpu, PAGE);
        yield* m.kernel_write(pte_pfn(pte), 2);
        yield* point('written');
        if ((yield* m.kernel_read(pte_pfn(pte))) !== 2) yield* m.mark(overwritten);
      },
      user: (_, cpu) => m.store(cpu, PAGE, 1),
    });
    expect((await explore(system)).verdict).toBe('safe');
  });
});

describe('what models want to see', () => {
  it('fails at the access: no write after write_protect() has returned', async () => {
    const protects = (flushes: boolean): CpuCode =>
      function* (m, cpu) {
        yield* m.set_pte_at(PAGE, (yield* m.ptep_get(PAGE)) & ~2);
        if (flushes) yield* m.flush_tlb_page(cpu, PAGE);
        yield* m.syscall_returns(cpu);
      };
    const watch = (m: SmallMachine): void =>
      m.onAccess('no write after mprotect() has returned', ({ write }, read) => !(write && m.hasReturned(read, 0)));
    const writes: CpuCode = (m, cpu) => m.write(cpu, PAGE);
    const flush = 'atomic';
    const found = await explored({ flush }, { mprotect: protects(false), user: writes }, watch);
    expect(found).toMatchObject({ verdict: 'violation', property: 'no write after mprotect() has returned' });
    expect((await explored({ flush }, { mprotect: protects(true), user: writes }, watch)).verdict).toBe('safe');
  });

  it('from here on nobody uses the old translation', async () => {
    const promises = (flushes: boolean) => (m: SmallMachine) => {
      const promise = m.promise();
      return m.start({
        *change_pte(_, cpu) {
          yield* m.set_pte_at(PAGE, 0);
          if (flushes) yield* m.flush_tlb_page(cpu, PAGE);
          yield* promise.fromHere(cpu, PAGE);
        },
        user: reads,
      });
    };
    const machine = () => smallMachine({ memoryModel: 'sc', flush: 'atomic', checksFlushes: false });
    expect(await explore(promises(false)(machine()))).toMatchObject({
      verdict: 'violation',
      property: 'from here on nobody uses the old translation',
    });
    expect((await explore(promises(true)(machine()))).verdict).toBe('safe');
  });

  it('says what an MMU has loaded', async () => {
    const seen = new Set<string>();
    const result = await explored(
      { mms: 2, flush: 'arm64', cpus: [1, 2] },
      {
        *switches(m, cpu) {
          yield* m.switch_mm(cpu, m.mms[1] as never);
        },
      },
      (m) => {
        m.property({
          name: 'watched',
          kind: 'always',
          why: 'test',
          check: (read) => {
            seen.add([0, 1].map((cpu) => `${m.root(read, cpu)}/${m.asid(read, cpu)}`).join(' '));
            return true;
          },
        });
      },
    );
    expect(result.verdict).toBe('safe');
    expect([...seen].toSorted()).toEqual(['0/1 1/2', '1/2 1/2']);
  });

  it('reads pages by frame, and fails if they are freed', async () => {
    const frees: CpuCode = function* (m) {
      yield* m.folio_put(m.frame(PAGE));
    };
    const copies = (holds: boolean): CpuCode =>
      function* (m) {
        if (holds && !(yield* m.folio_try_get(m.frame(PAGE)))) return;
        yield* m.kernel_read(m.frame(PAGE));
      };
    const flush = 'atomic';
    expect(await explored({ flush }, { put: frees, copy: copies(false) })).toMatchObject({ verdict: 'violation' });
    expect(await explored({ flush }, { put: frees, copy: copies(true) })).toMatchObject({ verdict: 'safe' });
  });

  it('has contents: a store through a translation is what the kernel reads', async () => {
    const values = new Set<number>();
    await explored(
      { flush: 'atomic', contents: true },
      {
        user: (m, cpu) => m.store(cpu, PAGE, 7),
        *kernel(m) {
          values.add(yield* m.kernel_read(m.frame(PAGE)));
        },
      },
    );
    expect(values).toEqual(new Set([0, 7]));
  });
});

describe('a machine', () => {
  it("has lazy CPUs, several levels, and names of one's own", async () => {
    const m = smallMachine({
      memoryModel: 'sc',
      names: ['writer', 'idler'],
      levels: 2,
      pages: 3,
      lazy: [1],
    });
    expect([m.pte(0), m.pte(2)].map(({ frame, index }) => [frame, index])).toEqual([
      [1, 0],
      [2, 0],
    ]);
    const system = m.start({
      *madvise(_, cpu) {
        yield* m.pte_lock(2);
        yield* m.pte_unlock(2);
        yield* m.zap_page_range_single(cpu, PAGE);
      },
      swapper: (_, cpu) => do_idle(cpu),
    });
    expect(system.processors.map(({ name }) => name)).toEqual(['writer', 'idler']);
    expect((await explore(system)).verdict).toBe('safe');
  });

  it('of arm64 writes TTBR0_EL1, and never CR3', async () => {
    const labels = await labelsOf(
      { flush: 'arm64', mms: 2, cpus: [1, 2] },
      {
        *madvise(m, cpu) {
          yield* m.switch_mm(cpu, m.mms[1] as never);
          yield* m.flush_tlb_page(cpu, PAGE);
        },
      },
    );
    expect(labels.join('\n')).toMatch(
      /msr ttbr0_el1\(root 0x1, asid 2\)[^]*dsb\(ishst\)[^]*tlbi vale1is[^]*dsb\(ish\)/,
    );
    expect(labels.join('\n')).not.toMatch(/cr3|invlpg/);
  });

  it.each([
    ['arm64', BREAK_BEFORE_MAKE],
    ['atomic', null],
  ] as const)('%s: a page that is replaced while it is mapped: %s', async (flush, property) => {
    const found = await explored(
      { flush, pages: 2, checksFlushes: false },
      {
        *replaces(m) {
          yield* m.set_pte_at(PAGE, mk_pte(m.frames.tables + 1, _PAGE_PRESENT | _PAGE_USER));
        },
        user: reads,
      },
    );
    expect(found.property).toBe(property);
  });

  it('says what is wrong with its options', () => {
    const wrong = (options: object) => () => smallMachine({ memoryModel: 'sc', ...options });
    expect(wrong({ flsh: 'ipi' })).toThrow('kit: smallMachine: unknown option flsh: did you mean flush?');
    expect(wrong({ flush: 'magic' })).toThrow('kit: smallMachine: flush: "magic" is none of x86, kvm, ');
    expect(wrong({ mapped: 2 })).toThrow('mapped: 2 pages, have 1');
    expect(wrong({ cpus: 0 })).toThrow('kit: smallMachine: cpus: expected at least 1 (0)');
    expect(wrong({ cpus: [] })).toThrow('kit: smallMachine: cpus: expected at least 1 (0)');
    expect(wrong({ pages: 0 })).toThrow('kit: smallMachine: pages: expected at least 1 (0)');
    expect(wrong({ spare: -1 })).toThrow('kit: smallMachine: spare: expected at least 0 (-1)');
    expect(wrong({ flush: 'kvm' })).toThrow('kvm needs vcpus');
    expect(wrong({ flush: 'arm64', lazy: [0] })).toThrow('has no lazy CPUs');
    expect(() => smallMachine({ memoryModel: 'sc', cpus: 1 }).start({ a: reads, b: reads })).toThrow(
      '2 routines for 1',
    );
  });
});

/** Calls that a tired developer makes: each would be of another page, another CPU, or of nothing. */
const slips: readonly [string, (m: SmallMachine, cpu: Cpu) => unknown, string][] = [
  ['an entry of a page that there is not', (m) => m.ptep_get(2), 'kit: pte: no page 2 (have: 2 pages, from 0 on)'],
  ['the lock of one', (m) => m.pte_lock(-1), 'kit: pte: no page -1'],
  ['no page at all', (m) => m.pte(undefined as never), 'kit: pte: no page undefined'],
  ['the frame of a page that is not mapped', (m) => m.frame(1), 'kit: frame: no page 1 (have: 1 mapped pages'],
  ['a CPU by its number', (m) => m.write(1 as never, 0), 'kit: write: 1 is no CPU of this machine: pass the cpu'],
  [
    'a zap without a CPU',
    (m) => m.zap_page_range_single(0 as never, undefined as never),
    'kit: zap_page_range_single: 0',
  ],
  [
    'a zap that goes on behind the last page',
    (m, cpu) => m.zap_page_range_single(cpu, 1, 3),
    'kit: zap_page_range_single: no page 2',
  ],
  ['a flush of nothing', (m, cpu) => m.flush_tlb_range(cpu, 1, 1), 'kit: flush_tlb_range: pages [1, 1) are none'],
  ['a flush of a page that there is not', (m, cpu) => m.flush_tlb_page(cpu, 2), 'kit: flush_tlb_range: no page 2'],
  ['an mm by its number', (m, cpu) => m.switch_mm(cpu, 2 as never), 'kit: switch_mm: 2 is no mm: machine.mms has them'],
];

it.each(slips)('%s is refused', (_, call, line) => {
  const m = smallMachine({ memoryModel: 'sc', pages: 2, mapped: 1 });
  expect(() => call(m, m.cpus[0] as Cpu)).toThrow(line);
});

it.each([
  [
    'a property',
    (m: SmallMachine) => m.property({ name: 'p', kind: 'always', why: 'w', check: () => false }),
    'property: p',
  ],
  ['a ghost', (m: SmallMachine) => m.ghost('late'), 'region: "late"'],
  ['a promise', (m: SmallMachine) => m.promise(), 'region: "promise'],
  ['other code', (m: SmallMachine) => m.start({ user: reads }), 'processor: CPU0'],
])('%s that comes after start() is refused: no run would have it', (_, add, what) => {
  const m = smallMachine({ memoryModel: 'sc' });
  m.start({ user: reads });
  expect(() => add(m)).toThrow(`system: ${what}`);
  expect(() => add(m)).toThrow('the system is built already: add everything before build()');
});

it('a rule for accesses that says neither yes nor no is refused', async () => {
  const forgetsReturn = (m: SmallMachine): void =>
    m.onAccess('no write', (({ write }: { write: boolean }) => void !write) as never);
  await expect(explored({ flush: 'atomic' }, { user: reads }, forgetsReturn)).rejects.toThrow(
    'kit: onAccess: no write: the rule returned undefined, which is neither true nor false',
  );
});

/** What the only run of a machine shows. */
async function labelsOf(options: Partial<SmallMachineOptions>, code: Code): Promise<string[]> {
  const build = ({ memoryModel }: { memoryModel: 'sc' | 'tso' | 'arm' }) => {
    const m = smallMachine({ memoryModel, ...options });
    const done = m.ghost('done');
    m.property({
      name: 'never done',
      kind: 'always',
      why: 'so that there is a trace',
      check: (read) => read(done) === 0,
    });
    return m.start(
      Object.fromEntries(
        Object.entries(code).map(([name, body]): [string, CpuCode] => [
          name,
          function* (machine, cpu) {
            yield* body(machine, cpu);
            yield* m.mark(done);
          },
        ]),
      ),
    );
  };
  const variants = [{ name: 'only', expected: 'violation', source: 'test', summary: 'test' }] as const;
  const resolved = resolveScenario([{ name: 'labels', title: 'test', variants, build }], { scenario: 'labels' });
  const { steps } = counterexample(resolved, await explore(resolved.build()));
  return steps.map(({ text }) => text);
}

describe('a routine of the kernel', () => {
  it('is replaced by its name: switch_mm_irqs_off() that leaves mm_cpumask() alone is never told of a flush', async () => {
    /** loaded_mm, CR3, and nothing else. */
    const switch_mm_irqs_off = routine('switch_mm_irqs_off', function* (x86: X86TlbState, cpu: Cpu, next: Mm) {
      yield* mmuOf(x86, cpu).load_root((yield* load(next.pgd.at(0))) - 1, 1, false);
      yield* store(x86.loaded_mm.at(cpu.id), next.id);
    });
    const variants = [
      { name: 'v6.18', expected: 'safe', source: 'test', summary: 'as it is' },
      { name: 'mine', expected: 'violation', source: 'test', summary: 'replaced', replace: { switch_mm_irqs_off } },
    ] as const;
    const scenario: Scenario = {
      name: 'switch',
      title: 'test',
      variants,
      build: ({ memoryModel }) =>
        smallMachine({ memoryModel, mms: 2, cpus: [1, 2] }).start({
          unmap: removes(true),
          *schedule(m, cpu) {
            yield* m.switch_mm(cpu, m.mm);
            yield* m.read(cpu, PAGE);
          },
        }),
    };
    for (const { name, expected } of variants) {
      const resolved = resolveScenario([scenario], { scenario: 'switch', variant: name });
      expect((await explore(resolved.build())).verdict).toBe(expected);
    }
  });
});
