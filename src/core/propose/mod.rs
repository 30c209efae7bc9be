//! From a sample answer to a rule: what a person would write who looks at the answer, with the reasons.
//!
//! ```text
//!  sample ──> walk ──> choose ──> envelope ──> write
//!  (text)     (parts)  (claims)   (failures)   (rule, cases)
//! ```
//!
//! Pure guessing over the names of `table` and the shapes of `shape`; nothing is asked and nothing is fetched. The
//! first case is the sample itself, run by the evaluation that a request gets, so that it passes.

mod choose;
mod envelope;
mod paths;
mod sample;
mod shape;
mod table;
mod walk;
mod write;

use serde_json::Value;

use self::{
    choose::{Choices, Form},
    envelope::Failing,
    sample::Format,
    walk::Parts,
};
use super::{
    case::{Answered, Cases},
    problem::Source,
    rule::{MAX_SOURCE, is_call_name, is_rule_name},
};

/// The most samples.
const MAX_SAMPLES: usize = 16;
/// The longest that all samples together may be: the first case holds them, and a case file has a bound of its own.
const MAX_BYTES: usize = MAX_SOURCE / 4;

/// What a call answered.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The name that the call gets.
    pub call: String,
    /// The address that gave it, if it is known.
    pub url: Option<String>,
    /// The body: JSON, XML, JSONP, a form or a signed token.
    pub text: String,
}

/// A rule that was made from samples.
#[derive(Debug)]
pub struct Proposal {
    /// The rule.
    pub rule: String,
    /// Its cases: the sample, and what goes wrong.
    pub cases: String,
    /// Each claim, how the rule makes it, and what the sample gives.
    pub claims: Vec<Proposed>,
    /// What the author has to look at before the rule is of use.
    pub remarks: Vec<String>,
}

/// A claim of a proposal.
#[derive(Debug)]
pub struct Proposed {
    /// Its name.
    pub claim: String,
    /// How the rule writes it.
    pub written: String,
    /// What it is for the sample, as JSON; `None` if the sample has nothing for it.
    pub value: Option<String>,
}

/// What the text is written from.
struct Draft<'s> {
    name: &'s str,
    samples: &'s [Sample],
    calls: Vec<String>,
    formats: Vec<Format>,
    choices: &'s Choices,
    failing: &'s [Failing],
}

/// Makes a rule of this name from samples.
///
/// # Errors
/// A sentence, if a sample cannot be read or nothing in it says who the user is.
pub async fn propose(name: &str, samples: &[Sample]) -> Result<Proposal, String> {
    let values = read(name, samples)?;
    let (formats, values): (Vec<_>, Vec<_>) = values.into_iter().unzip();
    let calls: Vec<_> = samples.iter().map(|sample| sample.call.clone()).collect();
    let mut parts = Parts::default();
    for (call, value) in values.iter().enumerate() {
        parts.add(call, value);
    }
    let choices = choose::choose(&parts, &calls);
    if !choices.claims.iter().any(|choice| choice.claim == "sub") {
        return Err("nothing in the sample says who the user is: there is no id, no user name and no e-mail".into());
    }
    let failing = envelope::rows(&parts, &choices, &calls);
    let draft = Draft { name, samples, calls, formats, choices: &choices, failing: &failing };
    let rule = write::rule(&draft);
    let found = draft.run(&rule).await?;
    let cases = write::cases(&draft, &found);
    let found = if draft.is_signed() { draft.unsigned(&values).await? } else { found };
    let claims = draft.choices.claims.iter().map(|choice| Proposed {
        claim: choice.claim.to_owned(),
        written: write::form(&draft, &choice.form),
        value: found.iter().find(|(name, _)| name == choice.claim).map(|(_, value)| value.to_string()),
    });
    Ok(Proposal { claims: claims.collect(), remarks: draft.remarks(), rule, cases })
}

fn read(name: &str, samples: &[Sample]) -> Result<Vec<(Format, Value)>, String> {
    if !is_rule_name(name) {
        return Err(format!(
            "`{name}` cannot be the name of a rule: lower-case letters, digits, `-` and `_`, at most 64"
        ));
    }
    if samples.is_empty() || samples.len() > MAX_SAMPLES {
        return Err(format!("a rule is proposed from 1 to {MAX_SAMPLES} samples"));
    }
    if samples.iter().map(|sample| sample.text.len()).sum::<usize>() > MAX_BYTES {
        return Err(format!("the samples have more than {MAX_BYTES} bytes: leave out what belongs to no user"));
    }
    for (number, sample) in samples.iter().enumerate() {
        if !is_call_name(&sample.call) {
            return Err(format!("`{}` cannot be the name of a call", sample.call));
        }
        if samples[..number].iter().any(|other| other.call == sample.call) {
            return Err(format!("two samples are of the call `{}`", sample.call));
        }
        check_url(sample)?;
    }
    samples
        .iter()
        .map(|sample| sample::read(&sample.text).map_err(|why| format!("the sample of `{}`: {why}", sample.call)))
        .collect()
}

/// An address may hold what must not stand in a file.
fn check_url(sample: &Sample) -> Result<(), String> {
    let Some(text) = &sample.url else { return Ok(()) };
    let url = url::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let Some(url) = url.filter(|_| !text.contains("${")) else {
        return Err(format!(
            "the address of `{}` is none: write it whole, like `https://api.acme.example/me`",
            sample.call
        ));
    };
    let credential =
        |name: &str| ["access_token", "token", "key", "api_key", "apikey", "client_secret"].contains(&name);
    if !url.username().is_empty() || url.password().is_some() || url.query_pairs().any(|(name, _)| credential(&name)) {
        return Err(format!(
            "the address of `{}` holds a credential: leave it out, and name it in the rule",
            sample.call
        ));
    }
    Ok(())
}

impl Draft<'_> {
    /// The name as people write it, and what there is.
    fn title(&self) -> String {
        let mut name = self.name.replace(['-', '_'], " ");
        name[..1].make_ascii_uppercase();
        let has = |claim: &str| self.choices.claims.iter().any(|choice| choice.claim == claim);
        let what = match (has("email"), has("groups") || has("roles")) {
            (true, true) => "profile, e-mail and groups",
            (true, false) => "profile and e-mail",
            (false, true) => "profile and groups",
            (false, false) => "profile",
        };
        format!("{name}: {what}")
    }

    /// The address of a call, or one to be replaced.
    fn url(&self, call: usize) -> String {
        let host = self.name.replace('_', "-");
        let host = host.trim_matches('-');
        let host = if host.is_empty() { "provider" } else { host };
        // A call whose address is not known most likely goes where the others go.
        let known = self.samples.iter().find_map(|sample| url::Url::parse(sample.url.as_ref()?).ok());
        let origin =
            known.map_or_else(|| format!("https://api.{host}.example"), |url| url.origin().ascii_serialization());
        self.samples[call].url.clone().unwrap_or_else(|| format!("{origin}/{}", self.calls[call]))
    }

    /// Where the keys of a signed answer most likely are.
    fn jwks(&self, call: usize) -> String {
        match &self.formats[call] {
            Format::Jwt { issuer, .. } if issuer.starts_with("https://") => {
                format!("{}/.well-known/jwks.json", issuer.trim_end_matches('/'))
            }
            _ => "https://issuer.example/.well-known/jwks.json".to_owned(),
        }
    }

    /// True if an answer is signed, so that no case can show claims: the issuer's keys are not at hand.
    fn is_signed(&self) -> bool {
        self.formats.iter().any(|format| matches!(format, Format::Jwt { .. }))
    }

    /// What the rule would make of the samples if nothing were signed.
    async fn unsigned(&self, values: &[Value]) -> Result<Vec<(String, Value)>, String> {
        let plain = self.samples.iter().zip(values);
        let samples: Vec<_> =
            plain.map(|(sample, value)| Sample { text: value.to_string(), ..sample.clone() }).collect();
        let formats = samples.iter().map(|_| Format::Json).collect();
        let draft = Draft { samples: &samples, calls: self.calls.clone(), formats, ..*self };
        draft.run(&write::rule(&draft)).await
    }

    /// What the rule makes of the samples, in its order.
    async fn run(&self, rule: &str) -> Result<Vec<(String, Value)>, String> {
        let source = Source::new("cases", write::cases(self, &[]));
        let (cases, problems) = Cases::read(&source);
        if let Some(problem) = problems.first() {
            return Err(format!("the sample makes no case: {}", problem.message));
        }
        let files = |_: &str| Err("there is no such file".to_owned());
        let verdict = cases.run(0, (self.name, &Source::new("rule", rule)), &files).await;
        if let Some(fault) = verdict.faults.first() {
            let why = verdict.failure.clone().unwrap_or_else(|| fault.words());
            return Err(format!("no rule could be made of the sample: {why}"));
        }
        let found = |claim: &str| match &verdict.answered {
            Some(Answered::Claims(claims)) => {
                claims.iter().find(|(name, _)| name == claim).map(|(_, value)| value.clone())
            }
            _ => None,
        };
        let claims = self.choices.claims.iter();
        Ok(claims.filter_map(|choice| Some((choice.claim.to_owned(), found(choice.claim)?))).collect())
    }

    /// The call whose answer has the person where those of GraphQL have it.
    fn looks_like_graphql(&self) -> Option<&str> {
        let person = self.choices.person.as_ref()?;
        let keys = person.keys();
        matches!(keys.first().map(String::as_str), Some("data"))
            .then(|| keys.get(1))
            .flatten()
            .filter(|key| matches!(key.as_str(), "viewer" | "me" | "currentuser"))
            .map(|_| &*self.calls[person.call])
    }

    fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        for (call, sample) in self.samples.iter().enumerate().filter(|(_, sample)| sample.url.is_none()) {
            remarks.push(format!("[call.{}] has the address {}: write the real one", sample.call, self.url(call)));
        }
        if self.is_signed() {
            remarks.push("the answer is signed: check where the issuer's keys are, and who it is for".into());
        }
        if let Some(call) = self.looks_like_graphql() {
            remarks.push(format!(
                "[call.{call}] may be one of GraphQL: write the query that gave the answer as `graphql`"
            ));
        }
        if self.choices.mutable_subject {
            remarks.push("there is no id in the sample, so `sub` is something that can change: look for one".into());
        }
        if let Some(spot) = &self.choices.doubtful {
            let path = paths::json_path(spot, &self.calls);
            remarks
                .push(format!("{path} may say that the e-mail is verified, or something else: the rule has a comment"));
        }
        if self.choices.claims.iter().any(|choice| matches!(choice.form, Form::FirstOf(_))) {
            remarks.push("something is empty in the sample: a second case with a fuller answer would show more".into());
        }
        remarks
    }
}
