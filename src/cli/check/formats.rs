//! The problems of a check as text, JSON, SARIF and annotations of GitHub Actions.

use std::io::{self, IsTerminal};

use serde_json::{Value, json};

use crate::cli::output::count;
use crate::core::Platform;
use crate::core::problem::{Code, Level, Problem, Severity, Style, as_json, as_text};

/// With excerpts; the last line says how each level went.
pub(super) fn text(rules: usize, problems: &[Problem]) -> String {
    let style = if io::stdout().is_terminal() { Style::Coloured } else { Style::Plain };
    let mut text: String = problems.iter().map(|problem| format!("{}\n\n", as_text(problem, style))).collect();
    if let Some(problem) = problems.first() {
        text.push_str(&format!("`claimsmith explain {}` says more, and so of every code\n\n", problem.code.id()));
    }
    let levels = Level::ALL.map(|level| {
        let found: Vec<_> = problems.iter().filter(|problem| problem.code.level() == level).collect();
        format!("{} {}", level.name(), if found.is_empty() { "ok".into() } else { counts(&found) })
    });
    text.push_str(&format!("{}: {}", count(rules, "rule"), levels.join(", ")));
    text
}

/// What a place cannot do, or does in its own way.
pub(super) fn host(host: Platform) -> String {
    let lines = host.differences().map(|(capability, degree)| format!("  {}: {}\n", capability.name(), degree.words()));
    let lines: String = lines.collect();
    if lines.is_empty() { String::new() } else { format!("not on {} as under the program:\n{lines}\n", host.name()) }
}

fn counts(problems: &[&Problem]) -> String {
    let of = |severity| problems.iter().filter(|problem| problem.severity() == severity).count();
    let advice = of(Severity::Advice);
    let found = [(of(Severity::Error), "error"), (of(Severity::Warning), "warning")];
    let found = found.iter().filter(|(number, _)| *number > 0).map(|(number, word)| count(*number, word));
    let advice = (advice > 0).then(|| format!("{advice} pieces of advice"));
    found.chain(advice).collect::<Vec<_>>().join(" and ")
}

/// One object: `rules`, `errors`, `warnings`, `problems`.
pub(super) fn json(rules: usize, problems: &[Problem]) -> Value {
    let of = |severity| problems.iter().filter(|problem| problem.severity() == severity).count();
    json!({
        "rules": rules,
        "errors": of(Severity::Error),
        "warnings": of(Severity::Warning),
        "advice": of(Severity::Advice),
        "problems": problems.iter().map(as_json).collect::<Vec<_>>(),
    })
}

/// SARIF 2.1.0 (OASIS), as code scanning takes it.
pub(super) fn sarif(problems: &[Problem]) -> Value {
    let level = |severity| match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Advice => "note",
    };
    let mut codes: Vec<Code> = problems.iter().map(|problem| problem.code).collect();
    codes.sort_by_key(|code| code.id());
    codes.dedup();
    let rules: Vec<_> = codes
        .iter()
        .map(|code| {
            let page = code.page();
            json!({
                "id": code.id(),
                "shortDescription": { "text": page.title },
                "help": { "text": page.text, "markdown": page.text },
                "defaultConfiguration": { "level": level(code.severity()) },
            })
        })
        .collect();
    let results: Vec<_> = problems
        .iter()
        .map(|problem| {
            let (line, column) = problem.place.line_and_column();
            json!({
                "ruleId": problem.code.id(),
                "level": level(problem.severity()),
                "message": { "text": sentence(problem) },
                "locations": [{ "physicalLocation": {
                    "artifactLocation": { "uri": problem.place.source.name.replace('\\', "/") },
                    "region": { "startLine": line, "startColumn": column },
                } }],
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "claimsmith", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

/// Workflow commands of GitHub Actions: one line a problem.
pub(super) fn github(problems: &[Problem]) -> String {
    let lines = problems.iter().map(|problem| {
        let (line, column) = problem.place.line_and_column();
        let kind = match problem.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Advice => "notice",
        };
        let file = escape(&problem.place.source.name).replace(':', "%3A").replace(',', "%2C");
        let (code, words) = (problem.code.id(), escape(&sentence(problem)));
        format!("::{kind} file={file},line={line},col={column},title={code}::{words}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn sentence(problem: &Problem) -> String {
    match &problem.help {
        Some(help) => format!("{} ({}). {help}", problem.message, problem.label),
        None => format!("{} ({})", problem.message, problem.label),
    }
}

/// What a workflow command reads as more than text.
fn escape(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}
