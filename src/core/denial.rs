//! The errors that a rule may answer by its own decision, by their OAuth 2.0 names.

use http::StatusCode;

/// An error code that `require`, `fail_when` and `reject` may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The token is not good (RFC 6750, section 3.1): 401.
    InvalidToken,
    /// The token is good for less than this (RFC 6750, section 3.1): 403.
    InsufficientScope,
    /// The user may not (RFC 6749, section 4.1.2.1): 403.
    AccessDenied,
    /// The provider cannot answer now (RFC 6749, section 4.1.2.1): 503.
    TemporarilyUnavailable,
}

impl Denial {
    /// All of them.
    pub const ALL: [Denial; 4] =
        [Denial::InvalidToken, Denial::InsufficientScope, Denial::AccessDenied, Denial::TemporarilyUnavailable];

    /// The denial with this code.
    pub fn parse(code: &str) -> Option<Denial> {
        Denial::ALL.into_iter().find(|denial| denial.code() == code)
    }

    /// The code as it is answered.
    pub fn code(self) -> &'static str {
        match self {
            Denial::InvalidToken => "invalid_token",
            Denial::InsufficientScope => "insufficient_scope",
            Denial::AccessDenied => "access_denied",
            Denial::TemporarilyUnavailable => "temporarily_unavailable",
        }
    }

    /// The status that goes with it.
    pub fn status(self) -> StatusCode {
        match self {
            Denial::InvalidToken => StatusCode::UNAUTHORIZED,
            Denial::InsufficientScope | Denial::AccessDenied => StatusCode::FORBIDDEN,
            Denial::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What the caller is told when the rule gives no reason.
    pub fn reason(self) -> &'static str {
        match self {
            Denial::InvalidToken => "the access token is not valid for this provider",
            Denial::InsufficientScope => "the access token lacks a scope that is needed here",
            Denial::AccessDenied => "access is denied",
            Denial::TemporarilyUnavailable => "the provider cannot answer now",
        }
    }
}
