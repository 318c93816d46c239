#!/usr/bin/env node
// The command as installed: runs the built program, and says what to do when there is none yet.
import { existsSync } from 'node:fs';

const program = new URL('../dist/shootdown.js', import.meta.url);
if (existsSync(program)) {
  // Before anything that takes time: Ctrl-C ends the command from its first moment on as it does later.
  (await import(new URL('interrupt.js', program).href)).listenForSignals();
  const { main } = await import(program.href);
  process.exitCode = await main(process.argv.slice(2));
} else {
  console.error('shootdown: not built yet: run `npm run build` first');
  process.exitCode = 64;
}
