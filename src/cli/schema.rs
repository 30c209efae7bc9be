//! `claimsmith schema`: what editors complete and check rule files by.

use clap::{Args, ValueEnum};

use super::{DONE, output};
use crate::{
    config::SETTINGS,
    core::{
        schema,
        words::{CASES, RULE},
    },
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// What is described.
    #[arg(value_enum, default_value = "rule")]
    of: Of,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Of {
    /// Rule files: NAME.toml.
    Rule,
    /// Case files: NAME.test.toml.
    Case,
    /// The settings file: claimsmith.toml.
    Settings,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, String> {
    let schema = match arguments.of {
        Of::Rule => schema(&RULE, "a rule of claimsmith"),
        Of::Case => schema(&CASES, "cases of a rule of claimsmith"),
        Of::Settings => schema(&SETTINGS, "settings of claimsmith"),
    };
    output::say(&serde_json::to_string_pretty(&schema).map_err(|error| error.to_string())?);
    Ok(DONE)
}
