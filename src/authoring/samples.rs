//! What the provider answered in the recorded cases of a rule: what members there are, and values of them.

use serde_json::{Map, Value, json};
use url::Url;

use super::{chain::Step, outline::Outline};
use crate::core::end_of_expression;

/// The documents of the cases: an answer for each call that a case has one for, and the vars.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<Value>);

/// Cases that are looked at, and members that are shown.
const MOST: usize = 200;

/// A member, and a value of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) sample: Value,
}

impl Samples {
    /// Reads the cases of a rule. `file` gives the text of a file beside them.
    pub(crate) fn new(rule: (&str, &Outline), cases: &toml::Table, file: &dyn Fn(&str) -> Option<String>) -> Samples {
        let cases = match cases.get("case") {
            Some(toml::Value::Array(cases)) => &cases[..],
            Some(case @ toml::Value::Table(_)) => std::slice::from_ref(case),
            _ => &[],
        };
        Samples(cases.iter().take(MOST).map(|case| document(rule, case, file)).collect())
    }

    /// The document of one case.
    pub(super) fn document(&self, case: usize) -> Option<&Value> {
        self.0.get(case)
    }

    /// The members at the end of some steps, from all cases, each with the first sample that is not null.
    pub(crate) fn members(&self, steps: &[Step]) -> Vec<Member> {
        let mut members: Vec<Member> = Vec::new();
        for value in self.at(steps) {
            let Value::Object(object) = value else { continue };
            for (name, value) in object {
                match members.iter().position(|member| member.name == *name) {
                    Some(at) if members[at].sample.is_null() => members[at].sample = value.clone(),
                    None if members.len() < MOST => {
                        members.push(Member { name: name.clone(), sample: value.clone() });
                    }
                    _ => {}
                }
            }
        }
        members
    }

    /// The values at the end of some steps, from all cases.
    pub(crate) fn at(&self, steps: &[Step]) -> Vec<&Value> {
        let mut values: Vec<&Value> = self.0.iter().collect();
        for step in steps {
            let next = values.into_iter().flat_map(|value| -> Vec<&Value> {
                match (step, value) {
                    (Step::Name(name), Value::Object(object)) => object.get(name).into_iter().collect(),
                    (Step::Each, Value::Array(items)) => items.iter().collect(),
                    (Step::Each, Value::Object(object)) => object.values().collect(),
                    _ => Vec::new(),
                }
            });
            values = next.take(MOST * 10).collect();
        }
        values
    }
}

/// A value in a few words: its type, and what it may be.
pub(crate) fn words(value: &Value) -> String {
    let short = |text: String| {
        let mut short: String = text.chars().take(60).collect();
        if short.len() < text.len() {
            short.push('…');
        }
        short
    };
    match value {
        Value::Null => "null".into(),
        Value::Bool(flag) => format!("boolean: {flag}"),
        Value::Number(number) => format!("number: {}", short(number.to_string())),
        Value::String(text) => format!("text: {}", short(json!(text).to_string())),
        Value::Array(items) => format!("list of {}", items.len()),
        Value::Object(members) => format!("object: {}", short(members.keys().cloned().collect::<Vec<_>>().join(", "))),
    }
}

/// The document of one case.
fn document((text, rule): (&str, &Outline), case: &toml::Value, file: &dyn Fn(&str) -> Option<String>) -> Value {
    let mut vars = Map::new();
    for name in rule.names(&["vars"]) {
        vars.extend(rule.value(text, &["vars", name]).map(|value| (name.to_owned(), json!(value))));
    }
    if let Some(toml::Value::Table(given)) = case.get("vars") {
        vars.extend(given.iter().filter_map(|(name, value)| Some((name.clone(), json!(value.as_str()?)))));
    }
    let calls = rule.names(&["call"]);
    let mut document = Map::new();
    let answers = match case.get("answer") {
        Some(toml::Value::Array(answers)) => &answers[..],
        Some(answer) => std::slice::from_ref(answer),
        None => &[],
    };
    for answer in answers.iter().take(MOST) {
        let Some(url) = answer.get("url").and_then(toml::Value::as_str).and_then(|url| Url::parse(url).ok()) else {
            continue;
        };
        let Some(call) = call_of(rule, text, &vars, &url) else { continue };
        let Some(value) = body(answer, file) else { continue };
        add(&mut document, rule, text, call, value);
    }
    let meta = calls.iter().map(|call| ((*call).to_owned(), json!({ "status": 200, "headers": {} })));
    document.insert("meta".into(), meta.collect::<Map<_, _>>().into());
    document.insert("vars".into(), vars.into());
    Value::Object(document)
}

/// The call that an address is of: the one whose template says the most of it.
pub(super) fn call_of<'o>(rule: &'o Outline, text: &str, vars: &Map<String, Value>, url: &Url) -> Option<&'o str> {
    let address = &url[..url::Position::AfterPath];
    let fitting = rule.names(&["call"]).into_iter().filter_map(|call| {
        let template = rule.value(text, &["call", call, "url"])?;
        Some((fits(template, address, vars)?, call))
    });
    Some(fitting.max_by_key(|(letters, _)| *letters)?.1)
}

/// Puts an answer where the rule finds it: into a list if the call is made several times.
fn add(document: &mut Map<String, Value>, rule: &Outline, text: &str, call: &str, value: Value) {
    let set = |key: &str| rule.key(&["call", call, key]).is_some();
    if !set("each") && !set("paginate") {
        document.insert(call.to_owned(), value);
        return;
    }
    let items = rule.value(text, &["call", call, "paginate", "items"]).and_then(|path| {
        let path = path.strip_prefix(&format!("$.{call}.")).or_else(|| path.strip_prefix("$."))?;
        path.split('.').try_fold(&value, |value, name| value.get(name)).cloned()
    });
    let list = document.entry(call).or_insert_with(|| Value::Array(Vec::new()));
    if let Value::Array(list) = list {
        match items.unwrap_or(value) {
            Value::Array(items) if set("paginate") => list.extend(items),
            value => list.push(value),
        }
    }
}

/// The body of an answer, if it is JSON.
fn body(answer: &toml::Value, file: &dyn Fn(&str) -> Option<String>) -> Option<Value> {
    let text = |key: &str| answer.get(key).and_then(toml::Value::as_str);
    let body = match (text("json").or_else(|| text("body")), text("file")) {
        (Some(body), _) => body.to_owned(),
        (None, Some(name)) => file(name)?,
        (None, None) => return None,
    };
    serde_json::from_str(&body).ok()
}

/// How many letters of an address a template says itself, if it can be that address. Vars have their values,
/// anything else in `${…}` may be anything.
fn fits(template: &str, address: &str, vars: &Map<String, Value>) -> Option<usize> {
    let mut parts = vec![String::new()];
    let mut rest = template.split(['?', '#']).next().unwrap_or_default();
    // An expression may have a question mark of its own.
    if rest.matches("${").count() > rest.matches('}').count() {
        rest = template;
    }
    while let Some((literal, after)) = rest.split_once("${") {
        let end = end_of_expression(after, 0)?;
        let expression = after[..end].trim();
        let var = expression.strip_prefix("vars.").and_then(|name| vars.get(name)).and_then(Value::as_str);
        let last = parts.last_mut()?;
        last.push_str(literal);
        match var {
            Some(value) => last.push_str(value),
            None => parts.push(String::new()),
        }
        rest = &after[end + 1..];
    }
    parts.last_mut()?.push_str(rest.split('?').next().unwrap_or_default());
    let letters = parts.iter().map(String::len).sum();
    if let [whole] = &parts[..] {
        return (whole.trim_end_matches('/') == address.trim_end_matches('/')).then_some(letters);
    }
    let mut address = address.strip_prefix(parts.first()?.as_str())?.strip_suffix(parts.last()?.as_str())?;
    for part in &parts[1..parts.len() - 1] {
        address = &address[address.find(part.as_str())? + part.len()..];
    }
    Some(letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_known_by_the_template_that_made_it() {
        let vars = json!({ "host": "a.example" }).as_object().expect("it is one").clone();
        for (template, address, expected) in [
            ("https://a.example/me", "https://a.example/me", true),
            ("https://a.example/me?x=1", "https://a.example/me", true),
            ("https://${vars.host}/me", "https://a.example/me", true),
            ("https://${vars.host}/u/${user.id}/t", "https://a.example/u/7/t", true),
            ("https://${vars.host}/u/${user.id}", "https://a.example/v/7", false),
            ("https://a.example/me/mails", "https://a.example/me", false),
            ("${", "https://a.example/me", false),
            ("https://a.example/a${x}b${y}c", "https://a.example/abc", true),
            ("https://a.example/ab${x}ba", "https://a.example/aba", false),
        ] {
            assert_eq!(fits(template, address, &vars).is_some(), expected, "{template}");
        }
    }

    #[test]
    fn members_come_from_all_cases() {
        let rule = "[vars]\nhost = \"a.example\"\n[call.user]\nurl = \"https://${vars.host}/me\"\n[call.teams]\nurl = \"https://a.example/t\"\n\
            paginate = { page = 1, param = \"p\", items = \"$.teams.items\" }\n";
        let cases = r#"
            [[case]]
            [[case.answer]]
            url  = "https://a.example/me?x=1"
            json = '{"id": 7, "name": null, "deep": {"x": [1]}}'
            [[case.answer]]
            url  = "https://a.example/t?p=1"
            json = '{"items": [{"slug": "a"}]}'
            [[case]]
            [[case.answer]]
            url  = "https://a.example/me"
            file = "me.json"
        "#;
        let file = |name: &str| (name == "me.json").then(|| r#"{"name": "Ada", "more": true}"#.to_owned());
        let outline = Outline::new(rule);
        let samples = Samples::new((rule, &outline), &cases.parse().expect("it is TOML"), &file);
        let members = |steps: &[Step]| -> Vec<_> {
            samples
                .members(steps)
                .into_iter()
                .map(|member| format!("{} {}", member.name, words(&member.sample)))
                .collect()
        };
        let name = |name: &str| Step::Name(name.into());
        assert_eq!(
            members(&[name("user")]),
            ["deep object: x", "id number: 7", "name text: \"Ada\"", "more boolean: true"]
        );
        assert_eq!(members(&[name("teams"), Step::Each]), ["slug text: \"a\""]);
        assert_eq!(members(&[name("nobody")]), Vec::<String>::new());
        assert_eq!(members(&[name("meta"), name("teams")]), ["headers object: ", "status number: 200"]);
    }
}
