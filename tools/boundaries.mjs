/**
 * Checks who may import whom: core <- components <- kernel <- engines <- kit <- scenarios <- apps; that no files of a
 * package import one another in a circle; that nobody but the machine tells components something without a channel;
 * and, inside of packages/mm/src, that no file imports from a higher floor. It reads the real import specifiers of
 * every source file, because a package.json alone cannot tell a forbidden import from a forgotten declaration. Usage:
 * `node tools/boundaries.mjs [workspace root]`.
 */
import { existsSync, readFileSync, readdirSync, realpathSync } from 'node:fs';
import { join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseJson } from '@nx/devkit';
import { importsOf, SCOPE, tellsOf } from './imports.mjs';

/** @typedef {{ path: string, source: string }} SourceFile path from the package folder, with `/` */
/**
 * @typedef {object} Package One workspace package; `references` are folders from the workspace root.
 * @property {string} name
 * @property {string} folder
 * @property {string[]} tags
 * @property {string[]} dependencies
 * @property {string[]} devDependencies
 * @property {string[]} references
 * @property {SourceFile[]} files
 */
/** @typedef {{ file: string, line: number, what: string, why: string }} Violation */

/** For every type of package, the types it may import. @type {Readonly<Record<string, readonly string[]>>} */
const MAY_IMPORT = {
  'type:core': ['type:core'],
  'type:component': ['type:core'],
  'type:kernel': ['type:core', 'type:component'],
  'type:engine': ['type:core', 'type:component', 'type:kernel'],
  'type:language': ['type:core', 'type:component', 'type:kernel', 'type:engine'],
  'type:kit': ['type:core', 'type:component', 'type:kernel', 'type:engine'],
  'type:scenarios': ['type:core', 'type:component', 'type:kernel', 'type:engine', 'type:language', 'type:kit'],
  'type:app': [
    'type:core',
    'type:component',
    'type:kernel',
    'type:engine',
    'type:language',
    'type:kit',
    'type:scenarios',
    'type:app',
    'type:tool',
  ],
  'type:tool': [
    'type:core',
    'type:component',
    'type:kernel',
    'type:engine',
    'type:language',
    'type:kit',
    'type:scenarios',
    'type:app',
    'type:tool',
  ],
};

/** Engines that must work for any machine, so they may know the simulator and nothing of Linux. */
const KNOWS_NOTHING_OF_LINUX = [`${SCOPE}explorer`, `${SCOPE}report`];
const SIMULATOR = `${SCOPE}machine`;

/**
 * The floors of packages/mm/src, lowest first, with files by name and folders by their slash. A file may import from
 * its own floor and from lower ones; in the rooms, which are the floors from `rooms` on, from its own folder and from
 * lower ones. Below the rooms a mere type may come from above: a part knows the `Kernel` that it belongs to. `index.ts`
 * is the door of the house.
 */
const FLOORS = {
  folder: 'packages/mm',
  door: 'src/index.ts',
  floors: [
    // What an address space is made of.
    ['anon-rmap', 'contents', 'cpumask', 'file-folio', 'folio', 'lockless-walkers', 'mmap-lock', 'monitored', 'mutant'],
    ['tracepoint', 'vma'],
    ['lazy/'],
    // The kernel that is put together of it, and whom it tells.
    ['kernel', 'notify', 'smp', 'tlb-batched'],
    ['arch/'],
    // Page tables, and what is gathered of them.
    ['huge-pages', 'lazy-ptes', 'mmu-gather', 'pgtable'],
    ['arch/contpte/', 'arch/arm64-contpte'],
    // What happens to an address space.
    ['wp-page', 'zap'],
    ['anon-folio', 'fault', 'fork', 'mmap', 'mprotect', 'numa-fault'],
    ['kvm/'],
    ['filemap/', 'secondary/', 'vmalloc/'],
    ['daemons/', 'gup/'],
  ],
  rooms: 9,
};

/** XState v6 changes the action creators; outside machines and tests there is one file to port. */
const XSTATE_ADAPTER = 'packages/machine/src/execute/xstate-adapter.ts';

const SOURCE_FILE = /\.[cm]?[jt]sx?$/;
const TEST_FILE = /\.test\.[cm]?[jt]sx?$|^test\//;
const SKIPPED_FOLDERS = new Set(['dist', 'node_modules', 'coverage']);

/** The type tag of a package, or undefined when it has none or more than one that is known. @param {Package} pkg */
const typeOf = (pkg) => {
  const types = pkg.tags.filter((tag) => Object.hasOwn(MAY_IMPORT, tag));
  return types.length === 1 ? types[0] : undefined;
};

/**
 * Why `from` may not import `to`, or undefined when it may.
 * @param {Package} from @param {Package} to @returns {string | undefined}
 */
export function whyForbidden(from, to) {
  if (from.name === to.name) return undefined;
  if (KNOWS_NOTHING_OF_LINUX.includes(from.name)) {
    return to.name === SIMULATOR ? undefined : `${from.name} knows nothing of Linux and may import only ${SIMULATOR}`;
  }
  const [fromType, toType] = [typeOf(from), typeOf(to)];
  if (fromType === undefined || toType === undefined) return undefined;
  const allowed = MAY_IMPORT[fromType] ?? [];
  if (allowed.includes(toType)) return undefined;
  if (fromType === 'type:component' && toType === 'type:component')
    return 'components meet only through messages on the wire, never by import';
  return `${fromType} may import only ${allowed.join(', ')}, and ${to.name} is ${toType}`;
}

/**
 * The workspace package that a specifier leads to, by name or by a relative path into its folder.
 * @param {readonly Package[]} packages @param {Package} from @param {string} path @param {string} specifier
 * @returns {{ to: Package, relative: boolean } | undefined}
 */
function target(packages, from, path, specifier) {
  if (specifier.startsWith('.')) {
    const reached = posix.join(from.folder, posix.dirname(path), specifier);
    const to = packages.find((pkg) => reached === pkg.folder || reached.startsWith(`${pkg.folder}/`));
    return to && { to, relative: true };
  }
  const to = packages.find((pkg) => specifier === pkg.name || specifier.startsWith(`${pkg.name}/`));
  return to && { to, relative: false };
}

/**
 * What one source file does against the rules.
 * @param {readonly Package[]} packages @param {Package} pkg @param {SourceFile} file @returns {Violation[]}
 */
function checkFile(packages, pkg, file) {
  const path = `${pkg.folder}/${file.path}`;
  const isTest = TEST_FILE.test(file.path);
  /** @type {Violation[]} */
  const violations = [];
  const type = typeOf(pkg);
  if (type !== undefined && type !== 'type:core' && !isTest)
    for (const line of tellsOf(path, file.source)) {
      const why = 'what components hear goes over a channel: use send(), with a port if it is synchronous';
      violations.push({ file: path, line, what: 'tells a component something', why });
    }
  for (const { specifier, line } of importsOf(path, file.source)) {
    const what = `imports '${specifier}'`;
    /** @param {string} why */
    const forbid = (why) => violations.push({ file: path, line, what, why });

    const isXstate = specifier === 'xstate' || specifier.startsWith('xstate/');
    if (isXstate && !isTest && !file.path.endsWith('.machine.ts') && path !== XSTATE_ADAPTER) {
      forbid(`XState belongs in *.machine.ts, *.test.ts and ${XSTATE_ADAPTER}; import what you need from ${SIMULATOR}`);
    }

    const reached = target(packages, pkg, file.path, specifier);
    if (reached === undefined) {
      if (specifier.startsWith(SCOPE)) forbid('there is no such package in this workspace');
      continue;
    }
    const { to, relative } = reached;
    if (to === pkg) continue;
    const why = whyForbidden(pkg, to);
    if (why !== undefined) forbid(why);
    else if (relative) forbid(`a relative path reaches into another package; import '${to.name}'`);
    else if (!pkg.dependencies.includes(to.name) && !(isTest && pkg.devDependencies.includes(to.name))) {
      forbid(`${pkg.folder}/package.json does not declare it; add "${to.name}": "*" to dependencies`);
    } else if (!isTest && /\.[cm]?tsx?$/.test(file.path) && !pkg.references.includes(to.folder)) {
      forbid(
        `${pkg.folder}/tsconfig.json does not reference it; add { "path": "${posix.relative(pkg.folder, to.folder)}" }`,
      );
    }
  }
  return violations;
}

/**
 * What the package.json and tsconfig.json of a package declare against the rules.
 * @param {readonly Package[]} packages @param {Package} pkg @returns {Violation[]}
 */
function checkManifest(packages, pkg) {
  const manifest = `${pkg.folder}/package.json`;
  const tsconfig = `${pkg.folder}/tsconfig.json`;
  /** @type {Violation[]} */
  const violations = [];
  if (typeOf(pkg) === undefined) {
    violations.push({
      file: manifest,
      line: 1,
      what: `has tags [${pkg.tags.join(', ')}]`,
      why: `nx.tags must hold exactly one of ${Object.keys(MAY_IMPORT).join(', ')}`,
    });
  }
  const declared = [...pkg.dependencies, ...pkg.devDependencies];
  for (const to of packages) {
    const why = whyForbidden(pkg, to);
    if (declared.includes(to.name) && why !== undefined)
      violations.push({ file: manifest, line: 1, what: `declares '${to.name}'`, why });
    if (!pkg.references.includes(to.folder)) continue;
    if (why !== undefined) violations.push({ file: tsconfig, line: 1, what: `references '${to.name}'`, why });
    else if (!declared.includes(to.name)) {
      violations.push({
        file: tsconfig,
        line: 1,
        what: `references '${to.name}'`,
        why: 'package.json does not declare it, so Nx may build both at once',
      });
    }
  }
  return violations;
}

/**
 * The floor of a file of {@link FLOORS}: that of its name, or of the nearest folder around it; -1 if it has none.
 * @param {string} path
 */
function floorOf(path) {
  for (let name = path.replace(/^src\/|\.[cm]?[jt]s$/g, ''); name !== './'; name = `${posix.dirname(name)}/`) {
    const floor = FLOORS.floors.findIndex((names) => names.includes(name));
    if (floor >= 0) return floor;
  }
  return -1;
}

/**
 * Why a file of {@link FLOORS} may not import another, or undefined when it may.
 * @param {string} path @param {string} to @param {boolean} types
 */
function whyNotBelow(path, to, types) {
  const [from, below] = [floorOf(path), floorOf(to)];
  if (below > from && !(types && below < FLOORS.rooms))
    return `${to} is on a higher floor than ${path}, so nothing here may need it`;
  const [room, other] = [path, to].map((file) => file.split('/', 2).join('/'));
  if (below === from && from >= FLOORS.rooms && room !== other)
    return `${other} is the room beside ${room}: what both need belongs below`;
  return undefined;
}

/** Imports of higher floors, and files that stand on none. @param {Package} pkg @returns {Violation[]} */
function checkFloors(pkg) {
  if (pkg.folder !== FLOORS.folder) return [];
  return pkg.files
    .filter(({ path }) => path.startsWith('src/') && path !== FLOORS.door)
    .filter(({ path }) => !TEST_FILE.test(path) && !path.includes('.test-support.'))
    .flatMap(({ path, source }) => {
      const file = `${pkg.folder}/${path}`;
      if (floorOf(path) < 0)
        return [
          { file, line: 1, what: 'stands on no floor', why: 'give it its place in FLOORS, tools/boundaries.mjs' },
        ];
      return importsOf(path, source)
        .filter(({ specifier }) => specifier.startsWith('.'))
        .flatMap(({ specifier, line, types }) => {
          const why = whyNotBelow(path, posix.join(posix.dirname(path), specifier), types);
          return why === undefined ? [] : [{ file, line, what: `imports '${specifier}'`, why }];
        });
    });
}

/**
 * Files of a package that import one another in a circle, types left out. @param {Package} pkg @returns {Violation[]}
 */
function checkCycles(pkg) {
  const files = pkg.files.filter(({ path }) => !TEST_FILE.test(path));
  const known = new Map(files.map(({ path, source }) => [path, importsOf(path, source)]));
  /** @type {Map<string, 'open' | 'done'>} */
  const visited = new Map();
  /** @type {Violation[]} */
  const violations = [];
  /** @param {string} path @param {readonly string[]} above */
  const visit = (path, above) => {
    visited.set(path, 'open');
    for (const { specifier, line, types } of known.get(path) ?? []) {
      const to = posix.join(posix.dirname(path), specifier);
      if (types || !specifier.startsWith('.') || !known.has(to)) continue;
      if (visited.get(to) === 'open') {
        const circle = [...above.slice(above.indexOf(to)), path, to].filter(
          (part, i, all) => i === 0 || part !== all[i - 1],
        );
        violations.push({
          file: `${pkg.folder}/${path}`,
          line,
          what: `imports '${specifier}'`,
          why: `a circle: ${circle.join(' -> ')}; what both need belongs into a file of its own`,
        });
      } else if (!visited.has(to)) visit(to, [...above, path]);
    }
    visited.set(path, 'done');
  };
  for (const { path } of files) if (!visited.has(path)) visit(path, []);
  return violations;
}

/** Every violation of the rules in a workspace. @param {readonly Package[]} packages @returns {Violation[]} */
export function check(packages) {
  return packages.flatMap((pkg) => [
    ...checkManifest(packages, pkg),
    ...checkFloors(pkg),
    ...checkCycles(pkg),
    ...pkg.files.flatMap((file) => checkFile(packages, pkg, file)),
  ]);
}

/** @param {string} root @param {string} folder @returns {SourceFile[]} */
function readSources(root, folder) {
  /** @param {string} below @returns {SourceFile[]} */
  const read = (below) =>
    readdirSync(join(root, folder, below), { withFileTypes: true }).flatMap((entry) => {
      const path = posix.join(below, entry.name);
      if (entry.isDirectory()) return SKIPPED_FOLDERS.has(entry.name) ? [] : read(path);
      return SOURCE_FILE.test(entry.name) ? [{ path, source: readFileSync(join(root, folder, path), 'utf8') }] : [];
    });
  return read('');
}

/** With comments, which tsc allows. @param {string} path */
function readJson(path) {
  try {
    return parseJson(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new Error(`boundaries: read: not JSON (${path})`, { cause: error });
  }
}

/**
 * Reads every package of a workspace from disk.
 * @param {string} root @returns {Package[]}
 * @throws when a package.json or tsconfig.json is not JSON
 */
export function readWorkspace(root) {
  const folders = ['packages', 'apps', 'tools']
    .filter((parent) => existsSync(join(root, parent)))
    .flatMap((parent) => readdirSync(join(root, parent)).map((name) => `${parent}/${name}`))
    .filter((folder) => existsSync(join(root, folder, 'package.json')));
  return folders.map((folder) => {
    const manifest = readJson(join(root, folder, 'package.json'));
    const tsconfig = existsSync(join(root, folder, 'tsconfig.json'))
      ? readJson(join(root, folder, 'tsconfig.json'))
      : {};
    return {
      name: manifest.name,
      folder,
      tags: manifest.nx?.tags ?? [],
      dependencies: Object.keys(manifest.dependencies ?? {}),
      devDependencies: Object.keys(manifest.devDependencies ?? {}),
      references: (tsconfig.references ?? []).map((/** @type {{ path: string }} */ reference) =>
        posix.join(folder, reference.path).replace(/\/(tsconfig\.json)?$/, ''),
      ),
      files: readSources(root, folder),
    };
  });
}

function main() {
  const root = process.argv[2] ?? fileURLToPath(new URL('..', import.meta.url));
  const packages = readWorkspace(root);
  const violations = check(packages);
  for (const { file, line, what, why } of violations) console.log(`${file}:${line}: ${what}: ${why}`);
  const files = packages.reduce((sum, pkg) => sum + pkg.files.length, 0);
  console.log(`boundaries: ${packages.length} packages, ${files} files, ${violations.length} violations`);
  process.exitCode = violations.length === 0 ? 0 : 1;
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    main();
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
