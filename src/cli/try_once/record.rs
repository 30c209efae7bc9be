//! `try --record`: the login becomes a case of the rule.

use std::{
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{Attempt, vars};
use crate::{
    cli::{output, record},
    config::Settings,
    core::{
        Host,
        record::{Login, Recorder, write},
    },
    gateway::{bytes_beside, source},
};

/// Puts the login behind the cases that there are.
#[expect(clippy::disallowed_methods, reason = "this command says when the login was")]
pub(super) fn append<H: Host>(
    attempt: &Attempt,
    recorder: Recorder<'_, H>,
    path: &Path,
    settings: &Settings,
    file: &Path,
    runtime: &tokio::runtime::Runtime,
) -> Result<(), String> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let rule = source(path)?;
    let existing = record::existing(file)?;
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let files = move |file: &str| bytes_beside(&folder, file);
    let login = Login {
        rule: (&name, &rule),
        vars: &vars(settings, &name),
        request: &attempt.request,
        outcome: &attempt.outcome,
        now: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        files: &files,
    };
    let written = runtime.block_on(write(recorder.into_recorded(), &login, &existing));
    let written = written.map_err(|fault| format!("nothing was recorded: {fault}"))?;
    record::append(file, &existing, &written.text)?;
    output::remark(&format!("recorded as {:?} in {}: read it before you share it", written.name, file.display()));
    Ok(())
}
