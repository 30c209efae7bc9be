//! The only door outside: everything that the core wants of the world.

use std::time::Duration;

use super::message::{Answer, FetchError, Outgoing, Secret};

/// Where a secret's value comes from. A rule holds this, never the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// An environment variable (or a binding, on hosts that have those).
    Env(String),
    /// A file; a newline at its end does not belong to the secret.
    File(String),
}

/// What a place that runs rules offers: sockets, secrets, script files and a clock.
///
/// The native gateway is one, an edge function another; tests use a map.
#[expect(async_fn_in_trait, reason = "hosts name their concrete type when they spawn, so `Send` is theirs to decide")]
pub trait Host {
    /// Sends one request and reads the whole answer.
    ///
    /// The host holds the call's `timeout` and its own limits (total time, body
    /// size after decompression) and never follows a redirect.
    ///
    /// # Errors
    /// When there is no complete answer.
    async fn fetch(&self, request: Outgoing) -> Result<Answer, FetchError>;

    /// The value of a secret. Called when a rule is loaded, never during a request.
    ///
    /// # Errors
    /// A sentence that says what is missing, without any value.
    fn secret(&self, source: &SecretSource) -> Result<Secret, String>;

    /// The text of a script file that stands beside the rules. Called when a rule is loaded.
    ///
    /// # Errors
    /// A sentence that says why it cannot be read.
    fn script(&self, file: &str) -> Result<String, String>;

    /// Time since some fixed moment, never running backwards: for script budgets and traces.
    fn clock() -> Duration;
}
