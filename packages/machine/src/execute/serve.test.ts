import { describe, expect, it } from 'vitest';
import { serveMachine } from './serve.ts';
import { deviceMachine, listenerMachine, processorMachine } from './processor.test-support.machine.ts';

describe('a served component', () => {
  it('answers every call with its state and what it emitted since the last one', () => {
    const device = serveMachine(deviceMachine);
    expect(device.start({ channel: 7 })).toEqual({ value: 'idle', context: { answers: 0, channel: 7 }, emitted: [] });
    expect(device.send({ type: 'ask', from: 4 })).toEqual({
      value: 'busy',
      context: { answers: 1, channel: 7 },
      emitted: [
        { type: 'send', channel: 7, message: { type: 'answer', n: 0 } },
        { type: 'done', from: 4 },
      ],
    });
    expect(device.state()).toMatchObject({ value: 'busy', emitted: [] });
  });

  it('answers with plain data: it could cross a thread', () => {
    const cpu = serveMachine(processorMachine);
    const step = cpu.start();
    expect(structuredClone(step)).toEqual(step);
  });

  it('refuses an event that is not accepted, and stays as it was', () => {
    const cpu = serveMachine(processorMachine);
    cpu.start();
    expect(() => cpu.send({ type: 'unmask' })).toThrow('component: processor: unmask is not accepted in "open"');
    expect(cpu.state().value).toBe('open');
  });

  it('starts anew, and answers nothing before it starts or after it stops', () => {
    const cpu = serveMachine(processorMachine);
    expect(() => cpu.state()).toThrow('component: processor: not started: call start(input) first');
    cpu.start();
    cpu.send({ type: 'mask' });
    expect(cpu.start().value).toBe('open');
    cpu.stop();
    expect(() => cpu.send({ type: 'mask' })).toThrow('not started');
  });

  it('hands an error of the machine to the caller', () => {
    const listener = serveMachine(listenerMachine);
    listener.start();
    expect(() => listener.send({ type: 'poison' })).toThrow('component: listener: Error: the listener fell over');
    expect(listener.start().value).toBe('listening');
  });
});
