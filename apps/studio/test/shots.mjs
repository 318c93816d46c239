/**
 * Takes the pictures of every screen: `node test/shots.mjs FOLDER [fragment ...]`, after a build. 1440 pixels light and
 * dark, and 390. `--readme`: those of the README.
 */
import { createReadStream, existsSync, mkdirSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import chromium from '@sparticuz/chromium';
import { chromium as playwright } from 'playwright-core';

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.wasm': 'application/wasm' };

/** Serves a folder of static files without special headers; returns its address. @param {string} folder */
export async function serve(folder) {
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname));
    const file = join(folder, path.endsWith('/') ? `${path}index.html` : path);
    if (!file.startsWith(folder) || !existsSync(file) || !statSync(file).isFile()) return response.writeHead(404).end();
    response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream' });
    createReadStream(file).pipe(response);
    return undefined;
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const address = server.address();
  return {
    url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : address}/`,
    close: () => server.close(),
  };
}

/** A browser of its own for one page. */
export async function launch() {
  return await playwright.launch({
    executablePath: await chromium.executablePath(),
    args: chromium.args,
    headless: true,
  });
}

const SCREENS = [
  '#/explore/switch-mm-vs-flush/before?mm=sc',
  '#/explore/ptdump-vmalloc/v3-two-dumpers?mm=sc',
  '#/explore/gup-fast-vs-unmap/kvm-pv/page-batch?mm=sc&at=9',
  '#/mutate/riscv-new-mapping/svvptc?mm=sc',
  '#/run?a=kvm-host&b=kvm-host-ipi',
  '#/write',
];

/** The pictures of the README, light and dark. */
async function readmePictures() {
  const site = await serve(join(import.meta.dirname, '../dist'));
  for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
    const browser = await launch();
    const page = await browser.newPage({ viewport: { width: 1440, height: 900 }, colorScheme });
    await page.goto(`${site.url}${SCREENS[0]}`);
    await page.waitForSelector('[data-settled=true]', { timeout: 90_000 });
    await page.screenshot({ path: join(import.meta.dirname, `../../../docs/studio-${colorScheme}.png`) });
    await browser.close();
  }
  site.close();
}

async function main([folder = 'shots', ...fragments]) {
  if (folder === '--readme') return await readmePictures();

  mkdirSync(folder, { recursive: true });
  const site = await serve(join(import.meta.dirname, '../dist'));
  let number = 0;
  for (const fragment of fragments.length > 0 ? fragments : SCREENS) {
    number++;
    for (const [name, width, height, colorScheme] of [
      ['light', 1440, 900, 'light'],
      ['dark', 1440, 900, 'dark'],
      ['390', 390, 844, 'light'],
    ]) {
      // One browser per page: this one runs in a single process.
      const browser = await launch();
      const page = await browser.newPage({ viewport: { width, height }, colorScheme });
      page.on('pageerror', (error) => console.error(String(error)));
      page.on('console', (message) => message.type() === 'error' && console.error(message.text()));
      await page.goto(`${site.url}${fragment}`);
      await page
        .waitForSelector('[data-settled=true]', { timeout: 90_000 })
        .catch(() => console.error(`${fragment}: not settled`));
      await page.screenshot({ path: join(folder, `${number}-${name}.png`), fullPage: width < 800 });
      await browser.close();
    }
  }
  return site.close();
}

if (process.argv[1] === import.meta.filename) await main(process.argv.slice(2));
