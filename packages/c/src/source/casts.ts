/**
 * `(u16)-a` is a cast if u16 is a type and a difference if it is a variable, which no parser can know that does not
 * keep types. So the names of types in such a place are marked before the text is parsed.
 */

/** What a marked name begins with: `(struct __cast_u16)-a` can be nothing but a cast. */
export const MARK = '__cast_';

const CAST = /\(\s*([A-Za-z_]\w*)(\s*\**\s*)\)(?=\s*[-+*&(~!\w"'])/g;
/** `(a * (b)) && c` is no cast of the address of a label, which GNU writes `&&c`. */
const LABEL = /&&(\s*)(?!sizeof\b)([A-Za-z_]\w*)\b(?!\s*\()/g;
/**
 * `(a * (b)) & c` is no cast of `&c` to a function that returns `a *`, to which C has no casts. A parameter that points
 * to a function is written `(a *(*f)(void))`.
 */
const PRODUCT = /\(\s*([A-Za-z_]\w*)(?=\s*\*[\s*]*\((?!\s*\*\s*\w*\s*\)\s*\())/g;
const KEYWORDS = new Set('void char short int long float double signed unsigned bool _Bool const volatile'.split(' '));
const TYPEDEF = /\btypedef\b/g;

/**
 * Marks the casts of a text to named types.
 * @param isType whether a name is a type that the text does not define itself
 */
export function markCasts(text: string, isType: (name: string) => boolean): string {
  const own = typesOf(text);
  const named = (name: string): boolean => own.has(name) || isType(name);
  return text
    .replaceAll(LABEL, '&&$1($2)')
    .replaceAll(CAST, (all, name: string, stars: string) => (named(name) ? `(struct ${MARK}${name}${stars})` : all))
    .replaceAll(PRODUCT, (all, name: string) => (named(name) || KEYWORDS.has(name) ? all : `((${name})`));
}

/** Names that a text gives types. */
function typesOf(text: string): Set<string> {
  const names = new Set<string>();
  for (const { index } of text.matchAll(TYPEDEF)) {
    let depth = 0;
    let end = index;
    for (; end < text.length && !(text[end] === ';' && depth === 0); end++) {
      if (text[end] === '{') depth++;
      if (text[end] === '}') depth--;
    }
    const name = /(\w+)\s*(?:\[[^\]]*\]\s*)?$/.exec(text.slice(index, end))?.[1];
    if (name !== undefined) names.add(name);
  }
  return names;
}
