//! The rules and their cases as plain data: read with a TOML parser alone, so that nothing here leans on how the
//! program understands them.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};

use claimsmith::core::problem::Source;
use serde::Deserialize;
use serde_json::{Map, Value};

/// A rule and its cases.
pub struct Entry {
    pub name: String,
    pub source: Arc<Source>,
    /// The rule as a table.
    pub rule: toml::Table,
    pub cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Cases {
    case: Vec<Case>,
}

#[derive(Clone, Deserialize)]
pub struct Case {
    pub name: String,
    #[serde(default = "usual_token")]
    pub token: String,
    #[serde(default)]
    pub vars: Map<String, Value>,
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    pub now: Option<Value>,
    #[serde(default)]
    pub request: Inbound,
    #[serde(default, rename = "answer")]
    pub answers: Vec<Answer>,
    pub claims: Option<Value>,
    pub error: Option<Refusal>,
}

#[derive(Clone, Default, Deserialize)]
pub struct Inbound {
    #[serde(default)]
    pub query: BTreeMap<String, String>,
}

#[derive(Clone, Deserialize)]
pub struct Answer {
    #[serde(default = "usual_method")]
    pub method: String,
    pub url: String,
    #[serde(default = "usual_status")]
    pub status: u16,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    pub json: Option<String>,
    pub body: Option<String>,
    pub fail: Option<String>,
}

#[derive(Clone, Deserialize)]
pub struct Refusal {
    pub status: u16,
}

fn usual_token() -> String {
    "t0ken".into()
}

fn usual_method() -> String {
    "GET".into()
}

fn usual_status() -> u16 {
    200
}

impl Case {
    /// The claims that it expects, if it expects any.
    pub fn claims(&self) -> Option<Map<String, Value>> {
        match self.claims.as_ref()? {
            Value::Object(claims) => Some(claims.clone()),
            Value::String(text) => Some(serde_json::from_str(text).expect("claims are an object")),
            _ => panic!("{}: claims are a table, or a text", self.name),
        }
    }

    /// Token and secrets, as they may be sent, and as they must not be anywhere else.
    pub fn credentials(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&*self.token).chain(self.secrets.values().map(|secret| &**secret))
    }
}

impl Answer {
    /// The body as it is sent.
    pub fn text(&self) -> &str {
        self.json.as_deref().or(self.body.as_deref()).unwrap_or_default()
    }
}

impl Entry {
    /// The first case that ends in claims: what the provider answers as a rule.
    pub fn normal(&self) -> &Case {
        self.cases.iter().find(|case| case.claims.is_some()).expect("every rule has a case with claims")
    }

    /// Why the rule takes a finding of the audit as it is.
    pub fn accepts(&self, code: &str) -> Option<&str> {
        self.rule.get("accept")?.get(code)?.as_str()
    }
}

/// The folder of the catalogue.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("rules")
}

/// The whole catalogue, sorted.
pub fn all() -> Vec<Entry> {
    let files = fs::read_dir(folder()).expect("the catalogue is there");
    let names = files.map(|file| file.expect("it can be read").file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = names
        .filter_map(|name| Some(name.strip_suffix(".toml")?.to_owned()).filter(|name| !name.ends_with(".test")))
        .collect();
    names.sort();
    names.iter().map(|name| entry(name)).collect()
}

/// One rule of it.
pub fn entry(name: &str) -> Entry {
    let read = |file: String| fs::read_to_string(folder().join(&file)).unwrap_or_else(|why| panic!("{file}: {why}"));
    parse(name, read(format!("{name}.toml")), &read(format!("{name}.test.toml")))
}

/// A rule with its cases, from their texts.
pub fn parse(name: &str, text: String, cases: &str) -> Entry {
    let rule = toml::from_str(&text).unwrap_or_else(|why| panic!("{name}: {why}"));
    let cases: Cases = toml::from_str(cases).unwrap_or_else(|why| panic!("{name}: {why}"));
    Entry { name: name.to_owned(), source: Source::new(format!("{name}.toml"), text), rule, cases: cases.case }
}
