//! The tables of a call.

use super::{
    super::calls::{MAX_CONCURRENCY, MAX_EACH, MAX_PAGE, MAX_PAGES, MAX_REDIRECTS, MAX_RETRIES},
    Choice, DURATION, ERRORS, FLAG, Language, Names, PATH, PLAIN, PLAINS, RHAI, TEMPLATE, Table, Takes, Words, key,
    names, needed, table,
    tables::ANSWER_JWT,
};

pub(in super::super) static CALL: Table = table(
    "call",
    "One request to the provider; its answer is `$.NAME`.",
    &[
        key("method", TEMPLATE, r#""POST""#, "The method; `GET` without it, `POST` with a body."),
        needed(
            "url",
            TEMPLATE,
            r#""https://${vars.host}/v2/users/${user.id}""#,
            "The address. What is put into it is escaped; its host may come from `vars`, never from an answer.",
        ),
        key(
            "query",
            &[Takes::Table(&PARAMETERS)],
            r#"{ fields = "id,name", limit = 100 }"#,
            "Query parameters; those whose value is absent are left out.",
        ),
        key(
            "headers",
            &[Takes::Table(&HEADERS)],
            r#"{ Accept = "application/json" }"#,
            "Headers; those whose value is absent are left out.",
        ),
        key("json", &[Takes::Json], r#"{ id = "${user.id}" }"#, "A JSON body, with `${…}` in its texts."),
        key("form", &[Takes::Table(&PARAMETERS)], r#"{ id = "${user.id}" }"#, "A form as body."),
        key("body", TEMPLATE, r#""<me/>""#, "A body as it is; `headers` says what it is."),
        key(
            "token",
            TOKENS,
            r#""bearer""#,
            "How the caller's token travels: `\"bearer\"` without it, `\"none\"` with `auth`.",
        ),
        key("auth", &[Takes::Table(&AUTH)], r#"{ bearer = "${secrets.api_key}" }"#, AUTH.doc),
        key("decode", DECODES, r#""xml""#, "How an answer is read; without it by its Content-Type, tolerantly."),
        key("optional", FLAG, "true", "A failure makes the answer null and is logged, and the request goes on."),
        key(
            "when",
            RHAI,
            r#""user.has_teams""#,
            "A Rhai expression; if it does not hold the call is skipped and its answer is null.",
        ),
        key("expect", STATUSES, "[200, 404]", "The status codes that are fine; 2xx without it."),
        key(
            "fail_when",
            &[Takes::Table(&FAIL_WHEN), Takes::List(&[Takes::Table(&FAIL_WHEN)])],
            r#"[{ when = "user.error != ()", error = "invalid_token" }]"#,
            "Errors inside an answer whose status is fine.",
        ),
        key("timeout", DURATION, r#""3s""#, "The limit of this call; the deadline of the request without it."),
        key(
            "redirect",
            &[Takes::Integer(0, MAX_REDIRECTS), Takes::Table(&REDIRECT)],
            "2",
            "How many redirects are followed; none without it.",
        ),
        key(
            "graphql",
            &[Takes::Text(Language::Template), Takes::Table(&GRAPHQL)],
            r#""query { viewer { id name } }""#,
            "A GraphQL operation as body; `errors` in the answer are a failure, after `fail_when` was asked.",
        ),
        key(
            "each",
            &[Takes::Text(Language::Path), Takes::Table(&EACH)],
            r#""$.teams[*].id""#,
            "Makes the call for every value of a JSONPath, which is `${each}` in it; the answer is the list of answers.",
        ),
        key(
            "concurrency",
            &[Takes::Integer(1, MAX_CONCURRENCY.1)],
            "4",
            "How many calls of `each` are on their way at once; 4 without it.",
        ),
        key(
            "paginate",
            &[
                Takes::Word(Words::Given(&[("link", "by the header `Link` with `rel=\"next\"` (RFC 8288)")])),
                Takes::Table(&PAGINATE),
            ],
            r#"{ page = 1, param = "page" }"#,
            "How the pages of a list follow one another; the answer is the whole list.",
        ),
        key(
            "retry",
            &[Takes::Integer(0, MAX_RETRIES), Takes::Table(&RETRY)],
            "2",
            "How often a failed attempt is repeated; never without it.",
        ),
        key("cache", CACHES, r#""5m""#, "How long an answer is used again for the same request; not without it."),
    ],
    Choice::AtMostOne(&["json", "form", "body", "graphql"]),
);

const STATUS: Takes = Takes::Integer(200, 599);
const STATUSES: &[Takes] = &[STATUS, Takes::List(&[STATUS])];

/// A text, or what is written as one.
const SCALARS: &[Takes] = &[Takes::Text(Language::Template), Takes::Number, Takes::Flag];

static PARAMETERS: Table =
    names("parameters", "Parameters by their names.", Names::Any, SCALARS, r#"fields = "id,name""#);
static HEADERS: Table =
    names("headers", "Headers by their names.", Names::Header, SCALARS, r#"Accept = "application/json""#);

const TOKENS: &[Takes] = &[
    Takes::Word(Words::Given(&[
        ("bearer", "`Authorization: Bearer TOKEN` (RFC 6750)"),
        ("none", "it is not sent"),
        ("bare", "`Authorization: TOKEN`"),
        ("as-received", "the header `Authorization` as it came"),
    ])),
    Takes::Table(&TOKEN_PLACE),
];

pub(in super::super) static TOKEN_PLACE: Table = table(
    "token_place",
    "Where the caller's token is put.",
    &[
        key("scheme", PLAIN, r#""OAuth""#, "`Authorization: SCHEME TOKEN`."),
        key("header", PLAIN, r#""X-Auth-Token""#, "A header of its own."),
        key("query", PLAIN, r#""access_token""#, "A query parameter."),
        key("form", PLAIN, r#""access_token""#, "A field of the form."),
        key("json", PLAIN, r#""access_token""#, "A member of the JSON body."),
    ],
    Choice::One(&["scheme", "header", "query", "form", "json"]),
);

pub(in super::super) static AUTH: Table = table(
    "auth",
    "Our own credentials.",
    &[
        key("bearer", TEMPLATE, r#""${secrets.api_key}""#, "`Authorization: Bearer …`."),
        key("basic", &[Takes::Table(&BASIC)], r#"{ user = "us", password = "${secrets.key}" }"#, BASIC.doc),
        key(
            "client_credentials",
            &[Takes::Table(&CLIENT_CREDENTIALS)],
            r#"{ token_url = "https://acme.example/token", client_id = "us", client_secret = "${secrets.key}" }"#,
            CLIENT_CREDENTIALS.doc,
        ),
        key(
            "mtls",
            &[Takes::Table(&MTLS)],
            r#"{ certificate = "${secrets.certificate}", key = "${secrets.key}" }"#,
            MTLS.doc,
        ),
    ],
    Choice::AtMostOne(&["bearer", "basic", "client_credentials"]),
);

pub(in super::super) static BASIC: Table = table(
    "basic",
    "User and password (RFC 7617).",
    &[
        needed("user", TEMPLATE, r#""us""#, "The user."),
        needed("password", TEMPLATE, r#""${secrets.key}""#, "The password."),
    ],
    Choice::Free,
);

pub(in super::super) static CLIENT_CREDENTIALS: Table = table(
    "client_credentials",
    "A bearer token that the token endpoint gives for our own credentials (RFC 6749, section 4.4); it is shared and renewed.",
    &[
        needed("token_url", TEMPLATE, r#""https://acme.example/token""#, "The token endpoint."),
        needed("client_id", TEMPLATE, r#""us""#, "Who we are there."),
        key(
            "client_secret",
            TEMPLATE,
            r#""${secrets.key}""#,
            "Our password there; only with `mtls` it may be left out.",
        ),
        key("scope", TEMPLATE, r#""users.read""#, "The scopes, separated by blanks."),
        key("audience", TEMPLATE, r#""https://api.acme.example""#, "Who the token is for, as some endpoints want it."),
        key("resource", TEMPLATE, r#""https://api.acme.example""#, "Who the token is for, as RFC 8707 says it."),
        key(
            "style",
            &[Takes::Word(Words::Given(&[
                ("basic", "`client_secret` stands in the header Authorization"),
                ("post", "`client_secret` stands in the form"),
            ]))],
            r#""post""#,
            "Where `client_secret` stands; `\"basic\"` without it.",
        ),
    ],
    Choice::Free,
);

pub(in super::super) static MTLS: Table = table(
    "mtls",
    "A certificate that is shown where connections are made for this call (RFC 8705).",
    &[
        needed("certificate", TEMPLATE, r#""${secrets.certificate}""#, "The chain as PEM, our own certificate first."),
        needed("key", TEMPLATE, r#""${secrets.key}""#, "The private key as PEM; it has to be a secret."),
    ],
    Choice::Free,
);

const DECODES: &[Takes] = &[
    Takes::Word(Words::Given(&[
        ("json", "JSON"),
        ("text", "one text"),
        ("form", "an object of texts"),
        ("jsonp", "the JSON inside `name(…);`"),
        ("xml", "an object with the root element as member"),
        ("data_uri", "a picture as `data:image/…;base64,…`"),
    ])),
    Takes::Table(&DECODE),
];

pub(in super::super) static DECODE: Table = table(
    "decode",
    "A format with options.",
    &[
        key("xml", &[Takes::Table(&XML)], r#"{ lists = ["email"] }"#, "XML, with options."),
        key(
            "jwt",
            &[Takes::Table(&ANSWER_JWT)],
            r#"{ jwks = "https://login.acme.example/jwks", issuer = "https://login.acme.example", audience = "us" }"#,
            ANSWER_JWT.doc,
        ),
    ],
    Choice::One(&["xml", "jwt"]),
);

pub(in super::super) static XML: Table = table(
    "xml",
    "How XML is read.",
    &[key("lists", PLAINS, r#"["email"]"#, "Elements that are lists also where there is one.")],
    Choice::Free,
);

pub(in super::super) static FAIL_WHEN: Table = table(
    "fail_when",
    "An error inside an answer.",
    &[
        needed("when", RHAI, r#""user.error != ()""#, "A Rhai expression that is true for a failed answer."),
        needed("error", ERRORS, r#""invalid_token""#, "The error that is answered then."),
        key("reason", PLAIN, r#""Acme does not accept the token""#, "What the caller is told."),
    ],
    Choice::Free,
);

pub(in super::super) static REDIRECT: Table = table(
    "redirect",
    "Redirects that are followed.",
    &[
        needed("max", &[Takes::Integer(0, MAX_REDIRECTS)], "2", "How many."),
        key(
            "origins",
            PLAINS,
            r#"["https://cdn.acme.example"]"#,
            "Other origins that may be led to, without credentials.",
        ),
    ],
    Choice::Free,
);

pub(in super::super) static GRAPHQL: Table = table(
    "graphql",
    "A GraphQL operation.",
    &[
        needed(
            "query",
            TEMPLATE,
            r#""query ($id: ID!) { user(id: $id) { name } }""#,
            "The document with the operation.",
        ),
        key("variables", &[Takes::Table(&VARIABLES)], r#"{ id = "${user.id}" }"#, "The values of its variables."),
        key("operation_name", TEMPLATE, r#""Me""#, "Which operation of the document is meant."),
    ],
    Choice::Free,
);

static VARIABLES: Table =
    names("variables", "The values of variables.", Names::Any, &[Takes::Json], r#"id = "${user.id}""#);

pub(in super::super) static EACH: Table = table(
    "each",
    "The values that the call is made for.",
    &[
        needed("path", PATH, r#""$.teams[*].id""#, "A JSONPath that can select several values."),
        key(
            "max",
            &[Takes::Integer(1, MAX_EACH.1)],
            "500",
            "The most values that there may be; 100 without it. More fail the call.",
        ),
    ],
    Choice::Free,
);

pub(in super::super) static PAGINATE: Table = table(
    "paginate",
    "How the pages of a list follow one another.",
    &[
        key("link", FLAG, "true", "By the header `Link` with `rel=\"next\"` (RFC 8288)."),
        key("next", PATH, r#""$.users['@odata.nextLink']""#, "By an address in the page."),
        key("cursor", PATH, r#""$.users.cursor""#, "By a value in the page, for the parameter `param`."),
        key(
            "page",
            &[Takes::Integer(0, MAX_PAGE)],
            "1",
            "By a number that counts up in the parameter `param`, from this one.",
        ),
        key("param", PLAIN, r#""page""#, "The query parameter of `cursor` or `page`."),
        key("items", PATH, r#""$.users.value""#, "Where the list stands in a page; without it the page is the list."),
        key("until", RHAI, r#""users.has_more == false""#, "A Rhai expression that holds on the last page."),
        key(
            "max_pages",
            &[Takes::Integer(1, MAX_PAGES.1)],
            "50",
            "The most pages that are read; 20 without it. More fail the call.",
        ),
        key(
            "truncated",
            &[Takes::Word(Words::Claims)],
            r#""groups_truncated""#,
            "A claim that says that there were more; then more do not fail the call.",
        ),
    ],
    Choice::One(&["link", "next", "cursor", "page"]),
);

pub(in super::super) static RETRY: Table = table(
    "retry",
    "When a failed attempt is repeated.",
    &[
        needed("times", &[Takes::Integer(0, MAX_RETRIES)], "2", "How often."),
        key(
            "on",
            RETRIED,
            "[500, 503]",
            "The status codes that are worth another attempt; 502, 503, 504, and a 429 that says when, without it.",
        ),
        key("idempotent", FLAG, "true", "A repeated request does no harm: for methods that may change something."),
    ],
    Choice::Free,
);

pub(super) const CACHES: &[Takes] = &[Takes::Text(Language::Duration), Takes::Table(&CACHE)];

pub(in super::super) static CACHE: Table = table(
    "cache",
    "How long answers are used again, for the same request with the same token.",
    &[
        needed(
            "ttl",
            DURATION,
            r#""5m""#,
            "As if they were new, but no longer than the answer or the token allows. With `\"0s\"` none is kept, and what is asked at the same time is asked once.",
        ),
        key(
            "stale",
            DURATION,
            r#""1h""#,
            "Afterwards, where the provider gives no answer, 429 or 5xx; never without it.",
        ),
        key("refused", DURATION, r#""5s""#, "That the provider refused the token (401); not at all without it."),
        key("safe", FLAG, "true", "The requests change nothing: for methods that may."),
    ],
    Choice::Free,
);

/// 429 or 5xx; the bounds cannot say more.
const RETRIED: &[Takes] = &[Takes::Integer(429, 599), Takes::List(&[Takes::Integer(429, 599)])];
