//! `claimsmith try`: one rule, one request, every step on view.

use std::io::{self, IsTerminal, Read};

use bytes::Bytes;
use clap::Args;
use http::header;

use super::{Common, DONE, WRONG, output, rule_file, runtime};
use crate::{
    config::{self, Settings},
    core::{CompiledRule, Compiler, Reception, Request, Step, Trace, evaluate},
    gateway::{Secrets, Store, Upstream, source},
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The name of a rule in the rules folder, or a rule file.
    rule: String,
    /// Show each call, each claim and where it came from, on standard error.
    #[arg(long)]
    trace: bool,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, String> {
    let mut settings = config::load(&arguments.common.flags())?.settings;
    let path = rule_file(&arguments.rule, &mut settings);
    let host = Upstream::new(&settings, Secrets::Real, Store::new())?;
    let Some(rule) = compile(&path, &settings, &host)? else { return Ok(WRONG) };
    let request = request(rule.name())?;
    // What the receiver makes of the claims is shown in any case.
    let trace = (arguments.trace || rule.contract().is_some()).then(Trace::default);
    let runtime = runtime()?;
    let evaluation = evaluate(&rule, &request, "try", Reception::default(), &host, trace.as_ref());
    let outcome =
        runtime.block_on(async { tokio::time::timeout(rule.deadline(settings.deadline.0), evaluation).await });
    if let Some(trace) = &trace {
        let shown = |step: &&Step| arguments.trace || matches!(step, Step::Judgement { .. });
        trace.steps().iter().filter(shown).for_each(|step| output::remark(&output::step(step)));
    }
    let Ok(outcome) = outcome else {
        output::complain("the deadline was spent before the answer was there");
        return Ok(WRONG);
    };
    if let Some(failure) = &outcome.failure {
        output::remark(&format!("{}: {}", outcome.response.status(), failure.words()));
    }
    output::say(&String::from_utf8_lossy(outcome.response.body()));
    Ok(match outcome.failure {
        None => DONE,
        Some(_) => WRONG,
    })
}

/// The rule; its problems are shown, and `None` is given, if it is refused.
fn compile(path: &std::path::Path, settings: &Settings, host: &Upstream) -> Result<Option<CompiledRule>, String> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let source = source(path)?;
    let vars = settings.rule.get(&*name).map(|rule| rule.vars.clone()).unwrap_or_default();
    let (rule, problems) = Compiler::new::<Upstream>().compile(&name, &source, &vars, host);
    output::show_problems(&problems.sorted());
    Ok(rule)
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
