/**
 * A room for code of the reader's own: a frame of another origin, so that it can reach nothing of this page's, in a
 * process of its own where the browser has that, so that memory which it exhausts is not this page's; and in the frame
 * a worker. The policy of the page holds in both: no network. The engine is handed over as text, for a frame of another
 * origin may not load modules from here.
 */
import type { EngineTexts } from './api.ts';

/** The worker's first module: makes the engine's modules of their texts, and starts it. */
const BOOTSTRAP = `
self.onmessage = async ({ data: { base, entry, texts, port } }) => {
  self.onmessage = null;
  const urls = new Map();
  const urlOf = (name) => {
    let url = urls.get(name);
    if (url === undefined) {
      if (texts[name] === undefined) throw new Error('sandbox: no module ' + name);
      const text = texts[name]
        .replaceAll('import.meta.url', JSON.stringify(base + name))
        .replace(/\\b(from|import)\\s*"\\.\\/([\\w.-]+\\.js)"/g, (_, how, other) => how + JSON.stringify(urlOf(other)))
        .replace(/\\bimport\\(\\s*["'\`]\\.\\/([\\w.-]+\\.js)["'\`]\\s*\\)/g, (_, other) => 'shootdownChunk(' + JSON.stringify(other) + ')');
      url = URL.createObjectURL(new Blob([text], { type: 'text/javascript' }));
      urls.set(name, url);
    }
    return url;
  };
  self.shootdownChunk = (name) => import(urlOf(name));
  self.shootdownPort = port;
  await import(urlOf(entry));
};
`;

/** A sandbox that is open. */
export interface Sandbox {
  /** The engine answers here. */
  readonly port: MessagePort;
  /** Rejected if it ends by itself. */
  readonly died: Promise<never>;
  readonly close: () => void;
}

/** Opens a sandbox. */
export async function openSandbox(texts: EngineTexts): Promise<Sandbox> {
  const frame = document.createElement('iframe');
  frame.setAttribute('sandbox', 'allow-scripts');
  frame.hidden = true;
  frame.title = 'worker for code of your own';
  const script = new URL('sandbox-frame.js', document.baseURI).href.replace(/[?#].*$/, '');
  frame.srcdoc = `<!doctype html><script src="${script}"></script>`;
  const died = new Promise<never>((_, reject) => {
    addEventListener('message', ({ source, data }: MessageEvent<unknown>) => {
      if (source === frame.contentWindow && typeof data === 'string')
        reject(new Error(`the search has ended: ${data}`));
    });
  });
  died.catch(() => undefined);
  await new Promise((loaded) => {
    frame.addEventListener('load', loaded, { once: true });
    document.body.append(frame);
  });
  const { port1, port2 } = new MessageChannel();
  frame.contentWindow?.postMessage({ ...texts, bootstrap: BOOTSTRAP, port: port2 }, '*', [port2]);
  return { port: port1, died, close: () => frame.remove() };
}
