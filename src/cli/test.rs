//! `claimsmith test`: the cases of rules, offline.

mod coverage;
mod junit;
mod text;
#[expect(clippy::disallowed_methods, reason = "`--update` writes files of cases")]
mod update;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use self::coverage::{Coverage, Share};
use super::{Common, DONE, FAILED, WRONG, check::rule_files, output, runtime};
use crate::{
    authoring::rewriting::{Change, Rewriting},
    config,
    core::{
        Cases, Host, Reached, Verdict,
        problem::{Place, Problem, Severity, Source},
    },
    gateway::{Upstream, bytes_beside, is_file, source},
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
    /// Have the cases that fail expect what comes out; comments, order and layout stay.
    #[arg(long)]
    update: bool,
    /// Tell what of the rules no case comes past: sources and defaults of claims, conditions, guards, statements.
    #[arg(long)]
    coverage: bool,
    /// The least coverage of all rules together, in percent.
    #[arg(long, value_name = "PERCENT", requires = "coverage", value_parser = percent)]
    min: Option<f64>,
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
    /// JUnit XML, for CI systems.
    Junit,
}

/// How a rule did.
struct Report {
    rule: String,
    /// Problems of the case file itself.
    problems: Vec<Problem>,
    /// `None` for a rule that has no case file.
    cases: Option<Vec<Tried>>,
    /// What the cases came past, if that is asked for and the rule compiles.
    coverage: Option<Coverage>,
}

/// How a case did.
struct Tried {
    /// Its number in the file.
    number: usize,
    place: Place,
    verdict: Verdict,
    time: Duration,
    /// What came of `--update`, if it had anything to do here.
    update: Option<Result<(), String>>,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, String> {
    let settings = config::load(&arguments.common.flags())?.settings;
    let paths = if arguments.paths.is_empty() { vec![settings.rules.clone()] } else { arguments.paths.clone() };
    let reports = side_by_side(&rule_files(&paths)?, async |path: &PathBuf| test(path, arguments).await)?;
    let tried = || reports.iter().flat_map(Report::tried);
    let updated = tried().filter(|tried| tried.update == Some(Ok(()))).count();
    let passed = tried().filter(|tried| tried.passed()).count() - updated;
    let failed = tried().count() - passed - updated;
    let unreadable = reports.iter().filter(|report| report.is_unreadable()).count();
    let without: Vec<_> = reports.iter().filter(|report| report.cases.is_none()).map(|report| &*report.rule).collect();
    match arguments.format {
        Format::Text => {
            reports.iter().for_each(|report| text::show(report, arguments.trace));
            for rule in &without {
                output::say(&format!("{rule}: no cases"));
            }
            if arguments.coverage {
                show_coverage(&reports, arguments.min);
            }
            let updated = if updated > 0 { format!(", {updated} updated") } else { String::new() };
            output::say(&format!(
                "{}: {} passed, {failed} failed{updated}",
                output::count(reports.len(), "rule"),
                output::count(passed, "case")
            ));
        }
        Format::Json => {
            let rules: Vec<_> = reports.iter().map(Report::json).collect();
            let mut told = json!({ "passed": passed, "failed": failed, "updated": updated, "rules": rules });
            if arguments.coverage {
                let share = share(&reports);
                told["coverage"] = json!({ "percent": share.percent(), "reached": share.reached, "points": share.all });
            }
            output::say(&told.to_string());
        }
        Format::Junit => {
            let document = junit::document(&reports, arguments.require_cases).map_err(|error| error.to_string())?;
            output::say(document.trim_end());
        }
    }
    if arguments.case.is_some() && passed + failed + updated == 0 && unreadable == 0 {
        output::complain("no case has such a name");
        return Ok(FAILED);
    }
    let below = arguments.min.is_some_and(|min| share(&reports).is_below(min));
    if below && arguments.format != Format::Text {
        output::complain(&format!("{} are covered, which is too little", share(&reports).words()));
    }
    let wrong = below || failed > 0 || unreadable > 0 || (arguments.require_cases && !without.is_empty());
    Ok(if wrong { WRONG } else { DONE })
}

fn percent(text: &str) -> Result<f64, String> {
    let percent: Option<f64> = text.trim_end_matches('%').trim_end().parse().ok();
    percent.filter(|percent| (0.0..=100.0).contains(percent)).ok_or_else(|| "a number from 0 to 100".into())
}

fn share(reports: &[Report]) -> Share {
    reports.iter().filter_map(|report| report.coverage.as_ref()).map(Coverage::share).sum()
}

fn show_coverage(reports: &[Report], min: Option<f64>) {
    for report in reports {
        match &report.coverage {
            Some(coverage) => coverage.lines(&report.rule).iter().for_each(|line| output::say(line)),
            None => output::say(&format!("{}: it does not compile, so nothing of it is covered", report.rule)),
        }
    }
    let share = share(reports);
    let short = min.filter(|min| share.is_below(*min)).map(|min| format!(", and {min} % are asked for"));
    let points = output::count(share.all, "point");
    output::say(&format!("covered: {}, {} of {points}{}", share.words(), share.reached, short.unwrap_or_default()));
}

/// Does something with all items, side by side on the cores that there are; the results are in the order of the items.
/// Scripts may run in it: the stacks are as large as those of the gateway's workers.
pub(super) fn side_by_side<T: Sync, R: Send>(
    items: &[T],
    work: impl AsyncFn(&T) -> Result<R, String> + Sync,
) -> Result<Vec<R>, String> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(items.len()));
    let worker = || -> Result<(), String> {
        let runtime = runtime()?;
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(number) else { return Ok(()) };
            let result = runtime.block_on(work(item))?;
            results.lock().unwrap_or_else(PoisonError::into_inner).push((number, result));
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(items.len());
    thread::scope(|scope| {
        let spawn = |_| thread::Builder::new().stack_size(8 * 1024 * 1024).spawn_scoped(scope, worker);
        let workers: Result<Vec<_>, _> = (0..threads).map(spawn).collect();
        let workers = workers.map_err(|error| format!("cannot start a thread: {error}"))?;
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a case panicked".to_owned())?)
    })?;
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(number, _)| *number);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

/// The file of cases beside a rule.
pub(super) fn cases_of(rule: &Path) -> PathBuf {
    rule.with_extension("test.toml")
}

async fn test(path: &Path, arguments: &Arguments) -> Result<Report, String> {
    let name = arguments.case.as_deref();
    let rule = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let (text, beside) = (source(path)?, cases_of(path));
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let files = move |file: &str| bytes_beside(&folder, file);
    let points = |cases: &Cases| if arguments.coverage { cases.points((&rule, &text), &files) } else { None };
    let mut reached = Reached::default();
    if !is_file(&beside) {
        let coverage = points(&Cases::none()).map(|points| Coverage::new(points, &reached));
        return Ok(Report { rule, problems: Vec::new(), cases: None, coverage });
    }
    let written = source(&beside)?;
    let (cases, problems) = Cases::read(&written);
    let points = points(&cases);
    let wanted: Vec<_> =
        cases.names().enumerate().filter(|(_, case)| name.is_none_or(|name| case.contains(name))).collect();
    let mut tried = Vec::with_capacity(wanted.len());
    for (number, _) in wanted {
        let began = Upstream::clock();
        let verdict = if points.is_some() {
            let (verdict, came_past) = cases.cover(number, (&rule, &text), &files).await;
            reached.extend(&came_past);
            verdict
        } else {
            cases.run(number, (&rule, &text), &files).await
        };
        let time = Upstream::clock().saturating_sub(began);
        tried.push(Tried { number, place: cases.place(number), verdict, time, update: None });
    }
    let coverage = points.map(|points| Coverage::new(points, &reached));
    let mut report = Report { rule, problems, cases: Some(tried), coverage };
    if arguments.update {
        report.update((&beside, &written), &text, &files).await?;
    }
    Ok(report)
}

impl Tried {
    /// True if it passed, or does now.
    fn passed(&self) -> bool {
        self.verdict.passed() || self.update == Some(Ok(()))
    }
}

impl Report {
    fn tried(&self) -> impl Iterator<Item = &Tried> {
        self.cases.iter().flatten()
    }

    fn is_unreadable(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity() == Severity::Error)
    }

    /// Rewrites what the cases that fail expect, as far as that can be written; those that pass stay as they are.
    async fn update(
        &mut self,
        (path, written): (&Path, &Arc<Source>),
        rule: &Arc<Source>,
        files: crate::core::Files<'_>,
    ) -> Result<(), String> {
        if self.tried().all(|tried| tried.verdict.passed()) {
            return Ok(());
        }
        if self.is_unreadable() {
            output::remark(&format!("{}: not updated: the file has errors", path.display()));
            return Ok(());
        }
        let mut rewriting = Rewriting::new(&written.text)?;
        let mut done = 0;
        for tried in self.cases.iter_mut().flatten().filter(|tried| !tried.verdict.passed()) {
            let mut next = rewriting.clone();
            let mut update = tried.rewrite(&mut next);
            if update.is_ok() {
                // It is read and run before it replaces anything: it has to say what came out.
                let (cases, problems) = Cases::read(&Source::new(written.name.as_str(), next.text()));
                let sound = problems.iter().all(|problem| problem.severity() != Severity::Error);
                if sound && cases.run(tried.number, (&self.rule, rule), files).await.passed() {
                    rewriting = next;
                    done += 1;
                } else {
                    update = Err("what would be written does not say what came out".into());
                }
            }
            tried.update = Some(update);
        }
        if done > 0 { update::write(path, &written.text, &rewriting.text()) } else { Ok(()) }
    }

    fn json(&self) -> Value {
        let case = |tried: &Tried| {
            let verdict = &tried.verdict;
            let differences = verdict.differences.iter().map(|difference| {
                json!({ "claim": difference.claim, "expected": difference.expected, "found": difference.found })
            });
            let faults: Vec<_> =
                verdict.faults.iter().map(|fault| json!({ "kind": fault.kind(), "words": fault.words() })).collect();
            let (line, column) = tried.place.line_and_column();
            json!({
                "name": verdict.name,
                "file": tried.place.source.name,
                "line": line,
                "column": column,
                "passed": tried.passed(),
                "updated": tried.update.as_ref().map(Result::is_ok),
                "differences": differences.collect::<Vec<_>>(),
                "faults": faults,
                "failure": verdict.failure,
            })
        };
        let mut told = json!({
            "rule": self.rule,
            "problems": self.problems.iter().map(crate::core::problem::as_json).collect::<Vec<_>>(),
            "cases": self.cases.as_ref().map(|cases| cases.iter().map(case).collect::<Vec<_>>()),
        });
        if let Some(coverage) = &self.coverage {
            told["coverage"] = coverage.json();
        }
        told
    }
}

impl Tried {
    fn rewrite(&self, rewriting: &mut Rewriting) -> Result<(), String> {
        if !self.verdict.differs_in_answer_alone() {
            return Err("its requests are not those that are recorded, and answers are not made up".into());
        }
        let Some(answered) = &self.verdict.answered else { return Err("the rule gave no answer".into()) };
        let claims = self.verdict.differences.iter().map(|difference| difference.claim.as_str()).collect();
        rewriting.apply(&Change { number: self.number, answered, claims })
    }
}
