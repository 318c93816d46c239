/**
 * Which loads a value came from: what the Arm model needs of a program. Registers carry slots of loads as bit masks,
 * the thread what its branches depended on since the last access. Kernel routines do without: all their stores are
 * after all their loads.
 */
import { NO_SLOT, type Dependencies } from '@shootdown/machine';
import { reads, writes, type FunctionCode, type Instruction } from '../compile/code.ts';

const SLOTS = 30;

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
}

/** The first slot that nothing of use is in. */
function freeSlot(used: number): number {
  for (let slot = 0; slot < SLOTS; slot++) if ((used & (1 << slot)) === 0) return slot;
  return NO_SLOT;
}

/** What an access depends on. */
export interface Asked {
  readonly address: number;
  readonly data: number;
  readonly expected?: number;
  readonly control: number;
  /** Slots that are of use after it, its own result aside. */
  readonly later: number;
  /** Whether somebody uses what it loads. */
  readonly used: boolean;
}

/** The same as the machine has it; `into` is the slot that the result gets. */
export function dependenciesOf({ address, data, expected = 0, control, later, used }: Asked): Dependencies {
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
    keep: later | (into === NO_SLOT ? 0 : 1 << into),
  };
}
