//! Bytes as a caller's request: its token is found, or it is told why not; the provider gets that token and no other, and
//! nothing of the request that the rule does not name.

use std::sync::OnceLock;

use bytes::Bytes;
use claimsmith::core::{CompiledRule, Outgoing, Reception, Request, answer};
use http::header;

use super::{outcome, world};

const RULE: &str = r#"
[request]
headers = ["accept-language", "x-plain"]
query   = ["lang"]

[call.user]
url = "https://api.example/user"

[claims]
sub    = "$.user.id"
locale = ["$.request.query.lang", "$.request.headers['accept-language']"]
plain  = "$.request.headers['x-plain']"
method = "$.request.method"
"#;

/// What is asked of an input: a request line without a version, lines of headers, an empty line and a body.
pub fn check(bytes: &[u8]) {
    static COMPILED: OnceLock<CompiledRule> = OnceLock::new();
    let rule = COMPILED.get_or_init(|| world::sound(RULE));
    let Some(request) = read(bytes) else { return };
    for query_token in [false, true] {
        let give = |_: &Outgoing, _| Ok(world::reply(200, "application/json", r#"{"id":7}"#));
        let world = world::World::new(&give);
        let outcome =
            world::at_once(answer(Some(rule), &request, "id", Reception { query_token, until: None }, &world, None));
        if request.method() == http::Method::OPTIONS {
            assert!(world.sent.borrow().is_empty());
            continue;
        }
        outcome::check(rule, &outcome);
        let sent = world.sent.borrow();
        assert_eq!(
            sent.len(),
            usize::from(outcome.failure.is_none()),
            "one request for a caller with a token: {sent:?}"
        );
        sent.iter().for_each(|sent| forwards(&request, sent, query_token));
        let challenge = outcome.response.headers().contains_key(header::WWW_AUTHENTICATE);
        let status = outcome.response.status().as_u16();
        assert_eq!(challenge, [400, 401].contains(&status), "{status}");
    }
}

/// The token that is sent on is one of the request's, letter for letter.
fn forwards(request: &Request, sent: &Outgoing, query_token: bool) {
    let field = sent.headers[header::AUTHORIZATION].to_str().expect("a token is ASCII");
    let token = field.strip_prefix("Bearer ").expect("it is sent as a bearer token");
    assert!(!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()), "{token:?}");
    let of_header = || {
        let field = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
        Some(field.split_once(' ')?.1.trim_matches(' ').to_owned())
    };
    let of_form = |form: &[u8]| {
        let mut pairs = url::form_urlencoded::parse(form);
        pairs.find(|(name, _)| name == "access_token").map(|(_, value)| value.into_owned())
    };
    let query = || of_form(request.uri().query().unwrap_or_default().as_bytes()).filter(|_| query_token);
    let body = || of_form(request.body()).filter(|_| request.method() == http::Method::POST);
    let all: Vec<_> = [of_header(), query(), body()].into_iter().flatten().collect();
    assert!(all.iter().any(|one| one == token), "{token:?} is none of {all:?}");
    assert_eq!(sent.url.as_str(), "https://api.example/user");
    for name in ["cookie", "x-plain", "accept-language", "forwarded", "x-forwarded-for"] {
        assert!(!sent.headers.contains_key(name), "{name} is not the provider's business");
    }
}

fn read(bytes: &[u8]) -> Option<Request> {
    let (head, body) = match bytes.windows(2).position(|two| two == b"\n\n") {
        Some(at) => (&bytes[..at], &bytes[at + 2..]),
        None => (bytes, &b""[..]),
    };
    let mut lines = head.split(|byte| *byte == b'\n');
    let line = lines.next()?;
    let space = line.iter().position(|byte| *byte == b' ')?;
    let mut request = http::Request::builder().method(&line[..space]).uri(&line[space + 1..]);
    for line in lines.take(100) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        request = request.header(&line[..colon], line[colon + 1..].trim_ascii());
    }
    request.body(Bytes::copy_from_slice(body)).ok()
}
