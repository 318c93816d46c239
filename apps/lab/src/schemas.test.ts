/** Schemas and statecharts that ship are those of the code; documents keep to them. */
import { readFileSync, writeFileSync } from 'node:fs';
import { statechart } from '@shootdown/machine';
import { parseTopology } from '@shootdown/topology';
import { describe, expect, it } from 'vitest';
import { actors } from './commands/machines.ts';
import { startShootdown } from './one-process.test-support.ts';
import { parseSavedSchedule } from './saved-schedule.ts';
import { schemas, type SchemaName } from './schemas.ts';

const root = new URL('../../../', import.meta.url);
const writes = process.env['SHOOTDOWN_WRITE'] === '1';
const run = startShootdown();

describe('schemas', () => {
  it.each(Object.keys(schemas) as SchemaName[])('%s: the command prints what ships', async (name) => {
    const file = new URL(`../dist/schemas/${name}.schema.json`, import.meta.url);
    expect((await run('schema', name)).stdout).toBe(readFileSync(file, 'utf8'));
  });

  it('traces, results, lists and topologies keep to theirs', async () => {
    const explored = await run('explore', 'ptdump-vmalloc', '--variant', 'unlocked', '--json');
    const document: unknown = JSON.parse(explored.stdout);
    expect(schemas.result.parse(document)).toMatchObject({ verdict: 'violation', trace: { version: 1 } });
    const { trace, ...found } = schemas.result.parse(document);
    expect(found.statesByDepth?.reduce((sum, states) => sum + states, 0)).toBe(found.states);
    expect(trace?.states?.steps).toHaveLength(trace?.steps.length ?? 0);
    expect(trace?.states?.views.frames.length).toBeGreaterThan(0);
    const ran: unknown = JSON.parse((await run('run', 'lazy-tlb', '--max-steps', '400', '--json')).stdout);
    expect(schemas.run.parse(ran).processors).toContain('CPU0');
    const list: unknown = JSON.parse((await run('list', '--json')).stdout);
    expect(schemas.list.parse(list).length).toBeGreaterThan(10);
    const topology: object = JSON.parse(
      readFileSync(new URL('../topologies/lazy-tlb.json', import.meta.url), 'utf8'),
    ) as object;
    expect(() => parseTopology({ $schema: 'topology.schema.json', ...topology })).not.toThrow();
    expect(() => parseSavedSchedule('{"$schema":"x","shootdown":1,"schedule":"0"}', 'x')).not.toThrow();
  });
});

it('run --inspect prints an inspection event of XState per line', async () => {
  const { status, stdout } = await run('run', 'lazy-tlb', '--inspect', '--max-steps', '40');
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { type: string });
  expect(new Set(lines.map(({ type }) => type))).toEqual(
    new Set(['@xstate.action', '@xstate.actor', '@xstate.event', '@xstate.microstep', '@xstate.snapshot']),
  );
  expect(lines.find(({ type }) => type === '@xstate.snapshot')).toMatchObject({ snapshot: { status: 'active' } });
  expect([0, 2]).toContain(status);
});

describe('statecharts', () => {
  it.each(Object.entries(actors))('%s: the README of its package draws it as it is', (name, { home, machine }) => {
    const file = new URL(`packages/${home}/README.md`, root);
    const readme = readFileSync(file, 'utf8');
    const drawn = `<!-- shootdown machines ${name} -->\n\`\`\`mermaid\n${statechart(machine)}\`\`\`\n`;
    if (writes && !readme.includes(drawn)) {
      const known = new RegExp(`<!-- shootdown machines ${name} -->\\n\`\`\`mermaid\\n[^]*?\`\`\`\\n`);
      const heading = readme.includes('\n## Statecharts\n') ? '' : '\n## Statecharts\n';
      writeFileSync(file, known.test(readme) ? readme.replace(known, drawn) : `${readme}${heading}\n${drawn}`);
    }
    expect(readFileSync(file, 'utf8')).toContain(drawn);
  });

  it('the command prints them, and suggests', async () => {
    expect((await run('machines', 'vcpu')).stdout).toMatch(/^stateDiagram-v2\n {2}\[\*\] --> created\n/);
    expect(await run('machines', 'vcp')).toMatchObject({ status: 10, stdout: '' });
    expect((await run('machines', 'vcp')).stderr).toMatch(/did you mean vcpu\?/);
  });
});
