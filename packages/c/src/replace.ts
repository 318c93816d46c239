/** C functions as routines that take the place of a scenario's own. */
import { unknownName, type KernelRoutines } from '@shootdown/explorer';
import { inlined, routine, type Routine, type Steps } from '@shootdown/machine';
import { checkRequest } from './checked.ts';
import type { Value } from './compile/code.ts';
import { wrapped } from './compile/conversions.ts';
import { CError } from './diagnostics.ts';
import { link, readHeader, type Header } from './link.ts';
import { runFunction } from './run/interpret.ts';
import type { CArgument, Entered, FilledWords, KernelOffer, ReplaceableRoutine } from './run/offer.ts';
import { Loaded } from './run/program.ts';
import { Thread } from './run/thread.ts';
import { fromWord, stackPointer } from './run/words.ts';
import { isInt, scalarOf, type CType, type FunctionType } from './types/types.ts';
import { readUnit, type Unit } from './types/unit.ts';

/** A file as it was given. */
export interface CFile {
  /** How messages call it. */
  readonly name: string;
  readonly text: string;
}

/** C functions to put in the place of those of a kernel. */
export interface ReplaceRequest {
  readonly offer: KernelOffer<never>;
  readonly files: readonly CFile[];
  readonly parameters: Readonly<Record<string, number>>;
  /** What the variant has by kernel identifier. */
  readonly own: KernelRoutines;
  /** That nothing is replaced is no mistake. */
  readonly optional?: boolean;
}

/**
 * Compiles files into routines: one for each function that has the name of a routine of the scenario. Throws CError if
 * there is none, and for every mistake in the files; ModelError on a request that means nothing.
 */
export async function replacements(request: ReplaceRequest): Promise<KernelRoutines> {
  checkRequest(request);
  return await replacementsOf(request as unknown as TypedRequest<object>);
}

interface TypedRequest<K extends object> extends Omit<ReplaceRequest, 'offer'> {
  readonly offer: KernelOffer<K>;
}

async function replacementsOf<K extends object>(request: TypedRequest<K>): Promise<KernelRoutines> {
  const { offer, files, parameters, own } = request;
  const header = await readHeader(offer, parameters);
  const units = await Promise.all(files.map(({ name, text }) => readUnit(name, text, header.unit)));
  for (const unit of units) if (unit.syntaxError) unit.problems.check();
  const known = header.replaceable.filter((name) => Object.hasOwn(own, name));
  const roots = [...new Set(units.flatMap((unit) => [...unit.functions.keys()]))].filter((name) =>
    known.includes(name),
  );
  const program = link({ units, header, own, roots: roots.length > 0 ? roots : allOf(units) });
  if (roots.length === 0 && request.optional !== true) throw nothingToReplace(units, known);
  const loaded = new WeakMap<K, Loaded<K>>();
  const load = (kernel: K): Loaded<K> => {
    let found = loaded.get(kernel);
    if (!found) loaded.set(kernel, (found = new Loaded(program, kernel)));
    return found;
  };
  return Object.fromEntries(roots.map((name) => [name, asRoutine(name, header, load)]));
}

function allOf(units: readonly Unit[]): string[] {
  return units.flatMap((unit) => [...unit.functions.keys()]);
}

function nothingToReplace(units: readonly Unit[], known: readonly string[]): CError {
  const [unit] = units;
  const [first] = unit?.functions.values() ?? [];
  if (!unit || !first)
    return new CError([`${unit?.file ?? 'c'}:1: no function here (can be replaced: ${known.join(', ')})`]);
  return new CError([
    `${unit.file}:${first.line}: nothing here has the name of a routine: ${unknownName(first.name, known)}`,
  ]);
}

function asRoutine<K extends object>(
  name: string,
  header: Header<K>,
  load: (kernel: K) => Loaded<K>,
): Routine<never[]> {
  const type = header.unit.scope.functions.get(name) as FunctionType;
  const place = routineNamed(header.offer, name);
  return routine<never[], CArgument | void>(name, function* (...given): Steps<CArgument | void> {
    const { kernel, cpu, args: own, leave } = place.enter(...given);
    const loaded = load(kernel as K);
    const thread = new Thread(loaded, cpu);
    const body = function* (args: Entered['args'] = own): Steps<CArgument | void> {
      const filled: { readonly type: CType; readonly base: number; readonly cells: number }[] = [];
      const before = thread.stack.cells.length;
      const values = type.parameters.map(({ type: parameter }, i): Value => {
        const arg = args[i] ?? 0;
        if (!isFilled(arg)) return toValue(arg, parameter, loaded);
        const base = thread.stack.push(arg.out, name);
        const to = parameter.kind === 'pointer' ? parameter.to : parameter;
        for (let cell = 0; cell < arg.out; cell++)
          thread.stack.cells[base + cell] = toValue(arg.first?.[cell] ?? 0, cellType(to, cell), loaded);
        filled.push({ type: to, base, cells: arg.out });
        return stackPointer(cpu, base);
      });
      const result = yield* runFunction(thread, name, values);
      const returned = result === undefined ? undefined : fromValue(result, type.returns, loaded);
      const words = filled.map(({ type: to, base, cells }) =>
        thread.stack.cells.slice(base, base + cells).map((cell) => fromValue(cell ?? 0, to, loaded)),
      );
      for (const { base } of [...filled].reverse()) thread.stack.pop(base);
      thread.stack.cells.length = before;
      return leave ? leave(returned, words) : returned;
    };
    // In a frame of its own: its points say nothing of what is around it.
    return yield* place.around ? place.around(inlined(body), ...given) : body();
  });
}

function routineNamed<K extends object>(offer: KernelOffer<K>, name: string): ReplaceableRoutine<K> {
  const found = Object.entries(offer.routines).find(([prototype]) => new RegExp(`\\b${name}\\s*\\(`).test(prototype));
  if (!found) throw new CError([`header: no routine ${name}`]);
  return found[1];
}

/** Type of the word at a place of what an argument points to. */
function cellType(to: CType, cell: number): CType {
  const field = to.kind === 'struct' && scalarOf(to) === null ? to.fields?.find((f) => f.offset === cell) : undefined;
  return field?.type ?? to;
}

function isFilled(arg: CArgument | FilledWords): arg is FilledWords {
  return typeof arg === 'object' && 'out' in arg;
}

/** What the scenario hands over, as C has it. */
function toValue<K extends object>(given: CArgument, type: CType, { heap }: Loaded<K>): Value {
  if (typeof given === 'object' || type.kind === 'pointer') return given === 0 ? 0 : heap.pointer(given);
  const held = scalarOf(type);
  return isInt(type) ? wrapped(BigInt(given), type) : held ? fromWord(given, held) : 0;
}

/** What a function returns, as the scenario has it. */
function fromValue<K extends object>(value: Value, type: CType, { heap }: Loaded<K>): CArgument {
  const number = Number(value);
  return type.kind === 'pointer' ? (heap.object(number) ?? number) : number;
}
