//! Restarts that nobody notices.

use std::{net::TcpStream, time::Duration};

use crate::{
    cli::{ADMIN, Server},
    reload::{World, get, rule, until},
    support::{Load, block_on, client, send},
};

#[test]
fn five_rolling_restarts_fail_no_request() {
    let world = World::new(&[("rules/acme.toml", &rule("a"))]);
    world.settings("share_port = true");
    let mut server = Server::start(world.serve(&[]));
    let address = server.address;
    let load = Load::start(8, address, "/acme");
    for _ in 0..5 {
        let listen = address.to_string();
        let next = Server::start(world.serve(&["--listen", &listen]));
        assert_eq!(next.address, address, "both have the port");
        let before = load.done();
        server.signal("-TERM");
        let ran = server.end();
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert!(!ran.err.contains("drain time"), "{}", ran.err);
        until("the next one answers", || load.done() > before + 50);
        server = next;
    }
    let (failures, done) = load.stop();
    assert_eq!(failures, [""; 0], "of {done} requests");
}

#[test]
fn a_port_is_shared_only_if_both_say_so() {
    let world = World::new(&[("rules/acme.toml", &rule("a"))]);
    let server = Server::start(world.serve(&[]));
    world.settings("share_port = true");
    let ran = crate::cli::run(world.serve(&["--listen", &server.address.to_string()]));
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(ran.err.contains("in use"), "{}", ran.err);
}

#[test]
fn a_stop_is_told_before_it_happens() {
    let world = World::new(&[("rules/acme.toml", &rule("a"))]);
    world.settings("stop_delay = \"1s\"");
    let mut command = world.serve(&[]);
    command.env(ADMIN, "127.0.0.1:0");
    let mut server = Server::start(command);
    let admin = server.admin();
    let ready = || block_on(send(client().get(format!("http://{admin}/readyz"))));
    until("it is ready", || ready().status == 200);
    server.signal("-TERM");
    until("it is not ready", || ready().status == 503);
    assert_eq!(ready().body, "stopping\n");
    assert_eq!(get(&server, "/acme").status, 200, "it goes on serving");
    let address = server.address;
    let ran = server.end();
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(TcpStream::connect(address).is_err(), "the port is free again");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let world = World::new(&[("rules/acme.toml", &rule("a"))]);
    world.settings("stop_delay = \"600s\"");
    let mut server = Server::start(world.serve(&[]));
    let started = std::time::Instant::now();
    server.signal("-TERM");
    server.line("stopping");
    server.signal("-TERM");
    let ran = server.end();
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(started.elapsed() < Duration::from_secs(60));
    assert!(ran.err.contains("at once"), "{}", ran.err);
}
