//! What is counted, and how it is told to Prometheus.
//!
//! [`METRICS`] is the one list: a name, what it means, and where its values come from. What is counted for every
//! request is counted by each worker for itself and added up when somebody asks.

use std::{
    collections::{BTreeMap, VecDeque},
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

use super::{Shared, State, reload::Told};

/// The statuses that are answered; others are counted together.
const STATUSES: [u16; 14] = [200, 204, 400, 401, 403, 404, 405, 413, 429, 431, 500, 502, 503, 504];
const OTHER: &str = "other";
/// The bounds of the durations that are counted apart, in microseconds.
const BOUNDS: [u64; 11] =
    [5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000];
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
}

/// A failure that somebody has to look at.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    /// Since 1970.
    pub(super) time: Duration,
    pub(super) status: u16,
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
        }
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
    pub(super) fn count(&self, worker: usize, status: u16, took: Duration, calls: u64, given_up: u64) {
        let Some(cell) = self.cells.get(worker) else { return };
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let add = |counter: &AtomicU64, number| counter.fetch_add(number, Ordering::Relaxed);
        add(&cell.statuses[STATUSES.iter().position(|known| *known == status).unwrap_or(STATUSES.len())], 1);
        add(&cell.durations[BOUNDS.iter().position(|bound| micros <= *bound).unwrap_or(BOUNDS.len())], 1);
        add(&cell.micros, micros);
        add(&cell.calls, calls);
        if given_up > 0 {
            add(&cell.given_up, given_up);
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
pub(super) static METRICS: [Metric; 22] = [
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
                let bounds = BOUNDS.iter().map(|bound| *bound as f64 / 1e6).chain([f64::INFINITY]);
                let counts = (0..=BOUNDS.len()).map(|index| tally.sum(|cell| &cell.durations[index]));
                let buckets: Vec<_> = bounds.zip(counts).collect();
                samples.histogram(rule, tally.sum(|cell| &cell.micros) as f64 / 1e6, &buckets)
            })
        },
    },
    counter("claimsmith_calls", &["rule"], "Requests that were sent to upstreams", |view, samples| {
        view.rules.iter().try_for_each(|(rule, tally)| samples.add(&[rule], tally.sum(|cell| &cell.calls)))
    }),
    counter("claimsmith_calls_given_up", &["rule"], "Optional calls that failed", |view, samples| {
        view.rules.iter().try_for_each(|(rule, tally)| samples.add(&[rule], tally.sum(|cell| &cell.given_up)))
    }),
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
    counter("claimsmith_panics", &[], "Requests that met a fault of the program", |view, samples| {
        samples.add(&[], view.shared.tally.panics.load(Ordering::Relaxed))
    }),
    gauge("claimsmith_rules", &["state"], "Rules by their state: serving, kept, refused", |view, samples| {
        State::ALL.iter().try_for_each(|state| {
            let number = view.told.reports.iter().filter(|report| report.state == *state).count();
            samples.add(&[state.name()], number as u64)
        })
    }),
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
}

impl<'s> View<'s> {
    fn new(shared: &'s Shared) -> Self {
        let told = shared.status.told().clone();
        View { shared, told, rules: shared.tally.rules(), process: process() }
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

    fn histogram(&mut self, rule: &str, sum: f64, buckets: &[(f64, u64)]) -> fmt::Result {
        let labels = self.labels(&[rule]);
        let count = buckets.iter().map(|(_, count)| count).sum();
        match &mut self.sink {
            Sink::Points(points) => {
                points.push(Point::new(&labels, Value::Histogram { sum, buckets: buckets.to_vec() }));
                Ok(())
            }
            Sink::Page(encoder) => {
                encoder.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, count, buckets, None)
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
