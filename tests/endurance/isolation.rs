//! An answer belongs to the token that asked, with caches, coalescing, retries, faults and reloads on (I1).

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{
    clients::{Client, request, wanted},
    program::Stage,
    random::Random,
    upstream::{Act, Upstream, answer},
};

const TOKENS: usize = 10_000;
const CLIENTS: usize = 32;
/// Requests that a client sends at once over its connection.
const BATCH: usize = 8;
const CACHE: &str = "cache = { ttl = \"5s\", stale = \"1h\", refused = \"1s\" }\n";

/// Rules that keep and share in every way; `version` is in every answer, and in the address that is asked.
fn rules(version: usize) -> [String; 4] {
    let claims = format!("sub = \"$.user.id\"\npath = \"$.user.path\"\nversion = {{ value = \"{version}\" }}\n");
    let user = format!("[call.user]\nurl = \"https://api.example/v{version}\"\n");
    [
        format!("{CACHE}{user}[claims]\n{claims}"),
        format!("{user}{CACHE}retry = 1\n[claims]\n{claims}"),
        format!("{user}cache = \"0s\"\n[claims]\n{claims}"),
        format!(
            "cache = \"0s\"\n{user}{CACHE}[call.more]\nurl = \"https://api.example/v{version}/${{each}}\"\n\
             each = \"$.user.list[*]\"\noptional = true\n{CACHE}[claims]\n{claims}\
             more = {{ path = \"$.more[*].id\", many = true }}\n"
        ),
    ]
}

/// Whoever the token names, or one of the ways in which an upstream fails.
fn act(token: &str, path: &str, random: usize) -> Act {
    let control = ["max-age=1", "no-store", "private", "max-age=60"][random / 512 % 4];
    let body = format!(r#"{{"id":"{token}","path":"{path}","list":[1,2]}}"#);
    let fine = answer(200, &format!("cache-control: {control}\r\n"), &body);
    match random % 512 {
        24..32 => Act::Reset,
        32..40 => Act::Part(fine[..fine.len() - 9].to_vec()),
        40..48 => Act::Answer(answer(503, "", &body)),
        48..56 => Act::Answer(answer(401, "", &body)),
        56..64 => Act::Answer(answer(200, "", "<html>")),
        64..72 => Act::Answer(answer(500, "", &body)),
        6 => Act::Late(Duration::from_millis(300), fine),
        7..24 => Act::Late(Duration::from_millis(3), fine),
        _ => Act::Answer(fine),
    }
}

/// What became of the requests.
#[derive(Default)]
struct Tally {
    answered: AtomicUsize,
    fine: AtomicUsize,
    foreign: AtomicUsize,
    lost: AtomicUsize,
}

/// `--requests 1000000` is the promise; `--seed` repeats what the upstream does.
#[test]
fn isolation_of_10_000_tokens_with_faults_and_reloads() {
    let (count, seed) = (wanted("REQUESTS", 200_000), wanted("SEED", 20_260_101));
    let upstream = Upstream::new({
        let asked = AtomicUsize::new(0);
        move |request| {
            let number = asked.fetch_add(1, Ordering::Relaxed) as u64;
            // Different for each request, and the same in every run of a seed.
            let mut random = Random((seed as u64 ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1);
            random.below(7);
            act(request.token, request.path, random.below(1 << 20))
        }
    });
    // So small that entries go all the time, and a limit that slow answers go over.
    let settings = "deadline = \"200ms\"\ncache = { max_bytes = 2000000 }\n";
    let stage = Stage::new(settings, &[("https://api.example", upstream.address)]);
    let load = |version: usize| {
        rules(version).iter().enumerate().for_each(|(number, text)| {
            stage.write(&format!("rules/r{number}.toml"), text);
        });
    };
    load(0);
    let program = stage.start();
    let (tally, over, reloads) = (Tally::default(), AtomicBool::new(false), AtomicUsize::new(0));
    let began = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(500));
                load(reloads.fetch_add(1, Ordering::SeqCst) + 1);
            }
        });
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (tally, address) = (&tally, program.address);
                let random = Random((seed as u64 + client as u64).wrapping_mul(0x2545_f491_4f6c_dd1d) | 1);
                scope.spawn(move || ask(Client::new(address), random, count / CLIENTS, tally))
            })
            .collect();
        // Nobody may go on to reload when one of them has failed.
        let ended: Vec<_> = clients.into_iter().map(thread::ScopedJoinHandle::join).collect();
        over.store(true, Ordering::SeqCst);
        assert!(ended.iter().all(Result::is_ok), "a client failed");
    });
    let [answered, fine, foreign, lost] =
        [&tally.answered, &tally.fine, &tally.foreign, &tally.lost].map(|count| count.load(Ordering::SeqCst));
    let (asked, reloads, took) = (upstream.asked(), reloads.into_inner(), began.elapsed());
    println!(
        "I1 {answered} requests of {TOKENS} tokens, {fine} with claims, {asked} asked of the upstream, {reloads} reloads, \
         seed {seed}, {took:?}: {foreign} foreign answers, {lost} lost"
    );
    assert_eq!((foreign, lost), (0, 0));
    assert!(fine > answered / 2 && asked < answered && reloads > 5, "it was not much of a test");
    let served = program.log().iter().filter(|line| line.contains("its last sound form")).count();
    assert_eq!(served, 0, "every form of the rules is sound");
}

fn ask(mut client: Client, mut random: Random, count: usize, tally: &Tally) {
    let mut done = 0;
    while done < count {
        // Half of them ask for a handful of tokens, so that they meet.
        let asked: Vec<_> = (0..BATCH)
            .map(|_| {
                let token = random.below(TOKENS);
                (random.below(4), format!("t{}", if token < TOKENS / 2 { token % 20 } else { token }))
            })
            .collect();
        let bytes: Vec<u8> = asked.iter().flat_map(|(rule, token)| request(&format!("/r{rule}"), token)).collect();
        client.send(&bytes).expect("the gateway is there");
        // Now and then one goes away, and others may be waiting for what it asked for.
        if random.below(50) == 0 {
            client.leave();
            continue;
        }
        for (_, token) in &asked {
            let Ok(reply) = client.receive() else {
                tally.lost.fetch_add(1, Ordering::SeqCst);
                continue;
            };
            tally.answered.fetch_add(1, Ordering::SeqCst);
            if reply.status != 200 {
                // Nothing of anybody stands in a failure.
                tally.foreign.fetch_add(usize::from(reply.body.contains(&format!("\"{token}\""))), Ordering::SeqCst);
                continue;
            }
            tally.fine.fetch_add(1, Ordering::SeqCst);
            let claims = reply.json();
            let more = claims["more"].as_array().map(Vec::as_slice).unwrap_or_default();
            let own = claims["sub"] == **token && more.iter().all(|one| *one == **token);
            let version = claims["version"].as_str().unwrap_or_default();
            let of_version = claims["path"].as_str() == Some(&format!("/v{version}"));
            if !own || !of_version {
                println!("seen by {token}: {}", reply.body);
                tally.foreign.fetch_add(1, Ordering::SeqCst);
            }
        }
        done += BATCH;
    }
}
