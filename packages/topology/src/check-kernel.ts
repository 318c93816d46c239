/** What a description must hold of kernel threads and of secondary MMUs. */
import { ModelError } from '@shootdown/machine';
import { architectures } from '@shootdown/mm';
import { actionsIn, EVERYBODYS_ACTIONS, KERNEL_ACTIONS, type Action } from './actions.ts';
import type { KernelDescription, Topology } from './description.ts';
import { sharedCpus } from './shared-cpus.ts';

/** A vCPU is a bit of a word of requests. */
const VCPUS_OF_KVM_MAX = 31;

/** No two of one kind have one name. `place` ends in what comes before the number of one. Throws ModelError. */
export function checkUnique(named: readonly { readonly name: string }[], place: string): void {
  named.forEach(({ name }, i) => {
    if (named.findIndex((one) => one.name === name) < i)
      throw new ModelError(`${place}${i}: name taken twice (${name})`);
  });
}

/** Throws ModelError. `place` begins every message and ends in what comes before the name of a key. */
export function checkKernelThreads(kernel: KernelDescription, place: string): void {
  checkUnique(kernel.kernelThreads ?? [], `${place}kernelThreads.`);
  const names = new Set(kernel.processes.map(({ name }) => name));
  kernel.kernelThreads?.forEach(({ cpu, run }, t) => {
    const at = `${place}kernelThreads.${t}`;
    if (cpu >= kernel.cpus) throw new ModelError(`${at}: CPU ${cpu} of ${kernel.cpus} (0 .. ${kernel.cpus - 1})`);
    for (const action of actionsIn(run)) {
      const known = KERNEL_ACTIONS.has(action.do) || EVERYBODYS_ACTIONS.has(action.do);
      if (!known) throw new ModelError(`${at}: ${action.do}: a kernel thread has no address space of its own`);
      if (action.do === 'sleep' && action.microseconds === undefined)
        throw new ModelError(`${at}: sleep: a kernel thread sleeps for a time: give microseconds`);
      if ('process' in action && !names.has(action.process))
        throw new ModelError(`${at}: ${action.do}: no process ${action.process} (have: ${[...names].join(', ')})`);
    }
  });
  kernel.processes.forEach(({ threads }, p) =>
    threads.forEach(({ run }, t) => {
      const action = actionsIn(run).find((a) => KERNEL_ACTIONS.has(a.do));
      if (action)
        throw new ModelError(`${place}processes.${p}.threads.${t}: ${action.do}: for a kernel thread (kernelThreads)`);
    }),
  );
}

/**
 * Kernel threads take, move and merge pages one by one, so there are no larger folios; and huge pages are translated by
 * nobody but CPUs. Throws ModelError.
 */
export function checkScans(
  { kernelThreads = [], processes }: KernelDescription,
  { folio }: Pick<Topology, 'folio'>,
  place: string,
): void {
  kernelThreads.forEach(({ run }, t) => {
    for (const action of actionsIn(run)) {
      if (!KERNEL_ACTIONS.has(action.do)) continue;
      const at = `${place}kernelThreads.${t}: ${action.do}`;
      if (folio !== '4K') throw new ModelError(`${at}: not with larger folios (folio: ${folio})`);
      if (action.do !== 'collapse') continue;
      const using = processes.find(({ name }) => name === action.process)?.secondaryMmus ?? [];
      if (using[0])
        throw new ModelError(
          `${at}: ${action.process} has a secondary MMU, which knows small pages only (${using[0].name})`,
        );
    }
  });
}

/** Who has one node has no node to bring pages to. Throws ModelError. */
export function checkNumaBalancing(
  { kernelThreads = [] }: KernelDescription,
  { host, sockets, nodes }: Pick<Topology, 'host' | 'sockets' | 'nodes'>,
  place: string,
): void {
  kernelThreads.forEach(({ run }, t) => {
    if (!actionsIn(run).some(({ do: what }) => what === 'numa-scan')) return;
    const count = host ? 1 : (nodes ?? sockets ?? []).length;
    if (count < 2)
      throw new ModelError(
        `${place}kernelThreads.${t}: numa-scan: the memory is one node${host ? ', as that of every virtual machine' : ': give sockets or nodes'}`,
      );
  });
}

/** Words of a machine whose names begin with these are not a device's; nor is who sends what happens by itself. */
const NAMES_OF_THE_MACHINE = /^(?:CPU\d+|task|hardware|host|nobody)$/;

/** Throws ModelError. */
export function checkSecondaryMmus(
  kernel: KernelDescription,
  { name, architecture, host }: Pick<Topology, 'name' | 'architecture' | 'host'>,
  place: string,
): void {
  const having = kernel.processes.filter(({ secondaryMmus }) => secondaryMmus.length > 0);
  const first = having[0];
  if (first && (host !== undefined || !architectures[architecture].hasVirtualMachines))
    throw new ModelError(
      `${place}processes.${kernel.processes.indexOf(first)}.secondaryMmus: secondary MMUs are x86's, natively (${host ? 'in a virtual machine' : architecture})`,
    );
  if (having.length > 1)
    throw new ModelError(
      `${place}processes.${kernel.processes.indexOf(having[1] ?? first!)}.secondaryMmus: one process of a machine has them (${having.map(({ name }) => name).join(', ')})`,
    );
  kernel.processes.forEach((process, p) => checkProcess(kernel, process, name, `${place}processes.${p}`));
}

type Process = KernelDescription['processes'][number];

function checkProcess(
  kernel: KernelDescription,
  { secondaryMmus, threads }: Process,
  machine: string,
  place: string,
): void {
  checkUnique(secondaryMmus, `${place}.secondaryMmus.`);
  const others = [...kernel.processes, ...(kernel.kernelThreads ?? [])];
  const kinds = new Map(secondaryMmus.map(({ name, kind }) => [name, kind]));
  for (const [i, { name, kind, changePte, placement }] of secondaryMmus.entries()) {
    // Its parts have names: that of the topology is the machine's own.
    if (NAMES_OF_THE_MACHINE.test(name) || (placement !== undefined && name === machine))
      throw new ModelError(`${place}.secondaryMmus.${i}: name taken by the machine (${name})`);
    if (others.some((other) => other.name === name))
      throw new ModelError(`${place}.secondaryMmus.${i}: name taken by a process or a kernel thread (${name})`);
    if (placement === 'worker' && kind !== 'device')
      throw new ModelError(
        `${place}.secondaryMmus.${i}.placement: worker: the vCPUs of ${name} are threads of the process, whose words they share: only a device can be placed`,
      );
    const engines = threads.filter(({ run }) => actionsIn(run).some((a) => a.do === 'dma' && a.mmu === name)).length;
    const isPart = kind === 'device' && placement !== undefined;
    if (isPart && engines > 1)
      throw new ModelError(
        `${place}.secondaryMmus.${i}.placement: ${placement}: ${name} has one engine, and ${engines} threads use it`,
      );
    if (isPart && secondaryMmus.some((other, j) => j < i && other.kind === 'device' && other.placement))
      throw new ModelError(
        `${place}.secondaryMmus.${i}.placement: ${placement}: one device of a machine can be placed (${name})`,
      );
    if (kind === 'device' && changePte !== 'none')
      throw new ModelError(`${place}.secondaryMmus.${i}: changePte: no device has ever had one (${changePte})`);
    const vcpus = threads.filter(({ run }) => actionsIn(run).some((a) => a.do === 'guest' && a.mmu === name)).length;
    if (vcpus > VCPUS_OF_KVM_MAX)
      throw new ModelError(`${place}.secondaryMmus.${i}: at most ${VCPUS_OF_KVM_MAX} vCPUs of ${name} (${vcpus})`);
  }
  const shared = sharedCpus(kernel);
  threads.forEach(({ run, cpu }, t) => {
    for (const action of actionsIn(run)) {
      if (!uses(action)) continue;
      const at = `${place}.threads.${t}: ${action.do}`;
      const kind = kinds.get(action.mmu);
      if (kind === undefined)
        throw new ModelError(`${at}: no secondary MMU ${action.mmu} (have: ${[...kinds.keys()].join(', ') || 'none'})`);
      if (action.do === 'guest' && kind !== 'kvm') throw new ModelError(`${at}: ${action.mmu} is a device: use dma`);
      if (action.do === 'dma' && kind !== 'device') throw new ModelError(`${at}: ${action.mmu} is KVM's: use guest`);
      if (action.do === 'guest' && shared.has(cpu))
        throw new ModelError(`${at}: a vCPU has its CPU to itself, and CPU ${cpu} has a scheduler`);
    }
  });
}

function uses(action: Action): action is Extract<Action, { mmu: string }> {
  return 'mmu' in action;
}
