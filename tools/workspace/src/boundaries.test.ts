import { describe, expect, it } from 'vitest';
import { check, type Package } from '../../boundaries.mjs';
import { importsOf } from '../../imports.mjs';

/** A package whose declarations permit whatever it imports, so that only the rule under test can object. */
function pkg(folder: string, type: string, source: string, path = 'src/index.ts'): Package {
  const uses = [...source.matchAll(/@shootdown\/([\w-]+)/g)].map(([, name]) => name ?? '');
  return {
    name: `@shootdown/${folder.split('/')[1]}`,
    folder,
    tags: [`type:${type}`],
    dependencies: uses.map((name) => `@shootdown/${name}`),
    devDependencies: [],
    references: uses.map((name) => `packages/${name}`),
    files: [{ path, source }],
  };
}

const machine = pkg('packages/machine', 'core', '');
const pageTable = pkg('packages/page-table', 'core', `import '@shootdown/machine';`);
const mmu = pkg('packages/mmu', 'component', `import '@shootdown/page-table';`);
const mm = pkg('packages/mm', 'kernel', `import '@shootdown/mmu';`);
const topology = pkg('packages/topology', 'engine', `import '@shootdown/mm';`);
const workspace = [machine, pageTable, mmu, mm, topology];

/** The violations of one more package, as `line what: why`, leaving out what its manifest repeats. */
const violations = (added: Package) =>
  check([...workspace, added])
    .filter(({ file }) => !file.endsWith('.json'))
    .map(({ line, what, why }) => `${line} ${what}: ${why}`);

describe('import directions', () => {
  it('lets every layer import the layers below it', () => {
    expect(
      check([...workspace, pkg('apps/lab', 'app', `import '@shootdown/topology'; import '@shootdown/mmu';`)]),
    ).toEqual([]);
  });

  it.each([
    ['core', 'mmu'],
    ['component', 'mmu'],
    ['component', 'mm'],
    ['kernel', 'topology'],
    ['engine', 'topology'],
  ])('forbids a package of type:%s to import %s', (type, name) => {
    expect(violations(pkg('packages/wrong', type, `import '@shootdown/${name}';`))).toHaveLength(1);
  });

  it.each(['explorer', 'report'])('lets %s know the machine and nothing of Linux', (name) => {
    expect(violations(pkg(`packages/${name}`, 'engine', `import '@shootdown/machine';`))).toEqual([]);
    expect(violations(pkg(`packages/${name}`, 'engine', `import '@shootdown/page-table';`))).toEqual([
      `1 imports '@shootdown/page-table': @shootdown/${name} knows nothing of Linux and may import only @shootdown/machine`,
    ]);
  });

  it('holds for tests and for what a manifest declares, too', () => {
    const cpu = pkg('packages/cpu', 'component', `import '@shootdown/mmu';`, 'src/cpu.test.ts');
    expect(check([...workspace, cpu]).map(({ file }) => file)).toEqual([
      'packages/cpu/package.json',
      'packages/cpu/tsconfig.json',
      'packages/cpu/src/cpu.test.ts',
    ]);
  });

  it('wants exactly one type tag', () => {
    expect(check([{ ...mmu, tags: [] }, pageTable, machine])[0]?.what).toBe('has tags []');
  });
});

describe('declarations', () => {
  it('wants every imported package in package.json, and in tsconfig.json unless only tests import it', () => {
    const source = `import '@shootdown/machine';`;
    expect(violations({ ...pkg('packages/cpu', 'component', source), dependencies: [] })[0]).toContain(
      'package.json does not declare it',
    );
    expect(violations({ ...pkg('packages/cpu', 'component', source), references: [] })[0]).toContain(
      'add { "path": "../machine" }',
    );
    expect(violations({ ...pkg('packages/cpu', 'component', source, 'src/cpu.test.ts'), references: [] })).toEqual([]);
  });

  it('sees a package that is reached by a relative path, and one that does not exist', () => {
    expect(violations(pkg('packages/cpu', 'component', `import '../../machine/src/words.ts';`))[0]).toContain(
      `import '@shootdown/machine'`,
    );
    expect(violations(pkg('packages/cpu', 'component', `\nimport '@shootdown/machien';`))).toEqual([
      `2 imports '@shootdown/machien': there is no such package in this workspace`,
    ]);
  });
});

describe('xstate', () => {
  it.each(['src/cpu.machine.ts', 'src/cpu.test.ts'])('may stand in %s', (path) => {
    expect(violations(pkg('packages/cpu', 'component', `import { setup } from 'xstate';`, path))).toEqual([]);
  });

  it('may stand in the one adapter and nowhere else', () => {
    const from = (path: string) =>
      check([pkg('packages/machine', 'core', `import type { Snapshot } from 'xstate';`, path)]);
    expect(from('src/execute/xstate-adapter.ts')).toEqual([]);
    expect(from('src/live/executor.ts')[0]?.why).toContain('XState belongs in');
  });
});

describe('messages', () => {
  const source = `export const f = (cx) => cx.tell(1, { type: 'flush' });`;

  it.each(['kernel', 'component'])('go over channels, those of a %s too', (type) => {
    expect(violations(pkg('packages/mm', type, source))).toEqual([
      '1 tells a component something: what components hear goes over a channel: use send(), with a port if it is synchronous',
    ]);
    expect(violations(pkg('packages/mm', type, source.replace('tell', 'send')))).toEqual([]);
  });

  it('of the machine itself, an IRET, need none', () => {
    expect(violations(pkg('packages/machine', 'core', source))).toEqual([]);
  });
});

describe('circles', () => {
  const circle = (back: string): Package => ({
    ...pkg('packages/cpu', 'component', ''),
    files: [
      { path: 'src/a.ts', source: `import { b } from './b.ts';` },
      { path: 'src/b.ts', source: `import { c } from './c.ts';` },
      { path: 'src/c.ts', source: back },
    ],
  });

  it('are forbidden among the files of a package', () => {
    expect(violations(circle(`import { a } from './a.ts';`))).toEqual([
      `1 imports './a.ts': a circle: src/a.ts -> src/b.ts -> src/c.ts -> src/a.ts; what both need belongs into a file of its own`,
    ]);
  });

  it.each([`import type { A } from './a.ts';`, `import { type A } from './a.ts';`, `type A = import('./a.ts').A;`])(
    'are none where only types go back: %s',
    (back) => {
      expect(violations(circle(back))).toEqual([]);
    },
  );
});

describe('the floors of mm', () => {
  const house = (path: string, source: string): string[] =>
    check([{ ...mm, dependencies: [], references: [], files: [{ path, source }] }]).map(
      ({ what, why }) => `${what}: ${why}`,
    );

  it('forbids an import from a lower floor to a higher one', () => {
    expect(house('src/kernel.ts', `import type { X } from './gup/kernel.ts';`)).toEqual([
      `imports './gup/kernel.ts': src/gup/kernel.ts is on a higher floor than src/kernel.ts, so nothing here may need it`,
    ]);
    expect(house('src/arch/tlb.ts', `import './../secondary/ksm.ts';`)).toHaveLength(1);
    expect(house('src/arch/tlb.ts', `import { zap_pte_range } from '../zap.ts';`)).toHaveLength(1);
    expect(house('src/mmu-gather.ts', `import { set_ptes } from './arch/arm64-contpte.ts';`)).toHaveLength(1);
  });

  it('lets a part know the type of what it is a part of, below the rooms', () => {
    expect(house('src/contents.ts', `import type { Kernel } from './kernel.ts';`)).toEqual([]);
    expect(house('src/contents.ts', `import { Mm } from './kernel.ts';`)).toHaveLength(1);
  });

  it('forbids an import from the room beside', () => {
    expect(house('src/filemap/zap.ts', `import '../vmalloc/kernel.ts';`)).toEqual([
      `imports '../vmalloc/kernel.ts': src/vmalloc is the room beside src/filemap: what both need belongs below`,
    ]);
  });

  it('wants a place for every file', () => {
    expect(house('src/swap.ts', '')).toEqual(['stands on no floor: give it its place in FLOORS, tools/boundaries.mjs']);
    expect(house('src/gup/anything.ts', '')).toEqual([]);
  });

  it('lets a room import from below, and the door from everywhere', () => {
    expect(
      house('src/gup/ksm.ts', `import '../secondary/ksm.ts'; import '../kernel.ts'; import './kernel.ts';`),
    ).toEqual([]);
    expect(house('src/index.ts', `export * from './gup/index.ts';`)).toEqual([]);
  });
});

it('finds every way to name a module, with its line, and none in comments or strings', () => {
  const source = [
    `import a from 'a'; import type { B } from 'b';`,
    `export * from 'c'; export { d } from 'd';`,
    `type E = import('e').E; const f = await import('f');`,
    `const worker = createRequire(import.meta.url).resolve('@shootdown/g/worker');`,
    `// import 'x'`,
    `const text = "import 'y'"; path.resolve('z');`,
  ].join('\n');
  expect(importsOf('some.ts', source).map(({ specifier, line }) => `${line} ${specifier}`)).toEqual([
    '1 a',
    '1 b',
    '2 c',
    '2 d',
    '3 e',
    '3 f',
    '4 @shootdown/g/worker',
  ]);
});
