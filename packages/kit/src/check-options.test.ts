/** Words and numbers that mean nothing, in the options of a small machine. */
import { ModelError } from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { smallMachine } from './small-machine.ts';

/** Looked at later than what is refused. */
const ANY = null as never;
const small = (options: object) => () => smallMachine({ memoryModel: 'sc', ...options });

/** By what begins the line: calls, and what of the line is about the value. */
const refused: Readonly<Record<string, readonly (readonly [() => unknown, string])[]>> = {
  'kit: smallMachine: ': [
    [small({ memoryModel: 'ar' }), 'memoryModel: "ar" is none of sc, tso, arm: did you mean arm?'],
    [small({ flush: 'x68' }), 'flush: "x68" is none of x86, '],
    [small({ lazy: [7] }), 'lazy[0]: expected a whole number 0 .. 1 (7)'],
    [small({ lazy: ['1'] }), 'lazy[0]: expected a whole number 0 .. 1 ("1")'],
    [small({ global: [9] }), 'global[0]: expected a whole number 1 .. 1 (9)'],
    [small({ vcpus: [{}, {}, {}], flush: 'kvm' }), 'vcpus: 3 for 2 CPUs'],
    [small({ vcpus: ['atomic'] }), 'vcpus: 0: expected options or a function that makes them ("atomic")'],
    [small({ cpus: [1, 2] }), 'cpus: mm[1]: expected a whole number 0 .. 1 (2)'],
    [small({ names: ['a', 'b', 'c'] }), 'names: 3 for 2 CPUs'],
    [small({ checksFlushes: 'no' }), 'checksFlushes: expected true or false ("no")'],
    [small({ dirtyBits: 1 }), 'dirtyBits: expected true or false (1)'],
    [small({ levels: 1.5 }), 'levels: expected 1 .. 4 (1.5)'],
    [small({ entries: 0 }), 'entries: expected a whole number from 1 (0)'],
    [small({ flush: 'ipi', x86: { mutant: 'no local flush' } }), 'x86: ipi has nothing of x86'],
    [small({ kvm: { mutant: 'plain store' } }), 'kvm: the flush is x86: use the flush kvm'],
    [small({ hypercall: { mayFail: true } }), 'hypercall: the flush is x86: use the flush hyper-v or xen-pv'],
    [small({ flush: () => ANY, lazy: [1] }), "lazy: a flush of one's own is handed what it needs by whoever makes it"],
  ],
  'x86Tlb: mutant: ': [[small({ x86: { mutant: 'no locl flush' } }), '"no locl flush" is none of ']],
  'mm: hypercallTlbFlush: mutant: ': [
    [small({ flush: 'xen-pv', hypercall: { mutant: 'none' } }), '"none" is none of lazy CPUs keep freed tables, '],
  ],
};

describe.each(Object.entries(refused))('%s', (where, calls) => {
  it.each(calls.map(([call, line]) => [line, call] as const))('%s', (line, call) => {
    expect(call).toThrow(ModelError);
    expect(call).toThrow(where);
    expect(call).toThrow(line);
    expect(call).not.toThrow('\n');
  });
});
