/** The canonical form leaves nothing out that a later request looks at. */
import { describe, expect, it } from 'vitest';
import { accessOf } from './instructions.ts';
import type { Prospect } from './prospect.ts';
import type { Access, Request, Translation } from './requests.ts';
import { isMemoryFault } from './requests.ts';
import { Random } from '../state/random.ts';
import { swapTo } from './modify.ts';
import { WeakMemory } from './weak-memory.ts';

const [PTE, FLAG, DATA] = [0, 1, 2];
const PROCESSORS = 3;
const VALID = 1;

const translation: Translation = {
  pages: [PTE],
  decode: (value) => ({ valid: value === VALID, accessed: true, writable: true, dirtyManaged: false, output: FLAG }),
  accessed: (value) => value,
  dirtied: (value) => value,
  ets2: false,
  hardware: Array.from({ length: PROCESSORS }, () => ({ accessFlag: false, dirty: false })),
};

/** What the last request of a run may come to: all requests before it are done in every way they may go. */
function resultsOf(
  form: 'whole' | 'canonical' | 'projected',
  run: readonly (readonly [number, Request])[],
  walks = true,
): readonly string[] {
  const translated = [PTE, FLAG].map((address) => ({ address, value: 0 }));
  const memory = new WeakMemory(PROCESSORS, { ...(walks && { translation, translated }), canonical: form !== 'whole' });
  const outcomes = new Set<string>();
  const go = (reached: number, at: number, words: readonly number[], results: readonly number[]): void => {
    const next = run[at];
    if (!next) {
      outcomes.add(results.map((result) => (isMemoryFault(result) ? 'fault' : String(result))).join());
      return;
    }
    const [processor, request] = next;
    const id = form === 'projected' ? memory.projected(reached, prospectsOf(run.slice(at))) : reached;
    const word = 'address' in request ? (words[request.address] as number) : 0;
    for (const step of memory.steps(id, processor, request, word)) {
      const after = [...words];
      for (let i = 0; i < step.changed.length; i += 2) after[step.changed[i] as number] = step.changed[i + 1] as number;
      go(step.next, at + 1, after, [...results, step.result]);
    }
  };
  go(memory.first, 0, [0, 0, 0], []);
  return [...outcomes].sort();
}

/** What each processor may still ask for when that is what is left of a run. */
function prospectsOf(rest: readonly (readonly [number, Request])[]): readonly Prospect[] {
  return Array.from({ length: PROCESSORS }, (_, processor): Prospect => {
    const own = rest.filter(([of]) => of === processor).map(([, request]) => request);
    const accesses = own.filter((request) => isAccess(request) && !request.newest).filter(isAccess);
    return {
      accesses: new Set(accesses.map(({ address }) => address)),
      stores: new Set(accesses.filter(({ kind }) => kind !== 'load').map(({ address }) => address)),
      observes: new Set(own.filter(isAccess).map(({ address }) => address)),
      puts: new Set(own.filter(isAccess).flatMap((r) => (r.newest && r.kind !== 'load' ? [r.address] : []))),
      takes: new Set(own.flatMap((r) => ('key' in r && r.kind !== 'publish' ? [r.key] : []))),
      forwards: new Set(),
      plainReads: new Set(own.flatMap((r) => (r.kind === 'plain-read' ? [r.key] : []))),
      plainWrites: new Set(own.flatMap((r) => (r.kind === 'plain-write' ? [r.key] : []))),
      handsOn: own.some(({ kind }) => kind === 'publish' || kind.startsWith('strong')),
      waitsInPart: own.some((r) => r.kind === 'dsb' && r.type !== 'full'),
      locked: lockedOf(own),
    };
  });
}

/** The locks before each word, in a run that goes one way only. */
function lockedOf(own: readonly Request[]): Prospect['locked'] {
  const before = (counts: (request: Request) => boolean): ReadonlyMap<number, readonly number[]> => {
    const locked = new Map<number, readonly number[]>();
    const acquired: number[] = [];
    for (const request of own) {
      const word = 'address' in request ? request.address : 'key' in request ? request.key : -1;
      if (counts(request) && !locked.has(word)) locked.set(word, [...acquired]);
      if (request.kind === 'strong-read' && request.acquire) acquired.push(request.key);
    }
    return locked;
  };
  const accesses = (request: Request): boolean => isAccess(request) && !request.newest;
  return {
    accesses: before(accesses),
    stores: before((request) => accesses(request) && request.kind !== 'load'),
    any: before(() => true),
  };
}

function isAccess(request: Request): request is Access {
  return request.kind === 'load' || request.kind === 'store' || request.kind === 'update';
}

const mapAndTell: readonly (readonly [number, Request])[] = [
  [0, accessOf({ kind: 'store', address: PTE, value: VALID })],
  [0, { kind: 'dsb', type: 'store', dependencies: null }],
  [0, accessOf({ kind: 'store', address: FLAG, value: 1, release: true })],
  [1, accessOf({ kind: 'load', address: FLAG, acquire: 'full' })],
];
const use = [1, accessOf({ kind: 'load', address: PTE, translated: true })] as const;
const isb = [1, { kind: 'isb', dependencies: null }] as const;

/** A random request of a kernel routine. */
function anyRequest(random: Random, value: number): Request {
  const address = random.below(2) === 0 ? PTE : FLAG;
  const kinds: readonly (() => Request)[] = [
    () => accessOf({ kind: 'load', address: FLAG, acquire: random.below(2) === 0 ? 'none' : 'full' }),
    () => accessOf({ kind: 'store', address, value, release: random.below(2) === 0 }),
    () => accessOf({ kind: 'load', address: PTE, translated: true }),
    () => ({ kind: 'dmb', type: barriers[random.below(3)] ?? 'full', dependencies: null }),
    () => ({ kind: 'dsb', type: barriers[random.below(3)] ?? 'full', dependencies: null }),
    () => ({ kind: 'isb', dependencies: null }),
    () => ({ kind: 'tlbi', pages: [PTE], broadcast: random.below(2) === 0, dependencies: null }),
    () => ({ kind: 'publish', key: KEY, what: random.below(2) === 0 ? 'release' : 'completed' }),
    () => ({ kind: 'receive', key: KEY, as: random.below(2) === 0 ? 'acquire' : 'context' }),
    () => ({ kind: 'strong-write', key: KEY, release: random.below(2) === 0 }),
    () => ({ kind: 'strong-read', key: KEY, acquire: random.below(2) === 0 }),
    () => ({ kind: 'exception' }),
  ];
  return (kinds[random.below(kinds.length)] as () => Request)();
}

const [KEY, OTHER_KEY, PLAIN] = [100, 101, 102];
const barriers = ['full', 'load', 'store'] as const;
const PROGRAMS = process.env['SHOOTDOWN_DEEP'] === '1' ? 2_000 : 50;
const LENGTH = 9;

describe('the canonical form', () => {
  it('changes no outcome of random requests, as kernel routines make them', () => {
    for (let seed = 0; seed < PROGRAMS; seed++) {
      const random = new Random(seed);
      // Loads of both words at the end, by both: whatever was left out would show there.
      const run = [
        ...Array.from({ length: LENGTH }, (_, i) => [random.below(2), anyRequest(random, i % 3)] as const),
        ...[0, 1].map((processor) => [processor, accessOf({ kind: 'load', address: PTE, translated: true })] as const),
        ...[0, 1].map((processor) => [processor, accessOf({ kind: 'load', address: FLAG })] as const),
      ];
      expect(resultsOf('canonical', run), JSON.stringify(run)).toEqual(resultsOf('whole', run));
    }
  });

  it('changes no outcome of random requests where nothing is translated', () => {
    for (let seed = 0; seed < PROGRAMS; seed++) {
      const random = new Random(seed);
      const words = [PTE, FLAG, DATA];
      const any = (): number => words[random.below(words.length)] ?? PTE;
      const anyKey = (): number => (random.below(2) === 0 ? KEY : OTHER_KEY);
      const kinds: readonly ((value: number) => Request)[] = [
        () => accessOf({ kind: 'load', address: any(), acquire: random.below(3) === 0 ? 'full' : 'none' }),
        () => accessOf({ kind: 'load', address: any(), newest: true }),
        (value) => accessOf({ kind: 'store', address: any(), value, release: random.below(3) === 0 }),
        (value) => accessOf({ kind: 'store', address: any(), value, newest: true }),
        (value) => accessOf({ kind: 'update', address: any(), modify: swapTo(value) }),
        () => ({ kind: 'dmb', type: barriers[random.below(3)] ?? 'full', dependencies: null }),
        () => ({ kind: 'publish', key: KEY, what: 'release' }),
        () => ({ kind: 'receive', key: KEY, as: 'acquire' }),
        () => ({ kind: 'dsb', type: barriers[random.below(3)] ?? 'full', dependencies: null }),
        () => ({ kind: 'publish', key: KEY, what: 'completed' }),
        () => ({ kind: 'strong-write', key: anyKey(), release: random.below(3) > 0 }),
        () => ({ kind: 'strong-read', key: anyKey(), acquire: random.below(3) > 0 }),
        () => ({ kind: random.below(2) === 0 ? 'plain-read' : 'plain-write', key: PLAIN }),
        () => ({ kind: 'retire' }),
      ];
      const retired = new Set<number>();
      const run: (readonly [number, Request])[] = [];
      for (let i = 0; i < LENGTH - 2; i++) {
        const processor = random.below(PROCESSORS);
        if (retired.has(processor)) continue;
        // Fewer and fewer go on.
        const kind = random.below(kinds.length + (i < 2 ? -1 : 0));
        const request = (kinds[kind] as (value: number) => Request)(i + 1);
        if (request.kind === 'retire') retired.add(processor);
        run.push([processor, request]);
      }
      for (const address of [FLAG, PTE, DATA])
        for (let processor = 0; processor < PROCESSORS; processor++) {
          if (retired.has(processor) || random.below(2) === 0) continue;
          if (random.below(2) === 0) run.push([processor, { kind: 'strong-read', key: anyKey(), acquire: true }]);
          run.push([processor, accessOf({ kind: 'load', address })]);
        }
      const whole = resultsOf('whole', run, false);
      expect(resultsOf('canonical', run, false), JSON.stringify(run)).toEqual(whole);
      expect(resultsOf('projected', run, false), JSON.stringify(run)).toEqual(whole);
    }
  });

  const store = (address: number, value: number): Request => accessOf({ kind: 'store', address, value });
  const load = (address: number, newest = false): Request => accessOf({ kind: 'load', address, newest });
  const dmb: Request = { kind: 'dmb', type: 'full', dependencies: null };
  const publish: Request = { kind: 'publish', key: KEY, what: 'release' };
  const receive: Request = { kind: 'receive', key: KEY, as: 'acquire' };

  const unlock: Request = { kind: 'strong-write', key: KEY, release: true };
  const lock: Request = { kind: 'strong-read', key: KEY, acquire: true };

  it.each([
    ['under the lock', [lock, load(FLAG)], true],
    ['before the lock', [load(FLAG), lock], false],
    ['under another lock', [{ ...lock, key: OTHER_KEY }, load(FLAG)], false],
  ] as const)('keeps no old message of a word that is looked at %s: %#', (_where, rest, plain) => {
    const memory = new WeakMemory(PROCESSORS);
    const done = [store(FLAG, 1), unlock].reduce((id, request) => memory.steps(id, 0, request, 0)[0]?.next ?? 0, 1);
    const left = memory.projected(done, prospectsOf(rest.map((request) => [1, request] as const)));
    expect(memory.isPlain(left)).toBe(plain);
  });

  it.each<readonly [string, readonly (readonly [number, Request])[]]>([
    [
      'what was seen before a load of what somebody will overwrite',
      [
        [0, store(FLAG, 1)],
        [0, dmb],
        [0, load(DATA)],
        [1, store(DATA, 1)],
        [1, dmb],
        [1, load(FLAG)],
      ],
    ],
    [
      'what is before a message of which the newest is looked at',
      [
        [0, store(FLAG, 1)],
        [0, dmb],
        [0, store(DATA, 1)],
        [1, load(DATA, true)],
        [1, dmb],
        [1, load(FLAG)],
      ],
    ],
    [
      'what a processor has seen that only hands it on',
      [
        [0, store(FLAG, 1)],
        [1, load(FLAG)],
        [1, publish],
        [2, receive],
        [2, load(FLAG)],
      ],
    ],
    [
      'an old message that is looked at before the lock is taken',
      [
        [0, store(FLAG, 1)],
        [0, unlock],
        [1, load(FLAG)],
        [1, lock],
        [1, load(FLAG)],
      ],
    ],
    [
      'an old message that only a store may still follow',
      [
        [0, store(FLAG, 1)],
        [1, store(FLAG, 2)],
        [2, load(FLAG, true)],
      ],
    ],
  ])('keeps %s', (_what, run) => {
    expect(resultsOf('projected', run, false)).toEqual(resultsOf('whole', run, false));
  });

  it.each([
    ['without an ISB', [...mapAndTell, use], true],
    ['with an ISB', [...mapAndTell, isb, use], false],
    ['with the exception of a first fault', [...mapAndTell, use, use], true],
  ] as const)('a walk after an acquire, %s', (_how, run, mayFault) => {
    const found = resultsOf('canonical', run);
    expect(found).toEqual(resultsOf('whole', run));
    // Results: of the store, the DSB, the release, the acquire, then the rest.
    expect(found.some((results) => results.startsWith('0,0,0,1') && results.includes('fault'))).toBe(mayFault);
    expect(found.some((results) => results.startsWith('0,0,0,1,fault,fault'))).toBe(false);
  });
});
