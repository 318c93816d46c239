/**
 * The routines of a contpte kernel by kernel identifier: what a variant, or a user's patch, replaces. Routines call one
 * another through this table (`cpu.k`), which holds them by name where importing one another would go in a circle.
 */
import * as batch from './batch.ts';
import * as contpte from './contpte.ts';
import * as fault from './fault.ts';
import * as fork from './fork.ts';
import * as mprotect from './mprotect.ts';
import * as mremap from './mremap.ts';
import * as pgtable from './pgtable.ts';
import * as primitives from './primitives.ts';
import * as reclaim from './reclaim.ts';
import * as tlbflush from './tlbflush.ts';
import * as zap from './zap.ts';

/** The kernel as it is: v7.0. */
export const routines = {
  __set_ptes: primitives.__set_ptes,
  __clear_full_ptes: primitives.__clear_full_ptes,
  __get_and_clear_full_ptes: primitives.__get_and_clear_full_ptes,
  __wrprotect_ptes: primitives.__wrprotect_ptes,
  __ptep_test_and_clear_young: primitives.__ptep_test_and_clear_young,
  __clear_young_dirty_ptes: primitives.__clear_young_dirty_ptes,
  __ptep_set_access_flags: primitives.__ptep_set_access_flags,
  __flush_tlb_range: tlbflush.__flush_tlb_range,
  flush_tlb_range: tlbflush.flush_tlb_range,
  local_flush_tlb_page: tlbflush.local_flush_tlb_page,
  local_flush_tlb_contpte: tlbflush.local_flush_tlb_contpte,
  flush_tlb_fix_spurious_fault: tlbflush.flush_tlb_fix_spurious_fault,
  contpte_convert: contpte.contpte_convert,
  __contpte_try_fold: contpte.__contpte_try_fold,
  __contpte_try_unfold: contpte.__contpte_try_unfold,
  contpte_try_unfold_partial: contpte.contpte_try_unfold_partial,
  contpte_ptep_get: contpte.contpte_ptep_get,
  contpte_ptep_get_lockless: contpte.contpte_ptep_get_lockless,
  contpte_set_ptes: contpte.contpte_set_ptes,
  contpte_clear_full_ptes: contpte.contpte_clear_full_ptes,
  contpte_get_and_clear_full_ptes: contpte.contpte_get_and_clear_full_ptes,
  contpte_wrprotect_ptes: contpte.contpte_wrprotect_ptes,
  contpte_ptep_test_and_clear_young: contpte.contpte_ptep_test_and_clear_young,
  contpte_ptep_clear_flush_young: contpte.contpte_ptep_clear_flush_young,
  contpte_clear_young_dirty_ptes: contpte.contpte_clear_young_dirty_ptes,
  contpte_ptep_set_access_flags: contpte.contpte_ptep_set_access_flags,
  set_ptes: pgtable.set_ptes,
  ptep_get: pgtable.ptep_get,
  ptep_get_lockless: pgtable.ptep_get_lockless,
  ptep_get_and_clear: pgtable.ptep_get_and_clear,
  clear_full_ptes: pgtable.clear_full_ptes,
  get_and_clear_full_ptes: pgtable.get_and_clear_full_ptes,
  wrprotect_ptes: pgtable.wrprotect_ptes,
  ptep_set_access_flags: pgtable.ptep_set_access_flags,
  __ptep_clear_flush_young: pgtable.__ptep_clear_flush_young,
  ptep_clear_flush_young: pgtable.ptep_clear_flush_young,
  clear_young_dirty_ptes: pgtable.clear_young_dirty_ptes,
  modify_prot_start_ptes: pgtable.modify_prot_start_ptes,
  modify_prot_commit_ptes: pgtable.modify_prot_commit_ptes,
  folio_pte_batch_flags: batch.folio_pte_batch_flags,
  zap_present_ptes: zap.zap_present_ptes,
  zap_pte_range: zap.zap_pte_range,
  tlb_finish_mmu: zap.tlb_finish_mmu,
  zap_page_range_single: zap.zap_page_range_single,
  mprotect_folio_pte_batch: mprotect.mprotect_folio_pte_batch,
  commit_anon_folio_batch: mprotect.commit_anon_folio_batch,
  change_pte_range: mprotect.change_pte_range,
  change_protection: mprotect.change_protection,
  mremap_folio_pte_batch: mremap.mremap_folio_pte_batch,
  move_ptes: mremap.move_ptes,
  copy_present_ptes: fork.copy_present_ptes,
  copy_pte_range: fork.copy_pte_range,
  dup_mmap: fork.dup_mmap,
  handle_pte_fault: fault.handle_pte_fault,
  do_present_fault: fault.do_present_fault,
  do_wp_page: fault.do_wp_page,
  wp_page_reuse: fault.wp_page_reuse,
  folio_unmap_pte_batch: reclaim.folio_unmap_pte_batch,
  try_to_unmap_one: reclaim.try_to_unmap_one,
  folio_referenced_one: reclaim.folio_referenced_one,
  madvise_cold_or_pageout_pte_range: reclaim.madvise_cold,
  madvise_free_pte_range: reclaim.madvise_free,
};

/** A version of each routine. */
export type ContpteRoutines = typeof routines;
