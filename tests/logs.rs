//! What the program writes while it serves: one line a request that says enough, and no token,
//! secret or claim on any of them, whatever goes wrong and however much is logged.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    process::Command,
    time::Duration,
};

use futures_util::future::join_all;
use http::{HeaderValue, Method};
use percent_encoding::percent_decode;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    cli::{ADMIN, Run, Server, claimsmith, disguises, folder},
    support::{Answer, Reply, Seen, Upstream, block_on, client, raw_upstream, send},
};

/// Values that must not be seen again, each with signs that encodings change.
const TOKEN: &str = "T0ken-Mark.7f3a91~/+";
const SECRET: &str = "S3cret/Mark+b64d02";
const GRANT: &str = "Gr4nt.Mark_8ae5~/+==";
const BODY: &str = "B0dy<Mark>&3e9d17";
const EMAIL: &str = "Em4ilMark+x@priv.example";
const ID: &str = "1d-Mark/5c81e0+f";
const HOSTILE: &str = "R3quest Mark\"}{\\41";
const MARKS: [&str; 7] = [TOKEN, SECRET, GRANT, BODY, EMAIL, ID, HOSTILE];

/// Nothing that a test waits for on a socket may take longer.
const LIMIT: Duration = Duration::from_secs(30);

/// Rules by name: what stands in `[call.user]`, besides the address, and what comes after it.
/// The upstream answers by the last part of the path, which is the rule's name.
const RULES: &[(&str, &str, &str)] = &[
    ("good", "headers = { api-key = \"${secrets.key}\" }", ""),
    ("unauthorized", "", ""),
    ("forbidden", "", ""),
    ("ours", "auth = { basic = { user = \"us\", password = \"${secrets.key}\" } }\ntoken = { query = \"t\" }", ""),
    ("own", "auth = { bearer = \"${secrets.key}\" }", ""),
    ("limited", "", ""),
    ("granted", GRANTED, ""),
    ("granted-late", GRANTED, ""),
    ("ungranted", UNGRANTED, ""),
    ("broken", "query = { key = \"${secrets.key}\" }", ""),
    ("html", "", ""),
    ("truncated", "", ""),
    ("encoded", "", ""),
    ("mojibake", "", ""),
    ("late", "timeout = \"50ms\"\ntoken = { query = \"t\" }", ""),
    ("half", "token = { query = \"t\" }", ""),
    ("headless", "token = { query = \"t\" }", ""),
    ("silent", "token = { query = \"t\" }", ""),
    ("closed", "headers = { api-key = \"${secrets.key}\" }", ""),
    ("closed-query", "token = { query = \"access_token\" }\nquery = { key = \"${secrets.key}\" }", ""),
    ("closed-path", "url = \"https://closed.example/${token}/${secrets.key}\"", ""),
    ("closed-form", "token = { form = \"t\" }\nform = { key = \"${secrets.key}\" }", ""),
    ("plain", "url = \"https://plain.example/${token}\"\ntoken = { query = \"t\" }", ""),
    ("fails", "fail_when = [{ when = \"user.email != ()\", error = \"invalid_token\", reason = \"not so\" }]", ""),
    ("fails-late", "fail_when = [{ when = \"user.email / 2 > 1\", error = \"invalid_token\" }]", ""),
    ("guarded", "", "[[require]]\nthat = \"user.email == ()\"\nerror = \"access_denied\"\nreason = \"not for you\""),
    ("guarded-late", "", "[[require]]\nthat = \"user.email / 2 > 1\"\nerror = \"access_denied\""),
    ("rejects", "", "[script]\nsource = 'reject(\"access_denied\", user.email + user.id);'"),
    ("rejects-oddly", "", "[script]\nsource = 'reject(user.email, user.id);'"),
    ("throws", "", "[script]\nsource = 'throw user.email;'"),
    ("throws-more", "", "[script]\nsource = 'throw #{ a: user, b: [user.email] };'"),
    ("calculates", "", "[script]\nsource = 'user.email / 2;'"),
    ("indexes", "", "[script]\nsource = 'let a = [1]; a[user.email] = 2;'"),
    ("writes", "", "[script]\nsource = 'claims.email = #{ a: user.email };'"),
    ("nameless", "", ""),
    ("wrong-type", "", ""),
    ("required", "", ""),
    ("incomplete", "url = \"https://api.example/${request.headers[\\\"x-gone\\\"]}/${token}\"", ""),
    ("redirected", "redirect = 1", ""),
    ("redirected-oddly", "redirect = 1", ""),
    (
        "unverified",
        "",
        "[token]\njwt = { jwks = \"https://api.example/broken\", issuer = \"https://api.example\", audience = \"us\" }",
    ),
    ("inactive", "", INTROSPECTED),
    ("issuer-down", "", INTROSPECTED_BROKEN),
    ("contract", "", ""),
    ("included", "", ""),
    ("refused-name", "", ""),
    ("named-by-script", "", "[script]\nsource = 'claims[user.email] = #{ a: [[1]] };'"),
    ("graph", "graphql = \"{ me { id } }\"", ""),
    ("pages", "paginate = { next = \"$.user.next\" }", ""),
    ("linked", "paginate = \"link\"", ""),
    (
        "signed",
        "decode = { jwt = { jwks = \"https://api.example/broken\", issuer = \"https://api.example\", audience = \"us\" } }",
        "",
    ),
    ("no-xml", "decode = \"xml\"", ""),
    ("kept", "cache = \"5m\"", ""),
    ("repeated", "retry = 1", ""),
    (
        "flagged",
        "fail_when = [{ when = 'meta.user.headers[\"x-flag\"] != ()', error = \"temporarily_unavailable\" }]",
        "",
    ),
    (
        "given-up",
        "",
        "[call.extra]\nurl = \"https://closed.example/${token}/${user.email}\"\noptional = true\n\
         [call.more]\nurl = \"https://api.example/broken\"\noptional = true\ntoken = { query = \"t\" }",
    ),
];

/// Tokens of our own: one that the API takes or refuses, and none.
const GRANTED: &str = "auth = { client_credentials = { token_url = \"https://api.example/token\", \
    client_id = \"us\", client_secret = \"${secrets.key}\" } }\ntoken = { query = \"t\" }";
const UNGRANTED: &str = "auth = { client_credentials = { token_url = \"https://api.example/ungranted\", \
    client_id = \"us\", client_secret = \"${secrets.key}\", style = \"post\" } }";

/// Issuers that are asked about the token.
const INTROSPECTED: &str = "[token]\nintrospect = { url = \"https://api.example/introspect\", \
    auth = { basic = { user = \"us\", password = \"${secrets.key}\" } }, expect = { client_id = \"us\" } }";
const INTROSPECTED_BROKEN: &str = "[token]\nintrospect = { url = \"https://api.example/broken\", \
    auth = { bearer = \"${secrets.key}\" }, expect = { client_id = \"us\" } }";

/// The answers of the upstream, by the last part of the path.
async fn provider(seen: Seen) -> Reply {
    let path = seen.target.split('?').next().unwrap_or_default();
    let said = format!("{{\"error\":\"{BODY}\",\"email\":\"{EMAIL}\",\"token\":\"{TOKEN}\"}}");
    let profile = format!("{{\"id\":\"{ID}\",\"email\":\"{EMAIL}\",\"text\":\"{BODY}\"}}");
    match path.rsplit('/').next().unwrap_or_default() {
        "token" => Reply::json(format!("{{\"access_token\":\"{GRANT}\",\"token_type\":\"bearer\"}}")),
        "ungranted" => Reply::new(400, format!("{{\"error\":\"{BODY}\",\"access_token\":\"{GRANT}\"}}")),
        "unauthorized" | "ours" | "own" | "granted-late" => {
            Reply::new(401, said).header("www-authenticate", format!("Bearer realm=\"{BODY}\""))
        }
        "forbidden" => Reply::new(403, said),
        "limited" => Reply::new(429, said).header("retry-after", BODY),
        "broken" => Reply::new(500, said),
        "html" => Reply::json(format!("<html>{BODY} {EMAIL}</html>")).header("content-type", "text/html"),
        "truncated" => Reply::json(&profile[..profile.len() - 1]),
        "encoded" => Reply::json(profile).header("content-encoding", BODY),
        "mojibake" => Reply::new(200, [profile.as_bytes(), b"\xff"].concat()),
        "late" => std::future::pending().await,
        "nameless" => Reply::json(format!("{{\"email\":\"{EMAIL}\"}}")),
        "wrong-type" => Reply::json(format!("{{\"id\":{{\"a\":\"{ID}\"}},\"email\":\"{EMAIL}\"}}")),
        "required" => Reply::json(format!("{{\"id\":\"{ID}\"}}")),
        "introspect" => Reply::json(format!("{{\"active\":false,\"client_id\":\"{BODY}\",\"username\":\"{EMAIL}\"}}")),
        "contract" => Reply::json(format!("{{\"id\":\"{ID}\",\"email\":\"{}\"}}", EMAIL.repeat(200))),
        "refused-name" => {
            Reply::json(format!("{{\"id\":\"{ID}\",\"email\":\"a\",\"{EMAIL}\":\"{}\"}}", "x".repeat(3000)))
        }
        "included" => Reply::json(format!("{{\"id\":\"{ID}\",\"email\":\"a\",\"{EMAIL}\":{{\"{BODY}\":[[1]]}}}}")),
        "graph" => Reply::json(format!("{{\"errors\":[{{\"message\":\"{BODY}\"}}],\"data\":{{\"id\":\"{ID}\"}}}}")),
        "pages" => Reply::json(format!("{{\"items\":[],\"next\":\"https://api.example/{TOKEN}/broken?m={EMAIL}\"}}")),
        "linked" => {
            Reply::json("[]").header("link", format!("<https://api.example/broken?{EMAIL}={TOKEN}>; rel=\"next\""))
        }
        "signed" => Reply::new(200, format!("{BODY}.{EMAIL}.x")).header("content-type", "application/jwt"),
        "no-xml" => Reply::new(200, format!("<a>{BODY}<{EMAIL}>")).header("content-type", BODY),
        "kept" | "repeated" => Reply::new(503, said),
        "flagged" => Reply::json(profile).header("x-flag", BODY),
        "redirected" => Reply::new(302, said).header("location", format!("https://other.example/{TOKEN}?e={EMAIL}")),
        "redirected-oddly" => Reply::new(302, said).header("location", format!("https://[{BODY}/")),
        _ => Reply::json(profile),
    }
}

/// A folder with the rules, the settings, and the upstreams that they lead to.
struct World {
    folder: TempDir,
    _upstream: Upstream,
    /// Bound and never listened on: whoever connects is refused, and nobody else gets the port.
    _closed: tokio::net::TcpSocket,
}

impl World {
    fn new() -> Self {
        let upstream = Upstream::slow(provider);
        let closed = tokio::net::TcpSocket::new_v4().expect("a socket can be made");
        closed.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port can be bound");
        let closed_at = closed.local_addr().expect("a bound socket has an address");
        let half = format!("HTTP/1.1 200 OK\r\ncontent-length: 4000\r\n\r\n{{\"email\":\"{EMAIL}\",\"text\":\"{BODY}");
        let reroute = [
            ("api", upstream.origin.clone()),
            ("plain", upstream.origin.replace("http:", "https:")),
            ("closed", format!("http://{closed_at}")),
            ("half", raw_upstream(half)),
            ("headless", raw_upstream(format!("HTTP/1.1 200 OK\r\n{BODY} {EMAIL}\0\r\n\r\n"))),
            ("silent", raw_upstream("")),
        ];
        let mut settings = "max_request_body = 1024\n[admin]\ntraces = 1000\n[upstream.reroute]\n".to_owned();
        for (name, origin) in reroute {
            settings += &format!("\"https://{name}.example\" = \"{origin}\"\n");
        }
        let rules: Vec<_> = RULES.iter().map(|rule| (format!("{}.toml", rule.0), rule_text(rule))).collect();
        let mut files: Vec<_> = rules.iter().map(|(name, text)| (&**name, &**text)).collect();
        files.push(("settings/claimsmith.toml", &settings));
        World { folder: folder(&files), _upstream: upstream, _closed: closed }
    }

    fn serve(&self, format: &str) -> Server {
        serve(&self.folder, format)
    }
}

/// Serves the rules of a folder, and logs all that there is.
fn serve(place: &TempDir, format: &str) -> Server {
    Server::start(command(place, format))
}

fn command(place: &TempDir, format: &str) -> Command {
    let mut command = claimsmith(&["serve", "--listen", "127.0.0.1:0", "--workers", "2", "--rules", "."]);
    command
        .args(["--config", "settings/claimsmith.toml", "--log-level", "trace", "--log-format", format])
        .current_dir(place.path())
        .env("ACME_KEY", SECRET);
    command
}

fn rule_text((name, call, after): &(&str, &str, &str)) -> String {
    let host = match *name {
        "half" | "headless" | "silent" => name,
        name if name.starts_with("closed") => "closed",
        _ => "api",
    };
    let url =
        if call.starts_with("url =") { String::new() } else { format!("url = \"https://{host}.example/{name}\"\n") };
    let top = match *name {
        "contract" => "receiver = \"cognito\"\n",
        "refused-name" => "receiver = \"cognito\"\ninclude = { path = \"$.user\" }\n",
        "included" => "include = { path = \"$.user\" }\n",
        _ => "",
    };
    let request = if call.contains("request.") { "[request]\nheaders = [\"x-gone\"]\n" } else { "" };
    format!(
        "{top}{request}[secrets]\nkey = {{ env = \"ACME_KEY\" }}\n[call.user]\n{url}{call}\n[claims]\nsub = \"$.user.id\"\n\
         email = {{ path = \"$.user.email\", required = true }}\n{after}\n"
    )
}

/// A request, and what its line has to say.
struct Case {
    request: reqwest::RequestBuilder,
    rule: &'static str,
    method: &'static str,
    status: u16,
    level: &'static str,
    calls: u32,
    given_up: Option<&'static str>,
}

/// A GET of a rule with the token where it belongs.
fn case(at: SocketAddr, rule: &'static str, status: u16, level: &'static str, calls: u32) -> Case {
    let request = client().get(format!("http://{at}/{rule}")).bearer_auth(TOKEN);
    Case { request, rule, method: "GET", status, level, calls, given_up: None }
}

/// All requests of these tests.
fn cases(at: SocketAddr) -> Vec<Case> {
    let mut cases: Vec<_> = [
        ("good", 200, "INFO", 1),
        ("unauthorized", 401, "INFO", 1),
        ("forbidden", 403, "INFO", 1),
        ("ours", 401, "INFO", 1),
        ("own", 502, "ERROR", 1),
        ("limited", 503, "WARN", 1),
        ("granted", 200, "INFO", 1),
        ("granted-late", 401, "INFO", 1),
        ("ungranted", 502, "ERROR", 1),
        ("broken", 502, "WARN", 1),
        ("html", 502, "WARN", 1),
        ("truncated", 502, "WARN", 1),
        ("encoded", 502, "WARN", 1),
        ("mojibake", 502, "WARN", 1),
        ("late", 504, "WARN", 1),
        ("half", 502, "WARN", 1),
        ("headless", 502, "WARN", 1),
        ("silent", 502, "WARN", 1),
        ("closed", 502, "WARN", 1),
        ("closed-query", 502, "WARN", 1),
        ("closed-path", 502, "WARN", 1),
        ("closed-form", 502, "WARN", 1),
        ("plain", 502, "WARN", 1),
        ("fails", 401, "INFO", 1),
        ("fails-late", 500, "ERROR", 1),
        ("guarded", 403, "INFO", 1),
        ("guarded-late", 500, "ERROR", 1),
        ("rejects", 403, "INFO", 1),
        ("rejects-oddly", 500, "ERROR", 1),
        ("throws", 500, "ERROR", 1),
        ("throws-more", 500, "ERROR", 1),
        ("calculates", 500, "ERROR", 1),
        ("indexes", 500, "ERROR", 1),
        ("writes", 500, "ERROR", 1),
        ("nameless", 500, "ERROR", 1),
        ("wrong-type", 500, "ERROR", 1),
        ("required", 500, "ERROR", 1),
        ("incomplete", 500, "ERROR", 0),
        ("redirected", 502, "WARN", 1),
        ("redirected-oddly", 502, "WARN", 1),
    ]
    .into_iter()
    .map(|(rule, status, level, calls)| case(at, rule, status, level, calls))
    .collect();
    cases.push(Case { given_up: Some("extra,more"), ..case(at, "given-up", 200, "WARN", 3) });
    cases.extend(odd_requests(at));
    cases
}

/// Requests that put marks where they do not belong.
fn odd_requests(at: SocketAddr) -> Vec<Case> {
    let url = |path: &str| format!("http://{at}/{path}");
    let good = |status, calls| case(at, "good", status, "INFO", calls);
    let unknown = || case(at, "-", 404, "INFO", 0);
    let encoded: String = url::form_urlencoded::byte_serialize(TOKEN.as_bytes()).collect();
    let form = |body: String| {
        let kind = "application/x-www-form-urlencoded";
        client().post(url("good")).header("content-type", kind).body(body)
    };
    let not_ascii = HeaderValue::from_bytes(format!("Bearer {TOKEN}\u{e9}").as_bytes()).expect("a header may hold it");
    let method = |method: Method, case: Case, name, path| {
        let request = client().request(method, url(path)).bearer_auth(TOKEN);
        Case { request, method: name, ..case }
    };
    vec![
        Case { request: client().get(url("good")), ..good(401, 0) },
        Case { request: client().get(url("good")).basic_auth("us", Some(SECRET)), ..good(401, 0) },
        Case { request: client().get(url("good")).header("authorization", TOKEN), ..good(400, 0) },
        Case { request: client().get(url("good")).bearer_auth(format!("{TOKEN}, {TOKEN}")), ..good(400, 0) },
        Case { request: client().get(url("good")).header("authorization", not_ascii), ..good(400, 0) },
        Case { request: client().get(url("good")).header("authorization", format!("DPoP {TOKEN}")), ..good(400, 0) },
        Case { request: client().get(url(&format!("good?access_token={encoded}"))), ..good(400, 0) },
        Case { request: client().get(url(&format!("good?{encoded}={encoded}"))).bearer_auth(TOKEN), ..good(200, 1) },
        Case { request: form(format!("access_token={encoded}")), method: "POST", ..good(200, 1) },
        Case { request: form(format!("access_token={encoded}")).bearer_auth(TOKEN), method: "POST", ..good(400, 0) },
        Case { request: form(encoded.repeat(100)), method: "POST", ..good(413, 0) },
        method(Method::HEAD, good(200, 1), "HEAD", "good"),
        method(Method::OPTIONS, good(204, 0), "OPTIONS", "good"),
        method(Method::DELETE, good(405, 0), "DELETE", "good"),
        Case { request: client().get(url(&encoded)).bearer_auth(TOKEN), ..unknown() },
        Case { request: client().get(url(&format!("good/{TOKEN}"))), ..unknown() },
        Case { request: client().get(url(&format!("good%2F{encoded}?t={encoded}"))), ..unknown() },
        Case { request: client().get(url("")), ..unknown() },
        method(Method::POST, unknown(), "POST", "no/T0ken-Mark.7f3a91~/+"),
        Case { request: good(200, 1).request.header("x-request-id", HOSTILE), ..good(200, 1) },
        Case { request: good(200, 1).request.header("x-request-id", format!("{HOSTILE}\u{e9}")), ..good(200, 1) },
        Case { request: good(200, 1).request.header("x-request-id", "given-by-the-caller.1"), ..good(200, 1) },
        Case { request: good(200, 1).request.header("user-agent", TOKEN).header("x-unread", SECRET), ..good(200, 1) },
    ]
}

/// Sends all requests; their answers are as they should be. Gives the cases by the ids of their requests.
#[track_caller]
fn drive(cases: Vec<Case>) -> BTreeMap<String, Case> {
    let mut sent = BTreeMap::new();
    for mut case in cases {
        let answer = block_on(send(std::mem::replace(&mut case.request, client().get("http://127.0.0.1/"))));
        assert_eq!(answer.status, case.status, "{} {}: {}", case.method, case.rule, answer.body);
        assert!(sent.insert(id(&answer), case).is_none(), "no id comes twice");
    }
    sent
}

#[track_caller]
fn id(answer: &Answer) -> String {
    let id = answer.header("x-request-id");
    assert!(!id.is_empty(), "every answer has its id");
    id.to_owned()
}

/// Ends the server with a signal, and gives all that it wrote.
#[track_caller]
fn stop(server: Server) -> Run {
    server.signal("-TERM");
    let ran = server.end();
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    ran
}

/// Reads a log in which every line is an object, and gives the lines of requests.
#[track_caller]
fn requests(ran: &Run) -> Vec<Value> {
    let mut lines = Vec::new();
    for line in ran.err.lines() {
        let json: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"));
        let stamp = json["timestamp"].as_str().expect("a line has its time");
        assert!(stamp.ends_with('Z') && stamp.parse::<jiff::Timestamp>().is_ok(), "RFC 3339: {stamp}");
        let level = json["level"].as_str().expect("a line has its level");
        assert!(["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(&level), "{level}");
        assert!(json["message"].is_string(), "{line}");
        if json.get("request_id").is_some() {
            lines.push(json);
        }
    }
    lines
}

/// No mark is in what the program wrote, however it is written down.
#[track_caller]
fn unmarked(ran: &Run) {
    assert_eq!(ran.out, "", "serving writes nothing to standard output");
    assert_eq!(found(&ran.err), None);
}

/// A mark in a text, however it is written down, and the line that it is on.
fn found(text: &str) -> Option<(String, String)> {
    // Also with the escapes of JSON and of addresses taken back.
    let unescaped = text.replace("\\\"", "\"").replace("\\\\", "\\");
    let decoded = percent_decode(unescaped.as_bytes()).decode_utf8_lossy();
    MARKS.iter().flat_map(|mark| forms(mark)).find_map(|form| {
        let lines = [text, &unescaped, &decoded].into_iter().flat_map(str::lines);
        lines.filter(|line| line.contains(&form)).map(|line| (form.clone(), line.to_owned())).next()
    })
}

/// A mark as it may be written down: as it is, encoded, in part, or as a hash that anybody can make of a guess.
fn forms(mark: &str) -> Vec<String> {
    use base64::{Engine as _, prelude::*};
    use sha2::Digest;
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let json = serde_json::to_string(mark).expect("a text can be written");
    let mut forms = disguises(mark);
    forms.push(json.trim_matches('"').to_owned());
    forms.push(mark.to_lowercase());
    // The part without signs, which no encoding but base64 changes.
    forms.extend(mark.split(|sign: char| !sign.is_ascii_alphanumeric()).max_by_key(|part| part.len()).map(Into::into));
    let hashes = [
        sha2::Sha256::digest(mark).to_vec(),
        sha2::Sha512::digest(mark).to_vec(),
        sha1::Sha1::digest(mark).to_vec(),
        md5::Md5::digest(mark).to_vec(),
    ];
    forms.push(hex(mark.as_bytes()));
    for hash in hashes {
        // So short a part of a hash is enough to know one again.
        forms.push(hex(&hash)[..12].to_owned());
        forms.push(BASE64_STANDARD_NO_PAD.encode(&hash)[..12].to_owned());
        forms.push(BASE64_URL_SAFE_NO_PAD.encode(&hash)[..12].to_owned());
    }
    forms
}

#[test]
fn a_line_for_each_request_and_no_credential_on_any() {
    let world = World::new();
    let server = world.serve("json");
    let mut cases = drive(cases(server.address));
    assert!(cases.contains_key("given-by-the-caller.1"), "a plain id is taken over");
    let ran = stop(server);
    unmarked(&ran);
    let lines = requests(&ran);
    assert_eq!(lines.len(), cases.len(), "one line a request");
    for line in lines {
        let id = line["request_id"].as_str().expect("an id is text");
        let case = cases.remove(id).unwrap_or_else(|| panic!("one request has the id of {line}"));
        told(&line, &case);
    }
}

#[test]
fn no_credential_is_in_what_a_collector_gets() {
    let world = World::new();
    let collector = Upstream::new(|_| Reply::new(200, ""));
    let mut command = command(&world.folder, "json");
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.origin);
    let server = Server::start(command);
    let at = server.address;
    let odd = [("traceparent", TOKEN), ("tracestate", "a=T0ken-Mark.7f3a91~/+"), ("baggage", SECRET)];
    let odd = odd.map(|(name, value)| {
        let case = case(at, "good", 200, "INFO", 1);
        Case { request: case.request.header(name, value), ..case }
    });
    let sent = drive(cases(at).into_iter().chain(odd).collect());
    let ran = stop(server);
    unmarked(&ran);
    let bodies =
        collector.seen().iter().map(|seen| String::from_utf8_lossy(&seen.body).into_owned()).collect::<String>();
    let roots = bodies.matches("http.request.method").count();
    assert!(roots >= 2 * sent.len() - 40, "{roots} spans of {} requests and their calls", sent.len());
    unmarked(&Run { out: String::new(), err: bodies, ..ran });
}

/// A line says what its request came to.
#[track_caller]
fn told(line: &Value, case: &Case) {
    let refused = case.status >= 300;
    let mut names =
        vec!["timestamp", "level", "rule", "method", "status", "duration_us", "calls", "request_id", "message"];
    names.extend(case.given_up.map(|_| "given_up"));
    names.extend(refused.then_some("reason"));
    names.sort_unstable();
    let mut found: Vec<_> = line.as_object().expect("a line is an object").keys().map(String::as_str).collect();
    found.sort_unstable();
    assert_eq!(found, names, "{line}");
    let message = if refused { "refused" } else { "answered" };
    for (name, expected) in [("rule", case.rule), ("method", case.method), ("level", case.level), ("message", message)]
    {
        assert_eq!(line[name], expected, "{name} of {line}");
    }
    assert_eq!((&line["status"], &line["calls"]), (&case.status.into(), &case.calls.into()), "{line}");
    assert!(line["duration_us"].as_u64().is_some_and(|took| took > 0), "{line}");
    assert_eq!(line.get("given_up").and_then(Value::as_str).map(sorted), case.given_up.map(sorted), "{line}");
    if refused {
        assert!(line["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{line}");
    }
}

/// Names in a list, in an order that does not hang on which call ended first.
fn sorted(names: &str) -> Vec<&str> {
    let mut names: Vec<_> = names.split(',').collect();
    names.sort_unstable();
    names
}

#[test]
fn lines_for_people_say_the_same() {
    let world = World::new();
    let server = world.serve("pretty");
    let cases = drive(cases(server.address));
    let ran = stop(server);
    unmarked(&ran);
    assert!(!ran.err.contains('\u{1b}'), "no colours in a pipe");
    for line in ran.err.lines() {
        assert!(serde_json::from_str::<Value>(line).is_err(), "no JSON: {line}");
    }
    assert_eq!(ran.err.lines().filter(|line| line.contains("request_id=")).count(), cases.len());
    for (id, case) in cases {
        let lines: Vec<_> = ran.err.lines().filter(|line| line.contains(&format!("request_id=\"{id}\""))).collect();
        let [line] = lines[..] else { panic!("not one line, but {lines:?}") };
        let message = if case.status >= 300 { "refused" } else { "answered" };
        for part in [
            format!(" {} ", case.level),
            format!(" {message}"),
            format!(" rule=\"{}\" ", case.rule),
            format!(" method=\"{}\" ", case.method),
            format!(" status={} ", case.status),
            format!(" calls={} ", case.calls),
        ] {
            assert!(line.contains(&part), "{part:?} in {line}");
        }
        let stamp = line.split_whitespace().next().unwrap_or_default();
        assert!(stamp.parse::<jiff::Timestamp>().is_ok(), "RFC 3339: {stamp}");
    }
}

#[test]
fn the_end_loses_no_line() {
    const REQUESTS: usize = 400;
    let world = World::new();
    for round in 0..5 {
        let server = world.serve("json");
        let (client, url) = (client(), format!("http://{}/", server.address));
        let rules = ["good", "throws", "html", "nothing"].into_iter().cycle().take(REQUESTS);
        let answers = rules.map(|rule| send(client.get(format!("{url}{rule}")).bearer_auth(TOKEN)));
        let mut ids: Vec<_> = block_on(join_all(answers)).iter().map(id).collect();
        // No wait here: the lines of the last answers may not have been written yet.
        let ran = stop(server);
        unmarked(&ran);
        let mut found: Vec<_> =
            requests(&ran).iter().map(|line| line["request_id"].as_str().unwrap().to_owned()).collect();
        ids.sort_unstable();
        found.sort_unstable();
        assert_eq!(found.len(), REQUESTS, "round {round}");
        assert_eq!(found, ids, "round {round}");
        let last = ran.err.lines().last().unwrap_or_default();
        assert!(last.contains("\"stopped\""), "the last thing that is said: {last}");
    }
}

/// Sends bytes, closes that direction, and reads to the end.
#[track_caller]
fn exchange(address: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
    let mut stream = TcpStream::connect(address).expect("the gateway listens");
    stream.set_read_timeout(Some(LIMIT)).expect("a socket can be set up");
    stream.write_all(bytes.as_ref()).expect("the gateway reads");
    // The gateway may have closed it already.
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn what_is_no_request_leaves_no_mark() {
    let world = World::new();
    let server = world.serve("json");
    for bytes in [
        format!("{TOKEN} {SECRET}\r\n\r\n"),
        format!("GET /{TOKEN} {TOKEN}\r\n\r\n"),
        format!("GET /good HTTP/1.1\r\n{TOKEN} {SECRET}\r\n\r\n"),
        format!("GET /good HTTP/1.1\r\nauthorization: Bearer {TOKEN}\0\r\n\r\n"),
        format!("GET /good HTTP/1.1\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: {TOKEN}\r\n\r\n"),
        format!("GET /good HTTP/1.1\r\nauthorization: Bearer {TOKEN}"),
        format!("GET /good?{} HTTP/1.1\r\n\r\n", TOKEN.repeat(5000)),
        format!("GET /good HTTP/1.1\r\nauthorization: Bearer {}\r\n\r\n", TOKEN.repeat(5000)),
        format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{TOKEN}{SECRET}"),
        format!("\u{16}\u{3}\u{1}{TOKEN}{SECRET}"),
    ] {
        let answer = exchange(server.address, bytes);
        assert!(!answer.contains(" 200 "), "{answer}");
    }
    let ran = stop(server);
    unmarked(&ran);
    assert_eq!(requests(&ran).len(), 0, "{}", ran.err);
}

#[test]
fn a_function_that_a_script_names_by_a_value_is_not_told() {
    script_fails_unmarked(&[
        "Fn(user.email).call();",
        "Fn(user.text);",
        "[1].map(user.email);",
        "call(Fn(user.name));",
    ]);
}

#[test]
fn a_function_that_a_template_names_by_a_credential_is_not_told() {
    for value in ["Fn(token)", "[1].map(secrets.key)", "call(Fn(secrets.key + token))"] {
        let secrets = "[secrets]\nkey = { env = \"ACME_KEY\" }\n";
        let rule =
            format!("{secrets}{}", PLAIN.replace("[claims]", &format!("query = {{ q = '${{{value}}}' }}\n[claims]")));
        let ran = fails(&rule, "nothing");
        unmarked(&ran);
    }
}

#[test]
fn what_scripts_fail_with_is_not_told() {
    script_fails_unmarked(&[
        "user[user.email].x.y;",
        "let a = #{}; a[user.email][user.text] = 1; a.b.c = 2;",
        "timestamp(user.email);",
        "user.email - 1;",
        "let x = user.email; x.call(1);",
        "try { throw user.email } catch (e) { throw e }",
        "eval(user.email);",
        "for i in user.email.len { }",
        "debug(user); print(user.email); throw 1;",
        "if user.email { }",
        "switch user.email { 1 => 2 } throw \"x\" + user.email;",
    ]);
}

/// Each of these scripts is refused at once, fails when it runs, or does nothing; the log tells no value.
#[track_caller]
fn script_fails_unmarked(scripts: &[&str]) {
    for script in scripts {
        let ran = fails(&format!("{PLAIN}[script]\nsource = '{script}'\n"), "N4meMark");
        unmarked(&ran);
        assert!(!ran.err.contains("N4meMark"), "{}", ran.err);
    }
}

/// Serves this rule beside another one, asks it once, and gives what was written.
#[track_caller]
fn fails(rule: &str, name: &str) -> Run {
    let profile = format!("{{\"id\":\"{ID}\",\"email\":\"{EMAIL}\",\"text\":\"{BODY}\",\"name\":\"{name}\"}}");
    let upstream = Upstream::new(move |_| Reply::json(profile.clone()));
    let settings = format!("[upstream.reroute]\n\"https://api.example\" = \"{}\"\n", upstream.origin);
    let place = folder(&[("acme.toml", rule), ("other.toml", PLAIN), ("settings/claimsmith.toml", &settings)]);
    let server = serve(&place, "json");
    let request = client().get(format!("http://{}/acme", server.address)).bearer_auth(TOKEN);
    let answer = block_on(send(request));
    let ran = stop(server);
    assert!([200, 404, 500].contains(&answer.status), "{rule}: {} {}", answer.status, ran.err);
    ran
}

const PLAIN: &str = "[call.user]\nurl = \"https://api.example/me\"\n[claims]\nsub = \"$.user.id\"\n";

/// A refusal that comes before the rule is looked for.
#[test]
fn an_unknown_path_is_not_logged_whatever_is_wrong_besides() {
    let world = World::new();
    let server = world.serve("json");
    let address = server.address;
    let path = "T0ken-Mark.7f3a91~/+";
    let large = client().post(format!("http://{address}/{path}")).body("x".repeat(2000));
    let large = block_on(send(large));
    // One that breaks off.
    exchange(address, format!("POST /{path} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{BODY}\r\n"));
    exchange(address, format!("POST /{path} HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nx"));
    let ran = stop(server);
    assert!([404, 413].contains(&large.status), "{}", large.body);
    for line in requests(&ran) {
        assert_eq!(line["rule"], "-", "{line}");
    }
    unmarked(&ran);
}

/// A method may be any word.
#[test]
fn an_unknown_method_is_not_logged() {
    let world = World::new();
    let server = world.serve("json");
    let method = Method::from_bytes(b"T0ken-Mark.7f3a91~").expect("a method may be any word");
    for rule in ["good", "nothing"] {
        let request = client().request(method.clone(), format!("http://{}/{rule}", server.address));
        let answer = block_on(send(request));
        assert_eq!(answer.status, if rule == "good" { 405 } else { 404 });
    }
    unmarked(&stop(server));
}

/// Requests that fail in ways of which the other tests of logs know nothing.
fn more_cases(at: SocketAddr) -> Vec<Case> {
    let mut cases: Vec<_> = [
        ("unverified", 401),
        ("inactive", 401),
        ("issuer-down", 502),
        ("contract", 500),
        ("included", 500),
        ("refused-name", 500),
        ("named-by-script", 500),
        ("graph", 502),
        ("pages", 502),
        ("linked", 502),
        ("signed", 502),
        ("no-xml", 502),
        ("kept", 502),
        ("repeated", 502),
        ("flagged", 503),
    ]
    .into_iter()
    .map(|(rule, status)| case(at, rule, status, "", 0))
    .collect();
    let headers = (0..101).fold(case(at, "good", 431, "", 0).request, |request, number| {
        request.header(format!("x-{number}"), format!("{EMAIL}{number}"))
    });
    cases.push(Case { request: headers, ..case(at, "good", 431, "", 0) });
    cases
}

/// S1: marked tokens, secrets and personal data through every failure path, at the level trace.
#[test]
fn no_failure_leaves_a_mark_in_a_log_a_metric_a_trace_a_page_or_an_error() {
    let world = World::new();
    let mut command = command(&world.folder, "json");
    command.env(ADMIN, "127.0.0.1:0");
    let mut server = Server::start(command);
    let admin = server.admin();
    let (mut failures, mut texts) = (BTreeMap::new(), Vec::new());
    let all = cases(server.address).into_iter().chain(more_cases(server.address));
    for Case { request, rule, method, status, .. } in all {
        let answer = block_on(send(request));
        assert_eq!(answer.status, status, "{method} {rule}: {}", answer.body);
        if status >= 300 {
            *failures.entry(status).or_insert(0) += 1;
            // What a script rejects with is for the caller: the rule says so.
            if rule != "rejects" {
                texts.push((format!("the error of {rule}"), format!("{:?}\n{}", answer.headers, answer.body)));
            }
        }
    }
    let statuses: Vec<u16> = failures.keys().copied().collect();
    assert_eq!(statuses, [400, 401, 403, 404, 405, 413, 431, 500, 502, 503, 504], "every row of the table");
    let mut seen_failures = 0;
    for (path, accept) in
        [("/metrics", "*/*"), ("/rules", "*/*"), ("/traces", "*/*"), ("/traces", "text/plain"), ("/livez", "*/*")]
    {
        let answer = block_on(send(client().get(format!("http://{admin}{path}")).header("accept", accept)));
        assert_eq!(answer.status, 200, "{path}");
        if path == "/traces" && accept == "*/*" {
            let traces = answer.json();
            seen_failures = traces.as_array().expect("a list").iter().filter(|one| !one["failed"].is_null()).count();
        }
        texts.push((format!("{path} {accept}"), answer.body));
    }
    assert!(seen_failures > 60, "the traces have the failures: {seen_failures}");
    let ran = stop(server);
    texts.push(("the log".into(), ran.err));
    let bytes: usize = texts.iter().map(|(_, text)| text.len()).sum();
    for (what, text) in &texts {
        assert_eq!(found(text), None, "in {what}");
    }
    assert!(failures.values().sum::<usize>() > 60 && bytes > 100_000, "{failures:?}, {bytes} bytes");
    // It would be found.
    for mark in MARKS {
        for form in forms(mark) {
            assert!(found(&format!("x {form} x")).is_some(), "{form}");
        }
    }
}
