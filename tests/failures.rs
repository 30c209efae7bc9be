//! The failure table of the rule language, whole, and what an endpoint does around it: one test a row, over sockets.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Arc, mpsc},
    time::Duration,
};

use claimsmith::config::Span;
use tokio::sync::Notify;

use crate::support::{Answer, Gateway, Reply, Setup, Upstream, block_on, client, raw_upstream, send};

/// Stands in every token, secret, claim name and upstream answer of these tests, and must be in no answer of ours.
const MARK: &str = "m4rk";
const TOKEN: &str = "t0ken-m4rk";
const ORIGIN: &str = "https://api.acme.example";
const PROFILE: &str = r#"{"id":"1","m4rk_member":"m4rk-value"}"#;

const RULE: &str = r#"
[secrets]
key = { env = "KEY" }

[call.user]
url     = "https://api.acme.example/user"
headers = { api-key = "${secrets.key}" }

[claims]
sub = "$.user.id"
"#;

fn setup(rule: &str, origin: &str) -> Setup {
    Setup::new().rule("acme", rule).secrets(&[("KEY", "s3cret-m4rk")]).reroute(ORIGIN, origin)
}

/// A gateway with one rule in front of one upstream.
fn gateway(rule: &str, upstream: &Upstream) -> Gateway {
    setup(rule, &upstream.origin).start()
}

/// An upstream that always answers the same.
fn always(reply: Reply) -> Upstream {
    Upstream::new(move |_| reply.clone())
}

fn profile() -> Upstream {
    always(Reply::json(PROFILE))
}

/// Checks what all failures have in common, and gives the description.
#[track_caller]
fn refused(answer: &Answer, status: u16, error: &str) -> String {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("content-type"), "application/json");
    let body = answer.json();
    let names: Vec<_> = body.as_object().expect("an error is an object").keys().map(String::as_str).collect();
    assert_eq!(names, ["error", "error_description", "request_id"]);
    assert_eq!(body["error"], error);
    assert_eq!(body["request_id"], answer.header("x-request-id"));
    assert!(!answer.header("x-request-id").is_empty());
    no_mark(answer);
    let description = body["error_description"].as_str().expect("a description is text").to_owned();
    assert!(!description.is_empty());
    description
}

#[track_caller]
fn no_mark(answer: &Answer) {
    let headers = format!("{:?}", answer.headers);
    assert!(!answer.body.contains(MARK) && !headers.contains(MARK), "{headers} {}", answer.body);
}

/// The same, with a `WWW-Authenticate` that says the same as the body.
#[track_caller]
fn challenged(answer: &Answer, status: u16, error: &str) -> String {
    let description = refused(answer, status, error);
    let expected = format!("Bearer error=\"{error}\", error_description=\"{description}\"");
    assert_eq!(answer.header("www-authenticate"), expected);
    description
}

/// The same, without a `WWW-Authenticate`: the token is not at fault.
#[track_caller]
fn unchallenged(answer: &Answer, status: u16, error: &str) -> String {
    assert!(!answer.headers.contains_key("www-authenticate"));
    refused(answer, status, error)
}

#[test]
fn no_token() {
    let upstream = profile();
    let gateway = gateway(RULE, &upstream);
    for headers in [&[][..], &[("authorization", "Basic YTpi")], &[("x-other", "x")]] {
        let answer = gateway.get_with("/acme", headers);
        assert_eq!(answer.status, 401);
        assert_eq!(
            answer.header("www-authenticate"),
            "Bearer",
            "no error code without a token (RFC 6750, section 3.1)"
        );
        assert_eq!(answer.body, "");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    assert!(upstream.seen().is_empty());
}

#[test]
fn malformed_authorization() {
    let upstream = profile();
    let gateway = gateway(RULE, &upstream);
    for value in ["Bearer", "Bearer ", "Bearer a b", "Bearer a,b", "Bearer \"a\"", "m4rk", "token\tm4rk"] {
        challenged(&gateway.get_with("/acme", &[("authorization", value)]), 400, "invalid_request");
    }
    let bytes = http::HeaderValue::from_bytes(b"Bearer m4rk\xff").expect("a header may hold it");
    let request = client().get(gateway.url("/acme")).header("authorization", bytes);
    challenged(&block_on(send(request)), 400, "invalid_request");
    assert!(upstream.seen().is_empty());
}

#[test]
fn a_token_twice() {
    let upstream = profile();
    let gateway = setup(RULE, &upstream.origin).with(|settings| settings.query_token = true).start();
    let form = |body: &'static str| {
        client().post(gateway.url("/acme")).header("content-type", "application/x-www-form-urlencoded").body(body)
    };
    for request in [
        client()
            .get(gateway.url("/acme"))
            .header("authorization", "Bearer m4rk")
            .header("authorization", "Bearer m4rk"),
        form("access_token=m4rk").bearer_auth(TOKEN),
        form("access_token=m4rk&access_token=m4rk"),
        client().get(gateway.url("/acme?access_token=m4rk")).bearer_auth(TOKEN),
        client().get(gateway.url("/acme?access_token=m4rk&access_token=m4rk")),
    ] {
        let description = challenged(&block_on(send(request)), 400, "invalid_request");
        assert_eq!(description, "more than one access token was sent");
    }
    assert!(upstream.seen().is_empty());
}

#[test]
fn a_token_in_the_query() {
    let upstream = profile();
    let refuses = gateway(RULE, &upstream);
    challenged(&refuses.get_with("/acme?access_token=m4rk", &[]), 400, "invalid_request");
    assert!(upstream.seen().is_empty());
    let accepts = setup(RULE, &upstream.origin).with(|settings| settings.query_token = true).start();
    let answer = accepts.get_with("/acme?x=1&access_token=a%2Bb", &[]);
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"sub":"1"}"#));
    assert_eq!(upstream.seen()[0].header("authorization"), "Bearer a+b");
}

#[test]
fn upstream_says_401() {
    let upstream = always(Reply::new(401, r#"{"error":"m4rk"}"#).header("www-authenticate", "Bearer realm=\"m4rk\""));
    let description = challenged(&gateway(RULE, &upstream).get("/acme", TOKEN), 401, "invalid_token");
    assert_eq!(description, "the access token is not valid for this provider");
}

#[test]
fn upstream_says_403() {
    let upstream = always(Reply::new(403, "m4rk"));
    challenged(&gateway(RULE, &upstream).get("/acme", TOKEN), 403, "insufficient_scope");
}

/// A rule with a line in its call, in front of an upstream that answers so.
#[track_caller]
fn judged(line: &str, reply: Reply) -> Answer {
    gateway(&RULE.replace("[claims]", &format!("{line}\n[claims]")), &always(reply)).get("/acme", TOKEN)
}

#[test]
fn a_status_is_judged_also_where_the_body_has_not_the_format_of_the_call() {
    const EXPECT: &str = "expect = [200, 401, 403, 404, 429]";
    let plain = |status: u16| Reply::new(status, "m4rk_OAuth_Token").header("content-type", "text/plain");
    for line in ["", EXPECT, "decode = \"xml\"", "expect = [401, 403]\ndecode = \"json\""] {
        challenged(&judged(line, plain(401)), 401, "invalid_token");
        challenged(&judged(line, plain(403)), 403, "insufficient_scope");
    }
    assert_eq!(
        unchallenged(&judged(EXPECT, plain(429)), 503, "temporarily_unavailable"),
        "the provider limits the rate of requests"
    );
    unchallenged(&judged(EXPECT, plain(404)), 502, "server_error");
    unchallenged(&judged(EXPECT, plain(200)), 502, "server_error");
    let row = |when: &str| format!("fail_when = [{{ when = '{when}', error = \"invalid_token\", reason = \"no\" }}]");
    let by_status = row("meta.user.status == 403");
    for line in [by_status.clone(), format!("{by_status}\n{EXPECT}"), format!("{by_status}\ndecode = \"form\"")] {
        assert_eq!(challenged(&judged(&line, plain(403)), 401, "invalid_token"), "no");
    }
    assert_eq!(challenged(&judged(&row("meta.user.status >= 500"), plain(503)), 401, "invalid_token"), "no");
    let by_header = row("meta.user.headers[\"x-error\"] == \"token\"");
    assert_eq!(challenged(&judged(&by_header, plain(200).header("x-error", "token")), 401, "invalid_token"), "no");
    // What looks at the body alone is not asked where there is none: it would take an outage for a refusal.
    for (status, line) in [(503, row("user.id == ()")), (503, row("!user.active")), (200, row("user.id == ()"))] {
        unchallenged(&judged(&line, plain(status)), 502, "server_error");
    }
    unchallenged(&judged(&by_status, plain(502)), 502, "server_error");
    let pages = format!("{by_status}\npaginate = \"link\"");
    assert_eq!(challenged(&judged(&pages, plain(403)), 401, "invalid_token"), "no");
    unchallenged(&judged(&pages, plain(502)), 502, "server_error");
}

#[test]
fn upstream_refuses_our_credentials() {
    for status in [401, 403] {
        let upstream = always(Reply::new(status, "m4rk"));
        for credentials in [
            "auth = { bearer = \"${secrets.key}\" }",
            "auth = { basic = { user = \"us\", password = \"${secrets.key}\" } }",
            "token = \"none\"\nheaders = { api-key = \"${secrets.key}\" }",
        ] {
            let rule = format!(
                "[secrets]\nkey = {{ env = \"KEY\" }}\n[call.user]\nurl = \"{ORIGIN}/user\"\n{credentials}\n\
                 [claims]\nsub = \"$.user.id\"\n"
            );
            unchallenged(&gateway(&rule, &upstream).get("/acme", TOKEN), 502, "server_error");
        }
    }
}

/// What `require`, `fail_when` and `reject` may name.
const DENIALS: [(&str, u16); 4] =
    [("invalid_token", 401), ("insufficient_scope", 403), ("access_denied", 403), ("temporarily_unavailable", 503)];

/// A denial says what the rule names, with the rule's reason or one of its own.
#[track_caller]
fn denied(rule: &str, error: &str, status: u16, reason: &str) {
    let upstream = profile();
    let answer = gateway(rule, &upstream).get("/acme", TOKEN);
    let description = if error == "temporarily_unavailable" {
        assert_eq!(answer.header("retry-after"), "1");
        unchallenged(&answer, status, error)
    } else {
        challenged(&answer, status, error)
    };
    assert_eq!(description, reason);
    assert_eq!(upstream.seen().len(), 1);
}

#[test]
fn a_guard_that_does_not_hold() {
    for (error, status) in DENIALS {
        for that in ["user.id == '2'", "user.absent == user.id", "user.absent"] {
            let that = that.replace('\'', "\\\"");
            let guard = format!("[[require]]\nthat = \"{that}\"\nerror = \"{error}\"\nreason = \"not for you\"\n");
            denied(&format!("{RULE}{guard}"), error, status, "not for you");
        }
    }
    let guards = "[[require]]\nthat = \"user.id == \\\"1\\\"\"\nerror = \"access_denied\"\n\
                  [[require]]\nthat = \"false\"\nerror = \"invalid_token\"\n";
    denied(&format!("{RULE}{guards}"), "invalid_token", 401, "the access token is not valid for this provider");
}

#[test]
fn an_error_inside_200() {
    for (error, status) in DENIALS {
        let row =
            format!("fail_when = [{{ when = \"user.id == \\\"1\\\"\", error = \"{error}\", reason = \"no\" }}]\n");
        denied(&RULE.replace("[claims]", &format!("{row}[claims]")), error, status, "no");
    }
}

#[test]
fn a_script_that_rejects() {
    for (error, status) in DENIALS {
        let script = format!("[script]\nsource = 'if user.id == \"1\" {{ reject(\"{error}\", \"closed\"); }}'\n");
        denied(&format!("{RULE}{script}"), error, status, "closed");
        // A rejection is no error that a script can catch.
        let script = format!("[script]\nsource = 'try {{ reject(\"{error}\", \"closed\"); }} catch {{ }}'\n");
        denied(&format!("{RULE}{script}"), error, status, "closed");
    }
    let unknown = format!("{RULE}[script]\nsource = 'reject(user.id, \"m4rk\");'\n");
    unchallenged(&gateway(&unknown, &profile()).get("/acme", TOKEN), 500, "server_error");
}

#[test]
fn upstream_says_429() {
    for (sent, expected) in [
        (None, "1"),
        (Some("17"), "17"),
        (Some(" 0 "), "0"),
        (Some("999999999"), "3600"),
        (Some("Fri, 31 Dec 1999 23:59:59 GMT"), "1"),
        (Some("m4rk"), "1"),
        (Some("-5"), "1"),
    ] {
        let reply = Reply::new(429, "m4rk");
        let reply = sent.map_or(reply.clone(), |seconds| reply.header("retry-after", seconds));
        let answer = gateway(RULE, &always(reply)).get("/acme", TOKEN);
        unchallenged(&answer, 503, "temporarily_unavailable");
        assert_eq!(answer.header("retry-after"), expected, "{sent:?}");
    }
}

/// The upstream's answer is of no use: 502, and nothing else is said.
#[track_caller]
fn no_usable_answer(reply: Reply) {
    let shown = String::from_utf8_lossy(&reply.body[..reply.body.len().min(60)]).into_owned();
    let answer = gateway(RULE, &always(reply)).get("/acme", TOKEN);
    assert_eq!(answer.status, 502, "{shown}: {}", answer.body);
    assert_eq!(unchallenged(&answer, 502, "server_error"), "the provider gave no usable answer");
    assert!(!answer.headers.contains_key("retry-after"));
}

#[test]
fn a_status_that_is_not_expected() {
    for status in [201 + 99, 302, 304, 400, 404, 410, 418, 500, 502, 503, 504, 599] {
        no_usable_answer(Reply::new(status, PROFILE).header("location", "/m4rk"));
    }
}

#[test]
fn an_answer_that_is_no_profile() {
    for body in [
        "",
        " ",
        "<html><body>m4rk</body></html>",
        "m4rk",
        r#"{"id":"1""#,
        r#"{"id":"1","#,
        r#"{"id":"1"}}"#,
        r#"{"id":"1"} m4rk"#,
        r#"{'id':'1'}"#,
        r#"[{"id":"1"}]"#,
        "[]",
        r#""m4rk""#,
        "42",
        "0",
        "-1.5e3",
        "true",
        "null",
    ] {
        no_usable_answer(Reply::json(body));
    }
    no_usable_answer(Reply::json("<!doctype html><p>m4rk</p>").header("content-type", "text/html"));
    no_usable_answer(Reply::new(200, *b"{\"id\":\"m4rk\xff\xfe\"}"));
    no_usable_answer(Reply::new(200, PROFILE.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()));
    no_usable_answer(Reply::json("m4rk").header("content-encoding", "gzip"));
}

#[test]
fn a_wrong_content_type_is_forgiven() {
    for kind in ["text/html", "text/plain; charset=utf-8", "application/octet-stream", "nonsense"] {
        let upstream = always(Reply::json(format!("\u{feff}{PROFILE}\n")).header("content-type", kind));
        let answer = gateway(RULE, &upstream).get("/acme", TOKEN);
        assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"sub":"1"}"#), "{kind}");
    }
}

#[test]
fn deep_json_is_no_way_in() {
    // Where it is not read it is skipped; where it is, it has a limit.
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let unread = always(Reply::json(format!(r#"{{"id":"1","x":{deep}}}"#)));
    assert_eq!(gateway(RULE, &unread).get("/acme", TOKEN).body, r#"{"sub":"1"}"#);
    no_usable_answer(Reply::json(format!(r#"{{"id":{deep}}}"#)));
}

#[test]
fn a_body_that_is_too_large() {
    let mut body = br#"{"id":"1","x":""#.to_vec();
    body.resize(50 * 1024 * 1024, b'x');
    body.extend_from_slice(b"\"}");
    no_usable_answer(Reply::new(200, body));
    // Without a length before it, and with a length that lies.
    let mut chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..40 {
        chunked.extend_from_slice(b"10000\r\n");
        chunked.resize(chunked.len() + 0x10000, b' ');
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    below_http(chunked);
    below_http("HTTP/1.1 200 OK\r\ncontent-length: 99999999999999\r\n\r\n{}");
}

/// An upstream that sends these bytes and closes.
#[track_caller]
fn below_http(bytes: impl Into<Vec<u8>>) {
    let gateway = setup(RULE, &raw_upstream(bytes)).start();
    unchallenged(&gateway.get("/acme", TOKEN), 502, "server_error");
}

#[test]
fn an_answer_that_breaks_off() {
    below_http("");
    below_http("HTTP/1.1 200 OK\r\nx-m4rk: m");
    below_http(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{PROFILE}", PROFILE.len() + 1));
    below_http(format!("HTTP/1.1 200 OK\r\ncontent-length: 4000\r\n\r\n{}", &PROFILE[..9]));
    below_http(format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{PROFILE}\r\n", PROFILE.len()));
    below_http("\0\0m4rk\r\n\r\n");
    below_http("SSH-2.0-m4rk\r\n");
    below_http("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
}

#[test]
fn nobody_listens() {
    let origin = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port can be bound");
        format!("http://{}", listener.local_addr().expect("a bound socket has an address"))
    };
    unchallenged(&setup(RULE, &origin).start().get("/acme", TOKEN), 502, "server_error");
    // TLS to a server that speaks none.
    let plain = profile().origin.replace("http:", "https:");
    unchallenged(&setup(RULE, &plain).start().get("/acme", TOKEN), 502, "server_error");
}

/// A server of its own, whose memory can be measured.
struct Server {
    child: Child,
    address: String,
    _folder: tempfile::TempDir,
}

#[expect(clippy::disallowed_methods, reason = "the ban is for the core and the gateway, not for tests")]
impl Server {
    fn start(rule: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        std::fs::write(folder.path().join("acme.toml"), rule).expect("the folder can be written to");
        let mut child = Command::new(env!("CARGO_BIN_EXE_claimsmith"))
            .args(["serve", "--listen", "127.0.0.1:0", "--log-format", "json", "--rules", "."])
            .current_dir(folder.path())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(&line).ok())
            .find_map(|line| line["address"].as_str().map(str::to_owned))
            .expect("it says where it listens");
        // The pipe is read to its end, so that the program never waits for it.
        std::thread::spawn(move || lines.count());
        Server { child, address, _folder: folder }
    }

    /// The most memory that it ever had, in KiB; `None` where the system does not tell.
    fn peak(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }

    fn get(&self) -> Answer {
        block_on(send(client().get(format!("http://{}/acme", self.address)).bearer_auth(TOKEN)))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; the test then says why.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_gzip_bomb_does_not_grow_the_process() {
    const MIB: usize = 1024 * 1024;
    // After a full flush a piece stands for itself, so the same one makes the next MiB.
    let mut deflate = flate2::Compress::new(flate2::Compression::best(), false);
    let mut piece = Vec::with_capacity(64 * 1024);
    deflate.compress_vec(&vec![b' '; MIB], &mut piece, flate2::FlushCompress::Full).expect("it can be compressed");
    let mut bomb = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    bomb.extend(piece.repeat(400));
    assert!(bomb.len() < MIB, "400 MiB in {} bytes", bomb.len());
    let upstream = always(Reply::new(200, bomb).header("content-encoding", "gzip"));
    let rule = format!("[call.user]\nurl = \"{}/user\"\n[claims]\nsub = \"$.user.id\"\n", upstream.origin);
    let server = Server::start(&rule);
    let before = server.peak();
    for _ in 0..3 {
        unchallenged(&server.get(), 502, "server_error");
    }
    if let (Some(before), Some(after)) = (before, server.peak()) {
        assert!(after < before + 32 * 1024, "{before} KiB before, {after} KiB after");
    }
}

#[test]
fn a_small_answer_may_be_compressed() {
    let mut small = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    small.write_all(PROFILE.as_bytes()).expect("memory can be written to");
    let small = small.finish().expect("memory can be written to");
    let upstream = always(Reply::new(200, small).header("content-encoding", "gzip"));
    assert_eq!(gateway(RULE, &upstream).get("/acme", TOKEN).body, r#"{"sub":"1"}"#);
}

/// An upstream that takes longer than any test.
fn hung() -> Upstream {
    Upstream::slow(|_| async {
        tokio::time::sleep(Duration::from_secs(600)).await;
        Reply::json(PROFILE)
    })
}

#[test]
fn the_deadline_is_spent() {
    let upstream = hung();
    let deadline = |settings: &mut claimsmith::config::Settings| settings.deadline = Span(Duration::from_millis(50));
    let gateway = setup(RULE, &upstream.origin).with(deadline).start();
    let description = unchallenged(&gateway.get("/acme", TOKEN), 504, "server_error");
    assert_eq!(description, "the provider did not answer in time");
    // The head came, the body does not.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port can be bound");
    let origin = format!("http://{}", listener.local_addr().expect("a bound socket has an address"));
    let (held, hold) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the gateway connects");
        // An answer that comes before its request would be a fault of another kind.
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{\"id\":");
        // Kept open until the test is over.
        let _ = held.send(stream);
    });
    let gateway = setup(RULE, &origin).with(deadline).start();
    unchallenged(&gateway.get("/acme", TOKEN), 504, "server_error");
    drop(hold);
}

#[test]
fn the_limit_of_a_call_is_spent() {
    let upstream = hung();
    let rule = RULE.replace("[claims]", "timeout = \"50ms\"\n[claims]");
    unchallenged(&gateway(&rule, &upstream).get("/acme", TOKEN), 504, "server_error");
}

#[test]
fn a_script_that_fails() {
    for script in [
        "throw user.m4rk_member;",
        "let m4rk = 1 / 0;",
        "claims.sub = user.m4rk_member.sub_string(#{});",
        "let x = user.id + 1 - [];",
        "loop { }",
        "let x = \"m4rk\"; loop { x += x; }",
        "let x = []; loop { x.push(1); }",
        "fn f(x) { f(x) } f(1);",
        "claims = 1;",
        "claims.m4rk = Fn(\"m4rk\");",
        "claims.m4rk = #{ a: #{ b: 1 } };",
        "claims.m4rk = [[1]];",
        "user.id = \"2\";",
        "claims.email_verified = \"m4rk\";",
    ] {
        let rule = format!("{RULE}[script]\nsource = '''\n{script}\n'''\n");
        let answer = gateway(&rule, &profile()).get("/acme", TOKEN);
        assert_eq!(answer.status, 500, "{script}: {}", answer.body);
        let description = unchallenged(&answer, 500, "server_error");
        assert_eq!(description, "the answer of the provider could not be turned into claims", "{script}");
    }
}

#[test]
fn an_expression_that_fails() {
    for claim in ["{ rhai = \"1 / 0\" }", "\"${user.id.sub_string(#{})}\"", "{ rhai = \"#{ m4rk: 1 }\" }"] {
        let rule = format!("{RULE}m4rk = {claim}\n");
        unchallenged(&gateway(&rule, &profile()).get("/acme", TOKEN), 500, "server_error");
    }
    let rule = format!("{RULE}[[require]]\nthat = \"user.id\"\nerror = \"access_denied\"\n");
    let answer = gateway(&rule, &profile()).get("/acme", TOKEN);
    // A path that is not `true` does not hold; an expression that is no condition is a fault of ours.
    challenged(&answer, 403, "access_denied");
    let rule = format!("{RULE}[[require]]\nthat = \"user.id + 1\"\nerror = \"access_denied\"\n");
    unchallenged(&gateway(&rule, &profile()).get("/acme", TOKEN), 500, "server_error");
}

#[test]
fn a_required_claim_that_is_missing() {
    for body in [r#"{"id":"1"}"#, r#"{"id":"1","m4rk":null}"#] {
        let rule = format!("{RULE}m4rk = {{ path = \"$.user.m4rk\", required = true }}\n");
        unchallenged(&gateway(&rule, &always(Reply::json(body))).get("/acme", TOKEN), 500, "server_error");
    }
}

#[test]
fn a_claim_of_a_wrong_type() {
    for (name, options, value) in [
        ("email_verified", "", r#""m4rk""#),
        ("email_verified", "", "2"),
        ("updated_at", "", r#""m4rk""#),
        ("name", "", "true"),
        ("name", "", "1.5"),
        ("name", "", r#"["m4rk"]"#),
        ("m4rk", "", r#"{"m4rk":1}"#),
        ("m4rk", "", "[[1]]"),
        ("m4rk", "", "[true]"),
        ("m4rk", ", type = \"integer\"", "1.5"),
        ("m4rk", ", type = \"integer\"", r#""m4rk""#),
        ("m4rk", ", type = \"number\"", r#""m4rk""#),
        ("m4rk", ", type = \"strings\"", "{}"),
    ] {
        let upstream = always(Reply::json(format!(r#"{{"id":"1","x":{value}}}"#)));
        let rule = format!("{RULE}{name} = {{ path = \"$.user.x\"{options} }}\n");
        let answer = gateway(&rule, &upstream).get("/acme", TOKEN);
        assert_eq!(answer.status, 500, "{name} from {value}: {}", answer.body);
        unchallenged(&answer, 500, "server_error");
    }
}

#[test]
fn a_subject_that_names_nobody() {
    const NOBODY: [&str; 32] = [
        "{}",
        r#"{"id":null}"#,
        r#"{"id":""}"#,
        r#"{"id":" "}"#,
        r#"{"id":"\t\r\n "}"#,
        r#"{"id":"\u00a0\u2003"}"#,
        r#"{"id":"\u200b"}"#,
        r#"{"id":"\ufeff\u2060"}"#,
        r#"{"id":"\u0000"}"#,
        r#"{"id":"null"}"#,
        r#"{"id":"NULL"}"#,
        r#"{"id":" null "}"#,
        r#"{"id":"undefined"}"#,
        r#"{"id":"None"}"#,
        r#"{"id":"nil"}"#,
        r#"{"id":"NaN"}"#,
        r#"{"id":"0"}"#,
        r#"{"id":"-0"}"#,
        r#"{"id":"0.0"}"#,
        r#"{"id":0}"#,
        r#"{"id":-0}"#,
        r#"{"id":0.0}"#,
        r#"{"id":-0.0}"#,
        r#"{"id":0e7}"#,
        r#"{"id":false}"#,
        r#"{"id":true}"#,
        r#"{"id":[]}"#,
        r#"{"id":["1"]}"#,
        r#"{"id":{}}"#,
        r#"{"id":{"id":"1"}}"#,
        r#"{"id":"a\u0007b"}"#,
        r#"{"ID":"1"}"#,
    ];
    let next = std::sync::atomic::AtomicUsize::new(0);
    let upstream = Upstream::new(move |_| {
        let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Reply::json(NOBODY[number / 2])
    });
    let other = format!("subject = \"uuid\"\n{}", RULE.replace("sub =", "uuid ="));
    let gateway = setup(RULE, &upstream.origin).rule("other", &other).start();
    for body in NOBODY {
        for path in ["/acme", "/other"] {
            let answer = gateway.get(path, TOKEN);
            assert_eq!(answer.status, 500, "{path} of {body}: {}", answer.body);
            unchallenged(&answer, 500, "server_error");
        }
    }
}

#[test]
fn an_id_that_looks_like_nothing_but_is_something() {
    for (body, expected) in [
        (r#"{"id":"0e1234"}"#, r#"{"sub":"0e1234"}"#),
        (r#"{"id":"00"}"#, r#"{"sub":"00"}"#),
        (r#"{"id":"nullable"}"#, r#"{"sub":"nullable"}"#),
        (r#"{"id":"-1"}"#, r#"{"sub":"-1"}"#),
        (r#"{"id":"اسم"}"#, r#"{"sub":"اسم"}"#),
    ] {
        assert_eq!(gateway(RULE, &always(Reply::json(body))).get("/acme", TOKEN).body, expected);
    }
}

#[test]
fn overload() {
    let (release, arrived) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (hold, arrival) = (release.clone(), arrived.clone());
    let upstream = Upstream::slow(move |_| {
        let (hold, arrival) = (hold.clone(), arrival.clone());
        async move {
            arrival.notify_one();
            hold.notified().await;
            Reply::json(PROFILE)
        }
    });
    let gateway = setup(RULE, &upstream.origin).with(|settings| settings.max_requests = 1).start();
    block_on(async {
        let first = send(client().get(gateway.url("/acme")).bearer_auth(TOKEN));
        let others = async {
            arrived.notified().await;
            for _ in 0..5 {
                let answer = send(client().get(gateway.url("/acme")).bearer_auth(TOKEN)).await;
                unchallenged(&answer, 503, "temporarily_unavailable");
                assert_eq!(answer.header("retry-after"), "1");
            }
            release.notify_one();
        };
        let (first, ()) = tokio::join!(first, others);
        assert_eq!(first.status, 200);
        // There is room again.
        release.notify_one();
        assert_eq!(send(client().get(gateway.url("/acme")).bearer_auth(TOKEN)).await.status, 200);
    });
    assert_eq!(upstream.seen().len(), 2, "a refused request reaches no upstream");
}

#[test]
fn every_unknown_path_is_the_same() {
    let upstream = profile();
    let gateway = gateway(RULE, &upstream);
    let mut answers = Vec::new();
    for path in [
        "/",
        "/other",
        "/ACME",
        "/acme/",
        "/acme/x",
        "/acme.toml",
        "//acme",
        "/%61cme",
        "/acme%00",
        "/acme%2f..",
        "/.well-known/openid-configuration",
        "/favicon.ico",
        "/m4rk?access_token=m4rk",
    ] {
        for method in [http::Method::GET, http::Method::POST, http::Method::DELETE, http::Method::OPTIONS] {
            let request = client().request(method, gateway.url(path)).header("x-request-id", "same");
            for request in [request.try_clone().expect("it has no body").bearer_auth(TOKEN), request] {
                let mut answer = block_on(send(request));
                // Whoever asks here may take any body for a profile.
                assert_eq!((answer.status, &*answer.body), (404, ""));
                assert_eq!((answer.header("content-type"), answer.header("cache-control")), ("", "no-store"));
                no_mark(&answer);
                answer.headers.remove("date");
                answers.push((answer.headers, answer.body));
            }
        }
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert!(upstream.seen().is_empty());
}

#[test]
fn other_methods() {
    let upstream = profile();
    let gateway = gateway(RULE, &upstream);
    for method in ["PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "M4RK"] {
        let method = http::Method::from_bytes(method.as_bytes()).expect("a method");
        let answer = block_on(send(client().request(method, gateway.url("/acme")).bearer_auth(TOKEN)));
        unchallenged(&answer, 405, "invalid_request");
        assert_eq!(answer.header("allow"), "GET, HEAD, POST, OPTIONS");
    }
    assert!(upstream.seen().is_empty());
}

#[test]
fn a_token_that_is_bound_to_a_key() {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    let jwt = |claims: &str| {
        let [header, claims] = [r#"{"alg":"RS256"}"#, claims].map(|json| BASE64_URL_SAFE_NO_PAD.encode(json));
        format!("{header}.{claims}.c2ln")
    };
    let upstream = profile();
    let gateway = gateway(RULE, &upstream);
    for value in [
        format!("DPoP {TOKEN}"),
        format!("dpop {}", jwt("{}")),
        format!("Bearer {}", jwt(r#"{"sub":"m4rk","cnf":{"jkt":"m4rk"}}"#)),
        format!("Bearer {}", jwt(r#"{"cnf":{"x5t#S256":"m4rk"}}"#)),
    ] {
        let description = challenged(&gateway.get_with("/acme", &[("authorization", &value)]), 400, "invalid_request");
        assert_eq!(description, "a sender-constrained token (DPoP, or bound to a certificate) cannot be forwarded");
    }
    assert!(upstream.seen().is_empty());
    assert_eq!(gateway.get("/acme", &jwt(r#"{"sub":"cnf"}"#)).status, 200, "an ordinary JWT is forwarded");
}

#[test]
fn head_is_get_without_a_body() {
    let upstream = profile();
    let gateway = gateway(RULE, &upstream);
    let ask = |method: http::Method, token: Option<&str>| {
        let request = client().request(method, gateway.url("/acme")).header("x-request-id", "same");
        let request = token.map_or(request.try_clone().expect("it has no body"), |token| request.bearer_auth(token));
        block_on(send(request))
    };
    for token in [Some(TOKEN), None, Some("a,b")] {
        let (get, head) = (ask(http::Method::GET, token), ask(http::Method::HEAD, token));
        assert_eq!(head.status, get.status);
        assert_eq!(head.body, "");
        if !get.body.is_empty() {
            assert_eq!(head.header("content-length"), get.body.len().to_string());
        }
        for name in ["content-type", "cache-control", "www-authenticate", "x-request-id"] {
            assert_eq!(head.header(name), get.header(name), "{name} for {token:?}");
        }
    }
    assert_eq!(upstream.seen().iter().map(|seen| seen.method.as_str()).collect::<Vec<_>>(), ["GET", "GET"]);
}

#[test]
fn options_says_what_is_allowed() {
    let upstream = profile();
    let gateway = gateway(RULE, &upstream);
    let answer = block_on(send(client().request(http::Method::OPTIONS, gateway.url("/acme"))));
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    assert_eq!(answer.header("allow"), "GET, HEAD, POST, OPTIONS");
    assert!(upstream.seen().is_empty());
}

#[test]
fn a_request_id_is_taken_over_if_it_is_plain() {
    let upstream = profile();
    let gateway = gateway(RULE, &upstream);
    let long = "x".repeat(128);
    for id in ["abc", "1-2_3.4:5/6+7=8@9", "0af7651916cd43dd8448eb211c80319c", &long] {
        for path in ["/acme", "/other"] {
            let answer = gateway.get_with(path, &[("x-request-id", id), ("authorization", "Bearer x")]);
            assert_eq!(answer.header("x-request-id"), id);
        }
    }
    let too_long = "x".repeat(129);
    let mut own = Vec::new();
    for id in
        ["", "a b", "a\"b", "a\tb", "<m4rk>", "{m4rk}", "m4rk\\", "m4rk;m4rk", "m4rk,m4rk", "\u{fc}m4rk", &too_long]
    {
        let answer = gateway.get_with("/acme", &[("x-request-id", id), ("authorization", "Bearer a b")]);
        let answered = answer.header("x-request-id").to_owned();
        assert!(answered.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') && !answered.is_empty());
        challenged(&answer, 400, "invalid_request");
        own.push(answered);
    }
    own.sort();
    own.dedup();
    assert_eq!(own.len(), 11, "ids of our own differ");
}

#[test]
fn post_takes_the_token_from_header_or_form() {
    let upstream = profile();
    let gateway = gateway(RULE, &upstream);
    let post = || client().post(gateway.url("/acme"));
    let form = "application/x-www-form-urlencoded";
    for (request, token) in [
        (post().bearer_auth("a"), "a"),
        (post().bearer_auth("b").header("content-type", form).body("x=1"), "b"),
        (post().header("content-type", form).body("access_token=c"), "c"),
        (
            post()
                .header("content-type", "Application/X-WWW-Form-Urlencoded; charset=UTF-8")
                .body("x=1&access_token=%64"),
            "d",
        ),
        (post().bearer_auth("e").header("content-type", "application/json").body(r#"{"access_token":"x"}"#), "e"),
    ] {
        let answer = block_on(send(request));
        assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"sub":"1"}"#));
        let seen = upstream.seen().pop().expect("it was asked");
        assert_eq!((seen.method.as_str(), seen.header("authorization")), ("GET", format!("Bearer {token}").as_str()));
        assert!(seen.body.is_empty());
    }
    let answer = block_on(send(post().header("content-type", "text/plain").body("access_token=c")));
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, "Bearer"));
    let answer = block_on(send(post().header("content-type", form).body("access_token=")));
    challenged(&answer, 400, "invalid_request");
}

#[test]
fn a_request_body_that_is_too_large() {
    let upstream = profile();
    let gateway = setup(RULE, &upstream.origin).with(|settings| settings.max_request_body = 100).start();
    let post =
        |length: usize| block_on(send(client().post(gateway.url("/acme")).bearer_auth(TOKEN).body("x".repeat(length))));
    assert_eq!(post(100).status, 200);
    unchallenged(&post(101), 413, "invalid_request");
    unchallenged(&post(5000), 413, "invalid_request");
    assert_eq!(upstream.seen().len(), 1);
}

#[test]
fn a_request_that_breaks_off_reaches_no_upstream() {
    let upstream = profile();
    let gateway = gateway(RULE, &upstream);
    let mut stream = TcpStream::connect(gateway.address).expect("the gateway accepts");
    let head = "POST /acme HTTP/1.1\r\nhost: x\r\nauthorization: Bearer m4rk\r\ncontent-length: 10\r\n\r\nabc";
    stream.write_all(head.as_bytes()).expect("the gateway reads");
    stream.shutdown(std::net::Shutdown::Write).expect("a socket can be half closed");
    let mut answer = String::new();
    // What comes is an error or nothing; either way the connection ends.
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(upstream.seen().is_empty());
    assert_eq!(gateway.get("/acme", TOKEN).status, 200, "the next one is served");
}
