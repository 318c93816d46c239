import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  deadlock,
  fourProcessors,
  ipiShootdown,
  ptdumpUseAfterFree,
  trace,
  uncountedKey,
} from '../test-data/traces.ts';
import {
  ftraceText,
  isTraceFormat,
  mermaidText,
  perfettoJson,
  renderTrace,
  traceDocument,
  traceFormats,
  traceJson,
} from './index.ts';

const golden = (name: string): string => `../test-data/${name}`;

interface Event {
  readonly ph: string;
  readonly tid: number;
  readonly name: string;
  readonly cat?: string;
  readonly ts: number;
  readonly dur: number;
  readonly args: { readonly name?: string; readonly step?: number };
}
const eventsOf = (text: string): readonly Event[] => (JSON.parse(text) as { traceEvents: Event[] }).traceEvents;

describe('mermaid', () => {
  test('a participant per processor, a note per step, a coloured box for the violation', async () => {
    await expect(mermaidText(ptdumpUseAfterFree)).toMatchFileSnapshot(golden('ptdump.mmd'));
  });

  test('characters with a meaning of their own are escaped', () => {
    const text = mermaidText(fourProcessors);
    expect(text).toContain('Note over P0,P3: #60;host preempts vCPU2#62;');
    expect(text).not.toMatch(/[<>]/);
  });
});

describe('perfetto', () => {
  test("steps lie on their processor's track, in microseconds of the clock", () => {
    const events = eventsOf(perfettoJson(ipiShootdown, { hertz: 3e9 }));
    const send = events.find((event) => event.name === 'arch_send_call_function_ipi_mask()');
    expect(send).toMatchObject({ ph: 'X', tid: 1, dur: 0.2, ts: 0.435 });
    expect(events.filter((event) => event.ph === 'M').map((event) => event.args.name)).toContain('CPU1 reader()');
  });

  test('routines enclose their steps, and handlers lie inside what they interrupt', () => {
    const slices = eventsOf(perfettoJson(ipiShootdown, { hertz: 3e9 })).filter((event) => event.ph === 'X');
    const named = (name: string): Event => slices.find((event) => event.name === name) as Event;
    const inside = (inner: Event, outer: Event): boolean =>
      inner.tid === outer.tid && inner.ts >= outer.ts && inner.ts + inner.dur <= outer.ts + outer.dur + 1e-9;
    expect(inside(named('invlpg(0x7f0000)'), named('flush_tlb_func()'))).toBe(true);
    expect(inside(named('flush_tlb_func()'), named('sysvec_call_function()'))).toBe(true);
    expect(inside(named('sysvec_call_function()'), named('reader()'))).toBe(true);
    expect(named('sysvec_call_function()').cat).toBe('interrupt');
  });

  test('slices of a track nest: none begins in one and ends outside it', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.array(fc.constantFrom('a', 'b'), { maxLength: 3 }), fc.boolean()), { maxLength: 30 }),
        (list) => {
          const steps = list.map(([stack, inInterrupt], i) => ({
            ...uncountedKey.steps[0]!,
            column: 0,
            stack,
            inInterrupt,
            entry: i,
          }));
          const ends: number[] = [];
          for (const { ts, dur } of eventsOf(perfettoJson(trace(['CPU0'], steps))).filter(
            (event) => event.ph === 'X',
          )) {
            while (ends.length > 0 && (ends.at(-1) as number) <= ts) ends.pop();
            expect(ts + dur).toBeLessThanOrEqual(ends.at(-1) ?? Number.POSITIVE_INFINITY);
            ends.push(ts + dur);
          }
        },
      ),
    );
  });

  test('without virtual time a step takes a microsecond; a violation is an instant', () => {
    const events = eventsOf(perfettoJson(uncountedKey));
    expect(events.find((event) => event.args?.step === 3)).toMatchObject({ ts: 3, dur: 1, tid: 3 });
    expect(events.filter((event) => event.cat === 'violation')).toMatchObject([
      { ph: 'i', tid: 3, ts: 12, name: 'walker reads a freed page-table page' },
    ]);
  });

  test('a process per virtual machine, and the verdict with its replay in the metadata', () => {
    const guests = trace(['vm0.CPU0', 'vm1.CPU0'], [{ ...uncountedKey.steps[0]!, column: 1 }]);
    const text = perfettoJson({ ...guests, end: { kind: 'violation', text: 'lost' } }, { replayCommand: 'replay x' });
    const named = (what: string) => eventsOf(text).filter(({ name }) => name === what);
    expect(named('process_name')).toMatchObject([
      { pid: 1, args: { name: 'host' } },
      { pid: 2, args: { name: 'vm0' } },
      { pid: 3, args: { name: 'vm1' } },
    ]);
    expect(named('thread_name')).toMatchObject([{ pid: 2 }, { pid: 3 }]);
    expect(JSON.parse(text)).toMatchObject({ otherData: { end: 'violation', verdict: 'lost', replay: 'replay x' } });
  });

  test('what takes no time is an instant, and no slice is empty', () => {
    const step = { ...uncountedKey.steps[0]!, startCycles: 5, durationCycles: 0 };
    const events = eventsOf(perfettoJson(trace(['CPU0'], [step]), { hertz: 1e9 }));
    expect(events.filter(({ ph }) => ph === 'X')).toEqual([]);
    expect(events.find(({ ph }) => ph === 'i')).toMatchObject({ ts: 0.005, name: step.text });
  });

  test('steps of no processor have a track of their own', () => {
    const events = eventsOf(perfettoJson(fourProcessors));
    expect(events.find((event) => event.name === '<host preempts vCPU2>')?.tid).toBe(6);
  });
});

describe('ftrace', () => {
  test('reads like /sys/kernel/tracing/trace', async () => {
    await expect(ftraceText(ipiShootdown, { hertz: 3e9 })).toMatchFileSnapshot(golden('ipi-shootdown.ftrace'));
  });

  test('time stamps are cycles without a clock rate, step numbers without virtual time', () => {
    expect(ftraceText(ipiShootdown)).toContain('# clock: cycles\n');
    expect(ftraceText(ipiShootdown)).toContain(' .....         1205: reader: access(0x7f0000)');
    expect(ftraceText(uncountedKey)).toContain('# clock: counter\n');
    expect(ftraceText(uncountedKey)).toContain(
      '           12: tracing_mark_write: *** walker reads a freed page-table page',
    );
  });
});

describe('json', () => {
  test('gives back the trace, with its keys in one order whatever the order they came in', () => {
    const shuffled = {
      fingerprint: deadlock.fingerprint,
      end: deadlock.end,
      steps: deadlock.steps.map((s) => Object.fromEntries(Object.entries(s).reverse()) as never),
      columns: deadlock.columns,
    };
    expect(traceJson(shuffled)).toBe(traceJson(deadlock));
    expect(JSON.parse(traceJson(deadlock, 'shootdown replay x'))).toEqual({
      ...deadlock,
      format: 'shootdown-trace',
      version: 1,
      replayCommand: 'shootdown replay x',
    });
    expect(traceDocument(deadlock)).toMatchObject(deadlock);
  });

  test('has a line per step', () => {
    const lines = traceJson(uncountedKey).split('\n');
    expect(lines.filter((line) => line.startsWith('    {"entry":'))).toHaveLength(uncountedKey.steps.length);
    expect(JSON.parse(traceJson(trace([], [])))).toMatchObject({ steps: [] });
  });
});

test('every format has a name, and every text ends with a newline', () => {
  expect(traceFormats).toEqual(['text', 'mermaid', 'perfetto', 'ftrace', 'json']);
  for (const format of traceFormats) expect(renderTrace(format, ipiShootdown, { hertz: 3e9 })).toMatch(/[^\n]\n$/);
  expect(isTraceFormat('perfetto')).toBe(true);
  expect(isTraceFormat('toString')).toBe(false);
});
