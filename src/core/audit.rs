//! Is a sound rule safe? Habits that end in the wrong user, a leaked token or a login that hangs.
//!
//! Every finding is a warning or advice; `[accept]` takes one away, with a reason that stays in the rule.

mod exposure;

use url::{Host, Origin, Url};

use self::exposure::Exposure;
use super::{
    calls,
    problem::{Code, Problem, Problems, Span},
    rule::{self, Call, Options, Rule, Script, Selection, Text, TokenPlace, Written},
    token,
    value::closing,
};

/// Looks at a rule that compiled, and takes away what its author accepts.
pub fn run(rule: &Rule, token: Option<&token::Check>, calls: &calls::Plan, problems: &mut Problems) {
    let destinations: Vec<_> = calls.destinations().collect();
    let mut audit = Audit { rule, problems };
    for ((call, (url, _)), endpoint) in rule.calls.iter().zip(&destinations).zip(calls.token_endpoints()) {
        audit.plain_http(&format!("[call.{}] goes", call.name.name), &call.url, url);
        if let (Some(text), Some(url)) = (call.token_url(), endpoint) {
            audit.plain_http(&format!("[call.{}] gets our token", call.name.name), text, url);
        }
        audit.credential_in_query(call);
        audit.token_not_sent(call);
        audit.redirect_across(call);
        audit.no_timeout(call);
    }
    for (call, url) in rule.calls.iter().zip(calls.key_sets()) {
        if let (Some(text), Some(url)) = (call.jwt().and_then(|jwt| jwt.jwks.as_ref()), url) {
            audit.plain_keys(&format!("[call.{}] gets the keys for its answer", call.name.name), text, url);
        }
    }
    match (&rule.token, token.and_then(token::Check::endpoint)) {
        (Some(rule::Token::Jwt(jwt)), Some(url)) => {
            jwt.jwks.iter().for_each(|text| audit.plain_keys("[token] gets the keys", text, url));
        }
        (Some(rule::Token::Introspect(introspect)), Some(url)) => {
            audit.plain_http("[token] asks about the token", &introspect.url, url);
        }
        _ => {}
    }
    audit.several_origins(&destinations);
    audit.constant_verified();
    audit.subject();
    accept(rule, problems);
}

struct Audit<'a> {
    rule: &'a Rule,
    problems: &'a mut Problems,
}

impl Audit<'_> {
    fn found(&mut self, code: Code, span: &Span, message: String, label: &str, help: &str) {
        let place = rule::place(&self.rule.source, span);
        self.problems.add(Problem::new(code, place, message).label(label).help(help));
    }

    fn plain_http(&mut self, what: &str, text: &Text, url: &Url) {
        let help = "write `https://`: whoever sits on the way can read the token and change the answer";
        self.plain(what, text, url, help);
    }

    fn plain_keys(&mut self, what: &str, text: &Text, url: &Url) {
        let help = "write `https://`: whoever sits on the way can put in keys of its own, and sign what it likes";
        self.plain(what, text, url, help);
    }

    fn plain(&mut self, what: &str, text: &Text, url: &Url, help: &str) {
        if url.scheme() != "https" && !is_loopback(url) {
            let message = format!("{what} over plain HTTP");
            self.found(Code::PlainHttp, &text.span, message, "no TLS", help);
        }
    }

    fn credential_in_query(&mut self, call: &Call) {
        let after = query_of(&call.url.value).map(|query| (query, &call.url));
        let mut values = call.query.iter().map(|(_, text)| (text.value.as_str(), text)).chain(after);
        let written = values.find(|(text, _)| {
            let exposure = Exposure::of(text);
            exposure.token || exposure.secret
        });
        let token = match &call.token {
            Some(TokenPlace::Query(text)) => Some(text),
            _ => None,
        };
        if let Some(text) = written.map(|(_, text)| text).or(token) {
            let message = format!("[call.{}] sends a credential in the query", call.name.name);
            let help = "addresses end up in the logs of servers and proxies: send it in a header, if the provider can";
            self.found(Code::CredentialInQuery, &text.span, message, "part of the address", help);
        }
    }

    /// What is made of the token takes the place of the token, which may not be what its author means.
    fn token_not_sent(&mut self, call: &Call) {
        if call.token.is_some() || call.auth.is_some() {
            return;
        }
        let exposed: Vec<_> = call.texts().into_iter().map(|text| Exposure::of(&text.value)).collect();
        if exposed.iter().any(|exposed| exposed.uses_token) && !exposed.iter().any(|exposed| exposed.token) {
            let message =
                format!("[call.{}] does not send the caller's token, only what is made of it", call.name.name);
            let help = "write `token = \"bearer\"`, or how else the provider wants it; `token = \"none\"` says that it \
                need not be sent";
            self.found(Code::TokenNotSent, &call.name.span, message, "it goes into a hash or signature here", help);
        }
    }

    fn redirect_across(&mut self, call: &Call) {
        if let Some(text) = call.redirect.origins.first() {
            let message = format!("[call.{}] follows redirects to another origin", call.name.name);
            let help = "credentials stay behind, but the answer is then that origin's word: call it by its own address";
            self.found(Code::RedirectAcross, &text.span, message, "this origin may answer instead", help);
        }
    }

    fn no_timeout(&mut self, call: &Call) {
        if call.timeout.is_none() {
            let message = format!("[call.{}] has no limit of its own", call.name.name);
            let help = "write `timeout = \"3s\"`: a provider that hangs takes the whole deadline, \
                or four fifths of it if the call is optional";
            self.found(Code::NoTimeout, &call.name.span, message, "waits as long as the whole request may", help);
        }
    }

    fn several_origins(&mut self, destinations: &[(&Url, bool)]) {
        let mut seen: Option<Origin> = None;
        for (call, (url, carries_token)) in self.rule.calls.iter().zip(destinations) {
            if !carries_token {
                continue;
            }
            let origin = url.origin();
            match &seen {
                None => seen = Some(origin),
                Some(first) if *first == origin => {}
                Some(_) => {
                    let message = "the caller's token goes to more than one origin".to_owned();
                    let help = "each can use it as the user: write `token = \"none\"` where it is not needed";
                    return self.found(Code::SeveralOrigins, &call.url.span, message, "another origin", help);
                }
            }
        }
    }

    fn constant_verified(&mut self) {
        for (key, written) in &self.rule.claims {
            let named = matches!(key.name.as_str(), "email_verified" | "phone_number_verified");
            if named && let Some(options) = says_true(written) {
                let message = format!("`{}` is true whatever the provider says", key.name);
                let help = "read a field of the answer; if the provider's policy is the reason, state it: \
                    `[accept]` with `CS9003 = \"…\"`";
                self.found(Code::ConstantVerified, &options.span, message, "a constant", help);
            }
        }
    }

    fn subject(&mut self) {
        let name = self.rule.subject.as_ref().map_or("sub", |subject| &subject.value);
        let Some((_, written)) = self.rule.claims.iter().find(|(key, _)| key.name == name) else { return };
        if let Some(second) = second_choice(written) {
            let message = format!("`{name}` is the first of several values that is there");
            let help = "if the first is missing once, the user becomes another: name the one immutable id";
            self.found(Code::SubjectChain, &second.span, message, "taken when those before it are missing", help);
        }
        let mut texts = Vec::new();
        sources(written, &mut texts);
        if let Some(text) = texts.into_iter().find(|text| is_mutable(&text.value)) {
            let message = format!("`{name}` is made of something that can change");
            let help = "an e-mail address or user name can pass to somebody else, who is then this user: \
                take the provider's id";
            self.found(Code::MutableSubject, &text.span, message, "not an immutable id", help);
        }
    }
}

/// What is to be said of a rule that no case tries.
pub fn untried(rule: &Rule) -> Option<Problem> {
    let text = match rule.script.as_ref()? {
        Script::Inline(text) | Script::File(text) => text,
    };
    if rule.accept.iter().any(|(key, _)| key.name == Code::UntriedScript.id()) {
        return None;
    }
    let problem = Problem::new(Code::UntriedScript, rule::place(&rule.source, &text.span), "no case tries this script");
    let help = "write cases beside the rule, in `NAME.test.toml`: a script is code, and decides who the user is";
    Some(problem.label("untried").help(help))
}

/// Takes away what the author accepts, and tells of acceptances that accept nothing.
fn accept(rule: &Rule, problems: &mut Problems) {
    for (key, _) in &rule.accept {
        let before = problems.len();
        problems.retain(|problem| problem.code.id() != key.name);
        // Whether a script has a case is known to those who see the case file.
        if problems.len() == before && key.name != Code::UntriedScript.id() {
            let place = rule::place(&rule.source, &key.span);
            let problem = Problem::new(Code::UnusedAccept, place, format!("nothing here is {}", key.name));
            problems.add(problem.label("accepts nothing").help("take it away: it would hide a later fault"));
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

/// What stands behind the `?` of an address, which Rhai may have inside of `${…}` as well.
fn query_of(address: &str) -> Option<&str> {
    let mut at = 0;
    while let Some(next) = address[at..].find(['?', '$']).map(|next| at + next) {
        if address[next..].starts_with('?') {
            return Some(&address[next + 1..]);
        }
        at = match address[next..].strip_prefix("${") {
            Some(_) => closing(address, next + 2)?,
            None => next + 1,
        };
    }
    None
}

fn says_true(written: &Written) -> Option<&Options> {
    match written {
        Written::Options(options) => match &options.selection {
            Selection::Constant(value) if value == true || value == "true" => Some(options),
            Selection::Path(inner) => says_true(inner),
            _ if options.default.as_ref().is_some_and(|(value, _)| value == true) => Some(options),
            _ => None,
        },
        Written::Chain(items) => items.iter().find_map(says_true),
        Written::Text(_) => None,
    }
}

/// The second value of a chain.
fn second_choice(written: &Written) -> Option<&Text> {
    match written {
        Written::Chain(items) => {
            let mut texts = Vec::new();
            items.iter().skip(1).for_each(|item| sources(item, &mut texts));
            texts.into_iter().next()
        }
        // With `join` a chain gives all its parts.
        Written::Options(options) if options.join.is_none() => match &options.selection {
            Selection::Path(inner) => second_choice(inner),
            Selection::Rhai(_) | Selection::Constant(_) => None,
        },
        Written::Options(_) | Written::Text(_) => None,
    }
}

/// The texts that a value is made of.
fn sources<'w>(written: &'w Written, texts: &mut Vec<&'w Text>) {
    match written {
        Written::Text(text) => texts.push(text),
        Written::Chain(items) => items.iter().for_each(|item| sources(item, texts)),
        Written::Options(options) => match &options.selection {
            Selection::Path(inner) => sources(inner, texts),
            Selection::Rhai(text) => texts.push(text),
            Selection::Constant(_) => {}
        },
    }
}

/// Members that users or administrators change, and that pass to others.
const MUTABLE: [&str; 16] = [
    "display_name",
    "email",
    "email_address",
    "handle",
    "login",
    "mail",
    "mobile",
    "name",
    "nickname",
    "phone",
    "phone_number",
    "preferred_username",
    "screen_name",
    "upn",
    "user_name",
    "username",
];

/// True for a value that is nothing but such a member: `$.user.login`, `${user.login}`.
fn is_mutable(text: &str) -> bool {
    let inner = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
    let last = inner.rsplit(['.', '[']).next().unwrap_or_default();
    let plain: String = last.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    MUTABLE.iter().any(|name| name.replace('_', "") == plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_can_change_is_known_however_it_is_written() {
        for (text, expected) in [
            ("$.user.login", true),
            ("$.user['e-mail']", true),
            ("$.user.emailAddress", true),
            ("$.user['user_name']", true),
            ("${user.screenName}", true),
            ("$.user.id", false),
            ("${team.id}:${user.id}", false),
            ("$.user.login_id", false),
        ] {
            assert_eq!(is_mutable(text), expected, "{text}");
        }
    }

    #[test]
    fn the_query_of_an_address_starts_outside_of_expressions() {
        for (address, query) in [
            ("https://a.example/me", None),
            ("https://a.example/me?x=${token}", Some("x=${token}")),
            ("https://a.example/${user?.id ?? \"}?\"}/${token}", None),
            ("https://a.example/${user?.id}?x=1?", Some("x=1?")),
            ("https://a.example/$?", Some("")),
        ] {
            assert_eq!(query_of(address), query, "{address}");
        }
    }
}
