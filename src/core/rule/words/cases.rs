//! The tables of a case file.

use super::{Choice, Key, Language, Names, PLAIN, Table, Takes, Words, key, names, needed, table};

/// A case file.
pub static CASES: Table = table(
    "cases",
    "The cases of a rule: what it is to make of recorded answers.",
    &[key(
        "case",
        &[Takes::Table(&CASE), Takes::List(&[Takes::Table(&CASE)])],
        r#"[{ name = "the token is refused", error = { status = 401, error = "invalid_token" } }]"#,
        CASE.doc,
    )],
    Choice::Free,
);

/// A table, or a text that is a JSON object.
const CLAIMS_OR_JSON: &[Takes] = &[Takes::Table(&CLAIMS), Takes::Text(Language::Json)];

pub(in super::super) static CASE: Table = table(
    "case",
    "One case: a request, recorded answers, and what is to come out.",
    &[
        needed("name", PLAIN, r#""a private e-mail is found""#, "What the case shows."),
        key("token", PLAIN, r#""t0ken""#, "The caller's token; `t0ken` without it."),
        key("vars", &[Takes::Table(&VARS), Takes::Text(Language::Json)], r#"{ host = "api.acme.example" }"#, VARS.doc),
        key("secrets", &[Takes::Table(&SECRETS)], r#"{ api_key = "k3y" }"#, SECRETS.doc),
        key(
            "now",
            &[Takes::Moment, Takes::Text(Language::Plain)],
            "2026-01-31T12:00:00Z",
            "When it happens; the start of 2026 without it.",
        ),
        key("request", &[Takes::Table(&INBOUND)], r#"{ query = { openid = "o-1" } }"#, INBOUND.doc),
        key(
            "answer",
            &[Takes::Table(&ANSWER), Takes::List(&[Takes::Table(&ANSWER)])],
            r#"[{ url = "https://api.acme.example/me", json = '{"id": 7}' }]"#,
            "What the provider answers. One that no call asks for, and a call without one, fail the case.",
        ),
        key(
            "claims",
            CLAIMS_OR_JSON,
            r#"{ sub = "7" }"#,
            "Exactly these claims come out; a text with JSON for long numbers.",
        ),
        key("error", &[Takes::Table(&ERROR)], r#"{ status = 401, error = "invalid_token" }"#, ERROR.doc),
    ],
    Choice::One(&["claims", "error"]),
);

static VARS: Table =
    names("case_vars", "Values for the rule's `[vars]`.", Names::Var, &[Takes::Json], r#"host = "x.example""#);
static SECRETS: Table = names(
    "case_secrets",
    "Values for the rule's `[secrets]`, by their names there.",
    Names::Secret,
    PLAIN,
    r#"key = "k3y""#,
);
static CLAIMS: Table = names("case_claims", "The claims that come out.", Names::Claim, &[Takes::Json], r#"sub = "7""#);
static TEXTS: Table = names("case_texts", "Texts by their names.", Names::Any, PLAIN, r#"openid = "o-1""#);

pub(in super::super) static ERROR: Table = table(
    "case_error",
    "The rule answers this error.",
    &[
        needed("status", &[Takes::Integer(200, 999)], "401", "Its status."),
        key("error", PLAIN, r#""invalid_token""#, "Its code; an empty answer without it."),
    ],
    Choice::Free,
);

pub(in super::super) static INBOUND: Table = table(
    "case_request",
    "The caller's request, besides the token.",
    &[
        key("method", &[Takes::Text(Language::Plain)], r#""POST""#, "`POST` or, without it, `GET`."),
        key("headers", &[Takes::Table(&TEXTS)], r#"{ x-tenant = "acme" }"#, "Headers besides `Authorization`."),
        key("query", &[Takes::Table(&TEXTS)], r#"{ openid = "o-1" }"#, "Query parameters."),
    ],
    Choice::Free,
);

const STATUS: Key = key("status", &[Takes::Integer(200, 999)], "404", "The status; 200 without it.");

pub(in super::super) static ANSWER: Table = table(
    "answer",
    "A recorded answer of the provider, and what its request has to look like.",
    &[
        needed(
            "url",
            PLAIN,
            r#""https://api.acme.example/me?fields=id""#,
            "The whole address of the request; the order of parameters says nothing.",
        ),
        key("method", PLAIN, r#""POST""#, "The method of the request; `GET` without it."),
        key("expect", &[Takes::Table(&ASKED)], r#"{ headers = { authorization = "Bearer t0ken" } }"#, ASKED.doc),
        STATUS,
        key("headers", &[Takes::Table(&TEXTS)], r#"{ content-type = "application/xml" }"#, "Headers of the answer."),
        key("json", &[Takes::Text(Language::Json)], r#"'{"id": 7}'"#, "A body that is JSON."),
        key("body", PLAIN, r#""<user id='7'/>""#, "Any other body."),
        key("file", PLAIN, r#""acme.photo.png""#, "A file beside the cases that holds the body."),
        key(
            "fail",
            &[Takes::Word(Words::Given(&[
                ("timeout", "there is no answer in time"),
                ("connect", "there is no connection"),
                ("broken", "the connection breaks"),
            ]))],
            r#""timeout""#,
            "There is no answer, for this reason.",
        ),
    ],
    Choice::AtMostOne(&["json", "body", "file", "fail"]),
);

pub(in super::super) static ASKED: Table = table(
    "asked",
    "What the request has to look like besides its address.",
    &[
        key("headers", &[Takes::Table(&ASKED_HEADERS)], r#"{ authorization = false }"#, ASKED_HEADERS.doc),
        key("json", &[Takes::Json], r#"{ id = 7 }"#, "Its body, as JSON."),
        key("form", &[Takes::Table(&TEXTS)], r#"{ id = "7" }"#, "Its body, as the fields of a form."),
        key("body", PLAIN, r#""<me/>""#, "Its body, letter for letter."),
    ],
    Choice::AtMostOne(&["json", "form", "body"]),
);

static ASKED_HEADERS: Table = names(
    "asked_headers",
    "Headers with their values; `false` for one that must not be there.",
    Names::Header,
    &[Takes::Text(Language::Plain), Takes::Absent],
    r#"authorization = "Bearer t0ken""#,
);
