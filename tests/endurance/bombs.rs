//! Answers that are larger than they look: bounded, whatever they are made of (B2).

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::OnceLock,
};

use super::{
    clients::Client,
    program::Stage,
    upstream::{Act, Upstream, answer},
};

const MIB: usize = 1024 * 1024;
/// How much the process may grow by one kind of answer, in KiB.
const GROWTH: u64 = 32 * 1024;
/// What a bomb is when it is unpacked.
const BOMB: usize = 10 * 1024 * MIB;

/// Writes pieces as chunks until they are all gone, or the other side is.
fn chunks(stream: &mut TcpStream, head: &str, start: &[u8], piece: &[u8], count: usize) -> std::io::Result<()> {
    stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{head}").as_bytes())?;
    stream.write_all(b"transfer-encoding: chunked\r\n\r\n")?;
    for bytes in std::iter::once(start).chain(std::iter::repeat_n(piece, count)).filter(|bytes| !bytes.is_empty()) {
        stream.write_all(format!("{:x}\r\n", bytes.len()).as_bytes())?;
        stream.write_all(bytes)?;
        stream.write_all(b"\r\n")?;
    }
    stream.write_all(b"0\r\n\r\n")
}

/// One MiB of spaces, deflated so that the next piece can follow it.
fn spaces() -> &'static [u8] {
    static PIECE: OnceLock<Vec<u8>> = OnceLock::new();
    PIECE.get_or_init(|| {
        let mut deflate = flate2::Compress::new(flate2::Compression::best(), false);
        let mut piece = Vec::with_capacity(64 * 1024);
        deflate.compress_vec(&vec![b' '; MIB], &mut piece, flate2::FlushCompress::Full).expect("it can be compressed");
        piece
    })
}

fn gzip(stream: &mut TcpStream) -> std::io::Result<()> {
    chunks(stream, "content-encoding: gzip\r\n", &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255], spaces(), BOMB / MIB)
}

/// The same, but so much of it as is read before it is unpacked.
fn small_gzip(stream: &mut TcpStream) -> std::io::Result<()> {
    let count = (MIB - 1024) / spaces().len();
    chunks(stream, "content-encoding: gzip\r\n", &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255], spaces(), count)
}

fn deflate(stream: &mut TcpStream) -> std::io::Result<()> {
    chunks(stream, "content-encoding: deflate\r\n", &[0x78, 0xda], spaces(), BOMB / MIB)
}

/// Brotli is asked for by nobody, and read by nobody: ten GB of whatever it may be.
fn brotli(stream: &mut TcpStream) -> std::io::Result<()> {
    chunks(stream, "content-encoding: br\r\n", &[], &[0; MIB], BOMB / MIB)
}

fn endless(stream: &mut TcpStream) -> std::io::Result<()> {
    chunks(stream, "", b"{\"id\":\"1\",\"x\":\"", &[b'x'; MIB], BOMB / MIB)
}

/// Ten million elements.
fn wide(stream: &mut TcpStream) -> std::io::Result<()> {
    chunks(stream, "", b"{\"id\":\"1\",\"list\":[0", &b",0".repeat(10_000), 1000)
}

/// One header of a megabyte, and ten thousand of a hundred bytes.
fn large_header(stream: &mut TcpStream) -> std::io::Result<()> {
    let header = "x".repeat(MIB);
    stream.write_all(format!("HTTP/1.1 200 OK\r\nx: {header}\r\ncontent-length: 10\r\n\r\n{{\"id\":\"1\"}}").as_bytes())
}

fn many_headers(stream: &mut TcpStream) -> std::io::Result<()> {
    let headers = format!("x: {}\r\n", "y".repeat(95)).repeat(10_000);
    stream.write_all(format!("HTTP/1.1 200 OK\r\n{headers}content-length: 10\r\n\r\n{{\"id\":\"1\"}}").as_bytes())
}

/// Answers made of as many values as fit into a megabyte, or as may be kept.
fn full(value: &str, most: usize) -> Act {
    let count = most.min((MIB - 200) / (value.len() + 1));
    Act::json(&format!("{{\"id\":\"1\",\"list\":[{}{value}]}}", format!("{value},").repeat(count)))
}

fn deep(key: &str) -> Act {
    let body = format!("{{\"id\":\"1\",\"{key}\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    Act::Answer(answer(200, "", &body))
}

#[test]
fn no_answer_makes_the_process_grow_by_32_mib() {
    // Here, where the stack is large enough to make it.
    let piece = spaces().len();
    println!("B2 a MiB of spaces in {piece} bytes");
    let upstream = Upstream::new(|asked| match asked.path {
        "/gzip" => Act::Flood(gzip),
        "/small-gzip" => Act::Flood(small_gzip),
        "/deflate" => Act::Flood(deflate),
        "/brotli" => Act::Flood(brotli),
        "/endless" => Act::Flood(endless),
        "/wide" => Act::Flood(wide),
        "/large-header" => Act::Flood(large_header),
        "/many-headers" => Act::Flood(many_headers),
        "/deep" => deep("list"),
        "/deep-unread" => deep("other"),
        "/numbers" => full("7", MIB),
        "/texts" => full("\"\"", MIB),
        "/lists" => full("[]", MIB),
        "/objects" => full("{}", MIB),
        "/members" => full("{\"a\":0}", MIB),
        "/most-numbers" => full("7", 170_000),
        "/most-lists" => full("[]", 85_000),
        "/most-members" => full("{\"a\":0}", 19_900),
        _ => Act::json(r#"{"id":"1","list":["a"]}"#),
    });
    let mut stage = Stage::new("", &[("https://api.example", upstream.address)]);
    // What is done with the list: it is a claim, it is searched, a script goes through it, a condition looks at it.
    let uses = [
        ("claim", "[claims]\nsub = \"$.user.id\"\ngroups = { path = \"$.user.list[*]\", many = true }\n"),
        ("filter", "[claims]\nsub = \"$.user.id\"\nname = { path = \"$.user..[?@.a == 'x']\", first = true }\n"),
        ("script", "[claims]\nsub = \"$.user.id\"\n[script]\nsource = \"claims.n = user.list.len();\"\n"),
    ];
    let kinds = [
        ("gzip", 502),
        ("small-gzip", 502),
        ("deflate", 502),
        ("brotli", 502),
        ("endless", 502),
        ("wide", 502),
        ("large-header", 502),
        ("many-headers", 502),
        ("deep", 502),
        ("deep-unread", 200),
        ("numbers", 502),
        ("texts", 502),
        ("lists", 502),
        ("objects", 502),
        ("members", 502),
        ("most-numbers", 0),
        ("most-lists", 0),
        ("most-members", 0),
    ];
    for (kind, _) in kinds {
        for (used, claims) in uses {
            let text = format!("[call.user]\nurl = \"https://api.example/{kind}\"\n{claims}");
            stage = stage.rule(&format!("{kind}-{used}"), &text);
        }
    }
    stage = stage.rule("sound", "[call.user]\nurl = \"https://api.example/\"\n[claims]\nsub = \"$.user.id\"\n");
    let mut failed = Vec::new();
    for (kind, expected) in kinds {
        for (used, _) in uses {
            // Each on its own, so that none hides behind what another has left.
            let program = stage.start();
            let mut client = Client::new(program.address);
            let sound = |client: &mut Client| client.get("/sound", "t").expect("it serves on").status == 200;
            (0..50).for_each(|_| assert!(sound(&mut client)));
            let before = program.peak();
            let replies: Vec<_> =
                (0..3).map(|_| client.get(&format!("/{kind}-{used}"), "t").expect("it is answered")).collect();
            let grown = program.peak() - before;
            let statuses: Vec<_> = replies.iter().map(|reply| reply.status).collect();
            let took = replies.iter().map(|reply| reply.took).max().unwrap_or_default();
            println!("B2 {kind}, {used}: {statuses:?}, {grown} KiB more, at most {took:?}");
            let row = match (expected, used) {
                // In a document that is searched everything is read, so that its depth has a limit.
                (200, "filter") => statuses.iter().all(|status| *status == 502),
                // What may be kept is: a list of lists is no claim then, and a search may have its own limits.
                (0, _) => statuses.iter().all(|status| [200, 500, 502].contains(status)),
                _ => statuses.iter().all(|status| *status == expected),
            };
            if !row || grown >= GROWTH || !sound(&mut client) {
                failed.push(format!("{kind}, {used}: {statuses:?}, {grown} KiB"));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// What comes in: heads and bodies of a megabyte and more.
#[test]
fn no_request_makes_the_process_grow_by_32_mib() {
    let upstream = Upstream::new(|_| Act::json(r#"{"id":"1"}"#));
    let rule = "[call.user]\nurl = \"https://api.example/\"\n[claims]\nsub = \"$.user.id\"\n";
    let stage = Stage::new("", &[("https://api.example", upstream.address)]).rule("acme", rule);
    let program = stage.start();
    assert_eq!(Client::new(program.address).get("/acme", "t").expect("it serves").status, 200);
    let before = program.peak();
    let line = format!("GET /{} HTTP/1.1\r\nHost: g\r\n\r\n", "a".repeat(MIB));
    let large = format!("GET /acme HTTP/1.1\r\nHost: g\r\nX: {}\r\n\r\n", "x".repeat(MIB));
    let many = format!("GET /acme HTTP/1.1\r\nHost: g\r\n{}\r\n", "X: y\r\n".repeat(170_000));
    let body =
        format!("POST /acme HTTP/1.1\r\nHost: g\r\nContent-Length: {}\r\n\r\n{}", 64 * MIB, "x".repeat(64 * MIB));
    for (what, bytes, expected) in [
        ("a line of a megabyte", line, "414 431 400"),
        ("a header of a megabyte", large, "431"),
        ("170,000 headers", many, "431"),
        ("a body of 64 MiB", body, "413"),
    ] {
        for _ in 0..3 {
            let mut stream = TcpStream::connect(program.address).expect("it accepts");
            let mut copy = stream.try_clone().expect("a socket can be shared");
            let bytes = bytes.clone();
            // It may answer, and close, before it has read everything.
            let sender = std::thread::spawn(move || _ = copy.write_all(bytes.as_bytes()));
            let mut start = [0; 12];
            let status = match stream.read_exact(&mut start) {
                Ok(()) => String::from_utf8_lossy(&start[9..]).into_owned(),
                // Closed with our bytes unread, which takes the answer with it.
                Err(_) => "none".into(),
            };
            drop(stream);
            sender.join().expect("it does not panic");
            assert!(status == "none" || expected.contains(&status), "{what}: {status}");
        }
        assert_eq!(Client::new(program.address).get("/acme", "t").expect("it serves on").status, 200, "{what}");
    }
    let grown = program.peak() - before;
    println!("B2 requests of a megabyte and more: {grown} KiB more");
    assert!(grown < GROWTH, "{grown} KiB");
}
