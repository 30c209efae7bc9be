//! When the parts of an evaluation began and ended, for systems that measure: names and times, and no word in which a
//! value may stand.

use std::time::Duration;

use url::Url;

use super::{Call, Outcome, Span, Stage};

/// The times of one evaluation, since it began.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// When that was, by the host's clock; never, if the request did not come so far.
    pub began: Option<Duration>,
    /// The steps besides the calls, in their order.
    pub stages: Vec<(Stage, Span)>,
    /// The requests of calls, as many as a trace shows; those without an answer come last.
    pub calls: Vec<Timed>,
    /// How many requests were on their way, which is the highest of their numbers.
    pub sent: usize,
}

/// One request of a call.
#[derive(Clone, Debug)]
pub struct Timed {
    /// The call's name.
    pub name: String,
    /// Which of its requests this is, such as `value 2, page 3`; empty if there is only one.
    pub which: String,
    /// Its number among the requests of the evaluation, from 1.
    pub number: usize,
    /// Where the rule sends it.
    pub to: Option<Destination>,
    /// When it started and ended.
    pub time: Span,
    /// When its answer was being read.
    pub decoded: Option<Span>,
    /// The status of its answer.
    pub status: Option<u16>,
    /// `answered`, `given up`, `failed` or `unanswered`.
    pub outcome: &'static str,
    /// What was sent for it, one after another.
    pub exchanges: Vec<Exchange>,
}

/// Where a request goes. Path and query are left out: values may stand there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The method.
    pub method: String,
    /// The host.
    pub host: String,
    /// The port.
    pub port: Option<u16>,
}

/// One exchange with a server.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// What for.
    pub what: &'static str,
    /// When.
    pub time: Span,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
}

impl Timed {
    /// A request that came to its end; `None` if it was never on its way.
    pub(super) fn new(call: &Call) -> Option<Timed> {
        let outcome = match call.outcome {
            Outcome::Answered => "answered",
            Outcome::GivenUp(_) => "given up",
            Outcome::Failed(_) => "failed",
            Outcome::Unanswered => "unanswered",
            Outcome::Skipped => return None,
        };
        let exchanges = call.attempts.iter().map(|attempt| Exchange {
            what: attempt.what,
            time: attempt.time,
            status: attempt.words.parse().ok(),
        });
        Some(Timed {
            name: call.name.clone(),
            which: call.which.clone(),
            number: call.number,
            to: call.request.first().and_then(|line| Destination::of(line)),
            time: call.time?,
            decoded: call.decoded,
            status: call.answer.map(|(status, _)| status),
            outcome,
            exchanges: exchanges.collect(),
        })
    }

    /// A request that was on its way when the evaluation ended, which is now.
    pub(super) fn open(number: usize, call: &Call, now: Duration) -> Option<Timed> {
        let timed = Timed::new(call)?;
        Some(Timed { number, time: (timed.time.0, now), ..timed })
    }
}

impl Destination {
    /// That of a request line.
    fn of(line: &str) -> Option<Destination> {
        let (method, url) = line.split_once(' ')?;
        let url = Url::parse(url.split(['?', '#']).next()?).ok()?;
        Some(Destination {
            method: method.to_owned(),
            host: url.host_str()?.to_owned(),
            port: url.port_or_known_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_address_only_the_host_is_told() {
        for (line, expected) in [
            ("GET https://api.acme.example/users/1?key=[key]", Some(("GET", "api.acme.example", 443))),
            ("POST http://127.0.0.1:8080/[token]/a", Some(("POST", "127.0.0.1", 8080))),
            ("GET https://[::1]:8443/", Some(("GET", "[::1]", 8443))),
            ("GET https://api.acme.example?a b", Some(("GET", "api.acme.example", 443))),
            ("GET /users", None),
            ("", None),
        ] {
            let expected = expected.map(|(method, host, port)| Destination {
                method: method.into(),
                host: host.into(),
                port: Some(port),
            });
            assert_eq!(Destination::of(line), expected, "{line}");
        }
    }
}
