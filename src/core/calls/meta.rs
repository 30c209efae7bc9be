//! What is said of an answer besides its body: `$.meta.CALL.status` and `$.meta.CALL.headers.NAME`.

use http::{HeaderName, header};
use serde_json::{Map, Value};

use crate::core::message::Answer;

/// What a rule reads of it.
#[derive(Debug, Default)]
pub(super) enum Meta {
    /// Nothing.
    #[default]
    Unread,
    /// The status and these headers.
    Some(Vec<HeaderName>),
    /// All of it.
    All,
}

/// Headers that carry credentials: they are not in the document.
const PRIVATE: [HeaderName; 2] = [header::SET_COOKIE, header::AUTHORIZATION];

impl Meta {
    /// Notes that something is read; `members` are those after the call's name.
    pub(super) fn widen(&mut self, members: &[String]) {
        if let Meta::Unread = self {
            *self = Meta::Some(Vec::new());
        }
        let Meta::Some(names) = self else { return };
        match members {
            [what] if what == "status" => {}
            [what, name, ..] if what == "headers" => {
                // One that no header can have is not there, as any other.
                names.extend(HeaderName::try_from(name.as_str()).ok());
            }
            _ => *self = Meta::All,
        }
    }

    /// True if anything is read.
    pub(super) fn is_read(&self) -> bool {
        !matches!(self, Meta::Unread)
    }

    /// What is kept of an answer. A header that stands several times is one, as RFC 9110, section 5.3, joins it.
    pub(super) fn of(&self, answer: &Answer) -> Value {
        let joined = |name: &HeaderName| {
            let values = answer.headers.get_all(name).iter();
            values.filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(", ")
        };
        let names: Vec<_> = match self {
            Meta::Unread => Vec::new(),
            Meta::Some(names) => names.iter().filter(|name| answer.headers.contains_key(*name)).collect(),
            Meta::All => answer.headers.keys().collect(),
        };
        let shown = names.into_iter().filter(|name| !PRIVATE.contains(name));
        let headers: Map<_, _> = shown.map(|name| (name.to_string(), Value::from(joined(name)))).collect();
        let mut meta = Map::new();
        meta.insert("status".into(), answer.status.as_u16().into());
        meta.insert("headers".into(), headers.into());
        meta.into()
    }
}
