//! What a rule says itself: it compares answers with this, so it stays as it is.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

use crate::core::problem::Source;

/// The texts and numbers of a rule.
#[derive(Debug, Default)]
pub(super) struct Literals {
    /// Whole values.
    whole: HashSet<String>,
    /// What may be looked for inside of a value: literals of expressions; the longest come first.
    parts: Vec<String>,
    numbers: HashSet<String>,
    /// All words of the rule, scripts included, in lower case.
    words: BTreeSet<String>,
    /// All of the rule, scripts included, in lower case.
    text: String,
}

/// Bytes of a literal that is looked for anywhere in a value, and at its ends.
const PART: usize = 3;
const END: usize = 2;

impl Literals {
    /// Those of a rule, its scripts, and the operator's values.
    pub(super) fn of<'s>(
        source: &Arc<Source>,
        scripts: impl Iterator<Item = &'s str>,
        vars: &Map<String, Value>,
    ) -> Literals {
        let mut literals = Literals::default();
        let (table, _) = DeTable::parse_recoverable(&source.text);
        for (_, value) in table.get_ref() {
            literals.toml(value.get_ref());
        }
        literals.text(&source.text);
        for script in scripts {
            literals.expression(script);
            literals.text(script);
        }
        for value in vars.values() {
            match value {
                Value::String(text) => _ = literals.whole.insert(text.clone()),
                Value::Number(number) => _ = literals.numbers.insert(number.to_string()),
                _ => {}
            }
        }
        literals.parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
        literals.parts.dedup();
        literals
    }

    /// A value that the rule names.
    pub(super) fn has(&self, text: &str) -> bool {
        self.whole.contains(text)
    }

    pub(super) fn has_number(&self, text: &str) -> bool {
        self.numbers.contains(text)
    }

    /// The rule says this word somewhere.
    pub(super) fn says(&self, word: &str) -> bool {
        self.words.contains(&word.to_lowercase())
    }

    /// The rule holds this text somewhere.
    pub(super) fn holds(&self, text: &str) -> bool {
        self.text.contains(&text.to_lowercase())
    }

    /// The first literal inside of a text: its place.
    pub(super) fn part_of(&self, text: &str) -> Option<(usize, usize)> {
        let at = |part: &String| {
            let at = text.find(part.as_str())?;
            let at_an_end = at == 0 || at + part.len() == text.len();
            (part.len() >= PART || part.len() >= END && at_an_end).then_some((at, part.len()))
        };
        self.parts.iter().filter_map(at).min_by_key(|(at, length)| (*at, std::cmp::Reverse(*length)))
    }

    fn toml(&mut self, value: &DeValue<'_>) {
        match value {
            DeValue::String(text) => {
                self.whole.insert(text.to_string());
                self.expression(text);
            }
            DeValue::Integer(number) => _ = self.numbers.insert(number.to_string()),
            DeValue::Float(number) => _ = self.numbers.insert(number.to_string()),
            DeValue::Array(items) => items.iter().for_each(|item| self.toml(item.get_ref())),
            DeValue::Table(members) => members.iter().for_each(|(_, member)| self.toml(member.get_ref())),
            DeValue::Boolean(_) | DeValue::Datetime(_) => {}
        }
    }

    /// The texts in quotes and the numbers of an expression or a path.
    fn expression(&mut self, text: &str) {
        let mut rest = text;
        while let Some(at) = rest.find(['"', '\'', '`']) {
            self.number_words(&rest[..at]);
            let Some(quote) = rest[at..].chars().next() else { return };
            let inner = &rest[at + 1..];
            let Some(end) = inner.find(quote) else { return };
            let literal = inner[..end].replace("\\n", "\n").replace("\\t", "\t");
            // What has an escape in it would have to be read as Rhai reads it.
            if !literal.is_empty() && !literal.contains('\\') {
                self.whole.insert(literal.clone());
                if literal.len() >= END && literal.chars().any(char::is_alphanumeric) {
                    self.parts.push(literal);
                }
            }
            rest = &inner[end + 1..];
        }
        self.number_words(rest);
    }

    fn number_words(&mut self, text: &str) {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '_');
        let numbers = words.filter(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        self.numbers.extend(numbers.map(|number| number.replace('_', "")));
    }

    fn text(&mut self, text: &str) {
        let words = text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
        self.words.extend(words.map(str::to_lowercase));
        self.text.push_str(&text.to_lowercase());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_rule_compares_with_is_known() {
        let rule = r#"
[vars]
client = "app-1"
[call.user]
url = "https://a.example/v2/me"
fail_when = [{ when = "user.code == 4711 || user.state == 'gone'", error = "invalid_token" }]
[claims]
sub = "$.user.id"
email = "$.user.emails[?@.kind == 'work'].address"
staff = { rhai = "user.email.ends_with(\"@acme.example\")" }
"#;
        let vars = serde_json::json!({ "client": "app-2" });
        let literals = Literals::of(
            &Source::new("a.toml", rule),
            ["if user.tier == \"gold\" { }"].into_iter(),
            vars.as_object().expect("an object"),
        );
        for text in ["app-1", "app-2", "gone", "work", "gold", "@acme.example"] {
            assert!(literals.has(text), "{text}");
        }
        assert!(literals.has_number("4711") && !literals.has_number("4712"));
        assert_eq!(literals.part_of("ada@acme.example"), Some((3, 13)));
        assert_eq!(literals.part_of("ada@other.example"), None);
        assert!(literals.says("me") && !literals.says("ada"));
    }
}
