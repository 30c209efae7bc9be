//! Logins as cases: nothing of the person is in them, and they run as the login did.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use claimsmith::core::{
    Answer, Cases, Compiler, FetchError, Host, Outcome, Outgoing, Reception, Secret, SecretSource, evaluate,
    identity::{Half, Identity},
    problem::Source,
    record::{Fault, Login, Recorder, Written, write},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value, json};

use crate::support::{Random, block_on};

/// 2026-11-24T12:00:00Z
const NOW: u64 = 1_795_521_600;

type Provider = Box<dyn Fn(&Outgoing) -> Result<Answer, FetchError>>;

/// Answers by a function; keeps nothing, and waits for nothing.
struct World {
    provider: Provider,
    secrets: BTreeMap<String, String>,
}

impl Host for World {
    async fn fetch(&self, request: Outgoing) -> Result<Answer, FetchError> {
        // Requests that start together are on their way together.
        tokio::task::yield_now().await;
        (self.provider)(&request)
    }

    fn secret(&self, name: &str, _: &SecretSource) -> Result<Secret, String> {
        self.secrets.get(name).map(|value| Secret::new(value.as_str())).ok_or_else(|| "there is none".into())
    }

    fn check(&self, _: &Identity) -> Result<(), (Half, String)> {
        Ok(())
    }

    fn script(&self, _: &str) -> Result<String, String> {
        Err("there is none".into())
    }

    async fn pause(&self, _: Duration) {
        tokio::task::yield_now().await;
    }

    fn clock() -> Duration {
        Duration::ZERO
    }

    fn now() -> Duration {
        Duration::from_secs(NOW)
    }
}

/// One compiler a thread: it takes longer to make than a rule to compile.
fn compiler() -> std::rc::Rc<Compiler> {
    thread_local! {
        static COMPILER: std::rc::Rc<Compiler> = std::rc::Rc::new(Compiler::new::<World>());
    }
    COMPILER.with(Clone::clone)
}

fn answer(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Result<Answer, FetchError> {
    let header = |(name, value): &(&str, &str)| {
        let name: HeaderName = name.parse().expect("a name");
        (name, HeaderValue::from_str(value).expect("a value"))
    };
    let headers: HeaderMap = headers.iter().map(header).collect();
    Ok(Answer { status: StatusCode::from_u16(status).expect("a status"), headers, body: body.into() })
}

fn json(value: &Value) -> Result<Answer, FetchError> {
    answer(200, &[("content-type", "application/json")], value.to_string())
}

/// What comes of a login that is recorded.
struct Recorded {
    outcome: Outcome,
    written: Result<Written, Fault>,
}

impl Recorded {
    #[track_caller]
    fn text(&self) -> &str {
        match &self.written {
            Ok(written) => &written.text,
            Err(fault) => panic!("{fault}"),
        }
    }

    /// The text with one space where several stand: they align what belongs together.
    #[track_caller]
    fn plain(&self) -> String {
        self.text().split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    }

    fn before(&self) -> Map<String, Value> {
        serde_json::from_slice(self.outcome.response.body()).expect("claims are JSON")
    }

    /// The claims that the case expects.
    #[track_caller]
    fn after(&self) -> Map<String, Value> {
        let table: toml::Table = self.text().parse().expect("it is TOML");
        match &table["case"][0]["claims"] {
            toml::Value::String(text) => serde_json::from_str(text).expect("it is JSON"),
            claims => serde_json::to_value(claims).expect("it is data").as_object().cloned().expect("a table"),
        }
    }
}

fn record_with(rule: &str, token: &str, secrets: &[(&str, &str)], existing: &str, provider: Provider) -> Recorded {
    let secrets = secrets.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let world = World { provider, secrets };
    let recorder = Recorder::new(&world);
    let source = Source::new("acme.toml", rule);
    let vars = Map::new();
    let (compiled, problems) = compiler().compile("acme", &source, &vars, &recorder);
    let compiled = compiled.unwrap_or_else(|| panic!("{problems:?}"));
    let request = http::Request::get("/acme").header("authorization", format!("Bearer {token}")).body(Bytes::new());
    let request = request.expect("a request");
    let files = |_: &str| Err("there is no file".to_owned());
    block_on(async {
        let outcome = evaluate(&compiled, &request, "id", Reception::default(), &recorder, None).await;
        let login = Login {
            rule: ("acme", &source),
            vars: &vars,
            request: &request,
            outcome: &outcome,
            now: Duration::from_secs(NOW),
            files: &files,
        };
        let written = write(recorder.into_recorded(), &login, existing).await;
        Recorded { outcome, written }
    })
}

fn record(rule: &str, provider: impl Fn(&Outgoing) -> Result<Answer, FetchError> + 'static) -> Recorded {
    record_with(rule, "m4rk-token-9f8e7d", &[("key", "m4rk-secret-1a2b3c"), ("id", "77007700")], "", Box::new(provider))
}

/// No part of any of these stands in the text, whatever its case.
#[track_caller]
fn free_of(text: &str, originals: &[&str]) {
    let lower = text.to_lowercase();
    for original in originals {
        for disguise in crate::cli::disguises(original) {
            assert!(!lower.contains(&disguise.to_lowercase()), "{disguise} ({original}) in\n{text}");
        }
    }
}

#[test]
fn a_login_becomes_a_case_that_runs_the_same_way() {
    let rule = r#"
[secrets]
key = { env = "KEY" }
id  = { env = "ID" }

[call.user]
url     = "https://api.acme.example/v2/me"
headers = { api-key = "${secrets.key}" }
query   = { proof = "${hmac_sha256(secrets.key, token)}", app = "${secrets.id}" }

[call.emails]
url = "https://api.acme.example/v2/users/${user.id}/emails"
paginate = "link"

[call.teams]
url  = "https://api.acme.example/v2/teams"
form = { login = "${user.login}", token = "${token}" }

[[require]]
that  = "user.kind == \"staff\""
error = "access_denied"

[claims]
sub            = "$.user.id"
email          = { path = "$.emails[?@.primary == true].address", first = true, lower = true }
email_verified = { path = "$.emails[?@.kind == 'work'].verified", first = true }
name           = "$.user.name"
preferred_username = "$.user.login"
handle         = { rhai = "user.email.split(\"@\")[0]" }
picture        = "$.user.avatar"
profile        = "https://acme.example/${user.login}"
birthdate      = "$.user.born"
updated_at     = "$.user.updated_at"
fresh          = { rhai = "user.expires_at > now()" }
groups         = { path = "$.teams[*].slug", many = true }
locale         = "$.user.locale"
level          = "$.user.level"
uuid           = "$.user.uuid"
echo           = "$.user.echo"
"#;
    let recorded = record(rule, |request| match request.url.path() {
        "/v2/me" => json(&json!({
            "id": 9_007_199_254_740_993_u64, "login": "adalove", "name": "Ada Lovelace", "email": "adalove@Engines.example",
            "avatar": "https://cdn.acme-images.example/u/9007199254740993/adalove.png?s=200", "born": "1815-12-10",
            "updated_at": "2025-10-02T18:04:11Z", "expires_at": NOW + 3600, "locale": "en-GB", "level": 3,
            "uuid": "3F2504E0-4F89-11D3-9A0C-0305E82C3301", "client": 77_007_700, "kind": "staff", "admin": false,
            "phone": "+44 20 7946 0958", "ip": "81.2.69.142", "bio": "Countess of Lovelace, London",
            "echo": "Bearer m4rk-token-9f8e7d", "lat": 51.507351, "friends": {"adalove@engines.example": 1},
        })),
        "/v2/users/9007199254740993/emails" if request.url.query().is_none() => answer(
            200,
            &[
                ("content-type", "application/json"),
                (
                    "link",
                    "<https://api.acme.example/v2/users/9007199254740993/emails?page=2&cursor=Y3Vyc29yOjkwMDcxOTky>; rel=\"next\"",
                ),
            ],
            json!([{"address": "other@mail.example", "primary": false, "kind": "home", "verified": false}]).to_string(),
        ),
        "/v2/users/9007199254740993/emails" => json(&json!([
            {"address": "AdaLove@engines.example", "primary": true, "kind": "work", "verified": true}
        ])),
        "/v2/teams" => json(&json!([{"slug": "analytical-engine"}, {"slug": "adalove"}])),
        _ => answer(404, &[], ""),
    });
    let text = recorded.text();
    free_of(
        text,
        &[
            "m4rk-token-9f8e7d",
            "m4rk-secret-1a2b3c",
            "77007700",
            "9007199254740993",
            "adalove",
            "Lovelace",
            "engines",
            "1815-12-10",
            "2025-10-02",
            "3F2504E0",
            "7946",
            "81.2.69.142",
            "Countess",
            "507351",
            "analytical",
            "acme-images",
            "Y3Vyc29yOjkwMDcxOTky",
        ],
    );
    let (before, after) = (recorded.before(), recorded.after());
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    let claim = |name: &str| after[name].as_str().expect("it is text").to_owned();
    let sub = claim("sub");
    assert_eq!(sub.len(), 16);
    assert!(sub.parse::<u64>().expect("a number") > 1 << 53, "{sub}");
    assert_eq!(claim("email"), claim("email").to_lowercase());
    assert_eq!(claim("email"), format!("{}@example.com", claim("preferred_username")));
    assert_eq!(claim("handle"), claim("preferred_username"));
    assert_eq!(claim("profile"), format!("https://acme.example/{}", claim("preferred_username")));
    assert_eq!(after["groups"][1], after["preferred_username"]);
    assert!(
        claim("picture").contains(&format!("/{sub}/{}.png?s=200", claim("preferred_username"))),
        "{}",
        claim("picture")
    );
    assert_eq!((&after["fresh"], &after["email_verified"], &after["level"]), (&true.into(), &true.into(), &3.into()));
    assert_eq!(claim("locale"), "en-GB");
    assert!(claim("echo").ends_with(" t0ken"), "{}", claim("echo"));
    assert_eq!(claim("uuid").len(), 36);
    assert!(claim("name").chars().next().is_some_and(char::is_uppercase) && claim("name").len() == 12);
    for part in [
        "authorization = \"Bearer t0ken\"",
        "api-key = \"s3cret-key\"",
        &format!("url = \"https://api.acme.example/v2/users/{sub}/emails\""),
        "login = \"",
        "token = \"t0ken\"",
        "\"kind\": \"staff\"",
    ] {
        assert!(recorded.plain().contains(part), "{part} in\n{text}");
    }
}

#[test]
fn a_failing_login_is_recorded_too() {
    let rule = r#"
[call.user]
url = "https://api.acme.example/me"
fail_when = [{ when = "user.code == 4711", error = "invalid_token" }]
[call.more]
url = "https://api.acme.example/more"
retry = 1
[claims]
sub = "$.user.id"
"#;
    let more = |user: Result<Answer, FetchError>| {
        move |request: &Outgoing| match request.url.path() {
            "/me" => user.clone(),
            _ => json(&json!({})),
        }
    };
    for (user, status, parts) in [
        (
            answer(401, &[], "{\"error\":\"invalid_token\",\"message\":\"ada@mark.example\"}"),
            401,
            &["status = 401", "error = \"invalid_token\" }"][..],
        ),
        (json(&json!({"code": 4711, "text": "Sorry, Ada"})), 401, &["4711"]),
        (json(&json!({"code": 12})), 500, &["error = { status = 500"]),
        (
            answer(200, &[("content-type", "text/html")], "<html><p title='Ada'>Sorry Ada &amp; co"),
            502,
            &["<html><p title='", "text/html"],
        ),
        (Err(FetchError::Timeout), 504, &["fail = \"timeout\""]),
        (Err(FetchError::Connect("ada.example refused".into())), 502, &["fail = \"connect\""]),
    ] {
        let recorded = record(rule, more(user));
        assert_eq!(recorded.outcome.response.status(), status);
        let text = recorded.text();
        for part in parts {
            assert!(recorded.plain().contains(part), "{part} in\n{text}");
        }
        assert!(recorded.plain().contains(&format!("error = {{ status = {status}")), "{text}");
        free_of(text, &["ada@mark.example", "Ada", "Sorry"]);
    }
}

#[test]
fn every_format_is_recorded() {
    let xml = "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><u id=\"583231\" xmlns=\"urn:x\"><!-- Ada --><name>Ad\u{e9} &amp; L</name><![CDATA[Ada]]><m>ada@mark.example</m></u>";
    let latin: Vec<u8> = xml.chars().map(|c| u8::try_from(u32::from(c)).expect("Latin-1")).collect();
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    for (decode, claims, content_type, body, marks) in [
        (
            "",
            "sub = \"$.user.u['@id']\"\nname = \"$.user.u.name\"",
            "application/xml",
            latin,
            &["583231", "ada", "adé"][..],
        ),
        (
            "decode = \"form\"",
            "sub = \"$.user.id\"\nemail = \"$.user.mail\"",
            "text/plain",
            b"id=583231&mail=ada%40mark.example&name=Ada+Mark".to_vec(),
            &["583231", "mark", "ada"],
        ),
        (
            "decode = \"jsonp\"",
            "sub = \"$.user.openid\"",
            "text/javascript",
            b"callback( {\"client_id\":\"100200300\",\"openid\":\"A1B2C3D4E5F6\"} );".to_vec(),
            &["100200300", "a1b2c3d4e5f6"],
        ),
        (
            "decode = \"text\"",
            "sub = { rhai = \"parse_json(user).id\" }",
            "text/plain",
            b"{\"id\":\"583231\",\"n\":\"Ada\"}".to_vec(),
            &["583231", "ada"],
        ),
        (
            "decode = \"data_uri\"",
            "sub = { value = \"1\" }\npicture = \"$.user\"",
            "image/png",
            png,
            &["IHDR", "iVBOR"],
        ),
    ] {
        let rule = format!("[call.user]\nurl = \"https://api.acme.example/me\"\n{decode}\n[claims]\n{claims}\n");
        let body = Bytes::from(body);
        let recorded = record(&rule, move |_| answer(200, &[("content-type", content_type)], body.clone()));
        assert_eq!(recorded.outcome.response.status(), 200, "{decode} {:?}", recorded.outcome.failure);
        free_of(recorded.text(), marks);
        let kinds = |claims: Map<String, Value>| {
            claims.into_iter().map(|(name, value)| (name, value.is_string())).collect::<Vec<_>>()
        };
        assert_eq!(kinds(recorded.before()), kinds(recorded.after()));
    }
}

#[test]
fn tokens_that_can_be_read_stay_readable_and_our_own_are_replaced() {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as B64};
    let jwt = |payload: &Value| {
        format!(
            "{}.{}.{}",
            B64.encode(r#"{"alg":"none","kid":"mark-kid-1"}"#),
            B64.encode(payload.to_string()),
            B64.encode("mark-signature")
        )
    };
    let token = jwt(&json!({"sub": "user-583231", "email": "ada@mark.example", "exp": NOW + 60}));
    let id_token = jwt(&json!({"sub": "user-583231", "name": "Ada Mark"}));
    let rule = r#"
[secrets]
id  = { env = "ID" }
key = { env = "KEY" }
[call.user]
url  = "https://api.acme.example/me/${jwt_claims(token).sub}"
auth = { client_credentials = { token_url = "https://login.acme.example/token", client_id = "${secrets.id}", client_secret = "${secrets.key}" } }
token = { header = "X-User-Token" }
[claims]
sub  = "$.user.id"
name = { rhai = "jwt_claims(user.id_token).name" }
"#;
    let sent = id_token.clone();
    let provider = move |request: &Outgoing| match request.url.path() {
        "/token" => json(&json!({"access_token": "own-mark-token-123", "token_type": "Bearer", "expires_in": 86400})),
        "/me/user-583231" => json(&json!({"id": "user-583231", "id_token": sent})),
        _ => answer(404, &[], ""),
    };
    let secrets = [("key", "mark-secret-1a2b3c"), ("id", "77007700")];
    let recorded = record_with(rule, &token, &secrets, "", Box::new(provider));
    assert_eq!(recorded.outcome.response.status(), 200, "{:?}", recorded.outcome.failure);
    let text = recorded.text();
    free_of(text, &["583231", "ada@mark", "mark-secret", "mark-token", "77007700", "mark-kid", "mark-signature"]);
    let plain = recorded.plain();
    assert!(plain.contains("grant_type = \"client_credentials\"") && plain.contains("secrets = { id = \""), "{text}");
    assert_eq!(recorded.after()["name"].as_str().map(str::len), Some("Ada Mark".len()));
}

#[test]
fn what_cannot_be_replaced_is_not_recorded() {
    // The rule asks for something of the value that no replacement has.
    let rule = "[call.user]\nurl = \"https://api.acme.example/me\"\n[[require]]\nthat = \"user.id % 583231 == 0\"\nerror = \"access_denied\"\n[claims]\nsub = \"$.user.id\"\n";
    let kept = record(rule, |_| json(&json!({"id": 583_231})));
    assert!(kept.written.is_ok(), "a number that the rule names stays: {:?}", kept.written);
    let rule = rule.replace("% 583231", "% 583");
    let recorded = record(&rule, |_| json(&json!({"id": 583_000})));
    let fault = recorded.written.expect_err("it runs otherwise");
    assert!(matches!(fault, Fault::Differs(_)), "{fault}");
    assert!(!fault.to_string().contains("583000"), "{fault}");
    // A file of cases has its bounds.
    let rule = "[call.user]\nurl = \"https://api.acme.example/me\"\n[claims]\nsub = \"$.user.id\"\n";
    let large = "x ".repeat(200_000);
    let recorded = record(rule, move |_| json(&json!({"id": 1, "bio": large})));
    assert!(matches!(recorded.written, Err(Fault::TooLarge(_))), "{:?}", recorded.written.err());
}

#[test]
fn names_of_cases_differ() {
    let rule = "[call.user]\nurl = \"https://api.acme.example/me\"\n[claims]\nsub = \"$.user.id\"\n";
    let again = |existing: &str| {
        let recorded = record_with(rule, "t0ken-mark", &[], existing, Box::new(|_| json(&json!({"id": "u1"}))));
        recorded.written.expect("it is recorded")
    };
    let one = again("");
    let two = again(&one.text);
    assert_eq!((&*one.name, &*two.name), ("recorded: a login", "recorded: a login, 2"));
    let (cases, problems) = Cases::read(&Source::new("x", format!("{}\n{}", one.text, two.text)));
    assert_eq!((cases.len(), problems.len()), (2, 0));
}

/// Calls for each of many values, some repeated, side by side and in several pages: their answers find them again.
#[test]
fn many_requests_at_once_find_their_answers() {
    let rule = r#"
[call.user]
url = "https://api.acme.example/me"
[call.teams]
url  = "https://api.acme.example/teams/${each}"
each = "$.user.teams[*]"
concurrency = 3
optional = true
retry = 1
[call.orgs]
url = "https://api.acme.example/orgs"
paginate = { page = 1, param = "page", max_pages = 9 }
[claims]
sub    = "$.user.id"
teams  = { path = "$.teams[*].title", many = true }
orgs   = { path = "$.orgs[*].title", many = true }
"#;
    let failed = Arc::new(Mutex::new(std::collections::HashSet::new()));
    let recorded = record(rule, move |request| match request.url.path() {
        "/me" => json(&json!({"id": 583_231, "teams": [100_001, 100_002, 100_003, 100_004, 100_005, 100_006]})),
        "/orgs" => match request.url.query() {
            Some("page=1") => json(&json!([{"title": "Mark One"}])),
            Some("page=2") => json(&json!([{"title": "Mark Two"}])),
            _ => json(&json!([])),
        },
        "/teams/100003" => answer(404, &[], ""),
        path if path.ends_with('5') && failed.lock().expect("nothing panics").insert(path.to_owned()) => {
            answer(503, &[], "")
        }
        path => json(&json!({"title": format!("Team {path}")})),
    });
    let (before, after) = (recorded.before(), recorded.after());
    for list in ["teams", "orgs"] {
        let length = |claims: &Map<String, Value>| claims[list].as_array().map(Vec::len);
        assert_eq!(length(&before), length(&after), "{list}");
    }
    assert_eq!(recorded.text().matches("[[case.answer]]").count(), 1 + 6 + 1 + 3);
    free_of(recorded.text(), &["100001", "100006", "583231", "Mark"]);
}

impl Random {
    /// Letters that no word of a rule or of a provider is made of.
    fn word(&mut self, from: usize, to: usize) -> String {
        let length = from + self.below(to - from);
        self.of("qxjzvkw", length)
    }

    fn digits(&mut self, length: usize) -> String {
        format!("{}{}", self.of("123456789", 1), self.of("0123456789", length - 1))
    }
}

/// Somebody, and everything that would tell who.
struct Person {
    id: String,
    uuid: String,
    login: String,
    first: String,
    last: String,
    email: String,
    phone: String,
    ip: String,
    token: String,
    secret: String,
    key: String,
}

impl Person {
    fn new(random: &mut Random) -> Self {
        let capital = |word: String| word[..1].to_uppercase() + &word[1..];
        let (login, first, last) = (random.word(5, 10), capital(random.word(4, 8)), capital(random.word(4, 9)));
        let last = if random.below(5) == 0 { format!("{last}Ø{}", random.word(3, 5)) } else { last };
        let domain = format!("{}.example", random.word(5, 9));
        let email = match random.below(4) {
            0 => format!("{login}@{domain}"),
            1 => format!("{}.{}@{domain}", first.to_lowercase(), random.word(4, 7)),
            2 => format!("{}+x@{}", login.to_uppercase(), domain.to_uppercase()),
            _ => format!("{login}{}@{domain}", random.digits(3)),
        };
        let hex = "0123456789abcdef";
        let uuid = [8, 4, 4, 4, 12].map(|length| random.of(hex, length)).join("-");
        let length = [6, 8, 10, 16, 19, 20, 24][random.below(7)];
        let id = if length == 20 { format!("1{}", random.of("01234567", 19)) } else { random.digits(length) };
        let phone = format!("+{} {} {}", random.digits(2), random.digits(4), random.digits(6));
        let ip = format!(
            "{}.{}.{}.{}",
            11 + random.below(90),
            random.below(255),
            random.below(255),
            100 + random.below(155)
        );
        let opaque = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghjkmnpqrstuvwxyz0123456789";
        let (token, secret) = (random.of(opaque, 24), random.of(opaque, 20));
        let length = 16 + random.below(20);
        let key = format!("a1{}", random.of(hex, length));
        Person { id, uuid, login, first, last, email, phone, ip, token, secret, key }
    }

    /// What must not be seen, in any case and in any part.
    fn marks(&self) -> Vec<String> {
        let number = self.phone.rsplit(' ').next().unwrap_or_default().to_owned();
        [&self.id, &self.uuid, &self.login, &self.first, &self.last, &self.email, &self.ip, &self.token, &self.secret]
            .into_iter()
            .chain([&self.key, &number])
            .map(|mark| mark.to_lowercase())
            .collect()
    }

    /// A value in which something of the person may stand.
    fn value(&self, random: &mut Random) -> Value {
        let Person { id, uuid, login, first, last, email, phone, ip, token, secret, key } = self;
        match random.below(22) {
            0 => id.parse::<serde_json::Number>().expect("a number").into(),
            1 => id.as_str().into(),
            2 => uuid.as_str().into(),
            3 => login.to_uppercase().into(),
            4 => format!("{first} {last}").into(),
            5 => email.as_str().into(),
            6 => format!("Dear {first}, write to <{email}> or call {phone}; from {ip}.").into(),
            7 => format!("https://{login}.pages.example/{login}/{id}.png?u={uuid}&size=20#{last}").into(),
            8 => format!("https://api.acme.example/users/{id}/{}", percent(email)).into(),
            9 => json!({ "id": id, "deep": [first, { "mail": email }] }).to_string().into(),
            10 => phone.as_str().into(),
            11 => ip.as_str().into(),
            12 => format!("Bearer {token}").into(),
            13 => format!("{secret}:{key}").into(),
            14 => key.as_str().into(),
            15 => Value::Bool(random.below(2) == 0),
            16 => Value::Null,
            17 => json!(random.below(100)),
            18 => json!({ (email.as_str()): 1, "n": { (id.as_str()): last } }),
            19 => format!("{}T0{}:11:12.{}Z", "2001-02-03", random.below(9), random.digits(3)).into(),
            20 => format!("{first}{id}_{login}-{last}").into(),
            _ => last.to_uppercase().into(),
        }
    }

    fn document(&self, random: &mut Random, depth: usize) -> Value {
        match random.below(if depth == 0 { 1 } else { 5 }) {
            0 => self.value(random),
            1 => (0..random.below(4)).map(|_| self.document(random, depth - 1)).collect(),
            _ => {
                const NAMES: [&str; 24] = [
                    "id",
                    "user_id",
                    "login",
                    "name",
                    "firstName",
                    "profile",
                    "data",
                    "items",
                    "email",
                    "contact",
                    "tel",
                    "url",
                    "html_url",
                    "avatar",
                    "bio",
                    "text",
                    "token",
                    "created_at",
                    "tags",
                    "x1",
                    "meta",
                    "status",
                    "account-key",
                    "@type",
                ];
                let members = (0..1 + random.below(5))
                    .map(|_| (random.pick(&NAMES).to_owned(), self.document(random, depth - 1)));
                Value::Object(members.collect())
            }
        }
    }
}

fn percent(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Paths and types are those of before; `marks` are names of members that may be replaced.
#[track_caller]
fn same_shape(before: &Value, after: &Value, marks: &[String]) {
    let differ = || panic!("{before} became {after}");
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            assert_eq!(before.len(), after.len(), "{before:?} {after:?}");
            let of_nobody = |name: &&String| !marks.iter().any(|mark| name.to_lowercase().contains(mark.as_str()));
            for name in before.keys().filter(of_nobody) {
                same_shape(&before[name], after.get(name).unwrap_or_else(|| panic!("{name} in {after:?}")), marks);
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            assert_eq!(before.len(), after.len());
            before.iter().zip(after).for_each(|(before, after)| same_shape(before, after, marks));
        }
        (Value::Number(before), Value::Number(after)) => {
            assert_eq!(
                (before.as_str().len(), before.is_i64(), before.is_u64()),
                (after.as_str().len(), after.is_i64(), after.is_u64())
            );
        }
        (Value::String(before), Value::String(after)) => {
            let kind = |text: &str| {
                (
                    text.is_empty(),
                    text.contains('@') || text.contains("%40"),
                    text.starts_with("https://"),
                    text.contains(' '),
                )
            };
            assert_eq!(kind(before), kind(after), "{before} {after}");
            if before.bytes().all(|byte| byte.is_ascii_digit()) {
                assert!(
                    after.len() == before.len() && after.bytes().all(|byte| byte.is_ascii_digit()),
                    "{before} {after}"
                );
            }
        }
        (before, after) => {
            if before != after {
                differ();
            }
        }
    }
}

#[test]
fn nothing_of_the_person_survives_in_thousands_of_answers_while_paths_and_types_do() {
    let rule = r#"
[secrets]
key = { env = "KEY" }
[call.a]
url = "https://api.acme.example/a"
headers = { x-key = "${secrets.key}" }
[call.b]
url = "https://api.acme.example/b/${a.sub}"
[call.c]
url = "https://api.acme.example/c"
query = { login = "${a.login}", t = "${token}" }
[claims]
sub   = "$.a.sub"
login = "$.a.login"
"#;
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let (mut answers, logins) = (0, 700);
    for _ in 0..logins {
        let person = Person::new(&mut random);
        let marks = person.marks();
        let sub = person.id.parse::<serde_json::Number>().expect("a number");
        let mut first = json!({ "sub": sub, "login": person.login, "more": person.document(&mut random, 4) });
        if let Some(name) = [None, Some(person.email.as_str())][random.below(2)] {
            first[name] = 1.into();
        }
        let bodies = [first, person.document(&mut random, 4), person.document(&mut random, 5)];
        let given = bodies.clone();
        let path = format!("/b/{}", person.id);
        let provider = move |request: &Outgoing| match request.url.path() {
            "/a" => json(&given[0]),
            "/c" => json(&given[2]),
            other if other == path => json(&given[1]),
            _ => answer(404, &[], ""),
        };
        let recorded = record_with(rule, &person.token, &[("key", &person.secret)], "", Box::new(provider));
        let text = recorded.text();
        let lower = text.to_lowercase();
        for mark in &marks {
            assert!(!lower.contains(mark), "{mark} in\n{text}\nfrom {bodies:?}");
        }
        let table: toml::Table = text.parse().expect("it is TOML");
        let written = table["case"][0]["answer"].as_array().expect("answers");
        assert_eq!(written.len(), 3);
        for answer in written {
            let url = answer["url"].as_str().expect("an address");
            let before = &bodies
                [["/a", "/b", "/c"].iter().position(|path| url.contains(&format!("example{path}"))).expect("a call")];
            let after: Value = serde_json::from_str(answer["json"].as_str().expect("JSON")).expect("JSON");
            same_shape(before, &after, &marks);
            answers += 1;
        }
        assert_eq!(recorded.before()["sub"].as_str().map(str::len), recorded.after()["sub"].as_str().map(str::len));
    }
    assert_eq!(answers, 3 * logins);
}
