//! Bytes as a value of an answer that is put into requests: it stays one segment, one query value, one header, one field,
//! one JSON string, or the request is not made. Scheme, host and port are those of the rule.

use std::sync::OnceLock;

use claimsmith::core::{CompiledRule, Outgoing};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{outcome, world};

/// A call for each place in which a value may stand. What cannot be made of it is left out.
const RULE: &str = r#"
[call.user]
url = "https://api.example/user"

[call.segment]
url      = "https://api.example/a/${user.v}/b"
token    = "none"
optional = true

[call.written]
url      = "https://api.example/written?x=1&v=${user.v}&y=2"
token    = "none"
optional = true

[call.query]
url      = "https://api.example/query"
query    = { x = "1", v = "${user.v}", y = "2" }
token    = "none"
optional = true

[call.header]
url      = "https://api.example/header"
headers  = { x-before = "1", x-v = "<${user.v}>", x-after = "2" }
token    = "none"
optional = true

[call.form]
url      = "https://api.example/form"
form     = { x = "1", v = "${user.v}", y = "2" }
token    = "none"
optional = true

[call.json]
url      = "https://api.example/json"
json     = { x = "1", v = "${user.v}", y = ["<${user.v}>"] }
token    = "none"
optional = true

[call.raw_json]
url      = "https://api.example/raw_json"
headers  = { content-type = "application/json" }
body     = '{"x":"1","v":"${user.v}","y":"2"}'
token    = "none"
optional = true

[call.raw_form]
url      = "https://api.example/raw_form"
headers  = { content-type = "application/x-www-form-urlencoded" }
body     = "x=1&v=${user.v}&y=2"
token    = "none"
optional = true

[claims]
sub  = { value = "u1" }
name = "<${user.v}>"
"#;

/// What is asked of an input.
pub fn check(bytes: &[u8]) {
    static COMPILED: OnceLock<CompiledRule> = OnceLock::new();
    let Ok(value) = std::str::from_utf8(bytes) else { return };
    let rule = COMPILED.get_or_init(|| world::sound(RULE));
    let user = json!({ "v": value }).to_string();
    let answer = |request: &Outgoing, _| {
        Ok(world::reply(
            200,
            "application/json",
            if request.url.path() == "/user" { user.clone() } else { "{}".into() },
        ))
    };
    let world = world::World::new(&answer);
    let outcome = outcome::run(rule, &world, outcome::is_mark_free(value));
    assert_eq!(outcome.response.status(), 200, "{:?}", outcome.failure);
    let sent = world.sent.borrow();
    for request in sent.iter().skip(1) {
        assert_eq!(request.url.origin().ascii_serialization(), "https://api.example", "{}", request.url);
        assert!(request.url.username().is_empty() && request.url.password().is_none(), "{}", request.url);
        assert!(request.url.fragment().is_none(), "{}", request.url);
        let body = std::str::from_utf8(&request.body).expect("bodies here are text");
        let path = request.url.path();
        let three = |pairs: Vec<(String, String)>| {
            let expected = [("x", "1"), ("v", value), ("y", "2")].map(|(name, value)| (name.into(), value.to_owned()));
            assert_eq!(pairs, expected, "{request:?}");
        };
        match path {
            "/written" | "/query" => three(request.url.query_pairs().into_owned().collect()),
            "/form" | "/raw_form" => three(form_urlencoded::parse(body.as_bytes()).into_owned().collect()),
            "/header" => header(request, value),
            "/json" => assert_eq!(parse(body), json!({ "x": "1", "v": value, "y": [format!("<{value}>")] })),
            "/raw_json" => assert_eq!(parse(body), json!({ "x": "1", "v": value, "y": "2" })),
            _ => segment(path, value),
        }
    }
    // An empty segment, a step in the path, and control characters in a header cannot be written; all else can.
    let is_step = ["", ".", ".."].contains(&value);
    let is_broken = value.bytes().any(|byte| (byte < 0x20 && byte != b'\t') || byte == 0x7f);
    assert_eq!(sent.len(), 9 - usize::from(is_step) - usize::from(is_broken), "{value:?}");
}

fn segment(path: &str, value: &str) {
    let segments: Vec<_> = path.split('/').collect();
    let [_, "a", segment, "b"] = segments[..] else { panic!("it is one segment: {path}") };
    let pair = format!("v={}", segment.replace('+', "%2B"));
    let read = form_urlencoded::parse(pair.as_bytes()).next().expect("there is one pair").1.into_owned();
    assert_eq!(read, value, "{path}");
}

fn header(request: &Outgoing, value: &str) {
    let all = request.headers.get_all("x-v").iter().count();
    assert!(all == 1 && request.headers["x-before"] == "1" && request.headers["x-after"] == "2", "{request:?}");
    assert_eq!(request.headers["x-v"].as_bytes(), format!("<{value}>").as_bytes());
}

fn parse(body: &str) -> Value {
    serde_json::from_str(body).expect("the body is JSON")
}
