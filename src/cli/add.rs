//! `claimsmith add`: shipped rules and their cases into the rules folder, to be changed there.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{Common, DONE, output};
use crate::{catalogue::Shipped, config, gateway::catalogue};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The names, as `claimsmith catalogue` lists them.
    #[arg(required = true)]
    names: Vec<String>,
    /// Overwrite rules and cases that are there.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, String> {
    let folder = config::load(&arguments.common.flags())?.settings.rules;
    // All names are looked up, and all places looked at, before anything is written.
    let shipped: Result<Vec<_>, _> = arguments.names.iter().map(|name| catalogue().find(name)).collect();
    let shipped = shipped?;
    for Shipped { name, .. } in &shipped {
        free(&folder, name, arguments.force)?;
    }
    for Shipped { name, rule, cases, .. } in shipped {
        write(&folder, name, [rule, cases], arguments.force)?;
        output::say(&format!("added {}", folder.join(format!("{name}.toml")).display()));
    }
    output::say("they are yours now: `claimsmith catalogue diff` shows how they differ from those that are shipped");
    Ok(DONE)
}

/// Writes a rule and its cases: both, or none if one of the files is there already.
pub(super) fn write(folder: &Path, name: &str, texts: [&str; 2], force: bool) -> Result<(), String> {
    let paths = free(folder, name, force)?;
    let fault = |path: &Path, error: &io::Error| format!("cannot write {}: {error}", path.display());
    fs::create_dir_all(folder).map_err(|error| fault(folder, &error))?;
    let mut files = paths.iter().zip(texts);
    files.try_for_each(|(path, text)| fs::write(path, text).map_err(|error| fault(path, &error)))
}

/// The files of a rule and its cases, if nothing is lost by writing them.
fn free(folder: &Path, name: &str, force: bool) -> Result<[PathBuf; 2], String> {
    let paths = ["toml", "test.toml"].map(|ending| folder.join(format!("{name}.{ending}")));
    match paths.iter().find(|path| !force && path.exists()) {
        Some(path) => Err(format!("{} is there already; `--force` overwrites it", path.display())),
        None => Ok(paths),
    }
}
