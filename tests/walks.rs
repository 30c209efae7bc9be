//! From a raw documented answer to a rule that is served: by commands only, with the real program.
//!
//! The answers in `walks/` are of providers for which no rule is shipped, in the shape that their documentation has.
//! Beside each stands what a person who reads it would want: the claims, exactly these.

use std::{collections::BTreeMap, fs, path::PathBuf};

use claimsmith::{core::Cases, gateway::source};
use serde_json::{Map, Value};

use crate::cli::{Run, claimsmith, folder, run};

/// Walks of which nothing but the address has to be told: of ten this many must be right.
const RIGHT: usize = 9;

struct Walk {
    name: String,
    sample: PathBuf,
    url: String,
    claims: Map<String, Value>,
}

fn walks() -> Vec<Walk> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/walks");
    let names = fs::read_dir(&folder)
        .expect("the walks are there")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".expected.json").map(str::to_owned));
    let mut walks: Vec<_> = names
        .map(|name| {
            let text = fs::read_to_string(folder.join(format!("{name}.expected.json"))).expect("it can be read");
            let expected: Value = serde_json::from_str(&text).expect("it is JSON");
            Walk {
                sample: folder.join(format!("{name}.json")),
                url: expected["url"].as_str().expect("the address is a text").to_owned(),
                claims: expected["claims"].as_object().expect("the claims are an object").clone(),
                name,
            }
        })
        .collect();
    walks.sort_by(|a, b| a.name.cmp(&b.name));
    walks
}

#[test]
fn ten_raw_answers_become_rules_by_commands_alone() {
    let walks = walks();
    assert!(walks.len() >= 10, "{} walks", walks.len());
    let mut wrong = Vec::new();
    for walk in &walks {
        let place = tempfile::tempdir().expect("a temporary folder can be made");
        let rules = place.path().to_str().expect("paths of tests are UTF-8");
        let sample = walk.sample.to_str().expect("paths of tests are UTF-8");
        let done = |arguments: &[&str]| {
            let ran: Run = run(claimsmith(arguments));
            assert_eq!(ran.code, Some(0), "{}: {arguments:?}\n{}{}", walk.name, ran.out, ran.err);
        };
        done(&["new", &walk.name, "--from", sample, "--url", &walk.url, "--rules", rules]);
        done(&["check", "--deny", "warning", rules]);
        done(&["test", "--require-cases", rules]);
        done(&["fmt", "--check", rules]);
        let cases = source(&place.path().join(format!("{}.test.toml", walk.name))).expect("there are cases");
        let (read, problems) = Cases::read(&cases);
        assert!(problems.is_empty() && read.len() >= 2, "{}: {problems:?}", walk.name);
        let found = claims(&cases.text);
        let expected: BTreeMap<_, _> = walk.claims.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        if found != expected {
            wrong.push(format!("{}: {found:?} instead of {expected:?}", walk.name));
        }
    }
    assert!(walks.len() - wrong.len() >= RIGHT, "not right at once:\n{}", wrong.join("\n"));
}

/// The claims that the first case expects; `test` has made sure that these are what the rule answers.
fn claims(cases: &str) -> BTreeMap<String, Value> {
    let cases: Value = toml::from_str(cases).expect("cases are TOML");
    serde_json::from_value(cases["case"][0]["claims"].clone()).expect("claims are a table")
}

/// `new` in a folder of its own, with files there.
fn new(files: &[(&str, &str)], arguments: &[&str]) -> (tempfile::TempDir, Run) {
    let place = folder(files);
    let mut command = claimsmith(&[&["new"], arguments].concat());
    command.current_dir(place.path());
    let ran = run(command);
    (place, ran)
}

const USER: (&str, &str) = ("me.json", r#"{"id": 7, "email": null, "login": "ada"}"#);
const EMAILS: (&str, &str) = ("emails.json", r#"[{"email": "ada@example.com", "primary": true, "verified": true}]"#);

#[test]
fn several_answers_become_one_rule() {
    let urls = ["--url", "user=https://api.acme.example/me"];
    let from = ["acme", "--from", "user=me.json", "--from", "emails.json"];
    let (place, ran) = new(&[USER, EMAILS], &[&from[..], &urls].concat());
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    let rule = fs::read_to_string(place.path().join("rules/acme.toml")).expect("it was written");
    let flat = rule.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        r#"url = "https://api.acme.example/me""#,
        r#"url = "https://api.acme.example/emails" # edit"#,
        r#"[{ path = "$.emails[?@.primary == true].email", first = true }, "$.user.email"]"#,
        r#"{ path = "$.emails[?@.primary == true].verified", first = true }"#,
    ] {
        assert!(flat.contains(part), "{part} is not in\n{rule}");
    }
    assert!(ran.out.contains("claimsmith try rules/acme.toml"), "{}", ran.out);
}

#[test]
fn a_signed_answer_is_verified_by_the_rule() {
    // {"alg":"RS256"} and {"iss":"https://id.example.com","aud":"me","sub":"u1"}
    let token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUuY29tIiwiYXVkIjoibWUiLCJzdWIiOiJ1MSJ9.AAAA";
    let (place, ran) = new(&[("me.jwt", token)], &["acme", "--from", "me.jwt"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    let rule = fs::read_to_string(place.path().join("rules/acme.toml")).expect("it was written");
    let keys = r#"jwt = { jwks = "https://id.example.com/.well-known/jwks.json", "#;
    let who = r#"issuer = "https://id.example.com", audience = "me" }"#;
    assert!(rule.contains(keys) && rule.contains(who), "{rule}");
    assert!(ran.out.contains(r#"sub  "u1""#), "{}", ran.out);
    let mut command = claimsmith(&["test", "--require-cases", "rules"]);
    command.current_dir(place.path());
    let ran = run(command);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
}

#[test]
fn what_makes_no_rule_is_told() {
    let large = format!("[{}]", "1,".repeat(70_000));
    let me = |text| [("me.json", text)];
    let one = &["acme", "--from", "me.json"][..];
    let with_url = |url| [one, &["--url", url]].concat();
    for (files, arguments, words) in [
        (&[USER][..], &["Acme", "--from", "me.json"][..], "cannot be the name of a rule"),
        (&[USER], &["acme", "--from", "none.json"], "cannot read the sample none.json"),
        (&[USER], &["acme", "--from", "token=me.json"], "`token` cannot be the name of a call"),
        (&[USER], &["acme", "--from", "u=me.json", "--from", "u=me.json"], "two samples are of the call `u`"),
        (&[USER], &with_url("/me"), "write it whole"),
        (&[USER], &with_url("https://a.example/?access_token=x"), "holds a credential"),
        (&[USER], &with_url("emails=https://a.example"), "names none of the calls user"),
        (&[USER, EMAILS], &[&with_url("https://a.example")[..], &["--from", "emails.json"]].concat(), "several calls"),
        (&me(""), one, "the sample of `user`: it is empty"),
        (&me("{\"id\": 1"), one, "the JSON ends too early"),
        (&me("<html><body/></html>"), one, "it is an HTML page"),
        (&me("hello"), one, "neither JSON, XML"),
        (&me("eyJ.a.b.c.d"), one, "an encrypted token"),
        (&me("{\"colour\": \"red\"}"), one, "nothing in the sample says who the user is"),
        (&me("7"), one, "neither JSON, XML"),
        (&me(&large), one, "more than 65536 bytes"),
    ] {
        let (place, ran) = new(files, arguments);
        assert_eq!(ran.code, Some(2), "{arguments:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(words), "{arguments:?}: {}", ran.err);
        assert!(!place.path().join("rules").exists(), "{arguments:?}: nothing is written");
    }
}

#[test]
fn a_rule_that_is_there_stays_unless_it_is_forced_away() {
    let files = [USER, ("rules/acme.test.toml", "# mine")];
    let (place, ran) = new(&files, &["acme", "--from", "me.json"]);
    assert_eq!(ran.code, Some(2), "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("acme.test.toml is there already"), "{}", ran.err);
    assert!(!place.path().join("rules/acme.toml").exists(), "neither file is written");
    let (place, ran) = new(&files, &["acme", "--from", "me.json", "--force"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    let cases = fs::read_to_string(place.path().join("rules/acme.test.toml")).expect("it was written");
    assert!(cases.contains("the sample"), "{cases}");
}

#[test]
fn an_answer_that_looks_like_one_of_graphql_asks_for_its_query() {
    let viewer = ("me.json", r#"{"data": {"viewer": {"id": "1"}}}"#);
    let (_place, ran) = new(&[viewer], &["acme", "--from", "me.json"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("[call.user] may be one of GraphQL"), "{}", ran.out);
}
