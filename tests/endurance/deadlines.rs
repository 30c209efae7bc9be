//! One request has one deadline, and keeps it (B1).

use std::{
    sync::{Arc, Barrier},
    thread,
    time::{Duration, Instant},
};

use super::{
    clients::{Client, Lateness, percentile, wanted},
    program::Stage,
    upstream::{Act, Upstream, answer},
};

const DEADLINE: Duration = Duration::from_secs(1);
/// How much later than its deadline an answer may come.
const GRACE: Duration = Duration::from_millis(100);
const TRIES: usize = 3;

/// A thousand requests that are on their way together, for each way in which an upstream takes too long.
#[test]
fn a_deadline_is_kept_by_a_thousand_at_once_whatever_the_upstream_does() {
    let at_once = wanted("TIMES", 1000);
    let upstream = Upstream::new(|asked| match asked.path {
        "/hung" => Act::Hang,
        // No byte in time, and a head that comes in time with a body that does not.
        "/late" => Act::Late(DEADLINE * 3, answer(200, "", r#"{"id":"1"}"#)),
        _ => Act::Drip(Duration::from_millis(200), answer(200, "", r#"{"id":"1"}"#)),
    });
    let settings = format!(
        "deadline = \"{}ms\"\nmax_requests = 10000\n[upstream]\ntrip_after = 0\nmax_per_origin = 10000\n",
        DEADLINE.as_millis()
    );
    let mut stage = Stage::new(&settings, &[("https://api.example", upstream.address)]);
    for name in ["hung", "late", "drip"] {
        let text = format!("[call.user]\nurl = \"https://api.example/{name}\"\n[claims]\nsub = \"$.user.id\"\n");
        stage = stage.rule(name, &text);
    }
    let program = stage.start();
    let mut sent = 0;
    for path in ["/hung", "/late", "/drip"] {
        // A machine that is busy with something else can only add to it: one of a few tries has to be in time.
        let in_time = (0..TRIES).any(|_| {
            let (mut took, late) = Lateness::beside(|| all_at_once(&program.address, path, at_once));
            sent += at_once;
            let (median, worst) = (percentile(&mut took, 0.5), percentile(&mut took, 1.0));
            println!(
                "B1 {path}: {at_once} answers of 504, median {median:?}, worst {worst:?}; the machine was {late:?} late"
            );
            assert!(took[0] >= DEADLINE, "{path}: not before its time");
            worst <= DEADLINE + GRACE + late
        });
        assert!(in_time, "{path}: later than {DEADLINE:?} + {GRACE:?} in each of {TRIES} tries");
    }
    assert_eq!(upstream.asked(), sent, "each was sent, and once");
}

/// How long each took, from when its request was sent. They are sent one after the other within the deadline, so that all are
/// on their way together, and not all are due in the same millisecond: then it would be the speed of the machine that is measured.
fn all_at_once(address: &std::net::SocketAddr, path: &'static str, count: usize) -> Vec<Duration> {
    let connected = Arc::new(Barrier::new(count));
    let count = u32::try_from(count).expect("there are few");
    let clients: Vec<_> = (0..count)
        .map(|number| {
            let address = *address;
            let (connected, turn) = (connected.clone(), DEADLINE * number / count);
            let ask = move || {
                let mut client = Client::new(address);
                client.send(&[]).expect("the gateway accepts");
                connected.wait();
                thread::sleep(turn);
                let began = Instant::now();
                let reply = client.get(path, &format!("t{number}")).expect("there is an answer");
                assert_eq!(reply.status, 504, "{}", reply.body);
                began.elapsed()
            };
            thread::Builder::new().stack_size(256 * 1024).spawn(ask).expect("a thread can be started")
        })
        .collect();
    clients.into_iter().map(|client| client.join().expect("every answer is a 504")).collect()
}
