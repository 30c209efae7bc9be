//! A request under watch: which trace it belongs to, whether it leaves one, and what there is to tell of it.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, Version};

use super::{
    Otlp,
    context::{CURRENT, Caller, Context},
    spans::{MAX_CALLS, spans},
};
use crate::{
    config::Settings,
    core::{Blame, Host, Trace},
    gateway::{Upstream, clock},
};

/// The part of a trace's id by which those that leave a trace are chosen, as OpenTelemetry has it: all who look at it
/// choose the same.
const CHANCE: u32 = 56;

/// What watches the requests of one worker.
pub(in crate::gateway) struct Requests {
    otlp: Arc<Otlp>,
    /// Ids need to differ, not to be unguessable: keyed hashes of a counter do.
    random: RandomState,
    count: AtomicU64,
    /// Traces whose part of the id is smaller are left out.
    least: u64,
    propagates: bool,
}

/// A request under watch.
pub(in crate::gateway) struct Watched {
    pub(super) context: Context,
    /// When it came, by the clock and since 1970.
    pub(super) began: Duration,
    pub(super) time: Duration,
    propagates: bool,
}

/// How a request ended.
pub(in crate::gateway) struct Ended<'a> {
    pub(in crate::gateway) version: Version,
    /// A name that methods have, or `-`.
    pub(in crate::gateway) method: &'a str,
    /// The name of the rule.
    pub(in crate::gateway) rule: Option<&'a str>,
    pub(in crate::gateway) status: u16,
    /// Why there are no claims, in the words of the log, and who has to look at it.
    pub(in crate::gateway) failure: Option<(String, Blame)>,
    /// Answers for which nobody was asked.
    pub(in crate::gateway) kept: u32,
}

impl Requests {
    pub(in crate::gateway) fn new(otlp: Arc<Otlp>, settings: &Settings) -> Self {
        let least = ((1.0 - settings.otlp.sample.0) * (1_u64 << CHANCE) as f64) as u64;
        Requests {
            otlp,
            random: RandomState::new(),
            count: AtomicU64::new(0),
            least,
            propagates: super::Propagation::new(settings).is_some(),
        }
    }

    /// A request has come.
    pub(in crate::gateway) fn watch(&self, headers: &HeaderMap) -> Watched {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let random = |part: u8| self.random.hash_one((number, part));
        // With the highest bit unset there is room for the numbers of its parts, and with the lowest set it is not 0.
        let span = random(0) >> 1 | 1;
        let context = match Caller::read(headers) {
            Some(Caller { trace, span: parent, sampled, state }) => {
                Context { trace, span, parent: Some(parent), sampled, state }
            }
            None => {
                let chance = random(2);
                let trace = u128::from(random(1) | 1) << 64 | u128::from(chance);
                let sampled = chance & ((1 << CHANCE) - 1) >= self.least;
                Context { trace, span, parent: None, sampled, state: None }
            }
        };
        Watched { context, began: clock(), time: Upstream::now(), propagates: self.propagates }
    }

    /// A request was answered; `trace` has what there is to tell of its evaluation.
    pub(in crate::gateway) fn end(&self, watched: &Watched, trace: Option<&Trace>, ended: &Ended<'_>) {
        if watched.context.sampled {
            let now = clock();
            let timeline = trace.map(|trace| trace.timeline(now)).unwrap_or_default();
            self.otlp.queue.add(spans(&self.otlp, watched, &timeline, ended, now));
        }
    }
}

impl Watched {
    /// Where the evaluation notes what is to be told, if it leaves a trace. Another that notes more will do as well.
    pub(in crate::gateway) fn trace(&self) -> Option<Trace> {
        self.context.sampled.then(|| Trace::of_times(MAX_CALLS))
    }

    /// The id of its trace, for the log.
    pub(in crate::gateway) fn id(&self) -> String {
        format!("{:032x}", self.context.trace)
    }

    /// Does the work of the request, whose calls can tell then where they belong.
    pub(in crate::gateway) async fn within<W: Future>(&self, work: W) -> W::Output {
        match self.propagates {
            true => CURRENT.scope(self.context.clone(), work).await,
            false => work.await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, net::SocketAddr};

    use super::*;
    use crate::config::Ratio;

    fn requests(sample: f64) -> Requests {
        let mut settings = Settings::default();
        settings.otlp.endpoint = Some("http://127.0.0.1:4318".parse().expect("an address"));
        settings.otlp.sample = Ratio(sample);
        let otlp = Otlp::new(&settings, SocketAddr::from(([127, 0, 0, 1], 1))).expect("traces are wanted");
        Requests::new(Arc::new(otlp), &settings)
    }

    #[test]
    fn the_share_that_is_asked_for_leaves_a_trace() {
        for (sample, least, most) in [(0.0, 0, 0), (0.1, 800, 1200), (0.5, 4700, 5300), (1.0, 10_000, 10_000)] {
            let requests = requests(sample);
            let count = (0..10_000).filter(|_| requests.watch(&HeaderMap::new()).context.sampled).count();
            assert!((least..=most).contains(&count), "{count} of {sample}");
        }
    }

    #[test]
    fn a_caller_decides_for_its_own_request() {
        for (sample, flags, leaves) in [(0.0, "01", true), (1.0, "00", false)] {
            let parent = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
            let headers = [("traceparent", parent)]
                .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().expect("a header value")));
            let watched = requests(sample).watch(&headers.into_iter().collect());
            assert_eq!(watched.context.sampled, leaves);
            assert_eq!(watched.id(), "4bf92f3577b34da6a3ce929d0e0e4736");
            assert_eq!(watched.context.parent, Some(0x00f0_67aa_0ba9_02b7));
        }
    }

    #[test]
    fn no_two_ids_are_the_same() {
        let (one, other) = (requests(1.0), requests(1.0));
        let watched: Vec<_> =
            (0..10_000).flat_map(|_| [one.watch(&HeaderMap::new()), other.watch(&HeaderMap::new())]).collect();
        let traces: HashSet<_> = watched.iter().map(|watched| watched.context.trace).collect();
        let spans: HashSet<_> = watched.iter().map(|watched| watched.context.span).collect();
        assert_eq!([traces.len(), spans.len()], [20_000; 2]);
        assert!(!traces.contains(&0) && !spans.contains(&0));
    }
}
