/**
 * A device with a page table of its own and a driver that may sleep: on-demand paging of an RDMA adapter.
 *
 * Mirrors drivers/infiniband/core/umem_odp.c and drivers/infiniband/hw/mlx5/odp.c as they were from v3.19 to v5.4:
 * ib_umem_notifier_invalidate_range_start() and its relatives, pagefault_mr().
 */
import {
  load,
  point,
  routine,
  smp_rmb,
  type Steps,
  type SystemBuilder,
  checkOptions,
  keysOf,
  checkFlag,
} from '@shootdown/machine';
import { page_request, page_response, stop_device, type Device } from './device.ts';
import { fault_says } from './fault.ts';
import { might_sleep, type MmuNotifierOps, type NotifierCall } from './notifier.ts';
import { SecondaryMmu, type PrimaryMmu, type PrimaryPage, type SecondaryMmuOptions } from './secondary-mmu.ts';
import type { SecondaryTlb } from './secondary-tlb.ts';

/** What a memory region is made of. Its lock is umem_mutex. */
export interface OdpOptions extends SecondaryMmuOptions {
  readonly device: Device;
  readonly tlb: SecondaryTlb;
}

const ODP_KEYS = keysOf<OdpOptions>()('frames', 'table', 'format', 'lock', 'rangeGrows', 'device', 'tlb');

/** One memory region with on-demand paging: struct ib_umem_odp. */
export class Odp extends SecondaryMmu {
  readonly device: Device;
  readonly tlb: SecondaryTlb;

  constructor(builder: SystemBuilder, name: string, options: OdpOptions) {
    checkOptions(`mmu-notifier: ${name}: new`, options, ODP_KEYS, [
      'frames',
      'table',
      'format',
      'lock',
      'device',
      'tlb',
    ]);
    if (options.rangeGrows !== undefined) checkFlag(`mmu-notifier: ${name}: new: rangeGrows`, options.rangeGrows);
    super(builder, name, options);
    this.device = options.device;
    this.tlb = options.tlb;
  }

  /** ib_umem_notifiers. There has never been a change_pte(). */
  get ops(): MmuNotifierOps {
    return {
      invalidate_range_start: (call) => this.serve(call, 0, (own) => invalidate_range_start(this, own)),
      invalidate_range_end: (call) => this.serve(call, undefined, (own) => invalidate_range_end(this, own)),
      invalidate_page: (call) => this.serve(call, undefined, (own) => invalidate_page(this, own)),
      release: (call) => this.serve(call, undefined, (own) => release(this, own)),
    };
  }
}

const invalidate_range_start = routine(
  'ib_umem_notifier_invalidate_range_start',
  function* (odp: Odp, call: NotifierCall): Steps<number> {
    yield* ib_umem_notifier_start_account(odp, call);
    yield* mlx5_ib_invalidate_range(odp, call);
    return 0;
  },
);

const invalidate_range_end = routine(
  'ib_umem_notifier_invalidate_range_end',
  function* (odp: Odp, call: NotifierCall): Steps {
    yield* ib_umem_notifier_end_account(odp, call);
  },
);

const invalidate_page = routine('ib_umem_notifier_invalidate_page', function* (odp: Odp, call: NotifierCall): Steps {
  yield* ib_umem_notifier_start_account(odp, call);
  yield* mlx5_ib_invalidate_range(odp, call);
  yield* ib_umem_notifier_end_account(odp, call);
});

/** The account stays open, so that no fault maps anything any more. */
const release = routine('ib_umem_notifier_release', function* (odp: Odp, call: NotifierCall): Steps {
  yield* ib_umem_notifier_start_account(odp, call);
  yield* stop_device(odp.device);
  yield* mlx5_ib_invalidate_range(odp, call);
});

function* ib_umem_notifier_start_account(odp: Odp, call: NotifierCall): Steps {
  yield* umem_mutex_lock(odp, call);
  yield* odp.begin(call.start, call.end, 'notifiers_count++');
  yield* odp.lock.unlock();
}

function* ib_umem_notifier_end_account(odp: Odp, call: NotifierCall): Steps {
  yield* umem_mutex_lock(odp, call);
  yield* odp.inc_seq('notifiers_seq++');
  yield* odp.dec_in_progress('notifiers_count--');
  yield* odp.lock.unlock();
}

function* umem_mutex_lock(odp: Odp, call: NotifierCall): Steps {
  yield* might_sleep(call, 'mutex_lock(umem_mutex)');
  yield* odp.lock.lock();
}

/** Removes the entries of a range; returns when the adapter uses none of them any more. */
const mlx5_ib_invalidate_range = routine('mlx5_ib_invalidate_range', function* (odp: Odp, call: NotifierCall): Steps {
  let flush = false;
  yield* umem_mutex_lock(odp, call);
  for (let index = call.start; index < call.end; index++) {
    if (!odp.format.present(yield* odp.read(index, `mtt[${index}]`))) continue;
    yield* odp.xchg(index, 0, `mtt[${index}] = none`);
    flush = true;
  }
  if (flush) {
    yield* odp.tlb.invalidate('mlx5_ib_update_mtt(ZAP)');
    yield* odp.tlb.sync('(the adapter has answered)');
  }
  yield* odp.lock.unlock();
});

/**
 * pagefault_mr(), on behalf of a device that waits: fills in the entry of a page, or lets the device ask again because
 * an invalidation has come between (-EAGAIN). False: there is no such page, or the device has been stopped.
 */
export const pagefault_mr = routine(
  'pagefault_mr',
  function* (odp: Odp, primary: PrimaryMmu, index: number, write: boolean): Steps<boolean> {
    if (!(yield* page_request(odp.device))) return false;
    const current_seq = yield* load(odp.seq, { label: 'current_seq = notifiers_seq' });
    yield* fault_says(primary, 'read_begin');
    yield* smp_rmb();
    yield* fault_says(primary, 'lookup');
    const page = yield* primary.lookup(index, write);
    if (page) yield* map_dma_page(odp, primary, index, page, current_seq);
    yield* fault_says(primary, 'end');
    if (!page) return false;
    yield* point('put_page', page.pfn);
    yield* primary.release(page);
    return yield* page_response(odp.device);
  },
);

const map_dma_page = routine(
  'ib_umem_odp_map_dma_single_page',
  function* (
    odp: Odp,
    primary: PrimaryMmu,
    index: number,
    { pfn, writable }: PrimaryPage,
    current_seq: number,
  ): Steps<boolean> {
    const { format } = odp;
    yield* odp.lock.lock();
    yield* fault_says(primary, 'lock');
    const stale = yield* ib_umem_mmu_notifier_retry(odp, current_seq);
    yield* fault_says(primary, stale ? 'retry needed' : 'retry not needed');
    const entry = format.make(pfn, writable);
    if (!stale) {
      yield* odp.xchg(index, entry, `mtt[${index}] = ${format.format(entry)}`);
      yield* fault_says(primary, 'install');
    }
    yield* odp.lock.unlock();
    yield* fault_says(primary, 'unlock');
    return !stale;
  },
);

/** The range does not matter: any invalidation of the region turns all of its faults away. */
function* ib_umem_mmu_notifier_retry(odp: Odp, current_seq: number): Steps<boolean> {
  if (yield* odp.isAnyUnderWay('notifiers_count')) return true;
  return (
    (yield* load(odp.seq, {
      label: 'notifiers_seq',
      fact: (seq) => (seq === current_seq ? 'as before' : 'has changed'),
    })) !== current_seq
  );
}
