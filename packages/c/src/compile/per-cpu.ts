/**
 * Per-CPU variables (include/linux/percpu-defs.h): every CPU's own, and others' by number. Nobody interrupts a program
 * here, so that `this_cpu_inc()` is a load and a store of a word that is its CPU's.
 */
import { partsOf, field, quoted, type Node } from '../source/parser.ts';
import { INT, VOID } from '../types/types.ts';
import type { Access } from './code.ts';
import type { Operand, Place } from './emitter.ts';
import { Expressions } from './expressions.ts';

/** How many arguments each takes. */
const ARGUMENTS: Readonly<Record<string, number>> = {
  read: 1,
  inc: 1,
  dec: 1,
  inc_return: 1,
  dec_return: 1,
  cmpxchg: 3,
  per_cpu: 2,
  per_cpu_ptr: 2,
  this_cpu_ptr: 1,
  raw_cpu_ptr: 1,
  get_cpu_var: 1,
};
const OPERATORS: Readonly<Record<string, string>> = { add: '+', inc: '+', sub: '-', dec: '-', and: '&', or: '|' };
/** What names a place: it can be assigned to. */
const PLACES = new Set(['per_cpu', 'get_cpu_var']);

export abstract class PerCpu extends Expressions {
  /** `per_cpu(x, cpu)` is a place. */
  protected override placeOf(node: Node): Place | undefined {
    if (node.type !== 'call_expression') return super.placeOf(node);
    const name = field(node, 'function').text;
    if (!PLACES.has(name) || this.scope.function(name)) return undefined;
    return this.#placeIn(node, name, partsOf(field(node, 'arguments')));
  }

  protected override perCpu(node: Node, name: string, args: readonly Node[]): Operand {
    if (PLACES.has(name)) return this.fetch(node, this.#placeIn(node, name, args));
    const [pointer] = args;
    const cpu = this.#cpuOf(node, name, args);
    if (!pointer || cpu === null) return this.constant(node, 0, INT);
    const value = this.ofCpu(cpu, () => this.expression(pointer));
    if (pointer.type !== 'pointer_expression')
      return this.wrong(node, `${name}(): expected the address of a per-CPU variable, have ${quoted(pointer)}`);
    return value;
  }

  #placeIn(node: Node, name: string, args: readonly Node[]): Place {
    const [variable] = args;
    const cpu = this.#cpuOf(node, name, args);
    if (!variable || cpu === null) return { kind: 'value', ...this.constant(node, 0, INT) };
    return this.ofCpu(cpu, () => this.place(variable));
  }

  /** The register with the number of the CPU; null, with what is wrong said. */
  #cpuOf(node: Node, name: string, args: readonly Node[]): number | null {
    const wanted = ARGUMENTS[name] ?? 1;
    if (args.length !== wanted) {
      this.miss(node, `${name}() takes ${wanted} argument${wanted === 1 ? '' : 's'} (given: ${args.length})`);
      return null;
    }
    const [, cpu] = args;
    return cpu ? this.coerce(cpu, this.expression(cpu), INT, `argument 2 of ${name}()`).r : this.#thisCpu(node);
  }

  #thisCpu(node: Node): number | null {
    const type = this.scope.function('smp_processor_id');
    if (!type) {
      this.miss(node, 'smp_processor_id() is not offered here');
      return null;
    }
    const d = this.register();
    this.emit(node, { op: 'call', d, name: 'smp_processor_id', args: [], type });
    return d;
  }

  protected override perCpuOperation(node: Node, operation: string, plain: boolean, args: readonly Node[]): Operand {
    const none = (): Operand => this.constant(node, 0, INT);
    const wanted = ARGUMENTS[operation] ?? 2;
    const [variable, ...given] = args;
    if (!variable || args.length !== wanted)
      return this.wrong(node, `this_cpu_${operation}() takes ${wanted} arguments (given: ${args.length})`);
    const cpu = this.#thisCpu(node);
    if (cpu === null) return none();
    const place = this.ofCpu(cpu, () => this.place(variable));
    const values = given.map((arg, i) =>
      this.coerce(arg, this.expression(arg), place.type, `argument ${i + 2} of this_cpu_${operation}()`),
    );
    const [first, second] = values;
    if (operation === 'write') {
      if (first) this.#write(node, place, first, plain ? 'plain' : 'WRITE_ONCE');
      return { ...none(), type: VOID };
    }
    const old = this.#read(node, place, plain ? 'plain' : 'READ_ONCE');
    if (operation === 'read') return old;
    if (operation === 'xchg' && first) {
      this.#write(node, place, first, 'WRITE_ONCE');
      return old;
    }
    if (operation === 'cmpxchg' && first && second) {
      const same = this.arithmetic(node, '==', old, first);
      const other = this.branch(node, same.r, false);
      this.#write(node, place, second, 'WRITE_ONCE');
      this.patch(other);
      return old;
    }
    const [what = '', returns] = operation.split('_');
    const by = first ?? this.constant(node, 1, INT);
    const now = this.coerce(node, this.arithmetic(node, OPERATORS[what] ?? '+', old, by), place.type, quoted(node));
    this.#write(node, place, now, plain ? 'plain' : 'WRITE_ONCE');
    return returns === undefined ? { ...now, type: VOID } : now;
  }

  #read(node: Node, { r, type }: Place, access: Access): Operand {
    const d = this.register();
    this.emit(node, { op: 'load', d, p: r, access, type: this.held(node, quoted(node), type) });
    return { r: d, type };
  }

  #write(node: Node, { r, type }: Place, { r: a }: Operand, access: Access): void {
    this.emit(node, { op: 'store', p: r, a, access, type: this.held(node, quoted(node), type) });
  }
}
