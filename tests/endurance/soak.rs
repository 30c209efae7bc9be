//! Memory and file descriptors over time, under everything at once (B8).

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{
    clients::{Client, wanted},
    program::Stage,
    random::Random,
    upstream::{Act, Upstream, answer},
};

const CLIENTS: usize = 16;
/// Each client asks once in this time: about 1,600 requests a second.
const PACE: Duration = Duration::from_millis(10);
const TOKENS: usize = 5000;

/// `.ci/endurance soak --minutes 30` is the promise.
#[test]
fn soak_memory_and_descriptors_are_flat() {
    let time = Duration::from_secs(wanted("SECONDS_OF_TEST", 45) as u64);
    let asked = AtomicUsize::new(0);
    let upstream = Upstream::new(move |request| {
        let body = format!(r#"{{"id":"{}","name":"Ada","bio":"{}"}}"#, request.token, "x".repeat(800));
        // One in a hundred fails, in turn.
        match asked.fetch_add(1, Ordering::Relaxed) % 400 {
            0 => Act::Answer(answer(503, "", "{}")),
            100 => Act::Reset,
            200 => Act::Part(answer(200, "", &body)[..90].to_vec()),
            300 => Act::Answer(answer(401, "", "{}")),
            _ => Act::json(&body),
        }
    });
    let user = "[call.user]\nurl = \"https://api.example/me\"\n";
    let claims = "[claims]\nsub = \"$.user.id\"\nname = \"$.user.name\"\n";
    // Full soon, so that what follows is the steady state.
    let settings = "cache = { max_bytes = 2000000 }\n";
    let stage = Stage::new(settings, &[("https://api.example", upstream.address)])
        .rule("plain", &format!("{user}{claims}"))
        .rule("kept", &format!("cache = {{ ttl = \"5s\", stale = \"1m\" }}\n{user}{claims}"))
        .rule("call", &format!("{user}cache = \"5s\"\nretry = 1\n{claims}"))
        .rule("script", &format!("{user}{claims}[script]\nsource = \"claims.nick = user.name.to_lower();\"\n"));
    let program = stage.start();
    let (over, done, began) = (AtomicBool::new(false), AtomicUsize::new(0), Instant::now());
    let samples: Vec<(u64, usize)> = thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (over, done, address) = (&over, &done, program.address);
            scope.spawn(move || {
                let (mut client, mut random) = (Client::new(address), Random(number as u64 + 1));
                let mut due = Duration::ZERO;
                while !over.load(Ordering::SeqCst) {
                    thread::sleep(due.saturating_sub(began.elapsed()));
                    due += PACE;
                    let path = random.pick(&["/plain", "/kept", "/call", "/script", "/nothing"]);
                    let token = format!("t{}", random.below(TOKENS));
                    let reply = client.get(path, &token).expect("everybody gets an answer");
                    assert!(matches!(reply.status, 200 | 401 | 404 | 502), "{}", reply.status);
                    done.fetch_add(1, Ordering::Relaxed);
                    // Connections come and go as well.
                    if random.below(500) == 0 {
                        client.leave();
                    }
                }
            });
        }
        // An edit now and then: what was compiled before has to go.
        scope.spawn(|| {
            let mut number = 0;
            while !over.load(Ordering::SeqCst) {
                number += 1;
                stage.write("rules/plain.toml", &format!("# {number}\n{user}{claims}"));
                thread::sleep(Duration::from_millis(500));
            }
        });
        let mut samples = Vec::new();
        while began.elapsed() < time {
            thread::sleep(Duration::from_millis(250));
            samples.push((program.memory(), program.descriptors()));
        }
        over.store(true, Ordering::SeqCst);
        samples
    });
    let third = samples.len() / 3;
    let median = |part: &[(u64, usize)]| {
        let mut memory: Vec<_> = part.iter().map(|(memory, _)| *memory).collect();
        memory.sort_unstable();
        memory[memory.len() / 2]
    };
    let most = |part: &[(u64, usize)]| part.iter().map(|(_, descriptors)| *descriptors).max().unwrap_or_default();
    let (second, last) = (&samples[third..2 * third], &samples[2 * third..]);
    println!(
        "B8 {} requests in {time:?}: memory {} KiB, {} KiB, {} KiB (medians of the thirds); descriptors at most {}, {}, {}",
        done.load(Ordering::SeqCst),
        median(&samples[..third]),
        median(second),
        median(last),
        most(&samples[..third]),
        most(second),
        most(last),
    );
    assert!(median(last) * 20 <= median(second) * 21, "memory grows");
    // A connection more or less is in the making when they are counted.
    assert!(most(last) <= most(second) + 5, "descriptors grow");
}
