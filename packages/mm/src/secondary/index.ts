export { odp_run, sva_run, vcpu_run, type SecondaryAccess, type SecondaryProgram } from './agents.ts';
export { AccessFault, cpu_access, secondary_access, user_write, type Agent } from './access.ts';
export { retract_page_tables } from './collapse-file.ts';
export { PageContents } from './contents.ts';
export { secondaryAgreesAtRest, SecondaryInvariant, secondaryIsNoMoreWritable, type EntryPair } from './invariants.ts';
export { try_to_merge_one_page, type KsmMutant } from './ksm.ts';
export { NotifierEra, notifyingArch, type NotifierDesign, type SecondaryMmus } from './notify.ts';
export { primaryMmu, type LookupOptions } from './primary.ts';
