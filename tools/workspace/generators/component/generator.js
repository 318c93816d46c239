import { fileURLToPath } from 'node:url';
import { generateFiles, installPackagesTask, names } from '@nx/devkit';

/** The schema's pattern again: Nx checks it on the command line only, and a bad name would become a bad path. */
const KEBAB_CASE = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;

/**
 * Adds `packages/<name>`: a closed XState machine, what adds it to a system with the effects of what it says, its
 * worker entry, a test in a system, and a README whose example explores. `topology` does not get to
 * know it: the assembly imports a component when it can build it, and an unused dependency fails knip.
 * @param {import('@nx/devkit').Tree} tree
 * @param {{ name: string }} options
 * @returns {() => void} links the new package into node_modules and the lock file
 * @throws when the name is not kebab-case or already taken
 */
export default function component(tree, { name }) {
  if (!KEBAB_CASE.test(name))
    throw new Error(`workspace: component: name must be kebab-case (${name}); try ${names(name).fileName}`);
  const folder = `packages/${name}`;
  if (tree.exists(folder))
    throw new Error(`workspace: component: folder exists (${folder}); choose another name or delete it first`);
  const { className, propertyName } = names(name);
  generateFiles(tree, fileURLToPath(new URL('files', import.meta.url)), folder, { name, className, propertyName });
  return () => installPackagesTask(tree, true);
}
