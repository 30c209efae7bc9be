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
    send::{self, Ready},
};
use crate::core::{
    facts::{Facts, Kept, Root},
    message::{Answer, Outgoing},
    value::{Expression, Memory, Path},
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
    pub(super) until: Option<Expression>,
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

/// Items of one list, and bytes of all its pages.
const MAX_ITEMS: usize = 100_000;
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// A call with `each` or `paginate` on its way.
pub(super) struct Batch {
    entries: Vec<Entry>,
    /// The first entry that is not sent yet.
    next: usize,
    /// Entries that have their answer.
    done: usize,
    bytes: usize,
    /// An entry of an optional call failed.
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
}

/// A list that is being read page by page.
struct Pages {
    /// The first request, of which the others are made.
    first: Outgoing,
    /// The address of the page that is read.
    url: Url,
    items: Vec<Value>,
    read: usize,
    seen: HashSet<String>,
}

impl Batch {
    /// Puts the first request of every entry together.
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
        let mut entries = Vec::with_capacity(values.len());
        for value in values {
            look_at(value.as_ref(), facts, memory);
            let mut ready = send::prepare(call, facts, memory, round)?;
            let pages = call.paginate.as_ref().map(|paginate| {
                if let By::Number { first, param } = &paginate.by {
                    set_parameter(&mut ready.outgoing.url, param, &first.to_string());
                }
                let (first, url) = (ready.outgoing.clone(), ready.outgoing.url.clone());
                Pages { first, url, items: Vec::new(), read: 0, seen: HashSet::new() }
            });
            entries.push(Entry { value, ready: Some(ready), pages, answer: Value::Null });
        }
        Ok(Batch { entries, next: 0, done: 0, bytes: 0, incomplete: false, abandoned: false })
    }

    /// The requests to start with.
    pub(super) fn start(&mut self, call: &Call) -> Vec<(usize, Ready)> {
        let at_once = call.each.as_ref().map_or(1, |each| each.concurrency);
        (0..at_once).map_while(|_| self.next_entry()).collect()
    }

    fn next_entry(&mut self) -> Option<(usize, Ready)> {
        let number = self.next;
        let ready = self.entries.get_mut(number)?.ready.take()?;
        self.next += 1;
        Some((number, ready))
    }

    /// True once every entry has its answer, or none is wanted any more.
    pub(super) fn is_done(&self) -> bool {
        self.done == self.entries.len()
    }

    /// Drops everything: the call failed.
    pub(super) fn abandon(&mut self) {
        *self = Batch { entries: Vec::new(), next: 0, done: 0, bytes: 0, incomplete: false, abandoned: true };
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

    /// Reads an answer, and gives the request that follows from it: the next page, or the next entry.
    pub(super) fn take<'r>(
        &mut self,
        call: &'r Call,
        (number, entry): (usize, usize),
        answer: Option<&Answer>,
        kept: Result<Kept, Cause>,
        facts: &mut Facts<'r>,
        memory: &mut Memory,
    ) -> Result<Option<(usize, Ready)>, Cause> {
        if let Some(answer) = answer {
            super::note_meta(call, answer, facts, memory);
        }
        let read = match (kept, answer) {
            (Ok(kept), Some(answer)) => self.read(call, (number, entry), answer, kept, facts, memory),
            (Ok(_), None) => Ok(None),
            (Err(cause), _) => Err(cause),
        };
        // The document must not show a page or an entry for the list.
        facts.take(number);
        memory.forget(Root::Call(number), &call.name);
        match read {
            Ok(Some(outgoing)) => return Ok(Some((entry, Ready { outgoing, shown: Vec::new() }))),
            Ok(None) => {}
            // One entry less is what `optional` asks for; half a list is not.
            Err(_) if call.optional && call.each.is_some() => {
                self.incomplete = true;
                self.entries[entry].answer = Value::Null;
            }
            Err(cause) => return Err(cause),
        }
        self.done += 1;
        Ok(self.next_entry())
    }

    /// Reads an answer; gives the request of the page that follows, if one does.
    fn read<'r>(
        &mut self,
        call: &'r Call,
        (number, entry): (usize, usize),
        answer: &Answer,
        kept: Kept,
        facts: &mut Facts<'r>,
        memory: &mut Memory,
    ) -> Result<Option<Outgoing>, Cause> {
        let Entry { value, pages, answer: whole, .. } = &mut self.entries[entry];
        look_at(value.as_ref(), facts, memory);
        self.bytes += answer.body.len();
        if self.bytes > MAX_BYTES {
            return Err(Cause::List("it has more bytes than a list may have"));
        }
        facts.answer(number, kept);
        memory.forget(Root::Call(number), &call.name);
        denied(call, number, facts, memory)?;
        let (Some(pages), Some(paginate)) = (pages, &call.paginate) else {
            if let Kept::Whole(value) = facts.take(number) {
                *whole = value;
            }
            return Ok(None);
        };
        let next = pages.read(paginate, number, answer, facts, memory)?;
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
    /// Takes the items of a page, which stands in the document; gives what leads to the next.
    fn read(
        &mut self,
        paginate: &Paginate,
        number: usize,
        answer: &Answer,
        facts: &Facts<'_>,
        memory: &mut Memory,
    ) -> Result<Option<String>, Cause> {
        let before = self.items.len();
        self.items.extend(items(paginate.items.as_ref(), number, facts)?);
        self.read += 1;
        if self.items.len() > MAX_ITEMS {
            return Err(Cause::List("it has more items than a list may have"));
        }
        if let Some(until) = &paginate.until
            && until.holds(facts, memory).map_err(Cause::Value)?
        {
            return Ok(None);
        }
        let next = match &paginate.by {
            By::Link => link::next(&answer.headers),
            By::Next(path) | By::Cursor { path, .. } => text(path, facts)?,
            By::Number { .. } if paginate.until.is_none() && self.items.len() == before => None,
            By::Number { first, .. } => i64::try_from(self.read).ok().map(|read| (first + read).to_string()),
        };
        match next {
            Some(next) if !self.seen.insert(next.clone()) => Err(Cause::List("its pages lead round in a circle")),
            next => Ok(next),
        }
    }

    /// The request for the next page.
    fn follow(&mut self, by: &By, token: &TokenPlan, next: &str) -> Result<Outgoing, Cause> {
        match by {
            By::Link | By::Next(_) => {
                let url = self.url.join(next).map_err(|_| Cause::List("the address of its next page is no URL"))?;
                if url.origin() != self.first.url.origin() {
                    return Err(Cause::List("its next page is on another origin"));
                }
                self.url = url;
                if let TokenPlan::Query(name) = token {
                    keep_parameter(&mut self.url, name, &self.first.url);
                }
            }
            By::Cursor { param, .. } | By::Number { param, .. } => {
                self.url = self.first.url.clone();
                set_parameter(&mut self.url, param, next);
            }
        }
        Ok(Outgoing { url: self.url.clone(), ..self.first.clone() })
    }
}

/// The items of the page that stands in the document.
fn items(path: Option<&Path>, number: usize, facts: &Facts<'_>) -> Result<Vec<Value>, Cause> {
    let list = match path {
        Some(path) if path.is_plural() => {
            let found = path.all(facts).map_err(Cause::Value)?;
            return Ok(found.into_iter().map(std::borrow::Cow::into_owned).collect());
        }
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
