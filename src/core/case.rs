//! Cases: a rule is run on recorded answers, and what comes out is compared with what the case expects.
//!
//! The same compiler and the same evaluation as for a real request; only the host is another. So a case runs
//! wherever the core runs.

mod kept;
mod recorded;

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, header};
use serde_json::{Map, Value};

pub use self::recorded::Files;
use self::recorded::Recording;
pub use self::{
    kept::{Kept, once_more},
    recorded::{USUAL_NOW, set_time, time},
};
use super::{
    compile::Compiler,
    evaluate::{Outcome, Reception, evaluate},
    message::Request,
    problem::{Problem, Problems, Source},
    response::Failure,
    rule::{self, Case, Expected},
    trace::{Step, Trace},
};

/// The cases of one rule.
#[derive(Debug)]
pub struct Cases {
    cases: Vec<Case>,
}

/// How a case went.
#[derive(Debug)]
pub struct Verdict {
    /// The name of the case.
    pub name: String,
    /// What differs from what the case expects, claim by claim.
    pub differences: Vec<Difference>,
    /// What else is wrong: a request without an answer, an answer without a request, another status.
    pub faults: Vec<String>,
    /// The steps of the evaluation.
    pub steps: Vec<Step>,
    /// Why there are no claims, if there are none.
    pub failure: Option<String>,
}

/// A claim that is not as expected.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its name.
    pub claim: String,
    /// What the case expects, as JSON; `None` if the claim should not be there.
    pub expected: Option<String>,
    /// What came out, as JSON; `None` if nothing did.
    pub found: Option<String>,
}

impl Verdict {
    /// True if all is as the case expects.
    pub fn passed(&self) -> bool {
        self.differences.is_empty() && self.faults.is_empty()
    }
}

impl Cases {
    /// Reads a file of cases; its problems are those of the file, not of the rule.
    pub fn read(source: &Arc<Source>) -> (Cases, Vec<Problem>) {
        let mut problems = Problems::default();
        let cases = rule::read_cases(source, &mut problems);
        (Cases { cases }, problems.sorted())
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

    /// Runs one case of a rule. `files` gives scripts and answers that stand beside the rule.
    pub async fn run(&self, number: usize, rule: (&str, &Arc<Source>), files: Files<'_>) -> Verdict {
        run(&self.cases[number], rule, files).await
    }
}

async fn run(case: &Case, (name, source): (&str, &Arc<Source>), files: Files<'_>) -> Verdict {
    let mut verdict = Verdict {
        name: case.name.value.clone(),
        differences: Vec::new(),
        faults: Vec::new(),
        steps: Vec::new(),
        failure: None,
    };
    let recording = Recording::new(case, files);
    let (rule, problems) = compiler().compile(name, source, &case.vars, &recording);
    let Some(rule) = rule else {
        let errors = problems.sorted().into_iter().map(|problem| format!("{}: {}", problem.code.id(), problem.message));
        verdict.faults = std::iter::once("the rule is refused".to_owned()).chain(errors).collect();
        return verdict;
    };
    verdict.faults.extend(unknown_secrets(case, &recording));
    let request = match request(case, name) {
        Ok(request) => request,
        Err(why) => {
            verdict.faults.push(why);
            return verdict;
        }
    };
    let trace = Trace::default();
    let outcome = evaluate(&rule, &request, "case", Reception::default(), &recording, Some(&trace)).await;
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
    compare(&case.expected, &outcome, &mut verdict);
    verdict.faults.extend(recording.faults());
    verdict
}

/// A compiler takes longer to make than a case to run, so each thread has one.
fn compiler() -> std::rc::Rc<Compiler> {
    thread_local! {
        static COMPILER: std::rc::Rc<Compiler> = std::rc::Rc::new(Compiler::new::<Recording<'static>>());
    }
    COMPILER.with(Clone::clone)
}

/// A secret that the rule does not ask for is a typing error more often than not.
fn unknown_secrets(case: &Case, recording: &Recording<'_>) -> Vec<String> {
    let asked = recording.asked_secrets();
    let unknown = case.secrets.iter().filter(|(key, _)| !asked.contains(&key.name));
    unknown.map(|(key, _)| format!("the rule has no secret `{}`", key.name)).collect()
}

fn request(case: &Case, rule: &str) -> Result<Request, String> {
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

fn compare(expected: &Expected, outcome: &Outcome, verdict: &mut Verdict) {
    let found = outcome.response.status().as_u16();
    let body: Value = serde_json::from_slice(outcome.response.body()).unwrap_or_default();
    match expected {
        Expected::Claims(claims) if outcome.failure.is_none() => {
            let empty = Map::new();
            verdict.differences = differences(claims, body.as_object().unwrap_or(&empty));
        }
        Expected::Claims(_) => verdict.faults.push(format!("claims are expected, and the answer is {found}")),
        Expected::Error { status, .. } if *status != found => {
            verdict.faults.push(format!("{status} is expected, and the answer is {found}"));
        }
        Expected::Error { error, .. } => {
            let error = error.as_ref().map(|error| &*error.value);
            // Not read from the body: some readers must not see one.
            let said = outcome.failure.as_ref().and_then(Failure::error);
            if error != said {
                let words =
                    |error: Option<&str>| error.map_or("no error code".to_owned(), |error| format!("`{error}`"));
                let (error, said) = (words(error), words(said));
                verdict.faults.push(format!("{error} is expected, and the answer says {said}"));
            }
        }
    }
}

fn differences(expected: &Map<String, Value>, found: &Map<String, Value>) -> Vec<Difference> {
    let names = expected.keys().chain(found.keys().filter(|name| !expected.contains_key(*name)));
    let differ = names.filter(|name| expected.get(*name) != found.get(*name));
    let text = |value: Option<&Value>| value.map(Value::to_string);
    differ
        .map(|name| Difference {
            claim: name.clone(),
            expected: text(expected.get(name)),
            found: text(found.get(name)),
        })
        .collect()
}
