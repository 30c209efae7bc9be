//! One case, for people who write the rule: everything that came up, on answers that they may have changed.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value};
use url::Url;

use super::{
    Cases, Files, Verdict, judge,
    recorded::{Recording, time},
    request_of, unknown_secrets,
};
use crate::core::{
    compile::{CompiledRule, Compiler},
    evaluate::{Outcome, Reception, evaluate},
    problem::Source,
    rule::{Asked, Case, Content, Key, Recorded, Reply as Written, Text},
    trace::Trace,
};

/// An answer as somebody tries it out: another one in the place of what is recorded, or one more.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The number of the answer in the case; `None` for one more.
    pub at: Option<usize>,
    /// The method of the request.
    pub method: String,
    /// The whole address of the request.
    pub url: String,
    /// What comes back.
    pub reply: Reply,
}

/// What comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// An answer of the case as it was used.
#[derive(Clone, Debug)]
pub struct Told {
    /// The method of the request.
    pub method: String,
    /// Its address.
    pub url: String,
    /// What comes back, if that is a text; why not otherwise.
    pub reply: Result<Reply, String>,
}

/// An evaluation with everything that came up.
pub struct Shown {
    /// How the case went.
    pub verdict: Verdict,
    /// The rule, the answer, and its body without what nobody may see; `None` if there was no evaluation.
    pub ran: Option<(CompiledRule, Outcome, String)>,
    /// What the rule could read.
    pub document: Value,
    /// The answers, recorded and tried out.
    pub answers: Vec<Told>,
}

impl Cases {
    /// Runs a case with some answers changed. Without a number it is one that says nothing yet.
    pub async fn show(
        &self,
        number: Option<usize>,
        drafts: &[Draft],
        (name, source): (&str, &Arc<Source>),
        vars: &Map<String, Value>,
        files: Files<'_>,
    ) -> Shown {
        let (case, mut faults) = self.drafted(number, drafts, vars);
        let answers = case.answers.iter().map(|answer| told(answer, files)).collect();
        let mut verdict = Verdict::new(&case.name.value);
        let recording = Recording::new(&case, files);
        let (rule, _) = compiler().compile(name, source, &case.vars, &recording);
        verdict.faults.append(&mut faults);
        let (Some(rule), Ok(request)) = (rule, request_of(&case, name)) else {
            return Shown { verdict, ran: None, document: Value::Null, answers };
        };
        rule.subject().clone_into(&mut verdict.subject);
        verdict.faults.extend(unknown_secrets(&case, &recording));
        let trace = Trace::showing();
        let outcome = evaluate(&rule, &request, "case", Reception::default(), &recording, Some(&trace)).await;
        judge(&case, &outcome, &trace, recording, &mut verdict);
        let body = trace.cleaned(&String::from_utf8_lossy(outcome.response.body()));
        Shown { verdict, ran: Some((rule, outcome, body)), document: trace.document(), answers }
    }

    /// A copy of a case with its drafts, and what is wrong with those.
    pub fn drafted(
        &self,
        number: Option<usize>,
        drafts: &[Draft],
        vars: &Map<String, Value>,
    ) -> (Case, Vec<super::Fault>) {
        let mut case = match number.and_then(|number| self.cases.get(number)) {
            Some(case) => case.clone(),
            None => {
                let token = "t0ken".to_owned();
                Case { vars: vars.clone(), token, now: Some(time()), ..Case::blank(&Source::new("draft", "")) }
            }
        };
        let mut faults = Vec::new();
        for draft in drafts {
            match written(draft) {
                Ok(answer) => match draft.at.and_then(|at| case.answers.get_mut(at)) {
                    Some(known) => known.reply = answer.reply,
                    None => case.answers.push(answer),
                },
                Err(why) => faults.push(super::Fault::Case(why)),
            }
        }
        (case, faults)
    }
}

fn written(draft: &Draft) -> Result<Recorded, String> {
    let url = Url::parse(&draft.url).map_err(|_| format!("`{}` is no address", draft.url))?;
    let status = StatusCode::from_u16(draft.reply.status).ok().filter(|status| status.as_u16() >= 200);
    let status = status.ok_or_else(|| format!("{} is no status of an answer", draft.reply.status))?;
    let body = Content::Text(draft.reply.body.clone());
    Ok(Recorded {
        method: Some(Text { value: draft.method.clone(), span: 0..0 }),
        url,
        expect: Asked::default(),
        reply: Written::Answer { status, headers: Vec::<(Key, Text)>::new(), body },
    })
}

fn told(answer: &Recorded, files: Files<'_>) -> Told {
    let method = answer.method.as_ref().map_or("GET", |method| &*method.value).to_owned();
    let reply = match &answer.reply {
        Written::Answer { status, body, .. } => text(body, files).map(|body| Reply { status: status.as_u16(), body }),
        Written::Timeout => Err("no answer in time".into()),
        Written::Connect => Err("no connection".into()),
        Written::Broken => Err("the connection breaks".into()),
    };
    Told { method, url: answer.url.to_string(), reply }
}

fn text(body: &Content, files: Files<'_>) -> Result<String, String> {
    match body {
        Content::Text(text) => Ok(text.clone()),
        Content::File(name) => String::from_utf8(files(&name.value)?).map_err(|_| "it is no text".to_owned()),
    }
}

/// A compiler takes longer to make than a case to run, so each thread has one.
fn compiler() -> std::rc::Rc<Compiler> {
    thread_local! {
        static COMPILER: std::rc::Rc<Compiler> = std::rc::Rc::new(Compiler::showing::<Recording<'static>>());
    }
    COMPILER.with(Clone::clone)
}
