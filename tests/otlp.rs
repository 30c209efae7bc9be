//! Traces and metrics for a collector: the right ones, from the right requests, and no request that waits for them.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    time::{Duration, Instant},
};

use claimsmith::config::{KeySource, Propagate, Ratio, Settings, Span as Time};
use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::{Metric, metric::Data, number_data_point},
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use prost::Message;

use crate::{
    cli::{Server, claimsmith, folder, run},
    reload::{World, rule, until},
    support::{Gateway, Reply, Seen, Setup, Upstream, block_on, client, send},
};

const TOKEN: &str = "T0ken-Mark.91c2";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A collector that takes everything.
fn collector() -> Upstream {
    Upstream::new(|_| Reply::new(200, ""))
}

/// Sends traces and metrics there.
fn exports(settings: &mut Settings, origin: &str) {
    settings.otlp.endpoint = Some(origin.parse().expect("an address"));
    settings.otlp.timeout = Time(Duration::from_secs(5));
}

fn of<'s>(seen: &'s [Seen], path: &'s str) -> impl Iterator<Item = &'s Seen> {
    seen.iter().filter(move |seen| seen.target == path)
}

/// All spans that a collector got.
fn spans(collector: &Upstream) -> Vec<Span> {
    let seen = collector.seen();
    let requests =
        of(&seen, "/v1/traces").map(|seen| ExportTraceServiceRequest::decode(seen.body.clone()).expect("it is OTLP"));
    requests
        .flat_map(|request| request.resource_spans)
        .flat_map(|resource| resource.scope_spans)
        .flat_map(|scope| scope.spans)
        .collect()
}

/// The metrics that came last.
fn metrics(collector: &Upstream) -> BTreeMap<String, Metric> {
    let seen = collector.seen();
    let last = of(&seen, "/v1/metrics").last().expect("there are some");
    let request = ExportMetricsServiceRequest::decode(last.body.clone()).expect("it is OTLP");
    let metrics = request.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
    metrics.flat_map(|scope| scope.metrics).map(|metric| (metric.name.clone(), metric)).collect()
}

fn attributes(pairs: &[KeyValue]) -> BTreeMap<&str, String> {
    let text = |pair: &KeyValue| match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("neither text nor number: {other:?}"),
    };
    pairs.iter().map(|pair| (&*pair.key, text(pair))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[track_caller]
fn named<'s>(spans: &'s [Span], name: &str) -> &'s Span {
    let mut found = spans.iter().filter(|span| span.name == name);
    let span = found.next().unwrap_or_else(|| panic!("no {name} among {:?}", names(spans)));
    assert!(found.next().is_none(), "{name} comes twice");
    span
}

fn names(spans: &[Span]) -> Vec<&str> {
    spans.iter().map(|span| &*span.name).collect()
}

const RULE: &str = r#"
receiver = "supabase"

[call.user]
url = "https://api.example/me"
retry = 1

[call.more]
url = "https://api.example/more/${user.id}?key=${user.email}"
optional = true

[[require]]
that = "user.email != ()"
error = "access_denied"

[claims]
sub = "$.user.id"
email = "$.user.email"
email_verified = { value = true }
name = { value = "Ada" }

[script]
source = "claims.name = \"Bea\";"

[accept]
CS5004 = "the test says so"
"#;

/// Answers the second time, and never what is optional.
fn provider() -> Upstream {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    Upstream::new(move |seen| match &*seen.target {
        "/me" if asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 => Reply::new(503, "{}"),
        "/me" => Reply::json("{\"id\":\"u-77\",\"email\":\"em4il@priv.example\"}"),
        _ => Reply::new(500, "{}"),
    })
}

fn simple(upstream: &Upstream) -> Setup {
    Setup::new().rule("acme", &rule("a")).reroute("https://api.example", &upstream.origin)
}

fn fine() -> Upstream {
    Upstream::new(|_| Reply::json("{\"id\":1}"))
}

#[track_caller]
fn ask(gateway: &Gateway, headers: &[(&str, &str)]) -> u16 {
    let bearer = format!("Bearer {TOKEN}");
    let mut all = vec![("authorization", &*bearer)];
    all.extend(headers);
    gateway.get_with("/acme", &all).status
}

#[test]
fn a_request_leaves_a_span_and_below_it_one_for_each_call_and_step() {
    let (collector, provider) = (collector(), provider());
    let setup = Setup::new().rule("acme", &RULE.replace("\n[accept]\nCS5004 = \"the test says so\"\n", ""));
    let gateway = setup
        .reroute("https://api.example", &provider.origin)
        .with(|settings| exports(settings, &collector.origin))
        .start();
    let parent = format!("00-{TRACE}-{PARENT}-01");
    assert_eq!(ask(&gateway, &[("traceparent", &parent)]), 200);
    let port = gateway.address.port();
    drop(gateway);
    let spans = spans(&collector);
    let expected = [
        "GET /acme",
        "receive",
        "call user",
        "decode user",
        "call more",
        "require",
        "map",
        "script",
        "contract",
        "respond",
    ];
    let found: BTreeSet<_> = names(&spans).into_iter().collect();
    assert!(
        found == BTreeSet::from(expected) || found == expected.into_iter().chain(["decode more"]).collect(),
        "{found:?}"
    );
    let root = named(&spans, "GET /acme");
    assert_eq!((hex(&root.parent_span_id), root.kind), (PARENT.into(), SpanKind::Server as i32));
    let ids: HashSet<_> = spans.iter().map(|span| &span.span_id).collect();
    assert_eq!(ids.len(), spans.len(), "no id comes twice");
    for span in &spans {
        assert_eq!(hex(&span.trace_id), TRACE, "{}", span.name);
        assert!(span.span_id.len() == 8 && span.start_time_unix_nano > 0, "{span:?}");
        let above = match &*span.name {
            "GET /acme" => continue,
            "decode user" => named(&spans, "call user"),
            "decode more" => named(&spans, "call more"),
            _ => root,
        };
        assert_eq!(span.parent_span_id, above.span_id, "{}", span.name);
        let within = above.start_time_unix_nano <= span.start_time_unix_nano
            && span.start_time_unix_nano <= span.end_time_unix_nano
            && span.end_time_unix_nano <= above.end_time_unix_nano;
        assert!(within, "{span:?} in {above:?}");
    }
    let starts = ["receive", "call user", "call more", "require", "map", "script", "contract", "respond"];
    let starts = starts.map(|name| named(&spans, name).start_time_unix_nano);
    assert!(starts.is_sorted(), "{starts:?}");
    let port = port.to_string();
    let of_root = attributes(&root.attributes);
    for (name, value) in [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("http.route", "/acme"),
        ("url.scheme", "http"),
        ("server.address", "127.0.0.1"),
        ("server.port", &port),
    ] {
        assert_eq!(of_root[name], value, "{name}");
    }
    assert!(root.status.is_none() && !of_root.contains_key("error.type"), "{root:?}");
    let user = named(&spans, "call user");
    assert_eq!(user.kind, SpanKind::Client as i32);
    let of_user = attributes(&user.attributes);
    for (name, value) in [
        ("claimsmith.call", "user"),
        ("claimsmith.call.outcome", "answered"),
        ("http.request.method", "GET"),
        ("server.address", "api.example"),
        ("server.port", "443"),
        ("http.response.status_code", "200"),
        ("http.request.resend_count", "1"),
    ] {
        assert_eq!(of_user[name], value, "{name}");
    }
    let events: Vec<_> = user.events.iter().map(|event| &*event.name).collect();
    assert_eq!(events, ["request", "repeated"]);
    let more = named(&spans, "call more");
    assert_eq!(attributes(&more.attributes)["claimsmith.call.outcome"], "given up");
    assert_eq!(attributes(&more.attributes)["error.type"], "500");
    assert_eq!(more.status.as_ref().map(|status| status.code), Some(StatusCode::Error as i32));
    for seen in collector.seen() {
        let text = String::from_utf8_lossy(&seen.body).into_owned();
        for mark in [TOKEN, "u-77", "em4il", "priv.example", "Bea", "Ada", "/me"] {
            assert!(!text.contains(mark), "{mark} in {text}");
        }
    }
}

#[test]
fn a_failure_and_a_call_that_never_ends_are_told_as_errors() {
    let collector = collector();
    let upstream = Upstream::slow(|_| std::future::pending());
    let gateway = simple(&upstream)
        .with(|settings| {
            exports(settings, &collector.origin);
            settings.deadline = Time(Duration::from_millis(100));
        })
        .start();
    assert_eq!(ask(&gateway, &[]), 504);
    let unknown = format!("/{TOKEN}");
    assert_eq!(gateway.get(&unknown, TOKEN).status, 404);
    drop(gateway);
    let spans = spans(&collector);
    let root = named(&spans, "GET /acme");
    let found = attributes(&root.attributes);
    assert_eq!((&*found["error.type"], &*found["claimsmith.blame"]), ("504", "upstream"));
    let status = root.status.as_ref().expect("it failed");
    assert_eq!(status.code, StatusCode::Error as i32);
    assert_eq!(status.message, "the provider did not answer in time");
    let call = named(&spans, "call user");
    assert_eq!(attributes(&call.attributes)["claimsmith.call.outcome"], "unanswered");
    assert!(call.end_time_unix_nano > call.start_time_unix_nano, "it was on its way to the end");
    let nowhere = named(&spans, "GET");
    let found = attributes(&nowhere.attributes);
    assert!(!found.contains_key("http.route") && found["http.response.status_code"] == "404", "{found:?}");
    assert!(nowhere.status.is_none(), "a caller's fault is none of ours");
    assert!(!format!("{spans:?}").contains(TOKEN));
}

#[test]
fn a_list_of_many_calls_leaves_spans_of_the_first() {
    let (collector, upstream) = (collector(), Upstream::new(|_| Reply::json("{\"id\":1,\"all\":[]}")));
    let values: Vec<_> = (0..150).map(|number| number.to_string()).collect();
    let reply = format!("{{\"id\":1,\"all\":[{}]}}", values.join(","));
    let list = Upstream::new(move |_| Reply::json(reply.clone()));
    let text = "[call.user]\nurl = \"https://list.example/me\"\n[call.one]\neach = { path = \"$.user.all[*]\", max = 200 }\n\
                url = \"https://api.example/${each}\"\n[claims]\nsub = \"$.user.id\"\n\
                n = \"$.one[0].id\"\n";
    let gateway = Setup::new()
        .rule("acme", text)
        .reroute("https://api.example", &upstream.origin)
        .reroute("https://list.example", &list.origin)
        .with(|settings| exports(settings, &collector.origin))
        .start();
    assert_eq!(ask(&gateway, &[]), 200);
    drop(gateway);
    let spans = spans(&collector);
    let calls = spans.iter().filter(|span| span.name.starts_with("call "));
    // As many of a list as `try --trace` shows, and the call before it.
    assert_eq!(calls.count(), 33, "{:?}", names(&spans));
    assert_eq!(attributes(&named(&spans, "GET /acme").attributes)["claimsmith.calls.left_out"], "118");
    let ids: HashSet<_> = spans.iter().map(|span| &span.span_id).collect();
    assert_eq!(ids.len(), spans.len(), "no id comes twice");
}

#[test]
fn a_caller_decides_whether_its_request_leaves_a_trace_and_the_share_for_the_others() {
    for (sample, flags, expected) in [(0.0, None, 0), (1.0, None, 1), (0.0, Some("01"), 1), (1.0, Some("00"), 0)] {
        let (collector, upstream) = (collector(), fine());
        let gateway = simple(&upstream)
            .with(|settings| {
                exports(settings, &collector.origin);
                settings.otlp.sample = Ratio(sample);
            })
            .start();
        let parent = flags.map(|flags| format!("00-{TRACE}-{PARENT}-{flags}"));
        let headers: Vec<_> = parent.iter().map(|parent| ("traceparent", &**parent)).collect();
        assert_eq!(ask(&gateway, &headers), 200);
        drop(gateway);
        let roots = spans(&collector).iter().filter(|span| span.kind == SpanKind::Server as i32).count();
        assert_eq!(roots, expected, "{sample} {flags:?}");
    }
}

#[test]
fn a_malformed_traceparent_begins_a_trace_of_its_own() {
    let (collector, upstream) = (collector(), fine());
    let gateway = simple(&upstream).with(|settings| exports(settings, &collector.origin)).start();
    let malformed = [
        format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
        format!("00-{TRACE}-{PARENT}"),
        format!("ff-{TRACE}-{PARENT}-01"),
        format!("00-{}-{PARENT}-01", "0".repeat(32)),
        format!("00-{TRACE}-{PARENT}-01-{TOKEN}"),
        "x".repeat(10_000),
    ];
    for parent in &malformed {
        assert_eq!(ask(&gateway, &[("traceparent", parent), ("tracestate", TOKEN)]), 200, "{parent}");
    }
    drop(gateway);
    let spans = spans(&collector);
    let roots: Vec<_> = spans.iter().filter(|span| span.kind == SpanKind::Server as i32).collect();
    assert_eq!(roots.len(), malformed.len());
    for root in roots {
        assert!(
            root.parent_span_id.is_empty() && root.trace_id.len() == 16 && hex(&root.trace_id) != TRACE,
            "{root:?}"
        );
    }
    assert!(!format!("{spans:?}").contains(TOKEN));
}

#[test]
fn calls_tell_their_trace_to_those_whom_the_settings_name_and_to_nobody_else() {
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let everybody = Propagate::Everybody;
    let one = |origin: &str| Propagate::Origins(vec![origin.parse().expect("an origin")]);
    for (propagate, state, told) in [
        (Propagate::Nobody, true, false),
        (one("https://other.example"), true, false),
        (one("https://api.example:444"), true, false),
        (one("http://api.example"), true, false),
        (one("https://api.example"), false, true),
        (one("https://api.example"), true, true),
        (everybody, false, true),
    ] {
        let (collector, upstream) = (collector(), fine());
        let gateway = simple(&upstream)
            .with(|settings| {
                exports(settings, &collector.origin);
                settings.otlp.propagate = propagate.clone();
                settings.otlp.tracestate = state;
            })
            .start();
        let headers = [("traceparent", &*parent), ("tracestate", "a=1"), ("baggage", "user=u-77")];
        assert_eq!(ask(&gateway, &headers), 200);
        drop(gateway);
        let seen = &upstream.seen()[0];
        let spans = spans(&collector);
        let call = hex(&named(&spans, "call user").span_id);
        let expected = if told { format!("00-{TRACE}-{call}-01") } else { String::new() };
        assert_eq!(seen.header("traceparent"), expected, "{propagate:?}");
        assert_eq!(seen.header("tracestate"), if told && state { "a=1" } else { "" }, "{propagate:?}");
        assert_eq!(seen.header("baggage"), "");
        for seen in collector.seen() {
            assert!(seen.header("traceparent").is_empty(), "a collector is told otherwise");
        }
    }
}

#[test]
fn a_request_that_leaves_no_trace_still_hands_on_the_callers() {
    let (collector, upstream) = (collector(), fine());
    let gateway = simple(&upstream)
        .with(|settings| {
            exports(settings, &collector.origin);
            settings.otlp.propagate = Propagate::Everybody;
        })
        .start();
    assert_eq!(ask(&gateway, &[("traceparent", &format!("00-{TRACE}-{PARENT}-00"))]), 200);
    drop(gateway);
    assert!(spans(&collector).is_empty());
    let header = upstream.seen()[0].header("traceparent").to_owned();
    assert!(header.starts_with(&format!("00-{TRACE}-")) && header.ends_with("-00"), "{header}");
    assert!(!header.contains(PARENT), "{header}");
}

#[test]
fn metrics_are_those_of_the_one_table() {
    let (collector, upstream) = (collector(), fine());
    let gateway = simple(&upstream)
        .with(|settings| {
            exports(settings, &collector.origin);
            settings.otlp.traces = false;
            settings.otlp.service = "userinfo".into();
            settings.otlp.attributes.insert("deployment.environment.name".into(), "test".into());
        })
        .start();
    for _ in 0..3 {
        assert_eq!(ask(&gateway, &[("traceparent", &format!("00-{TRACE}-{PARENT}-01"))]), 200);
    }
    drop(gateway);
    assert_eq!(of(&collector.seen(), "/v1/traces").count(), 0, "traces are off");
    let seen = collector.seen();
    let last = of(&seen, "/v1/metrics").last().expect("there are some");
    assert_eq!(last.header("content-type"), "application/x-protobuf");
    let request = ExportMetricsServiceRequest::decode(last.body.clone()).expect("it is OTLP");
    let resource = request.resource_metrics[0].resource.as_ref().expect("it is there");
    let told = attributes(&resource.attributes);
    assert_eq!((&*told["service.name"], &*told["deployment.environment.name"]), ("userinfo", "test"));
    assert!(
        told["service.instance.id"].len() == 36 && told["service.version"] == env!("CARGO_PKG_VERSION"),
        "{told:?}"
    );
    let metrics = metrics(&collector);
    let Some(Data::Sum(requests)) = &metrics["claimsmith_requests"].data else { panic!("requests are counted") };
    assert!(requests.is_monotonic);
    let [point] = &requests.data_points[..] else { panic!("{requests:?}") };
    assert_eq!(attributes(&point.attributes), BTreeMap::from([("rule", "acme".into()), ("status", "200".into())]));
    assert_eq!(point.value, Some(number_data_point::Value::AsInt(3)));
    assert!(point.start_time_unix_nano > 0 && point.start_time_unix_nano < point.time_unix_nano);
    let durations = &metrics["claimsmith_request_duration_seconds"];
    assert_eq!(durations.unit, "s");
    let Some(Data::Histogram(durations)) = &durations.data else { panic!("durations are a histogram") };
    let point =
        durations.data_points.iter().find(|point| attributes(&point.attributes)["rule"] == "acme").expect("there");
    assert_eq!((point.count, point.bucket_counts.iter().sum::<u64>()), (3, 3));
    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
    assert!(matches!(metrics["claimsmith_ready"].data, Some(Data::Gauge(_))));
}

#[test]
fn headers_are_named_by_where_their_values_stand() {
    let (collector, upstream) = (collector(), fine());
    let with = |settings: &mut Settings| {
        exports(settings, &collector.origin);
        settings.otlp.headers.insert("x-key".parse().expect("a name"), KeySource::Env("OTLP_KEY".into()));
    };
    let gateway = simple(&upstream).with(with).secrets(&[("OTLP_KEY", "K3y-Mark")]).start();
    assert_eq!(ask(&gateway, &[]), 200);
    drop(gateway);
    let seen = collector.seen();
    assert!(!seen.is_empty() && seen.iter().all(|seen| seen.header("x-key") == "K3y-Mark"), "{seen:?}");
    let setup = simple(&upstream).with(with);
    let loaded = setup.load();
    let why = claimsmith::gateway::start(setup.settings, &loaded.routes, &claimsmith::gateway::Secrets::Real);
    let why = why.err().expect("there is no such variable");
    assert!(why.contains("otlp.headers.x-key") && why.contains("OTLP_KEY"), "{why}");
}

#[test]
fn a_collector_that_is_dead_hangs_or_refuses_changes_no_answer() {
    let upstream = fine();
    // Bound and never listened on: whoever connects is refused, and nobody else gets the port.
    let closed = tokio::net::TcpSocket::new_v4().expect("a socket can be made");
    closed.bind(std::net::SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port can be bound");
    let dead = format!("http://{}", closed.local_addr().expect("a bound socket has an address"));
    let hanging = Upstream::slow(|_| std::future::pending());
    let refusing = Upstream::new(|_| Reply::new(400, "no"));
    for origin in [&dead, &hanging.origin, &refusing.origin] {
        let gateway = simple(&upstream)
            .with(|settings| {
                exports(settings, origin);
                settings.otlp.interval = Time(Duration::from_millis(20));
                settings.otlp.timeout = Time(Duration::from_millis(100));
            })
            .start();
        for _ in 0..200 {
            assert_eq!(ask(&gateway, &[]), 200);
        }
        let began = Instant::now();
        drop(gateway);
        assert!(began.elapsed() < Duration::from_secs(20), "{origin}: the end takes {:?}", began.elapsed());
    }
}

#[test]
fn what_a_collector_refuses_is_told_once_counted_and_told_when_it_is_over() {
    let world = World::new(&[("rules/acme.toml", &rule("a"))]);
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let collector = Upstream::new(move |seen| match &*seen.target {
        // Busy for the first two deliveries, then it has no use for one, then it takes all.
        "/v1/traces" => match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 | 1 => Reply::new(503, "").header("retry-after", "0"),
            2 => Reply::new(400, "no"),
            _ => Reply::new(200, ""),
        },
        _ => Reply::new(200, ""),
    });
    let mut command = world.serve(&["--log-format", "json"]);
    command
        .env("CLAIMSMITH_OTLP__ENDPOINT", &collector.origin)
        .env("CLAIMSMITH_OTLP__INTERVAL", "20ms")
        .env("CLAIMSMITH_OTLP__SAMPLE", "1");
    let mut server = Server::start(command);
    let get = || block_on(send(client().get(format!("http://{}/acme", server.address)).bearer_auth(TOKEN))).status;
    assert_eq!(get(), 200);
    until("it refuses", || of(&collector.seen(), "/v1/traces").count() >= 3);
    assert_eq!(get(), 200);
    let line = server.json("they are sent again");
    assert_eq!(line["signal"], "traces");
    server.signal("-TERM");
    let ran = server.end();
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(ran.err.matches("cannot be sent to the collector").count(), 1, "{}", ran.err);
    // The same spans were sent three times, then lost; those of the second request arrived.
    let Some(Data::Sum(dropped)) = &metrics(&collector)["claimsmith_spans_dropped"].data else {
        panic!("it is counted")
    };
    let Some(Data::Sum(sent)) = &metrics(&collector)["claimsmith_spans_sent"].data else { panic!("it is counted") };
    let value = |sum: &opentelemetry_proto::tonic::metrics::v1::Sum| match sum.data_points[0].value {
        Some(number_data_point::Value::AsInt(value)) => value,
        _ => panic!("{sum:?}"),
    };
    assert!(value(dropped) > 0 && value(dropped) == value(sent), "{dropped:?} {sent:?}");
}

#[test]
fn the_log_names_the_trace_of_a_request() {
    let world = World::new(&[("rules/acme.toml", &rule("a"))]);
    let collector = collector();
    let mut command = world.serve(&["--log-format", "json"]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.origin);
    let mut server = Server::start(command);
    let get = |parent: &str| {
        let request = client().get(format!("http://{}/acme", server.address)).bearer_auth(TOKEN);
        assert_eq!(block_on(send(request.header("traceparent", parent))).status, 200);
    };
    get(&format!("00-{TRACE}-{PARENT}-00"));
    get("none");
    let (first, second) = (server.json("answered"), server.json("answered"));
    assert_eq!(first["trace_id"], TRACE);
    let own = second["trace_id"].as_str().expect("it has one of its own").to_owned();
    assert!(own.len() == 32 && own.bytes().all(|byte| byte.is_ascii_hexdigit()) && own != TRACE, "{own}");
    server.signal("-TERM");
    server.end();
    assert_eq!(hex(&named(&spans(&collector), "GET /acme").trace_id), own);
}

#[test]
fn settings_and_the_usual_variables_say_where_to() {
    let show = |file: &str, environment: &[(&str, &str)]| {
        let place = folder(&[("claimsmith.toml", file)]);
        let mut command = claimsmith(&["config"]);
        command.current_dir(place.path()).envs(environment.iter().copied());
        run(command)
    };
    let usual = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318"),
        ("OTEL_SERVICE_NAME", "userinfo"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a.b=c,d=e%20f"),
    ];
    let ran = show("", &usual);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    for line in [
        "otlp.endpoint = \"http://127.0.0.1:4318\"",
        "otlp.service = \"userinfo\"",
        "otlp.attributes.\"a.b\" = \"c\"",
        "otlp.attributes.d = \"e f\"",
    ] {
        let found = ran.out.lines().find(|found| found.starts_with(line));
        assert!(found.is_some_and(|found| found.ends_with("# environment")), "{line} in {}", ran.out);
    }
    let ran = show("[otlp]\nendpoint = \"https://otlp.example\"\npropagate = true\n", &usual);
    assert!(
        ran.out.contains("otlp.endpoint = \"https://otlp.example\"") && ran.out.contains("otlp.propagate = true"),
        "{}",
        ran.out
    );
    for (file, words) in [
        ("endpoint = \"127.0.0.1:4318\"", "otlp.endpoint"),
        ("endpoint = \"https://us:K3y-Mark@otlp.example\"", "settings hold no credentials"),
        ("sample = 2", "not from 0 to 1"),
        ("propagate = [\"https://api.example/path\"]", "not an origin"),
        ("headers = { \"a b\" = { env = \"A\" } }", "not the name of a header"),
        ("headers = { a = \"K3y-Mark\" }", "otlp.headers.a"),
        ("protocol = \"grpc\"", "there is no such key"),
    ] {
        let ran = show(&format!("[otlp]\n{file}\n"), &[]);
        assert!(ran.code == Some(2) && ran.err.contains(words), "{file}: {}", ran.err);
    }
}
