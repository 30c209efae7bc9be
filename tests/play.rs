//! The playground's server: what it answers, whom it answers, and what it never writes or says.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    cli::{ADMIN, Server, claimsmith, folder},
    reload::World,
    support::{Answer, Reply, Upstream, block_on, client, send},
};

const RULE: &str = "receiver = \"supabase\"\n[call.user]\nurl = \"https://api.acme.example/me\"\n\n[claims]\nsub = \"$.user.id\"\n\
    email = \"$.user.mail\"\nemail_verified = \"$.user.verified\"\n";
const CASES: &str = "[[case]]\nname = \"a login\"\n\n[[case.answer]]\nurl = \"https://api.acme.example/me\"\n\
    json = '{\"id\": 9007199254740993, \"mail\": \"ada@engines.example\", \"verified\": \"true\"}'\n\n\
    [case.claims]\nsub = \"9007199254740993\"\nemail = \"ada@engines.example\"\nemail_verified = true\n";

/// `claimsmith play` while it runs.
struct Play {
    child: Child,
    lines: Receiver<String>,
    folder: TempDir,
    address: SocketAddr,
    key: String,
    /// All that was printed so far.
    out: String,
}

impl Play {
    #[track_caller]
    fn start(files: &[(&str, &str)], arguments: &[&str]) -> Play {
        Play::start_with(files, arguments, &[])
    }

    #[track_caller]
    fn start_with(files: &[(&str, &str)], arguments: &[&str], environment: &[(&str, &str)]) -> Play {
        let folder = folder(files);
        let path = folder.path().to_str().expect("the path is UTF-8").to_owned();
        let mut command = claimsmith(&[&["play", &path, "--log-level", "trace"], arguments].concat());
        command.envs(environment.iter().copied());
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the program can be started");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, lines) = channel();
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut play = Play { child, lines, folder, address, key: String::new(), out: String::new() };
        let (address, key) = play.link();
        (play.address, play.key) = (address.parse().expect("it is an address"), key);
        assert!(play.address.ip().is_loopback());
        play
    }

    /// The next address with a key.
    #[track_caller]
    fn link(&mut self) -> (String, String) {
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(60)).expect("an address is printed");
            self.out.push_str(&format!("{line}\n"));
            if let Some((_, link)) = line.split_once("http://") {
                let (address, key) = link.split_once("/#").expect("the key stands behind the mark");
                return (address.to_owned(), key.to_owned());
            }
        }
    }

    fn post(&self, question: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
        let mut request = client().post(format!("http://{}/api/{question}", self.address));
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        block_on(send(request.body(body.to_string())))
    }

    /// Begins a session.
    #[track_caller]
    fn session(&mut self) -> Session<'_> {
        let bearer = format!("Bearer {}", self.key);
        let answer = self.post("session", &json!({}), &[("authorization", &bearer)]);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let info = answer.json();
        let bearer = format!("Bearer {}", info["key"].as_str().expect("there is a key"));
        Session { play: self, bearer, info }
    }

    /// Ends it; everything that it wrote.
    fn end(mut self) -> (String, String) {
        let _ = self.child.kill();
        let mut err = String::new();
        self.child.stderr.take().expect("it is piped").read_to_string(&mut err).expect("it is UTF-8");
        let _ = self.child.wait();
        self.out.extend(self.lines.try_iter().map(|line| format!("{line}\n")));
        (std::mem::take(&mut self.out), err)
    }
}

impl Drop for Play {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Session<'p> {
    play: &'p mut Play,
    bearer: String,
    info: Value,
}

impl Session<'_> {
    fn ask(&self, question: &str, body: &Value) -> Answer {
        self.play.post(question, body, &[("authorization", &self.bearer)])
    }

    #[track_caller]
    fn told(&self, question: &str, body: &Value) -> Value {
        let answer = self.ask(question, body);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    #[track_caller]
    fn refused(&self, question: &str, body: &Value) -> String {
        let answer = self.ask(question, body);
        assert_eq!(answer.status, 422, "{}", answer.body);
        answer.json()["error"].as_str().expect("it says why").to_owned()
    }
}

fn texts(rule: &str, cases: &str) -> Value {
    json!({ "name": "acme", "rule": rule, "cases": cases, "case": 0 })
}

#[test]
fn behind_the_admin_key_it_saves_nothing_and_is_off_unless_asked_for() {
    let world = World::new(&[("rules/acme.toml", RULE)]);
    let start = |settings: &[(&str, &str)]| {
        let mut command = world.serve(&[]);
        command.env(ADMIN, "127.0.0.1:0").envs(settings.iter().copied());
        let mut server = Server::start(command);
        let admin = server.admin();
        (server, admin)
    };
    let post = |admin: SocketAddr, question: &str, headers: &[(&str, &str)]| {
        let mut request = client()
            .post(format!("http://{admin}/play/api/{question}"))
            .body("{\"name\":\"acme\",\"rule\":\"\",\"cases\":\"\",\"mark\":null}");
        for (name, value) in headers.iter().chain(&[("content-type", "application/json")]) {
            request = request.header(*name, *value);
        }
        block_on(send(request))
    };
    let (server, admin) = start(&[("CLAIMSMITH_ADMIN__KEY__ENV", "PLAY_KEY"), ("PLAY_KEY", "k3y")]);
    assert_eq!(block_on(send(client().get(format!("http://{admin}/play/")).bearer_auth("k3y"))).status, 404);
    drop(server);
    let settings =
        [("CLAIMSMITH_ADMIN__KEY__ENV", "PLAY_KEY"), ("PLAY_KEY", "k3y"), ("CLAIMSMITH_ADMIN__PLAY", "true")];
    let (server, admin) = start(&settings);
    assert_eq!(block_on(send(client().get(format!("http://{admin}/play")))).status, 308);
    let page = block_on(send(client().get(format!("http://{admin}/play/"))));
    assert!(page.status == 200 && page.body.contains("play.js") && !page.body.contains("acme"));
    for headers in [
        &[][..],
        &[("authorization", "Bearer wrong")],
        &[("authorization", "Bearer k3y"), ("origin", "http://evil.example")],
    ] {
        assert!([401, 403].contains(&post(admin, "rules", headers).status), "{headers:?}");
    }
    let key = [("authorization", "Bearer k3y")];
    let info = post(admin, "session", &key).json();
    assert_eq!((&info["key"], &info["write"], &info["live"]), (&Value::Null, &json!(false), &json!(false)));
    assert_eq!(post(admin, "rules", &key).json()["rules"], json!(["acme"]));
    assert!(post(admin, "save", &key).body.contains("--write") && post(admin, "live", &key).body.contains("--live"));
    drop(server);
    // Without a key it is there for nobody.
    let mut command = world.serve(&[]);
    command.env(ADMIN, "127.0.0.1:0").env("CLAIMSMITH_ADMIN__PLAY", "true");
    let ran = crate::cli::run(command);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(ran.err.contains("`admin.play` needs `admin.key`"), "{}", ran.err);
}

const FILES: &[(&str, &str)] = &[("acme.toml", RULE), ("acme.test.toml", CASES)];

#[test]
fn a_rule_is_seen_at_work() {
    let mut play = Play::start(FILES, &[]);
    let session = play.session();
    assert_eq!((&session.info["write"], &session.info["live"]), (&json!(false), &json!(false)));
    assert_eq!(session.told("rules", &json!({}))["rules"], json!(["acme"]));
    let opened = session.told("open", &json!({ "name": "acme" }));
    assert_eq!((&opened["rule"], &opened["cases"]), (&json!(RULE), &json!(CASES)));
    let mut asked = texts(RULE, CASES);
    asked["base"] = RULE.replace("$.user.mail", "$.user.verified").into();
    let told = session.told("evaluate", &asked);
    assert_eq!(told["cases"][0]["passed"], true, "{told:#}");
    let claims = told["report"]["claims"].as_array().expect("there are claims");
    let claim = |name: &str| claims.iter().find(|claim| claim["name"] == name).expect("the claim is there");
    assert_eq!(claim("sub")["value"], "9007199254740993");
    assert_eq!((&claim("sub")["type"], &claim("sub")["from"]["way"]), (&json!("string"), &json!("path")));
    let verified = claim("email_verified");
    assert_eq!((&verified["value"], &verified["receiver"]["standing"]), (&json!(true), &json!("ok")), "{told:#}");
    assert_eq!(told["document"]["user"]["id"].to_string(), "9007199254740993");
    assert_eq!(told["used"]["/user/mail"], json!(["email"]));
    assert_eq!(told["answers"][0]["call"], "user");
    let changed = &told["changed"][0]["claims"][0];
    assert_eq!(
        (&changed["claim"], &changed["old"], &changed["new"]),
        (&json!("email"), &json!("\"true\""), &json!("\"ada@engines.example\""))
    );
}

#[test]
fn a_misspelt_name_is_found_and_mended() {
    let mut play = Play::start(FILES, &[]);
    let session = play.session();
    let wrong = RULE.replace("$.user.id", "$.uesr.id");
    let told = session.told("evaluate", &texts(&wrong, CASES));
    let problem = &told["problems"][0];
    assert_eq!(
        (&problem["help"], &problem["fix"]["text"]),
        (&json!("did you mean `user`?"), &json!("user")),
        "{told:#}"
    );
    let (from, to) =
        (problem["fix"]["from"].as_u64().expect("a place"), problem["fix"]["to"].as_u64().expect("a place"));
    assert_eq!(&wrong[from as usize..to as usize], "uesr");
    assert_eq!((&told["refused"], &told["report"]), (&json!(true), &Value::Null));
    // The answer is there to be chosen from all the same.
    assert_eq!(told["document"]["user"]["mail"], "ada@engines.example");
    let mut asked = texts(&wrong, CASES);
    asked["text"] = "rule".into();
    asked["at"] = wrong.find("uesr.id").expect("it is there").into();
    asked["steps"] = json!(["user", "id"]);
    let put = session.told("insert", &asked);
    assert_eq!(put["text"], "$.user.id");
    asked["at"] = (wrong.find("$.user.mail").expect("it is there") + 7).into();
    let items = session.told("complete", &asked);
    assert!(items.as_array().expect("a list").iter().any(|item| item["label"] == "mail"), "{items:#}");
    asked["at"] = (wrong.find("user.mail").expect("it is there") + 6).into();
    let hover = session.told("hover", &asked);
    assert!(hover["words"].as_str().expect("there are words").contains("ada@engines.example"), "{hover:#}");
}

#[test]
fn what_a_receiver_would_refuse_is_seen_with_what_it_would_do() {
    let mut play = Play::start(FILES, &[]);
    let session = play.session();
    let text = "email_verified = { path = \"$.user.verified\", type = \"string\" }";
    let told = session.told("evaluate", &texts(&RULE.replace("email_verified = \"$.user.verified\"", text), CASES));
    assert_eq!(told["refused"], true, "{told:#}");
    let claims = told["report"]["claims"].as_array().expect("there are claims");
    let claim = claims.iter().find(|claim| claim["name"] == "email_verified").expect("it is there");
    let receiver = &claim["receiver"];
    assert_eq!(
        (&claim["value"], &receiver["name"], &receiver["standing"]),
        (&json!("true"), &json!("supabase"), &json!("fail"))
    );
    assert!(receiver["words"].as_str().is_some_and(|words| words.contains("login")), "{receiver}");
}

#[test]
fn a_failure_has_its_row() {
    let mut play = Play::start(FILES, &[]);
    let session = play.session();
    let mut asked = texts(RULE, CASES);
    asked["drafts"] =
        json!([{ "at": 0, "method": "GET", "url": "https://api.acme.example/me", "status": 401, "body": "{}" }]);
    let told = session.told("evaluate", &asked);
    let failed = &told["report"]["failed"];
    assert_eq!((&told["report"]["status"], &failed["error"]), (&json!(401), &json!("invalid_token")), "{told:#}");
    assert!(failed["row"].as_str().is_some_and(|row| !row.is_empty()));
    // Without any case it says what is missing, and takes what is pasted.
    let mut asked = texts(RULE, "");
    asked["case"] = Value::Null;
    let told = session.told("evaluate", &asked);
    let faults = told["verdict"]["faults"].as_array().expect("there are faults");
    let request = json!({ "method": "GET", "url": "https://api.acme.example/me" });
    assert!(faults.iter().any(|fault| fault["request"] == request), "{told:#}");
}

#[test]
fn a_case_that_is_saved_is_what_the_tests_run() {
    let mut play = Play::start(&[("acme.toml", RULE)], &["--write"]);
    let folder = play.folder.path().to_owned();
    let session = play.session();
    let opened = session.told("open", &json!({ "name": "acme" }));
    let mut asked = texts(RULE, "");
    asked["case"] = Value::Null;
    asked["new"] = "a private e-mail is found".into();
    asked["drafts"] = json!([{
        "at": null, "method": "GET", "url": "https://api.acme.example/me", "status": 200,
        "body": "{\"id\": 18446744073709551616, \"mail\": \"x@y.example\", \"verified\": true}",
    }]);
    let made = session.told("case", &asked);
    let cases = made["text"].as_str().expect("there is a text");
    assert!(cases.contains("a private e-mail is found") && cases.contains("18446744073709551616"), "{cases}");
    let saved = json!({ "name": "acme", "rule": RULE, "cases": cases, "mark": opened["mark"] });
    let mark = session.told("save", &saved)["mark"].clone();
    assert_eq!(fs::read_to_string(folder.join("acme.test.toml")).expect("it is there"), cases);
    let ran = crate::cli::run(claimsmith(&["test", folder.to_str().expect("the path is UTF-8")]));
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("1 case passed"), "{}", ran.out);
    // What differs is expected from then on.
    let edited = RULE.replace("$.user.mail", "$.user.id");
    let mut asked = texts(&edited, cases);
    let told = session.told("accept", &asked);
    asked["cases"] = told["text"].clone();
    assert_eq!(session.told("evaluate", &asked)["cases"][0]["passed"], true);
    // Somebody else's change is not overwritten.
    fs::write(folder.join("acme.toml"), "# another\n").expect("it can be written");
    let saved = json!({ "name": "acme", "rule": RULE, "cases": cases, "mark": mark });
    assert!(session.refused("save", &saved).contains("changed meanwhile"));
    assert_eq!(fs::read_to_string(folder.join("acme.toml")).expect("it is there"), "# another\n");
}

#[test]
fn nothing_is_saved_outside_of_the_folder_or_without_leave() {
    let mut play = Play::start(FILES, &[]);
    let session = play.session();
    let saved = |name: &str| json!({ "name": name, "rule": "x", "cases": "", "mark": null });
    assert!(session.refused("save", &saved("new")).contains("--write"));
    let mut play = Play::start(FILES, &["--write"]);
    let folder = play.folder.path().to_owned();
    let session = play.session();
    for name in ["../out", "a/b", "/tmp/x", "..", "", "x.toml", "A", "a\0b", "..\\x", "%2e%2e%2fx"] {
        assert!(session.refused("save", &saved(name)).contains("lower-case"), "{name}");
        assert!(session.refused("open", &json!({ "name": name })).contains("lower-case"), "{name}");
    }
    #[cfg(unix)]
    {
        let target = tempfile::NamedTempFile::new().expect("a file can be made");
        std::os::unix::fs::symlink(target.path(), folder.join("link.toml")).expect("links can be made");
        let opened = session.ask("open", &json!({ "name": "link" }));
        let mark = if opened.status == 200 { opened.json()["mark"].clone() } else { Value::Null };
        let mut through = saved("link");
        through["mark"] = mark;
        assert!(session.refused("save", &through).contains("link"));
        assert_eq!(fs::read_to_string(target.path()).expect("it is there"), "");
    }
    session.told("save", &saved("new"));
    assert!(folder.join("new.toml").is_file() && !folder.join("new.test.toml").exists());
}

#[test]
fn nobody_elses_page_is_heard() {
    let mut play = Play::start(FILES, &["--write"]);
    let place = play.address.to_string();
    let first = format!("Bearer {}", play.key);
    let bearer = play.session().bearer.clone();
    let with = |headers: &[(&str, &str)]| play.post("rules", &json!({}), headers).status;
    assert_eq!(with(&[("authorization", &bearer)]), 200);
    assert_eq!(with(&[("authorization", &bearer), ("origin", &format!("http://{place}"))]), 200);
    for (headers, status) in [
        (&[][..], 401),
        (&[("authorization", "Bearer ")], 401),
        (&[("authorization", "Basic x")], 401),
        (&[("authorization", &*first)], 401),
        (&[("authorization", &bearer), ("origin", "https://evil.example")], 403),
        (&[("authorization", &bearer), ("origin", "null")], 403),
        (&[("authorization", &bearer), ("sec-fetch-site", "cross-site")], 403),
        (&[("authorization", &bearer), ("host", "evil.example")], 421),
        (&[("authorization", &bearer), ("host", "evil.example"), ("origin", "http://evil.example")], 421),
        (&[("authorization", &bearer), ("content-type", "text/plain")], 415),
    ] {
        assert_eq!(with(headers), status, "{headers:?}");
    }
    // The key of the address opens one session.
    assert_eq!(play.post("session", &json!({}), &[("authorization", &first)]).status, 401);
    assert_eq!(play.post("session", &json!({}), &[]).status, 401);
    let get = |path: &str| block_on(send(client().get(format!("http://{place}{path}"))));
    assert_eq!(get("/api/rules").status, 405);
    for path in ["/nothing", "/../../etc/passwd", "/page/index.html", "//", "/play.js/x"] {
        assert_ne!(get(path).status, 500, "{path}");
    }
    let options = client().request(http::Method::OPTIONS, format!("http://{place}/api/rules"));
    let answer = block_on(send(options.header("origin", "https://evil.example")));
    assert!(answer.status >= 400 && answer.headers.keys().all(|name| !name.as_str().starts_with("access-control-")));
    // Another page of the same person gets a key of its own.
    let (_, second) = play.link();
    assert_ne!(format!("Bearer {second}"), first);
    let answer = play.post("session", &json!({}), &[("authorization", &format!("Bearer {second}"))]);
    assert_eq!(answer.status, 200);
}

#[test]
fn the_page_asks_nobody_else_and_is_kept_nowhere() {
    let play = Play::start(&[], &[]);
    let page = block_on(send(client().get(format!("http://{}/", play.address))));
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let policy = page.header("content-security-policy");
    for part in ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
        ("x-frame-options", "DENY"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        assert_eq!(page.header(name), value);
    }
    for name in ["play.js", "play.css"] {
        let file = block_on(send(client().get(format!("http://{}/{name}", play.address))));
        assert_eq!(file.status, 200);
        assert!(page.body.contains(name) && !file.body.is_empty());
        for foreign in ["https://cdn", "fonts.googleapis", "unpkg", "sourceMappingURL"] {
            assert!(!file.body.contains(foreign), "{name} has {foreign}");
        }
    }
}

#[test]
fn questions_are_bounded() {
    let mut play = Play::start(FILES, &[]);
    let session = play.session();
    let large = texts(&"#".repeat(3 * 1024 * 1024), "");
    let answer = session.ask("evaluate", &large);
    assert_eq!(answer.status, 413, "{}", answer.body);
    assert!(session.refused("nothing", &texts(RULE, CASES)).contains("no such question"));
    assert!(!session.refused("evaluate", &json!({ "name": "acme", "rule": 7 })).contains('7'));
    // A script that never ends is ended as on the gateway, and the next question is answered.
    let endless = format!("{RULE}\n[script]\nsource = \"loop {{ }}\"\n");
    let told = session.told("evaluate", &texts(&endless, CASES));
    assert_eq!(told["report"]["status"], 500, "{told:#}");
    assert_eq!(session.told("evaluate", &texts(RULE, CASES))["report"]["status"], 200);
    // Texts that are no TOML, and none at all.
    for (rule, cases) in [("", ""), ("[", "[["), ("\u{0}", "😀"), ("a = \"", "[[case]]\nname = ")] {
        for question in ["evaluate", "complete", "hover", "insert"] {
            let mut asked = texts(rule, cases);
            asked["at"] = 3.into();
            asked["steps"] = json!(["user"]);
            assert_eq!(session.ask(question, &asked).status, 200, "{question} {rule:?}");
        }
    }
}

#[test]
fn a_real_login_is_made_where_that_is_allowed_and_leaves_nothing() {
    const TOKEN: &str = "T0ken-Mark.7f3a91";
    let mut play = Play::start(FILES, &[]);
    let session = play.session();
    let attempt = json!({ "name": "acme", "rule": RULE, "cases": "", "token": TOKEN });
    assert!(session.refused("live", &attempt).contains("--live"));
    let upstream = Upstream::new(|seen| match seen.header("authorization") {
        "Bearer T0ken-Mark.7f3a91" => {
            Reply::json(r#"{"id": 7, "mail": "a@b.example", "verified": true, "echo": "T0ken-Mark.7f3a91"}"#)
        }
        _ => Reply::new(401, "{}"),
    });
    let settings = format!("[upstream.reroute]\n\"https://api.acme.example\" = \"{}\"\n", upstream.origin);
    let config = folder(&[("claimsmith.toml", &settings)]);
    let config = config.path().join("claimsmith.toml");
    let mut play = Play::start(FILES, &["--live", "--config", config.to_str().expect("the path is UTF-8")]);
    let session = play.session();
    let answer = session.ask("live", &attempt);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(!answer.body.contains(TOKEN), "{}", answer.body);
    let told = answer.json();
    assert_eq!(told["report"]["status"], 200, "{told:#}");
    assert!(told["case"]["text"].as_str().is_some_and(|text| text.contains("[[case]]")), "{told:#}");
    assert_eq!(told["document"]["user"]["id"], 7);
    let bearer = session.bearer.clone();
    let mut attempt = attempt;
    attempt["token"] = "wrong-Mark.1".into();
    assert_eq!(session.told("live", &attempt)["report"]["failed"]["error"], "invalid_token");
    let first = play.key.clone();
    let files: Vec<_> = fs::read_dir(play.folder.path()).expect("it is there").collect();
    assert_eq!(files.len(), 2, "nothing was written");
    let (out, err) = play.end();
    for secret in [TOKEN, "wrong-Mark.1", bearer.trim_start_matches("Bearer ")] {
        assert!(!out.contains(secret) && !err.contains(secret), "{secret}:\n{out}\n{err}");
    }
    // The keys of addresses are printed for the person, and stand in no log.
    assert!(out.contains(&first) && !err.contains(&first), "{err}");
}
