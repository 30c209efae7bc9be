//! Where a call goes: its address, its query, and where it may be led on to.

use std::ops::Range;

use url::Url;

use super::Compiler;
use crate::core::{
    calls::{
        plan::{Address, Call},
        redirect::Redirects,
    },
    problem::Code,
    rule::{self, Text},
    value::{Position, Spot, Template, unfit},
};

impl Compiler<'_> {
    pub(super) fn address(&mut self, call: &rule::Call) -> Option<Address> {
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
        if let Some(problem) = unfit(&Spot::text(self.source, text), &text.value, &url) {
            self.problems.add(problem);
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

    pub(super) fn query(&mut self, call: &rule::Call) -> Vec<(String, Template)> {
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
    pub(super) fn not_a_path(&mut self, text: &Text) {
        if let Some(path) = text.value.strip_prefix("$.") {
            let help = format!("write `${{{path}}}`");
            let message = "a JSONPath has no meaning here: it would be sent as text";
            self.bad(Code::PlainText, text, message, "not looked up", help);
        }
    }

    pub(super) fn redirects(&mut self, call: &rule::Call) -> Redirects {
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

/// Parameters that are the same for every request become part of the fixed address.
pub(super) fn fold_query(call: &mut Call) {
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
