//! A case of recorded answers, changed by hand, as one more case of its rule.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Exchange, Recorder, redact::Credentials, write};
use crate::core::{
    case::{Cases, Draft, Fault, Files, NOT_RECORDED, Recording, request_of},
    compile::Compiler,
    evaluate::{Reception, evaluate},
    format::format,
    message::FetchError,
    problem::Source,
};

/// What is to be written.
pub struct Copy<'a> {
    /// The name of the new case.
    pub name: &'a str,
    /// The case that it starts from; `None` for one that says nothing.
    pub number: Option<usize>,
    /// The answers that are others.
    pub drafts: &'a [Draft],
    /// The operator's values for `[vars]`.
    pub vars: &'a Map<String, Value>,
    /// Gives files that stand beside the rule.
    pub files: Files<'a>,
}

/// Writes a case that expects what comes out. The answers are made up already, so nothing in them is replaced.
///
/// # Errors
/// Why it cannot be written, or would not pass.
pub async fn copy(cases: &Cases, copy: &Copy<'_>, (rule, source): (&str, &Arc<Source>)) -> Result<String, String> {
    let (case, faults) = cases.drafted(copy.number, copy.drafts, copy.vars);
    if let Some(fault) = faults.first() {
        return Err(fault.words());
    }
    let recording = Recording::new(&case, copy.files);
    let recorder = Recorder::new(&recording);
    let (compiled, _) = compiler().compile(rule, source, &case.vars, &recorder);
    let compiled = compiled.ok_or("the rule is refused: a case of it would say nothing")?;
    let request = request_of(&case, rule)?;
    let outcome = evaluate(&compiled, &request, "case", Reception::default(), &recorder, None).await;
    let recorded = recorder.into_recorded();
    let secrets = recorded.secrets.iter().map(|(name, secret)| (name.clone(), secret.expose().to_owned())).collect();
    let credentials = Credentials { token: case.token.clone(), secrets };
    let exchanges: Vec<_> = recorded.exchanges.into_iter().filter(was_answered).collect();
    let written = write::Case {
        vars: &case.vars,
        credentials: &credentials,
        request: &request,
        exchanges: &exchanges,
        outcome: &outcome,
    };
    let text = written.text(copy.name);
    let text = format(&Source::new("written", text.as_str())).unwrap_or(text);
    passes(&text, (rule, source), copy.files).await?;
    Ok(text)
}

/// It is read and run before anybody gets it: it has to say what came out.
async fn passes(text: &str, rule: (&str, &Arc<Source>), files: Files<'_>) -> Result<(), String> {
    let (cases, problems) = Cases::read(&Source::new("the case", text));
    if cases.is_empty() || !problems.is_empty() {
        return Err("it cannot be written as TOML".into());
    }
    let verdict = cases.run(0, rule, files).await;
    if verdict.passed() {
        return Ok(());
    }
    let faults = verdict.faults.iter().map(Fault::words);
    let differences = verdict.differences.iter().map(|difference| format!("the claim `{}`", difference.claim));
    Err(format!("the case would not pass: {}", faults.chain(differences).collect::<Vec<_>>().join("; ")))
}

/// What was not answered is not written down: a case cannot say that nothing is known.
fn was_answered(exchange: &Exchange) -> bool {
    match &exchange.reply {
        None => false,
        Some(Err(FetchError::Connect(why))) => why != NOT_RECORDED,
        Some(_) => true,
    }
}

/// A compiler takes longer to make than a case to run, so each thread has one.
fn compiler() -> std::rc::Rc<Compiler> {
    thread_local! {
        static COMPILER: std::rc::Rc<Compiler> =
            std::rc::Rc::new(Compiler::new::<Recorder<'static, Recording<'static>>>());
    }
    COMPILER.with(Clone::clone)
}
