/** The demos: machines that ship, by name. */
import type { TopologyInput } from '@shootdown/topology';
import { kvmHost } from './kvm-host.ts';

/** A demo that is a machine. */
export interface Demo {
  readonly name: string;
  readonly title: string;
  readonly topology: TopologyInput;
}

/** CPU 0 unmaps four pages while a thread of the program runs on CPU 1 and another sleeps on CPU 2. */
function munmapOnFourCpus(name: string, architecture: TopologyInput['architecture']): TopologyInput {
  return {
    name,
    architecture,
    cpus: 4,
    processes: [
      {
        name: 'program',
        threads: [
          {
            cpu: 0,
            run: [
              { do: 'wait-for-others' },
              { do: 'mmap', area: 'a', pages: 4 },
              { do: 'touch', area: 'a' },
              { do: 'measure', phase: 'munmap' },
              { do: 'munmap', area: 'a' },
            ],
          },
          { cpu: 1, run: [{ do: 'spin' }] },
          { cpu: 2, run: [{ do: 'sleep' }] },
        ],
      },
    ],
  };
}

/** Ten timeslices. */
const KVM_HOST_MICROSECONDS = 30_000;

/** Every demo but `flush-counts`, which is a table of runs. */
export const demos: readonly Demo[] = [
  {
    name: 'shootdown',
    title: 'munmap of four pages on CPU 0 while a thread runs on CPU 1 and one sleeps on CPU 2: who gets the IPI',
    topology: munmapOnFourCpus('shootdown', 'x86-64-4l'),
  },
  {
    name: 'shootdown-arm64',
    title: 'the same munmap on arm64: broadcast TLBIs, no IPI',
    topology: munmapOnFourCpus('shootdown-arm64', 'arm64-4k-48'),
  },
  {
    name: 'fork-cow',
    title: 'fork, then parent and child write to the same 64 pages: copy-on-write and its flushes',
    topology: {
      name: 'fork-cow',
      architecture: 'x86-64-4l',
      cpus: 2,
      processes: [
        {
          name: 'parent',
          threads: [
            {
              cpu: 0,
              run: [
                { do: 'mmap', area: 'a', pages: 64 },
                { do: 'touch', area: 'a' },
                { do: 'measure', phase: 'fork' },
                { do: 'fork', child: 'child' },
                { do: 'measure', phase: 'parent writes' },
                { do: 'touch', area: 'a' },
                { do: 'exit' },
              ],
            },
          ],
        },
        { name: 'child', threads: [{ cpu: 1, run: [{ do: 'touch', area: 'a' }, { do: 'exit' }] }] },
      ],
    },
  },
  {
    name: 'kvm-host',
    title:
      'two VMs of four vCPUs on four CPUs, paravirtual flush: exits, IPIs sent and elided, flush latency, steal time, second stage',
    topology: kvmHost({ name: 'kvm-host', vms: 2, paravirtualFlush: true, runMicroseconds: KVM_HOST_MICROSECONDS }),
  },
  {
    name: 'kvm-host-ipi',
    title: 'the same host, and its guests flush by IPI as natively: what elision saves',
    topology: kvmHost({
      name: 'kvm-host-ipi',
      vms: 2,
      paravirtualFlush: false,
      runMicroseconds: KVM_HOST_MICROSECONDS,
    }),
  },
];
