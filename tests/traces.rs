//! What a trace says: every step under its name, every claim with where it came from, every condition with its place.

use claimsmith::core::{
    Cases, Step, Verdict,
    problem::{Place, Source},
    trace::{Asking, Claim, Outcome, Stage, Way},
};

use crate::support::block_on;

/// Runs the only case of a rule.
fn run(rule: &str, case: &str) -> Verdict {
    let (cases, problems) = Cases::read(&Source::new("acme.test.toml", format!("[[case]]\nname = \"one\"\n{case}")));
    assert!(problems.is_empty(), "{problems:?}");
    block_on(cases.run(0, ("acme", &Source::new("acme.toml", rule)), &|_| Err("there is no file".into())))
}

/// The last that is said of a claim.
fn claim(verdict: &Verdict, name: &str) -> Claim {
    let mut claims = verdict.steps.iter().rev().filter_map(|step| match step {
        Step::Claim(claim) if claim.name == name => Some(claim.clone()),
        _ => None,
    });
    claims.next().unwrap_or_else(|| panic!("no step about {name}: {:#?}", verdict.steps))
}

/// The text of the rule at a place.
fn at(place: &Place) -> &str {
    &place.source.text[place.span.clone()]
}

const RULE: &str = r#"
include = { path = "$.user.profile", except = ["hidden"], flatten = "_" }

[request]
query = ["lang"]

[call.user]
url = "https://api.acme.example/me"
fail_when = [{ when = "user.error == true", error = "invalid_token" }]

[call.more]
url  = "https://api.acme.example/more/${user.id}"
when = "user.has_more"
optional = true

[call.skipped]
url  = "https://api.acme.example/never"
when = "user.never"

[[require]]
that  = "user.id != 0"
error = "access_denied"

[claims]
sub            = "$.user.id"
email_verified = "$.user.verified"
updated_at     = "$.user.at"
name           = ["$.more.name", "$.user.names.nick", "${user.first} ${user.last}"]
zoneinfo       = { path = "$.user.zone", default = "UTC" }
plan           = { value = "gold" }
handle         = { rhai = "user.login.to_lower()" }
both           = { path = ["$.user.first", "$.user.middle", "$.user.last"], join = " " }
groups         = { path = "$.user.teams[*].slug", many = true, lower = true }
phone          = "$.user.phone"
gone           = "$.user.login"

[script]
source = '''
claims.nickname = "the " + user.login;
claims["plan"] = "silver";
claims.remove("gone");
'''
"#;

const CASE: &str = r#"
claims = {}

[[case.answer]]
url  = "https://api.acme.example/me"
json = '''{"id": 9007199254740993, "verified": "TRUE", "at": "2026-10-02T18:04:11Z", "login": "ADA", "first": "Ada",
  "last": "L", "names": {"nick": ""}, "has_more": true, "teams": [{"slug": "A"}, {"slug": "b"}],
  "profile": {"hidden": 1, "company": {"name": "Engines"}, "level": 3}}'''

[[case.answer]]
url    = "https://api.acme.example/more/9007199254740993"
status = 500
"#;

#[test]
fn every_claim_says_where_it_came_from() {
    let verdict = run(RULE, CASE);
    let told = |name: &str| claim(&verdict, name);
    for (name, way, words, literal) in [
        ("sub", Way::Path, "$.user.id, number to string", "\"$.user.id\""),
        ("email_verified", Way::Path, "$.user.verified, word to boolean", "\"$.user.verified\""),
        ("updated_at", Way::Path, "$.user.at, RFC 3339 time to seconds", "\"$.user.at\""),
        ("name", Way::Text, "${user.first} ${user.last}, alternative 3 of 3", "\"${user.first} ${user.last}\""),
        ("zoneinfo", Way::Default, "default", "\"UTC\""),
        ("plan", Way::Script { changed: true }, "changed by the script", "claims[\"plan\"] = \"silver\";"),
        ("handle", Way::Expression, "`user.login.to_lower()`", "\"user.login.to_lower()\""),
        (
            "both",
            Way::Joined,
            "joined: $.user.first, $.user.middle, $.user.last",
            "\"$.user.first\", \"$.user.middle\", \"$.user.last\"",
        ),
        ("groups", Way::Path, "$.user.teams[*].slug, in lower case", "\"$.user.teams[*].slug\""),
        ("phone", Way::Absent, "absent: $.user.phone gives nothing", "\"$.user.phone\""),
        ("gone", Way::Removed, "removed by the script", "claims.remove(\"gone\");"),
        ("nickname", Way::Script { changed: false }, "added by the script", "claims.nickname = \"the \" + user.login;"),
        (
            "company_name",
            Way::Include("company".into()),
            "include $.user.profile, member `company`, flattened",
            "\"$.user.profile\"",
        ),
        ("level", Way::Include("level".into()), "include $.user.profile, member `level`", "\"$.user.profile\""),
    ] {
        let Claim { from, .. } = told(name);
        assert_eq!((&from.way, &*from.words()), (&way, words), "{name}");
        assert_eq!(at(from.place.as_ref().expect("the rule says it")), literal, "{name}");
    }
    assert_eq!(told("sub").value, Some("9007199254740993".into()));
    assert_eq!(told("name").from.reads, ["user"]);
    assert_eq!(told("both").from.parts.iter().map(at).collect::<Vec<_>>(), ["\"$.user.first\"", "\"$.user.last\""]);
    let line = 1 + RULE[..RULE.find("claims.nickname").expect("it is there")].matches('\n').count();
    assert_eq!(told("nickname").from.place.map(|place| place.line_and_column().0), Some(line));
}

#[test]
fn every_condition_and_every_call_says_how_it_went() {
    let verdict = run(RULE, CASE);
    let asked = verdict.steps.iter().filter_map(|step| match step {
        Step::Condition(asked) => Some((asked.asking, asked.call.as_deref(), at(&asked.place), asked.holds)),
        _ => None,
    });
    let mut asked: Vec<_> = asked.collect();
    asked.sort_by_key(|(asking, _, place, _)| (asking.key(), *place));
    let expected = [
        (Asking::FailWhen, Some("user"), "\"user.error == true\"", false),
        (Asking::Require, None, "\"user.id != 0\"", true),
        (Asking::When, Some("more"), "\"user.has_more\"", true),
        (Asking::When, Some("skipped"), "\"user.never\"", false),
    ];
    assert_eq!(asked, expected);
    let calls = verdict.steps.iter().filter_map(|step| match step {
        Step::Call(call) => Some((at(&call.place), call.words(), call.after.join(" "))),
        _ => None,
    });
    let told = |name, words: &str, after: &str| (name, words.to_owned(), after.to_owned());
    let mut calls: Vec<_> = calls.collect();
    calls.sort();
    let expected = [
        told("more", "given up: the upstream answered 500", "user"),
        told("skipped", "skipped: `when` does not hold", "user"),
        told("user", "200, 275 bytes", ""),
    ];
    assert_eq!(calls, expected);
    let stages: Vec<_> = verdict.steps.iter().map(|step| step.stage().to_string()).collect();
    assert_eq!((&*stages[0], &*stages[stages.len() - 1]), ("receive", "respond"));
    for stage in ["call user", "decode user", "require", "map", "script"] {
        assert!(stages.iter().any(|found| found == stage), "{stage} in {stages:?}");
    }
}

#[test]
fn a_failure_names_its_step() {
    let rule = |more: &str, claims: &str| {
        format!("{more}\n[call.user]\nurl = \"https://api.acme.example/me\"\n[claims]\nsub = \"$.user.id\"\n{claims}")
    };
    let answer = |answer: &str| {
        format!("error = {{ status = 500 }}\n[[case.answer]]\nurl = \"https://api.acme.example/me\"\n{answer}")
    };
    let guard = "[[require]]\nthat = \"user.id == 2\"\nerror = \"access_denied\"";
    let script = "[script]\nsource = 'reject(\"access_denied\", \"no\")'";
    let good = answer("json = '{\"id\": 1}'");
    let long = answer(&format!("json = '{{\"id\": 1, \"name\": \"{}\"}}'", "x".repeat(3000)));
    let user = || "user".to_owned();
    for (rule, case, stage) in [
        (rule("", ""), answer("status = 401"), Stage::Call(user())),
        (rule("", ""), answer("body = '<html>'"), Stage::Decode(user())),
        (rule("", guard), good.clone(), Stage::Require),
        (rule("", "email = { path = \"$.user.email\", required = true }"), good.clone(), Stage::Map),
        (rule("", "email = { path = \"$.user\", type = \"string\" }"), good.clone(), Stage::Map),
        (rule("", script), good, Stage::Script),
        (rule("receiver = \"cognito\"", "name = \"$.user.name\""), long, Stage::Contract),
        (rule("", ""), "token = \"\"\nerror = { status = 401 }".to_owned(), Stage::Receive),
    ] {
        let verdict = run(&rule, &case);
        let failed = verdict.steps.iter().find_map(|step| match step {
            Step::Failed { stage, words } => Some((stage.clone(), words.clone())),
            _ => None,
        });
        let (found, words) =
            failed.unwrap_or_else(|| panic!("{rule}\n{case}\n{:#?} {:?}", verdict.steps, verdict.faults));
        assert_eq!(found, stage, "{rule}\n{case}");
        assert!(matches!(found, Stage::Receive) || verdict.failure == Some(words), "{:?}", verdict.failure);
    }
}

#[test]
fn a_credential_that_the_provider_repeats_is_in_no_step() {
    let rule = r#"
[secrets]
key = { env = "KEY" }
[call.user]
url = "https://api.acme.example/me"
headers = { api-key = "${secrets.key}" }
[call.next]
url = "https://api.acme.example/next/${user.echo}"
optional = true
[claims]
sub  = "$.user.id"
echo = "$.user.echo"
list = { path = "$.user.list[*]", many = true }
"#;
    let case = r#"
token = "t0ken-m4rk"
secrets = { key = "k3y&m4rk" }
claims = {}
[[case.answer]]
url = "https://api.acme.example/me"
json = '{"id": 1, "echo": "x t0ken-m4rk k3y&m4rk", "list": ["t0ken-m4rk"]}'
"#;
    let verdict = run(rule, case);
    let told = format!("{:?}", verdict.steps);
    assert!(told.contains("/next/x%20[token]%20[secrets.key]"), "{told}");
    assert_eq!(claim(&verdict, "echo").value, Some("x [token] [secrets.key]".into()));
    assert!(!told.contains("m4rk"), "{told}");
    let gone = verdict
        .steps
        .iter()
        .any(|step| matches!(step, Step::Call(call) if matches!(call.outcome, Outcome::GivenUp(_))));
    assert!(gone, "{told}");
}
