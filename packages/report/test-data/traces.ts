/** Hand-built traces for the tests of the renderers. */
import type { Trace, TraceStep } from '@shootdown/machine';

/** A step; `rest` overrides anything. */
export function step(column: number, stack: string, text: string, rest: Partial<TraceStep> = {}): TraceStep {
  return {
    entry: 0,
    kind: 'advance',
    column,
    stack: stack === '' ? [] : stack.split(' '),
    text,
    facts: [],
    inInterrupt: false,
    violation: null,
    startCycles: null,
    durationCycles: null,
    ...rest,
  };
}

/** A step with facts. */
export const fact = (column: number, stack: string, text: string, ...facts: string[]): TraceStep =>
  step(column, stack, text, { facts });

/** A message that reaches a component; column -1: one that belongs to no processor. */
export const message = (column: number, text: string): TraceStep => step(column, '', text, { kind: 'deliver' });

/** A trace; columns as `CPU0 munmap`. */
export function trace(columns: readonly string[], steps: readonly TraceStep[], end: Trace['end'] = null): Trace {
  return {
    columns: columns.map((heading) => ({
      name: heading.split(' ')[0] ?? '',
      routine: heading.split(' ').slice(1).join(' '),
    })),
    steps: steps.map((s, entry) => ({ ...s, entry })),
    end,
    fingerprint: '00000000deadbeef',
  };
}

const READS_FREED = { property: 'walker reads a freed page-table page', detail: '' };

/** The walker of a dump without any exclusion reads a table that vmalloc has freed. */
export const ptdumpUseAfterFree = trace(
  ['CPU0 ptdump_walk_pgd', 'CPU1 pud_free_pmd_page'],
  [
    step(0, 'ptdump_walk_pgd static_key_slow_inc', 'static_key_slow_inc(key)'),
    step(0, 'ptdump_walk_pgd', 'mmap_write_lock(init_mm)'),
    fact(0, 'ptdump_walk_pgd', 'pudp_get()', 'table 0x42'),
    step(1, 'pud_free_pmd_page', 'pud_clear(pudp)'),
    step(1, 'pud_free_pmd_page', 'flush_tlb_kernel_pgtable(pudp)'),
    step(1, 'pud_free_pmd_page', 'static_branch_unlikely(key)'),
    fact(1, 'pud_free_pmd_page', 'pmd_free()', '0x42 freed'),
    step(0, 'ptdump_walk_pgd', 'pmdp_get(0x42)', { violation: READS_FREED }),
  ],
  { kind: 'violation', text: READS_FREED.property },
);

/** Two dumpers share a static key that does not count: the first to leave switches it off under the second. */
export const uncountedKey = trace(
  ['T1 ptdump_walk', 'T2 vmap_try_huge_pud', 'T3 ptdump_check_wx'],
  [
    fact(0, 'ptdump_walk', 'static_branch_enable(key)', 'off -> on'),
    step(0, 'ptdump_walk', 'mmap_write_lock(init_mm)'),
    step(0, 'ptdump_walk walk_pgd_range', 'pudp_get()'),
    fact(2, 'ptdump_check_wx', 'static_branch_enable(key)', 'already on'),
    step(0, 'ptdump_walk', 'mmap_write_unlock(init_mm)'),
    step(2, 'ptdump_check_wx', 'mmap_write_lock(init_mm)'),
    fact(2, 'ptdump_check_wx walk_pgd_range', 'pudp_get()', 'table 0x42'),
    fact(0, 'ptdump_walk', 'static_branch_disable(key)', 'on -> off'),
    step(1, 'vmap_try_huge_pud pud_free_pmd_page', 'pud_clear(pudp)'),
    step(1, 'vmap_try_huge_pud pud_free_pmd_page', 'flush_tlb_kernel_pgtable(pudp)'),
    fact(1, 'vmap_try_huge_pud pud_free_pmd_page', 'static_branch_unlikely(key)', 'off'),
    fact(1, 'vmap_try_huge_pud pud_free_pmd_page pmd_free', 'pmd_free(0x42)', 'freed'),
    step(2, 'ptdump_check_wx walk_pgd_range', 'pmdp_get(0x42)', { violation: READS_FREED }),
  ],
  { kind: 'violation', text: READS_FREED.property },
);

const inHandler = { inInterrupt: true };

/** An unmap on CPU0 flushes the TLB of CPU1 by an interrupt; times as a run with a cost model gives them. */
export const ipiShootdown = timed(
  trace(
    ['CPU0 munmap', 'CPU1 reader'],
    [
      fact(1, 'reader', 'access(0x7f0000)', 'hit, pfn 0x99'),
      step(0, 'munmap mmap_write_lock', 'mmap_write_lock(mm)'),
      fact(0, 'munmap zap_pte_range', 'ptep_get_and_clear(ptep)', 'pfn 0x99'),
      fact(0, 'munmap flush_tlb_mm_range', 'inc_mm_tlb_gen(mm)', 'tlb_gen 2'),
      fact(0, 'munmap flush_tlb_mm_range native_flush_tlb_multi', 'cpumask_next(mm_cpumask)', 'CPU1'),
      step(0, 'munmap flush_tlb_mm_range native_flush_tlb_multi', 'arch_send_call_function_ipi_mask()'),
      step(0, 'munmap flush_tlb_mm_range', 'put_cpu()'),
      fact(1, 'reader', 'access(0x7f0000)', 'stale hit'),
      message(1, '<ipi: CALL_FUNCTION_VECTOR>'),
      fact(1, 'sysvec_call_function flush_tlb_func', 'READ_ONCE(mm_tlb_gen)', '2'),
      step(1, 'sysvec_call_function flush_tlb_func flush_tlb_one_user', 'invlpg(0x7f0000)', inHandler),
      step(1, 'sysvec_call_function', 'csd_unlock(csd)', inHandler),
      step(0, 'munmap csd_lock_wait', 'csd_lock_wait(csd)'),
      fact(1, 'reader', 'access(0x7f0000)', 'page fault'),
      step(0, 'munmap', 'free_unref_page(page)'),
    ].map((s, i) => (i === 9 ? { ...s, inInterrupt: true } : s)),
  ),
  1_205,
);

/** Two processors wait for each other. */
export const deadlock = trace(
  ['CPU0 vmap_range_noflush', 'CPU1 ptdump_walk_pgd'],
  [
    fact(0, 'vmap_range_noflush', 'mmap_read_lock(init_mm)', 'readers 1'),
    step(1, 'ptdump_walk_pgd', 'static_key_slow_inc(key)'),
    fact(1, 'ptdump_walk_pgd', 'mmap_write_lock(init_mm)', 'queued'),
    step(0, 'vmap_range_noflush pmd_free_pte_page', 'pmd_clear(pmdp)'),
    fact(0, 'vmap_range_noflush pmd_free_pte_page', 'static_branch_unlikely(key)', 'on'),
  ],
  {
    kind: 'deadlock',
    text: 'nobody can go on\nCPU0: mmap_read_lock(init_mm) waits behind the queued writer\nCPU1: mmap_write_lock(init_mm) waits for reader CPU0',
  },
);

/** Four vCPUs, a host, and a hypervisor component that belongs to none of them. */
export const fourProcessors = trace(
  ['CPU0 zap_page_range_single', 'CPU1 user', 'CPU2 user', 'CPU3 idle', 'CPU4 never_runs'],
  [
    message(-1, 'host preempts vCPU2'),
    fact(0, 'zap_page_range_single', 'ptep_get_and_clear(ptep)', 'pfn 0x10'),
    fact(1, 'user', 'access(va)', 'stale hit'),
    fact(0, 'zap_page_range_single kvm_flush_tlb_multi', 'cmpxchg(steal_time[2].preempted)', 'KVM_VCPU_FLUSH_TLB'),
    message(3, '<ipi: CALL_FUNCTION>'),
    step(3, 'flush_tlb_func', 'flush_tlb_func()', inHandler),
    message(-1, '<host resumes vCPU2: flush requested>'),
    fact(2, 'user', 'access(va)', 'page fault'),
  ],
  { kind: 'end', text: 'everything has come to rest' },
);

/** Labels and facts that do not fit into a column. */
export const longLabels = trace(
  ['CPU0 contpte_ptep_set_access_flags', 'CPU1 a_routine_that_would_fill_half_of_the_line'],
  [
    step(
      0,
      'contpte_ptep_set_access_flags',
      '__ptep_set_access_flags(vma, addr, ptep, pte_mkyoung(pte_mkdirty(entry)), dirty)',
    ),
    fact(0, 'contpte_ptep_set_access_flags', 'atomic_long_cmpxchg_acquire(&rwsem->count)', '0 -> RWSEM_WRITER_LOCKED'),
    fact(
      1,
      'a_routine_that_would_fill_half_of_the_line',
      'load(p)',
      'a fact that says so much that it needs two lines',
      'another',
    ),
    step(0, 'contpte_ptep_set_access_flags', 'an_identifier_that_is_wider_than_its_column_is_kept(x)'),
    step(
      0,
      'contpte_ptep_set_access_flags',
      '<store buffer: kernel_page_table.pud[511].pmd[3] = PMD_TYPE_TABLE|0x42000>',
      { kind: 'drain' },
    ),
    step(1, 'a_routine_that_would_fill_half_of_the_line', 'pte_val()', {
      violation: {
        property: 'no contiguous block is ever seen with members of different permissions',
        detail: 'ptep[5] is read-only, ptep[4] is not',
      },
    }),
  ],
);

/** Gives every step a start and a duration, in the order of the steps. */
function timed(plain: Trace, firstCycles: number): Trace {
  let now = firstCycles;
  const steps = plain.steps.map((s) => {
    const durationCycles = s.kind === 'deliver' ? 500 : s.text.startsWith('arch_send') ? 600 : 20;
    const startCycles = now;
    now += durationCycles;
    return { ...s, startCycles, durationCycles };
  });
  return { ...plain, steps };
}
