/** Devices in a system: the actor, and what its engine and its driver say to it. */
import {
  defineOperation,
  operation,
  type Address,
  type Message,
  type Steps,
  type SystemBuilder,
  noted,
} from '@shootdown/machine';
import { deviceMachine } from './device.machine.ts';

/** A device that accesses an address space. */
export interface Device {
  readonly name: string;
  /** Index of its actor. */
  readonly component: number;
  /** Channel to it. */
  readonly port: number;
  /** 1 once its driver has stopped it. */
  readonly stopped: Address;
}

/** Adds a device's actor. */
export function addDevice(builder: SystemBuilder, name: string): Device {
  const stopped = builder.region(`${name}.stopped`, 1, { memory: 'ghost' }).at(0);
  const component = builder.component({
    name,
    machine: deviceMachine,
    effects: { page_request: (cx) => cx.count('page_request'), stopped: (cx) => cx.write(stopped, 1) },
  });
  return { name, component, port: builder.port(name), stopped };
}

const PAGE_REQUEST: Message = { type: 'page_request' };
const PAGE_RESPONSE: Message = { type: 'page_response' };
const STOP: Message = { type: 'stop' };

const TELL = defineOperation({
  name: 'device',
  cost: 'message',
  perform: (cx, op) => (cx.send(op.a, op.data as Message) ? 1 : 0),
});

/** The engine has found no translation and waits; false if it has been stopped. What follows is its driver's work. */
export const page_request = noted(function* page_request(device: Device): Steps<boolean> {
  return (yield operation(TELL, device.port, 0, 0, PAGE_REQUEST, { label: 'page request' })) === 1;
});

/** The engine goes on; false if it has been stopped meanwhile. */
export const page_response = noted(function* page_response(device: Device): Steps<boolean> {
  return (yield operation(TELL, device.port, 0, 0, PAGE_RESPONSE, { label: 'page response' })) === 1;
});

/** The driver stops the engine for good: its accesses under way are over. */
export const stop_device = noted(function* stop_device(device: Device): Steps {
  yield operation(TELL, device.port, 0, 0, STOP, { label: `stop ${device.name}` });
});
