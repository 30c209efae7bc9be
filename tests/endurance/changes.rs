//! Edits, good and bad, exchanged secrets and rolling restarts, while 32 clients that keep their connections ask: no
//! request fails, and what is wrong is seen (A1, A2, S3).

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{
    clients::{Client, percentile},
    program::{LIMIT, Program, Stage},
    upstream::{Act, Upstream, answer},
};

const CLIENTS: usize = 32;
/// The watch interval of the program under test, and what a loaded machine may add to it.
const SOON: Duration = Duration::from_secs(2);

fn rule(mark: usize) -> String {
    format!(
        "[vars]\nmark = \"{mark}\"\n[secrets]\nkey = {{ file = \"secret\" }}\n[call.user]\n\
         url = \"https://api.example/me\"\nheaders = {{ api-key = \"${{secrets.key}}\" }}\n[claims]\nsub = \"$.user.id\"\n\
         key = \"$.user.key\"\nmark = \"$.vars.mark\"\n"
    )
}

/// What is wrong with a rule, each with the code of its problem.
fn broken(mark: usize) -> (String, &'static str) {
    let sound = rule(1000 + mark);
    match mark % 4 {
        0 => (sound.replace("$.user.id", "$.usr.id"), "CS2002"),
        1 => ("[claims".into(), "CS1001"),
        2 => (sound.replace("url", "ulr"), "CS1002"),
        _ => (String::new(), "CS6002"),
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < LIMIT, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
    started.elapsed()
}

fn page(program: &Program, path: &str) -> String {
    let url = (program.admin, path);
    Client::new(url.0).get(url.1, "t").map(|reply| reply.body).unwrap_or_default()
}

struct Load<'a> {
    address: SocketAddr,
    over: &'a AtomicBool,
    done: &'a AtomicUsize,
}

impl Load<'_> {
    /// One client; its first failure.
    fn run(&self) -> Option<String> {
        let mut client = Client::new(self.address);
        while !self.over.load(Ordering::SeqCst) {
            match client.get("/acme", "t0ken") {
                Ok(reply) if reply.status == 200 => self.done.fetch_add(1, Ordering::SeqCst),
                Ok(reply) => return Some(format!("{} {}", reply.status, reply.body)),
                Err(why) => return Some(why),
            };
            thread::sleep(Duration::from_millis(1));
        }
        None
    }
}

/// Ends the load also when a test fails in its midst.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn fifty_edits_five_restarts_and_new_secrets_fail_no_request() {
    let upstream = Upstream::new(|asked| {
        Act::Answer(answer(200, "", &format!("{{\"id\":1,\"key\":\"{}\"}}", asked.header("api-key"))))
    });
    let settings = "share_port = true\n";
    let stage = Stage::new(settings, &[("https://api.example", upstream.address)]);
    stage.write("secret", "s0");
    stage.write("rules/acme.toml", &rule(0));
    let mut program = stage.start();
    let address = program.address;
    let (over, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (mut seen, mut exchanged) = (Vec::new(), Vec::new());
    let failures: Vec<_> = thread::scope(|scope| {
        let load = || Load { address, over: &over, done: &done }.run();
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(load)).collect();
        let _over = Over(&over);
        let claims = || Client::new(address).get("/acme", "t0ken").expect("it serves").json();
        for edit in 1..=25 {
            let (text, code) = broken(edit);
            stage.write("rules/acme.toml", &text);
            // The metric, the page and the log say so, each of its own accord.
            let told = until("the broken rule is seen", || {
                page(&program, "/metrics").contains("claimsmith_rule_broken{rule=\"acme\"} 1")
            });
            assert!(told < SOON, "seen only after {told:?}");
            let rules = page(&program, "/rules");
            assert!(rules.contains(code) && rules.contains("kept"), "{code} in {rules}");
            program.line(code);
            assert_eq!(claims()["mark"], (edit - 1).to_string(), "its last sound form serves");
            stage.write("rules/acme.toml", &rule(edit));
            seen.push(until("the edit is taken over", || claims()["mark"].as_str() == Some(&*edit.to_string())));
            let secret = format!("s{edit}");
            stage.write("secret", &secret);
            exchanged.push(until("the secret is exchanged", || claims()["key"] == secret));
            if edit % 5 == 0 {
                let next = stage.start_at(&address.to_string());
                let before = std::mem::replace(&mut program, next);
                assert!(before.stop(), "it ends well");
                let so_far = done.load(Ordering::SeqCst);
                until("the next one answers", || done.load(Ordering::SeqCst) > so_far + 50);
            }
        }
        over.store(true, Ordering::SeqCst);
        clients.into_iter().filter_map(|client| client.join().expect("a client does not panic")).collect()
    });
    let (taken, secrets) = (percentile(&mut seen, 1.0), percentile(&mut exchanged, 1.0));
    println!(
        "A1 A2 S3 {} requests, 50 edits, 25 secrets, 5 restarts: {} failed; an edit is taken over within {taken:?}, a secret within {secrets:?}",
        done.load(Ordering::SeqCst),
        failures.len()
    );
    assert!(failures.is_empty(), "{failures:?}");
    assert!(taken < SOON && secrets < SOON, "edits after {taken:?}, secrets after {secrets:?}");
    assert!(done.load(Ordering::SeqCst) > 2000, "it was not much of a load");
}
