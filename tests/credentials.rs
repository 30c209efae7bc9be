//! Our own credentials: tokens that a token endpoint gives us, and certificates that we show.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use claimsmith::core::{Blame, Failure, Outcome};
use futures_util::future::join_all;
use rustls::version::{TLS12, TLS13};
use serde_json::json;
use tokio::sync::Notify;

use crate::support::{Authority, Clients, Pair, Reply, Seen, Setup, Upstream, block_on, client, send};

const TOKEN: &str = "t0ken";
const BOTH: &[&rustls::SupportedProtocolVersion] = &[&TLS12, &TLS13];
const CLIENT: &str = "token_url = \"https://api.acme.example/token\", client_id = \"us:1\", \
    client_secret = \"${secrets.key}\"";

/// A rule with one call of these lines.
fn rule(lines: &str) -> String {
    format!(
        "[secrets]\nkey = {{ env = \"KEY\" }}\nother = {{ env = \"OTHER\" }}\n\
         [call.user]\nurl = \"https://api.acme.example/user\"\n{lines}\n[claims]\nsub = \"$.user.id\"\n"
    )
}

/// A rule whose call has a token of ours.
fn ours(options: &str, lines: &str) -> String {
    rule(&format!("auth = {{ client_credentials = {{ {CLIENT}{options} }} }}\n{lines}"))
}

fn setup(rule: &str, upstream: &Upstream) -> Setup {
    Setup::new()
        .rule("acme", rule)
        .reroute("https://api.acme.example", &upstream.origin)
        .secrets(&[("KEY", "k3y&"), ("OTHER", "0ther")])
}

/// An upstream that gives tokens `own-1`, `own-2`, … that last so many seconds, and answers others by `api`.
fn grants(seconds: &'static [u64], api: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Upstream {
    let granted = AtomicUsize::new(0);
    Upstream::new(move |seen| match seen.target.as_str() {
        "/token" => {
            let number = granted.fetch_add(1, Ordering::SeqCst);
            let seconds = seconds.get(number).or(seconds.last()).expect("it says how long tokens last");
            grant(number + 1, *seconds)
        }
        _ => api(seen),
    })
}

fn grant(number: usize, seconds: u64) -> Reply {
    let body = json!({ "access_token": format!("own-{number}"), "token_type": "bearer", "expires_in": seconds });
    Reply::json(body.to_string())
}

fn profile(_: &Seen) -> Reply {
    Reply::json(r#"{"id":"1"}"#)
}

fn count(upstream: &Upstream, target: &str) -> usize {
    upstream.seen().iter().filter(|seen| seen.target == target).count()
}

/// What the log would say of an outcome, and who has to look at it.
fn told(outcome: &Outcome) -> (u16, Option<Blame>, String) {
    let failure = outcome.failure.as_ref();
    let words = failure.map(Failure::words).unwrap_or_default();
    (outcome.response.status().as_u16(), failure.map(Failure::blame), words)
}

#[test]
fn the_request_for_a_token_is_as_its_style_says() {
    // RFC 6749, section 2.3.1: "us%3A1:k3y%26"
    let basic = "Basic dXMlM0ExOmszeSUyNg==";
    for (options, authorization, body) in [
        ("", basic, "grant_type=client_credentials"),
        (", style = \"basic\", scope = \"a b\"", basic, "grant_type=client_credentials&scope=a+b"),
        (
            ", style = \"post\", audience = \"https://api.acme.example\", resource = \"urn:x\"",
            "",
            "grant_type=client_credentials&audience=https%3A%2F%2Fapi.acme.example&resource=urn%3Ax\
             &client_id=us%3A1&client_secret=k3y%26",
        ),
    ] {
        let upstream = grants(&[60], profile);
        let gateway = setup(&ours(options, ""), &upstream).start();
        assert_eq!(gateway.get("/acme", TOKEN).body, r#"{"sub":"1"}"#, "{options}");
        let seen = upstream.seen();
        let [token, user] = &seen[..] else { panic!("{} requests", seen.len()) };
        assert_eq!((token.method.as_str(), token.target.as_str()), ("POST", "/token"));
        assert_eq!(token.header("authorization"), authorization);
        assert_eq!(token.header("content-type"), "application/x-www-form-urlencoded");
        assert_eq!(String::from_utf8_lossy(&token.body), body);
        assert_eq!((user.target.as_str(), user.header("authorization")), ("/user", "Bearer own-1"));
        assert!(!format!("{seen:?}").contains(TOKEN), "`auth` keeps the caller's token out");
    }
}

#[test]
fn the_callers_token_may_travel_beside_ours() {
    let upstream = grants(&[60], profile);
    let gateway = setup(&ours("", "token = { header = \"x-user-token\" }"), &upstream).start();
    assert_eq!(gateway.get("/acme", TOKEN).status, 200);
    let seen = upstream.seen();
    assert_eq!((seen[1].header("authorization"), seen[1].header("x-user-token")), ("Bearer own-1", TOKEN));
    assert!(!format!("{:?}", seen[0]).contains(TOKEN), "the token endpoint does not see it");
}

#[test]
fn a_thousand_first_requests_make_one_token_request() {
    const REQUESTS: usize = 1000;
    const CONNECTIONS: usize = 8;
    let authority = Authority::new();
    // No token is given before all requests are on their way.
    let (started, all) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let held = all.clone();
    let upstream = Upstream::secure(authority.server(Clients::Anybody, BOTH), move |seen| {
        let held = held.clone();
        async move {
            if seen.target == "/token" {
                held.notified().await;
                return grant(1, 3600);
            }
            assert_eq!(seen.header("authorization"), "Bearer own-1");
            Reply::json(r#"{"id":"1"}"#)
        }
    });
    let rules = ours("", "");
    let setup = setup(&rules, &upstream).with(|settings| {
        settings.upstream.roots = Some(authority.file());
        // The machine may be busy with other tests.
        settings.deadline = claimsmith::config::Span(std::time::Duration::from_secs(60));
    });
    let gateway = setup.start();
    let answers = block_on(async {
        // Over HTTP/2, as a process may not have so many sockets.
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().expect("a client can be made")
            })
            .collect();
        let requests = (0..REQUESTS).map(|number| {
            let request = clients[number % CONNECTIONS].get(gateway.url("/acme")).bearer_auth(TOKEN);
            let (started, all) = (started.clone(), all.clone());
            async move {
                if started.fetch_add(1, Ordering::SeqCst) + 1 == REQUESTS {
                    all.notify_one();
                }
                send(request).await.status
            }
        });
        join_all(requests).await
    });
    assert!(answers.iter().all(|status| *status == 200));
    assert_eq!((count(&upstream, "/token"), count(&upstream, "/user")), (1, REQUESTS));
}

#[test]
fn a_token_that_expires_under_load_is_fetched_once_more() {
    const AT_ONCE: usize = 32;
    let upstream = grants(&[2, 3600], |seen| match seen.header("authorization") {
        "Bearer own-1" | "Bearer own-2" => Reply::json(r#"{"id":"1"}"#),
        _ => Reply::new(401, "{}"),
    });
    let gateway = setup(&ours("", ""), &upstream).start();
    block_on(async {
        let client = client();
        let mut last = 0;
        // Until the second token is in use, and a little longer; the test has an end of its own.
        while last < 20 {
            let requests = (0..AT_ONCE).map(|_| send(client.get(gateway.url("/acme")).bearer_auth(TOKEN)));
            assert!(join_all(requests).await.iter().all(|answer| answer.status == 200));
            last += usize::from(count(&upstream, "/token") > 1);
        }
    });
    assert_eq!(count(&upstream, "/token"), 2);
    let last = upstream.seen().pop().expect("there were requests");
    assert_eq!(last.header("authorization"), "Bearer own-2");
}

#[test]
fn a_refused_token_is_exchanged_once() {
    let upstream = grants(&[3600], |seen| match seen.header("authorization") {
        "Bearer own-2" => Reply::json(r#"{"id":"1"}"#),
        _ => Reply::new(401, "{}"),
    });
    let gateway = setup(&ours("", ""), &upstream).start();
    for _ in 0..3 {
        assert_eq!(gateway.get("/acme", TOKEN).body, r#"{"sub":"1"}"#);
    }
    let targets: Vec<_> = upstream.seen().iter().map(|seen| seen.target.clone()).collect();
    assert_eq!(targets, ["/token", "/user", "/token", "/user", "/user", "/user"]);
}

#[test]
fn all_who_are_refused_together_get_the_same_new_token() {
    const AT_ONCE: usize = 64;
    let together = Arc::new(tokio::sync::Barrier::new(AT_ONCE));
    let granted = AtomicUsize::new(0);
    let upstream = Upstream::slow(move |seen| {
        let number = granted.fetch_add(usize::from(seen.target == "/token"), Ordering::SeqCst) + 1;
        let together = together.clone();
        async move {
            match (seen.target.as_str(), seen.header("authorization")) {
                ("/token", _) => grant(number, 3600),
                (_, "Bearer own-1") => {
                    together.wait().await;
                    Reply::new(401, "{}")
                }
                (_, "Bearer own-2") => Reply::json(r#"{"id":"1"}"#),
                _ => Reply::new(500, ""),
            }
        }
    });
    let gateway = setup(&ours("", ""), &upstream).start();
    let answers = block_on(async {
        let client = client();
        join_all((0..AT_ONCE).map(|_| send(client.get(gateway.url("/acme")).bearer_auth(TOKEN)))).await
    });
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!((count(&upstream, "/token"), count(&upstream, "/user")), (2, 2 * AT_ONCE));
}

#[test]
fn tokens_that_are_always_refused_are_our_fault_and_no_storm() {
    for status in [401, 403] {
        let upstream = grants(&[3600], move |_| Reply::new(status, "{}"));
        let setup = setup(&ours("", ""), &upstream);
        let (code, blame, words) = told(&setup.outcome("/acme", TOKEN));
        assert_eq!((code, blame), (502, Some(Blame::Us)), "{words}");
        assert_eq!(words, format!("call user: the upstream refused our own credentials ({status})"));
        let before = count(&upstream, "/token");
        assert_eq!(before, if status == 401 { 2 } else { 1 }, "only a 401 says that the token is no longer good");
        let gateway = setup.start();
        for _ in 0..20 {
            let answer = gateway.get("/acme", TOKEN);
            assert_eq!((answer.status, &answer.json()["error"]), (502, &json!("server_error")));
            assert!(!answer.headers.contains_key("www-authenticate"));
        }
        assert_eq!(count(&upstream, "/token"), 2 * before, "however many are refused");
    }
}

#[test]
fn a_401_that_the_call_expects_is_an_answer() {
    let upstream = grants(&[3600], |_| Reply::new(401, r#"{"id":"1"}"#));
    let gateway = setup(&ours("", "expect = 401"), &upstream).start();
    assert_eq!(gateway.get("/acme", TOKEN).status, 200);
    assert_eq!((count(&upstream, "/token"), count(&upstream, "/user")), (1, 1));
}

#[test]
fn a_401_to_a_call_with_both_tokens_is_about_the_callers() {
    let upstream = grants(&[3600], |_| Reply::new(401, "{}"));
    let gateway = setup(&ours("", "token = { query = \"t\" }"), &upstream).start();
    for _ in 0..5 {
        let answer = gateway.get("/acme", TOKEN);
        assert_eq!((answer.status, &answer.json()["error"]), (401, &json!("invalid_token")));
    }
    assert_eq!(count(&upstream, "/token"), 2, "bad tokens of callers are no way to make us ask for ours");
}

#[test]
fn what_goes_wrong_at_the_token_endpoint_is_never_the_callers_fault() {
    let grant = |body: &str| Reply::json(body);
    for (reply, status, blame, words) in [
        (
            Reply::new(401, r#"{"error":"invalid_client"}"#),
            502,
            Blame::Us,
            "refused our credentials (401, invalid_client)",
        ),
        (
            Reply::new(400, r#"{"error":"invalid_scope"}"#),
            502,
            Blame::Us,
            "refused our credentials (400, invalid_scope)",
        ),
        (
            Reply::new(400, r#"{"error":"m4rk","error_description":"m4rk"}"#),
            502,
            Blame::Us,
            "refused our credentials (400)",
        ),
        (Reply::new(403, "m4rk"), 502, Blame::Us, "refused our credentials (403)"),
        (Reply::new(302, "").header("location", "/user"), 502, Blame::Upstream, "the token endpoint answered 302"),
        (Reply::new(500, "m4rk"), 502, Blame::Upstream, "the token endpoint answered 500"),
        (Reply::new(429, "m4rk").header("retry-after", "7"), 503, Blame::Upstream, "wants fewer requests"),
        (grant("m4rk"), 502, Blame::Upstream, "it has no `access_token`"),
        (
            grant(r#"{"access_token":"m4rk","token_type":"mac"}"#),
            502,
            Blame::Upstream,
            "its `token_type` is not `Bearer`",
        ),
        (grant(r#"{"access_token":"m4rk m4rk"}"#), 502, Blame::Upstream, "its `access_token` is not a token"),
        (grant(&format!(r#"{{"access_token":"{}"}}"#, "m4rk".repeat(5000))), 502, Blame::Upstream, "is too long"),
        (grant(&" ".repeat(65 * 1024)), 502, Blame::Upstream, "it is too large"),
        (grant(&" ".repeat(2 * 1024 * 1024)), 502, Blame::Upstream, "more than 1048576 bytes"),
    ] {
        let upstream = Upstream::new(move |_| reply.clone());
        let outcome = setup(&ours("", ""), &upstream).outcome("/acme", TOKEN);
        let (code, blamed, said) = told(&outcome);
        assert_eq!((code, blamed), (status, Some(blame)), "{said}");
        assert!(said.contains(words) && !said.contains("m4rk") && !said.contains("k3y"), "{said}");
        assert!(!outcome.response.headers().contains_key("www-authenticate"), "{said}");
        assert_eq!(count(&upstream, "/user"), 0, "{said}");
    }
    let nobody = Setup::new().rule("acme", &ours("", "")).reroute("https://api.acme.example", "http://127.0.0.1:1");
    let (code, blamed, said) = told(&nobody.secrets(&[("KEY", "k"), ("OTHER", "o")]).outcome("/acme", TOKEN));
    assert_eq!((code, blamed), (502, Some(Blame::Upstream)), "{said}");
    assert!(said.contains("the token endpoint: no connection"), "{said}");
}

#[test]
fn the_limit_of_the_call_holds_for_its_token_too() {
    let upstream = Upstream::slow(|_| std::future::pending());
    let outcome = setup(&ours("", "timeout = \"50ms\""), &upstream).outcome("/acme", TOKEN);
    let (status, _, words) = told(&outcome);
    assert_eq!((status, words.as_str()), (504, "call user: the token endpoint: no answer in time"));
}

#[test]
fn an_optional_call_without_a_token_is_null() {
    let upstream = Upstream::new(|_| Reply::new(500, ""));
    let rules = ours("", "optional = true").replace("\"$.user.id\"", "[\"$.user.id\", \"${request.rule}\"]");
    assert_eq!(setup(&rules, &upstream).start().get("/acme", TOKEN).body, r#"{"sub":"acme"}"#);
}

#[test]
fn who_asks_for_the_same_shares_a_token_and_nobody_else() {
    let upstream = grants(&[3600], profile);
    let other = ours("", "").replace("secrets.key", "secrets.other");
    let gateway = setup(&ours("", ""), &upstream)
        .rule("same", &ours("", "timeout = \"3s\""))
        .rule("scope", &ours(", scope = \"a\"", ""))
        .rule("secret", &other)
        .rule("post", &ours(", style = \"post\"", ""))
        .start();
    for (path, expected) in [("/acme", 1), ("/same", 1), ("/scope", 2), ("/secret", 3), ("/post", 4), ("/acme", 4)] {
        assert_eq!(gateway.get(path, TOKEN).status, 200, "{path}");
        assert_eq!(count(&upstream, "/token"), expected, "{path}");
    }
}

/// A rule that shows a certificate.
fn showing(more: &str) -> String {
    format!(
        "[secrets]\ncertificate = {{ env = \"CERTIFICATE\" }}\nkey = {{ env = \"KEY\" }}\n\
         [call.user]\nurl = \"https://api.acme.example/user\"\n\
         auth = {{ mtls = {{ certificate = \"${{secrets.certificate}}\", key = \"${{secrets.key}}\" }}{more} }}\n\
         [claims]\nsub = \"$.user.id\"\n"
    )
}

fn with_identity(rule: &str, upstream: &Upstream, authority: &Authority, own: &Pair) -> Setup {
    Setup::new()
        .rule("acme", rule)
        .reroute("https://api.acme.example", &upstream.origin)
        .secrets(&[("CERTIFICATE", &own.certificate), ("KEY", &own.key)])
        .with(|settings| settings.upstream.roots = Some(authority.file()))
}

async fn answer(_: Seen) -> Reply {
    Reply::json(r#"{"id":"1"}"#)
}

#[test]
fn a_certificate_is_shown_where_the_rule_says_so() {
    let (authority, own) = (Authority::new(), Authority::new());
    let (known, unknown) = (authority.issue("claimsmith"), own.issue("claimsmith"));
    for versions in [&[&TLS13][..], &[&TLS12]] {
        let upstream = Upstream::secure(authority.server(Clients::MustShow, versions), answer);
        let setup = with_identity(&showing(""), &upstream, &authority, &known);
        assert_eq!(setup.outcome("/acme", TOKEN).response.status(), 200);
        let seen = upstream.seen();
        assert_eq!(seen[0].peer, Some(known.der()));
        assert!(!format!("{seen:?}").contains(TOKEN), "`auth` keeps the caller's token out");
        let wrong = with_identity(&showing(""), &upstream, &authority, &unknown).outcome("/acme", TOKEN);
        let (status, blame, said) = told(&wrong);
        assert_eq!((status, blame), (502, Some(Blame::Us)), "{said}");
        assert!(said.contains("our certificate was refused: received fatal alert"), "{said}");
        assert_eq!(upstream.seen().len(), 1);
    }
    let upstream = Upstream::secure(authority.server(Clients::MustShow, &[&TLS12]), answer);
    let without = with_identity(&rule("").replace("OTHER", "KEY"), &upstream, &authority, &known);
    let (status, blame, said) = told(&without.outcome("/acme", TOKEN));
    assert_eq!((status, blame), (502, Some(Blame::Us)), "{said}");
    assert!(upstream.seen().is_empty());
    // A server that looks at the certificate later says it by a status.
    let upstream = Upstream::secure(authority.server(Clients::MayShow, BOTH), |seen| async move {
        Reply::new(if seen.peer.is_some() { 200 } else { 403 }, r#"{"id":"1"}"#)
    });
    assert_eq!(
        with_identity(&showing(""), &upstream, &authority, &known).outcome("/acme", TOKEN).response.status(),
        200
    );
    let without = with_identity(&rule("token = \"none\"").replace("OTHER", "KEY"), &upstream, &authority, &known);
    assert_eq!(told(&without.outcome("/acme", TOKEN)).1, Some(Blame::Us));
}

#[test]
fn only_the_roots_of_the_web_and_of_the_operator_are_trusted() {
    let (authority, own) = (Authority::new(), Authority::new());
    let upstream = Upstream::secure(authority.server(Clients::Anybody, BOTH), answer);
    let known = with_identity(&rule("").replace("OTHER", "KEY"), &upstream, &authority, &own.issue("x"));
    assert_eq!(known.outcome("/acme", TOKEN).response.status(), 200);
    for roots in [None, Some(own.file())] {
        let setup = setup(&rule(""), &upstream).with(|settings| settings.upstream.roots = roots);
        let (status, blame, said) = told(&setup.outcome("/acme", TOKEN));
        assert_eq!((status, blame), (502, Some(Blame::Upstream)), "{said}");
        assert!(said.contains("UnknownIssuer"), "{said}");
    }
    assert_eq!(upstream.seen().len(), 1);
}

#[test]
fn each_identity_has_connections_of_its_own_and_keeps_them() {
    const REQUESTS: usize = 10;
    let authority = Authority::new();
    let (first, second) = (authority.issue("first"), authority.issue("second"));
    let known = first.der();
    let upstream = Upstream::secure(authority.server(Clients::MayShow, &[&TLS13]), move |seen| {
        let id = match seen.peer {
            None => "nobody",
            Some(peer) if peer == known => "first",
            Some(_) => "second",
        };
        async move { Reply::json(format!(r#"{{"id":"{id}"}}"#)) }
    });
    let second_rule = showing("").replace("env = \"", "env = \"SECOND_");
    let gateway = with_identity(&showing(""), &upstream, &authority, &first)
        .rule("second", &second_rule)
        .rule("nobody", &rule("token = \"none\"").replace("OTHER", "KEY"))
        .secrets(&[
            ("CERTIFICATE", &first.certificate),
            ("KEY", &first.key),
            ("SECOND_CERTIFICATE", &second.certificate),
            ("SECOND_KEY", &second.key),
        ])
        .with(|settings| settings.workers = 1)
        .start();
    for _ in 0..REQUESTS {
        for (path, id) in [("/acme", "first"), ("/second", "second"), ("/nobody", "nobody")] {
            assert_eq!(gateway.claims(path, TOKEN)["sub"], id, "{path}");
        }
    }
    assert_eq!((upstream.seen().len(), upstream.connections()), (3 * REQUESTS, 3));
}

#[test]
fn a_certificate_can_be_what_a_token_is_given_for() {
    let authority = Authority::new();
    let own = authority.issue("claimsmith");
    let shown = own.der();
    let upstream = Upstream::secure(authority.server(Clients::MustShow, BOTH), move |seen| {
        let known = seen.peer.as_ref() == Some(&shown);
        async move {
            match (known, seen.target.as_str(), seen.header("authorization")) {
                (true, "/token", "") => grant(1, 3600),
                (true, "/user", "Bearer own-1") => Reply::json(r#"{"id":"1"}"#),
                _ => Reply::new(401, "{}"),
            }
        }
    });
    let with_token =
        ", client_credentials = { token_url = \"https://api.acme.example/token\", client_id = \"us\", scope = \"a\" }";
    let gateway = with_identity(&showing(with_token), &upstream, &authority, &own).start();
    assert_eq!(gateway.get("/acme", TOKEN).body, r#"{"sub":"1"}"#);
    let body = upstream.seen()[0].body.clone();
    assert_eq!(String::from_utf8_lossy(&body), "grant_type=client_credentials&scope=a&client_id=us");
}

#[test]
fn a_redirect_takes_no_identity_to_another_origin() {
    let authority = Authority::new();
    let other = Upstream::secure(authority.server(Clients::MayShow, BOTH), answer);
    let target = format!("{}/elsewhere", other.origin);
    let upstream = Upstream::secure(authority.server(Clients::MustShow, BOTH), move |_| {
        let reply = Reply::new(302, "").header("location", target.clone());
        async move { reply }
    });
    let follows = showing("")
        .replace("[claims]", &format!("redirect = {{ max = 1, origins = [\"{}\"] }}\n[claims]", other.origin));
    let setup = with_identity(&follows, &upstream, &authority, &authority.issue("claimsmith"));
    let setup = setup.with(|settings| settings.upstream.allow.push("127.0.0.1".parse().expect("an address")));
    assert_eq!(setup.outcome("/acme", TOKEN).response.status(), 200);
    assert!(upstream.seen()[0].peer.is_some());
    assert_eq!(other.seen()[0].peer, None);
}

#[test]
fn a_pair_that_does_not_fit_is_refused_when_the_rule_is_loaded() {
    let authority = Authority::new();
    let (own, other) = (authority.issue("a"), authority.issue("b"));
    let upstream = Upstream::new(profile);
    let broken = "-----BEGIN CERTIFICATE-----\nbTRyawo=\n-----END CERTIFICATE-----\n";
    for (certificate, key, message, label) in [
        (own.certificate.as_str(), other.key.as_str(), "`auth.mtls.key` is not", "it does not fit the certificate"),
        (&own.certificate, "m4rk", "`auth.mtls.key` is not", "it holds no private key"),
        (&own.certificate, &own.certificate, "`auth.mtls.key` is not", "it holds no private key"),
        (&own.certificate, "-----BEGIN PRIVATE KEY-----\nm4rk", "`auth.mtls.key` is not", "it holds no private key"),
        ("m4rk", &own.key, "`auth.mtls.certificate` is not", "it holds no certificate"),
        (&own.key, &own.key, "`auth.mtls.certificate` is not", "it holds no certificate"),
        ("-----BEGIN CERTIFICATE-----\nm4rk", &own.key, "`auth.mtls.certificate` is not", "it is not PEM"),
        ("-----BEGIN m4rk", &own.key, "`auth.mtls.certificate` is not", "it is not PEM"),
        (broken, &own.key, "`auth.mtls.certificate` is not", "the certificate is broken"),
    ] {
        let pair = Pair { certificate: certificate.into(), key: key.into() };
        let loaded = with_identity(&showing(""), &upstream, &authority, &pair).load();
        let told: Vec<_> = loaded.problems.iter().filter(|problem| problem.message.contains("mtls")).collect();
        let [problem] = told[..] else { panic!("{:?}", loaded.problems) };
        assert!(problem.message.starts_with(message), "{}", problem.message);
        assert_eq!(problem.label, label);
        assert!(!format!("{:?}", loaded.problems).contains("m4rk"), "no value is shown");
        assert_eq!(loaded.refused, ["acme"]);
    }
    let loaded = with_identity(&showing(""), &upstream, &authority, &own).load();
    assert!(loaded.refused.is_empty());
}

#[test]
fn a_check_needs_no_certificate() {
    let upstream = Upstream::new(profile);
    let setup = setup(&showing(""), &upstream);
    let host = claimsmith::gateway::Upstream::new(
        &setup.settings,
        claimsmith::gateway::Secrets::Placeholders,
        claimsmith::gateway::Store::new(),
    );
    let loaded = claimsmith::gateway::load(&setup.settings, &host.expect("a host can be made"));
    assert!(loaded.expect("the folder can be read").refused.is_empty());
}

#[test]
fn roots_that_cannot_be_used_stop_the_start() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for (text, words) in [(None, "cannot use the roots"), (Some("m4rk"), "it holds no certificate")] {
        let file = folder.path().join("roots.pem");
        if let Some(text) = text {
            std::fs::write(&file, text).expect("the folder can be written to");
        }
        let setup = Setup::new().with(|settings| settings.upstream.roots = Some(file));
        let host = claimsmith::gateway::Upstream::new(
            &setup.settings,
            claimsmith::gateway::Secrets::Real,
            claimsmith::gateway::Store::new(),
        );
        let why = host.expect_err("there are no roots");
        assert!(why.contains(words) && why.contains("roots.pem"), "{why}");
    }
}

#[test]
fn a_token_of_ours_is_in_no_trace() {
    use claimsmith::core::{Reception, Trace, evaluate};
    let upstream = grants(&[3600], profile);
    let setup = setup(&ours("", "timeout = \"3s\""), &upstream);
    let host = claimsmith::gateway::Upstream::new(
        &setup.settings,
        claimsmith::gateway::Secrets::Given(Arc::new(
            [
                ("KEY".to_owned(), claimsmith::core::Secret::new("k3y&")),
                ("OTHER".to_owned(), claimsmith::core::Secret::new("0")),
            ]
            .into(),
        )),
        claimsmith::gateway::Store::new(),
    )
    .expect("a host can be made");
    let loaded = claimsmith::gateway::load(&setup.settings, &host).expect("the folder can be read");
    let request = http::Request::get("/acme").header("authorization", "Bearer t0ken").body(bytes::Bytes::new());
    let (request, trace) = (request.expect("a sound request"), Trace::default());
    let rule = loaded.routes.find("/acme").expect("the rule is sound");
    let outcome = block_on(evaluate(rule, &request, "id", Reception::default(), &host, Some(&trace)));
    assert_eq!(outcome.response.status(), 200);
    let told = format!("{:?} {rule:?}", trace.steps());
    assert!(told.contains("authorization: Bearer [our own token]"), "{told}");
    assert!(told.contains("a token of our own was fetched, for 3570 s"), "{told}");
    for mark in ["own-1", "k3y", TOKEN] {
        assert!(!told.contains(mark), "{mark} in {told}");
    }
}
