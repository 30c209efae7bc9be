//! `claimsmith test`: what a case can say, and what is said when it does not hold.

use serde_json::Value;

use crate::cli::{Run, claimsmith, folder, run};

const RULE: &str = r#"
[vars]
host = "api.acme.example"

[secrets]
key = { env = "ACME_KEY" }

[request]
query = ["tenant"]

[call.user]
url     = "https://${vars.host}/me"
query   = { fields = "id", b = "2" }
headers = { api-key = "${secrets.key}" }

[call.more]
url      = "https://${vars.host}/more"
json     = { id = "${user.id}", tenant = "${request.query.tenant}" }
optional = true
token    = "none"

[claims]
sub  = "$.user.id"
name = ["$.more.name", "$.user.name"]
"#;

/// A case of these lines; the answers of the provider follow.
fn case(lines: &str, answers: &str) -> String {
    let user = "[[case.answer]]\nurl = \"https://api.acme.example/me?b=2&fields=id\"\n\
        expect = { headers = { api-key = \"k3y\", authorization = \"Bearer t0ken\" } }\n\
        json = '{\"id\": 18446744073709551616, \"name\": \"Ada\"}'\n";
    format!(
        "[[case]]\nname = \"one\"\nsecrets = {{ key = \"k3y\" }}\nrequest = {{ query = {{ tenant = \"t1\" }} }}\n\
         {lines}\n{user}\n{answers}"
    )
}

const MORE: &str = r#"
[[case.answer]]
url    = "https://api.acme.example/more"
method = "POST"
expect = { headers = { authorization = false }, json = { id = "18446744073709551616", tenant = "t1" } }
json   = '{"name": "Ada Example"}'
"#;

fn test(cases: &str, arguments: &[&str]) -> Run {
    let rules = folder(&[("acme.toml", RULE), ("acme.test.toml", cases)]);
    let path = rules.path().to_str().expect("paths of tests are UTF-8");
    run(claimsmith(&[&["test", path], arguments].concat()))
}

const CLAIMS: &str = "claims = { sub = \"18446744073709551616\", name = \"Ada Example\" }";

#[test]
fn a_case_that_holds_passes_in_silence() {
    let ran = test(&case(CLAIMS, MORE), &[]);
    assert_eq!((ran.code, &*ran.out), (Some(0), "1 rule: 1 case passed, 0 failed\n"), "{}", ran.err);
    let as_json = CLAIMS.replace("{ sub = ", "'{\"sub\": ").replace("name =", "\"name\":").replace(" }", "}'");
    let ran = test(&case(&as_json, MORE), &["--trace"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(
        ran.out.contains(
            "acme: passed: one\n      receive: the token came in the header Authorization\n      call user: 200"
        ),
        "{}",
        ran.out
    );
    assert!(!ran.out.contains("k3y") && !ran.out.contains("t0ken"), "a trace has no credentials: {}", ran.out);
}

#[test]
fn a_difference_is_told_claim_by_claim() {
    let claims = "claims = { sub = \"18446744073709551617\", email = \"ada@example.com\" }";
    let ran = test(&case(claims, MORE), &[]);
    assert_eq!(ran.code, Some(1));
    for line in [
        "acme: FAILED: one",
        "    sub: expected \"18446744073709551617\"\n    sub: found    \"18446744073709551616\"",
        "    email: expected \"ada@example.com\", and it is missing",
        "    name: not expected: \"Ada Example\"",
        "      map: sub = \"18446744073709551616\"  (from $.user.id, number to string)",
        "1 rule: 0 cases passed, 1 failed",
    ] {
        assert!(ran.out.contains(line), "{line} in {}", ran.out);
    }
}

#[test]
fn what_else_is_not_as_the_case_says_fails_it() {
    let unused = format!("{MORE}[[case.answer]]\nurl = \"https://api.acme.example/other\"\n");
    let absent = "claims = { sub = \"18446744073709551616\", name = \"Ada\" }";
    let error = "error = { status = 401, error = \"invalid_token\" }";
    for (cases, expected) in [
        (case(CLAIMS, &unused), "no call asked for GET https://api.acme.example/other"),
        (case(absent, ""), "no answer is recorded for POST https://api.acme.example/more"),
        (case(CLAIMS, &MORE.replace("t1", "t2")), "POST https://api.acme.example/more: the body is another: {"),
        (case(CLAIMS, MORE).replace("t0ken", "other"), "the header `authorization` is to be \"Bearer other\", and is"),
        (
            case(CLAIMS, &MORE.replace("authorization = false", "accept = false")),
            "the header `accept` is not to be there",
        ),
        (case(CLAIMS, MORE).replace("key = \"k3y\" }", "key = \"k3y\", old = \"x\" }"), "the rule has no secret `old`"),
        (case(error, MORE), "401 is expected, and the answer is 200"),
        (
            case(CLAIMS, MORE).replace("name = \"one\"", "name = \"one\"\nvars = { hots = \"x\" }"),
            "CS2002: the settings give a var",
        ),
        (
            case(CLAIMS, MORE).replace("json = '{\"id\"", "status = 401\njson = '{\"id\"").replace(MORE, ""),
            "claims are expected, and the answer is 401",
        ),
    ] {
        let ran = test(&cases, &[]);
        assert_eq!(ran.code, Some(1), "{expected}: {}{}", ran.out, ran.err);
        assert!(ran.out.contains(expected), "{expected} in {}", ran.out);
    }
}

#[test]
fn a_token_of_our_own_is_one_answer_however_many_calls_want_it() {
    let auth = "auth = { client_credentials = { token_url = \"https://api.acme.example/token\", client_id = \"us\", \
        client_secret = \"${secrets.key}\" }, mtls = { certificate = \"${secrets.key}\", key = \"${secrets.key}\" } }";
    let rule = format!(
        "[secrets]\nkey = {{ env = \"ACME_KEY\" }}\n[call.user]\nurl = \"https://api.acme.example/me\"\n{auth}\n\
         [call.more]\nurl = \"https://api.acme.example/more\"\n{auth}\n[claims]\nsub = \"$.user.id\"\n"
    );
    let cases = r#"
[[case]]
name    = "one"
secrets = { key = "k3y" }
claims  = { sub = "1" }

[[case.answer]]
method = "POST"
url    = "https://api.acme.example/token"
expect = { headers = { authorization = "Basic dXM6azN5" }, form = { grant_type = "client_credentials" } }
json   = '{"access_token": "own", "token_type": "Bearer"}'

[[case.answer]]
url    = "https://api.acme.example/me"
expect = { headers = { authorization = "Bearer own" } }
json   = '{"id": 1}'

[[case.answer]]
url    = "https://api.acme.example/more"
expect = { headers = { authorization = "Bearer own" } }
json   = '{}'
"#;
    let rules = folder(&[("acme.toml", &rule), ("acme.test.toml", cases)]);
    let ran = run(claimsmith(&["test", rules.path().to_str().expect("paths of tests are UTF-8")]));
    assert_eq!((ran.code, &*ran.out), (Some(0), "1 rule: 1 case passed, 0 failed\n"), "{}", ran.err);
}

#[test]
fn failures_of_the_provider_can_be_recorded() {
    let without = |reply: &str, expected: &str| {
        let cases = case(expected, "");
        let from = cases.find("json = ").expect("the case has an answer");
        format!("{}{reply}\n", &cases[..from])
    };
    for (reply, expected) in [
        ("status = 401", "error = { status = 401, error = \"invalid_token\" }"),
        ("status = 429", "error = { status = 503, error = \"temporarily_unavailable\" }"),
        ("fail = \"timeout\"", "error = { status = 504, error = \"server_error\" }"),
        ("fail = \"connect\"", "error = { status = 502, error = \"server_error\" }"),
        ("fail = \"broken\"", "error = { status = 502, error = \"server_error\" }"),
        ("body = \"<html>\"", "error = { status = 502, error = \"server_error\" }"),
        ("file = \"gone.json\"", "error = { status = 502, error = \"server_error\" }"),
    ] {
        let ran = test(&without(reply, expected), &[]);
        assert_eq!(ran.code, Some(i32::from(reply.contains("gone"))), "{reply}: {}{}", ran.out, ran.err);
    }
}

#[test]
fn a_file_of_cases_has_problems_with_their_place() {
    for (text, expected) in [
        ("[[case]]\nnam = \"x\"\n", "acme.test.toml:2:1"),
        ("[[case]]\nname = \"x\"\n", "[[case]] has no `claims`"),
        ("[[case]]\nname = \"x\"\nclaims = { sub = \"1\" }\nerror = { status = 401 }\n", "exclude each other"),
        ("[[case]]\nname = \"x\"\nerror = { status = 99 }\n", "not a status code: `99`"),
        ("[[case]]\nname = \"x\"\nnow = \"noon\"\nclaims = {}\n", "not a time: `noon`"),
        ("[[case]]\nname = \"x\"\nclaims = '['\n", "this is not JSON"),
        ("[[case]]\nname = \"x\"\nclaims = {}\n[[case.answer]]\nurl = \"me\"\n", "not a URL"),
        (
            "[[case]]\nname = \"x\"\nclaims = {}\n[[case.answer]]\nurl = \"https://a.example\"\njson = '{'\n",
            "this is not JSON",
        ),
        (
            "[[case]]\nname = \"x\"\nclaims = {}\n[[case.answer]]\nurl = \"https://a.example\"\nfail = \"late\"\n",
            "not a way to fail",
        ),
        (
            "[[case]]\nname = \"x\"\nclaims = {}\n[[case.answer]]\nurl = \"https://a.example\"\nfail = \"timeout\"\nstatus = 200\n",
            "there is no answer",
        ),
        ("[case", "the file is not TOML"),
    ] {
        let ran = test(text, &[]);
        assert_eq!(ran.code, Some(1), "{text}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(expected), "{expected} in {}", ran.err);
    }
}

#[test]
fn programs_get_json_and_cases_can_be_chosen() {
    let two = format!("{}\n{}", case(CLAIMS, MORE), case(CLAIMS, "").replace("\"one\"", "\"two\""));
    let ran = test(&two, &["--format", "json"]);
    let told: Value = serde_json::from_str(&ran.out).expect("standard output is JSON");
    assert_eq!((ran.code, &told["passed"], &told["failed"]), (Some(1), &1.into(), &1.into()));
    let cases = told["rules"][0]["cases"].as_array().expect("a rule has cases");
    assert_eq!((&cases[0]["passed"], &cases[1]["name"]), (&true.into(), &"two".into()));
    assert_eq!(cases[1]["differences"][0]["claim"], "name");
    let ran = test(&two, &["--case", "on"]);
    assert_eq!((ran.code, &*ran.out), (Some(0), "1 rule: 1 case passed, 0 failed\n"));
    assert_eq!(test(&two, &["--case", "three"]).code, Some(2), "a name that no case has");
}

#[test]
fn a_rule_without_cases_is_told_and_fails_on_request() {
    let rules = folder(&[("acme.toml", RULE)]);
    let path = rules.path().to_str().expect("paths of tests are UTF-8");
    let ran = run(claimsmith(&["test", path]));
    assert_eq!((ran.code, &*ran.out), (Some(0), "acme: no cases\n1 rule: 0 cases passed, 0 failed\n"));
    assert_eq!(run(claimsmith(&["test", "--require-cases", path])).code, Some(1));
}
