//! The headers of a call, and how the caller's token travels.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::Compiler;
use crate::core::{
    calls::{
        body::{Body, Json},
        plan::{Call, TokenPlan},
    },
    problem::Code,
    rule::{self, Text, TokenPlace},
    value::{Position, Template},
};

/// Headers that belong to HTTP itself, or whose value follows from the rest of the call.
const OWNED_HEADERS: [HeaderName; 7] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
];

pub(in crate::core::calls) const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("claimsmith/", env!("CARGO_PKG_VERSION")));

impl Compiler<'_> {
    #[expect(clippy::type_complexity, reason = "four lists that are made in one pass and taken apart at once")]
    pub(super) fn headers(
        &mut self,
        call: &rule::Call,
        accept: HeaderValue,
    ) -> (Vec<(HeaderName, Template)>, HeaderMap, Vec<String>, Option<String>) {
        let mut headers = Vec::new();
        let mut fixed = HeaderMap::new();
        let mut shown = Vec::new();
        let mut content_type = None;
        for (key, text) in &call.headers {
            self.not_a_path(text);
            let Ok(name) = HeaderName::try_from(key.name.as_str()) else {
                self.bad_key(
                    Code::BadHeader,
                    key,
                    format!("not a header name: `{}`", key.name),
                    "no header has this name",
                    "letters, digits and `-`",
                );
                continue;
            };
            if OWNED_HEADERS.contains(&name) {
                self.bad_key(
                    Code::BadHeader,
                    key,
                    format!("`{name}` cannot be set by a rule"),
                    "belongs to HTTP itself",
                    "it follows from the address and the body",
                );
                continue;
            }
            let Some(template) = self.template(text, Position::Header) else { continue };
            if name == header::CONTENT_TYPE {
                content_type = template.fixed().map(std::borrow::Cow::into_owned);
            }
            match template.fixed() {
                Some(value) => match HeaderValue::from_bytes(value.as_bytes()) {
                    Ok(mut value) => {
                        value.set_sensitive(template.is_secret());
                        let words =
                            if template.is_secret() { named(text) } else { value.to_str().unwrap_or_default().into() };
                        shown.push(format!("{name}: {words}"));
                        fixed.insert(name, value);
                    }
                    Err(_) => self.bad(
                        Code::BadHeader,
                        text,
                        "no header can have this value",
                        "a line break or a control character",
                        "a header is one line of text",
                    ),
                },
                None => headers.push((name, template)),
            }
        }
        let mut default = |name: HeaderName, value: HeaderValue| {
            if !fixed.contains_key(&name) && !headers.iter().any(|(other, _)| *other == name) {
                fixed.insert(name, value);
            }
        };
        default(header::USER_AGENT, USER_AGENT);
        default(header::ACCEPT, accept);
        if let Some(body) = &call.body {
            let kind = match body {
                rule::Body::Json(_) | rule::Body::Graphql { .. } => Some("application/json"),
                rule::Body::Form(_) => Some("application/x-www-form-urlencoded"),
                rule::Body::Raw(_) => None,
            };
            if let Some(kind) = kind {
                default(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            }
        }
        (headers, fixed, shown, content_type)
    }

    /// False, with a problem, if something else in the call sets `Authorization` already.
    pub(in crate::core::calls) fn set_authorization(&mut self, call: &rule::Call, compiled: &Call, by: &str) -> bool {
        let taken = compiled.own_token.is_some()
            || compiled.fixed_headers.contains_key(header::AUTHORIZATION)
            || compiled.headers.iter().any(|(name, _)| *name == header::AUTHORIZATION);
        if taken {
            let message = format!("[call.{}] sets the header Authorization twice, once by {by}", call.name.name);
            self.bad_key(
                Code::Conflict,
                &call.name,
                message,
                "in this call",
                "keep one: `token`, `auth` or the header; `token = \"none\"` keeps the caller's token out",
            );
        }
        !taken
    }

    pub(super) fn token(&mut self, call: &rule::Call, compiled: &mut Call) {
        let written_out = self.mentions.token;
        let place = match &call.token {
            Some(place) => place,
            // With credentials of our own, or the token written where it must stand, nothing is added.
            None if call.auth.is_some() || written_out => &TokenPlace::None,
            None => &TokenPlace::Bearer,
        };
        let uses_authorization =
            matches!(place, TokenPlace::Bearer | TokenPlace::AsReceived | TokenPlace::Bare | TokenPlace::Scheme(_));
        let by = match &call.token {
            Some(_) => "`token`",
            None => "the caller's token, which travels there unless `token` says otherwise",
        };
        if uses_authorization && !self.set_authorization(call, compiled, by) {
            return;
        }
        compiled.carries_token = written_out || !matches!(place, TokenPlace::None);
        compiled.token = match place {
            TokenPlace::Bearer => TokenPlan::Bearer,
            TokenPlace::None => TokenPlan::Elsewhere,
            TokenPlace::Bare => TokenPlan::Scheme(String::new()),
            TokenPlace::AsReceived => TokenPlan::AsReceived,
            TokenPlace::Scheme(text) => match HeaderName::try_from(text.value.as_str()) {
                Ok(_) => TokenPlan::Scheme(text.value.clone()),
                Err(_) => {
                    return self.bad(
                        Code::BadHeader,
                        text,
                        format!("not an authorization scheme: `{}`", text.value),
                        "no scheme has this name",
                        "letters, digits and `-`",
                    );
                }
            },
            TokenPlace::Header(text) => match HeaderName::try_from(text.value.as_str()) {
                Ok(name) if !OWNED_HEADERS.contains(&name) => TokenPlan::Header(name),
                _ => {
                    return self.bad(
                        Code::BadHeader,
                        text,
                        format!("not a header that can hold a token: `{}`", text.value),
                        "no header of ours",
                        "letters, digits and `-`",
                    );
                }
            },
            TokenPlace::Query(text) => TokenPlan::Query(text.value.clone()),
            TokenPlace::Form(text) => match &mut compiled.body {
                Body::Form(_) => TokenPlan::Form(text.value.clone()),
                body @ Body::None => {
                    *body = Body::Form(Vec::new());
                    default_content_type(compiled);
                    TokenPlan::Form(text.value.clone())
                }
                _ => {
                    return self.bad(
                        Code::Conflict,
                        text,
                        "a token in a form needs `form`, not another body",
                        "there is another body",
                        "write the other fields as `form = { … }`",
                    );
                }
            },
            TokenPlace::Json(text) => match &mut compiled.body {
                Body::Json(Json::Object(members)) => {
                    members.push((text.value.clone(), Json::Token));
                    TokenPlan::Elsewhere
                }
                body @ Body::None => {
                    *body = Body::Json(Json::Object(vec![(text.value.clone(), Json::Token)]));
                    default_content_type(compiled);
                    TokenPlan::Elsewhere
                }
                _ => {
                    return self.bad(
                        Code::Conflict,
                        text,
                        "a token in JSON needs a `json` object, not another body",
                        "there is another body",
                        "write the other members as `json = { … }`",
                    );
                }
            },
        };
    }
}

/// A text with `${secrets.NAME}` as people may see it.
pub(in crate::core::calls) fn named(text: &Text) -> String {
    text.value.replace("${", "[").replace('}', "]")
}

fn default_content_type(call: &mut Call) {
    if let Some(kind) = call.body.content_type() {
        call.fixed_headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static(kind));
    }
}
