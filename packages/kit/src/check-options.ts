/** Refuses options of a small machine that nobody knows, or that contradict each other. */
import { checkOptions, keysOf, ModelError } from '@shootdown/machine';
import { asidIsMm } from './architecture.ts';
import { FLUSHES, type SmallMachineOptions } from './options.ts';

const LEVELS_MAX = 4;

const KEYS = keysOf<SmallMachineOptions>()(
  'memoryModel',
  'cpus',
  'names',
  'mms',
  'pages',
  'mapped',
  'spare',
  'levels',
  'entries',
  'flags',
  'references',
  'contents',
  'dirtyBits',
  'lazy',
  'vcpus',
  'flush',
  'x86',
  'kvm',
  'hypercall',
  'spaces',
  'global',
  'connected',
  'checksFlushes',
  'ignoresNestedGathers',
  'maxHistory',
);

/** Throws ModelError on such options. */
export function checkSmallMachine(options: SmallMachineOptions, pages: number, mapped: number, levels: number): void {
  checkOptions('kit: smallMachine', options, KEYS, ['memoryModel']);
  const { flush, lazy = [] } = options;
  const fail = (what: string): never => {
    throw new ModelError(`kit: smallMachine: ${what}`);
  };
  if (typeof flush === 'string' && !FLUSHES.includes(flush))
    fail(`flush: unknown ${String(flush)} (have: ${FLUSHES.join(', ')})`);
  if (mapped > pages) fail(`mapped: ${mapped} pages, have ${pages}`);
  if (!(levels >= 1 && levels <= LEVELS_MAX)) fail(`levels: expected 1 .. ${LEVELS_MAX} (${levels})`);
  if (lazy.length > 0 && asidIsMm(flush)) fail(`lazy: ${String(flush)} has no lazy CPUs: use the flush x86`);
  if (flush === 'kvm' && options.vcpus === undefined) fail('flush: kvm needs vcpus, whose steal time it looks at');
}
