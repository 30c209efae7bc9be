//! A case whose rule runs on a host elsewhere: the request for it, the recorded answers for what it asks, and what to
//! say of its answer. So every host can be held to the same cases.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use serde_json::{Map, Value};

use super::{
    Answered, Case, Cases, Files, USUAL_NOW, Verdict, compare, compiler, recorded::Recording, request_of,
    verdict::Members,
};
use crate::core::{
    host::Host,
    message::{Answer, FetchError, Outgoing, Request, Response},
    problem::Source,
};

/// One case, played to a host elsewhere.
pub struct Elsewhere<'a> {
    case: &'a Case,
    recording: Recording<'a>,
    /// What the host is sent.
    pub request: Request,
    subject: String,
}

impl Cases {
    /// Plays a case of a rule to a host elsewhere, which has to be given [`vars`](Elsewhere::vars) and secrets.
    ///
    /// # Errors
    /// A sentence, when the rule is refused or the case has no request.
    pub fn elsewhere<'a>(
        &'a self,
        number: usize,
        (name, source): (&str, &Arc<Source>),
        files: Files<'a>,
    ) -> Result<Elsewhere<'a>, String> {
        let case = &self.cases[number];
        let recording = Recording::new(case, files);
        let (rule, _) = compiler(false).compile(name, source, &case.vars, &recording);
        let subject = rule.ok_or("the rule is refused")?.subject().to_owned();
        Ok(Elsewhere { case, recording, request: request_of(case, name)?, subject })
    }
}

impl Elsewhere<'_> {
    /// What the case shows.
    pub fn name(&self) -> &str {
        &self.case.name.value
    }

    /// Values for the rule's vars.
    pub fn vars(&self) -> &Map<String, Value> {
        &self.case.vars
    }

    /// The value of a secret, by its name in the rule.
    pub fn secret(&self, name: &str) -> String {
        self.recording.value(name)
    }

    /// When it happens, since 1970.
    pub fn now(&self) -> Duration {
        self.case.now.unwrap_or(USUAL_NOW)
    }

    /// What the provider answers.
    ///
    /// # Errors
    /// As the case says.
    pub async fn fetch(&self, outgoing: Outgoing) -> Result<Answer, FetchError> {
        self.recording.fetch(outgoing).await
    }

    /// What is to be said of the host's answer.
    pub fn verdict(self, response: &Response) -> Verdict {
        let mut verdict = Verdict::new(&self.case.name.value);
        verdict.subject = self.subject;
        let answered = answered(response);
        compare(&self.case.expected, &answered, &mut verdict);
        verdict.answered = Some(answered);
        verdict.faults.extend(self.recording.faults());
        verdict
    }
}

/// Some readers must not see a body with an error: it stands in `WWW-Authenticate` then, or nowhere, and the status alone
/// is compared.
fn answered(response: &Response) -> Answered {
    if response.status() == StatusCode::OK {
        let body = serde_json::from_slice(response.body());
        return Answered::Claims(body.map(|Members(members)| members).unwrap_or_default());
    }
    let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
    let error = body["error"].as_str().map(str::to_owned).or_else(|| challenged(response));
    Answered::Error { status: response.status().as_u16(), error }
}

fn challenged(response: &Response) -> Option<String> {
    let challenge = response.headers().get(http::header::WWW_AUTHENTICATE)?.to_str().ok()?;
    let (_, error) = challenge.split_once("error=\"")?;
    error.split_once('"').map(|(error, _)| error.to_owned())
}

impl std::fmt::Debug for Elsewhere<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Elsewhere({})", self.case.name.value)
    }
}
