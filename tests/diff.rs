//! `claimsmith diff`: what an edit changes, claim by claim, and that a changed subject never passes in silence.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cli::{Run, claimsmith, folder, run};

const RULE: &str = r#"
[secrets]
key = { env = "ACME_KEY" }

[login]
scopes = ["profile"]

[call.user]
url     = "https://api.acme.example/me"
headers = { api-key = "${secrets.key}" }

[claims]
sub    = "$.user.id"
name   = "$.user.name"
locale = "$.user.lang"
"#;

const CASES: &str = r#"
[[case]]
name   = "usual"
claims = { sub = "1", name = "Ada", locale = "en" }

[[case.answer]]
url  = "https://api.acme.example/me"
json = '{"id": 1, "name": "Ada", "lang": "en", "old_id": 7, "age": 36, "suspended": false}'

[[case]]
name  = "refused"
error = { status = 401, error = "invalid_token" }

[[case.answer]]
url    = "https://api.acme.example/me"
status = 401
"#;

/// Compares the rule with an edited one; each has its cases beside it.
fn diff(new: &str, cases: &str, arguments: &[&str]) -> (Run, TempDir, TempDir) {
    let old = folder(&[("acme.toml", RULE), ("acme.test.toml", CASES)]);
    let new = folder(&[("acme.toml", new), ("acme.test.toml", cases)]);
    let path = |folder: &TempDir| folder.path().join("acme.toml").to_str().expect("it is UTF-8").to_owned();
    let ran = run(claimsmith(&[&["diff", &path(&old), &path(&new)], arguments].concat()));
    (ran, old, new)
}

#[test]
fn the_same_rule_is_the_same() {
    let (ran, ..) = diff(RULE, CASES, &[]);
    assert_eq!((ran.code, &*ran.out), (Some(0), "acme: 2 cases, 0 differ, 2 the same\n"), "{}", ran.err);
    // What does not show is no difference either.
    let (ran, ..) = diff(&RULE.replace("[claims]", "# A comment.\n[claims]"), CASES, &[]);
    assert_eq!((ran.code, &*ran.out), (Some(0), "acme: 2 cases, 0 differ, 2 the same\n"), "{}", ran.err);
}

#[test]
fn claims_are_told_that_are_new_gone_or_others() {
    let new = RULE
        .replace("name   = \"$.user.name\"", "name   = { rhai = \"user.name.to_upper()\" }\nage = \"$.user.age\"")
        .replace("locale = \"$.user.lang\"\n", "team = { path = \"$.user.name\", many = true }\n")
        .replace("\"profile\"", "\"profile\", \"email\"")
        .replace("[secrets]", "[secrets]\nother = { env = \"OTHER\" }")
        .replace("headers =", "timeout = \"2s\"\nheaders =");
    let (ran, _, at) = diff(&new, CASES, &[]);
    let expected = format!(
        "acme: 2 cases, 1 differ, 1 the same\n  case \"usual\"  ({}:3)\n    - name = \"Ada\"\n    + name = \"ADA\"\n    \
         - locale = \"en\"\n    + age = 36\n    + team = [\"Ada\"]\n  call user\n    \
         - GET https://api.acme.example/me, with the caller's token, with our credentials\n    \
         + GET https://api.acme.example/me, with the caller's token, with our credentials, up to 2000 ms\n  \
         scopes\n    + email\n  secrets\n    + other\n",
        at.path().join("acme.test.toml").display()
    );
    assert_eq!((ran.code, &*ran.out), (Some(0), &*expected), "{}", ran.err);
    let (ran, ..) = diff(&new, CASES, &["--format", "json"]);
    let told: Value = serde_json::from_str(&ran.out).expect("standard output is JSON");
    assert_eq!(
        told["rules"][0]["cases"][0]["differences"][1],
        json!({"claim": "locale", "old": "\"en\"", "new": null})
    );
    assert_eq!(told["rules"][0]["sets"]["scopes"], json!({"removed": [], "added": ["email"]}));
    assert_eq!((&told["subjects"], &told["rules"][0]["cases"][1]["differences"]), (&json!([]), &Value::Null));
}

#[test]
fn another_type_and_another_error_are_told() {
    let typed = RULE.replace("locale = \"$.user.lang\"", "locale = \"$.user.lang\"\nage = \"$.user.age\"");
    let old = folder(&[("acme.toml", &typed), ("acme.test.toml", CASES)]);
    let text = typed.replace("\"$.user.age\"", "{ path = \"$.user.age\", type = \"string\" }")
        + "[[require]]\nthat = \"user.id != 1\"\nerror = \"access_denied\"\n";
    let as_text = text.split("[[require]]").next().expect("there is a start");
    let new = folder(&[("acme.toml", as_text), ("strict.toml", &text)]);
    let path = |folder: &TempDir, name: &str| folder.path().join(name).to_str().expect("it is UTF-8").to_owned();
    let ran = run(claimsmith(&["diff", &path(&old, "acme.toml"), &path(&new, "acme.toml")]));
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("    - age = 36\n    + age = \"36\"  (was a number, is text)\n"), "{}", ran.out);
    let ran = run(claimsmith(&["diff", &path(&old, "acme.toml"), &path(&new, "strict.toml")]));
    assert_eq!(ran.code, Some(0), "nobody becomes another user: {}{}", ran.out, ran.err);
    assert!(ran.out.contains("    - answer 200 with claims\n    + answer 403 access_denied\n"), "{}", ran.out);
}

#[test]
fn a_changed_subject_fails_loudly() {
    let (ran, ..) = diff(&RULE.replace("$.user.id", "$.user.old_id"), CASES, &[]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.out.contains("    - sub = \"1\"\n    + sub = \"7\"\n"), "{}", ran.out);
    let loud = "\nTHE SUBJECT CHANGES in 1 case: whoever logs in becomes another user\n  acme: `sub` in \"usual\"\n";
    assert!(ran.out.ends_with(loud), "{}", ran.out);
    // Another claim says who the user is: its value is another, and so is the user.
    let renamed = format!("subject = \"uuid\"\n{RULE}\nuuid = \"$.user.old_id\"\n");
    let (ran, ..) = diff(&renamed, CASES, &["--format", "json"]);
    let told: Value = serde_json::from_str(&ran.out).expect("standard output is JSON");
    let subjects = json!([{"rule": "acme", "claim": "uuid", "case": "usual"}]);
    assert_eq!((ran.code, &told["subjects"]), (Some(1), &subjects), "{}", ran.out);
}

#[test]
fn what_one_version_asks_for_and_a_case_does_not_answer_is_not_called_equal() {
    let moved = RULE.replace("acme.example/me", "acme.example/v2/me");
    // No case of the old rule says anything of the new one.
    let (ran, ..) = diff(&moved, CASES, &[]);
    assert_eq!(ran.code, Some(2), "{}{}", ran.out, ran.err);
    assert!(ran.out.starts_with("acme: 2 cases, 0 differ, 0 the same, 2 cannot be compared\n"), "{}", ran.out);
    let why =
        "    cannot be compared: the new rule asks for GET https://api.acme.example/v2/me, which it does not answer";
    assert!(ran.out.contains(why), "{}", ran.out);
    // The call is one more: what the old rule does not ask for takes nothing away from its answer.
    let more = RULE.replace(
        "[claims]",
        "[call.more]\nurl = \"https://api.acme.example/more\"\n[claims]\nemail = \"$.more.email\"",
    );
    let cases = CASES.replacen(
        "[[case]]\nname  = \"refused\"",
        "[[case.answer]]\nurl = \"https://api.acme.example/more\"\njson = '{\"email\": \"a@example.com\"}'\n\n\
         [[case]]\nname  = \"refused\"",
        1,
    );
    let (ran, ..) = diff(&more, &cases, &[]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(ran.out.starts_with("acme: 2 cases, 1 differ, 1 the same\n"), "{}", ran.out);
    assert!(ran.out.contains("    + email = \"a@example.com\"\n"), "{}", ran.out);
    // A var that only one version has.
    let cases = CASES.replace("name   = \"usual\"", "name   = \"usual\"\nvars = { host = \"x\" }");
    let own = folder(&[("own.test.toml", &cases)]);
    let named = own.path().join("own.test.toml").to_str().expect("it is UTF-8").to_owned();
    let (ran, ..) = diff(&format!("[vars]\nhost = \"y\"\n{RULE}"), CASES, &["--cases", &named]);
    assert!(ran.out.contains("the old rule, with its vars: the rule is refused: CS2002"), "{}", ran.out);
}

#[test]
fn cases_can_be_named_and_without_any_nothing_is_known() {
    let old = folder(&[("acme.toml", RULE), ("some.test.toml", CASES)]);
    let new = folder(&[("acme.toml", &RULE.replace("$.user.lang", "$.user.name"))]);
    let path = |folder: &TempDir, name: &str| folder.path().join(name).to_str().expect("it is UTF-8").to_owned();
    let rules = [path(&old, "acme.toml"), path(&new, "acme.toml")];
    let ran = run(claimsmith(&["diff", &rules[0], &rules[1]]));
    assert_eq!(ran.code, Some(2), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("  no case says what the change does\n"), "{}", ran.out);
    let ran = run(claimsmith(&["diff", &rules[0], &rules[1], "--cases", &path(&old, "some.test.toml")]));
    assert!(ran.code == Some(0) && ran.out.contains("    + locale = \"Ada\"\n"), "{}{}", ran.out, ran.err);
}

#[test]
fn folders_are_matched_by_the_names_of_their_rules() {
    let old = folder(&[("acme.toml", RULE), ("acme.test.toml", CASES), ("gone.toml", RULE)]);
    let new = folder(&[("acme.toml", &RULE.replace("$.user.id", "$.user.old_id")), ("new.toml", RULE)]);
    let path = |folder: &TempDir| folder.path().to_str().expect("it is UTF-8").to_owned();
    let ran = run(claimsmith(&["diff", &path(&old), &path(&new)]));
    assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
    for line in ["new: the rule is new\n", "gone: the rule is gone: requests to it will be answered 404\n", "`sub` in"]
    {
        assert!(ran.out.contains(line), "{line} in {}", ran.out);
    }
    let ran = run(claimsmith(&["diff", &path(&old), &format!("{}/acme.toml", path(&new))]));
    assert!(ran.code == Some(2) && ran.err.contains("one of the two is a folder"), "{}", ran.err);
    let empty = folder(&[]);
    let ran = run(claimsmith(&["diff", &path(&old), &path(&empty)]));
    assert!(ran.code == Some(2) && ran.err.contains("no rule is in both folders"), "{}", ran.err);
}

#[test]
fn a_version_with_errors_is_shown_and_not_compared() {
    let (ran, ..) = diff(&RULE.replace("$.user.id", "$.usr.id"), CASES, &[]);
    assert_eq!((ran.code, &*ran.out), (Some(2), ""));
    assert!(ran.err.contains("CS2002") && ran.err.contains("acme cannot be compared"), "{}", ran.err);
    let (ran, ..) = diff(RULE, "[case", &[]);
    assert!(ran.code == Some(2) && ran.err.contains("the file is not TOML"), "{}{}", ran.out, ran.err);
}
