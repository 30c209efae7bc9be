//! `[token]` and signed answers: whose token passes, and whose does not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD as STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use p256::ecdsa::{SigningKey, signature::Signer};
use rsa::{pkcs8::DecodePrivateKey, traits::PublicKeyParts};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::support::{Gateway, Reply, Setup, Upstream};

const API: &str = "https://api.acme.example";
const ISSUER: &str = "https://login.acme.example";

fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// A key of an issuer.
enum Key {
    Es256(SigningKey),
    Rs256(Box<rsa::PrivateKey>),
    EdDsa(ed25519_dalek::SigningKey),
}

fn es256(seed: u8) -> Key {
    Key::Es256(SigningKey::from_slice(&[seed; 32]).expect("a scalar"))
}

fn eddsa(seed: u8) -> Key {
    Key::EdDsa(ed25519_dalek::SigningKey::from_bytes(&[seed; 32]))
}

fn rs256() -> Key {
    let pem = include_str!("keys/rsa.pem");
    Key::Rs256(Box::new(rsa::PrivateKey::from_pkcs8_pem(pem).expect("a key of the tests")))
}

impl Key {
    fn name(&self) -> &'static str {
        match self {
            Key::Es256(_) => "ES256",
            Key::Rs256(_) => "RS256",
            Key::EdDsa(_) => "EdDSA",
        }
    }

    fn sign(&self, message: &str) -> Vec<u8> {
        match self {
            Key::Es256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(message.as_bytes());
                signature.to_bytes().to_vec()
            }
            Key::Rs256(key) => key.pkcs1v15_sign::<Sha256>(message.as_bytes()).expect("it can sign"),
            Key::EdDsa(key) => key.sign(message.as_bytes()).to_bytes().to_vec(),
        }
    }

    fn jwk(&self, id: &str) -> Value {
        match self {
            Key::Es256(key) => {
                let point = key.verifying_key().to_sec1_point(false);
                json!({ "kty": "EC", "crv": "P-256", "kid": id, "use": "sig",
                    "x": encode(point.x().expect("a point")), "y": encode(point.y().expect("a point")) })
            }
            Key::Rs256(key) => {
                let public = key.as_public_key();
                json!({ "kty": "RSA", "kid": id, "alg": "RS256",
                    "n": encode(public.n().to_be_bytes_trimmed_vartime()), "e": encode(public.e().to_be_bytes_trimmed_vartime()) })
            }
            Key::EdDsa(key) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "x": encode(key.verifying_key().to_bytes()) })
            }
        }
    }

    /// A token with this header and these claims.
    fn token(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        format!("{signed}.{}", encode(self.sign(&signed)))
    }

    fn plain(&self, id: &str, claims: &Value) -> String {
        self.token(&json!({ "alg": self.name(), "kid": id, "typ": "at+jwt" }), claims)
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    i64::try_from(since.as_secs()).expect("a time of today")
}

fn claims() -> Value {
    json!({ "iss": ISSUER, "aud": ["claimsmith", "other"], "sub": "u1", "exp": now() + 300, "client_id": "app" })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().expect("claims are an object").remove(name);
    claims
}

/// An issuer with these keys, which counts how often they are fetched.
fn issuer(keys: Vec<Value>) -> (Upstream, Arc<AtomicUsize>) {
    let fetched = Arc::new(AtomicUsize::new(0));
    let count = fetched.clone();
    let upstream = Upstream::new(move |seen| match &*seen.target {
        "/jwks" => {
            count.fetch_add(1, Ordering::SeqCst);
            Reply::json(json!({ "keys": keys }).to_string())
        }
        _ => Reply::new(404, ""),
    });
    (upstream, fetched)
}

fn rule(token: &str) -> String {
    format!(
        "[secrets]\nkey = {{ env = \"KEY\" }}\n[token]\n{token}\n[call.user]\nurl = \"{API}/user\"\n\
         [claims]\nsub = \"$.token.sub\"\nname = \"$.user.name\"\nclient = {{ rhai = \"token.client_id\" }}\n"
    )
}

fn jwt(more: &str) -> String {
    rule(&format!("jwt = {{ jwks = \"{ISSUER}/jwks\", issuer = \"{ISSUER}\", audience = \"claimsmith\"{more} }}"))
}

fn api() -> Upstream {
    Upstream::new(|_| Reply::json(r#"{"name":"Ada"}"#))
}

fn serve(rule: &str, api: &Upstream, issuer: &Upstream) -> Gateway {
    let setup = Setup::new().rule("acme", rule).secrets(&[("KEY", "0123456789abcdef0123456789abcdef")]);
    setup.reroute(API, &api.origin).reroute(ISSUER, &issuer.origin).start()
}

#[test]
fn a_token_of_the_issuer_for_us_passes_whatever_signs_it() {
    for key in [es256(1), rs256(), eddsa(2)] {
        let (issuer, fetched) = issuer(vec![es256(9).jwk("old"), key.jwk("k1")]);
        let api = api();
        let gateway = serve(&jwt(""), &api, &issuer);
        for _ in 0..3 {
            let found = gateway.claims("/acme", &key.plain("k1", &claims()));
            assert_eq!(json!(found), json!({ "sub": "u1", "name": "Ada", "client": "app" }), "{}", key.name());
        }
        assert_eq!(fetched.load(Ordering::SeqCst), 1, "the keys are fetched once");
        let seen = api.seen();
        assert!(seen.iter().all(|seen| seen.header("authorization").starts_with("Bearer ey")), "{seen:?}");
    }
}

#[test]
fn whatever_is_wrong_with_a_token_it_does_not_pass_and_no_call_is_made() {
    let key = es256(1);
    let header = |more: Value| {
        let mut header = json!({ "alg": "ES256", "kid": "k1" });
        header.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        header
    };
    let public = serde_json::to_vec(&key.jwk("k1")).expect("it is JSON");
    let hs256 = |secret: &[u8], claims: &Value| {
        use hmac::{Hmac, KeyInit, Mac};
        let signed =
            format!("{}.{}", encode(json!({ "alg": "HS256", "kid": "k1" }).to_string()), encode(claims.to_string()));
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret).expect("any length will do").chain_update(&signed);
        format!("{signed}.{}", encode(mac.finalize().into_bytes()))
    };
    let good = key.plain("k1", &claims());
    let cut = good.rsplit_once('.').expect("it has three parts").0;
    let attacker = es256(66);
    let wrong = [
        ("another audience", key.plain("k1", &with("aud", json!("other")))),
        ("no audience", key.plain("k1", &without("aud"))),
        ("an audience that only starts like ours", key.plain("k1", &with("aud", json!("claimsmith2")))),
        ("another issuer", key.plain("k1", &with("iss", json!("https://evil.example")))),
        ("no issuer", key.plain("k1", &without("iss"))),
        ("expired", key.plain("k1", &with("exp", json!(now() - 61)))),
        ("no end", key.plain("k1", &without("exp"))),
        ("an end that is text", key.plain("k1", &with("exp", json!("9999999999")))),
        ("not valid yet", key.plain("k1", &with("nbf", json!(now() + 120)))),
        ("alg none", format!("{}.{}.", encode(r#"{"alg":"none"}"#), encode(claims().to_string()))),
        ("alg none with a signature", key.token(&json!({ "alg": "none", "kid": "k1" }), &claims())),
        ("no signature", format!("{cut}.")),
        ("HS256 with the public key", hs256(&public, &claims())),
        ("another key of the same name", attacker.plain("k1", &claims())),
        ("an unknown key", attacker.plain("k2", &claims())),
        ("a key that the token brings", attacker.token(&header(json!({ "jwk": attacker.jwk("k1") })), &claims())),
        (
            "keys where the token says",
            attacker.token(&header(json!({ "jku": "https://evil.example/jwks", "kid": "x" })), &claims()),
        ),
        ("an extension that is null", key.token(&header(json!({ "crit": null })), &claims())),
        ("a list of audiences that are no text", key.plain("k1", &with("aud", json!(["claimsmith", 1])))),
        ("two audiences", {
            let claims = claims().to_string().replacen('{', "{\"aud\":\"other\",", 1);
            let signed = format!("{}.{}", encode(header(json!({})).to_string()), encode(claims));
            format!("{signed}.{}", encode(key.sign(&signed)))
        }),
        ("an extension that must be understood", key.token(&header(json!({ "crit": ["exp"], "exp": 1 })), &claims())),
        ("claims that are no object", key.token(&header(json!({})), &json!([1]))),
        ("claims changed afterwards", {
            let mut parts: Vec<_> = good.split('.').map(str::to_owned).collect();
            parts[1] = encode(with("sub", json!("u2")).to_string());
            parts.join(".")
        }),
        ("no JWT at all", "opaque".into()),
        ("two parts", cut.into()),
        ("half a signature", good[..good.len() - 4].into()),
    ];
    let (issuer, fetched) = issuer(vec![key.jwk("k1")]);
    let api = api();
    let gateway = serve(&jwt(""), &api, &issuer);
    assert_eq!(gateway.get("/acme", &good).status, 200, "the one that all others differ from");
    assert_eq!(
        gateway.get("/acme", &key.plain("k1", &with("exp", json!(now() - 30)))).status,
        200,
        "within the leeway"
    );
    let calls = api.seen().len();
    for (what, token) in wrong {
        let answer = gateway.get("/acme", &token);
        assert_eq!((answer.status, &answer.json()["error"]), (401, &json!("invalid_token")), "{what}");
        assert!(answer.header("www-authenticate").contains("invalid_token"), "{what}");
        assert!(!answer.body.contains("u1"), "{what}");
    }
    assert_eq!(api.seen().len(), calls, "no call is made with a token that does not pass");
    assert_eq!(fetched.load(Ordering::SeqCst), 1, "unknown keys do not have the set fetched again at once");
}

#[test]
fn more_can_be_asked_of_a_token() {
    let key = es256(1);
    let (issuer, _) = issuer(vec![key.jwk("k1")]);
    let api = api();
    for (more, claims, expected) in [
        (", typ = \"at+jwt\"", claims(), 200),
        (", typ = \"application/AT+JWT\"", claims(), 200),
        (", typ = \"id+jwt\"", claims(), 401),
        (", expect = { client_id = \"app\" }", claims(), 200),
        (", expect = { client_id = \"other\" }", claims(), 401),
        (", expect = { azp = \"app\" }", claims(), 401),
        (", expect = { scope = \"a b\" }", with("scope", json!("b c a")), 200),
        (", expect = { scope = \"a b\" }", with("scope", json!("a bc")), 403),
        (", expect = { scp = \"a\" }", with("scp", json!(["a"])), 200),
        (", algorithms = [\"RS256\", \"PS256\"]", claims(), 401),
        (", algorithms = \"ES256\"", claims(), 200),
        (", leeway = \"0s\"", with("exp", json!(now() - 5)), 401),
    ] {
        let gateway = serve(&jwt(more), &api, &issuer);
        assert_eq!(gateway.get("/acme", &key.plain("k1", &claims)).status, expected, "{more} {claims}");
    }
}

#[test]
fn an_issuer_may_have_several_names_each_letter_for_letter() {
    let key = es256(1);
    let (issuer, _) = issuer(vec![key.jwk("k1")]);
    let both = rule(&format!(
        "jwt = {{ jwks = \"{ISSUER}/jwks\", issuer = [\"{ISSUER}\", \"login.acme.example\"], audience = \"claimsmith\" }}"
    ));
    let api = api();
    let gateway = serve(&both, &api, &issuer);
    for (name, expected) in [
        (json!(ISSUER), 200),
        (json!("login.acme.example"), 200),
        (json!(format!("{ISSUER}/")), 401),
        (json!("LOGIN.acme.example"), 401),
        (json!([ISSUER, "login.acme.example"]), 401),
        (json!(""), 401),
        (Value::Null, 401),
    ] {
        assert_eq!(gateway.get("/acme", &key.plain("k1", &with("iss", name.clone()))).status, expected, "{name}");
    }
    let none = both.replace(&format!("[\"{ISSUER}\", \"login.acme.example\"]"), "[]");
    assert_eq!(Setup::new().rule("acme", &none).load().refused, ["acme"], "it must be said who");
}

#[test]
fn a_secret_is_judged_by_its_value_and_only_where_there_is_one() {
    let rule = rule(&format!(
        "jwt = {{ secret = \"${{secrets.key}}\", algorithms = \"HS256\", issuer = \"{ISSUER}\", audience = \"claimsmith\" }}"
    ));
    let setup = Setup::new().rule("acme", &rule).secrets(&[("KEY", "placeholder")]);
    let loaded = setup.load();
    assert!(loaded.problems.iter().any(|problem| problem.message.contains("too short")), "{:?}", loaded.problems);
    let host = claimsmith::gateway::Upstream::new(
        &setup.settings,
        claimsmith::gateway::Secrets::Placeholders,
        claimsmith::gateway::Store::new(),
    );
    let loaded = claimsmith::gateway::load(&setup.settings, &host.expect("a host can be made"));
    assert!(loaded.expect("the folder can be read").refused.is_empty());
}

#[test]
fn a_shared_secret_verifies_only_what_names_its_algorithm() {
    use hmac::{Hmac, KeyInit, Mac};
    let (issuer, _) = issuer(Vec::new());
    let api = api();
    let rule = rule(&format!(
        "jwt = {{ secret = \"${{secrets.key}}\", algorithms = \"HS256\", issuer = \"{ISSUER}\", audience = \"claimsmith\" }}"
    ));
    let gateway = serve(&rule, &api, &issuer);
    let token = |algorithm: &str, secret: &[u8]| {
        let signed = format!("{}.{}", encode(json!({ "alg": algorithm }).to_string()), encode(claims().to_string()));
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret).expect("any length will do").chain_update(&signed);
        format!("{signed}.{}", encode(mac.finalize().into_bytes()))
    };
    let secret = b"0123456789abcdef0123456789abcdef";
    assert_eq!(gateway.get("/acme", &token("HS256", secret)).status, 200);
    assert_eq!(gateway.get("/acme", &token("HS256", b"another")).status, 401);
    assert_eq!(gateway.get("/acme", &token("HS512", secret)).status, 401);
    assert_eq!(gateway.get("/acme", &es256(1).plain("k1", &claims())).status, 401);
}

#[test]
fn keys_that_cannot_be_had_are_not_the_callers_fault() {
    let key = es256(1);
    let api = api();
    for reply in [
        Reply::new(500, ""),
        Reply::new(404, ""),
        Reply::json("<html>"),
        Reply::json("{}"),
        Reply::json(r#"{"keys":[]}"#),
        Reply::json(r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#),
        Reply::json(json!({ "keys": vec![key.jwk("k1"); 101] }).to_string()),
    ] {
        let shown = String::from_utf8_lossy(&reply.body[..reply.body.len().min(60)]).into_owned();
        let issuer = Upstream::new(move |_| reply.clone());
        let answer = serve(&jwt(""), &api, &issuer).get("/acme", &key.plain("k1", &claims()));
        assert_eq!((answer.status, &answer.json()["error"]), (502, &json!("server_error")), "{shown}");
    }
    assert_eq!(api.seen().len(), 0);
}

/// A rule that asks the issuer.
fn introspecting(expect: &str) -> String {
    rule(&format!(
        "introspect = {{ url = \"{ISSUER}/introspect\", auth = {{ basic = {{ user = \"us\", password = \"${{secrets.key}}\" }} }}, \
         token_type_hint = \"access_token\", expect = {{ {expect} }} }}"
    ))
}

#[test]
fn the_issuer_is_asked_and_its_word_counts() {
    let api = api();
    let active =
        |more: &str| format!("{{\"active\":true,\"sub\":\"u1\",\"client_id\":\"app\",\"scope\":\"a b\"{more}}}");
    for (status, body, expect, expected) in [
        (200, active(""), "client_id = \"app\"", 200),
        (200, active(""), "client_id = \"app\", scope = \"b\"", 200),
        (200, active(""), "scope = \"c\"", 403),
        (200, active(""), "client_id = \"other\"", 401),
        (200, active(""), "aud = \"claimsmith\"", 401),
        (200, active(",\"aud\":[\"claimsmith\"]"), "aud = \"claimsmith\"", 200),
        (200, active(&format!(",\"exp\":{}", now() - 100)), "client_id = \"app\"", 401),
        (200, active(",\"cnf\":{\"jkt\":\"x\"}"), "client_id = \"app\"", 400),
        (200, "{\"active\":false}".into(), "client_id = \"app\"", 401),
        (200, "{\"active\":\"true\",\"client_id\":\"app\"}".into(), "client_id = \"app\"", 401),
        (200, "{\"client_id\":\"app\"}".into(), "client_id = \"app\"", 401),
        (200, "[]".into(), "client_id = \"app\"", 502),
        (200, "<html>".into(), "client_id = \"app\"", 502),
        (401, "{}".into(), "client_id = \"app\"", 502),
        (403, "{}".into(), "client_id = \"app\"", 502),
        (500, "{}".into(), "client_id = \"app\"", 502),
    ] {
        let shown = format!("{status} {body} {expect}");
        let issuer = Upstream::new(move |_| Reply::new(status, body.clone()));
        let answer = serve(&introspecting(expect), &api, &issuer).get("/acme", "t0ken&x=y");
        assert_eq!(answer.status, expected, "{shown}: {}", answer.body);
        let seen = &issuer.seen()[0];
        assert_eq!((&*seen.method, &*seen.target), ("POST", "/introspect"));
        assert_eq!(seen.body, "token=t0ken%26x%3Dy&token_type_hint=access_token");
        assert!(seen.header("authorization").starts_with("Basic "), "our own credentials");
        assert_eq!(seen.header("content-type"), "application/x-www-form-urlencoded");
    }
}

#[test]
fn our_own_credentials_are_form_encoded_before_they_are_basic() {
    let rule = introspecting("client_id = \"app\"").replace("\"us\"", "\"us:er & é\"");
    let issuer = Upstream::new(|_| Reply::json(r#"{"active":true,"sub":"u1","client_id":"app"}"#));
    assert_eq!(serve(&rule, &api(), &issuer).get("/acme", "t").status, 200);
    let expected = STANDARD.encode("us%3Aer+%26+%C3%A9:0123456789abcdef0123456789abcdef");
    assert_eq!(issuer.seen()[0].header("authorization"), format!("Basic {expected}"));
}

#[test]
fn an_issuer_that_is_asked_too_often_has_the_caller_wait() {
    for (said, expected) in [(Some("7"), "7"), (None, "1"), (Some("soon"), "1")] {
        let reply = said.into_iter().fold(Reply::new(429, "{}"), |reply, said| reply.header("retry-after", said));
        let issuer = Upstream::new(move |_| reply.clone());
        let answer = serve(&introspecting("client_id = \"app\""), &api(), &issuer).get("/acme", "t");
        assert_eq!((answer.status, answer.header("retry-after")), (503, expected), "{said:?}");
        assert_eq!(answer.json()["error"], "temporarily_unavailable");
    }
}

#[test]
fn an_answer_that_is_only_encrypted_need_not_say_who_says_it() {
    let tokens = include_str!("keys/encrypted.txt").lines().map(|line| line.split_once(' ').expect("a name"));
    let key = include_str!("keys/p256.pem");
    for (name, token) in tokens.filter(|(name, _)| name.starts_with("ECDH-ES")) {
        for (more, expected) in [("", 200), (", issuer = \"https://login.acme.example\"", 502)] {
            let rule = format!(
                "[secrets]\nkey = {{ env = \"KEY\" }}\n[call.user]\nurl = \"{API}/user\"\n\
                 decode = {{ jwt = {{ decrypt = \"${{secrets.key}}\"{more} }} }}\n[claims]\nsub = \"$.user.sub\"\n"
            );
            let api = Upstream::new(move |_| Reply::new(200, token));
            let gateway = Setup::new().rule("acme", &rule).secrets(&[("KEY", key)]).reroute(API, &api.origin).start();
            assert_eq!(gateway.get("/acme", "t").status, expected, "{name}{more}");
        }
    }
}

#[test]
fn a_call_can_say_whether_the_token_is_good_and_goes_first() {
    let rule = format!(
        "[token]\ncall = \"check\"\n[call.user]\nurl = \"{API}/user\"\n\
         [call.check]\nurl = \"{API}/check\"\nfail_when = [{{ when = 'check.app != \"ours\"', error = \"invalid_token\" }}]\n\
         [claims]\nsub = \"$.token.id\"\nname = \"$.user.name\"\n"
    );
    let api = Upstream::new(|seen| match (&*seen.target, seen.header("authorization")) {
        ("/check", "Bearer good") => Reply::json(r#"{"app":"ours","id":"u1"}"#),
        ("/check", "Bearer foreign") => Reply::json(r#"{"app":"theirs","id":"u1"}"#),
        ("/check", _) => Reply::new(401, "{}"),
        _ => Reply::json(r#"{"name":"Ada"}"#),
    });
    let (issuer, _) = issuer(Vec::new());
    let gateway = serve(&rule, &api, &issuer);
    assert_eq!(json!(gateway.claims("/acme", "good")), json!({ "sub": "u1", "name": "Ada" }));
    for token in ["foreign", "bad"] {
        assert_eq!(gateway.get("/acme", token).status, 401, "{token}");
    }
    let users = api.seen().iter().filter(|seen| seen.target == "/user").count();
    assert_eq!(users, 1, "only the good token is used for more");
}

#[test]
fn a_signed_answer_is_verified_and_an_unsigned_one_is_none() {
    let key = rs256();
    let rule = format!(
        "[call.user]\nurl = \"{API}/user\"\n\
         decode = {{ jwt = {{ jwks = \"{ISSUER}/jwks\", issuer = \"{ISSUER}\", audience = \"claimsmith\" }} }}\n\
         [claims]\nsub = \"$.user.sub\"\nclient = \"$.user.client_id\"\n"
    );
    let (issuer, _) = issuer(vec![key.jwk("k1")]);
    let good = key.plain("k1", &without("exp"));
    for (what, body, expected) in [
        ("signed", good.clone(), 200),
        ("signed, with a line break after it", format!("{good}\n"), 200),
        ("expired", key.plain("k1", &with("exp", json!(now() - 100))), 502),
        ("for somebody else", key.plain("k1", &with("aud", json!("x"))), 502),
        ("signed by somebody else", es256(3).plain("k1", &claims()), 502),
        ("not signed", claims().to_string(), 502),
        ("nothing", String::new(), 502),
    ] {
        let api = Upstream::new(move |seen| {
            assert_eq!(seen.header("accept"), "application/jwt");
            Reply::new(200, body.clone()).header("content-type", "application/jwt")
        });
        assert_eq!(serve(&rule, &api, &issuer).get("/acme", "t").status, expected, "{what}");
    }
}

#[test]
fn keys_are_fetched_once_however_many_want_them_at_once() {
    let key = es256(1);
    let (issuer, fetched) = issuer(vec![key.jwk("k1")]);
    let api = api();
    let gateway = serve(&jwt(""), &api, &issuer);
    let (good, unknown) = (key.plain("k1", &claims()), es256(66).plain("k2", &claims()));
    let statuses: Vec<_> = std::thread::scope(|scope| {
        let gateway = &gateway;
        let ask = |token| scope.spawn(move || (0..10).map(|_| gateway.get("/acme", token).status).collect::<Vec<_>>());
        let all: Vec<_> = (0..10).flat_map(|_| [(200, ask(&good)), (401, ask(&unknown))]).collect();
        all.into_iter().map(|(expected, one)| (expected, one.join().expect("it ends"))).collect()
    });
    for (expected, found) in statuses {
        assert_eq!(found, [expected; 10]);
    }
    assert_eq!(fetched.load(Ordering::SeqCst), 1);
}
