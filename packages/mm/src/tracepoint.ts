/**
 * Places in kernel code that checkers can watch. Like a tracepoint of the kernel: nothing happens there unless somebody
 * has attached a probe.
 */
import {
  defineOperation,
  operation,
  type Operation,
  type OperationContext,
  type Steps,
  noteMethods,
} from '@shootdown/machine';

/** What a checker does when the place is reached: `value` is what the place has to say. */
export type Probe = (cx: OperationContext, value: number) => void;

/** One place. */
export class Tracepoint {
  static {
    noteMethods(this);
  }

  readonly #probes: Probe[] = [];

  /** From now on the place is a step of its own, in which the probe is called. */
  attach(probe: Probe): void {
    this.#probes.push(probe);
  }

  /** Whether anybody watches. */
  get enabled(): boolean {
    return this.#probes.length > 0;
  }

  /** Calls the probes, from within another operation. */
  hit(cx: OperationContext, value: number): void {
    for (const probe of this.#probes) probe(cx, value);
  }

  /** The place itself. */
  *trace(value: number, label: string): Steps {
    if (this.enabled) yield operation(TRACE, value, 0, 0, this, { label });
  }
}

const TRACE = defineOperation({
  name: 'tracepoint',
  role: 'environment',
  cost: 'nop',
  perform(cx, op: Operation) {
    (op.data as Tracepoint).hit(cx, op.a);
    return 0;
  },
});

/** The places there are. */
export class Tracepoints {
  /** GUP-fast begins; the value is the address that it walks to. */
  readonly gup_fast_begin = new Tracepoint();
  /** GUP-fast ends; the value is the frame that it has pinned, or -1. */
  readonly gup_fast_end = new Tracepoint();
  /** GUP-fast takes what it has read for an entry that was there; the value is the page that it leads to, or -1. */
  readonly pfn_to_page = new Tracepoint();
  /** Somebody goes on as if nobody else had a reference to the page; the value is its frame. */
  readonly folio_unpinned = new Tracepoint();
}
