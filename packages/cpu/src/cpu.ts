/**
 * CPUs in a system: the actor, its interrupt channels, and the operations by which routines talk to their own CPU.
 */
import {
  BLOCKED,
  defineOperation,
  messageFor,
  operation,
  rest,
  routine,
  type Message,
  type Operation,
  type OperationContext,
  type PairEnd,
  type Program,
  type Saying,
  type Steps,
  type SystemBuilder,
  noted,
  checkValues,
  is,
  type OptionValues,
} from '@shootdown/machine';
import { cpuMachine } from './cpu.machine.ts';

/** A CPU being assembled: its actor and interrupt channels exist, its routines come with {@link startCpu}. */
export interface Cpu {
  readonly name: string;
  /** smp_processor_id(). */
  readonly id: number;
  /** Index of the actor. */
  readonly component: number;
  /** Channel to it, for what runs on it and is no part of this package. */
  readonly port: number;
  /** Channel by interrupt vector: one level-triggered bit, like an IRR bit of a local APIC. */
  readonly vectors: ReadonlyMap<string, number>;
  /** The hypervisor under it, if the CPU is a guest's and the hypervisor wants to hear of these things. */
  guest?: GuestHooks;
}

/** What a guest's CPU does that its hypervisor notices. */
export interface GuestHooks {
  /** An IPI for this CPU has been sent: its sender, the processor of the step, has written its ICR. */
  ipi(cx: OperationContext): void;
  /** The CPU is idle and no interrupt is pending for it: HLT. */
  hlt(cx: OperationContext): void;
}

/**
 * Adds a CPU's actor and one channel per interrupt vector.
 * @param name heads its column. Default `CPU<id>`
 */
export function addCpu(
  builder: SystemBuilder,
  id: number,
  vectors: readonly string[] = [],
  name: string = `CPU${id}`,
): Cpu {
  const component = builder.component({
    name: `${name}.cpu`,
    machine: cpuMachine,
    effects: { hlt: (cx) => hlt(cx, cpu) },
  });
  const channels = vectors.map((vector): [string, number] => [
    vector,
    builder.channel({ name: `${name}.${vector}`, to: `${name}.cpu`, policy: 'level', latency: 'ipi', drained: true }),
  ]);
  const port = builder.port(`${name}.cpu`);
  const cpu: Cpu = { name, id, component, port, vectors: new Map(channels) };
  return cpu;
}

/** With an interrupt pending HLT is over at once. */
function hlt(cx: OperationContext, cpu: Cpu): void {
  if (cpu.guest && !interruptPending(cx, cpu)) cpu.guest.hlt(cx);
}

/** Whether an interrupt has been sent to a CPU that it has not taken yet. */
export function interruptPending(cx: OperationContext, cpu: Cpu): boolean {
  for (const channel of cpu.vectors.values()) if (!cx.channelEmpty(channel)) return true;
  return false;
}

/** What a CPU may have besides its routines. */
export interface StartOptions {
  /** The component that must let the CPU execute: the host's view of a virtual CPU. */
  readonly gate?: string;
  /** False: the tasks take turns as the scheduler has it (`scheduler.ts`), and no tick by itself. Default true. */
  readonly ticks?: boolean;
  /** CPUs to which a task that may be preempted can be moved. Default: none. */
  readonly migratesTo?: readonly Cpu[];
  /** CPUs whose scheduler may take tasks that wait here. Default: none. */
  readonly givesTo?: readonly Cpu[];
}

const START_VALUES: OptionValues<StartOptions> = {
  gate: is.text,
  ticks: is.flag,
  migratesTo: is.listOf(is.anything),
  givesTo: is.listOf(is.anything),
};

/**
 * Gives a CPU its tasks and interrupt handlers; returns the index of its processor. With several tasks a tick may
 * switch between them (preemption).
 */
export function startCpu(
  builder: SystemBuilder,
  cpu: Cpu,
  tasks: readonly Program[],
  handlers: Readonly<Record<string, Program>> = {},
  options: StartOptions = {},
): number {
  checkValues(`cpu: ${cpu.name}: startCpu`, options, START_VALUES);
  const { gate, ticks = true, migratesTo = [], givesTo = [] } = options;
  const targets = [...migratesTo, ...givesTo];
  const processor = builder.processor({
    name: cpu.name,
    component: `${cpu.name}.cpu`,
    tasks,
    handlers,
    ...(gate !== undefined && { gate }),
    ...(targets.length > 0 && { migratesTo: targets.map(({ name }) => name) }),
  });
  for (const to of migratesTo) {
    builder.spontaneous({
      name: `${cpu.name}: task migrates to ${to.name}`,
      kind: 'hardware',
      component: `${cpu.name}.cpu`,
      message: { type: 'migrate', to: builder.fullName(to.name) },
      drained: true,
    });
  }
  if (tasks.length > 1 && ticks) {
    builder.spontaneous({
      name: `${cpu.name} tick`,
      kind: 'hardware',
      component: `${cpu.name}.cpu`,
      message: { type: 'reschedule' },
      drained: true,
    });
  }
  return processor;
}

/** Result 1 if the CPU accepted the message, 0 if it was in that state already. */
const TELL_CPU = defineOperation({
  name: 'local_irq',
  leftOut: () => 1,
  pair: (op) => pairOf(op),
  perform: (cx, op) => (cx.send(op.a, op.data as Message) ? 1 : 0),
});

/**
 * What was stored before is in memory first. In x2APIC mode that takes the fence of x2apic_send_IPI() (25a068b8e9a4),
 * in xAPIC mode the write to uncached memory does it, and gic_ipi_send_mask() has a barrier.
 */
const SEND_IPI = defineOperation({
  name: 'ipi_send',
  perform(cx: OperationContext, op: Operation) {
    if (!cx.drained()) return BLOCKED;
    const { target, message } = op.data as { target: Cpu; message: Message };
    cx.send(op.a, message);
    target.guest?.ipi(cx);
    return 0;
  },
});

interface Entering {
  readonly cpu: Cpu;
  readonly message: Message;
}

/**
 * Enters a state in which the CPU executes no more; the operation after it is where it rests. A guest's HLT is an exit.
 */
const ENTER = defineOperation({
  name: 'enter',
  role: 'environment',
  cost: 'nop',
  perform(cx, op) {
    const { cpu, message } = op.data as Entering;
    if (cpu.guest && !cx.drained()) return BLOCKED;
    return cx.send(op.a, message) ? 0 : BLOCKED;
  },
});

/** One object per message: executors recognise messages by identity before they compare content. */
const LOCAL_IRQ_DISABLE: Message = { type: 'local_irq_disable' };
const LOCAL_IRQ_ENABLE: Message = { type: 'local_irq_enable' };
const PREEMPT_DISABLE: Message = { type: 'preempt_disable' };
const PREEMPT_ENABLE: Message = { type: 'preempt_enable' };
const ENTER_USER: Message = { type: 'enter_user' };
const ENTER_IDLE: Message = { type: 'enter_idle' };

/** Interrupts and preemption are turned off and on again. */
function pairOf(op: Operation): PairEnd {
  const of = op.data === LOCAL_IRQ_DISABLE || op.data === LOCAL_IRQ_ENABLE ? 'interrupts off' : 'preemption off';
  return { end: op.data === LOCAL_IRQ_DISABLE || op.data === PREEMPT_DISABLE ? 'open' : 'close', of };
}

function tell(cpu: Cpu, message: Message, saying: Saying): Operation {
  return operation(TELL_CPU, cpu.port, 0, 0, message, saying);
}

/** local_irq_save(): masks interrupts; returns flags for {@link local_irq_restore}. */
export const local_irq_save = noted(function* local_irq_save(cpu: Cpu): Steps<number> {
  return yield tell(cpu, LOCAL_IRQ_DISABLE, { label: 'local_irq_save(flags)' });
});

/** local_irq_restore(): unmasks interrupts if they were unmasked at the matching local_irq_save(). */
export const local_irq_restore = noted(function* local_irq_restore(cpu: Cpu, flags: number): Steps {
  if (flags !== 0) yield tell(cpu, LOCAL_IRQ_ENABLE, { label: 'local_irq_restore(flags)' });
});

/** local_irq_disable(). */
export const local_irq_disable = noted(function* local_irq_disable(cpu: Cpu): Steps {
  yield tell(cpu, LOCAL_IRQ_DISABLE, { label: 'local_irq_disable()' });
});

/** local_irq_enable(). */
export const local_irq_enable = noted(function* local_irq_enable(cpu: Cpu): Steps {
  yield tell(cpu, LOCAL_IRQ_ENABLE, { label: 'local_irq_enable()' });
});

/** preempt_disable(): a tick no longer switches tasks. */
export const preempt_disable = noted(function* preempt_disable(cpu: Cpu): Steps {
  yield tell(cpu, PREEMPT_DISABLE, { label: 'preempt_disable()' });
});

/** preempt_enable(). */
export const preempt_enable = noted(function* preempt_enable(cpu: Cpu): Steps {
  yield tell(cpu, PREEMPT_ENABLE, { label: 'preempt_enable()' });
});

const ipiMessage = messageFor((vector: string) => ({ type: 'ipi', vector }));

/** Raises an interrupt on another CPU. The bit stays on its channel until that CPU takes interrupts. */
export const send_IPI = noted(function* send_IPI(target: Cpu, vector: string): Steps {
  const channel = target.vectors.get(vector);
  if (channel === undefined) throw new RangeError(`cpu: send_IPI: ${target.name} has no vector ${vector}`);
  yield operation(
    SEND_IPI,
    channel,
    0,
    0,
    { target, message: ipiMessage(vector) },
    { label: `send_IPI(${target.name}, ${vector})` },
  );
});

/** The task computes in user mode for good: it only takes interrupts from here on. */
export const user_mode = noted(function* user_mode(cpu: Cpu): Steps {
  yield operation(ENTER, cpu.port, 0, 0, { cpu, message: ENTER_USER }, { label: '(user mode)' });
  yield* rest({ label: '(user mode)' });
});

/** The idle loop, entered for good: the CPU only takes interrupts from here on. */
export const do_idle = noted(function* do_idle(cpu: Cpu): Steps {
  yield operation(ENTER, cpu.port, 0, 0, { cpu, message: ENTER_IDLE }, { label: 'do_idle()' });
  yield* rest({ label: '(idle)' });
});

/** The idle task of a CPU on which nothing else runs. */
export const swapper = routine('swapper', (cpu: Cpu) => do_idle(cpu));

/** The same where tasks are moved to it: it does not wait for interrupts, it ends. */
export const swapper_done = routine('swapper', function* (): Steps {});
