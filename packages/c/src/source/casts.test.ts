import { describe, expect, it } from 'vitest';
import { markCasts } from './casts.ts';

const isType = (name: string): boolean => name === 'u16';

describe('names in parentheses', () => {
  it.each([
    ['x = (u16)-a;', 'x = (struct __cast_u16)-a;'],
    ['x = (a)-b;', 'x = (a)-b;'],
    ['x = (u16 *)p;', 'x = (struct __cast_u16 *)p;'],
    [
      'typedef struct { int v; } own_t; x = (own_t)(b);',
      'typedef struct { int v; } own_t; x = (struct __cast_own_t)(b);',
    ],
    ['if ((a * (a * a)) && a)', 'if (((a) * (a * a)) && (a))'],
    ['x = (a * (b)) & c;', 'x = ((a) * (b)) & c;'],
    ['x = (a * *(b)) - c;', 'x = ((a) * *(b)) - c;'],
    ['int f(int *(a), u16 *(b));', 'int f(int *(a), u16 *(b));'],
    ['int f(own *(*g)(void));', 'int f(own *(*g)(void));'],
    ['if (a && f(b) && sizeof b)', 'if (a && f(b) && sizeof b)'],
  ])('%s', (text, marked) => {
    expect(markCasts(text, isType)).toBe(marked);
  });
});
