import { changed, explore, expectedVerdict, mutationsNamed, resolveScenario } from '@shootdown/explorer';
import { program, routine, type Mutation, type Program, type Steps } from '@shootdown/machine';
import { vmalloc } from '@shootdown/mm';
import { BREAK_BEFORE_MAKE } from '@shootdown/mmu';
import { describe, expect, it } from 'vitest';
import { UNCOUNTED } from './matrix.test-support.ts';
import { buildPtdumpVmalloc, ptdumpVmalloc, type Machine } from './ptdump-vmalloc.ts';

const safe = ptdumpVmalloc.variants.filter((variant) => expectedVerdict(variant, 'sc') === 'safe');

function watched(variant: string, programs?: (machine: Machine) => readonly Program[]) {
  const { variant: design, parameters } = resolveScenario([ptdumpVmalloc], {
    scenario: ptdumpVmalloc.name,
    variant,
    memoryModel: 'sc',
  });
  const request = { variant: design as (typeof safe)[number], memoryModel: 'sc', parameters } as const;
  return buildPtdumpVmalloc(request as Parameters<typeof buildPtdumpVmalloc>[0], {
    breakBeforeMake: true,
    ...(programs && { programs }),
  });
}

describe('break-before-make in huge vmalloc', () => {
  it.each(safe.map(({ name }) => name))('%s keeps the rule', async (name) => {
    const { problems } = await explore(watched(name), { ...UNCOUNTED, bounds: { maxStates: 8_000 } });
    expect(problems.map(({ property }) => property)).not.toContain(BREAK_BEFORE_MAKE);
  });

  it('reports a table that is replaced by a block in place', async () => {
    const inPlace = routine('vmap_try_huge_pud', function* ({ kernel }: Machine): Steps {
      yield* kernel.set(kernel.pud(0), vmalloc.blockDescriptor(1), 'pud');
    });
    const { property } = await explore(
      watched('v6-one-dumper', (machine) => [
        program(inPlace, machine),
        program(routine('idle', function* (): Steps {})),
      ]),
      UNCOUNTED,
    );
    expect(property).toBe(BREAK_BEFORE_MAKE);
  });

  it('reports a table that is freed while walk caches point to it', async () => {
    const system = resolveScenario([ptdumpVmalloc], { scenario: ptdumpVmalloc.name, variant: 'trylock-2026' }).build();
    const [unflushed] = await mutationsNamed(system, ['pud_free_pmd_page/__flush_tlb_kernel_pgtable:leave-out']);
    const { property } = await explore(changed(system, [unflushed as Mutation]), UNCOUNTED);
    expect(property).toBe(vmalloc.HELD_TABLE);
  });
});
