//! The functions that rules may call: as providers need them, over real sockets; as the program and README list them.

use std::{fmt::Write as _, fs, path::PathBuf, sync::Arc};

use claimsmith::core::{Blame, FUNCTIONS, Family, Function, Reception, Secret, Trace, evaluate};
use serde_json::{Value, json};

use crate::{
    cli::{claimsmith, run},
    support::{Reply, Seen, Setup, Upstream, block_on},
};

const TOKEN: &str = "t0ken";
const ORIGIN: &str = "https://api.acme.example";
/// The key of RFC 7515, appendix A.2: everybody has it.
const PEM: &str = include_str!("../src/core/value/functions/rfc7515-a2.pem");

/// A rule with one call of these lines.
fn rule(call: &str, claims: &str) -> String {
    format!(
        "[secrets]\napp_secret = {{ env = \"APP_SECRET\" }}\napp_id = {{ env = \"APP_ID\" }}\npem = {{ env = \"PEM\" }}\n\
         [call.user]\n{call}\n[claims]\nsub = \"$.user.id\"\n{claims}\n"
    )
}

fn setup(rule: &str, upstream: &Upstream) -> Setup {
    Setup::new().rule("acme", rule).reroute(ORIGIN, &upstream.origin).secrets(&[
        ("APP_SECRET", "s3cret"),
        ("APP_ID", "4pp"),
        ("PEM", PEM),
    ])
}

/// The request that a call makes.
#[track_caller]
fn sent(call: &str) -> Seen {
    let upstream = Upstream::new(|_| Reply::json(r#"{"id":"1"}"#));
    let gateway = setup(&rule(call, ""), &upstream).start();
    let answer = gateway.get("/acme", TOKEN);
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"sub":"1"}"#), "{call}");
    let mut seen = upstream.seen();
    assert_eq!(seen.len(), 1, "{call}");
    seen.remove(0)
}

/// The members of a form or query.
fn members(text: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

#[track_caller]
fn member(members: &[(String, String)], name: &str) -> String {
    members.iter().find(|(other, _)| other == name).unwrap_or_else(|| panic!("no {name} in {members:?}")).1.clone()
}

/// HMAC-SHA256 of the token with the secret, by another program.
const PROOF: &str = "d0f8abfce5e9c8e5c0b6446d31e29359768d9916db08c6a94ca7b481a4eeac2c";

/// As Facebook, Instagram and Zalo want it.
const PROVEN: &str = r#"url = "https://api.acme.example/me"
token = "bearer"
query = { fields = "id", appsecret_proof = "${hmac_sha256(secrets.app_secret, token)}" }"#;

#[test]
fn a_proof_of_the_apps_secret_travels_beside_the_token() {
    let seen = sent(PROVEN);
    assert_eq!(seen.target, format!("/me?fields=id&appsecret_proof={PROOF}"));
    assert_eq!(seen.header("authorization"), format!("Bearer {TOKEN}"));
}

#[test]
fn the_token_is_signed_also_where_its_claims_are_known() {
    let upstream = Upstream::new(|_| Reply::json(r#"{"id":"1"}"#));
    let check = "[call.check]\nurl = \"https://api.acme.example/check\"\n[token]\ncall = \"check\"\n";
    let gateway = setup(&format!("{}\n{check}", rule(PROVEN, "")), &upstream).start();
    assert_eq!(gateway.get("/acme", TOKEN).status, 200);
    let targets: Vec<_> = upstream.seen().into_iter().map(|seen| seen.target).collect();
    assert_eq!(targets, ["/check".to_owned(), format!("/me?fields=id&appsecret_proof={PROOF}")]);
}

#[test]
fn sorted_parameters_are_signed_with_md5() {
    // As Odnoklassniki wants it: the secret is a digest of the token and ours.
    let seen = sent(
        r#"url = "https://api.acme.example/fb.do"
token = { query = "access_token" }
query = { method = "users.getCurrentUser", application_key = "${secrets.app_id}", sig = '${md5(sorted_pairs(#{method: "users.getCurrentUser", application_key: secrets.app_id}, "") + md5(token + secrets.app_secret))}' }"#,
    );
    // md5("application_key=4ppmethod=users.getCurrentUser" + md5("t0kens3cret"))
    let sig = "958d352ab8d6115e41225963b1b1970e";
    assert_eq!(
        seen.target,
        format!("/fb.do?method=users.getCurrentUser&application_key=4pp&sig={sig}&access_token={TOKEN}")
    );
}

#[test]
fn a_request_is_signed_with_the_time_that_it_says() {
    // As OVH wants it.
    let seen = sent(
        r#"url = "https://api.acme.example/me"
headers = { X-Consumer = "${token}", X-Timestamp = "${now()}", X-Signature = '$1$${sha1(join([secrets.app_secret, token, "GET", "https://api.acme.example/me", "", now()], "+"))}' }"#,
    );
    let time = seen.header("x-timestamp");
    assert!(time.parse::<u64>().expect("it is a number") > 1_700_000_000, "{time}");
    assert_eq!((seen.header("x-consumer"), seen.header("authorization")), (TOKEN, ""));
    let signature = seen.header("x-signature");
    assert!(signature.starts_with("$1$") && signature.len() == 43, "{signature}");
}

#[test]
fn a_form_is_signed_with_a_private_key() {
    use rsa::{
        PrivateKey, PublicKey,
        pkcs1v15::{Signature, VerifyingKey},
        pkcs8::DecodePrivateKey,
        signature::Verifier,
    };
    // As Alipay wants it: RSA2 over the sorted pairs, and the time of China.
    let seen = sent(
        r#"url = "https://api.acme.example/gateway.do"
form = { app_id = "${secrets.app_id}", auth_token = "${token}", method = "alipay.user.info.share", timestamp = '${format_time(now() + 28800, "%Y-%m-%d %H:%M:%S")}', sign = '''${rsa_sha256(secrets.pem, sorted_pairs(#{method: "alipay.user.info.share", app_id: secrets.app_id, auth_token: token, timestamp: format_time(now() + 28800, "%Y-%m-%d %H:%M:%S")}, "&"))}''' }"#,
    );
    let form = members(std::str::from_utf8(&seen.body).expect("a form is text"));
    let time = member(&form, "timestamp");
    let signed = format!("app_id=4pp&auth_token={TOKEN}&method=alipay.user.info.share&timestamp={time}");
    use base64::Engine as _;
    let signature = base64::prelude::BASE64_STANDARD.decode(member(&form, "sign")).expect("it is base64");
    let public: PublicKey = PrivateKey::from_pkcs8_pem(PEM).expect("it is a key").to_public_key();
    let signature = Signature::try_from(signature.as_slice()).expect("it is a signature");
    let verifier = VerifyingKey::<sha2::Sha256>::new(public);
    verifier.verify(signed.as_bytes(), &signature).expect("it signs what was sent");
    assert_eq!(seen.header("authorization"), "", "the token stands in the form alone");
}

/// The claims that a rule makes of an answer.
#[track_caller]
fn claims(lines: &str, answer: &'static str) -> Value {
    let upstream = Upstream::new(move |_| Reply::json(answer));
    let gateway = setup(&rule("url = \"https://api.acme.example/me\"", lines), &upstream).start();
    gateway.get("/acme", TOKEN).json()
}

#[test]
fn claims_are_made_as_providers_need_it() {
    for (lines, answer, expected) in [
        (
            // A picture by the digest of an address.
            r#"picture = "https://www.gravatar.com/avatar/${md5(user.email.trim().to_lower())}""#,
            r#"{"id":1,"email":" Ada@Engines.example "}"#,
            json!({"sub": "1", "picture": "https://www.gravatar.com/avatar/b3740ac02f49b3eac83694297504918e"}),
        ),
        (
            r#"picture = "https://www.gravatar.com/avatar/${md5(user.email.trim().to_lower())}""#,
            r#"{"id":1}"#,
            json!({"sub": "1"}),
        ),
        (
            // Discord's pictures for those who have none: the id is a text of 64 bits.
            r#"picture = "https://cdn.example/embed/avatars/${(parse_int(user.id) >> 22) % 6}.png""#,
            r#"{"id":"1155442233445566778"}"#,
            json!({"sub": "1155442233445566778", "picture": "https://cdn.example/embed/avatars/2.png"}),
        ),
        (
            r#"name = { rhai = 'join([url_decode(user.first), user.middle, url_decode(user.last)], " ")' }"#,
            r#"{"id":1,"first":"%D0%98%D0%B2%D0%B0%D0%BD","last":"Petrov"}"#,
            json!({"sub": "1", "name": "Иван Petrov"}),
        ),
        (
            "given_name = { rhai = 'first_word(user.name)' }\nfamily_name = { rhai = 'user.name.rest_words()' }",
            r#"{"id":1,"name":"Ada King Lovelace"}"#,
            json!({"sub": "1", "given_name": "Ada", "family_name": "King Lovelace"}),
        ),
        (
            r#"picture = { rhai = 'pick_max(user.images, "width").url' }"#,
            r#"{"id":1,"images":[{"width":64,"url":"s"},{"width":640,"url":"l"}]}"#,
            json!({"sub": "1", "picture": "l"}),
        ),
        (
            r#"picture = { rhai = 'pick_max(user.images, "width").url' }"#,
            r#"{"id":1,"images":[]}"#,
            json!({"sub": "1"}),
        ),
        (
            r#"updated_at = { rhai = 'parse_time(user.changed)' }"#,
            r#"{"id":1,"changed":"Sat Jan 31 12:00:00 +0000 2026"}"#,
            json!({"sub": "1", "updated_at": 1_769_860_800}),
        ),
        (
            r#"nickname = { rhai = 'regex_find(user.url, "/users/([^/?]+)")' }"#,
            r#"{"id":1,"url":"https://id.example/users/ada?x=1"}"#,
            json!({"sub": "1", "nickname": "ada"}),
        ),
        (
            r#"acme_ref = { rhai = 'uuid5("url", "https://id.example/users/" + user.id)' }"#,
            r#"{"id":42}"#,
            json!({"sub": "42", "acme_ref": "6b54e061-86b8-5c05-bd88-6f7bec3c10ea"}),
        ),
        (
            r#"groups = { rhai = 'unique(user.groups)' }"#,
            r#"{"id":1,"groups":["a","b","a"]}"#,
            json!({"sub": "1", "groups": ["a", "b"]}),
        ),
    ] {
        assert_eq!(claims(lines, answer), expected, "{lines}");
    }
}

#[test]
fn a_part_of_the_token_is_read_where_the_token_is_offered() {
    // As eBay, Xero and others have it: what the token says of itself is part of the next address.
    let token = "eyJhbGciOiJub25lIn0.eyJ0ZW5hbnQiOiJhL2IifQ.x";
    let upstream = Upstream::new(|_| Reply::json(r#"{"id":"1"}"#));
    let call = "url = \"https://api.acme.example/${jwt_claims(token).tenant}/me\"\ntoken = \"bearer\"";
    let gateway = setup(&rule(call, ""), &upstream).start();
    assert_eq!(gateway.get("/acme", token).status, 200);
    assert_eq!(upstream.seen()[0].target, "/a%2Fb/me", "a hostile token stays one segment");
    assert_eq!(gateway.get("/acme", "opaque").status, 500);
    assert_eq!(upstream.seen().len(), 1, "nothing is sent");
}

#[test]
fn a_failure_names_the_function_and_the_line_and_no_value() {
    for (lines, words) in [
        ("name = { rhai = 'md5(user.list)' }", "`md5` wants a text as `text`"),
        ("name = { rhai = 'base64_decode(user.secret)' }", "`base64_decode` wants base64 as `text`"),
        (
            "name = { rhai = 'parse_time(user.secret)' }",
            "`parse_time` wants a time, such as `2026-01-31T12:00:00Z` as `text`",
        ),
        ("name = { rhai = 'regex_match(\"x\", user.secret)' }", "`regex_match` cannot use this pattern"),
        ("name = { rhai = 'try { md5(user.list) } catch (e) { throw e }' }", "`md5` wants a text as `text`"),
        ("name = { rhai = 'throw user.secret' }", "it throws an error"),
    ] {
        let upstream = Upstream::new(|_| Reply::json(r#"{"id":"1","list":["m4rk"],"secret":"(m4rk"}"#));
        let setup = setup(&rule("url = \"https://api.acme.example/me\"", lines), &upstream);
        let outcome = setup.outcome("/acme", TOKEN);
        let failure = outcome.failure.as_ref().expect("it fails");
        assert_eq!((outcome.response.status().as_u16(), failure.blame()), (500, Blame::Us), "{lines}");
        let told = failure.words();
        assert!(told.contains(words) && !told.contains("m4rk"), "{told}");
        assert!(!String::from_utf8_lossy(outcome.response.body()).contains("m4rk"));
    }
}

#[test]
fn what_is_signed_is_in_no_trace() {
    let upstream = Upstream::new(|_| Reply::json(r#"{"id":"1"}"#));
    let setup = setup(&rule(PROVEN, ""), &upstream);
    let secrets = [("APP_SECRET", "s3cret"), ("APP_ID", "4pp"), ("PEM", PEM)];
    let secrets = secrets.map(|(name, value)| (name.to_owned(), Secret::new(value)));
    let host = claimsmith::gateway::Upstream::new(
        &setup.settings,
        claimsmith::gateway::Secrets::Given(Arc::new(secrets.into())),
        claimsmith::gateway::Store::new(),
    )
    .expect("a host can be made");
    let loaded = claimsmith::gateway::load(&setup.settings, &host).expect("the folder can be read");
    let request = http::Request::get("/acme").header("authorization", format!("Bearer {TOKEN}"));
    let request = request.body(bytes::Bytes::new()).expect("a sound request");
    let rule = loaded.routes.find("/acme").expect("the rule is sound");
    let trace = Trace::default();
    let outcome = block_on(evaluate(rule, &request, "id", Reception::default(), &host, Some(&trace)));
    assert_eq!(outcome.response.status(), 200);
    assert!(upstream.seen()[0].target.contains(PROOF), "the real value travels");
    let told = format!("{:?} {rule:?}", trace.steps());
    assert!(told.contains("appsecret_proof=[hmac_sha256(secrets.app_secret, token)]"), "{told}");
    for mark in [PROOF, "s3cret", TOKEN] {
        assert!(!told.contains(mark), "{mark} in {told}");
    }
}

mod command {
    use super::*;

    #[test]
    fn all_are_listed_by_family() {
        let ran = run(claimsmith(&["functions"]));
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
        let mut rest = ran.out.as_str();
        for family in Family::ALL {
            let at = rest.find(&format!("{}:\n", family.name())).expect("the families are in order");
            rest = &rest[at..];
        }
        for function in FUNCTIONS {
            assert!(ran.out.contains(&format!("  {} ", function.signature)), "{function:?} in\n{}", ran.out);
        }
        assert!(!ran.out.contains("**"), "{}", ran.out);
    }

    #[test]
    fn one_is_shown_with_its_example() {
        for name in ["sha256", "sha256(text)"] {
            let ran = run(claimsmith(&["functions", name]));
            assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
            let function = Function::named("sha256").expect("there is one");
            for part in [function.signature, function.doc, function.example, function.result, "hashing and signing"] {
                assert!(ran.out.contains(part), "{part} in\n{}", ran.out);
            }
        }
    }

    #[test]
    fn programs_get_json() {
        let ran = run(claimsmith(&["functions", "--format", "json"]));
        let list: Value = serde_json::from_str(&ran.out).expect("it is JSON");
        assert_eq!(list.as_array().map(Vec::len), Some(FUNCTIONS.len()));
        let one = run(claimsmith(&["functions", "join", "--format", "json"]));
        let one: Value = serde_json::from_str(&one.out).expect("it is JSON");
        assert_eq!(
            (&one["name"], &one["signature"], &one["family"], &one["result"]),
            (&json!("join"), &json!("join(list, separator)"), &json!("lists"), &json!("\"Ada Lovelace\""))
        );
        assert!(list.as_array().is_some_and(|list| list.contains(&one)));
    }

    #[test]
    fn an_unknown_name_is_told_with_the_one_that_was_meant() {
        for (name, words) in [
            ("sha265", "there is no function `sha265`: did you mean `sha256`?"),
            ("frobnicate", "there is no function `frobnicate`: `claimsmith functions` lists them"),
        ] {
            let ran = run(claimsmith(&["functions", name]));
            assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
            assert!(ran.err.contains(words), "{}", ran.err);
        }
    }
}

/// The table of README.
fn table() -> String {
    let mut table = String::from("| function | gives | for example |\n|---|---|---|\n");
    for function in FUNCTIONS {
        let Function { signature, doc, example, result, .. } = function;
        // A bar would end the cell, also inside of code.
        let cell = format!("`{example}` is `{result}`").replace('|', "\\|");
        writeln!(table, "| `{signature}` | {doc} | {cell} |").expect("texts take everything");
    }
    table
}

#[test]
fn readme_lists_them_as_they_are() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(&path).expect("it is there");
    let (start, end) = ("<!-- functions: written by `UPDATE=1 cargo test functions` -->\n", "<!-- /functions -->\n");
    let (before, rest) = text.split_once(start).expect("the table has a start");
    let (found, after) = rest.split_once(end).expect("the table has an end");
    let table = table();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, format!("{before}{start}{table}{end}{after}")).expect("it can be written");
    } else {
        assert_eq!(found, table, "UPDATE=1 writes it again");
    }
}
