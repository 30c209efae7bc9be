//! A host that answers from a recording. Nothing waits, and the time stands still.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;
use url::Url;

use super::{
    Fault,
    kept::{Kept, once_more},
};
use crate::core::{
    host::{Host, SecretSource},
    identity::{Half, Identity},
    message::{Answer, FetchError, Outgoing, Secret},
    rule::{Asked, Case, Content, Recorded, Reply, Sent},
    store::{Entry, Key},
};

/// Gives a file that stands beside a rule: a script, or the body of an answer.
pub type Files<'a> = &'a (dyn Fn(&str) -> Result<Vec<u8>, String> + Sync);

/// The time of a case that does not say when it happens: 2026-01-01T00:00:00Z.
pub const USUAL_NOW: Duration = Duration::from_secs(1_767_225_600);

/// Why there is no answer where the case has none.
pub const NOT_RECORDED: &str = "no answer is recorded";

thread_local! {
    static NOW: Cell<Duration> = const { Cell::new(USUAL_NOW) };
    static CLOCK: Cell<fn() -> Duration> = const { Cell::new(stopped) };
}

fn stopped() -> Duration {
    Duration::ZERO
}

/// Has scripts of this thread's evaluations bounded in time too, as on the gateway. Without it only their operations
/// and sizes are, so that a case comes out the same on a slow machine.
pub fn set_clock(clock: fn() -> Duration) {
    CLOCK.set(clock);
}

/// Sets the time of this thread's evaluations.
pub fn set_time(now: Option<Duration>) {
    NOW.set(now.unwrap_or(USUAL_NOW));
}

/// The time of this thread's evaluations.
pub fn time() -> Duration {
    NOW.get()
}

/// A host that answers as one case says.
pub struct Recording<'a> {
    case: &'a Case,
    files: Files<'a>,
    /// Which answers were asked for.
    used: RefCell<Vec<bool>>,
    faults: RefCell<Vec<Fault>>,
    /// Requests without an answer.
    unanswered: RefCell<Vec<(Method, Url)>>,
    secrets: RefCell<BTreeSet<String>>,
    kept: Kept,
}

impl<'a> Recording<'a> {
    /// The host of a case; its time begins.
    pub fn new(case: &'a Case, files: Files<'a>) -> Self {
        set_time(case.now);
        Recording {
            case,
            files,
            used: RefCell::new(vec![false; case.answers.len()]),
            faults: RefCell::default(),
            unanswered: RefCell::default(),
            secrets: RefCell::default(),
            kept: Kept::default(),
        }
    }

    /// The secrets that the rule asked for.
    pub fn asked_secrets(&self) -> BTreeSet<String> {
        self.secrets.borrow().clone()
    }

    /// The value of a secret: the one of the case, or one that tells its name.
    pub(super) fn value(&self, name: &str) -> String {
        let given = self.case.secrets.iter().find(|(key, _)| key.name == name);
        given.map_or_else(|| format!("s3cret-{name}"), |(_, value)| value.value.clone())
    }

    /// What was wrong with the requests, and the answers that nobody asked for.
    pub fn faults(self) -> Vec<Fault> {
        let used = self.used.into_inner();
        let unused: Vec<_> =
            self.case.answers.iter().zip(used).filter(|(_, used)| !used).map(|(answer, _)| answer).collect();
        let unanswered = self.unanswered.into_inner().into_iter().map(|(method, url)| Fault::Unanswered {
            like: unused.iter().find_map(|answer| like(answer, &method, &url)),
            request: words(&method, &url),
        });
        let unanswered: Vec<_> = unanswered.collect();
        let unused = unused.iter().map(|answer| Fault::Unused { request: words(&method(answer), &answer.url) });
        self.faults.into_inner().into_iter().chain(unanswered).chain(unused).collect()
    }

    fn fault(&self, fault: Fault) {
        self.faults.borrow_mut().push(fault);
    }

    /// The next answer for a request.
    fn find(&self, outgoing: &Outgoing) -> Option<&'a Recorded> {
        let mut used = self.used.borrow_mut();
        let fits = |answer: &Recorded| method(answer) == outgoing.method && same(&answer.url, &outgoing.url);
        let at = self.case.answers.iter().zip(used.iter()).position(|(answer, used)| !used && fits(answer))?;
        used[at] = true;
        Some(&self.case.answers[at])
    }

    fn reply(&self, reply: &Reply) -> Result<Answer, FetchError> {
        match reply {
            Reply::Timeout => Err(FetchError::Timeout),
            Reply::Connect => Err(FetchError::Connect("the case says so".into())),
            Reply::Broken => Err(FetchError::Broken("the case says so".into())),
            Reply::Answer { status, headers, body } => {
                let mut map = HeaderMap::new();
                for (key, value) in headers {
                    match (HeaderName::try_from(&*key.name), HeaderValue::try_from(&*value.value)) {
                        (Ok(name), Ok(value)) => _ = map.append(name, value),
                        _ => self.fault(Fault::Case(format!("no answer can have the header `{}`", key.name))),
                    }
                }
                let body = match body {
                    Content::Text(text) => Bytes::copy_from_slice(text.as_bytes()),
                    Content::File(name) => (self.files)(&name.value).map(Bytes::from).unwrap_or_else(|why| {
                        self.fault(Fault::Case(format!("cannot read `{}`: {why}", name.value)));
                        Bytes::new()
                    }),
                };
                Ok(Answer { status: *status, headers: map, body })
            }
        }
    }
}

impl Host for Recording<'_> {
    async fn fetch(&self, outgoing: Outgoing) -> Result<Answer, FetchError> {
        let found = self.find(&outgoing);
        // Calls that start together are all asked before the first has its answer.
        once_more().await;
        let Some(recorded) = found else {
            self.unanswered.borrow_mut().push((outgoing.method, outgoing.url));
            return Err(FetchError::Connect(NOT_RECORDED.into()));
        };
        for what in judge(&recorded.expect, &outgoing) {
            self.fault(Fault::Request { request: words(&outgoing.method, &outgoing.url), what });
        }
        self.reply(&recorded.reply)
    }

    fn secret(&self, name: &str, _: &SecretSource) -> Result<Secret, String> {
        self.secrets.borrow_mut().insert(name.to_owned());
        Ok(Secret::new(self.value(name)))
    }

    fn check(&self, _: &Identity) -> Result<(), (Half, String)> {
        // No connection is made.
        Ok(())
    }

    fn script(&self, file: &str) -> Result<String, String> {
        let bytes = (self.files)(file)?;
        String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
    }

    async fn shared<E>(&self, key: &Key, make: impl Future<Output = Result<Entry, E>>) -> Result<Entry, E>
    where
        E: Clone + Send + Sync + 'static,
    {
        self.kept.shared(key, make).await
    }

    async fn forget(&self, key: &Key, stale: &Entry) {
        self.kept.forget(key, stale);
    }

    async fn pause(&self, _: Duration) {}

    fn clock() -> Duration {
        CLOCK.get()()
    }

    fn now() -> Duration {
        time()
    }
}

fn method(answer: &Recorded) -> Method {
    answer.method.as_ref().and_then(|method| method.value.parse().ok()).unwrap_or(Method::GET)
}

fn words(method: &Method, url: &Url) -> String {
    format!("{method} {url}")
}

/// True for the same resource; the order of the parameters in a query says nothing.
fn same(recorded: &Url, sent: &Url) -> bool {
    same_path(recorded, sent) && pairs(recorded) == pairs(sent)
}

fn same_path(recorded: &Url, sent: &Url) -> bool {
    recorded[..url::Position::AfterPath] == sent[..url::Position::AfterPath]
}

fn pairs(url: &Url) -> Vec<(String, String)> {
    let mut pairs: Vec<_> = url.query_pairs().into_owned().collect();
    pairs.sort();
    pairs
}

/// How a request differs from that of a recorded answer, if they go to the same path.
fn like(recorded: &Recorded, sent: &Method, url: &Url) -> Option<String> {
    if !same_path(&recorded.url, url) {
        return None;
    }
    let method = method(recorded);
    if method != *sent {
        return Some(format!("one for {} is", words(&method, &recorded.url)));
    }
    let (has, asked) = (pairs(&recorded.url), pairs(url));
    let text = |pairs: Vec<&(String, String)>| match pairs.is_empty() {
        true => "none".to_owned(),
        false => pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&"),
    };
    let only = |of: &[(String, String)], other: &[(String, String)]| {
        text(of.iter().filter(|pair| !other.contains(pair)).collect())
    };
    Some(format!("the query of a recorded one differs: {} there, {} asked", only(&has, &asked), only(&asked, &has)))
}

/// What of a request is not as the case expects.
fn judge(expect: &Asked, outgoing: &Outgoing) -> Vec<String> {
    let mut faults = Vec::new();
    for (key, expected) in &expect.headers {
        let found = outgoing.headers.get(&*key.name).map(|value| String::from_utf8_lossy(value.as_bytes()));
        match (expected, found) {
            (Some(expected), Some(found)) if expected.value == found => {}
            (None, None) => {}
            (Some(expected), found) => faults.push(format!(
                "the header `{}` is to be {:?}, and is {}",
                key.name,
                expected.value,
                found.map_or("not there".to_owned(), |found| format!("{found:?}"))
            )),
            (None, Some(_)) => faults.push(format!("the header `{}` is not to be there", key.name)),
        }
    }
    let body = String::from_utf8_lossy(&outgoing.body);
    let fits = match &expect.body {
        None => true,
        Some(Sent::Text(text)) => text.value == body,
        Some(Sent::Json(value)) => serde_json::from_str::<Value>(&body).ok().as_ref() == Some(value),
        Some(Sent::Form(fields)) => {
            let mut expected: Vec<_> =
                fields.iter().map(|(key, text)| (key.name.clone(), text.value.clone())).collect();
            let mut found: Vec<_> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
            expected.sort();
            found.sort();
            expected == found
        }
    };
    if !fits {
        faults.push(format!("the body is another: {body}"));
    }
    faults
}
