//! From `[call.*]` as written to a plan that is ready to run.

mod address;
mod cache;
mod headers;
mod lists;
mod order;

use std::{ops::Range, sync::Arc, time::Duration};

use http::Method;

pub use self::cache::check_changes;
pub(super) use self::headers::{USER_AGENT, named};
use self::{
    address::fold_query,
    order::{check_first, is_ordered, put_first},
};
use super::{
    body::Body,
    decode::Decoder,
    meta::Meta,
    plan::{Address, Call, Plan, Row, TokenPlan},
};
use crate::core::{
    facts::{Root, Shape},
    identity::{Half, Identity},
    keyring::Verifier,
    problem::{Code, Problem, Problems, Severity, Source, did_you_mean},
    rule::{self, Key, Rule, Text, TokenPlace},
    trace::Asking,
    value::{Condition, Known, Mentions, Offer, Position, Spot, Template},
};

/// Compiles the calls of a rule. `None` if there was a problem.
pub fn compile(rule: &Rule, known: &Known<'_>, check: &Check<'_>, problems: &mut Problems) -> Option<Plan> {
    let (source, calls) = (&rule.source, &rule.calls);
    let mut compiled = Vec::with_capacity(calls.len());
    let mut all = Mentions::default();
    for call in calls {
        let mut mentions = Mentions::default();
        let known = Known { each: call.each.is_some(), ..*known };
        let mut compiler = Compiler { source, known: &known, check, problems: &mut *problems, mentions: &mut mentions };
        compiled.push(compiler.call(call));
        all.extend(&mentions);
    }
    if let (Some(rule::Token::Call(name)), Some(Root::Call(first))) = (&rule.token, known.token) {
        put_first(first, &mut compiled);
        check_first(source, name, &calls[first], problems);
    }
    let ordered = is_ordered(source, &compiled, calls, problems);
    let mut compiled: Vec<_> = compiled.into_iter().flatten().collect();
    if compiled.len() != known.calls.len() || !ordered {
        return None;
    }
    for call in &mut compiled {
        call.after = call.needs.iter().map(|need| known.calls[*need].clone()).collect();
    }
    let mut plan = Plan { calls: compiled, mentions: Mentions::default() };
    plan.keep(&all);
    plan.mentions = all;
    Some(plan)
}

/// Reports answers that are one text where members of it are read: they would never be there. The plan has to
/// know everything that is read.
pub fn check_texts(source: &Arc<Source>, calls: &[rule::Call], plan: &Plan, problems: &mut Problems) {
    for (call, compiled) in calls.iter().zip(&plan.calls) {
        let (Some(decode), Shape::Members(members)) = (&call.decode, &compiled.shape) else { continue };
        if let Some((member, _)) =
            members.first().filter(|_| compiled.decoder.gives_text() && compiled.is_one_request())
        {
            let name = &call.name.name;
            let message = format!("`{name}` is a text, but the rule reads its member `{member}`");
            problems.add(
                Problem::new(Code::NotHere, rule::place(source, &decode.span), message)
                    .label("gives a text, which has no members")
                    .help(format!("read the whole of it: `$.{name}`, or choose another format")),
            );
        }
    }
}

pub(super) struct Compiler<'a> {
    pub(super) source: &'a Arc<Source>,
    pub(super) known: &'a Known<'a>,
    /// Whether the host can make connections with an identity.
    pub(super) check: &'a Check<'a>,
    pub(super) problems: &'a mut Problems,
    mentions: &'a mut Mentions,
}

/// Asks a host about an identity.
pub(super) type Check<'a> = dyn Fn(&Identity) -> Result<(), (Half, String)> + 'a;

impl Compiler<'_> {
    fn call(&mut self, call: &rule::Call) -> Option<Call> {
        let before = self.problems.len();
        let method = self.method(call);
        let safe = method.as_ref().is_some_and(|method| cache::is_safe(call, method));
        let decoder = self.decoder(call)?;
        let (headers, fixed_headers, fixed_shown, content_type) = self.headers(call, decoder.accept());
        let body = Body::compile(self.source, call.body.as_ref(), content_type.as_deref(), self.known, self.problems);
        let address = self.address(call);
        let query = self.query(call);
        let when = call.when.as_ref().and_then(|when| self.condition_before(call, when));
        let each = call.each.as_ref().and_then(|each| self.each(each));
        // What the call reads before it is sent decides when it can start.
        for text in headers.iter().map(|(_, text)| text).chain(query.iter().map(|(_, text)| text)) {
            text.mentions(self.mentions);
        }
        if let Some(body) = &body {
            body.mentions(self.mentions);
        }
        if let Some(Address::Template(text, _)) = &address {
            text.mentions(self.mentions);
        }
        if let Some(when) = &when {
            when.mentions(self.mentions);
        }
        if let Some(each) = &each {
            each.path.mentions(self.mentions);
        }
        let mut needs = self.needs(call);
        let fail_when = self.fail_when(call);
        let paginate = call.paginate.as_ref().and_then(|paginate| self.paginate(call, paginate));
        let retry = call.retry.as_ref().and_then(|retry| self.retry(call, retry));
        // What its answer is judged by must be there too when it comes. Its own answer is.
        let judged_by = self.needs(call).into_iter().filter(|need| self.known.calls[*need] != call.name.name);
        needs.extend(judged_by);
        needs.sort_unstable();
        needs.dedup();
        let timeout = call.timeout.as_ref().and_then(|timeout| self.timeout(timeout));
        let redirects = self.redirects(call);
        let mut compiled = Call {
            name: call.name.name.clone(),
            place: rule::place(self.source, &call.name.span),
            method: method?,
            safe,
            address: address?,
            query,
            fixed_headers,
            fixed_shown,
            headers,
            body: body?,
            token: TokenPlan::Elsewhere,
            own_token: None,
            identity: None,
            carries_token: false,
            decoder,
            optional: call.optional,
            when,
            expect: call.expect.clone(),
            fail_when,
            timeout,
            redirects,
            needs,
            after: Vec::new(),
            shape: Shape::nothing(),
            meta: Meta::default(),
            graphql: matches!(call.body, Some(rule::Body::Graphql { .. })),
            retry,
            each,
            paginate,
            cache: None,
            watched: false,
        };
        if compiled.graphql {
            compiled.shape.add(&["errors".into()]);
        }
        self.auth(call, &mut compiled);
        self.token(call, &mut compiled);
        fold_query(&mut compiled);
        compiled.cache = self.cache(call, &compiled);
        (self.problems.len() == before
            || !self.problems.iter().skip(before).any(|problem| problem.severity() == Severity::Error))
        .then_some(compiled)
    }

    fn spot<'t>(&'t self, text: &'t Text) -> Spot<'t> {
        Spot::text(self.source, text)
    }

    pub(super) fn bad(
        &mut self,
        code: Code,
        text: &Text,
        message: impl Into<String>,
        label: &str,
        help: impl Into<String>,
    ) {
        self.bad_part(code, text, 0..text.value.len(), message, label, help);
    }

    pub(super) fn bad_part(
        &mut self,
        code: Code,
        text: &Text,
        range: Range<usize>,
        message: impl Into<String>,
        label: &str,
        help: impl Into<String>,
    ) {
        let problem = self.spot(text).problem(code, range, message).label(label).help(help);
        self.problems.add(problem);
    }

    pub(super) fn bad_key(
        &mut self,
        code: Code,
        key: &Key,
        message: impl Into<String>,
        label: &str,
        help: impl Into<String>,
    ) {
        let place = rule::place(self.source, &key.span);
        self.problems.add(Problem::new(code, place, message).label(label).help(help));
    }

    pub(super) fn template(&mut self, text: &Text, position: Position) -> Option<Template> {
        let spot = Spot::text(self.source, text);
        Template::compile(&spot, &text.value, position, Offer::Call, self.known, self.problems)
    }

    /// A text that must be known when the rule is loaded.
    pub(super) fn fixed(&mut self, text: &Text, position: Position, what: &str) -> Option<String> {
        let spot = Spot::text(self.source, text);
        let fixed = Template::compile_fixed(&spot, &text.value, position, what, self.known, self.problems);
        fixed.map(|fixed| fixed.value)
    }

    fn decoder(&mut self, call: &rule::Call) -> Option<Decoder> {
        match call.decode.as_ref().map(|decode| &decode.format) {
            Some(rule::Format::Jwt(jwt)) => {
                let verifier = Verifier::compile(self.source, jwt, false, self.known, self.problems)?;
                Some(Decoder::Jwt(Box::new(verifier)))
            }
            _ => Some(Decoder::new(call.decode.as_ref())),
        }
    }

    /// The calls whose answers are read before this one is sent.
    fn needs(&self, call: &rule::Call) -> Vec<usize> {
        let number = |name: &str| self.known.calls.iter().position(|call| call == name);
        let mut needs: Vec<_> = self.mentions.calls().collect();
        for (_, members) in self.mentions.paths.iter().filter(|(root, _)| *root == Root::Meta) {
            match members.first() {
                Some(name) => needs.extend(number(name)),
                // All of it: every other call comes first.
                None => {
                    let own = number(&call.name.name);
                    needs.extend((0..self.known.calls.len()).filter(|other| Some(*other) != own));
                }
            }
        }
        needs.sort_unstable();
        needs.dedup();
        needs
    }

    /// A condition that is asked before there is any value of `each`.
    fn condition_before(&mut self, call: &rule::Call, text: &Text) -> Option<Condition> {
        let known = Known { each: false, ..*self.known };
        Condition::compile(self.source, text, Asking::When, Some(&call.name.name), &known, self.problems)
    }

    fn condition(&mut self, call: &rule::Call, asking: Asking, text: &Text) -> Option<Condition> {
        Condition::compile(self.source, text, asking, Some(&call.name.name), self.known, self.problems)
    }

    fn method(&mut self, call: &rule::Call) -> Option<Method> {
        let has_body = call.body.is_some() || matches!(call.token, Some(TokenPlace::Form(_) | TokenPlace::Json(_)));
        let Some(text) = &call.method else {
            return Some(if has_body { Method::POST } else { Method::GET });
        };
        const KNOWN: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
        if !KNOWN.contains(&text.value.as_str()) {
            let help = did_you_mean(&text.value, KNOWN);
            let message = format!("not a method that a call can use: `{}`", text.value);
            self.bad(Code::BadValue, text, message, "unknown method", help);
            return None;
        }
        Method::from_bytes(text.value.as_bytes()).ok()
    }

    fn fail_when(&mut self, call: &rule::Call) -> Vec<Row> {
        let mut compiled = Vec::new();
        for row in &call.fail_when {
            let when = self.condition(call, Asking::FailWhen, &row.when);
            let denial = rule::denial(self.source, &row.error, self.problems);
            if let (Some(when), Some(denial)) = (when, denial) {
                let mut reads = Mentions::default();
                when.mentions(&mut reads);
                let of_call = |(root, members): &(Root, Vec<String>)| {
                    *root == Root::Meta && members.first().is_none_or(|name| *name == call.name.name)
                };
                let reads_meta = reads.paths.iter().any(of_call);
                self.mentions.extend(&reads);
                let reason = row.reason.as_ref().map_or(denial.reason(), |reason| &reason.value).to_owned();
                compiled.push(Row { when, denial, reason, reads_meta });
            }
        }
        compiled
    }

    fn timeout(&mut self, text: &Text) -> Option<Duration> {
        const LONGEST: Duration = Duration::from_secs(60);
        let parsed =
            text.value.parse::<jiff::SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok());
        match parsed {
            Some(duration) if !duration.is_zero() && duration <= LONGEST => Some(duration),
            Some(_) => {
                let message = format!("not a timeout of a call: `{}`", text.value);
                self.bad(Code::BadValue, text, message, "out of range", "from `1ms` to `60s`");
                None
            }
            None => {
                self.bad(
                    Code::BadValue,
                    text,
                    format!("not a duration: `{}`", text.value),
                    "no number with a unit",
                    "for example `2s` or `500ms`",
                );
                None
            }
        }
    }
}
