//! `claimsmith plan`: what waits for what and why, and the longest path against the deadline.

use serde_json::Value;

use crate::cli::{Run, claimsmith, folder, run};

const RULE: &str = r#"
receiver = "clerk"

[vars]
host = "api.acme.example"

[secrets]
key = { env = "ACME_KEY" }

[call.check]
url     = "https://${vars.host}/check"
timeout = "500ms"

[call.user]
url     = "https://${vars.host}/me"
timeout = "2s"
retry   = 2

[call.teams]
url      = "https://${vars.host}/users/${user.id}/teams"
query    = { kind = "${user.kind}" }
when     = "user.teams > 0"
timeout  = "1s"
token    = "none"
auth     = { bearer = "${secrets.key}" }
paginate = { link = true, max_pages = 3 }
optional = true

[call.roles]
url         = "https://${vars.host}/roles/${each}"
each        = { path = "$.teams[*].id", max = 10 }
concurrency = 4
timeout     = "250ms"
fail_when   = [{ when = "meta.check.status == 204", error = "access_denied" }]

[claims]
sub            = "$.user.id"
name           = ["$.user.name", "$.check.name"]
groups         = { path = "$.roles[*].name", many = true }
plan           = { value = "gold" }
email_verified = { value = false }

[[require]]
that  = "check.app == vars.host"
error = "invalid_token"

[token]
call = "check"

[script]
source = "if user.suspended { reject(\"access_denied\", \"suspended\"); }"
"#;

fn plan(rule: &str, arguments: &[&str]) -> Run {
    let rules = folder(&[("acme.toml", rule)]);
    let path = rules.path().to_str().expect("paths of tests are UTF-8");
    run(claimsmith(&[&["plan", "acme", "--rules", path], arguments].concat()))
}

#[test]
fn a_plan_shows_the_rounds_the_reasons_and_the_longest_path() {
    let ran = plan(RULE, &[]);
    let expected = "\
acme: 4 calls in 4 rounds, 5 claims, deadline 4.5 s

round 1  check  GET https://api.acme.example/check
                up to 500 ms · with the caller's token
                feeds [require], name

round 2  user   GET https://api.acme.example/me
                after check, which says whether the token is good
                up to 2 s · repeated up to 2 times within that · with the caller's token
                feeds sub, name, [script]

round 3  teams  GET https://${vars.host}/users/${user.id}/teams
                after check, which says whether the token is good
                after user: when reads user.teams, url reads user.id, query.kind reads user.kind
                only when user.teams > 0
                page by page: at most 3
                optional · up to 1 s · 3 s in all · with our credentials

round 4  roles  GET https://${vars.host}/roles/${each}
                after check: fail_when reads meta.check.status
                after teams: each reads teams
                for each of $.teams[*].id: at most 10, 4 at once
                up to 250 ms · 750 ms in all · with the caller's token
                feeds groups

then     require check.app == vars.host  reads check
then     script  reads user
then     plan, email_verified without a call
longest  check (500 ms) → user (2 s) → teams (3 s) → roles (750 ms): 6.25 s, and the deadline is 4.5 s: at the worst \
the answer is a 504 before these limits are reached
";
    assert_eq!((ran.code, &*ran.out), (Some(0), expected), "{}", ran.err);
}

#[test]
fn the_verdict_says_whether_the_deadline_is_far_enough() {
    let rule =
        |timeout: &str| format!("[call.user]\nurl = \"https://a.example\"\n{timeout}\n[claims]\nsub = \"$.user.id\"\n");
    for (text, expected) in [
        (rule("timeout = \"3s\""), "longest  user (3 s): 3 s of the deadline of 10 s\n"),
        (rule("timeout = \"60s\""), "user (60 s): 60 s, and the deadline is 10 s"),
        (rule(""), "user (no limit): not everything on it has a limit of its own: the deadline of 10 s ends it\n"),
        ("[claims]\nsub = { value = \"1\" }\n".into(), "longest  no call; the deadline is 10 s\n"),
        (
            format!(
                "[token]\njwt = {{ jwks = \"https://a.example/keys\", issuer = \"a\", audience = \"b\" }}\n{}",
                rule("timeout = \"3s\"")
            ),
            "longest  token (5 s) → user (3 s): 8 s of the deadline of 10 s\n",
        ),
    ] {
        let ran = plan(&text, &[]);
        assert!(ran.code == Some(0) && ran.out.contains(expected), "{expected} in {}{}", ran.out, ran.err);
    }
}

#[test]
fn a_plan_can_be_drawn_and_read_by_programs() {
    let ran = plan(RULE, &["--format", "mermaid"]);
    for line in [
        "flowchart LR\n",
        "  c0[\"check<br>GET https://api.acme.example/check<br>up to 500 ms\"]\n",
        "  c1 -->|\"user.teams, user.id, user.kind\"| c2\n",
        "  c0 -->|\"token is good\"| c1\n",
        "when user.teams #gt; 0\"]\n",
        "  c3 -->|\"groups\"| answer\n",
        "  class c0,c1,c2,c3 longest\n  class c2 optional\n",
    ] {
        assert!(ran.code == Some(0) && ran.out.contains(line), "{line} in {}", ran.out);
    }
    let quoted = RULE.replace("user.teams > 0", r#"user.kind != \"a\\\\b\""#);
    let ran = plan(&quoted, &["--format", "dot"]);
    for line in [
        "digraph \"acme\" {\n",
        "  c0 -> c1 [label=\"token is good\"]\n",
        "style=\"bold,dashed\"]\n",
        r#"\nwhen user.kind != \"a\\\\b\"", style="#,
    ] {
        assert!(ran.code == Some(0) && ran.out.contains(line), "{line} in {}{}", ran.out, ran.err);
    }
    assert!(ran.out.ends_with("}\n"));
    let ran = plan(RULE, &["--format", "json"]);
    let told: Value = serde_json::from_str(&ran.out).expect("standard output is JSON");
    assert_eq!(told["longest"]["calls"], serde_json::json!(["check", "user", "teams", "roles"]));
    assert_eq!((&told["longest"]["ms"], &told["longest"]["within_deadline"]), (&6250.into(), &false.into()));
    let because = serde_json::json!({ "call": "teams", "because": [{ "in": "each", "reads": "teams" }] });
    assert_eq!(told["calls"][3]["needs"][1], because);
}

#[test]
fn a_plan_of_a_rule_that_is_wrong_or_not_there_fails() {
    let ran = plan("[claims]\nsub = \"$.gone.id\"\n", &[]);
    assert_eq!((ran.code, &*ran.out), (Some(1), ""));
    assert!(ran.err.contains("CS2002"), "{}", ran.err);
    let ran = run(claimsmith(&["plan", "no/such.toml"]));
    assert!(ran.code == Some(2) && ran.err.contains("cannot read no/such.toml"), "{}", ran.err);
}

#[test]
fn a_secret_is_not_in_a_plan() {
    let rules = folder(&[("acme.toml", &RULE.replace("?", "").replace("/me\"", "/me?key=${secrets.key}\""))]);
    let path = rules.path().to_str().expect("paths of tests are UTF-8");
    for format in ["text", "mermaid", "dot", "json"] {
        let mut command = claimsmith(&["plan", "acme", "--rules", path, "--format", format]);
        command.env("ACME_KEY", "m4rk");
        let ran = run(command);
        assert!(ran.code == Some(0) && ran.out.contains("${secrets.key}"), "{}{}", ran.out, ran.err);
        assert!(!ran.out.contains("m4rk") && !ran.err.contains("m4rk"), "{}{}", ran.out, ran.err);
    }
}

#[test]
fn what_is_kept_is_drawn() {
    let rule = "cache = { ttl = \"5m\", refused = \"10s\" }\n[call.user]\nurl = \"https://api.acme.example/me\"\n\
        cache = { ttl = \"90s\", stale = \"1h\" }\n[call.other]\nurl = \"https://api.acme.example/other\"\ncache = \"0s\"\n\
        [claims]\nsub = \"$.user.id\"\nname = \"$.other.name\"\n";
    let text = plan(rule, &[]).out;
    for part in [
        "before   the whole answer is kept for 5 min, a refusal for 10 s\n",
        "kept for 90 s, for 60 min more where there is no new one\n",
        "shared by requests at the same time\n",
    ] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    for format in ["mermaid", "dot"] {
        let drawn = plan(rule, &["--format", format]).out;
        assert!(drawn.contains("kept for 90 s"), "{drawn}");
    }
    let json: Value = serde_json::from_str(&plan(rule, &["--format", "json"]).out).expect("it is JSON");
    assert_eq!(json["cache"]["ttl_ms"], 300_000);
    assert_eq!(json["calls"][0]["cache"]["stale_ms"], 3_600_000);
}
