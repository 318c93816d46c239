/**
 * `remote-flush`: is a flush complete that interrupts no CPU? (x86: hypercalls of Hyper-V and Xen guests, INVLPGB on
 * AMD, v6.15)
 *
 * A hypercall has the hypervisor invalidate for the CPUs of a mask, and returns when it has. INVLPGB invalidates on
 * every CPU by itself, at any time until a TLBSYNC of the same CPU; it needs the same PCID everywhere, and an mm
 * changes to such a global ASID while its CPUs run and switch.
 */
import type { BuildRequest, Scenario, Variant } from '@shootdown/explorer';
import { type Property, type System } from '@shootdown/machine';
import { hypercallTlbFlush, type HypercallTlbOptions, type InvlpgbMutant, type X86TlbMutant } from '@shootdown/mm';
import {
  accesses,
  comesBack,
  flushMachine,
  PAGE,
  startMachine,
  unmap,
  type FlushMachine,
  getsGlobalAsid,
} from './flush-machine.ts';

/** How the machine flushes. */
interface Design extends Variant {
  readonly hypercall?: HypercallTlbOptions;
  /** The mm has a global ASID from the start, or gets one while CPU 1 switches. */
  readonly invlpgb?: { readonly asid: 'global' | 'transition'; readonly mutant?: InvlpgbMutant };
  readonly mutant?: X86TlbMutant;
}

const HYPER_V = 'hyperv_flush_tlb_multi(), v6.18';
const INVLPGB = 'broadcast_tlb_flush(), v6.18';
const TRANSITION = 'finish_asid_transition(), v6.18';
const SWITCHING = 'comment in switch_mm_irqs_off(): let finish_asid_transition() know that CR3 is changing';
/** Number of PCIDs, modulo which those of the two mms and the global ASID differ. */
const SPACES = 4;

const designs: readonly Design[] = [
  {
    name: 'native-ipi',
    expected: 'safe',
    source: 'native_flush_tlb_multi()',
    summary: 'for comparison: an IPI to every CPU that runs the mm',
  },
  {
    name: 'hyper-v',
    expected: 'safe',
    source: HYPER_V,
    summary: 'the hypervisor flushes',
    hypercall: { hypervisor: 'hyper-v' },
  },
  {
    name: 'hyper-v/refused',
    expected: 'safe',
    source: HYPER_V,
    summary: 'the hypervisor may refuse: IPIs then',
    hypercall: { hypervisor: 'hyper-v', mayFail: true },
  },
  {
    name: 'hyper-v/refusal-ignored',
    expected: 'violation',
    source: HYPER_V,
    summary: 'the status of the hypercall is not looked at',
    hypercall: { hypervisor: 'hyper-v', mayFail: true, mutant: 'failure is ignored' },
  },
  {
    name: 'xen-pv',
    expected: 'safe',
    source: 'xen_flush_tlb_multi(), v6.18',
    summary: 'the same under Xen, which never refuses',
    hypercall: { hypervisor: 'xen-pv' },
  },
  { name: 'invlpgb', expected: 'safe', source: INVLPGB, summary: 'INVLPGB, then TLBSYNC', invlpgb: { asid: 'global' } },
  {
    name: 'invlpgb/no-tlbsync',
    expected: 'violation',
    source: INVLPGB,
    summary: 'nobody waits for INVLPGB to arrive',
    invlpgb: { asid: 'global', mutant: 'no TLBSYNC' },
  },
  {
    name: 'transition',
    expected: 'safe',
    source: TRANSITION,
    summary: 'the mm gets its global ASID while CPU1 switches to another mm and back',
    invlpgb: { asid: 'transition' },
  },
  {
    name: 'transition/no-ipi',
    expected: 'violation',
    source: TRANSITION,
    summary: 'CPUs that do not use the global ASID yet get no IPI',
    invlpgb: { asid: 'transition', mutant: 'no IPI in a transition' },
  },
  {
    name: 'transition/no-wait',
    expected: 'violation',
    source: SWITCHING,
    summary: 'a CPU in the middle of a switch is taken for one that does not run the mm',
    invlpgb: { asid: 'transition', mutant: 'switching CPUs are not waited for' },
  },
  {
    name: 'transition/bit-already-set',
    expected: { sc: 'safe', tso: 'violation' },
    source: 'derived: the missing barrier of switch-mm-vs-flush bit-already-set is needed here too',
    summary: 'no full barrier before global_asid is read if the bit in mm_cpumask is set already',
    invlpgb: { asid: 'transition' },
    mutant: 'no barrier while switching',
    memoryModel: 'tso',
  },
];

/** Builds the machine of a variant. */
function buildRemoteFlush({ variant, memoryModel }: BuildRequest<Design>): System {
  const { hypercall, invlpgb, mutant } = variant;
  const transition = invlpgb?.asid === 'transition';
  const machine = flushMachine({
    memoryModel,
    mms: transition ? 2 : 1,
    ...(transition && { spaces: SPACES }),
    loaded: [1, 1],
    connected: true,
    ...(invlpgb?.asid === 'global' && { global: [1] }),
    x86: {
      ...(hypercall && { flush_tlb_multi: hypercallTlbFlush(hypercall) }),
      ...(invlpgb && { invlpgb: { ...(invlpgb.mutant && { mutant: invlpgb.mutant }) } }),
      ...(mutant && { mutant }),
    },
  });
  machine.builder.property(staleMeanwhile(machine));
  return startMachine(machine, transition ? [getsGlobalAsid, comesBack] : [unmap, accesses('access')]);
}

function staleMeanwhile({ tlb, kernel: { frames } }: FlushMachine): Property {
  return {
    name: 'CPU1 may hold a translation that memory no longer has',
    kind: 'sometimes',
    why: 'otherwise there is nothing to flush',
    reads: [...tlb.words, ...Array.from({ length: frames.entries.cells }, (_, i) => frames.entries.base + i)],
    check: (read) => tlb.isStale(read, 1, PAGE),
  };
}

/** x86 flushes without IPI: does a CPU that is not interrupted use an old translation? */
export const remoteFlush: Scenario<Design> = {
  name: 'remote-flush',
  title: 'x86 flushes without IPI: does a CPU that is not interrupted use an old translation?',
  seed: 'S1',
  variants: designs,
  build: buildRemoteFlush,
};
