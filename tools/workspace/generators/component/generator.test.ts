import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Tree } from '@nx/devkit';
import { explore, resolveScenario, type Scenario } from '@shootdown/explorer';
import { createTreeWithEmptyWorkspace } from '@nx/devkit/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import { check, type Package } from '../../../boundaries.mjs';
import component from './generator.js';

const FOLDER = 'packages/nested-tlb';
const FILES = [
  'README.md',
  'package.json',
  'src/index.ts',
  'src/nested-tlb.machine.ts',
  'src/nested-tlb.test.ts',
  'src/nested-tlb.ts',
  'src/worker.ts',
  'tsconfig.json',
];

let tree: Tree;
const text = (path: string) => tree.read(`${FOLDER}/${path}`, 'utf8') ?? '';

beforeEach(() => {
  tree = createTreeWithEmptyWorkspace();
});

describe('the component generator', () => {
  beforeEach(() => {
    component(tree, { name: 'nested-tlb' });
  });

  it('writes one package and nothing beside it', () => {
    const written = tree.listChanges().map(({ path }) => path);
    expect(written.filter((path) => path.startsWith('packages/')).sort()).toEqual(
      FILES.map((path) => `${FOLDER}/${path}`).sort(),
    );
    for (const path of FILES) expect(text(path)).not.toContain('<%');
  });

  it('names everything after the component', () => {
    expect(text('src/nested-tlb.machine.ts')).toContain('export const nestedTlbMachine = setup(');
    expect(text('src/nested-tlb.machine.ts')).toContain(`id: 'nested-tlb'`);
    expect(text('src/index.ts')).toContain('addNestedTlb, nestedTlb_request');
    expect(text('README.md')).toContain('# @shootdown/nested-tlb');
  });

  it('declares what the hand-written components declare', () => {
    const made = JSON.parse(text('package.json'));
    const cpu = JSON.parse(readFileSync(new URL('../../../../packages/cpu/package.json', import.meta.url), 'utf8'));
    expect(made.nx).toEqual({ tags: ['type:component'] });
    expect(made.exports['.']).toEqual(cpu.exports['.']);
    // A worker runs in plain Node, which cannot load src.
    expect(made.exports['./worker']).toEqual({ types: './dist/worker.d.ts', default: './dist/worker.js' });
    expect(made.dependencies).toEqual(cpu.dependencies);
  });

  it('keeps to the import directions', () => {
    const manifest = JSON.parse(text('package.json'));
    const machine: Package = {
      name: '@shootdown/machine',
      folder: 'packages/machine',
      tags: ['type:core'],
      dependencies: [],
      devDependencies: [],
      references: [],
      files: [],
    };
    const made: Package = {
      name: manifest.name,
      folder: FOLDER,
      tags: manifest.nx.tags,
      dependencies: Object.keys(manifest.dependencies),
      devDependencies: [],
      references: [machine.folder],
      files: FILES.filter((path) => path.endsWith('.ts')).map((path) => ({ path, source: text(path) })),
    };
    expect(JSON.parse(text('tsconfig.json')).references).toEqual([{ path: '../machine' }]);
    expect(check([machine, made])).toEqual([]);
  });

  it('makes a component that works in a system: the example of its README explores', async () => {
    const folder = mkdtempSync(join(dirname(fileURLToPath(import.meta.url)), 'generated-'));
    try {
      mkdirSync(join(folder, 'src'));
      for (const path of FILES.filter((file) => file.endsWith('.ts'))) writeFileSync(join(folder, path), text(path));
      const example = /```ts\n(.*?)```/s.exec(text('README.md'))?.[1] ?? '';
      const source = example.replace("'@shootdown/nested-tlb'", "'./src/index.ts'");
      writeFileSync(join(folder, 'example.ts'), source);
      const { everybodyIsServed } = (await import(join(folder, 'example.ts'))) as { everybodyIsServed: Scenario };
      const found = await explore(resolveScenario([everybodyIsServed], { scenario: 'everybody-is-served' }).build());
      expect([found.verdict, found.complete, found.states > 10]).toEqual(['safe', true, true]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('has the four paragraphs and the table of what its machine decides', () => {
    for (const heading of ['What it owns.', 'What it may reorder.', 'What it forbids.', 'What is not modelled.'])
      expect(text('README.md')).toContain(`**${heading}**`);
    expect(text('README.md')).toContain('| its machine decides | is data |');
  });

  it.each([
    ['nested-tlb', 'folder exists (packages/nested-tlb)'],
    ['NestedTlb', 'must be kebab-case (NestedTlb); try nested-tlb'],
    ['../mmu', 'must be kebab-case (../mmu)'],
  ])('refuses the name %s', (name, reason) => {
    expect(() => component(tree, { name })).toThrow(reason);
  });
});
