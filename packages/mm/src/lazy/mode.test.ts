/** The generic layer, as the kernel's own test of nesting asks it; and what each architecture makes of a section. */
import { addCpu } from '@shootdown/cpu';
import {
  defineOperation,
  Frames,
  operation,
  program,
  routine,
  SystemBuilder,
  TabulatedExecutor,
  type Steps,
} from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { lazyArchs, lazyGenerations, type LazyArch } from './arch.ts';
import { LazyMmu } from './lazy-mmu.ts';
import { lazy_mmu_mode_disable, lazy_mmu_mode_enable, lazy_mmu_mode_pause, lazy_mmu_mode_resume } from './mode.ts';
import { ptep_get, set_pte } from './pte.ts';

const current = { task: 0 };
const ACTIVE = defineOperation({
  name: 'is_lazy_mmu_mode_active',
  perform: (cx, op) => ((op.data as LazyMmu).isActive(cx, current) ? 1 : 0),
});

function run<T>(arch: LazyArch, body: (lazy: LazyMmu, frames: Frames) => Steps<T>): T {
  const builder = new SystemBuilder();
  const frames = new Frames(builder, { tables: 1, entriesPerTable: 2, pages: 1, initialTables: [[0x1003, 0]] });
  const cpu = addCpu(builder, 0);
  const lazy = new LazyMmu(builder, {
    frames,
    cpus: [cpu],
    tasks: 1,
    arch,
    invalidate: () => undefined,
    pageAt: () => -1,
    hazards: 'ignore',
  });
  let result: T | undefined;
  const all = routine('test', function* () {
    result = yield* body(lazy, frames);
  });
  builder.processor({ name: 'CPU0', component: cpu.name + '.cpu', tasks: [program(all)] });
  const executor = new TabulatedExecutor(builder.build());
  while (executor.step(0));
  return result as T;
}

function* isActive(lazy: LazyMmu): Steps<boolean> {
  return (yield operation(ACTIVE, 0, 0, 0, lazy)) === 1;
}

describe('lazy_mmu_mode', () => {
  it('nests and pauses as mm/tests/lazy_mmu_mode_kunit.c expects', () => {
    const seen = run(lazyArchs.arm64, function* (lazy) {
      const states: boolean[] = [yield* isActive(lazy)];
      yield* lazy_mmu_mode_enable(lazy, current);
      states.push(yield* isActive(lazy));
      yield* lazy_mmu_mode_enable(lazy, current);
      states.push(yield* isActive(lazy));
      yield* lazy_mmu_mode_disable(lazy, current);
      states.push(yield* isActive(lazy));
      yield* lazy_mmu_mode_pause(lazy, current);
      states.push(yield* isActive(lazy));
      yield* lazy_mmu_mode_enable(lazy, current);
      states.push(yield* isActive(lazy));
      yield* lazy_mmu_mode_disable(lazy, current);
      yield* lazy_mmu_mode_pause(lazy, current);
      yield* lazy_mmu_mode_resume(lazy, current);
      states.push(yield* isActive(lazy));
      yield* lazy_mmu_mode_resume(lazy, current);
      states.push(yield* isActive(lazy));
      yield* lazy_mmu_mode_disable(lazy, current);
      states.push(yield* isActive(lazy));
      return states;
    });
    expect(seen).toEqual([false, true, true, true, false, false, false, true, false]);
  });

  it.each(Object.values(lazyGenerations).flat())('$name: what is read in a section, and when it is left', (arch) => {
    const [inside, after] = run(arch, function* (lazy, frames) {
      const ptep = frames.entry(0, 1);
      yield* lazy_mmu_mode_enable(lazy, current);
      yield* set_pte(lazy, current, ptep, 0x2003);
      const read = yield* ptep_get(lazy, current, ptep);
      yield* lazy_mmu_mode_disable(lazy, current);
      return [read, yield* ptep_get(lazy, current, ptep)];
    });
    expect([inside, after]).toEqual([arch.defers === 'store' ? 0 : 0x2003, 0x2003]);
  });

  it('that does not pair ends in one line', () => {
    expect(() => run(lazyArchs.arm64, (lazy) => lazy_mmu_mode_disable(lazy, current))).toThrow(
      'lazy mmu: enable: the count of task 0 would be -1: sections do not pair',
    );
  });
});
