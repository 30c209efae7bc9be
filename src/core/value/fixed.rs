//! What of a rule must be known when it is loaded: texts that no request changes, and the addresses that are made of
//! them.

use std::ops::Range;

use url::Url;

use super::{Known, Offer, Position, Spot, Template};
use crate::core::problem::{Code, Problem, Problems};

/// A text that no request changes.
pub struct Fixed {
    /// The text.
    pub value: String,
    /// A secret in it is not known where rules are only checked, so that its value cannot be judged.
    pub stands_in: bool,
}

impl Template {
    /// Compiles a text that no request may change; `what` names it.
    pub fn compile_fixed(
        spot: &Spot<'_>,
        text: &str,
        position: Position,
        what: &str,
        known: &Known<'_>,
        problems: &mut Problems,
    ) -> Option<Fixed> {
        let template = Template::compile(spot, text, position, Offer::Call, known, problems)?;
        let Some(value) = template.fixed() else {
            let message = format!("{what} cannot depend on a request");
            let problem = spot.problem(Code::BadValue, 0..text.len(), message);
            let help = "use `${secrets.…}`, `${vars.…}` or plain text";
            problems.add(problem.label("known only when a request is there").help(help));
            return None;
        };
        Some(Fixed { value: value.into_owned(), stands_in: template.stands_in() })
    }
}

/// The address of an endpoint that no request changes; `help` shows one.
pub fn endpoint(
    spot: &Spot<'_>,
    text: &str,
    what: &str,
    help: &str,
    known: &Known<'_>,
    problems: &mut Problems,
) -> Option<Url> {
    let whole = Template::compile_fixed(spot, text, Position::Url, what, known, problems)?.value;
    let found = match Url::parse(&whole) {
        Ok(url) => match unfit(spot, text, &url) {
            None => return Some(url),
            Some(problem) => problem,
        },
        Err(error) => spot.problem(Code::BadUrl, 0..text.len(), "not a URL").label(error.to_string()).help(help),
    };
    problems.add(found);
    None
}

/// Why no request can go to a URL that this text gives; `None` if one can.
pub fn unfit(spot: &Spot<'_>, text: &str, url: &Url) -> Option<Problem> {
    let whole = 0..text.len();
    let host = text.find("://").map_or(0, |at| at + 3);
    let problem = |range: Range<usize>, message: &str| spot.problem(Code::BadUrl, range, message);
    if !matches!(url.scheme(), "http" | "https") {
        let message = format!("not a scheme that a call can use: `{}`", url.scheme());
        let range = text.find(':').map_or(whole, |end| 0..end);
        return Some(problem(range, &message).label("neither `https` nor `http`").help("write `https://host/path`"));
    }
    if has_credentials(url) {
        let range = text[host..].find('@').map_or(whole, |end| host..host + end);
        let help = "write them as `auth = { basic = { user = …, password = … } }`";
        return Some(problem(range, "credentials in a URL end up in logs").label("before the host").help(help));
    }
    url.fragment().map(|_| {
        let range = text.find('#').map_or(whole, |at| at..text.len());
        let help = "take it away, or write `%23` for a `#` that belongs to the path";
        problem(range, "a fragment is never sent").label("`#` starts a fragment").help(help)
    })
}

/// True for a URL with a user or password before its host: whoever follows it would send them.
pub fn has_credentials(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}
