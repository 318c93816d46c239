#!/usr/bin/env node
// The command as installed: runs the built program, and says what to do when there is none yet.
import { existsSync } from 'node:fs';

const program = new URL('../dist/shootdown.js', import.meta.url);
if (existsSync(program)) {
  const { main } = await import(program.href);
  process.exitCode = await main(process.argv.slice(2));
} else {
  console.error('shootdown: not built yet: run `npm run build` first');
  process.exitCode = 64;
}
