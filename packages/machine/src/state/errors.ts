/**
 * A mistake in what the user gave us: a topology, a routine, a schedule, a flag. Its message is one line of the form
 * `component: operation: reason (value)`; a front end prints that line and nothing else.
 */
export class ModelError extends Error {
  override readonly name: string = 'ModelError';
}

/**
 * A limit of the model itself, which says nothing of the code that meets it: so many translations of a page, so many
 * messages on a channel.
 */
export class LimitError extends ModelError {
  override readonly name = 'LimitError';
}

/**
 * What happens without any operation (a delivery, a drain, an event of a component) has thrown something of its own: a
 * mistake of whoever wrote effects and watchers. It is ours where no module of a user's was loaded.
 */
export class ThrownError extends ModelError {}

/** Whether an error, or what has led to it, is a limit of the model. */
export function isLimit(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) if (at instanceof LimitError) return true;
  return false;
}

/** What an error says in its place, with more words. A limit stays one. */
export function inOtherWords(message: string, cause: unknown): ModelError {
  return isLimit(cause) ? new LimitError(message, { cause }) : new ModelError(message, { cause });
}

/** An error of another thread: on its way it keeps its name and its message alone. */
export function fromThread(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof ModelError) return error;
  if (error.name === 'LimitError') return new LimitError(error.message);
  return error.name === 'ModelError' ? new ModelError(error.message) : error;
}

/** The message of whatever was thrown: anything can be. */
export function thrown(error: unknown): string {
  if (error instanceof ModelError) return error.message;
  return error instanceof Error ? `${error.name}: ${error.message}` : printable(error);
}

/** What a terminal would obey: controls, changes of direction, line ends of other alphabets. */
const CONTROLS = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** Text without any, as most is: looking for that takes a fraction of the time. */
const PLAIN = /^[ -~]*$/;
const PLAIN_LINES = /^[ -~\n\t]*$/;

/** Text with controls written as escapes, which mean the same in JSON. @param kept controls that stay */
export function withoutControls(text: string, kept = ''): string {
  if ((kept === '\n\t' ? PLAIN_LINES : PLAIN).test(text)) return text;
  return text.replaceAll(CONTROLS, (character) => (kept.includes(character) ? character : escaped(character)));
}

function escaped(character: string): string {
  return Array.from({ length: character.length }, (_, i) => {
    const unit = character.charCodeAt(i).toString(16).padStart(4, '0');
    return `\\u${unit}`;
  }).join('');
}

/** Text of a model's that is longer has gone wrong; laying it out would take minutes. */
const TEXT_MAX = 1_000;

/** Text of a model's as it is shown: without controls, and no more than a screen of it. */
export function shownText(text: unknown): string {
  let all: string;
  try {
    all = String(text);
  } catch (error) {
    all = `(no text: it threw ${thrown(error)})`;
  }
  if (all.length <= TEXT_MAX) return withoutControls(all);
  return `${withoutControls(all.slice(0, TEXT_MAX))}... (${all.length} characters)`;
}

/** Throws ModelError on a name that is none: no text, nothing, or more than anybody would read. */
export function checkName(where: string, name: unknown): void {
  if (typeof name !== 'string' || name === '')
    throw new ModelError(`${where}: name: expected some text (${printable(name)})`);
  if (name.length > TEXT_MAX)
    throw new ModelError(
      `${where}: name: ${name.length} characters are too many, at most ${TEXT_MAX} (${printable(name)})`,
    );
}

const PRINTABLE_MAX = 60;

/** A value for a message, in few characters: text in quotes, the name of a class instead of its content. */
export function printable(value: unknown): string {
  try {
    if (typeof value === 'string') return JSON.stringify(value).slice(0, PRINTABLE_MAX);
    if (typeof value === 'function') return `the function ${value.name || '(without a name)'}`;
    if (typeof value !== 'object' || value === null) return String(value);
    const made: unknown = Object.getPrototypeOf(value)?.constructor?.name;
    const named = 'name' in value && typeof value.name === 'string' ? ` ${value.name}` : '';
    if (typeof made === 'string' && made !== '' && made !== 'Object' && made !== 'Array') return `a ${made}${named}`;
    if (Object.prototype.toString.call(value) === '[object Generator]') return 'a generator';
    return (JSON.stringify(value) ?? 'an object').slice(0, PRINTABLE_MAX);
  } catch {
    return typeof value;
  }
}

/** The names of all options of `T`: the build fails when one is missing, or is none. */
export function keysOf<T>() {
  return <const K extends readonly (keyof T & string)[]>(
    ...keys: K & ([keyof T & string] extends [K[number]] ? unknown : readonly ['missing', Exclude<keyof T, K[number]>])
  ): readonly string[] => keys;
}

/**
 * Refuses what is no object of options, has a name that means nothing, or lacks one that it must have: a misspelt
 * option would be ignored in silence.
 * @param where `component: operation`, which begins the message
 */
export function checkOptions(
  where: string,
  options: object,
  known: readonly string[],
  required: readonly string[] = [],
): void {
  const given: unknown = options;
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new ModelError(`${where}: expected an object of ${known.join(', ')} (${printable(given)})`);
  for (const name of Object.keys(given)) {
    if (known.includes(name)) continue;
    const near = nearest(name, known);
    throw new ModelError(
      `${where}: unknown option ${name}${near === null ? '' : `: did you mean ${near}?`} (have: ${known.join(', ')})`,
    );
  }
  for (const name of required)
    if ((given as Record<string, unknown>)[name] === undefined) throw new ModelError(`${where}: ${name} is missing`);
}

/**
 * As {@link checkOptions} where others may add names of their own: only what is nearly a name that is not given is
 * refused.
 */
export function checkNearMisses(where: string, options: object, known: readonly string[]): void {
  const given = Object.keys(options);
  for (const name of given) {
    if (!maybeMeant(name, known)) continue;
    const near = nearest(
      name,
      known.filter((one) => !given.includes(one)),
    );
    if (near !== null) throw new ModelError(`${where}: unknown option ${name}: did you mean ${near}?`);
  }
}

/** By list of known names: is a name nearly one of them? The variants of a scenario ask for the same few names. */
const meant = new WeakMap<readonly string[], Map<string, boolean>>();

function maybeMeant(name: string, known: readonly string[]): boolean {
  let answers = meant.get(known);
  if (answers === undefined) meant.set(known, (answers = new Map()));
  let answer = answers.get(name);
  if (answer === undefined) answers.set(name, (answer = !known.includes(name) && nearest(name, known) !== null));
  return answer;
}

/** Of more names than that, the one that was meant is all that is said, if there is one. */
const NAMES_MAX = 12;

/**
 * What to say of a name that nobody knows:
 * `ptdump-vmaloc (have: ptdump-vmalloc, kvm-pv-flush): did you mean ptdump-vmalloc?`
 */
export function unknownName(name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  if (near !== null && known.length > NAMES_MAX) return `${name}: did you mean ${near}?`;
  return `${name} (have: ${known.join(', ') || 'none'})${near === null ? '' : `: did you mean ${near}?`}`;
}

/** The known name that differs by the fewest letters, if it differs by few; otherwise null. */
export function nearest(name: string, known: readonly string[]): string | null {
  const few = Math.max(1, Math.floor(name.length / 3));
  const near = known
    // Names of other lengths differ by that many letters at least.
    .filter((candidate) => Math.abs(candidate.length - name.length) <= few)
    .map((candidate) => ({ candidate, letters: distance(name, candidate) }))
    .filter(({ letters }) => letters <= few)
    .sort((a, b) => a.letters - b.letters);
  return near[0]?.candidate ?? null;
}

/** Letters to be changed, added, left out or swapped with the next to make one name of another. */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swap = swapped ? (before[j - 2] as number) + 1 : Number.POSITIVE_INFINITY;
      next.push(Math.min(change, swap, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    before = row;
    row = next;
  }
  return row[b.length] as number;
}
