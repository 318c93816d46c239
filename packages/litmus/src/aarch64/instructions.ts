/** AArch64 instructions of litmus tests, decoded from text. */
import type { Acquire, BarrierKind } from '@shootdown/machine';
import { unsupported } from '../errors.ts';

/** A register by its 64-bit name, `XZR`, or the flags. */
export type Register = string;

/** Reads as zero; writes to it are lost. */
export const ZERO = 'XZR';
export const FLAGS = 'NZCV';
/** Where an exception returns to (MRS, MSR, ERET). */
export const ELR = 'ELR_EL1';

/** A register or a number. */
export type Operand = { readonly register: Register } | { readonly immediate: bigint };

interface MemoryOperand {
  readonly base: Register;
  /** Register that is added; null: none. */
  readonly offset: Register | null;
  /** Number added to the base register after the access. */
  readonly after: bigint;
}

/** A decoded instruction. */
export type Instruction =
  | { readonly kind: 'nop' }
  | ({
      readonly kind: 'load';
      readonly to: Register;
      readonly acquire: Acquire;
      readonly exclusive: boolean;
    } & MemoryOperand)
  | ({
      readonly kind: 'store';
      readonly from: Operand;
      readonly release: boolean;
      /** Register that says whether a store-exclusive has stored; null: it is none. */
      readonly status: Register | null;
    } & MemoryOperand)
  | ({
      readonly kind: 'atomic';
      /** `swp`, `cas`, or an operation on the old value and `from`. */
      readonly operation: string;
      readonly to: Register;
      readonly from: Register;
      /** What a CAS compares with. */
      readonly expected: Register | null;
      readonly acquire: Acquire;
      readonly release: boolean;
    } & MemoryOperand)
  | {
      readonly kind: 'compute';
      readonly operation: string;
      readonly to: Register;
      readonly left: Operand;
      readonly right: Operand;
    }
  | { readonly kind: 'compare'; readonly left: Operand; readonly right: Operand }
  | {
      readonly kind: 'select';
      readonly to: Register;
      readonly equal: boolean;
      readonly whenTrue: Operand;
      readonly otherwise: Operand;
      /** CSET: the flags are data, not a choice. */
      readonly fromFlags: boolean;
    }
  /** `when`: zero, nonzero (of a register), always. */
  | { readonly kind: 'branch'; readonly on: Register | null; readonly zero: boolean; readonly to: string }
  | { readonly kind: 'address-of'; readonly to: Register; readonly label: string }
  | { readonly kind: 'barrier'; readonly barrier: 'dmb' | 'dsb'; readonly type: BarrierKind }
  | { readonly kind: 'isb' }
  | { readonly kind: 'return' }
  /** By page, by ASID, or of everything (both null). */
  | {
      readonly kind: 'tlbi';
      readonly page: Register | null;
      readonly asid: Register | null;
      readonly broadcast: boolean;
    };

/** An instruction as it stands, and decoded. */
export interface Decoded {
  readonly text: string;
  readonly instruction: Instruction;
}

/** A program: instructions and where its labels are. */
export interface Program {
  readonly instructions: readonly Decoded[];
  /** Index of the instruction behind each label. */
  readonly labels: ReadonlyMap<string, number>;
  /** Index of the first instruction of the fault handler; the number of instructions if there is none. */
  readonly handler: number;
}

/** Decodes the cells of a column, and of its fault handler. */
export function decodeProgram(cells: readonly string[], handlerCells: readonly string[] | null): Program {
  const instructions: Decoded[] = [];
  const labels = new Map<string, number>();
  const add = (cell: string): void => {
    let text = cell;
    for (let label = LABEL.exec(text); label; label = LABEL.exec(text)) {
      labels.set(label[1] as string, instructions.length);
      text = text.slice(label[0].length);
    }
    if (text !== '') instructions.push({ text, instruction: decode(text) });
  };
  cells.forEach(add);
  const handler = instructions.length;
  handlerCells?.forEach(add);
  return { instructions, labels, handler };
}

const LABEL = /^(\w+):\s*/;

/** The registers of a name: W and X forms are one. */
export function registerOf(text: string): Register {
  const found = /^[XW](\d+|ZR)$/i.exec(text.trim());
  if (!found) return unsupported(`register ${text.trim()}`);
  return `X${(found[1] as string).toUpperCase()}`;
}

function operandOf(text: string): Operand {
  const plain = text.trim().replace(/^#/, '');
  if (/^-?(?:0x[0-9a-f]+|\d+)$/i.test(plain))
    return { immediate: plain.startsWith('-') ? -BigInt(plain.slice(1)) : BigInt(plain) };
  return { register: registerOf(plain) };
}

/** `[X1]`, `[X1,W2,SXTW]`, `[X1],#4`. */
function memoryOf(text: string): MemoryOperand {
  const found = /^\[\s*(\w+)\s*(?:,\s*([^\],]+?)\s*)?(?:,\s*(SXTW|UXTW|LSL\s*#\s*0)\s*)?\]\s*(?:,\s*#?(-?\d+))?$/i.exec(
    text.trim(),
  );
  if (!found) return unsupported(`address ${text}`);
  const [, base = '', index, , after] = found;
  const zero = index === undefined || /^#?0$/.test(index);
  return {
    base: registerOf(base),
    offset: zero ? null : registerOf(index),
    after: after === undefined ? 0n : BigInt(after),
  };
}

/** Operands before the address, and the address. */
function accessOf(text: string): { readonly registers: string[]; readonly memory: MemoryOperand } {
  const bracket = text.indexOf('[');
  if (bracket < 0) return unsupported(`no address in ${text}`);
  return {
    registers: text
      .slice(0, bracket)
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== ''),
    memory: memoryOf(text.slice(bracket)),
  };
}

const ARITHMETIC = ['EOR', 'AND', 'ADD', 'SUB', 'ORR', 'LSR', 'LSL', 'BIC', 'MUL'];
const ATOMIC_OPERATIONS: Readonly<Record<string, string>> = { ADD: 'add', SET: 'orr', CLR: 'bic', EOR: 'eor' };

/** Decodes one instruction. */
function decode(text: string): Instruction {
  const plain = text.trim();
  const name = (plain.split(/\s/)[0] as string).toUpperCase();
  const rest = plain.slice(name.length).trim();
  return (
    decodeAccess(name, rest) ??
    decodeAtomic(name, rest) ??
    decodeArithmetic(name, rest) ??
    decodeControl(name, rest) ??
    decodeSystem(name, rest) ??
    unsupported(`instruction ${plain}`)
  );
}

function decodeAccess(name: string, rest: string): Instruction | null {
  switch (name) {
    case 'LDR':
    case 'LDAR':
    case 'LDAPR':
    case 'LDXR':
    case 'LDAXR': {
      const { registers, memory } = accessOf(rest);
      const acquire = ['LDAR', 'LDAXR'].includes(name) ? 'full' : name === 'LDAPR' ? 'pc' : 'none';
      return { kind: 'load', to: registerOf(registers[0] ?? ''), acquire, exclusive: name.includes('X'), ...memory };
    }
    case 'STR':
    case 'STLR': {
      const { registers, memory } = accessOf(rest);
      const from = operandOf(registers[0] ?? '');
      return { kind: 'store', from, release: name === 'STLR', status: null, ...memory };
    }
    case 'STXR':
    case 'STLXR': {
      const { registers, memory } = accessOf(rest);
      const [status = '', from = ''] = registers;
      return { kind: 'store', from: operandOf(from), release: name === 'STLXR', status: registerOf(status), ...memory };
    }
    default:
      return null;
  }
}

function decodeAtomic(name: string, rest: string): Instruction | null {
  const [, operation, suffix = ''] = /^(SWP|CAS|(?:LD|ST)(?:ADD|SET|CLR|EOR))(AL|A|L)?$/.exec(name) ?? [];
  if (operation === undefined) return null;
  const { registers, memory } = accessOf(rest);
  const [first, second] = registers.map(registerOf);
  const semantics = { acquire: suffix.includes('A') ? 'full' : 'none', release: suffix.includes('L') } as const;
  if (first === undefined) return unsupported(`${name} ${rest}`);
  const common = { kind: 'atomic', expected: null, ...semantics, ...memory } as const;
  if (operation.startsWith('ST'))
    return { ...common, operation: ATOMIC_OPERATIONS[operation.slice(2)] as string, from: first, to: ZERO };
  if (second === undefined) return unsupported(`${name} ${rest}`);
  if (operation === 'CAS') return { ...common, operation: 'cas', expected: first, from: second, to: first };
  return {
    ...common,
    operation: operation === 'SWP' ? 'swp' : (ATOMIC_OPERATIONS[operation.slice(2)] as string),
    from: first,
    to: second,
  };
}

function decodeArithmetic(name: string, rest: string): Instruction | null {
  const parts = rest.split(',').map((part) => part.trim());
  const [to = '', left = '', right = '', condition = ''] = parts;
  // Values are never so large that extending one would change it.
  const extended = /^[SU]XTW(\s+#0)?$/i.test(condition);
  if (name === 'NOP') return { kind: 'nop' };
  if (name === 'MOV')
    return { kind: 'compute', operation: 'mov', to: registerOf(to), left: operandOf(left), right: { immediate: 0n } };
  if (ARITHMETIC.includes(name) && (parts.length === 3 || extended))
    return {
      kind: 'compute',
      operation: name.toLowerCase(),
      to: registerOf(to),
      left: operandOf(left),
      right: operandOf(right),
    };
  if (name === 'CMP') return { kind: 'compare', left: operandOf(to), right: operandOf(left) };
  if (name === 'CSEL')
    return {
      kind: 'select',
      to: registerOf(to),
      equal: isEqual(condition),
      whenTrue: operandOf(left),
      otherwise: operandOf(right),
      fromFlags: false,
    };
  if (name === 'CSET')
    return {
      kind: 'select',
      to: registerOf(to),
      equal: isEqual(left),
      whenTrue: { immediate: 1n },
      otherwise: { immediate: 0n },
      fromFlags: true,
    };
  if (name === 'ADR') return { kind: 'address-of', to: registerOf(to), label: left };
  return null;
}

function isEqual(condition: string): boolean {
  const name = condition.toUpperCase();
  return name === 'EQ' || (name === 'NE' ? false : unsupported(`condition ${condition}`));
}

function decodeControl(name: string, rest: string): Instruction | null {
  switch (name) {
    case 'B':
      return { kind: 'branch', on: null, zero: false, to: rest };
    case 'B.EQ':
    case 'BEQ':
      return { kind: 'branch', on: FLAGS, zero: true, to: rest };
    case 'B.NE':
    case 'BNE':
      return { kind: 'branch', on: FLAGS, zero: false, to: rest };
    case 'CBZ':
    case 'CBNZ': {
      const [register = '', to = ''] = rest.split(',').map((part) => part.trim());
      return { kind: 'branch', on: registerOf(register), zero: name === 'CBZ', to };
    }
    case 'ERET':
      return { kind: 'return' };
    default:
      return null;
  }
}

function decodeSystem(name: string, rest: string): Instruction | null {
  switch (name) {
    case 'ISB':
      return { kind: 'isb' };
    case 'DMB':
    case 'DSB': {
      const domain = rest.trim().toUpperCase();
      const found = /^(SY|ISH|OSH|NSH)?(LD|ST)?$/.exec(domain);
      if (!found) return unsupported(`barrier ${name} ${rest}`);
      const type = found[2] === 'LD' ? 'load' : found[2] === 'ST' ? 'store' : 'full';
      return { kind: 'barrier', barrier: name === 'DMB' ? 'dmb' : 'dsb', type };
    }
    case 'MSR':
    case 'MRS': {
      const [first = '', second = ''] = rest.split(',').map((part) => part.trim());
      const [to, from] = name === 'MSR' ? [first, registerOf(second)] : [registerOf(first), second];
      const system = name === 'MSR' ? to : from;
      if (system.toUpperCase() !== ELR) return unsupported(`system register ${system}`);
      return {
        kind: 'compute',
        operation: 'mov',
        to: name === 'MSR' ? ELR : to,
        left: { register: name === 'MSR' ? from : ELR },
        right: { immediate: 0n },
      };
    }
    case 'TLBI': {
      const [operation = '', operand] = rest.split(',').map((part) => part.trim());
      const found = /^(VMALLE1|ASIDE1|VAAE1|VAE1|VAALE1|VALE1)(IS)?$/.exec(operation.toUpperCase());
      if (!found) return unsupported(`TLBI ${operation}`);
      const broadcast = found[2] === 'IS';
      if (found[1] === 'VMALLE1') return { kind: 'tlbi', page: null, asid: null, broadcast };
      if (operand === undefined) return unsupported(`TLBI ${rest}`);
      const register = registerOf(operand);
      if (found[1] === 'ASIDE1') return { kind: 'tlbi', page: null, asid: register, broadcast };
      return { kind: 'tlbi', page: register, asid: null, broadcast };
    }
    default:
      return null;
  }
}
