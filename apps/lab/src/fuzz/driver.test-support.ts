/**
 * Runs thousands of command lines in one process, each on files of its own, under a watch that notices when one does
 * not end.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** One call of the command. `FILE` in its arguments stands for the file with this content. */
export interface Case {
  readonly args: readonly string[];
  readonly name: string;
  readonly base64: string;
}

/** What the command has said. */
export interface Said {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

const HANG_MS = 30_000;
const main = new URL('../../dist/shootdown.js', import.meta.url).href;

const driver = `
  import { createInterface } from 'node:readline';
  import { writeFileSync } from 'node:fs';
  import { join } from 'node:path';
  import { main } from ${JSON.stringify(main)};
  const print = process.stdout.write.bind(process.stdout);
  for await (const line of createInterface({ input: process.stdin })) {
    const { args, name, base64 } = JSON.parse(line);
    const path = join(process.argv[1], name);
    writeFileSync(path, Buffer.from(base64, 'base64'));
    const said = { stdout: '', stderr: '' };
    for (const stream of ['stdout', 'stderr']) process[stream].write = (text) => { said[stream] += text; return true; };
    const status = await main(args.map((word) => (word === 'FILE' ? path : word)));
    print(JSON.stringify({ status, stdout: said.stdout.slice(0, 100_000), stderr: said.stderr.slice(-8000) }) + '\\n');
  }`;

/** Runs all cases, one after another. Throws an error that shows the case if one ends the process or does not end. */
export async function runAll(folder: string, cases: readonly Case[]): Promise<Said[]> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', driver, folder], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const said: Said[] = [];
  let ended = '';
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const watch = setInterval(() => {
    if (performance.now() - last < HANG_MS) return;
    ended = 'does not end';
    child.kill('SIGKILL');
  }, 1000);
  let last = performance.now();
  child.stdin.on('error', () => undefined);
  child.stdin.end(cases.map((one) => `${JSON.stringify(one)}\n`).join(''));
  for await (const line of createInterface({ input: child.stdout })) {
    said.push(JSON.parse(line) as Said);
    last = performance.now();
  }
  clearInterval(watch);
  const next = cases[said.length];
  if (next)
    throw new Error(
      `fuzz: case ${said.length} ${ended || `ended the process (${stderr.slice(-500)})`}: ${describeCase(next)}`,
    );
  return said;
}

/** A case for a message. */
export function describeCase({ args, base64 }: Case): string {
  const content = Buffer.from(base64, 'base64').toString('latin1');
  return `${args.join(' ')} on ${JSON.stringify(content.slice(0, 3000))}`;
}
