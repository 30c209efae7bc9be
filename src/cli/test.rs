//! `claimsmith test`: the cases of rules, offline.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::{Common, DONE, FAILED, WRONG, check::rule_files, output, runtime};
use crate::{
    config,
    core::{
        Cases, Difference, Verdict,
        problem::{Problem, Severity, Source},
    },
    gateway::{bytes_beside, source},
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Rule files, or folders of them [default: the rules of the settings].
    paths: Vec<PathBuf>,
    /// Only cases whose name holds this.
    #[arg(long, value_name = "TEXT")]
    case: Option<String>,
    /// Show the steps of every case, not only of those that fail.
    #[arg(long)]
    trace: bool,
    /// A rule without cases fails.
    #[arg(long)]
    require_cases: bool,
    /// How the results are shown.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// What failed and how, for people.
    Text,
    /// One JSON object, for programs.
    Json,
}

/// How a rule did.
struct Report {
    rule: String,
    /// Problems of the case file itself.
    problems: Vec<Problem>,
    /// `None` for a rule that has no case file.
    verdicts: Option<Vec<Verdict>>,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, String> {
    let settings = config::load(&arguments.common.flags())?.settings;
    let paths = if arguments.paths.is_empty() { vec![settings.rules.clone()] } else { arguments.paths.clone() };
    let reports = run_all(&rule_files(&paths)?, arguments.case.as_deref())?;
    let passed = reports.iter().flat_map(Report::verdicts).filter(|verdict| verdict.passed()).count();
    let failed = reports.iter().flat_map(Report::verdicts).count() - passed;
    let unreadable = reports.iter().filter(|report| report.is_unreadable()).count();
    let without: Vec<_> =
        reports.iter().filter(|report| report.verdicts.is_none()).map(|report| &*report.rule).collect();
    match arguments.format {
        Format::Text => {
            reports.iter().for_each(|report| report.show(arguments.trace));
            for rule in &without {
                output::say(&format!("{rule}: no cases"));
            }
            output::say(&format!(
                "{}: {} passed, {failed} failed",
                output::count(reports.len(), "rule"),
                output::count(passed, "case")
            ));
        }
        Format::Json => {
            let rules: Vec<_> = reports.iter().map(Report::json).collect();
            output::say(&json!({ "passed": passed, "failed": failed, "rules": rules }).to_string());
        }
    }
    if arguments.case.is_some() && passed + failed == 0 && unreadable == 0 {
        output::complain("no case has such a name");
        return Ok(FAILED);
    }
    let wrong = failed > 0 || unreadable > 0 || (arguments.require_cases && !without.is_empty());
    Ok(if wrong { WRONG } else { DONE })
}

/// Runs the cases of all rules, side by side on the cores that there are; the reports are in the order of the rules.
fn run_all(rules: &[PathBuf], name: Option<&str>) -> Result<Vec<Report>, String> {
    let next = AtomicUsize::new(0);
    let reports = Mutex::new(Vec::with_capacity(rules.len()));
    let work = || -> Result<(), String> {
        let runtime = runtime()?;
        while let Some(path) = rules.get(next.fetch_add(1, Ordering::Relaxed)) {
            let report = runtime.block_on(test(path, name))?;
            reports.lock().unwrap_or_else(PoisonError::into_inner).push((path, report));
        }
        Ok(())
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(rules.len());
    thread::scope(|scope| {
        // Scripts run on these: their stacks are as large as those of the gateway's workers.
        let spawn = |_| thread::Builder::new().stack_size(8 * 1024 * 1024).spawn_scoped(scope, work);
        let workers: Result<Vec<_>, _> = (0..threads).map(spawn).collect();
        let workers = workers.map_err(|error| format!("cannot start a thread: {error}"))?;
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a case panicked".to_owned())?)
    })?;
    let mut reports = reports.into_inner().unwrap_or_else(PoisonError::into_inner);
    reports.sort_by_key(|(path, _)| *path);
    Ok(reports.into_iter().map(|(_, report)| report).collect())
}

async fn test(path: &Path, name: Option<&str>) -> Result<Report, String> {
    let rule = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let beside = path.with_extension("test.toml");
    if !beside.is_file() {
        return Ok(Report { rule, problems: Vec::new(), verdicts: None });
    }
    let text: Arc<Source> = source(path)?;
    let (cases, problems) = Cases::read(&source(&beside)?);
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let files = move |file: &str| bytes_beside(&folder, file);
    let wanted: Vec<_> =
        cases.names().enumerate().filter(|(_, case)| name.is_none_or(|name| case.contains(name))).collect();
    let mut verdicts = Vec::with_capacity(wanted.len());
    for (number, _) in wanted {
        verdicts.push(cases.run(number, (&rule, &text), &files).await);
    }
    Ok(Report { rule, problems, verdicts: Some(verdicts) })
}

impl Report {
    fn verdicts(&self) -> impl Iterator<Item = &Verdict> {
        self.verdicts.iter().flatten()
    }

    fn is_unreadable(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity() == Severity::Error)
    }

    fn show(&self, trace: bool) {
        output::show_problems(&self.problems);
        for verdict in self.verdicts().filter(|verdict| trace || !verdict.passed()) {
            let word = if verdict.passed() { "passed" } else { "FAILED" };
            output::say(&format!("{}: {word}: {}", self.rule, verdict.name));
            for Difference { claim, expected, found } in &verdict.differences {
                match (expected, found) {
                    (Some(expected), Some(found)) => {
                        output::say(&format!("    {claim}: expected {expected}\n    {claim}: found    {found}"));
                    }
                    (Some(expected), None) => {
                        output::say(&format!("    {claim}: expected {expected}, and it is missing"));
                    }
                    (None, found) => {
                        output::say(&format!("    {claim}: not expected: {}", found.as_deref().unwrap_or_default()));
                    }
                }
            }
            verdict.faults.iter().for_each(|fault| output::say(&format!("    {fault}")));
            if let Some(failure) = verdict.failure.as_ref().filter(|_| !verdict.passed()) {
                output::say(&format!("    the rule says: {failure}"));
            }
            verdict
                .steps
                .iter()
                .for_each(|step| output::say(&format!("      {}", output::step(step).replace('\n', "\n      "))));
        }
    }

    fn json(&self) -> Value {
        let case = |verdict: &Verdict| {
            let differences = verdict.differences.iter().map(|difference| {
                json!({ "claim": difference.claim, "expected": difference.expected, "found": difference.found })
            });
            json!({
                "name": verdict.name,
                "passed": verdict.passed(),
                "differences": differences.collect::<Vec<_>>(),
                "faults": verdict.faults,
                "failure": verdict.failure,
            })
        };
        json!({
            "rule": self.rule,
            "problems": self.problems.iter().map(crate::core::problem::as_json).collect::<Vec<_>>(),
            "cases": self.verdicts.as_ref().map(|verdicts| verdicts.iter().map(case).collect::<Vec<_>>()),
        })
    }
}
