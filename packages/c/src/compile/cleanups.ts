/**
 * guard() and scoped_guard() (include/linux/cleanup.h): a lock that is given back wherever its scope is left, by its
 * end, `return`, `break`, `continue` or `goto`.
 */
import { field, lineOf, partsOf, quoted, type Node } from '../source/parser.ts';
import type { FunctionType } from '../types/types.ts';
import { Initializers } from './initializers.ts';

/** A call that is due when a scope is left. */
interface Cleanup {
  readonly name: string;
  readonly type: FunctionType;
  readonly args: readonly number[];
}

/** How to get into a scope and out of it, for the guards that the kernel defines. */
const GUARDS: Readonly<Record<string, readonly [enter: string, leave: string]>> = {
  irq: ['local_irq_disable', 'local_irq_enable'],
  migrate: ['migrate_disable', 'migrate_enable'],
  mmap_read_lock: ['mmap_read_lock', 'mmap_read_unlock'],
  mmap_write_lock: ['mmap_write_lock', 'mmap_write_unlock'],
  mutex: ['mutex_lock', 'mutex_unlock'],
  preempt: ['preempt_disable', 'preempt_enable'],
  raw_spinlock: ['raw_spin_lock', 'raw_spin_unlock'],
  rcu: ['rcu_read_lock', 'rcu_read_unlock'],
  read_lock: ['read_lock', 'read_unlock'],
  rwsem_read: ['down_read', 'up_read'],
  rwsem_write: ['down_write', 'up_write'],
  spinlock: ['spin_lock', 'spin_unlock'],
  spinlock_irq: ['spin_lock_irq', 'spin_unlock_irq'],
  write_lock: ['write_lock', 'write_unlock'],
};

/** What scoped_guard() is turned into by the preprocessor. */
const SCOPED = '__scoped_guard';

export abstract class Cleanups extends Initializers {
  /** What is due, outermost scope first. */
  #due: readonly Cleanup[] = [];

  /** How many guards are open: what {@link leaveTo} goes back to. */
  protected get depth(): number {
    return this.#due.length;
  }

  /** The scopes that are open, to compare with those of a label. */
  protected get due(): readonly Cleanup[] {
    return this.#due;
  }

  protected override inBlock(body: () => void, end?: number): void {
    const before = this.#due;
    super.inBlock(body);
    this.leaveTo(end ?? this.code.at(-1)?.line ?? 1, before.length);
    this.#due = before;
  }

  /** Calls what is due on the way out to a depth. */
  protected leaveTo(line: number, depth: number, due = this.#due): void {
    for (const { name, type, args } of due.slice(depth).reverse())
      this.emit(line, { op: 'call', d: this.register(), name, args, type });
  }

  /** `guard(spinlock)(&lock);` as a statement. True if it is one. */
  protected isGuard(value: Node): boolean {
    if (value.type !== 'call_expression') return false;
    const maker = field(value, 'function');
    return maker.type === 'call_expression' && field(maker, 'function').text === 'guard';
  }

  /** Gets into the scope of a guard, to the end of the block. */
  protected guard(value: Node): void {
    const [name] = partsOf(field(field(value, 'function'), 'arguments'));
    this.#enter(value, name, partsOf(field(value, 'arguments')));
  }

  /** The call in `while (__scoped_guard(spinlock, &lock))`; null if the condition is none. */
  protected scopedGuard(condition: Node): Node | null {
    const [call] = condition.type === 'parenthesized_expression' ? partsOf(condition) : [condition];
    return call?.type === 'call_expression' && field(call, 'function').text === SCOPED ? call : null;
  }

  protected enterScoped(call: Node): void {
    const [name, ...args] = partsOf(field(call, 'arguments'));
    this.#enter(call, name, args);
  }

  #enter(node: Node, name: Node | undefined, args: readonly Node[]): void {
    if (name?.type !== 'identifier') {
      this.miss(node, `${quoted(node)}: guard() needs a name (have: ${Object.keys(GUARDS).join(', ')})`);
      return;
    }
    const own = [`class_${name.text}_constructor`, `class_${name.text}_destructor`] as const;
    const known = Object.hasOwn(GUARDS, name.text) ? GUARDS[name.text] : undefined;
    const [enter, leave] = this.scope.function(own[0]) ? own : (known ?? ['', '']);
    if (enter === '') {
      this.miss(node, `guard(${name.text}) is not known: DEFINE_GUARD() it (have: ${Object.keys(GUARDS).join(', ')})`);
      return;
    }
    const [type, back] = [this.scope.function(enter), this.scope.function(leave)];
    if (!type || !back) {
      this.miss(node, `guard(${name.text}): ${type ? leave : enter}() is not offered here`);
      return;
    }
    // Variables may change before the scope is left: the lock stays the one that was taken.
    const kept = this.argumentsOf(node, enter, type, args).map((r) => {
      const d = this.register();
      this.emit(node, { op: 'move', d, a: r });
      return d;
    });
    this.emit(node, { op: 'call', d: this.register(), name: enter, args: kept, type });
    this.#due = [...this.#due, { name: leave, type: back, args: kept }];
  }

  /**
   * Where a goto from within some scopes goes: to a label by way of what is due in between. Returns the target.
   * @param from scopes that are open at the goto
   * @param to those at the label
   */
  protected wayOut(node: Node, from: readonly Cleanup[], to: readonly Cleanup[], target: number): number {
    if (to.some((one, i) => one !== from[i])) {
      this.miss(node, `goto jumps into the scope of a guard()`);
      return target;
    }
    if (from.length === to.length) return target;
    const way = this.code.length;
    this.leaveTo(lineOf(node), to.length, from);
    this.jump(node, target);
    return way;
  }
}
