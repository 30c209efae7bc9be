//! What is wrong with a text that may not be saved yet.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    place,
    workspace::{Workspace, beside, kind, stem},
};
use crate::{
    authoring::{draft::Draft, here::Kind},
    config::Settings,
    core::{
        Cases, Compiler, MAX_SOURCE,
        problem::{Problem, Severity, Source},
    },
};

/// The diagnostics of texts, by their addresses.
pub(super) type Found = BTreeMap<String, Vec<Value>>;

/// Looks at a text and gives what is wrong with it, and with the script that it names.
pub(super) fn diagnose(workspace: &Workspace, uri: &str, settings: &Settings, compiler: &Compiler) -> Found {
    if kind(uri) == Kind::Script {
        // What is wrong with it is known by its rule, which need not be open.
        let of_rule = workspace.rule(uri).map(|rule| diagnose(workspace, &rule.uri, settings, compiler));
        let own = of_rule.and_then(|mut found| found.remove(uri)).unwrap_or_default();
        return Found::from([(uri.to_owned(), own)]);
    }
    let Some(text) = workspace.read(uri) else { return Found::new() };
    let source = Source::new(uri, text.as_str());
    let problems = match kind(uri) {
        Kind::Rule => rule(workspace, uri, &source, settings, compiler),
        Kind::Cases => Cases::read(&source).1,
        Kind::Settings | Kind::Script => Vec::new(),
    };
    let mut found = Found::from([(uri.to_owned(), Vec::new())]);
    for problem in &problems {
        let of_rule = problem.place.source.name == uri;
        // The name of a script is that of a file beside the rule.
        let script = if of_rule { None } else { beside(uri, &problem.place.source.name) };
        let text = if of_rule { &text } else { &problem.place.source.text };
        found.entry(script.unwrap_or_else(|| uri.to_owned())).or_default().push(diagnostic(problem, text, uri));
    }
    found
}

fn rule(
    workspace: &Workspace,
    uri: &str,
    source: &std::sync::Arc<Source>,
    settings: &Settings,
    compiler: &Compiler,
) -> Vec<Problem> {
    let name = stem(uri);
    let script = |file: &str| {
        let uri = beside(uri, file).ok_or("a script stands beside its rule")?;
        workspace.read(&uri).ok_or_else(|| format!("it cannot be read, or is larger than {MAX_SOURCE} bytes"))
    };
    let vars = settings.rule.get(&name).map(|rule| rule.vars.clone()).unwrap_or_default();
    let (rule, mut problems) = compiler.compile(&name, source, &vars, &Draft { script: &script });
    let cases = beside(uri, &format!("{name}.test.toml")).and_then(|uri| workspace.read(&uri));
    if let Some(untried) = rule.as_ref().and_then(|rule| rule.untried()).filter(|_| cases.is_none()) {
        problems.add(untried.clone());
    }
    problems.sorted()
}

/// One problem as the protocol has it.
fn diagnostic(problem: &Problem, text: &str, rule: &str) -> Value {
    let severity = match problem.severity() {
        Severity::Error => 1,
        Severity::Warning => 2,
        Severity::Advice => 3,
    };
    let mut message = problem.message.clone();
    if !problem.label.is_empty() {
        message.push_str(&format!(" ({})", problem.label));
    }
    if let Some(help) = &problem.help {
        message.push_str(&format!("\nhelp: {help}"));
    }
    let mut diagnostic = json!({
        "range": range(problem, text),
        "severity": severity,
        "code": problem.code.id(),
        "source": "claimsmith",
        "message": message,
    });
    if problem.place.source.name != rule {
        let start = json!({ "line": 0, "character": 0 });
        diagnostic["relatedInformation"] = json!([{
            "location": { "uri": rule, "range": { "start": start, "end": start } },
            "message": "the rule that runs this script",
        }]);
    }
    diagnostic
}

/// The range in the text as the editor has it. The excerpt of a secret has stars for its letters, so there only lines
/// and columns are the same.
fn range(problem: &Problem, text: &str) -> Value {
    let source = &problem.place.source.text;
    if source == text {
        return place::range(text, &problem.place.span);
    }
    let letters = |at: usize| source.get(..at).unwrap_or_default().chars().count();
    let byte = |letters: usize| text.char_indices().nth(letters).map_or(text.len(), |(at, _)| at);
    place::range(text, &(byte(letters(problem.place.span.start))..byte(letters(problem.place.span.end))))
}
