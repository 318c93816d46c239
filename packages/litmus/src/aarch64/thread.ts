/** An AArch64 program as a routine of the machine. */
import {
  accessOf,
  barrier,
  contextSynchronisation,
  invalidate,
  isMemoryFault,
  NO_SLOT,
  performAccess,
  point,
  type Access,
  type Dependencies,
  type Steps,
} from '@shootdown/machine';
import { unsupported } from '../errors.ts';
import type { Memory, Registers } from '../litmus-test.ts';
import { faultType, packFault, type ShownFault } from './faults.ts';
import { ELR, FLAGS, ZERO, type Instruction, type Operand, type Program, type Register } from './instructions.ts';
import { liveness } from './liveness.ts';
import { compute, modifyOf, numberWord, pteName, show, valueOf, wordOf } from './values.ts';

/** A value with the loads it came from: slots of the machine's weak memory, as bit masks. */
interface Held {
  readonly word: number;
  /** Loads it was computed from. */
  readonly data: number;
  /** Loads it was chosen by. */
  readonly pick: number;
}

const nothing: Held = { word: 0, data: 0, pick: 0 };

/** What a thread is given. */
export interface ThreadSpec {
  readonly index: number;
  readonly program: Program;
  readonly initial: ReadonlyMap<Register, number>;
  /** Registers that a final state shows. */
  readonly shown: ReadonlySet<Register>;
  /** Variables whose descriptors may change; the others are mapped as `frames` says. */
  readonly translated: readonly string[];
  /** Frame of each variable at the start. */
  readonly frames: ReadonlyMap<string, string>;
}

/** Where an exception returns to is an address: so many per instruction. */
const INSTRUCTION_BYTES = 4;

/** Runs a program; returns the registers that are shown. */
export function* runThread(spec: ThreadSpec, memory: Memory): Steps<Registers> {
  return yield* new Thread(spec, memory).run();
}

class Thread {
  readonly #spec: ThreadSpec;
  readonly #memory: Memory;
  readonly #live: readonly ReadonlySet<Register>[];
  readonly #registers = new Map<Register, Held>();
  /** Index of the first instruction that accesses memory. */
  readonly #firstAccess: number;
  #at = 0;
  /** Loads that branches since the last operation depended on. */
  #control = 0;
  #fault = 0;

  constructor(spec: ThreadSpec, memory: Memory) {
    this.#spec = spec;
    this.#memory = memory;
    this.#live = liveness(spec.program);
    this.#firstAccess = spec.program.instructions.findIndex(({ instruction: { kind } }) =>
      ['load', 'atomic', 'store'].includes(kind),
    );
    for (const [register, word] of spec.initial) this.#registers.set(register, { ...nothing, word });
  }

  *run(): Steps<Registers> {
    const { instructions } = this.#spec.program;
    let local = 0;
    while (this.#at < instructions.length) {
      const { instruction, text } = instructions[this.#at] as Program['instructions'][number];
      if (this.#performLocally(instruction)) {
        if (local++ > LOCAL_MAX) unsupported('a loop without memory access');
        continue;
      }
      local = 0;
      yield* point('at', ...this.#words());
      yield* this.#perform(instruction, text);
    }
    const registers: Record<string, number> = { fault: this.#fault };
    for (const name of this.#spec.shown) registers[name] = this.#registers.get(name)?.word ?? 0;
    return registers;
  }

  /** Everything the rest of the program depends on. */
  #words(): number[] {
    const live = this.#live[this.#at] as ReadonlySet<Register>;
    const words = [this.#at, this.#control, this.#fault];
    const names = [...new Set([...live, ...this.#spec.shown])].sort();
    for (const name of names) {
      const held = this.#registers.get(name) ?? nothing;
      words.push(held.word);
      if (live.has(name)) words.push(held.data, held.pick);
    }
    return words;
  }

  #get(operand: Operand | Register | null): Held {
    if (operand === null || operand === ZERO) return nothing;
    if (typeof operand === 'string') return this.#registers.get(operand) ?? nothing;
    if ('immediate' in operand) return { ...nothing, word: numberWord(operand.immediate) };
    return this.#get(operand.register);
  }

  #set(register: Register, held: Held): void {
    if (register !== ZERO) this.#registers.set(register, held);
  }

  #next(): void {
    const { handler, instructions } = this.#spec.program;
    this.#at++;
    if (this.#at === handler) this.#at = instructions.length;
  }

  #jump(label: string): void {
    this.#at = this.#spec.program.labels.get(label) ?? unsupported(`label ${label}`);
    if (this.#at === this.#spec.program.handler) this.#at = this.#spec.program.instructions.length;
  }

  /** Instructions that touch neither memory nor its order. */
  #performLocally(instruction: Instruction): boolean {
    switch (instruction.kind) {
      case 'nop':
        break;
      case 'compute': {
        const [left, right] = [this.#get(instruction.left), this.#get(instruction.right)];
        const word = compute(instruction.operation, left.word, right.word);
        this.#set(instruction.to, { word, data: left.data | right.data, pick: left.pick | right.pick });
        break;
      }
      case 'compare': {
        const [left, right] = [this.#get(instruction.left), this.#get(instruction.right)];
        // The flags are 0 when the operands are equal.
        const word = left.word === right.word ? 0 : 1;
        this.#set(FLAGS, { word, data: left.data | right.data, pick: left.pick | right.pick });
        break;
      }
      case 'select': {
        const flags = this.#get(FLAGS);
        const chosen = this.#get(
          (flags.word === 0) === instruction.equal ? instruction.whenTrue : instruction.otherwise,
        );
        this.#set(instruction.to, {
          word: chosen.word,
          data: instruction.fromFlags ? flags.data : chosen.data,
          pick: chosen.pick | flags.pick | flags.data,
        });
        break;
      }
      case 'address-of':
        this.#set(instruction.to, { ...nothing, word: this.#labelWord(instruction.label) });
        break;
      case 'branch': {
        const on = instruction.on === null ? nothing : this.#get(instruction.on);
        this.#control |= on.data | on.pick;
        if (instruction.on === null || (on.word === 0) === instruction.zero) {
          this.#jump(instruction.to);
          return true;
        }
        break;
      }
      default:
        return false;
    }
    this.#next();
    return true;
  }

  #labelWord(label: string): number {
    return wordOf({ kind: 'label', name: `P${this.#spec.index}:${label}` });
  }

  *#perform(instruction: Instruction, text: string): Steps {
    const saying = { label: text };
    switch (instruction.kind) {
      case 'load':
      case 'store':
      case 'atomic':
        yield* this.#access(instruction, text);
        return;
      case 'barrier':
        yield* barrier(instruction.barrier, instruction.type, saying, this.#depend({}));
        break;
      case 'isb':
        yield* contextSynchronisation(saying, this.#depend({}));
        break;
      case 'tlbi': {
        const operand = this.#get(instruction.page ?? instruction.asid);
        yield* invalidate(
          {
            pages: this.#pagesOf(instruction, operand.word),
            broadcast: instruction.broadcast,
            dependencies: this.#depend({ address: operand }),
          },
          saying,
        );
        break;
      }
      case 'return': {
        const target = valueOf(this.#get(ELR).word);
        yield* contextSynchronisation(saying, this.#depend({}));
        if (target.kind === 'label') {
          this.#control = 0;
          this.#jump(target.name.replace(/^P\d+:/, ''));
        } else if (target.kind === 'number') {
          this.#control = 0;
          // As the exception left it, the instruction that faulted, or one so many bytes behind it.
          this.#at = Number(target.number) / INSTRUCTION_BYTES - 1;
          if (this.#at < 0 || !Number.isInteger(this.#at)) unsupported('ERET to no instruction');
        } else unsupported('ERET to no instruction');
        return;
      }
      default:
        unsupported(text);
    }
    this.#control = 0;
    this.#next();
  }

  /** Addresses of the descriptors that a TLBI concerns. A test has one address space, with the ASID 0. */
  #pagesOf({ page, asid }: Instruction & { kind: 'tlbi' }, operand: number): number[] {
    const value = page === null ? null : valueOf(operand);
    if (asid !== null && operand !== 0) return [];
    if (value !== null && value.kind !== 'page') {
      if (value.kind === 'number' || value.kind === 'address' || value.kind === 'descriptor') return [];
      return unsupported(`TLBI of ${show(operand)}`);
    }
    return this.#spec.translated
      .filter((name) => value === null || value.of === name)
      .map((name) => this.#memory.at(pteName(name)));
  }

  *#access(instruction: Instruction & { kind: 'load' | 'store' | 'atomic' }, text: string): Steps {
    const base = this.#get(instruction.base);
    const offset = this.#get(instruction.offset);
    if (offset.word !== 0) unsupported(`offset ${show(offset.word)}`);
    const where = this.#locate(base.word);
    const address = { word: base.word, data: base.data | offset.data, pick: base.pick | offset.pick };
    const request = this.#requestOf(instruction, { address: where.address, translated: where.page >= 0 }, address);
    const fact = (result: number): string | undefined => {
      if (isMemoryFault(result)) return `fault: ${faultType(result)}`;
      return instruction.kind === 'store' ? undefined : show(result);
    };
    const result = yield* performAccess(request, { label: text, fact });
    this.#control = 0;
    if (isMemoryFault(result)) {
      this.#takeFault({ instruction: this.#at, page: where.page, type: faultType(result) });
      return;
    }
    if (instruction.kind !== 'store') {
      const into = request.dependencies?.into ?? NO_SLOT;
      const slots = into === NO_SLOT ? 0 : 1 << into;
      this.#set(instruction.to, { word: result, data: slots, pick: slots });
    } else if (instruction.status !== null) this.#set(instruction.status, { ...nothing, word: result });
    if (instruction.after !== 0n) this.#moveBase(instruction, base);
    this.#next();
  }

  /** Post-indexing. Where the address is not used again, it need not be one that tests can have. */
  #moveBase({ base, after }: Instruction & { kind: 'load' | 'store' | 'atomic' }, held: Held): void {
    const used = this.#isLive(this.#at + 1, base) || this.#spec.shown.has(base);
    if (used) this.#set(base, { ...held, word: compute('add', held.word, numberWord(after)) });
  }

  /** An exception: to the handler, or the end. The first one is shown. */
  #takeFault(fault: ShownFault): void {
    if (this.#fault === 0) this.#fault = packFault(fault);
    const { handler, instructions } = this.#spec.program;
    const inHandler = this.#at >= handler;
    this.#registers.set(ELR, { ...nothing, word: numberWord((this.#at + 1) * INSTRUCTION_BYTES) });
    this.#at = inHandler ? instructions.length : handler;
  }

  /** The word behind an address, or the descriptor that maps it. */
  #locate(word: number): { readonly address: number; readonly page: number } {
    const value = valueOf(word);
    if (value.kind === 'descriptor') return { address: this.#memory.at(pteName(value.of)), page: -1 };
    if (value.kind !== 'address') return unsupported(`access to ${show(word)}`);
    const page = this.#spec.translated.indexOf(value.of);
    if (page >= 0) return { address: this.#memory.at(pteName(value.of)), page };
    return { address: this.#memory.at(this.#spec.frames.get(value.of) ?? value.of), page };
  }

  #requestOf(
    instruction: Instruction & { kind: 'load' | 'store' | 'atomic' },
    where: { readonly address: number; readonly translated: boolean },
    address: Held,
  ): Access {
    switch (instruction.kind) {
      case 'load': {
        // To XZR a load-exclusive and LDAPR order nothing, and DMB LD does not order them; LDR it does.
        const discards = instruction.to === ZERO && (instruction.exclusive || instruction.acquire === 'pc');
        return accessOf({
          ...where,
          kind: 'load',
          acquire: discards ? 'none' : instruction.acquire,
          exclusive: instruction.exclusive,
          discards,
          dependencies: this.#depend({ address, to: instruction.to }),
        });
      }
      case 'store': {
        const data = this.#get(instruction.from);
        return accessOf({
          ...where,
          kind: 'store',
          value: data.word,
          release: instruction.release,
          exclusive: instruction.status !== null,
          dependencies: this.#depend({ address, data }),
        });
      }
      case 'atomic': {
        const data = this.#get(instruction.from);
        const expected = this.#get(instruction.expected);
        return accessOf({
          ...where,
          kind: 'update',
          modify: modifyOf(instruction.operation, data.word, expected.word),
          acquire: instruction.acquire,
          acquiresOnFailure: true,
          release: instruction.release,
          discards: instruction.to === ZERO,
          dependencies: this.#depend({ address, data, expected, to: instruction.to }),
        });
      }
    }
  }

  /** Dependencies of an operation, with a slot for what it loads that nothing of use is in. */
  #depend(operands: {
    readonly address?: Held;
    readonly data?: Held;
    readonly expected?: Held;
    readonly to?: Register;
  }): Dependencies {
    const { address = nothing, data = nothing, expected = nothing, to } = operands;
    const { handler, instructions } = this.#spec.program;
    const next = this.#at + 1 === handler ? instructions.length : this.#at + 1;
    let later = 0;
    for (const index of [next, handler])
      for (const register of this.#live[index] ?? [])
        if (register !== to || index === handler) later |= this.#slotsOf(register);
    const here = later | address.data | address.pick | data.data | data.pick | expected.data | expected.pick;
    const into = to === undefined || to === ZERO || !this.#isLive(next, to) ? NO_SLOT : freeSlot(here | this.#control);
    return {
      address: address.data,
      addressPick: address.pick,
      data: data.data,
      dataPick: data.pick,
      expected: expected.data,
      expectedPick: expected.pick,
      control: this.#control,
      into,
      keep: later | (into === NO_SLOT ? 0 : 1 << into),
      // A store can overtake an earlier access only if there is one.
      site: this.#at > this.#firstAccess ? this.#at : -1,
    };
  }

  #isLive(index: number, register: Register): boolean {
    return this.#live[index]?.has(register) === true;
  }

  #slotsOf(register: Register): number {
    const held = this.#registers.get(register) ?? nothing;
    return held.data | held.pick;
  }
}

const LOCAL_MAX = 10_000;
const SLOTS = 31;

function freeSlot(used: number): number {
  for (let slot = 0; slot < SLOTS; slot++) if ((used & (1 << slot)) === 0) return slot;
  return unsupported(`more than ${SLOTS} loads whose values are of use at once`);
}
