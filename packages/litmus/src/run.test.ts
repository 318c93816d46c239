import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readLitmus } from './registry.ts';
import { machineOf, runLitmus } from './run.ts';

const MP = `AArch64 MP
{ 0:X1=x; 0:X3=y; 1:X1=y; 1:X3=x; }
 P0          | P1          ;
 MOV W0,#1   | LDR W0,[X1] ;
 STR W0,[X1] | LDR W2,[X3] ;
 MOV W2,#1   |             ;
 STR W2,[X3] |             ;
exists (1:X0=1 /\\ 1:X2=0)
`;

describe('a litmus test', () => {
  it('is run with every answer that memory may give', async () => {
    const test = await readLitmus(MP);
    expect(runLitmus(test, { memoryModel: 'arm' })).toMatchObject({ observation: 'Sometimes', bound: null });
    expect(runLitmus(test, { memoryModel: 'tso' }).observation).toBe('Never');
    expect(runLitmus(test, { memoryModel: 'sc' }).outcomes.map(({ text }) => text)).toEqual([
      '1:X0=0; 1:X2=0;',
      '1:X0=0; 1:X2=1;',
      '1:X0=1; 1:X2=1;',
    ]);
  });

  it('has no answer when a bound was hit', async () => {
    const test = await readLitmus(MP);
    expect(runLitmus(test, { memoryModel: 'arm', statesMax: 5 })).toMatchObject({
      observation: null,
      bound: '5 states',
    });
  });

  it('is refused with options that mean nothing', async () => {
    const test = await readLitmus(MP);
    const wrong = (options: object) => () => machineOf(test, { memoryModel: 'arm', ...options });
    expect(wrong({ memoryModel: 'ar' })).toThrow('litmus: machineOf: memoryModel: "ar" is none of sc, tso, arm');
    expect(wrong({ promises: 'nevr' })).toThrow('litmus: machineOf: promises: "nevr" is none of auto, never');
    expect(wrong({ ets2: 'no' })).toThrow('litmus: machineOf: ets2: expected true or false ("no")');
    expect(wrong({ statesMax: 0 })).toThrow('litmus: machineOf: statesMax: expected a whole number from 1 (0)');
  });

  it('is refused with what it was that cannot be read', async () => {
    await expect(readLitmus(MP.replace('STR W0,[X1]', 'FOO X1'))).rejects.toThrow('instruction FOO X1');
    await expect(readLitmus(MP.replace('AArch64', 'RISCV'))).rejects.toThrow('dialect RISCV');
    await expect(readLitmus(MP.replace('{', 'Variant=imprecise\n{'))).rejects.toThrow('Variant=imprecise');
  });
});

describe('the package', () => {
  it('holds no memory model: views, messages and their order are the machine’s', () => {
    const files = readdirSync(import.meta.dirname, { recursive: true, encoding: 'utf8' }).filter(
      (file) => file.endsWith('.ts') && !file.endsWith('.test.ts'),
    );
    for (const file of files) {
      const text = readFileSync(join(import.meta.dirname, file), 'utf8');
      expect(text, file).not.toMatch(/\b(Position|MemoryState|WeakMemory|storeBuffer(?!Entries)|views?\[)/);
    }
  });
});
