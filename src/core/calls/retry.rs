//! When a failed attempt is repeated, and after what wait.

use std::time::Duration;

use http::{StatusCode, header};

use crate::core::message::{Answer, FetchError};

/// How often a call is repeated, and when.
#[derive(Debug)]
pub(super) struct Retry {
    pub(super) times: u8,
    pub(super) on: Vec<u16>,
}

/// What is worth another attempt when the rule does not say: the upstream is busy, or something before it is.
pub(super) const USUAL: [u16; 4] = [429, 502, 503, 504];
/// The wait before the first repetition; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait that an upstream may ask for (`Retry-After`): the caller is waiting too.
const LONGEST_WAIT: u64 = 2;

impl Retry {
    /// How long to wait before the next attempt; `None` if there is none.
    pub(super) fn wait(&self, attempts: u8, outcome: &Result<Answer, FetchError>) -> Option<Duration> {
        if attempts > self.times {
            return None;
        }
        let wait = FIRST_WAIT * 2_u32.pow(u32::from(attempts.saturating_sub(1)));
        match outcome {
            Err(FetchError::Connect(_) | FetchError::Broken(_)) => Some(wait),
            Err(
                FetchError::Timeout
                | FetchError::TooLarge(_)
                | FetchError::Refused(_)
                | FetchError::Spared(_)
                | FetchError::Barred(_),
            ) => None,
            Ok(answer) if !self.on.contains(&answer.status.as_u16()) => None,
            // Who limits the rate has to say when it is worth to come again; others need not.
            Ok(answer) if !answer.headers.contains_key(header::RETRY_AFTER) => {
                (answer.status != StatusCode::TOO_MANY_REQUESTS).then_some(wait)
            }
            // What it says otherwise, a date for one, is taken for too long.
            Ok(answer) => retry_after(answer)
                .filter(|seconds| *seconds <= LONGEST_WAIT)
                .map(|seconds| wait.max(Duration::from_secs(seconds))),
        }
    }
}

/// `Retry-After` in seconds (RFC 9110, section 10.2.3); a date is not worth a clock here.
pub(super) fn retry_after(answer: &Answer) -> Option<u64> {
    answer.headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, after: Option<&str>) -> Result<Answer, FetchError> {
        let mut headers = http::HeaderMap::new();
        headers.extend(after.map(|after| (header::RETRY_AFTER, after.parse().expect("a header value"))));
        let status = StatusCode::from_u16(status).expect("a status code");
        Ok(Answer { status, headers, body: bytes::Bytes::new() })
    }

    #[test]
    fn only_what_may_pass_is_repeated_and_ever_later() {
        let retry = Retry { times: 2, on: USUAL.to_vec() };
        let millis =
            |attempts, outcome: Result<Answer, FetchError>| retry.wait(attempts, &outcome).map(|wait| wait.as_millis());
        assert_eq!(millis(1, answer(503, None)), Some(100));
        assert_eq!(millis(2, answer(503, None)), Some(200));
        assert_eq!(millis(3, answer(503, None)), None);
        assert_eq!(millis(1, answer(429, Some("1"))), Some(1000));
        assert_eq!(millis(1, answer(503, Some("1"))), Some(1000));
        assert_eq!(millis(1, answer(503, Some("2"))), Some(2000));
        for (status, after) in [
            (429, None),
            (429, Some("30")),
            (503, Some("3")),
            (503, Some("Fri, 31 Dec 2999 23:59:59 GMT")),
            (503, Some("99999999999999999999999")),
            (503, Some("-1")),
            (503, Some("")),
        ] {
            assert_eq!(millis(1, answer(status, after)), None, "{status} {after:?}");
        }
        assert_eq!(millis(1, answer(500, None)), None);
        assert_eq!(millis(1, answer(401, None)), None);
        assert_eq!(millis(1, answer(200, None)), None);
        assert_eq!(millis(1, Err(FetchError::Connect("refused".into()))), Some(100));
        assert_eq!(millis(1, Err(FetchError::Timeout)), None);
    }
}
