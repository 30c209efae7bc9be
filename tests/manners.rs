//! Manners towards upstreams: those that fail are left alone and found again, those that say that it is enough are
//! heard, and a connection that was closed while it lay idle is nobody's failure.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use claimsmith::{
    config::Span,
    core::{Reception, answer},
};

use crate::support::{Reply, Setup, Upstream, block_on, client, send};

const ORIGIN: &str = "https://api.acme.example";

fn rule(lines: &str) -> String {
    format!("[call.user]\nurl = \"{ORIGIN}/me\"\n{lines}\n[claims]\nsub = \"$.user.id\"\n")
}

#[test]
fn an_upstream_that_is_down_gets_hardly_a_request_and_is_found_again() {
    let up = Arc::new(AtomicBool::new(false));
    let is_up = up.clone();
    let upstream = Upstream::new(move |_| match is_up.load(Ordering::SeqCst) {
        true => Reply::json(r#"{"id":"ada"}"#),
        false => Reply::new(503, "{}"),
    });
    let gateway = Setup::new()
        .rule("acme", &rule("retry = { times = 1, on = [500] }"))
        .reroute(ORIGIN, &upstream.origin)
        .with(|settings| settings.upstream.probe_every = Span(Duration::from_millis(300)))
        .start();
    block_on(async {
        let client = client();
        let ask = || send(client.get(gateway.url("/acme")).bearer_auth("t"));
        let began = std::time::Instant::now();
        for _ in 0..300 {
            let answer = ask().await;
            assert_eq!((answer.status, answer.json()["error"].as_str()), (502, Some("server_error")));
        }
        let probes = usize::try_from(began.elapsed().as_millis() / 300).expect("it took no year") + 1;
        let seen = upstream.seen().len();
        assert!(seen <= 10 + probes, "{seen} of 300, with time for {probes} probes");
        up.store(true, Ordering::SeqCst);
        let mut tries = 0;
        while ask().await.status != 200 {
            tries += 1;
            assert!(began.elapsed() < Duration::from_secs(50), "it is not found again after {tries} requests");
        }
        for _ in 0..20 {
            assert_eq!(ask().await.status, 200);
        }
    });
}

#[test]
fn repeated_attempts_are_bounded_by_what_was_sent() {
    let upstream = Upstream::new(|_| Reply::new(503, "{}"));
    let setup = Setup::new().rule("acme", &rule("retry = 1")).reroute(ORIGIN, &upstream.origin);
    let setup = setup.with(|settings| settings.upstream.trip_after = 0);
    let (host, loaded) = setup.host();
    let request = http::Request::get("/acme").header("authorization", "Bearer t");
    let request = request.body(Bytes::new()).expect("a sound request");
    let all = (0..200).map(|_| answer(loaded.routes.find("/acme"), &request, "id", Reception::default(), &host, None));
    let outcomes = block_on(futures_util::future::join_all(all));
    assert!(outcomes.iter().all(|outcome| outcome.response.status() == 502));
    let seen = upstream.seen().len();
    assert!((205..=230).contains(&seen), "{seen} for 200");
}

#[test]
fn whoever_is_limited_is_held_back_and_nobody_else_is() {
    for (name, value, expected) in
        [("retry-after", "30", "30"), ("x-ratelimit-reset", "20", "20"), ("retry-after", "7200", "60")]
    {
        let upstream = Upstream::new(move |seen| match seen.header("authorization") {
            "Bearer ada" => Reply::new(429, "{}").header(name, value),
            _ => Reply::json(r#"{"id":"bob"}"#),
        });
        let gateway = Setup::new().rule("acme", &rule("")).reroute(ORIGIN, &upstream.origin).start();
        let first = gateway.get("/acme", "ada");
        assert_eq!((first.status, first.json()["error"].as_str()), (503, Some("temporarily_unavailable")));
        for _ in 0..5 {
            let held = gateway.get("/acme", "ada");
            assert_eq!((held.status, held.json()["error"].as_str()), (503, Some("temporarily_unavailable")));
            let seconds: u64 = held.header("retry-after").parse().expect("it says when");
            let most: u64 = expected.parse().expect("a number");
            assert!((1..=most).contains(&seconds), "{seconds} of {most}");
        }
        assert_eq!(gateway.claims("/acme", "bob")["sub"], "bob");
        assert_eq!(upstream.seen().len(), 2, "{name}: {value}");
    }
}

#[test]
fn an_origin_gets_only_so_many_requests_at_once() {
    let upstream = Upstream::new(|_| Reply::json(r#"{"id":"ada"}"#));
    let setup = Setup::new().rule("acme", &rule("")).reroute(ORIGIN, &upstream.origin);
    let setup = setup.with(|settings| settings.upstream.max_per_origin = 2);
    let (host, loaded) = setup.host();
    let request = http::Request::get("/acme").header("authorization", "Bearer t");
    let request = request.body(Bytes::new()).expect("a sound request");
    for _ in 0..2 {
        let all =
            (0..5).map(|_| answer(loaded.routes.find("/acme"), &request, "id", Reception::default(), &host, None));
        let outcomes = block_on(futures_util::future::join_all(all));
        let statuses: Vec<_> = outcomes.iter().map(|outcome| outcome.response.status().as_u16()).collect();
        assert_eq!(statuses, [200, 200, 503, 503, 503]);
        assert!(outcomes[2].response.headers().contains_key("retry-after"));
    }
    assert_eq!(upstream.seen().len(), 4);
}

/// An upstream that answers the first request of every connection, and closes it when the second has come.
fn forgetful() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port can be bound");
    let origin = format!("http://{}", listener.local_addr().expect("a bound socket has an address"));
    let requests: Arc<AtomicUsize> = Arc::default();
    let counted = requests.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let counted = counted.clone();
            thread::spawn(move || {
                let Ok(copy) = stream.try_clone() else { return };
                let mut lines = BufReader::new(copy).lines();
                for number in 0..2 {
                    // The head of a request ends with an empty line; bodies of these tests have none.
                    let mut head = lines.by_ref().map_while(Result::ok).take_while(|line| !line.is_empty());
                    if head.next().is_none() {
                        return;
                    }
                    head.for_each(drop);
                    counted.fetch_add(1, Ordering::SeqCst);
                    let body = r#"{"id":"ada"}"#;
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    // The gateway may have gone away.
                    if number == 0 && stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (origin, requests)
}

#[test]
fn a_kept_connection_that_the_upstream_closes_is_no_failure_for_what_may_come_twice() {
    for (lines, expected) in [("", [200, 200, 200]), ("method = \"POST\"", [200, 502, 200])] {
        let (origin, requests) = forgetful();
        let gateway = Setup::new()
            .rule("acme", &rule(lines))
            .reroute(ORIGIN, &origin)
            // One worker, so that the connection is there again.
            .with(|settings| settings.workers = 1)
            .start();
        let statuses = [0, 1, 2].map(|_| gateway.get("/acme", "t").status);
        assert_eq!(statuses, expected, "{lines}");
        assert!(requests.load(Ordering::SeqCst) >= 3);
    }
}
