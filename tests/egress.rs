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

use crate::{
    cli::{claimsmith, folder, run},
    support::{Setup, block_on},
};

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

#[test]
fn the_settings_can_stand_in_the_environment_and_are_told_of_when_they_are_wrong() {
    let config = |settings: &str, environment: &[(&str, &str)]| {
        let folder = folder(&[("claimsmith.toml", settings)]);
        let mut command = claimsmith(&["config"]);
        command.envs(environment.iter().copied()).current_dir(folder.path());
        run(command)
    };
    const ALLOW: &str = "CLAIMSMITH_UPSTREAM__ALLOW";
    for (name, value, shown) in [
        (ALLOW, "10.0.0.0/8", r#"upstream.allow = ["10.0.0.0/8"]"#),
        (ALLOW, "10.0.0.7, https://idp.example", r#"upstream.allow = ["10.0.0.7/32", "https://idp.example"]"#),
        (ALLOW, "::1", r#"upstream.allow = ["::1/128"]"#),
        ("CLAIMSMITH_UPSTREAM__MIN_TLS", "1.3", r#"upstream.min_tls = "1.3""#),
        ("CLAIMSMITH_UPSTREAM__PROXY", "environment", r#"upstream.proxy = "environment""#),
        ("CLAIMSMITH_UPSTREAM__PROXY", "http://proxy.example:3128", r#"upstream.proxy = "http://proxy.example:3128/""#),
    ] {
        let ran = config("", &[(name, value)]);
        let out = ran.out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(ran.code == Some(0) && out.contains(shown), "{shown}: {out} {}", ran.err);
    }
    for (settings, why) in [
        ("allow = [\"10.0.0\"]", "neither a network nor an origin: `10.0.0`"),
        ("allow = [\"*\"]", "neither a network nor an origin: `*`"),
        ("allow = [\"https://idp.example/path\"]", "not an origin"),
        ("proxy = \"http://us:p4ss@proxy.example\"", "settings hold no credentials"),
        ("proxy = true", "upstream.proxy"),
        ("min_tls = \"1.1\"", "neither `1.2` nor `1.3`: `1.1`"),
        ("tls = { \"api.example\" = {} }", "not an origin: `api.example`"),
    ] {
        let ran = config(&format!("[upstream]\n{settings}\n"), &[]);
        assert!(ran.code == Some(2) && ran.err.contains(why), "{settings}: {}", ran.err);
        assert!(!ran.err.contains("p4ss"), "{}", ran.err);
    }
}

/// Allows a network, an address or an origin.
fn allow(setup: Setup, what: &str) -> Setup {
    setup.with(|settings| settings.upstream.allow.push(what.parse().expect("it can be allowed")))
}
