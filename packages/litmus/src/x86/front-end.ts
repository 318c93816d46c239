/** Reads X86_64 litmus tests: MOV, XCHG, MFENCE and the locked instructions that they use. */
import {
  accessOf,
  addTo,
  barrier,
  performAccess,
  point,
  swapTo,
  type Access,
  type Modify,
  type Steps,
} from '@shootdown/machine';
import { inOrder, readCondition, readFilter, readLocations, type ConditionDialect } from '../condition.ts';
import { unsupported } from '../errors.ts';
import type { FrontEnd, LitmusTest, Memory, Registers } from '../litmus-test.ts';
import { columnsOf, cutLitmus, statementsOf } from '../source.ts';

/** The front end of X86_64. */
export const x86: FrontEnd = { dialect: 'X86_64', memoryModel: 'tso', read: readX86 };

/** `$1`, `%rax` or `(x)`. */
type Operand =
  | { readonly kind: 'immediate'; readonly value: number }
  | { readonly kind: 'register'; readonly name: string }
  | { readonly kind: 'memory'; readonly name: string };

/** AT&T order: source, destination. */
interface Instruction {
  readonly text: string;
  readonly name: 'mov' | 'xchg' | 'add' | 'inc' | 'mfence';
  readonly locked: boolean;
  readonly operands: readonly Operand[];
}

function readX86(text: string): LitmusTest {
  const source = cutLitmus(text);
  const columns = columnsOf(source.body);
  const programs = columns.map(({ cells }) => cells.map(decode));
  const names = new Set<string>();
  for (const { operands } of programs.flat()) for (const o of operands) if (o.kind === 'memory') names.add(o.name);
  const values = new Map<string, number>();
  const registers = programs.map(() => new Map<string, number>());
  for (const statement of statementsOf(source.init)) readStatement(statement, values, registers, names);
  const dialect: ConditionDialect = {
    register: (_thread, name) => registerOf(name),
    variable(name) {
      names.add(name);
      return name;
    },
    value: readNumber,
  };
  const condition = readCondition(source.condition, dialect);
  const filter = source.filter === '' ? undefined : readFilter(source.filter, dialect);
  const observables = inOrder([...condition.observes, ...readLocations(source.locations, dialect)]);
  return {
    name: source.name,
    dialect: 'X86_64',
    variables: [...names].map((name) => ({ name, initial: values.get(name) ?? 0 })),
    threads: programs.map((program, index) => {
      const shown = observables.filter(({ kind, thread }) => kind === 'register' && thread === index);
      const names = shown.map(({ name }) => name);
      return {
        name: `P${index}`,
        start: (memory: Memory) => runProgram(program, registers[index] as Map<string, number>, names, memory),
      };
    }),
    hardware: [],
    condition,
    filter,
    observables,
    show: String,
    showFault: (thread) => `~Fault(P${thread})`,
    translation: null,
    needsBreak: null,
    warnings: [],
  };
}

function readNumber(text: string): number {
  if (!/^-?(0x[0-9a-f]+|\d+)$/i.test(text)) unsupported(`value ${text}`);
  const value = text.startsWith('-') ? -Number(text.slice(1)) : Number(text);
  return value === (value | 0) ? value : unsupported(`value ${text}`);
}

function readStatement(
  statement: string,
  values: Map<string, number>,
  registers: readonly Map<string, number>[],
  names: Set<string>,
): void {
  const plain = statement.replace(/^(?:int|long|u?int(?:32|64)_t)\s+/, '');
  const register = /^P?(\d+):\s*(\w+)\s*(?:=\s*(\S+))?$/.exec(plain);
  const variable = /^\[?([A-Za-z_]\w*)\]?\s*(?:=\s*(\S+))?$/.exec(plain);
  if (register) {
    const of = registers[Number(register[1])] ?? unsupported(`a register of thread ${register[1] ?? ''}`);
    of.set(registerOf(register[2] ?? ''), readNumber(register[3] ?? '0'));
  } else if (variable) {
    values.set(variable[1] ?? '', readNumber(variable[2] ?? '0'));
    names.add(variable[1] ?? '');
  } else unsupported(`initial state: ${statement}`);
}

/** `eax` and `rax` are one. */
function registerOf(name: string): string {
  return name.toLowerCase().replace(/^[er]([a-d]x|[sd]i|[sb]p)$/, 'r$1');
}

function decode(text: string): Instruction {
  const [, lock, name = '', rest = ''] = /^(lock\s*;?\s*)?([a-z]+)\s*(.*)$/i.exec(text.trim()) ?? [];
  const plain = name.toLowerCase().replace(/[ql]$/, '');
  const operands = rest === '' ? [] : rest.split(/,(?![^(]*\))/).map((part) => decodeOperand(part.trim()));
  if (!['mov', 'xchg', 'add', 'inc', 'mfence'].includes(plain)) unsupported(`instruction ${text}`);
  const instruction = { text, name: plain as Instruction['name'], locked: lock !== undefined, operands };
  if (operands.filter(({ kind }) => kind === 'memory').length > 1) unsupported(`instruction ${text}`);
  return instruction;
}

function decodeOperand(text: string): Operand {
  const [, immediate, register, memory] = /^(?:\$(-?\w+)|%(\w+)|[([](\w+)[)\]])$/.exec(text) ?? [];
  if (immediate !== undefined) return { kind: 'immediate', value: readNumber(immediate) };
  if (register !== undefined) return { kind: 'register', name: registerOf(register) };
  if (memory !== undefined) return { kind: 'memory', name: memory };
  return unsupported(`operand ${text}`);
}

/** A program: no branches, so where it stands and its registers are all there is. */
function* runProgram(
  program: readonly Instruction[],
  initial: ReadonlyMap<string, number>,
  shown: readonly string[],
  memory: Memory,
): Steps<Registers> {
  const registers = new Map(initial);
  const valueOf = (o: Operand): number => {
    if (o.kind === 'immediate') return o.value;
    return o.kind === 'register' ? (registers.get(o.name) ?? 0) : unsupported('a memory operand read twice');
  };
  for (const [at, instruction] of program.entries()) {
    const names = [...registers.keys()].sort();
    yield* point('at', at, ...names.map((name) => registers.get(name) ?? 0));
    const { name, operands, text } = instruction;
    const [from, to = from] = operands;
    if (name === 'mfence') {
      yield* barrier('dmb', 'full', { label: text });
      continue;
    }
    if (!from || !to) unsupported(`instruction ${text}`);
    const place = [from, to].find(({ kind }) => kind === 'memory');
    if (!place || place.kind !== 'memory') {
      if (name !== 'mov' || to.kind !== 'register') unsupported(`instruction ${text}`);
      registers.set(to.name, valueOf(from));
      continue;
    }
    const address = memory.at(place.name);
    const other = from === place ? to : from;
    const request = requestOf(instruction, address, from === place, other, valueOf);
    const result = yield* performAccess(request, {
      label: text,
      fact: (value) => (request.kind === 'store' ? undefined : String(value)),
    });
    if (request.kind !== 'store' && other.kind === 'register' && name !== 'add') registers.set(other.name, result);
  }
  return Object.fromEntries(shown.map((name) => [name, registers.get(name) ?? 0]));
}

function requestOf(
  { name, locked, text }: Instruction,
  address: number,
  loads: boolean,
  other: Operand,
  valueOf: (operand: Operand) => number,
): Access {
  const locks = (modify: Modify): Access =>
    accessOf({ kind: 'update', address, modify, acquire: 'full', release: true });
  if (name === 'xchg') return locks(swapTo(valueOf(other)));
  if (name === 'inc' && locked) return locks(addTo(1));
  if (name === 'add' && locked && !loads) return locks(addTo(valueOf(other)));
  if (name !== 'mov') return unsupported(`instruction ${text}`);
  return loads ? accessOf({ kind: 'load', address }) : accessOf({ kind: 'store', address, value: valueOf(other) });
}
