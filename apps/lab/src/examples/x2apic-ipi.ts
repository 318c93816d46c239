// An actor of my own: does the handler of an IPI see what was stored before the IPI was sent?
import type { Scenario } from '@shootdown/explorer';
import { defineOperation, operation, program, routine, smp_mb, store, SystemBuilder } from '@shootdown/machine';
import { x2apicMachine } from './x2apic.machine.ts';

/**
 * Writes the ICR. In x2APIC mode that is an MSR, and writing it waits for no store: SDM, "MSR Access in x2APIC Mode".
 */
const WRMSR = defineOperation({
  name: 'wrmsr',
  perform(cx, op) {
    cx.send(op.a, { type: 'ipi' });
    return 0;
  },
});

export const x2apicIpi: Scenario = {
  name: 'x2apic-ipi',
  title: 'Does the handler of an IPI see what was stored before the IPI was sent?',
  variants: [
    {
      name: 'no-fence',
      memoryModel: 'tso',
      expected: 'violation',
      source: '25a068b8e9a4 ("x86/apic: Add extra serialization for non-serializing MSRs")',
      summary: 'store, write the ICR',
    },
    {
      name: 'fence',
      memoryModel: 'tso',
      expected: 'safe',
      source: '25a068b8e9a4',
      summary: 'store, weak_wrmsr_fence(), write the ICR',
    },
  ],
  build({ variant, memoryModel }) {
    const builder = new SystemBuilder({ memoryModel });
    const data = builder.region('data', 1).at(0);
    builder.component({
      name: 'CPU1.apic',
      machine: x2apicMachine,
      effects: {
        irq(cx) {
          if (cx.read(data) === 0) cx.fail('the handler sees what was stored', () => 'data is still 0');
        },
      },
    });
    const irr = builder.channel({ name: 'CPU1.IRR', to: 'CPU1.apic', policy: 'level' });
    const send = routine('x2apic_send_IPI', function* () {
      yield* store(data, 1, { label: 'data = 1' });
      if (variant.name === 'fence') yield* smp_mb({ label: 'weak_wrmsr_fence()' });
      yield operation(WRMSR, irr, 0, 0, undefined, { label: 'wrmsr(ICR)' });
    });
    builder.processor({ name: 'CPU0', tasks: [program(send)] });
    return builder.build();
  },
};
