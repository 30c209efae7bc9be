//! The origins that a rule names are all that are asked, whatever answers and tokens say.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;

use super::TOKEN;
use crate::support::{Reply, Seen, Setup, Upstream};

const API: &str = "https://api.acme.example";
/// Other origins: each is reached if anybody asks for it.
const OTHERS: [(&str, &str); 4] = [
    ("host", "https://other.acme.example"),
    ("port", "https://api.acme.example:8443"),
    ("scheme", "http://api.acme.example"),
    ("subdomain", "https://a.api.acme.example"),
];
const KEY: &str = "k3y-m4rk";

/// A rule whose call has a credential in every place that there is, or in these lines.
fn follows(redirect: &str, lines: &str) -> String {
    format!(
        "[secrets]\nkey = {{ env = \"KEY\" }}\n[call.user]\nurl = \"{API}/start\"\n\
         headers = {{ api-key = \"${{secrets.key}}\", x-t = \"${{token}}\", cookie = \"s=${{secrets.key}}\" }}\n\
         {lines}\nredirect = {redirect}\n[claims]\nsub = \"$.user.id\"\n"
    )
}

fn ask(rule: &str, upstream: &Upstream, other: (&str, &Upstream)) -> u16 {
    let setup = Setup::new().rule("acme", rule).secrets(&[("KEY", KEY)]);
    let setup = setup.reroute(API, &upstream.origin).reroute(other.0, &other.1.origin);
    setup.outcome("/acme", TOKEN).response.status().as_u16()
}

/// No credential in what an upstream saw, and nothing that says where it came from.
#[track_caller]
fn is_clean(seen: &Seen, what: &str) {
    let text = format!("{seen:?}");
    assert!(!text.contains("m4rk"), "{what}: {text}");
    for name in ["authorization", "cookie", "api-key", "x-t", "referer", "origin"] {
        assert!(!seen.headers.contains_key(name), "{what}: {text}");
    }
}

#[test]
fn no_redirect_takes_a_credential_to_another_host_port_or_scheme() {
    let places = [
        "token = \"bearer\"",
        "token = { query = \"t\" }\nquery = { k = \"${secrets.key}\" }",
        "token = { form = \"t\" }\nform = { k = \"${secrets.key}\" }",
        "json = { k = \"${secrets.key}\" }",
        "auth = { basic = { user = \"us\", password = \"${secrets.key}\" } }",
    ];
    let (mut refused, mut clean) = (0, 0);
    for status in [301, 302, 303, 307, 308] {
        for (what, origin) in OTHERS {
            for place in places {
                let what = format!("{status}, another {what}, {place}");
                let target = format!("{origin}/moved");
                let upstream = Upstream::new(move |_| Reply::new(status, "{}").header("location", target.clone()));
                let other = Upstream::new(|_| Reply::json(r#"{"id":"1"}"#));
                for redirect in ["0", "5"] {
                    assert_eq!(ask(&follows(redirect, place), &upstream, (origin, &other)), 502, "{what}");
                    assert_eq!(other.connections(), 0, "{what}");
                    refused += 1;
                }
                let listed = format!("{{ max = 5, origins = [\"{origin}\"] }}");
                ask(&follows(&listed, place), &upstream, (origin, &other));
                for seen in other.seen() {
                    is_clean(&seen, &what);
                    clean += 1;
                }
                // The credentials were there all the time.
                assert_eq!(upstream.seen().len(), 3);
                assert!(upstream.seen().iter().all(|seen| format!("{seen:?}").contains("m4rk")));
            }
        }
    }
    // A body that would travel along is refused.
    assert_eq!((refused, clean), (200, 5 * 4 * 3 + 3 * 4 * 2));
}

/// A token that is signed by nobody, whose head says where keys are.
fn token_with_keys(at: &str) -> String {
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let head = json!({ "alg": "EdDSA", "kid": "k1", "jku": format!("{at}/jwks"), "x5u": format!("{at}/x5u"),
        "iss": at, "jwk": { "kty": "OKP", "crv": "Ed25519", "x": "" } });
    let claims = json!({ "iss": at, "aud": "a", "sub": "1", "exp": 4_000_000_000_u64 });
    format!("{}.{}.{}", part(head), part(claims), URL_SAFE_NO_PAD.encode([0; 64]))
}

#[test]
fn no_answer_and_no_token_leads_to_an_origin_that_the_rule_does_not_name() {
    let call = format!("[call.user]\nurl = \"{API}/user\"\n");
    let claims = "[claims]\nsub = \"$.user.id\"\n";
    let list = |lines: &str| format!("{call}[call.list]\nurl = \"{API}/list\"\n{lines}\n{claims}list = \"$.list\"\n");
    let key = "[secrets]\nkey = { env = \"KEY\" }\n";
    let basic = "basic = { user = \"us\", password = \"${secrets.key}\" }";
    let jwt = format!(
        "jwt = {{ jwks = \"{API}/leads\", issuer = [\"a\", \"https://other.acme.example\"], audience = \"a\" }}"
    );
    let rules = [
        ("Link", list("paginate = \"link\"")),
        ("next", list("paginate = { next = \"$.list.next\" }")),
        ("next with items", list("paginate = { next = \"$.list.next\", items = \"$.list.items\" }")),
        ("redirected page", list("paginate = \"link\"\nredirect = 3").replace("/list", "/leads")),
        ("keys", format!("[token]\n{jwt}\n{call}{claims}")),
        (
            "introspection",
            format!(
                "{key}[token]\nintrospect = {{ url = \"{API}/leads\", auth = {{ {basic} }}, expect = {{ client_id = \"a\" }} }}\n{call}{claims}"
            ),
        ),
        (
            "token endpoint",
            format!(
                "{key}{call}auth = {{ client_credentials = {{ token_url = \"{API}/leads\", client_id = \"us\", client_secret = \"${{secrets.key}}\" }} }}\n{claims}"
            ),
        ),
        ("keys of an answer", format!("{call}decode = {{ {jwt} }}\n{claims}")),
    ];
    for (_, origin) in OTHERS {
        for (what, rule) in &rules {
            let leads = origin.to_owned();
            let upstream = Upstream::new(move |seen| match seen.target.as_str() {
                "/leads" => Reply::new(307, "{}").header("location", format!("{leads}/x")),
                "/list" => Reply::json(json!({ "next": format!("{leads}/2"), "items": [1] }).to_string())
                    .header("link", format!("<{leads}/2>; rel=\"next\"")),
                "/user" => Reply::new(200, token_with_keys(&leads)).header("content-type", "application/jwt"),
                _ => Reply::new(404, "{}"),
            });
            let other = Upstream::new(|_| Reply::json(r#"{"keys":[],"id":"1","active":true,"access_token":"x"}"#));
            let setup = Setup::new().rule("acme", rule).secrets(&[("KEY", KEY)]);
            let setup = setup.reroute(API, &upstream.origin).reroute(origin, &other.origin);
            assert!(setup.load().refused.is_empty(), "{what}: {:?}", setup.load().problems);
            let outcome = setup.outcome("/acme", &token_with_keys(origin));
            assert_ne!(outcome.response.status(), 200, "{what}, {origin}");
            assert!(!upstream.seen().is_empty(), "{what}: the origin of the rule is asked");
            assert_eq!(other.connections(), 0, "{what}, {origin}");
        }
    }
}
