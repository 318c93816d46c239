/** The MMU of one CPU in *exploration*, and the accesses that its routines make through it. */
import {
  defineOperation,
  operation,
  type Operation,
  type OperationContext,
  type Saying,
  type Steps,
  type SystemBuilder,
  noteMethods,
} from '@shootdown/machine';
import { formatEntry } from './entry.ts';
import { MmuInstructions } from './instructions.ts';
import type { Flush, Root } from './mmu.machine.ts';
import { NO_TRANSLATION } from './offered.ts';
import type { SaturatedTlb } from './saturated.ts';
import { Fault } from './walk.ts';

/** The MMU of one CPU over the saturated TLB. */
export class SaturatedMmu extends MmuInstructions {
  static {
    noteMethods(this);
  }

  readonly cpu: number;
  readonly tlb: SaturatedTlb;

  constructor(builder: SystemBuilder, cpuName: string, cpu: number, tlb: SaturatedTlb, initial: Omit<Root, 'type'>) {
    super(builder, cpuName, initial);
    this.cpu = cpu;
    this.tlb = tlb;
  }

  /** Every translation the CPU may hold is an outcome, and a fault if it may hold none and memory has none. */
  override *access(vpn: number, write: boolean, saying?: Saying): Steps<number> {
    const label = `${write ? 'write' : 'read'} page 0x${vpn.toString(16)}`;
    return yield operation(ACCESS, this.cpu, this.tlb.pageNumber(vpn), write ? 1 : 0, this.tlb, {
      label,
      fact,
      ...saying,
    });
  }

  /**
   * A store instruction of user code: its translation and the entry of its data into the store buffer are one step, as
   * no interrupt comes between them. Returns its fault; the data of a store that faults goes nowhere.
   * @param data address of the word behind a page frame
   */
  *store(vpn: number, data: (frame: number) => number, value: number, saying?: Saying): Steps<number> {
    const label = `store ${value} to page 0x${vpn.toString(16)}`;
    return yield operation(
      STORE,
      this.cpu,
      this.tlb.pageNumber(vpn),
      value,
      { tlb: this.tlb, data },
      { label, fact, ...saying },
    );
  }

  protected override get sender(): { readonly from?: number } {
    return this.tlb.storesWait ? { from: this.cpu } : {};
  }

  protected override accessesDone(cx: OperationContext): boolean {
    return this.tlb.accessesDone(cx, this.cpu);
  }

  override suspend(cx: OperationContext): void {
    this.tlb.suspend(cx, this.cpu, true);
  }

  override resume(cx: OperationContext): void {
    this.tlb.suspend(cx, this.cpu, false);
  }

  protected override setRoot(cx: OperationContext, event: Root): void {
    this.tlb.load(cx, this.cpu, event);
  }

  protected override flush(cx: OperationContext, flush: Flush): void {
    this.tlb.invalidate(cx, this.cpu, flush);
  }
}

/** Translates a page and says what with: see {@link SaturatedTlb.translate}. */
export function translateOperation(tlb: SaturatedTlb, cpu: number, vpn: number, saying?: Saying): Operation {
  return operation(TRANSLATE, cpu, tlb.pageNumber(vpn), 0, tlb, {
    label: `access page 0x${vpn.toString(16)}`,
    fact: (entry) => (entry === NO_TRANSLATION ? 'fault' : formatEntry(entry)),
    ...saying,
  });
}

/** What an access says of its result: nothing, unless it faults. */
const fact = (fault: number): string | undefined =>
  fault === Fault.none ? undefined : fault === Fault.protection ? 'fault: protection' : 'fault: not present';

const TRANSLATE = defineOperation({
  name: 'translate',
  role: 'environment',
  cost: 'tlb_hit',
  branches: (cx, op: Operation) => (op.data as SaturatedTlb).outcomes(cx, op.a, op.b, false),
  perform(cx, op, branch) {
    const tlb = op.data as SaturatedTlb;
    const resolved = tlb.resolve(cx, op.a, op.b, false, branch);
    if (resolved.fault === Fault.none) tlb.use(cx, op.a, op.b, resolved);
    return resolved.entry;
  },
});

const ACCESS = defineOperation({
  name: 'access',
  role: 'environment',
  cost: 'tlb_hit',
  branches: (cx, op: Operation) => (op.data as SaturatedTlb).outcomes(cx, op.a, op.b, op.c === 1),
  perform(cx, op, branch) {
    const tlb = op.data as SaturatedTlb;
    return tlb.access(cx, op.a, op.b, tlb.resolve(cx, op.a, op.b, op.c === 1, branch));
  },
});

interface UserStore {
  readonly tlb: SaturatedTlb;
  readonly data: (frame: number) => number;
}

const STORE = defineOperation({
  name: 'user_store',
  role: 'environment',
  cost: 'tlb_hit',
  branches: (cx, op: Operation) => (op.data as UserStore).tlb.outcomes(cx, op.a, op.b, true),
  perform(cx, op, branch) {
    const { tlb, data } = op.data as UserStore;
    return tlb.store(cx, op.a, op.b, tlb.resolve(cx, op.a, op.b, true, branch), data, op.c);
  },
});
