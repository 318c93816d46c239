/** Parts of panes that most steps leave as they are. */
import { Component, type ComponentType, type VNode } from 'preact';

/**
 * Draws a view again only if what it shows is something else. What it is given is plain data, compared as its text;
 * the view has no state of its own.
 */
export function steady<P extends object>(View: (props: P) => VNode | null): ComponentType<P> {
  return class Steady extends Component<P> {
    #shown = '';

    override shouldComponentUpdate(next: P): boolean {
      return JSON.stringify(next) !== this.#shown;
    }

    override render(props: P): VNode | null {
      this.#shown = JSON.stringify(props);
      return View(props);
    }
  };
}

/** The most that something comes to at a step of a walk: so much room it gets at every step. */
export function mostOf<T extends object>(amount: (walk: T) => Iterable<number>): (walk: T) => number {
  const known = new WeakMap<T, number>();
  return (walk) => {
    let most = known.get(walk);
    if (most === undefined) {
      most = 0;
      for (const one of amount(walk)) most = Math.max(most, one);
      known.set(walk, most);
    }
    return most;
  };
}
