//! Request bodies.

use std::sync::Arc;

use serde_json::Value;

use crate::core::{
    facts::Facts,
    problem::{Code, Problems, Source},
    rule::{self, JsonBody, Key, Text},
    token::Token,
    value::{Credentials, Failure, Known, Memory, Mentions, Offer, Position, Spot, Template},
};

/// A compiled body.
#[derive(Debug)]
pub(super) enum Body {
    None,
    Json(Json),
    Form(Vec<(String, Template)>),
    Raw(Template),
}

/// A compiled JSON body.
#[derive(Debug)]
pub(super) enum Json {
    Text(Template),
    Constant(Value),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
    /// The caller's token.
    Token,
}

impl Body {
    pub(super) fn compile(
        source: &Arc<Source>,
        body: Option<&rule::Body>,
        content_type: Option<&str>,
        known: &Known<'_>,
        problems: &mut Problems,
    ) -> Option<Body> {
        match body {
            None => Some(Body::None),
            Some(rule::Body::Json(json)) => Json::compile(source, json, known, problems).map(Body::Json),
            Some(rule::Body::Form(fields)) => {
                let compiled: Vec<_> =
                    fields.iter().filter_map(|(key, text)| field(source, key, text, known, problems)).collect();
                (compiled.len() == fields.len()).then_some(Body::Form(compiled))
            }
            Some(rule::Body::Raw(text)) => raw(source, text, content_type, known, problems).map(Body::Raw),
            Some(rule::Body::Graphql { query, variables, operation_name }) => {
                if let Some(at) = query.value.find("${") {
                    let message = "a GraphQL query is sent as it is written: nothing in it is looked up";
                    let problem = Spot::text(source, query).problem(Code::PlainText, at..at + 2, message);
                    let help = "hand values over: `variables = { login = \"${…}\" }`, and in the query `$login`";
                    problems.add(problem.label("would be sent as text").help(help));
                    return None;
                }
                let text = |text: &Text| Json::Constant(Value::String(text.value.clone()));
                let mut members = vec![("query".to_owned(), text(query))];
                members.extend(operation_name.as_ref().map(|name| ("operationName".to_owned(), text(name))));
                if let Some(variables) = variables {
                    members.push(("variables".to_owned(), Json::compile(source, variables, known, problems)?));
                }
                Some(Body::Json(Json::Object(members)))
            }
        }
    }

    pub(super) fn mentions(&self, mentions: &mut Mentions) {
        match self {
            Body::None => {}
            Body::Json(json) => json.mentions(mentions),
            Body::Form(fields) => fields.iter().for_each(|(_, text)| text.mentions(mentions)),
            Body::Raw(text) => text.mentions(mentions),
        }
    }

    /// The Content-Type of a body that has one by its form.
    pub(super) fn content_type(&self) -> Option<&'static str> {
        match self {
            Body::Json(_) => Some("application/json"),
            Body::Form(_) => Some("application/x-www-form-urlencoded"),
            Body::None | Body::Raw(_) => None,
        }
    }

    /// The bytes. Members and fields whose value is absent are left out.
    pub(super) fn render(
        &self,
        facts: &Facts<'_>,
        memory: &mut Memory,
        token: &Token,
        token_field: Option<&str>,
    ) -> Result<Vec<u8>, Failure> {
        let credentials = Some(Credentials { token: token.value() });
        match self {
            Body::None => Ok(Vec::new()),
            Body::Json(json) => {
                let value = json.render(facts, memory, token)?.unwrap_or(Value::Null);
                Ok(value.to_string().into_bytes())
            }
            Body::Form(fields) => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                for (name, text) in fields {
                    if let Some(value) = text.render(facts, memory, credentials)? {
                        form.append_pair(name, &value);
                    }
                }
                if let Some(name) = token_field {
                    form.append_pair(name, token.value());
                }
                Ok(form.finish().into_bytes())
            }
            Body::Raw(text) => Ok(text.render(facts, memory, credentials)?.unwrap_or_default().into_bytes()),
        }
    }
}

fn field(
    source: &Arc<Source>,
    key: &Key,
    text: &Text,
    known: &Known<'_>,
    problems: &mut Problems,
) -> Option<(String, Template)> {
    let spot = Spot::text(source, text);
    let text = Template::compile(&spot, &text.value, Position::Form, Offer::Call, known, problems)?;
    Some((key.name.clone(), text))
}

/// A body as text: what is put into it is escaped as its Content-Type asks.
fn raw(
    source: &Arc<Source>,
    text: &Text,
    content_type: Option<&str>,
    known: &Known<'_>,
    problems: &mut Problems,
) -> Option<Template> {
    let spot = Spot::text(source, text);
    let kind = content_type.and_then(|kind| kind.split(';').next()).map(|kind| kind.trim().to_ascii_lowercase());
    let position = match kind.as_deref() {
        Some("application/json") => Position::Json,
        Some(kind) if kind.ends_with("+json") => Position::Json,
        Some("application/x-www-form-urlencoded") => Position::FormText,
        Some("text/plain") => Position::Raw,
        _ if !text.value.contains("${") => Position::Raw,
        _ => {
            problems.add(
                spot.problem(
                    Code::BadValue,
                    0..text.value.len(),
                    "it is not known how to escape what is put into this body",
                )
                .label("`${…}` in a body of this type")
                .help("set the header Content-Type to JSON, form or text/plain, or use `json` or `form`"),
            );
            return None;
        }
    };
    Template::compile(&spot, &text.value, position, Offer::Call, known, problems)
}

impl Json {
    fn compile(source: &Arc<Source>, body: &JsonBody, known: &Known<'_>, problems: &mut Problems) -> Option<Json> {
        Some(match body {
            JsonBody::Text(text) => {
                // The value becomes a JSON string as a whole, so nothing is escaped piece by piece.
                let spot = Spot::text(source, text);
                Json::Text(Template::compile(&spot, &text.value, Position::Raw, Offer::Call, known, problems)?)
            }
            JsonBody::Constant(value) => Json::Constant(value.clone()),
            JsonBody::Array(items) => {
                let compiled: Vec<_> =
                    items.iter().filter_map(|item| Json::compile(source, item, known, problems)).collect();
                if compiled.len() != items.len() {
                    return None;
                }
                Json::Array(compiled)
            }
            JsonBody::Object(members) => {
                let compiled: Vec<_> = members
                    .iter()
                    .filter_map(|(key, value)| Some((key.name.clone(), Json::compile(source, value, known, problems)?)))
                    .collect();
                if compiled.len() != members.len() {
                    return None;
                }
                Json::Object(compiled)
            }
        })
    }

    fn mentions(&self, mentions: &mut Mentions) {
        match self {
            Json::Text(text) => text.mentions(mentions),
            Json::Constant(_) | Json::Token => {}
            Json::Array(items) => items.iter().for_each(|item| item.mentions(mentions)),
            Json::Object(members) => members.iter().for_each(|(_, value)| value.mentions(mentions)),
        }
    }

    fn render(&self, facts: &Facts<'_>, memory: &mut Memory, token: &Token) -> Result<Option<Value>, Failure> {
        Ok(match self {
            Json::Text(text) => {
                text.render(facts, memory, Some(Credentials { token: token.value() }))?.map(Value::String)
            }
            Json::Constant(value) => Some(value.clone()),
            Json::Token => Some(Value::String(token.value().to_owned())),
            Json::Array(items) => {
                let mut values = Vec::with_capacity(items.len());
                for item in items {
                    values.extend(item.render(facts, memory, token)?);
                }
                Some(Value::Array(values))
            }
            Json::Object(members) => {
                let mut object = serde_json::Map::new();
                for (name, value) in members {
                    if let Some(value) = value.render(facts, memory, token)? {
                        object.insert(name.clone(), value);
                    }
                }
                Some(Value::Object(object))
            }
        })
    }
}
