/** Bags of options, all over the public API: a name that means nothing ends in one line, wherever it is given. */
import { startCpu, type Cpu } from '@shootdown/cpu';
import { explore, fuzz, mutate, survey } from '@shootdown/explorer';
import { addHost, addVcpu, Vm } from '@shootdown/hypervisor';
import {
  Frames,
  ModelError,
  program,
  rest,
  routine,
  runVirtualTime,
  SystemBuilder,
  TabulatedExecutor,
  verifyPoints,
  type System,
} from '@shootdown/machine';
import {
  contpte,
  gup,
  hypercallTlbFlush,
  ipiTlb,
  Kvm,
  kvmTlbFlush,
  lazy,
  Memslots,
  Mm,
  secondary,
  vmalloc,
  x86Tlb,
} from '@shootdown/mm';
import {
  ContiguousTlb,
  FlushMonitor,
  NestedMmu,
  readReferenceTrace,
  SaturatedTlb,
  SecondStage,
  TlbHierarchy,
} from '@shootdown/mmu';
import { MmuNotifierSubscriptions, Odp } from '@shootdown/mmu-notifier';
import { Ptdump } from '@shootdown/ptdump';
import { histogramText, renderTrace, textTable } from '@shootdown/report';
import { JumpLabels, Rcu } from '@shootdown/sync';
import { MachineRunner } from '@shootdown/topology';
import { describe, expect, it } from 'vitest';

/** Looked at before anything else is, so that the other arguments do not matter here. */
const ANY = null as never;
const builder = new SystemBuilder();
const system: System = (() => {
  const own = new SystemBuilder();
  own.processor({ name: 'CPU0', tasks: [program(routine('rests', () => rest()))] });
  return own.build();
})();
const subscriptions = new MmuNotifierSubscriptions(builder, 'mm');

/** A name that is like no other. */
const UNKNOWN = 'zzyzx';
const bag = { [UNKNOWN]: 1 } as never;

const takers: readonly (readonly [string, () => unknown])[] = [
  ['SystemBuilder', () => new SystemBuilder(bag)],
  ['region', () => builder.region('r', 1, bag)],
  ['processor', () => builder.processor(bag)],
  ['property', () => builder.property(bag)],
  ['channel', () => builder.channel(bag)],
  ['component', () => builder.component(bag)],
  ['spontaneous', () => builder.spontaneous(bag)],
  ['Frames', () => new Frames(builder, bag)],
  ['runVirtualTime', () => runVirtualTime(new TabulatedExecutor(system), bag)],
  ['verifyPoints', () => verifyPoints(system.programs, ANY, bag)],
  ['explore', () => explore(system, bag)],
  ['explore: bounds', () => explore(system, { bounds: bag })],
  ['fuzz', () => fuzz(system, bag)],
  ['mutate', () => mutate(system, bag)],
  ['survey', () => survey(system, bag)],
  ['startCpu', () => startCpu(builder, { name: 'CPU0' } as Cpu, [], {}, bag)],
  ['SaturatedTlb', () => new SaturatedTlb(builder, [], ANY, ANY, 0, [], bag)],
  ['ContiguousTlb', () => new ContiguousTlb(builder, [], ANY, bag)],
  ['SecondStage', () => new SecondStage(builder, bag)],
  ['FlushMonitor', () => new FlushMonitor(builder, ANY, ANY, bag)],
  ['NestedMmu', () => new NestedMmu(builder, 'CPU0', ANY, ANY, bag)],
  ['TlbHierarchy', () => new TlbHierarchy(bag)],
  ['readReferenceTrace', () => readReferenceTrace('none', bag)],
  ['Rcu', () => new Rcu(builder, bag)],
  ['JumpLabels', () => new JumpLabels(builder, bag)],
  ['Mm', () => new Mm(builder, 1, undefined, bag)],
  ['x86Tlb', () => x86Tlb(builder, ANY, [], () => [], bag)],
  ['x86Tlb: invlpgb', () => x86Tlb(builder, ANY, [], () => [], { invlpgb: bag })],
  ['ipiTlb', () => ipiTlb(ANY, [], 1, bag)],
  ['kvmTlbFlush', () => kvmTlbFlush(bag)],
  ['hypercallTlbFlush', () => hypercallTlbFlush(bag)],
  ['GupKernel', () => new gup.GupKernel(builder, [], ANY, ANY, bag)],
  ['VmallocKernel', () => new vmalloc.VmallocKernel(builder, bag)],
  ['ContpteKernel', () => new contpte.ContpteKernel(builder, bag)],
  ['LazyMmu', () => new lazy.LazyMmu(builder, bag)],
  ['primaryMmu', () => secondary.primaryMmu(ANY, ANY, ANY, bag)],
  ['addVcpu', () => addVcpu(builder, { id: 0 }, bag)],
  ['addHost', () => addHost(builder, 0, [], bag)],
  ['Vm', () => new Vm(builder, bag)],
  ['Kvm', () => new Kvm(builder, 'kvm', bag)],
  ['Odp', () => new Odp(builder, 'odp', bag)],
  ['Memslots', () => new Memslots(builder, 'kvm', bag)],
  ['MmuNotifierSubscriptions', () => new MmuNotifierSubscriptions(builder, 'mm', bag)],
  ['MmuNotifierSubscriptions: add', () => subscriptions.add('kvm', {}, bag)],
  ['Ptdump', () => new Ptdump(builder, bag)],
  ['MachineRunner', () => new MachineRunner(ANY, bag)],
  ['renderTrace', () => renderTrace('text', ANY, bag)],
  ['histogramText', () => histogramText(ANY, bag)],
  ['textTable', () => textTable(ANY, bag)],
];

describe('an option that nobody knows', () => {
  it.each(takers)('%s refuses it', async (_, make) => {
    const made = (async () => await make())();
    await expect(made).rejects.toThrow(ModelError);
    await expect(made).rejects.toThrow(/^[^\n]+: unknown option zzyzx[^\n]*$/);
  });
});
