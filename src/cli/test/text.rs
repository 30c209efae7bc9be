//! Results of cases for people: what differs, line by line, and the steps up to the one that failed.

use std::io::{self, IsTerminal};

use super::{Report, Tried};
use crate::{
    cli::output,
    core::{Difference, Step, Verdict},
};

/// All that is to be said of a rule; the steps of cases that pass only if they are asked for.
pub(super) fn show(report: &Report, trace: bool) {
    output::show_problems(&report.problems);
    for tried in report.tried().filter(|tried| trace || !tried.passed() || tried.update.is_some()) {
        let word = match (&tried.update, tried.passed()) {
            (Some(Ok(())), _) => "updated",
            (_, true) => "passed",
            (_, false) => "FAILED",
        };
        let (line, _) = tried.place.line_and_column();
        output::say(&format!("{}: {word}: {}  ({}:{line})", report.rule, tried.verdict.name, tried.place.source.name));
        lines(tried, trace).iter().for_each(|line| output::say(&coloured(line)));
    }
}

pub(super) fn lines(tried: &Tried, trace: bool) -> Vec<String> {
    let verdict = &tried.verdict;
    let mut lines: Vec<_> = difference(verdict).into_iter().map(|line| format!("    {line}")).collect();
    let another = verdict.differences.iter().any(|difference| difference.claim == verdict.subject);
    match &tried.update {
        Some(Ok(())) if another => {
            lines.push(format!("    attention: `{}` is another now, so the user is another", verdict.subject));
        }
        Some(Err(why)) => lines.push(format!("    not updated: {why}")),
        _ => {}
    }
    if let Some(failure) = verdict.failure.as_ref().filter(|_| !verdict.passed()) {
        lines.push(format!("    the rule says: {failure}"));
    }
    if matches!(tried.update, Some(Ok(()))) && !trace {
        return lines;
    }
    let steps = if trace { &verdict.steps[..] } else { up_to_fault(verdict) };
    lines.extend(steps.iter().map(|step| format!("      {}", output::step(step).replace('\n', "\n      "))));
    lines
}

/// What is not as the case expects: `-` is expected and not there, `+` is there and not expected.
pub(super) fn difference(verdict: &Verdict) -> Vec<String> {
    let mut lines = Vec::new();
    for difference in &verdict.differences {
        let Difference { claim, expected, found } = difference;
        lines.extend(expected.as_ref().map(|value| format!("- {claim} = {value}")));
        lines.extend(found.as_ref().map(|value| format!("+ {claim} = {value}")));
        let both = expected.is_some() && found.is_some();
        let remark = if both { difference.remark() } else { None };
        if let (Some(remark), Some(last)) = (remark, lines.last_mut()) {
            last.push_str(&format!("  ({remark})"));
        }
        if let Some(last) = lines.last_mut().filter(|_| !both) {
            last.push_str(if found.is_none() { "  (missing)" } else { "  (not expected)" });
        }
    }
    lines.extend(verdict.faults.iter().map(|fault| format!("! {}", fault.words())));
    lines
}

fn coloured(line: &str) -> String {
    let colour = match line.get(..6) {
        Some("    - ") => "31",
        Some("    + ") => "32",
        _ => return line.to_owned(),
    };
    if io::stdout().is_terminal() { format!("\u{1b}[{colour}m{line}\u{1b}[0m") } else { line.to_owned() }
}

/// The steps up to the one that failed: what came after the last claim that differs has no part in it.
fn up_to_fault(verdict: &Verdict) -> &[Step] {
    let differs = |claim: &String| verdict.differences.iter().any(|difference| difference.claim == *claim);
    let decides = |step: &Step| match step {
        Step::Claim(claim) => differs(&claim.name),
        Step::Judgement { claim, .. } => differs(claim),
        // The script may change any of them.
        Step::Script { .. } => true,
        _ => false,
    };
    match verdict.steps.iter().rposition(decides) {
        Some(last) if verdict.faults.is_empty() => &verdict.steps[..=last],
        _ => &verdict.steps,
    }
}
