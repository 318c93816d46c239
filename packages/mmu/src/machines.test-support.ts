/** Small machines with one tree, for tests of MMUs: CPUs without interrupts, frames, and routines by CPU. */
import {
  DirectExecutor,
  FrameKind,
  Frames,
  program,
  routine,
  RandomScheduler,
  runScheduler,
  store,
  SystemBuilder,
  waitFor,
  type EntryPointer,
  type MemoryModel,
  type Region,
  type ScheduledRun,
  type Steps,
  type System,
} from '@shootdown/machine';
import { _PAGE_ACCESSED, _PAGE_PRESENT, _PAGE_RW, _PAGE_TABLE, _PAGE_USER, mk_pte } from './entry.ts';
import type { BreakBeforeMakeRule } from './break-before-make.ts';
import { FlushMonitor } from './flush-monitor.ts';
import { connectMmus, type InvalidationLatency, type MmuInstructions } from './instructions.ts';
import { Mmu } from './mmu.ts';
import { SaturatedTlb } from './saturated.ts';
import type { MmuGeometry } from './tlb-caches.ts';
import { tlbGeometry } from './trace/geometry.ts';
import { indexOf, tinyShape, type WalkLevel } from './walk.ts';

export const RW = _PAGE_PRESENT | _PAGE_USER | _PAGE_RW;
export const RO = _PAGE_PRESENT | _PAGE_USER;
const SMALL: MmuGeometry = { l1: tlbGeometry(2, 2), l2: tlbGeometry(4, 2), walkCacheEntries: 2 };
const ASID = 1;

/** What a routine of such a machine has at hand. */
export interface Small {
  readonly frames: Frames;
  readonly mmus: readonly MmuInstructions[];
  readonly monitor: FlushMonitor;
  /** The entry for a page in its last-level table, as it was set up. */
  readonly pte: (vpn: number) => EntryPointer;
  /** The entry in the root that points to that table. */
  readonly pgd: (vpn: number) => EntryPointer;
}

export interface SmallOptions {
  readonly cpus: number;
  /** A real TLB that is smaller than the tree, or the saturated one. */
  readonly tlb: 'real' | 'saturated';
  readonly memoryModel?: MemoryModel;
  readonly pages?: readonly number[];
  readonly pageFrames?: number;
  /** The saturated TLB keeps dirty bits. */
  readonly dirtyBits?: boolean;
  /** The saturated TLB checks it. */
  readonly breakBeforeMake?: BreakBeforeMakeRule;
  /** It keeps entries that are not present. */
  readonly cachesInvalid?: boolean;
  /** Takes a region with a word per frame, for what is in the pages. */
  readonly words?: (region: Region) => void;
  /** How an invalidation reaches the other CPUs. Default: as on arm64. */
  readonly latency?: InvalidationLatency;
}

/**
 * Two levels of four entries: pages 0 to 15. Tables stand at frames 1 (pages 0-3) and 2 (4-7); each page of `pages` is
 * mapped.
 */
export function smallMachine(
  options: SmallOptions,
  routines: readonly ((small: Small, cpu: number) => Steps)[],
): { system: System; small: Small; saturated: SaturatedTlb | null } {
  const { cpus, pages = [0, 1, 4], pageFrames = 6, latency = 'dvm' } = options;
  const builder = new SystemBuilder({ memoryModel: options.memoryModel ?? 'sc' });
  const shape = tinyShape(2, 4);
  const frames = new Frames(builder, { tables: 4, entriesPerTable: 4, pages: pageFrames });
  const names = Array.from({ length: cpus }, (_, cpu) => `CPU${cpu}`);
  const saturated =
    options.tlb === 'saturated'
      ? new SaturatedTlb(builder, names, frames, shape, -1, pages, {
          dirtyBits: options.dirtyBits ?? false,
          ...(options.breakBeforeMake && { breakBeforeMake: options.breakBeforeMake }),
          cachesInvalid: options.cachesInvalid ?? false,
        })
      : null;
  const real = saturated ? [] : names.map((name) => new Mmu(builder, name, frames, shape, SMALL));
  const mmus = saturated?.mmus ?? real;
  connectMmus(builder, mmus, latency);
  options.words?.(builder.region('data', frames.count));
  const ready = builder.region('ready', 1);
  const root = builder.region('mm.pgd', 1);
  const monitor = new FlushMonitor(builder, frames, shape, { root: root.at(0), cpus, pages });
  if (saturated) saturated.monitors = [monitor];
  for (const mmu of real) mmu.monitors = [monitor];
  const last = shape.levels.at(-1) as WalkLevel;
  const small: Small = {
    frames,
    mmus,
    monitor,
    pte: (vpn) => frames.entry(1 + Math.floor(vpn / 4), indexOf(last, vpn)),
    pgd: (vpn) => frames.entry(0, Math.floor(vpn / 4)),
  };
  const body = routine('cpu', function* (cpu: number): Steps {
    if (cpu === 0) yield* setUp(small, pages, root, ready);
    else yield* waitFor(ready.at(0), -1, 1);
    yield* mmus[cpu]!.load_root(0, ASID, true);
    yield* routines[cpu]!(small, cpu);
  });
  names.forEach((name, cpu) => builder.processor({ name, tasks: [program(body, cpu)] }));
  return { system: builder.build(), small, saturated };
}

function* setUp({ frames, pte, pgd }: Small, pages: readonly number[], root: Region, ready: Region): Steps {
  yield* frames.alloc(FrameKind.table);
  yield* store(root.at(0), 1);
  for (const table of [1, 2]) {
    yield* frames.alloc(FrameKind.table);
    yield* frames.write(pgd(4 * (table - 1)), mk_pte(table, _PAGE_TABLE));
  }
  for (const vpn of pages) {
    const page = yield* frames.alloc(FrameKind.page);
    yield* frames.xchg(pte(vpn), mk_pte(page, RW | _PAGE_ACCESSED));
  }
  yield* store(ready.at(0), 1);
}

/** Runs a system under seeded random schedules; returns the runs. */
export function randomRuns(system: System, seeds: number, stepsMax = 2000): ScheduledRun[] {
  const executor = new DirectExecutor(system);
  executor.observe = true;
  return Array.from({ length: seeds }, (_, seed) => runScheduler(executor, new RandomScheduler(seed), stepsMax));
}
