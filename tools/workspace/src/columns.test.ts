import { describe, expect, it } from 'vitest';
import { COLUMNS, narrowed, wideLines } from '../../columns.mjs';

const WORDS =
  'what is too much for a line goes to the front of the next one of the same paragraph, and so on to its end ';
const widest = (text: string): number => Math.max(...text.split('\n').map((line) => line.length));

describe('comments', () => {
  it('are broken at the last space, paragraph by paragraph', () => {
    const source = `/**\n * ${WORDS}${WORDS}\n * as before.\n *\n * Another.\n */\n`;
    const better = narrowed('a.ts', source);
    expect(widest(better)).toBeLessThanOrEqual(COLUMNS);
    expect(better.replaceAll(/\s*\n \*/g, ' ').replaceAll(/\s+/g, ' ')).toBe(
      source.replaceAll(/\s*\n \*/g, ' ').replaceAll(/\s+/g, ' '),
    );
    expect(better).toContain('as before.\n *\n * Another.\n');
  });

  it('of one line become a block', () => {
    expect(narrowed('a.ts', `  /** ${WORDS}${WORDS}*/\n`)).toMatch(/^ {2}\/\*\*\n {3}\* what is too much/);
  });

  it('keep their examples, and code keeps its strings', () => {
    const fenced = `/**\n * \`\`\`ts\n * ${WORDS}${WORDS}\n * \`\`\`\n */\nconst text = '${WORDS}${WORDS}';\n`;
    expect([narrowed('a.ts', fenced), wideLines('a.ts', fenced)]).toEqual([fenced, []]);
  });
});

describe('Markdown', () => {
  it('is broken outside of `code`, tables, headings and fences, and lists hang', () => {
    const text = `- ${WORDS}\`${WORDS}\`\n\n| ${WORDS}${WORDS}|\n\n\`\`\`\n${WORDS}${WORDS}\n\`\`\`\n`;
    const better = narrowed('a.md', text);
    expect(better).toContain(`\n  \`what is too much`);
    expect(better).toContain(`| ${WORDS}${WORDS}|`);
    expect(better).toContain(`\`\`\`\n${WORDS}${WORDS}\n\`\`\``);
  });
});

it('says which lines are too wide, and nothing once they are fixed', () => {
  const source = `// ${WORDS}${WORDS}\n`;
  expect(wideLines('a.ts', source)).toEqual([1]);
  expect(wideLines('a.ts', narrowed('a.ts', source))).toEqual([]);
});
