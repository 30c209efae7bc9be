//! `claimsmith check`: what is wrong with rules, level by level, for people, programs and CI.

mod formats;

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};

use super::{Common, DONE, WRONG, of_catalogue, output};
use crate::{
    config::{self, Settings},
    core::{
        Compiler, Platform,
        problem::{Problem, Severity},
        unfit,
    },
    gateway::{Secrets, Store, Upstream, files, is_file, is_folder, source},
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Rule files, or folders of them [default: the rules of the settings].
    paths: Vec<PathBuf>,
    /// How problems are shown.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// What makes the command fail: errors, also warnings, or also advice.
    #[arg(long, value_enum, value_name = "LEVEL", default_value = "error")]
    deny: Deny,
    /// Show advice too.
    #[arg(long)]
    advice: bool,
    /// Refuse what this place cannot do, and list what it does in its own way: cloudflare, lambda, wasi.
    #[arg(long, value_name = "NAME", value_parser = Platform::parse)]
    host: Option<Platform>,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// With excerpts, for people.
    Text,
    /// One JSON object, for programs.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// Annotations of GitHub Actions.
    Github,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Deny {
    Error,
    Warning,
    Advice,
}

impl Deny {
    fn severity(self) -> Severity {
        match self {
            Deny::Error => Severity::Error,
            Deny::Warning => Severity::Warning,
            Deny::Advice => Severity::Advice,
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, String> {
    let settings = config::load(&arguments.common.flags())?.settings;
    let paths = if arguments.paths.is_empty() { vec![settings.rules.clone()] } else { arguments.paths.clone() };
    let rules = rule_files(&paths)?;
    let compiler = Compiler::new::<Upstream>();
    let mut problems = Vec::new();
    for path in &rules {
        problems.extend(check(path, &settings, &compiler)?);
        if let Some(host) = arguments.host {
            problems.extend(unfit(&source(path)?, host));
        }
    }
    let denied = problems.iter().any(|problem| problem.severity() >= arguments.deny.severity());
    if !arguments.advice && arguments.deny != Deny::Advice {
        problems.retain(|problem| problem.severity() > Severity::Advice);
    }
    output::say(&match arguments.format {
        Format::Text => {
            let host = arguments.host.map(formats::host).unwrap_or_default();
            format!("{host}{}", formats::text(rules.len(), &problems))
        }
        Format::Json => formats::json(rules.len(), &problems).to_string(),
        Format::Sarif => formats::sarif(&problems).to_string(),
        Format::Github => formats::github(&problems),
    });
    Ok(if denied { WRONG } else { DONE })
}

/// The rules that files and folders name, each once. A file of cases means its rule, so that a shell's
/// `rules/*.toml` names each rule and nothing else.
pub(super) fn rule_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut rules = Vec::new();
    let mut seen = HashSet::new();
    for path in paths {
        let path = of_catalogue(path).unwrap_or_else(|| path.clone());
        let found = if is_folder(&path) { files(&path)? } else { vec![rule_of(&path)] };
        rules.extend(found.into_iter().filter(|rule| seen.insert(rule.clone())));
    }
    if rules.is_empty() {
        let names: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
        return Err(format!("no rule in {}: a rule is a file that ends in `.toml`", names.join(", ")));
    }
    Ok(rules)
}

/// The rule that a file of cases belongs to; any other file is a rule itself.
pub(super) fn rule_of(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match name.strip_suffix(".test.toml") {
        Some(rule) => path.with_file_name(format!("{rule}.toml")),
        None => path.to_owned(),
    }
}

/// Compiles one rule. Secrets and certificates need not be there: they belong to the place where it will run.
fn check(path: &Path, settings: &Settings, compiler: &Compiler) -> Result<Vec<Problem>, String> {
    let source = source(path)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let host = Upstream::new(
        &Settings { rules: folder, upstream: config::Upstream::default(), ..settings.clone() },
        Secrets::Placeholders,
        Store::new(),
    )?;
    let vars = settings.rule.get(&*name).map(|rule| rule.vars.clone()).unwrap_or_default();
    let (rule, mut problems) = compiler.compile(&name, &source, &vars, &host);
    let untried = rule.as_ref().and_then(|rule| rule.untried());
    if let Some(untried) = untried.filter(|_| !is_file(&path.with_extension("test.toml"))) {
        problems.add(untried.clone());
    }
    Ok(problems.sorted())
}
