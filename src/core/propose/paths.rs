//! A place in the answers as a rule writes it: a JSONPath, or the same in Rhai.

use super::walk::{Spot, Step};
use crate::core::rule::is_variable_name;

/// The JSONPath of a place.
pub(super) fn json_path(spot: &Spot, calls: &[String]) -> String {
    let mut path = format!("$.{}", calls[spot.call]);
    for step in &spot.steps {
        match step {
            Step::Member(name) => path.push_str(&member(name)),
            Step::First => path.push_str("[0]"),
            Step::Every => path.push_str("[*]"),
            Step::Flagged(names) => {
                let names: String = names.iter().map(|name| member(name)).collect();
                path.push_str(&format!("[?@{names} == true]"));
            }
        }
    }
    path
}

/// The same in Rhai, if it has a counterpart there.
pub(super) fn rhai(spot: &Spot, calls: &[String]) -> Option<String> {
    let mut path = calls[spot.call].clone();
    for step in &spot.steps {
        match step {
            Step::Member(name) if is_variable_name(name) => path.push_str(&format!(".{name}")),
            Step::Member(name) => path.push_str(&format!("[{}]", serde_json::Value::from(name.as_str()))),
            Step::First => path.push_str("[0]"),
            Step::Every | Step::Flagged(_) => return None,
        }
    }
    Some(path)
}

/// `.name`, or `['na-me']` where the short form is not allowed (RFC 9535, section 2.5.1.1).
fn member(name: &str) -> String {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
    if name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit()) {
        return format!(".{name}");
    }
    let mut quoted = String::new();
    for c in name.chars() {
        match c {
            '\'' | '\\' => quoted.extend(['\\', c]),
            c if c < ' ' => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    format!("['{quoted}']")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_written_as_rules_write_them() {
        let steps =
            vec![Step::Member("data".into()), Step::First, Step::Member("e-mail".into()), Step::Member("it's".into())];
        let calls = ["user".to_owned()];
        let spot = Spot { call: 0, steps };
        assert_eq!(json_path(&spot, &calls), r"$.user.data[0]['e-mail']['it\'s']");
        assert_eq!(rhai(&spot, &calls).as_deref(), Some(r#"user.data[0]["e-mail"]["it's"]"#));
        let spot = Spot {
            call: 0,
            steps: vec![Step::Flagged(vec!["meta".into(), "primary".into()]), Step::Member("value".into())],
        };
        assert_eq!(json_path(&spot, &calls), "$.user[?@.meta.primary == true].value");
        assert_eq!(rhai(&spot, &calls), None);
    }
}
