//! Calls that are more than one request: one for each value (`each`), one for each page (`paginate`).
//!
//! The answer of such a call is one list. It is whole and in order, or the call fails, or the claim that the
//! rule names says that it was cut short.

mod link;

use std::collections::HashSet;

use serde_json::Value;
use url::Url;

use super::{
    Cause, Round, denied,
    plan::{Call, TokenPlan},
    send::{self, Ready, Shown},
    told::Told,
};
use crate::core::{
    facts::{Facts, Kept, Root},
    message::{Answer, Outgoing},
    trace::{Outcome, Trace},
    value::{Condition, Memory, Path, has_credentials},
};

/// The values that a call is made for.
#[derive(Debug)]
pub(super) struct Each {
    pub(super) path: Path,
    pub(super) max: usize,
    pub(super) concurrency: usize,
}

/// How the pages of a list follow one another.
#[derive(Debug)]
pub(super) struct Paginate {
    pub(super) by: By,
    pub(super) items: Option<Path>,
    pub(super) until: Option<Condition>,
    pub(super) max_pages: usize,
    pub(super) truncated: Option<String>,
}

/// What leads from a page to the next.
#[derive(Debug)]
pub(super) enum By {
    Link,
    Next(Path),
    Cursor { path: Path, param: String },
    Number { first: i64, param: String },
}

/// Items of one call's lists together, and bytes of all its answers.
const MAX_ITEMS: usize = 100_000;
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of what leads to a next page: longer addresses hardly any server takes.
const MAX_NEXT: usize = 8 * 1024;
/// Requests of one call that a trace shows; those that fail are always shown.
const MAX_SHOWN: usize = 32;

/// A call with `each` or `paginate` on its way.
pub(super) struct Batch {
    entries: Vec<Entry>,
    /// The first entry that is not sent yet.
    next: usize,
    /// Entries that have their answer.
    done: usize,
    bytes: usize,
    items: usize,
    /// Requests that were answered.
    answered: usize,
    /// An entry of an optional call failed; the others are there.
    pub(super) incomplete: bool,
    abandoned: bool,
}

/// One value of `each`, or the only one of a call without.
struct Entry {
    value: Option<Value>,
    /// Its first request, until that is sent.
    ready: Option<Ready>,
    pages: Option<Pages>,
    answer: Value,
    /// What else its last answer said, as far as the rule reads it.
    meta: Value,
}

/// A list that is being read page by page.
struct Pages {
    /// The first request, of which the others are made.
    first: Outgoing,
    /// How people see it.
    shown: Shown,
    /// The address of the page that is read.
    url: Url,
    items: Vec<Value>,
    read: usize,
    /// The addresses of all pages so far.
    seen: HashSet<String>,
}

/// What an answer led to.
pub(super) struct Taken {
    /// The request that follows: the next page, or the next entry.
    pub(super) next: Option<(usize, Ready)>,
    /// Why its entry was given up, where the others go on.
    pub(super) lost: Option<Cause>,
}

impl Batch {
    /// Puts the first request of every entry together; notes those of which none can be made.
    pub(super) fn begin<H>(
        call: &Call,
        facts: &mut Facts<'_>,
        memory: &mut Memory,
        round: &Round<'_, H>,
    ) -> Result<Batch, Cause> {
        let values = match &call.each {
            None => vec![None],
            Some(each) => {
                let found = each.path.all(facts).map_err(Cause::Value)?;
                let values = found.into_iter().filter(|value| !value.is_null());
                let values: Vec<_> = values.map(|value| Some(value.into_owned())).collect();
                if values.len() > each.max {
                    return Err(Cause::List("there are more values than `each` allows"));
                }
                values
            }
        };
        let entries = Vec::with_capacity(values.len());
        let mut batch =
            Batch { entries, next: 0, done: 0, bytes: 0, items: 0, answered: 0, incomplete: false, abandoned: false };
        for value in values {
            look_at(value.as_ref(), facts, memory);
            let prepared = send::prepare(call, facts, memory, round);
            let mut entry = Entry { value, ready: None, pages: None, answer: Value::Null, meta: Value::Null };
            match prepared {
                Ok(mut ready) => {
                    entry.pages = call.paginate.as_ref().map(|paginate| Pages::new(&paginate.by, &mut ready));
                    entry.ready = Some(ready);
                }
                Err(cause) if call.may_lose_one() => {
                    batch.done += 1;
                    batch.incomplete = true;
                    let of = batch.entries.len();
                    super::note(round, || {
                        let outcome = Outcome::GivenUp(cause.words());
                        Told::default().step(call, format!("value {}", of + 1), None, outcome)
                    });
                }
                Err(cause) => return Err(cause),
            }
            batch.entries.push(entry);
        }
        Ok(batch)
    }

    /// The requests to start with.
    pub(super) fn start(&mut self, call: &Call) -> Vec<(usize, Ready)> {
        let at_once = call.each.as_ref().map_or(1, |each| each.concurrency);
        (0..at_once).map_while(|_| self.next_entry()).collect()
    }

    fn next_entry(&mut self) -> Option<(usize, Ready)> {
        while let Some(entry) = self.entries.get_mut(self.next) {
            self.next += 1;
            if let Some(ready) = entry.ready.take() {
                return Some((self.next - 1, ready));
            }
        }
        None
    }

    /// True once every entry has its answer, or none is wanted any more.
    pub(super) fn is_done(&self) -> bool {
        self.done == self.entries.len()
    }

    /// Drops everything: the call failed.
    pub(super) fn abandon(&mut self) {
        self.entries = Vec::new();
        self.done = 0;
        self.abandoned = true;
    }

    /// Which of the call's requests is on its way for an entry, in words.
    pub(super) fn words(&self, call: &Call, entry: usize) -> String {
        let value = call.each.as_ref().map(|_| format!("value {}", entry + 1));
        let pages = self.entries.get(entry).and_then(|entry| entry.pages.as_ref());
        let page = pages.map(|pages| format!("page {}", pages.read + 1));
        [value, page].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// True while a trace is to show every request.
    pub(super) fn is_shown(&self) -> bool {
        self.answered <= MAX_SHOWN
    }

    /// What came of it all, in words.
    pub(super) fn summary(&self, call: &Call) -> String {
        let hidden = self.answered.saturating_sub(MAX_SHOWN);
        let hidden = if hidden == 0 { String::new() } else { format!(", {hidden} of them not shown") };
        let items = match call.each {
            Some(_) => self.entries.len(),
            None => self.entries.first().and_then(|entry| entry.answer.as_array()).map_or(0, Vec::len),
        };
        format!("a list of {items} items; {} requests{hidden}", self.answered)
    }

    /// The list that is the call's answer; `None` if it failed.
    pub(super) fn answer(self, call: &Call) -> Option<Vec<Value>> {
        if self.abandoned {
            return None;
        }
        let mut answers = self.entries.into_iter().map(|entry| entry.answer);
        match (&call.each, answers.next()) {
            (Some(_), first) => Some(first.into_iter().chain(answers).collect()),
            (None, Some(Value::Array(items))) => Some(items),
            (None, _) => Some(Vec::new()),
        }
    }

    /// What else the answers said, a member for each value of `each`; `None` where that is not what the document has.
    pub(super) fn take_meta(&mut self, call: &Call) -> Option<Value> {
        let wanted = call.each.is_some() && call.meta.is_read() && !self.abandoned;
        wanted.then(|| self.entries.iter_mut().map(|entry| entry.meta.take()).collect())
    }

    /// Reads an answer, and gives the request that follows from it.
    ///
    /// # Errors
    /// When the whole call failed.
    #[expect(
        clippy::too_many_arguments,
        reason = "they are the state of one request, taken apart for the borrow checker"
    )]
    pub(super) fn take<'r>(
        &mut self,
        call: &'r Call,
        (number, entry): (usize, usize),
        answer: Option<&Answer>,
        kept: Result<Kept, Cause>,
        facts: &mut Facts<'r>,
        memory: &mut Memory,
        trace: Option<&Trace>,
    ) -> Result<Taken, Cause> {
        self.answered += 1;
        if let Some(answer) = answer {
            // While it is judged, `meta` says what this one answer said.
            super::note_meta(call, answer, facts, memory);
            if call.each.is_some() && call.meta.is_read() {
                self.entries[entry].meta = call.meta.of(answer);
            }
        }
        let read = match (kept, answer) {
            (Ok(kept), Some(answer)) => self.read(call, (number, entry), answer, kept, facts, memory, trace),
            (Ok(_), None) => Ok(None),
            (Err(cause), Some(_)) => {
                look_at(self.entries[entry].value.as_ref(), facts, memory);
                Err(super::refused(call, cause, facts, memory, trace))
            }
            (Err(cause), None) => Err(cause),
        };
        // The document must not show a page or an entry for the list.
        facts.take(number);
        memory.forget(Root::Call(number), &call.name);
        let lost = match read {
            Ok(Some(ready)) => return Ok(Taken { next: Some((entry, ready)), lost: None }),
            Ok(None) => None,
            Err(cause) if call.may_lose_one() => {
                self.incomplete = true;
                self.entries[entry].answer = Value::Null;
                Some(cause)
            }
            Err(cause) => return Err(cause),
        };
        self.entries[entry].pages = None;
        self.done += 1;
        Ok(Taken { next: self.next_entry(), lost })
    }

    /// Reads an answer; gives the request of the page that follows, if one does.
    #[expect(
        clippy::too_many_arguments,
        reason = "they are the state of one request, taken apart for the borrow checker"
    )]
    fn read<'r>(
        &mut self,
        call: &'r Call,
        (number, entry): (usize, usize),
        answer: &Answer,
        kept: Kept,
        facts: &mut Facts<'r>,
        memory: &mut Memory,
        trace: Option<&Trace>,
    ) -> Result<Option<Ready>, Cause> {
        let Entry { value, pages, answer: whole, .. } = &mut self.entries[entry];
        look_at(value.as_ref(), facts, memory);
        self.bytes += answer.body.len();
        if self.bytes > MAX_BYTES {
            return Err(Cause::List("it has more bytes than a list may have"));
        }
        facts.answer(number, kept);
        memory.forget(Root::Call(number), &call.name);
        denied(call, number, facts, memory, trace)?;
        let (Some(pages), Some(paginate)) = (pages, &call.paginate) else {
            if let Kept::Whole(value) = facts.take(number) {
                *whole = value;
            }
            return Ok(None);
        };
        let found = items(paginate.items.as_ref(), number, facts)?;
        self.items += found.len();
        if self.items > MAX_ITEMS {
            return Err(Cause::List("it has more items than a list may have"));
        }
        let next = pages.read(paginate, found, answer, facts, memory, trace)?;
        if next.is_some() && pages.read >= paginate.max_pages {
            let claim = paginate.truncated.as_deref();
            facts.mark(claim.ok_or(Cause::List("it has more pages than `max_pages`"))?);
        } else if let Some(next) = next {
            return pages.follow(&paginate.by, &call.token, &next).map(Some);
        }
        *whole = std::mem::take(&mut pages.items).into();
        Ok(None)
    }
}

/// Shows the value that a request is made for.
fn look_at(value: Option<&Value>, facts: &mut Facts<'_>, memory: &mut Memory) {
    if let Some(value) = value {
        facts.for_each(value.clone());
        memory.forget(Root::Each, "each");
    }
}

impl Pages {
    /// A list that begins with this request, which is made to ask for its first page.
    fn new(by: &By, ready: &mut Ready) -> Pages {
        let before = ready.outgoing.url.clone();
        if let By::Number { first, param } = by {
            set_parameter(&mut ready.outgoing.url, param, &first.to_string());
            if let Some(line) = ready.shown.first_mut() {
                *line = show(line, &before, &ready.outgoing.url);
            }
        }
        let (first, url, shown) = (ready.outgoing.clone(), ready.outgoing.url.clone(), ready.shown.clone());
        Pages { first, shown, items: Vec::new(), read: 0, seen: HashSet::from([url.to_string()]), url }
    }

    /// Takes the items of a page, which stands in the document; gives what leads to the next.
    fn read(
        &mut self,
        paginate: &Paginate,
        items: Vec<Value>,
        answer: &Answer,
        facts: &Facts<'_>,
        memory: &mut Memory,
        trace: Option<&Trace>,
    ) -> Result<Option<String>, Cause> {
        let is_empty = items.is_empty();
        self.items.extend(items);
        self.read += 1;
        if let Some(until) = &paginate.until
            && until.holds(facts, memory, trace).map_err(Cause::Value)?
        {
            return Ok(None);
        }
        let next = match &paginate.by {
            By::Link => link::next(&answer.headers).map_err(Cause::List)?,
            By::Next(path) | By::Cursor { path, .. } => text(path, facts)?,
            By::Number { .. } if paginate.until.is_none() && is_empty => None,
            By::Number { first, .. } => i64::try_from(self.read).ok().map(|read| (first + read).to_string()),
        };
        match next {
            Some(next) if next.len() > MAX_NEXT => Err(Cause::List("what leads to its next page is too long")),
            next => Ok(next),
        }
    }

    /// The request for the next page.
    fn follow(&mut self, by: &By, token: &TokenPlan, next: &str) -> Result<Ready, Cause> {
        let mut url = match by {
            By::Link | By::Next(_) => self.url.join(next),
            By::Cursor { .. } | By::Number { .. } => Ok(self.first.url.clone()),
        }
        .map_err(|_| Cause::List("the address of its next page is no URL"))?;
        match by {
            By::Link | By::Next(_) => {
                if url.origin() != self.first.url.origin() {
                    return Err(Cause::List("its next page is on another origin"));
                }
                if has_credentials(&url) {
                    return Err(Cause::List("the address of its next page has credentials"));
                }
                url.set_fragment(None);
                if let TokenPlan::Query(name) = token {
                    keep_parameter(&mut url, name, &self.first.url);
                }
            }
            By::Cursor { param, .. } | By::Number { param, .. } => set_parameter(&mut url, param, next),
        }
        if !self.seen.insert(url.to_string()) {
            return Err(Cause::List("its pages lead round in a circle"));
        }
        let shown = self.shown.first().map(|line| show(line, &self.first.url, &url));
        let outgoing = Outgoing { url: url.clone(), ..self.first.clone() };
        self.url = url;
        Ok(Ready { outgoing, shown: shown.into_iter().collect() })
    }
}

/// The request line of a page, from that of the first one.
///
/// A provider may repeat the caller's token or a key in the address of a next page, wherever it likes. So of what
/// people do not see of the first page they see nothing but names, and numbers that are too short to be a secret.
fn show(line: &str, first: &Url, url: &Url) -> String {
    let method = line.split(' ').next().unwrap_or_default();
    let address = match url.path() == first.path() {
        true => line.split('?').next().unwrap_or_default().to_owned(),
        false => format!("{method} {}/…", url.origin().ascii_serialization()),
    };
    let is_number = |text: &str| text.len() <= 10 && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let query: Vec<_> = url
        .query_pairs()
        .map(|(name, value)| match is_number(&value) {
            true => format!("{name}={value}"),
            false => format!("{name}=…"),
        })
        .collect();
    if query.is_empty() { address } else { format!("{address}?{}", query.join("&")) }
}

/// The items of the page that stands in the document.
fn items(path: Option<&Path>, number: usize, facts: &Facts<'_>) -> Result<Vec<Value>, Cause> {
    let list = match path {
        Some(path) => path.first(facts).map_err(Cause::Value)?,
        None => facts.walk(Root::Call(number), []).map(std::borrow::Cow::Borrowed),
    };
    match list.map(std::borrow::Cow::into_owned) {
        Some(Value::Array(items)) => Ok(items),
        _ if path.is_some() => Err(Cause::List("a page has no list where `items` says")),
        _ => Err(Cause::List("a page is no list, and no `items` says where that is")),
    }
}

/// A text or number in the page; nothing, null and empty text lead nowhere.
fn text(path: &Path, facts: &Facts<'_>) -> Result<Option<String>, Cause> {
    match path.first(facts).map_err(Cause::Value)?.as_deref() {
        None | Some(Value::Null | Value::Bool(false)) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => Err(Cause::List("what leads to its next page is no text")),
    }
}

/// Sets a query parameter; the others stay letter for letter.
fn set_parameter(url: &mut Url, name: &str, value: &str) {
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let mut parts: Vec<_> = url.query().unwrap_or_default().split('&').filter(|part| !part.is_empty()).collect();
    parts.retain(|part| url::form_urlencoded::parse(part.as_bytes()).all(|(other, _)| other != name));
    let own = format!("{}={}", encode(name), encode(value));
    parts.push(&own);
    let query = parts.join("&");
    url.set_query(Some(&query));
}

/// The caller's token belongs into the query of every page; some providers put it there, some do not.
fn keep_parameter(url: &mut Url, name: &str, first: &Url) {
    if url.query_pairs().all(|(other, _)| other != name)
        && let Some((_, value)) = first.query_pairs().find(|(other, _)| other == name)
    {
        set_parameter(url, name, &value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_shown_without_what_may_be_a_credential() {
        let url = |text| Url::parse(text).expect("a URL");
        let first = url("https://a.example/me/t0ken/list?key=k3y");
        let line = "GET https://a.example/me/[token]/list?key=[secrets.key]";
        for (next, expected) in [
            ("https://a.example/me/t0ken/list?key=k3y&page=2", "GET https://a.example/me/[token]/list?key=…&page=2"),
            ("https://a.example/me/t0ken/list", "GET https://a.example/me/[token]/list"),
            ("https://a.example/t0ken?access_token=t0ken&n=", "GET https://a.example/…?access_token=…&n=…"),
            ("https://a.example/x?id=12345678901", "GET https://a.example/…?id=…"),
        ] {
            assert_eq!(show(line, &first, &url(next)), expected);
        }
    }

    #[test]
    fn a_parameter_is_set_once_and_the_others_stay() {
        for (url, expected) in [
            ("https://a.example/x", "https://a.example/x?page=2%263"),
            ("https://a.example/x?$top=5&page=1&f=a,b", "https://a.example/x?$top=5&f=a,b&page=2%263"),
        ] {
            let mut url = Url::parse(url).expect("a URL");
            set_parameter(&mut url, "page", "2&3");
            assert_eq!(url.as_str(), expected);
        }
    }
}
