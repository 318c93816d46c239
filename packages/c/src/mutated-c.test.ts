import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runLitmus } from '@shootdown/litmus';
import { ModelError } from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { CError } from './diagnostics.ts';
import { Dice, mutated, seeds } from './mutated-c.test-support.ts';
import { BARRIERS, FOR_GCC, PRELUDE } from './prelude.ts';
import { CPUS, LISTS } from './program/list.ts';
import { readProgram } from './program/litmus.ts';
import { primitives, PROGRAM_HEADER } from './program/primitives.ts';

const deep = process.env['SHOOTDOWN_DEEP'] === '1';
const FILES = deep ? 5_000 : 200;
const SECONDS_MAX = 20;

/** What becomes of a file: how it was refused, or null if it ran. */
async function refusal(text: string): Promise<readonly string[] | null> {
  try {
    runLitmus(await readProgram('m.c', text), { memoryModel: 'sc', statesMax: 2_000 });
    return null;
  } catch (error) {
    if (error instanceof CError) return error.lines;
    if (error instanceof ModelError) return [error.message];
    throw error;
  }
}

const DECLARATIONS = Object.keys(primitives).map((prototype) => `${prototype};`);
/** What our compiler knows by itself, said in a way that another one takes for as much. */
const KNOWN = `
#define guard(name) name##_guarded
#define __scoped_guard(name, ...) name##_guarded(__VA_ARGS__)
int spinlock_guarded(spinlock_t *lock);
int rcu_guarded(void);
#undef DEFINE_PER_CPU
#define DEFINE_PER_CPU(type, name) __typeof__(type) name
#define this_cpu_inc(x) ((void)(x)++)
#define this_cpu_read(x) (x)
#define per_cpu(x, cpu) (*((void)(cpu), &(x)))
#define per_cpu_ptr(p, cpu) ((void)(cpu), (p))
#define nr_cpu_ids 2
`;
const HEADER = [FOR_GCC, PRELUDE, BARRIERS, PROGRAM_HEADER, ...DECLARATIONS, LISTS, CPUS, KNOWN].join('\n');
const ERRORS = ['int-conversion', 'incompatible-pointer-types', 'implicit-function-declaration', 'implicit-int'];

/** What a C compiler has against a file; null where there is none to ask. */
function compilerSays(text: string): string | null {
  const folder = mkdtempSync(join(tmpdir(), 'shootdown-'));
  const file = join(folder, 'm.c');
  writeFileSync(file, `${HEADER}\n#line 1 "m.c"\n${text.replace(/^\s*(exists|forall|~)[^]*$/m, '')}`);
  const flags = ['-std=gnu11', '-fsyntax-only', '-w', ...ERRORS.map((error) => `-Werror=${error}`)];
  const { status, stderr, error } = spawnSync('gcc', [...flags, file], { encoding: 'utf8' });
  rmSync(folder, { recursive: true });
  return error || status === 0 ? null : stderr;
}

describe('changed C', () => {
  it('ends without a stack trace, a hang, or being taken for something else', { timeout: 1_800_000 }, async () => {
    const dice = new Dice(20_261_128);
    let ran = 0;
    for (let i = 0; i < FILES; i++) {
      const seed = seeds[dice.below(seeds.length)] ?? '';
      const text = mutated(seed, dice);
      const start = performance.now();
      const lines = await refusal(text);
      expect(performance.now() - start, text).toBeLessThan(SECONDS_MAX * 1000);
      if (lines === null) ran++;
      for (const line of lines ?? []) expect(line, text).toMatch(/m\.c(:\d+)?: [^\n]+$/);
      if (lines === null && deep) expect(compilerSays(text), text).toBe(null);
    }
    expect(ran).toBeGreaterThan(0);
    expect(ran).toBeLessThan(FILES / 2);
  });
});
