//! A JSONPath alone: what it selects of an answer, for tools that have no rule around it.

use std::borrow::Cow;

use serde_json::Value;

use super::{
    facts::{Facts, Kept, Shape},
    problem::{Problem, Problems, Source},
    value::Path,
};

/// All nodes that a path selects in a document whose one call, of this name, answered so.
///
/// # Errors
/// The problems of the path, if a rule with it would be refused. In the result: why the path has no answer, where a
/// request would fail by it.
pub fn select(path: &str, call: &str, answer: &Value) -> Result<Result<Vec<Value>, String>, Vec<Problem>> {
    let compiled = Path::alone(&Source::new("path", path), call).map_err(Problems::sorted)?;
    let mut facts = Facts::new([&Shape::Whole].into_iter(), &Value::Null, Value::Null);
    facts.answer(0, Kept::Whole(answer.clone()));
    let nodes = compiled.all(&facts).map_err(|failure| failure.words());
    Ok(nodes.map(|nodes| nodes.into_iter().map(Cow::into_owned).collect()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_selected_many_times_over_is_bounded() {
        let times = |count: usize| format!("$.a[{}]", vec!["*"; count].join(","));
        let answer = json!({ "list": vec![7; 10_000] });
        let selected = |count| select(&times(count), "a", &answer).expect("the path is sound");
        assert_eq!(selected(30).map(|nodes| nodes.len()), Ok(30));
        assert!(selected(60).is_err_and(|why| why.contains("selects more of this answer")));
    }
}
