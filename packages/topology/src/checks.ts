/** What a description must hold beyond its form: names that exist, CPUs that are there, forks with one parent. */
import { ModelError } from '@shootdown/machine';
import { architectures } from '@shootdown/mm';
import { actionsIn, endsThread, forkedIn, type Action } from './actions.ts';
import { checkKernelThreads, checkNumaBalancing, checkScans, checkSecondaryMmus, checkUnique } from './check-kernel.ts';
import { checkLayout } from './layout.ts';
import { VCPUS_MAX, type KernelDescription, type Topology, type VmDescription } from './description.ts';

const THREADS_PER_CPU_MAX = 64;
const MICROSECONDS = 1_000_000;

/** Throws a ModelError of one line that names the place and the mistake. */
export function checkReferences(topology: Topology, source: string): void {
  const { host, processes } = topology;
  for (const [place, run] of scriptsOf(topology)) {
    const kernel = actionsIn(run).find(({ do: what }) => what === 'vmalloc' || what === 'vfree' || what === 'ptdump');
    if (kernel && (host || topology.architecture !== 'arm64-4k-48'))
      throw new ModelError(
        `topology: ${source}: ${place}: ${kernel.do}: the kernel's own page table is arm64's, natively (${topology.architecture})`,
      );
  }
  checkLayout(topology, `topology: ${source}: `);
  checkMemory(topology, source);
  if (host) checkHost(topology, host, source);
  else {
    if (processes.length === 0)
      throw new ModelError(`topology: ${source}: processes: at least one process, or a host with virtual machines`);
    checkKernel(topology, topology, source);
  }
  const known = architectures[topology.architecture].costs.costs;
  if (topology.costs['device_message'] === 0)
    throw new ModelError(`topology: ${source}: costs: device_message: parts cannot run side by side without it (0)`);
  if (topology.costs['device_message'] !== undefined && !hasPlacedDevice(topology))
    throw new ModelError(
      `topology: ${source}: costs: device_message: no device has a placement, and nothing takes so long (${topology.costs['device_message']})`,
    );
  for (const name of Object.keys(topology.costs)) {
    if (!Object.hasOwn(known, name))
      throw new ModelError(`topology: ${source}: costs: no entry ${name} (have: ${Object.keys(known).join(', ')})`);
  }
}

function hasPlacedDevice({ processes }: Topology): boolean {
  return processes.some(({ secondaryMmus }) =>
    secondaryMmus.some(({ kind, placement }) => kind === 'device' && placement !== undefined),
  );
}

function scriptsOf({
  host,
  processes,
  kernelThreads,
}: Topology): readonly (readonly [place: string, run: readonly Action[]])[] {
  const of = (list: KernelDescription['processes'], at: string) =>
    list.flatMap(({ threads }, p) =>
      threads.map(({ run }, t) => [`${at}processes.${p}.threads.${t}.run`, run] as const),
    );
  const own = (list: KernelDescription['kernelThreads'] = [], at: string) =>
    list.map(({ run }, t) => [`${at}kernelThreads.${t}.run`, run] as const);
  return [
    ...of(processes, ''),
    ...own(kernelThreads, ''),
    ...(host?.vms ?? []).flatMap((vm, v) => [
      ...of(vm.processes, `host.vms.${v}.`),
      ...own(vm.kernelThreads, `host.vms.${v}.`),
    ]),
  ];
}

/** Tables that a process has at least: one per level, for where it maps its first page. */
const TABLES_PER_PROCESS = 4;

/** Tables that secondary MMUs have of a machine's frames: the first ones, one each. */
export function secondaryTables({ processes }: Pick<KernelDescription, 'processes'>): number {
  return processes.reduce((sum, { secondaryMmus }) => sum + secondaryMmus.length, 0);
}

/** Processes that are there from the start need their tables. */
function checkMemory({ host, processes, memory }: Topology, source: string): void {
  const check = (list: KernelDescription['processes'], tables: number, at: string): void => {
    const forked = new Set(list.flatMap(({ threads }) => threads.flatMap(({ run }) => forkedIn(run))));
    const first = list.filter(({ name }) => !forked.has(name)).length;
    const needed = first * TABLES_PER_PROCESS + secondaryTables({ processes: list });
    if (needed > tables)
      throw new ModelError(
        `topology: ${source}: ${at}memory.tables: ${first} processes need at least ${needed} frames for page tables (${tables})`,
      );
  };
  check(processes, memory.tables, '');
  host?.vms.forEach((vm, v) => check(vm.processes, (vm.memory ?? memory).tables, `host.vms.${v}.`));
}

function checkHost(topology: Topology, host: NonNullable<Topology['host']>, source: string): void {
  if (!architectures[topology.architecture].hasVirtualMachines)
    throw new ModelError(`topology: ${source}: host: virtual machines are x86 only (${topology.architecture})`);
  if (topology.memoryModel !== 'sc')
    throw new ModelError(
      `topology: ${source}: host: virtual machines run on memory model sc only (${topology.memoryModel})`,
    );
  if (topology.processes.length > 0)
    throw new ModelError(
      `topology: ${source}: host: the host runs virtual machines only: put the processes into host.vms`,
    );
  const ticks = (host.timesliceMicroseconds * host.hz) / MICROSECONDS;
  if (!Number.isInteger(ticks))
    throw new ModelError(
      `topology: ${source}: host: a timeslice of ${host.timesliceMicroseconds} us is no whole number of ticks at ${host.hz} Hz`,
    );
  const total = host.vms.reduce((sum, vm) => sum + vm.vcpus, 0);
  if (total > VCPUS_MAX) throw new ModelError(`topology: ${source}: host: ${total} vCPUs, at most ${VCPUS_MAX} in all`);
  checkVmNames(host.vms, topology.name, `topology: ${source}: host.vms.`);
  host.vms.forEach((vm, i) => {
    const outside = vm.cpus?.find((cpu) => cpu >= topology.cpus);
    if (outside !== undefined)
      throw new ModelError(
        `topology: ${source}: host.vms.${i}.cpus: CPU ${outside} of ${topology.cpus} (0 .. ${topology.cpus - 1})`,
      );
    checkKernel({ ...vm, cpus: vm.vcpus }, topology, source, `host.vms.${i}.`);
    if (vm.placement === 'worker') checkWorker(host, i, source);
  });
}

/** What belongs to a virtual machine is named after it: `vm0.CPU1`. Its part has its name. */
function checkVmNames(vms: readonly VmDescription[], machine: string, place: string): void {
  checkUnique(vms, place);
  vms.forEach(({ name, placement }, i) => {
    if (name === 'host' || (placement === 'worker' && name === machine))
      throw new ModelError(`${place}${i}: name taken by the machine (${name})`);
    const other = vms.find((vm) => name.startsWith(`${vm.name}.`));
    if (other)
      throw new ModelError(`${place}${i}: what belongs to ${other.name} has such names: take another (${name})`);
  });
}

/** What shares words with others cannot be placed in another thread. */
function checkWorker({ vms }: NonNullable<Topology['host']>, index: number, source: string): void {
  const place = `topology: ${source}: host.vms.${index}.placement: worker`;
  const vm = vms[index] as VmDescription;
  vms.forEach((other, i) => {
    if (i === index) return;
    if (vm.cpus === undefined || other.cpus === undefined)
      throw new ModelError(
        `${place}: ${vm.cpus === undefined ? vm.name : other.name} runs on every CPU of the host, and so shares CPUs: give both VMs cpus of their own (${vm.name}, ${other.name})`,
      );
    const shared = vm.cpus.find((cpu) => other.cpus?.includes(cpu));
    if (shared !== undefined)
      throw new ModelError(`${place}: ${vm.name} shares CPU ${shared} with ${other.name}, which a worker would cut`);
  });
}

/** @param at where the kernel stands in the description */
function checkKernel(kernel: KernelDescription, topology: Topology, source: string, at = ''): void {
  const used = new Map<number, number>();
  checkUnique(kernel.processes, `topology: ${source}: ${at}processes.`);
  const names = new Set(kernel.processes.map(({ name }) => name));
  kernel.processes.forEach((process, p) => {
    if (process.placement === 'worker')
      throw new ModelError(
        `topology: ${source}: ${at}processes.${p}.placement: worker: ${process.name} shares the kernel's memory with the rest of its machine: only a virtual machine can be placed`,
      );
    process.threads.forEach((thread, t) => {
      const place = `${at}processes.${p}.threads.${t}`;
      if (thread.cpu >= kernel.cpus)
        throw new ModelError(
          `topology: ${source}: ${place}: CPU ${thread.cpu} of ${kernel.cpus} (0 .. ${kernel.cpus - 1})`,
        );
      const outside = thread.cpus?.find((cpu) => cpu >= kernel.cpus);
      if (outside !== undefined)
        throw new ModelError(
          `topology: ${source}: ${place}.cpus: CPU ${outside} of ${kernel.cpus} (0 .. ${kernel.cpus - 1})`,
        );
      if (thread.cpus && !thread.cpus.includes(thread.cpu))
        throw new ModelError(
          `topology: ${source}: ${place}.cpus: the CPU that it begins on is none of them (${thread.cpu})`,
        );
      const sharing = (used.get(thread.cpu) ?? 0) + 1;
      if (sharing > THREADS_PER_CPU_MAX)
        throw new ModelError(
          `topology: ${source}: ${place}: CPU ${thread.cpu} has more than ${THREADS_PER_CPU_MAX} threads (${sharing})`,
        );
      used.set(thread.cpu, sharing);
      if (thread.routine !== undefined && thread.run.length > 0)
        throw new ModelError(
          `topology: ${source}: ${place}: a routine and a run (${thread.routine}): give one of them`,
        );
      if (thread.trace !== undefined && (thread.run.length > 0 || thread.routine !== undefined))
        throw new ModelError(
          `topology: ${source}: ${place}: a trace and a run or routine (${thread.trace}): give one of them`,
        );
      checkEnd(thread.run, `topology: ${source}: ${place}.run`, false);
    });
  });
  checkForks(kernel, source, names);
  checkKernelThreads(kernel, `topology: ${source}: ${at}`);
  checkScans(kernel, topology, `topology: ${source}: ${at}`);
  checkNumaBalancing(kernel, topology, `topology: ${source}: ${at}`);
  checkSecondaryMmus(kernel, topology, `topology: ${source}: ${at}`);
}

/** Nothing happens after an action that ends the thread. */
function checkEnd(run: readonly Action[], place: string, goesOn: boolean): void {
  run.forEach((action, i) => {
    const more = goesOn || i < run.length - 1;
    if (action.do === 'repeat') checkEnd(action.body, `${place}.${i}.body`, more || action.times > 1);
    else if (more && endsThread(action))
      throw new ModelError(`${place}.${i}: nothing can come after ${action.do}, which ends the thread`);
  });
}

/** Every forked process has one parent, and the first parent of all is not forked. */
function checkForks(kernel: KernelDescription, source: string, names: ReadonlySet<string>): void {
  const parents = new Map<string, string>();
  for (const process of kernel.processes) {
    for (const child of process.threads.flatMap((t) => forkedIn(t.run))) {
      if (!names.has(child))
        throw new ModelError(`topology: ${source}: fork: no process ${child} (have: ${[...names].join(', ')})`);
      if (parents.has(child))
        throw new ModelError(
          `topology: ${source}: fork: process ${child} is forked twice: give every fork a process of its own`,
        );
      parents.set(child, process.name);
    }
  }
  for (const process of kernel.processes) {
    const seen = new Set<string>();
    for (let name: string | undefined = process.name; name !== undefined; name = parents.get(name)) {
      if (seen.has(name)) throw new ModelError(`topology: ${source}: fork: process ${name} is its own ancestor`);
      seen.add(name);
    }
  }
}
