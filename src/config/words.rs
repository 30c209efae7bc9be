//! The keys of the settings file, and what they mean.

use crate::core::words::{Choice, Key, Language, Names, Table, Takes, Words, key, names, needed, table};

/// A settings file.
pub static SETTINGS: Table = table(
    "settings",
    "Settings of the process. `CLAIMSMITH_…` in the environment and flags win over them.",
    &[
        key("listen", PLAIN, r#""0.0.0.0:8080""#, "Where requests are accepted; `127.0.0.1:8080` without it."),
        key("rules", PLAIN, r#""rules""#, "The folder of the rules."),
        key("use", NAMES, r#"["github", "discord"]"#, "Rules of the catalogue that serve besides those of the folder."),
        key("workers", COUNT, "4", "Threads that answer requests; 0, the default, for one a core."),
        key("deadline", DURATION, r#""10s""#, "The time for a whole request; `10s` without it."),
        key("max_requests", COUNT, "4096", "Requests on their way at once; more are answered 503."),
        key("max_request_body", COUNT, "65536", "Bytes of a request's body."),
        key("max_request_head", COUNT, "65536", "Bytes of a request's head; at least 8192."),
        key("max_request_headers", COUNT, "100", "Headers of a request; more are answered 431."),
        key("max_connections", COUNT, "10000", "Connections that are open at once; more are closed as they come."),
        key("max_streams", COUNT, "128", "Requests that one HTTP/2 connection may have on their way."),
        key("max_resets", COUNT, "20", "Requests that one HTTP/2 connection may take back unseen; more end it."),
        key("head_timeout", DURATION, r#""10s""#, "The time for a TLS handshake, and for the head of a request."),
        key("idle_timeout", DURATION, r#""75s""#, "How long a connection may be open without a request."),
        key("stop_delay", DURATION, r#""5s""#, "How long a stopping process goes on, but tells that it is not ready."),
        key("drain", DURATION, r#""30s""#, "How long a stop waits for the requests on their way."),
        key("share_port", &[Takes::Flag], "true", "Another process may listen at the same address, to take over."),
        key("watch", DURATION, r#""1s""#, "How often rules, secrets and settings are looked at; `0s` for never."),
        key("query_token", &[Takes::Flag], "true", "Accept `?access_token=`, which RFC 6750 advises against."),
        key("log", &[Takes::Table(&LOG)], r#"{ level = "info" }"#, LOG.doc),
        key("admin", &[Takes::Table(&ADMIN)], r#"{ listen = "127.0.0.1:8081" }"#, ADMIN.doc),
        key("access", &[Takes::Table(&ACCESS)], r#"{ networks = ["10.0.0.0/8"] }"#, ACCESS.doc),
        key("tls", &[Takes::Table(&TLS)], r#"{ certificate = "tls.pem", key = "tls.key" }"#, TLS.doc),
        key("upstream", &[Takes::Table(&UPSTREAM)], r#"{ connect_timeout = "5s" }"#, UPSTREAM.doc),
        key("cache", &[Takes::Table(&CACHE)], r#"{ max_bytes = 67108864 }"#, CACHE.doc),
        key("otlp", &[Takes::Table(&OTLP)], r#"{ endpoint = "http://127.0.0.1:4318" }"#, OTLP.doc),
        key("rule", &[Takes::Table(&RULES)], r#"{ acme = { vars = { host = "api.acme.example" } } }"#, RULES.doc),
    ],
    Choice::Free,
);

const NAMES: &[Takes] = &[Takes::List(PLAIN), Takes::Text(Language::Plain)];
const PLAIN: &[Takes] = &[Takes::Text(Language::Plain)];
const DURATION: &[Takes] = &[Takes::Text(Language::Duration)];
const COUNT: &[Takes] = &[Takes::Integer(0, i64::MAX)];

static LOG: Table = table(
    "log",
    "What is written to standard error.",
    &[
        key(
            "level",
            &[Takes::Word(Words::Given(&[
                ("error", "what the operator must look at"),
                ("warn", "and what upstreams do wrong"),
                ("info", "and one line a request"),
                ("debug", "and what is of use to find a fault"),
                ("trace", "everything"),
            ]))],
            r#""info""#,
            "How much is logged; `info` without it.",
        ),
        key(
            "format",
            &[Takes::Word(Words::Given(&[
                ("auto", "for people on a terminal, JSON elsewhere"),
                ("pretty", "for people"),
                ("json", "one JSON object a line"),
            ]))],
            r#""json""#,
            "How lines look; `auto` without it.",
        ),
        key("client", &[Takes::Flag], "true", "Whether the line of a request has the address of its client."),
    ],
    Choice::Free,
);

static ADMIN: Table = table(
    "admin",
    "Where the process tells how it is.",
    &[
        key(
            "listen",
            PLAIN,
            r#""127.0.0.1:8081""#,
            "Where health, metrics and the state of the rules are told; `off` for nowhere.",
        ),
        key("key", &[Takes::Table(&ADMIN_KEY)], r#"{ file = "/run/secrets/admin" }"#, ADMIN_KEY.doc),
        key(
            "play",
            &[Takes::Flag],
            "true",
            "Whether the playground stands at `/play`, for who has the key; `false` without it.",
        ),
        key(
            "record",
            &[Takes::Flag],
            "true",
            "Logins may be recorded as cases when somebody asks there; `false` without it.",
        ),
        key(
            "traces",
            COUNT,
            "100",
            "Requests whose steps are told there, and as many that failed; 0, the default, for none.",
        ),
    ],
    Choice::Free,
);

static ADMIN_KEY: Table = table(
    "admin_key",
    "Where the key stands that all but the health pages ask for, as a bearer token.",
    &[
        key("env", PLAIN, r#""ADMIN_KEY""#, "An environment variable."),
        key("file", PLAIN, r#""/run/secrets/admin""#, "A file; it may be exchanged at any time."),
    ],
    Choice::One(&["env", "file"]),
);

/// What may be said for all rules and for a single one.
const NETWORKS: Key = key("networks", NAMES, r#"["10.0.0.0/8", "2001:db8::/32"]"#, "Where clients may be.");
const CLIENT_NAMES: Key = key(
    "client_names",
    NAMES,
    r#"["auth.example"]"#,
    "Names (DNS or URI) of which a client's certificate must have one; `*` for any certificate.",
);
const KEY: Key = key("key", ONE_OR_MORE_KEYS, r#"{ file = "/run/secrets/inbound" }"#, ACCESS_KEY.doc);
const KEYS: &[Takes] = &[Takes::Table(&ACCESS_KEY)];
const ONE_OR_MORE_KEYS: &[Takes] = &[Takes::Table(&ACCESS_KEY), Takes::List(KEYS)];
const CLIENT_RATE: Key = key("client_rate", PLAIN, r#""100/s""#, "How often one address may ask; `off` without it.");
const TOKEN_RATE: Key =
    key("token_rate", PLAIN, r#""60/m""#, "How often may be asked with one token; `off` without it.");

static ACCESS: Table = table(
    "access",
    "Who may ask.",
    &[
        NETWORKS,
        CLIENT_NAMES,
        KEY,
        key("key_header", PLAIN, r#""x-claimsmith-key""#, "The header in which the key stands."),
        key("key_query", PLAIN, r#""key""#, "The parameter of the query in which it may stand instead."),
        CLIENT_RATE,
        TOKEN_RATE,
        key("throttle", &[Takes::Table(&THROTTLE)], r#"{ after = 20 }"#, THROTTLE.doc),
        key("trusted_proxies", NAMES, r#"["10.0.0.0/8"]"#, "Proxies that are believed who their client is."),
        key(
            "client_header",
            PLAIN,
            r#""forwarded""#,
            "The header in which they say it: `x-forwarded-for` without it, `forwarded`, or another with addresses.",
        ),
        key(
            "proxy_protocol",
            &[Takes::Flag],
            "true",
            "Connections of trusted proxies begin with the PROXY protocol, version 2.",
        ),
    ],
    Choice::Free,
);

static RULE_ACCESS: Table = table(
    "access_of_a_rule",
    "Who may ask for this rule: what is said here holds instead of `access`.",
    &[NETWORKS, CLIENT_NAMES, KEY, CLIENT_RATE, TOKEN_RATE],
    Choice::Free,
);

static ACCESS_KEY: Table = table(
    "access_key",
    "Where a key stands that requests have to show; one of several is enough.",
    &[
        key("env", PLAIN, r#""INBOUND_KEY""#, "An environment variable."),
        key("file", PLAIN, r#""/run/secrets/inbound""#, "A file; it may be exchanged at any time."),
    ],
    Choice::One(&["env", "file"]),
);

static THROTTLE: Table = table(
    "throttle",
    "What becomes of an address whose tokens or keys are refused.",
    &[
        key("after", COUNT, "20", "Refused requests after which it has to wait; 0, the default, for never."),
        key("window", DURATION, r#""1m""#, "The time in which they count together."),
        key("delay", DURATION, r#""1s""#, "The first wait; each next one is twice as long."),
        key("max_delay", DURATION, r#""5m""#, "The longest wait."),
    ],
    Choice::Free,
);

static TLS: Table = table(
    "tls",
    "TLS for `listen`; plain HTTP without.",
    &[
        needed(
            "certificate",
            PLAIN,
            r#""/etc/claimsmith/tls.pem""#,
            "A PEM file with the certificate chain; read again when it changes.",
        ),
        needed("key", PLAIN, r#""/etc/claimsmith/tls.key""#, "A PEM file with the private key."),
        key(
            "client_roots",
            PLAIN,
            r#""/etc/claimsmith/clients.pem""#,
            "A PEM file with the authorities whose certificates clients have to show; read again when it changes.",
        ),
        key(
            "client_auth",
            &[Takes::Word(Words::Given(&[
                ("required", "without a certificate there is no connection"),
                ("optional", "only where `client_names` say so; one that is shown has to be good"),
            ]))],
            r#""optional""#,
            "Whether all clients have to show a certificate; `required` without it.",
        ),
    ],
    Choice::Free,
);

static UPSTREAM: Table = table(
    "upstream",
    "How providers are reached.",
    &[
        key("connect_timeout", DURATION, r#""5s""#, "The time to connect, TLS included."),
        key("max_body", COUNT, "1048576", "Bytes of an answer's body, decompressed."),
        key("max_per_origin", COUNT, "1024", "Requests on their way to one origin at once; more are answered 503."),
        key(
            "trip_after",
            COUNT,
            "10",
            "Failures in a row (no connection, no answer, 502, 503, 504) after which an origin is left alone; 0 for never.",
        ),
        key("probe_every", DURATION, r#""5s""#, "How often an origin that is left alone is tried, by one request."),
        key("retry_budget", COUNT, "10", "Repeated attempts, in percent of the requests to an origin."),
        key(
            "max_hold",
            DURATION,
            r#""60s""#,
            "How long a caller's requests are held back at most when an origin asks for it (`Retry-After`).",
        ),
        key(
            "roots",
            PLAIN,
            r#""/etc/claimsmith/roots.pem""#,
            "A PEM file with authorities that are trusted besides those of the web; read again when it changes.",
        ),
        key("min_tls", TLS_VERSION, r#""1.3""#, "The oldest version of TLS that is spoken; `1.2` without it."),
        key(
            "tls",
            &[Takes::Table(&ORIGINS_TLS)],
            r#"{ "https://api.acme.example" = { roots = "/etc/claimsmith/acme.pem" } }"#,
            ORIGINS_TLS.doc,
        ),
        key(
            "allow",
            NAMES,
            r#"["10.0.0.0/8", "https://idp.internal.example"]"#,
            "Networks, addresses and origins that calls may reach although they are not public.",
        ),
        key(
            "proxy",
            PLAIN,
            r#""http://proxy.example:3128""#,
            "The proxy that calls go through; `environment` for that of `HTTPS_PROXY`, `off` without it.",
        ),
        key(
            "reroute",
            &[Takes::Table(&REROUTE)],
            r#"{ "https://api.acme.example" = "http://127.0.0.1:9001" }"#,
            REROUTE.doc,
        ),
    ],
    Choice::Free,
);

const TLS_VERSION: &[Takes] = &[Takes::Word(Words::Given(&[("1.2", "TLS 1.2 and 1.3"), ("1.3", "TLS 1.3 alone")]))];

static ORIGINS_TLS: Table = names(
    "tls_of_origins",
    "TLS for single origins: scheme, host and port, as calls reach them.",
    Names::Any,
    &[Takes::Table(&ORIGIN_TLS)],
    r#""https://api.acme.example" = { roots = "/etc/claimsmith/acme.pem" }"#,
);

static ORIGIN_TLS: Table = table(
    "tls_of_an_origin",
    "TLS for one origin; its files are read again when they change.",
    &[
        key(
            "roots",
            PLAIN,
            r#""/etc/claimsmith/acme.pem""#,
            "A PEM file with the authorities that are trusted for it, and no others.",
        ),
        key(
            "certificate",
            PLAIN,
            r#""/etc/claimsmith/client.pem""#,
            "A PEM file with the certificate that is shown to it, unless the rule has one for the call.",
        ),
        key("key", PLAIN, r#""/etc/claimsmith/client.key""#, "A PEM file with the key of the certificate."),
        key("min_tls", TLS_VERSION, r#""1.3""#, "The oldest version of TLS that is spoken with it."),
    ],
    Choice::Free,
);

static CACHE: Table = table(
    "cache",
    "What is kept of answers, for rules that ask for it.",
    &[key("max_bytes", COUNT, "67108864", "Bytes of answers that are kept; the least useful go first.")],
    Choice::Free,
);

static OTLP: Table = table(
    "otlp",
    "Where traces and metrics are sent, by OTLP over HTTP.",
    &[
        key(
            "endpoint",
            PLAIN,
            r#""http://127.0.0.1:4318""#,
            "The address of a collector, without `/v1/traces`; nothing is sent without it.",
        ),
        key("headers", &[Takes::Table(&OTLP_HEADERS)], r#"{ authorization = { env = "OTLP_KEY" } }"#, OTLP_HEADERS.doc),
        key("interval", DURATION, r#""60s""#, "How often metrics are sent; spans are sent after 5 s at the latest."),
        key("timeout", DURATION, r#""10s""#, "The time for one delivery."),
        key(
            "sample",
            &[Takes::Number],
            "0.1",
            "The share of requests that leave a trace, where the caller does not say.",
        ),
        key("traces", &[Takes::Flag], "false", "Whether traces are sent; they are without it."),
        key("metrics", &[Takes::Flag], "false", "Whether metrics are sent; they are without it."),
        key("service", PLAIN, r#""claimsmith""#, "What the process is called there (`service.name`)."),
        key("attributes", &[Takes::Table(&OTLP_ATTRIBUTES)], r#"{ "k8s.pod.name" = "a" }"#, OTLP_ATTRIBUTES.doc),
        key(
            "propagate",
            &[Takes::Flag, Takes::List(PLAIN)],
            r#"["https://api.internal.example"]"#,
            "Origins that are told by `traceparent` which trace a call belongs to; `true` for all, nobody without it.",
        ),
        key("tracestate", &[Takes::Flag], "true", "Those origins also get the caller's `tracestate`."),
    ],
    Choice::Free,
);

static OTLP_HEADERS: Table = names(
    "otlp_headers",
    "Headers of what is sent, each by where its value stands.",
    Names::Any,
    &[Takes::Table(&OTLP_HEADER)],
    r#"authorization = { env = "OTLP_KEY" }"#,
);

static OTLP_HEADER: Table = table(
    "otlp_header",
    "Where the value of a header stands.",
    &[
        key("env", PLAIN, r#""OTLP_KEY""#, "An environment variable."),
        key("file", PLAIN, r#""/run/secrets/otlp""#, "A file; it may be exchanged at any time."),
    ],
    Choice::One(&["env", "file"]),
);

static OTLP_ATTRIBUTES: Table = names(
    "otlp_attributes",
    "What else there is to say of the process: attributes of its resource.",
    Names::Any,
    PLAIN,
    r#""deployment.environment.name" = "production""#,
);

static REROUTE: Table = names(
    "reroute",
    "Origins that are reached at another origin, for staging and tests.",
    Names::Any,
    PLAIN,
    r#""https://api.acme.example" = "http://127.0.0.1:9001""#,
);

static RULES: Table = names(
    "rules",
    "Settings of single rules, by their names.",
    Names::Any,
    &[Takes::Table(&OF_A_RULE)],
    r#"acme = { vars = { host = "api.acme.example" } }"#,
);

static OF_A_RULE: Table = table(
    "settings_of_a_rule",
    "Settings of one rule.",
    &[
        key("vars", &[Takes::Table(&VARS)], r#"{ host = "api.acme.example" }"#, VARS.doc),
        key("access", &[Takes::Table(&RULE_ACCESS)], r#"{ client_rate = "10/s" }"#, RULE_ACCESS.doc),
    ],
    Choice::Free,
);

static VARS: Table = names(
    "settings_vars",
    "Values for the rule's `[vars]`.",
    Names::Var,
    &[Takes::Text(Language::Plain), Takes::Number, Takes::Flag],
    r#"host = "api.acme.example""#,
);
