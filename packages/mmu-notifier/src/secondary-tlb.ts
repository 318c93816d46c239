/**
 * Invalidation of translations that secondary MMUs have cached: asked of each of them, and waited for.
 *
 * An IOMMU takes commands from a queue and answers a sync; KVM asks every vCPU (KVM_REQ_TLB_FLUSH) and waits for those
 * in guest mode to leave it. Both come to the same: the invalidation takes effect on each agent at some time between
 * the request and the end of the wait.
 */
import {
  BLOCKED,
  defineOperation,
  operation,
  type Message,
  type Operation,
  type Steps,
  type SystemBuilder,
  noteMethods,
} from '@shootdown/machine';

/** Requests in flight to one agent at most. */
const QUEUE_ENTRIES = 4;

/** The caches of the agents that translate through one secondary MMU. */
export interface SecondaryTlb {
  /** Has every agent drop what it has cached; may return before they have. */
  invalidate(label: string): Steps;
  /** Returns when every agent has done what was asked. */
  sync(label: string): Steps;
}

/** Caches that are reached by messages. */
export class InvalidationQueue implements SecondaryTlb {
  static {
    noteMethods(this);
  }

  /** A channel per agent. */
  readonly #queues: readonly number[];
  readonly #invalidate: Message;

  /**
   * @param agents names of the actors that translate
   * @param invalidate the message that has one of them drop everything it has cached
   */
  constructor(builder: SystemBuilder, name: string, agents: readonly string[], invalidate: Message) {
    this.#invalidate = invalidate;
    this.#queues = agents.map((to) =>
      builder.channel({ name: `${name}->${to}`, to, policy: 'fifo', capacity: QUEUE_ENTRIES, latency: 'ipi' }),
    );
  }

  /**
   * Asks every agent; returns at once. What the caller has stored before is in memory by then (an uncached write, or an
   * IPI).
   */
  *invalidate(label: string): Steps {
    yield operation(INVALIDATE, 0, 0, 0, { queues: this.#queues, message: this.#invalidate } satisfies Request, {
      label,
    });
  }

  /** Waits until every agent has done what it was asked. */
  *sync(label: string): Steps {
    yield operation(SYNC, 0, 0, 0, this.#queues, { label });
  }
}

interface Request {
  readonly queues: readonly number[];
  readonly message: Message;
}

const INVALIDATE = defineOperation({
  name: 'secondary_tlb_invalidate',
  cost: 'ipi_send',
  perform(cx, op: Operation) {
    const { queues, message } = op.data as Request;
    if (!cx.drained() || queues.some((queue) => cx.channelFull(queue))) return BLOCKED;
    for (const queue of queues) cx.send(queue, message);
    return 0;
  },
});

const SYNC = defineOperation({
  name: 'secondary_tlb_sync',
  cost: 'wait',
  perform: (cx, op) => ((op.data as readonly number[]).every((queue) => cx.channelEmpty(queue)) ? 0 : BLOCKED),
  // The answer comes when the accesses that were under way are complete: what they have stored is seen by who waits.
  weak(cx, memory, op) {
    const queues = op.data as readonly number[];
    if (!queues.every((queue) => cx.channelEmpty(queue))) return BLOCKED;
    for (const queue of queues) memory.receiveAcross(queue);
    return 0;
  },
});
