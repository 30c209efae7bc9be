//! Cases: a rule is run on recorded answers, and what comes out is compared with what the case expects.
//!
//! The same compiler and the same evaluation as for a real request; only the host is another. So a case runs
//! wherever the core runs.

mod elsewhere;
mod kept;
mod recorded;
mod shown;
mod verdict;

use std::{rc::Rc, sync::Arc};

use bytes::Bytes;
use http::{Method, header};
use serde_json::{Map, Value};

use self::verdict::{Members, error_words};
pub use self::{
    elsewhere::Elsewhere,
    kept::{Kept, once_more},
    recorded::{Files, NOT_RECORDED, Recording, USUAL_NOW, set_clock, set_time, time},
    shown::{Draft, Reply as DraftReply, Shown, Told},
    verdict::{Answered, Difference, Fault, Verdict, kind},
};
use super::{
    compile::Compiler,
    evaluate::{Outcome, Reception, evaluate},
    message::Request,
    problem::{Place, Problem, Problems, Severity, Source},
    response::Failure,
    rule::{self, Case, Expected},
    trace::{Point, Reached, Step, Trace},
};

/// The cases of one rule.
#[derive(Debug)]
pub struct Cases {
    source: Arc<Source>,
    cases: Vec<Case>,
}

impl Cases {
    /// Reads a file of cases; its problems are those of the file, not of the rule.
    pub fn read(source: &Arc<Source>) -> (Cases, Vec<Problem>) {
        let mut problems = Problems::default();
        let cases = rule::read_cases(source, &mut problems);
        (Cases { source: source.clone(), cases }, problems.sorted())
    }

    /// Where a case stands, by its number.
    pub fn place(&self, number: usize) -> Place {
        rule::place(&self.source, &self.cases[number].name.span)
    }

    /// Those of a rule that has no file of cases.
    pub fn none() -> Cases {
        Cases { source: Source::new("", ""), cases: Vec::new() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.cases.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.cases.is_empty()
    }

    /// The names, in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.cases.iter().map(|case| &*case.name.value)
    }

    /// The points of a rule that cases can come past; `None` if it is refused.
    pub fn points(&self, (name, source): (&str, &Arc<Source>), files: Files<'_>) -> Option<Vec<Point>> {
        let blank = Case::blank(source);
        // Some rules compile only with a secret that is one: a key of the right length.
        self.cases.iter().chain([&blank]).find_map(|case| {
            let recording = Recording::new(case, files);
            let (rule, _) = compiler(true).compile(name, source, &case.vars, &recording);
            rule.map(|rule| rule.points())
        })
    }

    /// Runs one case of a rule, and tells which of its points it came past.
    pub async fn cover(&self, number: usize, rule: (&str, &Arc<Source>), files: Files<'_>) -> (Verdict, Reached) {
        run(&self.cases[number], rule, files, true).await
    }

    /// Runs one case of a rule. `files` gives scripts and answers that stand beside the rule.
    pub async fn run(&self, number: usize, rule: (&str, &Arc<Source>), files: Files<'_>) -> Verdict {
        run(&self.cases[number], rule, files, false).await.0
    }
}

async fn run(
    case: &Case,
    (name, source): (&str, &Arc<Source>),
    files: Files<'_>,
    watching: bool,
) -> (Verdict, Reached) {
    let mut verdict = Verdict::new(&case.name.value);
    let recording = Recording::new(case, files);
    let (rule, problems) = compiler(watching).compile(name, source, &case.vars, &recording);
    let Some(rule) = rule else {
        let errors = problems.sorted().into_iter().filter(|problem| problem.severity() == Severity::Error);
        let errors = errors.map(|problem| format!("the rule is refused: {}: {}", problem.code.id(), problem.message));
        verdict.faults = errors.map(Fault::Rule).collect();
        return (verdict, Reached::default());
    };
    rule.subject().clone_into(&mut verdict.subject);
    verdict.faults.extend(unknown_secrets(case, &recording));
    let request = match request_of(case, name) {
        Ok(request) => request,
        Err(why) => {
            verdict.faults.push(Fault::Case(why));
            return (verdict, Reached::default());
        }
    };
    let trace = Trace::default();
    let outcome = evaluate(&rule, &request, "case", Reception::default(), &recording, Some(&trace)).await;
    judge(case, &outcome, &trace, recording, &mut verdict);
    let reached = if watching { trace.reached() } else { Reached::default() };
    (verdict, reached)
}

/// What is to be said of an evaluation that came to its end.
fn judge(case: &Case, outcome: &Outcome, trace: &Trace, recording: Recording<'_>, verdict: &mut Verdict) {
    verdict.steps = trace.steps();
    // Nothing took any time.
    for step in &mut verdict.steps {
        match step {
            Step::Call(call) => {
                call.time = None;
                call.attempts.clear();
            }
            Step::Receive { time, .. } => *time = None,
            _ => {}
        }
    }
    verdict.failure = outcome.failure.as_ref().map(Failure::words);
    let answered = answered(outcome);
    compare(&case.expected, &answered, verdict);
    verdict.answered = Some(answered);
    verdict.faults.extend(recording.faults());
}

/// A compiler takes longer to make than a case to run, so each thread has one, and another for coverage.
fn compiler(watching: bool) -> Rc<Compiler> {
    thread_local! {
        static COMPILER: Rc<Compiler> = Rc::new(Compiler::new::<Recording<'static>>());
        static WATCHING: Rc<Compiler> = Rc::new(Compiler::watching::<Recording<'static>>());
    }
    if watching { WATCHING.with(Clone::clone) } else { COMPILER.with(Clone::clone) }
}

/// A secret that the rule does not ask for is a typing error more often than not.
fn unknown_secrets(case: &Case, recording: &Recording<'_>) -> Vec<Fault> {
    let asked = recording.asked_secrets();
    let unknown = case.secrets.iter().filter(|(key, _)| !asked.contains(&key.name));
    unknown.map(|(key, _)| Fault::Case(format!("the rule has no secret `{}`", key.name))).collect()
}

/// The caller's request.
///
/// # Errors
/// When the case says what no request can be.
pub fn request_of(case: &Case, rule: &str) -> Result<Request, String> {
    let mut uri = format!("/{rule}");
    if !case.request.query.is_empty() {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(case.request.query.iter().map(|(key, value)| (&key.name, &value.value)));
        uri = format!("{uri}?{}", query.finish());
    }
    let method = case.request.method.as_ref().map_or(Ok(Method::GET), |method| method.value.parse());
    let method = method.map_err(|_| "the request has a method that is none".to_owned())?;
    let mut request = http::Request::builder().method(method).uri(uri);
    let sets_token = case.request.headers.iter().any(|(key, _)| key.name.eq_ignore_ascii_case("authorization"));
    if !sets_token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", case.token));
    }
    for (key, value) in &case.request.headers {
        request = request.header(&*key.name, &*value.value);
    }
    request.body(Bytes::new()).map_err(|error| format!("the request cannot be made: {error}"))
}

fn answered(outcome: &Outcome) -> Answered {
    match &outcome.failure {
        None => {
            let body = serde_json::from_slice(outcome.response.body());
            Answered::Claims(body.map(|Members(members)| members).unwrap_or_default())
        }
        // Not read from the body: some readers must not see one.
        Some(failure) => {
            Answered::Error { status: outcome.response.status().as_u16(), error: failure.error().map(str::to_owned) }
        }
    }
}

fn compare(expected: &Expected, answered: &Answered, verdict: &mut Verdict) {
    let expected = match (expected, answered) {
        (Expected::Claims(claims), Answered::Claims(found)) => {
            verdict.differences = differences(claims, found);
            return;
        }
        (Expected::Claims(_), Answered::Error { .. }) => "200 with claims".to_owned(),
        (Expected::Error { status, error: None }, Answered::Error { status: found, .. }) if status == found => return,
        (Expected::Error { status, error: None }, _) => format!("{status} with any error code"),
        (Expected::Error { status, error: Some(error) }, _) => error_words(*status, Some(&error.value)),
    };
    let found = answered.words();
    if expected != found {
        verdict.faults.push(Fault::Answer { expected, found });
    }
}

fn differences(expected: &Map<String, Value>, found: &[(String, Value)]) -> Vec<Difference> {
    let of = |name: &String| found.iter().find(|(known, _)| known == name).map(|(_, value)| value);
    let more = found.iter().map(|(name, _)| name).filter(|name| !expected.contains_key(*name));
    let differ = expected.keys().chain(more).filter(|name| expected.get(*name) != of(name));
    let text = |value: Option<&Value>| value.map(Value::to_string);
    let difference =
        |name: &String| Difference { claim: name.clone(), expected: text(expected.get(name)), found: text(of(name)) };
    differ.map(difference).collect()
}
