/** Reads AArch64 litmus tests, in user mode and with page tables (`Variant=vmsa`). */
import { setSomeAccessFlag, type Descriptor, type Translation } from '@shootdown/machine';
import { inOrder, readCondition, readFilter, readLocations, type ConditionDialect } from '../condition.ts';
import { unsupported } from '../errors.ts';
import type { FrontEnd, LitmusTest, Memory, Variable } from '../litmus-test.ts';
import { columnsOf, cutLitmus, statementsOf, type LitmusSource } from '../source.ts';
import { unpackFault } from './faults.ts';
import { decodeProgram, registerOf, type Program, type Register } from './instructions.ts';
import { runThread, type ThreadSpec } from './thread.ts';
import { ordinaryPte, pteName, pteOf, pteWord, readPte, readValue, show, valueOf, type Pte } from './values.ts';

/** The front end of AArch64. */
export const aarch64: FrontEnd = { dialect: 'AArch64', memoryModel: 'arm', read: readAArch64 };

/** What a test starts from. */
interface Initial {
  readonly registers: Map<Register, number>[];
  /** Values of variables. */
  readonly values: Map<string, number>;
  readonly ptes: Map<string, Pte>;
}

/** Translation table hardware management: what hardware updates in descriptors, per thread. */
interface HardwareUpdates {
  accessFlag: boolean;
  dirty: boolean;
}

function readAArch64(text: string): LitmusTest {
  const source = cutLitmus(text);
  checkVariant(source);
  const programs = readPrograms(source);
  const initial = readInitial(source.init, programs.length);
  const hardware = readHardware(source.metadata.get('tthm') ?? '', programs.length);
  const names = new Set([...initial.values.keys(), ...initial.ptes.keys()]);
  for (const registers of initial.registers)
    for (const word of registers.values()) for (const name of variablesIn(word)) names.add(name);
  for (const word of initial.values.values()) for (const name of variablesIn(word)) names.add(name);
  for (const { oa } of initial.ptes.values()) names.add(oa);
  const mentioned = new Set<string>();
  let pages: readonly string[] = [];
  const dialect = conditionDialect(programs, names, mentioned, () => pages);
  const condition = readCondition(source.condition, dialect);
  const filter = source.filter === '' ? undefined : readFilter(source.filter, dialect);
  const observables = inOrder([...condition.observes, ...readLocations(source.locations, dialect)]);
  pages = [...names].filter((name) => mayChange(name, initial));
  const frames = new Map([...names].map((name) => [name, initial.ptes.get(name)?.oa ?? name]));
  const variables: Variable[] = [...names].map((name) => ({ name, initial: initial.values.get(name) ?? 0 }));
  for (const name of names)
    if (pages.includes(name) || mentioned.has(pteName(name)))
      variables.push({ name: pteName(name), initial: pteWord(initial.ptes.get(name) ?? ordinaryPte(name)) });
  const threads = programs.map((program, index) => {
    const shown = observables.filter(({ kind, thread }) => kind === 'register' && thread === index);
    const spec: ThreadSpec = {
      index,
      program,
      initial: initial.registers[index] as Map<Register, number>,
      shown: new Set(shown.map(({ name }) => name)),
      translated: pages,
      frames,
    };
    return { name: `P${index}`, start: (memory: Memory) => runThread(spec, memory) };
  });
  return {
    name: source.name,
    dialect: 'AArch64',
    variables,
    threads,
    hardware: pages.length > 0 && hardware.some(({ accessFlag }) => accessFlag) ? [ACCESS_FLAGS] : [],
    condition,
    filter,
    observables,
    show,
    showFault: (thread, word) => showFault(thread, word, programs, pages),
    translation: pages.length === 0 ? null : (memory, { ets2 }) => translationOf(memory, pages, hardware, ets2),
    needsBreak: pages.length === 0 ? null : (before, after) => needsBreak(before, after, initial),
    warnings: warningsOf(initial),
  };
}

const VARIANTS: readonly string[] = ['vmsa', 'precise', 'fatal', ''];

function checkVariant({ metadata }: LitmusSource): void {
  for (const variant of (metadata.get('variant') ?? '').toLowerCase().split(/[\s,]+/))
    if (!VARIANTS.includes(variant)) unsupported(`Variant=${variant}`);
  if (metadata.has('el0')) unsupported('EL0');
}

export function readPrograms(source: LitmusSource): Program[] {
  const columns = columnsOf(source.body);
  const handlers = new Map<string, readonly string[]>();
  for (const { heading, cells } of columns) if (heading.endsWith('.F')) handlers.set(heading.slice(0, -2), cells);
  const threads = columns.filter(({ heading }) => !heading.endsWith('.F'));
  threads.forEach(({ heading }, index) => {
    if (heading !== `P${index}`) unsupported(`column ${heading}`);
  });
  return threads.map(({ heading, cells }) => decodeProgram(cells, handlers.get(heading) ?? null));
}

const TYPE = /^(?:volatile\s+)?(?:int|uint|pteval_t|u?int(?:8|16|32|64)_t|long)\b\s*/;

export function readInitial(init: string, threads: number): Initial {
  const initial: Initial = {
    registers: Array.from({ length: threads }, () => new Map()),
    values: new Map(),
    ptes: new Map(),
  };
  for (const statement of statementsOf(init)) readStatement(statement.replace(TYPE, ''), initial);
  return initial;
}

function readStatement(statement: string, { registers, values, ptes }: Initial): void {
  const register = /^P?(\d+):\s*([XW]\w+)\s*(?:=\s*([\s\S]+))?$/i.exec(statement);
  if (register) {
    const [, thread = '', name = '', value] = register;
    const of = registers[Number(thread)] ?? unsupported(`a register of thread ${thread}, which does not exist`);
    of.set(registerOf(name), value === undefined ? 0 : readValue(value, null));
    return;
  }
  const pte = /^\[?\s*(?:pte_(\w+)|(?:PTE|TTD)\(\s*(\w+)\s*\))\s*\]?\s*=\s*(\([\s\S]+)$/.exec(statement);
  if (pte) {
    const name = (pte[1] ?? pte[2]) as string;
    ptes.set(name, readPte((pte[3] as string).trim(), name));
    return;
  }
  const variable = /^\*?\[?\s*([A-Za-z_]\w*)\s*\]?\s*(?:=\s*([\s\S]+))?$/.exec(statement);
  if (!variable) unsupported(`initial state: ${statement}`);
  const [, name = '', value] = variable;
  values.set(name, value === undefined ? 0 : readValue(value, null));
}

/** `TTHM=HA HD`, `TTHM=P0:HA`. HD implies HA. */
function readHardware(text: string, threads: number): HardwareUpdates[] {
  const hardware = Array.from({ length: threads }, () => ({ accessFlag: false, dirty: false }));
  for (const item of text.split(/[\s,]+/).filter((part) => part !== '')) {
    const [, thread, feature] = /^(?:P(\d+):)?(HA|HD)$/.exec(item) ?? [];
    if (feature === undefined) unsupported(`TTHM=${item}`);
    hardware.forEach((updates, index) => {
      if (thread !== undefined && Number(thread) !== index) return;
      updates.accessFlag = true;
      if (feature === 'HD') updates.dirty = true;
    });
  }
  return hardware;
}

function variablesIn(word: number): string[] {
  const value = valueOf(word);
  if (value.kind === 'address' || value.kind === 'descriptor') return [value.of];
  return value.kind === 'pte' ? [value.pte.oa] : [];
}

/** A descriptor that somebody can write, or that hardware may find wanting. The others never change. */
function mayChange(name: string, { registers, ptes }: Initial): boolean {
  const written = registers.some((of) =>
    [...of.values()].some((word) => {
      const value = valueOf(word);
      return value.kind === 'descriptor' && value.of === name;
    }),
  );
  const pte = ptes.get(name);
  return written || (pte !== undefined && (pte.valid === 0 || pte.af === 0 || pte.db === 0 || pte.dbm === 1));
}

/** @param pages variables with descriptors that may change; known when the condition has been read */
function conditionDialect(
  programs: readonly Program[],
  names: Set<string>,
  mentioned: Set<string>,
  pages: () => readonly string[],
): ConditionDialect {
  return {
    register: (_thread, name) => registerOf(name),
    variable(text) {
      const [, descriptor] =
        /^(?:(?:PTE|TTD)\(\s*(\w+)\s*\)|pte_(\w+))$/.exec(text)?.filter((part) => part !== undefined) ?? [];
      names.add(descriptor ?? text);
      if (descriptor !== undefined) mentioned.add(pteName(descriptor));
      return descriptor === undefined ? text : pteName(descriptor);
    },
    value(text, { name }) {
      const [, of = null] = /^PTE\((\w+)\)$/.exec(name) ?? [];
      const word = readValue(text, of);
      for (const variable of variablesIn(word)) names.add(variable);
      return word;
    },
    fault: (text) => readFault(text, programs, pages),
  };
}

/** `P1:L0,x,MMU:Translation`. */
function readFault(
  text: string,
  programs: readonly Program[],
  pages: () => readonly string[],
): { readonly thread: number; holds(value: number): boolean } {
  const [where = '', ...rest] = text.split(',').map((part) => part.trim());
  const [, number, label] = /^P?(\d+)(?::(\w+))?$/.exec(where) ?? [];
  if (number === undefined) unsupported(`fault(${text})`);
  const thread = Number(number);
  const program = programs[thread] ?? unsupported(`fault(${text}): no thread ${thread}`);
  const kind = rest.find((part) => /^(MMU|TagCheck|UndefinedInstruction)/.test(part));
  const variable = rest.find((part) => part !== kind);
  const type = kind?.startsWith('MMU') === true ? kind.split(':')[1] : undefined;
  if (kind !== undefined && !kind.startsWith('MMU')) return { thread, holds: () => false };
  const at = label === undefined ? null : (program.labels.get(label) ?? unsupported(`fault(${text}): no label`));
  return {
    thread,
    holds(value) {
      const fault = unpackFault(value);
      if (!fault) return false;
      return (
        (at === null || fault.instruction === at) &&
        (variable === undefined || pages()[fault.page] === variable) &&
        (type === undefined || type === fault.type)
      );
    },
  };
}

const ACCESS_FLAGS = {
  name: 'hardware',
  *start() {
    for (;;) yield* setSomeAccessFlag();
  },
} as const;

function translationOf(
  memory: Memory,
  pages: readonly string[],
  hardware: readonly HardwareUpdates[],
  ets2: boolean,
): Translation {
  return {
    pages: pages.map((name) => memory.at(pteName(name))),
    decode(word): Descriptor {
      const { oa, valid, af, db, dbm } = pteOf(word);
      return {
        valid: valid === 1,
        accessed: af === 1,
        writable: db === 1,
        dirtyManaged: dbm === 1,
        output: memory.at(oa),
      };
    },
    accessed: (word) => pteWord({ ...pteOf(word), af: 1 }),
    dirtied: (word) => pteWord({ ...pteOf(word), db: 1 }),
    ets2,
    hardware,
  };
}

function showFault(thread: number, word: number, programs: readonly Program[], pages: readonly string[]): string {
  const fault = unpackFault(word);
  if (!fault) return `~Fault(P${thread})`;
  const label = [...(programs[thread]?.labels ?? [])].find(([, at]) => at === fault.instruction)?.[0];
  return `Fault(P${thread}${label === undefined ? '' : `:${label}`},${pages[fault.page] ?? '?'},MMU:${fault.type})`;
}

/**
 * Break before make (Arm ARM D8.16.1): a valid descriptor is not replaced by a valid one with other memory attributes,
 * or with another output address if either is writable or the frames differ in what they hold.
 */
function needsBreak(before: number, after: number, { values }: Initial): boolean {
  const [old, now] = [pteOf(before), pteOf(after)];
  // No TLB holds the others.
  if (old.valid === 0 || now.valid === 0 || old.af === 0 || now.af === 0) return false;
  if (old.attrs !== now.attrs) return true;
  if (old.oa === now.oa) return false;
  return old.db === 1 || now.db === 1 || (values.get(old.oa) ?? 0) !== (values.get(now.oa) ?? 0);
}

function warningsOf({ ptes }: Initial): string[] {
  const attributes = [...ptes.values()].some(({ attrs }) => attrs !== '');
  return attributes ? ['memory attributes are not modelled: all memory is Normal'] : [];
}
