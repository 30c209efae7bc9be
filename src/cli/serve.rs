//! `claimsmith serve`

use super::{DONE, Served, interrupted, output, runtime};
use crate::{
    config,
    core::problem::Severity,
    gateway::{Secrets, Store, Upstream, load, start, start_log},
};

pub(super) fn run(served: &Served) -> Result<u8, String> {
    let settings = config::load(&served.flags())?.settings;
    start_log(&settings.log);
    let host = Upstream::new(&settings, Secrets::Real, Store::new())?;
    let loaded = load(&settings, &host)?;
    let (errors, others): (Vec<_>, Vec<_>) =
        loaded.problems.into_iter().partition(|problem| problem.severity() == Severity::Error);
    output::show_problems(&errors);
    let warnings = others.iter().filter(|problem| problem.severity() == Severity::Warning).count();
    if warnings > 0 {
        tracing::warn!(warnings, "`claimsmith check` shows what the warnings are about");
    }
    for rule in &loaded.refused {
        tracing::error!(rule, "this rule is refused; the others serve");
    }
    for rule in settings.rule.keys().filter(|name| loaded.routes.find(&format!("/{name}")).is_none()) {
        tracing::warn!(rule, "the settings name a rule that does not serve");
    }
    let rules = loaded.routes.names().join(",");
    if rules.is_empty() {
        let help = "the folder has none that can, and `--use NAME` names none of the catalogue";
        return Err(format!("no rule serves from {}: {help}", settings.rules.display()));
    }
    let runtime = runtime()?;
    let running = start(settings, loaded.routes, &Secrets::Real)?;
    tracing::info!(address = %running.address(), rules, "listening");
    runtime.block_on(interrupted())?;
    tracing::info!("stopping");
    running.stop();
    tracing::info!("stopped");
    Ok(DONE)
}
