//! A rule that is only looked at while it is written: compiled, and not run.

use std::time::Duration;

use crate::core::{
    Answer, Compiler, FetchError, Host, Outgoing, Secret, SecretSource,
    identity::{Half, Identity},
};

/// A host for rules that are only compiled. Secrets need not be there: they belong to where the rule will run.
pub(crate) struct Draft<'a> {
    /// Gives the text of a script that stands beside the rule.
    pub(crate) script: &'a dyn Fn(&str) -> Result<String, String>,
}

impl Host for Draft<'_> {
    async fn fetch(&self, _: Outgoing) -> Result<Answer, FetchError> {
        Err(FetchError::Connect("nothing is sent while a rule is written".into()))
    }

    fn secret(&self, _: &str, _: &SecretSource) -> Result<Secret, String> {
        Ok(Secret::stand_in())
    }

    fn check(&self, _: &Identity) -> Result<(), (Half, String)> {
        Ok(())
    }

    fn script(&self, file: &str) -> Result<String, String> {
        (self.script)(file)
    }

    async fn pause(&self, _: Duration) {}

    fn clock() -> Duration {
        Duration::ZERO
    }

    fn now() -> Duration {
        Duration::ZERO
    }
}

/// A compiler for such rules.
pub(crate) fn compiler() -> Compiler {
    Compiler::new::<Draft<'_>>()
}
