import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { LackeyDecoder } from './lackey.ts';
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
  ])('a line %j, with its number', async (line) => {
    const path = file('bad-line.txt', `${fourLines}==1== banner\n${line}\n${fourLines}`);
    await expect(readReferenceTrace(path)).rejects.toThrow(
      `trace: read: line 6 is not a lackey reference: ${JSON.stringify(line)}; expected ' L 1fff000758,8' or I, S, M alike (${path})`,
    );
  });

  it('shows only the start of a long bad line, with control characters escaped', async () => {
    const path = file('binary.txt', `\u0001\u001b[31m${'x'.repeat(5000)}\n`);
    const error: unknown = await readReferenceTrace(path).catch((reason: unknown) => reason);
    expect(String(error)).toMatch(/line 1 is not a lackey reference: "\\u0001\\u001b\[31mx+"; expected/);
    expect(String(error).length).toBeLessThan(300);
    expect(String(error)).not.toContain('\n');
  });

  it('text without any newline, before it fills the memory', async () => {
    const path = file('one-line.txt', 'x'.repeat(3 * 2 ** 20));
    await expect(readReferenceTrace(path)).rejects.toThrow(
      'trace: read: line 1 is longer than 1048576 bytes; this is not lackey text',
    );
  });

  it('a bad line early in a large gzipped file', async () => {
    const path = file('early.txt.gz', gzipSync(`oops\n${fourLines.repeat(100_000)}`));
    await expect(readReferenceTrace(path)).rejects.toThrow('trace: read: line 1 is not a lackey reference: "oops"');
  });

  it('more references than the limit', async () => {
    const path = file('limit.txt', fourLines);
    expect((await readReferenceTrace(path, { referencesMax: 4 })).length).toBe(4);
    await expect(readReferenceTrace(path, { referencesMax: 3 })).rejects.toThrow(
      `trace: read: more than 3 references; split the trace (${path})`,
    );
  });
});
