/**
 * Which loads a value came from: what the Arm model needs of a program. Registers carry slots of loads as bit masks,
 * the thread what its branches depended on since the last access. Kernel routines do without: all their stores are
 * after all their loads.
 */
import { hashString, NO_SLOT, type Dependencies } from '@shootdown/machine';
import { NONE, reads, writes, type AccessInstruction, type FunctionCode, type Instruction } from '../compile/code.ts';

const SLOTS = 30;

/** Which access of a program it is: by its function and its place there. */
const PLACES = 1 << 12;
const FUNCTIONS = 1 << 18;

function siteOf({ name }: FunctionCode, pc: number): number {
  return (hashString(name).lo & (FUNCTIONS - 1)) * PLACES + (pc & (PLACES - 1));
}

/** An access within a call: where it stands, the register of its address, and those of its data. */
interface Place {
  readonly pc: number;
  readonly address: number | null;
  readonly data: readonly number[];
  readonly thread: {
    control: number | null;
    readonly below: readonly number[];
    readonly stack: { readonly needed: number };
  };
}

/** The loads behind the registers of one call. */
export class Origins {
  readonly #slots: number[];
  readonly #code: FunctionCode;

  constructor(code: FunctionCode) {
    this.#code = code;
    this.#slots = Array.from({ length: code.registers }, () => 0);
  }

  of(register: number): number {
    return this.#slots[register] ?? 0;
  }

  set(register: number, slots: number): void {
    if (register >= 0) this.#slots[register] = slots;
  }

  /** What an instruction that is no access makes of its operands. */
  pass(instruction: Instruction): void {
    this.set(
      writes(instruction),
      reads(instruction).reduce((slots, r) => slots | this.of(r), 0),
    );
  }

  /** Slots of the registers that matter from an instruction on. */
  live(pc: number, but = NO_SLOT): number {
    return (this.#code.live[pc] ?? []).reduce((slots, r) => (r === but ? slots : slots | this.of(r)), 0);
  }

  words(registers: readonly number[]): number[] {
    return registers.map((r) => this.of(r));
  }

  /** What an access depends on; its result gets a slot if somebody uses it. */
  ask(i: AccessInstruction, { pc, address, data, thread }: Place): Dependencies {
    const of = (registers: readonly number[]): number => registers.reduce((slots, r) => slots | this.of(r), 0);
    const d = 'd' in i ? i.d : NONE;
    const live = this.#code.live[pc + 1] ?? [];
    const compares = i.op === 'atomic' && i.atomic.operation === 'cmpxchg';
    const dependencies = dependenciesOf({
      address: address === null ? 0 : this.of(address),
      data: of(compares ? data.slice(1) : data),
      expected: compares ? of(data.slice(0, 1)) : 0,
      control: thread.control ?? 0,
      later: this.live(pc + 1, d) | (thread.below.at(-1) ?? 0) | thread.stack.needed,
      used: live.includes(d),
      site: siteOf(this.#code, pc),
    });
    thread.control = 0;
    this.set(d, dependencies.into === NO_SLOT ? 0 : 1 << dependencies.into);
    return dependencies;
  }
}

/** The first slot that nothing of use is in. */
function freeSlot(used: number): number {
  for (let slot = 0; slot < SLOTS; slot++) if ((used & (1 << slot)) === 0) return slot;
  return NO_SLOT;
}

/** What an access depends on. */
interface Asked {
  readonly address: number;
  readonly data: number;
  readonly expected?: number;
  readonly control: number;
  /** Slots that are of use after it, its own result aside. */
  readonly later: number;
  /** Whether somebody uses what it loads. */
  readonly used: boolean;
  /** See `Dependencies`. */
  readonly site: number;
}

/** The same as the machine has it; `into` is the slot that the result gets. */
function dependenciesOf({ address, data, expected = 0, control, later, used, site }: Asked): Dependencies {
  const into = used ? freeSlot(address | data | expected | control | later) : NO_SLOT;
  return {
    address,
    addressPick: address,
    data,
    dataPick: data,
    expected,
    expectedPick: expected,
    control,
    into,
    site,
    keep: later | (into === NO_SLOT ? 0 : 1 << into),
  };
}
