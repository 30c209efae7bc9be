// The editor: CodeMirror, told by the language server's engine what may stand where, and by `check` what is wrong.
import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { HighlightStyle, bracketMatching, syntaxHighlighting } from "@codemirror/language";
import { lintGutter, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { EditorState } from "@codemirror/state";
import {
  EditorView,
  drawSelection,
  highlightActiveLine,
  highlightActiveLineGutter,
  hoverTooltip,
  keymap,
  lineNumbers,
} from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { h, inline, markdown } from "./dom.js";
import { language } from "./language.js";

const colours = HighlightStyle.define([
  { tag: tags.comment, color: "var(--c-comment)", fontStyle: "italic" },
  { tag: tags.heading, color: "var(--c-table)", fontWeight: "600" },
  { tag: tags.propertyName, color: "var(--c-path)" },
  { tag: tags.variableName, color: "var(--c-name)" },
  { tag: tags.function(tags.variableName), color: "var(--c-function)" },
  { tag: tags.string, color: "var(--c-string)" },
  { tag: tags.number, color: "var(--c-number)" },
  { tag: tags.bool, color: "var(--c-number)" },
  { tag: tags.keyword, color: "var(--c-word)" },
  { tag: tags.operator, color: "var(--muted)" },
  { tag: tags.punctuation, color: "var(--muted)" },
  { tag: tags.labelName, color: "var(--c-key)" },
  { tag: tags.brace, color: "var(--c-word)", fontWeight: "600" },
]);

const look = EditorView.theme({
  "&": { height: "100%", color: "var(--text)", backgroundColor: "var(--panel)", fontSize: "13px" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.6", overflow: "auto" },
  ".cm-content": { padding: "8px 0", caretColor: "var(--text)" },
  ".cm-cursor": { borderLeftColor: "var(--text)", borderLeftWidth: "2px" },
  "&.cm-focused": { outline: "none" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "var(--selection)",
  },
  ".cm-gutters": { backgroundColor: "var(--panel)", color: "var(--faint)", border: "none" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "var(--line)" },
  ".cm-tooltip": {
    backgroundColor: "var(--raised)",
    color: "var(--text)",
    border: "1px solid var(--edge)",
    borderRadius: "6px",
    boxShadow: "var(--shadow)",
    maxWidth: "min(46em, 92vw)",
    overflow: "hidden",
  },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", fontSize: "12.5px", maxHeight: "16em" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: "2px 8px" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li[aria-selected]": {
    backgroundColor: "var(--accent)",
    color: "var(--on-accent)",
  },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li[aria-selected] .cm-completionDetail": { color: "inherit" },
  ".cm-completionDetail": { color: "var(--muted)", fontStyle: "normal", marginLeft: "1em" },
  ".cm-completionInfo, .cm-tooltip-hover": { fontFamily: "var(--sans)", fontSize: "13px" },
  ".cm-completionInfo": { padding: "8px 12px" },
  ".cm-diagnostic": { padding: "6px 10px", borderLeft: "3px solid var(--bad)", fontFamily: "var(--sans)" },
  ".cm-diagnostic-warning": { borderLeftColor: "var(--warn)" },
  ".cm-diagnostic-info": { borderLeftColor: "var(--accent)" },
  ".cm-diagnosticAction": {
    backgroundColor: "var(--accent)",
    color: "var(--on-accent)",
    borderRadius: "4px",
    padding: "2px 8px",
    margin: "4px 0 0",
    font: "inherit",
  },
  ".cm-lintRange-error": { backgroundImage: "none", textDecoration: "underline wavy var(--bad) 1.2px", textUnderlineOffset: "3px" },
  ".cm-lintRange-warning": { backgroundImage: "none", textDecoration: "underline wavy var(--warn) 1.2px", textUnderlineOffset: "3px" },
  ".cm-lintRange-info": { backgroundImage: "none", textDecoration: "underline dotted var(--accent) 1.2px", textUnderlineOffset: "3px" },
  ".cm-lintPoint:after": { borderBottomColor: "var(--bad)" },
  ".cm-gutter-lint": { width: "14px" },
  ".cm-lint-marker": { width: "8px", height: "8px", padding: "7px 3px", content: "none !important" },
  ".cm-lint-marker:after": { content: "''", display: "block", width: "8px", height: "8px", borderRadius: "50%", background: "var(--bad)" },
  ".cm-lint-marker-warning:after": { background: "var(--warn)" },
  ".cm-lint-marker-info:after": { background: "var(--accent)" },
  ".words": { padding: "6px 12px", maxHeight: "40vh", overflow: "auto" },
  ".words p, .words ul": { margin: "4px 0" },
  ".words ul": { paddingLeft: "1.2em" },
  ".words pre": { margin: "6px 0", padding: "6px 8px", background: "var(--code)", borderRadius: "4px", overflow: "auto" },
  ".words code, .words pre, .cm-diagnostic code": { fontFamily: "var(--mono)", fontSize: "12px" },
  ".cm-diagnostic code, .words code": { background: "var(--code)", borderRadius: "3px", padding: "0 3px" },
  ".cm-diagnostic .code": { color: "var(--muted)", fontFamily: "var(--mono)", fontSize: "11px", marginLeft: "8px" },
  ".cm-matchingBracket": { backgroundColor: "var(--selection) !important" },
});

/** What the protocol calls a kind of completion, as an icon has it. */
const KINDS = { 2: "method", 3: "function", 5: "property", 6: "variable", 9: "namespace", 10: "property", 12: "constant", 20: "keyword" };
const SEVERITIES = { error: "error", warning: "warning", advice: "info" };

/** The words of a problem. */
export function problemWords(problem) {
  return [
    h("strong", {}, inline(problem.message)),
    problem.label ? h("span", {}, " — ", inline(problem.label)) : null,
    h("span", { class: "code" }, problem.code),
    problem.help ? h("div", {}, inline(problem.help)) : null,
  ];
}

/** An editor in an element. `ask` asks about the text, `changed` is told when somebody types. */
export function editor(place, { label, ask, changed, saved }) {
  // In a shadow tree its styles are adopted sheets, which the policy of the page allows without an exception.
  const root = place.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(":host { display: block; height: 100%; } .host { height: 100%; }");
  root.adoptedStyleSheets = [sheet];
  const host = h("div", { class: "host" });
  root.append(host);

  async function complete(context) {
    if (!context.explicit && !context.matchBefore(/[\w$.[{"'@=]$/)) return null;
    const items = await ask("complete", context.pos);
    if (!items?.length || context.aborted) return null;
    return {
      from: Math.min(...items.map((item) => item.from)),
      filter: false,
      options: filtered(items, context.state, context.pos),
    };
  }

  /** Those that begin as what is typed does, or hold it. */
  function filtered(items, state, pos) {
    const scored = items.map((item, at) => {
      const typed = state.sliceDoc(item.from, pos).replace(/^["']/, "").toLowerCase();
      const name = item.label.toLowerCase();
      return { item, at, score: name.startsWith(typed) ? 0 : name.includes(typed) ? 1 : 2 };
    });
    return scored
      .filter(({ score }) => score < 2)
      .sort((a, b) => a.score - b.score || a.at - b.at)
      .map(({ item }) => ({
        label: item.label,
        detail: item.detail,
        type: KINDS[item.kind],
        info: item.doc ? () => markdown(item.doc) : undefined,
        apply: (view) => {
          const to = Math.max(item.to, view.state.selection.main.head);
          view.dispatch({
            changes: { from: item.from, to, insert: item.text },
            selection: { anchor: item.from + item.text.length },
            userEvent: "input.complete",
          });
        },
      }));
  }

  async function hover(view, pos) {
    const found = await ask("hover", pos);
    if (!found?.words) return null;
    return { pos: found.from, end: found.to, above: true, create: () => ({ dom: markdown(found.words) }) };
  }

  const extensions = [
    lineNumbers(),
    lintGutter(),
    history(),
    drawSelection(),
    bracketMatching(),
    closeBrackets(),
    highlightActiveLine(),
    highlightActiveLineGutter(),
    language,
    syntaxHighlighting(colours),
    look,
    autocompletion({ override: [complete], icons: false }),
    hoverTooltip(hover, { hoverTime: 350 }),
    keymap.of([
      { key: "Mod-s", preventDefault: true, run: () => (saved(), true) },
      ...closeBracketsKeymap,
      ...completionKeymap,
      ...lintKeymap,
      ...defaultKeymap,
      ...historyKeymap,
    ]),
    EditorView.lineWrapping,
    EditorView.contentAttributes.of({ "aria-label": label, tabindex: "0", spellcheck: "false", autocorrect: "off", autocapitalize: "off" }),
    EditorView.updateListener.of((update) => update.docChanged && changed()),
  ];
  const view = new EditorView({ root, parent: host, state: EditorState.create({ extensions }) });

  return {
    view,
    text: () => view.state.doc.toString(),
    /** Begins with a text: nothing before it can be undone. */
    begin(text) {
      view.setState(EditorState.create({ doc: text, extensions }));
    },
    /** Changes the text as if it was typed. */
    put(text) {
      view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } });
    },
    insert({ from, to, text }) {
      view.dispatch({
        changes: { from, to, insert: text },
        selection: { anchor: from + text.length },
        scrollIntoView: true,
        userEvent: "input",
      });
    },
    at: () => view.state.selection.main.head,
    go(from, to = from) {
      const end = view.state.doc.length;
      view.dispatch({
        selection: { anchor: Math.min(from, end), head: Math.min(to, end) },
        effects: EditorView.scrollIntoView(Math.min(from, end), { y: "center" }),
      });
      view.focus();
    },
    line(number) {
      const line = view.state.doc.line(Math.min(Math.max(number, 1), view.state.doc.lines));
      this.go(line.from, line.to);
    },
    problems(problems) {
      const end = view.state.doc.length;
      const diagnostics = problems.map((problem) => ({
        from: Math.min(problem.from, end),
        to: Math.min(Math.max(problem.to, problem.from), end),
        severity: SEVERITIES[problem.severity],
        message: problem.message,
        renderMessage: () => h("div", {}, problemWords(problem)),
        actions: problem.fix
          ? [{ name: `Replace with ${problem.fix.text}`, apply: () => this.insert(problem.fix) }]
          : [],
      }));
      view.dispatch(setDiagnostics(view.state, diagnostics));
    },
  };
}
