/** The machines that are timed. */
import {
  addCpu,
  local_irq_restore,
  local_irq_save,
  preempt_disable,
  preempt_enable,
  send_IPI,
  startCpu,
} from '@shootdown/cpu';
import { atomicAdd, load, point, program, routine, smp_mb, store, SystemBuilder } from '@shootdown/machine';
import { machine, parseTopology } from '@shootdown/topology';

const ROUNDS = 3;

/** CPUs that interrupt each other, mask interrupts and are preempted, for ever. @param {number} cpuCount */
export function machineRoom(cpuCount) {
  const builder = new SystemBuilder({ memoryModel: 'tso' });
  const data = builder.region('data', 4);
  const cpus = Array.from({ length: cpuCount }, (_, id) => addCpu(builder, id, ['call']));
  const task = routine('task', function* (cpu, first) {
    const target = cpus[(cpu.id + 1) % cpuCount];
    for (let round = first; ; round = (round + 1) % ROUNDS) {
      yield* point('round', round);
      if (round === 0) {
        const flags = yield* local_irq_save(cpu);
        const value = yield* load(data.at(cpu.id % 4));
        yield* store(data.at((cpu.id + 1) % 4), (value + 1) & 7);
        yield* local_irq_restore(cpu, flags);
      } else if (round === 1) {
        yield* preempt_disable(cpu);
        yield* send_IPI(target, 'call');
        yield* preempt_enable(cpu);
      } else {
        yield* smp_mb();
        yield* load(data.at(0));
      }
    }
  });
  const call = program(
    routine('call', function* () {
      const value = yield* load(data.at(0));
      yield* atomicAdd(data.at(3), value > 3 ? -1 : 1);
    }),
  );
  for (const cpu of cpus) startCpu(builder, cpu, [program(task, cpu, 0), program(task, cpu, 1)], { call });
  return builder.build();
}

const AREAS = 100;
const ENTRIES_PER_TABLE = 512;
const SPARE_FRAMES = 64;

/**
 * The operations of the flush-count demo on four CPUs of which `remote` others spin. @param {number} pages @param
 * {number} remote
 */
export function flushMachine(pages, remote) {
  const builder = machine({
    name: 'bench',
    architecture: 'x86-64-4l',
    cpus: 4,
    memory: {
      tables: Math.ceil((AREAS * pages) / ENTRIES_PER_TABLE) + SPARE_FRAMES,
      pages: AREAS * pages + SPARE_FRAMES,
    },
  });
  const forEachArea = (body) => ({ do: 'repeat', times: AREAS, as: 'i', body });
  const area = 'a{i}';
  builder.thread('program', 0, [
    { do: 'wait-for-others' },
    forEachArea([{ do: 'mmap', area, pages }]),
    forEachArea([{ do: 'touch', area }]),
    forEachArea([{ do: 'mprotect', area, prot: 'r' }]),
    forEachArea([{ do: 'mprotect', area, prot: 'rw' }]),
    forEachArea([{ do: 'madvise-dontneed', area }]),
    forEachArea([{ do: 'touch', area }]),
    forEachArea([{ do: 'munmap', area }]),
  ]);
  for (let cpu = 1; cpu <= remote; cpu++) builder.thread('program', cpu, [{ do: 'spin' }]);
  return builder.assemble();
}

/** @param {number} pages @param {number} times */
function mapping(pages, times) {
  return [
    {
      do: 'repeat',
      times,
      body: [
        { do: 'mmap', area: 'a', pages },
        { do: 'touch', area: 'a' },
        { do: 'munmap', area: 'a' },
      ],
    },
  ];
}

/** A process on each CPU that maps and unmaps, for longer than anybody waits. @param {number} size */
export function everyCpu(size) {
  const builder = machine({
    name: 'sizes',
    architecture: 'x86-64-4l',
    cpus: size,
    tlb: { l1: '16x4', l2: '128x4', walkCache: 8 },
    memory: { tables: 8 * size, pages: 16 * size },
  });
  for (let cpu = 0; cpu < size; cpu++) builder.thread(`p${cpu}`, cpu, mapping(4, 1_000_000));
  return builder.assemble();
}

const APART_ROUNDS = 8000;

/** Two virtual machines of two CPUs each, which share nothing. @param {'process' | 'worker'} placement */
export function apart(placement) {
  const vm = (name, cpus) => ({
    name,
    vcpus: 2,
    cpus,
    placement,
    processes: [{ name: 'p', threads: [{ cpu: '0-1', run: mapping(4, APART_ROUNDS) }] }],
  });
  return parseTopology({
    name: 'apart',
    architecture: 'x86-64-4l',
    cpus: 4,
    memory: { tables: 64, pages: 256 },
    host: { vms: [vm('a', '0-1'), vm('b', '2-3')] },
  });
}
