/** The thread in which a command runs code of the user's: whatever that does ends this thread and nothing else. */
import { parentPort, workerData, type MessagePort } from 'node:worker_threads';
import { linkHost, type Told } from './host-link.ts';

const { argv } = workerData as { readonly argv: readonly string[] };
const port = parentPort as MessagePort;
const tell = (told: Told): void => port.postMessage(told);

for (const to of ['stdout', 'stderr'] as const) {
  // Its own would arrive whenever it likes; these arrive before the exit code.
  process[to].write = (text: string | Uint8Array) => {
    tell({ type: 'write', to, text });
    return true;
  };
}
linkHost(tell);
// Ctrl-C comes as a message; it must not keep a thread alive in which nothing else is left to happen.
port.on('message', () => void process.emit('SIGINT', 'SIGINT'));
port.unref();

const ALIVE_MILLISECONDS = 1000;
setInterval(() => tell({ type: 'alive' }), ALIVE_MILLISECONDS).unref();

const { main } = await import('./shootdown.ts');
tell({ type: 'code', code: await main(argv) });
