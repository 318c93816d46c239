import { describe, expect, it } from 'vitest';
import { sidesOf } from './sides.ts';

const BEFORE = `int helper(void)
{
	return 1;
}

int wanted(int a)
{
	if (a)
		return 1;
	step();
	return 2;
}
`;
const AFTER = BEFORE.replace('\tstep();\n', '\tlock();\n\tstep();\n\tunlock();\n');
const WHOLE = `From: somebody
Subject: a fix

--- a/mm/x.c
+++ b/mm/x.c
@@ -6,7 +6,9 @@ int helper(void)
 int wanted(int a)
 {
 	if (a)
 		return 1;
+	lock();
 	step();
+	unlock();
 	return 2;
 }
-- 
2.39.5
`;
const PART = WHOLE.replace('@@ -6,7 +6,9 @@ int helper(void)', '@@ -8,3 +8,5 @@ int wanted(int a)').replace(
  ` int wanted(int a)
 {
`,
  '',
);
const FRAGMENT = PART.replace('-8,3 +8,5', '-8,4 +8,6').replace(' }\n-- ', '-- ');

const lines = (text: string | undefined) =>
  (text ?? '').split('\n').flatMap((line, i) => (line === '' ? [] : [`${i + 1} ${line.trim()}`]));

describe('the sides of a patch', () => {
  it('have the lines of their files', async () => {
    const { before, after } = await sidesOf('x.patch', WHOLE);
    expect(before.map(({ name }) => name)).toEqual(['x.c']);
    expect(lines(before[0]?.text)).toEqual(lines(BEFORE).slice(4));
    expect(lines(after[0]?.text)).toEqual(lines(AFTER).slice(4));
  });

  it('are refused where a function is cut, by its name', async () => {
    await expect(sidesOf('x.patch', FRAGMENT)).rejects.toThrow(
      'x.patch:6: only a part of wanted() is here: make the patch with git diff -W, or give --tree DIR',
    );
  });

  it('leave out what a hunk outside of functions cuts, as of a struct below the change', async () => {
    const patch = `--- a/x.h
+++ b/x.h
@@ -3,5 +3,7 @@
 #include <linux/ptdump.h>

+DECLARE_STATIC_KEY_FALSE(key);
+
 struct addr_marker {
 	unsigned long start_address;
 	char *name;
`;
    const { before, after } = await sidesOf('x.patch', patch);
    expect(lines(before[0]?.text)).toEqual(['3 #include <linux/ptdump.h>']);
    expect(lines(after[0]?.text)).toEqual(['3 #include <linux/ptdump.h>', '5 DECLARE_STATIC_KEY_FALSE(key);']);
  });

  it('are refused where the struct itself is changed', async () => {
    const patch = `--- a/x.h
+++ b/x.h
@@ -3,2 +3,3 @@
 struct addr_marker {
+	unsigned long start_address;
 	char *name;
`;
    await expect(sidesOf('x.patch', patch)).rejects.toThrow('x.patch:3: only a part of x.h is here');
  });

  it.each([
    ['as it was', BEFORE],
    ['patched already', AFTER],
  ])('come from a tree, %s', async (_, tree) => {
    const { before, after } = await sidesOf('x.patch', FRAGMENT, (path) => (path === 'mm/x.c' ? tree : null));
    expect(lines(before[0]?.text)).toEqual(lines(BEFORE).slice(4));
    expect(lines(after[0]?.text)).toEqual(lines(AFTER).slice(4));
  });

  it.each([
    ['no diff', 'hello\n', 'x.patch:1: no diff: expected the output of git diff -W'],
    ['a hunk without a file', '@@ -1 +1 @@\n-a\n+b\n', 'x.patch:1: a hunk that belongs to no file'],
    ['a hunk that ends', WHOLE.split('\n').slice(0, 9).join('\n'), 'x.patch:10: the hunk of line 6 ends too early'],
    ['no C', WHOLE.replaceAll('x.c', 'x.rst'), 'x.patch:1: touches no C file'],
  ])('are refused: %s', async (_, text, message) => {
    await expect(sidesOf('x.patch', text)).rejects.toThrow(message);
  });

  it('are refused if the tree has something else there', async () => {
    await expect(sidesOf('x.patch', FRAGMENT, () => 'int other;\n')).rejects.toThrow(
      'x.patch: does not apply to mm/x.c of the tree, neither forwards nor backwards',
    );
    await expect(sidesOf('x.patch', FRAGMENT, () => null)).rejects.toThrow('x.patch: mm/x.c is not in the tree');
  });
});
