/** Puts files and a scenario's offer together: every name that is used must be one of theirs. */
import { nearestName, unknownName, type KernelRoutines } from '@shootdown/explorer';
import { smp_mb, smp_rmb, smp_wmb } from '@shootdown/machine';
import { checkedOffer, checkParameters, nameIn } from './checked.ts';
import type { FunctionCode } from './compile/code.ts';
import { FunctionCompiler } from './compile/statements.ts';
import { CError } from './diagnostics.ts';
import { BARRIERS, FOR_GCC, PRELUDE } from './prelude.ts';
import type { AnyOffer, CFunction, KernelOffer } from './run/offer.ts';
import type { Binding, LinkedProgram } from './run/program.ts';
import { prototypeText } from './types/declarations.ts';
import { sameType } from './types/types.ts';
import { readUnit, type FunctionSource, type Unit } from './types/unit.ts';

/** What any kernel has: barriers, and the number of the CPU. */
const BARRIER_FUNCTIONS: Readonly<Record<string, CFunction<object>>> = {
  'void smp_mb(void)': () => smp_mb(),
  'void smp_rmb(void)': () => smp_rmb(),
  'void smp_wmb(void)': () => smp_wmb(),
  'void smp_mb__before_atomic(void)': () => smp_mb(),
  'void smp_mb__after_atomic(void)': () => smp_mb(),
  'int smp_processor_id(void)': ({ cpu }) => cpu,
};

/** A scenario's header, read. */
export interface Header<K extends object> {
  readonly offer: KernelOffer<K>;
  readonly unit: Unit;
  readonly bindings: ReadonlyMap<string, Binding<K>>;
  /** Names of the routines that C may replace. */
  readonly replaceable: readonly string[];
}

/** The C text of an offer, as our parser reads it. */
function headerText(
  offer: Pick<AnyOffer, 'header'> & { readonly functions: object; readonly routines: object },
  parameters: Readonly<Record<string, number>>,
): string {
  const prototypes = [...Object.keys(offer.functions), ...Object.keys(offer.routines)].map((text) => `${text};`);
  return [PRELUDE, BARRIERS, offer.header(parameters), prototypes.join('\n'), ''].join('\n');
}

/** The same for a C compiler: `list --c` prints it. Throws ModelError on an offer that means nothing. */
export function printedHeader(offer: AnyOffer, parameters: Readonly<Record<string, number>>): string {
  checkParameters(parameters);
  return `${FOR_GCC}${headerText(checkedOffer(offer), parameters)}`.trimStart();
}

/** Reads what a scenario offers. */
export async function readHeader<K extends object>(
  offer: KernelOffer<K>,
  parameters: Readonly<Record<string, number>>,
): Promise<Header<K>> {
  const unit = await readUnit('header', headerText(offer, parameters));
  unit.problems.check();
  for (const type of unit.scope.tags.values())
    if (type.fields === null || Object.hasOwn(offer.structs ?? {}, type.name)) type.modelled = true;
  const known = [...unit.scope.tags.values()].map(({ name }) => name);
  for (const name of Object.keys(offer.structs ?? {}))
    if (!known.includes(name)) throw new CError([`header: structs: no type ${unknownName(name, known)}`]);
  const bindings = new Map<string, Binding<K>>();
  const bind = (prototype: string, run: CFunction<K>): string => {
    const name = nameIn(prototype);
    const type = unit.scope.functions.get(name);
    if (!type) throw new CError([`header: not understood: ${prototype}`]);
    bindings.set(name, { name, type, run });
    return name;
  };
  for (const [prototype, run] of Object.entries(BARRIER_FUNCTIONS)) bind(prototype, run);
  for (const [prototype, run] of Object.entries(offer.functions)) bind(prototype, run);
  const replaceable = Object.entries(offer.routines).map(([prototype, routine]) => bind(prototype, routine.call));
  return { offer, unit, bindings, replaceable };
}

/** What a linked program is made of. */
export interface LinkRequest<K extends object> {
  readonly units: readonly Unit[];
  readonly header: Header<K>;
  readonly own: KernelRoutines;
  /** Functions that somebody outside calls. */
  readonly roots: readonly string[];
  /** Local variables of them that somebody reads when they have returned. */
  readonly observed?: Readonly<Record<string, readonly string[]>>;
  /** The scenario has no variables of these files, but whoever links has. */
  readonly globals?: ReadonlySet<string>;
}

/** Compiles and links. Throws CError with every mistake. */
export function link<K extends object>(request: LinkRequest<K>): LinkedProgram<K> {
  const { header, units, own, observed = {} } = request;
  const sources = sourcesOf([header.unit, ...units]);
  for (const { unit, source } of sources.values()) if (unit !== header.unit) checkPrototype(unit, source, header);
  const functions = new Map<string, FunctionCode>();
  const wanted = [...request.roots];
  for (let name = wanted.pop(); name !== undefined; name = wanted.pop()) {
    const found = sources.get(name);
    if (!found || functions.has(name)) continue;
    const code = new FunctionCompiler(found.unit, found.source).compile(observed[name] ?? []);
    functions.set(name, code);
    wanted.push(...namesUsed(code, found.unit, sources, request));
  }
  const lines = [header.unit, ...units].flatMap((unit) => linesOf(unit));
  if (lines.length > 0) throw new CError(lines);
  return {
    offer: header.offer,
    scope: header.unit.scope,
    functions,
    bindings: header.bindings,
    own,
    usesStack: [...functions.values()].some(({ cells }) => cells > 0),
    names: [...new Set([...functions.keys(), ...header.bindings.keys()])],
    files: units.length,
  };
}

interface Source {
  readonly unit: Unit;
  readonly source: FunctionSource;
}

function sourcesOf(units: readonly Unit[]): Map<string, Source> {
  const sources = new Map<string, Source>();
  units.forEach((unit, i) => {
    for (const [name, source] of unit.functions) {
      const other = sources.get(name);
      if (other && i > 0 && other.unit !== units[0])
        unit.problems.add(source.line, `${name}() is also in ${other.unit.file}`);
      sources.set(name, { unit, source });
    }
  });
  return sources;
}

/** A function of a file that has the name of one of the scenario's must look the same from outside. */
function checkPrototype<K extends object>(unit: Unit, { name, type, line }: FunctionSource, header: Header<K>): void {
  const offered = header.unit.scope.function(name);
  if (offered && !sameType(offered, type))
    unit.problems.add(line, `${name}(): expected ${prototypeText(name, offered)}, have ${prototypeText(name, type)}`);
}

/** Checks the names that a function uses; returns the functions among them. */
function namesUsed<K extends object>(
  code: FunctionCode,
  unit: Unit,
  sources: ReadonlyMap<string, Source>,
  { header, globals }: LinkRequest<K>,
): string[] {
  return code.code.flatMap((instruction) => {
    if (instruction.op === 'global') {
      const { name, line } = instruction;
      if (!globals?.has(name) && !header.unit.scope.variables.has(name)) unit.problems.add(line, notThere(name));
      return [];
    }
    if (instruction.op !== 'call' && instruction.op !== 'function') return [];
    const { name, line } = instruction;
    if (!sources.has(name) && !header.bindings.has(name)) {
      const near = nearestName(name, [...sources.keys(), ...header.bindings.keys()]);
      unit.problems.add(
        line,
        `${name}() is declared, but neither defined here nor in this scenario's kernel${near === undefined ? '' : `: is ${near} meant?`}`,
      );
    }
    return [name];
  });
}

function notThere(name: string): string {
  return name.includes('.')
    ? `${name} is static: this scenario has no memory for it: use a variable of its kernel`
    : `${name} is no variable of this scenario's kernel, and a replaced function can bring none`;
}

function linesOf(unit: Unit): readonly string[] {
  try {
    unit.problems.check();
    return [];
  } catch (error) {
    if (error instanceof CError) return error.lines;
    throw error;
  }
}
