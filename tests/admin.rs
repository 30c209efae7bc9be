//! Health, metrics and the state of the rules, on a listener of their own.

use std::{collections::BTreeSet, fs, net::SocketAddr};

use crate::{
    cli::{ADMIN, Server, claimsmith, run},
    reload::{World, get, rule, until},
    support::{Answer, block_on, client, send},
};

const TOKEN: &str = "T0ken-Mark.91c2";

fn start(world: &World) -> (Server, SocketAddr) {
    let mut command = world.serve(&[]);
    command.env(ADMIN, "127.0.0.1:0");
    let mut server = Server::start(command);
    let admin = server.admin();
    (server, admin)
}

fn ask(admin: SocketAddr, path: &str) -> Answer {
    block_on(send(client().get(format!("http://{admin}{path}"))))
}

/// The value of one line of the metrics.
#[track_caller]
fn value(page: &str, line: &str) -> u64 {
    let found = page.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
    let found = found.unwrap_or_else(|| panic!("no {line} in\n{page}"));
    found.parse().unwrap_or_else(|_| panic!("{found} for {line}"))
}

#[test]
fn health_is_told_and_asked_for() {
    let world = World::new(&[("rules/acme.toml", &rule("a"))]);
    let (server, admin) = start(&world);
    for (path, status, body) in [("/livez", 200, "live\n"), ("/readyz", 200, "ready\n")] {
        let answer = ask(admin, path);
        assert_eq!(
            (answer.status, &*answer.body, answer.header("cache-control")),
            (status, body, "no-store"),
            "{path}"
        );
    }
    assert_eq!(ask(admin, "/acme").status, 404, "rules are not served here");
    assert_eq!(get(&server, "/metrics").status, 404, "and metrics not there");
    assert_eq!(block_on(send(client().post(format!("http://{admin}/readyz")))).status, 405);
    let health = || {
        let mut command = claimsmith(&["health"]);
        command.env(ADMIN, admin.to_string()).current_dir(world.folder.path());
        run(command)
    };
    let ran = health();
    assert_eq!((ran.code, &*ran.out), (Some(0), "ready\n"), "{}", ran.err);
    // With no rule left it lives, and is not ready.
    fs::remove_file(world.path("rules/acme.toml")).expect("it is there");
    until("it is not ready", || ask(admin, "/readyz").status == 503);
    assert_eq!(ask(admin, "/livez").status, 200);
    let ran = health();
    assert_eq!((ran.code, &*ran.out), (Some(1), "no rule serves\n"), "{}", ran.err);
    server.signal("-TERM");
    server.end();
    let ran = health();
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.out.contains("does not answer"), "{}", ran.out);
}

#[test]
fn a_broken_edit_is_seen_in_metrics_and_rules_and_nowhere_else() {
    let world = World::new(&[
        ("rules/acme.toml", &rule("a")),
        ("rules/never.toml", "[claims"),
        ("rules/other.toml", &rule("o")),
    ]);
    let (server, admin) = start(&world);
    let state = |page: &str, state: &str| value(page, &format!("claimsmith_rules{{state=\"{state}\"}}"));
    let page = ask(admin, "/metrics").body;
    assert_eq!([state(&page, "serving"), state(&page, "kept"), state(&page, "refused")], [2, 0, 1]);
    let before = ask(admin, "/rules").json();
    world.write("rules/acme.toml", &rule("b").replace("url", "ulr"));
    until("it is seen", || state(&ask(admin, "/metrics").body, "kept") == 1);
    let page = ask(admin, "/metrics").body;
    assert_eq!(value(&page, "claimsmith_rule_broken{rule=\"acme\"}"), 1);
    assert_eq!(value(&page, "claimsmith_rule_broken{rule=\"other\"}"), 0);
    assert_eq!(value(&page, "claimsmith_reloads_total{result=\"failed\"}"), 1);
    let rules = ask(admin, "/rules").json();
    let of = |number: usize, key: &str| rules["rules"][number][key].clone();
    assert_eq!([of(0, "name"), of(1, "name"), of(2, "name")], ["acme", "never", "other"]);
    assert_eq!([of(0, "state"), of(1, "state"), of(2, "state")], ["kept", "refused", "serving"]);
    assert_eq!(of(0, "revision"), before["rules"][0]["revision"], "what serves is what served before");
    assert!(of(0, "revision").as_str().is_some_and(|revision| revision.len() == 12) && of(1, "revision").is_null());
    assert_eq!(of(0, "problems")[0]["code"], "CS1002");
    assert_eq!(of(2, "problems"), serde_json::json!([]));
    assert_eq!(ask(admin, "/readyz").status, 200, "readiness stays green");
    assert_eq!(get(&server, "/acme").status, 200);
    world.write("rules/acme.toml", &rule("c"));
    until("it is sound again", || state(&ask(admin, "/metrics").body, "kept") == 0);
    let after = ask(admin, "/rules").json();
    assert_ne!(after["rules"][0]["revision"], before["rules"][0]["revision"]);
    world.settings("deadline = 5");
    until("it is told", || ask(admin, "/rules").json()["settings"]["problem"].as_str().is_some());
    assert_eq!(value(&ask(admin, "/metrics").body, "claimsmith_settings_broken"), 1);
}

#[test]
fn requests_are_counted_and_failures_remembered_without_a_token() {
    let failing = rule("f").replace("https://api.example", "https://gone.example");
    let world = World::new(&[("rules/acme.toml", &rule("a")), ("rules/gone.toml", &failing)]);
    world.settings("");
    let text = fs::read_to_string(world.path("claimsmith.toml")).expect("it is there");
    world.write("claimsmith.toml", &format!("{text}\"https://gone.example\" = \"http://127.0.0.1:1\"\n"));
    let (server, admin) = start(&world);
    let asked = |path: &str| {
        block_on(send(client().get(format!("http://{}{path}?t={TOKEN}", server.address)).bearer_auth(TOKEN))).status
    };
    for _ in 0..7 {
        assert_eq!([asked("/acme"), asked("/gone"), asked(&format!("/{TOKEN}"))], [200, 502, 404]);
    }
    let page = ask(admin, "/metrics").body;
    for (line, expected) in [
        ("claimsmith_requests_total{rule=\"acme\",status=\"200\"}", 7),
        ("claimsmith_requests_total{rule=\"gone\",status=\"502\"}", 7),
        ("claimsmith_requests_total{rule=\"-\",status=\"404\"}", 7),
        ("claimsmith_request_duration_seconds_count{rule=\"acme\"}", 7),
        ("claimsmith_request_duration_seconds_bucket{rule=\"acme\",le=\"+Inf\"}", 7),
        ("claimsmith_calls_total{rule=\"acme\"}", 7),
        ("claimsmith_requests_in_flight", 0),
        ("claimsmith_ready", 1),
        ("claimsmith_panics_total", 0),
    ] {
        assert_eq!(value(&page, line), expected, "{line} in\n{page}");
    }
    assert!(value(&page, "claimsmith_connections_accepted_total") > 0);
    let rules = ask(admin, "/rules");
    let errors = rules.json()["rules"][1]["errors"].clone();
    assert_eq!(errors.as_array().map(Vec::len), Some(5), "the last ones: {errors}");
    assert_eq!(errors[0]["status"], 502);
    assert!(errors[0]["reason"].as_str().is_some_and(|reason| reason.starts_with("call user")), "{errors}");
    assert_eq!(errors[0]["step"], "call user");
    assert!(!rules.body.contains("gone.example"), "{}", rules.body);
    for (what, text) in [("metrics", &page), ("rules", &rules.body)] {
        assert!(!text.contains(TOKEN), "{what}: {text}");
    }
    // Of an address there is the origin as the rule names it, not where it is led.
    for (line, expected) in [
        ("claimsmith_upstream_requests_total{origin=\"https://api.example\"}", 7),
        ("claimsmith_upstream_failures_total{origin=\"https://gone.example\"}", 7),
        ("claimsmith_upstream_duration_seconds_count{origin=\"https://api.example\"}", 7),
        ("claimsmith_upstream_in_flight{origin=\"https://api.example\"}", 0),
        ("claimsmith_upstream_resting{origin=\"https://gone.example\"}", 0),
        ("claimsmith_failures_total{rule=\"gone\",step=\"call\"}", 7),
        ("claimsmith_recordings_armed", 0),
    ] {
        assert_eq!(value(&page, line), expected, "{line} in\n{page}");
    }
    assert!(value(&page, "process_start_time_seconds") > 1_700_000_000);
    assert!(!page.contains("127.0.0.1") && !page.contains("/me"), "{page}");
}

#[test]
fn every_metric_stands_in_the_documentation() {
    let world = World::new(&[("rules/acme.toml", &rule("a"))]);
    let (_server, admin) = start(&world);
    let page = ask(admin, "/metrics");
    assert_eq!(page.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let told: BTreeSet<String> = page
        .body
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|line| {
            format!("{} {}", line.split(' ').next().unwrap_or_default(), line.split(' ').nth(1).unwrap_or_default())
        })
        .collect();
    let readme = include_str!("../README.md");
    let section = readme.split("### Metrics\n").nth(1).and_then(|rest| rest.split("\n#").next()).expect("it is there");
    let documented: BTreeSet<String> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .map(|line| {
            let (name, rest) = line.split_once("` | ").expect("a row has columns");
            format!("{name} {}", rest.split(' ').next().unwrap_or_default())
        })
        .collect();
    assert_eq!(told, documented);
    assert!(told.len() > 15, "{told:?}");
}

#[test]
fn the_key_is_wanted_and_may_be_exchanged() {
    let world = World::new(&[("rules/acme.toml", &rule("a")), ("key", "first-key\n")]);
    world.settings(&format!("[admin]\nkey = {{ file = '{}' }}", world.path("key").display()));
    let (mut server, admin) = start(&world);
    let with = |path: &str, key: &str| {
        block_on(send(client().get(format!("http://{admin}{path}")).header("authorization", key))).status
    };
    for path in ["/metrics", "/rules", "/nothing"] {
        let refused = ask(admin, path);
        assert_eq!((refused.status, refused.header("www-authenticate")), (401, "Bearer"), "{path}");
        for wrong in ["Bearer first-ke", "Bearer first-key2", "Basic first-key", "Bearer ", "first-key"] {
            assert_eq!(with(path, wrong), 401, "{path} {wrong}");
        }
    }
    assert_eq!([with("/metrics", "Bearer first-key"), with("/rules", "bearer first-key")], [200, 200]);
    assert_eq!([ask(admin, "/livez").status, ask(admin, "/readyz").status], [200, 200], "probes need no key");
    world.write("key", "second-key");
    assert_eq!([with("/metrics", "Bearer first-key"), with("/metrics", "Bearer second-key")], [401, 200]);
    fs::remove_file(world.path("key")).expect("it is there");
    assert_eq!(with("/metrics", "Bearer second-key"), 401, "without a key nobody comes in");
    server.line("admin.key");
    server.signal("-TERM");
    server.end();
    let ran = run(world.serve(&[]));
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(ran.err.contains("admin.key"), "{}", ran.err);
}

#[test]
fn a_second_process_waits_for_the_port() {
    let world = World::new(&[("rules/acme.toml", &rule("a"))]);
    let (first, admin) = start(&world);
    let mut command = world.serve(&[]);
    command.env(ADMIN, admin.to_string());
    let mut second = Server::start(command);
    assert!(second.log.contains("this one will when that has ended"), "{}", second.log);
    first.signal("-TERM");
    first.end();
    assert_eq!(second.admin(), admin);
    assert_eq!(ask(admin, "/readyz").status, 200);
}

#[test]
fn what_is_kept_spared_and_limited_is_counted() {
    let cached = format!("cache = \"5m\"\n{}", rule("c"));
    let down = rule("d").replace("https://api.example", "https://down.example");
    let world = World::new(&[("rules/cached.toml", &cached), ("rules/down.toml", &down)]);
    world.settings("max_request_body = 10\n[upstream]\ntrip_after = 2\nprobe_every = \"1h\"");
    let text = fs::read_to_string(world.path("claimsmith.toml")).expect("it is there");
    world.write("claimsmith.toml", &format!("{text}\"https://down.example\" = \"http://127.0.0.1:1\"\n"));
    let (server, admin) = start(&world);
    for _ in 0..5 {
        assert_eq!([get(&server, "/cached").status, get(&server, "/down").status], [200, 502]);
    }
    let large = client().post(format!("http://{}/cached", server.address)).bearer_auth(TOKEN).body("x".repeat(11));
    assert_eq!(block_on(send(large)).status, 413);
    let page = ask(admin, "/metrics").body;
    for (line, expected) in [
        ("claimsmith_cache_answers_total{rule=\"cached\",result=\"hit\"}", 4),
        ("claimsmith_cache_answers_total{rule=\"cached\",result=\"miss\"}", 1),
        ("claimsmith_upstream_requests_total{origin=\"https://down.example\"}", 2),
        ("claimsmith_upstream_failures_total{origin=\"https://down.example\"}", 2),
        ("claimsmith_upstream_spared_total{origin=\"https://down.example\",reason=\"resting\"}", 3),
        ("claimsmith_upstream_resting{origin=\"https://down.example\"}", 1),
        ("claimsmith_limits_hit_total{limit=\"request_body\"}", 1),
        ("claimsmith_limits_hit_total{limit=\"deadline\"}", 0),
    ] {
        assert_eq!(value(&page, line), expected, "{line} in\n{page}");
    }
}

#[test]
fn a_rule_that_serves_is_told_with_its_revision() {
    let never = rule("n").replace("url", "ulr");
    let world = World::new(&[("rules/acme.toml", &rule("a")), ("rules/never.toml", &never)]);
    let (_server, admin) = start(&world);
    let rules = ask(admin, "/rules").json();
    let revision = rules["rules"][0]["revision"].as_str().expect("it serves").to_owned();
    let page = ask(admin, "/metrics").body;
    let line = |state: &str| format!("claimsmith_rule_info{{rule=\"acme\",revision=\"{revision}\",state=\"{state}\"}}");
    assert_eq!(value(&page, &line("serving")), 1);
    assert!(value(&page, "claimsmith_rule_loaded_timestamp_seconds{rule=\"acme\"}") > 1_700_000_000);
    assert!(!page.contains("claimsmith_rule_info{rule=\"never\""), "{page}");
    let problem = &rules["rules"][1]["problems"][0];
    assert!(["code", "message", "line", "help"].iter().all(|key| !problem[key].is_null()), "{problem}");
    world.write("rules/acme.toml", "[claims");
    until("it is seen", || ask(admin, "/metrics").body.contains(&line("kept")));
}

/// A rule whose claims, addresses and guards are full of what must not be told.
const TRACED: &str = r#"
[call.user]
url   = "https://api.example/me"
query = { mail = "ada.mark@priv.example" }
[call.more]
url  = "https://api.example/users/${user.id}/more"
when = "user.id > 0"
optional = true
[claims]
sub  = "$.user.id"
name = ["$.user.name", "$.more.key"]
[[require]]
that  = "user.key != \"bad\""
error = "access_denied"
"#;

#[test]
fn the_last_requests_are_told_step_by_step_without_a_value() {
    let world = World::new(&[("rules/acme.toml", TRACED), ("rules/other.toml", &rule("o"))]);
    world.settings("[admin]\ntraces = 3");
    let (server, admin) = start(&world);
    let log_in = |rule: &str, token: &str, id: &str| {
        let request = client().get(format!("http://{}/{rule}", server.address)).bearer_auth(token);
        block_on(send(request.header("x-request-id", id))).status
    };
    assert_eq!(log_in("acme", "", "failing.1"), 400);
    for number in 0..7 {
        assert_eq!(log_in("acme", TOKEN, &format!("good.{number}")), 200);
    }
    assert_eq!(log_in("other", TOKEN, "other.1"), 200);
    let traces = |query: &str| ask(admin, &format!("/traces{query}")).json();
    let ids = |query: &str| -> Vec<String> {
        let all = traces(query);
        let all = all.as_array().expect("a list");
        all.iter().map(|trace| trace["request_id"].as_str().expect("an id").to_owned()).collect()
    };
    assert_eq!(ids(""), ["other.1", "good.6", "good.5", "failing.1"], "failures are not pushed out");
    assert_eq!(
        [ids("?rule=other"), ids("?request=good.5"), ids("?failures=true")].concat(),
        ["other.1", "good.5", "failing.1"]
    );
    assert_eq!(ask(admin, "/traces?frobnicate=1").status, 400);
    let trace = &traces("?request=good.6")[0];
    let steps = trace["steps"].as_array().expect("a list");
    let names: Vec<_> = steps
        .iter()
        .map(|step| format!("{} {}", step["step"].as_str().unwrap(), step["call"].as_str().unwrap_or_default()))
        .collect();
    for name in ["receive ", "call user", "decode user", "call more", "require ", "map ", "respond "] {
        assert!(names.iter().any(|found| found == name), "{name:?} in {names:?}");
    }
    let call = steps.iter().find(|step| step["call"] == "more" && step["outcome"].is_string()).expect("it was made");
    assert_eq!(call["request"], "GET https://api.example/users/${user.id}/more", "as the rule writes it");
    assert_eq!((&call["status"], call["start_ms"].is_number(), call["end_ms"].is_number()), (&200.into(), true, true));
    let claim = steps.iter().find(|step| step["name"] == "sub").expect("it was made");
    assert_eq!((&claim["type"], &claim["from"]["text"]), (&"string".into(), &"$.user.id".into()));
    assert!(claim.get("value").is_none(), "{claim}");
    let failed = &traces("?request=failing.1")[0];
    assert_eq!(
        (&failed["status"], &failed["failed"]),
        (&400.into(), &"the access token is malformed".into()),
        "{failed}"
    );
    let request = client().get(format!("http://{admin}/traces")).header("accept", "text/plain");
    let text = block_on(send(request));
    assert_eq!(text.header("content-type"), "text/plain; charset=utf-8");
    assert!(
        text.body.contains("  acme  200 in ") && text.body.contains("failed: the access token is malformed"),
        "{}",
        text.body
    );
    assert!(text.body.contains("map               sub: string from path $.user.id"), "{}", text.body);
    for shown in [text.body, traces("").to_string()] {
        assert!(!shown.contains(TOKEN) && !shown.contains("priv.example"), "{shown}");
    }
}

#[test]
fn there_are_no_traces_unless_settings_want_them() {
    let world = World::new(&[("rules/acme.toml", &rule("a"))]);
    let (server, admin) = start(&world);
    assert_eq!(get(&server, "/acme").status, 200);
    let refused = ask(admin, "/traces");
    assert!(refused.status == 403 && refused.body.contains("admin.traces"), "{}", refused.body);
    let rebound = client().get(format!("http://{admin}/traces")).header("host", "rebound.example");
    assert!(block_on(send(rebound)).body.contains("a page of the web"));
}
