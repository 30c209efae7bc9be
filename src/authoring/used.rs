//! Which values of the document a rule reads, and what for.

use std::collections::BTreeMap;

use jsonpath_rust::JsonPath;
use serde_json::Value;

use super::outline::{Outline, unquoted};
use crate::core::end_of_expression;

/// Values that are marked at most.
const MOST: usize = 500;

/// What reads a value, by the value's JSON Pointer. The rule has to be one that compiles: its paths are bounded then.
pub(super) fn used(rule: &str, document: &Value) -> BTreeMap<String, Vec<String>> {
    let mut used = BTreeMap::<String, Vec<String>>::new();
    for entry in &Outline::new(rule).values {
        let text = unquoted(&rule[entry.span.clone()]);
        let names: Vec<_> = entry.path.iter().map(String::as_str).collect();
        let reader = match names[..] {
            ["claims", claim, ..] => claim.to_owned(),
            ["script", ..] => "script".to_owned(),
            ["require", ..] => "require".to_owned(),
            ["call", call, key, ..] => format!("{key} of {call}"),
            _ => continue,
        };
        for pointer in pointers(text, &names, document) {
            if used.len() >= MOST && !used.contains_key(&pointer) {
                break;
            }
            let readers = used.entry(pointer).or_default();
            if !readers.contains(&reader) {
                readers.push(reader.clone());
            }
        }
    }
    used
}

/// The values that a text of a rule reads.
fn pointers(text: &str, names: &[&str], document: &Value) -> Vec<String> {
    if text.starts_with("$.") || text.starts_with("$[") {
        let found = document.query_with_path(text).unwrap_or_default();
        return found.into_iter().take(MOST).map(|found| pointer(&found.path())).collect();
    }
    if matches!(names, [.., "rhai" | "when" | "until" | "that"] | ["script", "source"]) {
        return chains(text, document);
    }
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(start) = text[from..].find("${").map(|at| from + at + 2) {
        let Some(end) = end_of_expression(text, start) else { break };
        found.extend(chains(&text[start..end], document));
        from = end;
    }
    found
}

/// `$['user']['list'][0]` as a JSON Pointer.
fn pointer(path: &str) -> String {
    let mut pointer = String::new();
    let mut rest = path.strip_prefix('$').unwrap_or(path);
    while let Some(inner) = rest.strip_prefix('[') {
        let (step, after) = match inner.strip_prefix('\'') {
            Some(name) => name.split_once("']").unwrap_or((name, "")),
            None => inner.split_once(']').unwrap_or((inner, "")),
        };
        push(&mut pointer, step);
        rest = after;
    }
    pointer
}

fn push(pointer: &mut String, step: &str) {
    pointer.push('/');
    pointer.push_str(&step.replace('~', "~0").replace('/', "~1"));
}

/// The values that an expression of Rhai names, as far as their members are there.
fn chains(text: &str, document: &Value) -> Vec<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut rest = text;
    let mut before = ' ';
    while let Some(start) = rest.find(is_word) {
        before = rest[..start].chars().next_back().unwrap_or(before);
        let (pointer, after) = chain(&rest[start..], document);
        if before != '.' {
            found.extend(pointer);
        }
        before = 'x';
        rest = after;
    }
    found
}

/// The value that a chain of names leads to, and what stands after it.
fn chain<'t>(text: &'t str, document: &Value) -> (Option<String>, &'t str) {
    let word = |text: &'t str| -> (&'t str, &'t str) {
        let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
        text.split_at(end)
    };
    let (first, mut rest) = word(text);
    let Some(mut value) = document.get(first) else { return (None, rest) };
    let mut pointer = String::new();
    push(&mut pointer, first);
    loop {
        let next = rest.strip_prefix("?.").or_else(|| rest.strip_prefix('.')).map(word);
        let indexed = rest.strip_prefix('[').and_then(|inner| inner.split_once(']'));
        let (step, after) = match (next, indexed) {
            (Some((name, after)), _) => (name, after),
            (None, Some((index, after))) => (index.trim_matches(['"', '`']), after),
            (None, None) => break,
        };
        let member = match value {
            Value::Array(items) => step.parse::<usize>().ok().and_then(|at| items.get(at)),
            value => value.get(step),
        };
        let Some(member) = member else { break };
        push(&mut pointer, step);
        (value, rest) = (member, after);
    }
    (Some(pointer), rest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_rule_reads_is_found_in_paths_texts_and_expressions() {
        let document = json!({
            "user": { "id": 7, "a/b": "x", "tags": ["x", "y"], "name": { "first": "Ada" } },
            "mails": [{ "main": false, "at": "a@x" }, { "main": true, "at": "b@x" }],
        });
        let rule = "[call.mails]\nurl = \"https://x.example/${user.id}\"\nwhen = \"user.id > 1\"\n\
            [claims]\nsub = \"$.user.id\"\nemail = \"$.mails[?@.main == true].at\"\nx = \"$.user['a/b']\"\n\
            name = { rhai = \"first_word(user.name.first.to_lower()) + user.tags[1]\" }\nv = { value = \"user.id\" }\n";
        let used = used(rule, &document);
        let shown: Vec<_> = used.iter().map(|(pointer, by)| format!("{pointer}: {}", by.join(", "))).collect();
        assert_eq!(
            shown,
            [
                "/mails/1/at: email",
                "/user/a~1b: x",
                "/user/id: url of mails, when of mails, sub",
                "/user/name/first: name",
                "/user/tags/1: name",
            ]
        );
    }

    #[test]
    fn any_text_can_be_looked_through() {
        let document = json!({ "a": { "b": [1] } });
        for text in ["a.", "a.b[", "a.b[9].c", "${", "${a.b[0]", "é.a", "a?.b?.[0]", "$.a[", "$..*", ""] {
            let _ = used(&format!("[claims]\nx = '{text}'\ny = {{ rhai = '{text}' }}\n"), &document);
        }
    }
}
