//! JSON Schemas of rule files, case files and settings, made of the words that the reader knows.
//!
//! Draft 7: what the TOML tools of editors read without loss (taplo, Even Better TOML, Tombi).

use serde_json::{Map, Value, json};

use super::{
    claims::{KINDS, STANDARD, STANDARD_SOURCE},
    denial::Denial,
    problem::{Code, Severity},
    receiver,
    rule::{
        RESERVED,
        words::{Choice, Language, Names, Table, Takes, VALUE, Words},
    },
};

/// The schema of files that are this table.
pub fn schema(table: &'static Table, title: &str) -> Value {
    let mut definitions = Map::new();
    define(table, &mut definitions);
    let mut whole = Map::new();
    whole.insert("$schema".into(), "http://json-schema.org/draft-07/schema#".into());
    whole.insert("title".into(), title.into());
    if let Some(Value::Object(own)) = definitions.remove(table.name) {
        whole.extend(own);
    }
    whole.insert("definitions".into(), Value::Object(definitions));
    Value::Object(whole)
}

/// Adds the table and all that it leads to.
fn define(table: &'static Table, definitions: &mut Map<String, Value>) {
    if definitions.contains_key(table.name) {
        return;
    }
    // It may lead to itself.
    definitions.insert(table.name.into(), Value::Null);
    let mut properties = Map::new();
    for key in table.keys {
        let mut property = any_of(key.takes, definitions);
        property.insert("description".into(), key.doc.into());
        property.extend(example(key.example).map(|example| ("examples".to_owned(), json!([example]))));
        properties.insert(key.name.into(), property.into());
    }
    let mut schema = Map::new();
    schema.insert("description".into(), table.doc.into());
    schema.insert("type".into(), "object".into());
    let mut others = Value::Bool(false);
    if let Some(named) = &table.named {
        others = Value::Object(any_of(named.takes, definitions));
        named_ones(named.what, &mut properties, &mut others, &mut schema);
    }
    schema.insert("properties".into(), properties.into());
    schema.insert("additionalProperties".into(), others);
    let needed: Vec<_> = table.keys.iter().filter(|key| key.needed).map(|key| key.name).collect();
    if !needed.is_empty() {
        schema.insert("required".into(), json!(needed));
    }
    match table.choice {
        Choice::Free => {}
        Choice::One(keys) => {
            let each: Vec<_> = keys.iter().map(|key| json!({ "required": [key] })).collect();
            schema.insert("oneOf".into(), each.into());
        }
        Choice::AtMostOne(keys) => {
            schema.insert("not".into(), json!({ "anyOf": pairs(keys) }));
        }
    }
    definitions.insert(table.name.into(), schema.into());
}

/// Each two of these keys.
fn pairs(keys: &[&str]) -> Vec<Value> {
    let pair = |(at, one): (usize, &&str)| {
        keys[at + 1..].iter().map(|other| json!({ "required": [one, other] })).collect::<Vec<_>>()
    };
    keys.iter().enumerate().flat_map(pair).collect()
}

/// What is known of names that are the author's own.
fn named_ones(what: Names, properties: &mut Map<String, Value>, others: &mut Value, schema: &mut Map<String, Value>) {
    const VARIABLE: &str = "^[A-Za-z][A-Za-z0-9_]{0,63}$";
    match what {
        Names::Call => {
            schema.insert("propertyNames".into(), json!({ "pattern": VARIABLE, "not": { "enum": RESERVED } }));
        }
        Names::Var | Names::Secret => {
            schema.insert("propertyNames".into(), json!({ "pattern": VARIABLE }));
        }
        Names::Claim => {
            for claim in &STANDARD {
                let mut property = others.clone();
                property["description"] = format!("{} ({STANDARD_SOURCE})", claim.doc).into();
                properties.insert(claim.name.into(), property);
            }
        }
        Names::Finding => {
            for code in Code::ALL.into_iter().filter(|code| code.severity() < Severity::Error) {
                let mut property = others.clone();
                property["description"] = code.page().title.into();
                properties.insert(code.id().into(), property);
            }
            *others = Value::Bool(false);
        }
        Names::Header | Names::Any => {}
    }
}

fn any_of(takes: &'static [Takes], definitions: &mut Map<String, Value>) -> Map<String, Value> {
    let mut each: Vec<_> = takes.iter().map(|one| one_of_them(one, definitions)).collect();
    let whole = match each.len() {
        1 => each.remove(0),
        _ => json!({ "anyOf": each }),
    };
    match whole {
        // Nothing beside a reference is read.
        Value::Object(map) if map.contains_key("$ref") => Map::from_iter([("allOf".into(), json!([map]))]),
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn one_of_them(takes: &Takes, definitions: &mut Map<String, Value>) -> Value {
    match takes {
        Takes::Text(language) => match language {
            Language::Plain | Language::Template | Language::Rhai | Language::Json | Language::Duration => {
                json!({ "type": "string" })
            }
            Language::Path => json!({ "type": "string", "pattern": r"^\$[.\[]" }),
            Language::Value => json!({ "type": "string", "pattern": r"^\$[.\[]|\$\{" }),
            Language::Https => json!({ "type": "string", "pattern": "^https://" }),
        },
        Takes::Word(words) => word(*words),
        Takes::Flag => json!({ "type": "boolean" }),
        Takes::Absent => json!({ "const": false }),
        Takes::Integer(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Takes::Number => json!({ "type": "number" }),
        // JSON has no dates, so tools hand them on as texts.
        Takes::Moment => json!({ "type": "string" }),
        Takes::Table(table) => {
            define(table, definitions);
            json!({ "$ref": format!("#/definitions/{}", table.name) })
        }
        Takes::List(items) => json!({ "type": "array", "items": any_of(items, definitions) }),
        Takes::Value => {
            define_values(definitions);
            json!({ "$ref": "#/definitions/values" })
        }
        Takes::Json => json!({}),
    }
}

/// The forms of a value, which lead to themselves.
fn define_values(definitions: &mut Map<String, Value>) {
    if definitions.contains_key("values") {
        return;
    }
    definitions.insert("values".into(), Value::Null);
    let text = one_of_them(&Takes::Text(Language::Value), definitions);
    let options = one_of_them(&Takes::Table(&VALUE), definitions);
    let list = json!({ "type": "array", "items": { "$ref": "#/definitions/values" }, "minItems": 1 });
    definitions.insert("values".into(), json!({ "anyOf": [text, list, options] }));
}

fn word(words: Words) -> Value {
    let of = |words: Vec<(String, String)>| {
        let (names, docs): (Vec<_>, Vec<_>) = words.into_iter().unzip();
        // What taplo shows beside each word.
        json!({ "enum": names, "x-taplo": { "docs": { "enumValues": docs } } })
    };
    match words {
        // These are names of the rule's own.
        Words::Calls | Words::Claims => json!({ "type": "string" }),
        _ => of(meanings(words)),
    }
}

/// The words, each with what it means; none where they are names of the rule's own.
pub fn meanings(words: Words) -> Vec<(String, String)> {
    match words {
        Words::Given(words) => words.iter().map(|(word, doc)| ((*word).into(), (*doc).into())).collect(),
        Words::Errors => {
            Denial::ALL.map(|one| (one.code().into(), format!("{}: {}", one.status(), one.reason()))).into()
        }
        Words::Receivers => receiver::all().iter().map(|one| (one.name.into(), one.title.clone())).collect(),
        Words::Types => KINDS.iter().map(|(name, kind)| ((*name).into(), kind.words().into())).collect(),
        Words::Claims | Words::Calls => Vec::new(),
    }
}

/// A value in TOML as JSON.
fn example(text: &str) -> Option<Value> {
    let table: toml::Table = toml::from_str(&format!("x = {text}")).ok()?;
    table.get("x").map(as_json)
}

fn as_json(value: &toml::Value) -> Value {
    match value {
        toml::Value::String(text) => json!(text),
        toml::Value::Integer(number) => json!(number),
        toml::Value::Float(number) => json!(number),
        toml::Value::Boolean(flag) => json!(flag),
        toml::Value::Datetime(when) => json!(when.to_string()),
        toml::Value::Array(items) => items.iter().map(as_json).collect(),
        toml::Value::Table(members) => members.iter().map(|(name, value)| (name.clone(), as_json(value))).collect(),
    }
}
