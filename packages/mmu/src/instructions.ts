/**
 * The instructions that talk to a CPU's own MMU: CR3 and TTBR writes, INVLPG, INVPCID, TLBI, DSB, ISB; and those that
 * reach the MMUs of others: TLBI ..IS, INVLPGB with TLBSYNC, and a hypercall that has the hypervisor invalidate for its
 * caller.
 *
 * What they do to cached translations is up to the MMU behind them: a real TLB in a run (`mmu.ts`), the saturated TLB
 * in exploration (`saturated.ts`). Routines see no difference.
 */
import {
  messageFor,
  operation,
  type Message,
  type Operation,
  type OperationContext,
  type Saying,
  type Steps,
  type SystemBuilder,
  noteMethods,
  checkWord,
  voidStepOf,
  wordsOf,
} from '@shootdown/machine';
import { mmuMachine, type Flush, type Root } from './mmu.machine.ts';
import {
  CR3_WRITE,
  DSB,
  FLUSH_AT_ONCE,
  HYPERCALL,
  HYPERCALL_RETURNS,
  INVLPG,
  INVLPGB,
  INVPCID,
  ISB,
  MSR_TTBR0_EL1,
  SFENCE_VMA,
  TLBI,
  TLBI_IS,
  TLBSYNC,
} from './mmu-operations.ts';

/** Invalidations under way from one CPU to another. */
const CHANNEL_CAPACITY = 16;

// Sent over and over, so one object each.
/** By page: what INVLPG sends, and what it is called. */
const invlpgs = new Map<number, { readonly message: Message; readonly saying: Saying }>();
const invpcidMessage = messageFor((kind: number, asid: number) => ({ type: 'invpcid', kind, asid, vpn: 0 }));
const loadRootMessage = messageFor((root: number, asid: number, noflush: number) => ({
  type: 'load_root',
  root,
  asid,
  noflush: noflush === 1,
}));

/** What a TLBI invalidates. */
export interface TlbiRequest {
  readonly type: 'tlbi';
  readonly scope: 'page' | 'asid' | 'all';
  readonly vpn: number;
  readonly asid: number;
  readonly leafOnly: boolean;
  /**
   * With scope `page`: as many pages from `vpn` on, in one instruction (FEAT_TLBIRANGE: RVAE1 and its forms). Default
   * one.
   */
  readonly pages?: number;
}

/**
 * What INVLPGB or a hypercall invalidates: pages from `vpn` on, or without `pages` everything but global entries;
 * `asid` -1 means in all address spaces.
 */
export interface RemoteRequest {
  readonly asid: number;
  readonly pages?: { readonly vpn: number; readonly count: number };
}

/**
 * The MMU of one CPU as its routines see it. Make all of a machine's MMUs, then {@link connectMmus} if one CPU can
 * invalidate on another.
 */
export abstract class MmuInstructions {
  static {
    noteMethods(this);
  }

  readonly name: string;
  /** Index of the actor. */
  readonly component: number;
  /** Channel to it: what its own CPU and the hypervisor have it do is done within their steps. */
  readonly port: number;
  /** Channels that carry this MMU's invalidations to the others: by MMU, -1 for its own. */
  channels: readonly number[] = [];
  /** The same without its own. */
  broadcast: readonly number[] = [];

  /** Its invalidations come by a queue in memory, after everything that was stored before: see `Smmu`. */
  queued = false;

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
    this.port = builder.port(this.name);
  }

  /** A user access to a page: a `Fault` code, 0 if it went through. */
  abstract access(vpn: number, write: boolean, saying?: Saying): Steps<number>;

  /** What its invalidations say of their sender; nothing where accesses never outlive a step. */
  protected get sender(): { readonly from?: number } {
    return {};
  }

  /** True when the accesses of other CPUs that used what this one has invalidated are done. */
  protected accessesDone(_cx: OperationContext): boolean {
    return true;
  }

  /** True when nothing that this MMU has sent is under way any more, and no access that used what it invalidated. */
  complete(cx: OperationContext): boolean {
    return this.broadcast.every((channel) => cx.channelEmpty(channel)) && this.accessesDone(cx);
  }

  /** A DSB: walks, of this CPU or of everybody, see what its CPU has stored before. */
  ordered(_cx: OperationContext, _everybody: boolean): void {}

  /** The hardware stops translating for this CPU and keeps what it has: a virtual CPU leaves guest mode. */
  suspend(_cx: OperationContext): void {}

  /** It translates again. */
  resume(_cx: OperationContext): void {}

  /** The actor walks another tree from now on. */
  protected abstract setRoot(cx: OperationContext, event: Root): void;

  /** The actor invalidates. */
  protected abstract flush(cx: OperationContext, flush: Flush): void;

  /**
   * MOV to CR3: from now on this tree and address space. `noflush`: keep what is cached of it. A root of -1: no tree.
   */
  *load_root(root: number, asid: number, noflush: boolean): Steps {
    const tree = root < 0 ? 'init_mm' : `root 0x${root.toString(16)}`;
    yield this.#tell(
      CR3_WRITE,
      loadRootMessage(root, asid, Number(noflush)),
      `write_cr3(${tree}, pcid ${asid}${noflush ? ', noflush' : ''})`,
    );
  }

  /**
   * MSR TTBR0_EL1: from now on this tree and address space. It invalidates nothing, waits for no store, and what comes
   * after it may still be translated by the old tree until an ISB. A root of -1 is the reserved, empty table.
   */
  *msr_ttbr0_el1(root: number, asid: number): Steps {
    const tree = root < 0 ? 'reserved_pg_dir' : `root 0x${root.toString(16)}, asid ${asid}`;
    const message = { type: 'load_root', root, asid, noflush: true };
    yield this.#tell(MSR_TTBR0_EL1, message, `msr ttbr0_el1(${tree})`);
  }

  /**
   * A flush that is one step wherever it arrives, for machines on which the steps of IPIs and of handlers only cost
   * states. It waits for own stores first, and, where stores outlive their translation, for those of others that have
   * used what it invalidates.
   * @param targets the MMUs that it reaches at that moment
   */
  *flush_at_once(
    targets: (cx: OperationContext) => readonly MmuInstructions[],
    request: RemoteRequest,
    saying: Saying,
  ): Steps {
    const message = { ...remoteMessage(request), ...this.sender };
    yield operation(FLUSH_AT_ONCE, 0, 0, 0, { targets, message }, saying);
    if (this.sender.from !== undefined)
      yield operation(HYPERCALL_RETURNS, 0, 0, 0, this, { label: 'the flush is complete' });
  }

  /** Writes CR3 with the value it has (native_flush_tlb_local): invalidates what INVPCID type 1 does. */
  *reload_cr3(asid: number): Steps {
    yield this.#tell(CR3_WRITE, invpcidMessage(1, asid), `write_cr3(read_cr3()), pcid ${asid}`);
  }

  /** INVLPG. */
  invlpg(vpn: number): Steps {
    let invlpg = invlpgs.get(vpn);
    if (invlpg === undefined) {
      invlpg = { message: { type: 'invlpg', vpn }, saying: { label: `invlpg(0x${vpn.toString(16)})` } };
      invlpgs.set(vpn, invlpg);
    }
    return voidStepOf(operation(INVLPG, this.port, 0, 0, invlpg.message, invlpg.saying));
  }

  /** INVPCID type 1: everything of one address space but global entries. */
  *invpcid_single_context(asid: number): Steps {
    yield this.#tell(INVPCID, invpcidMessage(1, asid), `invpcid(single context, pcid ${asid})`);
  }

  /** INVPCID type 2: everything, global entries too. */
  *invpcid_all(): Steps {
    yield this.#tell(INVPCID, invpcidMessage(2, 0), 'invpcid(all)');
  }

  /** A TLBI for this CPU only, complete at the next {@link dsb}. */
  *tlbi_local(message: Omit<TlbiRequest, 'type'>): Steps {
    yield this.#tell(TLBI, { type: 'tlbi', ...message }, `tlbi ${tlbiName(message)}`);
  }

  /**
   * A TLBI ..IS: takes effect here at once and on each other CPU when it arrives there. Waits while the interconnect is
   * full.
   */
  *tlbi_is(message: Omit<TlbiRequest, 'type'>): Steps {
    yield operation(
      TLBI_IS,
      this.port,
      0,
      0,
      { mmu: this, message: { type: 'tlbi', ...message, ...this.sender } },
      { label: `tlbi ${tlbiName(message, 'is')}` },
    );
  }

  /** DSB: waits until own stores are visible to walkers and own broadcast TLBIs are complete everywhere. */
  *dsb(kind: 'ish' | 'ishst' | 'nsh' | 'nshst'): Steps {
    const shareable = kind === 'ish' || kind === 'ishst';
    const stores = kind === 'ishst' || kind === 'nshst';
    yield operation(DSB, kind === 'ish' ? 1 : 0, shareable ? 1 : 0, stores ? 1 : 0, this, { label: `dsb(${kind})` });
  }

  /**
   * INVLPGB: takes effect here at once and on each other CPU when it arrives there. It waits for nothing, own stores
   * included (AMD APM vol. 3: weakly ordered).
   */
  *invlpgb(request: RemoteRequest): Steps {
    yield operation(
      INVLPGB,
      this.port,
      0,
      0,
      { mmu: this, message: { ...remoteMessage(request), ...this.sender } },
      { label: `invlpgb(${remoteName(request)})` },
    );
  }

  /** TLBSYNC: waits until the INVLPGBs of this CPU are complete everywhere. */
  *tlbsync(): Steps {
    yield operation(TLBSYNC, 0, 0, 0, this, { label: 'tlbsync()' });
  }

  /**
   * A hypercall by which the hypervisor invalidates on the CPUs of a mask (by MMU number; this one too if its bit is
   * set): one that runs is made to exit, one that does not is flushed before it runs again. Returns when none of them
   * has old entries. The exit of the caller waits for its own stores.
   */
  *hypercall_flush(mask: number, request: RemoteRequest, name: string): Steps {
    const label = `${name}(${remoteName(request)}, CPUs 0b${(mask >>> 0).toString(2)})`;
    const message = { ...remoteMessage(request), ...this.sender };
    yield operation(HYPERCALL, this.port, mask, 0, { mmu: this, message }, { label });
    yield operation(HYPERCALL_RETURNS, 0, 0, 0, this, { label: `${name}() returns` });
  }

  /**
   * SFENCE.VMA: what this hart has stored to page tables is seen by its later walks, and what it has cached of the
   * entries is gone: of a page's leaf in all address spaces, or of everything (RISC-V Privileged Architecture,
   * "Supervisor Memory-Management Fence Instruction").
   */
  *sfence_vma(vpn?: number): Steps {
    const message: TlbiRequest =
      vpn === undefined
        ? { type: 'tlbi', scope: 'all', vpn: 0, asid: -1, leafOnly: false }
        : { type: 'tlbi', scope: 'page', vpn, asid: -1, leafOnly: true };
    yield this.#tell(SFENCE_VMA, { ...message }, `sfence.vma${vpn === undefined ? '' : ` 0x${vpn.toString(16)}`}`);
  }

  /** ISB. */
  *isb(): Steps {
    yield operation(ISB, 0, 0, 0, undefined, { label: 'isb()' });
  }

  #tell(definition: typeof INVLPG, message: Message, label: string): Operation {
    return operation(definition, this.port, 0, 0, message, { label });
  }
}

/**
 * Entry of the cost table that says how long an invalidation is under way: a TLBI ..IS, an INVLPGB, or one that a
 * hypervisor performs.
 */
export type InvalidationLatency = 'dvm' | 'invlpgb_remote' | 'hypercall_flush';

const LATENCIES = wordsOf<InvalidationLatency>()('dvm', 'invlpgb_remote', 'hypercall_flush');

/**
 * Connects MMUs by channels for invalidations on other CPUs: one per pair, unordered, complete for the sender when
 * empty.
 */
export function connectMmus(
  builder: SystemBuilder,
  mmus: readonly MmuInstructions[],
  latency: InvalidationLatency,
): void {
  checkWord('mmu: connectMmus: latency', latency, LATENCIES);
  for (const from of mmus) {
    from.channels = mmus.map((to) =>
      to === from
        ? -1
        : builder.channel({
            name: `${from.name}->${to.name}`,
            from: from.name,
            to: to.name,
            answer: 'complete',
            policy: 'unordered',
            capacity: CHANNEL_CAPACITY,
            latency,
          }),
    );
    from.broadcast = from.channels.filter((channel) => channel >= 0);
  }
}

/** The event that a request is to the MMU actor. */
function remoteMessage({ asid, pages }: RemoteRequest): Message {
  if (pages) return { type: 'range', vpn: pages.vpn, pages: pages.count, asid };
  return { type: 'invpcid', kind: asid < 0 ? 3 : 1, asid: Math.max(asid, 0), vpn: 0 };
}

function remoteName({ asid, pages }: RemoteRequest): string {
  const what = !pages
    ? 'all'
    : pages.count === 1
      ? `0x${pages.vpn.toString(16)}`
      : `0x${pages.vpn.toString(16)}, ${pages.count} pages`;
  return asid < 0 ? what : `${what}, pcid ${asid}`;
}

function tlbiName(request: Omit<TlbiRequest, 'type'>, domain = ''): string {
  if (request.scope === 'all') return `vmalle1${domain}`;
  if (request.scope === 'asid') return `aside1${domain}(asid ${request.asid})`;
  const form = request.asid < 0 ? (request.leafOnly ? 'vaale1' : 'vaae1') : request.leafOnly ? 'vale1' : 'vae1';
  const first = `0x${request.vpn.toString(16)}`;
  return request.pages === undefined
    ? `${form}${domain}(${first})`
    : `r${form}${domain}(${first}, ${request.pages} pages)`;
}
