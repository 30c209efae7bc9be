//! The types of claims, and the conversions that lose nothing.

use std::borrow::Cow;

use serde_json::{Number, Value};

use crate::core::value::Found;

/// The type that a claim has in the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string; an integer becomes its digits.
    String,
    /// An integer; a string of digits becomes one.
    Integer,
    /// A number; a string that holds one becomes it.
    Number,
    /// `true` or `false`; also `1`, `0` and the words for them.
    Boolean,
    /// NumericDate (RFC 7519, section 2): seconds since 1970; an RFC 3339 text becomes it.
    Time,
    /// An array of strings; one string becomes an array of one.
    Strings,
    /// The `address` object of OpenID Connect Core, section 5.1.1.
    Object,
}

/// The kinds by the names that a rule uses.
pub const NAMES: [(&str, Kind); 7] = [
    ("string", Kind::String),
    ("integer", Kind::Integer),
    ("number", Kind::Number),
    ("boolean", Kind::Boolean),
    ("time", Kind::Time),
    ("strings", Kind::Strings),
    ("object", Kind::Object),
];

impl Kind {
    /// The kind with this name.
    pub fn parse(name: &str) -> Option<Kind> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }

    /// The name that a rule uses.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| *name)
    }

    /// What it is, in a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Kind::String => "text",
            Kind::Integer => "an integer",
            Kind::Number => "a number",
            Kind::Boolean => "true or false",
            Kind::Time => "a number of seconds",
            Kind::Strings => "a list of texts",
            Kind::Object => "an object",
        }
    }

    /// The type that OpenID Connect Core, section 5.1, gives a claim. `address` has none here: it is
    /// an object, and those are allowed only where the rule asks for one.
    pub fn of_standard_claim(name: &str) -> Option<Kind> {
        Some(match name {
            "sub" | "name" | "given_name" | "family_name" | "middle_name" | "nickname" | "preferred_username"
            | "profile" | "picture" | "website" | "email" | "gender" | "birthdate" | "zoneinfo" | "locale"
            | "phone_number" => Kind::String,
            "email_verified" | "phone_number_verified" => Kind::Boolean,
            "updated_at" => Kind::Time,
            _ => return None,
        })
    }

    /// True for a value that has this type already.
    pub fn holds(self, value: &Value) -> bool {
        match self {
            Kind::String => value.is_string(),
            Kind::Integer => matches!(value, Value::Number(number) if is_integer(number)),
            Kind::Number | Kind::Time => value.is_number(),
            Kind::Boolean => value.is_boolean(),
            Kind::Strings => value.as_array().is_some_and(|items| items.iter().all(Value::is_string)),
            Kind::Object => value.is_object(),
        }
    }

    /// Converts a value that is not null.
    ///
    /// # Errors
    /// When the value has no counterpart in this type.
    pub fn convert(self, value: Found<'_>) -> Result<Found<'_>, &'static str> {
        match (self, &*value) {
            (Kind::String, Value::String(_))
            | (Kind::Number | Kind::Time, Value::Number(_))
            | (Kind::Boolean, Value::Bool(_)) => Ok(value),
            (Kind::String, Value::Number(number)) if is_integer(number) => Ok(text(number.as_str())),
            (Kind::String, _) => Err("it is neither text nor an integer"),
            (Kind::Integer, Value::Number(number)) if is_integer(number) => Ok(value),
            (Kind::Integer, Value::String(digits)) if is_digits(digits) => parsed(digits),
            (Kind::Integer, _) => Err("it is no integer"),
            (Kind::Number, Value::String(digits)) => parsed(digits),
            (Kind::Number, _) => Err("it is no number"),
            (Kind::Boolean, other) => truth(other).map(|flag| Cow::Owned(Value::Bool(flag))),
            (Kind::Time, Value::String(when)) if is_digits(when) => parsed(when),
            (Kind::Time, Value::String(when)) => when
                .parse::<jiff::Timestamp>()
                .map(|when| Cow::Owned(Value::from(when.as_second())))
                .map_err(|_| "it is neither a number of seconds nor an RFC 3339 time"),
            (Kind::Time, _) => Err("it is neither a number of seconds nor an RFC 3339 time"),
            (Kind::Strings, Value::Array(_)) => flat(value),
            (Kind::Strings, Value::String(_) | Value::Number(_)) => {
                flat(Cow::Owned(Value::Array(vec![value.into_owned()])))
            }
            (Kind::Strings, _) => Err("it is no list of texts"),
            (Kind::Object, Value::Object(_)) => members(value),
            (Kind::Object, _) => {
                Err("it is no object: write one, `{ rhai = \"#{ formatted: … }\", type = \"object\" }`")
            }
        }
    }
}

/// How a value became another, in words; `None` if it is the same.
pub fn conversion(from: &Value, to: &Value) -> Option<&'static str> {
    Some(match (from, to) {
        _ if from == to => return None,
        (Value::Number(_), Value::String(_)) => "number to string",
        (Value::String(text), Value::Number(_)) if is_digits(text) => "string to number",
        (Value::String(text), Value::Number(_)) if text.contains(':') => "RFC 3339 time to seconds",
        (Value::String(_), Value::Number(_)) => "string to number",
        (Value::String(_), Value::Bool(_)) => "word to boolean",
        (Value::Number(_), Value::Bool(_)) => "number to boolean",
        (Value::String(_) | Value::Number(_), Value::Array(_)) => "one value to a list",
        (Value::Array(_), Value::Array(_)) => "list to strings",
        (Value::Object(_), _) => "flattened",
        _ => "converted",
    })
}

/// A value as an answer may hold it: text, number, boolean, or an array of texts.
///
/// # Errors
/// When it is nested.
pub fn flat(value: Found<'_>) -> Result<Found<'_>, &'static str> {
    match &*value {
        Value::Object(_) => Err("it is an object, and the answer is flat"),
        Value::Array(items) if items.iter().all(Value::is_string) => Ok(value),
        Value::Array(items) => {
            let texts = items.iter().filter(|item| !item.is_null()).map(|item| match item {
                Value::String(text) => Ok(Value::String(text.clone())),
                Value::Number(number) if is_integer(number) => Ok(Value::String(number.as_str().to_owned())),
                _ => Err("it is a list, and not all of its elements are texts or integers"),
            });
            texts.collect::<Result<Value, _>>().map(Cow::Owned)
        }
        _ => Ok(value),
    }
}

/// An object whose members are scalars, without those that are null.
fn members(value: Found<'_>) -> Result<Found<'_>, &'static str> {
    let Value::Object(members) = &*value else { return Err("it is no object") };
    if members.values().any(|member| member.is_object() || member.is_array()) {
        return Err("a member of it is nested, and the answer is flat");
    }
    if members.values().any(Value::is_null) {
        let mut members = members.clone();
        members.retain(|_, member| !member.is_null());
        return Ok(Cow::Owned(Value::Object(members)));
    }
    Ok(value)
}

fn is_integer(number: &Number) -> bool {
    is_digits(number.as_str())
}

fn is_digits(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn text<'v>(text: &str) -> Found<'v> {
    Cow::Owned(Value::String(text.to_owned()))
}

/// The number that a text holds, digit for digit.
fn parsed<'v>(digits: &str) -> Result<Found<'v>, &'static str> {
    digits.parse().map(|number| Cow::Owned(Value::Number(number))).map_err(|_| "it is no number")
}

fn truth(value: &Value) -> Result<bool, &'static str> {
    const FAULT: &str = "it is neither true nor false";
    let word = match value {
        Value::Bool(flag) => return Ok(*flag),
        Value::String(word) => word.trim(),
        Value::Number(number) => number.as_str(),
        _ => return Err(FAULT),
    };
    match word.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => Err(FAULT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversions_lose_nothing_or_are_refused() {
        for (kind, from, expected) in [
            (Kind::String, "9007199254740993", Ok(r#""9007199254740993""#)),
            (Kind::String, "123456789012345678901234567890", Ok(r#""123456789012345678901234567890""#)),
            (Kind::String, "1.5", Err(())),
            (Kind::String, "true", Err(())),
            (Kind::String, "[]", Err(())),
            (Kind::Integer, r#""007""#, Err(())),
            (Kind::Integer, r#""-7""#, Ok("-7")),
            (Kind::Integer, "1.0", Err(())),
            (Kind::Number, r#""1.50""#, Ok("1.50")),
            (Kind::Number, r#""x""#, Err(())),
            (Kind::Boolean, r#""true""#, Ok("true")),
            (Kind::Boolean, r#""FALSE""#, Ok("false")),
            (Kind::Boolean, "1", Ok("true")),
            (Kind::Boolean, "0", Ok("false")),
            (Kind::Boolean, r#""maybe""#, Err(())),
            (Kind::Boolean, "2", Err(())),
            (Kind::Time, r#""2026-10-02T18:04:11Z""#, Ok("1790964251")),
            (Kind::Time, r#""2026-10-02T20:04:11.5+02:00""#, Ok("1790964251")),
            (Kind::Time, "1790964251", Ok("1790964251")),
            (Kind::Time, r#""1790964251""#, Ok("1790964251")),
            (Kind::Time, r#""last week""#, Err(())),
            (Kind::Strings, r#"["a",1,null]"#, Ok(r#"["a","1"]"#)),
            (Kind::Strings, r#""a""#, Ok(r#"["a"]"#)),
            (Kind::Strings, r#"[{}]"#, Err(())),
            (Kind::Object, r#"{"a":1}"#, Ok(r#"{"a":1}"#)),
            (Kind::Object, "1", Err(())),
        ] {
            let value: Value = serde_json::from_str(from).expect("test data is JSON");
            let found = kind.convert(Cow::Owned(value)).map(|value| value.to_string()).map_err(|_| ());
            assert_eq!(found, expected.map(str::to_owned), "{kind:?} from {from}");
        }
    }

    #[test]
    fn nested_values_are_not_flat() {
        for (from, expected) in [("{}", false), ("[[]]", false), ("[1.5]", false), (r#"["a"]"#, true), ("1.5", true)] {
            let value: Value = serde_json::from_str(from).expect("test data is JSON");
            assert_eq!(flat(Cow::Owned(value)).is_ok(), expected, "{from}");
        }
    }
}
