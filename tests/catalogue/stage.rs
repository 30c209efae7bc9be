//! A host that answers as a case says, or as a test would have it, and remembers who was asked what.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    pin::pin,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use claimsmith::core::{
    Answer as Reply, CompiledRule, Compiler, FetchError, Host, Outcome, Outgoing, Reception, Secret, SecretSource,
    evaluate,
    identity::{Half, Identity},
    store::{Entry as Kept, Key},
};
use futures_util::FutureExt;
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::Value;
use url::{Position, Url};

use super::shelf::{Answer, Case, Entry};

thread_local! {
    static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    // It takes longer to make than most rules take to run.
    static COMPILER: Compiler = Compiler::new::<Stage>();
}

/// The host. A request takes the first answer that is left for its method and address.
pub struct Stage {
    secrets: HashMap<String, String>,
    left: RefCell<Vec<Answer>>,
    asked: RefCell<Vec<Outgoing>>,
    unforeseen: RefCell<Vec<String>>,
    kept: RefCell<HashMap<Key, Kept>>,
}

/// What came of a login.
pub struct Login {
    pub status: u16,
    pub body: String,
    /// All of the head, for what must not be in it.
    pub head: String,
    /// Why there are no claims, in the words of the log.
    pub why: Option<String>,
    pub asked: Vec<Outgoing>,
    /// Requests without an answer, and answers without a request.
    pub strays: Vec<String>,
}

/// A rule with the vars and secrets of a case, ready to be asked.
pub struct Ready<'c> {
    rule: CompiledRule,
    case: &'c Case,
}

impl Stage {
    fn new(case: &Case, answers: Vec<Answer>) -> Self {
        NOW.set(case.now.as_ref().map_or(Duration::from_secs(1_767_225_600), |_| Duration::from_secs(moment(case))));
        Stage {
            secrets: case.secrets.clone().into_iter().collect(),
            left: RefCell::new(answers),
            asked: RefCell::default(),
            unforeseen: RefCell::default(),
            kept: RefCell::default(),
        }
    }
}

/// When a case happens, in seconds since 1970.
fn moment(case: &Case) -> u64 {
    let text = match case.now.as_ref() {
        Some(Value::String(text)) => text.clone(),
        // A date of TOML, as serde hands it on.
        Some(Value::Object(date)) => date.values().next().and_then(Value::as_str).unwrap_or_default().to_owned(),
        _ => panic!("{}: a time is a date or a text", case.name),
    };
    let moment: jiff::Timestamp = text.parse().expect("a time of a case is RFC 3339");
    u64::try_from(moment.as_second()).expect("after 1970")
}

impl<'c> Ready<'c> {
    /// Compiles a rule for a case.
    pub fn new(entry: &Entry, case: &'c Case) -> Self {
        let stage = Stage::new(case, Vec::new());
        let (rule, problems) =
            COMPILER.with(|compiler| compiler.compile(&entry.name, &entry.source, &case.vars, &stage));
        let rule = rule.unwrap_or_else(|| panic!("{}: {:?}", entry.name, problems.sorted()));
        Ready { rule, case }
    }

    /// A login as the case has it.
    pub fn login(&self) -> Login {
        self.login_with(self.case.answers.clone())
    }

    /// The same with other answers.
    pub fn login_with(&self, answers: Vec<Answer>) -> Login {
        let stage = Stage::new(self.case, answers);
        let mut uri = url::form_urlencoded::Serializer::new(format!("/{}?", self.rule.name()));
        uri.extend_pairs(&self.case.request.query);
        let request = http::Request::get(uri.finish().trim_end_matches('?'));
        let request = request.header("authorization", format!("Bearer {}", self.case.token));
        let request = request.body(Bytes::new()).expect("requests of cases are sound");
        let mut login = pin!(evaluate(&self.rule, &request, "id", Reception::default(), &stage, None));
        // Calls side by side are asked again when one of them yields.
        let outcome = (0..1_000).find_map(|_| login.as_mut().now_or_never()).expect("nothing on a stage waits");
        let Outcome { response, failure, .. } = outcome;
        let left = stage.left.take().into_iter().map(|answer| format!("nobody asked for {}", answer.url));
        Login {
            status: response.status().as_u16(),
            body: String::from_utf8(response.body().to_vec()).expect("answers are UTF-8"),
            head: format!("{:?}", response.headers()),
            why: failure.as_ref().map(claimsmith::core::Failure::words),
            asked: stage.asked.take(),
            strays: stage.unforeseen.take().into_iter().chain(left).collect(),
        }
    }
}

/// True for the same resource; the order of the parameters in a query says nothing.
pub fn same(one: &Url, other: &Url) -> bool {
    let pairs = |url: &Url| {
        let mut pairs: Vec<_> = url.query_pairs().into_owned().collect();
        pairs.sort();
        pairs
    };
    one[..Position::AfterPath] == other[..Position::AfterPath] && pairs(one) == pairs(other)
}

/// Lets everything else that is ready go first.
async fn once_more() {
    let mut waited = false;
    std::future::poll_fn(|context| match std::mem::replace(&mut waited, true) {
        true => Poll::Ready(()),
        false => {
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
}

impl Host for Stage {
    async fn fetch(&self, request: Outgoing) -> Result<Reply, FetchError> {
        self.asked.borrow_mut().push(request.clone());
        let fits = |answer: &Answer| {
            let url: Url = answer.url.parse().expect("addresses of cases are sound");
            answer.method == request.method.as_str() && same(&url, &request.url)
        };
        let at = self.left.borrow().iter().position(fits);
        let answer = at.map(|at| self.left.borrow_mut().remove(at));
        // Calls that start together are all asked before the first has its answer.
        once_more().await;
        let Some(answer) = answer else {
            self.unforeseen.borrow_mut().push(format!("no answer for {} {}", request.method, request.url));
            return Err(FetchError::Connect("nobody is there".into()));
        };
        match answer.fail.as_deref() {
            None => {}
            Some("timeout") => return Err(FetchError::Timeout),
            Some("connect") => return Err(FetchError::Connect("so it is to be".into())),
            Some(_) => return Err(FetchError::Broken("so it is to be".into())),
        }
        let headers = answer.headers.iter().map(|(name, value)| {
            let name: HeaderName = name.parse().expect("headers of cases are sound");
            (name, value.parse::<HeaderValue>().expect("headers of cases are sound"))
        });
        Ok(Reply {
            status: StatusCode::from_u16(answer.status).expect("statuses of cases are sound"),
            headers: headers.collect(),
            body: Bytes::copy_from_slice(answer.text().as_bytes()),
        })
    }

    fn secret(&self, name: &str, _: &SecretSource) -> Result<Secret, String> {
        Ok(Secret::new(self.secrets.get(name).cloned().unwrap_or_else(|| format!("s3cret-{name}"))))
    }

    fn check(&self, _: &Identity) -> Result<(), (Half, String)> {
        Ok(())
    }

    fn script(&self, file: &str) -> Result<String, String> {
        std::fs::read_to_string(super::shelf::folder().join(file)).map_err(|why| why.to_string())
    }

    async fn shared<E>(&self, key: &Key, make: impl Future<Output = Result<Kept, E>>) -> Result<Kept, E>
    where
        E: Clone + Send + Sync + 'static,
    {
        if let Some(kept) = self.kept.borrow().get(key) {
            return Ok(kept.clone());
        }
        let made = make.await?;
        self.kept.borrow_mut().insert(*key, made.clone());
        Ok(made)
    }

    async fn forget(&self, key: &Key, _: &Kept) {
        self.kept.borrow_mut().remove(key);
    }

    async fn pause(&self, _: Duration) {}

    fn clock() -> Duration {
        Duration::ZERO
    }

    fn now() -> Duration {
        NOW.get()
    }
}
