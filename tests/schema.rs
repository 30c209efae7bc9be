//! `claimsmith schema`: the words that it is made of are those that reading a rule knows, with the same types.

use std::collections::BTreeSet;

use claimsmith::{
    config::{RuleAccess, SETTINGS, Settings},
    core::{
        Cases, Compiler,
        problem::{Code, Problem, Source},
        words::{CASES, Choice, Names, RULE, Table, Takes},
    },
};
use serde_json::{Map, Value, json};

use crate::{
    cli::{claimsmith, run},
    problems::World,
};

/// A value of every type of TOML, with the types that it has.
const VALUES: [(&str, &str); 8] = [
    ("string", "\"CS\""),
    ("integer", "7"),
    ("float", "1.5"),
    ("true", "true"),
    ("false", "false"),
    ("moment", "2026-01-31T12:00:00Z"),
    ("array", "[]"),
    ("table", "{}"),
];

/// What the words say of a type.
fn may_be(takes: &Takes, kind: &str) -> bool {
    match takes {
        Takes::Text(_) | Takes::Word(_) => kind == "string",
        Takes::Flag => kind == "true" || kind == "false",
        Takes::Absent => kind == "false",
        Takes::Integer(..) => kind == "integer",
        Takes::Number => kind == "integer" || kind == "float",
        Takes::Moment => kind == "moment",
        Takes::Table(_) => kind == "table",
        Takes::List(_) => kind == "array",
        Takes::Value => ["string", "array", "table"].contains(&kind),
        Takes::Json => true,
    }
}

/// A name for a key that is the author's own.
fn a_name(what: Names) -> &'static str {
    match what {
        Names::Call => "user",
        Names::Var | Names::Secret => "host",
        Names::Claim | Names::Any => "thing",
        Names::Header => "x-thing",
        Names::Finding => "CS9003",
    }
}

/// A table somewhere in a file: what stands before it, and after it.
struct Place {
    table: &'static Table,
    before: String,
    after: String,
}

impl Place {
    /// The file with this entry in the table, and with the others that it takes to be read; and where the entry stands.
    fn file(&self, key: &str, value: &str) -> (String, usize, usize) {
        let needed = self.table.keys.iter().filter(|known| known.needed).map(|known| known.name);
        let choice = match self.table.choice {
            Choice::One(keys) if !keys.contains(&key) => keys.first().copied(),
            _ => None,
        };
        let others: BTreeSet<_> = needed.chain(choice).filter(|name| *name != key).collect();
        let others = others.iter().map(|name| {
            let example = self.table.key(name).expect("it is one of its keys").example;
            format!("{name} = {example}, ")
        });
        let start = format!("{}{}", self.before, others.collect::<String>());
        let (at, within) = (start.len(), start.len() + key.len() + " = ".len());
        (format!("{start}{key} = {value}{}", self.after), at, within)
    }

    /// The place of the table that a key holds.
    fn inside(&self, key: &str, table: &'static Table) -> Place {
        let (text, _, at) = self.file(key, "{ ");
        let after = text[at + 2..].to_owned();
        Place { table, before: text[..at + 2].to_owned(), after: format!(" }}{after}") }
    }
}

/// Every table that one leads to, once.
fn places(whole: &'static Table) -> Vec<Place> {
    let mut seen = BTreeSet::from([whole.name]);
    let mut places = vec![Place { table: whole, before: String::new(), after: "\n".into() }];
    let mut next = 0;
    while next < places.len() {
        let here = &places[next];
        let named = here.table.named.iter().map(|named| (a_name(named.what), named.takes));
        let keys = here.table.keys.iter().map(|key| (key.name, key.takes)).chain(named);
        let tables = keys.filter_map(|(name, takes)| Some((name, Takes::table(takes)?)));
        let found: Vec<_> =
            tables.filter(|(_, table)| seen.insert(table.name)).map(|(name, table)| here.inside(name, table)).collect();
        places.extend(found);
        next += 1;
    }
    places
}

fn rule_problems(text: &str) -> Vec<Problem> {
    let source = Source::new("acme.toml", text);
    Compiler::new::<World>().compile("acme", &source, &Map::new(), &World).1.sorted()
}

fn case_problems(text: &str) -> Vec<Problem> {
    Cases::read(&Source::new("acme.test.toml", text)).1
}

/// Tries every key of every table with values of every type.
fn try_all(whole: &'static Table, read: fn(&str) -> Vec<Problem>) -> (usize, Vec<String>) {
    let (mut tried, mut wrong) = (0, Vec::new());
    for place in places(whole) {
        let named = place.table.named.iter().map(|named| (a_name(named.what), named.takes));
        for (key, takes) in place.table.keys.iter().map(|key| (key.name, key.takes)).chain(named) {
            for (kind, value) in VALUES {
                let (text, at, within) = place.file(key, value);
                let found = read(&text);
                let of = |codes: &[Code], start: usize| {
                    found.iter().any(|one| codes.contains(&one.code) && one.place.span.start == start)
                };
                let allowed = takes.iter().any(|one| may_be(one, kind));
                let refused = of(&[Code::WrongType], within) || !allowed && of(&[Code::BadValue], within);
                tried += 1;
                let unread = found.iter().any(|one| one.code == Code::NotToml);
                if unread || allowed == refused || of(&[Code::UnknownKey], at) {
                    let told: Vec<_> = found.iter().map(|one| (one.code.id(), &one.message)).collect();
                    wrong.push(format!(
                        "{} with {kind} in `{}`: {told:?}",
                        if allowed { "refused" } else { "taken" },
                        text.trim()
                    ));
                }
            }
        }
        if place.table.named.is_none() {
            let (text, at, _) = place.file("no_such_key", "7");
            let found = read(&text);
            tried += 1;
            if !found.iter().any(|one| one.code == Code::UnknownKey && one.place.span.start == at) {
                wrong.push(format!("an unknown key is taken in `{}`: {found:?}", text.trim()));
            }
        }
    }
    (tried, wrong)
}

#[test]
fn reading_a_rule_takes_what_the_words_say_and_nothing_else() {
    let (tried, wrong) = try_all(&RULE, rule_problems);
    assert!(tried > 700, "only {tried} were tried");
    assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn reading_cases_takes_what_the_words_say_and_nothing_else() {
    let (tried, wrong) = try_all(&CASES, case_problems);
    assert!(tried > 200, "only {tried} were tried");
    assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_settings_have_these_keys() {
    let mut settings = json!(Settings::default());
    settings["tls"] = json!({ "certificate": "", "key": "", "client_roots": "", "client_auth": "" });
    settings["access"]["key"] = json!({ "env": "", "file": "" });
    settings["admin"]["key"] = json!({ "env": "", "file": "" });
    settings["rule"] = json!({ "thing": { "vars": {}, "access": {} } });
    let of_a_rule = &mut settings["rule"]["thing"]["access"];
    *of_a_rule = json!(RuleAccess::default());
    of_a_rule["key"] = json!({ "env": "", "file": "" });
    fn compare(path: &str, value: &Value, table: &'static Table) {
        let Value::Object(members) = value else { panic!("{path} is no table: {value}") };
        let found: BTreeSet<_> = members.keys().map(String::as_str).collect();
        if table.named.is_none() {
            assert_eq!(found, table.keys.iter().map(|key| key.name).collect(), "{path}");
        }
        for (name, value) in members {
            let inner = table.takes(name).and_then(Takes::table);
            assert_eq!(inner.is_some(), value.is_object(), "{path}.{name}");
            if let Some(inner) = inner {
                compare(&format!("{path}.{name}"), value, inner);
            }
        }
    }
    compare("settings", &settings, &SETTINGS);
}

#[test]
fn a_schema_is_printed_for_each_kind_of_file() {
    for (arguments, key) in
        [(vec!["schema"], "call"), (vec!["schema", "case"], "case"), (vec!["schema", "settings"], "listen")]
    {
        let ran = run(claimsmith(&arguments));
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        let schema: Value = serde_json::from_str(&ran.out).expect("it is JSON");
        assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
        assert!(schema["properties"][key]["description"].is_string(), "{schema}");
        assert_eq!(schema["additionalProperties"], false);
        // A reference that leads nowhere would be read as "anything".
        let definitions = schema["definitions"].as_object().expect("there are some");
        let text = schema.to_string();
        for part in text.split("#/definitions/").skip(1) {
            let name = part.split('"').next().expect("it is closed");
            assert!(definitions.get(name).is_some_and(Value::is_object), "{name}");
        }
    }
}

/// Every table and key is explained, in a sentence, and has an example that is TOML.
#[test]
fn every_word_is_explained() {
    for whole in [&RULE, &CASES, &SETTINGS] {
        for Place { table, .. } in places(whole) {
            let keys = table.keys.iter().map(|key| (key.name, key.doc, format!("x = {}", key.example)));
            let named = table.named.iter().map(|named| ("…", table.doc, named.example.to_owned()));
            for (key, doc, example) in keys.chain(named) {
                let name = format!("{}.{key}", table.name);
                assert!(doc.ends_with('.') && doc.len() > 5, "{name}: {doc:?}");
                assert!(example.parse::<toml::Table>().is_ok(), "{name}: {example}");
            }
        }
    }
}
