//! From `[call.*]` as written to a plan that is ready to run.

mod lists;

use std::{ops::Range, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use url::Url;

use super::{
    body::{Body, Json},
    decode::Decoder,
    meta::Meta,
    plan::{Address, Call, Plan, Row, TokenPlan},
    redirect::Redirects,
};
use crate::core::{
    facts::{Root, Shape},
    identity::{Half, Identity},
    keyring::Verifier,
    problem::{Code, Problem, Problems, Severity, Source, did_you_mean},
    rule::{self, FailWhen, Key, Rule, Text, TokenPlace},
    value::{Expression, Known, Mentions, Offer, Position, Spot, Template},
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
    let compiled: Vec<_> = compiled.into_iter().flatten().collect();
    if compiled.len() != known.calls.len() || !ordered {
        return None;
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

/// Has all calls wait for the one that says whether the token is good, but for those that it needs itself.
fn put_first(first: usize, compiled: &mut [Option<Call>]) {
    let mut before = vec![first];
    let mut at = 0;
    while let Some(number) = before.get(at).copied() {
        let needs = compiled[number].as_ref().map(|call| call.needs.clone()).unwrap_or_default();
        for need in needs {
            if !before.contains(&need) {
                before.push(need);
            }
        }
        at += 1;
    }
    let others = compiled.iter_mut().enumerate().filter(|(number, _)| !before.contains(number));
    others.filter_map(|(_, call)| call.as_mut()).for_each(|call| call.needs.push(first));
}

/// A call that says whether the token is good must be made, must not fail in silence, and must carry the token.
fn check_first(source: &Arc<Source>, name: &Text, call: &rule::Call, problems: &mut Problems) {
    let fault = match call {
        call if call.optional => "it is optional, so a bad token would pass",
        call if call.when.is_some() => "it has a `when`, so a bad token could pass",
        call if call.each.is_some() || call.paginate.is_some() => "it gives a list, not what is known of the token",
        _ => return,
    };
    let message = format!("the call `{}` cannot say whether the token is good", name.value);
    let problem = Problem::new(Code::BadValue, rule::place(source, &name.span), message);
    problems.add(problem.label(fault).help("a check is one request that always has to succeed"));
}

/// Reports calls that wait for one another. A call that could not be compiled waits for nothing.
fn is_ordered(source: &Arc<Source>, compiled: &[Option<Call>], calls: &[rule::Call], problems: &mut Problems) -> bool {
    let needs = |at: usize| compiled[at].as_ref().map_or(&[][..], |call| &call.needs);
    let mut stuck: Vec<_> = (0..compiled.len()).collect();
    loop {
        // Calls that can run are taken away, and calls that nobody waits for: they are not what is wrong.
        let all = stuck.clone();
        stuck.retain(|at| needs(*at).iter().any(|need| all.contains(need)));
        stuck.retain(|at| all.iter().any(|other| needs(*other).contains(at)));
        if stuck.len() == all.len() {
            break;
        }
    }
    let Some(first) = stuck.first() else { return true };
    let names: Vec<_> = stuck.iter().map(|at| format!("`{}`", calls[*at].name.name)).collect();
    let (message, label, help) = match &names[..] {
        [name] => (
            format!("the call {name} waits for itself"),
            "reads its own answer",
            "before a call is sent it has no answer; `fail_when` can read it afterwards",
        ),
        _ => (
            format!("these calls wait for one another: {}", names.join(", ")),
            "one of them",
            "each reads an answer of another; take one mention away",
        ),
    };
    let place = rule::place(source, &calls[*first].span());
    problems.add(Problem::new(Code::Cycle, place, message).label(label).help(help));
    false
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

/// Headers that belong to HTTP itself, or whose value follows from the rest of the call.
const OWNED_HEADERS: [HeaderName; 7] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
];

pub(super) const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("claimsmith/", env!("CARGO_PKG_VERSION")));

impl Compiler<'_> {
    fn call(&mut self, call: &rule::Call) -> Option<Call> {
        let before = self.problems.len();
        let method = self.method(call);
        let decoder = self.decoder(call)?;
        let (headers, fixed_headers, fixed_shown, content_type) = self.headers(call, decoder.accept());
        let body = Body::compile(self.source, call.body.as_ref(), content_type.as_deref(), self.known, self.problems);
        let address = self.address(call);
        let query = self.query(call);
        let when = call.when.as_ref().and_then(|when| self.condition_before(when));
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
        let fail_when = self.fail_when(&call.fail_when);
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
            method: method?,
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
            shape: Shape::nothing(),
            meta: Meta::default(),
            graphql: matches!(call.body, Some(rule::Body::Graphql { .. })),
            retry,
            each,
            paginate,
        };
        if compiled.graphql {
            compiled.shape.add(&["errors".into()]);
        }
        self.auth(call, &mut compiled);
        self.token(call, &mut compiled);
        fold_query(&mut compiled);
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
        let template = self.template(text, position)?;
        let fixed = template.fixed().map(std::borrow::Cow::into_owned);
        if fixed.is_none() {
            self.bad(
                Code::BadValue,
                text,
                format!("{what} cannot depend on a request"),
                "known only when a request is there",
                "use `${secrets.…}`, `${vars.…}` or plain text",
            );
        }
        fixed
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
    fn condition_before(&mut self, text: &Text) -> Option<Expression> {
        let known = Known { each: false, ..*self.known };
        let spot = Spot::text(self.source, text);
        Expression::compile(&spot, &text.value, Offer::Document, &known, self.problems)
    }

    fn condition(&mut self, text: &Text) -> Option<Expression> {
        let spot = Spot::text(self.source, text);
        Expression::compile(&spot, &text.value, Offer::Document, self.known, self.problems)
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

    fn address(&mut self, call: &rule::Call) -> Option<Address> {
        let text = &call.url;
        let template = self.template(text, Position::Url)?;
        let help = "write `https://host/path`; the host may come from `${vars.…}` alone";
        let (whole, start) = (template.fixed().map(std::borrow::Cow::into_owned), template.fixed_start());
        let origin_is_fixed =
            whole.is_some() || start.split_once("://").is_some_and(|(_, after)| after.contains(['/', '?']));
        if !origin_is_fixed {
            let range = from_elsewhere(&text.value).unwrap_or(0..text.value.len());
            let message = "scheme, host and port are not fixed by the rule";
            self.bad_part(Code::BadUrl, text, range, message, "known only when a request is there", help);
            return None;
        }
        // A part of the path that is cut off in the middle of an escape would not parse; the origin does.
        let origin_end = start.find("://").map_or(0, |at| at + 3);
        let origin = &start[..start[origin_end..].find(['/', '?', '#']).map_or(start.len(), |at| origin_end + at)];
        let parsed = Url::parse(whole.as_deref().unwrap_or(origin));
        let url = match parsed {
            Ok(url) => url,
            Err(error) => {
                self.bad(Code::BadUrl, text, "not a URL", &error.to_string(), help);
                return None;
            }
        };
        if let Some((range, message, label, help)) = unfit(&url, &text.value) {
            self.bad_part(Code::BadUrl, text, range, message, label, help);
            return None;
        }
        Some(match whole {
            Some(_) => {
                let shown = if template.is_secret() { template.text().to_owned() } else { url.to_string() };
                Address::Fixed(url, shown)
            }
            None => Address::Template(template, url),
        })
    }

    fn query(&mut self, call: &rule::Call) -> Vec<(String, Template)> {
        let mut query = Vec::new();
        for (key, text) in &call.query {
            self.not_a_path(text);
            if let Some(template) = self.template(text, Position::Query) {
                // `$` is common in names (OData) and means nothing to a URL.
                let name =
                    url::form_urlencoded::byte_serialize(key.name.as_bytes()).collect::<String>().replace("%24", "$");
                query.push((name, template));
            }
        }
        query
    }

    /// In a call, a value is text: a path would be sent letter for letter.
    fn not_a_path(&mut self, text: &Text) {
        if let Some(path) = text.value.strip_prefix("$.") {
            let help = format!("write `${{{path}}}`");
            let message = "a JSONPath has no meaning here: it would be sent as text";
            self.bad(Code::PlainText, text, message, "not looked up", help);
        }
    }

    #[expect(clippy::type_complexity, reason = "four lists that are made in one pass and taken apart at once")]
    fn headers(
        &mut self,
        call: &rule::Call,
        accept: HeaderValue,
    ) -> (Vec<(HeaderName, Template)>, HeaderMap, Vec<String>, Option<String>) {
        let mut headers = Vec::new();
        let mut fixed = HeaderMap::new();
        let mut shown = Vec::new();
        let mut content_type = None;
        for (key, text) in &call.headers {
            self.not_a_path(text);
            let Ok(name) = HeaderName::try_from(key.name.as_str()) else {
                self.bad_key(
                    Code::BadHeader,
                    key,
                    format!("not a header name: `{}`", key.name),
                    "no header has this name",
                    "letters, digits and `-`",
                );
                continue;
            };
            if OWNED_HEADERS.contains(&name) {
                self.bad_key(
                    Code::BadHeader,
                    key,
                    format!("`{name}` cannot be set by a rule"),
                    "belongs to HTTP itself",
                    "it follows from the address and the body",
                );
                continue;
            }
            let Some(template) = self.template(text, Position::Header) else { continue };
            if name == header::CONTENT_TYPE {
                content_type = template.fixed().map(std::borrow::Cow::into_owned);
            }
            match template.fixed() {
                Some(value) => match HeaderValue::from_bytes(value.as_bytes()) {
                    Ok(mut value) => {
                        value.set_sensitive(template.is_secret());
                        let words =
                            if template.is_secret() { named(text) } else { value.to_str().unwrap_or_default().into() };
                        shown.push(format!("{name}: {words}"));
                        fixed.insert(name, value);
                    }
                    Err(_) => self.bad(
                        Code::BadHeader,
                        text,
                        "no header can have this value",
                        "a line break or a control character",
                        "a header is one line of text",
                    ),
                },
                None => headers.push((name, template)),
            }
        }
        let mut default = |name: HeaderName, value: HeaderValue| {
            if !fixed.contains_key(&name) && !headers.iter().any(|(other, _)| *other == name) {
                fixed.insert(name, value);
            }
        };
        default(header::USER_AGENT, USER_AGENT);
        default(header::ACCEPT, accept);
        if let Some(body) = &call.body {
            let kind = match body {
                rule::Body::Json(_) | rule::Body::Graphql { .. } => Some("application/json"),
                rule::Body::Form(_) => Some("application/x-www-form-urlencoded"),
                rule::Body::Raw(_) => None,
            };
            if let Some(kind) = kind {
                default(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            }
        }
        (headers, fixed, shown, content_type)
    }

    /// False, with a problem, if something else in the call sets `Authorization` already.
    pub(super) fn set_authorization(&mut self, call: &rule::Call, compiled: &Call, by: &str) -> bool {
        let taken = compiled.own_token.is_some()
            || compiled.fixed_headers.contains_key(header::AUTHORIZATION)
            || compiled.headers.iter().any(|(name, _)| *name == header::AUTHORIZATION);
        if taken {
            let message = format!("[call.{}] sets the header Authorization twice, once by {by}", call.name.name);
            self.bad_key(
                Code::Conflict,
                &call.name,
                message,
                "in this call",
                "keep one: `token`, `auth` or the header; `token = \"none\"` keeps the caller's token out",
            );
        }
        !taken
    }

    fn token(&mut self, call: &rule::Call, compiled: &mut Call) {
        let written_out = self.mentions.token;
        let place = match &call.token {
            Some(place) => place,
            // With credentials of our own, or the token written where it must stand, nothing is added.
            None if call.auth.is_some() || written_out => &TokenPlace::None,
            None => &TokenPlace::Bearer,
        };
        let uses_authorization =
            matches!(place, TokenPlace::Bearer | TokenPlace::AsReceived | TokenPlace::Bare | TokenPlace::Scheme(_));
        let by = match &call.token {
            Some(_) => "`token`",
            None => "the caller's token, which travels there unless `token` says otherwise",
        };
        if uses_authorization && !self.set_authorization(call, compiled, by) {
            return;
        }
        compiled.carries_token = written_out || !matches!(place, TokenPlace::None);
        compiled.token = match place {
            TokenPlace::Bearer => TokenPlan::Bearer,
            TokenPlace::None => TokenPlan::Elsewhere,
            TokenPlace::Bare => TokenPlan::Scheme(String::new()),
            TokenPlace::AsReceived => TokenPlan::AsReceived,
            TokenPlace::Scheme(text) => match HeaderName::try_from(text.value.as_str()) {
                Ok(_) => TokenPlan::Scheme(text.value.clone()),
                Err(_) => {
                    return self.bad(
                        Code::BadHeader,
                        text,
                        format!("not an authorization scheme: `{}`", text.value),
                        "no scheme has this name",
                        "letters, digits and `-`",
                    );
                }
            },
            TokenPlace::Header(text) => match HeaderName::try_from(text.value.as_str()) {
                Ok(name) if !OWNED_HEADERS.contains(&name) => TokenPlan::Header(name),
                _ => {
                    return self.bad(
                        Code::BadHeader,
                        text,
                        format!("not a header that can hold a token: `{}`", text.value),
                        "no header of ours",
                        "letters, digits and `-`",
                    );
                }
            },
            TokenPlace::Query(text) => TokenPlan::Query(text.value.clone()),
            TokenPlace::Form(text) => match &mut compiled.body {
                Body::Form(_) => TokenPlan::Form(text.value.clone()),
                body @ Body::None => {
                    *body = Body::Form(Vec::new());
                    default_content_type(compiled);
                    TokenPlan::Form(text.value.clone())
                }
                _ => {
                    return self.bad(
                        Code::Conflict,
                        text,
                        "a token in a form needs `form`, not another body",
                        "there is another body",
                        "write the other fields as `form = { … }`",
                    );
                }
            },
            TokenPlace::Json(text) => match &mut compiled.body {
                Body::Json(Json::Object(members)) => {
                    members.push((text.value.clone(), Json::Token));
                    TokenPlan::Elsewhere
                }
                body @ Body::None => {
                    *body = Body::Json(Json::Object(vec![(text.value.clone(), Json::Token)]));
                    default_content_type(compiled);
                    TokenPlan::Elsewhere
                }
                _ => {
                    return self.bad(
                        Code::Conflict,
                        text,
                        "a token in JSON needs a `json` object, not another body",
                        "there is another body",
                        "write the other members as `json = { … }`",
                    );
                }
            },
        };
    }

    fn fail_when(&mut self, rows: &[FailWhen]) -> Vec<Row> {
        let mut compiled = Vec::new();
        for row in rows {
            let when = self.condition(&row.when);
            let denial = rule::denial(self.source, &row.error, self.problems);
            if let (Some(when), Some(denial)) = (when, denial) {
                when.mentions(self.mentions);
                let reason = row.reason.as_ref().map_or(denial.reason(), |reason| &reason.value).to_owned();
                compiled.push(Row { when, denial, reason });
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

    fn redirects(&mut self, call: &rule::Call) -> Redirects {
        let mut others = Vec::new();
        for text in &call.redirect.origins {
            match Url::parse(&text.value) {
                Ok(url) if url.origin().is_tuple() && url.path() == "/" && url.query().is_none() => {
                    others.push(url.origin());
                }
                _ => self.bad(
                    Code::BadUrl,
                    text,
                    format!("not an origin: `{}`", text.value),
                    "not just scheme, host and port",
                    "scheme, host and port alone: `https://host`",
                ),
            }
        }
        Redirects { max: call.redirect.max, others }
    }
}

/// The first `${…}` of an address that the rule alone does not fix.
fn from_elsewhere(text: &str) -> Option<Range<usize>> {
    let at = text.match_indices("${").map(|(at, _)| at).find(|at| !text[at + 2..].trim_start().starts_with("vars."))?;
    Some(at..text[at..].find('}').map_or(text.len(), |end| at + end + 1))
}

/// Why a call cannot go to a URL: the part that is wrong, headline, label and remedy.
pub(super) fn unfit(url: &Url, text: &str) -> Option<(Range<usize>, String, &'static str, &'static str)> {
    let whole = 0..text.len();
    let host = text.find("://").map_or(0, |at| at + 3);
    if !matches!(url.scheme(), "http" | "https") {
        let message = format!("not a scheme that a call can use: `{}`", url.scheme());
        let range = text.find(':').map_or(whole, |end| 0..end);
        return Some((range, message, "neither `https` nor `http`", "write `https://host/path`"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let range = text[host..].find('@').map_or(whole, |end| host..host + end);
        let help = "write them as `auth = { basic = { user = …, password = … } }`";
        return Some((range, "credentials in a URL end up in logs".into(), "before the host", help));
    }
    url.fragment().map(|_| {
        let range = text.find('#').map_or(whole, |at| at..text.len());
        let help = "take it away, or write `%23` for a `#` that belongs to the path";
        (range, "a fragment is never sent".into(), "`#` starts a fragment", help)
    })
}

/// A text with `${secrets.NAME}` as people may see it.
pub(super) fn named(text: &Text) -> String {
    text.value.replace("${", "[").replace('}', "]")
}

fn default_content_type(call: &mut Call) {
    if let Some(kind) = call.body.content_type() {
        call.fixed_headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static(kind));
    }
}

/// Parameters that are the same for every request become part of the fixed address.
fn fold_query(call: &mut Call) {
    let Address::Fixed(url, shown) = &mut call.address else { return };
    // Their order is the rule's, so only a leading run can be folded.
    while let Some((name, template)) = call.query.first() {
        let Some(value) = template.fixed() else { return };
        let both = |before: &str, value: &str| {
            let mark = if before.is_empty() { "" } else { "&" };
            format!("{before}{mark}{name}={value}")
        };
        let query = both(url.query().unwrap_or_default(), &value);
        let value = if template.is_secret() {
            template.text().replace("${", "[").replace('}', "]")
        } else {
            value.into_owned()
        };
        let mark = if shown.contains('?') { '&' } else { '?' };
        shown.push_str(&format!("{mark}{name}={value}"));
        url.set_query(Some(&query));
        call.query.remove(0);
    }
}
