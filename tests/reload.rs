//! Rules, secrets and settings that change while the program serves.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    cli::{Server, claimsmith, folder},
    support::{Answer, Load, Reply, Upstream, block_on, client, send},
};

/// Nothing that a test waits for may take longer.
const LIMIT: Duration = Duration::from_secs(60);

/// A rule whose answers tell which form of it made them.
pub fn rule(mark: &str) -> String {
    format!(
        "[vars]\nmark = \"{mark}\"\n[call.user]\nurl = \"https://api.example/me\"\n[claims]\nsub = \"$.user.id\"\n\
         mark = \"$.vars.mark\"\n"
    )
}

/// A folder of rules, settings, and an upstream for them.
pub struct World {
    pub folder: TempDir,
    pub upstream: Upstream,
}

impl World {
    pub fn new(files: &[(&str, &str)]) -> Self {
        // What was sent as a key is in the answer, so that it can be a claim.
        let upstream =
            Upstream::new(|seen| Reply::json(format!("{{\"id\":1,\"key\":\"{}\"}}", seen.header("api-key"))));
        let folder = folder(files);
        fs::create_dir_all(folder.path().join("rules")).expect("a folder can be made");
        let world = World { folder, upstream };
        world.settings("");
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the settings: those that every test needs, and others.
    pub fn settings(&self, more: &str) {
        let origin = &self.upstream.origin;
        self.write("claimsmith.toml", &format!("{more}\n[upstream.reroute]\n\"https://api.example\" = \"{origin}\"\n"));
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("the folder can be written to");
    }

    /// The command that serves it; it looks for changes often.
    pub fn serve(&self, more: &[&str]) -> Command {
        let mut command = claimsmith(&["serve", "--workers", "2"]);
        if !more.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.args(more).current_dir(self.folder.path()).env("CLAIMSMITH_WATCH", "50ms");
        command
    }
}

pub fn get(server: &Server, path: &str) -> Answer {
    block_on(send(client().get(format!("http://{}{path}", server.address)).bearer_auth("t0ken")))
}

/// Asks again and again until the answer is as it should be.
#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < LIMIT, "{what}");
        std::thread::yield_now();
    }
}

#[track_caller]
fn until_marked(server: &Server, path: &str, mark: &str) {
    until(mark, || get(server, path).body.contains(&format!("\"mark\":\"{mark}\"")));
}

#[test]
fn fifty_edits_good_and_bad_fail_no_request() {
    let world = World::new(&[("rules/acme.toml", &rule("0"))]);
    let mut server = Server::start(world.serve(&[]));
    let load = Load::start(4, server.address, "/acme");
    let broken =
        [rule("x").replace("$.user.id", "$.usr.id"), "[claims".into(), String::new(), rule("x").replace("url", "ulr")];
    for number in 1..=25 {
        world.write("rules/acme.toml", &broken[number % broken.len()]);
        server.line("its last sound form goes on serving");
        assert_eq!(get(&server, "/acme").json()["mark"], (number - 1).to_string(), "the last sound form serves");
        world.write("rules/acme.toml", &rule(&number.to_string()));
        until_marked(&server, "/acme", &number.to_string());
    }
    let (failures, done) = load.stop();
    assert_eq!(failures, [""; 0], "of {done} requests");
    assert!(done > 100, "only {done} requests were made");
    server.signal("-TERM");
    let ran = server.end();
    for part in ["CS1001", "CS1002", "CS2002", "CS6002", "rules/acme.toml:", "\"rule\":\"acme\""] {
        assert!(ran.err.contains(part), "{part} is told in {}", ran.err);
    }
}

#[test]
fn a_rule_comes_and_goes_with_its_file() {
    let world = World::new(&[("rules/acme.toml", &rule("a")), ("rules/other.toml", &rule("o"))]);
    let mut server = Server::start(world.serve(&[]));
    assert_eq!(get(&server, "/new").status, 404);
    world.write("rules/new.toml", &rule("n"));
    until_marked(&server, "/new", "n");
    fs::remove_file(world.path("rules/acme.toml")).expect("it is there");
    until("the rule is gone", || get(&server, "/acme").status == 404);
    assert_eq!(server.json("\"removed\":\"acme\"")["rules"], "new,other");
    assert_eq!(get(&server, "/other").status, 200);
    // A folder that is gone is a fault, and no wish to serve nothing.
    fs::rename(world.path("rules"), world.path("away")).expect("the folder can be renamed");
    server.line("the rules stay as they were");
    assert_eq!(get(&server, "/other").status, 200);
    fs::rename(world.path("away"), world.path("rules")).expect("the folder can be renamed");
    world.write("rules/other.toml", &rule("p"));
    until_marked(&server, "/other", "p");
}

#[cfg(unix)]
#[test]
fn the_links_of_a_config_map_are_followed() {
    use std::os::unix::fs::symlink;
    // As the kubelet does it: files are links through `..data`, which is exchanged for another in one step.
    let exchange = |folder: &Path, version: &str, text: &str| {
        fs::create_dir(folder.join(version)).expect("a folder can be made");
        fs::write(folder.join(version).join("acme.toml"), text).expect("the folder can be written to");
        symlink(version, folder.join("..data_tmp")).expect("a link can be made");
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).expect("a link can be renamed");
    };
    let world = World::new(&[]);
    let rules = world.path("rules");
    exchange(&rules, "..first", &rule("1"));
    symlink("..data/acme.toml", rules.join("acme.toml")).expect("a link can be made");
    let server = Server::start(world.serve(&[]));
    assert_eq!(get(&server, "/acme").json()["mark"], "1");
    exchange(&rules, "..second", &rule("2"));
    fs::remove_dir_all(rules.join("..first")).expect("it is there");
    until_marked(&server, "/acme", "2");
}

#[test]
fn a_secret_in_a_file_is_exchanged_under_load() {
    let world = World::new(&[("secret", "first\n")]);
    let file = world.path("secret");
    let rule = format!(
        "[secrets]\nkey = {{ file = '{}' }}\n[call.user]\nurl = \"https://api.example/me\"\n\
         headers = {{ api-key = \"${{secrets.key}}\" }}\n[claims]\nsub = \"$.user.id\"\nkey = \"$.user.key\"\n",
        file.display()
    );
    world.write("rules/acme.toml", &rule);
    let mut server = Server::start(world.serve(&[]));
    let load = Load::start(4, server.address, "/acme");
    assert_eq!(get(&server, "/acme").json()["key"], "first");
    for value in ["second", "third", "other"] {
        world.write("secret.new", value);
        fs::rename(world.path("secret.new"), &file).expect("a file can be renamed");
        let exchanged = Instant::now();
        until(value, || get(&server, "/acme").json()["key"] == value);
        assert!(exchanged.elapsed() < Duration::from_secs(10), "soon after");
    }
    // Without its secret the rule goes on with what it had.
    fs::remove_file(&file).expect("it is there");
    server.line("its last sound form goes on serving");
    assert_eq!(get(&server, "/acme").json()["key"], "other");
    let (failures, done) = load.stop();
    assert_eq!(failures, [""; 0], "of {done} requests");
    server.signal("-TERM");
    let log = server.end().err;
    assert!(["first", "second", "third", "other"].iter().all(|value| !log.contains(value)), "{log}");
}

#[test]
fn settings_are_taken_over_or_wait_for_a_restart() {
    let world = World::new(&[("rules/acme.toml", &rule("a"))]);
    let mut server = Server::start(world.serve(&[]));
    let in_query = || block_on(send(client().get(format!("http://{}/acme?access_token=t", server.address)))).status;
    assert_eq!(in_query(), 400);
    world.settings("query_token = true\nworkers = 7\nmax_streams = 9\n[rule.acme.vars]\nmark = \"set\"\n");
    until_marked(&server, "/acme", "set");
    until("the setting is taken over", || in_query() == 200);
    assert_eq!(server.json("need a restart")["settings"], "max_streams");
    assert_eq!(server.json("settings are taken over")["settings"], "query_token,rule.acme.vars.mark");
    world.settings("query_token = 5");
    let line = server.line("the settings stay as they were");
    assert!(line.contains("query_token"), "{line}");
    assert_eq!(get(&server, "/acme").json()["mark"], "set");
    world.settings("");
    until_marked(&server, "/acme", "a");
}

#[test]
fn a_signal_loads_again_when_nobody_looks() {
    let world = World::new(&[("rules/acme.toml", &rule("1"))]);
    let mut command = world.serve(&[]);
    command.env("CLAIMSMITH_WATCH", "0s");
    let mut server = Server::start(command);
    for mark in ["2", "3"] {
        world.write("rules/acme.toml", &rule(mark));
        server.signal("-HUP");
        server.line("rules are taken over");
        assert_eq!(get(&server, "/acme").json()["mark"], mark);
    }
    server.signal("-TERM");
    assert_eq!(server.end().code, Some(0));
}

#[test]
fn a_request_ends_on_the_rule_that_it_began_with() {
    let (arrived, arrivals) = std::sync::mpsc::channel();
    let (release, released) = tokio::sync::watch::channel(false);
    let upstream = Upstream::slow(move |_| {
        let mut released = released.clone();
        // The test has ended if nobody listens.
        let _ = arrived.send(());
        async move {
            let _ = released.wait_for(|released| *released).await;
            Reply::json(r#"{"id":1}"#)
        }
    });
    let world = World { upstream, ..World::new(&[("rules/acme.toml", &rule("old"))]) };
    world.settings("");
    let mut server = Server::start(world.serve(&[]));
    let url = format!("http://{}/acme", server.address);
    let request = std::thread::spawn(move || block_on(send(client().get(url).bearer_auth("t0ken"))));
    arrivals.recv_timeout(LIMIT).expect("the upstream is asked");
    world.write("rules/acme.toml", &rule("new"));
    server.line("rules are taken over");
    release.send(true).expect("the upstream waits for it");
    assert_eq!(request.join().expect("it is answered").json()["mark"], "old");
    assert_eq!(get(&server, "/acme").json()["mark"], "new");
}
