// The colours of a rule: TOML, with JSONPath and Rhai in its strings.
import { StreamLanguage } from "@codemirror/language";

const RHAI_KEYS = new Set(["rhai", "when", "until", "that", "source"]);
const RHAI_WORDS =
  /^(?:let|const|if|else|switch|for|in|while|loop|do|until|fn|return|break|continue|throw|try|catch|is_def_var|private)\b/;

/** One token of Rhai. */
function rhai(stream) {
  if (stream.eatSpace()) return null;
  if (stream.match(/^\/\/.*/)) return "comment";
  if (stream.match(RHAI_WORDS)) return "keyword";
  if (stream.match(/^(?:true|false|this)\b/)) return "bool";
  if (stream.match(/^\d[\d_]*(?:\.\d+)?/)) return "number";
  if (stream.match(/^`(?:[^`\\]|\\.)*`/) || stream.match(/^\\?"(?:[^"\\]|\\[^"])*\\?"/)) return "string";
  if (stream.match(/^[A-Za-z_]\w*(?=\s*\()/)) return "variableName.function";
  if (stream.match(/^[A-Za-z_]\w*/)) return "variable";
  if (stream.match(/^[-+*/%=<>!&|^?:.]+/)) return "operator";
  stream.next();
  return "punctuation";
}

/** One token of a JSONPath. */
function path(stream) {
  if (stream.match(/^[$@]/)) return "keyword";
  if (stream.match(/^\.{1,2}[\w\u0080-\uffff]+/)) return "property";
  if (stream.match(/^(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")/)) return "string";
  if (stream.match(/^(?:true|false|null)\b/)) return "bool";
  if (stream.match(/^-?\d+/)) return "number";
  if (stream.match(/^[a-z]+(?=\()/)) return "variableName.function";
  if (stream.match(/^[=!<>&|*?]+/)) return "operator";
  stream.next();
  return "punctuation";
}

/** Inside a string of TOML. */
function string(stream, state) {
  const { quote } = state;
  if (state.braces > 0) {
    if (stream.peek() === "}" && state.braces === 1) {
      stream.next();
      state.braces = 0;
      return "brace";
    }
    if (stream.match("{")) state.braces += 1;
    else if (stream.match("}")) state.braces -= 1;
    else if (!stream.match(quote, false)) return rhai(stream);
    else state.braces = 0;
    if (stream.current()) return "punctuation";
  }
  if (stream.match(quote)) {
    state.quote = null;
    return "string";
  }
  if (state.inside === "rhai") return rhai(stream);
  if (state.inside === "path") return path(stream);
  if (stream.match("${")) {
    state.braces = 1;
    return "brace";
  }
  while (!stream.eol() && !stream.match(quote, false) && !stream.match("${", false)) {
    if (stream.next() === "\\" && quote.startsWith('"')) stream.next();
  }
  return "string";
}

/** Rules and cases. */
export const language = StreamLanguage.define({
  name: "rule",
  startState: () => ({ quote: null, inside: null, braces: 0, key: null, value: false, depth: [] }),
  copyState: (state) => ({ ...state, depth: [...state.depth] }),
  token(stream, state) {
    if (state.quote) {
      const token = string(stream, state);
      // A string of one line that was never closed ends with it.
      if (state.quote?.length === 1 && stream.eol()) Object.assign(state, { quote: null, braces: 0 });
      return token;
    }
    if (stream.sol() && !state.depth.length) state.value = false;
    if (stream.eatSpace()) return null;
    if (stream.match(/^#.*/)) return "comment";
    if (!state.value && !state.depth.length && stream.match(/^\[\[?[^\]#]*\]?\]?/)) {
      state.key = null;
      return "heading";
    }
    if (!state.value && stream.match(/^(?:"(?:[^"\\]|\\.)*"|'[^']*'|[\w-]+)/)) {
      state.key = stream.current().replace(/["']/g, "");
      return "labelName";
    }
    if (stream.match(/^=/)) {
      state.value = true;
      return "operator";
    }
    const quote = stream.match(/^(?:'''|"""|'|")/);
    if (quote) {
      const inside = RHAI_KEYS.has(state.key) ? "rhai" : stream.match(/^\$[.[]/, false) ? "path" : null;
      Object.assign(state, { quote: quote[0], inside, braces: 0 });
      if (quote[0].length === 1 && stream.eol()) state.quote = null;
      return "string";
    }
    if (stream.match(/^(?:true|false)\b/)) return "bool";
    if (stream.match(/^[-+\d][\w.:+-]*/)) return "number";
    const mark = stream.next();
    if (mark === "{" || mark === "[") {
      state.depth.push({ mark, key: state.key });
      state.value = mark === "[";
    } else if (mark === "}" || mark === "]") {
      state.key = state.depth.pop()?.key ?? null;
      state.value = true;
    } else if (mark === ",") {
      state.value = state.depth.at(-1)?.mark === "[";
    }
    return "punctuation";
  },
  languageData: { commentTokens: { line: "#" }, closeBrackets: { brackets: ["(", "[", "{", "'", '"'] } },
  tokenTable: {},
});
