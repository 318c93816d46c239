/** What one thread of a litmus test may do: its effects on every run, given what loads may return. */
import type { Acquire, BarrierKind } from '@shootdown/machine';
import { unsupported } from './errors.ts';
import type { Instruction, Operand, Program, Register } from './aarch64/instructions.ts';
import { FLAGS, ZERO } from './aarch64/instructions.ts';
import { packFault, type ShownFault } from './aarch64/faults.ts';
import { compute, numberWord, pteName, pteOf, valueOf, type Pte } from './aarch64/values.ts';

/** One effect. Sets are bit masks of effects of the same thread. */
export interface Effect {
  /** Load, store, walk (of a descriptor), fault, barriers, context synchronisation, TLBI. */
  readonly kind: 'R' | 'W' | 'T' | 'F' | 'DMB' | 'DSB' | 'ISB' | 'TLBI';
  /** Place in the program as it was run. */
  readonly instruction: number;
  /** Of a load, store or walk: the variable. */
  readonly location: string;
  readonly value: number;
  readonly acquire: Acquire;
  readonly release: boolean;
  readonly barrier: BarrierKind;
  /** Of a walk: what it was looking for is not there, so no TLB has it. */
  readonly uncached: boolean;
  /** Loads that its address came from; that its data came from; that a branch before it depended on. */
  readonly address: number;
  readonly data: number;
  readonly control: number;
  /** Of a TLBI: the descriptors that it concerns. */
  readonly pages: readonly string[];
  readonly broadcast: boolean;
}

/** A value in a register, and the loads it came from. */
interface Held {
  readonly word: number;
  readonly loads: number;
}

/** One run of a thread. */
export interface Trace {
  readonly effects: readonly Effect[];
  readonly registers: ReadonlyMap<Register, Held>;
  /** The fault it ends in, packed; 0: none. */
  readonly fault: number;
}

/** Where a thread runs. */
interface Surroundings {
  readonly thread: number;
  /** Variables whose descriptors may change. */
  readonly pages: readonly string[];
  /** Descriptors that are no ordinary ones to begin with. */
  readonly ptes: ReadonlyMap<string, Pte>;
  /** What each variable may hold. */
  readonly values: ReadonlyMap<string, ReadonlySet<number>>;
}

interface State {
  readonly at: number;
  readonly steps: number;
  readonly effects: readonly Effect[];
  readonly registers: ReadonlyMap<Register, Held>;
  readonly control: number;
  readonly fault: number;
}

const STEPS_MAX = 64;
const nothing: Held = { word: 0, loads: 0 };

/** All runs of a program. */
export function traces(program: Program, initial: ReadonlyMap<Register, number>, surroundings: Surroundings): Trace[] {
  if (program.handler < program.instructions.length) unsupported('a fault handler');
  const registers = new Map([...initial].map(([name, word]) => [name, { word, loads: 0 }]));
  const found: Trace[] = [];
  const open: State[] = [{ at: 0, steps: 0, effects: [], registers, control: 0, fault: 0 }];
  for (let state = open.pop(); state; state = open.pop()) {
    const decoded = program.instructions[state.at];
    if (state.fault !== 0 || !decoded) found.push(state);
    else if (state.steps === STEPS_MAX) unsupported('a loop');
    else open.push(...new Step(program, surroundings, { ...state, steps: state.steps + 1 }).take(decoded.instruction));
  }
  return found;
}

class Step {
  readonly #program: Program;
  readonly #surroundings: Surroundings;
  readonly #state: State;

  constructor(program: Program, surroundings: Surroundings, state: State) {
    this.#program = program;
    this.#surroundings = surroundings;
    this.#state = state;
  }

  take(instruction: Instruction): State[] {
    switch (instruction.kind) {
      case 'nop':
        return [this.#next({})];
      case 'compute': {
        const [left, right] = [this.#get(instruction.left), this.#get(instruction.right)];
        const word = compute(instruction.operation, left.word, right.word);
        return [this.#set(instruction.to, { word, loads: left.loads | right.loads })];
      }
      case 'compare': {
        const [left, right] = [this.#get(instruction.left), this.#get(instruction.right)];
        return [this.#set(FLAGS, { word: left.word === right.word ? 0 : 1, loads: left.loads | right.loads })];
      }
      case 'branch': {
        const on = instruction.on === null ? nothing : this.#get(instruction.on);
        const control = this.#state.control | on.loads;
        const taken = instruction.on === null || (on.word === 0) === instruction.zero;
        const to = this.#program.labels.get(instruction.to) ?? unsupported(`label ${instruction.to}`);
        return [{ ...this.#state, control, at: taken ? to : this.#state.at + 1 }];
      }
      case 'barrier':
        return [
          this.#next({ effect: { kind: instruction.barrier === 'dmb' ? 'DMB' : 'DSB', barrier: instruction.type } }),
        ];
      case 'isb':
        return [this.#next({ effect: { kind: 'ISB' } })];
      case 'tlbi': {
        const { word, loads } = this.#get(instruction.page ?? instruction.asid);
        const page = instruction.page === null ? null : valueOf(word);
        const isOwn = instruction.asid === null || word === 0;
        const pages = this.#surroundings.pages
          .filter((name) => isOwn && (page === null || (page.kind === 'page' && page.of === name)))
          .map(pteName);
        return [this.#next({ effect: { kind: 'TLBI', pages, broadcast: instruction.broadcast, address: loads } })];
      }
      case 'load':
      case 'store':
        return this.#access(instruction);
      default:
        return unsupported(instruction.kind);
    }
  }

  #access(instruction: Instruction & { kind: 'load' | 'store' }): State[] {
    if (instruction.after !== 0n) unsupported('post-indexing');
    if (instruction.kind === 'load' ? instruction.exclusive : instruction.status !== null) unsupported('exclusives');
    const [base, offset] = [this.#get(instruction.base), this.#get(instruction.offset)];
    if (offset.word !== 0) unsupported('an offset');
    const address = base.loads | offset.loads;
    const target = valueOf(base.word);
    if (target.kind === 'descriptor') return this.#perform(this.#state, instruction, pteName(target.of), address);
    if (target.kind !== 'address') return unsupported('an access to no address');
    const { pages, ptes, values } = this.#surroundings;
    const page = pages.indexOf(target.of);
    if (page < 0) {
      return this.#perform(this.#state, instruction, ptes.get(target.of)?.oa ?? target.of, address);
    }
    return [...(values.get(pteName(target.of)) ?? [])].flatMap((descriptor) => {
      const { oa, valid, af, db, dbm } = pteOf(descriptor);
      if (dbm === 1) unsupported('hardware updates');
      const uncached = valid === 0 || af === 0;
      const walked = this.#with({ kind: 'T', location: pteName(target.of), value: descriptor, uncached, address });
      const type: ShownFault['type'] | null =
        valid === 0
          ? 'Translation'
          : af === 0
            ? 'AccessFlag'
            : db === 0 && instruction.kind === 'store'
              ? 'Permission'
              : null;
      if (type === null) return this.#perform(walked, instruction, oa, address);
      const fault = packFault({ instruction: this.#state.at, page, type });
      return [{ ...this.#with({ kind: 'F', uncached, address, location: oa }, walked), fault }];
    });
  }

  #perform(
    state: State,
    instruction: Instruction & { kind: 'load' | 'store' },
    location: string,
    address: number,
  ): State[] {
    if (instruction.kind === 'store') {
      const { word, loads } = this.#get(instruction.from);
      const stored = this.#with(
        { kind: 'W', location, value: word, release: instruction.release, address, data: loads },
        state,
      );
      return [{ ...stored, at: state.at + 1 }];
    }
    return [...(this.#surroundings.values.get(location) ?? [])].map((value) => {
      const discards = instruction.to === ZERO && instruction.acquire === 'pc';
      const acquire = discards ? 'none' : instruction.acquire;
      const loaded = this.#with({ kind: 'R', location, value, acquire, address }, state);
      const registers = new Map(state.registers);
      if (instruction.to !== ZERO) registers.set(instruction.to, { word: value, loads: 1 << state.effects.length });
      return { ...loaded, registers, at: state.at + 1 };
    });
  }

  #get(operand: Operand | Register | null): Held {
    if (operand === null || operand === ZERO) return nothing;
    if (typeof operand === 'string') return this.#state.registers.get(operand) ?? nothing;
    if ('immediate' in operand) return { ...nothing, word: numberWord(operand.immediate) };
    return this.#get(operand.register);
  }

  #set(register: Register, held: Held): State {
    if (register === ZERO) return this.#next({});
    return this.#next({ registers: new Map([...this.#state.registers, [register, held]]) });
  }

  #next({ effect, ...changed }: Partial<State> & { readonly effect?: Partial<Effect> & Pick<Effect, 'kind'> }): State {
    return { ...(effect ? this.#with(effect) : this.#state), ...changed, at: this.#state.at + 1 };
  }

  #with(effect: Partial<Effect> & Pick<Effect, 'kind'>, state = this.#state): State {
    const whole: Effect = {
      instruction: this.#state.steps,
      location: '',
      value: 0,
      acquire: 'none',
      release: false,
      barrier: 'full',
      uncached: false,
      address: 0,
      data: 0,
      control: state.control,
      pages: [],
      broadcast: false,
      ...effect,
    };
    return { ...state, effects: [...state.effects, whole] };
  }
}
