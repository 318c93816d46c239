/** Counterexamples as they go into a mail: golden files. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { counterexample, explore, resolveScenario, type Scenario } from '@shootdown/explorer';
import { recordTrace, parseSchedule, TabulatedExecutor, type Trace } from '@shootdown/machine';
import { renderTrace } from '@shootdown/report';
import { expect, it } from 'vitest';
import { _PAGE_RW, Fault, formatEntry, pte_dirty, pte_pfn, smallMachine, type System } from './index.ts';

const [PAGE, NEW] = [0, 1];
const folder = new URL('golden/', import.meta.url);

function expectGolden(name: string, trace: Trace): void {
  const text = renderTrace('text', trace);
  const file = new URL(`${name}.txt`, folder);
  if (process.env['SHOOTDOWN_WRITE'] === '1') {
    if (!existsSync(folder)) mkdirSync(folder);
    writeFileSync(file, text);
  }
  expect(text).toBe(readFileSync(file, 'utf8'));
}

async function shortest(build: Scenario['build']): Promise<Trace> {
  const variants = [{ name: 'only', expected: 'violation', source: 'test', summary: 'test' }] as const;
  const resolved = resolveScenario([{ name: 'golden', title: 'test', variants, build }], { scenario: 'golden' });
  const result = await explore(resolved.build());
  expect(result.verdict).toBe('violation');
  return counterexample(resolved, result);
}

/** mremap() of v4.18 with the flush of x86: a search of two million states, so the schedule is what it found. */
const FOUND = '0x5,1x35,5,2x15,0x32,3,0x9,1x9,2';

function mremap(): System {
  return smallMachine({ memoryModel: 'sc', cpus: 3, pages: 2, mapped: 1 }).start({
    *move_ptes(m, cpu) {
      yield* m.pte_lock(PAGE);
      yield* m.set_pte_at(NEW, yield* m.ptep_get_and_clear(PAGE));
      yield* m.pte_unlock(PAGE);
      yield* m.flush_tlb_page(cpu, PAGE);
    },
    truncate: (m, cpu) => m.zap_page_range_single(cpu, NEW),
    'user code': (m, cpu) => m.write(cpu, PAGE),
  });
}

it('three CPUs with an IPI flush: a line per round', () => {
  const trace = recordTrace(new TabulatedExecutor(mremap()), parseSchedule(FOUND));
  expect(trace.steps.at(-1)?.violation?.property).toBe('no access to a freed frame or table');
  expectGolden('three-cpus-ipi-flush', trace);
  const expanded = renderTrace('text', trace, { expand: true });
  expect(expanded).toContain('csd_lock(CPU0)');
  expect(expanded).toContain('/* the flush begins */');
});

it('a lost dirty bit: when hardware sets it, and the values in the end', async () => {
  const trace = await shortest(({ memoryModel }) => {
    const m = smallMachine({ memoryModel, flush: 'atomic', dirtyBits: true });
    const written = m.ghost('written');
    const pte = m.pte(PAGE).address;
    m.property({
      name: 'no lost dirty bit',
      kind: 'finally',
      why: 'who writes pages back looks at the dirty bit only',
      check: (read) => read(written) === 0 || pte_dirty(read(pte)),
      detail: (read) => `page 0 was written, pte is ${formatEntry(read(pte))}, not dirty`,
    });
    return m.start({
      *wrprotect(_, cpu) {
        const old = yield* m.ptep_get(PAGE);
        yield* m.set_pte_at(PAGE, old & ~_PAGE_RW);
        yield* m.flush_tlb_page(cpu, PAGE);
      },
      *'user code'(_, cpu) {
        if ((yield* m.write(cpu, PAGE)) === Fault.none) yield* m.mark(written);
      },
    });
  });
  expectGolden('lost-dirty-bit', trace);
});

it('a stale entry refilled after invlpg: the fill is shown where it must have been', async () => {
  const trace = await shortest(({ memoryModel }) =>
    smallMachine({ memoryModel, flush: 'ipi' }).start({
      *unmap(m, cpu) {
        yield* m.flush_tlb_page(cpu, PAGE);
        yield* m.folio_put(pte_pfn(yield* m.ptep_get_and_clear(PAGE)));
      },
      'user code': (m, cpu) => m.read(cpu, PAGE),
    }),
  );
  expectGolden('refilled-after-invlpg', trace);
});
