/** Serves the built page from memory of the file system, as any static host does, and starts a browser for one page. */
import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import chromium from '@sparticuz/chromium';
import { chromium as playwright, type Browser } from 'playwright-core';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.wasm': 'application/wasm',
};

/** A static site on this machine. */
export interface Site {
  readonly url: string;
  close(): void;
}

/** Serves `dist`, without special headers. */
export async function serveStudio(): Promise<Site> {
  const folder = join(import.meta.dirname, '../dist');
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname));
    const file = join(folder, path.endsWith('/') ? `${path}index.html` : path);
    if (!file.startsWith(folder) || !existsSync(file) || !statSync(file).isFile()) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream' });
    createReadStream(file).pipe(response);
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/`, close: () => void server.close() };
}

/** What this build of Chromium is started with and a reader's is not. */
const UNGUARDED =
  /^--(?:disable-web-security|disable-site-isolation-trials|single-process|allow-running|disable-features)/;
/** A graphics card that is imitated takes more of the processor's time than all else: nothing here needs one. */
const GRAPHICS = /^--(?:use-gl|use-angle|in-process-gpu|ignore-gpu-blocklist|enable-unsafe-swiftshader)/;
/** Megabytes of a process that may exhaust its memory. */
const HEAP_MEGABYTES = 256;

/**
 * A browser for one page: it runs in a single process, so closing a page closes it. `guarded`: as a reader's, with
 * origins kept apart, each in a process of its own, and little memory for each.
 */
export async function startBrowser(guarded = false): Promise<Browser> {
  chromium.setGraphicsMode = false;
  const executablePath = await chromium.executablePath();
  const plain = [...chromium.args.filter((arg) => !GRAPHICS.test(arg)), '--disable-gpu'];
  const args = guarded
    ? [...plain.filter((arg) => !UNGUARDED.test(arg)), `--js-flags=--max-old-space-size=${HEAP_MEGABYTES}`]
    : plain;
  return await playwright.launch({ executablePath, args, headless: true });
}
