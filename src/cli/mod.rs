//! The commands: arguments in, exit code out.
//!
//! 0 is done, 1 means that a rule is wrong or answered with an error, 2 that the
//! command could not do its work.

#[expect(clippy::disallowed_methods, reason = "rules and cases are written here")]
mod add;
#[expect(clippy::disallowed_methods, reason = "the folder to deploy is written here")]
mod bundle;
mod catalogue;
mod check;
mod completions;
mod config;
mod demo;
mod diff;
mod explain;
#[expect(clippy::disallowed_methods, reason = "files are written here")]
mod fmt;
mod functions;
mod health;
mod lsp;
mod new;
mod output;
mod plan;
mod play;
#[expect(clippy::disallowed_methods, reason = "cases are written here")]
mod record;
mod schema;
mod serve;
mod test;
mod try_once;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::{Args, Parser, Subcommand};

use crate::{
    catalogue::PREFIX,
    config::{Flags, Format, Level, LogFlags, Settings, Upstream as UpstreamSettings},
    core::{
        CompiledRule, Compiler,
        problem::{Problem, Source},
    },
    gateway::{Secrets, Store, Upstream, flush_log, shipped_folder, source},
};

/// Done.
const DONE: u8 = 0;
/// A rule is wrong, or answered with an error.
const WRONG: u8 = 1;
/// The command could not do its work.
const FAILED: u8 = 2;

const EXIT_CODES: &str =
    "Exit codes: 0 done, 1 a rule is wrong or answered with an error, 2 the command could not do its work.";

/// Turns awkward userinfo answers into flat OpenID Connect claims.
#[derive(Debug, Parser)]
#[command(name = "claimsmith", version, arg_required_else_help = true, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the rules of a folder, and of the catalogue.
    Serve(Served),
    /// Ask the process that serves with these settings whether it is ready.
    Health(Common),
    /// Compile rules without serving them, and show all their problems.
    Check(check::Arguments),
    /// Run the cases of rules on their recorded answers, without a network.
    Test(test::Arguments),
    /// Evaluate one rule once; the token comes from CLAIMSMITH_TOKEN or from standard input.
    Try(try_once::Arguments),
    /// Have the process that serves write a login as a case, without token, secrets and personal data.
    Record(record::Arguments),
    /// Write a rule and its first cases from what a provider answers, or from a rule that is shipped.
    New(new::Arguments),
    /// List the rules that are shipped, or show what it takes to use one.
    Catalogue(catalogue::Arguments),
    /// Copy shipped rules and their cases into the rules folder, to be changed there.
    Add(add::Arguments),
    /// Write a folder that is ready to be deployed to a host at the edge, with rules as data.
    Bundle(bundle::Arguments),
    /// Give rule files and case files their one look; only white space moves.
    Fmt(fmt::Arguments),
    /// Draw the calls of a rule: what waits for what and why, and the longest path against the deadline.
    Plan(plan::Arguments),
    /// Show a rule at work on a page while it is written.
    Play(play::Arguments),
    /// Compare two versions of rules by their cases: what an edit changes, claim by claim.
    Diff(diff::Arguments),
    /// List the functions that a rule may call, or show one with its example.
    Functions(functions::Arguments),
    /// Show an awkward provider and what a rule makes of it; needs nothing.
    Demo(demo::Arguments),
    /// Explain a problem by its code, with a wrong rule and the right one; without a code all are listed.
    Explain(explain::Arguments),
    /// Speak to an editor about rules while they are written (Language Server Protocol).
    Lsp(lsp::Arguments),
    /// Print a JSON Schema, by which editors complete and check rule files, case files and settings.
    Schema(schema::Arguments),
    /// Print what a shell completes of these commands.
    Completions(completions::Completions),
    /// Print the manual page, or write those of all commands into a folder.
    Man(completions::Pages),
    /// Print the effective settings, and where each comes from.
    Config(Served),
}

/// What several commands take.
#[derive(Clone, Debug, Default, Args)]
struct Common {
    /// The settings file [default: claimsmith.toml, if it is there].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The address to accept requests on [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// The folder of the rules [default: rules].
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    /// Threads that answer requests [default: one a core].
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// How much is logged: error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    log_level: Option<Level>,
    /// How log lines look: auto, pretty or json.
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    log_format: Option<Format>,
}

/// What says which rules serve.
#[derive(Clone, Debug, Default, Args)]
struct Served {
    /// Rules of the catalogue to serve besides those of the folder.
    #[arg(long = "use", value_name = "NAMES", value_delimiter = ',')]
    shipped: Vec<String>,
    #[command(flatten)]
    common: Common,
}

impl Served {
    fn flags(&self) -> Flags {
        Flags { shipped: self.shipped.clone(), ..self.common.flags() }
    }
}

impl Common {
    fn flags(&self) -> Flags {
        Flags {
            config: self.config.clone(),
            listen: self.listen,
            rules: self.rules.clone(),
            shipped: Vec::new(),
            workers: self.workers,
            log: LogFlags { level: self.log_level, format: self.log_format },
        }
    }
}

fn level(text: &str) -> Result<Level, String> {
    Ok(match text {
        "error" => Level::Error,
        "warn" => Level::Warn,
        "info" => Level::Info,
        "debug" => Level::Debug,
        "trace" => Level::Trace,
        _ => return Err("one of error, warn, info, debug, trace".into()),
    })
}

fn format(text: &str) -> Result<Format, String> {
    Ok(match text {
        "auto" => Format::Auto,
        "pretty" => Format::Pretty,
        "json" => Format::Json,
        _ => return Err("one of auto, pretty, json".into()),
    })
}

/// Runs the command that the arguments name.
pub fn run() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Serve(served) => serve::run(&served),
        Command::Health(common) => health::run(&common),
        Command::Check(arguments) => check::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Try(arguments) => try_once::run(&arguments),
        Command::Record(arguments) => record::run(&arguments),
        Command::New(arguments) => new::run(&arguments),
        Command::Fmt(arguments) => fmt::run(&arguments),
        Command::Plan(arguments) => plan::run(&arguments),
        Command::Play(arguments) => play::run(&arguments),
        Command::Diff(arguments) => diff::run(&arguments),
        Command::Functions(arguments) => functions::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Lsp(arguments) => lsp::run(&arguments),
        Command::Schema(arguments) => schema::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man(arguments) => completions::pages(&arguments),
        Command::Config(served) => config::run(&served),
        Command::Catalogue(arguments) => catalogue::run(&arguments),
        Command::Add(arguments) => add::run(&arguments),
        Command::Bundle(arguments) => bundle::run(&arguments),
    };
    flush_log();
    match result {
        Ok(code) => ExitCode::from(code),
        Err(message) => {
            output::complain(&message);
            ExitCode::from(FAILED)
        }
    }
}

/// `catalogue:NAME` as a file of the folder that stands for the catalogue, `catalogue:` as that folder.
fn of_catalogue(path: &Path) -> Option<PathBuf> {
    let name = path.to_str()?.strip_prefix(PREFIX)?.trim_start_matches('/');
    let name = name.strip_suffix(".toml").unwrap_or(name);
    Some(if name.is_empty() { shipped_folder().to_owned() } else { shipped_folder().join(format!("{name}.toml")) })
}

/// The file of a rule that is named by its path, or by its name in the rules folder; the folder of the settings is
/// then that of the file.
fn rule_file(rule: &str, settings: &mut Settings) -> PathBuf {
    if let Some(path) = of_catalogue(Path::new(rule)) {
        settings.rules = shipped_folder().to_owned();
        return path;
    }
    if rule.ends_with(".toml") {
        let path = PathBuf::from(rule);
        settings.rules = path.parent().map(PathBuf::from).unwrap_or_default();
        path
    } else {
        settings.rules.join(format!("{rule}.toml"))
    }
}

/// A rule that was read and compiled.
struct Compiled {
    source: Arc<Source>,
    /// None if it is refused.
    rule: Option<CompiledRule>,
    problems: Vec<Problem>,
}

/// Compiles a rule that is not going to run here: its secrets need not be there, and neither certificates.
fn compile_offline(path: &Path, name: &str, settings: &Settings) -> Result<Compiled, String> {
    let source = source(path)?;
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let host = Upstream::new(
        &Settings { rules: folder, upstream: UpstreamSettings::default(), ..settings.clone() },
        Secrets::Placeholders,
        Store::new(),
    )?;
    let vars = settings.rule.get(name).map(|rule| rule.vars.clone()).unwrap_or_default();
    let (rule, problems) = Compiler::new::<Upstream>().compile(name, &source, &vars, &host);
    Ok(Compiled { source, rule, problems: problems.sorted() })
}

/// The name of a rule, by its file.
fn rule_name(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// A runtime for a command that waits for a few things at once.
fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())
}

/// Waits for SIGINT or SIGTERM.
async fn interrupted() -> Result<(), String> {
    let mut signals = Signals::listen()?;
    while signals.next().await? == Asked::Reload {}
    Ok(())
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// SIGINT or SIGTERM.
    Stop,
    /// SIGHUP.
    Reload,
}

/// The signals of a process that serves.
#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> Result<Self, String> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).map_err(|error| format!("cannot wait for signals: {error}"));
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Result<Asked, String> {
        tokio::select! {
            _ = self.terminate.recv() => Ok(Asked::Stop),
            _ = self.interrupt.recv() => Ok(Asked::Stop),
            _ = self.hang_up.recv() => Ok(Asked::Reload),
        }
    }
}

/// The signals of a process that serves.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> Result<Self, String> {
        Ok(Signals)
    }

    async fn next(&mut self) -> Result<Asked, String> {
        let heard = tokio::signal::ctrl_c().await;
        heard.map(|()| Asked::Stop).map_err(|error| format!("cannot wait for signals: {error}"))
    }
}
