/** The editor: loaded when somebody writes. */
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { bracketMatching, HighlightStyle, StreamLanguage, syntaxHighlighting } from '@codemirror/language';
import { c } from '@codemirror/legacy-modes/mode/clike';
import { typescript } from '@codemirror/legacy-modes/mode/javascript';
import { lintGutter, setDiagnostics, type Diagnostic } from '@codemirror/lint';
import { Compartment, EditorState } from '@codemirror/state';
import { drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers } from '@codemirror/view';
import { tags } from '@lezer/highlight';
import type { Mistake } from '../engine/api.ts';

/** Colours of the page, so that both themes are right; kinds differ in weight and slant as well. */
const style = HighlightStyle.define([
  { tag: [tags.keyword, tags.modifier, tags.controlKeyword], color: 'var(--c2)', fontWeight: '700' },
  { tag: [tags.string, tags.special(tags.string)], color: 'var(--ok)' },
  { tag: [tags.number, tags.bool, tags.null], color: 'var(--bad)' },
  { tag: tags.comment, color: 'var(--ink3)', fontStyle: 'italic' },
  { tag: [tags.typeName, tags.className], color: 'var(--c1)' },
  { tag: [tags.function(tags.variableName), tags.definition(tags.function(tags.variableName))], color: 'var(--c0)' },
]);

const look = EditorView.theme({
  '&': { height: '100%', fontSize: '12px', backgroundColor: 'var(--panel)', color: 'var(--ink)' },
  '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '18px' },
  '.cm-gutters': { backgroundColor: 'var(--sunk)', color: 'var(--ink3)', borderRight: '1px solid var(--line)' },
  '.cm-activeLine, .cm-activeLineGutter': { backgroundColor: 'color-mix(in srgb, var(--chgs) 45%, transparent)' },
  '.cm-cursor': { borderLeftColor: 'var(--ink)' },
  '&.cm-focused .cm-selectionBackground, .cm-selectionBackground': { backgroundColor: 'var(--c0s) !important' },
  '.cm-tooltip': { backgroundColor: 'var(--panel)', color: 'var(--ink)', border: '1px solid var(--line2)' },
  '.cm-lintRange-error': { backgroundImage: 'none', borderBottom: '2px dotted var(--bad)' },
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

function languageOf(name: string) {
  if (/\.(patch|diff)$/.test(name)) return [];
  return StreamLanguage.define(name.endsWith('.c') ? c : typescript);
}

/** Puts an editor into an element. */
export function createEditor(parent: HTMLElement, onChange: () => void): Editor {
  const language = new Compartment();
  const stateOf = (text: string, name: string): EditorState =>
    EditorState.create({
      doc: text,
      extensions: [
        lineNumbers(),
        lintGutter(),
        history(),
        drawSelection(),
        highlightActiveLine(),
        bracketMatching(),
        syntaxHighlighting(style),
        // Tab moves the focus on, so that the keyboard can leave.
        keymap.of([...defaultKeymap, ...historyKeymap]),
        language.of(languageOf(name)),
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
      const { doc } = view.state;
      const diagnostics = mistakes.map(({ line, text }): Diagnostic => {
        const { from, to } = doc.line(Math.max(1, Math.min(line ?? 1, doc.lines)));
        return { from, to, severity: 'error', message: text };
      });
      view.dispatch(setDiagnostics(view.state, diagnostics));
    },
    goTo(line) {
      const { from } = view.state.doc.line(Math.max(1, Math.min(line, view.state.doc.lines)));
      view.dispatch({ selection: { anchor: from }, effects: EditorView.scrollIntoView(from, { y: 'center' }) });
      view.focus();
    },
  };
}
