/**
 * Random litmus tests with page tables: two or three threads that load and store through an entry that changes, change
 * it, invalidate it, and pass flags to one another, with anything that may order two of these between them.
 */
import type { Random } from '@shootdown/machine';

/** Descriptors that are stored, and their registers. */
const DESCRIPTORS = ['(oa:PA(x),valid:0)', '(oa:PA(x))', '(oa:PA(z))', '(oa:PA(x),db:0)', '(oa:PA(x),af:0)'] as const;
const FIRST_DESCRIPTOR = 20;

/** What holds which address. */
const ADDRESSES = { x: 'X1', y: 'X2', a: 'X3', b: 'X4', 'PTE(x)': 'X5', 'PTE(y)': 'X6' } as const;
type Place = keyof typeof ADDRESSES;
const ZERO = 'W29';
const VALUE = 'W28';
const PAGE = 'X27';
const FIRST_RESULT = 7;

/** What is between two accesses. */
const BETWEEN = [
  'nothing',
  'DMB SY',
  'DMB LD',
  'DMB ST',
  'DSB SY',
  'DSB LD',
  'DSB ST',
  'ISB',
  'DSB SY, ISB',
  'DSB ST, ISB',
  'address',
  'data',
  'control',
  'control, ISB',
  'TLBI',
] as const;
type Between = (typeof BETWEEN)[number];

class Thread {
  readonly lines: string[] = [];
  /** Registers with what was loaded. */
  readonly results: string[] = [];
  readonly #random: Random;
  readonly #value: () => number;
  #label = 0;
  /** The register of the last load. */
  #last: string | null = null;

  constructor(random: Random, value: () => number) {
    this.#random = random;
    this.#value = value;
  }

  access(place: Place, stores: boolean, between: Between): void {
    const { address, data } = this.#between(between);
    const operand = address ? `[${ADDRESSES[place]},${ZERO},SXTW]` : `[${ADDRESSES[place]}]`;
    if (!stores) {
      const result = String(FIRST_RESULT + this.results.length);
      this.lines.push(`${this.#picks('LDR', 'LDR', 'LDAR', 'LDAPR')} X${result},${operand}`);
      this.results.push(`X${result}`);
      this.#last = `X${result}`;
      return;
    }
    const store = this.#picks('STR', 'STR', 'STLR');
    if (place.startsWith('PTE')) {
      this.lines.push(`${store} X${FIRST_DESCRIPTOR + this.#random.below(DESCRIPTORS.length)},${operand}`);
      return;
    }
    this.lines.push(data ? `ADD ${VALUE},${ZERO},#${this.#value()}` : `MOV ${VALUE},#${this.#value()}`);
    this.lines.push(`${store} ${VALUE},${operand}`);
  }

  #picks<T>(...from: readonly T[]): T {
    return from[this.#random.below(from.length)] as T;
  }

  #between(between: Between): { readonly address: boolean; readonly data: boolean } {
    const last = this.#last;
    const plain = { address: false, data: false };
    switch (between) {
      case 'nothing':
        return plain;
      case 'address':
      case 'data':
        if (last === null) return plain;
        this.lines.push(`EOR X29,${last},${last}`);
        return { address: between === 'address', data: between === 'data' };
      case 'control':
      case 'control, ISB': {
        if (last === null) return plain;
        const label = `L${this.#label++}`;
        this.lines.push(`CBNZ ${last},${label}`, `${label}: ${between === 'control' ? 'NOP' : 'ISB'}`);
        return plain;
      }
      case 'TLBI':
        this.#invalidate();
        return plain;
      default:
        this.lines.push(...between.split(', '));
        return plain;
    }
  }

  /** Most often as it should be. */
  #invalidate(): void {
    const page = this.#picks<'x' | 'y'>('x', 'x', 'y');
    const before = this.#picks('DSB SY', 'DSB SY', 'DSB ST', null);
    const tlbi = this.#picks('VAAE1IS', 'VAAE1IS', 'VAE1IS', 'VAAE1', 'VMALLE1IS', 'ASIDE1IS');
    const after = this.#picks('DSB SY', 'DSB SY', 'DSB SY', 'DMB SY', 'DSB ST');
    if (before !== null) this.lines.push(before);
    this.lines.push(`LSR ${PAGE},${ADDRESSES[page]},#12`);
    const operand = tlbi === 'VMALLE1IS' ? '' : tlbi === 'ASIDE1IS' ? ',XZR' : `,${PAGE}`;
    this.lines.push(`TLBI ${tlbi}${operand}`, after);
    if (this.#random.below(3) === 0) this.lines.push('ISB');
  }
}

/** A place that is accessed, and whether it is stored to. */
type Access = readonly [Place, boolean];

/** Accesses that are worth most. */
const ACCESSES: readonly Access[] = [
  ['x', false],
  ['x', false],
  ['x', true],
  ['x', true],
  ['y', false],
  ['a', true],
  ['b', false],
  ['PTE(x)', true],
  ['PTE(x)', true],
  ['PTE(x)', false],
  ['PTE(y)', true],
];
const FLAGS: readonly Place[] = ['a', 'b'];

/** A random test: every load, every variable and every fault is shown. */
export function vmsaProgram(random: Random): string {
  const picks = <T>(from: readonly T[]): T => from[random.below(from.length)] as T;
  const count = random.below(4) === 0 ? 3 : 2;
  const rings = random.below(2) === 0;
  let stored = 0;
  const threads = Array.from({ length: count }, (_thread, index) => {
    const thread = new Thread(random, () => ++stored);
    const accesses: Access[] = Array.from({ length: count === 3 ? 2 : 2 + random.below(2) }, () => picks(ACCESSES));
    // In a ring each thread passes a flag to the next: of the first and the last thread, one side is free.
    if (rings) {
      const flag = FLAGS[index % FLAGS.length] as Place;
      if (index > 0 || random.below(2) === 0) accesses[0] = [FLAGS[(index + 1) % FLAGS.length] as Place, false];
      if (index + 1 < count || random.below(2) === 0) accesses[accesses.length - 1] = [flag, true];
    }
    for (const [i, [place, stores]] of accesses.entries())
      thread.access(place, stores, i === 0 ? 'nothing' : picks(BETWEEN));
    return thread;
  });
  const initially = (page: 'x' | 'y'): string =>
    ` [PTE(${page})]=${random.below(3) === 0 ? `(oa:PA(${page}),valid:0)` : `(oa:PA(${page}))`};`;
  const length = Math.max(...threads.map(({ lines }) => lines.length));
  const rows = Array.from({ length }, (_, row) => ` ${threads.map(({ lines }) => lines[row] ?? '').join(' | ')} ;`);
  const registers = threads.map((_, i) => {
    const addresses = Object.entries(ADDRESSES).map(([place, register]) => `${i}:${register}=${place};`);
    const descriptors = DESCRIPTORS.map((descriptor, d) => `${i}:X${FIRST_DESCRIPTOR + d}=${descriptor};`);
    return ` ${[...addresses, ...descriptors].join(' ')}`;
  });
  const shown = threads.flatMap(({ results }, i) => results.map((result) => `${i}:${result};`));
  return [
    'AArch64 random',
    'Variant=vmsa',
    '{',
    initially('x'),
    initially('y'),
    ...registers,
    '}',
    ` ${threads.map((_, i) => `P${i}`).join(' | ')} ;`,
    ...rows,
    `locations [${shown.join(' ')} x; y; z; a; b; PTE(x); PTE(y);]`,
    `exists (${threads.map((_, i) => `fault(P${i})`).join(' \\/ ')})`,
    '',
  ].join('\n');
}
