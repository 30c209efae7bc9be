//! Our own credentials: what of them is made when a rule is loaded.
//!
//! | `auth` | what the upstream sees |
//! |---|---|
//! | `bearer`, `basic` | a header that is the same for every request |
//! | `client_credentials` | a bearer token that a token endpoint gave us, which all requests share |
//! | `mtls` | a certificate, when the connection is made; also beside one of the others |

mod client_credentials;
mod mtls;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderValue, header};

pub use self::client_credentials::TokenFault;
pub(super) use self::client_credentials::{OwnToken, bearer};
use super::{
    compile::{Compiler, named},
    plan::Call,
};
use crate::core::{
    problem::Code,
    rule::{self, Scheme},
    token::credentials,
    value::Position,
};

impl Compiler<'_> {
    /// Puts our own credentials into a call.
    pub(super) fn auth(&mut self, call: &rule::Call, compiled: &mut Call) {
        let Some(auth) = &call.auth else { return };
        if let Some(mtls) = &auth.mtls {
            compiled.identity = self.identity(mtls);
            compiled.fixed_shown.push(format!("certificate: {}", named(&mtls.certificate)));
        }
        match &auth.scheme {
            None => {}
            Some(Scheme::Bearer(text)) => {
                let Some(token) = self.fixed(text, Position::Header, "`auth.bearer`") else { return };
                let words = format!("Bearer {}", named(text));
                self.authorize(call, compiled, credentials("Bearer", &token), &words);
            }
            Some(Scheme::Basic { user, password }) => {
                let user = self.fixed(user, Position::Header, "`auth.basic.user`");
                let password = self.fixed(password, Position::Header, "`auth.basic.password`");
                let (Some(user), Some(password)) = (user, password) else { return };
                let value = credentials("Basic", &BASE64_STANDARD.encode(format!("{user}:{password}")));
                self.authorize(call, compiled, value, "Basic [secret]");
            }
            Some(Scheme::ClientCredentials(credentials)) => {
                let free = self.set_authorization(call, compiled, "`auth`");
                let own = self.own_token(credentials, compiled.identity.clone(), compiled.timeout);
                compiled.own_token = own.filter(|_| free);
                compiled.fixed_shown.push("authorization: Bearer [our own token]".into());
            }
        }
    }

    fn authorize(&mut self, call: &rule::Call, compiled: &mut Call, value: Option<HeaderValue>, words: &str) {
        let Some(value) = value else {
            return self.bad_key(
                Code::BadHeader,
                &call.name,
                "no header can hold these credentials",
                "its `auth` has a control character",
                "correct the value where the secret comes from",
            );
        };
        if self.set_authorization(call, compiled, "`auth`") {
            compiled.fixed_headers.insert(header::AUTHORIZATION, value);
            compiled.fixed_shown.push(format!("authorization: {words}"));
        }
    }
}
