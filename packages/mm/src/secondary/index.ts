export { FAULTS_ONCE, odp_run, sva_run, vcpu_run, type SecondaryAccess, type SecondaryProgram } from './agents.ts';
export {
  AccessFault,
  cpu_access,
  READS_GO_FORWARD,
  secondary_access,
  user_reads_back,
  user_reads_twice,
  user_write,
  type Agent,
} from './access.ts';
export { collapse_pte_mapped_thp } from './collapse-file.ts';
export { PageContents } from '../contents.ts';
export { secondaryAgreesAtRest, SecondaryInvariant, secondaryIsNoMoreWritable, type EntryPair } from './invariants.ts';
export { try_to_merge_one_page, type KsmMutant } from './ksm.ts';
export { NotifierEra, notifierRules, notifyingArch, type NotifierDesign, type SecondaryMmus } from '../notify.ts';
export { primaryMmu, type LookupOptions } from './primary.ts';
export { entryFormat, READ_ONLY, WRITABLE } from './format.ts';
export { mutex, notifyingKernel, spinlock } from './notifying.ts';
