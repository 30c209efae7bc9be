//! A host that answers at once with what it is told, and notes what it is asked for.

use std::{
    cell::RefCell,
    pin::pin,
    sync::OnceLock,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use claimsmith::core::{
    Answer, CompiledRule, Compiler, FetchError, Host, Outgoing, Secret, SecretSource,
    identity::{Half, Identity},
    problem::{Problem, Source},
    store::Seal,
};
use http::{HeaderMap, StatusCode};
use serde_json::Map;

/// The token of every caller here, and the value of every secret: nobody may ever be shown them.
pub const TOKEN: &str = "m4rked-t0ken-0123456789abcdef";
pub const SECRET: &str = "m4rked-s3cret-0123456789abcdef-0123456789abcdef-0123456789abcdef";

/// More requests than a rule may ask for: a thousand values, of which each has pages, are not what is tried here.
const MOST: usize = 3_000;

type Answers<'a> = dyn Fn(&Outgoing, usize) -> Result<Answer, FetchError> + 'a;

/// The host. It is asked from one thread, and never has anybody wait.
pub struct World<'a> {
    answers: &'a Answers<'a>,
    /// Everything that was asked for.
    pub sent: RefCell<Vec<Outgoing>>,
}

impl<'a> World<'a> {
    /// A host that answers so; the function also gets the number of the request.
    pub fn new(answers: &'a Answers<'a>) -> Self {
        World { answers, sent: RefCell::default() }
    }
}

impl Host for World<'_> {
    async fn fetch(&self, request: Outgoing) -> Result<Answer, FetchError> {
        let number = self.sent.borrow().len();
        assert!(number < MOST, "so many requests are made for one");
        self.sent.borrow_mut().push(request.clone());
        (self.answers)(&request, number)
    }

    fn secret(&self, _: &str, _: &SecretSource) -> Result<Secret, String> {
        Ok(Secret::new(SECRET))
    }

    fn check(&self, _: &Identity) -> Result<(), (Half, String)> {
        Ok(())
    }

    fn script(&self, _: &str) -> Result<String, String> {
        Ok("claims.from_a_file = true;".into())
    }

    fn seal(&self) -> Option<&Seal> {
        static SEAL: OnceLock<Seal> = OnceLock::new();
        Some(SEAL.get_or_init(|| Seal::new(&[7; 32])))
    }

    async fn pause(&self, _: Duration) {}

    fn clock() -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }

    fn now() -> Duration {
        Duration::from_secs(1_767_225_600)
    }
}

/// Compiles a rule; all problems are there, in the order of their places.
pub fn compile(text: &str) -> (Option<CompiledRule>, Vec<Problem>) {
    thread_local! {
        static COMPILER: Compiler = Compiler::new::<World<'static>>();
    }
    let nobody = World::new(&|_, _| Err(FetchError::Timeout));
    let source = Source::new("fuzz.toml", text);
    let (rule, problems) = COMPILER.with(|compiler| compiler.compile("fuzz", &source, &Map::new(), &nobody));
    (rule, problems.sorted())
}

/// Compiles a rule that is sound.
pub fn sound(text: &str) -> CompiledRule {
    let (rule, problems) = compile(text);
    let messages: Vec<_> = problems.iter().map(|problem| &problem.message).collect();
    rule.unwrap_or_else(|| panic!("the rule is sound: {messages:?}\n{text}"))
}

/// What a future of the core comes to. With a host that answers at once there is nothing to wait for; some calls let others
/// go first, and so have to be asked again.
pub fn at_once<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..10_000 {
        if let Poll::Ready(done) = work.as_mut().poll(&mut context) {
            return done;
        }
    }
    panic!("it waits for what nobody gives");
}

/// An answer with this status, body and Content-Type; without one for an empty text.
pub fn reply(status: u16, content_type: &str, body: impl Into<Bytes>) -> Answer {
    let mut headers = HeaderMap::new();
    if let Ok(content_type) = content_type.parse::<http::HeaderValue>()
        && !content_type.is_empty()
    {
        headers.insert(http::header::CONTENT_TYPE, content_type);
    }
    Answer { status: StatusCode::from_u16(status).expect("a status code"), headers, body: body.into() }
}

/// A text as TOML writes it.
pub fn quoted(text: &str) -> String {
    // TOML wants DEL escaped, JSON does not.
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}
