/** The hue of a processor's column. Three hues; further processors repeat them, and name and lane tell them apart. */
export function hueOf(column: number): string {
  return column < 0 ? 'n' : String(column % HUES);
}

const HUES = 3;
