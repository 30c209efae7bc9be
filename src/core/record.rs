//! A login becomes a case: what the providers answered is written down, without anything of the person.
//!
//! 1. [`Recorder`] stands before a host and notes what comes through its door.
//! 2. `redact` replaces tokens, secrets and personal data in the answers: the same value by the same one of the
//!    same shape, wherever it stands.
//! 3. `replay` runs the rule on the new answers, with new credentials. What the rule asks for then, and what it
//!    answers, is what the case expects: addresses and signatures are made, not replaced.
//! 4. The case is written, read again and run. One that does not pass, or that still holds something of what
//!    was replaced, is not given out.

mod bodies;
mod copy;
mod literals;
mod recorder;
mod redact;
mod replay;
mod shapes;
mod words;
mod write;

use std::{fmt, sync::Arc, time::Duration};

use serde_json::{Map, Value};

pub use self::{
    copy::{Copy, copy},
    recorder::{Exchange, Recorded, Recorder},
    redact::Redactor,
};
use self::{
    literals::Literals,
    replay::{Replay, to_its_end},
};
use super::{
    case::{Cases, Files, USUAL_NOW},
    compile::Compiler,
    evaluate::{Outcome, Reception, evaluate},
    message::Request,
    problem::Source,
    response::Failure,
    rule::MAX_SOURCE,
    token::Token,
};

/// A login, as far as the recorder does not know it.
pub struct Login<'a> {
    /// The name and the text of the rule.
    pub rule: (&'a str, &'a Arc<Source>),
    /// The operator's values for `[vars]`.
    pub vars: &'a Map<String, Value>,
    /// The caller's request.
    pub request: &'a Request,
    /// What was answered.
    pub outcome: &'a Outcome,
    /// When, since 1970.
    pub now: Duration,
    /// Gives files that stand beside the rule.
    pub files: Files<'a>,
}

/// A case that was written.
#[derive(Debug)]
pub struct Written {
    /// Its name.
    pub name: String,
    /// Its text, to be put behind the cases that there are.
    pub text: String,
}

/// Why no case was written. The words hold nothing of the login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request has no token that could be replaced.
    Token,
    /// The rule cannot be compiled with replaced secrets.
    Rule(String),
    /// With replaced values the rule does something else.
    Differs(String),
    /// Something that must not be seen would be.
    Survives(&'static str),
    /// It is larger than a file of cases may be.
    TooLarge(usize),
    /// The case, as written, does not pass.
    Fails(Vec<String>),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Token => f.write_str("the request has no token"),
            Fault::Rule(why) => write!(f, "the rule needs a secret of a form that cannot be made up: {why}"),
            Fault::Differs(why) => write!(f, "without the person's data the rule does not run the same way: {why}"),
            Fault::Survives(what) => write!(f, "{what} would stand in the case"),
            Fault::TooLarge(bytes) => {
                write!(f, "the case would have {bytes} bytes, and a file of cases has at most {MAX_SOURCE}")
            }
            Fault::Fails(faults) => write!(f, "the case does not pass: {}", faults.join("; ")),
        }
    }
}

/// True if a request has what it takes to be a login: a token.
pub fn has_token(request: &Request) -> bool {
    Token::receive(request, true).is_ok()
}

/// Writes a login as a case. `existing` is the text of the rule's cases so far.
///
/// # Errors
/// When the case would not run as the login did, or would show what it must not.
pub async fn write(mut recorded: Recorded, login: &Login<'_>, existing: &str) -> Result<Written, Fault> {
    if recorded.is_too_large() {
        return Err(Fault::TooLarge(recorded.bytes));
    }
    if !matches!(login.outcome.failure, Some(Failure::Deadline)) {
        recorded.complete();
    }
    let token = Token::receive(login.request, true).map_err(|_| Fault::Token)?;
    let literals = Literals::of(login.rule.1, recorded.scripts.iter().map(String::as_str), login.vars);
    let mut redactor = Redactor::new(literals, login.now, USUAL_NOW);
    redactor.origins(recorded.exchanges.iter().map(|exchange| &exchange.request.url));
    redactor.learn(&recorded.exchanges);
    let credentials = redactor.credentials(token.value(), &recorded.secrets);
    let answers: Vec<_> = recorded.exchanges.iter().map(|exchange| redactor.exchange(exchange)).collect();
    let request = redactor.request(login.request, token.value(), &credentials.token);
    let (outcome, exchanges) = replay(login, &recorded, &credentials, answers, &request).await?;
    compare(login.outcome, &outcome)?;
    let case = write::Case {
        vars: login.vars,
        credentials: &credentials,
        request: &request,
        exchanges: &exchanges,
        outcome: &outcome,
    };
    let name = write::name(&outcome, existing);
    let text = case.text(&name);
    // As `fmt` would leave it.
    let text = super::format::format(&Source::new("recorded", text.as_str())).unwrap_or(text);
    if let Some(what) = redactor.survivor(&text) {
        return Err(Fault::Survives(what));
    }
    if existing.len() + text.len() > MAX_SOURCE {
        return Err(Fault::TooLarge(existing.len() + text.len()));
    }
    try_out(&text, login).await?;
    Ok(Written { name, text })
}

/// A compiler takes longer to make than a case to run, so each thread has one.
fn compiler() -> std::rc::Rc<Compiler> {
    thread_local! {
        static COMPILER: std::rc::Rc<Compiler> = std::rc::Rc::new(Compiler::new::<Replay<'static>>());
    }
    COMPILER.with(Clone::clone)
}

/// Runs the rule once more, on what the answers have become.
async fn replay(
    login: &Login<'_>,
    recorded: &Recorded,
    credentials: &redact::Credentials,
    answers: Vec<redact::Answered>,
    request: &Request,
) -> Result<(Outcome, Vec<Exchange>), Fault> {
    let replay = Replay::new(recorded, credentials, answers, login.files);
    let (rule, problems) = compiler().compile(login.rule.0, login.rule.1, login.vars, &replay);
    let Some(rule) = rule else {
        let first = problems.sorted().into_iter().next();
        return Err(Fault::Rule(first.map(|problem| problem.message).unwrap_or_default()));
    };
    let evaluation =
        evaluate(&rule, request, "case", Reception { query_token: true, ..Reception::default() }, &replay, None);
    let outcome = to_its_end(evaluation, &replay).await.ok_or(Fault::Differs("it waits for other answers".into()))?;
    let exchanges = replay.into_exchanges().map_err(Fault::Differs)?;
    Ok((outcome, exchanges))
}

/// The two answers have the same status, error and claims, but for their values.
fn compare(before: &Outcome, after: &Outcome) -> Result<(), Fault> {
    let differs = |what: String| Err(Fault::Differs(what));
    let (status, found) = (before.response.status(), after.response.status());
    if status != found {
        let why = after.failure.as_ref().map(|failure| format!(" ({})", failure.words())).unwrap_or_default();
        return differs(format!("it answered {}, and now answers {}{why}", status.as_u16(), found.as_u16()));
    }
    if before.failure.is_some() {
        return Ok(());
    }
    let members = |outcome: &Outcome| serde_json::from_slice::<Map<String, Value>>(outcome.response.body());
    let (Ok(before), Ok(after)) = (members(before), members(after)) else { return Ok(()) };
    let kind = |value: Option<&Value>| value.map(super::trace::type_of);
    for name in before.keys().chain(after.keys()) {
        if kind(before.get(name)) != kind(after.get(name)) {
            return differs(format!("the claim `{name}` is another"));
        }
        if let (Some(Value::Bool(one)), Some(Value::Bool(other))) = (before.get(name), after.get(name))
            && one != other
        {
            return differs(format!("the claim `{name}` is another"));
        }
    }
    Ok(())
}

/// Runs the case as anybody will.
async fn try_out(text: &str, login: &Login<'_>) -> Result<(), Fault> {
    let (cases, problems) = Cases::read(&Source::new("recorded", text));
    if !problems.is_empty() || cases.is_empty() {
        return Err(Fault::Fails(problems.into_iter().map(|problem| problem.message).collect()));
    }
    let verdict = cases.run(0, login.rule, login.files).await;
    if verdict.passed() {
        return Ok(());
    }
    let differences = verdict.differences.into_iter().map(|difference| format!("the claim `{}`", difference.claim));
    Err(Fault::Fails(verdict.faults.iter().map(super::case::Fault::words).chain(differences).collect()))
}
