//! From TOML to typed fields, each with its place; every mismatch becomes a problem.

use std::sync::Arc;

use serde_json::Value;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    masked_place,
    names::{RESERVED, RHAI_KEYWORDS, is_call_name, is_variable_name},
    words,
};
use crate::core::problem::{Code, Place, Problem, Problems, Source, Span, did_you_mean, nearest};

/// The remedy where a rule does not say what it answers.
pub(super) const DENIAL_HELP: &str = "add `error = \"…\"`: `invalid_token`, `insufficient_scope`, `access_denied` or \
    `temporarily_unavailable`";

/// A string of the rule.
#[derive(Clone, Debug)]
pub struct Text {
    /// The string itself.
    pub value: String,
    /// Its literal in the file, with the quotes.
    pub span: Span,
}

/// A key of the rule.
#[derive(Clone, Debug)]
pub struct Key {
    /// The key without quotes.
    pub name: String,
    /// Where it stands.
    pub span: Span,
}

/// A TOML table that is being read.
pub(super) struct Fields<'a> {
    what: String,
    table: &'a DeTable<'a>,
    span: Span,
}

impl<'a> Fields<'a> {
    pub(super) fn new(what: impl Into<String>, table: &'a DeTable<'a>, span: Span) -> Self {
        Fields { what: what.into(), table, span }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// True if one of the keys most likely means this one, which is not there.
    pub(super) fn misspells(&self, key: &str) -> bool {
        !self.has(key) && self.entries().iter().any(|(found, _)| nearest(&found.name, [key]).is_some())
    }

    pub(super) fn span(&self) -> Span {
        self.span.clone()
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }

    /// All entries in the order of the file.
    pub(super) fn entries(&self) -> Vec<(Key, &'a Spanned<DeValue<'a>>)> {
        let mut entries: Vec<_> = self
            .table
            .iter()
            .map(|(key, value)| (Key { name: key.get_ref().to_string(), span: key.span() }, value))
            .collect();
        entries.sort_by_key(|(key, _)| key.span.start);
        entries
    }
}

/// Reads fields and collects what is wrong with them.
pub(super) struct Reader<'a> {
    source: &'a Arc<Source>,
    problems: &'a mut Problems,
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a Arc<Source>, problems: &'a mut Problems) -> Self {
        Reader { source, problems }
    }

    pub(super) fn source(&self) -> &Arc<Source> {
        self.source
    }

    fn problem(&self, code: Code, span: Span, message: impl Into<String>) -> Problem {
        Problem::new(code, Place { source: self.source.clone(), span }, message)
    }

    pub(super) fn not_toml(&mut self, error: &toml::de::Error) {
        let span = error.span().unwrap_or(0..0);
        let problem = self.problem(Code::NotToml, span, "the file is not TOML").label(error.message().trim_end());
        self.problems.add(problem.help("see https://toml.io for the syntax"));
    }

    /// Reports keys that are not among those of a table. True if there are none: then what is missing is missing,
    /// and not misspelled.
    pub(super) fn known(&mut self, fields: &Fields<'_>, table: &words::Table) -> bool {
        let mut sound = true;
        for (key, _) in fields.entries() {
            if table.key(&key.name).is_none() {
                sound = false;
                let help = did_you_mean(&key.name, table.keys.iter().map(|key| key.name));
                let message = format!("{} has no key `{}`", fields.what, key.name);
                let problem = self.problem(Code::UnknownKey, key.span, message).label("unknown key").help(help);
                self.problems.add(problem);
            }
        }
        sound
    }

    pub(super) fn wrong_type(&mut self, what: &str, value: &Spanned<DeValue<'_>>, wanted: &str) {
        let message = format!("`{what}` takes {wanted}");
        let label = format!("this is {}", a_type(value.get_ref()));
        let problem = self.problem(Code::WrongType, value.span(), message).label(label);
        self.problems.add(problem);
    }

    /// A secret that is written out. Its excerpt must not carry it into a terminal or a log.
    pub(super) fn secret_value(&mut self, what: &str, value: &Spanned<DeValue<'_>>) {
        let message =
            format!("`{what}` takes `{{ env = \"NAME\" }}` or `{{ file = \"/path\" }}`, never the value itself");
        let label = format!("this is {}", a_type(value.get_ref()));
        self.problems
            .add(Problem::new(Code::WrongType, masked_place(self.source, &value.span()), message).label(label));
    }

    pub(super) fn bad_value(&mut self, span: Span, message: impl Into<String>, label: &str, help: impl Into<String>) {
        let problem = self.problem(Code::BadValue, span, message).label(label).help(help);
        self.problems.add(problem);
    }

    pub(super) fn conflict(&mut self, fields: &Fields<'_>, message: &str) {
        let problem = self
            .problem(Code::Conflict, fields.span(), format!("{}: {message}", fields.what))
            .label("both are set here")
            .help("keep one of them");
        self.problems.add(problem);
    }

    /// Reports a key that is not there; one that is misspelled was reported as unknown.
    pub(super) fn missing(&mut self, fields: &Fields<'_>, key: &str, help: &str) {
        if fields.misspells(key) {
            return;
        }
        let message = format!("{} has no `{key}`", fields.what);
        let problem = self.problem(Code::MissingKey, fields.span(), message).label("it is needed here").help(help);
        self.problems.add(problem);
    }

    pub(super) fn bad_name(&mut self, key: &Key, help: &str) {
        let problem = self.problem(Code::BadName, key.span.clone(), format!("`{}` cannot be a name here", key.name));
        self.problems.add(problem.label("not allowed as a name").help(help));
    }

    /// Checks the name of a call, var or secret.
    pub(super) fn variable_name(&mut self, key: &Key, what: &str) {
        let name = &key.name;
        if RHAI_KEYWORDS.contains(&name.as_str()) {
            let help =
                format!("in an expression `{name}` is a word of Rhai, not {what}: name it otherwise, `{name}_1`");
            self.bad_name(key, &help);
        } else if !is_variable_name(name) {
            self.bad_name(key, &format!("{what} has a name of letters, digits and `_`, and starts with a letter"));
        } else if what == "a call" && !is_call_name(name) {
            let help = format!("name the call otherwise, `{name}_1`: {} stand for something else", RESERVED.join(", "));
            self.bad_name(key, &help);
        }
    }

    pub(super) fn text(&mut self, fields: &Fields<'_>, key: &str) -> Option<Text> {
        let value = fields.get(key)?;
        self.as_text(value, key)
    }

    pub(super) fn required_text(&mut self, fields: &Fields<'_>, key: &str, help: &str) -> Option<Text> {
        if !fields.has(key) {
            self.missing(fields, key, help);
        }
        self.text(fields, key)
    }

    pub(super) fn as_text(&mut self, value: &Spanned<DeValue<'_>>, what: &str) -> Option<Text> {
        match value.get_ref() {
            DeValue::String(text) => Some(Text { value: text.to_string(), span: value.span() }),
            _ => {
                self.wrong_type(what, value, "a string");
                None
            }
        }
    }

    /// A list of strings.
    pub(super) fn texts(&mut self, fields: &Fields<'_>, key: &str) -> Vec<Text> {
        let Some(value) = fields.get(key) else { return Vec::new() };
        match value.get_ref() {
            DeValue::Array(items) => items.iter().filter_map(|item| self.as_text(item, key)).collect(),
            _ => {
                self.wrong_type(key, value, "an array of strings");
                Vec::new()
            }
        }
    }

    pub(super) fn flag(&mut self, fields: &Fields<'_>, key: &str) -> bool {
        match fields.get(key).map(|value| (value, value.get_ref().as_bool())) {
            Some((_, Some(flag))) => flag,
            Some((value, None)) => {
                self.wrong_type(key, value, "`true` or `false`");
                false
            }
            None => false,
        }
    }

    pub(super) fn integer(&mut self, value: &Spanned<DeValue<'_>>, what: &str) -> Option<i64> {
        let found = match value.get_ref() {
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        if found.is_none() {
            self.wrong_type(what, value, "an integer");
        }
        found
    }

    pub(super) fn table<'t>(&mut self, fields: &Fields<'t>, key: &str, what: &str) -> Option<Fields<'t>> {
        let value = fields.get(key)?;
        self.as_table(value, what)
    }

    pub(super) fn as_table<'t>(&mut self, value: &'t Spanned<DeValue<'t>>, what: &str) -> Option<Fields<'t>> {
        match value.get_ref() {
            DeValue::Table(table) => Some(Fields::new(what, table, value.span())),
            _ => {
                self.wrong_type(what, value, "a table");
                None
            }
        }
    }

    /// One table or an array of them.
    pub(super) fn tables<'t>(&mut self, fields: &Fields<'t>, key: &str, what: &str) -> Vec<Fields<'t>> {
        let Some(value) = fields.get(key) else { return Vec::new() };
        match value.get_ref() {
            DeValue::Array(items) => items.iter().filter_map(|item| self.as_table(item, what)).collect(),
            _ => self.as_table(value, what).into_iter().collect(),
        }
    }

    /// Any TOML value as JSON; numbers keep their digits.
    pub(super) fn json(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Value> {
        Some(match value.get_ref() {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Boolean(flag) => Value::Bool(*flag),
            DeValue::Integer(_) => Value::from(self.integer(value, "this value")?),
            DeValue::Float(number) => {
                match number.as_str().parse::<f64>().ok().and_then(serde_json::Number::from_f64) {
                    Some(number) => Value::Number(number),
                    None => {
                        self.wrong_type("this value", value, "a finite number");
                        return None;
                    }
                }
            }
            DeValue::Datetime(when) => Value::String(when.to_string()),
            DeValue::Array(items) => items.iter().map(|item| self.json(item)).collect::<Option<Value>>()?,
            DeValue::Table(table) => table
                .iter()
                .map(|(key, value)| Some((key.get_ref().to_string(), self.json(value)?)))
                .collect::<Option<serde_json::Map<_, _>>>()?
                .into(),
        })
    }
}

fn a_type(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
