import { explore, mutate } from '@shootdown/explorer';
import { machineOf } from '@shootdown/litmus';
import type { MemoryModel, System } from '@shootdown/machine';
import { expect, it } from 'vitest';
import { readProgram } from './litmus.ts';

const systemOf = async (text: string, memoryModel: MemoryModel): Promise<System> =>
  machineOf(await readProgram('p.c', text), { memoryModel }).system;

const TWICE = `
int a, b;
static inline void publish(int *x, int value)
{
	WRITE_ONCE(*x, value);
}
void P0(void)
{
	publish(&a, 1);
	publish(&a, 1);
	smp_mb();
	smp_mb();
	publish(&b, 1);
}
void P1(void)
{
	int x = READ_ONCE(b);
	smp_mb();
	assert(!x || READ_ONCE(a));
}
`;

it('lines of C that begin with the same word are changed one at a time', async () => {
  const { mutants } = await mutate(await systemOf(TWICE, 'sc'));
  const left = mutants.filter(({ line, mutation }) => line.routine === 'P0' && mutation.change === 'leave-out');
  expect(left.map(({ line, judgement }) => `${line.step} ${line.source?.line}: ${judgement?.result}`)).toEqual([
    'a 5: not needed',
    'a.2 5: no difference',
    'smp_mb 11: no difference',
    'smp_mb.2 12: no difference',
    'b 5: not needed',
  ]);
});

it('a barrier that is not tested is counted by its lines in the C', async () => {
  const { scope } = await explore(await systemOf(TWICE, 'sc'));
  expect(scope.notTested.map(({ operation, sites }) => `${sites} ${operation}`)).toEqual(['3 smp_mb']);
});
