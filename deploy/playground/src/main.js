// The page: texts on the left, what comes out of them on the right, at every key press.
import { count, fill, h, inline } from "./dom.js";
import { editor, problemWords } from "./editor.js";
import { trees } from "./tree.js";
import * as views from "./views.js";

const at = (id) => document.getElementById(id);

/** Everything that is known at one moment. What is shown is made of it, never the other way. */
const state = {
  info: {},
  name: "acme",
  /** The texts as they are saved; null for a rule that is not. */
  base: null,
  mark: null,
  case: 0,
  drafts: new Map(),
  result: null,
  live: null,
  root: null,
  more: "list",
};

const BLANK = `description = "Acme: profile"
# receiver  = "supabase"

[call.user]
url = "https://api.acme.example/me"

[claims]
sub = "$.user.id"
`;

export function play(api) {
  const texts = {
    rule: editor(at("text-rule"), options("rule", "Rule")),
    cases: editor(at("text-cases"), options("cases", "Cases")),
  };
  let front = "rule";
  const tree = trees(choose);

  function options(text, label) {
    return {
      label,
      ask: (question, position) => quietly(() => api.ask(question, { ...asked(), text, at: position })),
      changed: () => {
        state.live = null;
        evaluate();
        told();
      },
      saved: save,
    };
  }

  // ---- Asking ----

  function asked() {
    return {
      name: state.name,
      rule: texts.rule.text(),
      cases: texts.cases.text(),
      case: state.case,
      drafts: [...state.drafts.values()],
    };
  }

  async function quietly(work) {
    try {
      return await work();
    } catch {
      return null;
    }
  }

  let asking = false;
  let again = false;
  let ran = 0;

  /** Has the texts evaluated as they are; while that is on its way the newest wait, and no others. */
  async function evaluate() {
    again = true;
    if (asking) return;
    asking = true;
    while (again) {
      again = false;
      const began = performance.now();
      try {
        state.result = await api.ask("evaluate", { ...asked(), base: state.base?.rule });
        if (!again) {
          show();
          ran += 1;
          document.body.dataset.ran = ran;
          at("took").textContent = `${Math.max(1, Math.round(performance.now() - began))} ms`;
        }
      } catch (error) {
        say(error.message, true);
      }
    }
    asking = false;
  }

  // ---- Showing ----

  function show() {
    const { result } = state;
    if (!state.live) state.case = result.case ?? state.case;
    for (const text of ["rule", "cases"]) texts[text].problems(result.problems.filter((problem) => problem.text === text));
    showProblems();
    showCases();
    showAnswers();
    showClaims();
    showMore();
    told();
  }

  function showProblems() {
    const order = { error: 0, warning: 1, advice: 2 };
    const problems = [...state.result.problems].sort((a, b) => order[a.severity] - order[b.severity]);
    const row = (problem) =>
        h(
          "div",
          { class: `problem ${problem.severity}` },
          h("button", { class: "link where", onclick: () => goTo(problem) }, `${problem.text === "rule" ? "" : `${problem.text} `}${problem.line}:${problem.column}`),
          h("span", { class: "unseen" }, ` ${problem.severity}: `),
          h("div", {}, problemWords(problem)),
          problem.fix
            ? h("button", { class: "small", onclick: () => (texts[problem.text].insert(problem.fix), bring(problem.text)) }, `Replace with ${problem.fix.text}`)
            : null,
        );
    // Advice waits until somebody asks for it, as with `check`.
    const advice = problems.filter((problem) => problem.severity === "advice");
    const open = at("problems").querySelector("details")?.open;
    fill(
      at("problems"),
      problems.filter((problem) => problem.severity !== "advice").map(row),
      advice.length ? h("details", { open }, h("summary", {}, count(advice.length, "remark")), advice.map(row)) : null,
    );
  }

  function showCases() {
    const select = at("case");
    const { cases } = state.result;
    const names = cases.length ? cases.map((one) => one.name) : ["no case yet"];
    fill(select, names.map((name, number) => h("option", { value: number, selected: number === state.case }, name)));
    select.disabled = cases.length < 2;
    const failed = cases.filter((one) => one.passed === false).length;
    const changed = state.result.changed?.length ?? 0;
    label("tab-list", "Cases", cases.length, failed ? "bad" : "");
    label("tab-changes", "Changes", changed, changed ? "warn" : "");
  }

  function label(id, words, number, look) {
    fill(at(id), words, number ? [" ", h("span", { class: `count ${look}` }, String(number))] : null);
  }

  /** What a tab of the answers is of: a part of the document, or a request that nobody answers yet. */
  function roots() {
    const { result, live } = state;
    const source = (live ?? result).document ?? {};
    const names = Object.keys(source).filter((name) => name !== "vars" || Object.keys(source.vars ?? {}).length);
    const missing = live ? [] : (result.verdict?.faults ?? []).filter((fault) => fault.request).map((fault) => fault.request);
    const failed = live ? [] : result.answers.filter((answer) => answer.call && !names.includes(answer.call)).map((answer) => answer.call);
    const found = [...new Set([...failed, ...names])].map((name) => ({ id: name, name, value: source[name] }));
    const calls = result.calls ?? [];
    const order = (root) => (calls.includes(root.name) ? calls.indexOf(root.name) : 1000 + ["token", "request", "vars", "meta"].indexOf(root.name));
    found.sort((a, b) => order(a) - order(b));
    return [...missing.map((request) => ({ id: `${request.method} ${request.url}`, name: new URL(request.url).pathname, missing: request })), ...found];
  }

  function showAnswers() {
    const all = roots();
    if (!all.some((root) => root.id === state.root)) state.root = all[0]?.id ?? null;
    const focused = at("roots").contains(document.activeElement);
    fill(
      at("roots"),
      all.map((root) =>
        h(
          "button",
          {
            role: "tab",
            "aria-controls": "answer",
            "aria-selected": String(root.id === state.root),
            tabindex: root.id === state.root ? "0" : "-1",
            class: root.missing ? "missing" : undefined,
            onclick: () => ((state.root = root.id), showAnswers()),
          },
          root.name,
          root.missing ? h("span", { class: "count bad" }, "?") : null,
        ),
      ),
    );
    if (focused) at("roots").querySelector("[aria-selected=true]")?.focus();
    at("save-case").disabled = !!state.result.refused || (state.live ? !state.live.case?.text : false);
    fill(at("banner"), state.live ? liveBanner() : null);
    const root = all.find((one) => one.id === state.root);
    // Who types into an answer keeps the place.
    if (at("answer").contains(document.activeElement) && document.activeElement.matches("textarea, input")) return;
    fill(at("answer"), root ? answerOf(root) : h("p", { class: "empty" }, "No call has an answer."));
  }

  function answerOf(root) {
    if (root.missing) {
      const { method, url } = root.missing;
      return [
        h("p", {}, "No answer is recorded for ", h("code", {}, `${method} ${url}`), ". Paste what the provider answers:"),
        edited({ method, url, status: 200, body: "" }, root.id),
      ];
    }
    const used = state.live ? {} : state.result.used;
    const of = state.live ? [] : state.result.answers.filter((answer) => answer.call === root.name);
    return [
      of.map((answer) => {
        const id = `at ${answer.at}`;
        const changed = state.drafts.has(id) || [...state.drafts.values()].some((draft) => draft.at === undefined && draft.url === answer.url);
        const open = state.editing === id;
        return h(
          "div",
          { class: "request-line" },
          h("code", {}, `${answer.method} ${answer.url}`),
          answer.fails ? h("span", { class: "badge bad" }, answer.fails) : h("span", { class: `badge ${answer.status < 400 ? "ok" : "bad"}` }, String(answer.status)),
          changed ? h("span", { class: "tag" }, "tried out") : null,
          h("button", { class: "small", "aria-expanded": String(open), onclick: () => ((state.editing = open ? null : id), showAnswers()) }, open ? "Close" : "Try another…"),
          changed ? h("button", { class: "small", onclick: () => undo(id, answer.url) }, "As recorded") : null,
          open ? edited(answer, id) : null,
        );
      }),
      root.value === undefined
        ? h("p", { class: "empty" }, "The rule has nothing of this answer: the call failed, or its answer could not be read.")
        : tree(root.name, root.value, used),
    ];
  }

  function undo(id, url) {
    state.drafts.delete(id);
    for (const [key, draft] of state.drafts) if (draft.at === undefined && draft.url === url) state.drafts.delete(key);
    state.editing = null;
    evaluate();
  }

  /** An answer as a text that can be changed; what comes of it is seen at once. */
  function edited(answer, id) {
    const draft = state.drafts.get(id);
    const status = h("input", { type: "number", min: 200, max: 599, value: draft?.status ?? answer.status ?? 200, "aria-label": "Status" });
    const body = h("textarea", { rows: 8, spellcheck: "false", "aria-label": `Body of ${answer.method} ${answer.url}` });
    body.value = draft?.body ?? answer.body ?? "";
    const change = () => {
      state.drafts.set(id, {
        at: answer.at,
        method: answer.method,
        url: answer.url,
        status: Number(status.value) || 200,
        body: body.value,
      });
      evaluate();
    };
    status.addEventListener("input", change);
    body.addEventListener("input", change);
    return h("div", { class: "edited" }, h("label", {}, "Status ", status), body);
  }

  function showClaims() {
    const { result, live } = state;
    const report = live?.report ?? result.report;
    if (report) state.last = { report, result };
    const { last } = state;
    at("claims").classList.toggle("stale", !report && !!last);
    if (report || !last) return fill(at("claims"), views.answer(report, result), views.claims(report, result, goPlace));
    // What came out before: who types is not to lose sight of it.
    fill(
      at("claims"),
      h("p", { class: "status" }, h("span", { class: "badge bad" }, "refused"), " The rule as it is does not run. Before that it gave:"),
      views.claims(last.report, last.result, goPlace),
    );
  }

  function showMore() {
    const report = state.live?.report ?? state.result.report;
    const made = {
      list: () => views.cases(state.result, { select: selectCase, accept }),
      calls: () => views.calls(report, goPlace),
      changes: () => views.changes(state.result),
    };
    const focused = at("more").contains(document.activeElement);
    fill(at("more"), made[state.more]());
    if (focused) at("more").querySelector("[aria-pressed=true]")?.focus();
  }

  // ---- Doing ----

  async function choose(steps) {
    const view = texts.rule;
    const place = await quietly(() => api.ask("insert", { ...asked(), text: "rule", at: view.at(), steps }));
    if (!place) return;
    bring("rule");
    view.insert(place);
    view.view.focus();
  }

  function bring(text) {
    front = text;
    for (const one of ["rule", "cases"]) {
      const tab = at(`tab-${one}`);
      tab.setAttribute("aria-selected", String(one === text));
      tab.tabIndex = one === text ? 0 : -1;
      at(`text-${one}`).hidden = one !== text;
    }
    texts[text].view.requestMeasure();
  }

  function goTo(problem) {
    if (!texts[problem.text]) return;
    bring(problem.text);
    texts[problem.text].go(problem.from, problem.to);
  }

  function goPlace(place) {
    bring("rule");
    texts.rule.line(place.line);
  }

  function selectCase(number) {
    state.case = number;
    state.drafts.clear();
    state.editing = null;
    state.live = null;
    evaluate();
  }

  async function accept() {
    await tried(async () => {
      const { text } = await api.ask("accept", asked());
      texts.cases.put(text);
    });
  }

  async function tried(work) {
    try {
      return await work();
    } catch (error) {
      say(error.message, true);
      return null;
    }
  }

  function dirty() {
    const { rule, cases } = state.base ?? state.begun ?? { rule: "", cases: "" };
    return texts.rule.text() !== rule || texts.cases.text() !== cases;
  }

  async function save() {
    const saved = { name: state.name, rule: texts.rule.text(), cases: texts.cases.text() };
    if (!api.server || !state.info.write) return download(saved);
    await tried(async () => {
      const { mark } = await api.save({ ...saved, mark: state.mark });
      state.mark = mark;
      state.base = saved;
      say(`saved ${state.name}.toml`);
      await rules();
      evaluate();
    });
  }

  function download({ name, rule, cases }) {
    for (const [file, text] of [[`${name}.toml`, rule], [`${name}.test.toml`, cases]]) {
      if (!text) continue;
      const url = URL.createObjectURL(new Blob([text], { type: "application/toml" }));
      const link = h("a", { href: url, download: file });
      link.click();
      setTimeout(() => URL.revokeObjectURL(url), 10_000);
    }
  }

  async function open(name) {
    await tried(async () => {
      const opened = await api.open(name);
      const shipped = name.startsWith("catalogue:");
      begin(opened, shipped ? { rule: opened.rule, cases: opened.cases } : opened);
    });
  }

  /** Begins with a rule. */
  function begin({ name, rule, cases, mark }, base) {
    // An example is no work of anybody's.
    state.begun = rule === BLANK ? { rule, cases } : null;
    Object.assign(state, { name, mark: mark ?? null, base: base ? { rule: base.rule, cases: base.cases } : null });
    Object.assign(state, { case: 0, live: null, last: null, root: null, editing: null });
    state.drafts.clear();
    texts.rule.begin(rule);
    texts.cases.begin(cases);
    document.title = `${name} · claimsmith playground`;
    bring("rule");
    evaluate();
    told();
    rules();
  }

  function told() {
    const problems = state.result?.problems ?? [];
    const errors = problems.filter((problem) => problem.severity === "error").length;
    const warnings = problems.filter((problem) => problem.severity === "warning").length;
    const words = [errors ? count(errors, "error") : null, warnings ? count(warnings, "warning") : null].filter(Boolean).join(", ");
    fill(
      at("state"),
      h("span", { class: `dot ${errors ? "bad" : warnings ? "warn" : "ok"}`, "aria-hidden": "true" }),
      words || "no problems",
      dirty() ? h("span", { class: "tag" }, state.base ? "edited" : "not saved") : null,
    );
  }

  async function rules() {
    const listed = await quietly(() => api.rules());
    if (!listed) return;
    const own = listed.rules.includes(state.name) ? listed.rules : [...listed.rules, state.name];
    fill(
      at("rules"),
      h("optgroup", { label: listed.folder ?? "rules" }, own.map((name) => h("option", { value: name, selected: name === state.name }, name))),
      h("optgroup", { label: "shipped rules" }, listed.catalogue.map((name) => h("option", { value: `catalogue:${name}` }, name))),
    );
    return listed;
  }

  let quiet;
  function say(words, wrong = false) {
    clearTimeout(quiet);
    fill(at("said"), h("span", { class: wrong ? "bad" : "" }, inline(words)));
    quiet = setTimeout(() => fill(at("said")), wrong ? 9000 : 4000);
  }

  // ---- Dialogs ----

  /** Asks for something; gives the fields, or null. */
  function dialog(title, fields, action, words) {
    return new Promise((resolve) => {
      const note = h("p", { class: "bad", role: "alert" });
      const form = h(
        "form",
        { method: "dialog" },
        h("h2", {}, title),
        words ? h("p", { class: "dim" }, inline(words)) : null,
        fields.map(({ label: text, ...field }) => {
          const { value, area, ...attributes } = field;
          const input = h(area ? "textarea" : "input", { ...attributes, autocomplete: "off", spellcheck: "false", ...(area ? { rows: 9 } : {}) });
          input.value = value ?? "";
          return h("label", {}, text, input);
        }),
        note,
        h("div", { class: "buttons" }, h("button", { type: "button", onclick: () => box.close() }, "Cancel"), h("button", { class: "main", value: "ok" }, action)),
      );
      const box = h("dialog", { "aria-label": title }, form);
      box.addEventListener("close", () => {
        const values = Object.fromEntries(new FormData(form));
        const said = box.returnValue === "ok" ? values : null;
        // A token is nowhere in the page after this.
        box.remove();
        resolve(said);
      });
      document.body.append(box);
      box.showModal();
    });
  }

  async function startNew() {
    const said = await dialog(
      "A rule from what a provider answers",
      [
        { label: "Name of the rule", name: "name", pattern: "[a-z0-9][a-z0-9_\\-]{0,63}", required: true, placeholder: "acme" },
        { label: "Address that gives the answer", name: "url", type: "url", placeholder: "https://api.acme.example/me" },
        { label: "What it answers (JSON, XML, a form, a JWT)", name: "text", area: true },
      ],
      "Make the rule",
      "Nothing is sent anywhere. Without an answer you get an empty rule.",
    );
    if (!said) return;
    if (!said.text.trim()) {
      const rule = said.url ? BLANK.replace("https://api.acme.example/me", said.url) : BLANK;
      return begin({ name: said.name, rule, cases: "" }, null);
    }
    await tried(async () => {
      const samples = [{ call: "user", url: said.url, text: said.text }];
      const made = await api.ask("propose", { name: said.name, samples });
      begin({ name: said.name, rule: made.rule, cases: made.cases }, null);
      if (made.remarks.length) say(made.remarks[0]);
    });
  }

  async function saveCase() {
    if (state.live) return addLive();
    const said = await dialog("Save as case", [{ label: "What it shows", name: "name", required: true, placeholder: "a private e-mail is found" }], "Save");
    if (!said) return;
    await tried(async () => {
      const { text, case: number } = await api.ask("case", { ...asked(), new: said.name });
      keep(text, number);
    });
  }

  /** Cases with one more. */
  function keep(text, number) {
    texts.cases.put(text);
    state.drafts.clear();
    state.editing = null;
    state.live = null;
    state.case = number;
    if (state.info.write) save();
    else evaluate();
  }

  function addLive() {
    const before = texts.cases.text();
    const gap = before === "" || before.endsWith("\n\n") ? "" : before.endsWith("\n") ? "\n" : "\n\n";
    keep(`${before}${gap}${state.live.case.text}`, state.result.cases.length);
  }

  async function live() {
    const said = await dialog(
      "A real login",
      [{ label: "Access token of the caller", name: "token", type: "password", required: true }],
      "Run",
      "The rule asks its providers once, with this token. It is kept nowhere, and not logged.",
    );
    if (!said) return;
    at("live").disabled = true;
    await tried(async () => {
      const { name, rule, cases } = asked();
      state.live = await api.live({ name, rule, cases, token: said.token });
      state.root = null;
      show();
    });
    at("live").disabled = false;
  }

  function liveBanner() {
    const { case: written } = state.live;
    return h(
      "p",
      { class: "banner" },
      h("strong", {}, "A real login. "),
      written.text ? "Save it as a case: what tells who it was is replaced first. " : `It cannot be saved as a case: ${written.why}. `,
      h("button", { class: "small", onclick: () => ((state.live = null), show()) }, "Back to the case"),
    );
  }

  // ---- Beginning ----

  function tabs() {
    for (const list of document.querySelectorAll("[role=tablist]")) {
      list.addEventListener("keydown", (event) => {
        const all = [...list.querySelectorAll("[role=tab]")];
        const now = all.indexOf(document.activeElement);
        const step = { ArrowRight: 1, ArrowLeft: -1, Home: -now, End: all.length - 1 - now }[event.key];
        if (step === undefined || now < 0) return;
        event.preventDefault();
        const next = all[(now + step + all.length) % all.length];
        next.click();
        (list.querySelector("[aria-selected=true]") ?? next).focus();
      });
    }
    for (const text of ["rule", "cases"]) at(`tab-${text}`).addEventListener("click", () => bring(text));
    for (const more of ["list", "calls", "changes"]) {
      at(`tab-${more}`).addEventListener("click", () => {
        state.more = more;
        for (const one of ["list", "calls", "changes"]) {
          at(`tab-${one}`).setAttribute("aria-selected", String(one === more));
          at(`tab-${one}`).tabIndex = one === more ? 0 : -1;
        }
        at("more").setAttribute("aria-labelledby", `tab-${more}`);
        showMore();
      });
    }
  }

  function theme() {
    const system = matchMedia("(prefers-color-scheme: dark)");
    const stored = localStorage.getItem("claimsmith.theme");
    const apply = (wanted) => (document.documentElement.dataset.theme = wanted ?? (system.matches ? "dark" : "light"));
    apply(stored);
    system.addEventListener("change", () => apply(localStorage.getItem("claimsmith.theme")));
    at("theme").addEventListener("click", () => {
      const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
      localStorage.setItem("claimsmith.theme", next);
      apply(next);
    });
  }

  async function start() {
    theme();
    tabs();
    state.info = await api.start(async (words) => {
      const said = await dialog(
        "A key is needed",
        [{ label: "Key", name: "key", type: "password", required: true }],
        "Open",
        words ?? "The address that `claimsmith play` prints has one. It opens one page.",
      );
      return said?.key ?? "none";
    });
    at("save").textContent = state.info.write ? "Save" : "Download";
    at("live").hidden = !state.info.live;
    at("new").addEventListener("click", startNew);
    at("save").addEventListener("click", save);
    at("save-case").addEventListener("click", saveCase);
    at("live").addEventListener("click", live);
    at("case").addEventListener("change", (event) => selectCase(Number(event.target.value)));
    at("rules").addEventListener("change", async (event) => {
      if (dirty() && !confirm("The texts are not saved. Leave them?")) return rules();
      open(event.target.value);
    });
    at("format").addEventListener("click", () =>
      tried(async () => {
        const { text } = await api.ask("format", { ...asked(), text: front });
        if (text !== texts[front].text()) texts[front].put(text);
      }),
    );
    at("copy").addEventListener("click", () =>
      tried(async () => {
        await navigator.clipboard.writeText(texts[front].text());
        say(front === "rule" ? "copied the rule" : "copied the cases");
      }),
    );
    window.addEventListener("beforeunload", (event) => dirty() && event.preventDefault());
    const listed = await rules();
    const wanted = state.info.open ?? listed?.rules[0];
    const there = wanted && (wanted.startsWith("catalogue:") || listed?.rules.includes(wanted));
    if (there) await open(wanted);
    else begin({ name: wanted ?? "acme", rule: BLANK, cases: "" }, null);
    document.body.dataset.ready = "yes";
  }

  return start();
}
