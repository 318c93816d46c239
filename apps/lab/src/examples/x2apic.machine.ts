// The local APIC of a CPU that takes an IPI as soon as it comes.
import { emit, setup } from 'xstate';

export const x2apicMachine = setup({
  types: { events: {} as { type: 'ipi' }, emitted: {} as { type: 'irq' } },
}).createMachine({
  initial: 'enabled',
  states: { enabled: { on: { ipi: { actions: emit({ type: 'irq' }) } } } },
});
