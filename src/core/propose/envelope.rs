//! Failures inside of status 200: what in an answer says that all is well, and so would say that it is not.

use serde_json::{Value, json};

use super::{
    choose::Choices,
    paths,
    table::{SIGNS, Sign},
    walk::{Field, Parts, Spot, Step},
};

/// A row of `fail_when`, with an answer that it is for.
#[derive(Debug)]
pub(super) struct Failing {
    pub(super) call: usize,
    /// The Rhai expression.
    pub(super) when: String,
    pub(super) reason: &'static str,
    /// What the case is called.
    pub(super) case: &'static str,
    pub(super) answer: Value,
}

/// The rows for the call that has the person.
pub(super) fn rows(parts: &Parts<'_>, choices: &Choices, calls: &[String]) -> Vec<Failing> {
    let Some(person) = &choices.person else { return Vec::new() };
    let mut rows = Vec::new();
    let claimed = |spot: &Spot| choices.claims.iter().any(|choice| choice.form.only() == Some(spot));
    let sign = SIGNS.iter().find_map(|sign| {
        let field = parts.fields.iter().find(|field| says(sign, field, person) && !claimed(&field.spot))?;
        Some((field, failing(field, calls)?))
    });
    if let Some((field, (when, value))) = sign {
        rows.push(Failing {
            call: person.call,
            when,
            reason: "the provider says that it failed",
            case: "the provider says that it failed, with status 200",
            answer: within(&field.spot.steps, value),
        });
    }
    if let Some(at) = person.steps.iter().position(|step| *step == Step::First) {
        let list = Spot { call: person.call, steps: person.steps[..=at].to_vec() };
        if let Some(path) = paths::rhai(&list, calls) {
            rows.push(Failing {
                call: person.call,
                when: format!("{path} == ()"),
                reason: "there is no user in the answer",
                case: "there is no user in the answer",
                answer: within(&person.steps[..at], json!([])),
            });
        }
    }
    rows
}

/// True for a field that says that all is well.
fn says(sign: &Sign, field: &Field<'_>, person: &Spot) -> bool {
    let keys = field.spot.keys();
    let plain = field.spot.steps.iter().all(|step| step.name().is_some());
    // What the person has is about the person.
    let own = !person.steps.is_empty() && field.spot.steps.starts_with(&person.steps);
    let enveloped = !person.steps.is_empty();
    field.spot.call == person.call
        && plain
        && !own
        && (enveloped || !sign.enveloped)
        && sign.names.contains(&keys.join(".").as_str())
        && sign.good.contains(&field.value.to_string().as_str())
}

/// The expression that holds for a failure, and a value for which it does.
fn failing(field: &Field<'_>, calls: &[String]) -> Option<(String, Value)> {
    let path = paths::rhai(&field.spot, calls)?;
    Some(match field.value {
        Value::Null => (format!("{path} != ()"), json!("failed")),
        Value::Bool(true) => (format!("{path} != true"), json!(false)),
        Value::Bool(false) => (format!("{path} == true"), json!(true)),
        Value::Number(number) => (format!("{path} != {number}"), json!(401)),
        Value::String(text) if text.is_empty() => (format!(r#"{path} != () && {path} != """#), json!("failed")),
        Value::String(text) => (format!("{path} != {}", Value::from(text.as_str())), json!("failed")),
        Value::Array(_) => (format!("{path}[0] != ()"), json!(["failed"])),
        Value::Object(_) => return None,
    })
}

/// An answer that has nothing but this value at this place.
fn within(steps: &[Step], value: Value) -> Value {
    steps.iter().rev().fold(value, |inner, step| match step.name() {
        Some(name) => Value::Object([(name.to_owned(), inner)].into_iter().collect()),
        None => json!([inner]),
    })
}
