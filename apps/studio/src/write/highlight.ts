/** Colours of a program, and the brackets at the cursor. */
import { StateField, type EditorState, type Extension, type Range } from '@codemirror/state';
import { Decoration, ViewPlugin, type DecorationSet, type EditorView, type ViewUpdate } from '@codemirror/view';
import { bracketsAt, spansOf, type Span } from './spans.ts';

const marks = new Map<string, Decoration>();
function mark(name: string): Decoration {
  let found = marks.get(name);
  if (!found) marks.set(name, (found = Decoration.mark({ class: `cm-${name}` })));
  return found;
}

/** The colours of a file, and the brackets at the cursor. A patch has none. */
export function languageOf(name: string): Extension {
  if (/\.(patch|diff)$/.test(name)) return [];
  const kind = name.endsWith('.c') ? 'c' : 'ts';
  const read = (state: EditorState): readonly Span[] => spansOf(state.doc.toString(), kind);
  const spans = StateField.define<readonly Span[]>({
    create: read,
    update: (known, { docChanged, state }) => (docChanged ? read(state) : known),
  });
  const seen = (view: EditorView): DecorationSet => {
    const { state, viewport } = view;
    const known = state.field(spans);
    const ranges: Range<Decoration>[] = [];
    for (const { from, to, look } of known)
      if (look !== 'bracket' && to >= viewport.from && from <= viewport.to) ranges.push(mark(look).range(from, to));
    const { main } = state.selection;
    const pair = main.empty ? bracketsAt(known, state.doc.toString(), main.head) : [];
    for (const at of pair)
      ranges.push(mark(pair.length === 2 ? 'matchingBracket' : 'nonmatchingBracket').range(at, at + 1));
    return Decoration.set(ranges, true);
  };
  const colours = ViewPlugin.define(
    (view) => ({
      decorations: seen(view),
      update({ docChanged, viewportChanged, selectionSet, view: now }: ViewUpdate) {
        if (docChanged || viewportChanged || selectionSet) this.decorations = seen(now);
      },
    }),
    { decorations: (plugin) => plugin.decorations },
  );
  return [spans, colours];
}
