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
