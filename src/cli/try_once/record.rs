//! `try --record`: the login becomes a case of the rule.

use std::{
    fs,
    io::Write,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{Attempt, vars};
use crate::{
    cli::output,
    config::Settings,
    core::{
        Cases, Host,
        problem::Source,
        record::{Login, Recorder, write},
    },
    gateway::{bytes_beside, source},
};

/// What stands at the top of a new file.
const HEAD: &str =
    "# Cases of this rule: `claimsmith test` runs them. Recorded ones have made-up data in the place of a person’s.\n";

/// Puts the login behind the cases that there are.
#[expect(clippy::disallowed_methods, reason = "this command writes a file, and says when the login was")]
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
    let existing = match file.is_file() {
        true => source(file)?.text.clone(),
        false => HEAD.to_owned(),
    };
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
    let refused = |why: String| format!("nothing was recorded: {why}");
    let written = runtime.block_on(write(recorder, &login, &existing)).map_err(|fault| refused(fault.to_string()))?;
    let gap = if existing.is_empty() || existing.ends_with("\n\n") { "" } else { "\n" };
    let line = if existing.is_empty() || existing.ends_with('\n') { "" } else { "\n" };
    let whole = format!("{existing}{line}{gap}{}", written.text);
    let (_, problems) = Cases::read(&Source::new(file.display().to_string(), whole.as_str()));
    if let Some(problem) = problems.first() {
        return Err(refused(format!("{}: {}", file.display(), problem.message)));
    }
    put(file, &whole).map_err(|error| refused(format!("{}: {error}", file.display())))?;
    output::remark(&format!("recorded as {:?} in {}: read it before you share it", written.name, file.display()));
    Ok(())
}

/// The old file stays until the new one is whole.
fn put(file: &Path, text: &str) -> std::io::Result<()> {
    let new = file.with_extension("toml.new");
    let mut out = fs::File::create(&new)?;
    out.write_all(text.as_bytes())?;
    out.sync_all()?;
    fs::rename(&new, file)
}
