/**
 * Who fills in entries of secondary tables: the actor of a thread's faults, and what their routine tells it.
 *
 * Mirrors include/linux/kvm_host.h, v6.18: mmu_invalidate_retry() and what its callers must do.
 */
import { tell, type Message, type Steps, type SystemBuilder, checkValues, is } from '@shootdown/machine';
import { faultMachine, type FaultEvent } from './fault.machine.ts';

/** Built-in property of those who ask for it: violated where an entry is installed that no check covers. */
export const RETRY_PROTOCOL = 'what a fault installs is covered by a retry check under the lock';

const UNCOVERED = 'entries installed that no retry check covers';

/** A thread that handles faults of a secondary MMU. */
export interface FaultHandler {
  /** Name of its actor. */
  readonly name: string;
  /** Channel to it: it takes what it is told within the step of the routine. */
  readonly port: number;
}

/** What an actor of faults does. */
export interface FaultHandlerOptions {
  /**
   * True: an entry that no check covers violates {@link RETRY_PROTOCOL} when it is installed, whether or not harm comes
   * of it. Default false: it is counted, and said in traces, and what comes of it is left to what comes of it.
   */
  readonly refuses?: boolean;
}

/**
 * Adds the actor of a thread's faults.
 * @param thread the processor that the thread runs on, so that traces show it there
 * @param mmu name of the secondary MMU
 */
export function addFaultHandler(
  builder: SystemBuilder,
  thread: string,
  mmu: string,
  options: FaultHandlerOptions = {},
): FaultHandler {
  const name = `${thread}.${mmu}.fault`;
  checkValues(`mmu-notifier: ${name}: new`, options, { refuses: is.flag });
  const { refuses = false } = options;
  builder.component({
    name,
    machine: faultMachine,
    effects: {
      uncovered(cx) {
        cx.count(UNCOVERED);
        cx.explain(() => ({ kind: 'fact', text: 'no retry check covers it' }));
        if (refuses) cx.fail(RETRY_PROTOCOL, () => name);
      },
    },
  });
  return { name, port: builder.port(name) };
}

/** What a routine says of its fault. */
export type FaultSays = Exclude<FaultEvent['type'], 'retry'> | 'retry needed' | 'retry not needed';

const MESSAGES: Readonly<Record<FaultSays, Message>> = {
  read_begin: { type: 'read_begin' },
  lookup: { type: 'lookup' },
  lock: { type: 'lock' },
  unlock: { type: 'unlock' },
  'retry needed': { type: 'retry', needed: true },
  'retry not needed': { type: 'retry', needed: false },
  install: { type: 'install' },
  end: { type: 'end' },
};

/** The fault of a thread has come so far. No step; a thread without an actor says it to nobody. */
export function fault_says({ fault }: { readonly fault?: FaultHandler }, what: FaultSays): Steps {
  return tell(fault?.port, MESSAGES[what]);
}
