// What comes out of a rule: claims with their sources and what the receiver does, failure, calls, cases, changes.
import { Exact, shown } from "./api.js";
import { count, h, inline } from "./dom.js";

const MARKS = {
  ok: { mark: "✓", words: "fine", class: "ok" },
  warn: { mark: "!", words: "attention", class: "warn" },
  fail: { mark: "✗", words: "refused", class: "bad" },
};

function mark(standing) {
  const { mark, words, class: name } = MARKS[standing] ?? MARKS.warn;
  return h("span", { class: `mark ${name}` }, h("span", { "aria-hidden": "true" }, mark), h("span", { class: "unseen" }, words));
}

/** Whose words they are, where those do not say it. */
const who = (name, words) => (words.startsWith(name) ? "" : `${name}: `);

/** The value of a claim: long ones are cut, and whole on hover. */
function value(claim) {
  if (claim.type === null) return h("span", { class: "dim" }, "absent");
  const text = claim.value instanceof Exact ? claim.value.digits : shown(claim.value);
  return h("span", { class: `value is-${claim.type}`, title: text.length > 80 ? text : undefined }, text.length > 80 ? `${text.slice(0, 80)}…` : text);
}

/** The claims, one a row. */
export function claims(report, result, go) {
  if (!report) return h("p", { class: "empty" }, "The rule is refused. What is wrong with it stands under its text.");
  const known = new Set(report.claims.map((claim) => claim.name));
  const missed = report.steps.filter((step) => step.standing && !known.has(step.claim));
  const judged = report.claims.some((claim) => claim.receiver) || missed.length > 0;
  if (!report.claims.length && !missed.length) {
    return report.failed ? null : h("p", { class: "empty" }, "No claim yet.");
  }
  const title = result.receiver?.title;
  const row = (claim) => {
    const verdict = claim.receiver;
    return [
      h(
        "tr",
        { class: claim.type === null ? "absent" : undefined, "data-claim": claim.name },
        judged ? h("td", { class: "verdict" }, verdict ? mark(verdict.standing) : "") : null,
        h("th", { scope: "row" }, claim.name, claim.name === result.subject ? h("span", { class: "tag", title: "the claim that identifies the user" }, "user") : null),
        h("td", { class: "shown" }, value(claim)),
        h("td", { class: "kind" }, claim.type ?? ""),
        h("td", { class: "from" }, source(claim.from, go)),
      ),
      verdict && verdict.standing !== "ok"
        ? h("tr", { class: `says ${MARKS[verdict.standing]?.class ?? ""}` }, h("td"), h("td", { colspan: 4 }, who(title ?? verdict.name, verdict.words), inline(verdict.words)))
        : null,
    ];
  };
  return h(
    "table",
    { class: "claims" },
    h("caption", { class: "unseen" }, "The claims that the rule answers"),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        judged ? h("th", { scope: "col" }, h("span", { class: "unseen" }, "what the receiver does")) : null,
        h("th", { scope: "col" }, "Claim"),
        h("th", { scope: "col" }, "Value"),
        h("th", { scope: "col" }, "Type"),
        h("th", { scope: "col" }, "From"),
      ),
    ),
    h(
      "tbody",
      {},
      report.claims.map(row),
      missed.map((step) =>
        h(
          "tr",
          { class: "absent", "data-claim": step.claim },
          h("td", { class: "verdict" }, mark(step.standing)),
          h("th", { scope: "row" }, step.claim),
          h("td", { colspan: 3 }, who(title ?? step.receiver, step.words), inline(step.words)),
        ),
      ),
    ),
  );
}

/** Where a value came from; goes there. */
function source(from, go) {
  const details = [
    from.words,
    from.reads?.length ? `reads ${from.reads.join(", ")}` : null,
    from.alternative ? `alternative ${from.alternative.taken} of ${from.alternative.of}` : null,
    from.changed ? `changed: ${from.changed}` : null,
    from.conversion ? `converted: ${from.conversion}` : null,
    from.place ? `${from.place.file}, line ${from.place.line}` : null,
  ];
  const words = h("span", {}, from.way === "path" || from.way === "text" || from.way === "expression" ? [h("code", {}, from.text ?? ""), from.words.slice((from.way === "expression" ? 2 : 0) + (from.text?.length ?? 0))] : inline(from.words));
  const title = details.filter(Boolean).join("\n");
  if (!from.place) return h("span", { title }, words);
  return h("button", { class: "link", title, onclick: () => go(from.place) }, words, h("span", { class: "line" }, ` :${from.place.line}`));
}

/** The answer as a whole: its status, and of a failure the row of the failure table. */
export function answer(report, result) {
  if (!report) return null;
  const { failed } = report;
  if (!failed) {
    const worst = report.steps.some((step) => step.standing === "fail") ? "fail" : report.steps.some((step) => step.standing === "warn") ? "warn" : "ok";
    return h(
      "p",
      { class: "status" },
      h("span", { class: "badge ok" }, `${report.status}`),
      ` ${count(report.claims.filter((claim) => claim.type !== null).length, "claim")}`,
      result.receiver ? [" for ", h("strong", {}, result.receiver.title), " ", mark(worst)] : h("span", { class: "dim" }, " · no receiver named"),
    );
  }
  return h(
    "div",
    { class: "failure", role: "status" },
    h("p", {}, h("span", { class: "badge bad" }, String(report.status)), " ", h("strong", {}, failed.error ?? ""), " ", inline(failed.words)),
    h(
      "dl",
      {},
      h("dt", {}, "step"), h("dd", {}, `${failed.step}${failed.call ? ` ${failed.call}` : ""}`),
      h("dt", {}, "row"), h("dd", {}, inline(failed.row)),
      h("dt", {}, "do"), h("dd", {}, inline(failed.remedy)),
    ),
  );
}

/** The calls over time. Recorded answers take none: there the rounds are drawn, what waits for what. */
export function calls(report, go) {
  const made = report?.steps.filter((step) => step.step === "call" && step.outcome) ?? [];
  if (!made.length) return h("p", { class: "empty" }, "No call was made.");
  const timed = made.some((call) => call.end_ms !== undefined);
  const rounds = new Map();
  for (const call of made) {
    const after = (call.after ?? []).map((name) => rounds.get(name) ?? 0);
    const start = after.length ? Math.max(...after) : 0;
    rounds.set(call.call, Math.max(rounds.get(call.call) ?? 0, start + 1));
    call.span = timed ? [call.start_ms ?? 0, call.end_ms ?? call.start_ms ?? 0] : [start, start + 1];
  }
  const end = Math.max(...made.map((call) => call.span[1]), timed ? 0.1 : 1);
  const longest = new Set(report.longest_way?.length ? report.longest_way : critical(made, rounds));
  return [
    h(
      "ol",
      { class: "waterfall" },
      made.map((call) => {
        const bar = h("span", { class: `bar ${longest.has(call.call) ? "critical" : ""} ${outcome(call)}` });
        bar.style.marginInlineStart = `${(100 * call.span[0]) / end}%`;
        bar.style.width = `${Math.max((100 * (call.span[1] - call.span[0])) / end, 1)}%`;
        return h(
          "li",
          {},
          h("button", { class: "link name", onclick: () => go(call.place) }, call.call, call.which ? ` ${call.which}` : ""),
          h("span", { class: "track" }, bar),
          h("span", { class: "words" }, timed ? `${call.start_ms ?? 0}–${call.end_ms ?? "…"} ms · ` : "", call.words),
          call.request?.length ? h("code", { class: "request" }, call.request[0]) : null,
        );
      }),
    ),
    longest.size > 1 ? h("p", { class: "note" }, "The longest way: ", h("strong", {}, [...longest].join(" → "))) : null,
    timed ? null : h("p", { class: "note" }, "Recorded answers take no time: the bars are the rounds, what waits for what."),
  ];
}

const outcome = (call) => (call.outcome === "answered" ? "" : call.outcome === "skipped" ? "skipped" : "bad");

function critical(made, rounds) {
  const last = [...made].sort((a, b) => rounds.get(b.call) - rounds.get(a.call))[0];
  const way = [];
  for (let call = last; call && !way.includes(call.call); ) {
    way.unshift(call.call);
    const before = (call.after ?? []).sort((a, b) => (rounds.get(b) ?? 0) - (rounds.get(a) ?? 0))[0];
    call = made.find((other) => other.call === before);
  }
  return way;
}

/** The cases of the rule, each with what differs. */
export function cases(result, { select, accept }) {
  if (!result.cases.length) {
    return h("p", { class: "empty" }, "No case yet. Paste what the provider answers under Answers, then save it as a case.");
  }
  return h(
    "ul",
    { class: "cases" },
    result.cases.map((one, number) => {
      const state = one.passed === null ? "warn" : one.passed ? "ok" : "bad";
      const words = one.passed === null ? "not run: no time" : one.passed ? "passed" : "failed";
      return h(
        "li",
        { class: number === result.case ? "chosen" : undefined },
        h(
          "button",
          { class: "case", "aria-pressed": String(number === result.case), onclick: () => select(number) },
          h("span", { class: `mark ${state}`, "aria-hidden": "true" }, state === "ok" ? "✓" : state === "bad" ? "✗" : "–"),
          h("span", {}, one.name),
          h("span", { class: "unseen" }, `, ${words}`),
        ),
        one.passed === false
          ? h(
              "div",
              { class: "why" },
              one.differences.map((difference) => h("div", { class: "diff" },
                difference.expected ? h("div", { class: "old" }, h("span", { class: "unseen" }, "expected "), `− ${difference.claim} = ${difference.expected}`) : null,
                difference.found ? h("div", { class: "new" }, h("span", { class: "unseen" }, "found "), `+ ${difference.claim} = ${difference.found}`) : null,
                difference.remark ? h("div", { class: "dim" }, difference.remark) : null)),
              one.faults.map((fault) => h("div", {}, inline(fault.words))),
              one.acceptable && number === result.case ? h("button", { class: "small", onclick: accept }, "Expect what comes out") : null,
            )
          : null,
      );
    }),
  );
}

/** What the edit changes, claim by claim. */
export function changes(result) {
  const { changed } = result;
  if (!changed) return h("p", { class: "empty" }, "This rule is not saved yet, so there is nothing to compare with.");
  if (!changed.length) return h("p", { class: "empty" }, result.cases.length ? `No claim changes in ${count(result.cases.length, "case")}.` : "No case says what an edit changes.");
  const subject = changed.some((one) => one.claims?.some((claim) => claim.claim === result.subject && !one.answer));
  return [
    subject ? h("p", { class: "alarm" }, h("strong", {}, `${result.subject} changes`), ": whoever logs in becomes another user.") : null,
    h(
      "ul",
      { class: "changes" },
      changed.map((one) =>
        h(
          "li",
          {},
          h("h3", {}, one.case),
          one.why ? h("p", { class: "dim" }, one.why) : null,
          one.answer ? h("p", {}, h("span", { class: "old" }, `− ${one.answer.old}`), h("span", { class: "new" }, `+ ${one.answer.new}`)) : null,
          (one.claims ?? []).map((claim) => [
            claim.old !== null ? h("div", { class: "old" }, `− ${claim.claim} = ${claim.old}`) : null,
            claim.new !== null ? h("div", { class: "new" }, `+ ${claim.claim} = ${claim.new}`) : null,
          ]),
        ),
      ),
    ),
  ];
}
