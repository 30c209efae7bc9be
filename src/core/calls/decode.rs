//! From an answer's bytes to what is kept of it. A wrong Content-Type is forgiven, a wrong body is not.

use http::StatusCode;
use serde_json::Value;

use super::Cause;
use crate::core::{
    facts::{Kept, Shape},
    message::Answer,
};

/// Reads a JSON answer, as far as the rule needs it. An answer without content is null.
pub(super) fn json(shape: &Shape, answer: &Answer) -> Result<Kept, Cause> {
    if matches!(answer.status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok(Kept::Whole(Value::Null));
    }
    if answer.body.is_empty() {
        return Err(Cause::Body("it is empty".into()));
    }
    let text = std::str::from_utf8(&answer.body).map_err(|_| Cause::Body("it is not UTF-8".into()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let kept = shape.parse(text).map_err(|error| Cause::Body(explain(text, &error)))?;
    match shape {
        // The text tells, not the value: serde_json hands a number with its digits over as a map.
        Shape::Members(members) if !members.is_empty() && !text.trim_start().starts_with('{') => {
            Err(Cause::Body("it is JSON, but no object".into()))
        }
        _ => Ok(kept),
    }
}

/// What is wrong, without a byte of the answer: it may be private.
fn explain(text: &str, error: &serde_json::Error) -> String {
    let place = format!("line {} column {}", error.line(), error.column());
    match text.trim_start().chars().next() {
        Some('<') => "it is HTML or XML, not JSON".into(),
        Some('{' | '[') if error.is_eof() => format!("the JSON ends too early, at {place}"),
        Some('{' | '[') => format!("it is not JSON, at {place}"),
        _ => "it is not JSON".into(),
    }
}
