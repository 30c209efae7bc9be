//! `mtls`: a certificate of ours and its key (RFC 8705), checked when the rule is loaded.

use std::sync::Arc;

use crate::core::{
    calls::compile::Compiler,
    identity::{Half, Identity},
    problem::{Code, Place, Problem},
    rule::{self, Mtls, Text},
    value::Position,
};

impl Compiler<'_> {
    /// The identity of two PEM texts.
    pub(super) fn identity(&mut self, mtls: &Mtls) -> Option<Arc<Identity>> {
        let certificate = self.pem(&mtls.certificate, "`auth.mtls.certificate`", false);
        let key = self.pem(&mtls.key, "`auth.mtls.key`", true);
        let identity = Identity::new(certificate?, key?);
        if [&mtls.certificate, &mtls.key].into_iter().any(|text| self.is_unresolved(text)) {
            // Reported where the secret is declared.
            return None;
        }
        let (half, why) = match (self.check)(&identity) {
            Ok(()) => return Some(Arc::new(identity)),
            Err(fault) => fault,
        };
        let (text, what, help) = match half {
            Half::Certificate => (
                &mtls.certificate,
                "`auth.mtls.certificate` is not a certificate that can be shown",
                "correct the value where the secret comes from: PEM, `-----BEGIN CERTIFICATE-----`, our own first",
            ),
            Half::Key => (
                &mtls.key,
                "`auth.mtls.key` is not the private key of the certificate",
                "correct the value where the secret comes from: PEM, `-----BEGIN PRIVATE KEY-----`, without a password",
            ),
        };
        let place = self.pem_place(text);
        self.problems.add(Problem::new(Code::BadValue, place, what).label(why).help(help));
        None
    }

    /// One of the two texts.
    fn pem(&mut self, text: &Text, what: &str, must_be_secret: bool) -> Option<String> {
        if must_be_secret && !text.value.contains("${") {
            let place = self.pem_place(text);
            let problem = Problem::new(Code::BadValue, place, format!("{what} is written out"))
                .label("a private key in a rule file")
                .help("declare it in [secrets], and write `${secrets.NAME}`");
            self.problems.add(problem);
            return None;
        }
        self.fixed(text, Position::Raw, what)
    }

    /// Where one of them stands; one that is written out is not shown.
    fn pem_place(&self, text: &Text) -> Place {
        match text.value.contains("${") {
            true => rule::place(self.source, &text.span),
            false => rule::masked_place(self.source, &text.span),
        }
    }

    /// True if a secret in it could not be had.
    fn is_unresolved(&self, text: &Text) -> bool {
        let mut missing = self.known.secret_names.iter().filter(|name| !self.known.secrets.contains_key(*name));
        missing.any(|name| text.value.contains(&format!("secrets.{name}")))
    }
}
