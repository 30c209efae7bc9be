//! How a case went, and in what words.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::core::trace::Step;

/// How a case went.
#[derive(Debug)]
pub struct Verdict {
    /// The name of the case.
    pub name: String,
    /// What differs from what the case expects, claim by claim.
    pub differences: Vec<Difference>,
    /// What else is wrong.
    pub faults: Vec<Fault>,
    /// The steps of the evaluation.
    pub steps: Vec<Step>,
    /// Why there are no claims, if there are none.
    pub failure: Option<String>,
    /// The claim that identifies the user; `sub` if the rule is refused.
    pub subject: String,
    /// What the rule answered; `None` if it is refused, or could not be asked.
    pub answered: Option<Answered>,
}

/// What a rule answered to a case.
#[derive(Clone, Debug, PartialEq)]
pub enum Answered {
    /// These claims, in the order of the answer.
    Claims(Vec<(String, Value)>),
    /// An error.
    Error {
        /// The status code.
        status: u16,
        /// The error code, if the answer has one.
        error: Option<String>,
    },
}

/// A claim that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its name.
    pub claim: String,
    /// What the case expects, as JSON; `None` if the claim should not be there.
    pub expected: Option<String>,
    /// What came out, as JSON; `None` if nothing did.
    pub found: Option<String>,
}

/// Something besides the claims that is not as a case says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The rule does not compile, or cannot be asked what the case asks.
    Rule(String),
    /// Claims are expected and an error came, or the other way round, or another error.
    Answer {
        /// What the case expects: `200 with claims`, `401 invalid_token`.
        expected: String,
        /// What came.
        found: String,
    },
    /// A call asked for something that is not recorded.
    Unanswered {
        /// Method and address.
        request: String,
        /// How it differs from the recorded answer that is most like it.
        like: Option<String>,
    },
    /// An answer is recorded that no call asked for.
    Unused {
        /// Method and address.
        request: String,
    },
    /// A request is not as the case expects it.
    Request {
        /// Method and address.
        request: String,
        /// What of it.
        what: String,
    },
    /// The case itself says what cannot be.
    Case(String),
}

impl Verdict {
    /// The verdict on a case of this name of which nothing is known yet.
    pub(super) fn new(name: &str) -> Self {
        Verdict {
            name: name.to_owned(),
            differences: Vec::new(),
            faults: Vec::new(),
            steps: Vec::new(),
            failure: None,
            subject: "sub".into(),
            answered: None,
        }
    }

    /// True if all is as the case expects.
    pub fn passed(&self) -> bool {
        self.differences.is_empty() && self.faults.is_empty()
    }

    /// True if only the answer is another than the one that is expected: the requests are those of the case.
    pub fn differs_in_answer_alone(&self) -> bool {
        let of_answer = |fault: &Fault| matches!(fault, Fault::Answer { .. });
        !self.passed() && self.answered.is_some() && self.faults.iter().all(of_answer)
    }
}

impl Answered {
    /// Status and error code: `200 with claims`, `401 invalid_token`.
    pub fn words(&self) -> String {
        match self {
            Answered::Claims(_) => "200 with claims".into(),
            Answered::Error { status, error } => error_words(*status, error.as_deref()),
        }
    }
}

/// An error in words.
pub(super) fn error_words(status: u16, error: Option<&str>) -> String {
    error.map_or_else(|| format!("{status} without an error code"), |error| format!("{status} {error}"))
}

impl Fault {
    /// What is wrong, in a line.
    pub fn words(&self) -> String {
        match self {
            Fault::Rule(why) | Fault::Case(why) => why.clone(),
            Fault::Answer { expected, found } => format!("expected {expected}, and the answer is {found}"),
            Fault::Unanswered { request, like: None } => format!("no answer is recorded for {request}"),
            Fault::Unanswered { request, like: Some(like) } => format!("no answer is recorded for {request}; {like}"),
            Fault::Unused { request } => format!("no call asked for {request}"),
            Fault::Request { request, what } => format!("{request}: {what}"),
        }
    }

    /// The kind of fault, for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Fault::Rule(_) => "rule",
            Fault::Answer { .. } => "answer",
            Fault::Unanswered { .. } => "unanswered",
            Fault::Unused { .. } => "unused",
            Fault::Request { .. } => "request",
            Fault::Case(_) => "case",
        }
    }
}

impl Difference {
    /// What is to be said of two values that look alike or are long; `None` where they speak for themselves.
    pub fn remark(&self) -> Option<String> {
        let parse = |text: &Option<String>| text.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
        let (expected, found) = (parse(&self.expected)?, parse(&self.found)?);
        match (&expected, &found) {
            (Value::String(left), Value::String(right)) => alike(left, right).map(str::to_owned),
            (Value::Array(left), Value::Array(right)) => Some(lists(left, right)),
            (left, right) if kind(left) != kind(right) => {
                Some(format!("{} is expected, and this is {}", kind(left), kind(right)))
            }
            _ => None,
        }
    }
}

/// Why two different texts look the same.
fn alike(left: &str, right: &str) -> Option<&'static str> {
    if left.trim() == right.trim() {
        Some("they differ in white space at an end")
    } else if left.to_lowercase() == right.to_lowercase() {
        Some("they differ in upper and lower case alone")
    } else if left.split_whitespace().eq(right.split_whitespace()) {
        Some("they differ in white space")
    } else {
        None
    }
}

fn lists(left: &[Value], right: &[Value]) -> String {
    let texts = |values: Vec<&Value>| values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let missing: Vec<_> = left.iter().filter(|value| !right.contains(value)).collect();
    let more: Vec<_> = right.iter().filter(|value| !left.contains(value)).collect();
    let mut words = Vec::new();
    if !missing.is_empty() {
        words.push(format!("missing: {}", texts(missing)));
    }
    if !more.is_empty() {
        words.push(format!("not expected: {}", texts(more)));
    }
    match (words.is_empty(), left.len() == right.len()) {
        (false, _) => words.join("; "),
        (true, true) => "the same values in another order".into(),
        (true, false) => format!("the same values, {} and not {}", right.len(), left.len()),
    }
}

/// The type of a value, in words.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The members of an object in the order of its text.
pub(super) struct Members(pub(super) Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_look_alike_are_told_apart() {
        for (expected, found, words) in [
            ("\"1\"", "1", Some("text is expected, and this is a number")),
            ("\"a\"", "\"a \"", Some("they differ in white space at an end")),
            ("\"Ada\"", "\"ada\"", Some("they differ in upper and lower case alone")),
            ("\"a b\"", "\"a  b\"", Some("they differ in white space")),
            ("\"a\"", "\"b\"", None),
            ("1", "2", None),
            ("[\"a\",\"b\"]", "[\"b\",\"a\"]", Some("the same values in another order")),
            ("[\"a\",\"b\"]", "[\"b\",\"c\"]", Some("missing: \"a\"; not expected: \"c\"")),
            ("[\"a\"]", "[\"a\",\"a\"]", Some("the same values, 2 and not 1")),
        ] {
            let difference =
                Difference { claim: "x".into(), expected: Some(expected.into()), found: Some(found.into()) };
            assert_eq!(difference.remark().as_deref(), words, "{expected} {found}");
        }
    }

    #[test]
    fn claims_keep_the_order_of_the_answer() {
        let Members(members) = serde_json::from_str(r#"{"z":1,"a":18446744073709551616}"#).expect("it is an object");
        let shown: Vec<_> = members.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(shown, ["z=1", "a=18446744073709551616"]);
    }
}
