/** Routines as XState actors. */
import { ContentIds } from './content-ids.ts';
import type { Kept, RoutineKeeper } from './keepers.ts';
import { inspection, startActor, throwIfFailed, type Inspector } from './live-actors.ts';
import { fromRoutine, type RoutineSnapshot } from '../routine/from-routine.ts';
import type { Mark, Operation } from '../routine/operation.ts';
import { createActor, type AnyActorRef } from './xstate-adapter.ts';

/** Where a routine stands is the snapshot of its actor. */
export class ActorRoutines implements RoutineKeeper {
  said: readonly Mark[] = [];
  readonly #kept: Kept;
  readonly #inspector: Inspector | undefined;
  readonly #actors = new Map<number, AnyActorRef>();
  readonly #contents = new ContentIds();

  constructor(kept: Kept, inspector: Inspector | undefined) {
    this.#kept = kept;
    this.#inspector = inspector;
  }

  begin(): void {
    this.stop();
  }

  /** Stops all actors. */
  stop(): void {
    for (const actor of this.#actors.values()) actor.stop();
    this.#actors.clear();
  }

  start(address: number, program: number): void {
    this.#actors.get(address)?.stop();
    const { system, store } = this.#kept;
    const body = system.programs[program];
    if (!body) throw new RangeError(`live: start: no program ${program}`);
    const actor = createActor(fromRoutine(body, program, store.words.length), {
      input: undefined,
      ...inspection(this.#inspector),
    });
    startActor(actor, 'routine');
    this.#actors.set(address, actor);
    this.#remember(address);
  }

  clear(address: number): void {
    this.#contents.write(this.#kept.store, address, null);
    this.#actors.get(address)?.stop();
    this.#actors.delete(address);
  }

  swap(a: number, b: number): void {
    const [first, second] = [this.#actors.get(a), this.#actors.get(b)];
    if (!first || !second) throw new RangeError(`live: swap: no routine at ${a} or ${b}`);
    this.#actors.set(a, second);
    this.#actors.set(b, first);
    for (const address of [a, b]) this.#contents.write(this.#kept.store, address, this.#at(address)?.hash ?? null);
  }

  advance(address: number, result: number): boolean {
    const actor = this.actorAt(address);
    if (!actor) throw new RangeError(`live: advance: no routine at ${this.#kept.system.layout.nameOf(address)}`);
    actor.send({ type: 'result', value: result });
    throwIfFailed(actor, 'routine');
    return this.#remember(address).pending === null;
  }

  operationAt(address: number): Operation | null {
    return this.#at(address)?.pending ?? null;
  }

  stackAt(address: number): readonly string[] {
    return this.#at(address)?.stack ?? [];
  }

  stepsAt(): null {
    return null;
  }

  settle(): void {}

  /** The actor of a routine, for inspection and subscription. */
  actorAt(address: number): AnyActorRef | undefined {
    return this.#actors.get(address);
  }

  #at(address: number): RoutineSnapshot | undefined {
    return this.#actors.get(address)?.getSnapshot() as RoutineSnapshot | undefined;
  }

  #remember(address: number): RoutineSnapshot {
    const snapshot = this.#at(address) as RoutineSnapshot;
    this.#contents.write(this.#kept.store, address, snapshot.hash);
    this.said = snapshot.said;
    return snapshot;
  }
}
