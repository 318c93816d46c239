import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Trace, TraceStep } from '@shootdown/machine';
import {
  deadlock,
  fact,
  fourProcessors,
  ipiShootdown,
  longLabels,
  message,
  ptdumpUseAfterFree,
  step,
  trace,
  uncountedKey,
} from '../test-data/traces.ts';
import { columnsText, WIDTH_MIN, type ColumnsOptions } from './index.ts';

const golden = (name: string): string => `../test-data/${name}.txt`;

describe('two columns', () => {
  test('look as in a kernel changelog', () => {
    const text = columnsText(ptdumpUseAfterFree, {
      fold: { stepsMin: 2 },
      replayCommand: 'shootdown replay ptdump-vmalloc --variant unlocked',
    });
    expect(text).toBe(
      [
        'CPU0 ptdump_walk_pgd()                 CPU1 pud_free_pmd_page()',
        '----------------------                 ------------------------',
        'static_key_slow_inc(key)',
        'mmap_write_lock(init_mm)',
        'pudp_get()            [ table 0x42 ]',
        '                                       pud_clear(pudp)',
        '                                       ...',
        '                                       pmd_free()             [ 0x42 freed ]',
        'pmdp_get(0x42)',
        '  *** walker reads a freed page-table page',
        '',
        'shootdown replay ptdump-vmalloc --variant unlocked',
        '',
      ].join('\n'),
    );
  });

  test('show every step unless told to fold', () => {
    const text = columnsText(ptdumpUseAfterFree);
    expect(text).not.toContain('...');
    expect(text).toContain('flush_tlb_kernel_pgtable(pudp)');
  });

  test('show the interrupt handler of a TLB shootdown inside what it interrupts', async () => {
    await expect(columnsText(ipiShootdown)).toMatchFileSnapshot(golden('ipi-shootdown'));
  });

  test('show virtual time in cycles and in nanoseconds', async () => {
    await expect(columnsText(ipiShootdown, { time: { unit: 'cycles' } })).toMatchFileSnapshot(
      golden('ipi-shootdown-cycles'),
    );
    const nanoseconds = columnsText(ipiShootdown, { time: { unit: 'ns', hertz: 3e9 } });
    expect(nanoseconds.split('\n')[2]).toMatch(/^402 {2} +access/);
  });

  test('leave the time column out when the trace has no times', () => {
    expect(columnsText(uncountedKey, { time: { unit: 'cycles' } })).toBe(columnsText(uncountedKey));
  });

  test('say what each processor waits for in a deadlock', async () => {
    await expect(columnsText(deadlock)).toMatchFileSnapshot(golden('deadlock'));
  });

  test('wrap long labels, facts, headings and properties', async () => {
    await expect(columnsText(longLabels)).toMatchFileSnapshot(golden('long-labels'));
  });
});

describe('more columns', () => {
  test('three: the uncounted static key', async () => {
    await expect(columnsText(uncountedKey)).toMatchFileSnapshot(golden('uncounted-key'));
  });

  test('four, where the paper is wide enough', async () => {
    await expect(columnsText(fourProcessors, { width: 120 })).toMatchFileSnapshot(golden('four-processors-120'));
  });

  test('too many for the width: every line begins with its processor', async () => {
    await expect(columnsText(fourProcessors)).toMatchFileSnapshot(golden('four-processors'));
  });

  test('a processor that does nothing has none', () => {
    expect(columnsText(fourProcessors)).not.toContain('CPU4');
  });
});

describe('identifiers', () => {
  const long = 'tlb_remove_table_sync_one';
  const three = (...texts: readonly string[]): string =>
    columnsText(
      trace(
        ['CPU0 a', 'CPU1 b', 'CPU2 c'],
        texts.map((text, i) => step(i, ['a', 'b', 'c'][i] as string, text)),
      ),
    );

  test('run beyond their column rather than being cut', () => {
    expect(three(`${long}_before(x)`, `${long}_between()`, `${long}()`)).toBe(
      [
        'CPU0 a()                CPU1 b()                 CPU2 c()',
        '--------                --------                 --------',
        `${long}_before(x)`,
        `                        ${long}_between()`,
        `                                                 ${long}()`,
        '',
      ].join('\n'),
    );
  });

  test('that the last column has no room for stand behind the name of their processor', () => {
    expect(three('a()', 'b()', `${long}_once_more()`).split('\n').slice(-2)[0]).toBe(`CPU2: ${long}_once_more()`);
  });

  test('a heading that runs beyond its column stands above the next', () => {
    const text = columnsText(
      trace(
        [`CPU0 ${long}`, 'CPU1 b', 'CPU2 c'],
        [step(0, long, 'load(x)'), step(1, 'b', 'f(x)'), step(2, 'c', 'f(x)')],
        {
          kind: 'end',
          text: 'done',
        },
      ),
      { width: 70 },
    );
    expect(text.split('\n')).toEqual([
      'CPU0',
      '  tlb_remove_table_sync_one()',
      '                            CPU1 b()',
      '                                                  CPU2 c()',
      '--------------------------  --------              --------',
      'load(x)',
      '                            f(x)',
      '                                                  f(x)',
      'done',
      '',
    ]);
  });
});

describe('functions', () => {
  const body = (...steps: readonly TraceStep[]): string =>
    columnsText(trace(['CPU0 munmap'], steps))
      .split('\n')
      .slice(2)
      .join('\n');

  test('a label that names its function needs no heading', () => {
    expect(body(step(0, 'munmap pud_clear', 'pud_clear(pudp)'))).toBe('pud_clear(pudp)\n');
  });

  test('callers without a step of their own are passed over; coming back needs no heading', () => {
    const text = body(
      step(0, 'munmap unmap_region flush_tlb_range', 'inc_tlb_gen(mm)'),
      step(0, 'munmap unmap_region flush_tlb_range multi', 'send_ipi()'),
      step(0, 'munmap unmap_region flush_tlb_range', 'put_cpu()'),
      step(0, 'munmap', 'free(page)'),
    );
    expect(text).toBe('flush_tlb_range()\n  inc_tlb_gen(mm)\n  multi()\n    send_ipi()\n  put_cpu()\nfree(page)\n');
  });

  test('a second call gets a second heading', () => {
    const zap = step(0, 'munmap zap', 'clear(pte)');
    expect(body(zap, zap, step(0, 'munmap', 'cond_resched()'), zap)).toBe(
      'zap()\n  clear(pte)\n  clear(pte)\ncond_resched()\nzap()\n  clear(pte)\n',
    );
  });

  test('too deep for indentation: a return says so', () => {
    const deep = ['a', 'b', 'c'].map((_, i, names) =>
      step(0, `munmap ${names.slice(0, i + 1).join(' ')}`, `step_${i}()`),
    );
    const text = columnsText(trace(['CPU0 munmap'], [...deep, deep[1] as TraceStep]), { width: WIDTH_MIN });
    expect(text.split('\n').slice(2, -1)).toEqual([
      'a()',
      '  step_0()',
      '  b()',
      '    step_1()',
      '  c()',
      '    step_2()',
      '  b() (cont.)',
      '    step_1()',
    ]);
  });

  test('two tasks on one processor: each says its name', () => {
    const text = columnsText(
      trace(['CPU0 reader, writer'], [step(0, 'reader', 'load(x)'), step(0, 'writer', 'store(x)')]),
    );
    expect(text).toBe('CPU0 reader(), writer()\n-----------------------\nreader()\n  load(x)\nwriter()\n  store(x)\n');
  });
});

describe('folding', () => {
  test('keeps where the interleaving turns, and steps that say something', () => {
    const quiet = (column: number, n: number): TraceStep => step(column, '', `quiet_${n}()`);
    const steps = [
      quiet(0, 1),
      quiet(0, 2),
      quiet(0, 3),
      quiet(0, 4),
      quiet(1, 5),
      quiet(1, 6),
      fact(1, '', 'loud()', 'x'),
      quiet(1, 7),
      quiet(0, 8),
    ];
    const text = columnsText(trace(['CPU0', 'CPU1'], steps), { fold: { stepsMin: 2 } });
    expect(text.match(/quiet_\d|loud|\.\.\./g)).toEqual([
      'quiet_1',
      '...',
      'quiet_4',
      'quiet_5',
      'quiet_6',
      'loud',
      'quiet_7',
      'quiet_8',
    ]);
  });

  test("takes the caller's idea of what is silent", () => {
    const text = columnsText(ptdumpUseAfterFree, { fold: { stepsMin: 1, silent: (s) => s.text.startsWith('mmap_') } });
    expect(text).not.toContain('mmap_write_lock');
    expect(text).toContain('flush_tlb_kernel_pgtable');
  });
});

describe('ends', () => {
  test('a trace without steps', () => {
    expect(columnsText(trace(['CPU0 main'], []))).toBe('(no step)\n');
    expect(columnsText(trace(['CPU0 main'], [], { kind: 'finally', text: 'every page was freed' }))).toBe(
      '(no step)\n*** every page was freed\n',
    );
  });

  test('a property that fails at rest is said once, below', () => {
    const text = columnsText(
      trace(['CPU0 main'], [step(0, 'main', 'exit()')], { kind: 'finally', text: 'every page was freed' }),
    );
    expect(text.trimEnd().split('\n').at(-1)).toBe('*** every page was freed');
    expect(columnsText(uncountedKey).match(/\*\*\*/g)).toHaveLength(1);
  });

  test('a long replay command stays a shell command', () => {
    const command = `shootdown replay ptdump-vmalloc --note 'two words' --schedule ${'0,1,'.repeat(15)}0 --variant unlocked`;
    const text = columnsText(ptdumpUseAfterFree, { replayCommand: command });
    const tail = text.slice(text.indexOf('shootdown replay')).trimEnd();
    expect(tail.replaceAll(/ \\\n {2}/g, ' ')).toBe(command);
    expect(tail).toContain("'two words'");
  });

  test('a width that nothing fits into is refused', () => {
    expect(() => columnsText(uncountedKey, { width: 12 })).toThrow(
      'report: columns: too narrow (width 12); use 32 or more',
    );
  });
});

const identifier = fc.stringMatching(/^[a-z_]{1,50}$/);
const label = fc.oneof(
  fc.tuple(identifier, fc.array(identifier, { maxLength: 5 })).map(([name, args]) => `${name}(${args.join(', ')})`),
  fc.stringMatching(/^[ -~]{1,90}$/).filter((text) => text.trim() !== ''),
);
const anyStep: fc.Arbitrary<TraceStep> = fc.record({
  entry: fc.nat(),
  kind: fc.constantFrom('advance' as const, 'deliver' as const, 'drain' as const, 'spontaneous' as const),
  column: fc.integer({ min: -1, max: 4 }),
  stack: fc.array(fc.constantFrom('munmap', 'flush_tlb_mm_range', 'native_flush_tlb_multi', 'f'), { maxLength: 5 }),
  text: label,
  facts: fc.array(label, { maxLength: 2 }),
  inInterrupt: fc.boolean(),
  violation: fc.option(fc.record({ property: label, detail: fc.oneof(fc.constant(''), label) })),
  startCycles: fc.option(fc.nat(1e12)),
  durationCycles: fc.option(fc.nat(1e6)),
});
const anyTrace: fc.Arbitrary<Trace> = fc.record({
  columns: fc.array(
    fc.record({
      name: fc.stringMatching(/^[A-Z0-9]{1,40}$/),
      routine: fc.oneof(fc.constantFrom('', 'munmap', 'munmap, f'), identifier),
    }),
    { minLength: 5, maxLength: 5 },
  ),
  steps: fc.array(anyStep, { maxLength: 12 }),
  end: fc.option(
    fc.record({
      kind: fc.constantFrom('violation' as const, 'deadlock' as const, 'finally' as const, 'end' as const),
      text: label,
    }),
  ),
  fingerprint: fc.constant('0'),
});
const anyOptions: fc.Arbitrary<ColumnsOptions> = fc.record(
  {
    width: fc.integer({ min: WIDTH_MIN, max: 160 }),
    time: fc.constantFrom({ unit: 'cycles' as const }, { unit: 'ns' as const, hertz: 3e9 }),
    replayCommand: fc.constant('shootdown replay x --seed 1'),
  },
  { requiredKeys: ['width'] },
);

test('facts of a deep function are no wider than a narrow page', () => {
  const deep = step(0, 'munmap zap', 'a()', { facts: ['! ! ! ! !'], inInterrupt: true, startCycles: 100_000_000_000 });
  const text = columnsText(
    trace(['CPU0 munmap', 'a-long-name-of-one b', 'c d'], [step(1, 'b', '!'), deep, step(2, 'd', '!')]),
    {
      width: 41,
      time: { unit: 'cycles' },
    },
  );
  for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(41);
});

describe('any trace', () => {
  test('no line is wider than the width, or ends in a space', () => {
    fc.assert(
      fc.property(anyTrace, anyOptions, (any, options) => {
        for (const line of columnsText(any, options).split('\n')) {
          expect(line.length).toBeLessThanOrEqual(options.width as number);
          expect(line).toBe(line.trimEnd());
        }
      }),
      { numRuns: 1000 },
    );
  });

  test('everything a step says can be read, in order', () => {
    fc.assert(
      fc.property(anyTrace, fc.integer({ min: WIDTH_MIN, max: 160 }), (any, width) => {
        // With one processor the column holds nothing else, so the text is the labels with white space in between.
        const steps = any.steps.map((s) => ({ ...s, column: 0 }));
        const squeezed = columnsText({ ...any, steps }, { width }).replaceAll(/\s/g, '');
        let from = 0;
        for (const s of steps) {
          for (const part of [s.text, ...s.facts, s.violation?.property ?? '', s.violation?.detail ?? '']) {
            const wanted = part.replaceAll(/\s/g, '');
            const at = squeezed.indexOf(wanted, from);
            expect(at).toBeGreaterThanOrEqual(0);
            from = at + wanted.length;
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  test('no identifier that has room in a line is cut', () => {
    const short = fc.stringMatching(/^[a-z_]{1,44}$/);
    const call = fc
      .tuple(short, short, fc.nat(3))
      .map(([a, b, form]) => [`${a}(${b})`, `<${a}.${b}: ipi>`, `${a}->${b} = ${a}`, `${a}[0]: ${b}++`][form] ?? '');
    const steps = fc.array(
      anyStep.chain((any) =>
        fc.tuple(call, fc.array(short, { maxLength: 2 })).map(([text, facts]) => ({ ...any, text, facts })),
      ),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(steps, fc.integer({ min: 76, max: 200 }), (list, width) => {
        const some = trace(['CPU0 a', 'CPU1 b', 'CPU2 c', 'CPU3 d', 'CPU4 e'], list);
        const words = new Set(columnsText(some, { width }).match(/\w+/g));
        for (const { text, facts } of list)
          for (const word of [text, ...facts].join(' ').match(/\w+/g) ?? []) expect(words).toContain(word);
      }),
      { numRuns: 100 },
    );
  });

  test('the last line replays it', () => {
    fc.assert(
      fc.property(anyTrace, (any) => {
        expect(columnsText(any, { replayCommand: 'shootdown replay x' })).toMatch(/\n\nshootdown replay x\n$/);
      }),
    );
  });
});

test('white space and control characters in labels cannot break the picture', () => {
  const text = columnsText(trace(['CPU0'], [message(0, '<a\n\tb\u001b[31m>')]));
  expect(text.split('\n')[2]).toBe('<a b?[31m>');
});
