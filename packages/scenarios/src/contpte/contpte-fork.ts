/**
 * `contpte-fork`: a process whose memory is mapped by contiguous entries forks while another of its threads writes. Do
 * parent and child share nothing that either may write to, once fork() has returned?
 */
import type { OffersC } from '@shootdown/c';
import type { Scenario } from '@shootdown/explorer';
import { store, type Region, type Steps } from '@shootdown/machine';
import { contpte } from '@shootdown/mm';
import { alsoOnArm } from '../on-arm.ts';
import {
  accesses,
  contpteMachine,
  contpteParameters,
  deviceAccesses,
  ofEntries,
  routinesOf,
  startContpte,
  type ContpteMachine,
  type ContpteParameter,
  type ContpteTask,
  type ContpteVariant,
} from './machine.ts';

const { PAGE_SHARED, PAGE_SIZE, pte_cont, pte_valid, pte_write, PTE_RDONLY } = contpte;

interface Design extends ContpteVariant {
  /** From the middle of one block to the middle of the next; otherwise one block. */
  readonly edges?: boolean;
}

const variants: readonly Design[] = alsoOnArm([
  {
    name: 'whole',
    expected: 'safe',
    source: 'contpte_wrprotect_ptes(), 311a6cf29690, v6.9',
    summary: 'a block becomes read-only entry by entry and stays folded; the child gets it with the contiguous bit',
  },
  {
    name: 'edges',
    expected: 'safe',
    source: 'contpte_try_unfold_partial(), 6b1e4efb6f54, v6.9',
    summary:
      'an area that begins and ends in the middle of blocks: both are unfolded, and the child gets plain entries',
    edges: true,
  },
  {
    name: 'whole/no-flush',
    expected: 'violation',
    source: 'derived: dup_mmap() flushes the parent',
    summary: 'the parent is not flushed: it writes through a translation of the block from before',
    replace: {
      dup_mmap: contpte.dup_mmap_without_flush,
    },
  },
]);

/** What copy-on-write rests on. */
const WRITES_ON = 'once fork() has returned nobody writes to what parent and child share';

/** The parent forks; what it has shared must be read-only for everybody from then on. */
function forks(first: number, pages: number, returned: Region): ContpteTask {
  return contpte.fork(function* (machine: ContpteMachine, cpu: contpte.ContpteCpu): Steps {
    const { vma, mms } = machine;
    const child = { ...vma, vm_mm: mms[1] as contpte.ContpteMm };
    yield* cpu.k.dup_mmap(cpu, child, vma, first * PAGE_SIZE, (first + pages) * PAGE_SIZE);
    yield* store(returned.at(0), 1, { label: 'return pid' });
  });
}

/** fork() of contiguous entries against stores of another thread: is everything shared read-only? */
export const contpteFork: Scenario<Design, ContpteParameter> & OffersC = {
  name: 'contpte-fork',
  title: 'fork() of contiguous entries against stores of another thread: is everything shared read-only?',
  seed: 'S4',
  architecture: 'arm64',
  parameters: contpteParameters,
  variants,
  routines: routinesOf,
  c: async () => (await import('./contpte.c.ts')).contpteOffer,
  build(request) {
    const { block } = request.parameters;
    const { edges = false } = request.variant;
    const first = edges ? block / 2 : 0;
    const machine = contpteMachine({
      request,
      mms: 2,
      folios: edges ? [{ nr_pages: block }, { nr_pages: block }] : [{ nr_pages: block }],
      mapped: Array.from({ length: edges ? 2 : 1 }, (_, i) => ({
        page: i * block,
        folio: i,
        nr: block,
        // The second block is dirty already: a store through what a TLB has of it tells nobody. In the first one
        // hardware sets dirty bits, which must not be lost.
        prot: i === 0 ? PAGE_SHARED : PAGE_SHARED & ~PTE_RDONLY,
        cont: true,
      })),
      ...(!edges && { device: {} }),
    });
    const returned = machine.builder.region('fork.returned', 1);
    const { tlb, kernel } = machine;
    const { onStore } = tlb;
    const [low, high] = [kernel.folio(0).pfn + first, kernel.folio(0).pfn + first + block];
    tlb.onStore = (cx, frame) => {
      onStore(cx, frame);
      if (cx.read(returned.at(0)) !== 0 && frame >= low && frame < high)
        cx.fail(WRITES_ON, () => `a store to frame 0x${frame.toString(16)}`);
    };
    const written = edges ? () => [block - 1, block] : () => [0, block - 1];
    const child = Array.from({ length: block }, (_, i) => machine.kernel.frames.entry(1, first + i).address);
    return startContpte(
      machine,
      [forks(first, block, returned), accesses(written), null, edges ? null : deviceAccesses(() => [block - 1], true)],
      [
        ...machine.invariants.properties,
        ofEntries(
          machine,
          'finally',
          'what parent and child share is read-only',
          'or each would see the stores of the other',
          (entries) => entries.slice(first, first + block).every((pte) => !pte_write(pte)),
        ),
        ofEntries(
          machine,
          'finally',
          'the parent still has all of its pages',
          'fork() takes nothing from it',
          (entries) => entries.slice(0, edges ? 2 * block : block).every(pte_valid),
        ),
        ofEntries(
          machine,
          'finally',
          'pages beside the area stay writable',
          'nobody else has them',
          (entries) =>
            !edges || [...entries.slice(0, first), ...entries.slice(first + block, 2 * block)].every(pte_write),
        ),
        {
          name: edges ? 'the child has plain entries' : 'the child has the block with the contiguous bit',
          kind: 'finally',
          why: 'that is what the variant is about',
          reads: child,
          check: (read) =>
            child.every(
              (address) => pte_valid(read(address)) && pte_cont(read(address)) === !edges && !pte_write(read(address)),
            ),
        },
      ],
    );
  },
};
