//! Thousands of slow connections, while healthy clients ask (B4).

use std::{
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{
    clients::{Client, percentile, wanted},
    program::{Program, Stage},
    upstream::{Act, Upstream, answer},
};

const CLIENTS: usize = 8;
/// Each client asks once in this time.
const PACE: Duration = Duration::from_millis(20);
/// Figures are taken over so long, and compared by their median, so that one hiccup of the machine decides nothing.
const SLICE: Duration = Duration::from_secs(1);

/// Starts `slowhttptest`, which makes so many connections and keeps them busy.
fn slow(address: SocketAddr, connections: usize, options: &[&str]) -> Child {
    Command::new("slowhttptest")
        .args(["-c", &connections.to_string(), "-r", &(connections / 2).to_string(), "-i", "3", "-p", "5"])
        .args(["-u", &format!("http://{address}/acme")])
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("slowhttptest is installed")
}

/// What healthy clients see in so many slices: the p99 of each, and how many requests failed.
fn healthy(address: SocketAddr, slices: usize) -> (Vec<Duration>, usize, usize) {
    let failed = AtomicUsize::new(0);
    let one = || {
        let (mut client, mut took) = (Client::new(address), vec![Vec::new(); slices]);
        let (began, mut due) = (Instant::now(), Duration::ZERO);
        while due < SLICE * u32::try_from(slices).expect("there are few") {
            thread::sleep(due.saturating_sub(began.elapsed()));
            let slice = (due.as_millis() / SLICE.as_millis()) as usize;
            match client.get("/acme", "t0ken") {
                Ok(reply) if reply.status == 200 => took[slice].push(reply.took),
                other => {
                    if failed.fetch_add(1, Ordering::SeqCst) == 0 {
                        println!("failed: {:?}", other.map(|reply| (reply.status, reply.body)));
                    }
                }
            }
            due += PACE;
        }
        took
    };
    let all: Vec<_> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(one)).collect();
        clients.into_iter().map(|client| client.join().expect("a client does not panic")).collect()
    });
    let mut requests = 0;
    let slices = (0..slices).map(|slice| {
        let mut together: Vec<_> = all.iter().flat_map(|took| took[slice].iter().copied()).collect();
        requests += together.len();
        percentile(&mut together, 0.99)
    });
    let slices = slices.collect();
    (slices, requests, failed.into_inner())
}

/// The most connections that were open at once, looked at until it is over.
fn connections(program: &Program, over: &AtomicBool) -> usize {
    let mut most = 0;
    while !over.load(Ordering::SeqCst) {
        most = most.max(program.descriptors());
        thread::sleep(Duration::from_millis(50));
    }
    most
}

#[test]
fn five_thousand_slow_connections_hold_no_healthy_client_up() {
    let count = wanted("CONNECTIONS", 5000);
    // As long as a near provider takes: what is measured is what comes on top.
    let upstream = Upstream::new(|_| Act::Late(Duration::from_millis(5), answer(200, "", r#"{"id":"1"}"#)));
    let rule = "[call.user]\nurl = \"https://api.example/user\"\n[claims]\nsub = \"$.user.id\"\n";
    let program = Stage::new("", &[("https://api.example", upstream.address)]).rule("acme", rule).start();
    let slices = wanted("SECONDS_OF_TEST", 7);
    healthy(program.address, 1);
    for (what, options) in [
        ("slow heads", &["-H", "-x", "24"][..]),
        ("slow bodies", &["-B", "-s", "8192", "-x", "10"]),
        ("slow readers", &["-X", "-w", "1", "-y", "10", "-n", "5", "-z", "1", "-k", "3"]),
    ] {
        let (mut quiet, _, failed_before) = healthy(program.address, slices);
        let before = program.memory();
        let seconds = (slices + 1).to_string();
        let mut attacker = slow(program.address, count, &[options, &["-l", &seconds]].concat());
        let over = AtomicBool::new(false);
        let ((mut loaded, requests, failed), open) = thread::scope(|scope| {
            let most = scope.spawn(|| connections(&program, &over));
            let seen = healthy(program.address, slices);
            over.store(true, Ordering::SeqCst);
            (seen, most.join().expect("it does not panic"))
        });
        let grown = program.memory().saturating_sub(before);
        // Of ours by its number, in case it goes on.
        let _ = attacker.kill();
        attacker.wait().expect("it was started");
        let (quiet, loaded) = (percentile(&mut quiet, 0.5), percentile(&mut loaded, 0.5));
        println!(
            "B4 {what}: {open} descriptors open, {grown} KiB more; {failed} of {requests} failed; p99 {loaded:?}, quiet {quiet:?}"
        );
        assert_eq!(failed_before + failed, 0, "{what}");
        assert!(open > count * 9 / 10, "{what}: only {open} descriptors were open");
        assert!(loaded < quiet * 2, "{what}: p99 {loaded:?}, quiet {quiet:?}");
    }
}
