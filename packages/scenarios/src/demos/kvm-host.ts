/** A host of virtual machines that map, write and unmap all the time: what paravirtual flushing was made for. */
import type { Action, TopologyInput } from '@shootdown/topology';

/** Counts what the threads of {@link kvmHost} have done: records mapped, written, searched and unmapped. */
export const RECORDS = 'records';

/** The load and its host; the same in every machine of {@link kvmHost}. The shape of `ebizzy -M`. */
export const KvmHostLoad = {
  /** Pages a record maps, writes and unmaps. */
  pages: 4,
  /** What a thread computes per record. */
  computeCycles: 250_000,
  /**
   * sched_base_slice of four CPUs is 0.75 ms * (1 + ilog2(4)) = 2.25 ms, which a tick of 1 ms notices after 3 ms
   * (v6.6).
   */
  timesliceMicroseconds: 3000,
  hz: 1000,
} as const;

/** What may differ. */
export interface KvmHostOptions {
  readonly name: string;
  readonly vms: number;
  readonly paravirtualFlush: boolean;
  readonly runMicroseconds: number;
  /** CPUs of the host, and vCPUs of each VM. Default 4. */
  readonly vcpusPerVm?: number;
  readonly pauseLoopExiting?: boolean;
  readonly preemptedAtBoundaryOnly?: boolean;
}

const ROUNDS_WITHOUT_END = 1_000_000;

/** One thread: allocates, fills, searches and frees. */
const ebizzy: readonly Action[] = [
  {
    do: 'repeat',
    times: ROUNDS_WITHOUT_END,
    body: [
      { do: 'mmap', area: 'record', pages: KvmHostLoad.pages },
      { do: 'touch', area: 'record' },
      { do: 'compute', cycles: KvmHostLoad.computeCycles },
      { do: 'munmap', area: 'record' },
      { do: 'count', counter: RECORDS },
    ],
  },
];

/** A host of so many VMs, each with as many vCPUs as the host has CPUs. */
export function kvmHost({
  name,
  vms,
  paravirtualFlush,
  runMicroseconds,
  vcpusPerVm = 4,
  pauseLoopExiting = true,
  preemptedAtBoundaryOnly = true,
}: KvmHostOptions): TopologyInput {
  const { timesliceMicroseconds, hz } = KvmHostLoad;
  const threads = Array.from({ length: vcpusPerVm }, (_, cpu) => ({ cpu, run: [...ebizzy] }));
  return {
    name,
    architecture: 'x86-64-4l',
    cpus: vcpusPerVm,
    memory: { tables: 32, pages: 64 },
    runMicroseconds,
    host: {
      timesliceMicroseconds,
      hz,
      pauseLoopExiting,
      preemptedAtBoundaryOnly,
      vms: Array.from({ length: vms }, (_, vm) => ({
        name: `vm${vm}`,
        vcpus: vcpusPerVm,
        paravirtualFlush,
        processes: [{ name: 'ebizzy', threads }],
      })),
    },
  };
}
