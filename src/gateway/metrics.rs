//! What is counted, and how it is told to Prometheus.
//!
//! [`METRICS`] is the one list: a name, what it means, and where its values come from. What is counted for every
//! request is counted by each worker for itself and added up when somebody asks.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, prometheus_text},
    metrics::MetricType,
    registry::Registry,
};

use super::{Shared, State, manners::Counts, reload::Told};
use crate::core::{CompiledRule, Failure, Outcome, TurnedAway};

/// The statuses that are answered; others are counted together.
const STATUSES: [u16; 14] = [200, 204, 400, 401, 403, 404, 405, 413, 429, 431, 500, 502, 503, 504];
const OTHER: &str = "other";
/// The bounds of the durations that are counted apart, in microseconds.
pub(super) const BOUNDS: [u64; 11] =
    [5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000];
/// What becomes of answers that may be kept.
const CACHE: [&str; 4] = ["hit", "shared", "stale", "miss"];
/// The steps at which a request may fail, as people call them.
const STEPS: [&str; 8] = ["receive", "call", "decode", "require", "map", "script", "contract", "respond"];
/// Why a request is not sent to an origin.
const SPARED: [&str; 3] = ["resting", "held", "busy"];
/// Origins that are told apart: those of rules, in the order of their names.
const MAX_ORIGINS: usize = 200;
/// Failures of a rule that are remembered.
const FAULTS: usize = 5;
/// The label of requests that no rule answers.
pub(super) const NOWHERE: &str = "-";

/// Everything that is counted.
pub(super) struct Tally {
    workers: usize,
    rules: Mutex<BTreeMap<String, Arc<RuleTally>>>,
    /// Of requests that no rule answers.
    pub(super) nowhere: Arc<RuleTally>,
    pub(super) accepted: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) expired: AtomicU64,
    pub(super) panics: AtomicU64,
    /// Limits that requests met, by the names of [`Failure::LIMITS`].
    limits: [AtomicU64; Failure::LIMITS.len()],
    /// Requests, by the names of [`TurnedAway`].
    turned_away: [AtomicU64; TurnedAway::NAMES.len()],
    /// Connections, by [`Kept::NAMES`].
    kept: [AtomicU64; Kept::NAMES.len()],
}

/// Why a connection is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// It comes from where nobody may ask.
    Out,
    /// A trusted proxy does not say whose it is.
    Unintroduced,
}

impl Kept {
    const NAMES: [&str; 2] = ["network", "proxy_header"];
}

/// What is counted of a rule.
pub(super) struct RuleTally {
    /// By worker.
    cells: Box<[Cell]>,
    faults: Mutex<VecDeque<Fault>>,
}

/// What one worker counts of a rule. Aligned, so that no two workers write to the same line of the cache.
#[derive(Default)]
#[repr(align(128))]
struct Cell {
    statuses: [AtomicU64; STATUSES.len() + 1],
    durations: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
    calls: AtomicU64,
    given_up: AtomicU64,
    /// By [`CACHE`].
    cache: [AtomicU64; CACHE.len()],
    /// By [`STEPS`].
    failures: [AtomicU64; STEPS.len()],
}

/// A failure that somebody has to look at.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    /// Since 1970.
    pub(super) time: Duration,
    pub(super) status: u16,
    /// The step at which it happened.
    pub(super) step: String,
    /// The words of the log: no token, secret or claim.
    pub(super) reason: String,
    pub(super) request_id: String,
}

impl Tally {
    pub(super) fn new(workers: usize) -> Self {
        Tally {
            workers,
            rules: Mutex::default(),
            nowhere: Arc::new(RuleTally::new(workers)),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            limits: Default::default(),
            turned_away: Default::default(),
            kept: Default::default(),
        }
    }

    /// Counts a failure that is about a limit.
    pub(super) fn limit(&self, failure: &Failure) {
        if let Some(limit) = failure.limit().and_then(|limit| self.limits.get(limit)) {
            limit.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a connection that is not served.
    pub(super) fn turn_away(&self, why: Kept) {
        self.kept[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that was turned away.
    pub(super) fn refuse(&self, why: TurnedAway) {
        self.turned_away[why.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// What is counted of these rules. Of others nothing is kept.
    pub(super) fn of_rules(&self, names: &[&str]) -> BTreeMap<String, Arc<RuleTally>> {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let new = |name: &str| rules.get(name).cloned().unwrap_or_else(|| Arc::new(RuleTally::new(self.workers)));
        *rules = names.iter().map(|name| ((*name).to_owned(), new(name))).collect();
        rules.clone()
    }

    /// The last failures of a rule, the latest first.
    pub(super) fn faults(&self, rule: &str) -> Vec<Fault> {
        let rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        rules.get(rule).map(|tally| tally.faults().iter().rev().cloned().collect()).unwrap_or_default()
    }

    fn rules(&self) -> Vec<(String, Arc<RuleTally>)> {
        let rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let of_rules = rules.iter().map(|(name, tally)| (name.clone(), tally.clone()));
        of_rules.chain([(NOWHERE.to_owned(), self.nowhere.clone())]).collect()
    }
}

impl RuleTally {
    fn new(workers: usize) -> Self {
        RuleTally { cells: (0..workers).map(|_| Cell::default()).collect(), faults: Mutex::default() }
    }

    /// Counts an answer.
    pub(super) fn count(&self, worker: usize, outcome: &Outcome, took: Duration) {
        let (status, calls) = (outcome.response.status().as_u16(), &outcome.calls);
        let Some(cell) = self.cells.get(worker) else { return };
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let add = |counter: &AtomicU64, number: u64| counter.fetch_add(number, Ordering::Relaxed);
        add(&cell.statuses[STATUSES.iter().position(|known| *known == status).unwrap_or(STATUSES.len())], 1);
        add(&cell.durations[BOUNDS.iter().position(|bound| micros <= *bound).unwrap_or(BOUNDS.len())], 1);
        add(&cell.micros, micros);
        add(&cell.calls, calls.sent.into());
        if !calls.given_up.is_empty() {
            add(&cell.given_up, calls.given_up.len() as u64);
        }
        if calls.kept + calls.missed > 0 {
            let hits = calls.kept.saturating_sub(calls.shared + calls.stale);
            let of_each = [hits, calls.shared, calls.stale, calls.missed];
            cell.cache.iter().zip(of_each).for_each(|(counter, number)| _ = add(counter, number.into()));
        }
        if let Some(failure) = &outcome.failure {
            let step = failure.stage();
            if let Some(number) = STEPS.iter().position(|known| *known == step.name()) {
                add(&cell.failures[number], 1);
            }
        }
    }

    /// Remembers a failure.
    pub(super) fn remember(&self, fault: Fault) {
        let mut faults = self.faults();
        if faults.len() == FAULTS {
            faults.pop_front();
        }
        faults.push_back(fault);
    }

    fn faults(&self) -> std::sync::MutexGuard<'_, VecDeque<Fault>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sum(&self, of: impl Fn(&Cell) -> &AtomicU64) -> u64 {
        self.cells.iter().map(|cell| of(cell).load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
    }
}

/// A metric, and where its values come from.
pub(super) struct Metric {
    /// As it is told; counters get `_total`.
    pub(super) name: &'static str,
    pub(super) kind: MetricType,
    pub(super) labels: &'static [&'static str],
    pub(super) help: &'static str,
    samples: fn(&View<'_>, &mut Samples<'_, '_>) -> fmt::Result,
}

/// All metrics. The unit, if there is one, is the last word of the name.
pub(super) static METRICS: [Metric; 40] = [
    counter("claimsmith_requests", &["rule", "status"], "Requests that were answered", |view, samples| {
        for (rule, tally) in &view.rules {
            for (index, status) in STATUSES.iter().map(u16::to_string).chain([OTHER.to_owned()]).enumerate() {
                match tally.sum(|cell| &cell.statuses[index]) {
                    0 => {}
                    number => samples.add(&[rule, &status], number)?,
                }
            }
        }
        Ok(())
    }),
    Metric {
        name: "claimsmith_request_duration_seconds",
        kind: MetricType::Histogram,
        labels: &["rule"],
        help: "Time from the head of a request to its answer",
        samples: |view, samples| {
            view.rules.iter().try_for_each(|(rule, tally)| {
                let micros = tally.sum(|cell| &cell.micros);
                samples.histogram(rule, micros, |index| tally.sum(|cell| &cell.durations[index]))
            })
        },
    },
    counter("claimsmith_calls", &["rule"], "Requests that were sent to upstreams", |view, samples| {
        view.rules.iter().try_for_each(|(rule, tally)| samples.add(&[rule], tally.sum(|cell| &cell.calls)))
    }),
    counter("claimsmith_calls_given_up", &["rule"], "Optional calls that failed", |view, samples| {
        view.rules.iter().try_for_each(|(rule, tally)| samples.add(&[rule], tally.sum(|cell| &cell.given_up)))
    }),
    counter("claimsmith_failures", &["rule", "step"], "Requests that were refused, by the step", |view, samples| {
        by_rule(view, samples, &STEPS, |cell| &cell.failures)
    }),
    counter(
        "claimsmith_cache_answers",
        &["rule", "result"],
        "Answers that may be kept, by where they came from",
        |view, samples| by_rule(view, samples, &CACHE, |cell| &cell.cache),
    ),
    gauge("claimsmith_cache_entries", &[], "Answers that are kept", |view, samples| samples.add(&[], view.kept.0)),
    gauge("claimsmith_cache_bytes", &[], "Bytes of the answers that are kept", |view, samples| {
        samples.add(&[], view.kept.1)
    }),
    counter("claimsmith_limits_hit", &["limit"], "Requests that met a limit", |view, samples| {
        let counted = Failure::LIMITS.iter().zip(&view.shared.tally.limits);
        counted.into_iter().try_for_each(|(limit, number)| samples.add(&[limit], number.load(Ordering::Relaxed)))
    }),
    counter("claimsmith_upstream_requests", &["origin"], "Requests that were sent to an origin", |view, samples| {
        view.origins.iter().try_for_each(|(origin, counts)| samples.add(&[origin], counts.sent))
    }),
    counter(
        "claimsmith_upstream_failures",
        &["origin"],
        "Requests to an origin without an answer, or with a 502, 503 or 504",
        |view, samples| view.origins.iter().try_for_each(|(origin, counts)| samples.add(&[origin], counts.failed)),
    ),
    Metric {
        name: "claimsmith_upstream_duration_seconds",
        kind: MetricType::Histogram,
        labels: &["origin"],
        help: "Time from a request to an origin to the end of its answer",
        samples: |view, samples| {
            view.origins.iter().try_for_each(|(origin, counts)| {
                samples.histogram(origin, counts.micros, |index| counts.durations[index])
            })
        },
    },
    gauge("claimsmith_upstream_in_flight", &["origin"], "Requests to an origin on their way", |view, samples| {
        view.origins.iter().try_for_each(|(origin, counts)| samples.add(&[origin], counts.busy))
    }),
    gauge("claimsmith_upstream_resting", &["origin"], "1 for an origin that is left alone", |view, samples| {
        view.origins.iter().try_for_each(|(origin, counts)| samples.add(&[origin], u64::from(counts.rests)))
    }),
    counter(
        "claimsmith_upstream_spared",
        &["origin", "reason"],
        "Requests that were not sent to an origin",
        |view, samples| {
            view.origins.iter().try_for_each(|(origin, counts)| {
                let counted = SPARED.iter().zip(counts.spared).filter(|(_, number)| *number > 0);
                counted.into_iter().try_for_each(|(reason, number)| samples.add(&[origin, reason], number))
            })
        },
    ),
    counter(
        "claimsmith_upstream_retries",
        &["origin", "result"],
        "Attempts that were to be repeated",
        |view, samples| {
            view.origins.iter().try_for_each(|(origin, counts)| {
                samples.add(&[origin, "made"], counts.repeated)?;
                samples.add(&[origin, "no_budget"], counts.unrepeated)
            })
        },
    ),
    gauge("claimsmith_requests_in_flight", &[], "Requests that are on their way", |view, samples| {
        samples.add(&[], view.shared.in_flight.load(Ordering::Relaxed) as u64)
    }),
    gauge("claimsmith_connections", &[], "Connections that are open", |view, samples| {
        samples.add(&[], view.shared.connections.load(Ordering::Relaxed) as u64)
    }),
    counter("claimsmith_connections_accepted", &[], "Connections that were accepted", |view, samples| {
        samples.add(&[], view.shared.tally.accepted.load(Ordering::Relaxed))
    }),
    counter("claimsmith_connections_refused", &[], "Connections that were closed as too many", |view, samples| {
        samples.add(&[], view.shared.tally.refused.load(Ordering::Relaxed))
    }),
    counter("claimsmith_connections_expired", &[], "Connections that were closed as slow or idle", |view, samples| {
        samples.add(&[], view.shared.tally.expired.load(Ordering::Relaxed))
    }),
    counter(
        "claimsmith_connections_turned_away",
        &["reason"],
        "Connections that were closed as `access` says",
        |view, samples| {
            let tally = &view.shared.tally;
            Kept::NAMES
                .iter()
                .zip(&tally.kept)
                .try_for_each(|(name, count)| samples.add(&[name], count.load(Ordering::Relaxed)))
        },
    ),
    counter(
        "claimsmith_requests_turned_away",
        &["reason"],
        "Requests that were refused as `access` says",
        |view, samples| {
            let counts = TurnedAway::NAMES.iter().zip(&view.shared.tally.turned_away);
            counts.into_iter().try_for_each(|(name, count)| samples.add(&[name], count.load(Ordering::Relaxed)))
        },
    ),
    counter("claimsmith_panics", &[], "Requests that met a fault of the program", |view, samples| {
        samples.add(&[], view.shared.tally.panics.load(Ordering::Relaxed))
    }),
    gauge("claimsmith_rules", &["state"], "Rules by their state: serving, kept, refused", |view, samples| {
        State::ALL.iter().try_for_each(|state| {
            let number = view.told.reports.iter().filter(|report| report.state == *state).count();
            samples.add(&[state.name()], number as u64)
        })
    }),
    gauge(
        "claimsmith_rule_info",
        &["rule", "revision", "state"],
        "1 for each rule that serves, with the revision that does",
        |view, samples| {
            let serving = view.told.reports.iter().filter(|report| report.state != State::Refused);
            serving
                .into_iter()
                .try_for_each(|report| samples.add(&[&report.name, &report.revision, report.state.name()], 1))
        },
    ),
    gauge(
        "claimsmith_rule_loaded_timestamp_seconds",
        &["rule"],
        "When what serves of a rule was loaded",
        |view, samples| {
            let serving = view.told.reports.iter().filter(|report| report.state != State::Refused);
            serving.into_iter().try_for_each(|report| samples.add(&[&report.name], report.since.as_secs()))
        },
    ),
    gauge("claimsmith_rule_broken", &["rule"], "1 for a rule whose files are broken", |view, samples| {
        view.told
            .reports
            .iter()
            .try_for_each(|report| samples.add(&[&report.name], u64::from(report.state != State::Serving)))
    }),
    counter("claimsmith_reloads", &["result"], "Changes of files, by what came of them", |view, samples| {
        samples.add(&["taken_over"], view.told.exchanges)?;
        samples.add(&["failed"], view.told.failures)
    }),
    gauge(
        "claimsmith_loaded_timestamp_seconds",
        &[],
        "When rules or settings were last taken over",
        |view, samples| samples.add(&[], view.told.since.as_secs()),
    ),
    gauge("claimsmith_settings_broken", &[], "1 if settings or folder cannot be read", |view, samples| {
        samples.add(&[], u64::from(view.told.settings.is_some() || view.told.folder.is_some()))
    }),
    gauge("claimsmith_restart_needed", &[], "Settings that wait for a restart", |view, samples| {
        samples.add(&[], view.told.restart.len() as u64)
    }),
    gauge("claimsmith_ready", &[], "1 if the process is ready", |view, samples| {
        samples.add(&[], u64::from(view.shared.readiness().is_ok()))
    }),
    counter("claimsmith_spans_sent", &[], "Spans that a collector of traces took", |view, samples| {
        view.shared.otlp.as_ref().map_or(Ok(()), |otlp| samples.add(&[], otlp.counts().0))
    }),
    counter("claimsmith_spans_dropped", &[], "Spans that no collector of traces took", |view, samples| {
        view.shared.otlp.as_ref().map_or(Ok(()), |otlp| samples.add(&[], otlp.counts().1))
    }),
    gauge("claimsmith_build_info", &["version"], "The version that runs", |_, samples| {
        samples.add(&[env!("CARGO_PKG_VERSION")], 1)
    }),
    gauge("claimsmith_recordings_armed", &[], "Recordings that wait for a request", |view, samples| {
        samples.add(&[], view.shared.recordings.armed() as u64)
    }),
    gauge("process_start_time_seconds", &[], "When the process began to serve", |view, samples| {
        samples.add(&[], view.shared.started.as_secs())
    }),
    gauge("process_resident_memory_bytes", &[], "Memory of the process", |view, samples| {
        view.process.map_or(Ok(()), |(memory, _)| samples.add(&[], memory))
    }),
    gauge("process_open_fds", &[], "Open file descriptors of the process", |view, samples| {
        view.process.map_or(Ok(()), |(_, descriptors)| samples.add(&[], descriptors))
    }),
];

type Sampler = fn(&View<'_>, &mut Samples<'_, '_>) -> fmt::Result;

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str, samples: Sampler) -> Metric {
    Metric { name, kind: MetricType::Counter, labels, help, samples }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str, samples: Sampler) -> Metric {
    Metric { name, kind: MetricType::Gauge, labels, help, samples }
}

/// Everything as it is when somebody asks.
struct View<'s> {
    shared: &'s Shared,
    told: Told,
    rules: Vec<(String, Arc<RuleTally>)>,
    /// Bytes of memory and file descriptors, where the system tells.
    process: Option<(u64, u64)>,
    /// What was counted of upstreams, by the origins that rules name.
    origins: Vec<(String, Counts)>,
    /// Entries and bytes of answers that are kept.
    kept: (u64, u64),
}

/// What was counted of the origins that rules name; the others are one.
fn origins(shared: &Shared) -> Vec<(String, Counts)> {
    let mut of_targets: HashMap<_, _> = shared.upstream.counts().into_iter().collect();
    let set = shared.workers.first().map(super::serving::Worker::set);
    let named: BTreeSet<_> = set.iter().flat_map(|set| set.rules()).flat_map(CompiledRule::origins).collect();
    let mut origins = Vec::new();
    for origin in named.into_iter().take(MAX_ORIGINS) {
        // Several may be led to the same place, which is counted once.
        if let Some(counts) = of_targets.remove(shared.upstream.target(&origin).as_str()) {
            origins.push((origin, counts));
        }
    }
    if !of_targets.is_empty() {
        let mut others = Counts::default();
        of_targets.values().for_each(|counts| others.add(counts));
        origins.push((OTHER.to_owned(), others));
    }
    origins
}

/// Counters of all rules that have a word for each.
fn by_rule<const N: usize>(
    view: &View<'_>,
    samples: &mut Samples<'_, '_>,
    words: &[&str; N],
    of: fn(&Cell) -> &[AtomicU64; N],
) -> fmt::Result {
    for (rule, tally) in &view.rules {
        for (number, word) in words.iter().enumerate() {
            match tally.sum(|cell| &of(cell)[number]) {
                0 => {}
                counted => samples.add(&[rule, word], counted)?,
            }
        }
    }
    Ok(())
}

impl<'s> View<'s> {
    fn new(shared: &'s Shared) -> Self {
        let told = shared.status.told().clone();
        View {
            shared,
            told,
            rules: shared.tally.rules(),
            process: process(),
            origins: origins(shared),
            kept: shared.upstream.kept(),
        }
    }
}

/// Takes the values of one metric.
struct Samples<'m, 'e> {
    metric: &'m Metric,
    sink: Sink<'m, 'e>,
}

/// Where they go.
enum Sink<'m, 'e> {
    /// Onto the page for Prometheus.
    Page(&'m mut MetricEncoder<'e>),
    /// To whoever wants them as they are.
    Points(&'m mut Vec<Point>),
}

/// One value of a metric, for those that do not read the page.
pub(super) struct Point {
    pub(super) labels: Vec<(&'static str, String)>,
    pub(super) value: Value,
}

/// What a value may be.
pub(super) enum Value {
    Number(u64),
    /// The sum, and how many there are up to each bound and above the one before.
    Histogram {
        sum: f64,
        buckets: Vec<(f64, u64)>,
    },
}

impl Samples<'_, '_> {
    fn labels<'v>(&self, values: &[&'v str]) -> Vec<(&'static str, &'v str)> {
        self.metric.labels.iter().copied().zip(values.iter().copied()).collect()
    }

    fn add(&mut self, values: &[&str], value: u64) -> fmt::Result {
        let labels = self.labels(values);
        match &mut self.sink {
            Sink::Points(points) => points.push(Point::new(&labels, Value::Number(value))),
            Sink::Page(encoder) if labels.is_empty() => put(self.metric, encoder, value)?,
            Sink::Page(encoder) => put(self.metric, &mut encoder.encode_family(&labels)?, value)?,
        }
        Ok(())
    }

    /// A histogram over [`BOUNDS`].
    fn histogram(&mut self, label: &str, micros: u64, count: impl Fn(usize) -> u64) -> fmt::Result {
        let labels = self.labels(&[label]);
        let bounds = BOUNDS.iter().map(|bound| *bound as f64 / 1e6).chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip((0..=BOUNDS.len()).map(count)).collect();
        let (sum, count) = (micros as f64 / 1e6, buckets.iter().map(|(_, count)| count).sum());
        match &mut self.sink {
            Sink::Points(points) => {
                points.push(Point::new(&labels, Value::Histogram { sum, buckets }));
                Ok(())
            }
            Sink::Page(encoder) => {
                encoder.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
            }
        }
    }
}

impl Point {
    fn new(labels: &[(&'static str, &str)], value: Value) -> Self {
        Point { labels: labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(), value }
    }
}

fn put(metric: &Metric, encoder: &mut MetricEncoder<'_>, value: u64) -> fmt::Result {
    match metric.kind {
        MetricType::Counter => encoder.encode_counter::<NoLabelSet, u64, u64>(&value, None),
        _ => encoder.encode_gauge(&value),
    }
}

/// All metrics of a server as a page for Prometheus.
struct Page(Arc<Shared>);

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Page")
    }
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let view = View::new(&self.0);
        METRICS.iter().try_for_each(|metric| {
            let mut encoder = encoder.encode_descriptor(metric.name, metric.help, None, metric.kind)?;
            (metric.samples)(&view, &mut Samples { metric, sink: Sink::Page(&mut encoder) })
        })
    }
}

/// The type of the page.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The page for Prometheus.
pub(super) fn page(shared: &Arc<Shared>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Page(shared.clone())));
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = prometheus_text::encode(&mut text, &registry);
    text
}

/// All metrics with their values, for those that do not read the page.
pub(super) fn points(shared: &Shared) -> Vec<(&'static Metric, Vec<Point>)> {
    let view = View::new(shared);
    let of = |metric: &'static Metric| {
        let mut points = Vec::new();
        // Only a page can be full.
        let _ = (metric.samples)(&view, &mut Samples { metric, sink: Sink::Points(&mut points) });
        (metric, points)
    };
    METRICS.iter().map(of).collect()
}

/// What the kernel says of this process, where it has `/proc`.
#[expect(clippy::disallowed_methods, reason = "the kernel tells by files")]
fn process() -> Option<(u64, u64)> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    let descriptors = std::fs::read_dir("/proc/self/fd").ok()?.count();
    Some((kilobytes * 1024, descriptors as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_in_the_documentation_is_the_declared_one() {
        let readme = include_str!("../../README.md");
        let section = readme.split("### Metrics\n").nth(1).and_then(|rest| rest.split("\n#").next());
        let rows = section.expect("it is there").lines().filter(|line| line.starts_with("| `"));
        let documented: Vec<_> =
            rows.map(|row| row.split('|').skip(1).take(3).collect::<String>().replace(['`', ','], "")).collect();
        let declared: Vec<_> = METRICS
            .iter()
            .map(|metric| {
                let (end, kind) = match metric.kind {
                    MetricType::Counter => ("_total", "counter"),
                    MetricType::Histogram => ("", "histogram"),
                    _ => ("", "gauge"),
                };
                [&[&format!("{}{end}", metric.name), kind][..], metric.labels].concat().join(" ")
            })
            .collect();
        let words = |text: &String| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(documented.iter().map(words).collect::<Vec<_>>(), declared);
    }

    #[test]
    fn names_have_the_forms_that_are_usual() {
        for metric in &METRICS {
            let name = metric.name;
            assert!(name.starts_with("claimsmith_") || name.starts_with("process_"), "{name}");
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
            assert!(!name.ends_with("_total"), "{name}: counters get it when they are told");
            let unit = ["milliseconds", "_ms", "kilobytes", "percent"];
            assert!(unit.iter().all(|unit| !name.ends_with(unit)), "{name}: base units");
        }
    }
}
