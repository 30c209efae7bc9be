//! An upstream that fails in every way, while 32 clients ask (A5, and the failure table).

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{
    clients::{Client, Lateness},
    network,
    program::{Program, Stage},
    proxy::{Harm, Proxy},
    upstream::{Act, Upstream},
};

const CLIENTS: usize = 32;
const DEADLINE: Duration = Duration::from_secs(1);
const PROBE: Duration = Duration::from_millis(500);
const GRACE: Duration = Duration::from_millis(100);
/// For how long the upstream fails.
const TROUBLE: Duration = Duration::from_millis(2500);
/// What stays of an answer whose optional call gives nothing.
const REST: &str = r#"{"sub":"1","name":"Ada"}"#;
const WHOLE: &str = r#"{"sub":"1","name":"Ada","nickname":"ad"}"#;

/// A rule that wants the upstream, and one that would like to have it.
fn stage(steady: SocketAddr, shaky: SocketAddr) -> Stage {
    let settings = format!(
        "deadline = \"{}ms\"\n[upstream]\nconnect_timeout = \"400ms\"\nprobe_every = \"{}ms\"\n",
        DEADLINE.as_millis(),
        PROBE.as_millis()
    );
    Stage::new(&settings, &[("https://steady.example", steady), ("https://shaky.example", shaky)])
        .rule("wants", "[call.user]\nurl = \"https://shaky.example/user\"\n[claims]\nsub = \"$.user.id\"\n")
        .rule(
            "likes",
            "[call.user]\nurl = \"https://steady.example/user\"\n[call.extra]\nurl = \"https://shaky.example/extra\"\n\
             optional = true\n[claims]\nsub = \"$.user.id\"\nname = \"$.user.name\"\nnickname = \"$.extra.nick\"\n",
        )
}

fn profile() -> Upstream {
    Upstream::new(|_| Act::json(r#"{"id":"1","name":"Ada","nick":"ad"}"#))
}

/// What the clients of one path got.
#[derive(Default)]
struct Seen {
    /// How often each answer came.
    answers: BTreeMap<(u16, String), usize>,
    slowest: Duration,
}

/// Half of the clients ask for each rule until it is over.
fn ask(address: SocketAddr, over: &AtomicBool) -> [Seen; 2] {
    let one = |path: &'static str| {
        let (mut client, mut seen) = (Client::new(address), Seen::default());
        while !over.load(Ordering::SeqCst) {
            let reply = client.get(path, "t0ken").unwrap_or_else(|why| panic!("{path}: {why}"));
            seen.slowest = seen.slowest.max(reply.took);
            let error = reply.json()["error"].as_str().map(str::to_owned);
            *seen.answers.entry((reply.status, error.unwrap_or(reply.body))).or_default() += 1;
            // Refusals come at once, and whoever gets one does not ask again at once.
            thread::sleep(Duration::from_millis(5));
        }
        seen
    };
    let mut all = [Seen::default(), Seen::default()];
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| (number % 2, scope.spawn(move || one(["/wants", "/likes"][number % 2]))))
            .collect();
        for (of, client) in clients {
            let seen = client.join().expect("every client gets answers");
            all[of].slowest = all[of].slowest.max(seen.slowest);
            for (answer, count) in seen.answers {
                *all[of].answers.entry(answer).or_default() += count;
            }
        }
    });
    all
}

/// Does harm for a while; what was answered meanwhile, and how long it took until all was well again.
fn harm(program: &Program, what: &str, begin: impl FnOnce(), end: impl FnOnce()) -> [Seen; 2] {
    let well = |path: &str, body: &str| {
        Client::new(program.address).get(path, "t0ken").is_ok_and(|reply| reply.status == 200 && reply.body == body)
    };
    let over = AtomicBool::new(false);
    assert!(well("/wants", r#"{"sub":"1"}"#) && well("/likes", WHOLE), "{what}: all is well before");
    let (seen, late) = Lateness::beside(|| {
        begin();
        thread::scope(|scope| {
            let clients = scope.spawn(|| ask(program.address, &over));
            thread::sleep(TROUBLE);
            over.store(true, Ordering::SeqCst);
            clients.join().expect("every client gets answers")
        })
    });
    end();
    let ended = Instant::now();
    let (recovered, late_then) = Lateness::beside(|| {
        while !(well("/wants", r#"{"sub":"1"}"#) && well("/likes", WHOLE)) {
            assert!(ended.elapsed() < PROBE * 20, "{what}: it does not recover");
            thread::sleep(Duration::from_millis(5));
        }
        ended.elapsed()
    });
    let slowest = seen.iter().map(|seen| seen.slowest).max().unwrap_or_default();
    let told: Vec<_> =
        seen[0].answers.iter().map(|((status, error), count)| format!("{count} × {status} {error}")).collect();
    println!(
        "faults {what}: {}; slowest {slowest:?} (machine {late:?} late), well again after {recovered:?}",
        told.join(", ")
    );
    assert!(slowest <= DEADLINE + GRACE + late, "{what}: {slowest:?}, with a machine that was {late:?} late");
    assert!(recovered <= PROBE + GRACE + late_then, "{what}: well again only after {recovered:?}");
    seen
}

/// Every answer is one of these.
fn only(what: &str, seen: &Seen, allowed: &[(u16, &str)]) {
    let asked: usize = seen.answers.values().sum();
    assert!(asked >= CLIENTS / 2, "{what}: {asked} answers");
    for (status, body) in seen.answers.keys() {
        assert!(allowed.contains(&(*status, body)), "{what}: {status} {body} of {:?}", seen.answers);
    }
}

/// The two forms of a failure: that of the upstream, and that of an upstream that is left alone.
const NO_ANSWER: &[(u16, &str)] = &[(502, "server_error")];
const NO_TIME: &[(u16, &str)] = &[(504, "server_error"), (502, "server_error")];
const FINE: (u16, &str) = (200, r#"{"sub":"1"}"#);

#[test]
fn every_fault_of_an_upstream_is_its_row_of_the_table_and_optional_calls_degrade() {
    let (steady, shaky) = (profile(), profile());
    let proxy = Proxy::new(shaky.address);
    let program = stage(steady.address, proxy.address).start();
    for (kind, allowed) in [
        (Harm::Killed, NO_ANSWER),
        (Harm::Hung, NO_TIME),
        (Harm::Half, NO_ANSWER),
        (Harm::Reset, NO_ANSWER),
        (Harm::Slow, &[FINE]),
        (Harm::Drip, NO_TIME),
        (Harm::Flapping, &[(502, "server_error"), FINE]),
    ] {
        let what = format!("{kind:?}").to_lowercase();
        let [wants, likes] = harm(&program, &what, || proxy.set(kind), || proxy.set(Harm::None));
        only(&what, &wants, allowed);
        only(&what, &likes, if kind == Harm::Slow { &[(200, WHOLE)] } else { &[(200, REST), (200, WHOLE)] });
    }
}

/// Packets that get lost on the way, which no proxy can do: the kernel drops, refuses or loses them.
#[test]
fn every_fault_of_the_network_is_its_row_of_the_table_and_optional_calls_degrade() {
    network::is_ours();
    let (steady, shaky) = (profile(), profile());
    let program = stage(steady.address, shaky.address).start();
    let port = shaky.address.port();
    for (what, rule, allowed) in [
        ("packets dropped", format!("tcp dport {port} drop"), NO_TIME),
        ("answers dropped", format!("tcp sport {port} drop"), NO_TIME),
        ("connections refused", format!("tcp dport {port} reject with tcp reset"), NO_ANSWER),
        ("no way there", format!("tcp dport {port} reject with icmp type host-unreachable"), NO_TIME),
        (
            "a third of the packets lost",
            format!("tcp dport {port} numgen random mod 3 0 drop"),
            &[(504, "server_error"), (502, "server_error"), FINE],
        ),
    ] {
        let [wants, likes] = harm(&program, what, || network::rule(&rule), network::clear);
        only(what, &wants, allowed);
        only(what, &likes, &[(200, REST), (200, WHOLE)]);
    }
}

/// Where the address leads nowhere, and where whoever is there is not who it should be.
#[test]
fn names_that_are_none_and_tls_that_is_wrong_are_a_502_in_time() {
    let steady = profile();
    let plain = profile();
    let stage = stage(steady.address, steady.address);
    let port = plain.address.port();
    for (name, url) in
        [("name", "https://api.nowhere.invalid/user".to_owned()), ("tls", "https://tls.example/user".into())]
    {
        let user = format!("[call.user]\nurl = \"{url}\"\n[claims]\nsub = \"$.user.id\"\n");
        let extra = format!(
            "[call.user]\nurl = \"https://steady.example/user\"\n[call.extra]\nurl = \"{url}\"\noptional = true\n\
             [claims]\nsub = \"$.user.id\"\nname = \"$.user.name\"\nnickname = \"$.extra.nick\"\n"
        );
        stage.write(&format!("rules/{name}.toml"), &user);
        stage.write(&format!("rules/{name}-likes.toml"), &extra);
    }
    let settings = std::fs::read_to_string(stage.path("claimsmith.toml")).expect("it is there");
    stage.write("claimsmith.toml", &format!("{settings}\"https://tls.example\" = \"https://127.0.0.1:{port}\"\n"));
    let program = stage.start();
    for name in ["name", "tls"] {
        let (slowest, late) = Lateness::beside(|| {
            let ask = |path: &str| Client::new(program.address).get(path, "t0ken").expect("there is an answer");
            let replies: Vec<_> = (0..20)
                .flat_map(|_| {
                    let (wants, likes) = (ask(&format!("/{name}")), ask(&format!("/{name}-likes")));
                    // A resolver that is not there may take its time.
                    assert!(matches!(wants.status, 502 | 504), "{name}: {} {}", wants.status, wants.body);
                    assert_eq!((likes.status, likes.body.as_str()), (200, REST), "{name}");
                    [wants.took, likes.took]
                })
                .collect();
            replies.into_iter().max().unwrap_or_default()
        });
        println!("faults {name}: 20 × 502, slowest {slowest:?} (machine {late:?} late)");
        assert!(slowest <= DEADLINE + GRACE + late, "{name}: {slowest:?}");
    }
}
