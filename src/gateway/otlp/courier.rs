//! What takes spans and metrics to the collector, on a thread of its own.
//!
//! A collector that is away is asked again, ever more seldom; meanwhile spans wait in the queue, and those that have no
//! room there are dropped. That is told once, and once when it is over.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use opentelemetry_proto::tonic::{
    collector::{
        metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse},
        trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    },
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::{ResourceMetrics, ScopeMetrics},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::Message;
use tokio::{
    runtime::Builder,
    sync::oneshot,
    time::{Interval, MissedTickBehavior, interval, timeout},
};
use url::Url;

use super::{attribute, points, scope};
use crate::{
    config::{Allowed, Endpoint, KeySource, Otlp, Settings},
    core::{Answer, FetchError, Host, Outgoing, SecretSource},
    gateway::{Secrets, Shared, Store, Upstream, clock},
};

/// How long a span waits for company at most.
const GATHER: Duration = Duration::from_secs(5);
/// How long it takes at the end to send what is left, at most.
const FLUSH: Duration = Duration::from_secs(5);
/// The wait after a delivery that failed; after each further one it is twice as long, up to a bound.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A courier at work; what waits is sent when this is dropped, within bounds.
#[derive(Debug)]
pub(in crate::gateway) struct Courier {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Courier {
    /// One for a server, if its settings name a collector.
    ///
    /// # Errors
    /// When a header cannot be read, or the thread cannot be started.
    pub(in crate::gateway) fn start(shared: &Arc<Shared>, secrets: &Secrets) -> Result<Option<Self>, String> {
        let settings = &shared.settings;
        let Some(endpoint) = &settings.otlp.endpoint else { return Ok(None) };
        let round = Round::new(shared.clone(), endpoint, secrets)?;
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("otlp".into())
            .spawn(move || run(round, stopped))
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(Some(Courier { stop: Some(stop), thread: Some(thread) }))
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of it was logged when it happened.
            let _ = thread.join();
        }
    }
}

fn run(mut round: Round, mut stopped: oneshot::Receiver<()>) {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "traces and metrics are not sent"),
    };
    runtime.block_on(async {
        // A delivery that is cut short here is on the way again below.
        tokio::select! {
            _ = &mut stopped => {}
            () = round.go() => {}
        }
        if timeout(FLUSH, round.last()).await.is_err() {
            tracing::warn!("traces and metrics were still to be sent when the process ended");
        }
    });
}

/// Where a kind of signal goes, and how that went.
struct Line {
    signal: &'static str,
    url: Url,
    /// Deliveries in a row that failed.
    failures: u32,
    /// Nothing is sent before, by the clock.
    rests: Duration,
}

/// Spans on their way.
struct Batch {
    body: Bytes,
    count: usize,
}

/// What a delivery came to.
enum Fault {
    /// It may be taken later, after as long as the collector says.
    Later(Option<Duration>, String),
    /// It will not be taken.
    Never(String),
}

/// Everything that goes round.
struct Round {
    shared: Arc<Shared>,
    host: Upstream,
    headers: Vec<(HeaderName, SecretSource)>,
    resource: Resource,
    /// When the counters began, in nanoseconds since 1970.
    began: u64,
    traces: Line,
    metrics: Line,
    /// What is to be sent first.
    batch: Option<Batch>,
}

impl Round {
    fn new(shared: Arc<Shared>, endpoint: &Endpoint, secrets: &Secrets) -> Result<Self, String> {
        let settings = &shared.settings;
        // The operator names it, wherever it is.
        let mut of_host = settings.clone();
        of_host.upstream.allow.extend(endpoint.origin().map(Allowed::Origin));
        let line = |signal| Line { signal, url: endpoint.of(signal), failures: 0, rests: Duration::ZERO };
        let round = Round {
            host: Upstream::new(&of_host, secrets.clone(), Store::new())?,
            headers: headers(settings),
            resource: resource(&settings.otlp),
            began: nanos(),
            traces: line("traces"),
            metrics: line("metrics"),
            batch: None,
            shared,
        };
        // What is missing shows at the start, and not in the log of the night.
        round.head()?;
        Ok(round)
    }

    async fn go(&mut self) {
        let Otlp { interval: every, metrics, .. } = self.shared.settings.otlp;
        let mut gather = ticks(every.0.min(GATHER));
        let mut measure = ticks(every.0);
        loop {
            let enough = async {
                match &self.shared.otlp {
                    Some(otlp) => otlp.queue.enough().await,
                    None => std::future::pending().await,
                }
            };
            let is_time = tokio::select! {
                () = enough => false,
                _ = gather.tick() => false,
                _ = measure.tick() => metrics,
            };
            // Why certificates cannot be read again is told by those who need them more.
            let _ = self.host.refresh();
            self.spans().await;
            if is_time {
                self.measures().await;
            }
        }
    }

    /// Everything that is left.
    async fn last(&mut self) {
        self.traces.rests = Duration::ZERO;
        self.metrics.rests = Duration::ZERO;
        self.spans().await;
        if self.shared.settings.otlp.metrics {
            self.measures().await;
        }
    }

    /// Sends the spans that wait.
    async fn spans(&mut self) {
        let Some(otlp) = self.shared.otlp.clone() else { return };
        while clock() >= self.traces.rests {
            if self.batch.is_none() {
                self.batch = self.pack(otlp.queue.batch());
            }
            let Some(Batch { body, count }) = &self.batch else { return };
            match self.post(&self.traces, body.clone()).await {
                Ok(answer) => {
                    let rejected = ExportTraceServiceResponse::decode(answer.body)
                        .ok()
                        .and_then(|answer| answer.partial_success)
                        .map_or(0, |partial| usize::try_from(partial.rejected_spans).unwrap_or(0).min(*count));
                    otlp.queue.sent(count - rejected);
                    otlp.queue.dropped(rejected);
                    self.batch = None;
                    self.traces.went_well(rejected);
                }
                Err(fault) => {
                    if let Fault::Never(_) = fault {
                        otlp.queue.dropped(*count);
                        self.batch = None;
                    }
                    self.traces.failed(fault);
                }
            }
        }
    }

    fn pack(&self, spans: Vec<Span>) -> Option<Batch> {
        let count = spans.len();
        let scope_spans = vec![ScopeSpans { scope: Some(scope()), spans, ..ScopeSpans::default() }];
        let resource = Some(self.resource.clone());
        let resource_spans = vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }];
        let body = ExportTraceServiceRequest { resource_spans }.encode_to_vec().into();
        (count > 0).then_some(Batch { body, count })
    }

    /// Sends all metrics as they are now.
    async fn measures(&mut self) {
        if clock() < self.metrics.rests {
            return;
        }
        let metrics = points::metrics(&self.shared, self.began, nanos());
        let scope_metrics = vec![ScopeMetrics { scope: Some(scope()), metrics, ..ScopeMetrics::default() }];
        let resource = Some(self.resource.clone());
        let resource_metrics = vec![ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() }];
        let body = ExportMetricsServiceRequest { resource_metrics }.encode_to_vec();
        match self.post(&self.metrics, body.into()).await {
            Ok(answer) => {
                let rejected = ExportMetricsServiceResponse::decode(answer.body)
                    .ok()
                    .and_then(|answer| answer.partial_success)
                    .map_or(0, |partial| usize::try_from(partial.rejected_data_points).unwrap_or(0));
                self.metrics.went_well(rejected);
            }
            // The next ones say all that these do.
            Err(fault) => self.metrics.failed(fault),
        }
    }

    /// The headers of a delivery. Secrets may be exchanged at any time.
    fn head(&self) -> Result<HeaderMap, String> {
        let mut head = HeaderMap::new();
        for (name, source) in &self.headers {
            let why = |why: String| format!("cannot read `otlp.headers.{name}`: {why}");
            let secret = self.host.secret("otlp.headers", source).map_err(why)?;
            let mut value =
                HeaderValue::try_from(secret.expose()).map_err(|_| why("it is no value of a header".into()))?;
            value.set_sensitive(true);
            head.insert(name.clone(), value);
        }
        head.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        let user_agent = concat!("claimsmith/", env!("CARGO_PKG_VERSION"));
        head.insert(header::USER_AGENT, HeaderValue::from_static(user_agent));
        Ok(head)
    }

    async fn post(&self, line: &Line, body: Bytes) -> Result<Answer, Fault> {
        let headers = self.head().map_err(|why| Fault::Later(None, why))?;
        let outgoing = Outgoing {
            method: Method::POST,
            url: line.url.clone(),
            headers,
            body,
            timeout: Some(self.shared.settings.otlp.timeout.0),
            identity: None,
            number: 0,
        };
        let mut answer = self.host.fetch(outgoing.clone()).await;
        // The collector may have closed the connection while it lay idle; what it gets twice has the same ids.
        if let Err(FetchError::Broken(_)) = answer {
            answer = self.host.fetch(outgoing).await;
        }
        let answer = answer.map_err(|error| Fault::Later(None, error.words()))?;
        let words = || format!("the collector answers {}", answer.status.as_u16());
        match answer.status {
            status if status.is_success() => Ok(answer),
            // Those that may be tried again, as the specification says.
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => {
                let after = answer.headers.get(header::RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
                Err(Fault::Later(after.map(Duration::from_secs), words()))
            }
            _ => Err(Fault::Never(words())),
        }
    }
}

impl Line {
    fn went_well(&mut self, rejected: usize) {
        let signal = self.signal;
        if self.failures > 0 {
            tracing::info!(signal, "they are sent again");
        }
        self.failures = 0;
        self.rests = Duration::ZERO;
        if rejected > 0 {
            tracing::warn!(signal, rejected, "the collector took only a part");
        }
    }

    fn failed(&mut self, fault: Fault) {
        let signal = self.signal;
        let (after, why) = match fault {
            Fault::Later(after, why) => (after, why),
            Fault::Never(why) => (None, why),
        };
        if self.failures == 0 {
            tracing::warn!(signal, why, "they cannot be sent to the collector, and are dropped when there is no room");
        }
        let wait = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(self.failures));
        self.failures = self.failures.saturating_add(1);
        self.rests = clock() + after.unwrap_or(wait).clamp(FIRST_WAIT, LONGEST_WAIT);
    }
}

fn headers(settings: &Settings) -> Vec<(HeaderName, SecretSource)> {
    let header = |(name, source): (&crate::config::Header, &KeySource)| {
        let source = match source {
            KeySource::Env(name) => SecretSource::Env(name.clone()),
            KeySource::File(path) => SecretSource::File(path.display().to_string()),
        };
        // It was one when the settings were read.
        Some((HeaderName::from_bytes(name.name().as_bytes()).ok()?, source))
    };
    settings.otlp.headers.iter().filter_map(header).collect()
}

/// Who sends: what the settings say, and what tells this process from others.
fn resource(settings: &Otlp) -> Resource {
    let random = || RandomState::new().hash_one(clock()).to_be_bytes();
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&random());
    bytes[8..].copy_from_slice(&random());
    let usual = [
        ("service.name", settings.service.clone()),
        ("service.version", env!("CARGO_PKG_VERSION").into()),
        ("service.instance.id", uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()),
    ];
    let own = settings.attributes.iter().map(|(name, value)| (name.as_str(), value.clone()));
    // The service has a setting of its own.
    let own = own.filter(|(name, _)| *name != "service.name");
    let mut pairs: BTreeMap<&str, String> = usual.into_iter().collect();
    pairs.extend(own);
    let attribute = |(name, value): (&str, String)| -> KeyValue { attribute(name, Value::StringValue(value)) };
    Resource { attributes: pairs.into_iter().map(attribute).collect(), ..Resource::default() }
}

fn ticks(every: Duration) -> Interval {
    let mut ticks = interval(every.max(Duration::from_millis(10)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Nanoseconds since 1970.
fn nanos() -> u64 {
    u64::try_from(Upstream::now().as_nanos()).unwrap_or(u64::MAX)
}
