//! `claimsmith fmt`: gives rule files and case files their one look.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;

use super::{Common, DONE, WRONG, output};
use crate::{
    config,
    core::{MAX_SOURCE, format, problem::Source},
    gateway::{source, toml_files},
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Rule files and case files, or folders of them; `-` reads standard input and writes standard output
    /// [default: the rules of the settings].
    paths: Vec<PathBuf>,
    /// Write nothing; list the files that would change, and exit with 1 if there is one.
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, String> {
    if arguments.paths == [Path::new("-")] {
        return standard_input(arguments.check);
    }
    let paths = match &arguments.paths[..] {
        [] => vec![config::load(&arguments.common.flags())?.settings.rules],
        paths => paths.to_vec(),
    };
    let files = all_files(&paths)?;
    let (mut changed, mut refused) = (0, 0);
    for path in &files {
        let source = source(path)?;
        let Some(text) = formatted(&source) else {
            refused += 1;
            continue;
        };
        if text != source.text {
            changed += 1;
            output::say(&path.display().to_string());
            if !arguments.check {
                fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
            }
        }
    }
    let verb = if arguments.check { "would change" } else { "changed" };
    let left = if refused > 0 { format!(", {refused} left alone") } else { String::new() };
    output::remark(&format!("{}: {changed} {verb}{left}", output::count(files.len(), "file")));
    Ok(if refused > 0 || arguments.check && changed > 0 { WRONG } else { DONE })
}

/// The text as it should look; `None` for one that cannot be read, of which the problems are shown.
fn formatted(source: &Arc<Source>) -> Option<String> {
    format(source).map_err(|problems| output::show_problems(&problems)).ok()
}

fn standard_input(check: bool) -> Result<u8, String> {
    let mut text = String::new();
    let most = MAX_SOURCE as u64 + 1;
    io::stdin().take(most).read_to_string(&mut text).map_err(|error| format!("cannot read standard input: {error}"))?;
    let source = Source::new("standard input", text);
    Ok(match formatted(&source) {
        None => WRONG,
        Some(text) if check => {
            if text == source.text {
                DONE
            } else {
                WRONG
            }
        }
        Some(text) => {
            output::write(text.as_bytes());
            DONE
        }
    })
}

/// The files that are named, and all TOML files of the folders that are.
fn all_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            files.extend(toml_files(path)?);
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}
