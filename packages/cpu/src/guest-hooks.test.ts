import { DirectExecutor, nop, program, routine, SystemBuilder, type Steps } from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { addCpu, do_idle, send_IPI, startCpu, type Cpu } from './cpu.ts';

/** CPU 0 runs a routine, CPU 1 is idle; what CPU 1's hypervisor hears. */
function heardBy(task: (cpus: readonly Cpu[]) => Steps): {
  readonly choose: (...names: string[]) => boolean;
  readonly heard: string[];
} {
  const builder = new SystemBuilder();
  const cpus = [0, 1].map((id) => addCpu(builder, id, ['call']));
  const heard: string[] = [];
  const handler = program(routine('handler', () => nop()));
  startCpu(builder, cpus[0]!, [program(routine('task', () => task(cpus)))], { call: handler });
  startCpu(builder, cpus[1]!, [program(routine('idle', () => do_idle(cpus[1]!)))], { call: handler });
  cpus[1]!.guest = { ipi: (cx) => void heard.push(`IPI from ${cx.processor}`), hlt: () => void heard.push('HLT') };
  const system = builder.build();
  const executor = new DirectExecutor(system);
  return {
    heard,
    choose: (...names) =>
      names.every((name) => executor.step(system.choices.findIndex((choice) => choice.name === name))),
  };
}

const sends = (cpus: readonly Cpu[]): Steps => send_IPI(cpus[1]!, 'call');

describe("the hypervisor under a guest's CPU", () => {
  it('hears of its HLT, of an IPI for it, and of the HLT after the handler', () => {
    const { choose, heard } = heardBy(sends);
    expect(choose('CPU1', 'CPU0', 'deliver CPU1.call', 'CPU1')).toBe(true);
    expect(heard).toEqual(['HLT', 'IPI from 0', 'HLT']);
  });

  it('hears of no HLT while an interrupt is pending: that would be over at once', () => {
    const { choose, heard } = heardBy(sends);
    expect(choose('CPU0', 'CPU1')).toBe(true);
    expect(heard).toEqual(['IPI from 0']);
  });
});
