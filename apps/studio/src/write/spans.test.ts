import { describe, expect, it } from 'vitest';
import { bracketsAt, spansOf, type Look } from './spans.ts';

const looks = (text: string, kind: 'c' | 'ts'): (readonly [string, Look])[] =>
  spansOf(text, kind)
    .filter(({ look }) => look !== 'bracket')
    .map(({ from, to, look }) => [text.slice(from, to), look]);

describe('what the words of a program are', () => {
  it('TypeScript', () => {
    expect(looks("const x: Scenario = f(`a // ${b}\n'`, 0x1f); // it's\n/* two\nlines */ null", 'ts')).toEqual([
      ['const', 'keyword'],
      ['Scenario', 'type'],
      ['f', 'call'],
      ["`a // ${b}\n'`", 'string'],
      ['0x1f', 'number'],
      ["// it's", 'comment'],
      ['/* two\nlines */', 'comment'],
      ['null', 'atom'],
    ]);
  });

  it('C', () => {
    expect(looks('#include "x.h"\nif (pte_present(*ptep)) return 0ul; /* a `', 'c')).toEqual([
      ['#include', 'keyword'],
      ['"x.h"', 'string'],
      ['if', 'keyword'],
      ['pte_present', 'call'],
      ['return', 'keyword'],
      ['0ul', 'number'],
      ['/* a `', 'comment'],
    ]);
    expect(looks('it`s return', 'c')).toEqual([['return', 'keyword']]);
  });
});

describe('the bracket at the cursor', () => {
  const at = (text: string): readonly number[] => {
    const plain = text.replace('|', '');
    return bracketsAt(spansOf(plain, 'ts'), plain, text.indexOf('|'));
  };

  it('and the one that belongs to it, on either side, over what is in texts and comments', () => {
    expect(at('f|(")", g[0])')).toEqual([1, 11]);
    expect(at('f(")" /* ) */, g[0])|')).toEqual([19, 1]);
  });

  it('alone, if there is none or another', () => {
    expect(at('f|(x')).toEqual([1]);
    expect(at('f|(x]')).toEqual([1]);
    expect(at('f(x)| ]')).toEqual([3, 1]);
    expect(at('f (x|)')).toEqual([4, 2]);
    expect(at('f|x()')).toEqual([]);
  });
});
