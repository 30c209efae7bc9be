//! What a rule author reads when a rule is wrong: pairs of a rule and the words about it.
//!
//! `tests/problems/NAME.toml` is a rule with a fault, `NAME.txt` everything that is said of
//! it. A text that is missing is written, `UPDATE=1` writes all of them again; the difference
//! is read before it is committed.

use std::{collections::BTreeSet, fs, path::PathBuf, time::Duration};

use claimsmith::core::{
    Answer, CompiledRule, Compiler, FetchError, Host, Outgoing, Platform, Secret, SecretSource,
    identity::{Half, Identity},
    problem::{Code, Problem, Severity, Source, Style, as_json, as_text},
    unfit,
};
use serde_json::{Map, Value, json};

/// A world with every secret but `MISSING`, and with no script files.
pub struct World;

impl Host for World {
    async fn fetch(&self, _: Outgoing) -> Result<Answer, FetchError> {
        Err(FetchError::Connect("nothing is sent while a rule is loaded".into()))
    }

    fn secret(&self, _: &str, source: &SecretSource) -> Result<Secret, String> {
        match source {
            SecretSource::Env(name) | SecretSource::File(name) if name.ends_with("MISSING") => {
                Err(format!("there is no {name}"))
            }
            _ => Ok(Secret::new("k3y")),
        }
    }

    fn check(&self, identity: &Identity) -> Result<(), (Half, String)> {
        match (identity.certificate(), identity.key()) {
            ("k3y", _) => Err((Half::Certificate, "it holds no certificate".into())),
            (_, "k3y") => Err((Half::Key, "it holds no private key".into())),
            _ => Ok(()),
        }
    }

    fn script(&self, _: &str) -> Result<String, String> {
        Err("there is no such file".into())
    }

    async fn pause(&self, _: Duration) {}

    fn clock() -> Duration {
        Duration::ZERO
    }

    fn now() -> Duration {
        Duration::ZERO
    }
}

fn compile(name: &str, text: &str, vars: &Map<String, Value>) -> (Option<CompiledRule>, Vec<Problem>) {
    let source = Source::new(format!("{name}.toml"), text);
    let (rule, mut problems) = Compiler::new::<World>().compile(name, &source, vars, &World);
    // No rule here has cases.
    if let Some(untried) = rule.as_ref().and_then(CompiledRule::untried) {
        problems.add(untried.clone());
    }
    // Hardly a rule here has limits of its own.
    problems.retain(|problem| problem.severity() > Severity::Advice || name.starts_with("advice"));
    (rule, problems.sorted())
}

fn problems(text: &str) -> Vec<Problem> {
    compile("rule", text, &Map::new()).1
}

/// All pairs by name, with what is said of each rule.
fn pairs() -> Vec<(String, PathBuf, Vec<Problem>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/problems");
    let mut pairs = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder of the pairs is there") {
        let path = entry.expect("the folder can be read").path();
        if path.extension().is_some_and(|kind| kind == "toml") {
            let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).expect("a rule is text");
            let (rule, mut found) = compile(&name, &text, &Map::new());
            let refused = found.iter().any(|problem| problem.severity() == Severity::Error);
            assert_eq!(rule.is_none(), refused, "{name}: a rule is refused exactly if it has an error");
            // What is said for a place comes besides.
            if let Some(host) = name.split("_on_").nth(1) {
                let host = Platform::parse(host).expect("the name of the pair ends with that of a place");
                found.extend(unfit(&Source::new(format!("{name}.toml"), text), host));
            }
            pairs.push((name, path, found));
        }
    }
    pairs.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    pairs
}

#[test]
fn every_fault_is_told_as_its_pair_says() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    for (name, path, found) in pairs() {
        assert!(!found.is_empty(), "{name}.toml has no fault");
        let told: Vec<_> = found.iter().map(|problem| as_text(problem, Style::Plain)).collect();
        let told = format!("{}\n", told.join("\n\n"));
        let expected = path.with_extension("txt");
        match fs::read_to_string(&expected) {
            Ok(text) if text == told => {}
            Ok(text) if !update => wrong.push(format!("--- {name}: expected\n{text}--- found\n{told}")),
            _ => fs::write(&expected, told).expect("the folder can be written to"),
        }
    }
    assert!(wrong.is_empty(), "{}\nUPDATE=1 writes them again", wrong.join("\n"));
}

#[test]
fn every_code_occurs_in_a_pair() {
    let shown: BTreeSet<_> =
        pairs().iter().flat_map(|(_, _, found)| found.iter().map(|problem| problem.code.id())).collect();
    let absent: Vec<_> = Code::ALL.iter().filter(|code| !shown.contains(code.id())).collect();
    assert!(absent.is_empty(), "no pair shows {absent:?}");
}

#[test]
fn every_problem_says_what_is_the_case_and_what_to_do() {
    for (name, _, found) in pairs() {
        for problem in found {
            let message = &problem.message;
            assert!(!message.is_empty() && !message.contains('\n') && !message.ends_with('.'), "{name}: {message:?}");
            assert!(!problem.label.is_empty(), "{name}: no label at {message:?}");
            // What a key takes is the headline of a wrong type, and remedy enough.
            let told = problem.code == Code::WrongType || problem.help.as_ref().is_some_and(|help| !help.is_empty());
            assert!(told, "{name}: no remedy for {message:?}");
        }
    }
}

#[test]
fn a_text_without_a_pair_is_a_leftover() {
    let names: BTreeSet<_> = pairs().into_iter().map(|(name, ..)| name).collect();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/problems");
    for entry in fs::read_dir(folder).expect("the folder of the pairs is there") {
        let path = entry.expect("the folder can be read").path();
        let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        assert!(names.contains(&name), "{} belongs to no rule", path.display());
    }
}

#[test]
fn the_same_problems_come_as_json() {
    let text = r#"
[call.user]
url    = "https://api.example/me"
method = "GTE"

[claims]
sub  = "$.user.id"
name = "é${usr.x}"
"#;
    let told: Vec<_> = problems(text).iter().map(as_json).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    for (found, (code, line, column)) in told.iter().zip([("CS1005", 4, 11), ("CS2002", 8, 12)]) {
        assert_eq!(
            (&found["code"], &found["line"], &found["column"], &found["severity"], &found["file"]),
            (&json!(code), &json!(line), &json!(column), &json!("error"), &json!("rule.toml"))
        );
    }
    assert_eq!(told[1]["help"], "did you mean `user`?");
    let span = [told[1]["span"][0].as_u64(), told[1]["span"][1].as_u64()].map(|at| at.expect("a byte") as usize);
    assert_eq!(&text[span[0]..span[1]], "usr", "a column counts characters, a span bytes");
}

#[test]
fn a_problem_that_another_causes_is_not_told() {
    const CLAIMS: &str = "[claims]\nsub = \"$.user.id\"\n";
    for (what, text) in [
        ("a call without an address", format!("[call.user]\nulr = \"https://a.example\"\n{CLAIMS}")),
        ("a call that is no table", format!("call.user = 5\n{CLAIMS}")),
        ("a claim of a wrong type", "[call.user]\nurl = \"https://a.example\"\n[claims]\nsub = 5\n".into()),
        (
            "a misspelled table of claims",
            "[call.user]\nurl = \"https://a.example\"\n[claim]\nsub = \"$.user.id\"\n".into(),
        ),
        (
            "a var of a wrong type",
            format!("[vars]\nhost = []\n[call.user]\nurl = \"https://${{vars.host}}/me\"\n{CLAIMS}"),
        ),
        (
            "a secret with its value",
            format!("[secrets]\nk = \"v\"\n[call.user]\nurl = \"https://a.example/${{secrets.k}}\"\n{CLAIMS}"),
        ),
        (
            "a missing secret",
            format!(
                "[secrets]\nk = {{ env = \"MISSING\" }}\n[call.user]\nurl = \"https://a.example/${{secrets.k}}\"\n{CLAIMS}"
            ),
        ),
        (
            "a secret whose source has a wrong type",
            format!("[secrets]\nk = {{ env = 5 }}\n[call.user]\nurl = \"https://a.example\"\n{CLAIMS}"),
        ),
        (
            "a script of a wrong type",
            format!("[script]\nsource = 5\n[call.user]\nurl = \"https://a.example\"\n{CLAIMS}"),
        ),
        (
            "an include of a wrong type",
            format!("include = {{ path = 5 }}\n[call.user]\nurl = \"https://a.example\"\n{CLAIMS}"),
        ),
        (
            "a call that another reads",
            format!(
                "[call.user]\nurl = \"https://a.example\"\nmethod = \"GTE\"\n[call.b]\nurl = \"https://a.example/${{user.id}}\"\n{CLAIMS}"
            ),
        ),
    ] {
        let told: Vec<_> = problems(&text).into_iter().map(|problem| problem.message).collect();
        assert_eq!(told.len(), 1, "{what}: {told:?}");
    }
}

#[test]
fn what_the_operator_gives_is_judged_too() {
    let rule =
        "[vars]\nhost = \"a.example\"\n[call.user]\nurl = \"https://${vars.host}/me\"\n[claims]\nsub = \"$.user.id\"\n";
    let given = |name: &str, value: &str| {
        let vars = json!({ name: value }).as_object().expect("it is an object").clone();
        compile("rule", rule, &vars).1.into_iter().map(|problem| (problem.code, problem.help)).collect::<Vec<_>>()
    };
    assert_eq!(given("host", "b.example"), []);
    assert_eq!(given("hots", "b.example"), [(Code::UnknownName, Some("did you mean `host`?".into()))]);
    assert_eq!(given("host", "b.example/x?y=").len(), 0, "a host and the start of a path");
    assert_eq!(given("host", "me:pass@b.example").first().map(|(code, _)| *code), Some(Code::BadUrl));
    assert_eq!(compile("Acme", rule, &Map::new()).1.first().map(|problem| problem.code), Some(Code::BadName));
}

#[test]
fn problems_stand_in_the_order_of_their_places() {
    for (name, _, found) in pairs() {
        let places: Vec<_> = found.iter().map(|problem| problem.place.line_and_column()).collect();
        assert!(places.is_sorted(), "{name}: {places:?}");
    }
}
