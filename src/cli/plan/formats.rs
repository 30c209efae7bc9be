//! A plan for programs that draw: Mermaid, Graphviz; and for all others, JSON.

use serde_json::{Value, json};

use super::{Plan, kept, time};
use crate::core::{CallOutline, Lifetimes};

/// An arrow of a drawing: from, to, and what is read.
struct Arrow {
    from: usize,
    /// None for the answer.
    to: Option<usize>,
    words: Vec<String>,
}

/// A flowchart. Calls on the longest path are drawn thick, optional ones dashed.
pub(super) fn mermaid(plan: &Plan) -> String {
    let mut lines = vec!["flowchart LR".to_owned()];
    for (number, call) in plan.outline.calls.iter().enumerate() {
        let words: Vec<_> = words(call).iter().map(|line| for_mermaid(line)).collect();
        lines.push(format!("  c{number}[\"{}\"]", words.join("<br>")));
    }
    lines.push(format!("  answer([\"{}\"])", for_mermaid(&format!("answer of {}", plan.rule))));
    for Arrow { from, to, words } in arrows(plan) {
        let to = to.map_or("answer".into(), |to| format!("c{to}"));
        let words = for_mermaid(&words.join(", "));
        lines.push(format!("  c{from} -->|\"{words}\"| {to}"));
    }
    lines.push("  classDef longest stroke-width:3px".into());
    lines.push("  classDef optional stroke-dasharray:5 5".into());
    let class = |name: &str, numbers: Vec<String>| match numbers.is_empty() {
        true => None,
        false => Some(format!("  class {} {name}", numbers.join(","))),
    };
    let node = |number: &usize| format!("c{number}");
    lines.extend(class("longest", plan.outline.longest.calls.iter().map(node).collect()));
    lines.extend(class("optional", optional(plan).iter().map(node).collect()));
    lines.join("\n")
}

/// A graph of Graphviz.
pub(super) fn dot(plan: &Plan) -> String {
    let mut lines = vec![
        format!("digraph \"{}\" {{", for_dot(&plan.rule)),
        "  rankdir=LR".into(),
        "  node [shape=box, fontname=\"sans-serif\"]".into(),
        "  edge [fontname=\"sans-serif\", fontsize=10]".into(),
    ];
    for (number, call) in plan.outline.calls.iter().enumerate() {
        let words: Vec<_> = words(call).iter().map(|line| for_dot(line)).collect();
        let mut styles = Vec::new();
        if plan.outline.longest.calls.contains(&number) {
            styles.push("bold");
        }
        if call.optional {
            styles.push("dashed");
        }
        let style = if styles.is_empty() { String::new() } else { format!(", style=\"{}\"", styles.join(",")) };
        lines.push(format!("  c{number} [label=\"{}\"{style}]", words.join("\\n")));
    }
    lines.push(format!("  answer [label=\"answer of {}\", shape=ellipse]", for_dot(&plan.rule)));
    for Arrow { from, to, words } in arrows(plan) {
        let to = to.map_or("answer".into(), |to| format!("c{to}"));
        lines.push(format!("  c{from} -> {to} [label=\"{}\"]", for_dot(&words.join(", "))));
    }
    lines.push("}".into());
    lines.join("\n")
}

pub(super) fn json(plan: &Plan) -> Value {
    let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let cache = |cache: &Lifetimes| json!({ "ttl_ms": millis(cache.ttl), "stale_ms": millis(cache.stale), "refused_ms": millis(cache.refused) });
    let outline = &plan.outline;
    let calls: Vec<_> = outline
        .calls
        .iter()
        .enumerate()
        .map(|(number, call)| {
            let needs: Vec<_> = call
                .needs
                .iter()
                .map(|need| {
                    let reads = need.reads.iter().map(|(place, read)| json!({ "in": place, "reads": read }));
                    json!({ "call": plan.call(need.call), "because": reads.collect::<Vec<_>>() })
                })
                .collect();
            let each = call.each.as_ref();
            json!({
                "name": call.name,
                "request": call.request,
                "round": call.round + 1,
                "needs": needs,
                "credentials": call.credentials,
                "optional": call.optional,
                "when": call.when,
                "each": each.map(|(path, max, concurrency)| json!({ "path": path, "max": max, "concurrency": concurrency })),
                "max_pages": call.pages,
                "repeats": call.repeats,
                "redirects": call.redirects,
                "cache": call.cache.as_ref().map(cache),
                "timeout_ms": call.timeout.map(millis),
                "longest_ms": call.longest.map(millis),
                "feeds": plan.fed_by(number),
            })
        })
        .collect();
    let readers: Vec<_> = outline
        .readers
        .iter()
        .map(|reader| {
            let calls: Vec<_> = reader.calls.iter().map(|number| plan.call(*number)).collect();
            json!({ "kind": reader.kind, "name": reader.name, "calls": calls })
        })
        .collect();
    let path: Vec<_> = outline.longest.calls.iter().map(|number| plan.call(*number)).collect();
    let limited = outline.longest.unlimited == 0;
    json!({
        "rule": plan.rule,
        "deadline_ms": millis(plan.deadline),
        "token": outline.token.map(|(words, limit)| json!({ "how": words, "longest_ms": limit.map(millis) })),
        "cache": outline.cache.as_ref().map(cache),
        "calls": calls,
        "readers": readers,
        "longest": {
            "calls": path,
            "ms": limited.then(|| millis(outline.longest.time)),
            "within_deadline": limited && outline.longest.time <= plan.deadline,
        },
    })
}

/// What a drawing says of a call, line by line.
fn words(call: &CallOutline) -> Vec<String> {
    let mut lines = vec![call.name.clone(), call.request.clone()];
    let mut marks = vec![call.timeout.map_or_else(|| "no limit".into(), |limit| format!("up to {}", time(limit)))];
    marks.extend(call.optional.then(|| "optional".to_owned()));
    marks.extend(call.each.as_ref().map(|(_, max, _)| format!("each, at most {max}")));
    marks.extend(call.pages.map(|pages| format!("at most {pages} pages")));
    marks.extend((call.repeats > 0).then(|| format!("repeated up to {}×", call.repeats)));
    lines.push(marks.join(", "));
    lines.extend(call.cache.as_ref().map(kept));
    lines.extend(call.when.as_ref().map(|when| format!("when {when}")));
    lines
}

fn arrows(plan: &Plan) -> Vec<Arrow> {
    let mut arrows = Vec::new();
    for (number, call) in plan.outline.calls.iter().enumerate() {
        for need in &call.needs {
            let mut words: Vec<_> = need.reads.iter().map(|(_, read)| read.clone()).collect();
            words.dedup();
            if words.is_empty() {
                words.push("token is good".into());
            }
            arrows.push(Arrow { from: need.call, to: Some(number), words });
        }
    }
    for number in 0..plan.outline.calls.len() {
        let words = plan.fed_by(number);
        if !words.is_empty() {
            arrows.push(Arrow { from: number, to: None, words });
        }
    }
    arrows
}

fn optional(plan: &Plan) -> Vec<usize> {
    let calls = plan.outline.calls.iter().enumerate();
    calls.filter(|(_, call)| call.optional).map(|(number, _)| number).collect()
}

/// Mermaid reads entities inside quotes, and Markdown unless it is told otherwise.
fn for_mermaid(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => safe.push_str("#quot;"),
            '#' => safe.push_str("#35;"),
            '<' => safe.push_str("#lt;"),
            '>' => safe.push_str("#gt;"),
            '&' => safe.push_str("#amp;"),
            '`' => safe.push_str("#96;"),
            '*' => safe.push_str("#42;"),
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}

fn for_dot(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' => safe.extend(['\\', c]),
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}
