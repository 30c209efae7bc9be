//! The program itself: its commands, exit codes, standard output and standard error.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::{Reply, Upstream, block_on, client, send};

/// Nothing that a test waits for may take longer.
const LIMIT: Duration = Duration::from_secs(60);

/// Where a server tells how it is.
pub const ADMIN: &str = "CLAIMSMITH_ADMIN__LISTEN";

/// The program with these arguments, and with no setting from the environment of the tests.
pub fn claimsmith(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_claimsmith"));
    for (name, _) in std::env::vars_os() {
        if ["CLAIMSMITH_", "OTEL_"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a program left behind.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Runs a program to its end.
#[track_caller]
pub fn run(mut command: Command) -> Run {
    finish(command.spawn().expect("the program can be started"))
}

/// Runs a program with a text on its standard input.
#[track_caller]
pub fn run_with(mut command: Command, input: &str) -> Run {
    let mut child = command.stdin(Stdio::piped()).spawn().expect("the program can be started");
    let mut stdin = child.stdin.take().expect("it is piped");
    // A program that does not want to read is free to end.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    finish(child)
}

#[track_caller]
fn finish(child: Child) -> Run {
    let (done, ended) = channel();
    let number = child.id();
    thread::spawn(move || done.send(child.wait_with_output()));
    let Ok(output) = ended.recv_timeout(LIMIT) else {
        signal(number, "-KILL");
        panic!("the program does not end");
    };
    let output = output.expect("the program can be waited for");
    Run {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).expect("standard output is UTF-8"),
        err: String::from_utf8(output.stderr).expect("standard error is UTF-8"),
    }
}

fn signal(process: u32, name: &str) {
    let sent = Command::new("kill").arg(name).arg(process.to_string()).status().expect("`kill` can be run");
    assert!(sent.success(), "the process is there");
}

/// `claimsmith serve` while it runs.
pub struct Server {
    child: Child,
    lines: Receiver<String>,
    /// Everything on standard error so far.
    pub log: String,
    pub address: SocketAddr,
}

impl Server {
    /// Starts it, and waits until it listens.
    #[track_caller]
    pub fn start(mut command: Command) -> Self {
        // Servers of tests that run side by side cannot all have the usual port.
        if !command.get_envs().any(|(name, _)| name == ADMIN) {
            command.env(ADMIN, "off");
        }
        let mut child = command.spawn().expect("the program can be started");
        let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Server { child, lines, log: String::new(), address };
        let line = server.line("listening");
        server.address = match serde_json::from_str::<Value>(&line) {
            Ok(json) => json["address"].as_str().expect("the line has the address").parse(),
            Err(_) => {
                line.split_once("address=").expect("the line has the address").1.split(' ').next().unwrap().parse()
            }
        }
        .expect("it is an address");
        server
    }

    /// The next line on standard error that holds a text.
    #[track_caller]
    pub fn line(&mut self, part: &str) -> String {
        loop {
            let Ok(line) = self.lines.recv_timeout(LIMIT) else { panic!("no line with {part:?} in\n{}", self.log) };
            self.log.push_str(&line);
            self.log.push('\n');
            if line.contains(part) {
                return line;
            }
        }
    }

    /// The next line as JSON.
    #[track_caller]
    pub fn json(&mut self, part: &str) -> Value {
        let line = self.line(part);
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line:?}"))
    }

    /// The number of its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Where it tells how it is. That is logged before or after it listens.
    #[track_caller]
    pub fn admin(&mut self) -> SocketAddr {
        const PART: &str = "telling how it is";
        let line = match self.log.lines().find(|line| line.contains(PART)) {
            Some(line) => serde_json::from_str(line).expect("it is JSON"),
            None => self.json(PART),
        };
        line["address"].as_str().expect("the line has the address").parse().expect("it is an address")
    }

    /// Sends a signal by its name: `-TERM`.
    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Waits for the end: exit code, standard output, everything on standard error.
    #[track_caller]
    pub fn end(mut self) -> Run {
        while let Ok(line) = self.lines.recv_timeout(LIMIT) {
            self.log.push_str(&line);
            self.log.push('\n');
        }
        // Standard error is closed, so the process has ended or is about to.
        let status = self.child.wait().expect("the program can be waited for");
        let mut out = String::new();
        if let Some(mut stdout) = self.child.stdout.take() {
            std::io::Read::read_to_string(&mut stdout, &mut out).expect("standard output is UTF-8");
        }
        Run { code: status.code(), out, err: std::mem::take(&mut self.log) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder with these files.
pub fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for (name, text) in files {
        write(&folder.path().join(name), text);
    }
    folder
}

#[expect(clippy::disallowed_methods, reason = "tests make the files that the program reads")]
fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder can be made");
    std::fs::write(path, text).expect("the folder can be written to");
}

const GOOD: &str = r#"
[call.user]
url = "https://api.example/me"

[claims]
sub = "$.user.id"
"#;

const WARNS: &str = r#"
[call.user]
url = "https://api.example/me"

[claims]
sub   = "$.user.id"
email = "$.user.emails[*]"
"#;

const WRONG: &str = r#"
[call.user]
url = "https://api.example/me"
methd = "GET"

[claims]
sub = "$.usr.id"
"#;

fn text(path: &Path) -> &str {
    path.to_str().expect("paths of tests are UTF-8")
}

mod check {
    use super::*;

    #[test]
    fn good_rules_are_done() {
        let rules =
            folder(&[("a.toml", GOOD), ("b.toml", WARNS), ("a.test.toml", "no rule"), ("notes.txt", "no rule")]);
        let ran = run(claimsmith(&["check", text(rules.path())]));
        assert_eq!((ran.code, &*ran.err), (Some(0), ""), "{}", ran.out);
        assert!(
            ran.out.contains("warning[CS3003]")
                && ran
                    .out
                    .ends_with("2 rules: text ok, schema ok, names and types 1 warning, scripts ok, security ok\n"),
            "{}",
            ran.out
        );
    }

    #[test]
    fn a_secret_need_not_be_there() {
        let rule = format!("[secrets]\nkey = {{ env = \"ACME_KEY_OF_NOBODY\" }}\n{GOOD}");
        let rules = folder(&[("a.toml", &rule)]);
        assert_eq!(run(claimsmith(&["check", text(rules.path())])).code, Some(0));
    }

    #[test]
    fn errors_are_shown_with_their_place() {
        let rules = folder(&[("a.toml", GOOD), ("b.toml", WRONG)]);
        let ran = run(claimsmith(&["check", text(rules.path())]));
        assert_eq!((ran.code, &*ran.err), (Some(1), ""));
        for part in ["error[CS1002]", "b.toml:4:1", "error[CS2002]", "b.toml:7:10", "did you mean `user`?"] {
            assert!(ran.out.contains(part), "{part} in {}", ran.out);
        }
        let levels = "2 rules: text ok, schema 1 error, names and types 1 error, scripts ok, security ok\n";
        assert!(ran.out.ends_with(levels), "{}", ran.out);
        assert!(!ran.out.contains('\u{1b}'), "no colours in a pipe");
    }

    #[test]
    fn json_is_one_object_for_programs() {
        let rules = folder(&[("b.toml", WRONG)]);
        let ran = run(claimsmith(&["check", "--format", "json", text(&rules.path().join("b.toml"))]));
        assert_eq!(ran.code, Some(1));
        let told: Value = serde_json::from_str(&ran.out).expect("standard output is JSON");
        assert_eq!((&told["rules"], &told["errors"], &told["warnings"]), (&1.into(), &2.into(), &0.into()));
        assert_eq!(told["problems"][1]["code"], "CS2002");
        assert_eq!((&told["problems"][1]["line"], &told["problems"][1]["column"]), (&7.into(), &10.into()));
        let good = folder(&[("a.toml", GOOD)]);
        let ran = run(claimsmith(&["check", "--format", "json", text(good.path())]));
        let told: Value = serde_json::from_str(&ran.out).expect("standard output is JSON");
        assert_eq!(ran.code, Some(0));
        assert_eq!(told, json!({ "rules": 1, "errors": 0, "warnings": 0, "advice": 0, "problems": [] }));
    }

    /// A sound rule with a warning of the security level, and advice.
    const UNSAFE: &str = "[call.user]\nurl = \"https://api.acme.example/me\"\n\n[claims]\nsub = \"$.user.email\"\n";

    #[test]
    fn what_is_denied_makes_the_command_fail() {
        let rules = folder(&[("a.toml", UNSAFE)]);
        let path = text(rules.path());
        for (arguments, code, advice) in [
            (&["check", path][..], 0, false),
            (&["check", "--deny", "warning", path], 1, false),
            (&["check", "--deny", "advice", path], 1, true),
            (&["check", "--advice", path], 0, true),
        ] {
            let ran = run(claimsmith(arguments));
            assert_eq!(ran.code, Some(code), "{arguments:?}: {}", ran.out);
            assert_eq!(ran.out.contains("CS9008"), advice, "{arguments:?}: {}", ran.out);
            assert!(ran.out.contains("warning[CS9004]"), "{arguments:?}: {}", ran.out);
        }
        let accepted = format!("{UNSAFE}\n[accept]\nCS9004 = \"Acme has no ids\"\nCS9008 = \"one call\"\n");
        let rules = folder(&[("a.toml", &accepted)]);
        let ran = run(claimsmith(&["check", "--deny", "advice", text(rules.path())]));
        assert_eq!((ran.code, ran.out.contains("security ok")), (Some(0), true), "{}", ran.out);
    }

    #[test]
    fn a_script_wants_a_case() {
        let rule = format!("{GOOD}\n[script]\nsource = 'claims.name = \"x\";'\n");
        let rules = folder(&[("a.toml", &rule), ("b.toml", &rule), ("b.test.toml", "")]);
        let ran = run(claimsmith(&["check", text(rules.path())]));
        let found: Vec<_> = ran.out.lines().filter(|line| line.contains("[CS9009]")).collect();
        assert_eq!(found.len(), 1, "{}", ran.out);
        assert!(ran.out.contains("a.toml:"), "{}", ran.out);
    }

    #[test]
    fn code_scanning_and_actions_get_their_forms() {
        let rules = folder(&[("a.toml", UNSAFE), ("b.toml", WRONG)]);
        let ran = run(claimsmith(&["check", "--format", "sarif", text(rules.path())]));
        let sarif: Value = serde_json::from_str(&ran.out).expect("SARIF is JSON");
        assert_eq!(sarif["version"], "2.1.0");
        let results = sarif["runs"][0]["results"].as_array().expect("a run has results");
        let told: Vec<_> = results.iter().map(|result| (&result["ruleId"], &result["level"])).collect();
        let (error, warning) = (Value::from("error"), Value::from("warning"));
        let codes = ["CS9004", "CS1002", "CS2002"].map(Value::from);
        assert_eq!(told, [(&codes[0], &warning), (&codes[1], &error), (&codes[2], &error)]);
        let declared = sarif["runs"][0]["tool"]["driver"]["rules"].as_array().expect("rules are declared");
        assert_eq!(declared.len(), 3);
        let region = &results[1]["locations"][0]["physicalLocation"]["region"];
        assert_eq!((&region["startLine"], &region["startColumn"]), (&4.into(), &1.into()));
        let ran = run(claimsmith(&["check", "--format", "github", text(rules.path())]));
        let lines: Vec<_> = ran.out.lines().collect();
        assert_eq!(lines.len(), 3, "{}", ran.out);
        assert!(lines[0].starts_with("::warning file=") && lines[0].contains(",title=CS9004::"), "{}", lines[0]);
        assert!(lines[1].starts_with("::error file=") && lines[1].contains("line=4,col=1"), "{}", lines[1]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let rules = folder(&[("a.toml", GOOD)]);
        let missing = rules.path().join("nothing.toml");
        let ran = run(claimsmith(&["check", text(&missing)]));
        assert_eq!((ran.code, &*ran.out), (Some(2), ""));
        assert!(ran.err.contains(text(&missing)), "{}", ran.err);
        let ran = run(claimsmith(&["check", "--rules", text(&rules.path().join("nowhere"))]));
        assert_eq!(ran.code, Some(2), "{} {}", ran.out, ran.err);
        assert!(ran.err.contains("nowhere"), "{}", ran.err);
        // Without a path the rules of the settings are checked.
        assert_eq!(run(claimsmith(&["check", "--rules", text(rules.path())])).code, Some(0));
    }

    #[test]
    fn wrong_arguments_are_explained() {
        let ran = run(claimsmith(&["chekc"]));
        assert_eq!((ran.code, &*ran.out), (Some(2), ""));
        assert!(ran.err.contains("chekc") && ran.err.contains("check"), "{}", ran.err);
        let ran = run(claimsmith(&["check", "--log-level", "loud"]));
        assert_eq!(ran.code, Some(2));
        assert!(ran.err.contains("one of error, warn, info, debug, trace"), "{}", ran.err);
    }
}

mod try_once {
    use super::*;

    const TOKEN: &str = "T0ken-Mark.7f3a91";
    const SECRET: &str = "S3cret/Mark+b64d02";

    const RULE: &str = r#"
[secrets]
key      = { env = "ACME_KEY" }
password = { env = "ACME_KEY" }

[call.user]
url     = "https://api.example/me/${secrets.key}"
query   = { fields = "id,name", k = "${secrets.key}" }
headers = { api-key = "${secrets.key}", X-Both = "${secrets.key + \"-\" + token}" }
token   = "bearer"

[call.emails]
url   = "https://api.example/emails"
auth  = { basic = { user = "us", password = "${secrets.password}" } }
token = { query = "access_token" }

[call.last]
url      = "https://api.example/last/${user.id}"
optional = true

[claims]
sub   = "$.user.id"
email = ["$.emails[0]", "$.user.email"]
phone = "$.user.phone"
"#;

    struct World {
        upstream: Upstream,
        folder: TempDir,
    }

    fn world(rule: &str, answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> World {
        let upstream = Upstream::new(move |seen| answer(&seen.target));
        let settings = format!("[upstream.reroute]\n\"https://api.example\" = \"{}\"\n", upstream.origin);
        World { folder: folder(&[("acme.toml", rule), ("settings/claimsmith.toml", &settings)]), upstream }
    }

    impl World {
        fn command(&self, more: &[&str]) -> Command {
            let settings = self.folder.path().join("settings/claimsmith.toml");
            let mut command = claimsmith(&["try", "--rules", text(self.folder.path()), "--config", text(&settings)]);
            command.args(more).env("ACME_KEY", SECRET);
            command
        }
    }

    fn provider(target: &str) -> Reply {
        match target.split(['?', '/']).nth(1) {
            Some("me") => Reply::json(r#"{"id":9007199254740993,"email":"a@b.example"}"#),
            Some("emails") => Reply::json("[]"),
            _ => Reply::new(503, "{}"),
        }
    }

    #[test]
    fn the_token_comes_from_standard_input_or_the_environment() {
        let world = world(GOOD, |_| Reply::json(r#"{"id":1}"#));
        let ran = run_with(world.command(&["acme"]), &format!("{TOKEN}\n"));
        assert_eq!((ran.code, &*ran.out), (Some(0), "{\"sub\":\"1\"}\n"), "{}", ran.err);
        let mut command = world.command(&[text(&world.folder.path().join("acme.toml"))]);
        command.env("CLAIMSMITH_TOKEN", TOKEN);
        let ran = run(command);
        assert_eq!((ran.code, &*ran.out), (Some(0), "{\"sub\":\"1\"}\n"));
        assert_eq!(ran.err, "sub  \"1\"  string  $.user.id, number to string (line 6)\n");
        let seen = world.upstream.seen();
        assert_eq!(seen.len(), 2);
        assert!(seen.iter().all(|seen| seen.header("authorization") == format!("Bearer {TOKEN}")));
    }

    #[test]
    fn a_trace_shows_every_step_and_no_credential() {
        let world = world(RULE, provider);
        let ran = run_with(world.command(&["acme", "--trace"]), TOKEN);
        assert_eq!((ran.code, &*ran.out), (Some(0), "{\"sub\":\"9007199254740993\",\"email\":\"a@b.example\"}\n"));
        for part in [
            "call user: 200",
            "    GET https://api.example/me/${secrets.key}?fields=id,name&k=[secrets.key]",
            "    api-key: [secrets.key]",
            "    authorization: Bearer [token]",
            "call emails: 200",
            "    GET https://api.example/emails?access_token=[token]",
            "    authorization: Basic [secret]",
            "call last: ",
            "    GET https://api.example/last/9007199254740993",
            "* user ",
            "  emails ",
            "* last ",
            "  * the longest way: user → last",
            "sub    \"9007199254740993\"  string  $.user.id, number to string (line ",
            "email  \"a@b.example\"       string  $.user.email, alternative 2 of 2 (line ",
            "phone  –                           absent: $.user.phone gives nothing (line ",
        ] {
            assert!(ran.err.contains(part), "{part:?} in\n{}", ran.err);
        }
        assert!(ran.err.contains("503"), "what came of the optional call: {}", ran.err);
        unmarked(&ran, &[TOKEN, SECRET, &format!("us:{SECRET}")]);
        let sent = world.upstream.seen();
        let me = sent.iter().find(|seen| seen.target.starts_with("/me")).expect("it was called");
        assert_eq!(me.header("x-both"), format!("{SECRET}-{TOKEN}"), "the real values travel");
    }

    #[test]
    fn a_failure_is_explained_without_a_credential() {
        for (status, body) in [(401, "{}"), (403, "{}"), (500, "oh"), (200, "<html>"), (200, "[1")] {
            let world = world(RULE, move |_| Reply::new(status, body));
            for trace in [&["acme", "--trace"][..], &["acme"], &["acme", "--json"]] {
                let ran = run_with(world.command(trace), TOKEN);
                assert_eq!(ran.code, Some(1), "{status}: {} {}", ran.out, ran.err);
                if trace.contains(&"--json") {
                    let failed = &serde_json::from_str::<Value>(&ran.out).expect("it is JSON")["failed"];
                    let step = if status == 200 { "decode" } else { "call" };
                    assert_eq!((&failed["step"], &failed["call"]), (&step.into(), &"user".into()), "{failed}");
                    assert!(failed["remedy"].is_string() && failed["row"].is_string(), "{failed}");
                } else {
                    assert!(ran.out.starts_with("{\"error\":"), "{}", ran.out);
                    for part in ["  step    ", "  answer  ", "  do      "] {
                        assert!(ran.err.lines().any(|line| line.starts_with(part)), "{part} in {}", ran.err);
                    }
                }
                unmarked(&ran, &[TOKEN, SECRET, &format!("us:{SECRET}")]);
            }
        }
        let world = world(GOOD, |_| Reply::new(401, "{}"));
        let ran = run_with(world.command(&["acme"]), TOKEN);
        assert!(ran.out.contains("invalid_token"), "{}", ran.out);
        assert_eq!(
            ran.err,
            "401 Unauthorized: call user: the upstream refused the caller's token (401)\n  \
             step    call user\n  \
             answer  401 invalid_token: the provider answers 401, or 403, to the caller's token\n  \
             do      get a fresh token of this provider; if it is fresh, check how [call.user] sends it: `token = …`\n"
        );
    }

    #[test]
    fn without_a_token_or_a_rule_nothing_is_tried() {
        let world = world(GOOD, provider);
        for input in ["", " \n"] {
            let ran = run_with(world.command(&["acme"]), input);
            assert_eq!((ran.code, &*ran.out), (Some(2), ""));
            assert!(ran.err.contains("CLAIMSMITH_TOKEN") && ran.err.contains("standard input"), "{}", ran.err);
        }
        let ran = run_with(world.command(&["acme"]), "to\nken");
        assert_eq!(ran.code, Some(2), "{}", ran.err);
        assert!(!ran.err.contains("ken\n") && ran.err.contains("no header can hold"), "{}", ran.err);
        let ran = run_with(world.command(&["amce"]), TOKEN);
        assert_eq!(ran.code, Some(2));
        assert!(ran.err.contains("amce.toml"), "{}", ran.err);
        assert_eq!(world.upstream.seen().len(), 0);
    }

    #[test]
    fn a_rule_with_an_error_is_shown_instead() {
        let world = world(WRONG, provider);
        let ran = run_with(world.command(&["acme"]), TOKEN);
        assert_eq!((ran.code, &*ran.out), (Some(1), ""));
        assert!(ran.err.contains("error[CS1002]"), "{}", ran.err);
    }

    #[test]
    fn the_deadline_ends_it() {
        let upstream = Upstream::slow(|_| std::future::pending());
        let settings =
            format!("deadline = \"50ms\"\n[upstream.reroute]\n\"https://api.example\" = \"{}\"\n", upstream.origin);
        let world = World { folder: folder(&[("acme.toml", GOOD), ("settings/claimsmith.toml", &settings)]), upstream };
        let ran = run_with(world.command(&["acme", "--trace"]), TOKEN);
        assert_eq!(ran.code, Some(1));
        assert!(ran.out.starts_with("{\"error\":\"server_error\""), "{}", ran.out);
        for part in ["call user: no answer yet", "504 Gateway Timeout: ", "  step    call user\n"] {
            assert!(ran.err.contains(part), "{part} in {}", ran.err);
        }
    }

    #[test]
    fn one_document_has_it_all_and_no_credential() {
        let world = world(RULE, provider);
        let ran = run_with(world.command(&["acme", "--json"]), TOKEN);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        let told: Value = serde_json::from_str(&ran.out).expect("it is one JSON document");
        assert_eq!(told["rule"], "acme");
        assert_eq!((&told["status"], &told["failed"]), (&200.into(), &Value::Null));
        assert_eq!(told["answer"], json!({ "sub": "9007199254740993", "email": "a@b.example" }));
        assert_eq!(told["longest_way"], json!(["user", "last"]));
        let claim = |name: &str| {
            let claims = told["claims"].as_array().expect("a list");
            claims.iter().find(|claim| claim["name"] == name).expect("it is told").clone()
        };
        let sub = claim("sub");
        assert_eq!((&sub["value"], &sub["type"]), (&"9007199254740993".into(), &"string".into()));
        assert_eq!(sub["from"]["conversion"], "number to string");
        assert_eq!((&sub["from"]["text"], &sub["from"]["reads"]), (&"$.user.id".into(), &json!(["user"])));
        let line = 1 + RULE[..RULE.find("\"$.user.id\"").expect("it is there")].matches('\n').count();
        assert_eq!(sub["from"]["place"]["line"], line);
        assert_eq!(claim("email")["from"]["alternative"], json!({ "taken": 2, "of": 2 }));
        assert_eq!((&claim("phone")["value"], &claim("phone")["from"]["way"]), (&Value::Null, &"absent".into()));
        let steps: Vec<_> = told["steps"].as_array().expect("a list").iter().map(|step| &step["step"]).collect();
        for step in ["receive", "call", "decode", "map", "respond"] {
            assert!(steps.contains(&&step.into()), "{step} in {steps:?}");
        }
        unmarked(&ran, &[TOKEN, SECRET, &format!("us:{SECRET}")]);
    }

    #[test]
    fn what_the_provider_repeats_of_a_credential_is_not_shown() {
        let echo = format!("{{\"id\":1,\"email\":\"{TOKEN} {SECRET}\"}}");
        let world = world(RULE, move |target| match target.starts_with("/me") {
            true => Reply::json(&echo),
            false => Reply::json("[]"),
        });
        for arguments in [&["acme"][..], &["acme", "--trace"], &["acme", "--json"]] {
            let ran = run_with(world.command(arguments), TOKEN);
            assert_eq!(ran.code, Some(0), "{}", ran.err);
            assert!(ran.out.contains("[token] [secrets.key]"), "{}", ran.out);
            unmarked(&ran, &[TOKEN, SECRET, &format!("us:{SECRET}")]);
        }
    }

    #[test]
    fn a_login_is_recorded_as_a_case_that_passes() {
        let echo = format!("{{\"id\":9007199254740993,\"email\":\"ada.mark@Engines.example\",\"seen\":\"{TOKEN}\"}}");
        let world = world(RULE, move |target| match target.split(['?', '/']).nth(1) {
            Some("me") => Reply::json(&echo),
            Some("emails") => Reply::json("[]"),
            _ => Reply::new(503, "{}"),
        });
        let cases = world.folder.path().join("acme.test.toml");
        for number in 1..=2 {
            let ran = run_with(world.command(&["acme", "--record"]), TOKEN);
            assert_eq!(ran.code, Some(0), "{}", ran.err);
            assert!(ran.err.contains("recorded as \"recorded: a login"), "{}", ran.err);
            let written = std::fs::read_to_string(&cases).expect("it is written");
            assert_eq!(written.matches("[[case]]").count(), number, "{written}");
            for mark in [TOKEN, SECRET, "9007199254740993", "ada.mark", "engines.example", "mark"] {
                for disguise in disguises(mark) {
                    assert!(!written.contains(&disguise), "{disguise} in {written}");
                }
            }
            assert!(written.contains("= \"https://api.example/me/s3cret-key?"), "{written}");
            let ran = run(claimsmith(&["test", text(world.folder.path())]));
            assert!(ran.out.ends_with("passed, 0 failed\n"), "{} {}", ran.out, ran.err);
        }
        let other = world.folder.path().join("failed.txt");
        let failing = self::world(RULE, |_| Reply::new(401, "{}"));
        let ran = run_with(failing.command(&["acme", &format!("--record={}", text(&other)), "--json"]), TOKEN);
        assert_eq!(ran.code, Some(1), "{}", ran.err);
        let written = std::fs::read_to_string(&other).expect("it is written");
        assert!(written.contains("error = { status = 401, error = \"invalid_token\" }"), "{written}");
    }

    #[track_caller]
    fn unmarked(ran: &Run, marks: &[&str]) {
        for mark in marks {
            for disguise in disguises(mark) {
                assert!(!ran.out.contains(&disguise), "{disguise} in {}", ran.out);
                assert!(!ran.err.contains(&disguise), "{disguise} in {}", ran.err);
            }
        }
    }
}

/// The forms in which a value could show up: as it is, percent-encoded, and in base64 at every offset.
pub fn disguises(mark: &str) -> Vec<String> {
    use base64::{Engine as _, prelude::*};
    let percent = percent_encoding::utf8_percent_encode(mark, percent_encoding::NON_ALPHANUMERIC).to_string();
    let form: String = url::form_urlencoded::byte_serialize(mark.as_bytes()).collect();
    let mut forms = vec![mark.to_owned(), percent, form];
    for before in 0..3 {
        let padded = format!("{}{mark}", "x".repeat(before));
        for text in [BASE64_STANDARD_NO_PAD.encode(&padded), BASE64_URL_SAFE_NO_PAD.encode(&padded)] {
            // The characters at both ends also depend on what stands beside the value.
            forms.push(text[(before * 4).div_ceil(3)..text.len() - 2].to_owned());
        }
    }
    forms
}

#[test]
fn the_demo_shows_both_sides_and_ends() {
    let ran = run(claimsmith(&["demo", "--once"]));
    assert_eq!(ran.code, Some(0), "{} {}", ran.out, ran.err);
    for part in [
        "GET /v2/me\n",
        "GET /v2/me/emails",
        "\"uid\": 9007199254740993",
        "\"sub\": \"9007199254740993\"",
        "invalid_token",
    ] {
        let shown = ran.out.lines().any(|line| line.contains(part.trim_end()));
        assert!(shown, "{part} in\n{}", ran.out);
    }
    assert!(ran.out.contains("ada@engines.example"), "{}", ran.out);
    // A rules folder, settings and secrets of the place where it runs are none of its business.
    let place = folder(&[("claimsmith.toml", "nonsense = 1"), ("rules/demo.toml", "nonsense = 1")]);
    let mut command = claimsmith(&["demo", "--once"]);
    command.current_dir(place.path()).env("DEMO_API_KEY", "wrong").env("CLAIMSMITH_LISTEN", "nonsense");
    assert_eq!(run(command).code, Some(0));
}

mod config {
    use super::*;

    /// The value and the origin of a key.
    fn setting(ran: &Run, key: &str) -> (String, String) {
        let line = ran.out.lines().find(|line| line.starts_with(&format!("{key} = ")));
        let line = line.unwrap_or_else(|| panic!("no {key} in {} {}", ran.out, ran.err));
        let (value, origin) = line[key.len() + 3..].rsplit_once("  # ").expect("a line names its origin");
        (value.trim_end().to_owned(), origin.to_owned())
    }

    fn config(place: &TempDir, environment: &[(&str, &str)], flags: &[&str]) -> Run {
        let mut command = claimsmith(&["config"]);
        command.args(flags).current_dir(place.path()).envs(environment.iter().copied());
        run(command)
    }

    #[test]
    fn every_layer_wins_over_the_ones_below() {
        let empty = folder(&[]);
        let ran = config(&empty, &[], &[]);
        assert_eq!((ran.code, &*ran.err), (Some(0), ""));
        assert_eq!(setting(&ran, "listen"), ("\"127.0.0.1:8080\"".into(), "defaults".into()));
        let place = folder(&[(
            "claimsmith.toml",
            "listen = \"127.0.0.1:1\"\nrules = \"file\"\nworkers = 1\ndeadline = \"1500ms\"\n[log]\nlevel = \"warn\"\n",
        )]);
        let file = place.path().canonicalize().expect("it is there").join("claimsmith.toml");
        let environment = [
            ("CLAIMSMITH_LISTEN", "127.0.0.1:2"),
            ("CLAIMSMITH_RULES", "environment"),
            ("CLAIMSMITH_LOG__LEVEL", "debug"),
        ];
        let ran = config(&place, &environment, &["--listen", "127.0.0.1:3", "--log-format", "json"]);
        assert_eq!((ran.code, &*ran.err), (Some(0), ""));
        assert_eq!(setting(&ran, "listen"), ("\"127.0.0.1:3\"".into(), "flags".into()));
        assert_eq!(setting(&ran, "rules"), ("\"environment\"".into(), "environment".into()));
        assert_eq!(setting(&ran, "log.level"), ("\"debug\"".into(), "environment".into()));
        assert_eq!(setting(&ran, "log.format"), ("\"json\"".into(), "flags".into()));
        assert_eq!(setting(&ran, "workers").0, "1");
        assert!(file.ends_with(setting(&ran, "workers").1), "the origin is the file");
        assert_eq!(setting(&ran, "deadline").0, "\"1500ms\"");
        assert_eq!(setting(&ran, "drain").1, "defaults");
    }

    #[test]
    fn a_named_file_must_be_there() {
        let place = folder(&[("other.toml", "workers = 3\n"), ("claimsmith.toml", "workers = 1\n")]);
        let ran = config(&place, &[], &["--config", "other.toml"]);
        assert_eq!(setting(&ran, "workers"), ("3".into(), "other.toml".into()));
        let ran = config(&place, &[("CLAIMSMITH_CONFIG", "other.toml")], &[]);
        assert_eq!(setting(&ran, "workers").0, "3");
        let ran = config(&place, &[], &["--config", "nothing.toml"]);
        assert_eq!((ran.code, &*ran.out), (Some(2), ""));
        assert!(ran.err.contains("nothing.toml"), "{}", ran.err);
    }

    #[test]
    fn tables_are_shown_by_their_members() {
        let place = folder(&[(
            "claimsmith.toml",
            "[upstream.reroute]\n\"https://api.example\" = \"http://127.0.0.1:9\"\n[rule.acme.vars]\nhost = \"b.example\"\n",
        )]);
        let ran = config(&place, &[("CLAIMSMITH_TOKEN", "T0ken-Mark")], &[]);
        assert_eq!(setting(&ran, "rule.acme.vars.host"), ("\"b.example\"".into(), "claimsmith.toml".into()));
        let (value, origin) = setting(&ran, "upstream.reroute.\"https://api.example\"");
        assert_eq!((&*value, &*origin), ("\"http://127.0.0.1:9\"", "claimsmith.toml"));
        assert!(!ran.out.contains("T0ken-Mark"), "{}", ran.out);
    }

    #[test]
    fn what_is_wrong_names_the_key_and_the_layer() {
        for (file, environment, parts) in [
            ("lisen = \"127.0.0.1:1\"", &[][..], &["`lisen`", "did you mean `listen`?", "claimsmith.toml"][..]),
            ("[log]\nlevl = \"info\"", &[], &["`log.levl`", "claimsmith.toml"]),
            ("listen = \"nowhere\"", &[], &["`listen`", "claimsmith.toml"]),
            ("deadline = \"5 parsecs\"", &[], &["`deadline`", "not a duration: `5 parsecs`", "claimsmith.toml"]),
            ("deadline = 5", &[], &["`deadline`", "claimsmith.toml"]),
            ("workers = -1", &[], &["`workers`", "claimsmith.toml"]),
            (
                "[upstream.reroute]\n\"https://a.example\" = \"b\"",
                &[],
                &["upstream.reroute", "not an origin", "claimsmith.toml"],
            ),
            (
                "[upstream.reroute]\n\"a\" = \"https://b.example\"",
                &[],
                &["upstream.reroute", "not an origin", "claimsmith.toml"],
            ),
            ("[rule.acme]\nvar = 1", &[], &["`rule.acme.var`", "claimsmith.toml"]),
            ("[tls]\ncertificate = \"c.pem\"", &[], &["tls", "key"]),
            ("listen = ", &[], &["claimsmith.toml:1:10: not TOML"]),
            ("", &[("CLAIMSMITH_LISEN", "127.0.0.1:1")], &["`lisen`", "environment"]),
            ("", &[("CLAIMSMITH_LOG__LEVEL", "loud")], &["`log.level`", "loud", "environment"]),
            ("", &[("CLAIMSMITH_WORKERS", "many")], &["`workers`", "environment"]),
        ] {
            let ran = config(&folder(&[("claimsmith.toml", file)]), environment, &[]);
            assert_eq!((ran.code, &*ran.out), (Some(2), ""), "{file} {environment:?}: {}", ran.err);
            for part in parts {
                assert!(ran.err.contains(part), "{part} for {file} {environment:?} in {}", ran.err);
            }
        }
    }
}

mod serve {
    use super::*;

    fn serve(rules: &TempDir, more: &[&str]) -> Command {
        let mut command =
            claimsmith(&["serve", "--listen", "127.0.0.1:0", "--workers", "2", "--rules", text(rules.path())]);
        command.args(more).current_dir(rules.path());
        command
    }

    #[test]
    fn a_signal_lets_what_runs_finish() {
        for name in ["-TERM", "-INT"] {
            let (arrived, arrivals) = channel();
            let (release, released) = tokio::sync::watch::channel(false);
            let upstream = Upstream::slow(move |_| {
                let mut released = released.clone();
                // The test has ended if nobody listens.
                let _ = arrived.send(());
                async move {
                    let _ = released.wait_for(|released| *released).await;
                    Reply::json(r#"{"id":"1"}"#)
                }
            });
            let settings = format!("[upstream.reroute]\n\"https://api.example\" = \"{}\"\n", upstream.origin);
            let rules = folder(&[("acme.toml", GOOD), ("settings/claimsmith.toml", &settings)]);
            let settings = rules.path().join("settings/claimsmith.toml");
            let mut server = Server::start(serve(&rules, &["--config", text(&settings)]));
            let url = format!("http://{}/acme", server.address);
            let request = thread::spawn(move || block_on(send(client().get(url).bearer_auth("t0ken"))));
            arrivals.recv_timeout(LIMIT).expect("the upstream is asked");
            server.signal(name);
            server.line("stopping");
            release.send(true).expect("the upstream waits for it");
            let answer = request.join().expect("the request is answered");
            assert_eq!((answer.status, &*answer.body), (200, "{\"sub\":\"1\"}"), "{name}");
            let address = server.address;
            let ran = server.end();
            assert_eq!((ran.code, &*ran.out), (Some(0), ""), "{name}: {}", ran.err);
            assert!(ran.err.contains("\"answered\"") && ran.err.contains("\"stopped\""), "{}", ran.err);
            assert!(TcpStream::connect(address).is_err(), "the port is free again");
        }
    }

    #[test]
    fn the_address_is_logged_as_json() {
        let rules = folder(&[("acme.toml", GOOD), ("other.toml", GOOD)]);
        let mut server = Server::start(serve(&rules, &[]));
        let line: Value = serde_json::from_str(server.log.lines().last().expect("it listens")).expect("it is JSON");
        assert_eq!(
            (&line["level"], &line["message"], &line["rules"]),
            (&"INFO".into(), &"listening".into(), &"acme,other".into())
        );
        assert!(server.address.port() > 0);
        let answer = block_on(send(client().get(format!("http://{}/acme", server.address))));
        assert_eq!(answer.status, 401);
        let line = server.json("acme");
        assert_eq!((&line["status"], &line["request_id"]), (&401.into(), &answer.header("x-request-id").into()));
        server.signal("-TERM");
        assert_eq!(server.end().code, Some(0));
    }

    #[test]
    fn a_port_in_use_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port can be bound");
        let address = taken.local_addr().expect("a bound socket has an address").to_string();
        let rules = folder(&[("acme.toml", GOOD)]);
        let ran = run(claimsmith(&["serve", "--rules", text(rules.path()), "--listen", &address]));
        assert_eq!((ran.code, &*ran.out), (Some(2), ""));
        assert!(
            ran.err.contains(&address) && ran.err.contains("in use") && ran.err.contains("--listen"),
            "{}",
            ran.err
        );
        assert!(!ran.err.contains("\"listening\""), "{}", ran.err);
    }

    #[test]
    fn a_rules_folder_that_cannot_be_read_is_named() {
        let rules = folder(&[("acme.toml", GOOD)]);
        for name in ["nowhere", "acme.toml"] {
            let path = rules.path().join(name);
            let ran = run(claimsmith(&["serve", "--listen", "127.0.0.1:0", "--rules", text(&path)]));
            assert_eq!((ran.code, &*ran.out), (Some(2), ""), "{}", ran.err);
            assert!(ran.err.contains(text(&path)), "{}", ran.err);
        }
    }

    #[test]
    fn a_rule_without_its_secret_is_refused_and_the_others_serve() {
        let needs = format!("[secrets]\nkey = {{ env = \"ACME_KEY_OF_NOBODY\" }}\n{GOOD}");
        let rules =
            folder(&[("acme.toml", GOOD), ("needs.toml", &needs), ("wrong.toml", WRONG), ("binary.toml", "\0")]);
        let mut server = Server::start(serve(&rules, &[]));
        for part in [
            "CS2004",
            "needs.toml:2:1",
            "`key`",
            "ACME_KEY_OF_NOBODY",
            "\"rule\":\"needs\"",
            "\"rule\":\"wrong\"",
            "CS1002",
        ] {
            assert!(server.log.contains(part), "{part} in {}", server.log);
        }
        for (path, status) in [("acme", 401), ("needs", 404), ("wrong", 404)] {
            let answer = block_on(send(client().get(format!("http://{}/{path}", server.address))));
            assert_eq!(answer.status, status, "{path}");
        }
        server.signal("-TERM");
        server.line("stopped");
        assert_eq!(server.end().code, Some(0));
    }

    #[test]
    fn without_a_rule_there_is_nothing_to_do() {
        for files in [&[][..], &[("wrong.toml", WRONG)], &[("notes.txt", GOOD)]] {
            let rules = folder(files);
            let ran = run(serve(&rules, &[]));
            assert_eq!((ran.code, &*ran.out), (Some(2), ""), "{}", ran.err);
            assert!(ran.err.contains("no rule serves") && ran.err.contains(text(rules.path())), "{}", ran.err);
        }
    }

    #[test]
    fn settings_for_a_rule_that_is_not_there_are_told() {
        let rules = folder(&[("acme.toml", GOOD), ("claimsmith.toml.txt", "")]);
        let settings = folder(&[("s.toml", "[rule.amce.vars]\nhost = \"b.example\"\n")]);
        let server = Server::start(serve(&rules, &["--config", text(&settings.path().join("s.toml"))]));
        assert!(server.log.contains("\"rule\":\"amce\""), "{}", server.log);
        server.signal("-INT");
        assert_eq!(server.end().code, Some(0));
    }

    #[test]
    fn a_certificate_that_cannot_be_read_is_named() {
        let rules = folder(&[("acme.toml", GOOD)]);
        let settings = folder(&[("s.toml", "[tls]\ncertificate = \"no-cert.pem\"\nkey = \"no-key.pem\"\n")]);
        let ran = run(serve(&rules, &["--config", text(&settings.path().join("s.toml"))]));
        assert_eq!((ran.code, &*ran.out), (Some(2), ""), "{}", ran.err);
        assert!(ran.err.contains("no-cert.pem"), "{}", ran.err);
    }
}
