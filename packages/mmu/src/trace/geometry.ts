/**
 * Size and shape of one TLB level. `entries = sets * ways`; `sets` is a power of two, because address bits select the
 * set.
 */
export interface TlbGeometry {
  readonly entries: number;
  readonly ways: number;
  readonly sets: number;
}

/** A TLB geometry that no hardware could have. The message is one line, `mmu: tlb geometry: reason (value)`. */
export class TlbGeometryError extends Error {
  override readonly name = 'TlbGeometryError';

  constructor(reason: string, value: string) {
    super(`mmu: tlb geometry: ${reason} (${value})`);
  }
}

/**
 * Ten times the largest second-level TLB built so far leaves room for what-if questions; a full search of one set stays
 * affordable.
 */
export const tlbEntriesMax = 2 ** 16;

const geometryPattern = /^(\d+)(?:x(\d+))?$/;

const shownLengthMax = 40;

/**
 * Geometry of a TLB level with `entries` entries in sets of `ways`.
 *
 * @throws {TlbGeometryError} when the numbers are out of range, do not divide, or give a number of sets that is not a
 * power of two.
 */
export function tlbGeometry(entries: number, ways: number): TlbGeometry {
  const value = `${entries}x${ways}`;
  if (!Number.isInteger(entries) || !Number.isInteger(ways) || entries < 1 || ways < 1) {
    throw new TlbGeometryError('entries and ways must be whole numbers of at least 1', value);
  }
  if (entries > tlbEntriesMax)
    throw new TlbGeometryError(`${entries} entries exceed the limit of ${tlbEntriesMax}`, value);
  if (ways > entries) throw new TlbGeometryError(`${ways} ways need at least ${ways} entries`, value);
  if (entries % ways !== 0) throw new TlbGeometryError(`${entries} entries do not divide into ${ways} ways`, value);
  const sets = entries / ways;
  if (!isPowerOfTwo(sets)) {
    const nearest = 2 ** Math.floor(Math.log2(sets));
    throw new TlbGeometryError(
      `${entries} entries in ${ways} ways make ${sets} sets, not a power of two; the nearest below is ${nearest * ways}x${ways}`,
      value,
    );
  }
  return { entries, ways, sets };
}

/**
 * Reads a geometry as it stands on a command line: `64x4` is 64 entries of 4 ways in 16 sets; `64x64`, or `64` alone,
 * is fully associative.
 *
 * @throws {TlbGeometryError} as `tlbGeometry`, and when the text has another form.
 */
export function parseTlbGeometry(text: string): TlbGeometry {
  const match = geometryPattern.exec(text);
  const entries = match?.[1];
  if (entries === undefined) {
    const shown = JSON.stringify(text.slice(0, shownLengthMax)).slice(1, -1);
    throw new TlbGeometryError(
      'expected entries x ways, such as 64x4, or entries alone for a fully associative level',
      shown,
    );
  }
  return tlbGeometry(Number(entries), Number(match?.[2] ?? entries));
}

/** The inverse of `parseTlbGeometry`: always the long form, `64x4`. */
export function formatTlbGeometry({ entries, ways }: TlbGeometry): string {
  return `${entries}x${ways}`;
}

function isPowerOfTwo(count: number): boolean {
  return (count & (count - 1)) === 0;
}
