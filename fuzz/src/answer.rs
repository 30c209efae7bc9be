//! Bytes as what upstreams answer, heads included: the request ends, in claims or in a row of the failure table, asks
//! nobody else than the rule says, and shows nobody else its credentials.

use std::sync::OnceLock;

use bytes::Bytes;
use claimsmith::core::{Answer, CompiledRule, FetchError, Outgoing};
use http::{HeaderName, HeaderValue, StatusCode};

use super::{outcome, world};

/// What reads answers in ways of its own.
const CALLS: [&str; 14] = [
    "",
    "paginate = \"link\"",
    "paginate = { next = \"$.user.next\", items = \"$.user.items\" }",
    "paginate = { cursor = \"$.user.cursor\", param = \"after\", items = \"$.user.items\", max_pages = 5 }",
    "paginate = { page = 1, param = \"p\", max_pages = 5 }",
    "cache = { ttl = \"5m\", stale = \"1h\", refused = \"10s\" }",
    "auth = { client_credentials = { token_url = \"https://login.example/token\", client_id = \"us\", client_secret = \"${secrets.key}\" } }",
    "decode = { jwt = { jwks = \"https://login.example/jwks\", issuer = \"https://login.example\", audience = \"us\" } }",
    "redirect = { max = 3, origins = [\"https://other.example\"] }",
    "retry = { times = 3, on = [500, 502, 503, 429] }",
    "expect = [200, 404, 403]\nfail_when = [{ when = \"meta.user.status == 403 && meta.user.headers[\\\"x-why\\\"] != ()\", error = \"access_denied\" }]",
    "graphql = { query = \"{ me { id } }\" }",
    "token = { query = \"access_token\" }\npaginate = \"link\"\nredirect = 2",
    "timeout = \"1s\"\noptional = true",
];

/// Rules by the first letter of an input: one for each of the calls, and some in which other parts ask.
fn rules() -> Vec<CompiledRule> {
    let rule = |head: &str, call: &str, more: &str| {
        world::sound(&format!(
            "{head}\n[secrets]\nkey = {{ env = \"KEY\" }}\n[call.user]\nurl = \"https://api.example/user\"\n{call}\n{more}\n\
             [claims]\nsub = \"$.user.id\"\nname = [\"$.user.name\", \"$.user[0].name\"]\n\
             agent = \"$.meta.user.headers['x-agent']\"\n"
        ))
    };
    let list = |head: &str, call: &str| {
        world::sound(&format!(
            "{head}\n[secrets]\nkey = {{ env = \"KEY\" }}\n[call.user]\nurl = \"https://api.example/user\"\n{call}\n\
             [claims]\nsub = {{ path = \"$.user[*].id\", first = true }}\ngroups = {{ path = \"$.user[*].name\", many = true }}\n"
        ))
    };
    let of_call = |call: &&str| if call.contains("paginate") { list("", call) } else { rule("", call, "") };
    let mut rules: Vec<_> = CALLS.iter().map(of_call).collect();
    rules.push(rule(
        "[token]\nintrospect = { url = \"https://login.example/introspect\", auth = { basic = { user = \"us\", password = \"${secrets.key}\" } }, expect = { client_id = \"us\" } }",
        "",
        "",
    ));
    rules.push(rule("cache = { ttl = \"5m\", stale = \"5m\", refused = \"5s\" }", "", ""));
    let teams =
        "[call.teams]\nurl = \"https://api.example/teams/${each}\"\neach = \"$.user.teams[*]\"\noptional = true";
    rules.push(rule("", "", teams));
    rules
}

/// What is asked of an input: a letter for the rule, then answers with `%%%` between them, of which the last goes on. An
/// answer is a status, lines of headers, an empty line and a body.
pub fn check(bytes: &[u8]) {
    thread_local! {
        static RULES: OnceLock<Vec<CompiledRule>> = const { OnceLock::new() };
    }
    let Some((letter, rest)) = bytes.split_first() else { return };
    let answers: Vec<_> = pieces(rest, b"%%%\n").into_iter().map(read).collect();
    RULES.with(|rules| {
        let rules = rules.get_or_init(rules_of_this_thread);
        let Some(rule) = letter.checked_sub(b'a').and_then(|number| rules.get(usize::from(number))) else { return };
        let give = |_: &Outgoing, number: usize| answers[number.min(answers.len() - 1)].clone();
        let world = world::World::new(&give);
        outcome::run(rule, &world, outcome::is_mark_free(&String::from_utf8_lossy(bytes)));
        world.sent.borrow().iter().for_each(stays_where_it_may);
    });
}

fn rules_of_this_thread() -> Vec<CompiledRule> {
    rules()
}

/// Credentials go to the origins that the rule names for them, and no request to any other.
fn stays_where_it_may(request: &Outgoing) {
    let origin = request.url.origin().ascii_serialization();
    assert!(request.url.fragment().is_none(), "{}", request.url);
    let shows = |mark: &str| {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(mark);
        text(request.url.as_str().as_bytes())
            || text(&request.body)
            || request.headers.values().any(|v| text(v.as_bytes()))
    };
    match origin.as_str() {
        "https://api.example" => assert!(!shows(world::SECRET), "only the token endpoint is shown our secret"),
        "https://login.example" => {}
        "https://other.example" => {
            assert!(!shows(world::TOKEN) && !shows(world::SECRET), "credentials leave their origin: {}", request.url);
            assert!(!request.headers.contains_key(http::header::AUTHORIZATION), "{}", request.url);
            assert!(!request.headers.contains_key(http::header::REFERER), "{}", request.url);
        }
        other => panic!("the rule names no {other}"),
    }
}

/// The pieces between marks; one at least.
fn pieces<'b>(bytes: &'b [u8], mark: &[u8]) -> Vec<&'b [u8]> {
    let (mut pieces, mut start, mut at) = (Vec::new(), 0, 0);
    while at + mark.len() <= bytes.len() && pieces.len() < 30 {
        if bytes[at..].starts_with(mark) {
            pieces.push(&bytes[start..at]);
            at += mark.len();
            start = at;
        } else {
            at += 1;
        }
    }
    pieces.push(&bytes[start..]);
    pieces
}

/// An answer, or none: some of what else can happen to a request is chosen by a status that is none.
fn read(bytes: &[u8]) -> Result<Answer, FetchError> {
    let (head, body) = match bytes.windows(2).position(|two| two == b"\n\n") {
        Some(at) => (&bytes[..at], &bytes[at + 2..]),
        None => (bytes, &b""[..]),
    };
    let mut lines = head.split(|byte| *byte == b'\n');
    let status = lines.next().and_then(|line| std::str::from_utf8(line).ok()?.trim().parse::<u16>().ok());
    let status = match status {
        Some(0) => return Err(FetchError::Timeout),
        Some(1) => return Err(FetchError::Connect("refused".into())),
        Some(2) => return Err(FetchError::Broken("it was".into())),
        status => status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::OK),
    };
    let mut headers = http::HeaderMap::new();
    for line in lines.take(100) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii())) {
            headers.append(name, value);
        }
    }
    Ok(Answer { status, headers, body: Bytes::copy_from_slice(body) })
}
