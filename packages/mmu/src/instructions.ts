/**
 * The instructions that talk to a CPU's own MMU: CR3 and TTBR writes, INVLPG, INVPCID, TLBI, DSB, ISB.
 *
 * What they do to cached translations is up to the MMU behind them: a real TLB in a run (`mmu.ts`), the saturated TLB in
 * exploration (`saturated.ts`). Routines see no difference.
 */
import { BLOCKED, defineOperation, operation, type Message, type Operation, type OperationContext, type Saying, type Steps, type SystemBuilder } from '@shootdown/machine';
import { mmuMachine, type Flush, type Root } from './mmu.machine.ts';

const DVM_CAPACITY = 16;

/** What a TLBI invalidates. */
export interface TlbiRequest {
  readonly type: 'tlbi';
  readonly scope: 'page' | 'asid' | 'all';
  readonly vpn: number;
  readonly asid: number;
  readonly leafOnly: boolean;
}

/** The MMU of one CPU as its routines see it. Make all of a machine's MMUs, then {@link connectMmus} if TLBIs are broadcast. */
export abstract class MmuInstructions {
  readonly name: string;
  /** Index of the actor. */
  readonly component: number;
  /** Channels that carry this MMU's broadcast TLBIs to the others. */
  broadcast: readonly number[] = [];

  /** @param initial what the actor walks to begin with; left out: tree and address space 0 */
  constructor(builder: SystemBuilder, cpuName: string, initial?: Omit<Root, 'type'>) {
    this.name = `${cpuName}.mmu`;
    this.component = builder.component({
      name: this.name,
      machine: mmuMachine,
      input: initial,
      effects: {
        'mmu.root': (cx, event) => this.setRoot(cx, event as unknown as Root),
        'tlb.flush': (cx, event) => this.flush(cx, event as unknown as Flush),
      },
    });
  }

  /** A user access to a page: a `Fault` code, 0 if it went through. */
  abstract access(vpn: number, write: boolean, saying?: Saying): Steps<number>;

  /** The hardware stops translating for this CPU and keeps what it has: a virtual CPU leaves guest mode. */
  suspend(_cx: OperationContext): void {}

  /** It translates again. */
  resume(_cx: OperationContext): void {}

  /** The actor walks another tree from now on. */
  protected abstract setRoot(cx: OperationContext, event: Root): void;

  /** The actor invalidates. */
  protected abstract flush(cx: OperationContext, flush: Flush): void;

  /** MOV to CR3 (or TTBR0): from now on this tree and address space. `noflush`: keep what is cached of it. A root of -1 is no tree. */
  *load_root(root: number, asid: number, noflush: boolean): Steps {
    const tree = root < 0 ? 'init_mm' : `root 0x${root.toString(16)}`;
    yield this.#tell(CR3_WRITE, { type: 'load_root', root, asid, noflush }, `write_cr3(${tree}, pcid ${asid}${noflush ? ', noflush' : ''})`);
  }

  /** Writes CR3 with the value it has (native_flush_tlb_local): invalidates what INVPCID type 1 does. */
  *reload_cr3(asid: number): Steps {
    yield this.#tell(CR3_WRITE, { type: 'invpcid', kind: 1, asid, vpn: 0 }, `write_cr3(read_cr3()), pcid ${asid}`);
  }

  /** INVLPG. */
  *invlpg(vpn: number): Steps {
    yield this.#tell(INVLPG, { type: 'invlpg', vpn }, `invlpg(0x${vpn.toString(16)})`);
  }

  /** INVPCID type 1: everything of one address space but global entries. */
  *invpcid_single_context(asid: number): Steps {
    yield this.#tell(INVPCID, { type: 'invpcid', kind: 1, asid, vpn: 0 }, `invpcid(single context, pcid ${asid})`);
  }

  /** INVPCID type 2: everything, global entries too. */
  *invpcid_all(): Steps {
    yield this.#tell(INVPCID, { type: 'invpcid', kind: 2, asid: 0, vpn: 0 }, 'invpcid(all)');
  }

  /** A TLBI for this CPU only, complete at the next {@link dsb}. */
  *tlbi_local(message: Omit<TlbiRequest, 'type'>): Steps {
    yield this.#tell(TLBI, { type: 'tlbi', ...message }, `tlbi ${tlbiName(message)}`);
  }

  /** A TLBI ..IS: takes effect here at once and on each other CPU when it arrives there. Waits while the interconnect is full. */
  *tlbi_is(message: Omit<TlbiRequest, 'type'>): Steps {
    yield operation(TLBI_IS, this.component, 0, 0, { mmu: this, message: { type: 'tlbi', ...message } }, { label: `tlbi ${tlbiName(message, 'is')}` });
  }

  /** DSB: waits until own stores are visible to walkers and own broadcast TLBIs are complete everywhere. */
  *dsb(kind: 'ish' | 'ishst' | 'nsh' | 'nshst'): Steps {
    yield operation(DSB, kind === 'ish' ? 1 : 0, 0, 0, this, { label: `dsb(${kind})` });
  }

  /** ISB. */
  *isb(): Steps {
    yield operation(ISB, 0, 0, 0, undefined, { label: 'isb()' });
  }

  #tell(definition: typeof INVLPG, message: Message, label: string): Operation {
    return operation(definition, this.component, 0, 0, message, { label });
  }
}

/** Connects MMUs by channels for broadcast TLBIs: one per pair, unordered, complete for the sender when empty. */
export function connectMmus(builder: SystemBuilder, mmus: readonly MmuInstructions[]): void {
  for (const from of mmus) {
    from.broadcast = mmus
      .filter((to) => to !== from)
      .map((to) => builder.channel({ name: `${from.name}->${to.name}`, to: to.name, policy: 'unordered', capacity: DVM_CAPACITY, latency: 'dvm' }));
  }
}

function tlbiName(request: Omit<TlbiRequest, 'type'>, domain = ''): string {
  if (request.scope === 'all') return `vmalle1${domain}`;
  if (request.scope === 'asid') return `aside1${domain}(asid ${request.asid})`;
  const form = request.asid < 0 ? (request.leafOnly ? 'vaale1' : 'vaae1') : request.leafOnly ? 'vale1' : 'vae1';
  return `${form}${domain}(0x${request.vpn.toString(16)})`;
}

const tellOwnMmu = (cx: OperationContext, op: Operation): number => {
  cx.tell(op.a, op.data as Message);
  return 0;
};

/** CR3 writes, INVLPG and INVPCID are serializing: stores before them are in memory first (Intel SDM vol. 3A, 9.3). */
const tellWhenDrained = (cx: OperationContext, op: Operation): number => (cx.drained() ? tellOwnMmu(cx, op) : BLOCKED);

const INVLPG = defineOperation({ name: 'invlpg', perform: tellWhenDrained });
const INVPCID = defineOperation({ name: 'invpcid', cost: 'cr3_write', perform: tellWhenDrained });
const CR3_WRITE = defineOperation({ name: 'cr3_write', perform: tellWhenDrained });
const TLBI = defineOperation({ name: 'tlbi', perform: tellOwnMmu });

const TLBI_IS = defineOperation({
  name: 'tlbi_is',
  cost: 'tlbi',
  perform(cx, op) {
    const { mmu, message } = op.data as { mmu: MmuInstructions; message: Message };
    if (mmu.broadcast.some((channel) => cx.channelFull(channel))) return BLOCKED;
    cx.tell(op.a, message);
    for (const channel of mmu.broadcast) cx.send(channel, message);
    return 0;
  },
});

const DSB = defineOperation({
  name: 'dsb',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const waits = op.a === 1 && (op.data as MmuInstructions).broadcast.some((channel) => !cx.channelEmpty(channel));
    return waits ? BLOCKED : 0;
  },
});

const ISB = defineOperation({ name: 'isb', perform: () => 0, footprint: () => ({ reads: [], writes: [] }) });
