/** Programs as litmus tests: the kernel's dialect for `shootdown litmus`, and C files of one's own. */
import {
  inOrder,
  readCondition,
  readFilter,
  readLocations,
  Unsupported,
  unsupported,
  type Condition,
  type ConditionDialect,
  type FrontEnd,
  type LitmusTest,
  type Memory,
  type Observable,
} from '@shootdown/litmus';
import type { SystemBuilder } from '@shootdown/machine';
import { checkTexts } from '../checked.ts';
import { CError } from '../diagnostics.ts';
import { Races } from '../run/races.ts';
import { litmusProgram, wholeProgram, type CProgram, type ProgramThread } from './program.ts';

/** The front end of the kernel's dialect. */
export const linuxC: FrontEnd = {
  dialect: 'C',
  memoryModel: 'arm',
  async read(text) {
    try {
      return await readLinuxC(text);
    } catch (error) {
      // What C we do not take is said of this test, as every front end says it.
      if (error instanceof CError) throw new Unsupported(error.message);
      throw error;
    }
  },
};

async function readLinuxC(text: string): Promise<LitmusTest> {
  const program = await litmusProgram('test', text, observedIn);
  if (!CONDITION.test(program.tail)) unsupported('no condition');
  return testOf(program);
}

/** A C file with globals and P0() ... Pn() as a test; without `exists`, its assertions are the question. */
export async function readProgram(file: string, text: string): Promise<LitmusTest> {
  checkTexts('readProgram', { file, text });
  const program = await wholeProgram(file, text, observedIn);
  let test: LitmusTest;
  try {
    test = testOf(program);
  } catch (error) {
    if (!(error instanceof Unsupported)) throw error;
    const line =
      text.slice(0, text.length - program.tail.length).split('\n').length +
      (/^\s*/.exec(program.tail)?.[0].split('\n').length ?? 1) -
      1;
    throw new CError([`${file}:${line}: ${error.message.replaceAll(/\s+/g, ' ')}`]);
  }
  if (test.condition.quantifier === 'forall') throw new CError([`${file}: forall: say what must not be, with exists`]);
  return test;
}

const CONDITION = /(?:^|[\s;])(exists|~\s*exists|forall)\b/;
const FILTER = /(?:^|[\s;\]])(filter\b[\s\S]*)/;
const LOCATIONS = /^\s*locations\s*(\[[^\]]*\])/;

/** Local variables of a thread that the tail of a file names. */
function observedIn(tail: string, thread: number): string[] {
  return [...tail.matchAll(/\bP?(\d+):\s*(\w+)/g)].flatMap(([, of, name]) =>
    Number(of) === thread && name !== undefined ? [name] : [],
  );
}

/** No question but the assertions. */
const NEVER: Condition = {
  quantifier: 'exists',
  formula: { holds: () => false },
  text: 'exists (false)',
  observes: [],
};

function testOf(program: CProgram): LitmusTest {
  const dialect = dialectOf(program);
  const at = program.tail.search(CONDITION);
  const condition = at < 0 ? NEVER : readCondition(program.tail.slice(at).trimStart(), dialect);
  const locations = LOCATIONS.exec(program.tail)?.[1] ?? '[]';
  const filter = FILTER.exec(program.tail.slice(0, at < 0 ? undefined : at))?.[1];
  const observables = inOrder([...condition.observes, ...readLocations(locations, dialect)]);
  const races = new WeakMap<Memory, Races>();
  const sections = program.threads.map((_, i) => `rcu section of P${i}`);
  return {
    name: program.name,
    dialect: 'C',
    variables: [...program.words, ...sections.map((name) => ({ name, initial: 0 }))],
    threads: program.threads.map((thread) => ({
      name: thread.name,
      start: (memory: Memory) => started(program, thread, sections, memory, races),
    })),
    hardware: [],
    condition,
    filter: filter === undefined ? undefined : readFilter(filter, dialect),
    observables,
    show: (value) => program.show(value),
    showFault: (thread) => `~Fault(P${thread})`,
    translation: null,
    needsBreak: null,
    ...(program.hasPlainAccesses && {
      prepare: (builder: SystemBuilder, memory: Memory) =>
        void races.set(memory, new Races(builder, program.words.length, program.threads.length)),
    }),
    warnings: [],
  };
}

function started(
  program: CProgram,
  thread: ProgramThread,
  sections: readonly string[],
  memory: Memory,
  races: WeakMap<Memory, Races>,
) {
  return thread.start({
    addressOf: (word) => memory.at(program.words[word]?.name ?? ''),
    section: (index) => memory.at(sections[index] ?? ''),
    races: races.get(memory) ?? null,
    dependencies: memory.model === 'arm',
  });
}

function dialectOf(program: CProgram): ConditionDialect {
  return {
    register: (_thread, name) => name,
    variable(name) {
      if (!program.words.some((word) => word.name === name)) unsupported(`condition: no variable ${name}`);
      return name;
    },
    value: (text: string, of: Observable) =>
      program.valueOf(text) ?? unsupported(`condition: value ${text} of ${of.name}`),
  };
}
