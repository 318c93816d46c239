/**
 * Lazy MMU mode: the generic layer, what an architecture defers, and the detector of hazards.
 *
 * Mirrors include/linux/pgtable.h of v7.0: lazy_mmu_mode_enable(), _disable(), _pause(), _resume(),
 * is_lazy_mmu_mode_active(). Per task two counts; per CPU one batch. Entries are changed through the operations of
 * `pte.ts`, which ask this class what becomes of a change. The detector sits in the same operations: it says which rule
 * is broken, by whom, and on which architecture.
 */
import {
  ModelError,
  type Address,
  type Frames,
  type OperationContext,
  type Region,
  type SystemBuilder,
  type WeakContext,
  checkValues,
  is,
  type OptionValues,
  wordsOf,
} from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { LAZY_ARCH_NEEDS, LAZY_ARCH_VALUES, type LazyArch } from './arch.ts';
import { HAZARDS, type HazardClass } from './hazards.ts';

/** Updates that a CPU's batch holds in a search; a full one is drained first. */
const BATCH_DEFAULT = 4;
const COUNT_MAX = 255;
/** Entries whose pending barriers fit into a word. */
const ENTRIES_PER_WORD = 32;
const TIF_LAZY_MMU = 1;
const TIF_LAZY_MMU_PENDING = 2;

/** Who performs an operation: a task, perhaps in an interrupt that it did not ask for. */
export interface Current {
  /** Number of the task, from 0. */
  readonly task: number;
  /** in_interrupt(). */
  readonly interrupt?: boolean;
}

/** What a {@link LazyMmu} needs to know of its machine. */
export interface LazyMmuOptions {
  readonly frames: Frames;
  readonly cpus: readonly Cpu[];
  /** Tasks that may enter the mode. */
  readonly tasks: number;
  readonly arch: LazyArch;
  /** Updates per batch. Default 4: {@link LazyArch.batchMax} is more than a search can do with. */
  readonly batch?: number;
  /** Invalidates a page's translations on every CPU, in one step. */
  readonly invalidate: (cx: OperationContext, vpn: number, pages: number) => void;
  /** The page whose last-level entry stands at an address; -1: an entry of the kernel's. */
  readonly pageAt: (address: number) => number;
  /** Entries, from the first, that may be the kernel's, so that barriers for them may be pending. Default all. */
  readonly kernelEntries?: number;
  /**
   * What a broken rule leads to. Default: a violation. `count`: an event in the counters; `ignore`: nothing, so that
   * the damage shows.
   */
  readonly hazards?: 'fail' | 'count' | 'ignore';
  /** What emit_pte_barriers() is made of. Default: `dsb(ishst); isb`. */
  readonly barriers?: PteBarriers;
}

const LAZY_MMU_VALUES: OptionValues<LazyMmuOptions> = {
  frames: is.anything,
  cpus: is.listOf(is.anything),
  tasks: is.whole(1),
  arch: is.options(LAZY_ARCH_VALUES, LAZY_ARCH_NEEDS),
  batch: is.whole(1),
  invalidate: is.callable,
  pageAt: is.callable,
  kernelEntries: is.whole(),
  hazards: is.oneOf(wordsOf<NonNullable<LazyMmuOptions['hazards']>>()('fail', 'count', 'ignore')),
  barriers: is.options<PteBarriers>({ dsb: is.flag, isb: is.flag }, ['dsb', 'isb']),
};

/** emit_pte_barriers() of arm64, or less (mutants). */
export interface PteBarriers {
  readonly dsb: boolean;
  readonly isb: boolean;
}

const DSB_ISHST = { kind: 'dsb', type: 'store', dependencies: null } as const;
const ISB = { kind: 'isb', dependencies: null } as const;

/** The mode on one machine. */
export class LazyMmu {
  readonly arch: LazyArch;
  readonly frames: Frames;
  readonly cpus: readonly Cpu[];
  readonly pageAt: (address: number) => number;
  readonly invalidate: (cx: OperationContext, vpn: number, pages: number) => void;
  readonly #layout: SystemBuilder['layout'];
  readonly #hazards: 'fail' | 'count' | 'ignore';
  readonly #barriers: PteBarriers;
  readonly #batchMax: number;
  readonly #enabled: Region;
  readonly #paused: Region;
  readonly #flags: Region;
  /** Per CPU: the task whose batch it is, plus one. */
  readonly #owner: Region;
  readonly #count: Region;
  /** Per CPU and update: address of the entry and its new value; of a deferred flush, the page. */
  readonly #updates: Region;
  /** Per task: entries stored whose barriers are pending, a bit each. */
  readonly #pending: Region;
  readonly #pendingWords: number;

  constructor(builder: SystemBuilder, options: LazyMmuOptions) {
    checkValues('lazy mmu: new', options, LAZY_MMU_VALUES, ['frames', 'cpus', 'tasks', 'arch', 'invalidate', 'pageAt']);
    const { tasks, cpus, arch, batch = BATCH_DEFAULT, kernelEntries = options.frames.entries.cells } = options;
    this.#layout = builder.layout;
    this.arch = arch;
    this.frames = options.frames;
    this.cpus = cpus;
    this.pageAt = options.pageAt;
    this.invalidate = options.invalidate;
    this.#hazards = options.hazards ?? 'fail';
    this.#barriers = options.barriers ?? { dsb: true, isb: true };
    this.#batchMax = batch;
    // Nobody but the task itself looks at them, so they are no matter of order.
    const perTask = (field: string) => ({
      cellName: (task: number) => `task${task}.${field}`,
      memory: 'ghost' as const,
    });
    const perCpu = (field: string) => ({ cellName: (cpu: number) => `per_cpu(${field}, ${cpu})` });
    this.#enabled = builder.region('lazy.enable_count', tasks, perTask('lazy_mmu_state.enable_count'));
    this.#paused = builder.region('lazy.pause_count', tasks, perTask('lazy_mmu_state.pause_count'));
    this.#flags = builder.region('lazy.flags', tasks, perTask('thread_info.flags'));
    this.#pendingWords = arch.defers === 'barrier' ? Math.ceil(kernelEntries / ENTRIES_PER_WORD) : 1;
    this.#pending = builder.region('lazy.pending', tasks * this.#pendingWords, {
      cellName: (cell) => `task${Math.floor(cell / this.#pendingWords)}.(entries whose barriers are pending)`,
    });
    this.#owner = builder.region('lazy.owner', cpus.length, perCpu('batch.active'));
    this.#count = builder.region('lazy.count', cpus.length, perCpu('batch.index'));
    this.#updates = builder.region('lazy.updates', cpus.length * batch * 2, {
      cellName: (cell) => `per_cpu(batch[${Math.floor(cell / 2) % batch}], ${Math.floor(cell / (2 * batch))})`,
    });
  }

  /** What sections do to entries is put off, or watched: not on x86 natively, nor on arm64 for a process's entries. */
  get defersUpdates(): boolean {
    return this.arch.defers !== 'nothing' && this.arch.defers !== 'barrier';
  }

  /** arch_enter_lazy_mmu_mode() is not empty. */
  get hasToEnter(): boolean {
    return this.arch.disablesPreemption || this.arch.nesting === 'inner leave ends' || this.isPerCpu;
  }

  /** A rule is broken: reported with the architecture on which that matters. */
  hazard(cx: OperationContext, kind: HazardClass, what: () => string): void {
    if (this.#hazards === 'fail') cx.fail(HAZARDS[kind], () => `${what()} (${this.arch.name})`);
    else if (this.#hazards === 'count') cx.count(`hazard ${kind}`);
  }

  /** is_lazy_mmu_mode_active(), as this architecture asks it. */
  isActive(cx: OperationContext, current: Current): boolean {
    const { activity, nesting, defersInInterrupts } = this.arch;
    if (activity === 'cpu') return this.owner(cx) !== 0;
    if (current.interrupt === true && !defersInInterrupts) return false;
    if (nesting === 'inner leave ends') return (cx.load(this.#flags.at(current.task)) & TIF_LAZY_MMU) !== 0;
    return cx.load(this.#enabled.at(current.task)) > 0 && cx.load(this.#paused.at(current.task)) === 0;
  }

  /** The task, plus one, that has the batch of the CPU that performs the step; 0: nobody. */
  owner(cx: OperationContext): number {
    return cx.load(this.#owner.at(cx.processor));
  }

  /** Updates in the batch of the CPU that performs the step. */
  queued(cx: OperationContext): readonly { readonly address: number; readonly value: number }[] {
    const first = cx.processor * this.#batchMax * 2;
    return Array.from({ length: cx.load(this.#count.at(cx.processor)) }, (_, i) => ({
      address: cx.load(this.#updates.at(first + 2 * i)),
      value: cx.load(this.#updates.at(first + 2 * i + 1)),
    }));
  }

  /** The newest queued value of an entry; undefined if none is queued on this CPU. */
  queuedValue(cx: OperationContext, address: number): number | undefined {
    return this.queued(cx).findLast((update) => update.address === address)?.value;
  }

  /** Adds to the CPU's batch. A full one is drained first. */
  enqueue(cx: OperationContext, address: number, value: number): void {
    if (cx.load(this.#count.at(cx.processor)) === this.#batchMax) while (this.drainOne(cx) === 1);
    const count = cx.load(this.#count.at(cx.processor));
    const first = (cx.processor * this.#batchMax + count) * 2;
    cx.write(this.#updates.at(first), address);
    cx.write(this.#updates.at(first + 1), value);
    cx.write(this.#count.at(cx.processor), count + 1);
    cx.explain(() => ({ kind: 'fact', text: 'queued' }));
  }

  /** Performs the oldest update of the CPU's batch; 0 if there was none. */
  drainOne(cx: OperationContext): number {
    const [oldest, ...rest] = this.queued(cx);
    cx.explain(() => ({ kind: 'fact', text: oldest ? this.#drained(oldest) : 'nothing queued' }));
    if (!oldest) return 0;
    this.spendOn(cx, 1, rest.length === 0);
    if (this.arch.defers === 'flush') this.invalidate(cx, oldest.address, 1);
    else cx.write(oldest.address, oldest.value);
    const first = cx.processor * this.#batchMax * 2;
    rest.forEach(({ address, value }, i) => {
      cx.write(this.#updates.at(first + 2 * i), address);
      cx.write(this.#updates.at(first + 2 * i + 1), value);
    });
    cx.write(this.#updates.at(first + 2 * rest.length), 0);
    cx.write(this.#updates.at(first + 2 * rest.length + 1), 0);
    cx.write(this.#count.at(cx.processor), rest.length);
    return 1;
  }

  /** A value of an entry, in words. */
  format(address: number, value: number): string {
    return this.#layout.formatValue(address, value);
  }

  /** What becomes of an update, in words. */
  #drained({ address, value }: { readonly address: number; readonly value: number }): string {
    if (this.arch.defers === 'flush') return `page 0x${address.toString(16)}`;
    return `${this.#layout.nameOf(address)} = ${this.format(address, value)}`;
  }

  /** arch_enter_lazy_mmu_mode(): what is kept per CPU or in the task's flags. */
  enter(cx: OperationContext, { task }: Current): void {
    if (this.arch.nesting === 'inner leave ends') this.#setFlag(cx, task, TIF_LAZY_MMU);
    if (this.isPerCpu) cx.write(this.#owner.at(cx.processor), task + 1);
  }

  /** The part of arch_leave_lazy_mmu_mode() that says that the mode is over. */
  leave(cx: OperationContext, { task }: Current): void {
    if (this.arch.nesting === 'inner leave ends') this.#clearFlag(cx, task, TIF_LAZY_MMU);
    if (!this.isPerCpu) return;
    if (this.owner(cx) !== task + 1) this.#notMine(cx, task, 'leaves the mode');
    cx.write(this.#owner.at(cx.processor), 0);
  }

  /** Whose a batch is matters: what waits is kept by the CPU. */
  get isPerCpu(): boolean {
    return this.arch.defers === 'flush' || this.arch.defers === 'cache';
  }

  /** A task uses the batch of a CPU whose batch is another's: H4. */
  checkOwner(cx: OperationContext, { task }: Current, what: string): void {
    if (this.isPerCpu && this.owner(cx) !== task + 1) this.#notMine(cx, task, what);
  }

  #notMine(cx: OperationContext, task: number, what: string): void {
    const owner = this.owner(cx);
    const whose = owner === 0 ? 'nobody' : `task ${owner - 1}`;
    this.hazard(cx, 'H4', () => `task ${task} ${what} on CPU${cx.processor}, whose batch is that of ${whose}`);
  }

  /** enable_count++ and the like; returns the new count. Throws ModelError beyond what a u8 holds. */
  count(cx: OperationContext, which: 'enable' | 'pause', { task }: Current, delta: number): number {
    const word = (which === 'enable' ? this.#enabled : this.#paused).at(task);
    const value = cx.load(word) + delta;
    if (value < 0 || value > COUNT_MAX)
      throw new ModelError(`lazy mmu: ${which}: the count of task ${task} would be ${value}: sections do not pair`);
    cx.write(word, value);
    return value;
  }

  /** A count as it is. */
  counted(cx: OperationContext, which: 'enable' | 'pause', { task }: Current): number {
    return cx.load((which === 'enable' ? this.#enabled : this.#paused).at(task));
  }

  /** queue_pte_barriers() while the mode is on: TIF_LAZY_MMU_PENDING, and which entry waits. */
  deferBarrier(cx: OperationContext, { task }: Current, address: number): void {
    this.#setFlag(cx, task, TIF_LAZY_MMU_PENDING);
    const { word, bit } = this.#pendingAt(task, address);
    cx.write(word, cx.load(word) | bit);
  }

  /** test_and_clear(TIF_LAZY_MMU_PENDING), and emit_pte_barriers() if it was set; 1 if it was. */
  emitBarriers(cx: OperationContext, { task }: Current): number {
    if ((cx.load(this.#flags.at(task)) & TIF_LAZY_MMU_PENDING) === 0) return 0;
    this.#clearFlag(cx, task, TIF_LAZY_MMU_PENDING);
    for (let i = 0; i < this.#pendingWords; i++) cx.write(this.#pending.at(task * this.#pendingWords + i), 0);
    this.performBarriers(cx);
    return 1;
  }

  /** emit_pte_barriers(): `dsb(ishst); isb`. */
  performBarriers(cx: OperationContext): void {
    cx.spend('dsb');
    cx.spend('isb');
    cx.count('emit_pte_barriers');
  }

  /**
   * What an update costs that is performed at once, or with the others of its batch: each its part, and what waits for
   * all of it once. A hypercall on Xen PV; elsewhere an invalidation that every CPU has to acknowledge.
   */
  spendOn(cx: OperationContext, updates: number, complete: boolean): void {
    const isStore = this.arch.defers === 'store';
    cx.spend(isStore ? 'mmu_update' : 'tlbi', updates);
    if (!complete) return;
    cx.spend(isStore ? 'vmexit_hypercall' : 'dvm');
    cx.count(isStore ? 'xen_mc_flush' : 'lazy_mmu_flush');
  }

  #pendingAt(task: number, address: number): { readonly word: Address; readonly bit: number } {
    const entry = address - this.frames.entries.base;
    return {
      word: this.#pending.at(task * this.#pendingWords + Math.floor(entry / ENTRIES_PER_WORD)),
      bit: 1 << (entry % ENTRIES_PER_WORD),
    };
  }

  /** emit_pte_barriers(), on a machine where they order something. */
  orderEntries(memory: WeakContext, { dsb, isb } = this.#barriers): void {
    if (dsb) memory.request(DSB_ISHST);
    if (isb) memory.request(ISB);
  }

  /** The barriers in words, as they are emitted. */
  barrierText({ dsb, isb } = this.#barriers): string {
    return [dsb && 'dsb(ishst)', isb && 'isb'].filter((one) => one !== false).join('; ') || 'no barrier';
  }

  /** True while the barriers for an entry that any task has stored are pending. */
  barrierPending(cx: OperationContext, address: Address): boolean {
    if (this.arch.defers !== 'barrier') return false;
    const tasks = this.#pending.cells / this.#pendingWords;
    return Array.from({ length: tasks }, (_, task) => this.#pendingAt(task, address)).some(
      ({ word, bit }) => (cx.load(word) & bit) !== 0,
    );
  }

  #setFlag(cx: OperationContext, task: number, flag: number): void {
    cx.write(this.#flags.at(task), cx.load(this.#flags.at(task)) | flag);
  }

  #clearFlag(cx: OperationContext, task: number, flag: number): void {
    cx.write(this.#flags.at(task), cx.load(this.#flags.at(task)) & ~flag);
  }
}
