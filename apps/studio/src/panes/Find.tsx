/** Looks for a word in the steps of a walk. */
import { found, foundNow, goToFound, query } from './finding.ts';

/** The id of the field, which `/` goes to. */
export const FIND = 'find';

function onKeyDown(event: KeyboardEvent): void {
  const field = event.currentTarget as HTMLElement;
  if (event.key === 'Enter') goToFound(event.shiftKey ? -1 : 1);
  else if (event.key !== 'Escape') return;
  else {
    query.value = '';
    field.blur();
  }
  event.preventDefault();
  event.stopPropagation();
}

export function Find() {
  return (
    <label class="find" title="a word or a routine; Enter: the next step, Shift and Enter: the one before">
      <input
        id={FIND}
        type="search"
        placeholder="Find   /"
        aria-label="find a word or routine"
        aria-keyshortcuts="/"
        value={query.value}
        onInput={(event) => (query.value = event.currentTarget.value)}
        onKeyDown={onKeyDown}
      />
      <span class="dim" role="status" data-testid="found">
        {query.value.trim() === ''
          ? ''
          : found.value.length === 0
            ? 'none'
            : `${foundNow.value} / ${found.value.length}`}
      </span>
    </label>
  );
}
