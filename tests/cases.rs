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
            "acme.test.toml:2)\n      receive: the token came in the header Authorization\n      call user: 200"
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
        "acme: FAILED: one  (",
        "acme.test.toml:2)\n    - email",
        "    - sub = \"18446744073709551617\"\n    + sub = \"18446744073709551616\"\n",
        "    - email = \"ada@example.com\"  (missing)\n",
        "    + name = \"Ada Example\"  (not expected)\n",
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
        (
            case(absent, &MORE.replace("method = \"POST\"", "")),
            "POST https://api.acme.example/more; one for GET https://api.acme.example/more is",
        ),
        (
            case(CLAIMS, MORE).replace("/me?b=2&", "/me?b=3&"),
            "GET https://api.acme.example/me?fields=id&b=2; the query of a recorded one differs: b=3 there, b=2 asked",
        ),
        (case(CLAIMS, &MORE.replace("t1", "t2")), "POST https://api.acme.example/more: the body is another: {"),
        (case(CLAIMS, MORE).replace("t0ken", "other"), "the header `authorization` is to be \"Bearer other\", and is"),
        (
            case(CLAIMS, &MORE.replace("authorization = false", "accept = false")),
            "the header `accept` is not to be there",
        ),
        (case(CLAIMS, MORE).replace("key = \"k3y\" }", "key = \"k3y\", old = \"x\" }"), "the rule has no secret `old`"),
        (case(error, MORE), "expected 401 invalid_token, and the answer is 200 with claims"),
        (
            case(CLAIMS, MORE).replace("name = \"one\"", "name = \"one\"\nvars = { hots = \"x\" }"),
            "CS2002: the settings give a var",
        ),
        (
            case(CLAIMS, MORE).replace("json = '{\"id\"", "status = 401\njson = '{\"id\"").replace(MORE, ""),
            "expected 200 with claims, and the answer is 401 invalid_token",
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
        ("status = 401", "error = { status = 401 }"),
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
fn a_status_alone_accepts_any_error_code_but_no_other_status() {
    let cases = case("error = { status = 502 }", "");
    let from = cases.find("json = ").expect("the case has an answer");
    let ran = test(&format!("{}fail = \"timeout\"\n", &cases[..from]), &[]);
    assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("502 with any error code") && ran.out.contains("504 server_error"), "{}", ran.out);
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

/// A rule of one call that a provider answers with `answer`, and a file of cases.
fn small(claims: &str, answer: &str, expected: &str) -> (String, String) {
    let rule = format!("[call.user]\nurl = \"https://api.acme.example/me\"\n[claims]\n{claims}\n");
    let cases = format!(
        "# By hand.\n[[case]]\nname = \"one\"  # first\n\n[[case.answer]]\nurl  = \"https://api.acme.example/me\"\n\
         json = '{answer}'\n\n{expected}"
    );
    (rule, cases)
}

#[test]
fn the_steps_end_with_the_one_that_failed() {
    let (rule, cases) = small(
        "sub = \"$.user.id\"\nname = \"$.user.name\"\nlocale = \"$.user.lang\"",
        "{\"id\": 1, \"name\": \"Ada\", \"lang\": \"en\"}",
        "[case.claims]\nsub = \"1\"\nname = \"ada\"\nlocale = \"en\"\n",
    );
    let rules = folder(&[("acme.toml", &rule), ("acme.test.toml", &cases)]);
    let ran = run(claimsmith(&["test", rules.path().to_str().expect("paths of tests are UTF-8")]));
    let (_, after) = ran.out.split_once("    - name = \"ada\"\n").unwrap_or_else(|| panic!("{}", ran.out));
    assert!(
        after.starts_with("    + name = \"Ada\"  (they differ in upper and lower case alone)\n      receive: "),
        "{after}"
    );
    assert!(after.contains("map: name = ") && !after.contains("map: locale"), "{after}");
}

#[test]
fn a_file_of_cases_means_its_rule() {
    let (rule, cases) = small("sub = \"$.user.id\"", "{\"id\": 1}", "[case.claims]\nsub = \"1\"\n");
    let rules = folder(&[("acme.toml", &rule), ("acme.test.toml", &cases)]);
    let at = |name: &str| rules.path().join(name).to_str().expect("paths of tests are UTF-8").to_owned();
    let (rule, cases) = (at("acme.toml"), at("acme.test.toml"));
    for paths in [vec![&rule, &cases], vec![&cases, &rule], vec![&cases], vec![&rule, &rule]] {
        let paths: Vec<_> = paths.into_iter().map(String::as_str).collect();
        let ran = run(claimsmith(&[&["test"], &paths[..]].concat()));
        assert_eq!((ran.code, &*ran.out), (Some(0), "1 rule: 1 case passed, 0 failed\n"), "{paths:?} {}", ran.err);
        let ran = run(claimsmith(&[&["check"], &paths[..]].concat()));
        assert!(ran.code == Some(0) && ran.out.starts_with("1 rule: text ok, "), "{paths:?} {}{}", ran.out, ran.err);
    }
    let ran = run(claimsmith(&["test", &at("other.test.toml")]));
    assert!(ran.code == Some(2) && ran.err.contains("cannot read"), "{}", ran.err);
}

#[test]
fn junit_is_xml_that_names_every_case_and_why_it_failed() {
    let two = format!(
        "{}\n{}",
        case(CLAIMS, MORE).replace("\"one\"", "\"<one> & \\\"two\\\" \\u0001\""),
        case(CLAIMS, "").replace("\"one\"", "\"three\"")
    );
    let rules = folder(&[("acme.toml", RULE), ("acme.test.toml", &two), ("bare.toml", RULE)]);
    let path = rules.path().to_str().expect("paths of tests are UTF-8");
    let ran = run(claimsmith(&["test", "--format", "junit", "--require-cases", path]));
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let read = Elements::read(&ran.out);
    let of = |kind: &str| read.0.iter().filter(|element| element.kind == kind).collect::<Vec<_>>();
    let count = |element: &Element| ["tests", "failures", "errors"].map(|name| element.attribute(name).to_owned());
    assert_eq!(of("testsuites").iter().map(|e| count(e)).collect::<Vec<_>>(), [["3", "1", "1"]]);
    assert_eq!(of("testsuite").iter().map(|e| count(e)).collect::<Vec<_>>(), [["2", "1", "0"], ["1", "0", "1"]]);
    let names: Vec<_> = of("testcase").iter().map(|element| element.attribute("name").to_owned()).collect();
    assert_eq!(names, ["<one> & \"two\" \u{fffd}", "three", "there are cases"]);
    assert_eq!(of("testcase")[0].attribute("line"), "2");
    assert!(of("testcase").iter().all(|element| element.attribute("time").parse::<f64>().is_ok()), "{}", ran.out);
    let failure = &of("failure")[..];
    assert_eq!(failure.len(), 1);
    assert_eq!(failure[0].attribute("message"), "- name = \"Ada Example\"");
    assert!(failure[0].text.contains("no answer is recorded for POST https://api.acme.example/more"), "{}", ran.out);
    let broken = folder(&[("acme.toml", RULE), ("acme.test.toml", "[case")]);
    let ran = run(claimsmith(&["test", "--format", "junit", broken.path().to_str().expect("it is UTF-8")]));
    assert!(ran.code == Some(1) && ran.out.contains("the file is not TOML"), "{}", ran.out);
    Elements::read(&ran.out);
}

/// An XML document as a list of its elements.
struct Elements(Vec<Element>);

struct Element {
    kind: String,
    attributes: Vec<(String, String)>,
    text: String,
}

impl Element {
    fn attribute(&self, name: &str) -> &str {
        let found = self.attributes.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_else(|| panic!("{} has no {name}", self.kind))
    }
}

impl Elements {
    #[track_caller]
    fn read(text: &str) -> Self {
        use quick_xml::{Reader, XmlVersion, events::Event};
        let mut reader = Reader::from_str(text);
        let (mut elements, mut open): (Vec<Element>, Vec<usize>) = (Vec::new(), Vec::new());
        loop {
            let event = reader.read_event().expect("it is well-formed");
            match &event {
                Event::Start(start) | Event::Empty(start) => {
                    let attributes = start.attributes().map(|attribute| {
                        let attribute = attribute.expect("attributes are well-formed");
                        let name = attribute.key.0.to_owned();
                        let value =
                            attribute.normalized_value(XmlVersion::Implicit1_0).expect("its entities are known");
                        (name, value.into_owned())
                    });
                    let attributes = attributes.collect();
                    let kind = start.name().0.to_owned();
                    if matches!(event, Event::Start(_)) {
                        open.push(elements.len());
                    }
                    elements.push(Element { kind, attributes, text: String::new() });
                }
                Event::End(_) => _ = open.pop(),
                Event::Text(text) => {
                    if let Some(at) = open.last() {
                        elements[*at].text.push_str(text);
                    }
                }
                Event::Eof => return Elements(elements),
                _ => {}
            }
        }
    }
}

#[test]
fn update_rewrites_what_cases_expect_and_nothing_else() {
    let (rule, cases) = small(
        "sub = \"$.user.id\"\nname = \"$.user.name\"",
        "{\"id\": 1, \"name\": \"Ada\"}",
        "# What comes out.\n[case.claims]\nsub  = '1' # the id\nname = \"ada\" # the name\n\n\
         [[case]]\nname   = \"two\"\nclaims = {sub = '1', name = \"ada\"}\n\n\
         [[case]]\nname   = \"three\"\nerror  = {status = 401, error = 'invalid_token'} # as it is\n\
         [[case.answer]]\nurl    = \"https://api.acme.example/me\"\nstatus = 401\n",
    );
    let rules = folder(&[("acme.toml", &rule), ("acme.test.toml", &cases)]);
    let path = rules.path().to_str().expect("paths of tests are UTF-8");
    let ran = run(claimsmith(&["test", "--update", path]));
    assert_eq!(ran.code, Some(1), "a case whose requests are not recorded cannot be updated: {}{}", ran.out, ran.err);
    for line in [
        "acme: updated: one  (",
        "    - name = \"ada\"\n    + name = \"Ada\"  (they differ",
        "acme: FAILED: two  (",
        "    not updated: its requests are not those that are recorded",
        "1 rule: 1 case passed, 1 failed, 1 updated\n",
    ] {
        assert!(ran.out.contains(line), "{line} in {}", ran.out);
    }
    let written = std::fs::read_to_string(rules.path().join("acme.test.toml")).expect("it is there");
    assert_eq!(written, cases.replacen("name = \"ada\" # the", "name = \"Ada\" # the", 1));
    let ran = run(claimsmith(&["test", "--case", "one", path]));
    assert_eq!((ran.code, &*ran.out), (Some(0), "1 rule: 1 case passed, 0 failed\n"));
    let ran = run(claimsmith(&["test", "--update", "--case", "t", path]));
    assert_eq!(ran.code, Some(1), "{}", ran.out);
    assert_eq!(std::fs::read_to_string(rules.path().join("acme.test.toml")).expect("it is there"), written);
}

#[test]
fn update_says_loudly_when_the_user_becomes_another() {
    let (rule, cases) = small("sub = \"$.user.id\"", "{\"id\": 2}", "[case.claims]\nsub = \"1\"\n");
    let rules = folder(&[("acme.toml", &rule), ("acme.test.toml", &cases)]);
    let ran = run(claimsmith(&["test", "--update", rules.path().to_str().expect("paths of tests are UTF-8")]));
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("    attention: `sub` is another now, so the user is another\n"), "{}", ran.out);
}
