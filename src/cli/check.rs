//! `claimsmith check`

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;

use super::{Common, DONE, WRONG, output};
use crate::{
    config::{self, Settings},
    core::{
        Compiler,
        problem::{Problem, Style, as_json, as_text},
    },
    gateway::{Secrets, Store, Upstream, files, source},
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Rule files, or folders of them [default: the rules of the settings].
    paths: Vec<PathBuf>,
    /// How problems are shown.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// With excerpts, for people.
    Text,
    /// One JSON object, for programs.
    Json,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, String> {
    let settings = config::load(&arguments.common.flags())?.settings;
    let paths = if arguments.paths.is_empty() { vec![settings.rules.clone()] } else { arguments.paths.clone() };
    let mut rules = Vec::new();
    for path in &paths {
        if path.is_dir() {
            rules.extend(files(path)?);
        } else {
            rules.push(path.clone());
        }
    }
    if rules.is_empty() {
        let names: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
        return Err(format!("no rule in {}: a rule is a file that ends in `.toml`", names.join(", ")));
    }
    let compiler = Compiler::new::<Upstream>();
    let mut problems = Vec::new();
    for path in &rules {
        problems.extend(check(path, &settings, &compiler)?);
    }
    let (errors, warnings) = output::count(&problems);
    show(arguments.format, rules.len(), &problems);
    if arguments.format == Format::Text {
        let count = |number: usize, word: &str| format!("{number} {word}{}", if number == 1 { "" } else { "s" });
        let (rules, errors, warnings) =
            (count(rules.len(), "rule"), count(errors, "error"), count(warnings, "warning"));
        output::say(&format!("{rules}: {errors}, {warnings}"));
    }
    Ok(if errors > 0 { WRONG } else { DONE })
}

/// Compiles one rule. Its secrets need not be there: they belong to the place where it will run.
fn check(path: &Path, settings: &Settings, compiler: &Compiler) -> Result<Vec<Problem>, String> {
    let source = source(path)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let host = Upstream::new(&Settings { rules: folder, ..settings.clone() }, Secrets::Placeholders, Store::new())?;
    let vars = settings.rule.get(&*name).map(|rule| rule.vars.clone()).unwrap_or_default();
    Ok(compiler.compile(&name, &source, &vars, &host).1.sorted())
}

fn show(format: Format, rules: usize, problems: &[Problem]) {
    match format {
        Format::Text => {
            let style =
                if std::io::IsTerminal::is_terminal(&std::io::stdout()) { Style::Coloured } else { Style::Plain };
            for problem in problems {
                output::say(&as_text(problem, style));
                output::say("");
            }
        }
        Format::Json => {
            let (errors, warnings) = output::count(problems);
            let problems: Vec<_> = problems.iter().map(as_json).collect();
            output::say(
                &json!({ "rules": rules, "errors": errors, "warnings": warnings, "problems": problems }).to_string(),
            );
        }
    }
}
