/**
 * Makes one file of the command and all that it needs, so that a shell does not wait for hundreds of small ones, and
 * has V8 keep what it has compiled. `bin/shootdown.mjs` runs it unless a module of the user's is involved (that one
 * imports packages of its own, which must be the same ones) or C, whose grammar is WebAssembly beside its package.
 * Usage: the last step of `npm run build` of this package.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { hashOf } from '../bin/bundle.mjs';

const lab = fileURLToPath(new URL('..', import.meta.url));
const root = join(lab, '../..');
const folder = join(lab, 'dist/bundle');

/** Folders of packages of this workspace, by name. */
const packages = new Map(
  readdirSync(join(root, 'packages')).flatMap((name) => {
    const manifest = join(root, 'packages', name, 'package.json');
    if (!existsSync(manifest)) return [];
    return [[String(JSON.parse(readFileSync(manifest, 'utf8')).name), join(root, 'packages', name)]];
  }),
);

/**
 * What a file means by `import.meta.url`, from the bundle: a file of this package, or one that Node finds. @param
 * {string} path
 */
function urlOf(path) {
  if (path.startsWith(lab)) return `__file(${JSON.stringify(relative(folder, path))})`;
  const [name = '', home = ''] = [...packages].find(([, at]) => path.startsWith(`${at}/`)) ?? [];
  return `__packaged(${JSON.stringify(name)}, ${JSON.stringify(relative(join(home, 'dist'), path))})`;
}

/** @type {import('esbuild').Plugin} */
const whereFilesAre = {
  name: 'where files are',
  setup(plugin) {
    plugin.onLoad({ filter: /[\\/]dist[\\/].*\.js$/ }, ({ path }) => {
      if (path.includes('node_modules')) return undefined;
      const source = readFileSync(path, 'utf8');
      if (!source.includes('import.meta')) return undefined;
      const contents = source
        .replaceAll('import.meta.url', urlOf(path))
        .replaceAll(/import\.meta\.resolve\(/g, '__resolve(');
      return { contents, resolveDir: dirname(path) };
    });
  },
};

/** Commander starts programs of other files by it. Ours has none, and the module takes a while to load. */
const noPrograms = {
  name: 'no programs',
  /** @param {import('esbuild').PluginBuild} plugin */
  setup(plugin) {
    plugin.onResolve({ filter: /^node:child_process$/ }, ({ importer }) =>
      /node_modules.commander/.test(importer) ? { path: 'none', namespace: 'no-programs' } : undefined,
    );
    plugin.onLoad({ filter: /.*/, namespace: 'no-programs' }, () => ({ contents: 'module.exports = {};' }));
  },
};

/** The file is one expression, a function that gets what CommonJS knows: read as it stands, it need not be copied. */
const banner = `(function (exports, require, module, __filename, __dirname) {
const { pathToFileURL: __url } = require('node:url');
const { join: __join, dirname: __dir } = require('node:path');
const __file = (path) => __url(__join(__dirname, path)).href;
const __resolve = (name) => __url(require.resolve(name)).href;
const __packaged = (name, path) => __url(__join(__dir(require.resolve(name)), path)).href;
`;

rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
await build({
  entryPoints: [join(lab, 'dist/shootdown.js')],
  outfile: join(folder, 'shootdown.cjs'),
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  // What is imported later comes from the bundle, too, or from Node.
  supported: { 'dynamic-import': false },
  // Only modules of users need it, and they are not loaded from here.
  external: ['esbuild'],
  banner: { js: banner },
  footer: { js: '})' },
  minifyWhitespace: true,
  minifySyntax: true,
  plugins: [whereFilesAre, noPrograms],
  // One byte per character: read faster than anything else.
  charset: 'ascii',
  logLevel: 'error',
});
// A build of a package that comes after this one is newer than the bundle: its file of build information says when.
const built = [join(lab), ...packages.values()].map((at) => join(at, 'tsconfig.tsbuildinfo')).filter(existsSync);
const times = Object.fromEntries(
  built.map((path) => [relative(folder, path), { time: statSync(path).mtimeMs, hash: hashOf(path) }]),
);
writeFileSync(join(folder, 'built.json'), JSON.stringify(times));
// What documents look like, for editors: made from what reads them, so it is never out of date.
const { jsonSchemaOf, schemas } = await import(new URL('../dist/schemas.js', import.meta.url).href);
mkdirSync(join(lab, 'dist/schemas'), { recursive: true });
for (const name of Object.keys(schemas))
  writeFileSync(join(lab, `dist/schemas/${name}.schema.json`), jsonSchemaOf(name));
// The first counterexample, as a newcomer asks for it: what V8 compiles for it is kept beside the bundle.
const first = ['explore', 'ptdump-vmalloc', '--variant', 'unlocked'];
const { status, stderr } = spawnSync(process.execPath, [join(lab, 'bin/shootdown.mjs'), ...first], {
  encoding: 'utf8',
});
// 12: a property is violated, as it should be. Anything else, and the bundle is no program (its text is in the
// message).
const VIOLATED = 12;
if (status !== VIOLATED) {
  process.stderr.write(`bundle: the command made of it ends with ${status}\n${stderr.slice(-400)}`);
  process.exitCode = 1;
}
