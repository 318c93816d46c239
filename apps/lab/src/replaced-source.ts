/**
 * Builds a scenario with replaced routines, or one that is read from a file, where it is searched: worker threads load
 * this module.
 */
import type { SystemSource } from '@shootdown/explorer';
import type { System } from '@shootdown/machine';
import type { Replacement } from './c-files.ts';
import { requestedScenario } from './scenario-request.ts';

/** What a worker thread is handed. */
export interface ReplacedSource extends Omit<SystemSource, 'request'> {
  readonly request: SystemSource['request'] & { readonly typed: string; readonly replacement: Replacement | undefined };
}

/** Builds the system of such a source. Throws ModelError. */
export async function buildReplaced({ typed, ...request }: ReplacedSource['request']): Promise<System> {
  return (await requestedScenario(typed, request)).build();
}
