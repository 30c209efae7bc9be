//! The tables of a rule, without those of a call.

use super::{
    Choice, DURATION, ERRORS, FLAG, Key, Language, Names, PATH, PLAIN, PLAINS, RHAI, TEMPLATE, Table, Takes, VALUES,
    Words,
    calls::{CACHES, CALL},
    key, names, needed, table,
};

/// A rule file.
pub static RULE: Table = table(
    "rule",
    "A rule: what is answered at one path.",
    &[
        key(
            "description",
            PLAIN,
            r#""Acme: profile and primary e-mail""#,
            "What the rule is for, in words for people.",
        ),
        key("docs", PLAIN, r#""https://developers.acme.example/users""#, "Where the provider documents its answers."),
        key("login", &[Takes::Table(&LOGIN)], r#"{ scopes = ["profile"] }"#, LOGIN.doc),
        key(
            "receiver",
            &[Takes::Word(Words::Receivers)],
            r#""supabase""#,
            "Who reads the answer: it is held to what that receiver insists on, by `check` and for each request.",
        ),
        key(
            "subject",
            &[Takes::Word(Words::Claims)],
            r#""id""#,
            "The claim that identifies the user; `sub` without it. It is required, whatever its table says.",
        ),
        key("cache", CACHES, r#""1m""#, "How long the claims are used again for the same token; not without it."),
        key("vars", &[Takes::Table(&VARS)], r#"{ host = "api.acme.example" }"#, VARS.doc),
        key("secrets", &[Takes::Table(&SECRETS)], r#"{ api_key = { env = "ACME_API_KEY" } }"#, SECRETS.doc),
        key("token", &[Takes::Table(&TOKEN)], r#"{ call = "check" }"#, TOKEN.doc),
        key("request", &[Takes::Table(&REQUEST)], r#"{ query = ["openid"] }"#, REQUEST.doc),
        key("call", &[Takes::Table(&CALLS)], r#"{ user = { url = "https://api.acme.example/me" } }"#, CALLS.doc),
        key(
            "include",
            &[Takes::Table(&INCLUDE), Takes::List(&[Takes::Table(&INCLUDE)])],
            r#"{ path = "$.user", except = ["internal"] }"#,
            "Copies the members of an object as claims, before those of `[claims]`, which win.",
        ),
        key("claims", &[Takes::Table(&CLAIMS)], r#"{ sub = "$.user.id" }"#, CLAIMS.doc),
        key(
            "require",
            &[Takes::Table(&REQUIRE), Takes::List(&[Takes::Table(&REQUIRE)])],
            r#"[{ that = "user.active == true", error = "access_denied" }]"#,
            "Guards: all must hold after the calls, or the answer is the error of the first that does not.",
        ),
        key("script", &[Takes::Table(&SCRIPT)], r#"{ file = "acme.rhai" }"#, SCRIPT.doc),
        key("accept", &[Takes::Table(&ACCEPT)], r#"{ CS9003 = "the provider verifies every address" }"#, ACCEPT.doc),
    ],
    Choice::Free,
);

pub(in super::super) static LOGIN: Table = table(
    "login",
    "What the auth server must be told besides our address; words for people.",
    &[
        key(
            "authorization_url",
            &[Takes::Text(Language::Https)],
            r#""https://acme.example/oauth/authorize""#,
            "The provider's authorization endpoint.",
        ),
        key(
            "token_url",
            &[Takes::Text(Language::Https)],
            r#""https://acme.example/oauth/token""#,
            "The provider's token endpoint.",
        ),
        key("scopes", PLAINS, r#"["profile", "email"]"#, "The scopes that the login must ask for."),
    ],
    Choice::Free,
);

static VARS: Table = names(
    "vars",
    "Knobs with their defaults. `[rule.NAME.vars]` in the settings overrides them; a rule reads them as `${vars.host}` or `$.vars.host`.",
    Names::Var,
    &[Takes::Text(Language::Plain), Takes::Number, Takes::Flag, Takes::Moment],
    r#"host = "api.acme.example""#,
);

static SECRETS: Table = names(
    "secrets",
    "Where secrets come from, never their values. They are `${secrets.api_key}` inside the texts of a call, and nowhere else.",
    Names::Secret,
    &[Takes::Table(&SECRET)],
    r#"api_key = { env = "ACME_API_KEY" }"#,
);

pub(in super::super) static SECRET: Table = table(
    "secret",
    "Where one secret comes from.",
    &[
        key("env", PLAIN, r#""ACME_API_KEY""#, "An environment variable."),
        key("file", PLAIN, r#""/run/secrets/acme""#, "A file; a newline at its end does not belong to the secret."),
    ],
    Choice::One(&["env", "file"]),
);

pub(in super::super) static TOKEN: Table = table(
    "token",
    "What the caller's token must be before any call is made; then `$.token` is what is known of it.",
    &[
        key(
            "jwt",
            &[Takes::Table(&JWT)],
            r#"{ jwks = "https://login.acme.example/jwks", issuer = "https://login.acme.example", audience = "our-api" }"#,
            JWT.doc,
        ),
        key(
            "introspect",
            &[Takes::Table(&INTROSPECT)],
            r#"{ url = "https://login.acme.example/introspect", auth = { bearer = "${secrets.key}" } }"#,
            INTROSPECT.doc,
        ),
        key(
            "call",
            &[Takes::Word(Words::Calls)],
            r#""check""#,
            "A call of the rule that goes first; its `fail_when` decides.",
        ),
    ],
    Choice::One(&["jwt", "introspect", "call"]),
);

const WORD_OR_WORDS: &[Takes] = &[Takes::Text(Language::Template), Takes::List(TEMPLATE)];

const JWKS: Key = key("jwks", TEMPLATE, r#""https://login.acme.example/jwks""#, "Where the issuer's keys are.");
const JWT_SECRET: Key = key(
    "secret",
    TEMPLATE,
    r#""${secrets.shared}""#,
    "A secret that is shared with the issuer, for `HS256` and its like; `algorithms` has to name them.",
);
const ISSUER: Key = key(
    "issuer",
    WORD_OR_WORDS,
    r#""https://login.acme.example""#,
    "What `iss` must be, letter for letter: one of these.",
);
const AUDIENCE: Key = key("audience", WORD_OR_WORDS, r#""our-api""#, "What `aud` must hold: one of these.");
const ALGORITHMS: Key = key(
    "algorithms",
    WORD_OR_WORDS,
    r#"["ES256"]"#,
    "The signature algorithms that are accepted; without it all of `RS*`, `PS*`, `ES*` and `EdDSA`.",
);
const TYP: Key = key("typ", TEMPLATE, r#""at+jwt""#, "What `typ` of the header must be.");
const LEEWAY: Key = key("leeway", DURATION, r#""30s""#, "How far clocks may differ; a minute without it.");
static EXPECTS: [Takes; 1] = [Takes::Table(&EXPECTED)];
const EXPECT: Key = key(
    "expect",
    &EXPECTS,
    r#"{ client_id = "our-app", scope = "profile" }"#,
    "Other claims and what they must be; `scope` lists all that must be there.",
);

pub(in super::super) static JWT: Table = table(
    "jwt",
    "A JWT, verified here: signature, issuer, audience and time (RFC 8725).",
    &[JWKS, JWT_SECRET, ISSUER, AUDIENCE, ALGORITHMS, TYP, LEEWAY, EXPECT],
    Choice::Free,
);

pub(in super::super) static ANSWER_JWT: Table = table(
    "decode_jwt",
    "An answer that is a JWT: it is verified, or decrypted with our key.",
    &[
        JWKS,
        JWT_SECRET,
        ISSUER,
        AUDIENCE,
        ALGORITHMS,
        TYP,
        LEEWAY,
        EXPECT,
        key(
            "decrypt",
            TEMPLATE,
            r#""${secrets.key}""#,
            "Our own private key, a JWK or PEM, for an answer that is encrypted.",
        ),
    ],
    Choice::Free,
);

static EXPECTED: Table =
    names("expected", "Claims and what they must be.", Names::Any, TEMPLATE, r#"client_id = "our-app""#);

pub(in super::super) static INTROSPECT: Table = table(
    "introspect",
    "Asks the issuer about the token (RFC 7662).",
    &[
        needed("url", TEMPLATE, r#""https://login.acme.example/introspect""#, "The introspection endpoint."),
        needed("auth", &[Takes::Table(&INTROSPECT_AUTH)], r#"{ bearer = "${secrets.key}" }"#, INTROSPECT_AUTH.doc),
        key(
            "token_type_hint",
            TEMPLATE,
            r#""access_token""#,
            "What kind of token it is, if the endpoint wants to know.",
        ),
        key(
            "expect",
            &[Takes::Table(&EXPECTED)],
            r#"{ client_id = "our-app" }"#,
            "Members of the answer and what they must be; `scope` lists all that must be there.",
        ),
    ],
    Choice::Free,
);

pub(in super::super) static INTROSPECT_AUTH: Table = table(
    "introspect_auth",
    "Our own credentials at the introspection endpoint.",
    &[
        key(
            "basic",
            &[Takes::Table(&INTROSPECT_BASIC)],
            r#"{ user = "us", password = "${secrets.key}" }"#,
            "User and password, form-encoded as OAuth wants it.",
        ),
        key("bearer", TEMPLATE, r#""${secrets.key}""#, "A bearer token of our own."),
    ],
    Choice::One(&["basic", "bearer"]),
);

pub(in super::super) static INTROSPECT_BASIC: Table = table(
    "introspect_basic",
    "User and password.",
    &[
        needed("user", TEMPLATE, r#""us""#, "The user, usually our client id."),
        needed("password", TEMPLATE, r#""${secrets.key}""#, "The password, usually our client secret."),
    ],
    Choice::Free,
);

pub(in super::super) static REQUEST: Table = table(
    "request",
    "What of the caller's request the document shows, as `$.request.headers` and `$.request.query`.",
    &[
        key("headers", PLAINS, r#"["x-tenant"]"#, "These headers; none that carries credentials."),
        key("query", PLAINS, r#"["openid"]"#, "These parameters."),
    ],
    Choice::Free,
);

static CALLS: Table = names(
    "calls",
    "Requests to the provider, by the names of their answers in the document. One starts as soon as the calls that it mentions have answered.",
    Names::Call,
    &[Takes::Table(&CALL)],
    r#"user = { url = "https://api.acme.example/me" }"#,
);

pub(in super::super) static INCLUDE: Table = table(
    "include",
    "Copies the members of an object as claims.",
    &[
        needed("path", PATH, r#""$.user""#, "The object."),
        key("only", PLAINS, r#"["locale", "zoneinfo"]"#, "Only these members."),
        key("except", PLAINS, r#"["internal_id"]"#, "All but these members."),
        key(
            "flatten",
            PLAIN,
            r#""_""#,
            "What joins the names of nested members: `{ a: { b: 1 } }` becomes `a_b`. Without it nothing nested is copied.",
        ),
    ],
    Choice::AtMostOne(&["only", "except"]),
);

static CLAIMS: Table = names(
    "claims",
    "The claims, answered in this order. One that is absent or null is left out.",
    Names::Claim,
    VALUES,
    r#"sub = "$.user.id""#,
);

/// A value with options.
pub static VALUE: Table = table(
    "value",
    "A value with options.",
    &[
        key(
            "path",
            VALUES,
            r#""$.user.id""#,
            "A JSONPath, a text with `${…}`, or a list of those: the first that is there.",
        ),
        key("rhai", RHAI, r#""user.login.to_lower()""#, "A Rhai expression."),
        key("value", &[Takes::Json], r#""gold""#, "A constant."),
        key("many", FLAG, "true", "All that the path selects, as a list."),
        key("first", FLAG, "true", "The first of all that the path selects, said so on purpose."),
        key("join", PLAIN, r#"" ""#, "Joins all parts, or all that the path selects, with this text."),
        key(
            "type",
            &[Takes::Word(Words::Types)],
            r#""string""#,
            "The type of the claim; values are converted without loss.",
        ),
        key("default", &[Takes::Json], "false", "What stands in for an absent value."),
        key("required", FLAG, "true", "The request fails if the value is absent."),
        key("trim", FLAG, "true", "Removes white space at both ends."),
        key("lower", FLAG, "true", "Makes it lower case."),
        key("flatten", PLAIN, r#""_""#, "Turns an object into claims of its members, with names joined by this text."),
    ],
    Choice::One(&["path", "rhai", "value"]),
);

pub(in super::super) static REQUIRE: Table = table(
    "require",
    "A guard: what must hold, and what is answered otherwise.",
    &[
        needed("that", RHAI, r#""user.client_id == vars.client_id""#, "A Rhai expression that must be true."),
        needed("error", ERRORS, r#""access_denied""#, "The error that is answered otherwise."),
        key("reason", PLAIN, r#""the account is suspended""#, "What the caller is told."),
    ],
    Choice::Free,
);

pub(in super::super) static SCRIPT: Table = table(
    "script",
    "The last word: Rhai that may change `claims` or call `reject(error, reason)`.",
    &[
        key("source", RHAI, r#""claims.plan = `gold`;""#, "The script."),
        key("file", PLAIN, r#""acme.rhai""#, "A file beside the rule that holds it."),
    ],
    Choice::One(&["source", "file"]),
);

static ACCEPT: Table = names(
    "accept",
    "Findings of `check` that are right in this rule, by their codes, each with the reason.",
    Names::Finding,
    PLAIN,
    r#"CS9003 = "the provider verifies every address""#,
);
