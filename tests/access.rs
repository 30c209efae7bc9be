//! Who may ask: networks, keys, certificates, rates, and what those learn who may not.

use std::{
    collections::BTreeSet,
    fs,
    io::{ErrorKind, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
    time::Duration,
};

use claimsmith::config::{ClientAuth, Settings, Span, Tls};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{PrivateKeyDer, pem::PemObject},
};
use tempfile::TempDir;

use crate::{
    cli::{ADMIN, Server},
    reload::{World, rule, until},
    support::{Answer, Authority, Gateway, Pair, Reply, Setup, Upstream, block_on, client, send},
};

const LIMIT: Duration = Duration::from_secs(60);
const ORIGIN: &str = "https://api.example";
const RULE: &str = "[call.user]\nurl = \"https://api.example/me\"\n[claims]\nsub = \"$.user.id\"\n";
const KEY: &str = "s3cret-key-of-those-who-ask";

/// Says who a token is, of those that begin with `good`; the others are refused.
fn upstream() -> Upstream {
    Upstream::new(|seen| match seen.header("authorization").strip_prefix("Bearer good") {
        Some(_) => Reply::json(r#"{"id":1}"#),
        None => Reply::new(401, "{}"),
    })
}

/// A gateway with two rules, and what `[access]` says; keys are `KEY`.
fn setup(upstream: &Upstream, access: &str) -> Setup {
    setup_with(upstream, &format!("[access]\n{access}"))
}

fn setup_with(upstream: &Upstream, settings: &str) -> Setup {
    let read: Settings = toml::from_str(settings).expect("settings of tests are sound");
    Setup::new().rule("acme", RULE).rule("other", RULE).reroute(ORIGIN, &upstream.origin).secrets(&[("KEY", KEY)]).with(
        |settings| {
            settings.access = read.access;
            settings.rule = read.rule;
            settings.head_timeout = read.head_timeout;
        },
    )
}

/// A client at another address of the loopback interface.
fn from(last: u8) -> reqwest::Client {
    let _ = client();
    let address = IpAddr::from([127, 0, 0, last]);
    reqwest::Client::builder().no_proxy().local_address(address).build().expect("a client can be made")
}

fn ask(gateway: &Gateway, client: &reqwest::Client, path: &str, token: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = client.get(gateway.url(path)).bearer_auth(token);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    block_on(send(request))
}

/// Writes bytes, and reads everything until the connection is closed.
#[track_caller]
fn exchange(address: SocketAddr, pieces: &[&[u8]]) -> String {
    let mut stream = TcpStream::connect(address).expect("the gateway accepts");
    stream.set_read_timeout(Some(LIMIT)).expect("a socket can be set up");
    for piece in pieces {
        // The gateway may close before it has read everything.
        let _ = stream.write_all(piece);
    }
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the gateway does not close the connection: {error}"),
    }
    String::from_utf8(bytes).expect("answers of tests are text")
}

/// An answer byte for byte, but for the date.
#[track_caller]
fn raw(gateway: &Gateway, method: &str, path: &str, headers: &[&str], body: &str) -> String {
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: g\r\nconnection: close\r\nx-request-id: same\r\n");
    for header in headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    if !body.is_empty() {
        request.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    request.push_str("\r\n");
    let answer = exchange(gateway.address, &[request.as_bytes(), body.as_bytes()]);
    let lines = answer.split_inclusive("\r\n").filter(|line| !line.starts_with("date: "));
    lines.collect()
}

#[test]
fn a_wrong_key_rule_and_token_are_the_same_byte_for_byte() {
    let upstream = upstream();
    let gateway = setup(&upstream, "key = { env = 'KEY' }").start();
    let key = format!("x-claimsmith-key: {KEY}");
    let same_length = format!("x-claimsmith-key: {}", KEY.to_uppercase());
    let token = "authorization: Bearer good";
    let bad = "authorization: Bearer bad";
    let form = "content-type: application/x-www-form-urlencoded";
    let large = "x".repeat(70_000);
    let mut answers = Vec::new();
    for (method, path, headers, body) in [
        // No key, or a wrong one.
        ("GET", "/acme", &[token][..], ""),
        ("GET", "/acme", &[token, "x-claimsmith-key: wrong"], ""),
        ("GET", "/acme", &[token, &same_length], ""),
        ("GET", "/acme", &[token, &key, &key], ""),
        ("GET", "/acme", &[token, "x-claimsmith-key:"], ""),
        ("GET", "/acme", &[], ""),
        ("GET", "/nothing", &[token], ""),
        ("GET", "/nothing", &[token, &same_length], ""),
        ("POST", "/acme", &[form], "access_token=good"),
        ("POST", "/acme", &[], &large),
        ("DELETE", "/acme", &[token], ""),
        ("OPTIONS", "/acme", &[], ""),
        // No such rule.
        ("GET", "/nothing", &[token, &key], ""),
        ("GET", "/nothing", &[&key], ""),
        ("GET", "/", &[token, &key], ""),
        ("POST", "/nothing", &[&key, form], "access_token=good"),
        ("DELETE", "/nothing", &[token, &key], ""),
        ("OPTIONS", "/nothing", &[&key], ""),
        // No token that is good.
        ("GET", "/acme", &[bad, &key], ""),
        ("GET", "/acme", &[&key], ""),
        ("GET", "/acme", &["authorization: Bearer a b", &key], ""),
        ("GET", "/acme", &["authorization: DPoP bad", &key], ""),
        ("GET", "/acme?access_token=good", &[&key], ""),
        ("POST", "/acme", &[&key, form], "access_token=bad"),
        ("POST", "/acme", &[&key, form], &large),
        ("DELETE", "/acme", &[token, &key], ""),
        ("OPTIONS", "/acme", &[&key], ""),
    ] {
        let answer = raw(&gateway, method, path, headers, body);
        assert!(answer.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{method} {path} {headers:?}: {answer}");
        assert!(answer.contains("www-authenticate: Bearer error=\"invalid_token\"\r\n"), "{answer}");
        assert!(answer.ends_with("content-length: 0\r\n\r\n"), "{answer}");
        answers.push(answer);
    }
    assert_eq!(answers.iter().collect::<BTreeSet<_>>().len(), 1, "{answers:?}");
    assert_eq!(upstream.seen().len(), 2, "the bad tokens of those who had the key");
    // What is refused whatever it asks for is not told apart either.
    for (headers, status) in [(vec!["host: g"], 400), (vec!["x: y"; 101], 431)] {
        let answers = ["/acme", "/nothing"].map(|path| raw(&gateway, "GET", path, &headers, ""));
        assert!(answers[0].starts_with(&format!("HTTP/1.1 {status} ")), "{}", answers[0]);
        assert_eq!(answers[0], answers[1]);
    }
    let answer = raw(&gateway, "GET", "/acme", &[token, &key], "");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("{\"sub\":\"1\"}"), "{answer}");
    let answer = raw(&gateway, "POST", "/acme", &[&key, form], "access_token=good");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(upstream.seen().iter().all(|seen| !seen.headers.contains_key("x-claimsmith-key")));
}

#[test]
fn a_thousand_guesses_are_slowed_and_tell_nothing() {
    let upstream = upstream();
    let access = "key = { env = 'KEY' }\nthrottle = { after = 20, delay = '1h', max_delay = '1h' }";
    let gateway = setup(&upstream, access).start();
    // Each kind from an address of its own.
    let guess = |last: u8, path: &dyn Fn(usize) -> String, key: Option<&str>| {
        let client = from(last);
        let mut statuses = Vec::new();
        let mut kinds = BTreeSet::new();
        block_on(async {
            for number in 0..1000 {
                let request = client.get(gateway.url(&path(number))).bearer_auth(format!("bad{number}"));
                let request = request.header("x-request-id", "same");
                let request = key.iter().fold(request, |request, key| request.header("x-claimsmith-key", *key));
                let mut answer = send(request).await;
                answer.headers.remove("date");
                let waits = answer.headers.remove("retry-after").is_some();
                statuses.push(answer.status);
                kinds.insert(format!("{} {waits} {:?} {:?}", answer.status, answer.headers, answer.body));
            }
        });
        assert_eq!(&statuses[..20], [401; 20]);
        assert_eq!(&statuses[20..], [429; 980]);
        kinds
    };
    let bad_token = guess(2, &|_| "/acme".into(), Some(KEY));
    let asked = upstream.seen().len();
    assert_eq!(asked, 20, "the provider is asked no more often");
    let unknown_rule = guess(3, &|number| format!("/rule{number}"), Some(KEY));
    let no_key = guess(4, &|_| "/acme".into(), None);
    let wrong_key = guess(5, &|number| format!("/{number}"), Some("wrong"));
    assert_eq!(upstream.seen().len(), asked);
    assert_eq!(bad_token.len(), 2, "{bad_token:?}");
    assert!([unknown_rule, no_key, wrong_key].iter().all(|kinds| *kinds == bad_token));
    // Whoever has the key is not held up by those at the same address who have none, nor by those elsewhere.
    for last in [4, 5, 6] {
        let answer = ask(&gateway, &from(last), "/acme", "good", &[("x-claimsmith-key", KEY)]);
        assert_eq!(answer.status, 200, "127.0.0.{last}");
    }
}

#[test]
fn a_good_token_passes_beside_guesses_from_the_same_address() {
    let upstream = upstream();
    let gateway = setup(&upstream, "throttle = { after = 5, delay = '1h', max_delay = '1h' }").start();
    let here = from(2);
    let status = |client: &reqwest::Client, path: &str, token: &str| ask(&gateway, client, path, token, &[]).status;
    assert_eq!(status(&here, "/acme", "good1"), 200);
    for number in 0..5 {
        assert_eq!(status(&here, "/acme", &format!("bad{number}")), 401);
    }
    let waits = ask(&gateway, &here, "/acme", "bad", &[]);
    assert_eq!((waits.status, waits.json()["error"].as_str()), (429, Some("temporarily_unavailable")));
    let seconds: u64 = waits.header("retry-after").parse().expect("it says when");
    assert!((3500..=3600).contains(&seconds), "{seconds}");
    assert!(!waits.headers.contains_key("www-authenticate"));
    // What was good goes on, however much is tried beside it; what is new waits, and so does what was good elsewhere.
    for _ in 0..50 {
        assert_eq!([status(&here, "/acme", "good1"), status(&here, "/acme", "bad")], [200, 429]);
    }
    assert_eq!([status(&here, "/acme", "good2"), status(&here, "/other", "good1")], [429, 429]);
    // At other addresses nobody waits.
    assert_eq!([status(&from(3), "/acme", "good2"), status(&from(3), "/acme", "bad")], [200, 401]);
    assert_eq!(status(&here, "/acme", "good2"), 200, "that is known now");
    assert_eq!(status(&here, "/nothing", "bad"), 404, "that is told to everybody");
    assert_eq!(upstream.seen().iter().filter(|seen| seen.header("authorization").contains("bad")).count(), 6);
}

#[test]
fn an_address_is_free_again_when_it_does_better() {
    let upstream = upstream();
    let gateway = setup(&upstream, "throttle = { after = 3, delay = '300ms' }").start();
    let status = |token: &str| ask(&gateway, &client(), "/acme", token, &[]).status;
    assert_eq!([status("bad"), status("bad"), status("bad")], [401; 3]);
    until("it may try again", || status("good1") == 200);
    assert_eq!([status("bad"), status("good2"), status("bad"), status("bad")], [401, 200, 401, 401]);
}

#[test]
fn a_token_that_is_no_longer_good_is_no_way_in() {
    let revoked = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_revoked = revoked.clone();
    let upstream = Upstream::new(move |seen| {
        let gone = is_revoked.load(std::sync::atomic::Ordering::SeqCst);
        match seen.header("authorization") == "Bearer good" && !gone {
            true => Reply::json(r#"{"id":1}"#),
            false => Reply::new(401, "{}"),
        }
    });
    let gateway = setup(&upstream, "throttle = { after = 2, delay = '1h', max_delay = '1h' }").start();
    let status = |token: &str| ask(&gateway, &client(), "/acme", token, &[]).status;
    assert_eq!([status("good"), status("bad"), status("bad"), status("bad")], [200, 401, 401, 429]);
    revoked.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!([status("good"), status("good")], [401, 429]);
}

#[test]
fn from_elsewhere_no_connection_is_served() {
    let upstream = upstream();
    let gateway = setup(&upstream, "networks = ['127.0.0.2', '2001:db8::/32']").start();
    assert_eq!(ask(&gateway, &from(2), "/acme", "good", &[]).status, 200);
    assert_eq!(exchange(gateway.address, &[b"GET /acme HTTP/1.1\r\nhost: g\r\n\r\n"]), "");
    assert_eq!(upstream.seen().len(), 1);
}

#[test]
fn a_rule_for_a_network_is_nowhere_from_elsewhere() {
    let upstream = upstream();
    for (settings, status) in [
        ("[rule.acme.access]\nnetworks = '127.0.0.2'", 404),
        // Where a key is asked for anywhere, nowhere looks like a wrong one.
        ("[rule.acme.access]\nnetworks = '127.0.0.2'\n[rule.third.access]\nkey = { env = 'KEY' }", 401),
    ] {
        let gateway = setup_with(&upstream, settings).rule("third", RULE).start();
        let token = "authorization: Bearer good";
        let answers = ["/acme", "/nothing"].map(|path| raw(&gateway, "GET", path, &[token], ""));
        assert!(answers[0].starts_with(&format!("HTTP/1.1 {status} ")), "{}", answers[0]);
        assert_eq!(answers[0], answers[1]);
        for (last, path, status) in [(2, "/acme", 200), (1, "/other", 200), (2, "/other", 200)] {
            assert_eq!(ask(&gateway, &from(last), path, "good", &[]).status, status, "127.0.0.{last} {path}");
        }
        let open = ask(&gateway, &client(), "/other", "bad", &[]);
        assert_eq!((open.status, open.json()["error"].as_str()), (401, Some("invalid_token")), "it asks for no key");
    }
}

#[test]
fn one_rule_may_lift_or_change_what_holds_for_all() {
    let upstream = upstream();
    let gateway = setup_with(
        &upstream,
        "[access]\nkey = { env = 'KEY' }\n[rule.acme.access]\nkey = []\n[rule.other.access]\nkey = [{ env = 'OWN' }, { env = 'OLD' }]",
    )
    .rule("third", RULE)
    .secrets(&[("KEY", KEY), ("OWN", "0wn"), ("OLD", "0ld")])
    .start();
    let status = |path: &str, key: &str| ask(&gateway, &client(), path, "good", &[("x-claimsmith-key", key)]).status;
    assert_eq!(["0wn", "0ld", KEY, ""].map(|key| status("/other", key)), [200, 200, 401, 401]);
    assert_eq!(["0wn", "0ld", KEY, ""].map(|key| status("/third", key)), [401, 401, 200, 401]);
    assert_eq!(["0wn", KEY, ""].map(|key| status("/acme", key)), [200; 3]);
}

#[test]
fn a_key_may_stand_in_the_query_and_goes_no_further() {
    let upstream = upstream();
    let rule = format!(
        "[request]\nheaders = [\"x-in\"]\nquery = [\"k\", \"tenant\"]\n{RULE}\
         key = \"$.request.query.k\"\nheader = \"$.request.headers['x-in']\"\ntenant = \"$.request.query.tenant\"\n"
    );
    let access = "key = { env = 'KEY' }\nkey_query = 'k'\nkey_header = 'x-in'";
    let gateway = setup(&upstream, access).rule("acme", &rule).start();
    let claims = r#"{"sub":"1","tenant":"a b"}"#;
    for (path, headers) in [
        (format!("/acme?k={KEY}&tenant=a%20b"), &[][..]),
        (format!("/acme?tenant=a+b&k={KEY}"), &[]),
        ("/acme?tenant=a+b".into(), &[("x-in", KEY)]),
    ] {
        let answer = ask(&gateway, &client(), &path, "good", headers);
        assert_eq!((answer.status, &*answer.body), (200, claims), "{path}");
    }
    for path in [format!("/acme?k={KEY}&k={KEY}"), "/acme?k=".into(), format!("/acme?x={KEY}"), format!("/acme#{KEY}")]
    {
        assert_eq!(ask(&gateway, &client(), &path, "good", &[]).status, 401, "{path}");
    }
}

#[test]
fn one_address_asks_as_often_as_it_may() {
    let upstream = upstream();
    let settings = "[access]\nclient_rate = '5/h'\n[rule.other.access]\nclient_rate = '2/h'";
    let authjs = format!("receiver = \"authjs\"\n{RULE}email = {{ value = \"a@b.example\" }}\n");
    let gateway = setup_with(&upstream, settings).rule("authjs", &authjs).start();
    let status = |last: u8, path: &str| ask(&gateway, &from(last), path, "good", &[]).status;
    assert_eq!(
        ["/acme", "/acme", "/authjs", "/acme", "/acme", "/acme"].map(|path| status(2, path)),
        [200, 200, 200, 200, 200, 429]
    );
    let refused = ask(&gateway, &from(2), "/acme", "good", &[]);
    let seconds: u64 = refused.header("retry-after").parse().expect("it says when");
    assert!((600..=720).contains(&seconds), "one more every twelve minutes: {seconds}");
    assert_eq!(refused.json()["error"], "temporarily_unavailable");
    assert_eq!(ask(&gateway, &from(2), "/authjs", "good", &[]).body, "", "this one takes any body for a profile");
    assert_eq!(["/other", "/other", "/other"].map(|path| status(2, path)), [200, 200, 429], "it counts for itself");
    assert_eq!([status(3, "/acme"), status(2, "/nothing")], [200, 404]);
}

#[test]
fn one_token_is_asked_for_as_often_as_it_may() {
    let upstream = upstream();
    let gateway = setup(&upstream, "token_rate = '3/h'").start();
    let status = |last: u8, token: &str| ask(&gateway, &from(last), "/acme", token, &[]).status;
    assert_eq!([2, 3, 4, 5].map(|last| status(last, "good1")), [200, 200, 200, 429]);
    assert_eq!([status(5, "good2"), status(2, "good1")], [200, 429]);
    let form = client().post(gateway.url("/acme")).header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(block_on(send(form.body("access_token=good1"))).status, 429, "wherever it stands");
    assert_eq!(ask(&gateway, &client(), "/other", "good1", &[]).status, 429, "and for whichever rule");
    assert_eq!(upstream.seen().len(), 4);
}

#[test]
fn a_client_is_whom_trusted_proxies_name() {
    let upstream = upstream();
    for (header, prefix) in [("x-forwarded-for", ""), ("forwarded", "for=")] {
        let access = format!(
            "trusted_proxies = ['127.0.0.1', '10.0.0.0/8']\nclient_header = '{header}'\nclient_rate = '2/h'\n\
             networks = ['203.0.113.0/24', '127.0.0.2']"
        );
        let gateway = setup(&upstream, &access).start();
        let named = |last: u8, value: &str| ask(&gateway, &from(last), "/acme", "good", &[(header, value)]).status;
        // What the client wrote before the proxy did is another each time, and no matter.
        let forged = |number: u8| format!("{prefix}203.0.113.{number}, {prefix}203.0.113.9, {prefix}10.0.0.1");
        assert_eq!([1, 2, 3].map(|number| named(1, &forged(number))), [200, 200, 429], "{header}");
        assert_eq!(named(1, &format!("{prefix}203.0.113.10")), 200, "another client");
        // From elsewhere it is no proxy that says so.
        let lies = |number: u8| format!("{prefix}203.0.113.{number}");
        assert_eq!([20, 21, 22].map(|number| named(2, &lies(number))), [200, 200, 429], "{header}");
        for outside in ["198.51.100.1", "unknown", "", "203.0.113.9, 198.51.100.1"] {
            assert_eq!(named(1, &outside.replace("203", &format!("{prefix}203"))), 404, "{header} {outside}");
        }
        assert_eq!(ask(&gateway, &client(), "/acme", "good", &[]).status, 404, "the proxy itself is in no network");
    }
}

/// A header of the PROXY protocol, version 2, for a client of IPv4.
fn proxied(client: [u8; 4]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f".to_vec();
    header.extend(client);
    header.extend([127, 0, 0, 1, 0x12, 0x34, 1, 187]);
    // Something that the proxy says besides.
    header.extend([4, 0, 0]);
    header
}

const REQUEST: &[u8] = b"GET /acme HTTP/1.1\r\nhost: g\r\nconnection: close\r\nauthorization: Bearer good\r\n\r\n";

#[test]
fn the_proxy_protocol_says_whose_a_connection_is() {
    let upstream = upstream();
    let settings = "head_timeout = '300ms'\n[access]\ntrusted_proxies = '127.0.0.1'\nproxy_protocol = true\n\
                    networks = ['203.0.113.0/24', '127.0.0.2']";
    let gateway = setup_with(&upstream, settings).start();
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    let unknown = b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\0";
    let mut too_long = proxied([203, 0, 113, 9]);
    too_long[14] = 0x20;
    for (what, header, expected) in [
        ("a client that may ask", &proxied([203, 0, 113, 9])[..], "HTTP/1.1 200 "),
        ("one that may not", &proxied([198, 51, 100, 1]), "HTTP/1.1 404 "),
        ("the proxy itself", local, "HTTP/1.1 404 "),
        ("nobody knows who", unknown, "HTTP/1.1 404 "),
        ("no header", b"", ""),
        ("version 1", b"PROXY TCP4 203.0.113.9 127.0.0.1 4660 443\r\n", ""),
        ("a header that is too long", &too_long, ""),
        ("a family that there is not", b"\r\n\r\n\0\r\nQUIT\n\x21\x77\0\0", ""),
    ] {
        let answer = exchange(gateway.address, &[header, REQUEST]);
        assert!(answer.starts_with(expected) && answer.is_empty() == expected.is_empty(), "{what}: {answer}");
    }
    // Piece by piece it is the same; what never comes is waited for no longer than for a head.
    let header = proxied([203, 0, 113, 9]);
    let pieces: Vec<_> = header.chunks(1).chain([REQUEST]).collect();
    assert!(exchange(gateway.address, &pieces).starts_with("HTTP/1.1 200 "));
    for length in [0, 1, 15, 16, 20] {
        assert_eq!(exchange(gateway.address, &[&header[..length]]), "", "after {length} bytes");
    }
    // Who is no proxy speaks for itself, and cannot speak for others.
    assert_eq!(ask(&gateway, &from(2), "/acme", "good", &[]).status, 200);
    let elsewhere = setup_with(&upstream, &settings.replace("127.0.0.1", "127.0.0.3")).start();
    assert_eq!(exchange(elsewhere.address, &[&header, REQUEST]), "");
    assert!(upstream.seen().len() == 3);
}

#[test]
fn behind_a_proxy_that_speaks_the_protocol_may_be_one_that_writes_headers() {
    let upstream = upstream();
    let access = "trusted_proxies = ['127.0.0.1', '10.0.0.0/8']\nproxy_protocol = true\nnetworks = '203.0.113.9'";
    let gateway = setup(&upstream, access).start();
    let request = |client: &str| {
        let head =
            String::from_utf8_lossy(REQUEST).replace("host: g", &format!("x-forwarded-for: {client}\r\nhost: g"));
        head.into_bytes()
    };
    let status = |proxy: [u8; 4], client: &str| {
        let answer = exchange(gateway.address, &[&proxied(proxy), &request(client)]);
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    assert_eq!(status([10, 0, 0, 1], "203.0.113.9"), "200");
    assert_eq!(status([198, 51, 100, 1], "203.0.113.9"), "404");
}

/// A client of a gateway with TLS, which shows a certificate or none.
fn tls_client(server: &Authority, own: Option<&Pair>, gateway: SocketAddr) -> reqwest::Client {
    let mut roots = RootCertStore::empty();
    roots.add(server.issuer().der().clone()).expect("it is a certificate");
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring knows TLS")
        .with_root_certificates(roots);
    let mut config = match own {
        None => config.with_no_client_auth(),
        Some(own) => {
            let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).expect("it is PEM");
            config.with_client_auth_cert(vec![own.der()], key).expect("they belong together")
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let builder = reqwest::Client::builder().no_proxy().tls_backend_preconfigured(config);
    // Each request makes a connection of its own.
    builder.pool_max_idle_per_host(0).resolve("localhost", gateway).build().expect("a client can be made")
}

/// The status of an answer; none without a connection.
fn over_tls(client: &reqwest::Client, gateway: SocketAddr, path: &str) -> Option<u16> {
    let url = format!("https://localhost:{}{path}", gateway.port());
    block_on(async { Some(client.get(url).bearer_auth("good").send().await.ok()?.status().as_u16()) })
}

/// The files of a gateway with TLS.
fn tls(folder: &Path, server: &Authority, clients: &Authority, client_auth: ClientAuth) -> Option<Tls> {
    let own = server.issue("localhost");
    let path = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).expect("the folder can be written to");
        path
    };
    Some(Tls {
        certificate: path("certificate.pem", &own.certificate),
        key: path("key.pem", &own.key),
        client_roots: Some(path("clients.pem", &clients.issuer().pem())),
        client_auth,
    })
}

fn temporary() -> TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

#[test]
fn without_a_certificate_there_is_no_connection() {
    let (upstream, folder) = (upstream(), temporary());
    let [server, clients, others] = [(); 3].map(|()| Authority::new());
    let files = tls(folder.path(), &server, &clients, ClientAuth::Required);
    let gateway = setup(&upstream, "").with(|settings| settings.tls = files).start();
    let (known, stranger) = (clients.issue("auth.example"), others.issue("auth.example"));
    let status = |own: Option<&Pair>| over_tls(&tls_client(&server, own, gateway.address), gateway.address, "/acme");
    assert_eq!([status(Some(&known)), status(None), status(Some(&stranger))], [Some(200), None, None]);
    assert_eq!(status(Some(&known)), Some(200));
    // Authorities are exchanged while it serves; who is known stays known, if the new file is none.
    let exchange = |text: &str| {
        fs::write(folder.path().join("clients.new"), text).expect("the folder can be written to");
        fs::rename(folder.path().join("clients.new"), folder.path().join("clients.pem")).expect("it can be renamed");
    };
    exchange(&others.issuer().pem());
    until("the new authority is taken over", || status(Some(&stranger)) == Some(200));
    assert_eq!(status(Some(&known)), None);
    exchange("no PEM");
    exchange(&format!("{}{}", clients.issuer().pem(), others.issuer().pem()));
    until("both are taken over", || status(Some(&known)) == Some(200));
    assert_eq!(status(Some(&stranger)), Some(200));
}

#[test]
fn a_rule_may_ask_for_a_certificate_of_one_name() {
    let (upstream, folder) = (upstream(), temporary());
    let [server, clients, others] = [(); 3].map(|()| Authority::new());
    let files = tls(folder.path(), &server, &clients, ClientAuth::Optional);
    let settings = "[rule.acme.access]\nclient_names = ['auth.example', 'spiffe://example/auth']\n\
                    [rule.any.access]\nclient_names = '*'";
    let gateway = setup_with(&upstream, settings).rule("any", RULE).with(|settings| settings.tls = files).start();
    let [known, other] = ["auth.example", "web.example"].map(|name| clients.issue(name));
    let stranger = others.issue("auth.example");
    for (what, own, expected) in [
        ("the name", Some(&known), [Some(200), Some(200), Some(200)]),
        ("another name", Some(&other), [Some(404), Some(200), Some(200)]),
        ("no certificate", None, [Some(404), Some(404), Some(200)]),
        ("of another authority", Some(&stranger), [None; 3]),
    ] {
        let client = tls_client(&server, own, gateway.address);
        assert_eq!(
            ["/acme", "/any", "/other"].map(|path| over_tls(&client, gateway.address, path)),
            expected,
            "{what}"
        );
    }
}

fn with_key(server: &Server, key: &str) -> u16 {
    let request = client().get(format!("http://{}/acme", server.address)).bearer_auth("t0ken");
    block_on(send(request.header("x-claimsmith-key", key))).status
}

#[test]
fn keys_are_exchanged_while_it_serves() {
    let world = World::new(&[("rules/acme.toml", &rule("a")), ("new", "first-key-of-all-keys\n")]);
    let [new, old] = ["new", "old"].map(|name| world.path(name));
    let one = format!("[access]\nkey = {{ file = '{}' }}\n", new.display());
    let both = format!("[access]\nkey = [{{ file = '{}' }}, {{ file = '{}' }}]\n", new.display(), old.display());
    world.settings(&one);
    let mut server = Server::start(world.serve(&[]));
    let [first, second, third] = ["first-key-of-all-keys", "second-key-of-all-keys", "third-key-of-all-keys"];
    assert_eq!([with_key(&server, first), with_key(&server, second)], [200, 401]);
    // The old one goes on beside the new one, until it is taken away.
    world.write("old", first);
    world.settings(&both);
    server.line("settings are taken over");
    world.write("new", second);
    until("the new key opens", || with_key(&server, second) == 200);
    assert_eq!(with_key(&server, first), 200);
    world.write("old", third);
    until("the old key opens no more", || with_key(&server, first) == 401);
    assert_eq!([with_key(&server, second), with_key(&server, third)], [200, 200]);
    // A key that cannot be read changes nothing.
    fs::remove_file(&old).expect("it is there");
    server.line("stay as they were");
    assert_eq!([with_key(&server, second), with_key(&server, third)], [200, 200]);
    world.settings(&one);
    until("the old key opens no more", || with_key(&server, third) == 401);
    assert_eq!(with_key(&server, second), 200);
    server.signal("-TERM");
    let log = server.end().err;
    assert!([first, second, third].iter().all(|key| !log.contains(key)), "{log}");
}

#[test]
fn a_key_that_is_asked_for_and_cannot_be_read_opens_to_nobody() {
    let world = World::new(&[("rules/acme.toml", &rule("a"))]);
    let mut server = Server::start(world.serve(&[]));
    assert_eq!(with_key(&server, "any-key"), 200);
    let file = world.path("key");
    world.settings(&format!("[rule.acme.access]\nkey = {{ file = '{}' }}", file.display()));
    server.line("stay as they were");
    until("nobody comes in", || with_key(&server, "any-key") == 401);
    world.write("key", "some-key-for-everybody");
    until("the key opens", || with_key(&server, "some-key-for-everybody") == 200);
    server.signal("-TERM");
    server.end();
    // At the start it is a fault.
    fs::remove_file(&file).expect("it is there");
    let ran = crate::cli::run(world.serve(&[]));
    assert!(ran.code == Some(2) && ran.err.contains("`rule.acme.access.key`"), "{}", ran.err);
}

#[test]
fn a_limit_goes_on_after_a_change_of_something_else() {
    let world = World::new(&[("rules/acme.toml", &rule("a"))]);
    world.settings("[access]\nclient_rate = '3/h'");
    let mut server = Server::start(world.serve(&[]));
    assert_eq!([0; 3].map(|_| with_key(&server, "")), [200; 3]);
    world.settings("deadline = '9s'\n[access]\nclient_rate = '3/h'");
    server.line("settings are taken over");
    assert_eq!([0; 2].map(|_| with_key(&server, "")), [429; 2]);
    world.settings("[access]\nclient_rate = '4/h'");
    until("the new limit holds", || with_key(&server, "") == 200);
}

#[test]
fn a_scan_is_counted_and_writes_few_lines() {
    let world = World::new(&[("rules/acme.toml", &rule("a"))]);
    world.settings("[rule.acme.access]\nnetworks = '127.0.0.2'");
    let mut command = world.serve(&[]);
    command.env(ADMIN, "127.0.0.1:0").env("CLAIMSMITH_WORKERS", "1");
    let mut server = Server::start(command);
    let admin = server.admin();
    let started = std::time::Instant::now();
    block_on(async {
        let client = client();
        for number in 0..500 {
            let path = if number % 2 == 0 { "acme".into() } else { format!("m4rk{number}") };
            let answer = send(client.get(format!("http://{}/{path}", server.address)).bearer_auth("t0ken")).await;
            assert_eq!((answer.status, &*answer.body), (404, ""));
        }
    });
    let seconds = started.elapsed().as_secs() as usize + 2;
    let metrics = block_on(send(client().get(format!("http://{admin}/metrics")))).body;
    for line in [
        "claimsmith_requests_turned_away_total{reason=\"network\"} 250",
        "claimsmith_requests_turned_away_total{reason=\"key\"} 0",
        "claimsmith_requests_total{rule=\"-\",status=\"404\"} 250",
        "claimsmith_requests_total{rule=\"acme\",status=\"404\"} 250",
        "claimsmith_connections_turned_away_total{reason=\"network\"} 0",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    server.signal("-TERM");
    let log = server.end().err;
    let lines = log.lines().filter(|line| line.contains("\"refused\"")).count();
    assert!((20..=20 * seconds).contains(&lines), "{lines} lines in {seconds} s");
    assert!(!log.contains("m4rk"), "{log}");
}

#[test]
fn the_body_of_a_request_for_nothing_is_not_waited_for() {
    let upstream = upstream();
    for access in ["", "key = { env = 'KEY' }"] {
        let gateway = setup(&upstream, access).with(|settings| settings.deadline = Span(LIMIT)).start();
        let mut stream = TcpStream::connect(gateway.address).expect("the gateway accepts");
        stream.set_read_timeout(Some(LIMIT / 2)).expect("a socket can be set up");
        stream.write_all(b"POST /nothing HTTP/1.1\r\nhost: g\r\ncontent-length: 10\r\n\r\n").expect("it is open");
        let mut start = [0; 12];
        stream.read_exact(&mut start).expect("it is answered before the body is there");
        assert_eq!(&start, if access.is_empty() { b"HTTP/1.1 404" } else { b"HTTP/1.1 401" });
    }
}

#[test]
fn the_log_tells_the_client_only_if_asked_to() {
    for (setting, expected) in [("", None), ("log.client = true\n", Some("203.0.113.9"))] {
        let world = World::new(&[("rules/acme.toml", &rule("a"))]);
        world.settings(&format!("{setting}[access]\ntrusted_proxies = '127.0.0.1'"));
        let mut server = Server::start(world.serve(&[]));
        let request = client().get(format!("http://{}/acme", server.address)).bearer_auth("t0ken");
        assert_eq!(block_on(send(request.header("x-forwarded-for", "192.0.2.1, 203.0.113.9"))).status, 200);
        assert_eq!(server.json("\"answered\"")["client"].as_str(), expected);
        server.signal("-TERM");
        let log = server.end().err;
        assert_eq!(log.contains("203.0.113.9"), expected.is_some(), "{log}");
        assert!(!log.contains("192.0.2.1"), "{log}");
    }
}

#[test]
fn settings_that_let_nobody_in_are_told() {
    for (settings, part) in [
        ("[access]\nnetworks = ['10.0.0.0/33']", "not a network: `10.0.0.0/33`"),
        ("[access]\nclient_rate = 'often'", "not a rate: `often`"),
        ("[access]\nproxy_protocol = true", "`access.proxy_protocol`"),
        ("[access]\nclient_names = ['a.example']", "`access.client_names`"),
        ("[access]\nkey = 'm4rk'", "access.key"),
        ("[access]\nnetwork = '10.0.0.0/8'", "did you mean `networks`"),
        ("[access]\nkey = { env = 'CLAIMSMITH_TEST_NO_SUCH_KEY' }", "`access.key`"),
    ] {
        let world = World::new(&[("rules/acme.toml", &rule("a"))]);
        world.settings(settings);
        let ran = crate::cli::run(world.serve(&[]));
        assert!(ran.code == Some(2) && ran.err.contains(part), "{settings}: {}", ran.err);
        assert!(!ran.err.contains("m4rk"), "{}", ran.err);
    }
}
