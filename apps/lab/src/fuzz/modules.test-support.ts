/**
 * Hostile scenario modules: a small system whose violation every honest search finds, with mistakes and malice put into
 * it. None of them may come out SAFE: either the module is refused, or the violation is found.
 */
import type { Random } from '@shootdown/machine';
import { mutatedBytes, pick } from './mutate.test-support.ts';

/** The places of the module where something else can stand, and what stands there in the good one. */
const GOOD = {
  top: '',
  name: "'hostile'",
  variants: "[{ name: 'v', expected: 'violation', source: 's', summary: 's' }]",
  more: '',
  model: 'memoryModel',
  region: "builder.region('w', 2)",
  body: '',
  store: 'yield* store(w.at(0), 1, { label: "put" });',
  loaded: 'w.at(1)',
  stored: 'value + 1',
  tasks: '[program(writer, w)]',
  second:
    "builder.processor({ name: 'CPU1', tasks: [program(routine('reader', function* (w) { yield* load(w.at(0)); }), w)] });",
  property: "{ kind: 'always', name: 'w stays 0', check: (read) => read(w.at(0)) === 0 }",
  result: 'builder.build()',
  escape: '',
} as const;

type Slot = keyof typeof GOOD;

const THROWN = [
  'null',
  'undefined',
  '42',
  "'text'",
  "new Error('two\\nlines \\u001b[31m')",
  "Object.assign(new Error('x'), { stack: '    at nowhere' })",
  '{ toString() { throw 1; } }',
  'new Proxy({}, { get() { throw new Error("trap"); } })',
  'Object.create(null)',
  'Symbol("s")',
];
const JUNK = [
  'null',
  'undefined',
  'NaN',
  '-1',
  '1e9',
  '0.5',
  "'x'",
  '{}',
  '[]',
  '() => 0',
  'Symbol("s")',
  '10n',
  'true',
  'Infinity',
];
const NAMES = ["''", "'\\u001b[2J'", "'a\\nb'", "'x'.repeat(100000)", "'__proto__'", '{}', 'null', '5', "'\\u202e'"];
const thrown = (before = ''): string[] => THROWN.map((value) => `${before}throw ${value};`);

const HOSTILE: Readonly<Record<Slot, readonly string[]>> = {
  top: [
    ...thrown(),
    'await new Promise(() => undefined);',
    'process.exit(0);',
    'process.exitCode = 0; process.exit();',
    'Promise.reject(null);',
    "Promise.reject(new Error('later'));",
    'setTimeout(() => { throw new Error("later"); }, 0);',
    'setTimeout(() => { throw null; }, 20);',
    'queueMicrotask(() => { throw undefined; });',
    'export const a = null, b = { name: 1 }, c = { variants: [], build() {} };',
    'export default { get name() { throw null; } };',
    "export const trap = new Proxy({}, { get() { throw new Error('trap'); }, has() { throw 1; } });",
    'console.log("SAFE");',
  ],
  name: NAMES,
  variants: [
    '[]',
    'null',
    '[null]',
    '[{}]',
    "[{ name: 'v', expected: 'sfe', source: 's', summary: 's' }]",
    "[{ name: 'v', source: 's', summary: 's' }]",
    "[{ name: 'v', expected: 'violation' }]",
    "[{ name: 'v', expected: 'violation', source: 's', summary: 's' }, { name: 'v', expected: 'safe', source: 's', summary: 's' }]",
    "[{ name: '\\u001b[2J', expected: 'violation', source: '\\u001b[2J', summary: 'a\\nb\\u001b[2J' }]",
    '[{ get name() { throw null; } }]',
    "[{ name: 'v', expected: 'violation', source: 's', summary: 's', memoryModel: 'pso' }]",
    "[{ name: 'v', expected: 'violation', source: 's', summary: 's', parameters: { n: 99 } }]",
    'new Proxy([], { get() { throw new Error("trap"); } })',
    "[{ name: 'v', expected: 'violation', source: 's', summary: 's', replace: { writre: writer } }]",
    "[{ name: 'v', expected: 'violation', source: 's', summary: 's', replace: null }]",
    "[{ name: 'v', expected: 'violation', source: 's', summary: 's', replace: 5 }]",
  ],
  more: [
    'parameters: 5,',
    'parameters: { n: {} },',
    "parameters: { n: { default: 'x', min: 0, max: 1, meaning: 'm' } },",
    'bounds: { maxStates: -1 },',
    "bounds: { maxStates: 'many' },",
    'bounds: { maxState: 5 },',
    'bounds: { maxDepth: NaN },',
    "title: '\\u001b[2J',",
    'title: {},',
    "all: 'yes',",
  ],
  model: JUNK.concat(["'pso'"]),
  region: [
    ...JUNK.map((value) => `builder.region('w', ${value})`),
    ...NAMES.map((name) => `builder.region(${name}, 2)`),
    "(builder.region('w', 2), builder.region('w', 2))",
  ],
  body: [
    ...thrown(),
    'yield null;',
    'yield 5;',
    'yield {};',
    'yield store(w.at(0), 1);',
    'yield* [1, 2];',
    'yield* 5;',
    'process.exit(0);',
    'await0();',
    'if (Math.random() < 0.5) yield* load(w.at(1));',
    'for (let n = ++globalThis.calls || (globalThis.calls = 1); n-- > 0;) yield* load(w.at(1));',
    'if (performance.now() % 2 < 1) return;',
    'for (;;) yield* load(w.at(1));',
    'for (let n = 0; ; n++) yield* store(w.at(1), n);',
    'Promise.reject(new Error("later"));',
    "yield* point('\\u001b[2J');",
    'yield* point();',
    'yield* point({});',
    "yield* point('p', {});",
    'w.at = null;',
    'yield* writer(w);',
  ],
  store: [
    'store(w.at(0), 1);',
    'yield store(w.at(0), 1);',
    'return store(w.at(0), 1);',
    ...JUNK.map((value) => `yield* store(${value}, 1);`),
    ...JUNK.map((value) => `yield* store(w.at(0), ${value});`),
    'yield* store(w, 1);',
    'yield* store(w.at(5), 1);',
    'yield* store(w.at(0), 1, { label: "\\u001b[2J\\n" });',
    'yield* store(w.at(0), 1, { label: null });',
    'yield* store(w.at(0), 1, { lable: "x" });',
    'yield* store(w.at(0), 1, 5);',
  ],
  loaded: JUNK,
  stored: JUNK,
  tasks: [
    '[]',
    'null',
    '[writer]',
    '[writer(w)]',
    '[program(function* () {})]',
    '[program(null)]',
    '[program(writer)]',
    "[program(routine('', writer), w)]",
    '[{}]',
    '5',
    '[program(routine("r", async () => undefined), w)]',
    '[program(routine("r", () => 5), w)]',
  ],
  second: [
    "builder.processor({ name: 'CPU0', tasks: [] });",
    'builder.processor();',
    'builder.processor({});',
    "builder.processor({ name: '\\u001b[2J', tasks: [] });",
    "builder.processor({ name: 'CPU1', task: [] });",
    "for (let i = 0; i < 5000; i++) builder.processor({ name: 'P' + i, tasks: [] });",
  ],
  property: [
    'null',
    '{}',
    "{ kind: 'alway', name: 'w stays 0', check: (read) => read(w.at(0)) === 0 }",
    "{ name: 'w stays 0', check: (read) => read(w.at(0)) === 0 }",
    "{ kind: 'always', name: 'w stays 0', check: async (read) => read(w.at(0)) === 0 }",
    "{ kind: 'always', name: 'w stays 0' }",
    "{ kind: 'always', name: 'w stays 0', check: 5 }",
    "{ kind: 'always', name: 'w stays 0', check: (read) => { throw null; } }",
    "{ kind: 'always', name: 'w stays 0', check: (read) => { throw new Error('a\\nb'); } }",
    "{ kind: 'always', name: 'w stays 0', check: (read) => (read(w.at(0)) === 0 ? 'no' : undefined) }",
    "{ kind: 'always', name: 'w stays 0', check: (read) => read(NaN) === 0 && read(w.at(0)) === 0 }",
    "{ kind: 'always', name: 'w stays 0', check: (read) => read(1e9) === undefined || read(w.at(0)) === 0 }",
    "{ kind: 'always', name: 'w stays 0', check: (read) => read(w) === undefined }",
    "{ kind: 'always', name: 'w stays 0', reads: [w.at(1)], check: (read) => read(w.at(0)) === 0 }",
    "{ kind: 'always', name: 'w stays 0', reads: 5, check: (read) => read(w.at(0)) === 0 }",
    "{ kind: 'always', name: 'w stays 0', reads: [], check: (read) => read(w.at(0)) === 0 }",
    "{ kind: 'always', nam: 'w stays 0', check: (read) => read(w.at(0)) === 0 }",
    "{ kind: 'always', name: '\\u001b[2J\\n', check: (read) => read(w.at(0)) === 0 }",
    "{ kind: 'always', name: '', check: (read) => read(w.at(0)) === 0 }",
    "{ kind: 'always', name: 'w stays 0', check: (read) => Math.random() < 2 && read(w.at(0)) === 0 }",
    "{ kind: 'always', name: 'w stays 0', check() { process.exit(0); } }",
  ],
  result: [
    'null',
    'undefined',
    '5',
    '{}',
    'Promise.resolve(builder.build())',
    'builder',
    '(builder.build(), builder.build())',
    'new Promise(() => undefined)',
    '{ ...builder.build() }',
    'builder.build().words',
  ],
  escape: [
    ...thrown(),
    'process.exit(0);',
    'Promise.reject(null);',
    'if (Math.random() < 0.5) builder.region("r", 1);',
    'globalThis.builds = (globalThis.builds ?? 0) + 1; builder.region("r" + globalThis.builds, 1);',
    'builder.property(null);',
    'builder.nothing();',
    'memoryModel = "x"; variant.expected = "safe";',
    'queueMicrotask(() => { throw new Error("later"); });',
  ],
};

/** The source of a module; `api` is where `@shootdown/machine` is. */
function moduleText(api: string, changed: Readonly<Partial<Record<Slot, string>>>): string {
  const part = (slot: Slot): string => changed[slot] ?? GOOD[slot];
  return `import { load, point, program, routine, store, SystemBuilder } from ${JSON.stringify(api)};
${part('top')}
const writer = routine('writer', function* (w) {
  ${part('body')}
  const value = yield* load(${part('loaded')});
  yield* store(w.at(1), ${part('stored')});
  ${part('store')}
});
export const hostile = {
  name: ${part('name')}, title: 't',
  variants: ${part('variants')},
  ${part('more')}
  build({ variant, memoryModel }) {
    const builder = new SystemBuilder({ memoryModel: ${part('model')} });
    const w = ${part('region')};
    builder.processor({ name: 'CPU0', tasks: ${part('tasks')} });
    ${part('second')}
    builder.property(${part('property')});
    ${part('escape')}
    return ${part('result')};
  },
};
`;
}

/** The good module, whose violation is found. */
export function honestModule(api: string): string {
  return moduleText(api, {});
}

/** Every hostile piece by itself, in a fixed order. */
export function singles(api: string): string[] {
  return (Object.keys(HOSTILE) as Slot[]).flatMap((slot) =>
    HOSTILE[slot].map((piece) => moduleText(api, { [slot]: piece })),
  );
}

/** Two or three pieces at once, now and then with damaged text. */
export function mixture(random: Random, api: string): string {
  const changed: Partial<Record<Slot, string>> = {};
  for (let n = 2 + random.below(2); n > 0; n--) {
    const slot = pick(random, Object.keys(HOSTILE) as Slot[]);
    changed[slot] = pick(random, HOSTILE[slot]);
  }
  const text = moduleText(api, changed);
  return random.below(4) === 0 ? mutatedBytes(random, Buffer.from(text), 2).toString('utf8') : text;
}
