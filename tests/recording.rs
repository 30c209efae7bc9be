//! Logins that the process in service writes as cases: only when told to, once, within bounds, without the person.

use std::{fs, net::SocketAddr};

use claimsmith::core::trace;
use http::Method;

use crate::{
    cli::{ADMIN, Run, Server, claimsmith, run},
    reload::{World, until},
    support::{Answer, Reply, Seen, Upstream, block_on, client, send},
};

const TOKEN: &str = "T0ken-Mark.91c2";
const SECRET: &str = "S3cret/Mark+b64d02";
const MARKS: [&str; 8] =
    [TOKEN, SECRET, "583231777", "adamark", "Ada Markham", "ada.mark@priv.example", "7946 0958", "81.2.69.142"];

/// A rule with a key of ours, two calls, and a guard that Ada does not pass.
const RULE: &str = r#"
[secrets]
key = { file = "KEY" }

[call.user]
url     = "https://api.example/me"
headers = { api-key = "${secrets.key}" }
query   = { proof = "${hmac_sha256(secrets.key, token)}" }
token   = "bearer"

[call.emails]
url = "https://api.example/users/${user.id}/emails"

[[require]]
that   = "user.kind == \"staff\""
error  = "access_denied"
reason = "staff alone may come in"

[claims]
sub   = "$.user.id"
email = "$.emails[0].address"
name  = "$.user.name"
phone_number = "$.user.phone"
"#;

fn provider(seen: &Seen) -> Reply {
    match (seen.target.split('?').next().unwrap_or_default(), seen.header("authorization")) {
        ("/me", "Bearer good-token") => Reply::json(r#"{"id": 1, "kind": "staff", "name": "Ben"}"#),
        ("/me", "Bearer gone-token") => Reply::new(500, "down"),
        ("/me", "Bearer huge-token") => {
            Reply::json(format!(r#"{{"id": 2, "kind": "staff", "name": "{}"}}"#, "x".repeat(700_000)))
        }
        ("/me", _) => Reply::json(
            r#"{"id": 583231777, "kind": "guest", "name": "Ada Markham", "login": "adamark",
                "phone": "+44 20 7946 0958", "ip": "81.2.69.142"}"#,
        ),
        ("/users/2/emails", _) => Reply::json(format!(r#"[{{"address": "{}"}}]"#, "y".repeat(700_000))),
        _ => Reply::json(r#"[{"address": "ada.mark@priv.example"}]"#),
    }
}

/// Serves the rule, and others, with these settings.
fn start(rules: &[(&str, &str)], settings: &str) -> (World, Server, SocketAddr) {
    let mut world = World::new(&[("key", SECRET)]);
    world.upstream = Upstream::new(provider);
    world.settings(settings);
    for (name, text) in rules {
        let key = world.path("key").display().to_string();
        world.write(&format!("rules/{name}.toml"), &text.replace("\"KEY\"", &format!("'{key}'")));
    }
    let mut command = world.serve(&[]);
    command.env(ADMIN, "127.0.0.1:0");
    let mut server = Server::start(command);
    let admin = server.admin();
    (world, server, admin)
}

const ON: &str = "[admin]\nrecord = true";

fn ask(admin: SocketAddr, method: Method, query: &str) -> Answer {
    block_on(send(client().request(method, format!("http://{admin}/record{query}"))))
}

fn log_in(server: &Server, path: &str, token: &str) -> Answer {
    block_on(send(client().get(format!("http://{}/{path}", server.address)).bearer_auth(token)))
}

/// What came of a recording, when something did.
fn result(admin: SocketAddr, rule: &str) -> Answer {
    let mut answer = None;
    until("something comes of it", || {
        let now = ask(admin, Method::GET, &format!("?rule={rule}"));
        let done = now.status != 202;
        answer = Some(now);
        done
    });
    answer.expect("it was asked")
}

/// No mark stands in a text, in whatever form.
#[track_caller]
fn unmarked(text: &str) {
    for mark in MARKS {
        for form in trace::forms(mark).into_iter().chain([mark.to_lowercase()]) {
            assert!(!text.contains(&form), "{form} ({mark}) in\n{text}");
        }
    }
}

fn test(world: &World) -> Run {
    let mut command = claimsmith(&["test", "rules"]);
    command.current_dir(world.folder.path());
    run(command)
}

#[test]
fn a_failing_login_in_service_becomes_a_case_that_fails_the_same_way() {
    let (world, server, admin) = start(&[("acme", RULE)], ON);
    let armed = ask(admin, Method::POST, "?rule=acme&failures=true&for=5m");
    assert_eq!((armed.status, &armed.json()["state"]), (201, &"armed".into()), "{}", armed.body);
    // These do not fit: one that goes well, one without a token, one of another method.
    assert_eq!(log_in(&server, "acme", "good-token").status, 200);
    assert_eq!(block_on(send(client().get(format!("http://{}/acme", server.address)))).status, 401);
    assert_eq!(block_on(send(client().delete(format!("http://{}/acme", server.address)))).status, 405);
    assert_eq!(ask(admin, Method::GET, "?rule=acme").status, 202);
    let failed = log_in(&server, "acme", TOKEN);
    assert_eq!((failed.status, &failed.json()["error"]), (403, &"access_denied".into()), "{}", failed.body);
    let case = result(admin, "acme");
    assert_eq!((case.status, case.header("content-type")), (200, "application/toml"), "{}", case.body);
    unmarked(&case.body);
    assert!(case.body.contains("access_denied") && case.body.contains("403"), "{}", case.body);
    assert!(case.body.contains("\"staff\"") || case.body.contains("guest"), "what the rule compares stays");
    world.write("rules/acme.test.toml", &case.body);
    let ran = test(&world);
    assert_eq!(ran.code, Some(0), "{} {}\n{}", ran.out, ran.err, case.body);
    // It is the guard that it fails by: without it, it is another answer.
    let text = fs::read_to_string(world.path("rules/acme.toml")).expect("it is there");
    world.write("rules/acme.toml", &text.replace("== \\\"staff\\\"", "!= \\\"staff\\\""));
    let ran = test(&world);
    assert_eq!(ran.code, Some(1), "{} {}", ran.out, ran.err);
    // It is there until it is taken away, and no other request is noted.
    assert_eq!(ask(admin, Method::GET, "?rule=acme").body, case.body);
    assert_eq!(ask(admin, Method::DELETE, "?rule=acme").status, 200);
    assert_eq!(
        [ask(admin, Method::GET, "?rule=acme").status, ask(admin, Method::DELETE, "?rule=acme").status],
        [404; 2]
    );
    server.signal("-TERM");
    unmarked(&server.end().err);
}

#[test]
fn a_recording_wants_one_request_by_status_or_id() {
    let (_world, server, admin) = start(&[("acme", RULE), ("other", RULE)], ON);
    assert_eq!(ask(admin, Method::POST, "?rule=acme&status=502").status, 201);
    assert_eq!(ask(admin, Method::POST, "?rule=acme").status, 409, "one is armed");
    assert_eq!(ask(admin, Method::POST, "?rule=other&request=this.one").status, 201);
    assert_eq!([log_in(&server, "acme", TOKEN).status, log_in(&server, "acme", "gone-token").status], [403, 502]);
    let case = result(admin, "acme");
    assert!(case.status == 200 && case.body.contains("status = 502"), "{}", case.body);
    for (id, state) in [("another.one", 202), ("this.one", 200)] {
        let request = client().get(format!("http://{}/other", server.address)).bearer_auth("good-token");
        assert_eq!(block_on(send(request.header("x-request-id", id))).status, 200);
        if state == 200 {
            assert_eq!(result(admin, "other").status, 200);
        } else {
            assert_eq!(ask(admin, Method::GET, "?rule=other").status, 202);
        }
    }
    let all = ask(admin, Method::GET, "").json();
    assert_eq!(
        (&all[0]["rule"], &all[0]["state"], &all[1]["state"]),
        (&"acme".into(), &"written".into(), &"written".into())
    );
    assert_eq!(all[1]["looked_at"], 1, "another id is not even noted: {all}");
    // What is done makes room for the next.
    assert_eq!(ask(admin, Method::POST, "?rule=acme").status, 201);
}

#[test]
fn nothing_is_recorded_unless_settings_say_so_and_nobody_else_can_ask() {
    let (world, server, admin) = start(&[("acme", RULE)], "");
    for method in [Method::GET, Method::POST, Method::DELETE] {
        let refused = ask(admin, method.clone(), "?rule=acme");
        assert!(refused.status == 403 && refused.body.contains("admin.record"), "{method}: {}", refused.body);
    }
    drop(server);
    world.settings(ON);
    let mut open = world.serve(&[]);
    open.env(ADMIN, "0.0.0.0:0");
    let ran = run(open);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(ran.err.contains("`admin.record` wants an `admin.key`"), "{}", ran.err);
    world.write("admin-key", "the-admin-key");
    world.settings(&format!("[admin]\nrecord = true\nkey = {{ file = '{}' }}", world.path("admin-key").display()));
    let mut command = world.serve(&[]);
    command.env(ADMIN, "127.0.0.1:0");
    let mut server = Server::start(command);
    let admin = server.admin();
    let with = |headers: &[(&str, &str)]| {
        let request = client().post(format!("http://{admin}/record?rule=acme"));
        block_on(send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)))).status
    };
    assert_eq!([with(&[]), with(&[("authorization", "Bearer the-admin-ke")])], [401; 2]);
    let key = ("authorization", "Bearer the-admin-key");
    assert_eq!([with(&[key, ("origin", "https://evil.example")]), with(&[key])], [403, 201]);
}

#[test]
fn a_page_in_a_browser_cannot_ask() {
    let (_world, _server, admin) = start(&[("acme", RULE)], ON);
    let with = |name: &str, value: &str| {
        let request = client().post(format!("http://{admin}/record?rule=acme")).header(name, value);
        block_on(send(request)).status
    };
    assert_eq!(with("origin", &format!("http://{admin}")), 403);
    assert_eq!(with("host", "rebound.example:8081"), 403);
    assert_eq!(with("host", "localhost:8081"), 201);
}

#[test]
fn what_cannot_be_a_case_is_said_and_not_given_out() {
    let verified = "[token]\njwt = { jwks = \"https://api.example/jwks\", issuer = \"https://api.example\", audience = \"us\" }\n\
        [call.user]\nurl = \"https://api.example/me\"\n[claims]\nsub = \"$.user.id\"\n";
    let (_world, server, admin) = start(&[("acme", RULE), ("verified", verified)], ON);
    let refused = ask(admin, Method::POST, "?rule=verified");
    assert!(refused.status == 422 && refused.body.contains("signature"), "{}", refused.body);
    assert_eq!(ask(admin, Method::POST, "?rule=nothing").status, 404);
    for query in ["", "?rule=acme&for=11m", "?rule=acme&status=1", "?rule=acme&frobnicate=1"] {
        assert_eq!(ask(admin, Method::POST, query).status, 400, "{query}");
    }
    // More bytes than a case may have: the login goes well, and nothing of it is kept.
    assert_eq!(ask(admin, Method::POST, "?rule=acme").status, 201);
    assert_eq!(log_in(&server, "acme", "huge-token").status, 200);
    let refused = result(admin, "acme");
    assert!(refused.status == 422 && refused.body.contains("bytes"), "{}", refused.body);
}

#[test]
fn a_recorded_login_uses_nothing_that_was_kept_and_may_run_out_of_time() {
    let kept = "cache = \"5m\"\n[secrets]\nkey = { file = \"KEY\" }\n[call.user]\nurl = \"https://own.example/me\"\n\
        auth = { client_credentials = { token_url = \"https://own.example/token\", client_id = \"us\", \
        client_secret = \"${secrets.key}\" } }\ntoken = { header = \"x-token\" }\n[claims]\nsub = \"$.user.id\"\n";
    let slow = "[call.user]\nurl = \"https://own.example/never\"\n[claims]\nsub = \"$.user.id\"\n";
    let own = Upstream::slow(async |seen: Seen| match &*seen.target {
        "/token" => Reply::json(r#"{"access_token": "Gr4nt.Mark_8ae5", "token_type": "bearer", "expires_in": 3600}"#),
        "/never" => std::future::pending().await,
        _ => Reply::json(r#"{"id": 583231777}"#),
    });
    let world = World::new(&[("key", SECRET), ("rules/slow.toml", slow)]);
    world.write("rules/kept.toml", &kept.replace("\"KEY\"", &format!("'{}'", world.path("key").display())));
    let reroute = format!("[upstream.reroute]\n\"https://own.example\" = \"{}\"\n", own.origin);
    world.write("claimsmith.toml", &format!("deadline = \"3s\"\n{ON}\n{reroute}"));
    let mut command = world.serve(&[]);
    command.env(ADMIN, "127.0.0.1:0");
    let mut server = Server::start(command);
    let admin = server.admin();
    // The answer and our own token are kept now.
    assert_eq!([log_in(&server, "kept", TOKEN).status, log_in(&server, "kept", TOKEN).status], [200; 2]);
    assert_eq!(
        [ask(admin, Method::POST, "?rule=kept").status, ask(admin, Method::POST, "?rule=slow").status],
        [201; 2]
    );
    assert_eq!([log_in(&server, "kept", TOKEN).status, log_in(&server, "slow", TOKEN).status], [200, 504]);
    for (rule, parts) in [("kept", ["/token", "/me"]), ("slow", ["/never", "504"])] {
        let case = result(admin, rule);
        assert_eq!(case.status, 200, "{rule}: {}", case.body);
        assert!(parts.iter().all(|part| case.body.contains(part)), "{}", case.body);
        unmarked(&case.body);
        assert!(!case.body.contains("Gr4nt.Mark"), "{}", case.body);
        world.write(&format!("rules/{rule}.test.toml"), &case.body);
    }
    let ran = test(&world);
    assert_eq!(ran.code, Some(0), "{} {}", ran.out, ran.err);
}

#[test]
fn the_command_puts_a_case_beside_the_rule() {
    let (world, server, admin) = start(&[("acme", RULE)], ON);
    let record = |more: &[&str]| {
        let mut command = claimsmith(&["record", "acme"]);
        command.args(more).current_dir(world.folder.path()).env(ADMIN, admin.to_string());
        command
    };
    for names in [["recorded: 403 access_denied"].as_slice(), &["recorded: 403 access_denied", "access_denied, 2"]] {
        let mut recording = record(&["--status", "403"]).spawn().expect("the program can be started");
        until("it is armed", || ask(admin, Method::GET, "?rule=acme").status == 202);
        assert_eq!(log_in(&server, "acme", TOKEN).status, 403);
        assert_eq!(recording.wait().expect("it ends").code(), Some(0));
        let cases = fs::read_to_string(world.path("rules/acme.test.toml")).expect("it was written");
        assert!(names.iter().all(|name| cases.contains(name)), "{cases}");
        unmarked(&cases);
        let ran = test(&world);
        assert_eq!(ran.code, Some(0), "{} {}", ran.out, ran.err);
    }
    assert_eq!(ask(admin, Method::GET, "").json(), serde_json::json!([]), "nothing is left behind");
    let ran = run(record(&["--for", "1h"]));
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(ran.err.contains("at most 10m"), "{}", ran.err);
}
