/** A program of its own, P0() ... Pn() on shared words: as routines for whatever machine has its words. */
import { ModelError, type Address, type Steps } from '@shootdown/machine';
import type { FunctionCode } from '../compile/code.ts';
import { CError } from '../diagnostics.ts';
import { link, readHeader, type Header } from '../link.ts';
import { runFunction, type Finished } from '../run/interpret.ts';
import type { KernelOffer } from '../run/offer.ts';
import { Loaded, type LinkedProgram } from '../run/program.ts';
import { Thread } from '../run/thread.ts';
import type { Races } from '../run/races.ts';
import { PointerBase, toWord } from '../run/words.ts';
import { numberMacro } from '../source/macros.ts';
import { readUnit, type FunctionSource, type Unit } from '../types/unit.ts';
import { ProgramKernel, shownValue } from './kernel.ts';
import { layOut, type ProgramLayout, type ProgramWord } from './layout.ts';
import { cutLkmm, type LkmmSource } from './lkmm.ts';
import { CPUS, LISTS } from './list.ts';
import { primitives, PROGRAM_HEADER } from './primitives.ts';

/** What a thread leaves behind: its variables by name. */
export type Variables = Readonly<Record<string, number>>;

/** A program, compiled. */
export interface CProgram {
  readonly name: string;
  readonly words: readonly ProgramWord[];
  /** Some access of shared memory is plain, so there may be data races. */
  readonly hasPlainAccesses: boolean;
  readonly threads: readonly ProgramThread[];
  /** What stands behind the functions: the condition of a litmus test. */
  readonly tail: string;
  /** A value as it is printed: the name of what it points to, or a number. */
  show(value: number): string;
  /** The value that a number or the name of a variable stands for; undefined if it is none. */
  valueOf(text: string): number | undefined;
}

export interface ProgramThread {
  readonly name: string;
  readonly start: (places: ThreadPlaces) => Steps<Variables>;
}

/** Where a program's words are, and what its machine is like. */
export interface ThreadPlaces {
  readonly addressOf: (word: number) => Address;
  /** Address of the word that counts a thread's RCU read-side sections. */
  readonly section: (thread: number) => Address;
  readonly races: Races | null;
  /** The machine asks which loads a value came from: the Arm model does. */
  readonly dependencies: boolean;
}

/** Which variables of which thread are looked at in the end, by the tail of the file. */
export type Observed = (tail: string, thread: number) => readonly string[];

const offer: KernelOffer<ProgramKernel> = {
  header: () => [PROGRAM_HEADER, LISTS, CPUS].join(''),
  objects: ({ layout }) => Object.fromEntries(layout.globals),
  functions: primitives,
  routines: {},
  memories: (kernel) => [kernel],
};

let header: Promise<Header<ProgramKernel>> | undefined;

function programHeader(): Promise<Header<ProgramKernel>> {
  header ??= readHeader(offer, {});
  return header;
}

const THREAD = /^P\d+$/;

/** Reads a litmus test of the kernel's memory model. Throws CError. */
export async function litmusProgram(file: string, text: string, observed: Observed): Promise<CProgram> {
  const source = cutLkmm(file, text);
  const before = await programHeader();
  const unit = await readUnit(file, source.body, before.unit, true);
  const layout = litmusLayout(source, unit);
  const locals = [...source.locals].map(([thread, own]) => {
    const values = [...own].map(([local, text]) => [local, initialValue(text, layout.globals, source.name)] as const);
    return [thread, Object.fromEntries(values)] as const;
  });
  return compiled(source.name, unit, layout, source.tail, observed, new Map(locals));
}

/** Reads a C file with globals and P0() ... Pn(). Throws CError. */
export async function wholeProgram(file: string, text: string, observed: Observed): Promise<CProgram> {
  const { body, tail } = cutTail(text);
  const { scope, macros } = (await programHeader()).unit;
  const cpus = new Set([...body.matchAll(/\bP\d+(?=\s*\()/g)].map(([name]) => name)).size;
  const unit = await readUnit(file, body, { scope, macros: new Map([...macros, numberMacro('nr_cpu_ids', cpus)]) });
  return compiled(file, unit, layOut([...unit.globals, ...unit.statics], unit.declarations), tail, observed);
}

/** `exists (...)` behind the last function. */
function cutTail(text: string): { readonly body: string; readonly tail: string } {
  const last = text.lastIndexOf('}');
  const at = last < 0 ? -1 : text.slice(last).search(/^[ \t]*(?:exists|~\s*exists|forall)\b/m);
  return at < 0 ? { body: text, tail: '' } : { body: text.slice(0, last + at), tail: text.slice(last + at) };
}

async function compiled(
  name: string,
  unit: Unit,
  layout: ProgramLayout,
  tail: string,
  observed: Observed,
  locals: ReadonlyMap<number, Readonly<Record<string, number>>> = new Map(),
): Promise<CProgram> {
  const before = await programHeader();
  // What is no C has no functions either.
  if (unit.syntaxError) unit.problems.check();
  const threads = [...unit.functions.values()]
    .filter((f) => THREAD.test(f.name))
    .sort((a, b) => Number(a.name.slice(1)) - Number(b.name.slice(1)));
  if (threads.length === 0) unit.problems.add(1, 'no program: expected functions P0(), P1() and so on');
  threads.forEach((thread, i) => {
    if (thread.name !== `P${i}`) unit.problems.add(thread.line, `${thread.name}() without P${i}()`);
  });
  const looked = Object.fromEntries(threads.map((thread, i) => [thread.name, observed(tail, i)]));
  const globals = new Set(layout.globals.keys());
  const linked = link({
    units: [unit],
    header: before,
    own: {},
    // A function that nobody calls must be right as well.
    roots: [...unit.functions.keys()],
    observed: looked,
    globals,
  });
  const args = threads.map((thread) => argumentsOf(thread, layout, unit));
  unit.problems.check();
  const words = withFunctions(layout, linked.names);
  return {
    name,
    words,
    hasPlainAccesses: [...linked.functions.values()].some(hasPlain),
    threads: threads.map((thread, i) => ({
      name: thread.name,
      start: (places) =>
        running(
          { linked, layout: { ...layout, words }, threads: threads.length, looked },
          { cpu: i, name: thread.name, args: args[i] ?? [], locals: locals.get(i) ?? {} },
          places,
        ),
    })),
    tail,
    show: (value) => shownValue(layout, value),
    valueOf(text) {
      const word = layout.globals.get(text.replace(/^&/, ''));
      if (word !== undefined) return PointerBase.shared + word;
      return /^-?(0x[\da-f]+|\d+)$/i.test(text) ? Number(text) | 0 : undefined;
    },
  };
}

/** The words, with numbers for the functions that some of them point to. */
function withFunctions({ words, functions }: ProgramLayout, names: readonly string[]): ProgramWord[] {
  return words.map((word, i) => {
    const name = functions.get(i);
    return name === undefined ? word : { ...word, initial: PointerBase.function + names.indexOf(name) };
  });
}

function hasPlain({ code }: FunctionCode): boolean {
  return code.some((i) => (i.op === 'load' || i.op === 'store') && i.access === 'plain');
}

/** Parameters of a thread are pointers to the variables of their names. */
function argumentsOf({ name, type, line }: FunctionSource, layout: ProgramLayout, unit: Unit): number[] {
  return type.parameters.map((parameter) => {
    const word = layout.globals.get(parameter.name);
    if (word === undefined)
      unit.problems.add(
        line,
        `${name}(): parameter ${parameter.name} is no variable (have: ${[...layout.globals.keys()].join(', ') || 'none'})`,
      );
    return PointerBase.shared + (word ?? 0);
  });
}

/** A program and one of its threads, as they are run. */
interface Running {
  readonly linked: LinkedProgram<ProgramKernel>;
  readonly layout: ProgramLayout;
  readonly threads: number;
  readonly looked: Readonly<Record<string, readonly string[]>>;
}

interface RunningThread {
  readonly cpu: number;
  readonly name: string;
  readonly args: readonly number[];
  /** What its variables hold before it begins. */
  readonly locals: Readonly<Record<string, number>>;
}

function* running(
  { linked, layout, threads, looked }: Running,
  { cpu, name, args, locals }: RunningThread,
  places: ThreadPlaces,
): Steps<Variables> {
  const kernel = new ProgramKernel(layout, { ...places, threads });
  const thread = new Thread(new Loaded(linked, kernel), cpu, places.dependencies);
  const variables: Record<string, number> = {};
  const finished: Finished = (code, registers) => {
    for (const variable of looked[name] ?? []) {
      const value = registers[code.names.lastIndexOf(variable)];
      if (value === undefined) continue;
      const word = toWord(value);
      if (word === undefined) throw new ModelError(`${code.file}: ${variable} has more than 32 bits in the end`);
      variables[variable] = word;
    }
  };
  yield* runFunction(thread, name, args, finished, locals);
  return variables;
}

/** Variables of a litmus test: those of the initial state, and those that only parameters name. */
function litmusLayout({ initial, locals, name }: LkmmSource, unit: Unit): ProgramLayout {
  const threads = [...unit.functions.values()].filter((f) => THREAD.test(f.name));
  const values = [...initial.values(), ...[...locals.values()].flatMap((own) => [...own.values()])];
  const mentioned = values.flatMap((value) => /^&?([A-Za-z_]\w*)$/.exec(value ?? '')?.[1] ?? []);
  const names = [
    ...new Set([...initial.keys(), ...mentioned, ...threads.flatMap((t) => t.type.parameters.map((p) => p.name))]),
  ];
  const globals = new Map(names.map((variable, i) => [variable, i]));
  const words = names.map((variable) => ({
    name: variable,
    initial: initialValue(initial.get(variable), globals, name),
  }));
  return { words, globals, functions: new Map() };
}

function initialValue(text: string | null | undefined, globals: ReadonlyMap<string, number>, name: string): number {
  if (text === null || text === undefined) return 0;
  const plain = text.replace(/^ATOMIC_INIT\((.*)\)$/, '$1').replace(/^\{\s*(.*?)\s*\}$/, '$1');
  const word = globals.get(plain.replace(/^&/, ''));
  if (word !== undefined) return PointerBase.shared + word;
  if (/^-?(0x[\da-f]+|\d+)$/i.test(plain)) return Number(plain) | 0;
  throw new CError([`${name}: initial state: not supported: ${text}`]);
}
