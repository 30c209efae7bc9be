//! Both versions of a rule run on every case, and what they are made of is compared.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use super::Pair;
pub(super) use crate::authoring::compare::Outcome;
use crate::{
    cli::compile_offline,
    config::Settings,
    core::{
        CallOutline, Cases, CompiledRule,
        problem::{Place, Problem, Severity, Source},
    },
    gateway::{bytes_beside, source},
};

/// What two versions of a rule come to.
pub(super) struct Comparison {
    pub(super) rule: String,
    /// Why one of them cannot be compared.
    pub(super) problems: Vec<Problem>,
    /// False if the two say the same, letter for letter.
    pub(super) is_changed: bool,
    pub(super) cases: Vec<Compared>,
    pub(super) calls: Vec<ChangedCall>,
    /// What is gone and what is new: of origins, scopes, and secrets.
    pub(super) sets: BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)>,
}

/// A case that both versions ran.
pub(super) struct Compared {
    pub(super) name: String,
    pub(super) place: Place,
    /// The claims that identify the user.
    subjects: [String; 2],
    pub(super) outcome: Outcome,
}

/// A call that differs: what is said of it; none where there is none.
pub(super) struct ChangedCall {
    pub(super) name: String,
    pub(super) old: Option<String>,
    pub(super) new: Option<String>,
}

impl Comparison {
    /// True if the rule has changed and no case can say what that does.
    pub(super) fn is_blind(&self) -> bool {
        let blind = |case: &Compared| matches!(case.outcome, Outcome::Incomparable(_));
        self.is_changed && self.cases.iter().all(blind)
    }
}

impl Compared {
    /// The claim that identifies the user, if it is another one or has another value.
    pub(super) fn changes_subject(&self) -> Option<&str> {
        let [old, new] = &self.subjects;
        let Outcome::Different { claims, answer: None } = &self.outcome else { return None };
        let changed = claims.iter().find(|claim| claim.name == *old || claim.name == *new);
        changed.map(|claim| claim.name.as_str()).or((old != new).then_some(new))
    }
}

/// One side of a comparison.
struct Side<'a> {
    source: Arc<Source>,
    rule: CompiledRule,
    folder: &'a Path,
}

pub(super) async fn compare(pair: &Pair, settings: &Settings) -> Result<Comparison, String> {
    let old = compile_offline(&pair.old, &pair.name, settings)?;
    let new = compile_offline(&pair.new, &pair.name, settings)?;
    let mut comparison = Comparison {
        rule: pair.name.clone(),
        problems: Vec::new(),
        is_changed: old.source.text != new.source.text,
        cases: Vec::new(),
        calls: Vec::new(),
        sets: BTreeMap::new(),
    };
    let (Some(old_rule), Some(new_rule)) = (old.rule, new.rule) else {
        let problems = old.problems.into_iter().chain(new.problems);
        comparison.problems = problems.filter(|problem| problem.severity() == Severity::Error).collect();
        return Ok(comparison);
    };
    let old = Side { source: old.source, rule: old_rule, folder: folder(&pair.old) };
    let new = Side { source: new.source, rule: new_rule, folder: folder(&pair.new) };
    comparison.is_changed |= script(&old) != script(&new);
    comparison.calls = changed_calls(&old.rule.outline().calls, &new.rule.outline().calls);
    comparison.sets = changed_sets(&old, &new);
    let mut texts: Vec<String> = Vec::new();
    for path in &pair.cases {
        let written = source(path)?;
        // Both versions often have the same cases.
        if texts.contains(&written.text) {
            continue;
        }
        texts.push(written.text.clone());
        let (cases, found) = Cases::read(&written);
        let errors = found.into_iter().filter(|problem| problem.severity() == Severity::Error);
        comparison.problems.extend(errors);
        for number in 0..cases.len() {
            let compared = case(&cases, number, &pair.name, [&old, &new], folder(path)).await;
            let known = |other: &Compared| other.name == compared.name && other.outcome == compared.outcome;
            if !comparison.cases.iter().any(known) {
                comparison.cases.push(compared);
            }
        }
    }
    // What one file cannot say of a case the other may: its answers are those of its own version.
    let told: BTreeSet<_> =
        comparison.cases.iter().filter(|case| is_compared(case)).map(|case| case.name.clone()).collect();
    comparison.cases.retain(|case| is_compared(case) || !told.contains(&case.name));
    Ok(comparison)
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

fn is_compared(case: &Compared) -> bool {
    !matches!(case.outcome, Outcome::Incomparable(_))
}

async fn case(cases: &Cases, number: usize, name: &str, sides: [&Side<'_>; 2], folder: &Path) -> Compared {
    let mut verdicts = Vec::with_capacity(2);
    for side in sides {
        // A script stands beside its rule, an answer beside its case.
        let files = |file: &str| {
            let beside = if file.ends_with(".rhai") { side.folder } else { folder };
            bytes_beside(beside, file)
        };
        verdicts.push(cases.run(number, (name, &side.source), &files).await);
    }
    let place = cases.place(number);
    let subjects = sides.map(|side| side.rule.subject().to_owned());
    Compared { name: verdicts[0].name.clone(), place, outcome: Outcome::of(&verdicts[0], &verdicts[1]), subjects }
}

fn changed_calls(old: &[CallOutline], new: &[CallOutline]) -> Vec<ChangedCall> {
    let of = |calls: &[CallOutline], name: &str| calls.iter().find(|call| call.name == name).map(words);
    let more = new.iter().filter(|call| of(old, &call.name).is_none());
    let calls = old.iter().chain(more).map(|call| ChangedCall {
        name: call.name.clone(),
        old: of(old, &call.name),
        new: of(new, &call.name),
    });
    calls.filter(|call| call.old != call.new).collect()
}

/// What is said of a call: enough to see that it is another.
fn words(call: &CallOutline) -> String {
    let mut words = vec![call.request.clone()];
    words.extend(call.credentials.iter().map(|credentials| format!("with {credentials}")));
    words.extend(call.optional.then(|| "optional".to_owned()));
    words.extend(call.when.as_ref().map(|when| format!("when {when}")));
    words.extend(call.each.as_ref().map(|(path, max, _)| format!("for each of {path}, at most {max}")));
    words.extend(call.pages.map(|pages| format!("at most {pages} pages")));
    words.extend(call.timeout.map(|timeout| format!("up to {} ms", timeout.as_millis())));
    words.extend((call.repeats > 0).then(|| format!("repeated up to {} times", call.repeats)));
    words.join(", ")
}

fn changed_sets(old: &Side<'_>, new: &Side<'_>) -> BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> {
    let origins = |side: &Side<'_>| -> BTreeSet<String> {
        side.rule.outline().calls.into_iter().flat_map(|call| call.origins).collect()
    };
    let mut sets = BTreeMap::new();
    let mut add = |what: &str, old: &BTreeSet<String>, new: &BTreeSet<String>| {
        if old != new {
            sets.insert(what.to_owned(), (old - new, new - old));
        }
    };
    add("origins", &origins(old), &origins(new));
    let (before, after) = (table(&old.source), table(&new.source));
    add("scopes", &scopes(&before), &scopes(&after));
    add("secrets", &secrets(&before), &secrets(&after));
    sets
}

fn table(source: &Source) -> toml::Table {
    // It was read as a rule already.
    source.text.parse().unwrap_or_default()
}

/// The script that stands beside a rule, if it has one.
fn script(side: &Side<'_>) -> Option<Vec<u8>> {
    let rule = table(&side.source);
    bytes_beside(side.folder, rule.get("script")?.get("file")?.as_str()?).ok()
}

/// What the auth server must ask for: words that the compiled rule has no use for.
fn scopes(rule: &toml::Table) -> BTreeSet<String> {
    let scopes = rule.get("login").and_then(|login| login.get("scopes")?.as_array());
    scopes.into_iter().flatten().filter_map(|scope| scope.as_str().map(str::to_owned)).collect()
}

fn secrets(rule: &toml::Table) -> BTreeSet<String> {
    let secrets = rule.get("secrets").and_then(toml::Value::as_table);
    secrets.into_iter().flat_map(toml::Table::keys).cloned().collect()
}
