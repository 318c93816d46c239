import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { ChampSimDecoder } from './champsim.ts';
import { LackeyDecoder } from './lackey.ts';
import type { SkippedLines } from './lines.ts';
import { PackedDecoder, packReferences } from './packed.ts';
import { type Reference, ReferenceTrace, ReferenceTraceBuilder, referencesMax } from './reference-trace.ts';
import { readReferenceTrace } from './references.ts';

const fixtures = join(import.meta.dirname, '../../test-data');
const scratch = mkdtempSync(join(tmpdir(), 'mmu-trace-'));
afterAll(() => {
  rmSync(scratch, { recursive: true });
});

function file(name: string, content: string | Uint8Array): string {
  const path = join(scratch, name);
  writeFileSync(path, content);
  return path;
}

const fourReferences: readonly Reference[] = [
  { kind: 'fetch', address: 0x0401ab70n, sizeBytes: 3 },
  { kind: 'store', address: 0x1fff000758n, sizeBytes: 8 },
  { kind: 'load', address: 0x0421c7ccn, sizeBytes: 4 },
  { kind: 'modify', address: 0xff_ffff_ffff_ffc0n, sizeBytes: 63 },
];
const fourLines = 'I  0401ab70,3\n S 1fff000758,8\n L 0421c7cc,4\n M ffffffffffffc0,63\n';

function references(trace: ReferenceTrace): Reference[] {
  return Array.from({ length: trace.length }, (_, index) => trace.at(index));
}

function lackeyText(list: readonly Reference[]): string {
  const start = { fetch: 'I  ', load: ' L ', store: ' S ', modify: ' M ' };
  return list
    .map(({ kind, address, sizeBytes }) => `${start[kind]}${address.toString(16).padStart(8, '0')},${sizeBytes}\n`)
    .join('');
}

const packable = fc.record({
  kind: fc.constantFrom('fetch', 'load', 'store', 'modify'),
  address: fc.bigInt(0n, (1n << 56n) - 1n),
  sizeBytes: fc.integer({ min: 1, max: 63 }),
});

/** Feeds `bytes` to a decoder in chunks of the given sizes, over and over. */
function decoded(
  Decoder: typeof LackeyDecoder | typeof PackedDecoder,
  bytes: Uint8Array,
  chunkSizes: readonly number[],
): Reference[] {
  const builder = new ReferenceTraceBuilder('test', referencesMax);
  const decoder = new Decoder(builder);
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = chunkSizes[turn % chunkSizes.length] ?? 1;
    decoder.write(bytes.subarray(at, at + size));
    at += size;
  }
  decoder.end();
  return references(builder.finish());
}

describe('reading', () => {
  const packed = packReferences(
    ReferenceTrace.from(Array.from({ length: 100_000 }, () => fourReferences[0] as Reference)),
  );

  it('can be broken off, and gives what was read', async () => {
    const controller = new AbortController();
    const seen: number[] = [];
    const onProgress = (count: number): void => {
      seen.push(count);
      controller.abort();
    };
    const trace = await readReferenceTrace(file('long.u64', packed), { signal: controller.signal, onProgress });
    expect(trace.length).toBe(seen[0]);
    expect(trace.length).toBeLessThan(100_000);
    expect(references(trace.slice(2, 4))).toEqual([fourReferences[0], fourReferences[0]]);
  });

  it('of a device is refused: it may have no end', async () => {
    await expect(readReferenceTrace('/dev/zero')).rejects.toThrow(
      'trace: read: a device, not a file or pipe (/dev/zero)',
    );
  });
});

describe('a reference trace', () => {
  it('gives back any reference it was made from, kernel addresses included', () => {
    const list: Reference[] = [...fourReferences, { kind: 'load', address: 0xffff_ffff_ff60_0000n, sizeBytes: 512 }];
    expect(references(ReferenceTrace.from(list))).toEqual(list);
  });

  it('decodes packed records the same wherever the chunks are cut', () => {
    fc.assert(
      fc.property(
        fc.array(packable, { maxLength: 40 }),
        fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }),
        (list, chunkSizes) => {
          expect(decoded(PackedDecoder, packReferences(ReferenceTrace.from(list)), chunkSizes)).toEqual(list);
        },
      ),
    );
  });

  it('decodes lackey text the same wherever the chunks are cut', () => {
    fc.assert(
      fc.property(
        fc.array(packable, { maxLength: 40 }),
        fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }),
        (list, chunkSizes) => {
          expect(decoded(LackeyDecoder, Buffer.from(lackeyText(list)), chunkSizes)).toEqual(list);
        },
      ),
    );
  });

  it('refuses to pack what a packed record has no room for', () => {
    const wide = ReferenceTrace.from([{ kind: 'load', address: 0xffff_ffff_ff60_0000n, sizeBytes: 8 }]);
    expect(() => packReferences(wide)).toThrow('trace: write: address exceeds 56 bits (0xffffffffff600000)');
    const long = ReferenceTrace.from([{ kind: 'load', address: 0n, sizeBytes: 64 }]);
    expect(() => packReferences(long)).toThrow('trace: write: size exceeds 63 bytes (64)');
  });

  it('refuses an address, a size or an index out of range', () => {
    expect(() => ReferenceTrace.from([{ kind: 'load', address: 1n << 64n, sizeBytes: 1 }])).toThrow(
      'trace: from: address exceeds 64 bits',
    );
    expect(() => ReferenceTrace.from([{ kind: 'load', address: 0n, sizeBytes: 4097 }])).toThrow(
      'trace: from: size must be 0 to 4096 bytes',
    );
    expect(() => ReferenceTrace.from([]).at(0)).toThrow('trace: at: no reference with this index; the trace has 0 (0)');
  });
});

describe('reading a trace file', () => {
  it('reads packed and text traces, plain and gzipped, as the same references', async () => {
    const packed = packReferences(ReferenceTrace.from(fourReferences));
    const paths = [
      file('four.u64', packed),
      file('four.u64.gz', gzipSync(packed)),
      file('four.lackey.txt', fourLines),
      file('four.lackey.txt.gz', gzipSync(fourLines)),
    ];
    for (const path of paths)
      expect([path, ...references(await readReferenceTrace(path))]).toEqual([path, ...fourReferences]);
  });

  it('goes by the content where the name does not tell, and by the magic bytes for gzip', async () => {
    const packed = packReferences(ReferenceTrace.from(fourReferences));
    const paths = [
      file('binary', packed),
      file('text', fourLines),
      file('binary-zipped', gzipSync(packed)),
      file('text-zipped', gzipSync(fourLines)),
      file('not-really.u64.gz', packed),
      file('zipped-without-saying.txt', gzipSync(fourLines)),
    ];
    for (const path of paths)
      expect([path, ...references(await readReferenceTrace(path))]).toEqual([path, ...fourReferences]);
  });

  it("skips valgrind's commentary and blank lines, takes CRLF, and does not need a final newline", async () => {
    const text = `==3040== Lackey\n--3040-- warning\n**3040** note\n\n${fourLines.replaceAll('\n', '\r\n')}==3040== \n L 0421c7cc,4`;
    const trace = await readReferenceTrace(file('banners.txt', text));
    expect(trace.length).toBe(fourReferences.length + 1);
    expect(trace.at(4)).toEqual(fourReferences[2]);
  });

  it('reads more than one chunk of gzipped text', async () => {
    const copies = 40_000;
    const trace = await readReferenceTrace(file('long.txt.gz', gzipSync(fourLines.repeat(copies))));
    expect(trace.length).toBe(copies * fourReferences.length);
    expect(references(trace).slice(-4)).toEqual(fourReferences);
  });

  it('finds in the fixtures what wc and a hex dump find', async () => {
    expect((await readReferenceTrace(join(fixtures, 'ls-20k.lackey.txt.gz'))).length).toBe(20_000);
    const ls = await readReferenceTrace(join(fixtures, 'ls-300.lackey.txt'));
    expect([ls.length, ls.at(0)]).toEqual([295, { kind: 'fetch', address: 0x0401ab70n, sizeBytes: 3 }]);
    const packed = readFileSync(join(fixtures, 'sort-1k.u64'));
    expect(Buffer.from(packReferences(await readReferenceTrace(join(fixtures, 'sort-1k.u64')))).equals(packed)).toBe(
      true,
    );
    const longer = gunzipSync(readFileSync(join(fixtures, 'sort-50k.u64.gz')));
    expect(longer.subarray(0, packed.length).equals(packed)).toBe(true);
  });
});

describe('a line that is no reference', () => {
  it.each([
    ' Q 1fff000758,8',
    ' L1fff000758,8',
    ' L 1fff000758',
    ' L 1fff000758,',
    ' L ,8',
    ' L 1fff000758,0',
    ' L 1fff000758,4097',
    ' L 1FFF,8',
    ' L 0x1fff,8',
    ' L 1fff,a',
    ' L 1fff,8 8',
    ' L 1fff,-8',
    ' L 01234567890abcdef,8',
    ' L ffffffffffffffff,2',
    'hello',
    '== not a banner',
    ' L 1fff,99999999999999999999999999',
  ])('%j is skipped and counted', async (line) => {
    const skipped: SkippedLines[] = [];
    const path = file('bad-line.txt', `${fourLines}==1== banner\n${line}\n${fourLines}`);
    const trace = await readReferenceTrace(path, { onSkipped: (found) => skipped.push(found) });
    expect(references(trace)).toEqual([...fourReferences, ...fourReferences]);
    expect(skipped).toEqual([{ lines: 1, first: { line: 6, text: line } }]);
  });

  it('is only counted if there is one', async () => {
    const onSkipped = (): never => expect.unreachable();
    expect((await readReferenceTrace(file('good.txt', fourLines), { onSkipped })).length).toBe(4);
  });

  it('may stand at the beginning of a large gzipped file', async () => {
    const path = file('early.txt.gz', gzipSync(`oops\n${fourLines.repeat(100_000)}`));
    expect((await readReferenceTrace(path)).length).toBe(400_000);
  });
});

describe('traces of other tools', () => {
  const data: readonly Reference[] = [
    { kind: 'load', address: 0x7ffd2000n, sizeBytes: 8 },
    { kind: 'store', address: 0xffff_8000_0000_2008n, sizeBytes: 4 },
  ];
  const code: Reference = { kind: 'fetch', address: 0x401000n, sizeBytes: 4 };
  const withoutSize = (list: readonly Reference[]) => list.map((reference) => ({ ...reference, sizeBytes: 1 }));

  it.each([
    ['pinatrace', '0x401000: R 0x7ffd2000\n0x401004: W 0xffff800000002008\n#eof\n', withoutSize(data)],
    ['pinatrace with values', '0x401000: R 0x7ffd2000  8 0x2a\n0x401004: W 0xffff800000002008  4 0x1\n#eof\n', data],
    ['memtrace', 'readi 0x00401000 4\nreadd 0x7FFD2000 8\nwrite 0xFFFF800000002008 4\n', [code, ...data]],
    [
      "DynamoRIO's view tool",
      [
        'Output format:',
        '<--record#-> <--instr#->: <---tid---> <record details>',
        '------------------------------------------------------------',
        '           1           0:        3001 <marker: version 7>',
        '           2           1:        3001 ifetch       4 byte(s) @ 0x0000000000401000 non-branch',
        '           3           1:        3001 read         8 byte(s) @ 0x000000007ffd2000 by PC 0x0000000000401000',
        '           4           1:        3001 write        4 byte(s) @ 0xffff800000002008 by PC 0x0000000000401000',
        'View tool results:',
        '              1 : total instructions',
        '',
      ].join('\n'),
      [code, ...data],
    ],
  ])('%s, whatever the file is called', async (what, text, expected) => {
    const onSkipped = (): never => expect.unreachable();
    for (const path of [file(what, text), file(`${what}.txt`, text), file(`${what}.out.gz`, gzipSync(text))])
      expect(references(await readReferenceTrace(path, { onSkipped }))).toEqual(expected);
  });

  it('ChampSim: fetch, reads, writes of each instruction; not cut short', async () => {
    const record = new DataView(new ArrayBuffer(128));
    const fields = { 0: 0x401000n, 16: 0xffff_8000_0000_2008n, 40: 0x7ffd2000n, 64: 0x401004n };
    for (const [at, address] of Object.entries(fields)) record.setBigUint64(Number(at), address, true);
    const bytes = new Uint8Array(record.buffer);
    const expected = withoutSize([code, ...data, { ...code, address: 0x401004n }]);
    expect(references(await readReferenceTrace(file('champsim', bytes)))).toEqual(expected);
    expect(references(await readReferenceTrace(file('champsim.gz', gzipSync(bytes))))).toEqual(expected);
    await expect(readReferenceTrace(file('cut', bytes.subarray(0, 100)))).rejects.toThrow(
      'truncated record of instruction 1: 36 of 64 bytes',
    );
    const builder = new ReferenceTraceBuilder('pieces', referencesMax);
    const decoder = new ChampSimDecoder(builder);
    for (let at = 0; at < 128; at += 7) decoder.write(bytes.subarray(at, at + 7));
    decoder.end();
    expect(references(builder.finish())).toEqual(expected);
  });

  it('packed records of 57-bit addresses, which are not canonical for 48 bits', async () => {
    const list = Array.from({ length: 100 }, (_, i): Reference => ({
      kind: 'load',
      address: 0xaa_0000_0000_1000n + BigInt(i),
      sizeBytes: 8,
    }));
    const path = file('la57.u64', packReferences(ReferenceTrace.from(list)));
    expect((await readReferenceTrace(path)).length).toBe(100);
  });
});

describe('a bad trace file is refused in one line', () => {
  const zipped = gzipSync(fourLines.repeat(100));
  const damaged = Uint8Array.from(zipped);
  damaged.fill(0x55, 20, 40);

  it.each([
    ['x.u64', new Uint8Array(27), 'truncated record at byte 24: 3 of 8 bytes'],
    ['tiny.u64', new Uint8Array(1), 'truncated record at byte 0: 1 of 8 bytes'],
    ['cut.u64.gz', gzipSync(new Uint8Array(27)), 'truncated record at byte 24: 3 of 8 bytes'],
    ['empty.u64', '', 'the file is empty'],
    ['empty.txt', '', 'the file is empty'],
    ['empty.txt.gz', gzipSync(''), 'the file is empty'],
    ['banner.txt', '==1== Lackey\n==1== \n', 'no references, only commentary; run lackey with --trace-mem=yes'],
    ['unended.txt.gz', zipped.subarray(0, zipped.length - 12), 'corrupt gzip data: unexpected end of file'],
    ['magic-only.gz', zipped.subarray(0, 2), 'corrupt gzip data: unexpected end of file'],
    [
      'crc.txt.gz',
      Uint8Array.from(zipped, (byte, index) => (index === zipped.length - 8 ? byte ^ 1 : byte)),
      'corrupt gzip data: incorrect data check',
    ],
  ])('%s', async (name, content, reason) => {
    const path = file(name, content);
    await expect(readReferenceTrace(path)).rejects.toMatchObject({
      name: 'TraceError',
      message: `trace: read: ${reason} (${path})`,
    });
  });

  it('damaged compressed data', async () => {
    await expect(readReferenceTrace(file('damaged.txt.gz', damaged))).rejects.toThrow(
      /^trace: read: corrupt gzip data: [^\n]+ \([^\n]+\)$/,
    );
  });

  it('a missing file and a directory', async () => {
    const missing = join(scratch, 'missing.u64');
    await expect(readReferenceTrace(missing)).rejects.toThrow(`trace: read: no such file (${missing})`);
    await expect(readReferenceTrace(scratch)).rejects.toThrow(`trace: read: a directory, not a file (${scratch})`);
  });

  it('text that is no trace, with the start of its first line and control characters escaped', async () => {
    const path = file('binary.txt', `\u0001\u001b[31m${'x'.repeat(5000)}\n`);
    const error: unknown = await readReferenceTrace(path).catch((reason: unknown) => reason);
    expect(String(error)).toMatch(/no line is a memory reference \(line 1: "\\u0001\\u001b\[31mx+"\); understood are /);
    expect(String(error).length).toBeLessThan(400);
    expect(String(error)).not.toContain('\n');
  });

  it('text of which most lines are something else, before the end of a long one', async () => {
    const mostly = file('mostly.txt', `${fourLines}${'noise\n'.repeat(5)}`);
    await expect(readReferenceTrace(mostly)).rejects.toThrow('most lines are no memory references (line 5: "noise")');
    const half = file('half.txt', `${fourLines}${'noise\n'.repeat(4)}`);
    expect((await readReferenceTrace(half)).length).toBe(4);
    const decoder = new LackeyDecoder(new ReferenceTraceBuilder('endless', referencesMax));
    const noise = Buffer.from('noise\n'.repeat(60_000));
    decoder.write(noise);
    expect(() => decoder.write(noise)).toThrow('no line is a memory reference');
  });

  it('text without any newline, before it fills the memory', async () => {
    const path = file('one-line.txt', 'x'.repeat(3 * 2 ** 20));
    await expect(readReferenceTrace(path)).rejects.toThrow(
      'trace: read: line 1 is longer than 1048576 bytes; this is no trace in text',
    );
  });

  it.each([
    ['an executable', readFileSync(process.execPath).subarray(0, 100_000), 'an ELF file'],
    ['a zip archive', 'PK\u0003\u0004\u0014\0\0\0', 'a zip archive'],
    ['xz', Buffer.from('fd377a585a000004', 'hex'), 'compressed with xz: xz -dc <file> | shootdown tlb /dev/stdin'],
    ['random bytes', randomBytes(65_536), 'no trace of memory references'],
    ['a few random bytes', randomBytes(64), 'no trace of memory references'],
    ['zeros', new Uint8Array(4096), 'no trace of memory references'],
    ['perf script', 'prog 1 [2] 1.5:  1 cpu/mem-loads/P:  7ffd2000 401000 main\n', 'perf script prints samples'],
    ['prose', '# Shootdown\n\nWhich races?\n', 'no line is a memory reference (line 1: "# Shootdown")'],
  ])('a file that is no trace, whatever it is called: %s', async (what, content, reason) => {
    for (const path of [file(`${what} `, content), file(`${what}.gz`, gzipSync(content))])
      await expect(readReferenceTrace(path)).rejects.toThrow(
        new RegExp(
          `^trace: read: ${reason.replaceAll(/[()|#?<>]/g, String.raw`\$&`)}[^\n]*; understood are packed records[^\n]+$`,
        ),
      );
  });

  it('random bytes and executables that are called packed records', async () => {
    for (const content of [randomBytes(65_536), randomBytes(1024), readFileSync(process.execPath).subarray(0, 100_000)])
      await expect(readReferenceTrace(file('lie.u64', content))).rejects.toThrow(/ELF|all over the address space/);
  });

  it('more references than the limit', async () => {
    const path = file('limit.txt', fourLines);
    expect((await readReferenceTrace(path, { referencesMax: 4 })).length).toBe(4);
    await expect(readReferenceTrace(path, { referencesMax: 3 })).rejects.toThrow(
      `trace: read: more than 3 references; split the trace (${path})`,
    );
  });
});
