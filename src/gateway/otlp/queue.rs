//! Spans that wait to be taken away: so many and no more.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::sync::Notify;

/// Spans that wait; each has less than a kilobyte.
const MAX: usize = 8192;
/// Spans that are sent together.
const BATCH: usize = 512;

#[derive(Default)]
pub(super) struct Queue {
    spans: Mutex<VecDeque<Span>>,
    enough: Notify,
    sent: AtomicU64,
    dropped: AtomicU64,
}

impl Queue {
    /// Adds the spans of one request, all of them or none.
    pub(super) fn add(&self, spans: Vec<Span>) {
        let mut waiting = self.waiting();
        if waiting.len() + spans.len() > MAX {
            drop(waiting);
            return self.dropped(spans.len());
        }
        waiting.extend(spans);
        let enough = waiting.len() >= BATCH;
        drop(waiting);
        if enough {
            self.enough.notify_one();
        }
    }

    /// The next to be sent, the oldest first; none if there is none.
    pub(super) fn batch(&self) -> Vec<Span> {
        let mut waiting = self.waiting();
        let count = waiting.len().min(BATCH);
        waiting.drain(..count).collect()
    }

    /// Ends when there are enough to be sent.
    pub(super) async fn enough(&self) {
        self.enough.notified().await;
    }

    pub(super) fn sent(&self, count: usize) {
        self.sent.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn dropped(&self, count: usize) {
        self.dropped.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// How many were sent and dropped.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.sent.load(Ordering::Relaxed), self.dropped.load(Ordering::Relaxed))
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Span>> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_wait_than_may_and_the_rest_is_counted() {
        let queue = Queue::default();
        let spans = |count: usize| vec![Span::default(); count];
        for _ in 0..MAX / 100 + 10 {
            queue.add(spans(100));
        }
        assert_eq!(queue.waiting().len(), MAX / 100 * 100);
        assert_eq!(queue.counts(), (0, 1000));
        assert_eq!(queue.batch().len(), BATCH);
        queue.add(spans(BATCH));
        assert_eq!(queue.counts(), (0, 1000), "there is room again");
        let batches = std::iter::from_fn(|| Some(queue.batch().len()).filter(|count| *count > 0));
        assert_eq!(batches.sum::<usize>(), MAX / 100 * 100);
    }
}
