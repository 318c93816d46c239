/** A builder for a part of a system: every name it gives gets the part's prefix. */
import { ModelError } from '../state/errors.ts';
import { SystemBuilder } from './system.ts';
import type { ChannelSpec, ComponentSpec, ProcessorSpec, Property, SpontaneousSpec, System, Watcher } from './specs.ts';
import type { Layout, Region, RegionOptions } from '../state/words.ts';

/**
 * Adds parts to another builder under names of its own, so that one machine can hold the same part twice: `vm0.CPU1`
 * and `vm1.CPU1`. Whatever a spec refers to by name is looked for inside the part.
 */
export class ScopedBuilder extends SystemBuilder {
  override readonly layout: Layout;
  readonly #whole: SystemBuilder;
  readonly #prefix: string;

  constructor(whole: SystemBuilder, name: string) {
    super({ memoryModel: whole.memoryModel, storeBufferEntries: whole.storeBufferEntries });
    this.layout = whole.layout;
    this.#whole = whole;
    this.#prefix = `${name}.`;
  }

  override fullName(name: string): string {
    return this.#whole.fullName(this.#prefix + name);
  }

  override region(name: string, cells: number, options?: RegionOptions): Region {
    return this.#whole.region(this.#prefix + name, cells, options);
  }

  override processor(spec: ProcessorSpec): number {
    const { component, gate, migratesTo } = spec;
    return this.#whole.processor({
      ...spec,
      name: this.#prefix + spec.name,
      ...(component !== undefined && { component: this.#prefix + component }),
      ...(gate !== undefined && { gate: this.#prefix + gate }),
      ...(migratesTo && { migratesTo: migratesTo.map((name) => this.#prefix + name) }),
    });
  }

  override component(spec: ComponentSpec): number {
    return this.#whole.component({ ...spec, name: this.#prefix + spec.name });
  }

  override channel(spec: ChannelSpec): number {
    const { from } = spec;
    return this.#whole.channel({
      ...spec,
      name: this.#prefix + spec.name,
      to: this.#prefix + spec.to,
      ...(from !== undefined && { from: this.#prefix + from }),
    });
  }

  override spontaneous(spec: SpontaneousSpec): number {
    const { afterSpinning } = spec;
    return this.#whole.spontaneous({
      ...spec,
      name: this.#prefix + spec.name,
      component: this.#prefix + spec.component,
      ...(afterSpinning && { afterSpinning: { ...afterSpinning, processor: this.#prefix + afterSpinning.processor } }),
    });
  }

  override property(property: Property): void {
    this.#whole.property({ ...property, name: `${this.#prefix}${property.name}` });
  }

  override watch(region: Region, watcher: Watcher): void {
    this.#whole.watch(region, watcher);
  }

  override watchDrains(watcher: Watcher): void {
    this.#whole.watchDrains(watcher);
  }

  override round(routine: string): void {
    this.#whole.round(routine);
  }

  override symmetric(...processors: string[]): void {
    this.#whole.symmetric(...processors.map((name) => this.#prefix + name));
  }

  override build(): System {
    throw new ModelError(`system: build: ${this.#prefix.slice(0, -1)} is a part of a system: build the whole`);
  }
}
