//! Where questions are worked on: a thread of its own, with a stack for scripts, so that whoever listens is not kept
//! from listening, and what panics ends one answer.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{SyncSender, TrySendError, sync_channel},
    thread,
    time::Duration,
};

use serde_json::Value;
use tokio::sync::oneshot;

/// Questions that wait; more are refused.
const WAITING: usize = 8;
/// The time for an answer, the wait for earlier ones included.
const TIME: Duration = Duration::from_secs(15);
/// As the gateway's workers have.
const STACK: usize = 8 * 1024 * 1024;

/// An answer, or a sentence that says why there is none.
pub(super) type Answer = Result<Value, String>;

type Job<Q> = (Q, oneshot::Sender<Answer>);

/// A thread that answers questions of one kind, one after another. It ends with this.
#[derive(Debug)]
pub(super) struct Bench<Q>(SyncSender<Job<Q>>);

impl<Q: Send + 'static> Bench<Q> {
    /// Starts the thread; `make` makes what works there.
    pub(super) fn start<W: FnMut(Q) -> Answer>(
        name: &str,
        make: impl FnOnce() -> W + Send + 'static,
    ) -> Result<Self, String> {
        let (sender, jobs) = sync_channel::<Job<Q>>(WAITING);
        let work = move || {
            let mut work = make();
            for (question, reply) in jobs {
                // Nobody waits for it any more.
                if reply.is_closed() {
                    continue;
                }
                let answer = catch_unwind(AssertUnwindSafe(|| work(question)));
                let _ = reply
                    .send(answer.unwrap_or_else(|_| Err("a fault of the program; the next question is heard".into())));
            }
        };
        let thread = thread::Builder::new().name(name.to_owned()).stack_size(STACK).spawn(work);
        thread.map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(Bench(sender))
    }

    /// Has a question answered.
    pub(super) async fn ask(&self, question: Q) -> Answer {
        let (reply, answer) = oneshot::channel();
        match self.0.try_send((question, reply)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err("too many questions at once".into()),
            Err(TrySendError::Disconnected(_)) => return Err("nobody works here any more".into()),
        }
        match tokio::time::timeout(TIME, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err("nobody works here any more".into()),
            Err(_) => Err("this took too long".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_one_answer() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("there is a runtime");
        let bench = Bench::start("test", || {
            |text: &str| match text {
                "panic" => panic!("as asked"),
                text => Ok(Value::from(text)),
            }
        })
        .expect("a thread can be started");
        runtime.block_on(async {
            assert!(bench.ask("panic").await.is_err());
            assert_eq!(bench.ask("fine").await, Ok(Value::from("fine")));
        });
    }
}
