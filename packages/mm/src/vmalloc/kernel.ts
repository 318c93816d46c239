/**
 * What the vmalloc and ptdump routines of one arm64 kernel share: the kernel's page table, init_mm, the static key, the
 * barriers.
 *
 * The tree has three levels, pud -> pmd -> pte, and starts as a vfree() leaves it: tables in place, all ptes clear.
 */
import {
  BLOCKED,
  defineOperation,
  withDefinition,
  Frames,
  ModelError,
  NO_FRAME,
  operation,
  type EntryPointer,
  type OperationDefinition,
  type Saying,
  type Steps,
  type SystemBuilder,
  noteMethods,
  checkValues,
  is,
  type OptionValues,
} from '@shootdown/machine';
import { JumpLabels, PercpuRwsem, Rcu, type RcuOptions, type StaticKey } from '@shootdown/sync';
import type { KernelBase } from '../kernel.ts';
import { MmStruct } from '../mmap-lock.ts';
import { KernelTableWatch } from './break-before-make.ts';
import { formatDescriptor, pxd_pgtable, pxd_table, tableDescriptor } from './descriptor.ts';

/** How big the tree is. Powers of two as in the kernel are not needed. */
export interface TreeShape {
  /** Entries of the pud table, each with a pmd table below. */
  readonly puds: number;
  /** Entries of a pmd table, each with a pte table below. */
  readonly pmds: number;
  readonly ptes: number;
}

/** Which parts of the kernel a machine has. */
export interface VmallocKernelOptions {
  readonly tree: TreeShape;
  /** Processors, each with one task. */
  readonly processors: number;
  /** kick_all_cpus_sync(); left out, code patching does without (arm64 before v6.11, and every litmus test). */
  readonly kick_all_cpus_sync?: (processor: number) => Steps;
  /** Left out: no RCU, and no per-CPU semaphore. */
  readonly rcu?: Omit<RcuOptions, 'processors'>;
  /** With another mm that shares the kernel's part of the tree. */
  readonly efi?: boolean;
  /** Leaves out the DSB of __flush_tlb_kernel_pgtable(). */
  readonly withoutDsb?: boolean;
  /**
   * Walk caches are followed: entries are changed by break-before-make, and tables are freed when no cache points to
   * them, or it is a violation. Default false: it costs a word per entry.
   */
  readonly breakBeforeMake?: boolean | undefined;
  /** Leaves out its ISB. */
  readonly withoutIsb?: boolean;
  /** The per-CPU semaphore has no barrier B. */
  readonly withoutBarrierB?: boolean;
}

const TREE_VALUES: OptionValues<TreeShape> = { puds: is.whole(1), pmds: is.whole(1), ptes: is.whole(1) };

const VMALLOC_KERNEL_VALUES: OptionValues<VmallocKernelOptions> = {
  tree: is.options(TREE_VALUES, ['puds', 'pmds', 'ptes']),
  processors: is.whole(1),
  kick_all_cpus_sync: is.callable,
  rcu: is.anything,
  efi: is.flag,
  withoutDsb: is.flag,
  breakBeforeMake: is.flag,
  withoutIsb: is.flag,
  withoutBarrierB: is.flag,
};

const DSB_ISHST = { kind: 'dsb', type: 'store', dependencies: null } as const;
const DSB_ISH = { kind: 'dsb', type: 'full', dependencies: null } as const;

/** `dsb(ishst); tlbi vaae1is; dsb(ish)`: a full barrier for loads and stores. */
const FLUSH_KERNEL_PGTABLE = flush('__flush_tlb_kernel_pgtable', 'dvm', true);
/** What is left of it when its last DSB waits for stores alone. */
const FLUSH_ISHST = defineOperation({
  name: '__flush_tlb_kernel_pgtable',
  cost: 'dvm',
  perform: (cx) => (cx.drained() ? 0 : BLOCKED),
  weak: (_cx, memory) => {
    memory.dmb('store');
    return 0;
  },
  footprint: () => ({ reads: [], writes: [] }),
});
const FLUSH_WITHOUT_BARRIER = flush('__flush_tlb_kernel_pgtable', 'tlbi', false);

function flush(name: string, cost: string, barrier: boolean): OperationDefinition {
  return defineOperation({
    name,
    cost,
    architecture: 'arm64',
    ...(barrier && { ordering: 'full' as const }),
    role: 'barrier',
    weaker: (op, memoryModel) =>
      memoryModel === 'arm' && barrier
        ? [{ change: 'dsb-ishst-instead', operation: withDefinition(op, FLUSH_ISHST) }]
        : [],
    perform(cx, op) {
      if (barrier && !cx.drained()) return BLOCKED;
      (op.data as KernelTableWatch | null)?.flushed(cx);
      return 0;
    },
    weak(_cx, memory) {
      if (!barrier) return 0;
      memory.request(DSB_ISHST);
      memory.request(DSB_ISH);
      return 0;
    },
    footprint: ({ data }) => (data as KernelTableWatch | null)?.footprint ?? { reads: [], writes: [] },
  });
}

/** A kernel whose tables map kernel memory: frames, locks and RCU, and nobody who translates through them. */
export class VmallocKernel implements KernelBase {
  static {
    noteMethods(this);
  }

  readonly builder: SystemBuilder;
  readonly frames: Frames;
  readonly tree: TreeShape;
  readonly init_mm: MmStruct;
  readonly labels: JumpLabels;
  readonly arm64_ptdump_lock_key: StaticKey;
  /** Readers of the page table, in the order in which they were added. */
  readonly ptdumps: object[] = [];
  /** Callback number for a pte or pmd table freed by call_rcu(); 0 without RCU. */
  readonly freeTableRcu: number;
  /** Frame of the pud table. */
  readonly root = 0;
  readonly #options: VmallocKernelOptions;
  readonly #efi: MmStruct | null;
  readonly #rcu: Rcu | null;
  readonly #ptdumpSem: PercpuRwsem | null;
  readonly #watch: KernelTableWatch | null;

  constructor(builder: SystemBuilder, options: VmallocKernelOptions) {
    checkValues('vmalloc: kernel: new', options, VMALLOC_KERNEL_VALUES, ['tree', 'processors']);
    const { tree, processors, kick_all_cpus_sync, rcu, efi = false } = options;
    this.builder = builder;
    this.#options = options;
    this.tree = tree;
    const initialTables = emptiedTree(tree);
    this.frames = new Frames(builder, {
      tables: initialTables.length,
      entriesPerTable: Math.max(tree.puds, tree.pmds, tree.ptes),
      pages: 0,
      initialTables,
      pointsTo: (entry) => (pxd_table(entry) ? pxd_pgtable(entry) : NO_FRAME),
    });
    this.#watch = options.breakBeforeMake ? new KernelTableWatch(builder, this.frames) : null;
    this.init_mm = new MmStruct(builder, 'init_mm', processors);
    this.labels = new JumpLabels(builder, { processors, ...(kick_all_cpus_sync && { kick_all_cpus_sync }) });
    this.arm64_ptdump_lock_key = this.labels.key('arm64_ptdump_lock_key');
    this.#efi = efi ? new MmStruct(builder, 'efi_mm', processors) : null;
    this.#rcu = rcu ? new Rcu(builder, { processors, ...rcu }) : null;
    this.#ptdumpSem =
      this.#rcu &&
      new PercpuRwsem(builder, 'ptdump_sem', this.#rcu, { withoutBarrierB: options.withoutBarrierB ?? false });
    this.freeTableRcu = this.#rcu?.register('pgtable_free', (frame) => this.free(frame, 'pgtable_free')) ?? 0;
  }

  /** What only some machines have, by name. */
  get parts(): { readonly efi_mm?: MmStruct; readonly ptdump_sem?: PercpuRwsem } {
    return { ...(this.#efi && { efi_mm: this.#efi }), ...(this.#ptdumpSem && { ptdump_sem: this.#ptdumpSem }) };
  }

  /** efi_mm: has the kernel's part of the tree, and a lock of its own. */
  get efi_mm(): MmStruct {
    return present(this.#efi, 'efi');
  }

  get rcu(): Rcu {
    return present(this.#rcu, 'rcu');
  }

  /** The semaphore that was proposed instead of init_mm's lock. */
  get ptdump_sem(): PercpuRwsem {
    return present(this.#ptdumpSem, 'rcu');
  }

  /** The pud entry of a virtual range. */
  pud(index: number): EntryPointer {
    return this.frames.entry(this.root, index);
  }

  /** READ_ONCE() of an entry; `call` is the kernel's name for it. */
  *get(pointer: EntryPointer, call: string): Steps<number> {
    return yield* this.frames.read(pointer, saying(call, pointer, ''));
  }

  /** pud_clear(), pmd_clear(): one plain store; a clear entry needs no barrier of its own. */
  *clear(pointer: EntryPointer, level: string): Steps {
    yield* this.frames.write(pointer, 0, { label: saying(`${level}_clear`, pointer, '').label });
  }

  /** set_pud(), set_pmd(), set_pte(): one plain store. */
  *set(pointer: EntryPointer, value: number, level: string): Steps {
    yield* this.frames.write(pointer, value, {
      label: saying(`set_${level}`, pointer, `, ${formatDescriptor(value)}`).label,
    });
  }

  /**
   * pmd_free(), pte_free_kernel(). put_page_testzero() in there is a value-returning atomic, hence a full barrier: what
   * was cleared is visible before the page can become something else, whatever the caller has forgotten.
   */
  *free(table: number, call: string): Steps {
    yield* this.frames.put(table, { label: `${call}(0x${table.toString(16)})` });
  }

  /** __flush_tlb_kernel_pgtable(): what the walk caches hold of a removed kernel table is gone when it returns. */
  *__flush_tlb_kernel_pgtable(): Steps {
    const { withoutDsb, withoutIsb } = this.#options;
    yield operation(withoutDsb ? FLUSH_WITHOUT_BARRIER : FLUSH_KERNEL_PGTABLE, 0, 0, 0, this.#watch, {
      label: '__flush_tlb_kernel_pgtable()',
      ...(this.#watch === null && { unmodelled: 'the invalidation of the walk caches' }),
    });
    if (!withoutIsb) yield* this.labels.contextSynchronization();
  }
}

function present<T>(part: T | null, option: string): T {
  if (part === null) throw new ModelError(`vmalloc: kernel: this machine was built without ${option}: set that option`);
  return part;
}

function saying(call: string, pointer: EntryPointer, rest: string): Saying {
  return { label: `${call}(0x${pointer.frame.toString(16)}[${pointer.index}]${rest})`, fact: formatDescriptor };
}

/** The tables of a tree in which every range was mapped with pages once and unmapped again. */
function emptiedTree({ puds, pmds, ptes }: TreeShape): number[][] {
  const tables: number[][] = [Array.from({ length: puds }, (_, i) => tableDescriptor(1 + i * (1 + pmds)))];
  for (let i = 0; i < puds; i++) {
    const first = tables.length + 1;
    tables.push(Array.from({ length: pmds }, (_, j) => tableDescriptor(first + j)));
    for (let j = 0; j < pmds; j++) tables.push(Array.from({ length: ptes }, () => 0));
  }
  return tables;
}
