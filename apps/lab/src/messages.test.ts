import { resolveScenario } from '@shootdown/explorer';
import {
  DirectExecutor,
  RandomScheduler,
  runScheduler,
  runVirtualTime,
  type Component,
  type Output,
  type SentMessage,
} from '@shootdown/machine';
import { scenarios } from '@shootdown/scenarios';
import { assemble, parseTopology, type AssembledMachine } from '@shootdown/topology';
import { describe, expect, test } from 'vitest';
import { machineNamed, topologyNames } from './machines.ts';

/** Watches what happens beside the messages that are reported. */
class Watching extends DirectExecutor {
  /** How often each component takes a message, whoever reports it. */
  declare taken: Map<string, number> | undefined;
  /** Words that a machine has written which are another package's, without telling it so. */
  declare intruded: Set<string> | undefined;
  /** Packages whose words the effect under way may write: the machine's own, and those that it has noted. */
  declare writers: Set<string> | undefined;

  protected override applyOutput(component: Component, output: Output): void {
    const outer = this.writers;
    this.writers = new Set([packageOf(component)]);
    super.applyOutput(component, output);
    this.writers = outer;
  }

  override note(channel: number, type: string, back = false): void {
    super.note(channel, type, back);
    const told = this.system.synchronous.find(({ index }) => index === channel)?.toComponent;
    if (told !== undefined) this.writers?.add(packageOf(this.system.components[told] as Component));
  }

  override write(address: number, value: number): void {
    super.write(address, value);
    if (!this.writers) return;
    this.intruded ??= new Set();
    const word = this.system.layout.nameOf(address);
    const owner = OWNERS.find(([, names]) => names.test(word))?.[0] ?? 'nobody';
    if (!this.writers.has(owner)) this.intruded.add(`${[...this.writers].join(' and ')} writes ${word}, ${owner}'s`);
  }

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
  fault: 'mmu-notifier',
  timer: 'topology',
};

/** Whose words machines write, by name. */
const OWNERS: readonly (readonly [owner: string, words: RegExp])[] = [
  ['mmu', /(^|[._])tlb[.(]|\.mmu\./],
  ['hypervisor', /(^|\.)(vCPU\d+|kvm|ept|host\.frame)\.(?!mmu_invalidate)/],
  ['mmu-notifier', /\.mmu_invalidate/],
  ['ptdump', /\.dump/],
  ['cpu', /^(.*\.)?(TIF_NEED_RESCHED|rq\.)/],
  ['topology', /^jiffies$/],
];

function packageOf({ machine }: Component): string {
  return PACKAGES[machine.id] ?? `the package of ${machine.id}`;
}

/** Messages without a channel, but for what a component tells itself and what happens by itself. */
function told(sent: readonly SentMessage[]): string[] {
  const directly = sent.filter(
    ({ from, to, channel }) => channel === null && from !== 'hardware' && from !== 'host' && from !== to,
  );
  return [...new Set(directly.map(({ from, to, type }) => `${from} ${type} ${to}`))];
}

describe.each(topologyNames())('%s', (name) => {
  const machine = machineNamed(name);
  const executor = new Watching(machine.system);
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
    'invept',
  ]);

  test('every message names its two ends', () => {
    // The smallest machine is at rest after some forty.
    expect(sent.length).toBeGreaterThan(30);
    expect(sent.filter(({ from, to }) => !names.has(from) || !names.has(to))).toEqual([]);
  });

  test("no machine writes what is another package's without a message to it", () => {
    expect([...(executor.intruded ?? ['machines write nothing'])]).toEqual([]);
  });

  test('every message is on a channel', () => {
    expect(told(sent)).toEqual([]);
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
  "every message of %s is on a channel, and no machine writes what is another package's",
  (name) => {
    const system = resolveScenario(scenarios, { scenario: name }).build();
    const executor = new Watching(system);
    const sent: SentMessage[] = [];
    executor.onMessage = (message) => sent.push(message);
    for (let seed = 0; seed < 3; seed++) runScheduler(executor, new RandomScheduler(seed), 400);
    expect(told(sent)).toEqual([]);
    expect([...(executor.intruded ?? [])]).toEqual([]);
  },
);

test('CPUs, MMUs, vCPUs and physical CPUs talk to one another', () => {
  const kinds = (machine: AssembledMachine): Set<string> => {
    const executor = new DirectExecutor(machine.system);
    const kind = (component: string): string => component.replace(/^(?:skips|waits)\./, '').replace(/\d+/, 'N');
    const found = new Set<string>();
    executor.onMessage = ({ from, to, type }) => found.add(`${kind(from)} ${type} ${kind(to)}`);
    runVirtualTime(executor, { costs: machine.costs, until: machine.until, stepsMax: 6000 });
    return found;
  };
  expect([...kinds(machineNamed('kvm-two-vms'))]).toEqual(
    expect.arrayContaining([
      'CPUN.cpu ipi CPUN.cpu',
      'CPUN.cpu exit vCPUN',
      'CPUN.mmu exit vCPUN',
      'vCPUN left_guest CPUN.cpu',
      'vCPUN entered_guest CPUN.cpu',
      'vCPUN yield_to host.CPUN',
      'host.CPUN preempt vCPUN',
      'host.CPUN resume vCPUN',
    ]),
  );
  const threads = [
    { cpu: 0, run: [{ do: 'compute', cycles: 1_000_000 }] },
    { cpu: 1, run: [{ do: 'sleep' }] },
  ];
  const vm = { name: 'waits', vcpus: 2, processes: [{ name: 'p', threads }] };
  const asleep = parseTopology({ name: 'm', architecture: 'x86-64-4l', cpus: 2, host: { vms: [vm] } });
  expect([...kinds(assemble(asleep))]).toEqual(expect.arrayContaining(['CPUN.cpu hlt vCPUN', 'vCPUN block host.CPUN']));
  expect([...kinds(machineNamed('arm64-munmap'))]).toEqual(
    expect.arrayContaining(['CPUN.mmu tlbi CPUN.mmu', 'CPUN.mmu complete CPUN.mmu', 'CPUN.cpu dsb CPUN.mmu']),
  );
  expect([...kinds(machineNamed('two-processes-tso'))]).toEqual(
    expect.arrayContaining([
      'CPUN.cpu ipi CPUN.cpu',
      'CPUN.cpu access CPUN.mmu',
      'CPUN.mmu page_fault CPUN.cpu',
      'CPUN.cpu iret CPUN.cpu',
    ]),
  );
});
