//! A comparison for people: `-` is what was, `+` is what will be.

use std::io::{self, IsTerminal};

use super::{
    Changes,
    compare::{ChangedCall, Compared, Comparison, Outcome},
};
use crate::cli::output::count;

pub(super) fn draw(changes: &Changes) -> String {
    let mut lines = Vec::new();
    for rule in &changes.rules {
        lines.extend(about(rule));
    }
    for (names, words) in
        [(&changes.added, "is new"), (&changes.removed, "is gone: requests to it will be answered 404")]
    {
        lines.extend(names.iter().map(|name| format!("{name}: the rule {words}")));
    }
    let subjects: Vec<_> = changes.subjects().collect();
    if !subjects.is_empty() {
        lines.push(String::new());
        lines.push(strong(&format!(
            "THE SUBJECT CHANGES in {}: whoever logs in becomes another user",
            count(subjects.len(), "case")
        )));
        lines.extend(subjects.iter().map(|(rule, claim, case)| strong(&format!("  {rule}: `{claim}` in \"{case}\""))));
    }
    lines.join("\n")
}

fn about(rule: &Comparison) -> Vec<String> {
    let of = |wanted: fn(&Outcome) -> bool| rule.cases.iter().filter(|case| wanted(&case.outcome)).count();
    let differ = of(|outcome| matches!(outcome, Outcome::Different { .. }));
    let same = of(|outcome| *outcome == Outcome::Same);
    let blind = rule.cases.len() - differ - same;
    let mut counts = vec![count(rule.cases.len(), "case"), format!("{differ} differ"), format!("{same} the same")];
    if blind > 0 {
        counts.push(format!("{blind} cannot be compared"));
    }
    let mut lines = vec![format!("{}: {}", rule.rule, counts.join(", "))];
    if rule.cases.is_empty() && rule.is_changed {
        lines.push("  no case says what the change does".into());
    }
    lines.extend(rule.cases.iter().flat_map(case));
    lines.extend(rule.calls.iter().flat_map(call));
    for (what, (gone, new)) in &rule.sets {
        lines.push(format!("  {what}"));
        lines.extend(gone.iter().map(|name| coloured(&format!("    - {name}"))));
        lines.extend(new.iter().map(|name| coloured(&format!("    + {name}"))));
    }
    lines
}

fn case(case: &Compared) -> Vec<String> {
    let (line, _) = case.place.line_and_column();
    let head = format!("  case \"{}\"  ({}:{line})", case.name, case.place.source.name);
    match &case.outcome {
        Outcome::Same => Vec::new(),
        Outcome::Incomparable(why) => vec![head, format!("    cannot be compared: {why}")],
        Outcome::Different { claims, answer } => {
            let mut lines = vec![head];
            if let Some((old, new)) = answer {
                lines.push(coloured(&format!("    - answer {old}")));
                lines.push(coloured(&format!("    + answer {new}")));
            }
            for claim in claims {
                lines.extend(claim.old.as_ref().map(|value| coloured(&format!("    - {} = {value}", claim.name))));
                let kinds = claim.kinds.map(|(old, new)| format!("  (was {old}, is {new})")).unwrap_or_default();
                let new = claim.new.as_ref();
                lines.extend(new.map(|value| coloured(&format!("    + {} = {value}{kinds}", claim.name))));
            }
            lines
        }
    }
}

fn call(call: &ChangedCall) -> Vec<String> {
    let line =
        |mark: char, words: &Option<String>| words.as_ref().map(|words| coloured(&format!("    {mark} {words}")));
    let head = std::iter::once(format!("  call {}", call.name));
    head.chain(line('-', &call.old)).chain(line('+', &call.new)).collect()
}

fn coloured(line: &str) -> String {
    let colour = if line.starts_with("    -") { "31" } else { "32" };
    styled(line, colour)
}

fn strong(line: &str) -> String {
    styled(line, "1;31")
}

fn styled(line: &str, style: &str) -> String {
    if io::stdout().is_terminal() { format!("\u{1b}[{style}m{line}\u{1b}[0m") } else { line.to_owned() }
}
