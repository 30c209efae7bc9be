//! The keys of the settings file, and what they mean.

use crate::core::words::{Choice, Language, Names, Table, Takes, Words, key, names, needed, table};

/// A settings file.
pub static SETTINGS: Table = table(
    "settings",
    "Settings of the process. `CLAIMSMITH_…` in the environment and flags win over them.",
    &[
        key("listen", PLAIN, r#""0.0.0.0:8080""#, "Where requests are accepted; `127.0.0.1:8080` without it."),
        key("rules", PLAIN, r#""rules""#, "The folder of the rules."),
        key("workers", COUNT, "4", "Threads that answer requests; 0, the default, for one a core."),
        key("deadline", DURATION, r#""10s""#, "The time for a whole request; `10s` without it."),
        key("max_requests", COUNT, "4096", "Requests on their way at once; more are answered 503."),
        key("max_request_body", COUNT, "65536", "Bytes of a request's body."),
        key("drain", DURATION, r#""30s""#, "How long a stop waits for the requests on their way."),
        key("query_token", &[Takes::Flag], "true", "Accept `?access_token=`, which RFC 6750 advises against."),
        key("log", &[Takes::Table(&LOG)], r#"{ level = "info" }"#, LOG.doc),
        key("tls", &[Takes::Table(&TLS)], r#"{ certificate = "tls.pem", key = "tls.key" }"#, TLS.doc),
        key("upstream", &[Takes::Table(&UPSTREAM)], r#"{ connect_timeout = "5s" }"#, UPSTREAM.doc),
        key("cache", &[Takes::Table(&CACHE)], r#"{ max_bytes = 67108864 }"#, CACHE.doc),
        key("rule", &[Takes::Table(&RULES)], r#"{ acme = { vars = { host = "api.acme.example" } } }"#, RULES.doc),
    ],
    Choice::Free,
);

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
            "A PEM file with authorities that are trusted besides those of the web.",
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

static CACHE: Table = table(
    "cache",
    "What is kept of answers, for rules that ask for it.",
    &[key("max_bytes", COUNT, "67108864", "Bytes of answers that are kept; the least useful go first.")],
    Choice::Free,
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
    &[key("vars", &[Takes::Table(&VARS)], r#"{ host = "api.acme.example" }"#, VARS.doc)],
    Choice::Free,
);

static VARS: Table = names(
    "settings_vars",
    "Values for the rule's `[vars]`.",
    Names::Var,
    &[Takes::Text(Language::Plain), Takes::Number, Takes::Flag],
    r#"host = "api.acme.example""#,
);
