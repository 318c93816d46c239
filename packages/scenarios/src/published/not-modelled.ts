/** Published numbers that no run can be held against, and what it would need. */
import type { ComparisonRow } from '../comparison.ts';

function row(variant: string, unit: string, theirs: number | string, why: string, source: string): ComparisonRow {
  return { variant, unit, theirs, ours: 'not modelled', interval: '', factor: '', setup: '', why, source };
}

/** The rows. */
export const notModelled: readonly ComparisonRow[] = [
  row(
    'INVLPGB, will-it-scale tlb_flush2_threads: LRU fix, INVLPGB, both',
    'throughput',
    '1.39, 1.0, 2.2',
    'the LRU lock, to which the contention moves, is no part of a run',
    'Rik van Riel, 36-core Milan: 527k, 731k, 527k, 1157k loops/s',
  ),
  row(
    'Hyper-V flush hypercalls for a Windows guest on KVM, 128 vCPUs on 12 CPUs',
    'real time, system time',
    '1.8, 9.9',
    'a guest that flushes by hypercall is explored, not run',
    'Vitaly Kuznetsov, 2018: 44.36 to 24.43 s, 403 to 40.6 s',
  ),
  row(
    'the same with 12 vCPUs on 12 CPUs',
    'real time',
    1.0,
    'a guest that flushes by hypercall is explored, not run',
    'Vitaly Kuznetsov, 2018: 21.24 to 21.08 s',
  ),
  row(
    'Xen L0-assisted flush, 32 vCPUs, make -j32',
    'real time, system time',
    '4.4, 6.9',
    'a guest that flushes by hypercall is explored, not run',
    'Roger Pau Monne: 276 to 62.6 s, 2184 to 316 s',
  ),
  row(
    'local and remote flush at once, sysbench mmap on 56 threads',
    'throughput, %',
    '+1.4 to +4.2',
    'smp_call_function_many() runs the local part at once; there is no kernel here that does it before or after',
    'Nadav Amit, v4',
  ),
  row(
    'a broadcast IPI per 1 GiB of hugetlb unshared, 196 cores',
    'run time',
    4,
    'shared page tables of hugetlb are no part of a run',
    'Uschakow and Horn, 2025',
  ),
  row(
    'a flag per CPU that says it walks, for targeted IPIs: cost of GUP-fast',
    'time',
    1.03,
    'GUP-fast is explored, not run',
    'Lance Yang, v7',
  ),
  row(
    'LATR: Apache',
    'throughput, %',
    '+59.9',
    'Apache is no part of a run; its munmap() is the row above',
    "LATR, ASPLOS'18",
  ),
  row(
    'contpte in kernel builds and in Speedometer',
    'time, %',
    '-5 to -8, kernel -37 to -43',
    'whole programs are no part of a run: compare contpte has fork(), munmap(), mprotect() and mremap()',
    'Ryan Roberts, cover letters v1 to v5',
  ),
];
