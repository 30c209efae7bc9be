//! W3C Trace Context: which trace a request belongs to, read strictly, and told to those whom the settings name.
//!
//! <https://www.w3.org/TR/trace-context/>

use http::{HeaderMap, HeaderName, HeaderValue};
use url::{Position, Url};

use super::leaves_traces;
use crate::config::{Propagate, Settings};

pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// The length of `traceparent`; later versions may add to it.
const LENGTH: usize = 55;
/// What a later version may have in all.
const MAX_PARENT: usize = 256;
/// What everybody must be able to pass on of `tracestate`; more is passed on by nobody here.
const MAX_STATE: usize = 512;
const MAX_MEMBERS: usize = 32;
const MAX_KEY: usize = 256;
const MAX_VALUE: usize = 256;

tokio::task_local! {
    /// Of the request that this task answers.
    pub(super) static CURRENT: Context;
}

/// The trace that a request belongs to, and its place in it.
#[derive(Clone, Debug)]
pub(super) struct Context {
    pub(super) trace: u128,
    /// The request's own span. Its parts have the numbers after it, so that what is sent for one can name it while it is
    /// on its way.
    pub(super) span: u64,
    pub(super) parent: Option<u64>,
    pub(super) sampled: bool,
    /// The caller's `tracestate`.
    pub(super) state: Option<HeaderValue>,
}

/// What a caller says of the trace that its request belongs to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) trace: u128,
    pub(super) span: u64,
    pub(super) sampled: bool,
    pub(super) state: Option<HeaderValue>,
}

impl Caller {
    /// What the headers of a request say; nothing if they are malformed.
    pub(super) fn read(headers: &HeaderMap) -> Option<Caller> {
        let mut all = headers.get_all(TRACEPARENT).iter();
        let (Some(parent), None) = (all.next(), all.next()) else { return None };
        let (trace, span, flags) = parse(parent.as_bytes())?;
        Some(Caller { trace, span, sampled: flags & 1 == 1, state: state(headers) })
    }
}

/// Trace, span and flags of a `traceparent`.
fn parse(text: &[u8]) -> Option<(u128, u64, u8)> {
    let (head, rest) = text.split_at_checked(LENGTH)?;
    let [v1, v2, b'-', head @ ..] = head else { return None };
    let (trace, head) = head.split_at_checked(32)?;
    let [b'-', head @ ..] = head else { return None };
    let (span, head) = head.split_at_checked(16)?;
    let [b'-', flags @ ..] = head else { return None };
    let sound = match hex(&[*v1, *v2])? {
        0xff => false,
        0 => rest.is_empty(),
        _ => rest.first().is_none_or(|next| *next == b'-') && text.len() <= MAX_PARENT,
    };
    let (trace, span, flags) = (hex(trace)?, hex(span)? as u64, hex(flags)? as u8);
    (sound && trace != 0 && span != 0).then_some((trace, span, flags))
}

/// A number of up to 32 hexadecimal digits, which are small letters.
fn hex(text: &[u8]) -> Option<u128> {
    text.iter().try_fold(0, |number: u128, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

/// The caller's `tracestate` as one header, if it is sound and short.
fn state(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut whole = String::new();
    for value in headers.get_all(TRACESTATE) {
        let value = value.to_str().ok()?;
        if whole.len() + value.len() + 1 > MAX_STATE {
            return None;
        }
        if !whole.is_empty() {
            whole.push(',');
        }
        whole.push_str(value);
    }
    let members: Vec<_> =
        whole.split(',').map(|member| member.trim_matches([' ', '\t'])).filter(|member| !member.is_empty()).collect();
    let pairs = members.iter().map(|member| member.split_once('=')).collect::<Option<Vec<_>>>()?;
    let twice = |number: usize| pairs[..number].iter().any(|(key, _)| *key == pairs[number].0);
    let sound = (1..=MAX_MEMBERS).contains(&pairs.len())
        && pairs.iter().all(|(key, value)| is_key(key) && is_value(value))
        && !(0..pairs.len()).any(twice);
    sound.then(|| HeaderValue::try_from(members.join(",")).ok()).flatten()
}

fn is_key(key: &str) -> bool {
    let sound = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"_-*/@".contains(&c);
    (1..=MAX_KEY).contains(&key.len())
        && key.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && key.bytes().all(sound)
        && key.bytes().filter(|c| *c == b'@').count() <= 1
}

fn is_value(value: &str) -> bool {
    let sound = |c: u8| (b' '..=b'~').contains(&c) && c != b'=';
    (1..=MAX_VALUE).contains(&value.len()) && value.bytes().all(sound)
}

/// Whom calls tell which trace they belong to.
#[derive(Clone, Debug)]
pub(in crate::gateway) struct Propagation {
    /// As URLs begin with them; everybody without.
    origins: Option<Vec<String>>,
    state: bool,
}

impl Propagation {
    /// `None` if nobody is told.
    pub(in crate::gateway) fn new(settings: &Settings) -> Option<Self> {
        let origins = match &settings.otlp.propagate {
            _ if !leaves_traces(settings) => return None,
            Propagate::Nobody => return None,
            Propagate::Everybody => None,
            Propagate::Origins(origins) => Some(origins.iter().map(ToString::to_string).collect()),
        };
        Some(Propagation { origins, state: settings.otlp.tracestate })
    }

    /// Adds to a call's headers which trace it belongs to, if its origin is to know. What a rule says itself stays.
    pub(in crate::gateway) fn tell(&self, headers: &mut HeaderMap, url: &Url, number: usize) {
        let origin = &url[..Position::BeforePath];
        let told = self.origins.as_ref().is_none_or(|origins| origins.iter().any(|known| known == origin));
        if !told || headers.contains_key(TRACEPARENT) {
            return;
        }
        // There is none for what no request waits for.
        let _ = CURRENT.try_with(|context| {
            headers.insert(TRACEPARENT, context.header(number));
            if let Some(state) = context.state.as_ref().filter(|_| self.state) {
                headers.entry(TRACESTATE).or_insert_with(|| state.clone());
            }
        });
    }
}

impl Context {
    /// `traceparent` for a part of the request.
    fn header(&self, number: usize) -> HeaderValue {
        let span = self.span.saturating_add(number as u64);
        let text = format!("00-{:032x}-{span:016x}-{:02x}", self.trace, u8::from(self.sampled));
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a header value"));
        }
        headers
    }

    #[test]
    fn a_sound_traceparent_is_read() {
        let (trace, span) = (0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, 0x00f0_67aa_0ba9_02b7);
        for (text, flags) in [
            (SOUND.to_owned(), 1),
            (SOUND.replace("-01", "-00"), 0),
            (SOUND.replace("-01", "-03"), 3),
            (SOUND.replace("-01", "-ff"), 0xff),
            (SOUND.replacen("00-", "01-", 1), 1),
            (format!("{}-more", SOUND.replacen("00-", "cc-", 1)), 1),
        ] {
            assert_eq!(parse(text.as_bytes()), Some((trace, span, flags)), "{text}");
        }
    }

    #[test]
    fn a_malformed_traceparent_is_none() {
        let long = format!("cc{}-{}", &SOUND[2..], "x".repeat(MAX_PARENT));
        for text in [
            "",
            "00",
            &SOUND[..54],
            &SOUND.replace("-01", "-1"),
            &SOUND.replace("4bf", "4BF"),
            &SOUND.replace("4bf", "4gf"),
            &SOUND.replace("-01", "- 1"),
            &SOUND.replacen("00-", "ff-", 1),
            &SOUND.replacen("00-", "0x-", 1),
            &SOUND.replace('-', "_"),
            &format!("{SOUND}-more"),
            &format!("{SOUND} "),
            &format!(" {SOUND}"),
            &format!("{}more", SOUND.replacen("00-", "cc-", 1)),
            &format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            &format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", "0".repeat(16)),
            &long,
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Caller::read(&headers(&[(TRACEPARENT, SOUND), (TRACEPARENT, SOUND)])), None, "two of them");
        assert_eq!(Caller::read(&headers(&[(TRACESTATE, "a=1")])), None, "no traceparent");
    }

    #[test]
    fn tracestate_is_one_header_or_none() {
        let many = |count: usize| (0..count).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        for (values, expected) in [
            (&["a=1"][..], Some("a=1".to_owned())),
            (&["a=1", "b=2"], Some("a=1,b=2".into())),
            (&["a=1 , ,b=2\t,"], Some("a=1,b=2".into())),
            (&["tenant@system=x y", "0a_-*/=!~"], Some("tenant@system=x y,0a_-*/=!~".into())),
            (&[&many(32)], Some(many(32))),
            (&[&many(33)], None),
            (&[""], None),
            (&["a"], None),
            (&["=1"], None),
            (&["a="], None),
            (&["A=1"], None),
            (&["a=1,a=2"], None),
            (&["a=b=c"], None),
            (&["a@b@c=1"], None),
            (&["@a=1"], None),
            (&["a=\u{e9}"], None),
            (&[&format!("a={}", "x".repeat(256))], Some(format!("a={}", "x".repeat(256)))),
            (&[&format!("a={}", "x".repeat(257))], None),
            (&[&format!("a={0},b={0}", "x".repeat(255))], None),
        ] {
            let mut pairs = vec![(TRACEPARENT, SOUND)];
            pairs.extend(values.iter().map(|value| (TRACESTATE, *value)));
            let state = Caller::read(&headers(&pairs)).expect("the parent is sound").state;
            assert_eq!(state.map(|state| state.to_str().expect("ASCII").to_owned()), expected, "{values:?}");
        }
    }
}
