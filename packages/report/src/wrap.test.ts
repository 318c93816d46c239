import { describe, expect, test } from 'vitest';
import { wrapLine } from './wrap.ts';

describe('a line that is too long', () => {
  test.each([
    ['csd(CPU0) = tlb_remove_table_smp_sync', 22, ['csd(CPU0) =', '    tlb_remove_table_', '    smp_sync']],
    ['smp_call_function_many()', 22, ['smp_call_function_', '    many()']],
    ['READ_ONCE(steal_time(0)->preempted)', 33, ['READ_ONCE(', '    steal_time(0)->preempted)']],
    ['steal_time(0)->preempted', 20, ['steal_time(0)->', '    preempted']],
    ['PREEMPTED|FLUSH_TLB', 16, ['PREEMPTED|', '    FLUSH_TLB']],
    ['_TIF_0123456789abcdef', 12, ['_TIF_', '    01234567', '    89abcdef']],
  ])('%s goes on at a bracket, an operator or an underscore', (text, width, lines) => {
    expect(wrapLine(text, width, 4)).toEqual(lines);
  });
});

describe('an identifier that is as wide as its line', () => {
  test.each([
    ['CALL_FUNCTION_VECTOR: ipi', 20, 40, ['CALL_FUNCTION_VECTOR: ipi']],
    ['CALL_FUNCTION_VECTOR: ipi', 20, 22, ['CALL_FUNCTION_VECTOR:', '    ipi']],
    ['steal_time->x', 11, 24, ['steal_time', '    ->x']],
  ])('%s is not cut for what follows it', (text, width, widest, lines) => {
    expect(wrapLine(text, width, 4, widest)).toEqual(lines);
  });
});
