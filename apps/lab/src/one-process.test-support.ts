/** Many command lines in one process: most of the time goes into starting one. */
import { spawnSync } from 'node:child_process';
import { expect } from 'vitest';

/** What a command line came to. */
export interface Said {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs command lines one after another. */
export function shootdownEach(lines: readonly (readonly string[])[], cwd?: string): Said[] {
  const driver = `
    import { main } from ${JSON.stringify(new URL('../dist/shootdown.js', import.meta.url).href)};
    const print = process.stdout.write.bind(process.stdout);
    const results = [];
    for (const line of JSON.parse(process.argv[1])) {
      const said = { stdout: '', stderr: '' };
      for (const name of ['stdout', 'stderr']) process[name].write = (text) => { said[name] += text; return true; };
      results.push({ status: await main(line), ...said });
    }
    print(JSON.stringify(results));`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', driver, JSON.stringify(lines)], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    cwd,
  });
  expect(stderr).toBe('');
  return JSON.parse(stdout) as Said[];
}
