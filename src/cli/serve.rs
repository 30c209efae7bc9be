//! `claimsmith serve`

use super::{Asked, DONE, Served, Signals, output, runtime};
use crate::{
    config,
    core::problem::Severity,
    gateway::{Admin, Loaded, Reloader, Secrets, start, start_log},
};

pub(super) fn run(served: &Served) -> Result<u8, String> {
    let config = config::load(&served.flags())?;
    let settings = config.settings.clone();
    start_log(&settings.log);
    let mut reloader = Reloader::new(served.flags(), config, Secrets::Real);
    let loaded = reloader.load()?;
    show(&loaded);
    for rule in settings.rule.keys().filter(|name| loaded.routes.find(&format!("/{name}")).is_none()) {
        tracing::warn!(rule, "the settings name a rule that does not serve");
    }
    let rules = loaded.routes.names().join(",");
    if rules.is_empty() {
        let help = "the folder has none that can, and `--use NAME` names none of the catalogue";
        return Err(format!("no rule serves from {}: {help}", settings.rules.display()));
    }
    let runtime = runtime()?;
    // From here on signals are heard, also those that come before anybody waits for them.
    let mut signals = runtime.block_on(async { Signals::listen() })?;
    let running = start(settings, &loaded.routes, &Secrets::Real)?;
    let reloading = reloader.watch(&running, loaded.reports)?;
    let admin = Admin::start(&running)?;
    tracing::info!(address = %running.address(), rules, "listening");
    while runtime.block_on(signals.next())? == Asked::Reload {
        reloading.now();
    }
    tracing::info!("stopping");
    drop(reloading);
    let mut stopped = runtime.spawn_blocking(move || running.stop());
    let ended = runtime.block_on(async {
        loop {
            tokio::select! {
                _ = &mut stopped => return "stopped",
                asked = signals.next() => match asked {
                    Ok(Asked::Reload) => {}
                    Ok(Asked::Stop) | Err(_) => return "stopped at once, as was asked for again",
                },
            }
        }
    });
    // Told to the end that it is not ready.
    drop(admin);
    tracing::info!("{ended}");
    runtime.shutdown_background();
    Ok(DONE)
}

fn show(loaded: &Loaded) {
    let of = |severity| loaded.problems.iter().filter(move |problem| problem.severity() == severity);
    output::show_problems(&of(Severity::Error).cloned().collect::<Vec<_>>());
    let warnings = of(Severity::Warning).count();
    if warnings > 0 {
        tracing::warn!(warnings, "`claimsmith check` shows what the warnings are about");
    }
    for report in &loaded.reports {
        if let Some(why) = &report.unreadable {
            tracing::error!(rule = report.name, "{why}");
        }
    }
    for rule in &loaded.refused {
        tracing::error!(rule, "this rule is refused; the others serve");
    }
}
