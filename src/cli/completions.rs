//! `claimsmith completions` and `claimsmith man`: what shells complete and manual pages say, from the
//! definitions of the commands themselves.

use std::{fs, path::PathBuf};

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{DONE, output};

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Of,
}

/// The shells that are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Of {
    Bash,
    Zsh,
    Fish,
    Powershell,
}

#[derive(Debug, Args)]
pub(super) struct Pages {
    /// The folder for a page of each command; without it the page of the program is printed.
    dir: Option<PathBuf>,
}

pub(super) fn run(arguments: &Completions) -> Result<u8, String> {
    let shell = match arguments.shell {
        Of::Bash => Shell::Bash,
        Of::Zsh => Shell::Zsh,
        Of::Fish => Shell::Fish,
        Of::Powershell => Shell::PowerShell,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::Arguments::command(), "claimsmith", &mut script);
    output::write(&script);
    Ok(DONE)
}

pub(super) fn pages(arguments: &Pages) -> Result<u8, String> {
    let command = super::Arguments::command();
    let Some(folder) = &arguments.dir else {
        let mut page = Vec::new();
        Man::new(command).render(&mut page).map_err(|error| error.to_string())?;
        output::write(&page);
        return Ok(DONE);
    };
    let written = fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(command, folder));
    written.map_err(|error| format!("cannot write the pages into {}: {error}", folder.display()))?;
    Ok(DONE)
}
