//! `json`: what the rule reads of it is kept, the rest is checked and dropped.

use crate::core::facts::{Kept, Shape};

/// Reads JSON, as far as the rule needs it.
pub(super) fn read(shape: &Shape, text: &str) -> Result<Kept, String> {
    let kept = shape.parse(text).map_err(|error| explain(text, &error))?;
    match shape {
        // The text tells, not the value: serde_json hands a number with its digits over as a map.
        Shape::Members(members) if !members.is_empty() && !text.trim_start().starts_with('{') => {
            Err("it is JSON, but no object".into())
        }
        _ => Ok(kept),
    }
}

pub(super) fn explain(text: &str, error: &serde_json::Error) -> String {
    let place = format!("line {} column {}", error.line(), error.column());
    match text.trim_start().chars().next() {
        _ if error.is_data() => "it is JSON, and has more in it than can be kept".into(),
        Some('<') => "it is HTML or XML, not JSON".into(),
        Some('{' | '[') if error.is_eof() => format!("the JSON ends too early, at {place}"),
        Some('{' | '[') => format!("it is not JSON, at {place}"),
        _ => "it is not JSON".into(),
    }
}
