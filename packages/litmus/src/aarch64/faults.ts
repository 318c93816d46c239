/** The faults that a thread may show, each packed into a word of the machine: 0 is none. */
import { MemoryFault } from '@shootdown/machine';

const FAULT_TYPES = ['Translation', 'AccessFlag', 'Permission'] as const;
const INSTRUCTIONS_MAX = 1 << 10;

/** A fault that has happened. */
export interface ShownFault {
  readonly instruction: number;
  /** Index of the variable whose page it was, among those translated. */
  readonly page: number;
  readonly type: (typeof FAULT_TYPES)[number];
}

/** The fault in a word, or null. */
export function unpackFault(word: number): ShownFault | null {
  if (word === 0) return null;
  const packed = word - 1;
  return {
    instruction: packed % INSTRUCTIONS_MAX,
    type: FAULT_TYPES[Math.floor(packed / INSTRUCTIONS_MAX) % FAULT_TYPES.length] as ShownFault['type'],
    page: Math.floor(packed / INSTRUCTIONS_MAX / FAULT_TYPES.length),
  };
}

/** The word of a fault. */
export function packFault({ instruction, page, type }: ShownFault): number {
  return 1 + instruction + INSTRUCTIONS_MAX * (FAULT_TYPES.indexOf(type) + FAULT_TYPES.length * page);
}

/** The type of a fault that an access has come to. */
export function faultType(result: number): ShownFault['type'] {
  if (result === MemoryFault.translation) return 'Translation';
  return result === MemoryFault.accessFlag ? 'AccessFlag' : 'Permission';
}
