//! A plan round by round: what starts together stands together.

use super::{Plan, kept, time};
use crate::{cli::output::count, core::CallOutline};

pub(super) fn draw(plan: &Plan) -> String {
    let calls = &plan.outline.calls;
    let rounds = calls.iter().map(|call| call.round + 1).max().unwrap_or(0);
    let mut lines = vec![format!(
        "{}: {} in {}, {} claims, deadline {}",
        plan.rule,
        count(calls.len(), "call"),
        count(rounds, "round"),
        plan.outline.readers.iter().filter(|reader| reader.kind == "claim").count(),
        time(plan.deadline)
    )];
    if let Some(cache) = &plan.outline.cache {
        lines.push(String::new());
        lines.push(format!("before   the whole answer is {}", kept(cache)));
    }
    if let Some((words, limit)) = plan.outline.token {
        lines.push(String::new());
        lines.push(format!("first    the caller's token is {words}, {}", limited(limit)));
    }
    let width = calls.iter().map(|call| call.name.len()).max().unwrap_or_default();
    for round in 0..rounds {
        lines.push(String::new());
        for (number, call) in calls.iter().enumerate().filter(|(_, call)| call.round == round) {
            let first = lines.last().is_some_and(String::is_empty);
            let margin = if first { format!("round {}", round + 1) } else { String::new() };
            lines.push(format!("{margin:<8} {:<width$}  {}", call.name, call.request));
            let about = about(plan, number, call);
            lines.extend(about.iter().map(|line| format!("{:8} {:width$}  {line}", "", "")));
        }
    }
    lines.push(String::new());
    lines.extend(afterwards(plan));
    lines.push(longest(plan));
    lines.join("\n")
}

/// What is to be known of a call, a thing a line.
fn about(plan: &Plan, number: usize, call: &CallOutline) -> Vec<String> {
    let mut lines = Vec::new();
    for need in &call.needs {
        let reads: Vec<_> = need.reads.iter().map(|(place, read)| format!("{place} reads {read}")).collect();
        lines.push(match reads.len() {
            0 => format!("after {}, which says whether the token is good", plan.call(need.call)),
            _ => format!("after {}: {}", plan.call(need.call), reads.join(", ")),
        });
    }
    if let Some(when) = &call.when {
        lines.push(format!("only when {}", when.split_whitespace().collect::<Vec<_>>().join(" ")));
    }
    if let Some((path, max, concurrency)) = &call.each {
        lines.push(format!("for each of {path}: at most {max}, {concurrency} at once"));
    }
    lines.extend(call.pages.map(|pages| format!("page by page: at most {pages}")));
    lines.extend(call.cache.as_ref().map(kept));
    let mut marks = Vec::new();
    if call.optional {
        marks.push("optional".to_owned());
    }
    marks.push(limited(call.timeout));
    if call.repeats > 0 {
        marks.push(format!(
            "repeated up to {} within that",
            if call.repeats == 1 { "once".into() } else { format!("{} times", call.repeats) }
        ));
    }
    if call.redirects > 0 {
        marks.push(format!("follows {}", count(usize::from(call.redirects), "redirect")));
    }
    if let Some(longest) = call.longest.filter(|longest| Some(*longest) != call.timeout) {
        marks.push(format!("{} in all", time(longest)));
    }
    if !call.credentials.is_empty() {
        marks.push(format!("with {}", call.credentials.join(" and ")));
    }
    lines.push(marks.join(" · "));
    let fed = plan.fed_by(number);
    if fed.is_empty() {
        let read = plan.outline.calls.iter().any(|other| other.needs.iter().any(|need| need.call == number));
        lines.extend((!read).then(|| "feeds nothing: whether it succeeds is all that matters".to_owned()));
    } else {
        lines.push(format!("feeds {}", fed.join(", ")));
    }
    lines
}

fn limited(limit: Option<std::time::Duration>) -> String {
    limit.map_or_else(|| "no limit of its own".into(), |limit| format!("up to {}", time(limit)))
}

/// What runs when the answers are there, and the claims that need none.
fn afterwards(plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    for reader in plan.outline.readers.iter().filter(|reader| reader.kind != "claim") {
        let names: Vec<_> = reader.calls.iter().map(|number| plan.call(*number)).collect();
        let reads = if names.is_empty() { "no call".into() } else { names.join(", ") };
        let name = reader.name.split_whitespace().collect::<Vec<_>>().join(" ");
        let space = if name.is_empty() { "" } else { " " };
        lines.push(format!("then     {}{space}{name}  reads {reads}", reader.kind));
    }
    let without: Vec<_> = plan
        .outline
        .readers
        .iter()
        .filter(|reader| reader.kind == "claim" && reader.calls.is_empty())
        .map(|reader| reader.name.as_str())
        .collect();
    if !without.is_empty() {
        lines.push(format!("then     {} without a call", without.join(", ")));
    }
    lines
}

fn longest(plan: &Plan) -> String {
    let mut steps: Vec<String> = Vec::new();
    if let Some((_, limit)) = plan.outline.token {
        steps.push(format!("token ({})", limit.map_or_else(|| "no limit".into(), time)));
    }
    for number in &plan.outline.longest.calls {
        let call = &plan.outline.calls[*number];
        steps.push(format!("{} ({})", call.name, call.longest.map_or_else(|| "no limit".into(), time)));
    }
    let path = if steps.is_empty() { String::new() } else { format!("{}: ", steps.join(" → ")) };
    format!("longest  {path}{}", plan.verdict())
}
