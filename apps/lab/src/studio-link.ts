/** The link that opens a schedule in the studio. */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { studioFragment } from '@shootdown/report';
import type { RequestedScenario } from './scenario-request.ts';

/** Where `npm run studio` serves it. */
const SERVED = 'http://localhost:4173/';
/** What is longer is cut off somewhere on its way. */
const LENGTH_MAX = 30_000;

/** The line that ends what is printed of a counterexample; empty if no link can say it. */
export function studioLine(resolved: RequestedScenario, schedule: readonly number[]): string {
  const link = studioLink(resolved, schedule);
  return link === null ? '' : `\nstudio: ${link}\n`;
}

/**
 * The link to a schedule, with the code in it if that is the user's own. Null if the studio cannot have it: modules in
 * place of routines, sides and trees of patches, litmus tests, and files that are gone or too long.
 */
export function studioLink(resolved: RequestedScenario, schedule: readonly number[]): string | null {
  const { typed, scenario, variant, memoryModel, parameters, replacement, mutations } = resolved;
  const path = replacement?.path ?? (/\.(?:[cm]?[jt]s|c)(?:#.*)?$/.test(typed) ? typed.replace(/#.*$/, '') : null);
  if (typed.endsWith('.litmus') || replacement?.tree !== undefined || replacement?.side === 'before') return null;
  if (replacement !== null && !/\.(?:c|patch|diff)$/.test(replacement.path)) return null;
  const code = path === null ? null : packedFile(path);
  if (path !== null && code === null) return null;
  const changed = Object.entries(parameters).filter(
    ([name, value]) => variant.parameters?.[name] !== value && scenario.parameters?.[name]?.default !== value,
  );
  const fragment = studioFragment({
    tab: 'explore',
    scenario: scenario.name,
    variant: variant.name,
    memoryModel,
    parameters: Object.fromEntries(changed),
    mutations: mutations ?? [],
    schedule,
    at: null,
    code,
  });
  return fragment.length > LENGTH_MAX ? null : `${base()}${fragment}`;
}

function packedFile(path: string): { readonly name: string; readonly packed: string } | null {
  try {
    return { name: basename(path), packed: deflateRawSync(readFileSync(path)).toString('base64url') };
  } catch {
    return null;
  }
}

/** `SHOOTDOWN_STUDIO` says where another studio is. What is no address is left out, and the fragment stands alone. */
function base(): string {
  try {
    return new URL(process.env['SHOOTDOWN_STUDIO'] ?? SERVED).href.replace(/#.*$/, '');
  } catch {
    return '';
  }
}
