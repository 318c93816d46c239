/** The scenarios that ship. */
import type { Scenario } from '@shootdown/explorer';
import { ptdumpVmalloc } from './ptdump-vmalloc.ts';
import { referencePtdump } from './reference-ptdump.ts';

export const scenarios: readonly Scenario[] = [ptdumpVmalloc, referencePtdump];

// Worker threads find a scenario by its name in camel case.
export { ptdumpVmalloc, referencePtdump };
