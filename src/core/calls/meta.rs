//! What is said of an answer besides its body: `$.meta.CALL.status` and `$.meta.CALL.headers.NAME`.

use http::HeaderName;
use serde_json::{Map, Value};

use crate::core::{message::Answer, value::PRIVATE_HEADERS};

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

    /// True if a header is read.
    pub(super) fn reads(&self, name: &HeaderName) -> bool {
        match self {
            Meta::Unread => false,
            Meta::Some(names) => names.contains(name),
            Meta::All => !PRIVATE_HEADERS.contains(name),
        }
    }

    /// What is kept of an answer. A header that stands several times is one, as RFC 9110, section 5.3, joins it;
    /// one that is no UTF-8 is left out.
    pub(super) fn of(&self, answer: &Answer) -> Value {
        let joined = |name: &HeaderName| {
            let values = answer.headers.get_all(name).iter().map(|value| std::str::from_utf8(value.as_bytes()));
            values.collect::<Result<Vec<_>, _>>().ok().map(|values| values.join(", "))
        };
        let names: Vec<_> = match self {
            Meta::Unread => Vec::new(),
            Meta::Some(names) => names.iter().filter(|name| answer.headers.contains_key(*name)).collect(),
            Meta::All => answer.headers.keys().collect(),
        };
        let shown = names.into_iter().filter(|name| !PRIVATE_HEADERS.contains(name));
        let headers: Map<_, _> =
            shown.filter_map(|name| Some((name.to_string(), Value::from(joined(name)?)))).collect();
        let mut meta = Map::new();
        meta.insert("status".into(), answer.status.as_u16().into());
        meta.insert("headers".into(), headers.into());
        meta.into()
    }
}
