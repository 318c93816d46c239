/** The list of keys. */
import { signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';

/** The list is on the screen. */
export const areKeysShown = signal(false);

const KEYS: readonly (readonly [keys: readonly string[], what: string])[] = [
  [['←', '→'], 'a step back or on (↑ and ↓ in the columns, too)'],
  [['PgUp', 'PgDn'], 'ten steps'],
  [['Home', 'End'], 'the first and the last step'],
  [['n', 'N'], 'the next or previous context switch'],
  [['space'], 'plays, and stops'],
  [['/'], 'finds a word or routine; Enter and Shift+Enter go through its steps'],
  [['1', '…', '9'], 'takes that choice in place of the present step'],
  [['e'], 'from here to the nearest problem'],
  [['Esc'], 'back to the counterexample'],
  [['+', '-'], 'fewer or more steps on the timeline (Ctrl and the wheel, too)'],
  [['t'], 'light or dark'],
  [['?'], 'this list'],
];

export function Keys() {
  const dialog = useRef<HTMLDialogElement>(null);
  const isShown = areKeysShown.value;
  useEffect(() => {
    if (isShown) dialog.current?.showModal();
  }, [isShown]);
  if (!isShown) return null;
  return (
    <dialog ref={dialog} class="keys panel" aria-label="keys" onClose={() => (areKeysShown.value = false)}>
      <form method="dialog" class="ph">
        <h2>Keys</h2>
        <span class="sp" />
        <button class="btn">
          Close <kbd>Esc</kbd>
        </button>
      </form>
      <dl>
        {KEYS.map(([keys, what]) => (
          <div key={what}>
            <dt>
              {keys.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </dialog>
  );
}
