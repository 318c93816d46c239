/**
 * Litmus tests made from critical cycles, and what Arm says of them, by a rule that knows nothing of the machine.
 *
 * A thread has two accesses to two locations and something between them; the last access of each communicates with the
 * first of the next, at one location. The outcome that closes the cycle is forbidden exactly if what is between the two
 * accesses orders them in every thread: Arm is multi-copy atomic, so communication orders by itself. (Arm ARM, DDI
 * 0487, B2.3: external visibility, barrier-ordered-before, dependency-ordered-before.)
 */
import type { Random } from '@shootdown/machine';

type Direction = 'R' | 'W';

/** What is between the two accesses of a thread. */
const BETWEEN = [
  'po',
  'dmb.sy',
  'dmb.ld',
  'dmb.st',
  'addr',
  'data',
  'ctrl',
  'ctrlisb',
  'acq-po',
  'po-rel',
  'rel-acq',
  'acq-rel',
] as const;
type Between = (typeof BETWEEN)[number];

interface Thread {
  readonly first: Direction;
  readonly second: Direction;
  readonly between: Between;
}

/** A test and its answer. */
export interface CycleTest {
  readonly name: string;
  readonly text: string;
  readonly observation: 'Never' | 'Sometimes';
}

/** Whether such a thread can be written. */
function isPossible({ first, second, between }: Thread): boolean {
  switch (between) {
    case 'addr':
    case 'ctrl':
    case 'ctrlisb':
    case 'acq-po':
      return first === 'R';
    case 'data':
    case 'acq-rel':
      return first === 'R' && second === 'W';
    case 'po-rel':
      return second === 'W';
    case 'rel-acq':
      return first === 'W' && second === 'R';
    case 'po':
    case 'dmb.sy':
    case 'dmb.ld':
    case 'dmb.st':
      return true;
  }
}

/** Whether its two accesses are ordered. */
function orders({ first, second, between }: Thread): boolean {
  switch (between) {
    case 'po':
      return false;
    case 'dmb.ld':
      return first === 'R';
    case 'dmb.st':
      return first === 'W' && second === 'W';
    case 'ctrl':
      return second === 'W';
    default:
      return true;
  }
}

const REGISTERS = { first: 'W0', second: 'W2', value: 'W9', zero: 'W4' } as const;

function instructions({ first, second, between }: Thread, values: readonly [number, number]): string[] {
  const acquires = between === 'acq-po' || between === 'acq-rel';
  const begin =
    first === 'R'
      ? [`${acquires ? 'LDAR' : 'LDR'} ${REGISTERS.first},[X1]`]
      : [`MOV ${REGISTERS.value},#${values[0]}`, `${between === 'rel-acq' ? 'STLR' : 'STR'} ${REGISTERS.value},[X1]`];
  const middle: Partial<Record<Between, string[]>> = {
    'dmb.sy': ['DMB SY'],
    'dmb.ld': ['DMB LD'],
    'dmb.st': ['DMB ST'],
    addr: [`EOR ${REGISTERS.zero},${REGISTERS.first},${REGISTERS.first}`],
    data: [`EOR ${REGISTERS.zero},${REGISTERS.first},${REGISTERS.first}`],
    ctrl: [`CBNZ ${REGISTERS.first},L`, 'L:'],
    ctrlisb: [`CBNZ ${REGISTERS.first},L`, 'L: ISB'],
  };
  const address = between === 'addr' ? `[X3,${REGISTERS.zero},SXTW]` : '[X3]';
  const releases = between === 'po-rel' || between === 'acq-rel';
  const value =
    between === 'data'
      ? `ADD ${REGISTERS.value},${REGISTERS.zero},#${values[1]}`
      : `MOV ${REGISTERS.value},#${values[1]}`;
  const end =
    second === 'R'
      ? [`${between === 'rel-acq' ? 'LDAR' : 'LDR'} ${REGISTERS.second},${address}`]
      : [value, `${releases ? 'STLR' : 'STR'} ${REGISTERS.value},${address}`];
  const lines = [...begin, ...(middle[between] ?? []), ...end];
  // A label stands before an instruction.
  const label = lines.indexOf('L:');
  return label < 0 ? lines : [...lines.slice(0, label), `L: ${lines[label + 1]}`, ...lines.slice(label + 2)];
}

/** A random test of two or three threads. */
export function cycleTest(random: Random): CycleTest {
  const threads: Thread[] = [];
  const count = 2 + random.below(2);
  const pick = (): Direction => (random.below(2) === 0 ? 'R' : 'W');
  while (threads.length < count) {
    const between = BETWEEN[random.below(BETWEEN.length)] ?? 'po';
    // Two loads do not communicate.
    const before = threads.at(-1);
    const first = before?.second === 'R' ? 'W' : pick();
    const closes = threads.length + 1 === count && threads[0]?.first === 'R';
    const thread: Thread = { first, second: closes ? 'W' : pick(), between };
    if (isPossible(thread)) threads.push(thread);
  }
  return written(threads);
}

function written(threads: readonly Thread[]): CycleTest {
  const count = threads.length;
  const location = (index: number): string => `x${(index + count) % count}`;
  const conditions: string[] = [];
  const codes = threads.map((thread, index) => {
    const before = threads[(index + count - 1) % count] as Thread;
    const next = threads[(index + 1) % count] as Thread;
    // The later of two stores to a location is the one of the next thread.
    const mine = before.second === 'W' ? 2 : 1;
    if (thread.first === 'R') conditions.push(`${index}:X0=1`);
    else if (before.second === 'W') conditions.push(`[${location(index - 1)}]=2`);
    if (thread.second === 'R') conditions.push(`${index}:X2=0`);
    return { lines: instructions(thread, [mine, 1]), next };
  });
  const name = threads.map(({ first, between, second }) => `${first}${between}${second}`).join('+');
  const length = Math.max(...codes.map(({ lines }) => lines.length));
  const rows = Array.from({ length }, (_, row) => ` ${codes.map(({ lines }) => lines[row] ?? '').join(' | ')} ;`);
  return {
    name,
    text: [
      `AArch64 ${name}`,
      '{',
      ...threads.map((_, index) => ` ${index}:X1=${location(index - 1)}; ${index}:X3=${location(index)};`),
      '}',
      ` ${threads.map((_, index) => `P${index}`).join(' | ')} ;`,
      ...rows,
      `exists (${conditions.join(' /\\ ')})`,
      '',
    ].join('\n'),
    observation: threads.every(orders) ? 'Never' : 'Sometimes',
  };
}
