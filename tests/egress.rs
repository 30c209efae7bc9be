//! Where calls connect to: public addresses alone unless the settings say otherwise, the origins of the rule alone,
//! over TLS that is verified, and through no proxy that nobody asked for.

mod addresses;
mod origins;
mod proxies;
mod tls;

use std::net::{SocketAddr, TcpListener};

use bytes::Bytes;
use claimsmith::{
    core::{Blame, Failure, Outcome, Reception, answer},
    gateway::{Lookup, Secrets, Store, Upstream as Host, load},
};

use crate::support::{Setup, block_on};

const TOKEN: &str = "t0ken-m4rk";

/// A rule with one call to this address, of these lines.
fn rule(url: &str, lines: &str) -> String {
    format!("[call.user]\nurl = \"{url}\"\n{lines}\n[claims]\nsub = \"$.user.id\"\n")
}

/// A listener that nobody may connect to.
struct Forbidden(TcpListener);

impl Forbidden {
    fn at(address: &str) -> Self {
        Forbidden::bind(address).expect("a free port can be bound")
    }

    fn bind(address: &str) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Forbidden(listener))
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("a bound socket has an address")
    }

    fn port(&self) -> u16 {
        self.address().port()
    }

    /// How many connections wait to be accepted. One that was made is there before whoever made it goes on.
    fn connections(&self) -> usize {
        std::iter::from_fn(|| self.0.accept().ok()).count()
    }
}

/// What came of one request to a rule: status, whom the log blames, its words, and the body.
struct Told {
    status: u16,
    blame: Option<Blame>,
    words: String,
    body: String,
}

impl Told {
    fn of(outcome: &Outcome) -> Self {
        let failure = outcome.failure.as_ref();
        Told {
            status: outcome.response.status().as_u16(),
            blame: failure.map(Failure::blame),
            words: failure.map(Failure::words).unwrap_or_default(),
            body: String::from_utf8_lossy(outcome.response.body()).into_owned(),
        }
    }

    /// It was refused as not public: the log says it with the remedy, the caller is told nothing of it.
    #[track_caller]
    fn is_barred(&self, what: &str) {
        assert_eq!((self.status, self.blame), (502, Some(Blame::Us)), "{what}: {}", self.words);
        assert!(self.words.contains(" is not public (") && self.words.contains("`upstream.allow`"), "{}", self.words);
        self.is_discreet();
    }

    /// Nothing of the reason is in the answer.
    #[track_caller]
    fn is_discreet(&self) {
        for word in ["public", "allow", "127.", "address", "certificate", "TLS", "peer"] {
            assert!(!self.body.contains(word), "{}", self.body);
        }
        assert!(!self.words.contains("m4rk") && !self.body.contains("m4rk"), "{}", self.words);
    }
}

/// One request to the rule `acme`, where names have the addresses that this source says.
fn ask(setup: &Setup, lookup: Lookup) -> Told {
    ask_host(setup, &host(setup, lookup))
}

fn host(setup: &Setup, lookup: Lookup) -> Host {
    let settings = &setup.settings;
    Host::with_lookup(settings, Secrets::Real, Store::with(settings), lookup).expect("a host can be made")
}

fn ask_host(setup: &Setup, host: &Host) -> Told {
    let loaded = load(&setup.settings, host).expect("the folder can be read");
    assert!(loaded.refused.is_empty(), "{:?}", loaded.problems);
    let request = http::Request::get("/acme").header("authorization", format!("Bearer {TOKEN}"));
    let request = request.body(Bytes::new()).expect("a sound request");
    Told::of(&block_on(answer(loaded.routes.find("/acme"), &request, "id", Reception::default(), host, None)))
}

/// Allows a network, an address or an origin.
fn allow(setup: Setup, what: &str) -> Setup {
    setup.with(|settings| settings.upstream.allow.push(what.parse().expect("it can be allowed")))
}
