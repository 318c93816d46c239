/**
 * The memory behind a guest whose vCPUs are actors: host pages, the second stage that translates to them, and KVM,
 * which keeps the second in step with the first.
 *
 * Mirrors virt/kvm/kvm_main.c and arch/x86/kvm/mmu, v6.18. The host's page table of the process that the guest belongs
 * to is one word per guest frame: a page comes there with the first fault, and goes with {@link unmapGuestFrame}.
 */
import {
  defineOperation,
  ModelError,
  NO_FRAME,
  noteMethods,
  operation,
  performInOneStep,
  program,
  routine,
  type Operation,
  type OperationContext,
  type Region,
  type Saying,
  type Steps,
  type SystemBuilder,
  checkOptions,
  keysOf,
} from '@shootdown/machine';
import type { Vm } from '@shootdown/hypervisor';
import {
  _PAGE_ACCESSED,
  _PAGE_PRESENT,
  _PAGE_RW,
  formatEntry,
  mk_pte,
  pte_pfn,
  pte_present,
  pte_write,
  pte_young,
  type SecondStage,
} from '@shootdown/mmu';
import {
  MmuNotifierSubscriptions,
  type EntryFormat,
  type PrimaryMmu,
  type PrimaryPage,
  type SecondaryTable,
} from '@shootdown/mmu-notifier';
import { spin_lock, spin_unlock, type Spinlock } from '@shootdown/sync';
import { Kvm, type KvmMutant } from './kvm.ts';
import { kvm_tdp_page_fault } from './page-fault.ts';
import { kickedVcpus, type KickMutant } from './requests.ts';

/** Entries of the second stage: hardware marks them accessed and dirty itself. */
const sptes: EntryFormat = {
  make: (pfn, writable) => mk_pte(pfn, _PAGE_PRESENT | (writable ? _PAGE_RW : 0)),
  pfn: pte_pfn,
  present: pte_present,
  writable: pte_write,
  young: pte_young,
  old: (entry) => entry & ~_PAGE_ACCESSED,
  format: formatEntry,
};

/** What a guest's memory is made of. */
export interface GuestMemoryOptions {
  /** Prefix of the region names. */
  readonly name: string;
  readonly stage: SecondStage;
  readonly mutant?: KvmMutant | KickMutant;
}

const GUEST_MEMORY_KEYS = keysOf<GuestMemoryOptions>()('name', 'stage', 'mutant');

/** A virtual machine's memory. */
export class GuestMemory implements PrimaryMmu {
  static {
    noteMethods(this);
  }

  readonly stage: SecondStage;
  readonly kvm: Kvm;
  /** Those of the host's process; null: the host takes no memory from this guest. */
  readonly notifiers: MmuNotifierSubscriptions | null;
  readonly #lock: Spinlock;
  /** The host's page table: one more than the page behind a guest frame, 0 if there is none. */
  readonly pages: Region;

  /** @param vm its vCPUs, asked for when the first request is made */
  constructor(builder: SystemBuilder, vm: Vm, options: GuestMemoryOptions) {
    // What a mutant may be, those look who are handed it.
    checkOptions('kvm: guest memory: new', options, GUEST_MEMORY_KEYS, ['name', 'stage']);
    const { name, stage, mutant } = options;
    this.stage = stage;
    this.pages = builder.region(`${name}.hva`, stage.guestFrames, {
      format: (word) => (word === 0 ? 'none' : `host frame 0x${(word - 1).toString(16)}`),
    });
    // No cache line is said for its word: a vCPU that takes it pays for that with what an EPT violation costs.
    const word = builder.region(`${name}.mmu_lock`, 1, { memory: 'strong' }).at(0);
    const lock: Spinlock = { name: `${name}.mmu_lock`, word };
    this.#lock = lock;
    const ofKicks = mutant === 'no kick' || mutant === 'no wait';
    this.kvm = new Kvm(builder, name, {
      frames: stage.host,
      table: new StageTable(stage),
      format: sptes,
      lock: { lock: () => spin_lock(lock), unlock: () => spin_unlock(lock), word },
      tlb: kickedVcpus(vm, ofKicks ? mutant : undefined),
      ...(mutant !== undefined && !ofKicks && { mutant }),
    });
    this.notifiers = vm.options.takesMemory ? new MmuNotifierSubscriptions(builder, `${name}.mm`) : null;
    this.notifiers?.add(`${name}.kvm`, this.kvm.ops);
  }

  /** hva_to_pfn(): the host page behind a guest frame; a new one if there is none. */
  *lookup(gfn: number): Steps<PrimaryPage> {
    const pfn = yield operation(FAULT_IN, gfn, 0, 0, this, { label: `hva_to_pfn(gfn 0x${gfn.toString(16)})` });
    return { pfn, writable: true };
  }

  /** The host's page table keeps the page. */
  *release(): Steps {}

  /** The host's entry for a guest frame goes; the page that it named, or -1. */
  *clear(gfn: number): Steps<number> {
    return yield operation(CLEAR, gfn, 0, 0, this, { label: `ptep_clear_flush(gfn 0x${gfn.toString(16)})` });
  }

  /** Nobody names the page any more. */
  *put(frame: number): Steps {
    yield operation(RELEASE, frame, 0, 0, this, { label: `put_page(host frame 0x${frame.toString(16)})` });
  }

  /**
   * kvm_mmu_page_fault() within the step of the exit: a vCPU that finds mmu_lock taken, or an invalidation of the page
   * under way, enters the guest again and faults again.
   */
  page_fault(cx: OperationContext, gfn: number, vcpu: string): void {
    const { guestFrames } = this.stage;
    if (gfn >= guestFrames)
      throw new ModelError(
        `hypervisor: ${vcpu}: no memory slot for gfn 0x${gfn.toString(16)} (${guestFrames} frames): MMIO is not modelled`,
      );
    if (cx.read(this.#lock.word) !== 0) return;
    performInOneStep(cx, program(kvm_tdp_page_fault, this.kvm, this, gfn, true));
  }
}

/** The host takes one guest frame away and frees the page behind it. Returns true if there was one. */
export const unmapGuestFrame = routine('unmapGuestFrame', function* (memory: GuestMemory, gfn: number): Steps<boolean> {
  const { notifiers } = memory;
  if (!notifiers) throw new ModelError('kvm: unmapGuestFrame: this virtual machine was not made with takesMemory');
  yield* notifiers.mmu_notifier_invalidate_range_start(gfn, gfn + 1);
  const frame = yield* memory.clear(gfn);
  if (frame >= 0) yield* memory.put(frame);
  yield* notifiers.mmu_notifier_invalidate_range_end(gfn, gfn + 1);
  return frame >= 0;
});

/** The tree of a second stage, by guest frame. */
class StageTable implements SecondaryTable {
  static {
    noteMethods(this);
  }

  readonly #stage: SecondStage;

  constructor(stage: SecondStage) {
    this.#stage = stage;
  }

  get entries(): number {
    return this.#stage.guestFrames;
  }

  *read(gfn: number, saying: Saying): Steps<number> {
    return yield operation(READ_SPTE, gfn, 0, 0, this.#stage, saying);
  }

  *xchg(gfn: number, entry: number, saying: Saying): Steps<number> {
    return yield operation(XCHG_SPTE, gfn, entry, 0, this.#stage, saying);
  }
}

const stageOf = (op: Operation): SecondStage => op.data as SecondStage;
const memoryOf = (op: Operation): GuestMemory => op.data as GuestMemory;

const READ_SPTE = defineOperation({
  name: 'read_spte',
  cost: 'load',
  perform: (cx, op) => stageOf(op).entryOf(cx, op.a),
});

const XCHG_SPTE = defineOperation({
  name: 'xchg_spte',
  cost: 'xchg',
  perform(cx, op) {
    const old = stageOf(op).exchange(cx, op.a, op.b);
    return old === NO_FRAME ? outOfMemory(op.a) : old;
  },
});

const FAULT_IN = defineOperation({
  name: 'hva_to_pfn',
  perform(cx, op) {
    const { stage, pages } = memoryOf(op);
    const known = cx.read(pages.at(op.a));
    if (known !== 0) return known - 1;
    const frame = stage.take(cx, op.a);
    if (frame === NO_FRAME) return outOfMemory(op.a);
    cx.write(pages.at(op.a), frame + 1);
    return frame;
  },
});

const CLEAR = defineOperation({
  name: 'clear_hva',
  cost: 'xchg',
  perform(cx, op) {
    const { pages } = memoryOf(op);
    const frame = cx.read(pages.at(op.a)) - 1;
    cx.write(pages.at(op.a), 0);
    return frame;
  },
});

const RELEASE = defineOperation({
  name: 'page_free',
  perform(cx, op) {
    memoryOf(op).stage.release(cx, op.a);
    return 0;
  },
});

function outOfMemory(gfn: number): never {
  throw new ModelError(`the host has no frame left for gfn 0x${gfn.toString(16)}: give it more memory`);
}
