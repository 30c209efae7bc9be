//! The pages about problems: each wrong rule has exactly the problem that it stands for, each right one has none.

use std::time::Duration;

use claimsmith::core::{
    Answer, Cases, CompiledRule, Compiler, FetchError, Host, Outgoing, Platform, Secret, SecretSource,
    identity::{Half, Identity},
    problem::{Code, Problem, Severity, Source},
    unfit,
};
use serde_json::{Map, Value};

use crate::{
    cli::{claimsmith, folder, run},
    support::block_on,
};

/// A world with the one secret and the one script that pages speak of.
struct World;

impl Host for World {
    async fn fetch(&self, _: Outgoing) -> Result<Answer, FetchError> {
        Err(FetchError::Connect("nothing is sent while a rule is loaded".into()))
    }

    fn secret(&self, _: &str, source: &SecretSource) -> Result<Secret, String> {
        match source {
            SecretSource::Env(name) if name == "ACME_API_KEY" || name == "ACME_TENANT" => Ok(Secret::new("k3y")),
            SecretSource::Env(name) | SecretSource::File(name) => Err(format!("there is no {name}")),
        }
    }

    fn check(&self, _: &Identity) -> Result<(), (Half, String)> {
        Ok(())
    }

    fn script(&self, name: &str) -> Result<String, String> {
        if name == "acme.rhai" { Ok("claims.locale = `de`;".into()) } else { Err("there is no such file".into()) }
    }

    async fn pause(&self, _: Duration) {}

    fn clock() -> Duration {
        Duration::ZERO
    }

    fn now() -> Duration {
        Duration::ZERO
    }
}

/// What is said of a rule; a rule with cases is not untried.
fn problems(text: &str, cases: bool) -> Vec<Problem> {
    // A line that stands for many.
    let text = text.replace("// … and so on\n", &"// and so on, for long\n".repeat(1_000));
    let (rule, mut problems) =
        Compiler::new::<World>().compile("acme", &Source::new("acme.toml", text), &Map::new(), &World);
    if let Some(untried) = rule.as_ref().and_then(CompiledRule::untried).filter(|_| !cases) {
        problems.add(untried.clone());
    }
    problems.sorted()
}

/// The same rule for a Worker.
fn unfit_for_a_worker(text: &str) -> Vec<Problem> {
    unfit(&Source::new("acme.toml", text), Platform::Cloudflare)
}

#[test]
fn every_wrong_rule_has_its_problem_and_no_other() {
    for code in Code::ALL {
        let mut found = problems(code.page().wrong, false);
        if code.id().starts_with("CS7") {
            found.retain(|problem| problem.code != Code::MissingSecret);
            found.extend(unfit_for_a_worker(code.page().wrong));
        }
        // Hardly a rule of a page has limits of its own: that is another page's concern.
        found.retain(|problem| problem.severity() > Severity::Advice || problem.code == code);
        let told: Vec<_> = found.iter().map(|problem| (problem.code.id(), problem.message.as_str())).collect();
        assert!(!found.is_empty(), "{code:?}: the wrong rule has no problem");
        assert!(found.iter().all(|problem| problem.code == code), "{code:?}: {told:?}");
    }
}

#[test]
fn every_right_rule_has_no_problem() {
    for code in Code::ALL {
        let page = code.page();
        let mut found = problems(page.right, page.cases.is_some());
        found.extend(unfit_for_a_worker(page.right).into_iter().filter(|_| code.id().starts_with("CS7")));
        found.retain(|problem| problem.severity() > Severity::Advice || problem.code == code);
        let told: Vec<_> = found.iter().map(|problem| (problem.code.id(), problem.message.as_str())).collect();
        assert!(found.is_empty(), "{code:?}: {told:?}");
    }
}

#[test]
fn cases_on_a_page_pass() {
    let mut seen = 0;
    for code in Code::ALL {
        let page = code.page();
        let Some(cases) = page.cases else { continue };
        let (cases, problems) = Cases::read(&Source::new("acme.test.toml", cases));
        assert!(problems.is_empty() && !cases.is_empty(), "{code:?}: {problems:?}");
        let rule = Source::new("acme.toml", page.right);
        for number in 0..cases.len() {
            let verdict = block_on(cases.run(number, ("acme", &rule), &|_| Err("there is no such file".into())));
            assert!(verdict.passed(), "{code:?}: {verdict:?}");
            seen += 1;
        }
    }
    assert!(seen > 0, "no page has cases");
}

#[test]
fn every_page_has_the_same_form() {
    for code in Code::ALL {
        let page = code.page();
        let id = code.id();
        assert!(page.text.starts_with("# ") && page.text.ends_with('\n'), "{id}: it starts with its title");
        assert!(!page.title.is_empty() && !page.title.ends_with('.'), "{id}: a title is no sentence");
        let headings: Vec<_> = page.text.lines().filter(|line| line.starts_with("## ")).collect();
        let expected = ["## Why it matters", "## Wrong", "## Right", "## Its cases"];
        let count = if page.cases.is_some() { 4 } else { 3 };
        assert_eq!(headings, expected[..count], "{id}");
        assert_eq!(
            page.text.matches("```toml\n").count() * 2,
            page.text.matches("```").count(),
            "{id}: blocks are TOML"
        );
        assert!(page.wrong != page.right || page.cases.is_some(), "{id}: something makes it right");
        let (what, why) = page.text.split_once("## Why it matters").expect("it has that heading");
        let why = why.split("## Wrong").next().unwrap_or_default();
        for words in [what.lines().skip(1).collect::<String>(), why.to_owned()] {
            assert!(words.trim().len() > 60, "{id}: it says too little: {words}");
        }
        assert!(page.text.lines().all(|line| line.chars().count() <= 120), "{id}: a line is too long");
    }
}

#[test]
fn a_page_is_shown_by_its_code_however_that_is_written() {
    let shown = run(claimsmith(&["explain", "CS2002"]));
    assert_eq!((shown.code, shown.err.as_str()), (Some(0), ""));
    for part in ["CS2002: a name that nothing declares", "Why it matters", "\n    email = \"$.usr.email\"\n"] {
        assert!(shown.out.contains(part), "{part}: {}", shown.out);
    }
    assert!(!shown.out.contains("```") && !shown.out.contains('\u{1b}'), "{}", shown.out);
    for other in ["cs2002", "2002"] {
        assert_eq!(run(claimsmith(&["explain", other])).out, shown.out, "{other}");
    }
    let json = run(claimsmith(&["explain", "CS2002", "--format", "json"]));
    let page: Value = serde_json::from_str(&json.out).expect("it is an object");
    assert_eq!((&page["code"], &page["severity"]), (&"CS2002".into(), &"error".into()));
}

#[test]
fn all_codes_are_listed() {
    let list = run(claimsmith(&["explain"]));
    assert_eq!(list.code, Some(0));
    assert!(Code::ALL.iter().all(|code| list.out.contains(code.id()) && list.out.contains(code.page().title)));
    let json: Vec<Value> =
        serde_json::from_str(&run(claimsmith(&["explain", "--format", "json"])).out).expect("a list");
    assert_eq!(json.len(), Code::ALL.len());
}

#[test]
fn a_code_that_there_is_not_is_answered_with_those_that_are_near() {
    for (code, words) in [
        ("CS3009", "there is no problem with the code `CS3009`: there are CS3001, CS3002, CS3003"),
        ("frob", "there is no problem with the code `frob`: `claimsmith explain` lists them"),
    ] {
        let shown = run(claimsmith(&["explain", code]));
        assert_eq!((shown.code, shown.out.as_str()), (Some(2), ""), "{code}");
        assert!(shown.err.contains(words), "{}", shown.err);
    }
}

#[test]
fn check_names_the_command_once_when_there_is_something_to_explain() {
    let rules = folder(&[("acme.toml", Code::UnknownName.page().wrong), ("good.toml", Code::UnknownName.page().right)]);
    let path = |name: &str| rules.path().join(name).to_str().expect("paths of tests are UTF-8").to_owned();
    let wrong = run(claimsmith(&["check", &path("acme.toml")]));
    assert_eq!(wrong.out.matches("claimsmith explain CS2002").count(), 1, "{}", wrong.out);
    let good = run(claimsmith(&["check", &path("good.toml")]));
    assert!(!good.out.contains("claimsmith explain"), "{}", good.out);
}
