//! Values that nobody may see, and their replacement by names wherever they turn up.
//!
//! A trace is made without credentials in the first place. This is for those that come back: a provider that repeats
//! the token in its answer, a next page that has it in its address.

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use super::{Call, Claim, Outcome, Step};
use crate::core::secret::Secret;

/// Shorter values are no secrets, and would be found everywhere.
const SHORTEST: usize = 4;
/// What RFC 3986 lets stand in a query as it is: some encode no more than they must.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Values that nobody may see, in the forms in which they travel.
#[derive(Clone, Debug, Default)]
pub struct Hidden(Vec<(Secret, String)>);

impl Hidden {
    /// Adds a value, and the name that is to be seen instead.
    pub fn add(&mut self, name: &str, value: &str) {
        if value.len() < SHORTEST {
            return;
        }
        for form in forms(value) {
            if form.len() >= SHORTEST && !self.0.iter().any(|(known, _)| known.expose() == form) {
                self.0.push((Secret::new(form), format!("[{name}]")));
            }
        }
        // What holds another is replaced first.
        self.0.sort_by_key(|(secret, _)| std::cmp::Reverse(secret.expose().len()));
    }

    /// The text with names in the place of all values.
    pub fn cleaned(&self, text: &str) -> Option<String> {
        let mut cleaned: Option<String> = None;
        for (secret, name) in &self.0 {
            let now = cleaned.as_deref().unwrap_or(text);
            if now.contains(secret.expose()) {
                cleaned = Some(now.replace(secret.expose(), name));
            }
        }
        cleaned
    }

    pub(super) fn clean(&self, step: &mut Step) {
        match step {
            Step::Call(call) => self.call(call),
            Step::Claim(Claim { value: Some(value), .. }) => self.value(value),
            Step::Receive { words, .. }
            | Step::Decode { words, .. }
            | Step::Script { words }
            | Step::Judgement { words, .. }
            | Step::Failed { words, .. }
            | Step::Note { words, .. } => self.text(words),
            Step::Claim(_) | Step::Condition(_) | Step::Respond { .. } => {}
        }
    }

    fn call(&self, call: &mut Call) {
        call.request.iter_mut().for_each(|line| self.text(line));
        call.attempts.iter_mut().for_each(|attempt| self.text(&mut attempt.words));
        if let Outcome::GivenUp(why) | Outcome::Failed(why) = &mut call.outcome {
            self.text(why);
        }
    }

    fn text(&self, text: &mut String) {
        if let Some(cleaned) = self.cleaned(text) {
            *text = cleaned;
        }
    }

    /// Cleans all texts of a value, names of members too; a number that is a secret becomes a text.
    pub fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.text(text),
            Value::Number(number) => {
                if let Some(cleaned) = self.cleaned(number.as_str()) {
                    *value = cleaned.into();
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(members) => {
                let taken = std::mem::replace(members, Map::new());
                for (name, mut value) in taken {
                    self.value(&mut value);
                    members.insert(self.cleaned(&name).unwrap_or(name), value);
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }
}

/// A value as it may stand in texts: as it is, in addresses and forms, in JSON, and inside of base64.
pub fn forms(value: &str) -> Vec<String> {
    let json = Value::from(value).to_string();
    let mut forms = vec![
        value.to_owned(),
        utf8_percent_encode(value, UNRESERVED).to_string(),
        utf8_percent_encode(value, NON_ALPHANUMERIC).to_string(),
        url::form_urlencoded::byte_serialize(value.as_bytes()).collect(),
        json[1..json.len() - 1].to_owned(),
    ];
    for before in 0..3 {
        let padded = format!("{}{value}", "x".repeat(before));
        for text in [BASE64_STANDARD_NO_PAD.encode(&padded), BASE64_URL_SAFE_NO_PAD.encode(&padded)] {
            // The characters at both ends also depend on what stands beside the value.
            let inner = text.get((before * 4).div_ceil(3)..text.len().saturating_sub(2)).unwrap_or_default();
            // Shorter ones are in other base64 by chance.
            if inner.len() >= 2 * SHORTEST {
                forms.push(inner.to_owned());
            }
        }
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_in_every_form_in_which_it_travels() {
        let mut hidden = Hidden::default();
        hidden.add("token", "t0k&n/with\"marks");
        for text in [
            "t0k&n/with\"marks",
            "https://a.example/?k=t0k%26n%2Fwith%22marks&x",
            "a=t0k%26n%2Fwith%22marks",
            r#"{"a":"t0k&n/with\"marks"}"#,
            "dXM6dDBrJm4vd2l0aCJtYXJrcw",
        ] {
            let cleaned = hidden.cleaned(text).expect("it is found");
            assert!(cleaned.contains("[token]") && !cleaned.contains("with"), "{text} {cleaned}");
        }
        assert_eq!(hidden.cleaned("nothing of it"), None);
        assert!(!format!("{hidden:?}").contains("t0k"), "{hidden:?}");
    }

    #[test]
    fn a_value_that_holds_another_is_replaced_whole_and_a_short_one_not_at_all() {
        let mut hidden = Hidden::default();
        hidden.add("secrets.short", "a");
        hidden.add("secrets.key", "abcd");
        hidden.add("token", "xabcdx");
        assert_eq!(hidden.cleaned("xabcdx abcd a").as_deref(), Some("[token] [secrets.key] a"));
        let mut value = serde_json::json!({"abcd": ["1abcd2", 5, null], "n": 12345});
        hidden.add("secrets.number", "2345");
        hidden.value(&mut value);
        assert_eq!(value.to_string(), r#"{"[secrets.key]":["1[secrets.key]2",5,null],"n":"1[secrets.number]"}"#);
    }
}
