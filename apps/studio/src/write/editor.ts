/** The editor: loaded when somebody writes. */
import { history } from '@codemirror/commands';
import { EditorState, StateEffect, StateField } from '@codemirror/state';
import { Decoration, EditorView, highlightActiveLine, keymap, lineNumbers, type DecorationSet } from '@codemirror/view';
import type { Mistake } from '../engine/api.ts';
import { languageOf } from './highlight.ts';
import { keys } from './keys.ts';

/** Colours of the page, so that both themes are right; kinds differ in weight and slant as well. */
const look = EditorView.theme({
  '&': { height: '100%', fontSize: '12px', backgroundColor: 'var(--panel)', color: 'var(--ink)' },
  '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '18px' },
  '.cm-gutters': { backgroundColor: 'var(--sunk)', color: 'var(--ink3)', borderRight: '1px solid var(--line)' },
  '.cm-activeLine, .cm-activeLineGutter': { backgroundColor: 'color-mix(in srgb, var(--chgs) 45%, transparent)' },
  '.cm-cursor': { borderLeftColor: 'var(--ink)' },
  '.cm-keyword': { color: 'var(--c2)', fontWeight: '700' },
  '.cm-string': { color: 'var(--ok)' },
  '.cm-number, .cm-atom': { color: 'var(--bad)' },
  '.cm-comment': { color: 'var(--ink3)', fontStyle: 'italic' },
  '.cm-type': { color: 'var(--c1)' },
  '.cm-call': { color: 'var(--c0)' },
  '.cm-matchingBracket': { backgroundColor: 'var(--oks)', outline: '1px solid var(--ok)' },
  '.cm-nonmatchingBracket': { backgroundColor: 'var(--bads)', outline: '1px dashed var(--bad)' },
  '.cm-wrong': { backgroundColor: 'var(--bads)', boxShadow: 'inset 3px 0 var(--bad)' },
});

const setWrong = StateEffect.define<readonly number[]>();
const wrongLine = Decoration.line({ class: 'cm-wrong' });

/** The lines with a mistake, until the next look at them. */
const wrongLines = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(marked, { effects, changes, state: { doc } }) {
    let now = marked.map(changes);
    for (const effect of effects)
      if (effect.is(setWrong))
        now = Decoration.set(
          [...new Set(effect.value)]
            .filter((line) => line >= 1 && line <= doc.lines)
            .sort((a, b) => a - b)
            .map((line) => wrongLine.range(doc.line(line).from)),
        );
    return now;
  },
  provide: (field) => EditorView.decorations.from(field),
});

/** An editor in the page. */
export interface Editor {
  text(): string;
  /** Another text: what was undone before is gone. */
  open(text: string, name: string): void;
  /** Marks lines. */
  show(mistakes: readonly Mistake[]): void;
  goTo(line: number): void;
}

/** Puts an editor into an element. */
export function createEditor(parent: HTMLElement, onChange: () => void): Editor {
  const stateOf = (text: string, name: string): EditorState =>
    EditorState.create({
      doc: text,
      extensions: [
        lineNumbers(),
        wrongLines,
        history(),
        highlightActiveLine(),
        // Tab moves the focus on, so that the keyboard can leave.
        keymap.of(keys),
        languageOf(name),
        EditorView.contentAttributes.of({ 'aria-label': 'code' }),
        EditorView.updateListener.of(({ docChanged }) => docChanged && onChange()),
        look,
      ],
    });
  const view = new EditorView({ parent, state: stateOf('', 'x.ts') });
  return {
    text: () => view.state.doc.toString(),
    open: (text, name) => view.setState(stateOf(text, name)),
    show(mistakes) {
      view.dispatch({ effects: setWrong.of(mistakes.map(({ line }) => line ?? 1)) });
    },
    goTo(line) {
      const { from } = view.state.doc.line(Math.max(1, Math.min(line, view.state.doc.lines)));
      view.dispatch({ selection: { anchor: from }, effects: EditorView.scrollIntoView(from, { y: 'center' }) });
      view.focus();
    },
  };
}
