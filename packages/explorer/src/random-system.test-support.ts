/** Small random systems for fast-check, and a search of them that is too simple to be wrong. */
import {
  acquireWord,
  assertThat,
  atomicAdd,
  choose,
  cmpxchg,
  defineOperation,
  load,
  nop,
  operation,
  perform,
  point,
  program,
  rest,
  routine,
  smp_mb,
  store,
  SystemBuilder,
  TabulatedExecutor,
  waitFor,
  xchg,
  type MemoryModel,
  type Program,
  type Region,
  type Steps,
  type System,
} from '@shootdown/machine';
import fc from 'fast-check';
import { interruptibleMachine } from './interruptible.test-support.machine.ts';

/** One line of a random routine. */
export type Line =
  | { readonly op: 'load' | 'add' | 'count' | 'lock' | 'unlock' | 'ipi' | 'poke'; readonly word: number }
  | { readonly op: 'store' | 'xchg' | 'cmpxchg' | 'wait' | 'until'; readonly word: number; readonly value: number }
  | { readonly op: 'assert'; readonly value: number }
  | { readonly op: 'if'; readonly lines: readonly Line[] }
  | { readonly op: 'repeat'; readonly word: number; readonly lines: readonly Line[] }
  | { readonly op: 'nop' | 'mb' | 'choose' | 'rest' };

/** A random system, as data: fast-check can shrink and print it. */
export interface Recipe {
  readonly memoryModel: MemoryModel;
  readonly routines: readonly (readonly Line[])[];
  readonly handler: readonly Line[];
  /**
   * none; processors with components that take messages; the same with a host that stops, resumes and gates processors.
   */
  readonly components: 'none' | 'messages' | 'host';
  readonly always: { readonly words: readonly [number, number]; readonly declared: boolean };
  readonly finally: number;
  readonly sometimes: number;
  /** Processors run the same routine, and are declared interchangeable. */
  readonly symmetric: boolean;
  /** Writes to the words are noticed: a mirror word, which routines can load, follows them. */
  readonly watched: boolean;
  /** Messages and the host wait until store buffers are empty; stores that leave one are noticed by the mirror word. */
  readonly drained?: boolean;
  /** On `arm`, the words are claimed to be seen alike by everybody, so that an access that nothing orders is a race. */
  readonly claimed?: boolean;
}

const WORDS = 3;
const VALUES = 3;
/** `word` of a load that reads the mirror. */
const MIRROR = WORDS;

interface Machine {
  readonly words: Region;
  readonly mirror: Region;
  readonly locks: Region;
  readonly channels: readonly number[];
}

const SEND = defineOperation({
  name: 'send',
  perform(cx, op) {
    if (cx.channelFull(op.a)) return 1;
    cx.send(op.a, { type: op.data as string });
    return 0;
  },
});

/** Says nothing of a weak memory: what it stores is the newest message. */
const COUNT = defineOperation({
  name: 'count',
  perform(cx, op) {
    cx.write(op.a, (cx.read(op.a) + 1) % VALUES);
    return 0;
  },
});

const body = routine('random', function* (machine: Machine, lines: readonly Line[]): Steps {
  yield* block(machine, lines, { last: 0 }, '');
});

/** `place` makes the labels of points unique. */
function* block(machine: Machine, lines: readonly Line[], local: { last: number }, place: string): Steps {
  for (const [i, line] of lines.entries()) yield* one(machine, line, local, `${place}.${i}`);
}

function* one(machine: Machine, line: Line, local: { last: number }, place: string): Steps {
  const { words, mirror, locks, channels } = machine;
  switch (line.op) {
    case 'load':
      local.last = yield* load(line.word === MIRROR ? mirror.at(0) : words.at(line.word));
      return;
    case 'store':
      return yield* store(words.at(line.word), line.value);
    case 'xchg':
      local.last = yield* xchg(words.at(line.word), line.value);
      return;
    case 'add':
      local.last = yield* atomicAdd(words.at(line.word), 1);
      return;
    case 'count':
      return void (yield* perform(operation(COUNT, words.at(line.word))));
    case 'cmpxchg':
      local.last = yield* cmpxchg(words.at(line.word), line.value, (line.value + 1) % VALUES);
      return;
    case 'wait':
      local.last = yield* waitFor(words.at(line.word), 3, line.value);
      return;
    case 'until':
      do {
        yield* point(place);
        local.last = yield* load(words.at(line.word));
      } while (local.last !== line.value);
      return;
    case 'lock':
      return yield* acquireWord(locks.at(line.word % 2), 1, 1);
    case 'unlock':
      yield* cmpxchg(locks.at(line.word % 2), 1, 0);
      return;
    case 'ipi':
    case 'poke': {
      const channel = channels[line.word % Math.max(1, channels.length)];
      if (channel !== undefined) yield* perform(operation(SEND, channel, 0, 0, line.op));
      return;
    }
    case 'choose':
      local.last = yield* choose(2);
      return;
    case 'assert':
      return yield* assertThat(local.last !== line.value, `last is not ${line.value}`);
    case 'if':
      if (local.last !== 0) yield* block(machine, line.lines, local, place);
      return;
    case 'repeat':
      do {
        yield* point(place, local.last);
        local.last = yield* load(words.at(line.word));
        yield* block(machine, line.lines, local, place);
      } while (local.last === 0);
      return;
    case 'nop':
      return yield* nop();
    case 'mb':
      return yield* smp_mb();
    case 'rest':
      return yield* rest();
  }
}

/** Builds a system from its recipe. */
export function build(recipe: Recipe): System {
  const builder = new SystemBuilder({ memoryModel: recipe.memoryModel, storeBufferEntries: 2, maxHistory: 100 });
  const words = builder.region('word', WORDS, { memory: recipe.claimed === true ? 'strong' : 'weak' });
  const locks = builder.region('lock', 2, { memory: recipe.memoryModel === 'arm' ? 'strong' : 'weak' });
  const mirror = builder.region('mirror', 1);
  const channels: number[] = [];
  const machine: Machine = { words, mirror, locks, channels };
  if (recipe.watched)
    builder.watch(words, (cx, address) => cx.write(mirror.base, (cx.read(mirror.base) + cx.read(address)) % VALUES));
  if (recipe.drained) builder.watchDrains((cx) => cx.write(mirror.base, (cx.read(mirror.base) + 1) % VALUES));
  const { drained = false } = recipe;
  const count = recipe.routines.length;
  const handler = program(body, machine, recipe.handler);
  const shared = program(body, machine, recipe.routines[0] ?? []);
  const names = recipe.routines.map((lines, i) =>
    addProcessor(builder, recipe, i, recipe.symmetric ? shared : program(body, machine, lines), handler, words),
  );
  if (recipe.components !== 'none') {
    for (let i = 0; i < count; i++)
      channels.push(
        builder.channel({
          name: `to ${i}`,
          to: `component ${i}`,
          policy: i === 0 ? 'unordered' : 'fifo',
          capacity: 2,
          drained,
        }),
      );
  }
  if (recipe.components === 'host') {
    builder.spontaneous({ name: 'stop', kind: 'host', component: 'component 0', message: { type: 'stop' }, drained });
    builder.spontaneous({
      name: 'poke',
      kind: 'hardware',
      component: `component ${count - 1}`,
      message: { type: 'poke' },
    });
    builder.component({ name: 'gate', machine: interruptibleMachine });
    builder.spontaneous({ name: 'close', kind: 'host', component: 'gate', message: { type: 'stop' }, drained });
    builder.spontaneous({ name: 'open', kind: 'host', component: 'gate', message: { type: 'resume' } });
    builder.spontaneous({ name: 'resume', kind: 'host', component: 'component 0', message: { type: 'resume' } });
  }
  const [a, b] = recipe.always.words;
  builder.property({
    name: 'not both',
    kind: 'always',
    why: 'random',
    ...(recipe.always.declared ? { reads: [words.at(a), words.at(b)] } : {}),
    check: (read) => !(read(words.at(a)) === 1 && read(words.at(b)) === 2),
  });
  builder.property({
    name: 'some',
    kind: 'sometimes',
    why: 'random',
    reads: [words.at(0)],
    check: (read) => read(words.at(0)) === recipe.sometimes,
  });
  builder.property({
    name: 'in the end',
    kind: 'finally',
    why: 'random',
    reads: [words.at(1)],
    check: (read) => read(words.at(1)) !== recipe.finally,
  });
  if (recipe.symmetric) builder.symmetric(...names);
  return builder.build();
}

function addProcessor(
  builder: SystemBuilder,
  recipe: Recipe,
  i: number,
  task: Program,
  handler: Program,
  words: Region,
): string {
  const name = `CPU${i}`;
  if (recipe.components === 'none') {
    builder.processor({ name, tasks: [task] });
    return name;
  }
  const component = `component ${i}`;
  builder.processor({
    name,
    tasks: [task],
    component,
    handlers: { ipi: handler },
    ...(recipe.components === 'host' && i === 1 ? { gate: 'gate' } : {}),
  });
  builder.component({
    name: component,
    machine: interruptibleMachine,
    effects: { poked: (cx) => cx.write(words.at(i % WORDS), (cx.read(words.at(i % WORDS)) + 1) % VALUES) },
  });
  return name;
}

const word = fc.integer({ min: 0, max: WORDS - 1 });
const value = fc.integer({ min: 0, max: VALUES - 1 });

const readable = fc.integer({ min: 0, max: MIRROR });

function line(depth: number): fc.Arbitrary<Line> {
  const oneOf: fc.MaybeWeightedArbitrary<Line>[] = [
    { weight: 5, arbitrary: fc.record({ op: fc.constant('load' as const), word: readable }) },
    { weight: 6, arbitrary: fc.record({ op: fc.constant('store' as const), word, value }) },
    {
      weight: 2,
      arbitrary: fc.record({
        op: fc.constantFrom(
          'add' as const,
          'count' as const,
          'lock' as const,
          'unlock' as const,
          'ipi' as const,
          'poke' as const,
        ),
        word,
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        op: fc.constantFrom('xchg' as const, 'cmpxchg' as const, 'wait' as const, 'until' as const),
        word,
        value,
      }),
    },
    { weight: 2, arbitrary: fc.record({ op: fc.constant('assert' as const), value }) },
    { weight: 3, arbitrary: fc.record({ op: fc.constantFrom('nop' as const, 'mb' as const, 'choose' as const) }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('rest' as const) }) },
  ];
  if (depth === 0) return fc.oneof(...oneOf);
  const inner = fc.array(line(depth - 1), { minLength: 1, maxLength: 2 });
  oneOf.push({ weight: 1, arbitrary: fc.record({ op: fc.constant('repeat' as const), word, lines: inner }) });
  oneOf.push({ weight: 2, arbitrary: fc.record({ op: fc.constant('if' as const), lines: inner }) });
  return fc.oneof(...oneOf);
}

/** Random systems of two or three processors. */
export const recipes: fc.Arbitrary<Recipe> = fc.record({
  memoryModel: fc.constantFrom('sc' as const, 'tso' as const),
  routines: fc.array(fc.array(line(1), { minLength: 1, maxLength: 5 }), { minLength: 2, maxLength: 3 }),
  handler: fc.array(line(0), { minLength: 1, maxLength: 2 }),
  components: fc.oneof(
    { weight: 3, arbitrary: fc.constant('none' as const) },
    { weight: 2, arbitrary: fc.constantFrom('messages' as const, 'host' as const) },
  ),
  always: fc.record({ words: fc.tuple(word, word), declared: fc.boolean() }),
  finally: value,
  sometimes: value,
  symmetric: fc.constant(false),
  watched: fc.boolean(),
  drained: fc.boolean(),
});

/** Random systems of interchangeable processors. */
export const symmetricRecipes: fc.Arbitrary<Recipe> = recipes.map((recipe) => ({
  ...recipe,
  memoryModel: 'sc' as const,
  components: 'none' as const,
  symmetric: true,
}));

const handlerLine: fc.Arbitrary<Line> = fc.oneof(
  fc.record({ op: fc.constant('store' as const), word, value }),
  fc.record({ op: fc.constant('load' as const), word }),
  fc.record({ op: fc.constant('assert' as const), value }),
);
const messageLine: fc.Arbitrary<Line> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ op: fc.constantFrom('ipi' as const, 'poke' as const), word }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('load' as const), word: readable }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('assert' as const), value }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('store' as const), word, value }) },
);

/** Random systems in which interrupts and messages do most of the work, and properties see little. */
export const messageRecipes: fc.Arbitrary<Recipe> = fc
  .tuple(
    recipes,
    fc.array(fc.array(messageLine, { minLength: 1, maxLength: 4 }), { minLength: 2, maxLength: 2 }),
    fc.array(handlerLine, { minLength: 1, maxLength: 2 }),
    fc.constantFrom('messages' as const, 'host' as const),
  )
  .map(([recipe, routines, handler, components]) => ({
    ...recipe,
    routines,
    handler,
    components,
    always: { words: [0, 0], declared: true },
  }));

const loadOrStore: fc.Arbitrary<Line> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ op: fc.constant('load' as const), word }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('store' as const), word, value }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('assert' as const), value }) },
);
/** Lines under a lock; some are not. */
const section: fc.Arbitrary<readonly Line[]> = fc
  .tuple(fc.integer({ min: 0, max: 3 }), fc.array(loadOrStore, { minLength: 1, maxLength: 2 }))
  .map(([lock, lines]) =>
    lock > 1 ? lines.slice(0, 1) : [{ op: 'lock', word: lock }, ...lines, { op: 'unlock', word: lock }],
  );

/** Random systems in which locks order much of what is done, on the memory model of Arm. */
const lockRecipes: fc.Arbitrary<Recipe> = fc
  .tuple(
    recipes,
    fc.array(fc.array(section, { minLength: 1, maxLength: 2 }), { minLength: 2, maxLength: 2 }),
    fc.array(handlerLine, { minLength: 1, maxLength: 1 }),
    fc.constantFrom('none' as const, 'none' as const, 'messages' as const),
    fc.boolean(),
  )
  .map(([recipe, routines, handler, components, claimed]) => ({
    ...recipe,
    claimed,
    routines: routines.map((sections) => sections.flat()),
    handler,
    components,
    always: { words: [0, 0], declared: true },
  }));

/** Random systems on the memory model of Arm. */
export const armRecipes: fc.Arbitrary<Recipe> = fc
  .oneof(
    fc
      .oneof(recipes, messageRecipes)
      .map((recipe) => ({ ...recipe, routines: recipe.routines.slice(0, 2).map((lines) => lines.slice(0, 3)) })),
    lockRecipes,
  )
  .map((recipe) => ({ ...recipe, memoryModel: 'arm' as const, symmetric: false }));

/** What the simple search finds. */
export interface Naive {
  readonly states: number;
  readonly transitions: number;
  readonly violatingTransitions: number;
  /** Problems as `kind property`, with the length of the shortest schedule to each. */
  readonly problems: ReadonlyMap<string, number>;
  readonly sometimes: ReadonlySet<string>;
}

interface Node {
  readonly row: Int32Array;
  readonly lo: number;
  readonly hi: number;
  readonly depth: number;
  readonly next: number[];
  rests: boolean;
  broken: string[];
}

/**
 * Searches breadth first over whole states in a Map; null if there are more than `statesMax`, or if a location had as
 * many messages as it may have, so that something may have been missed.
 */
export function naiveSearch(system: System, statesMax: number): Naive | null {
  const plain = { ...system, symmetric: [] };
  const executor = new TabulatedExecutor(plain);
  const { store } = executor;
  const nodes: Node[] = [];
  const index = new Map<string, number>();
  const problems = new Map<string, number>();
  const sometimes = new Set<string>();
  let transitions = 0;
  let violatingTransitions = 0;
  const report = (kind: string, property: string, length: number): void => {
    const key = `${kind} ${property}`;
    problems.set(key, Math.min(length, problems.get(key) ?? Infinity));
  };
  const holds = (property: System['properties'][number]): boolean => property.check((address) => store.read(address));
  const arrive = (depth: number): number => {
    const key = store.words.join();
    const known = index.get(key);
    if (known !== undefined) return known;
    index.set(key, nodes.length);
    for (const property of system.properties) {
      if (property.kind === 'always' && !holds(property)) report('always', property.name, depth);
      if (property.kind === 'sometimes' && holds(property)) sometimes.add(property.name);
    }
    return (
      nodes.push({ row: store.words.slice(), lo: store.lo, hi: store.hi, depth, next: [], rests: false, broken: [] }) -
      1
    );
  };
  executor.reset();
  if (executor.violation) report('step', executor.violation.property, 0);
  arrive(0);
  for (let i = 0; i < nodes.length; i++) {
    if (nodes.length > statesMax) return null;
    const node = nodes[i] as Node;
    let busy = 0;
    for (let choice = 0; choice < system.choices.length; choice++) {
      for (let branch = 0, branches = 1; branch < branches; branch++) {
        store.load(node.row, 0, node.lo, node.hi);
        const happened = executor.step(choice, branch);
        branches = Math.max(branches, executor.branchCount);
        if (!happened) continue;
        transitions++;
        if (system.choices[choice]?.kind !== 'spontaneous') busy++;
        if (executor.violation) {
          violatingTransitions++;
          report('step', executor.violation.property, node.depth + 1);
        }
        node.next.push(arrive(node.depth + 1));
      }
    }
    store.load(node.row, 0, node.lo, node.hi);
    if (busy > 0) continue;
    node.rests = executor.atRest();
    if (node.rests) node.broken = system.properties.filter((p) => p.kind === 'finally' && !holds(p)).map((p) => p.name);
    else if (node.next.length === 0) report('deadlock', 'no deadlock', node.depth);
  }
  if (executor.weak?.memory.boundHit === true) return null;
  judge(nodes, report);
  for (const { kind, name } of system.properties)
    if (kind === 'sometimes' && !sometimes.has(name)) report('sometimes', name, 0);
  return { states: nodes.length, transitions, violatingTransitions, problems, sometimes };
}

/** A state is in a terminal component if everything it reaches reaches it. */
function judge(nodes: readonly Node[], report: (kind: string, property: string, length: number) => void): void {
  const reach = nodes.map((_, from) => {
    const seen = new Set<number>();
    const stack = [...(nodes[from]?.next ?? [])];
    for (let state = stack.pop(); state !== undefined; state = stack.pop()) {
      if (seen.has(state)) continue;
      seen.add(state);
      stack.push(...(nodes[state]?.next ?? []));
    }
    return seen;
  });
  nodes.forEach((node, i) => {
    const component = reach[i] as Set<number>;
    if (![...component].every((state) => (reach[state] as Set<number>).has(i))) return;
    const rests = node.rests || [...component].some((state) => nodes[state]?.rests);
    if (!rests && node.next.length > 0) report('livelock', 'no livelock', node.depth);
    for (const property of node.broken) report('finally', property, node.depth);
  });
}
