//! Addresses that are not public, however they are written and whoever names them.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use claimsmith::gateway::Lookup;

use super::{Forbidden, TOKEN, Told, allow, ask, ask_host, host, rule};
use crate::support::{Reply, Setup, Upstream};

/// A source that has these addresses for every name.
fn says(addresses: &[&str]) -> Lookup {
    let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().expect("an address")).collect();
    Lookup::new(move |_| {
        let addresses = addresses.clone();
        Box::pin(async move { Ok(addresses) })
    })
}

/// A source that must not be asked.
fn silent() -> Lookup {
    Lookup::new(|name| {
        let name = name.to_owned();
        Box::pin(async move { panic!("{name} is resolved") })
    })
}

/// The loopback interface, as hosts of URLs may say it.
const LOOPBACK: [&str; 26] = [
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0X7F.1",
    "017700000001",
    "0177.0.0.1",
    "0177.0x0.00.01",
    "0x7f.0x0.0x0.0x1",
    "127.0.0.0x1",
    "%31%32%37.0.0.1",
    "127%2e0%2e0%2e1",
    "\u{ff11}\u{ff12}\u{ff17}.0.0.1",
    "\u{2460}\u{2461}\u{2466}.0.0.1",
    "127\u{3002}0\u{3002}0\u{3002}1",
    "0.0.0.0",
    "0",
    "127.255.255.254",
    "[::]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
];

/// Others that are not public.
const OTHERS: [&str; 32] = [
    "10.0.0.1",
    "0xa000001",
    "012.0.0.1",
    "167772161",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "192.168.257",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "168.63.129.16",
    "192.0.0.192",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "[ff02::1]",
    "[2001:db8::1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::169.254.169.254]",
    "[64:ff9b:1::1]",
    "[2002:7f00:1::1]",
    "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
];

#[test]
fn an_address_that_is_not_public_is_not_reached_however_it_is_written() {
    let four = Forbidden::at("127.0.0.1:0");
    let port = four.port();
    // There may be no IPv6 here, or somebody else at that port.
    let six = Forbidden::bind(&format!("[::1]:{port}")).ok();
    for address in LOOPBACK.iter().chain(&OTHERS) {
        let setup = Setup::new().rule("acme", &rule(&format!("http://{address}:{port}/user"), ""));
        ask(&setup, silent()).is_barred(address);
    }
    assert_eq!(four.connections() + six.map_or(0, |six| six.connections()), 0);
}

#[test]
fn a_name_with_an_address_that_is_not_public_is_not_reached() {
    let forbidden = Forbidden::at("127.0.0.1:0");
    let url = format!("http://api.acme.example:{}/user", forbidden.port());
    let setup = Setup::new().rule("acme", &rule(&url, ""));
    for address in [
        "127.0.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "64:ff9b::127.0.0.1",
        "::127.0.0.1",
        "0.0.0.0",
        "::",
        "10.1.2.3",
        "172.20.0.1",
        "192.168.0.10",
        "100.64.1.1",
        "169.254.169.254",
        "168.63.129.16",
        "224.0.0.251",
        "255.255.255.255",
        "fd12::1",
        "fd00:ec2::254",
        "fe80::1",
        "ff02::fb",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
    ] {
        let told = ask(&setup, says(&[address]));
        told.is_barred(address);
        assert!(told.words.contains("api.acme.example"), "{}", told.words);
        assert!(!told.words.contains(address) || told.words.contains('/'), "{}", told.words);
    }
    ask(&setup, says(&["127.0.0.1", "::1", "10.0.0.1", "::ffff:127.0.0.1"])).is_barred("all of several");
    // By the system's own word, too.
    for name in ["localhost", "LocalHost"] {
        let url = format!("http://{name}:{}/user", forbidden.port());
        let told = Told::of(&Setup::new().rule("acme", &rule(&url, "")).outcome("/acme", TOKEN));
        told.is_barred(name);
    }
    assert_eq!(forbidden.connections(), 0);
}

/// Two listeners at the same port of two addresses of the loopback interface.
fn neighbours() -> (Upstream, Forbidden) {
    loop {
        let upstream = Upstream::new(|_| Reply::json(r#"{"id":"1"}"#).header("connection", "close"));
        let port = upstream.origin.rsplit(':').next().expect("it has a port");
        // Somebody else may have it.
        if let Ok(forbidden) = Forbidden::bind(&format!("127.0.0.2:{port}")) {
            return (upstream, forbidden);
        }
    }
}

#[test]
fn of_several_addresses_only_those_that_may_be_are_reached() {
    let (upstream, forbidden) = neighbours();
    let url = upstream.origin.replace("127.0.0.1", "api.acme.example");
    let setup = allow(Setup::new().rule("acme", &rule(&url, "")), "127.0.0.1/32");
    for order in [["127.0.0.2", "127.0.0.1"], ["127.0.0.1", "127.0.0.2"]] {
        assert_eq!(ask(&setup, says(&order)).status, 200);
    }
    assert_eq!((upstream.connections(), forbidden.connections()), (2, 0));
}

/// The name has an address that may be reached when it is asked for first, and another one ever after, as a name
/// server does that wants to be believed and then to lead inside.
#[test]
fn a_name_that_changes_its_address_leads_nowhere() {
    const REQUESTS: usize = 20;
    let (upstream, forbidden) = neighbours();
    let url = upstream.origin.replace("127.0.0.1", "api.acme.example");
    // The two stand for a public address, which no test may connect to, and one that is not.
    let setup = allow(Setup::new().rule("acme", &rule(&url, "retry = 3")), "127.0.0.1");
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let lookup = Lookup::new(move |_| {
        let address = if count.fetch_add(1, Ordering::SeqCst) == 0 { [127, 0, 0, 1] } else { [127, 0, 0, 2] };
        Box::pin(async move { Ok(vec![address.into()]) })
    });
    let host = host(&setup, lookup);
    let told = ask_host(&setup, &host);
    assert_eq!((told.status, told.body.as_str()), (200, r#"{"sub":"1"}"#), "{}", told.words);
    // One question for one connection: what was judged is what was connected to.
    assert_eq!((asked.load(Ordering::SeqCst), upstream.connections()), (1, 1));
    for number in 1..=REQUESTS {
        ask_host(&setup, &host).is_barred("the second address");
        assert_eq!(asked.load(Ordering::SeqCst), 1 + number, "it is not tried again");
    }
    assert_eq!((upstream.connections(), forbidden.connections()), (1, 0));
}

#[test]
fn what_the_settings_name_is_reached() {
    let upstream = Upstream::new(|_| Reply::json(r#"{"id":"1"}"#));
    let port = upstream.origin.rsplit(':').next().expect("it has a port");
    let by_address = Setup::new().rule("acme", &rule(&upstream.origin, ""));
    ask(&by_address, silent()).is_barred("nothing is allowed");
    let by_name = |name: &str| Setup::new().rule("acme", &rule(&format!("http://{name}:{port}"), ""));
    for allowed in ["127.0.0.0/8", "127.0.0.1", "0.0.0.0/0", "::1,127.0.0.1", &upstream.origin] {
        let mut setup = Setup::new().rule("acme", &rule(&upstream.origin, ""));
        for allowed in allowed.split(',') {
            setup = allow(setup, allowed);
        }
        assert_eq!(ask(&setup, silent()).status, 200, "{allowed}");
    }
    let origin = format!("http://idp.internal.example:{port}");
    let named = || by_name("idp.internal.example");
    for allowed in ["127.0.0.1/32", &origin] {
        assert_eq!(ask(&allow(named(), allowed), says(&["127.0.0.1"])).status, 200, "{allowed}");
    }
    // Another port, another scheme, another name: another origin.
    for allowed in [
        "http://idp.internal.example",
        &origin.replace("http:", "https:"),
        &origin.replace("idp.", ""),
        "10.0.0.0/8",
        "::1",
    ] {
        ask(&allow(named(), allowed), says(&["127.0.0.1"])).is_barred(allowed);
    }
    // To where the operator leads an origin.
    let led = Setup::new().rule("acme", &rule("https://api.acme.example", ""));
    assert_eq!(ask(&led.reroute("https://api.acme.example", &upstream.origin), silent()).status, 200);
}

/// Endpoints that are no calls of the rule are reached by the same door.
#[test]
fn no_endpoint_of_a_rule_is_at_an_address_that_is_not_public() {
    let forbidden = Forbidden::at("127.0.0.1:0");
    let inside = format!("http://127.0.0.1:{}", forbidden.port());
    let token = "eyJhbGciOiJFZERTQSIsImtpZCI6ImsxIn0.eyJpc3MiOiJhIiwiYXVkIjoiYSIsImV4cCI6MX0.AAAA";
    let call = "[call.user]\nurl = \"https://api.acme.example/user\"\n";
    let claims = "[claims]\nsub = \"$.user.id\"\n";
    for (what, rule) in [
        (
            "keys",
            format!("[token]\njwt = {{ jwks = \"{inside}/jwks\", issuer = \"a\", audience = \"a\" }}\n{call}{claims}"),
        ),
        (
            "introspection",
            format!(
                "[token]\nintrospect = {{ url = \"{inside}/introspect\", auth = {{ basic = {{ user = \"us\", password = \"${{vars.p}}\" }} }}, expect = {{ client_id = \"a\" }} }}\n[vars]\np = \"p\"\n{call}{claims}"
            ),
        ),
        (
            "token",
            format!(
                "[vars]\np = \"p\"\n{call}auth = {{ client_credentials = {{ token_url = \"{inside}/token\", client_id = \"us\", client_secret = \"${{vars.p}}\" }} }}\n{claims}"
            ),
        ),
        (
            "keys of an answer",
            format!(
                "{call}decode = {{ jwt = {{ jwks = \"{inside}/jwks\", issuer = \"a\", audience = \"a\" }} }}\n{claims}"
            ),
        ),
    ] {
        let upstream = Upstream::new(move |_| Reply::new(200, token).header("content-type", "application/jwt"));
        let setup = Setup::new().rule("acme", &rule).reroute("https://api.acme.example", &upstream.origin);
        assert!(setup.load().refused.is_empty(), "{what}: {:?}", setup.load().problems);
        let told = Told::of(&setup.outcome("/acme", token));
        assert_eq!(told.status, 502, "{what}: {}", told.words);
        assert!(told.words.contains("is not public (loopback"), "{what}: {}", told.words);
        assert!(!told.body.contains("public"), "{what}: {}", told.body);
    }
    assert_eq!(forbidden.connections(), 0);
}

#[test]
fn a_redirect_leads_to_no_address_that_is_not_public() {
    let forbidden = Forbidden::at("127.0.0.1:0");
    let port = forbidden.port();
    for status in [301, 302, 303, 307, 308] {
        for host in ["127.0.0.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "localhost", "169.254.169.254"] {
            let location = format!("http://{host}:{port}/latest/meta-data");
            let origin = location.trim_end_matches("/latest/meta-data").to_owned();
            let upstream = Upstream::new(move |_| Reply::new(status, "{}").header("location", location.clone()));
            // Even where the rule lets it.
            let lines = format!("redirect = {{ max = 3, origins = [\"{origin}\"] }}");
            let setup = Setup::new().rule("acme", &rule("https://api.acme.example/user", &lines));
            let setup = setup.reroute("https://api.acme.example", &upstream.origin);
            Told::of(&setup.outcome("/acme", TOKEN)).is_barred(host);
            assert_eq!(upstream.seen().len(), 1);
        }
    }
    assert_eq!(forbidden.connections(), 0);
}

/// A refusal is the settings' word, and says nothing of the upstream.
#[test]
fn what_is_not_reached_trips_no_breaker() {
    let setup = Setup::new().rule("acme", &rule("http://127.0.0.1:9/user", "retry = 3"));
    let host = host(&setup, silent());
    for _ in 0..50 {
        ask_host(&setup, &host).is_barred("every time the same");
    }
}

#[test]
fn a_gateway_refuses_as_well_and_tells_no_caller() {
    let forbidden = Forbidden::at("127.0.0.1:0");
    let url = format!("http://localhost:{}/user", forbidden.port());
    let gateway = Setup::new().rule("acme", &rule(&url, "")).start();
    let answer = gateway.get("/acme", TOKEN);
    assert_eq!((answer.status, answer.json()["error"].as_str()), (502, Some("server_error")));
    let word = answer.json()["error_description"].as_str().map(str::to_owned);
    assert_eq!(word.as_deref(), Some("the provider gave no usable answer"));
    assert_eq!(forbidden.connections(), 0);
}
