/** The weak memory of `arm` and the way to it: no search on another memory model waits until they are loaded. */
type Made = new (...args: never[]) => object;

const files = import.meta.glob<Readonly<Record<string, Made>>>([
  '../../../../packages/machine/src/memory/weak-memory.ts',
  '../../../../packages/machine/src/execute/weak-port.ts',
]);

/** As the executor imports them: undefined until they have been loaded, which only a system of `arm` would notice. */
export let WeakMemory: Made | undefined;
export let WeakPort: Made | undefined;

/** Loads both. */
export async function loadWeakMemory(): Promise<void> {
  const loaded = await Promise.all(Object.values(files).map(async (load) => await load()));
  ({ WeakMemory, WeakPort } = Object.assign({}, ...loaded) as Readonly<Record<string, Made>>);
}
