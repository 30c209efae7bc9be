//! A real login, as `claimsmith try` makes one: through the gateway's own door, with a token that is kept nowhere.

use bytes::Bytes;
use http::header;
use serde::Deserialize;
use serde_json::json;

use super::{
    super::{Secrets, Store, Upstream, bytes_beside},
    bench::Answer,
};
use crate::{
    authoring::report::Report,
    config::Settings,
    core::{
        Compiler, Failure, Host, Reception, Trace, evaluate,
        problem::{Severity, Source},
        record::{Login, Recorder, write},
        refuse,
    },
};

/// What is to be tried. It has no `Debug`: a token is in it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Attempt {
    name: String,
    rule: String,
    #[serde(default)]
    cases: String,
    token: String,
}

/// Makes one login after another.
pub(super) struct Live {
    settings: Settings,
    host: Upstream,
    runtime: tokio::runtime::Runtime,
}

impl Live {
    pub(super) fn new(settings: &Settings) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Live {
            settings: settings.clone(),
            host: Upstream::new(settings, Secrets::Real, Store::new())?,
            runtime: runtime.map_err(|error| error.to_string())?,
        })
    }

    /// Evaluates the rule against its real upstreams; what they answered is offered as a case.
    pub(super) fn attempt(&self, body: &[u8]) -> Answer {
        let attempt: Attempt = serde_json::from_slice(body).map_err(|_| "the question is not understood")?;
        let token = attempt.token.trim();
        if token.is_empty() {
            return Err("a login needs a token".into());
        }
        let request = http::Request::get(format!("/{}", attempt.name))
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(Bytes::new())
            .map_err(|_| "the token has characters that no header can hold, or the rule has no name")?;
        let source = Source::new(format!("{}.toml", attempt.name), attempt.rule.as_str());
        let vars = self.settings.rule.get(&attempt.name).map(|rule| rule.vars.clone()).unwrap_or_default();
        let recorder = Recorder::new(&self.host);
        let (rule, problems) =
            Compiler::showing::<Recorder<'_, Upstream>>().compile(&attempt.name, &source, &vars, &recorder);
        let Some(rule) = rule else {
            let errors = problems.sorted().into_iter().filter(|problem| problem.severity() == Severity::Error);
            return Err(errors.map(|problem| problem.message).next().unwrap_or_else(|| "the rule is refused".into()));
        };
        let trace = Trace::showing();
        let evaluation = evaluate(&rule, &request, "play", Reception::default(), &recorder, Some(&trace));
        let limit = rule.deadline(self.settings.deadline.0);
        let outcome = self.runtime.block_on(async { tokio::time::timeout(limit, evaluation).await });
        let outcome = outcome.unwrap_or_else(|_| refuse(Some(&rule), Failure::Deadline, "play"));
        let body = trace.cleaned(&String::from_utf8_lossy(outcome.response.body()));
        let report = Report { rule: &rule, outcome: &outcome, steps: &trace.steps(), body }.json();
        let folder = self.settings.rules.clone();
        let login = Login {
            rule: (&attempt.name, &source),
            vars: &vars,
            request: &request,
            outcome: &outcome,
            now: Upstream::now(),
            files: &move |file: &str| bytes_beside(&folder, file),
        };
        let case = self.runtime.block_on(write(recorder.into_recorded(), &login, &attempt.cases));
        let case = match case {
            Ok(written) => json!({ "name": written.name, "text": written.text }),
            Err(fault) => json!({ "why": fault.to_string() }),
        };
        Ok(json!({ "report": report, "document": trace.document(), "case": case }))
    }
}
