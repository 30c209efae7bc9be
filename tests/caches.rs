//! Answers that are used again: how long, by whom, and by whom never.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use claimsmith::core::{
    Answer, CompiledRule, Compiler, FetchError, Host, Outcome, Outgoing, Reception, Secret, SecretSource, answer,
    identity::{Half, Identity},
    problem::Source,
    store::{Entry, Key, Seal},
};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Map, Value, json};

use crate::support::{Reply, Setup, Upstream, block_on};

const ORIGIN: &str = "https://api.acme.example";

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(0) };
}

/// 2026-01-01T00:00:00Z.
const START: u64 = 1_767_225_600;

type Answers = Box<dyn Fn(&Outgoing) -> Result<Answer, FetchError>>;

/// A world whose time is set by the test.
struct World {
    answer: RefCell<Answers>,
    asked: Cell<u32>,
    store: RefCell<HashMap<Key, (Entry, u64)>>,
    seal: Seal,
}

impl World {
    fn new(answer: impl Fn(&Outgoing) -> Result<Answer, FetchError> + 'static) -> Self {
        NOW.set(START);
        let answer: Answers = Box::new(answer);
        World { answer: answer.into(), asked: Cell::new(0), store: RefCell::default(), seal: Seal::new(&[7; 32]) }
    }

    /// From now on this is answered.
    fn then(&self, answer: impl Fn(&Outgoing) -> Result<Answer, FetchError> + 'static) {
        *self.answer.borrow_mut() = Box::new(answer);
    }

    /// How often the upstream was asked since the last time somebody wanted to know.
    fn asked(&self) -> u32 {
        self.asked.take()
    }

    fn compile(&self, text: &str) -> CompiledRule {
        let (rule, problems) =
            Compiler::new::<World>().compile("acme", &Source::new("acme.toml", text), &Map::new(), self);
        let problems: Vec<_> = problems.sorted().into_iter().map(|problem| problem.message).collect();
        rule.unwrap_or_else(|| panic!("{problems:?}"))
    }

    fn get(&self, rule: &CompiledRule, token: &str) -> Outcome {
        self.ask(rule, "/acme", &[("authorization", &format!("Bearer {token}"))])
    }

    fn ask(&self, rule: &CompiledRule, path: &str, headers: &[(&str, &str)]) -> Outcome {
        let request =
            headers.iter().fold(http::Request::get(path), |request, (name, value)| request.header(*name, *value));
        let request = request.body(Bytes::new()).expect("a sound request");
        block_on(answer(Some(rule), &request, "id", Reception::default(), self, None))
    }
}

impl Host for World {
    async fn fetch(&self, outgoing: Outgoing) -> Result<Answer, FetchError> {
        self.asked.set(self.asked.get() + 1);
        (self.answer.borrow())(&outgoing)
    }

    fn secret(&self, _: &str, source: &SecretSource) -> Result<Secret, String> {
        // Where it comes from tells what it is.
        let (SecretSource::Env(value) | SecretSource::File(value)) = source;
        Ok(Secret::new(value.as_str()))
    }

    fn check(&self, _: &Identity) -> Result<(), (Half, String)> {
        Ok(())
    }

    fn script(&self, _: &str) -> Result<String, String> {
        Err("there is none".into())
    }

    async fn shared<E>(&self, key: &Key, make: impl Future<Output = Result<Entry, E>>) -> Result<Entry, E>
    where
        E: Clone + Send + Sync + 'static,
    {
        if let Some(entry) = self.recall(key).await {
            return Ok(entry);
        }
        let entry = make.await?;
        self.keep(key, entry.clone()).await;
        Ok(entry)
    }

    async fn forget(&self, key: &Key, stale: &Entry) {
        let mut store = self.store.borrow_mut();
        if store.get(key).is_some_and(|(entry, _)| entry == stale) {
            store.remove(key);
        }
    }

    fn seal(&self) -> Option<&Seal> {
        Some(&self.seal)
    }

    async fn recall(&self, key: &Key) -> Option<Entry> {
        let kept = self.store.borrow().get(key).cloned();
        kept.filter(|(entry, made)| Self::now() < Duration::from_secs(*made).saturating_add(entry.lifetime))
            .map(|(entry, _)| entry)
    }

    async fn keep(&self, key: &Key, entry: Entry) {
        self.store.borrow_mut().insert(*key, (entry, NOW.get()));
    }

    async fn pause(&self, _: Duration) {}

    fn clock() -> Duration {
        Duration::ZERO
    }

    fn now() -> Duration {
        Duration::from_secs(NOW.get())
    }
}

fn reply(status: u16, headers: &[(&'static str, &str)], body: impl Into<Bytes>) -> Result<Answer, FetchError> {
    let mut map = HeaderMap::from_iter([(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    for (name, value) in headers {
        map.append(*name, value.parse().expect("a header value"));
    }
    let status = StatusCode::from_u16(status).expect("a status");
    Ok(Answer { status, headers: map, body: body.into() })
}

/// Whoever the token names.
fn user(outgoing: &Outgoing) -> Result<Answer, FetchError> {
    let token = outgoing.headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let id = token.strip_prefix("Bearer ").unwrap_or_default();
    reply(200, &[], json!({ "id": id }).to_string())
}

/// A rule with `cache` of its own, and one whose call has it.
fn both(cache: &str) -> [String; 2] {
    [
        format!("cache = {cache}\n[call.user]\nurl = \"{ORIGIN}/me\"\n[claims]\nsub = \"$.user.id\"\n"),
        format!("[call.user]\nurl = \"{ORIGIN}/me\"\ncache = {cache}\n[claims]\nsub = \"$.user.id\"\n"),
    ]
}

#[track_caller]
fn sub(outcome: &Outcome) -> String {
    assert_eq!(outcome.response.status(), 200, "{:?}", outcome.failure);
    assert_eq!(outcome.response.headers()["cache-control"], "no-store");
    assert_eq!(outcome.response.headers()["content-type"], "application/json");
    let claims: Value = serde_json::from_slice(outcome.response.body()).expect("claims are JSON");
    claims["sub"].as_str().expect("`sub` is a text").to_owned()
}

#[test]
fn an_answer_is_used_again_for_the_same_token_until_it_is_old() {
    for text in both("\"60s\"") {
        let world = World::new(user);
        let rule = world.compile(&text);
        for token in ["ada", "bob"] {
            assert_eq!(sub(&world.get(&rule, token)), token);
        }
        assert_eq!(world.asked(), 2);
        NOW.set(START + 59);
        for token in ["ada", "bob", "ada"] {
            let outcome = world.get(&rule, token);
            assert_eq!((sub(&outcome).as_str(), outcome.calls.sent, outcome.calls.kept), (token, 0, 1));
        }
        assert_eq!(world.asked(), 0);
        NOW.set(START + 60);
        let outcome = world.get(&rule, "ada");
        assert_eq!((sub(&outcome).as_str(), outcome.calls.sent, outcome.calls.kept), ("ada", 1, 0));
        assert_eq!(world.asked(), 1);
    }
}

#[test]
fn nothing_is_kept_unless_the_rule_asks() {
    let world = World::new(user);
    let rule = world.compile(&both("\"0s\"")[0].replace("cache = \"0s\"\n", ""));
    for text in both("\"0s\"") {
        let none = world.compile(&text);
        for rule in [&rule, &none] {
            (0..3).for_each(|_| _ = sub(&world.get(rule, "ada")));
            assert_eq!(world.asked(), 3);
        }
    }
}

#[test]
fn an_answer_lives_no_longer_than_it_says() {
    for (headers, seconds) in [
        (&[("cache-control", "private, max-age=10")][..], 10),
        (&[("cache-control", "max-age=600")], 60),
        (&[("cache-control", "max-age=30"), ("age", "20")], 10),
        (&[("expires", "Thu, 01 Jan 2026 00:00:20 GMT")], 20),
        (&[("cache-control", "no-store")], 0),
        (&[("cache-control", "no-cache, no-store, max-age=0, must-revalidate")], 0),
        (&[("vary", "*")], 0),
        (&[], 60),
    ] {
        for text in both("\"60s\"") {
            let world = World::new(|outgoing| {
                let mut answer = user(outgoing)?;
                answer.headers.extend(
                    headers
                        .iter()
                        .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value))),
                );
                Ok(answer)
            });
            let rule = world.compile(&text);
            world.get(&rule, "ada");
            for (at, expected) in [(seconds.max(1) - 1, u32::from(seconds == 0)), (seconds, 1)] {
                world.asked();
                NOW.set(START + at);
                assert_eq!(sub(&world.get(&rule, "ada")), "ada");
                assert_eq!(world.asked(), expected, "{headers:?} after {at} s");
                if seconds == 0 {
                    break;
                }
            }
        }
    }
}

#[test]
fn an_answer_ends_with_the_token_even_if_there_is_no_other() {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    let jwt = |end: u64| format!("eyJhIjoxfQ.{}.s", BASE64_URL_SAFE_NO_PAD.encode(json!({ "exp": end }).to_string()));
    for text in both("{ ttl = \"60s\", stale = \"1h\" }") {
        let world = World::new(user);
        let rule = world.compile(&text);
        let token = jwt(START + 20);
        assert_eq!(sub(&world.get(&rule, &token)), token);
        world.then(|_| Err(FetchError::Timeout));
        NOW.set(START + 19);
        assert_eq!(sub(&world.get(&rule, &token)), token);
        NOW.set(START + 20);
        assert_eq!(world.get(&rule, &token).response.status(), 504);
        let expired = jwt(START);
        world.then(user);
        world.asked();
        (0..2).for_each(|_| _ = sub(&world.get(&rule, &expired)));
        assert_eq!(world.asked(), 2, "whose token has expired is not kept at all");
    }
}

#[test]
fn an_old_answer_stands_in_for_one_that_cannot_be_had() {
    for text in both("{ ttl = \"10s\", stale = \"100s\" }") {
        let world = World::new(user);
        let rule = world.compile(&text);
        world.get(&rule, "ada");
        world.asked();
        NOW.set(START + 10);
        type Fault = fn(&Outgoing) -> Result<Answer, FetchError>;
        let faults: [Fault; 7] = [
            |_| Err(FetchError::Timeout),
            |_| Err(FetchError::Connect("refused".into())),
            |_| Err(FetchError::Broken("reset".into())),
            |_| reply(500, &[], "{}"),
            |_| reply(503, &[], "{}"),
            |_| reply(429, &[("retry-after", "7")], "{}"),
            |_| reply(504, &[], "{}"),
        ];
        for fault in faults {
            world.then(fault);
            let outcome = world.get(&rule, "ada");
            assert_eq!((sub(&outcome).as_str(), outcome.calls.stale), ("ada", 1));
            assert_eq!(world.asked(), 1, "the upstream is asked first");
            assert_ne!(world.get(&rule, "bob").response.status(), 200, "nobody gets another's");
            world.asked();
        }
        NOW.set(START + 109);
        assert_eq!(sub(&world.get(&rule, "ada")), "ada");
        NOW.set(START + 110);
        assert_eq!(world.get(&rule, "ada").response.status(), 502);
        world.then(user);
        let outcome = world.get(&rule, "ada");
        assert_eq!((sub(&outcome).as_str(), outcome.calls.stale), ("ada", 0));
    }
}

#[test]
fn an_old_answer_goes_once_the_token_is_refused() {
    for text in both("{ ttl = \"10s\", stale = \"1h\" }") {
        let world = World::new(user);
        let rule = world.compile(&text);
        world.get(&rule, "ada");
        NOW.set(START + 10);
        world.then(|_| reply(401, &[], "{}"));
        assert_eq!(world.get(&rule, "ada").response.status(), 401);
        world.then(|_| Err(FetchError::Timeout));
        assert_eq!(world.get(&rule, "ada").response.status(), 504, "it does not come back");
    }
}

#[test]
fn an_old_answer_goes_once_there_is_a_new_one_that_must_not_be_kept() {
    for text in both("{ ttl = \"10s\", stale = \"1h\" }") {
        let world = World::new(user);
        let rule = world.compile(&text);
        world.get(&rule, "ada");
        NOW.set(START + 10);
        world.then(|outgoing| {
            let mut answer = user(outgoing)?;
            answer.headers.insert("cache-control", HeaderValue::from_static("no-store"));
            Ok(answer)
        });
        assert_eq!(sub(&world.get(&rule, "ada")), "ada");
        world.then(|_| Err(FetchError::Timeout));
        assert_eq!(world.get(&rule, "ada").response.status(), 504);
    }
}

#[test]
fn what_may_not_be_used_unasked_does_not_stand_in() {
    for text in both("{ ttl = \"10s\", stale = \"1h\" }") {
        let world = World::new(|outgoing| {
            let mut answer = user(outgoing)?;
            answer.headers.insert("cache-control", HeaderValue::from_static("private, must-revalidate"));
            Ok(answer)
        });
        let rule = world.compile(&text);
        world.get(&rule, "ada");
        world.then(|_| Err(FetchError::Timeout));
        NOW.set(START + 9);
        assert_eq!(sub(&world.get(&rule, "ada")), "ada");
        NOW.set(START + 10);
        assert_eq!(world.get(&rule, "ada").response.status(), 504);
    }
}

#[test]
fn a_refusal_is_remembered_for_seconds_if_that_is_asked_for() {
    for (cache, asked) in [("{ ttl = \"60s\", refused = \"5s\" }", 1), ("\"60s\"", 3)] {
        for text in both(cache) {
            let world = World::new(|_| reply(401, &[("cache-control", "no-store")], "{\"error\":\"m4rk\"}"));
            let rule = world.compile(&text);
            for _ in 0..3 {
                let outcome = world.get(&rule, "ada");
                assert_eq!(outcome.response.status(), 401);
                let failure = outcome.failure.expect("there are no claims").words();
                assert_eq!(failure, "call user: the upstream refused the caller's token (401)");
            }
            assert_eq!(world.asked(), asked);
            world.get(&rule, "bob");
            assert_eq!(world.asked(), 1, "another token is another matter");
            NOW.set(START + 5);
            world.then(user);
            assert_eq!(sub(&world.get(&rule, "ada")), "ada");
        }
    }
}

#[test]
fn a_failure_is_never_kept() {
    let rules = both("{ ttl = \"60s\", refused = \"5s\" }").map(|text| {
        let fails = "fail_when = [{ when = \"user.error != ()\", error = \"invalid_token\" }]";
        text.replace("[claims]", &format!("{fails}\n[claims]"))
    });
    type Fault = fn(&Outgoing) -> Result<Answer, FetchError>;
    let faults: [Fault; 9] = [
        |_| reply(200, &[], r#"{"id":"ada","error":"expired"}"#),
        |_| reply(200, &[], "<html>m4rk</html>"),
        |_| reply(200, &[], ""),
        |_| reply(200, &[], "[]"),
        |_| reply(200, &[], "{}"),
        |_| reply(200, &[], r#"{"id":"null"}"#),
        |_| reply(403, &[], "{}"),
        |_| reply(404, &[], "{}"),
        |_| Err(FetchError::TooLarge(1)),
    ];
    for text in rules {
        for (number, fault) in faults.into_iter().enumerate() {
            let world = World::new(fault);
            let rule = world.compile(&text);
            for _ in 0..2 {
                assert_ne!(world.get(&rule, "ada").response.status(), 200, "{number}");
            }
            // A claim that cannot be made says nothing of the answer of the call.
            let fine = [4, 5].contains(&number) && text.contains("/me\"\ncache");
            assert_eq!(world.asked(), if fine { 1 } else { 2 }, "{number} of {text}");
        }
    }
}

#[test]
fn an_answer_without_what_an_optional_call_adds_is_not_kept() {
    let text = format!(
        "cache = \"60s\"\n[call.user]\nurl = \"{ORIGIN}/me\"\n[call.more]\nurl = \"{ORIGIN}/more\"\noptional = true\n\
         [claims]\nsub = \"$.user.id\"\nname = \"$.more.id\"\n"
    );
    let world = World::new(|outgoing| match outgoing.url.path() {
        "/me" => user(outgoing),
        _ => reply(500, &[], "{}"),
    });
    let rule = world.compile(&text);
    (0..2).for_each(|_| _ = sub(&world.get(&rule, "ada")));
    assert_eq!(world.asked(), 4);
    world.then(user);
    (0..3).for_each(|_| _ = sub(&world.get(&rule, "ada")));
    assert_eq!(world.asked(), 2, "now it is whole");
}

#[test]
fn every_value_of_a_list_is_kept_for_itself() {
    let text = format!(
        "[call.user]\nurl = \"{ORIGIN}/me\"\n[call.team]\nurl = \"{ORIGIN}/teams/${{each}}\"\neach = \"$.user.teams[*]\"\n\
         cache = \"60s\"\n[claims]\nsub = \"$.user.id\"\ngroups = {{ path = \"$.team[*].id\", many = true }}\n"
    );
    let answers = |teams: &'static str| {
        move |outgoing: &Outgoing| match outgoing.url.path() {
            "/me" => reply(200, &[], format!("{{\"id\":\"ada\",\"teams\":{teams}}}")),
            path => reply(200, &[], json!({ "id": path }).to_string()),
        }
    };
    let world = World::new(answers("[1,2,3]"));
    let rule = world.compile(&text);
    let groups = |outcome: &Outcome| {
        let claims: Value = serde_json::from_slice(outcome.response.body()).expect("claims are JSON");
        claims["groups"].clone()
    };
    assert_eq!(groups(&world.get(&rule, "t")), json!(["/teams/1", "/teams/2", "/teams/3"]));
    assert_eq!(world.asked(), 4);
    world.then(answers("[3,4,1]"));
    let outcome = world.get(&rule, "t");
    assert_eq!(groups(&outcome), json!(["/teams/3", "/teams/4", "/teams/1"]));
    assert_eq!((world.asked(), outcome.calls.sent, outcome.calls.kept), (2, 2, 2));
}

#[test]
fn what_else_an_answer_says_is_kept_with_it() {
    let text = format!(
        "[call.user]\nurl = \"{ORIGIN}/me\"\ncache = \"60s\"\n[claims]\nsub = \"$.user.id\"\n\
         name = \"$.meta.user.headers['x-name']\"\ncode = \"$.meta.user.status\"\n"
    );
    let world = World::new(|_| reply(203, &[("x-name", "Ada"), ("set-cookie", "m4rk")], r#"{"id":"ada"}"#));
    let rule = world.compile(&text);
    let [first, second] = [0, 1].map(|_| world.get(&rule, "t").response.into_body());
    assert_eq!(first, r#"{"sub":"ada","name":"Ada","code":203}"#);
    assert_eq!(first, second);
    assert_eq!(world.asked(), 1);
}

/// A small generator (xorshift): the same test in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).expect("it is below a usize")
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}

/// The upstream counts, so that an answer says when it was made: it is used again exactly for those of whom everything
/// is the same.
#[test]
fn no_two_requests_share_an_answer_unless_everything_is_the_same() {
    let words = ["a", "b", "ab", "a b", ""];
    for (kind, per_rule) in [("rule", true), ("call", false)] {
        let count = Cell::new(0_u32);
        let world = World::new(move |_| {
            count.set(count.get() + 1);
            reply(200, &[], json!({ "id": format!("{}", count.get()) }).to_string())
        });
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let mut rules = HashMap::new();
        let mut seen: HashMap<String, String> = HashMap::new();
        let mut again = 0;
        for _ in 0..4000 {
            let (path, name) = (random.pick(&["me", "m", "e"]), random.pick(&["x-a", "x-ab"]));
            let (fixed, secret, method) =
                (random.pick(&words), random.pick(&["s1", "s2"]), random.pick(&["GET", "POST"]));
            let (token, scheme) = (random.pick(&["t1", "t2", "t1t2"]), random.pick(&["Bearer", "bearer", "token"]));
            let (asked, place) =
                (random.pick(&words), random.pick(&["\"bearer\"", "\"as-received\"", "{ query = \"q\" }"]));
            let form = if method == "POST" { "form = { f = '${request.headers[\"x-in\"]}', g = \"g\" }\n" } else { "" };
            let (of_rule, of_call) = if per_rule {
                ("cache = { ttl = \"1h\", safe = true }\n", "")
            } else {
                ("", "cache = { ttl = \"1h\", safe = true }\n")
            };
            let text = format!(
                "{of_rule}[request]\nheaders = [\"x-in\"]\n[secrets]\n{secret} = {{ env = \"S\" }}\n[call.user]\n\
                 url = \"{ORIGIN}/{path}\"\nmethod = \"{method}\"\ntoken = {place}\n{of_call}{form}\
                 headers = {{ {name} = \"{fixed}\", x-in = '${{request.headers[\"x-in\"]}}', x-key = \"${{secrets.{secret}}}\" }}\n\
                 [claims]\nsub = \"$.user.id\"\n"
            );
            let rule = rules.entry(text.clone()).or_insert_with(|| world.compile(&text));
            let outcome = world.ask(rule, "/acme", &[("authorization", &format!("{scheme} {token}")), ("x-in", asked)]);
            // A call meets only what goes into its request: the scheme does not unless it is sent as it came.
            let sent = if per_rule || place.contains("as-received") { scheme } else { "" };
            let all = format!("{text}|{token}|{sent}|{asked}");
            let made = sub(&outcome);
            match seen.get(&all) {
                Some(known) => {
                    assert_eq!(*known, made, "{kind}: {all}");
                    again += 1;
                }
                None => {
                    assert!(!seen.values().any(|known| *known == made), "{kind}: {all} met another's answer");
                    seen.insert(all, made);
                }
            }
        }
        assert!(again > 100 && seen.len() > 1000, "{kind}: {again} of {} again", seen.len());
    }
}

/// Everything that goes into a request, each with what else it might be. The last five are the caller's, and of the
/// same rule.
const PARTS: [(&str, &[&str]); 18] = [
    ("rule", &["acme", "acme2"]),
    ("revision", &["", "# another"]),
    (
        "origin",
        &["https://api.acme.example", "http://api.acme.example", "https://api.acme.example:8443", "https://b.example"],
    ),
    ("path", &["/me", "/m", "/me/", "/me/a"]),
    ("query", &["", "query = { a = 'b' }", "query = { a = 'bc' }", "query = { ab = 'c' }"]),
    ("header", &["x-a = 'b'", "x-a = 'bc'", "x-ab = 'c'"]),
    ("secret", &["s1", "s2"]),
    ("var", &["v1", "v2"]),
    ("vars of the settings", &["", "v3"]),
    ("method", &["GET", "PUT"]),
    (
        "body",
        &["", "json = { a = 1 }", "json = { a = '1' }", "form = { a = '1' }", "body = 'a=1'", "graphql = '{ a }'"],
    ),
    (
        "our own credentials",
        &[
            "",
            "basic = { user = 'u', password = '${secrets.key}' }",
            "client_credentials = { token_url = 'https://a.example/token', client_id = 'a', client_secret = '${secrets.key}' }",
            "client_credentials = { token_url = 'https://a.example/token', client_id = 'b', client_secret = '${secrets.key}' }",
        ],
    ),
    (
        "certificate",
        &[
            "",
            "mtls = { certificate = 'c1', key = '${secrets.key}' }",
            "mtls = { certificate = 'c2', key = '${secrets.key}' }",
        ],
    ),
    ("token", &["t1", "t2", "t1t2"]),
    ("scheme", &["Bearer", "token"]),
    ("header of the caller", &["", "a", "ab"]),
    ("query of the caller", &["", "a", "ab"]),
    ("method of the caller", &["GET", "POST"]),
];

/// Each part as the number of what it is.
type Choice = [usize; PARTS.len()];

/// When the answer was made that such a request gets.
fn made_for(world: &World, choice: &Choice, per_rule: bool) -> String {
    let part = |name: &str| {
        let at = PARTS.iter().position(|(known, _)| *known == name).unwrap_or_else(|| panic!("{name} is a part"));
        PARTS[at].1[choice[at]]
    };
    let cache = "cache = { ttl = \"1h\", safe = true }\n";
    let (of_rule, of_call) = if per_rule { (cache, "") } else { ("", cache) };
    let auth: Vec<_> =
        [part("our own credentials"), part("certificate")].into_iter().filter(|auth| !auth.is_empty()).collect();
    let auth = if auth.is_empty() { String::new() } else { format!("auth = {{ {} }}\n", auth.join(", ")) };
    let text = format!(
        "{}\n{of_rule}[request]\nheaders = ['x-in']\nquery = ['q']\n[vars]\nv = '{}'\n[secrets]\nkey = {{ env = '{}' }}\n\
         [call.user]\nurl = '{}{}/${{request.query.q}}-'\nmethod = '{}'\ntoken = {{ header = 'x-token' }}\n{of_call}{}\n{}\n{auth}\
         headers = {{ {}, x-in = '${{request.headers[\"x-in\"]}}-', x-v = '${{vars.v}}', x-key = '${{secrets.key}}', \
         x-method = '${{request.method}}' }}\n\
         [claims]\nsub = '$.user.id'\n",
        part("revision"),
        part("var"),
        part("secret"),
        part("origin"),
        part("path"),
        part("method"),
        part("query"),
        part("body"),
        part("header"),
    );
    let mut vars = Map::new();
    if !part("vars of the settings").is_empty() {
        vars.insert("v".into(), part("vars of the settings").into());
    }
    let source = Source::new("acme.toml", text.as_str());
    let (rule, problems) = Compiler::new::<World>().compile(part("rule"), &source, &vars, world);
    let rule = rule.unwrap_or_else(|| panic!("{:?} in {text}", problems.sorted()));
    let request = http::Request::builder()
        .method(part("method of the caller"))
        .uri(format!("/acme?q=q{}", part("query of the caller")))
        .header("authorization", format!("{} {}", part("scheme"), part("token")))
        .header("x-in", part("header of the caller"));
    let request = request.body(Bytes::new()).expect("a sound request");
    sub(&block_on(answer(Some(&rule), &request, "id", Reception::default(), world, None)))
}

/// Two requests that differ in one thing, whatever else they are, never share an entry; the same ones do.
#[test]
fn every_part_of_a_request_is_a_part_of_the_key_of_its_answer() {
    for (kind, per_rule) in [("rule", true), ("call", false)] {
        let count = Cell::new(0_u32);
        let world = World::new(move |outgoing| match outgoing.url.path() {
            "/token" => reply(200, &[], r#"{"access_token":"o1","token_type":"Bearer","expires_in":3600}"#),
            _ => {
                count.set(count.get() + 1);
                reply(200, &[], json!({ "id": count.get().to_string() }).to_string())
            }
        });
        let mut random = Random(0x2545_f491_4f6c_dd1d);
        for (at, (part, choices)) in PARTS.iter().enumerate() {
            for _ in 0..3 {
                let mut base: Choice = std::array::from_fn(|part| random.below(PARTS[part].1.len()));
                // A body and `GET` do not go together.
                if at == 9 {
                    base[10] = 0;
                } else if base[10] > 0 || at == 10 {
                    base[9] = 1;
                }
                let all: Vec<_> = (0..choices.len())
                    .map(|number| {
                        base[at] = number;
                        (made_for(&world, &base, per_rule), base)
                    })
                    .collect();
                for (number, (made, choice)) in all.iter().enumerate() {
                    assert_eq!(made_for(&world, choice, per_rule), *made, "{kind}: {part}: it is kept for the same");
                    let met = all[..number].iter().any(|(other, _)| other == made);
                    // A call has nothing of the scheme in its request.
                    assert_eq!(
                        met,
                        number > 0 && !per_rule && *part == "scheme",
                        "{kind}: {part} met another's answer"
                    );
                }
            }
        }
    }
}

#[test]
fn another_revision_vars_secrets_or_host_make_another_rule() {
    for text in both("\"1h\"") {
        let world = World::new(user);
        let text = format!("{text}\n[vars]\nx = \"1\"\n[secrets]\nkey = {{ env = \"K\" }}\n");
        let other = format!("{text}# another revision\n");
        let compile = |text: &str, name: &str, vars: Value| {
            let Value::Object(vars) = vars else { panic!("vars are an object") };
            let source = Source::new("acme.toml", text);
            Compiler::new::<World>().compile(name, &source, &vars, &world).0.expect("it is sound")
        };
        let rules = [
            compile(&text, "acme", json!({})),
            compile(&other, "acme", json!({})),
            compile(&text, "acme", json!({ "x": "2" })),
            compile(&text, "acme2", json!({})),
        ];
        for rule in &rules {
            world.get(rule, "ada");
            assert_eq!(world.asked(), 1);
        }
        for rule in rules.iter().chain([&compile(&text, "acme", json!({}))]) {
            world.get(rule, "ada");
            assert_eq!(world.asked(), 0, "each has its own, also when it is loaded again");
        }
    }
}

/// Requests that start together, of which none has its answer before all have started.
fn together(rule: &str, upstream: &Upstream, tokens: &[&str]) -> Vec<Outcome> {
    let setup = Setup::new().rule("acme", rule).reroute(ORIGIN, &upstream.origin);
    let (host, loaded) = setup.host();
    let requests: Vec<_> = tokens
        .iter()
        .map(|token| {
            let request = http::Request::get("/acme").header("authorization", format!("Bearer {token}"));
            request.body(Bytes::new()).expect("a sound request")
        })
        .collect();
    let all = requests
        .iter()
        .map(|request| answer(loaded.routes.find("/acme"), request, "id", Reception::default(), &host, None));
    block_on(futures_util::future::join_all(all))
}

fn names_the_token(seen: &crate::support::Seen) -> Reply {
    let id = seen.header("authorization").strip_prefix("Bearer ").unwrap_or_default();
    Reply::json(json!({ "id": id }).to_string())
}

#[test]
fn what_200_ask_at_once_is_asked_once() {
    for cache in ["\"0s\"", "\"60s\""] {
        for rule in both(cache) {
            let upstream = Upstream::new(names_the_token);
            let outcomes = together(&rule, &upstream, &["ada"; 200]);
            assert!(outcomes.iter().all(|outcome| sub(outcome) == "ada"));
            assert_eq!(upstream.seen().len(), 1, "{rule}");
            let sent: u32 = outcomes.iter().map(|outcome| outcome.calls.sent).sum();
            let kept: u32 = outcomes.iter().map(|outcome| outcome.calls.kept).sum();
            assert_eq!((sent, kept), (1, 199));
        }
    }
}

#[test]
fn those_who_wait_for_one_answer_share_its_failure_and_nobody_after_them_does() {
    for rule in both("\"0s\"") {
        let upstream = Upstream::new(|_| Reply::new(503, "{}"));
        let outcomes = together(&rule, &upstream, &["ada"; 50]);
        assert!(outcomes.iter().all(|outcome| outcome.response.status() == 502));
        assert_eq!(upstream.seen().len(), 1);
    }
}

#[test]
fn at_once_is_not_together_for_those_with_other_tokens() {
    let tokens = ["ada", "bob", "ada", "cleo", "bob", "ada"];
    for rule in both("\"0s\"") {
        let upstream = Upstream::new(names_the_token);
        let outcomes = together(&rule, &upstream, &tokens);
        assert_eq!(outcomes.iter().map(sub).collect::<Vec<_>>(), tokens);
        assert_eq!(upstream.seen().len(), 3);
    }
}

#[test]
fn workers_share_what_is_kept_and_keep_it_while_the_upstream_is_away() {
    let up = Arc::new(AtomicBool::new(true));
    let is_up = up.clone();
    let upstream = Upstream::new(move |seen| match is_up.load(Ordering::SeqCst) {
        true => names_the_token(seen),
        false => Reply::new(503, "{}"),
    });
    for rule in both("{ ttl = \"0s\", stale = \"1h\" }") {
        up.store(true, Ordering::SeqCst);
        let gateway = Setup::new().rule("acme", &rule).reroute(ORIGIN, &upstream.origin).start();
        assert_eq!(gateway.claims("/acme", "ada")["sub"], "ada");
        up.store(false, Ordering::SeqCst);
        for _ in 0..20 {
            assert_eq!(gateway.claims("/acme", "ada")["sub"], "ada");
        }
        assert_eq!(gateway.get("/acme", "bob").status, 502);
    }
}

/// A world of many tokens, whose upstream fails, stutters and goes away at random, over the store of the gateway.
struct Storm {
    store: claimsmith::gateway::Store,
    random: RefCell<Random>,
}

impl Storm {
    fn below(&self, bound: usize) -> usize {
        self.random.borrow_mut().below(bound)
    }
}

impl Host for Storm {
    async fn fetch(&self, outgoing: Outgoing) -> Result<Answer, FetchError> {
        for _ in 0..self.below(6) {
            tokio::task::yield_now().await;
        }
        match self.below(40) {
            0 => return Err(FetchError::Connect("at random".into())),
            1 => return Err(FetchError::Timeout),
            2 => return reply(503, &[], "{}"),
            3 => return reply(401, &[], "{}"),
            4 => return reply(200, &[], "<html>"),
            5 => return reply(429, &[("retry-after", "1")], "{}"),
            _ => {}
        }
        let control = ["max-age=1", "no-store", "private", "max-age=60"][self.below(4)];
        let mut answer = user(&outgoing)?;
        let path = outgoing.url.path().to_owned();
        let id: Value = serde_json::from_slice(&answer.body).expect("it is JSON");
        answer.body = json!({ "id": id["id"], "path": path, "list": [1, 2] }).to_string().into();
        answer.headers.insert("cache-control", HeaderValue::from_static(control));
        Ok(answer)
    }

    fn secret(&self, _: &str, _: &SecretSource) -> Result<Secret, String> {
        Err("there is none".into())
    }

    fn check(&self, _: &Identity) -> Result<(), (Half, String)> {
        Ok(())
    }

    fn script(&self, _: &str) -> Result<String, String> {
        Err("there is none".into())
    }

    async fn shared<E>(&self, key: &Key, make: impl Future<Output = Result<Entry, E>>) -> Result<Entry, E>
    where
        E: Clone + Send + Sync + 'static,
    {
        self.store.get(key, make).await
    }

    async fn forget(&self, key: &Key, stale: &Entry) {
        self.store.forget(key, stale).await;
    }

    fn seal(&self) -> Option<&Seal> {
        self.store.seal()
    }

    async fn recall(&self, key: &Key) -> Option<Entry> {
        self.store.recall(key).await
    }

    async fn keep(&self, key: &Key, entry: Entry) {
        self.store.keep(key, entry).await;
    }

    async fn pause(&self, _: Duration) {
        tokio::task::yield_now().await;
    }

    fn clock() -> Duration {
        Duration::ZERO
    }

    fn now() -> Duration {
        Duration::from_secs(NOW.get())
    }
}

/// Rules that keep and share in every way; `version` is in every answer.
fn stormy(version: usize) -> Vec<String> {
    let claims = format!("sub = \"$.user.id\"\npath = \"$.user.path\"\nversion = {{ value = \"{version}\" }}\n");
    let user = format!("[call.user]\nurl = \"{ORIGIN}/v{version}\"\n");
    let cache = "cache = { ttl = \"1m\", stale = \"1h\", refused = \"5s\" }\n";
    vec![
        format!("{cache}{user}[claims]\n{claims}"),
        format!("{user}{cache}retry = 1\n[claims]\n{claims}"),
        format!("{user}cache = \"0s\"\n[claims]\n{claims}"),
        format!(
            "cache = \"0s\"\n{user}{cache}[call.more]\nurl = \"{ORIGIN}/v{version}/${{each}}\"\neach = \"$.user.list[*]\"\n\
             optional = true\n{cache}[claims]\n{claims}more = {{ path = \"$.more[*].id\", many = true }}\n"
        ),
    ]
}

/// One million by `CLAIMSMITH_SOAK=1000000 cargo test --release --test all isolation`.
#[test]
fn isolation_of_10_000_tokens_with_faults_and_reloads() {
    const THREADS: usize = 3;
    let wanted = std::env::var("CLAIMSMITH_SOAK").ok().and_then(|text| text.parse().ok()).unwrap_or(12_000_usize);
    // So small that entries go all the time.
    let mut settings = claimsmith::config::Settings::default();
    settings.cache.max_bytes = 2_000_000;
    let store = claimsmith::gateway::Store::with(&settings);
    let fine = AtomicUsize::new(0);
    let (kept, stale) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (store, fine, kept, stale) = (store.clone(), &fine, &kept, &stale);
            scope.spawn(move || {
                NOW.set(START);
                let storm = Storm { store, random: RefCell::new(Random(0x1234_5678 + thread as u64)) };
                let load = |version: usize| -> Vec<CompiledRule> {
                    let compile = |(number, text): (usize, String)| {
                        let (rule, problems) = Compiler::new::<Storm>().compile(
                            &format!("rule{number}"),
                            &Source::new("rule.toml", text.clone()),
                            &Map::new(),
                            &storm,
                        );
                        rule.unwrap_or_else(|| panic!("{:?} in {text}", problems.sorted()))
                    };
                    stormy(version).into_iter().enumerate().map(compile).collect()
                };
                let (mut done, mut version) = (0, 0);
                let mut rules = load(version);
                while done < wanted / THREADS {
                    NOW.set(NOW.get() + storm.below(40) as u64);
                    if storm.below(20) == 0 {
                        version = storm.below(3);
                        rules = load(version);
                    }
                    // Half of them ask for a handful of tokens, so that they meet.
                    let token = |random: usize| if random < 5000 { random % 20 } else { random };
                    let asked: Vec<_> =
                        (0..64).map(|_| (storm.below(4), format!("t{}", token(storm.below(10_000))))).collect();
                    let requests: Vec<_> = asked
                        .iter()
                        .map(|(_, token)| {
                            let request = http::Request::get("/").header("authorization", format!("Bearer {token}"));
                            request.body(Bytes::new()).expect("a sound request")
                        })
                        .collect();
                    let all = asked.iter().zip(&requests).map(|((number, _), request)| {
                        let work = answer(Some(&rules[*number]), request, "id", Reception::default(), &storm, None);
                        let patience = if storm.below(10) == 0 { storm.below(4) } else { 1000 };
                        async move {
                            let leave = async {
                                for _ in 0..patience {
                                    tokio::task::yield_now().await;
                                }
                            };
                            tokio::select! { biased; outcome = work => Some(outcome), () = leave => None }
                        }
                    });
                    for ((_, token), outcome) in asked.iter().zip(block_on(futures_util::future::join_all(all))) {
                        let Some(outcome) = outcome else { continue };
                        kept.fetch_add(outcome.calls.kept as usize, Ordering::Relaxed);
                        stale.fetch_add(outcome.calls.stale as usize, Ordering::Relaxed);
                        if outcome.response.status() != 200 {
                            continue;
                        }
                        fine.fetch_add(1, Ordering::Relaxed);
                        let claims: Value = serde_json::from_slice(outcome.response.body()).expect("claims are JSON");
                        assert_eq!(claims["sub"], **token, "somebody else's answer");
                        assert_eq!(claims["version"], *version.to_string(), "another revision's answer");
                        assert_eq!(claims["path"], *format!("/v{version}"), "another revision's call");
                        let more = claims["more"].as_array().map(Vec::as_slice).unwrap_or_default();
                        assert!(more.iter().all(|one| one == token.as_str()), "somebody else's list");
                    }
                    done += 64;
                }
            });
        }
    });
    let [fine, kept, stale] = [fine, kept, stale].map(AtomicUsize::into_inner);
    assert!(fine > wanted / 2, "{fine} of {wanted} were answered");
    assert!(kept > wanted / 10 && stale > 0, "{kept} of {wanted} were kept, {stale} of them old");
}
