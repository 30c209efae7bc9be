//! The calls of a rule for people: what each waits for and why, and how long it may take.
//!
//! It is made of the compiled calls when somebody asks for it, and says nothing that they do not do.

use std::time::Duration;

use url::Url;

use super::{
    auth::OwnToken,
    plan::{Address, Call, Plan},
};
use crate::core::{
    facts::Root,
    rule::Lifetimes,
    trace::{Point, PointKind},
    value::{Condition, Mentions, Template},
};

/// One call.
#[derive(Clone, Debug)]
pub struct Outline {
    /// Its name.
    pub name: String,
    /// The method and the address, secrets by their names.
    pub request: String,
    /// Where it goes, and where our own token comes from: scheme, host and port.
    pub origins: Vec<String>,
    /// The round in which it can start, counted from 0: after the longest chain of calls that it waits for.
    pub round: usize,
    /// The calls that it waits for.
    pub needs: Vec<Need>,
    /// Whose credentials travel with it.
    pub credentials: Vec<&'static str>,
    /// A failure gives null, and the answer goes on.
    pub optional: bool,
    /// The condition without which it is skipped.
    pub when: Option<String>,
    /// It is made for every value of this path: so many at most, so many at once.
    pub each: Option<(String, usize, usize)>,
    /// The most pages that it reads.
    pub pages: Option<usize>,
    /// How often a failed attempt is repeated, within its limit.
    pub repeats: u8,
    /// The most redirects that it follows.
    pub redirects: u8,
    /// How long its answer is used again.
    pub cache: Option<Lifetimes>,
    /// The limit of one request; without it the deadline alone ends it.
    pub timeout: Option<Duration>,
    /// How long all its requests may take together, one after another where they wait for one another.
    pub longest: Option<Duration>,
}

/// A call that another waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Its number, in the order of the rule.
    pub call: usize,
    /// Where it is mentioned, and what is read: `url` and `user.id`. Empty for the call that says whether the token
    /// is good: all others wait for it.
    pub reads: Vec<(String, String)>,
}

impl Plan {
    /// What there is to say of each call, in the order of the rule.
    pub fn outline(&self) -> Vec<Outline> {
        let rounds = self.rounds();
        self.calls.iter().zip(rounds).map(|(call, round)| self.call(call, round)).collect()
    }

    /// Where the calls may go, and where our own tokens come from: scheme, host and port.
    pub fn origins(&self) -> impl Iterator<Item = String> {
        self.calls.iter().flat_map(|call| {
            let url = match &call.address {
                Address::Fixed(url, _) | Address::Template(_, url) => url,
            };
            let urls = [Some(url), call.own_token.as_ref().map(OwnToken::endpoint), call.decoder.keys()];
            let others = call.redirects.others.iter().cloned();
            urls.into_iter().flatten().map(Url::origin).chain(others).map(|origin| origin.ascii_serialization())
        })
    }

    /// What coverage asks of the calls: that conditions hold and do not, and that optional calls fail.
    pub fn points(&self) -> impl Iterator<Item = Point> {
        self.calls.iter().flat_map(|call| {
            let until = call.paginate.as_ref().and_then(|paginate| paginate.until.as_ref());
            let rows = call.fail_when.iter().map(|row| &row.when);
            let conditions = call.when.iter().chain(until).chain(rows).flat_map(Condition::points);
            let given_up = call.optional.then(|| Point {
                kind: PointKind::GivenUp,
                place: call.place.clone(),
                words: format!("[call.{}] is optional and never fails", call.name),
            });
            given_up.into_iter().chain(conditions)
        })
    }

    /// The calls that must be done before something can be read, in the order of the rule.
    pub fn read_by(&self, mentions: &Mentions) -> Vec<usize> {
        (0..self.calls.len()).filter(|number| !self.reads_of(*number, mentions).is_empty()).collect()
    }

    /// What is read of a call, as a rule writes it.
    fn reads_of(&self, number: usize, mentions: &Mentions) -> Vec<String> {
        let name = &self.calls[number].name;
        let mut reads = Vec::new();
        for (root, members) in &mentions.paths {
            let first = match root {
                Root::Call(called) if *called == number => name,
                Root::Meta if members.first().is_none_or(|member| member == name) => "meta",
                _ => continue,
            };
            let read = std::iter::once(first).chain(members.iter().map(String::as_str)).collect::<Vec<_>>().join(".");
            if !reads.contains(&read) {
                reads.push(read);
            }
        }
        reads
    }

    fn call(&self, call: &Call, round: usize) -> Outline {
        let places = mentions(call);
        let mut needs = call.needs.clone();
        needs.sort_unstable();
        needs.dedup();
        let needs = needs.iter().map(|need| {
            let reads = places.iter().flat_map(|(place, mentions)| {
                self.reads_of(*need, mentions).into_iter().map(|read| (place.clone(), read))
            });
            let mut reads: Vec<_> = reads.collect();
            reads.dedup();
            Need { call: *need, reads }
        });
        let (address, url) = match &call.address {
            Address::Fixed(url, shown) => (shown.as_str(), url),
            Address::Template(text, url) => (text.text(), url),
        };
        let endpoint = call.own_token.as_ref().map(OwnToken::endpoint);
        Outline {
            name: call.name.clone(),
            request: format!("{} {address}", call.method),
            origins: std::iter::once(url).chain(endpoint).map(|url| url.origin().ascii_serialization()).collect(),
            round,
            needs: needs.collect(),
            credentials: credentials(call),
            optional: call.optional,
            when: call.when.as_ref().map(|when| when.text().to_owned()),
            each: call.each.as_ref().map(|each| (each.path.text().to_owned(), each.max, each.concurrency)),
            pages: call.paginate.as_ref().map(|paginate| paginate.max_pages),
            repeats: call.retry.as_ref().map_or(0, |retry| retry.times),
            redirects: call.redirects.max,
            cache: call.cache.as_ref().map(|cache| cache.lifetimes),
            timeout: call.timeout,
            longest: call.timeout.map(|timeout| longest(call, timeout)),
        }
    }

    /// The round of each call: one more than the last of those that it waits for.
    fn rounds(&self) -> Vec<usize> {
        let mut rounds = vec![0; self.calls.len()];
        // No call waits for itself, so after as many passes as there are calls nothing changes any more.
        for _ in &self.calls {
            for (number, call) in self.calls.iter().enumerate() {
                rounds[number] = call.needs.iter().map(|need| rounds[*need] + 1).max().unwrap_or(0);
            }
        }
        rounds
    }
}

/// What each part of a call reads.
fn mentions(call: &Call) -> Vec<(String, Mentions)> {
    let mut places = Vec::new();
    let mut add = |place: &str, read: &dyn Fn(&mut Mentions)| {
        let mut mentions = Mentions::default();
        read(&mut mentions);
        places.push((place.to_owned(), mentions));
    };
    if let Some(when) = &call.when {
        add("when", &|mentions| when.mentions(mentions));
    }
    if let Some(each) = &call.each {
        add("each", &|mentions| each.path.mentions(mentions));
    }
    if let Address::Template(text, _) = &call.address {
        add("url", &|mentions| text.mentions(mentions));
    }
    for (name, text) in &call.query {
        add(&format!("query.{name}"), &|mentions| text.mentions(mentions));
    }
    for (name, text) in &call.headers {
        add(&format!("headers.{name}"), &|mentions| text.mentions(mentions));
    }
    add("body", &|mentions| call.body.mentions(mentions));
    for row in &call.fail_when {
        add("fail_when", &|mentions| row.when.mentions(mentions));
    }
    if let Some(until) = call.paginate.as_ref().and_then(|paginate| paginate.until.as_ref()) {
        add("paginate", &|mentions| until.mentions(mentions));
    }
    places
}

fn credentials(call: &Call) -> Vec<&'static str> {
    let mut credentials = Vec::new();
    if call.carries_token {
        credentials.push("the caller's token");
    }
    if call.own_token.is_some() {
        credentials.push("a token of our own");
    }
    let mut texts = call.headers.iter().map(|(_, text)| text).chain(call.query.iter().map(|(_, text)| text));
    // What depends on a request may be the caller's token as well, and is told as that.
    let ours = call.fixed_headers.values().any(http::HeaderValue::is_sensitive)
        || (!call.carries_token && texts.any(Template::is_secret));
    if ours {
        credentials.push("our credentials");
    }
    if call.identity.is_some() {
        credentials.push("our certificate");
    }
    credentials
}

/// How long a call may take when every request takes as long as it may. Repetitions share the limit of their request.
fn longest(call: &Call, timeout: Duration) -> Duration {
    let times = |duration: Duration, times: usize| duration.saturating_mul(u32::try_from(times).unwrap_or(u32::MAX));
    let request = times(timeout, usize::from(call.redirects.max) + 1);
    let pages = call.paginate.as_ref().map_or(1, |paginate| paginate.max_pages);
    let rounds = call.each.as_ref().map_or(1, |each| each.max.div_ceil(each.concurrency.max(1)));
    let mut longest = times(times(request, pages), rounds);
    if call.own_token.is_some() {
        // It is fetched first, and exchanged once for another if it is refused.
        longest = longest.saturating_add(times(timeout, 2)).saturating_add(request);
    }
    longest.saturating_add(call.decoder.longest())
}
