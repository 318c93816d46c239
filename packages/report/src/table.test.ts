import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  counterTable,
  formatNumber,
  formatRatio,
  Histogram,
  histogramText,
  markdownTable,
  textTable,
  type Table,
} from './index.ts';

/** The figures are made up. */
const variants: Table = {
  columns: [
    { heading: 'variant' },
    { heading: 'lock acquisitions', unit: 'per freed PUD', key: 'acquisitions', ratio: true },
    { heading: 'vmalloc', unit: 'cycles', ratio: true },
    { heading: 'expected' },
  ],
  rows: [
    { variant: 'trylock-2026', acquisitions: 1, vmalloc: 20_480, expected: 'safe' },
    { variant: 'v1', acquisitions: 513, vmalloc: 31_252, expected: 'safe' },
    ['unlocked', null, 20_440.5, 'violation'],
  ],
};

const lines = (text: string): string[] => text.trimEnd().split('\n');

describe('text table', () => {
  test('numbers right, words left, ratios against the first row', () => {
    expect(lines(textTable(variants))).toEqual([
      '              lock acquisitions           vmalloc',
      'variant           per freed PUD  ratio     cycles  ratio  expected',
      '------------  -----------------  -----  ---------  -----  ---------',
      'trylock-2026                  1  1.00x  20,480.00  1.00x  safe',
      'v1                          513   513x  31,252.00  1.53x  safe',
      'unlocked                      -      -  20,440.50  1.00x  violation',
    ]);
  });

  test('too wide: headings wrap', () => {
    expect(lines(textTable(variants, { width: 64, thousands: false })).slice(0, 5)).toEqual([
      '                         lock',
      '                 acquisitions          vmalloc',
      'variant         per freed PUD  ratio    cycles  ratio  expected',
      '------------  ---------------  -----  --------  -----  ---------',
      'trylock-2026                1  1.00x  20480.00  1.00x  safe',
    ]);
  });

  test('still too wide: columns go on below, a ratio stays with its column', () => {
    expect(lines(textTable(variants, { width: 40 })).filter((line) => line.includes('v'))).toEqual([
      'variant           per freed PUD  ratio',
      'v1                          513   513x',
      '                vmalloc',
      'variant          cycles  ratio',
      'v1            31,252.00  1.53x',
      'variant       expected',
      'v1            safe',
      'unlocked      violation',
    ]);
  });

  test('text cells wrap, numbers never do', () => {
    const table: Table = {
      columns: ['system', { heading: 'states' }, 'what it shows'],
      rows: [
        [
          'ptdump-vmalloc',
          123_456_789_012n,
          'a walker that holds no lock reads a page-table page which vmalloc has freed',
        ],
      ],
    };
    expect(lines(textTable(table, { width: 60 }))).toEqual([
      'system                   states  what it shows',
      '--------------  ---------------  ---------------------------',
      'ptdump-vmalloc  123,456,789,012  a walker that holds no lock',
      '                                   reads a page-table page',
      '                                   which vmalloc has freed',
    ]);
  });

  test('counters per processor, with a total', () => {
    const table = counterTable(['CPU0', 'CPU1'], {
      nr_tlb_remote_flush: [1, 0],
      nr_tlb_remote_flush_received: [0, 12_345],
    });
    expect(lines(textTable(table))).toEqual([
      'counter                       CPU0    CPU1   total',
      '----------------------------  ----  ------  ------',
      'nr_tlb_remote_flush              1       0       1',
      'nr_tlb_remote_flush_received     0  12,345  12,345',
    ]);
  });

  test('no line is wider than the width when every column fits beside the first', () => {
    const word = fc.stringMatching(/^[a-z]{1,9}$/);
    const words = fc.array(word, { minLength: 1, maxLength: 6 }).map((list) => list.join(' '));
    const column = fc.record({ heading: words, unit: fc.oneof(fc.constant(''), word), ratio: fc.boolean() });
    const table = fc.record({
      columns: fc
        .array(column, { minLength: 1, maxLength: 6 })
        .map((list) => list.map((c, i) => ({ ...c, ratio: c.ratio && i > 0 }))),
      rows: fc.array(fc.array(fc.oneof(words, fc.integer(), fc.constant(null)), { maxLength: 6 }), { maxLength: 5 }),
    });
    fc.assert(
      fc.property(table, fc.integer({ min: 50, max: 120 }), (any, width) => {
        for (const line of textTable(any, { width }).split('\n')) expect(line.length).toBeLessThanOrEqual(width);
      }),
    );
  });
});

describe('Markdown table', () => {
  test('has units in the headings', () => {
    expect(lines(markdownTable(variants))).toEqual([
      '| variant | lock acquisitions (per freed PUD) | ratio | vmalloc (cycles) | ratio | expected |',
      '| --- | ---: | ---: | ---: | ---: | --- |',
      '| trylock-2026 | 1 | 1.00x | 20,480.00 | 1.00x | safe |',
      '| v1 | 513 | 513x | 31,252.00 | 1.53x | safe |',
      '| unlocked | - | - | 20,440.50 | 1.00x | violation |',
    ]);
  });

  test('a bar in a cell is no column', () => {
    expect(markdownTable({ columns: ['bits'], rows: [['VALID|TABLE']] })).toContain('| VALID\\|TABLE |');
  });
});

describe('numbers', () => {
  test('groups of three, decimals, and no number at all', () => {
    expect(formatNumber(1_234_567)).toBe('1,234,567');
    expect(formatNumber(-1234.5)).toBe('-1,234.50');
    expect(formatNumber(7_110_000_000_000_000_000_001n)).toBe('7,110,000,000,000,000,000,001');
    expect(formatNumber(1234, { thousands: false })).toBe('1234');
    expect(formatNumber(Number.NaN)).toBe('-');
  });

  test('ratios have three significant digits', () => {
    expect([
      formatRatio(1, 3),
      formatRatio(2, 1),
      formatRatio(172, 10),
      formatRatio(5130, 10),
      formatRatio(1, 0),
    ]).toEqual(['0.33x', '2.00x', '17.2x', '513x', '-']);
  });
});

describe('histogram', () => {
  test('a bar per power of two, with the empty ones between', () => {
    const histogram = Histogram.of([900, 1000, 1500, 1500, 1600, 9000]);
    expect(lines(histogramText(histogram, { title: 'shootdown latency', unit: 'cycles', width: 60 }))).toEqual([
      'shootdown latency',
      'n 6  min 900  mean 2,583.3  p50 <= 2,047  p99 <= 9,000',
      'max 9,000 cycles',
      '[512, 1K) 2 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@               |',
      '[1K, 2K)  3 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|',
      '[2K, 4K)  0 |                                              |',
      '[4K, 8K)  0 |                                              |',
      '[8K, 16K) 1 |@@@@@@@@@@@@@@@                               |',
    ]);
  });

  test('every value lies in its bucket, and quantiles bound it from above by less than twice', () => {
    fc.assert(
      fc.property(
        fc.array(fc.maxSafeNat(), { minLength: 1 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (values, share) => {
          const histogram = Histogram.of(values);
          for (const { low, high, count } of histogram.buckets)
            expect(values.filter((value) => value >= low && value < high)).toHaveLength(count);
          const exact = values.toSorted((a, b) => a - b)[Math.max(1, Math.ceil(share * values.length)) - 1] as number;
          expect(histogram.quantile(share)).toBeGreaterThanOrEqual(exact);
          expect(histogram.quantile(share)).toBeLessThanOrEqual(Math.max(exact, 2 * exact));
        },
      ),
    );
  });

  test('two merged are as one', () => {
    const one = Histogram.of([1, 5]);
    one.merge(Histogram.of([0, 700]));
    expect(one).toEqual(Histogram.of([1, 5, 0, 700]));
    expect(JSON.stringify(one)).toBe(JSON.stringify(Histogram.of([0, 1, 5, 700])));
  });

  test('of nothing', () => {
    expect(histogramText(new Histogram())).toBe('nothing was counted\n');
    expect(JSON.parse(JSON.stringify(new Histogram()))).toEqual({
      count: 0,
      min: null,
      mean: null,
      max: null,
      percentiles: { 50: null, 90: null, 99: null },
      buckets: [],
    });
  });

  test('refuses what it cannot count', () => {
    expect(() => new Histogram().add(-1)).toThrow('report: histogram: value out of range (-1)');
    expect(() => new Histogram().add(0.5)).toThrow('(0.5)');
  });
});
