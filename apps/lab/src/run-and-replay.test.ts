/** A run is made again from its schedule: by the executors that there are, and of what a search has found. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startShootdown } from './one-process.test-support.ts';

const lab = new URL('../', import.meta.url).pathname;
const deep = process.env['SHOOTDOWN_DEEP'] === '1';
const shootdown = startShootdown();
let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'shootdown-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('shootdown run and replay', () => {
  it('replays a saved schedule to the same fingerprint, with either executor', async () => {
    const saved = join(folder, 'saved.json');
    const run = JSON.parse((await shootdown('run', 'shootdown', '--save-schedule', saved, '--json')).stdout) as {
      fingerprint: string;
      end: string;
      steps: number;
    };
    expect(run.end).toBe('done');
    for (const executor of ['tabulated', 'live']) {
      const replayed = await shootdown('replay', saved, '--executor', executor);
      expect(replayed.stderr).toContain(`${run.steps} steps, fingerprint ${run.fingerprint}`);
      expect(replayed.status).toBe(0);
    }
  });

  it('runs the topology files that ship, on every executor to the same end', async () => {
    // That executors agree on what machines do is shown beside them, in the topology package.
    const all = ['arm64-munmap', 'arm64-folios', 'two-processes-tso', 'kvm-two-vms'];
    for (const name of deep ? all : all.slice(0, 1)) {
      const executors = ['direct', 'tabulated', 'live'];
      const ends = [];
      for (const executor of executors) {
        const { stdout } = await shootdown(
          'run',
          join(lab, `topologies/${name}.json`),
          '--executor',
          executor,
          '--json',
        );
        const { end, steps, cycles, fingerprint } = JSON.parse(stdout) as Record<string, unknown>;
        ends.push({ end, steps, cycles, fingerprint });
      }
      expect(ends[0]).toMatchObject({ end: 'done' });
      expect(new Set(ends.map((e) => JSON.stringify(e))).size).toBe(1);
    }
  });

  it.each([
    ['a deadlock', 'ptdump-vmalloc', 'trylock-2026-plus-v6', [], 11, /\*\*\* deadlock\n +\*\*\* waits in/],
    [
      'a broken promise at rest',
      'zap-vs-writeback',
      'v3.14/mapped-twice',
      [],
      12,
      /\*\*\* no lost accessed\/dirty bit/,
    ],
    ['a state that must not be', 'ksm-vs-secondary', 'write-protection-in-silence', [], 12, /\*\*\* J4/],
    ['a step with others after it', 'ptdump-vmalloc', 'unlocked', [',0'], 12, /\*\*\* /],
  ] as const)(
    'replays what explore has found to the same verdict: %s',
    async (_what, scenario, variant, [more = ''], status, line) => {
      const found = JSON.parse((await shootdown('explore', scenario, '--variant', variant, '--json')).stdout) as {
        schedule: string;
      };
      const replayed = await shootdown('replay', scenario, '--variant', variant, '--schedule', found.schedule + more);
      expect(replayed.stdout).toMatch(line);
      expect(replayed.status).toBe(status);
      if (more !== '') expect(replayed.stderr).toMatch(/violated at step \d+ of \d+: no access to a freed/);
    },
  );

  it('runs a host of virtual machines, and prints the same as text and as a document', async () => {
    const document = JSON.parse(
      (await shootdown('run', 'kvm-host', '--json', ...(deep ? [] : ['--max-steps', '25000']))).stdout,
    ) as {
      end: string;
      host: {
        exits: Record<string, number[]>;
        ipis: Record<string, number[]>;
        secondStage: { faults: number };
        stealMicroseconds: number[];
        flushLatency: { unit: string; histogram: { count: number } };
      };
    };
    const total = (row: number[] | undefined): number => (row ?? []).reduce((a, b) => a + b, 0);
    expect(document.end).toBe(deep ? 'time' : 'steps');
    expect(total(document.host.ipis['elided'])).toBeGreaterThan(0);
    expect(document.host.stealMicroseconds).toHaveLength(8);
    expect(document.host.flushLatency.histogram.count).toBeGreaterThan(deep ? 100 : 50);
    const twin = await shootdown('run', 'kvm-host-ipi', '--max-steps', '12000');
    expect(twin.status).toBe(2);
    for (const part of [
      'exits by reason',
      'msr_write',
      'elided',
      'steal time',
      'second stage:',
      'flush_tlb_mm_range()',
    ])
      expect(twin.stdout).toContain(part);
    expect((await shootdown('run', 'kvm-host', '--format', 'text', '--max-steps', '300')).stdout).toContain('vm0.CPU0');
  });

  it('sends no IPI on arm64', async () => {
    const run = JSON.parse((await shootdown('run', 'shootdown-arm64', '--json')).stdout) as {
      total: Record<string, number[]>;
    };
    expect(run.total['irq_tlb_count']).toBeUndefined();
    expect(run.total['tlbi_va']?.[0]).toBe(4);
  });
});

describe("a scenario of the user's own", () => {
  const withCode = startShootdown({ loadsCode: true });
  it('is explored, with workers too, and what comes out is replayed', async () => {
    const path = join(lab, 'dist/examples/my-patch.js');
    const saved = join(folder, 'mine.json');
    const words = ['--variant', 'check-clear-free', '--workers', '2', '--save-schedule', saved];
    const { stdout, status } = await withCode('explore', path, ...words);
    expect(status).toBe(12);
    expect(stdout).toContain('--schedule 1x4,0x3,1x4,0');
    for (const replayed of [
      ['replay', saved],
      ['replay', path, '--variant', 'check-clear-free', '--schedule', '1x4,0x3,1x4,0'],
    ])
      expect((await withCode(...replayed)).status).toBe(12);
  });
});

describe('a file of any kind that explore takes', () => {
  const withCode = startShootdown({ loadsCode: true });
  const c = 'int x;\nvoid P0(void)\n{\n\tWRITE_ONCE(x, 1);\n}\nvoid P1(void)\n{\n\tassert(READ_ONCE(x) == 0);\n}\n';
  const body = `{ name: 'mine', title: 'mine',
    variants: [{ name: 'program', expected: 'violation', source: 'mine', summary: 'mine' }],
    build({ memoryModel }) {
      const builder = new SystemBuilder({ memoryModel });
      const x = builder.region('x', 1).at(0);
      const write = routine('write', function* () { yield* store(x, 1); });
      const read = routine('read', function* () { yield* assertThat((yield* load(x)) === 0, 'zero'); });
      builder.processor({ name: 'CPU0', tasks: [program(write)] });
      builder.processor({ name: 'CPU1', tasks: [program(read)] });
      return builder.build();
    },
  }`;
  const names = '{ assertThat, load, program, routine, store, SystemBuilder }';
  it.each([
    ['c', c],
    ['ts', `import ${names} from '@shootdown/machine';\nexport const mine = ${body};`],
    ['cjs', `const ${names} = require('@shootdown/machine');\nexports.mine = ${body};`],
  ])('is replayed by the command that explore prints: .%s', async (kind, text) => {
    const path = join(folder, `printed.${kind}`);
    writeFileSync(path, text);
    const words = [path, '--variant', 'program'];
    const { schedule } = JSON.parse((await withCode('explore', ...words, '--json')).stdout) as { schedule: string };
    expect((await withCode('replay', ...words, '--schedule', schedule)).status).toBe(12);
  });
});

describe('run --messages', () => {
  it('says who sent what to whom, of a machine that comes with the command', async () => {
    const { messages } = JSON.parse((await shootdown('run', 'arm64-munmap', '--messages', '--json')).stdout) as {
      messages: { from: string; to: string; type: string; count: number }[];
    };
    expect(messages).toContainEqual({ from: 'CPU0.mmu', to: 'CPU1.mmu', type: 'tlbi', count: 320 });
    expect(messages).toContainEqual({ from: 'CPU1.mmu', to: 'CPU0.mmu', type: 'complete', count: 320 });
    const { status, stdout } = await shootdown('run', 'arm64-munmap', '--messages');
    expect([status, stdout]).toEqual([0, expect.stringMatching(/^CPU0\.mmu +CPU1\.mmu +tlbi +320$/m)]);
  });
});
