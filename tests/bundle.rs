//! Rules on hosts at the edge: what a host cannot do is told before they get there, and a folder to deploy is made
//! without a toolchain.

use std::fs;

use crate::cli::{claimsmith, folder, run};

const RULE: &str = r#"
[vars]
host = "api.acme.example"
[secrets]
key = { env = "ACME_KEY" }
[call.user]
url = "https://${vars.host}/me"
headers = { api-key = "${secrets.key}" }
[claims]
sub = "$.user.id"
[script]
file = "acme.rhai"
"#;

const KEPT: &str = r#"
cache = "5m"
[secrets]
key = { file = "/run/secrets/acme" }
[call.user]
url = "https://api.acme.example/me"
headers = { api-key = "${secrets.key}" }
[claims]
sub = "$.user.id"
"#;

#[test]
fn a_check_for_a_host_refuses_what_it_cannot_do_and_lists_what_differs() {
    let rules = folder(&[("kept.toml", KEPT)]);
    let path = rules.path().to_str().expect("the path is UTF-8");
    let shown = run(claimsmith(&["check", "--host", "cloudflare", path]));
    assert_eq!(shown.code, Some(1), "{}", shown.out);
    for words in [
        "not on cloudflare as under the program:",
        "  client certificates: no: ",
        "error[CS7001]",
        "wrangler secret put",
    ] {
        assert!(shown.out.contains(words), "{words}: {}", shown.out);
    }
    assert!(!shown.out.contains("CS7002"), "advice is for those who ask: {}", shown.out);
    let shown = run(claimsmith(&["check", "--host", "cloudflare", "--advice", path]));
    assert!(shown.out.contains("[CS7002]: the answers of this rule are kept"), "{}", shown.out);
    for other in ["native", "lambda"] {
        assert_eq!(run(claimsmith(&["check", "--host", other, path])).code, Some(0), "{other}");
    }
    assert_eq!(run(claimsmith(&["check", "--host", "moon", path])).code, Some(2));
}

#[test]
fn the_whole_catalogue_runs_at_the_edge_but_what_is_told() {
    for host in ["cloudflare", "lambda", "wasi"] {
        let shown = run(claimsmith(&["check", "--host", host, "catalogue:"]));
        assert_eq!(shown.code, Some(0), "{host}: {}", shown.out);
    }
}

#[test]
fn a_worker_is_bundled_with_its_rules_as_data_and_its_vars_as_a_binding() {
    let rules = folder(&[
        ("acme.toml", RULE),
        ("acme.rhai", "claims.locale = `de`;"),
        ("settings", "[rule.acme.vars]\nhost = \"staging.acme.example\"\n[rule.other.vars]\nhost = \"x\"\n"),
    ]);
    let release =
        folder(&[("claimsmith.wasm", "\0asm"), ("claimsmith.js", "js"), ("core.mjs", "core"), ("worker.mjs", "mjs")]);
    let path = |name: &str| rules.path().join(name).display().to_string();
    let out = path("out");
    let bundle = |more: &[&str]| {
        let from = release.path().display().to_string();
        let (config, folder) = (path("settings"), path(""));
        let mut arguments = vec!["bundle", "--host", "cloudflare", "--out", &out, "--from", &from];
        arguments.extend(["--config", &config, "--rules", &folder, "--use", "github"]);
        arguments.extend(more);
        run(claimsmith(&arguments))
    };
    let made = bundle(&[]);
    assert_eq!(made.code, Some(0), "{}", made.err);
    for words in
        ["with 2 rules", "npx wrangler deploy", "npx wrangler secret put ACME_KEY    # acme", "/acme or /github"]
    {
        assert!(made.out.contains(words), "{words}: {}", made.out);
    }
    let read = |name: &str| fs::read_to_string(rules.path().join("out").join(name)).expect("it was written");
    let data: serde_json::Value = serde_json::from_str(&read("rules.json")).expect("it is JSON");
    assert_eq!(data["rules"]["acme"], RULE);
    assert!(data["rules"]["github"].as_str().is_some_and(|text| text.contains("[call.user]")));
    assert_eq!(data["scripts"]["acme.rhai"], "claims.locale = `de`;");
    let wrangler = read("wrangler.toml");
    assert!(
        wrangler.contains("[vars.CLAIMSMITH]\nrule = { acme = { vars = { host = \"staging.acme.example\" } } }"),
        "{wrangler}"
    );
    assert!(wrangler.starts_with("# "), "comments stay: {wrangler}");
    assert_eq!([read("claimsmith.js"), read("core.mjs"), read("worker.mjs")], ["js", "core", "mjs"]);
    let again = bundle(&[]);
    assert_eq!(again.code, Some(2));
    assert!(again.err.contains("is there already; `--force` writes into it"), "{}", again.err);
    assert_eq!(bundle(&["--force"]).code, Some(0));
}

#[test]
fn nothing_is_bundled_of_rules_that_cannot_run_there() {
    let rules = folder(&[("kept.toml", KEPT)]);
    let out = rules.path().join("out");
    let (path, to) = (rules.path().to_str().expect("it is UTF-8"), out.to_str().expect("it is UTF-8"));
    let made = run(claimsmith(&["bundle", "--host", "cloudflare", "--rules", path, "--out", to]));
    assert_eq!((made.code, out.exists()), (Some(1), false));
    assert!(made.err.contains("CS7001") && made.err.contains("nothing is written"), "{}", made.err);
}

#[test]
fn a_bundle_without_the_release_says_where_it_is_to_be_had() {
    let empty = folder(&[]);
    let (from, to) = (empty.path().display().to_string(), empty.path().join("out").display().to_string());
    for host in ["cloudflare", "lambda", "wasi"] {
        let made = run(claimsmith(&["bundle", "--host", host, "--use", "github", "--from", &from, "--out", &to]));
        assert_eq!(made.code, Some(2), "{host}");
        assert!(made.err.contains(&format!("unpack `edge/{host}` of the release")), "{}", made.err);
    }
}

#[test]
fn a_component_gets_its_rules_in_the_place_that_it_has_for_them() {
    let mut bytes = b"before".to_vec();
    bytes.extend(b"claimsmith: rules begin here >>>");
    bytes.extend(vec![b' '; 256 * 1024]);
    bytes.extend(b"after");
    let release = folder(&[]);
    fs::write(release.path().join("claimsmith.wasm"), &bytes).expect("the folder can be written to");
    let (from, out) = (release.path().display().to_string(), release.path().join("out"));
    let to = out.display().to_string();
    let rules = folder(&[("acme.toml", RULE), ("acme.rhai", "claims.locale = `de`;")]);
    let of = |rules: &str| {
        run(claimsmith(&["bundle", "--host", "wasi", "--rules", rules, "--from", &from, "--out", &to, "--force"]))
    };
    let made = of(&rules.path().display().to_string());
    assert_eq!(made.code, Some(0), "{}", made.err);
    let written = fs::read(out.join("claimsmith.wasm")).expect("it was written");
    assert_eq!(written.len(), bytes.len());
    assert!(written.starts_with(b"before") && written.ends_with(b"  after"));
    let text = String::from_utf8_lossy(&written[38..written.len() - 5]).into_owned();
    let data: serde_json::Value = serde_json::from_str(text.trim()).expect("it is JSON");
    assert_eq!(data["rules"]["acme"], RULE);
    let all = of("rules");
    assert_eq!(all.code, Some(2));
    assert!(all.err.contains("a component has room for 262144: use fewer"), "{}", all.err);
}
