//! TLS to upstreams: always verified, and made for single origins as the settings say.

use std::{
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    thread,
};

use claimsmith::config::{OriginTls, TlsVersion};
use rcgen::{KeyPair, date_time_ymd};
use rustls::{
    SupportedProtocolVersion,
    version::{TLS12, TLS13},
};

use super::{TOKEN, Told, rule};
use crate::{
    reload::until,
    support::{Authority, Clients, Pair, Reply, Seen, Setup, Upstream},
};

const API: &str = "https://api.acme.example";
const BOTH: &[&SupportedProtocolVersion] = &[&TLS12, &TLS13];

async fn answer(seen: Seen) -> Reply {
    Reply::json(format!(r#"{{"id":"{}"}}"#, if seen.peer.is_some() { "known" } else { "unknown" }))
}

fn setup(upstream: &str) -> Setup {
    Setup::new().rule("acme", &rule(&format!("{API}/user"), "")).reroute(API, upstream)
}

fn trusting(upstream: &str, authority: &Authority) -> Setup {
    setup(upstream).with(|settings| settings.upstream.roots = Some(authority.file()))
}

/// TLS for the origin of an upstream.
fn with_tls(setup: Setup, upstream: &str, tls: OriginTls) -> Setup {
    setup.with(|settings| {
        settings.upstream.tls.insert(upstream.parse().expect("an origin"), tls);
    })
}

#[track_caller]
fn told(setup: &Setup) -> Told {
    Told::of(&setup.outcome("/acme", TOKEN))
}

#[track_caller]
fn is_refused(setup: &Setup, reason: &str) {
    let told = told(setup);
    assert_eq!(told.status, 502, "{reason}: {}", told.words);
    assert!(told.words.contains(reason), "{reason}: {}", told.words);
    told.is_discreet();
}

/// An upstream below TLS: it reads what comes first, writes these bytes, and reads to the end.
fn speaks(bytes: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port can be bound");
    let origin = format!("https://{}", listener.local_addr().expect("a bound socket has an address"));
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(&bytes);
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
    });
    origin
}

/// A ServerHello of this version (RFC 5246, section 7.4.1.3), with a cipher suite of its time.
fn server_hello(minor: u8) -> Vec<u8> {
    let mut hello = vec![2, 0, 0, 38, 3, minor];
    hello.extend([7; 32]);
    hello.extend([0, 0, 0x2f, 0]);
    let mut record = vec![22, 3, minor, 0, 42];
    record.extend(hello);
    record
}

#[test]
fn what_does_not_prove_who_it_is_gets_nothing() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let own = Pair::of(&rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("it can be made"));
    let mut seen = 0;
    for (pair, reason) in [
        (authority.issue_as("127.0.0.1", |own| own.not_after = date_time_ymd(2020, 1, 1)), "certificate expired"),
        (
            authority.issue_as("127.0.0.1", |own| own.not_before = date_time_ymd(4000, 1, 1)),
            "certificate not valid yet",
        ),
        (authority.issue("other.acme.example"), "certificate not valid for name"),
        (authority.issue("127.0.0.2"), "certificate not valid for name"),
        (stranger.issue("127.0.0.1"), "UnknownIssuer"),
        (own, "UnknownIssuer"),
    ] {
        for versions in [BOTH, &[&TLS12]] {
            let upstream = Upstream::secure(authority.server_as(&pair, Clients::Anybody, versions), answer);
            is_refused(&trusting(&upstream.origin, &authority), reason);
            assert!(upstream.connections() > 0);
            seen += upstream.seen().len();
        }
    }
    assert_eq!(seen, 0, "no request was sent");
    let sound = Upstream::secure(authority.server(Clients::Anybody, BOTH), answer);
    assert_eq!(told(&trusting(&sound.origin, &authority)).status, 200);
}

#[test]
fn old_versions_of_tls_are_not_spoken() {
    let authority = Authority::new();
    // SSL 3.0, TLS 1.0 and 1.1: as an answer, and as a refusal of what was offered.
    for minor in [0, 1, 2] {
        is_refused(&trusting(&speaks(server_hello(minor)), &authority), "peer is incompatible");
        is_refused(&trusting(&speaks(vec![21, 3, minor, 0, 2, 2, 70]), &authority), "ProtocolVersion");
    }
    let upstream = Upstream::secure(authority.server(Clients::Anybody, &[&TLS12]), answer);
    let usual = || trusting(&upstream.origin, &authority);
    assert_eq!(told(&usual()).status, 200, "TLS 1.2 is spoken unless the settings say otherwise");
    let newest = |setup: Setup| setup.with(|settings| settings.upstream.min_tls = TlsVersion::V13);
    is_refused(&newest(usual()), "ProtocolVersion");
    let alone = |oldest| OriginTls { min_tls: Some(oldest), ..OriginTls::default() };
    is_refused(&with_tls(usual(), &upstream.origin, alone(TlsVersion::V13)), "ProtocolVersion");
    assert_eq!(told(&with_tls(newest(usual()), &upstream.origin, alone(TlsVersion::V12))).status, 200);
    assert_eq!(told(&with_tls(usual(), "https://127.0.0.1:1", alone(TlsVersion::V13))).status, 200, "another origin");
    let modern = Upstream::secure(authority.server(Clients::Anybody, &[&TLS13]), answer);
    assert_eq!(told(&newest(trusting(&modern.origin, &authority))).status, 200);
}

#[test]
fn an_origin_has_authorities_of_its_own_and_no_others() {
    let (authority, general) = (Authority::new(), Authority::new());
    let upstream = Upstream::secure(authority.server(Clients::Anybody, BOTH), answer);
    let own = |of: &Authority| OriginTls { roots: Some(of.file()), ..OriginTls::default() };
    assert_eq!(told(&with_tls(setup(&upstream.origin), &upstream.origin, own(&authority))).status, 200);
    is_refused(&with_tls(trusting(&upstream.origin, &authority), &upstream.origin, own(&general)), "UnknownIssuer");
    is_refused(&with_tls(setup(&upstream.origin), "https://127.0.0.1:1", own(&authority)), "UnknownIssuer");
    // Without roots of its own it has those of all.
    let others = OriginTls { min_tls: Some(TlsVersion::V12), ..OriginTls::default() };
    assert_eq!(told(&with_tls(trusting(&upstream.origin, &authority), &upstream.origin, others)).status, 200);
}

fn write(folder: &Path, pair: &Pair) {
    std::fs::write(folder.join("own.pem"), &pair.certificate).expect("the folder can be written to");
    std::fs::write(folder.join("own.key"), &pair.key).expect("the folder can be written to");
}

/// A certificate in these files, for an origin whose authority is its own.
fn shown(folder: &Path, authority: &Authority) -> OriginTls {
    let (certificate, key) = (folder.join("own.pem"), folder.join("own.key"));
    OriginTls { roots: Some(authority.file()), certificate: Some(certificate), key: Some(key), min_tls: None }
}

#[test]
fn a_certificate_is_shown_to_its_origin_alone() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let pair = authority.issue("claimsmith");
    write(folder.path(), &pair);
    for versions in [&[&TLS12][..], &[&TLS13]] {
        let upstream = Upstream::secure(authority.server(Clients::MustShow, versions), answer);
        let other = Upstream::secure(authority.server(Clients::MayShow, versions), answer);
        let setup = trusting(&upstream.origin, &authority)
            .rule("other", &rule("https://other.acme.example/user", ""))
            .reroute("https://other.acme.example", &other.origin);
        let setup = with_tls(setup, &upstream.origin, shown(folder.path(), &authority));
        assert_eq!(setup.outcome("/acme", TOKEN).response.status(), 200);
        assert_eq!(setup.outcome("/other", TOKEN).response.status(), 200);
        assert_eq!(upstream.seen()[0].peer, Some(pair.der()));
        assert_eq!(other.seen()[0].peer, None);
    }
}

#[test]
fn the_certificate_of_a_call_goes_before_that_of_its_origin() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    write(folder.path(), &authority.issue("origin"));
    let own = authority.issue("call");
    let upstream = Upstream::secure(authority.server(Clients::MustShow, BOTH), answer);
    let shows = "auth = { mtls = { certificate = \"${secrets.certificate}\", key = \"${secrets.key}\" } }";
    let secrets = "[secrets]\ncertificate = { env = \"CERTIFICATE\" }\nkey = { env = \"KEY\" }\n";
    let setup = setup(&upstream.origin)
        .rule("call", &format!("{secrets}{}", rule(&format!("{API}/user"), shows)))
        .secrets(&[("CERTIFICATE", &own.certificate), ("KEY", &own.key)]);
    let setup = with_tls(setup, &upstream.origin, shown(folder.path(), &authority));
    assert_eq!(setup.outcome("/call", TOKEN).response.status(), 200);
    assert_eq!(upstream.seen()[0].peer, Some(own.der()));
}

#[test]
fn certificates_are_read_again_when_their_files_change() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    write(folder.path(), &stranger.issue("claimsmith"));
    let upstream = Upstream::secure(authority.server(Clients::MustShow, &[&TLS13]), |seen| async move {
        // Each request has a connection of its own, and so shows what is current.
        answer(seen).await.header("connection", "close")
    });
    let setup = with_tls(setup(&upstream.origin), &upstream.origin, shown(folder.path(), &authority));
    let gateway = setup.with(|settings| settings.upstream.trip_after = 0).start();
    assert_eq!(gateway.get("/acme", TOKEN).status, 502);
    let sound = authority.issue("claimsmith");
    write(folder.path(), &sound);
    until("the new certificate is shown", || gateway.get("/acme", TOKEN).status == 200);
    assert_eq!(upstream.seen()[0].peer, Some(sound.der()));
}

#[test]
fn files_that_cannot_be_used_stop_the_start_and_say_why() {
    let (authority, other) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let own = authority.issue("claimsmith");
    write(folder.path(), &Pair { key: other.issue("claimsmith").key, certificate: own.certificate });
    let start = |tls: OriginTls| {
        let settings = with_tls(setup("https://127.0.0.1:1"), "https://127.0.0.1:1", tls).settings;
        let store = claimsmith::gateway::Store::with(&settings);
        claimsmith::gateway::Upstream::new(&settings, claimsmith::gateway::Secrets::Real, store).map(drop)
    };
    let shown = || shown(folder.path(), &authority);
    let nowhere = Some(folder.path().join("nowhere"));
    for (tls, reason) in [
        (shown(), "own.key: it does not fit the certificate"),
        (OriginTls { key: None, ..shown() }, "`certificate` and `key` belong together"),
        (OriginTls { certificate: None, ..shown() }, "`certificate` and `key` belong together"),
        (OriginTls { key: nowhere.clone(), ..shown() }, "nowhere"),
        (OriginTls { roots: nowhere, ..OriginTls::default() }, "nowhere"),
        (OriginTls { roots: Some(folder.path().join("own.key")), ..OriginTls::default() }, "it holds no certificate"),
    ] {
        let why = start(tls).expect_err(reason);
        assert!(why.contains(reason), "{reason}: {why}");
    }
}

#[test]
fn a_check_needs_no_certificate_of_the_place_where_the_rule_will_run() {
    let settings =
        "[upstream]\nroots = \"nowhere.pem\"\n[upstream.tls.\"https://api.acme.example\"]\nroots = \"nowhere.pem\"\n";
    let rule = rule(&format!("{API}/user"), "timeout = \"5s\"");
    let folder = crate::cli::folder(&[("claimsmith.toml", settings), ("acme.toml", &rule)]);
    for (arguments, code) in
        [(vec!["check", "acme.toml"], 0), (vec!["plan", "acme.toml"], 0), (vec!["try", "acme.toml"], 2)]
    {
        let mut command = crate::cli::claimsmith(&arguments);
        let ran = crate::cli::run({
            command.current_dir(folder.path()).env("CLAIMSMITH_TOKEN", TOKEN);
            command
        });
        assert_eq!(ran.code, Some(code), "{arguments:?}: {}", ran.err);
    }
}

/// What would turn verification off is no setting.
#[test]
fn no_setting_turns_verification_off() {
    for key in ["verify", "insecure", "danger_accept_invalid_certs", "skip_verify", "min_version"] {
        for table in ["upstream", "upstream.tls.\"https://a.example\""] {
            let folder = crate::cli::folder(&[("claimsmith.toml", &format!("[{table}]\n{key} = false\n"))]);
            let mut command = crate::cli::claimsmith(&["config"]);
            command.current_dir(folder.path());
            let ran = crate::cli::run(command);
            assert_eq!(ran.code, Some(2), "{}", ran.out);
            assert!(ran.err.contains("there is no such key"), "{}", ran.err);
        }
    }
}

impl Pair {
    fn of(own: &rcgen::CertifiedKey<KeyPair>) -> Pair {
        Pair { certificate: own.cert.pem(), key: own.signing_key.serialize_pem() }
    }
}
