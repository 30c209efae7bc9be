//! An upstream that is away for long while everybody asks: it is left alone, and found again (B7).

use std::{
    sync::Arc,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{
    clients::{Client, Lateness, wanted},
    program::Stage,
    proxy::{Harm, Proxy},
    upstream::{Act, Upstream, answer},
};

const CLIENTS: usize = 32;
const PROBE: Duration = Duration::from_millis(500);
/// The setting: failures in a row after which it is left alone.
const TRIP: usize = 10;

/// `.ci/endurance outage --seconds 60` is the promise.
#[test]
fn an_upstream_that_is_away_is_left_alone_and_found_again() {
    let time = Duration::from_secs(wanted("SECONDS_OF_TEST", 4) as u64);
    let away = Arc::new(AtomicBool::new(false));
    let is_away = away.clone();
    let upstream = Upstream::new(move |_| match is_away.load(Ordering::SeqCst) {
        true => Act::Answer(answer(503, "", "{}")),
        false => Act::json(r#"{"id":"1"}"#),
    });
    let proxy = Proxy::new(upstream.address);
    // As many repeats as may be: they are no storm either.
    let rule = "[call.user]\nurl = \"https://api.example/user\"\nretry = 3\n[claims]\nsub = \"$.user.id\"\n";
    let settings = format!("deadline = \"1s\"\n[upstream]\nprobe_every = \"{}ms\"\n", PROBE.as_millis());
    let program = Stage::new(&settings, &[("https://api.example", proxy.address)]).rule("acme", rule).start();
    let ask = || Client::new(program.address).get("/acme", "t0ken").expect("there is an answer").status;
    for what in ["503", "nobody listens", "hung"] {
        assert_eq!(ask(), 200, "{what}: all is well before");
        let seen = || if what == "503" { upstream.asked() } else { proxy.accepted() };
        let before = seen();
        match what {
            "503" => away.store(true, Ordering::SeqCst),
            "hung" => proxy.set(Harm::Hung),
            _ => proxy.set(Harm::Killed),
        }
        let (asked, began) = (AtomicUsize::new(0), Instant::now());
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    let mut client = Client::new(program.address);
                    while began.elapsed() < time {
                        let status = client.get("/acme", "t0ken").expect("there is an answer").status;
                        assert!(matches!(status, 502 | 504), "{what}: {status}");
                        asked.fetch_add(1, Ordering::SeqCst);
                        thread::sleep(Duration::from_millis(10));
                    }
                });
            }
        });
        let (asked, sent) = (asked.into_inner(), seen() - before);
        away.store(false, Ordering::SeqCst);
        proxy.set(Harm::None);
        let ended = Instant::now();
        let (recovered, late) = Lateness::beside(|| {
            while ask() != 200 {
                assert!(ended.elapsed() < PROBE * 20, "{what}: it is not found again");
                thread::sleep(Duration::from_millis(5));
            }
            ended.elapsed()
        });
        let probes = (began.elapsed().as_millis() / PROBE.as_millis()) as usize + 1;
        println!(
            "B7 {what}: {asked} requests in {time:?}, {sent} of them reached the upstream; found again after {recovered:?}"
        );
        // Those that were on their way together when it was found to fail, with their repeats, and then probes.
        assert!(sent <= TRIP + 2 * CLIENTS + 2 * probes, "{what}: {sent} of {asked}");
        assert!(sent * 10 <= asked * 11, "{what}: {sent} of {asked}");
        assert!(asked > CLIENTS * 4, "{what}: those who ask are not held up");
        assert!(recovered <= PROBE + Duration::from_millis(100) + late, "{what}: {recovered:?}");
    }
}
