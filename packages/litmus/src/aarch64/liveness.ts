/** Which registers are still of use at each instruction: what is not is no part of a routine's local state. */
import { ELR, FLAGS, ZERO, type Instruction, type Operand, type Program, type Register } from './instructions.ts';

/** Registers an instruction reads. */
function readsOf(instruction: Instruction): Register[] {
  const used: (Register | null)[] = [];
  const operand = (o: Operand): void => {
    if ('register' in o) used.push(o.register);
  };
  switch (instruction.kind) {
    case 'load':
      used.push(instruction.base, instruction.offset);
      break;
    case 'store':
      used.push(instruction.base, instruction.offset);
      operand(instruction.from);
      break;
    case 'atomic':
      used.push(instruction.base, instruction.offset, instruction.from, instruction.expected);
      break;
    case 'compute':
    case 'compare':
      operand(instruction.left);
      operand(instruction.right);
      break;
    case 'select':
      used.push(FLAGS);
      operand(instruction.whenTrue);
      operand(instruction.otherwise);
      break;
    case 'branch':
      used.push(instruction.on);
      break;
    case 'tlbi':
      used.push(instruction.page, instruction.asid);
      break;
    case 'return':
      used.push(ELR);
      break;
    default:
      break;
  }
  return used.filter((register) => register !== null && register !== ZERO) as Register[];
}

/**
 * The register an instruction writes, or null. An access may fault and write nothing, so its own does not die there.
 */
function writesOf(instruction: Instruction): Register | null {
  switch (instruction.kind) {
    case 'load':
    case 'atomic':
    case 'compute':
    case 'select':
    case 'address-of':
      return instruction.to === ZERO ? null : instruction.to;
    case 'compare':
      return FLAGS;
    case 'store':
      return instruction.status === ZERO ? null : instruction.status;
    default:
      return null;
  }
}

/** Indices of the instructions that may come next; the number of instructions is the end. */
function successors(program: Program, index: number): number[] {
  const { instruction } = program.instructions[index] as Program['instructions'][number];
  const { handler, labels, instructions } = program;
  const end = instructions.length;
  const after = index + 1 === handler ? end : index + 1;
  switch (instruction.kind) {
    case 'branch': {
      const target = labels.get(instruction.to) ?? end;
      return instruction.on === null ? [target] : [after, target];
    }
    case 'return':
      // To wherever an exception was taken, or to any label that was written there.
      return [...Array.from({ length: handler }, (_, i) => i), end];
    case 'load':
    case 'store':
    case 'atomic':
      return index < handler && handler < end ? [after, handler] : [after];
    default:
      return [after];
  }
}

/** Per instruction, and for the end: registers whose values may be read from there on. */
export function liveness(program: Program): ReadonlySet<Register>[] {
  const { instructions } = program;
  const live = Array.from({ length: instructions.length + 1 }, () => new Set<Register>());
  for (let changed = true; changed;) {
    changed = false;
    for (let index = instructions.length - 1; index >= 0; index--) {
      const { instruction } = instructions[index] as Program['instructions'][number];
      const here = live[index] as Set<Register>;
      const before = here.size;
      const written = writesOf(instruction);
      const mayFault = ['load', 'store', 'atomic'].includes(instruction.kind);
      for (const next of successors(program, index))
        for (const register of live[next] as Set<Register>)
          if (register !== written || (mayFault && next === program.handler)) here.add(register);
      for (const register of readsOf(instruction)) here.add(register);
      if (here.size !== before) changed = true;
    }
  }
  return live;
}
