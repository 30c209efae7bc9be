//! Ten times as many requests as can be answered (B6).

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use super::{
    clients::{Client, Lateness, percentile, wanted},
    program::Stage,
    upstream::{Act, Upstream, answer},
};

/// How long an answer takes, and how many may be on their way: 200 a second.
const DELAY: Duration = Duration::from_millis(100);
const PLACES: usize = 20;
const CAPACITY: usize = 200;

/// What became of requests that came at a pace, whatever became of those before.
#[derive(Default)]
struct Seen {
    admitted: Vec<Duration>,
    refused: Vec<Duration>,
    /// Since when all are admitted, from the beginning.
    well_since: Duration,
}

/// So many requests a second, from clients that ask once in half a second each.
fn offer(address: SocketAddr, rate: usize, time: Duration) -> Seen {
    const PACE: Duration = Duration::from_millis(500);
    let count = rate / 2;
    let began = Instant::now();
    let one = move |number: usize| {
        let (mut client, mut seen) = (Client::new(address), Seen::default());
        let mut due =
            PACE * u32::try_from(number).expect("there are few") / u32::try_from(count).expect("there are few");
        while due < time {
            thread::sleep(due.saturating_sub(began.elapsed()));
            let reply = client.get("/acme", "t0ken").expect("everybody gets an answer");
            match reply.status {
                200 => seen.admitted.push(reply.took),
                503 => {
                    assert_eq!(reply.json()["error"], "temporarily_unavailable");
                    assert!(
                        reply.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds >= 1),
                        "it says when"
                    );
                    seen.refused.push(reply.took);
                    seen.well_since = began.elapsed();
                }
                status => panic!("{status} {}", reply.body),
            }
            due += PACE;
        }
        seen
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..count).map(|number| scope.spawn(move || one(number))).collect();
        clients.into_iter().map(|client| client.join().expect("everybody gets an answer")).fold(
            Seen::default(),
            |mut all, seen| {
                all.admitted.extend(seen.admitted);
                all.refused.extend(seen.refused);
                all.well_since = all.well_since.max(seen.well_since);
                all
            },
        )
    })
}

#[test]
fn ten_times_too_many_requests_are_answered_and_not_suffered() {
    let time = Duration::from_secs(wanted("SECONDS_OF_TEST", 4) as u64);
    let upstream = Upstream::new(|_| Act::Late(DELAY, answer(200, "", r#"{"id":"1"}"#)));
    let rule = "[call.user]\nurl = \"https://api.example/user\"\n[claims]\nsub = \"$.user.id\"\n";
    let settings = format!("max_requests = {PLACES}\n");
    let program = Stage::new(&settings, &[("https://api.example", upstream.address)]).rule("acme", rule).start();
    let ((mut quiet, mut loaded, after), late) = Lateness::beside(|| {
        let quiet = offer(program.address, CAPACITY / 2, time);
        let loaded = offer(program.address, CAPACITY * 10, time);
        (quiet, loaded, offer(program.address, CAPACITY / 2, Duration::from_secs(5)))
    });
    let [p50, p99] = [0.5, 0.99].map(|part| percentile(&mut loaded.admitted, part));
    let [quiet50, quiet99] = [0.5, 0.99].map(|part| percentile(&mut quiet.admitted, part));
    let [refused50, refused99] = [0.5, 0.99].map(|part| percentile(&mut loaded.refused, part));
    println!(
        "B6 {} admitted of {}: p50 {p50:?} p99 {p99:?}, quiet p50 {quiet50:?} p99 {quiet99:?}; refused p50 {refused50:?} \
         p99 {refused99:?}; well again after {:?} (machine {late:?} late)",
        loaded.admitted.len(),
        loaded.admitted.len() + loaded.refused.len(),
        after.well_since,
    );
    assert!(quiet.refused.is_empty(), "there is room when it is quiet");
    // What fits is admitted, or little less.
    let fits = CAPACITY * time.as_secs() as usize;
    assert!(loaded.admitted.len() > fits * 7 / 10, "only {} of {fits}", loaded.admitted.len());
    assert!(loaded.refused.len() > loaded.admitted.len() * 4, "it was too much");
    assert!(p50 < quiet50 * 5 / 4 + late, "admitted requests keep their latency");
    assert!(p99 < quiet99 * 3 / 2 + late, "admitted requests keep their latency");
    assert!(refused99 < DELAY / 2 + late, "the others are refused at once");
    assert!(after.well_since < Duration::from_secs(5) && after.refused.len() <= PLACES, "it is well again");
}
