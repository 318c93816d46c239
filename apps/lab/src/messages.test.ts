import { resolveScenario } from '@shootdown/explorer';
import {
  DirectExecutor,
  RandomScheduler,
  runScheduler,
  runVirtualTime,
  type Component,
  type SentMessage,
  type System,
} from '@shootdown/machine';
import { scenarios } from '@shootdown/scenarios';
import { describe, expect, test } from 'vitest';
import { machineNamed, topologyNames } from './machines.ts';

/** Counts how often each component takes a message, whoever reports it. */
class Counting extends DirectExecutor {
  declare taken: Map<string, number> | undefined;

  protected override stepComponent(component: Component, message: number): boolean {
    const accepted = super.stepComponent(component, message);
    this.taken ??= new Map();
    if (accepted) this.taken.set(component.name, 1 + (this.taken.get(component.name) ?? 0));
    return accepted;
  }
}

/** The package of a component, by the name of its machine. */
const PACKAGES: Readonly<Record<string, string>> = {
  cpu: 'cpu',
  runqueue: 'cpu',
  mmu: 'mmu',
  vcpu: 'hypervisor',
  host: 'hypervisor',
  ptdump: 'ptdump',
  grace_period: 'sync',
  subscription: 'mmu-notifier',
  invalidation: 'mmu-notifier',
  device: 'mmu-notifier',
  timer: 'topology',
};

/** Messages without a channel from a component of one package to one of another, and from kernel code to anybody. */
function told(system: System, sent: readonly SentMessage[]): string[] {
  const packages = new Map(
    system.components.map(({ name, machine }) => [name, PACKAGES[machine.id] ?? `the package of ${machine.id}`]),
  );
  const directly = sent.filter(
    ({ from, to, channel }) =>
      channel === null && from !== 'hardware' && from !== 'host' && packages.get(from) !== packages.get(to),
  );
  return [...new Set(directly.map(({ from, to, type }) => `${from} ${type} ${to}`))];
}

describe.each(topologyNames())('%s', (name) => {
  const machine = machineNamed(name);
  const executor = new Counting(machine.system);
  const sent: SentMessage[] = [];
  executor.onMessage = (message) => sent.push(message);
  const { costs, until, untilAtRest, untilZero } = machine;
  runVirtualTime(executor, { costs, until, untilAtRest, untilZero, stepsMax: 6000 });
  const names = new Set([...machine.system.components.map((component) => component.name), 'hardware', 'host']);
  /** Answered from words, or telling of a delivery: no machine steps. */
  const NOTES = new Set([
    'access',
    'page_fault',
    'dsb',
    'tlbsync',
    'complete',
    'left_guest',
    'entered_guest',
    'suspend',
    'resume',
  ]);

  test('every message names its two ends', () => {
    // The smallest machine is at rest after some forty.
    expect(sent.length).toBeGreaterThan(30);
    expect(sent.filter(({ from, to }) => !names.has(from) || !names.has(to))).toEqual([]);
  });

  test('between packages every message is on a channel', () => {
    expect(told(machine.system, sent)).toEqual([]);
    const channels = new Set(
      [...machine.system.channels, ...machine.system.synchronous].map((channel) => channel.name),
    );
    expect(sent.filter(({ channel }) => channel !== null && !channels.has(channel))).toEqual([]);
  });

  test('nothing steps a machine but a message, and no message is forgotten', () => {
    const heard = new Map<string, number>();
    for (const { to, type, synchronous } of sent) {
      const toMmuOrCpu = /\.(mmu|cpu)$/.test(to);
      if (toMmuOrCpu && synchronous && NOTES.has(type)) continue;
      if (type === 'complete') continue;
      heard.set(to, 1 + (heard.get(to) ?? 0));
    }
    for (const [component, taken] of executor.taken ?? []) {
      // A message on a channel may still be under way when the run ends, and a level channel absorbs what it holds
      // already.
      expect.soft(heard.get(component), component).toBeGreaterThanOrEqual(taken);
      const queued = sent.filter(({ to, synchronous }) => to === component && !synchronous).length;
      expect.soft((heard.get(component) ?? 0) - taken, component).toBeLessThanOrEqual(queued);
    }
  });
});

test.each(scenarios.map((scenario) => [scenario.name, scenario] as const))(
  'between packages every message of %s is on a channel',
  (name) => {
    const system = resolveScenario(scenarios, { scenario: name }).build();
    const executor = new DirectExecutor(system);
    const sent: SentMessage[] = [];
    executor.onMessage = (message) => sent.push(message);
    for (let seed = 0; seed < 3; seed++) runScheduler(executor, new RandomScheduler(seed), 400);
    expect(told(system, sent)).toEqual([]);
  },
);

test('CPUs, MMUs, vCPUs and physical CPUs talk to one another', () => {
  const kinds = (name: string): Set<string> => {
    const machine = machineNamed(name);
    const executor = new DirectExecutor(machine.system);
    const kind = (component: string): string => component.replace(/^(?:busy|mixed)\./, '').replace(/\d+/, 'N');
    const found = new Set<string>();
    executor.onMessage = ({ from, to, type }) => found.add(`${kind(from)} ${type} ${kind(to)}`);
    runVirtualTime(executor, { costs: machine.costs, until: machine.until, stepsMax: 6000 });
    return found;
  };
  expect([...kinds('kvm-two-vms')]).toEqual(
    expect.arrayContaining([
      'CPUN.cpu ipi CPUN.cpu',
      'CPUN.cpu exit vCPUN',
      'CPUN.mmu exit vCPUN',
      'CPUN.cpu hlt vCPUN',
      'vCPUN left_guest CPUN.cpu',
      'vCPUN entered_guest CPUN.cpu',
      'vCPUN block host.CPUN',
      'vCPUN yield_to host.CPUN',
      'host.CPUN preempt vCPUN',
      'host.CPUN resume vCPUN',
    ]),
  );
  expect([...kinds('arm64-munmap')]).toEqual(
    expect.arrayContaining(['CPUN.mmu tlbi CPUN.mmu', 'CPUN.mmu complete CPUN.mmu', 'CPUN.cpu dsb CPUN.mmu']),
  );
  expect([...kinds('two-processes-tso')]).toEqual(
    expect.arrayContaining([
      'CPUN.cpu ipi CPUN.cpu',
      'CPUN.cpu access CPUN.mmu',
      'CPUN.mmu page_fault CPUN.cpu',
      'CPUN.cpu iret CPUN.cpu',
    ]),
  );
});
