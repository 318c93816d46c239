/**
 * A device with a table of its own that is a part by itself: what it and the machine say to each other. Nothing but
 * these messages crosses, each under way for as long as a write to a device takes (`device_message` of the costs).
 *
 * ```
 *   machine                                      device
 *     start: rounds, pages     ------------------->  its engine accesses memory
 *     <----------------------------  page_request: there is no entry
 *     set: entry i, response   ------------------->  it goes on
 *     set: entry i = none, invalidate  ----------->  it drops what it has cached,
 *     <----------------------------  invalidated     and answers when it has
 *     <----------------------------  finished        until the next start
 * ```
 */
import { BLOCKED, defineOperation, operation, type Executor, type Steps } from '@shootdown/machine';

/** A message over the link: plain data, which crosses threads. */
export type LinkMessage =
  | {
      readonly type: 'start';
      readonly rounds: number;
      readonly write: boolean;
      readonly cycles: number;
      readonly pages: number;
    }
  | { readonly type: 'set'; readonly index: number; readonly entry: number }
  | { readonly type: 'page_request'; readonly index: number; readonly write: boolean }
  | { readonly type: 'response' | 'stop' | 'invalidate' | 'invalidated' | 'finished' };

/** One end of a link. */
export class LinkEnd {
  /** What has been sent and not been taken away yet. */
  readonly #sent: LinkMessage[] = [];
  /** What a message from the other end does here. */
  readonly arrives: (executor: Executor, message: LinkMessage) => void;
  /** Asked after every step: puts on its way what the step has made true. */
  readonly settles: (executor: Executor) => void;
  readonly #onSent: (message: LinkMessage) => void;

  /** @param onSent told of every message when it is sent */
  constructor(
    arrives: LinkEnd['arrives'],
    settles: LinkEnd['settles'] = () => undefined,
    onSent: (message: LinkMessage) => void = () => undefined,
  ) {
    this.arrives = arrives;
    this.settles = settles;
    this.#onSent = onSent;
  }

  /** Sends a message; it is on its way when what was stored before is in memory. */
  *send(message: LinkMessage): Steps {
    yield operation(SEND, 0, 0, 0, { end: this, message }, { label: `link: ${message.type}` });
  }

  /** Puts a message on its way within a step. */
  put(message: LinkMessage): void {
    this.#onSent(message);
    this.#sent.push(message);
  }

  /** Takes what has been sent. */
  take(): LinkMessage[] {
    return this.#sent.length === 0 ? [] : this.#sent.splice(0);
  }
}

const SEND = defineOperation({
  name: 'link_send',
  cost: 'message',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const { end, message } = op.data as { end: LinkEnd; message: LinkMessage };
    end.put(message);
    return 0;
  },
});
