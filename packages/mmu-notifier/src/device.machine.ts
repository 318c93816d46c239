/**
 * The translation agent of a device: whether its engine may access memory.
 *
 * ```
 *            page_request               page_response
 *  running ---------------> faulted --------------------> running
 *     |                        |
 *     +--------- stop ---------+----> stopped
 * ```
 *
 * A device that finds no translation asks for one and waits; when the address space goes, its driver stops it for good.
 * Sources: PCIe base specification 5.0, 10.4 (page requests); drivers/infiniband/hw/mlx5/odp.c, v5.4.
 */
import { emit, setup } from 'xstate';

/** What happens to a device. */
export type DeviceEvent =
  | { readonly type: 'page_request' }
  | { readonly type: 'page_response' }
  /** The driver's answer to release(): no access from now on. */
  | { readonly type: 'stop' };

/** What a device asks of its driver. */
export type DeviceEmitted = { readonly type: 'page_request' } | { readonly type: 'stopped' };

/** A device that asks for pages and accesses them through a table of its own. */
export const deviceMachine = setup({
  types: { events: {} as DeviceEvent, emitted: {} as DeviceEmitted },
  actions: { request: emit({ type: 'page_request' as const }), sayStopped: emit({ type: 'stopped' as const }) },
}).createMachine({
  id: 'device',
  initial: 'running',
  states: {
    running: {
      on: {
        page_request: { target: 'faulted', actions: 'request' },
        stop: { target: 'stopped', actions: 'sayStopped' },
      },
    },
    faulted: { on: { page_response: 'running', stop: { target: 'stopped', actions: 'sayStopped' } } },
    stopped: {},
  },
});
