import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  deadlock,
  fourProcessors,
  ipiShootdown,
  longLabels,
  ptdumpUseAfterFree,
  step,
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

/**
 * The slices of all tracks, as a viewer makes them: events in order of time, an end closes what was begun last. Fails
 * on a slice that ends where another one is open, that never ends, or that is empty; and on times that are no whole
 * nanoseconds.
 */
function slicesOf(events: readonly Event[]): readonly Event[] {
  const slices: Event[] = [];
  for (const { ts = 0 } of events) expect(Math.abs(ts * 1000 - Math.round(ts * 1000))).toBeLessThan(1e-6);
  for (const tid of new Set(events.map((event) => event.tid))) {
    const open: Event[] = [];
    const ofTrack = events.filter((event) => event.tid === tid && 'BE'.includes(event.ph));
    for (const event of ofTrack.toSorted((a, b) => a.ts - b.ts)) {
      if (event.ph === 'B') open.push(event);
      else {
        const begun = open.pop();
        expect(begun).toMatchObject({ name: event.name, args: event.args });
        expect(event.ts).toBeGreaterThan(begun?.ts ?? event.ts);
        if (begun) slices.push({ ...begun, dur: Math.round((event.ts - begun.ts) * 1000) / 1000 });
      }
    }
    expect(open).toEqual([]);
  }
  return slices;
}

describe('mermaid', () => {
  test('a participant per processor, a note per step, a coloured box for the violation', async () => {
    await expect(mermaidText(ptdumpUseAfterFree)).toMatchFileSnapshot(golden('ptdump.mmd'));
  });

  test('characters with a meaning of their own are escaped', () => {
    const text = mermaidText(fourProcessors);
    expect(text).toContain('Note over P0,P3: #60;host preempts vCPU2#62;');
    expect(text.replaceAll('<br/>', '')).not.toMatch(/[<>]/);
  });

  test('a message is an arrow in the step that delivers it, and notes begin with when', () => {
    const sent = { from: 'CPU0.cpu', to: 'CPU1.cpu', type: 'ipi', channel: 'CPU1.CALL', fromColumn: 0, toColumn: 1 };
    const at = { startCycles: 3000, durationCycles: 300 };
    const steps = [
      step(0, 'munmap', 'send_IPI(CPU1)', { ...at, messages: [sent] }),
      step(0, 'munmap', 'csd_lock_wait(csd)', { ...at, startCycles: 3300 }),
      step(1, '', '<CPU1.CALL: ipi>', { ...at, startCycles: 3600, kind: 'deliver' }),
    ];
    expect(
      mermaidText(trace(['CPU0 munmap', 'CPU1 reader'], steps), { hertz: 3e9 })
        .split('\n')
        .slice(3),
    ).toEqual([
      '  Note over P0: 1,000 ns<br/>send_IPI(CPU1)',
      '  Note over P0: 1,100 ns<br/>csd_lock_wait(csd)',
      '  P0-)P1: ipi',
      '  Note over P1: 1,200 ns<br/>#60;CPU1.CALL: ipi#62;',
      '',
    ]);
  });

  /** Mermaid's grammar of sequence diagrams, as far as these use it; text has no `;`, `#` or `<` of its own. */
  const TEXT = String.raw`(?:[^;#<>\n]|#\d+;|<br/>)+`;
  const STATEMENT = new RegExp(
    `^(?:participant P\\d+ as ${TEXT}|Note over P\\d+(?:,P\\d+)?: ${TEXT}|P\\d+(?:-\\)|->>)P\\d+: ${TEXT}|rect rgb\\(\\d+, \\d+, \\d+\\)|end)$`,
  );

  test.each(Object.entries({ ipiShootdown, uncountedKey, deadlock, fourProcessors, longLabels }))(
    '%s is a sequence diagram whose boxes fit',
    (_, of) => {
      const [head, ...statements] = mermaidText(of).trimEnd().split('\n');
      expect(head).toBe('sequenceDiagram');
      for (const statement of statements.map((line) => line.trim())) expect(statement).toMatch(STATEMENT);
      const widths = statements
        .flatMap((line) => line.replace(/^.*?(?:: | as )/, '').split('<br/>'))
        .map((line) => line.replaceAll(/#\d+;/g, '?').length);
      expect(Math.max(...widths)).toBeLessThanOrEqual(32);
    },
  );
});

describe('perfetto', () => {
  test("steps lie on their processor's track, in microseconds of the clock", () => {
    const events = eventsOf(perfettoJson(ipiShootdown, { hertz: 3e9 }));
    const send = slicesOf(events).find((event) => event.name === 'arch_send_call_function_ipi_mask()');
    expect(send).toMatchObject({ tid: 1, dur: 0.2, ts: 0.435 });
    expect(events.filter((event) => event.ph === 'M').map((event) => event.args.name)).toContain('CPU1 reader()');
  });

  test('routines enclose their steps, and handlers lie inside what they interrupt', () => {
    const slices = slicesOf(eventsOf(perfettoJson(ipiShootdown, { hertz: 3e9 })));
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
          slicesOf(eventsOf(perfettoJson(trace(['CPU0'], steps))));
        },
      ),
      { numRuns: 30 },
    );
  });

  test('without virtual time a step takes a microsecond; a violation is an instant', () => {
    const events = eventsOf(perfettoJson(uncountedKey));
    expect(slicesOf(events).find((event) => event.args?.step === 3)).toMatchObject({ ts: 3, dur: 1, tid: 3 });
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
    expect(events.filter(({ ph }) => 'XBE'.includes(ph))).toEqual([]);
    expect(events.find(({ ph }) => ph === 'i')).toMatchObject({ ts: 0.005, name: step.text });
  });

  test('a message over a channel is a flow from the step that sends it to the one that delivers it', () => {
    const to = { from: 'CPU0.cpu', to: 'CPU1.cpu', fromColumn: 0, toColumn: 1 };
    const ipi = { ...to, type: 'ipi', channel: 'CPU1.CALL', level: true as const };
    const dvm = { ...to, type: 'tlbi', channel: 'CPU1.dvm' };
    const steps = [
      step(0, 'munmap', 'send_IPI(CPU1)', { messages: [ipi, dvm] }),
      step(0, 'munmap', 'send_IPI(CPU1)', { messages: [ipi, dvm] }),
      step(1, '', '<CPU1.CALL: ipi>', { kind: 'deliver' }),
      step(1, '', '<CPU1.dvm: tlbi>', { kind: 'deliver' }),
    ];
    const flows = eventsOf(perfettoJson(trace(['CPU0 munmap', 'CPU1 reader'], steps))).filter((e) => /[sf]/.test(e.ph));
    // The second interrupt is the same as the first; the second invalidation is on its way.
    expect(flows.map(({ ph, name, tid, ts }) => `${ph} ${name} ${tid} ${ts}`)).toEqual([
      's ipi 1 0',
      'f ipi 2 2',
      's ipi 1 1',
      'f ipi 2 2',
      's tlbi 1 0',
      'f tlbi 2 3',
    ]);
  });

  test('a synchronous message is a flow within its step, whether or not it has a channel', () => {
    const to = { from: 'CPU0.cpu', to: 'vCPU1', type: 'wake', fromColumn: 0, toColumn: 1 };
    const wakes = [
      { ...to, channel: 'vCPU1.port', synchronous: true },
      { ...to, channel: null, synchronous: true },
    ];
    const text = perfettoJson(trace(['CPU0 thread', 'CPU1 idle'], [step(0, 'thread', 'a()', { messages: wakes })]));
    const flows = eventsOf(text).filter((e) => /[sf]/.test(e.ph));
    expect(flows.map(({ ph, tid, ts }) => `${ph} ${tid} ${ts}`)).toEqual(['s 1 0', 'f 2 1', 's 1 0', 'f 2 1']);
  });

  test('a physical CPU has a track that says which virtual one it runs', () => {
    const host = (type: string, toColumn: number) => ({
      from: 'host.CPU0',
      to: `vm${toColumn}.vCPU0`,
      type,
      channel: null,
      fromColumn: -1,
      toColumn,
    });
    const steps = [
      step(0, 'thread', 'a()'),
      step(-1, '', 'host.CPU0 tick', { kind: 'spontaneous', messages: [host('preempt', 0), host('resume', 1)] }),
      step(1, 'thread', 'b()'),
    ];
    const text = perfettoJson(trace(['vm0.CPU0 thread', 'vm1.CPU0 thread'], steps));
    const runs = slicesOf(eventsOf(text)).filter(({ cat }) => cat === 'runs');
    expect(runs).toMatchObject([
      { pid: 1, name: 'vm0.CPU0', ts: 0, dur: 1 },
      { pid: 1, name: 'vm1.CPU0', ts: 2, dur: 1 },
    ]);
    expect(new Set(runs.map(({ tid }) => tid)).size).toBe(1);
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
    expect(ftraceText(ipiShootdown)).toContain('# clock: cycles, one written as a nanosecond\n');
    expect(ftraceText(ipiShootdown)).toContain(' .....     0.000001205: reader: access(0x7f0000)');
    expect(ftraceText(uncountedKey)).toContain('# clock: counter, a step written as a microsecond\n');
    expect(ftraceText(uncountedKey)).toContain(
      '    0.000012000: tracing_mark_write: *** walker reads a freed page-table page',
    );
  });

  /**
   * What importers of ftrace's text ask of a line (Perfetto's systrace importer, catapult's linux_perf parser):
   * `task-pid [cpu] flags seconds.fraction: event: text`.
   */
  const LINE =
    /^ *(?:[^\s[\]]+|<\.\.\.>)-(\d+) +\[(\d{3,})\] ([.a-zA-Z]{3}[.0-9a-f]{1,2}) +(\d+\.\d{9}): ([^\s:]+): \S.*$/;

  test.each(Object.entries({ ipiShootdown, uncountedKey, deadlock, fourProcessors, longLabels }))(
    'every line of %s is one that programs which read ftrace take',
    (_, of) => {
      const [comments, lines] = [/^#/, /^[^#]/].map((kind) =>
        ftraceText(of)
          .split('\n')
          .filter((line) => kind.test(line)),
      ) as [string[], string[]];
      expect(comments[0]).toMatch(/^# tracer: \S+$/);
      expect(comments.at(-1)).toMatch(/TASK-PID +CPU# .*TIMESTAMP +FUNCTION$/);
      expect(lines.length).toBeGreaterThanOrEqual(of.steps.length);
      const stamps = lines.map((line) => {
        expect(line).toMatch(LINE);
        const [, pid, , , time] = LINE.exec(line) ?? [];
        // Pid 0 is the idle task.
        expect(Number(pid)).toBeGreaterThan(0);
        return Number(time);
      });
      expect(stamps).toEqual(stamps.toSorted((a, b) => a - b));
    },
  );
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
