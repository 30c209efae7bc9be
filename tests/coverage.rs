//! `claimsmith test --coverage`: what of a rule no case comes past, with its place.

use serde_json::Value;

use crate::cli::{Run, claimsmith, folder, run};

/// Everything that counts, once or more.
const RULE: &str = r#"
[vars]
host = "api.acme.example"

[call.user]
url       = "https://${vars.host}/me"
fail_when = [{ when = "user.error != ()", error = "invalid_token" }]

[call.teams]
url      = "https://${vars.host}/teams"
when     = "user.has_teams && user.active != false"
optional = true
paginate = { page = 1, param = "page", items = "$.teams.items", until = "teams.last" }

[[include]]
path = "$.user.more"
only = ["zoneinfo"]

[claims]
sub    = "$.user.id"
name   = ["$.user.name", { path = "$.user.login", default = "nobody" }, { value = "never" }]
email  = { path = ["$.user.mail", "$.user.email"], lower = true }
street = { path = ["$.user.street", "$.user.number"], join = " " }
groups = { path = "$.teams[*].name", many = true, default = [] }
plan   = { value = "gold" }
handle = { rhai = "user.login.to_lower()" }
link   = "https://acme.example/${user.login}"

[[require]]
that  = "user.app == vars.host"
error = "access_denied"

[script]
source = '''
fn shout(text) {
    text.to_upper()
}
if user.suspended {
    reject("access_denied", "suspended");
}
claims.nickname = if user.loud { shout(user.login) } else { user.login };
'''
"#;

/// A case with this answer of the provider; the answers for teams follow.
fn case(name: &str, user: &str, teams: &str, expected: &str) -> String {
    format!(
        "[[case]]\nname = \"{name}\"\n{expected}\n[[case.answer]]\nurl = \"https://api.acme.example/me\"\njson = '{user}'\n{teams}\n"
    )
}

fn cover(rule: &str, cases: &str, arguments: &[&str]) -> Run {
    let rules = folder(&[("acme.toml", rule), ("acme.test.toml", cases)]);
    let path = rules.path().to_str().expect("paths of tests are UTF-8");
    let mut ran = run(claimsmith(&[&["test", "--coverage", path], arguments].concat()));
    ran.out = ran.out.replace(&format!("{path}/"), "");
    ran
}

fn missed(ran: &Run) -> Vec<&str> {
    ran.out.lines().filter(|line| line.starts_with("    acme.")).map(str::trim).collect()
}

const REFUSED: &str = "error = { status = 403, error = \"access_denied\" }";

#[test]
fn every_kind_of_point_is_told_with_its_place() {
    let none = cover(RULE, &case("refused", r#"{"id": 1}"#, "", REFUSED), &[]);
    assert_eq!(none.code, Some(0), "{}{}", none.out, none.err);
    let expected = [
        "acme.toml:7:23: [call.user] `fail_when` never finds this error: `user.error != ()`",
        "acme.toml:9:7: [call.teams] is optional and never fails",
        "acme.toml:11:12: [call.teams] `when` never holds: `user.has_teams && user.active != false`",
        "acme.toml:13:73: [call.teams] `until` never holds: `teams.last`",
        "acme.toml:13:73: [call.teams] `until` never fails to hold: `teams.last`",
        "acme.toml:16:8: `include` never copies a claim from `$.user.more`",
        "acme.toml:20:10: `sub` never comes from `$.user.id`",
        "acme.toml:21:11: `name` never comes from `$.user.name`",
        "acme.toml:21:35: `name` never comes from `$.user.login`",
        "acme.toml:21:61: `name` never takes its default \"nobody\"",
        "acme.toml:21:73: `name` never comes from the constant \"never\"",
        "acme.toml:22:20: `email` never comes from `$.user.mail`",
        "acme.toml:22:35: `email` never comes from `$.user.email`",
        "acme.toml:23:20: `street` never has a part from `$.user.street`",
        "acme.toml:23:37: `street` never has a part from `$.user.number`",
        "acme.toml:24:19: `groups` never comes from `$.teams[*].name`",
        "acme.toml:24:61: `groups` never takes its default []",
        "acme.toml:26:19: `handle` never comes from `user.login.to_lower()`",
        "acme.toml:27:10: `link` never comes from `https://acme.example/${user.login}`",
        "acme.toml:36:5: `text.to_upper()` never runs",
        "acme.toml:38:1: `if user.suspended {` never runs",
        "acme.toml:39:5: `reject(\"access_denied\", \"suspended\");` never runs",
        "acme.toml:41:1: `claims.nickname = if user.loud { shout(user.login) } else { user.login };` never runs",
        "acme.toml:41:34: `shout(user.login) } else { user.login };` never runs",
        "acme.toml:41:61: `user.login };` never runs",
    ];
    assert_eq!(missed(&none), expected, "{}", none.out);
    assert!(none.out.contains("acme: 7.4 % covered, 2 of 27 points\n"), "{}", none.out);
    assert!(none.out.contains("covered: 7.4 %, 2 of 27 points\n1 rule: 1 case passed, 0 failed\n"), "{}", none.out);
}

#[test]
fn each_case_covers_what_it_comes_past_and_nothing_else() {
    let page = |number: u8, json: &str| {
        format!("[[case.answer]]\nurl = \"https://api.acme.example/teams?page={number}\"\njson = '{json}'\n")
    };
    let teams =
        [page(1, r#"{"items": [{"name": "a"}]}"#), page(2, r#"{"items": [{"name": "b"}], "last": true}"#)].concat();
    let app = r#""app": "api.acme.example""#;
    let full = case(
        "full",
        &format!(
            r#"{{"id": 1, {app}, "name": "Ada", "mail": "A@example.com", "street": "High Street", "number": 1, "login": "Ada", "has_teams": true, "loud": true, "more": {{"zoneinfo": "UTC"}}}}"#
        ),
        &teams,
        "claims = { zoneinfo = \"UTC\", sub = \"1\", name = \"Ada\", email = \"a@example.com\", street = \"High Street 1\", groups = [\"a\", \"b\"], plan = \"gold\", handle = \"ada\", link = \"https://acme.example/Ada\", nickname = \"ADA\" }",
    );
    let bare = case(
        "bare",
        &format!(r#"{{"id": 1, {app}, "email": "b@example.com", "has_teams": true}}"#),
        "[[case.answer]]\nurl = \"https://api.acme.example/teams?page=1\"\nstatus = 500\n",
        "claims = { sub = \"1\", name = \"nobody\", email = \"b@example.com\", groups = [], plan = \"gold\" }",
    );
    let login = case(
        "login",
        &format!(r#"{{"id": 1, {app}, "login": "ada"}}"#),
        "",
        "claims = { sub = \"1\", name = \"ada\", groups = [], plan = \"gold\", handle = \"ada\", link = \"https://acme.example/ada\", nickname = \"ada\" }",
    );
    let suspended = case("suspended", &format!(r#"{{"id": 1, {app}, "suspended": true}}"#), "", REFUSED);
    let other = case("other", r#"{"id": 1, "app": "x"}"#, "", REFUSED);
    let error = case("error", r#"{"error": "x"}"#, "", "error = { status = 401, error = \"invalid_token\" }");
    let all = [full, bare, login, suspended, other, error].concat();
    let ran = cover(RULE, &all, &["--min", "100"]);
    // A constant behind a default is never taken: only the rule can mend that.
    assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
    assert_eq!(missed(&ran), ["acme.toml:21:73: `name` never comes from the constant \"never\""], "{}", ran.out);
    assert!(ran.out.contains("covered: 96.2 %, 26 of 27 points, and 100 % are asked for\n"), "{}", ran.out);
    let mended = RULE.replace(", { value = \"never\" }", "");
    let ran = cover(&mended, &all, &["--min", "100"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("acme: 100.0 % covered, 26 of 26 points\n"), "{}", ran.out);
    // Only the cases that ran count.
    let ran = cover(&mended, &all, &["--min", "100", "--case", "login"]);
    assert!(ran.code == Some(1) && ran.out.contains("`reject(\"access_denied\", \"suspended\");` never runs"));
}

#[test]
fn a_script_beside_the_rule_is_covered_by_its_own_lines() {
    let rule = "[call.user]\nurl = \"https://api.acme.example/me\"\n[claims]\nsub = \"$.user.id\"\n\
        [script]\nfile = \"acme.rhai\"\n";
    let script = "for name in [\"a\", \"b\"] {\n    if user[name] == true {\n        claims[name] = name;\n    }\n}\n";
    let cases = case("one", r#"{"id": 1}"#, "", "claims = { sub = \"1\" }");
    let rules = folder(&[("acme.toml", rule), ("acme.rhai", script), ("acme.test.toml", &cases)]);
    let path = rules.path().to_str().expect("paths of tests are UTF-8");
    let ran = run(claimsmith(&["test", "--coverage", path]));
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(
        ran.out.contains("acme: 75.0 % covered, 3 of 4 points\n    acme.rhai:3:9: `claims[name] = name;` never runs\n"),
        "{}",
        ran.out
    );
}

#[test]
fn watching_changes_nothing_of_what_a_script_does() {
    // It fails half way, and what it did before is not undone by being watched: it is run on claims of its own.
    let rule = |script: &str| {
        format!(
            "[call.user]\nurl = \"https://api.acme.example/me\"\n[claims]\nsub = \"$.user.id\"\n[script]\nsource = '''\n{script}\n'''\n"
        )
    };
    let fails = rule("claims.a = 1;\nlet b = 0;\nclaims.c = 1 / b;\nclaims.d = 2;");
    let cases = case("one", r#"{"id": 1}"#, "", "error = { status = 500, error = \"server_error\" }");
    let ran = cover(&fails, &cases, &[]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert_eq!(missed(&ran), ["acme.toml:10:1: `claims.d = 2;` never runs"]);
    // A script that counts what is there counts once.
    let counts = rule("claims.n = if \"n\" in claims { 2 } else { 1 };");
    let cases = case("one", r#"{"id": 1}"#, "", "claims = { sub = \"1\", n = 1 }");
    let ran = cover(&counts, &cases, &[]);
    assert_eq!((ran.code, missed(&ran).len()), (Some(0), 1), "{}{}", ran.out, ran.err);
    // What never ends is ended, watched or not.
    let runs_away = rule("loop { claims.x = 1; }");
    let cases = case("one", r#"{"id": 1}"#, "", "error = { status = 500, error = \"server_error\" }");
    assert_eq!(cover(&runs_away, &cases, &[]).code, Some(0));
    // What notes a statement is none of the functions of a script.
    let knows = rule("claimsmith_statement_runs(0);");
    let ran = cover(&knows, &cases, &[]);
    assert!(ran.code == Some(1) && ran.out.contains("there is no function `claimsmith_statement_runs`"), "{}", ran.out);
}

#[test]
fn rules_without_cases_and_rules_that_are_refused_are_not_covered() {
    let rule = "[call.user]\nurl = \"https://api.acme.example/me\"\n[claims]\nsub = \"$.user.id\"\n";
    let wrong = rule.replace("$.user", "$.usr");
    let rules =
        folder(&[("bare.toml", rule), ("none.toml", "[claims]\nsub = { value = \"1\" }\n"), ("wrong.toml", &wrong)]);
    let path = rules.path().to_str().expect("paths of tests are UTF-8");
    let ran = run(claimsmith(&["test", "--coverage", "--min", "1", path]));
    assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
    for line in [
        "bare: 0.0 % covered, 0 of 1 point\n",
        "none: 100.0 % covered, 0 of 0 points\n",
        "wrong: it does not compile, so nothing of it is covered\n",
        "covered: 0.0 %, 0 of 1 point, and 1 % are asked for\n",
    ] {
        assert!(ran.out.contains(line), "{line} in {}", ran.out);
    }
    for wrong in ["101", "-1", "all"] {
        let ran = run(claimsmith(&["test", "--coverage", &format!("--min={wrong}"), path]));
        assert!(ran.code == Some(2) && ran.err.contains("a number from 0 to 100"), "{}", ran.err);
    }
    assert_eq!(run(claimsmith(&["test", "--min", "1", path])).code, Some(2), "there is nothing to ask it of");
}

#[test]
fn a_rule_that_compiles_only_with_a_real_key_is_covered_by_a_case_that_has_one() {
    let rule = "[secrets]\nkey = { env = \"ACME_KEY\" }\n[token]\njwt = { secret = \"${secrets.key}\", \
        algorithms = [\"HS256\"], issuer = \"https://a.example\", audience = \"us\" }\n\
        [claims]\nsub = \"$.token.sub\"\n";
    let key = "k".repeat(32);
    let cases = format!(
        "[[case]]\nname = \"no JWT\"\nsecrets = {{ key = \"{key}\" }}\n\
         error = {{ status = 401, error = \"invalid_token\" }}\n"
    );
    let ran = cover(rule, &cases, &[]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("acme: 0.0 % covered, 0 of 1 point\n"), "{}", ran.out);
}

#[test]
fn programs_get_coverage_as_json() {
    let ran = cover(RULE, &case("refused", r#"{"id": 1}"#, "", REFUSED), &["--format", "json", "--min", "50"]);
    assert!(ran.code == Some(1) && ran.err.contains("7.4 % are covered, which is too little"), "{}", ran.err);
    let told: Value = serde_json::from_str(&ran.out).expect("standard output is JSON");
    assert_eq!((&told["coverage"]["reached"], &told["coverage"]["points"]), (&2.into(), &27.into()));
    let missed = told["rules"][0]["coverage"]["missed"].as_array().expect("it is a list");
    let kinds: std::collections::BTreeSet<_> = missed.iter().filter_map(|point| point["kind"].as_str()).collect();
    let expected = ["default", "fail-when", "optional", "statement", "until-false", "until-true", "value", "when-true"];
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), expected);
    assert_eq!((&missed[0]["line"], &missed[0]["column"]), (&7.into(), &23.into()));
}
