//! Who may ask the playground: the page that was opened with a key that it was given, and nobody else's page.
//!
//! The key in the address that the command prints opens one session, and stands behind the `#`, which no browser
//! sends. A session is a bearer token that the page keeps: other than a cookie it is sent to no other port of this
//! host, and no other page can have it sent. `Host` is looked at so that a name which somebody leads to this machine
//! opens nothing, and `Origin` so that a page of another site is refused before its key is looked at.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Mutex, PoisonError},
};

use http::{HeaderMap, HeaderName, StatusCode, header};
use rustls::crypto::ring;

use super::super::admin::is_same;

/// Sessions that are open at once; the oldest ends when another begins.
const MAX_SESSIONS: usize = 8;
/// What a browser says of where a request comes from.
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What is wrong with a request.
pub(super) type Refusal = (StatusCode, &'static str);

/// Whom it lets in.
pub(super) enum Keys {
    /// Keys of its own.
    Own(Mutex<Own>),
    /// Whoever has the key of another door.
    Another(Box<Opens>),
}

/// Whether what a request has as `Authorization` opens another door.
type Opens = dyn Fn(Option<&http::HeaderValue>) -> bool + Send + Sync;

/// Keys of its own: one for the next session, and those of the sessions.
pub(super) struct Own {
    next: String,
    sessions: VecDeque<String>,
}

/// Looks at requests.
pub(super) struct Guard {
    /// The names by which it may be called; any where a key of another door is asked for each time.
    hosts: Option<Vec<String>>,
    keys: Keys,
}

impl fmt::Debug for Guard {
    // Keys are not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

impl Guard {
    /// One with keys of its own, called by these names.
    pub(super) fn own(hosts: Vec<String>) -> Result<(Guard, String), String> {
        let next = random()?;
        let own = Own { next: next.clone(), sessions: VecDeque::new() };
        Ok((Guard { hosts: Some(hosts), keys: Keys::Own(Mutex::new(own)) }, next))
    }

    /// One that asks for the key of another door.
    pub(super) fn another(opens: impl Fn(Option<&http::HeaderValue>) -> bool + Send + Sync + 'static) -> Guard {
        Guard { hosts: None, keys: Keys::Another(Box::new(opens)) }
    }

    /// Whether a request is for this place, and of a page of this place.
    pub(super) fn of_this_place(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let one = |name: HeaderName| -> Result<Option<&str>, Refusal> {
            let mut values = headers.get_all(name).iter();
            match (values.next(), values.next()) {
                (None, _) => Ok(None),
                (Some(value), None) => value.to_str().map(Some).map_err(|_| BAD),
                (Some(_), Some(_)) => Err(BAD),
            }
        };
        const BAD: Refusal = (StatusCode::BAD_REQUEST, "a header of the request cannot be read");
        let host = one(header::HOST)?.ok_or(BAD)?;
        if self.hosts.as_ref().is_some_and(|hosts| !hosts.iter().any(|known| known.eq_ignore_ascii_case(host))) {
            return Err((StatusCode::MISDIRECTED_REQUEST, "this is not called by that name"));
        }
        let foreign = (StatusCode::FORBIDDEN, "another site's page has no say here");
        if let Some(origin) = one(header::ORIGIN)? {
            // Behind a proxy the scheme may be another, the place is not.
            let place = origin.split_once("://").map(|(_, place)| place);
            if !place.is_some_and(|place| place.eq_ignore_ascii_case(host)) {
                return Err(foreign);
            }
        }
        match one(SITE)? {
            None | Some("same-origin" | "none") => Ok(()),
            Some(_) => Err(foreign),
        }
    }

    /// Begins a session: its key, and the key for the one after it.
    pub(super) fn begin(&self, headers: &HeaderMap) -> Result<(Option<String>, Option<String>), Refusal> {
        let wrong = (StatusCode::UNAUTHORIZED, "this key is of no use: each opens one session");
        match &self.keys {
            Keys::Another(_) => self.pass(headers).map(|()| (None, None)),
            Keys::Own(own) => {
                let mut own = own.lock().unwrap_or_else(PoisonError::into_inner);
                if !bearer(headers).is_some_and(|given| is_same(given.as_bytes(), own.next.as_bytes())) {
                    return Err(wrong);
                }
                let fresh = || random().map_err(|_| (StatusCode::INTERNAL_SERVER_ERROR, "there is no randomness"));
                let (session, next) = (fresh()?, fresh()?);
                own.next.clone_from(&next);
                own.sessions.push_back(session.clone());
                if own.sessions.len() > MAX_SESSIONS {
                    own.sessions.pop_front();
                }
                Ok((Some(session), Some(next)))
            }
        }
    }

    /// Whether a request is of a session.
    pub(super) fn pass(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let passes = match &self.keys {
            Keys::Another(opens) => opens(headers.get(header::AUTHORIZATION)),
            Keys::Own(own) => {
                let own = own.lock().unwrap_or_else(PoisonError::into_inner);
                let given = bearer(headers).unwrap_or_default();
                // All are looked at, so that the time tells nothing.
                own.sessions.iter().filter(|known| is_same(given.as_bytes(), known.as_bytes())).count() > 0
            }
        };
        if passes { Ok(()) } else { Err((StatusCode::UNAUTHORIZED, "the session is over, or there never was one")) }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

/// A key that nobody guesses: 192 bits.
fn random() -> Result<String, String> {
    let mut bytes = [0; 24];
    let filled = ring::default_provider().secure_random.fill(&mut bytes);
    filled.map_err(|_| "the operating system gives no randomness".to_owned())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().expect("a value"))).collect()
    }

    #[test]
    fn only_pages_of_this_place_are_heard() {
        let (guard, _) = Guard::own(vec!["127.0.0.1:9".into(), "localhost:9".into()]).expect("there is randomness");
        let status = |pairs: &[(&'static str, &str)]| {
            guard.of_this_place(&headers(pairs)).err().map_or(200, |(status, _)| status.as_u16())
        };
        for (pairs, expected) in [
            (&[("host", "127.0.0.1:9")][..], 200),
            (&[("host", "LocalHost:9"), ("origin", "http://localhost:9"), ("sec-fetch-site", "same-origin")], 200),
            (&[("host", "127.0.0.1:9"), ("sec-fetch-site", "none")], 200),
            (&[], 400),
            (&[("host", "evil.example")], 421),
            (&[("host", "evil.example:9")], 421),
            (&[("host", "127.0.0.1")], 421),
            (&[("host", "127.0.0.1:9"), ("origin", "https://evil.example")], 403),
            (&[("host", "127.0.0.1:9"), ("origin", "http://127.0.0.1:10")], 403),
            (&[("host", "127.0.0.1:9"), ("origin", "http://localhost:9")], 403),
            (&[("host", "127.0.0.1:9"), ("origin", "null")], 403),
            (&[("host", "127.0.0.1:9"), ("sec-fetch-site", "same-site")], 403),
            (&[("host", "127.0.0.1:9"), ("sec-fetch-site", "cross-site")], 403),
        ] {
            assert_eq!(status(pairs), expected, "{pairs:?}");
        }
    }

    #[test]
    fn a_key_opens_one_session_and_there_are_few() {
        let (guard, mut key) = Guard::own(Vec::new()).expect("there is randomness");
        let with = |key: &str| headers(&[("authorization", &format!("Bearer {key}"))]);
        let mut sessions = Vec::new();
        for _ in 0..=MAX_SESSIONS {
            assert!(guard.pass(&with(&key)).is_err(), "the key is no session");
            let (session, next) = guard.begin(&with(&key)).expect("it is the key");
            assert!(guard.begin(&with(&key)).is_err(), "it is used up");
            sessions.push(session.expect("there is one"));
            key = next.expect("there is one");
        }
        assert!(guard.pass(&with(&sessions[0])).is_err(), "the first is over");
        assert!(sessions[1..].iter().all(|session| guard.pass(&with(session)).is_ok()));
        assert!(guard.pass(&HeaderMap::new()).is_err() && guard.begin(&with("")).is_err());
        assert!(!format!("{guard:?}").contains(&key));
    }
}
