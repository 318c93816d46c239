/**
 * A system: processors that run routines, components that are XState machines, channels between them, one shared state.
 *
 * {@link SystemBuilder} collects the parts (`specs.ts`); {@link SystemBuilder.build} seals them into an immutable
 * {@link System}, which every executor (live or tabulated) can run.
 */
import { checkName, checkOptions, keysOf, ModelError, printable } from '../state/errors.ts';
import { checkWord } from '../state/option-values.ts';
import type { Program } from '../routine/routine.ts';
import { guardedProperty } from './guarded-property.ts';
import { CHOICES_MAX } from '../schedule/schedule.ts';
import { isSteps } from '../routine/noted.ts';
import { nameOfSteps } from '../routine/unbegun.ts';
import { Layout, type Region, type RegionOptions } from '../state/words.ts';
import type {
  Channel,
  ChannelPolicy,
  ChannelSpec,
  Choice,
  Component,
  ComponentSpec,
  MemoryModel,
  Processor,
  ProcessorSpec,
  Property,
  Spontaneous,
  SpontaneousSpec,
  SynchronousChannel,
  System,
  SystemOptions,
  Watch,
  Watcher,
} from './specs.ts';

const CHANNEL_CAPACITY_DEFAULT = 4;
const STORE_BUFFER_ENTRIES_DEFAULT = 4;

const SYSTEM_KEYS = keysOf<SystemOptions>()('memoryModel', 'storeBufferEntries', 'maxHistory', 'weak');
const COMPONENT_KEYS = keysOf<ComponentSpec>()('name', 'machine', 'input', 'effects');
const CHANNEL_KEYS = keysOf<ChannelSpec>()('name', 'to', 'from', 'answer', 'policy', 'capacity', 'latency', 'drained');
const PROCESSOR_KEYS = keysOf<ProcessorSpec>()('name', 'tasks', 'migratesTo', 'handlers', 'component', 'gate');
const SPONTANEOUS_KEYS = keysOf<SpontaneousSpec>()(
  'name',
  'kind',
  'component',
  'message',
  'periodCycles',
  'firstCycles',
  'drained',
  'afterSpinning',
);
const PROPERTY_KEYS = keysOf<Property>()('name', 'kind', 'why', 'reads', 'check', 'checkWords', 'detail');

/** The memory models there are. */
export const MEMORY_MODELS: readonly MemoryModel[] = ['sc', 'tso', 'arm'];
const CHANNEL_POLICIES: readonly ChannelPolicy[] = ['fifo', 'unordered', 'level', 'synchronous'];
/** Indices of synchronous channels begin here: more than any system has choices. */
const SYNCHRONOUS = 1 << 16;
/** What only a channel with messages in flight has. */
const IN_FLIGHT_KEYS = ['answer', 'capacity', 'latency', 'drained'] as const;
const SPONTANEOUS_KINDS: readonly SpontaneousSpec['kind'][] = ['hardware', 'host'];
const PROPERTY_KINDS: readonly Property['kind'][] = ['always', 'sometimes', 'finally'];

/** Collects the parts of a system. Names are unique per kind; mistakes are ModelErrors of one line. */
export class SystemBuilder {
  readonly layout = new Layout();
  readonly memoryModel: MemoryModel;
  /** Stores a processor may have in its buffer under `tso`. */
  readonly storeBufferEntries: number;
  readonly #options: SystemOptions;
  readonly #processors: ProcessorSpec[] = [];
  readonly #components: ComponentSpec[] = [];
  readonly #channels: ChannelSpec[] = [];
  readonly #synchronous: ChannelSpec[] = [];
  readonly #spontaneous: SpontaneousSpec[] = [];
  readonly #properties: Property[] = [];
  readonly #symmetric: string[][] = [];
  readonly #rounds = new Set<string>();
  readonly #watches: Watch[] = [];
  readonly #names = new Set<string>();
  readonly #drainWatchers: Watcher[] = [];
  #built = false;

  constructor(options: SystemOptions = {}) {
    checkOptions('system: new', options, SYSTEM_KEYS);
    if (options.memoryModel !== undefined) checkWord('system: new: memoryModel', options.memoryModel, MEMORY_MODELS);
    checkAtLeast('system: new: storeBufferEntries', options.storeBufferEntries, 1);
    checkAtLeast('system: new: maxHistory', options.maxHistory, 1);
    this.#options = options;
    this.memoryModel = options.memoryModel ?? 'sc';
    this.storeBufferEntries = options.storeBufferEntries ?? STORE_BUFFER_ENTRIES_DEFAULT;
  }

  /** What the sealed system calls what is added under a name, for messages that name a processor. */
  fullName(name: string): string {
    return name;
  }

  /** Reserves words; see {@link Layout.region}. */
  region(name: string, cells: number, options?: RegionOptions): Region {
    this.#refuseWhenBuilt(`region: ${printable(name)}`);
    return this.layout.region(name, cells, options);
  }

  /** Adds a processor; returns its index. */
  processor(spec: ProcessorSpec): number {
    const where = checkSpec('processor', spec, PROCESSOR_KEYS, ['name', 'tasks']);
    if (!Array.isArray(spec.tasks)) throw new ModelError(`${where}: tasks: expected a list of programs`);
    spec.tasks.forEach((task, i) => checkProgram(`${where}: task ${i}`, task));
    for (const [vector, handler] of Object.entries(spec.handlers ?? {}))
      checkProgram(`${where}: handler ${vector}`, handler);
    return this.#addNamed('processor', this.#processors, spec);
  }

  /** Adds a component; returns its index. */
  component(spec: ComponentSpec): number {
    checkSpec('component', spec, COMPONENT_KEYS, ['name', 'machine']);
    return this.#addNamed('component', this.#components, spec);
  }

  /** Adds a channel; returns its index, which is what `send` operations name. */
  channel(spec: ChannelSpec): number {
    const where = checkSpec('channel', spec, CHANNEL_KEYS, ['name', 'to', 'policy']);
    checkWord(`${where}: policy`, spec.policy, CHANNEL_POLICIES);
    checkAtLeast(`${where}: capacity`, spec.capacity, 1);
    if (spec.policy !== 'synchronous') return this.#addNamed('channel', this.#channels, spec);
    const given = IN_FLIGHT_KEYS.find((key) => spec[key] !== undefined);
    if (given !== undefined)
      throw new ModelError(`${where}: a synchronous channel has no message in flight, and no ${given}`);
    return SYNCHRONOUS + this.#addNamed('channel', this.#synchronous, spec);
  }

  /** Adds a synchronous channel to a component, from anybody: what others have it do within their own steps. */
  port(component: string): number {
    return this.channel({ name: `${component}.port`, to: component, policy: 'synchronous' });
  }

  /** Adds something that may happen by itself. */
  spontaneous(spec: SpontaneousSpec): number {
    const where = checkSpec('spontaneous choice', spec, SPONTANEOUS_KEYS, ['name', 'kind', 'component', 'message']);
    checkWord(`${where}: kind`, spec.kind, SPONTANEOUS_KINDS);
    return this.#addNamed('spontaneous choice', this.#spontaneous, spec);
  }

  /** Adds a property. Throws ModelError on a kind that is none and on a name taken twice. */
  property(property: Property): void {
    const where = checkSpec('property', property, PROPERTY_KEYS, ['name', 'kind', 'check']);
    checkWord(`${where}: kind`, property.kind, PROPERTY_KINDS);
    const given: { readonly check: unknown } = property;
    const check = given.check;
    if (typeof check !== 'function') throw new ModelError(`${where}: check: expected a function (${printable(check)})`);
    if (/^(Async|Generator)/.test(check.constructor.name))
      throw new ModelError(`${where}: check: it must return true or false, so it cannot be async or a generator`);
    this.#addNamed('property', this.#properties, property);
  }

  /**
   * Names a routine in which others are told something and waited for. A trace prints it as one line with whom it told,
   * unless something else happened meanwhile.
   */
  round(routine: string): void {
    this.#refuseWhenBuilt(`round: ${printable(routine)}`);
    this.#rounds.add(routine);
  }

  /**
   * Has every write that reaches a region's memory reported to `watcher` (a hardware walker, for instance), in order of
   * declaration.
   */
  watch(region: Region, watcher: Watcher): void {
    this.#refuseWhenBuilt(`watch: ${region.name}`);
    const index = this.#watches.findIndex((watch) => watch.base === region.base);
    const others = this.#watches[index]?.watcher;
    const both: Watcher = (cx, address, old) => {
      others?.(cx, address, old);
      watcher(cx, address, old);
    };
    const watch: Watch = { base: region.base, cells: region.cells, watcher: others ? both : watcher };
    if (others) this.#watches[index] = watch;
    else this.#watches.push(watch);
  }

  /**
   * Has every store reported that leaves a store buffer, when it is in memory: the oldest of the context's processor.
   */
  watchDrains(watcher: Watcher): void {
    this.#refuseWhenBuilt('watchDrains');
    this.#drainWatchers.push(watcher);
  }

  /** Declares processors interchangeable: they must share their Program objects and have no words of their own. */
  symmetric(...processors: string[]): void {
    this.#refuseWhenBuilt('symmetric');
    this.#symmetric.push(processors);
  }

  /** Seals the system: nothing can be added afterwards. */
  build(): System {
    this.#refuseWhenBuilt('build');
    this.#built = true;
    for (const { name, reads } of this.#properties)
      for (const address of reads ?? [])
        if (!Number.isInteger(address) || address < 0 || address >= this.layout.words)
          throw new ModelError(`system: property: ${name}: reads: ${printable(address)} is the address of no word`);
    const wordClasses = this.memoryModel === 'arm' ? this.layout.classes() : new Uint8Array(0);
    const programs: Program[] = [];
    const programIndex = (p: Program): number => {
      const known = programs.indexOf(p);
      return known >= 0 ? known : programs.push(p) - 1;
    };
    const components = this.#components.map((spec, index) => this.#sealComponent(spec, index));
    const processors = this.#processors.map((spec, index) => this.#sealProcessor(spec, index, programIndex));
    const channels = this.#channels.map((spec, index) => this.#sealChannel(spec, index));
    const synchronous = this.#synchronous.map((spec, i) => this.#joined(spec, SYNCHRONOUS + i, -1, 0));
    const spontaneous = this.#spontaneous.map((spec, index) => this.#sealSpontaneous(spec, index));
    const weakAddress = this.memoryModel === 'arm' ? this.layout.region('weak_memory', 1).base : -1;
    const { weak = {} } = this.#options;
    const choices = listChoices(processors, channels, spontaneous);
    if (choices.length > CHOICES_MAX)
      throw new ModelError(
        `system: build: ${choices.length} choices, at most ${CHOICES_MAX}: make the machine smaller`,
      );
    return {
      memoryModel: this.memoryModel,
      storeBufferEntries: this.storeBufferEntries,
      layout: this.layout,
      programs,
      processors,
      components,
      channels,
      synchronous,
      spontaneous,
      properties: this.#properties.map((property) => guardedProperty(property, this.layout)),
      choices,
      watches: this.#watches,
      replacements: undefined,
      drainWatchers: this.#drainWatchers,
      // The views of a weak memory are each processor's own: none stands for another.
      symmetric: (this.memoryModel === 'arm' ? [] : this.#symmetric).map((group) =>
        group.map((name) => this.#processorIndex(name)),
      ),
      maxHistory: this.#options.maxHistory ?? Number.POSITIVE_INFINITY,
      rounds: [...this.#rounds],
      weak: this.memoryModel === 'arm' ? (typeof weak === 'function' ? weak() : weak) : null,
      weakAddress,
      wordClasses,
    };
  }

  #addNamed<S extends { readonly name: string }>(kind: string, list: S[], spec: S): number {
    const name = `${kind} ${spec.name}`;
    this.#refuseWhenBuilt(`${kind}: ${spec.name}`);
    if (this.#names.has(name)) throw new ModelError(`system: ${kind}: name taken twice (${spec.name})`);
    this.#names.add(name);
    return list.push(spec) - 1;
  }

  /** What is added to a system that exists would be in no run of it, and nobody would be told. */
  #refuseWhenBuilt(what: string): void {
    if (this.#built)
      throw new ModelError(`system: ${what}: the system is built already: add everything before build()`);
  }

  // What is assembled has every key: whoever looks at one after another finds it in the same place.

  #sealComponent(spec: ComponentSpec, index: number): Component {
    const region = this.layout.region(`${spec.name}.state`, 1);
    return {
      name: spec.name,
      machine: spec.machine,
      input: spec.input,
      effects: spec.effects,
      index,
      address: region.base,
      processor: this.#processors.findIndex((p) => p.component === spec.name),
      gates: this.#processors.findIndex((p) => p.gate === spec.name),
    };
  }

  #sealProcessor(spec: ProcessorSpec, index: number, programIndex: (p: Program) => number): Processor {
    if (spec.tasks.length === 0) throw new ModelError(`system: processor: ${spec.name} has no task`);
    const taskBase = this.layout.region(`${spec.name}.task`, spec.tasks.length).base;
    const handlerNames = Object.entries(spec.handlers ?? {});
    const interruptAddress = handlerNames.length > 0 ? this.layout.region(`${spec.name}.interrupt`, 1).base : -1;
    const currentAddress = spec.tasks.length > 1 ? this.layout.region(`${spec.name}.current`, 1).base : -1;
    const bufferWords = 1 + 2 * this.storeBufferEntries;
    const bufferBase =
      this.memoryModel === 'tso' ? this.layout.region(`${spec.name}.store_buffer`, bufferWords).base : -1;
    return {
      name: spec.name,
      index,
      tasks: spec.tasks.map(programIndex),
      migratesTo: (spec.migratesTo ?? []).map((name) => this.#processorIndex(name, spec.name)),
      handlers: Object.fromEntries(handlerNames.map(([vector, p]) => [vector, programIndex(p)])),
      component: spec.component === undefined ? -1 : this.#componentIndex(spec.component, spec.name),
      gate: spec.gate === undefined ? -1 : this.#componentIndex(spec.gate, spec.name),
      taskBase,
      interruptAddress,
      currentAddress,
      bufferBase,
    };
  }

  #sealChannel(spec: ChannelSpec, index: number): Channel {
    if (spec.policy === 'level' && (spec.capacity ?? 1) !== 1) {
      throw new ModelError(
        `system: channel: ${spec.name} is level and wants capacity ${spec.capacity}: it holds one message, so give every message its own channel`,
      );
    }
    const capacity = spec.policy === 'level' ? 1 : (spec.capacity ?? CHANNEL_CAPACITY_DEFAULT);
    const base = this.layout.region(`${spec.name}.messages`, capacity).base;
    return this.#joined(spec, index, base, capacity);
  }

  #joined(spec: ChannelSpec, index: number, base: number, capacity: number): Channel {
    return {
      name: spec.name,
      to: spec.to,
      policy: spec.policy,
      from: spec.from,
      answer: spec.answer,
      capacity,
      latency: spec.latency,
      drained: spec.drained,
      toComponent: this.#componentIndex(spec.to, spec.name),
      fromComponent: spec.from === undefined ? -1 : this.#componentIndex(spec.from, spec.name),
      index,
      base,
    };
  }

  #sealSpontaneous(spec: SpontaneousSpec, index: number): Spontaneous {
    return {
      name: spec.name,
      kind: spec.kind,
      component: spec.component,
      message: spec.message,
      periodCycles: spec.periodCycles,
      firstCycles: spec.firstCycles,
      drained: spec.drained,
      afterSpinning: spec.afterSpinning,
      index,
      toComponent: this.#componentIndex(spec.component, spec.name),
      spinner: spec.afterSpinning ? this.#processorIndex(spec.afterSpinning.processor, spec.name) : -1,
    };
  }

  #componentIndex(name: string, user: string): number {
    const index = this.#components.findIndex((c) => c.name === name);
    if (index < 0)
      throw new ModelError(
        `system: ${user}: no component ${name} (have: ${this.#components.map((c) => c.name).join(', ') || 'none'})`,
      );
    return index;
  }

  #processorIndex(name: string, user = 'symmetric'): number {
    const index = this.#processors.findIndex((p) => p.name === name);
    if (index < 0)
      throw new ModelError(
        `system: ${user}: no processor ${name} (have: ${this.#processors.map((p) => p.name).join(', ')})`,
      );
    return index;
  }
}

/** The synchronous channel of an index, if it is one. */
export function synchronousChannel({ synchronous }: System, index: number): SynchronousChannel | undefined {
  return index < SYNCHRONOUS ? undefined : synchronous[index - SYNCHRONOUS];
}

/** Checks the names of a specification; returns what messages about it begin with. */
function checkSpec(
  kind: string,
  spec: { readonly name: string },
  known: readonly string[],
  required: readonly string[],
): string {
  checkOptions(`system: ${kind}`, spec, known, required);
  checkName(`system: ${kind}`, spec.name);
  return `system: ${kind}: ${spec.name}`;
}

function checkProgram(where: string, given: Program): void {
  const value: unknown = given;
  if (typeof value === 'object' && value !== null && !isSteps(value)) {
    const { name, start } = value as Partial<Record<keyof Program, unknown>>;
    if (typeof start === 'function' && typeof name === 'string' && name !== '') return;
    if (typeof start === 'function') throw new ModelError(`${where}: a program without a name`);
  }
  const what = isSteps(value) ? `the steps of ${nameOfSteps(value)}` : printable(value);
  throw new ModelError(`${where}: expected a program, as program(routine, ...arguments) makes it (${what})`);
}

function checkAtLeast(where: string, given: number | undefined, min: number): void {
  if (given !== undefined && !(given >= min && (Number.isInteger(given) || given === Number.POSITIVE_INFINITY)))
    throw new ModelError(`${where}: expected a whole number from ${min} (${printable(given)})`);
}

function listChoices(
  processors: readonly Processor[],
  channels: readonly Channel[],
  spontaneous: readonly Spontaneous[],
): Choice[] {
  return [
    ...processors.map((p): Choice => ({ kind: 'advance', processor: p.index, name: p.name })),
    ...channels.map((c): Choice => ({ kind: 'deliver', channel: c.index, name: `deliver ${c.name}` })),
    ...processors
      .filter((p) => p.bufferBase >= 0)
      .map((p): Choice => ({ kind: 'drain', processor: p.index, name: `drain ${p.name}` })),
    ...spontaneous.map((s): Choice => ({ kind: 'spontaneous', spontaneous: s.index, name: s.name })),
  ];
}
