//! A JSONPath alone: what it selects of an answer, for tools that have no rule around it.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{Arc, LazyLock},
    time::Duration,
};

use serde_json::Value;

use super::{
    facts::{Facts, Kept, Shape},
    problem::{Problem, Problems, Source},
    value::{Engine, Known, Path, Spot},
};

/// All nodes that a path selects in a document whose one call, of this name, answered so.
///
/// # Errors
/// The problems of the path, if a rule with it would be refused. In the result: why the path has no answer, where a
/// request would fail by it.
pub fn select(path: &str, call: &str, answer: &Value) -> Result<Result<Vec<Value>, String>, Vec<Problem>> {
    // A path asks for no time, and runs no script.
    static ENGINE: LazyLock<Arc<Engine>> =
        LazyLock::new(|| Arc::new(Engine::new(|| Duration::ZERO, || Duration::ZERO)));
    let calls = [call.to_owned()];
    let secrets = BTreeMap::new();
    let known = Known {
        calls: &calls,
        vars: &Value::Null,
        secrets: &secrets,
        secret_names: &[],
        engine: &ENGINE,
        each: false,
        token: None,
    };
    let source = Source::new("path", path);
    let mut problems = Problems::default();
    let compiled = Path::compile(&Spot::file(&source), path, &known, &mut problems);
    let compiled = compiled.ok_or_else(|| problems.sorted())?;
    let mut facts = Facts::new([&Shape::Whole].into_iter(), &Value::Null, Value::Null);
    facts.answer(0, Kept::Whole(answer.clone()));
    let nodes = compiled.all(&facts).map_err(|failure| failure.words());
    Ok(nodes.map(|nodes| nodes.into_iter().map(Cow::into_owned).collect()))
}
