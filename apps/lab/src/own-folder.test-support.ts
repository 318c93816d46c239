/** Files that command lines of a test are given: in a folder of its own, which is gone after the tests of the file. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';

/** A folder that is there while tests run. Each function returns a path. */
export interface OwnFolder {
  /** Of a file that is not there yet, or of the folder. */
  readonly at: (name?: string) => string;
  readonly file: (name: string, content: string | Uint8Array) => string;
  readonly topologyFile: (name: string, topology: object) => string;
}

/** Makes a folder before the tests of the file begin. */
export function ownFolder(): OwnFolder {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'shootdown-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const at = (name = ''): string => join(folder, name);
  const file = (name: string, content: string | Uint8Array): string => {
    writeFileSync(at(name), content);
    return at(name);
  };
  return { at, file, topologyFile: (name, topology) => file(name, JSON.stringify(topology)) };
}

/** A machine with one thread, that does what it is told. */
export const oneThread = (...run: object[]): object => ({
  name: 't',
  architecture: 'x86-64-4l',
  cpus: 1,
  processes: [{ name: 'p', threads: [{ cpu: 0, run }] }],
});
