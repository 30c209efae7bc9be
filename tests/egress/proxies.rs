//! Proxies: none by themselves, whatever the environment says, and the right one when the settings ask for it.

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
};

use super::{Forbidden, TOKEN, rule};
use crate::{
    cli::{Run, claimsmith, folder, run},
    support::{Reply, Upstream},
};

/// A proxy that notes what it is asked, answers requests that it is to pass on, and makes no tunnel.
struct Proxy {
    /// By name, as proxies are.
    address: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port can be bound");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = heads.clone();
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let (mut head, mut piece) = (Vec::new(), [0; 4096]);
                while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                    match stream.read(&mut piece) {
                        Ok(0) | Err(_) => break,
                        Ok(length) => head.extend_from_slice(&piece[..length]),
                    }
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let answer = match head.starts_with("CONNECT ") {
                    true => "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n",
                    false => "HTTP/1.1 200 OK\r\ncontent-length: 10\r\nconnection: close\r\n\r\n{\"id\":\"1\"}",
                };
                noted.lock().expect("nothing panics while it holds this").push(head);
                // The program may be gone.
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Proxy { address: format!("localhost:{port}"), heads }
    }

    fn heads(&self) -> Vec<String> {
        std::mem::take(&mut self.heads.lock().expect("nothing panics while it holds this"))
    }
}

/// Runs `claimsmith try` on a rule for this address.
fn attempt(url: &str, settings: &str, environment: &[(&str, String)]) -> Run {
    let settings = format!("[upstream]\n{settings}");
    let folder = folder(&[("acme.toml", &rule(url, "")), ("claimsmith.toml", &settings)]);
    let mut command = claimsmith(&["try", "acme.toml"]);
    for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    command.envs(environment.iter().cloned()).env("CLAIMSMITH_TOKEN", TOKEN).current_dir(folder.path());
    run(command)
}

const VARIABLES: [&str; 6] = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

#[test]
fn no_proxy_of_the_environment_is_used_unless_asked() {
    let proxy = Proxy::new();
    let environment = VARIABLES.map(|name| (name, format!("http://{}", proxy.address)));
    let plain = Upstream::new(|_| Reply::json(r#"{"id":"1"}"#));
    let ran = attempt(&plain.origin, "allow = [\"127.0.0.1\"]", &environment);
    assert_eq!((ran.code, plain.seen().len()), (Some(0), 1), "{}", ran.err);
    // And over TLS, as far as that the upstream itself is connected to.
    let ran = attempt(&plain.origin.replace("http:", "https:"), "allow = [\"127.0.0.1\"]", &environment);
    assert_eq!((ran.code, plain.connections()), (Some(1), 2), "{}", ran.err);
    assert_eq!(proxy.heads(), [""; 0]);
}

#[test]
fn a_proxy_of_the_environment_is_used_when_asked() {
    let proxy = Proxy::new();
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        for scheme in ["http://us:p4ss@", "us:p4ss@"] {
            let environment = [(name, format!("{scheme}{}", proxy.address))];
            // The name is resolved by the proxy alone: here nobody knows it.
            let ran = attempt("https://api.acme.example/user", "proxy = \"environment\"", &environment);
            assert_eq!(ran.code, Some(1), "{}", ran.err);
            let heads = proxy.heads();
            assert!(heads.len() == 1 && heads[0].starts_with("CONNECT api.acme.example:443 HTTP/1.1\r\n"), "{heads:?}");
            assert!(heads[0].to_lowercase().contains("proxy-authorization: basic dxm6cdrzcw==\r\n"), "{heads:?}");
            assert!(!heads[0].contains("m4rk"), "a proxy sees no token: {heads:?}");
            assert!(!ran.err.contains("p4ss") && !ran.out.contains("p4ss"), "{}", ran.err);
        }
    }
    let environment = [("HTTP_PROXY", format!("http://{}", proxy.address))];
    let ran = attempt("http://api.acme.example/user", "proxy = \"environment\"", &environment);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(proxy.heads()[0].starts_with("GET http://api.acme.example/user HTTP/1.1\r\n"));
    // What goes without it is judged as ever.
    let upstream = Forbidden::at("127.0.0.1:0");
    let url = format!("http://localhost:{}/user", upstream.port());
    let by_address = proxy.address.replace("localhost", "http://127.0.0.1");
    let environment = [("HTTP_PROXY", by_address), ("NO_PROXY", "localhost".to_owned())];
    let ran = attempt(&url, "proxy = \"environment\"", &environment);
    assert_eq!((ran.code, upstream.connections(), proxy.heads().len()), (Some(1), 0, 0), "{}", ran.err);
    assert!(ran.err.contains("is not public"), "{}", ran.err);
    for wrong in ["socks5://us:p4ss@proxy.example", "http://", "http://us:p4ss@:80"] {
        let environment = [("ALL_PROXY", wrong.to_owned())];
        let ran = attempt("https://api.acme.example/user", "proxy = \"environment\"", &environment);
        assert_eq!(ran.code, Some(2), "{}", ran.err);
        assert!(ran.err.contains("ALL_PROXY") && !ran.err.contains("p4ss"), "{}", ran.err);
    }
}

#[test]
fn the_proxy_of_the_settings_is_used_and_no_other() {
    let (proxy, other) = (Proxy::new(), Proxy::new());
    let settings = |more: &str| format!("proxy = \"http://{}\"\n{more}", proxy.address);
    let environment: Vec<_> = VARIABLES.iter().map(|name| (*name, format!("http://{}", other.address))).collect();
    let ran = attempt("https://api.acme.example/user", &settings(""), &environment);
    assert_eq!((ran.code, proxy.heads().len()), (Some(1), 1), "{}", ran.err);
    // An address in the place of a name is judged here; a proxy may well reach it.
    for address in ["127.0.0.1", "10.0.0.1", "169.254.169.254", "0x7f.1", "[::1]", "[fd00:ec2::254]"] {
        for scheme in ["http", "https"] {
            let ran = attempt(&format!("{scheme}://{address}/user"), &settings(""), &environment);
            assert_eq!((ran.code, proxy.heads().len()), (Some(1), 0), "{address}: {}", ran.err);
            assert!(ran.err.contains("is not public"), "{address}: {}", ran.err);
        }
    }
    // What the operator names is reached directly.
    let upstream = Upstream::new(|_| Reply::json(r#"{"id":"1"}"#));
    let ran = attempt(&upstream.origin, &settings(&format!("allow = [\"{}\"]", upstream.origin)), &environment);
    assert_eq!((ran.code, proxy.heads().len()), (Some(0), 0), "{}", ran.err);
    assert_eq!((upstream.seen().len(), other.heads().len()), (1, 0));
}
