//! `claimsmith try`: one rule, one request, every step on view.

mod record;
mod report;
mod waterfall;

use std::{
    io::{self, IsTerminal, Read},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use clap::Args;
use http::header;
use serde_json::{Map, Value};

use self::report::Told;
use super::{Common, DONE, WRONG, output, rule_file, runtime};
use crate::{
    authoring::report::Report,
    config::{self, Settings},
    core::{
        CompiledRule, Compiler, Failure, Host, Outcome, Reception, Request, Trace, evaluate, record::Recorder, refuse,
    },
    gateway::{Secrets, Store, Upstream, shipped_folder, source},
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The name of a rule in the rules folder, or a rule file.
    rule: String,
    /// Show each step, and the calls over time, on standard error.
    #[arg(long)]
    trace: bool,
    /// Print one JSON document with the answer, the claims and all steps, for tickets.
    #[arg(long)]
    json: bool,
    /// Write what the providers answered as a case, without token, secrets and personal data: into NAME.test.toml
    /// beside the rule, or into FILE.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    record: Option<Option<PathBuf>>,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, String> {
    let mut settings = config::load(&arguments.common.flags())?.settings;
    let path = rule_file(&arguments.rule, &mut settings);
    let host = Upstream::new(&settings, Secrets::Real, Store::new())?;
    let runtime = runtime()?;
    let Some(file) = &arguments.record else {
        return Ok(match attempt(&path, &settings, &host, &runtime, arguments)? {
            Some(attempt) => attempt.code(),
            None => WRONG,
        });
    };
    if file.is_none() && path.starts_with(shipped_folder()) {
        return Err("nothing can be written beside a shipped rule: say where, `--record=FILE`".into());
    }
    let file = file.clone().unwrap_or_else(|| path.with_extension("test.toml"));
    let recorder = Recorder::new(&host);
    let Some(attempt) = attempt(&path, &settings, &recorder, &runtime, arguments)? else { return Ok(WRONG) };
    record::append(&attempt, recorder, &path, &settings, &file, &runtime)?;
    Ok(attempt.code())
}

/// One evaluation, after it.
struct Attempt {
    request: Request,
    outcome: Outcome,
}

impl Attempt {
    fn code(&self) -> u8 {
        if self.outcome.failure.is_none() { DONE } else { WRONG }
    }
}

/// Evaluates the rule once, and tells how it went; `None` if it is refused, which was shown.
fn attempt<H: Host>(
    path: &Path,
    settings: &Settings,
    host: &H,
    runtime: &tokio::runtime::Runtime,
    arguments: &Arguments,
) -> Result<Option<Attempt>, String> {
    let Some(rule) = compile(path, settings, host)? else { return Ok(None) };
    let request = request(rule.name())?;
    let trace = Trace::default();
    let evaluation = evaluate(&rule, &request, "try", Reception::default(), host, Some(&trace));
    let limited = async { tokio::time::timeout(rule.deadline(settings.deadline.0), evaluation).await };
    let outcome = runtime.block_on(limited).unwrap_or_else(|_| refuse(Some(&rule), Failure::Deadline, "try"));
    let body = trace.cleaned(&String::from_utf8_lossy(outcome.response.body()));
    let report = Report { rule: &rule, outcome: &outcome, steps: &trace.steps(), body };
    tell(&report, arguments);
    Ok(Some(Attempt { request, outcome }))
}

/// The answer goes to standard output, what is said of it to standard error.
fn tell(report: &Report<'_>, arguments: &Arguments) {
    if arguments.json {
        return output::say(&format!("{:#}", report.json()));
    }
    let told = Told(report);
    let mut parts = Vec::new();
    if arguments.trace {
        parts.push(told.steps(output::width()));
    }
    parts.push(told.claims());
    parts.push(told.failure());
    parts.retain(|lines| !lines.is_empty());
    for (number, lines) in parts.iter().enumerate() {
        if number > 0 {
            output::remark("");
        }
        lines.iter().for_each(|line| output::remark(line));
    }
    output::say(&report.body);
}

/// The rule; its problems are shown, and `None` is given, if it is refused.
fn compile<H: Host>(path: &Path, settings: &Settings, host: &H) -> Result<Option<CompiledRule>, String> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let source = source(path)?;
    let vars = vars(settings, &name);
    let (rule, problems) = Compiler::new::<H>().compile(&name, &source, &vars, host);
    output::show_problems(&problems.sorted());
    Ok(rule)
}

/// The operator's values for the vars of a rule.
fn vars(settings: &Settings, rule: &str) -> Map<String, Value> {
    settings.rule.get(rule).map(|rule| rule.vars.clone()).unwrap_or_default()
}

/// The request that an auth server would make. The token is in no argument, so in no process list and no history.
fn request(rule: &str) -> Result<Request, String> {
    let token = match config::token() {
        Some(token) => token,
        None => {
            if io::stdin().is_terminal() {
                output::remark("the caller's token, then Ctrl-D:");
            }
            let mut token = String::new();
            // Longer than any token; what follows is not read.
            io::stdin()
                .take(64 * 1024)
                .read_to_string(&mut token)
                .map_err(|error| format!("cannot read the token: {error}"))?;
            token
        }
    };
    let token = token.trim();
    if token.is_empty() {
        return Err("no token: set CLAIMSMITH_TOKEN, or write it to standard input".into());
    }
    http::Request::get(format!("/{rule}"))
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(Bytes::new())
        .map_err(|_| "the token has characters that no header can hold".into())
}
