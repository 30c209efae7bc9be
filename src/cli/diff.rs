//! `claimsmith diff`: two versions of rules on the same cases, and what comes out of one and not of the other.

mod compare;
mod text;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use self::compare::{Comparison, Outcome};
use super::{
    Common, DONE, FAILED, WRONG, of_catalogue, output, rule_name,
    test::{cases_of, side_by_side},
};
use crate::{
    config,
    gateway::{files, is_file, is_folder},
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The rule as it was: a rule file, or a folder of them.
    old: PathBuf,
    /// The rule as it is to be: a rule file, or a folder whose rules are matched by their names.
    new: PathBuf,
    /// The cases to compare by, instead of those beside both rules.
    #[arg(long, value_name = "FILE")]
    cases: Option<PathBuf>,
    /// How the result is shown.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// What differs, for people.
    Text,
    /// One JSON object, for programs.
    Json,
}

/// What two rules or folders come to.
struct Changes {
    /// Rules that both sides have, as far as something can be said of them.
    rules: Vec<Comparison>,
    /// Rules that only the new side has.
    added: Vec<String>,
    /// Rules that only the old side has.
    removed: Vec<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, String> {
    let settings = config::load(&arguments.common.flags())?.settings;
    let Pairs { both, added, removed } = pairs(arguments)?;
    let rules = side_by_side(&both, async |pair: &Pair| compare::compare(pair, &settings).await)?;
    let refused: Vec<_> = rules.iter().filter(|rule| !rule.problems.is_empty()).collect();
    if !refused.is_empty() {
        refused.iter().for_each(|rule| output::show_problems(&rule.problems));
        let names: Vec<_> = refused.iter().map(|rule| rule.rule.as_str()).collect();
        return Err(format!("{} cannot be compared: a version has errors", names.join(", ")));
    }
    let changes = Changes { rules, added, removed };
    output::say(&match arguments.format {
        Format::Text => text::draw(&changes),
        Format::Json => changes.json().to_string(),
    });
    Ok(match changes.subjects().count() {
        0 if changes.is_blind() => FAILED,
        0 => DONE,
        _ => WRONG,
    })
}

/// Two versions of a rule, and where its cases are.
struct Pair {
    name: String,
    old: PathBuf,
    new: PathBuf,
    cases: Vec<PathBuf>,
}

impl Pair {
    fn new(name: String, old: &Path, new: &Path, cases: Option<&Path>) -> Pair {
        let beside = || [cases_of(new), cases_of(old)].into_iter().filter(|path| is_file(path)).collect();
        let cases = cases.map_or_else(beside, |cases| vec![cases.to_owned()]);
        Pair { name, old: old.to_owned(), new: new.to_owned(), cases }
    }
}

/// The rules of both sides, and the names of those that one side lacks.
#[derive(Default)]
struct Pairs {
    both: Vec<Pair>,
    added: Vec<String>,
    removed: Vec<String>,
}

fn pairs(arguments: &Arguments) -> Result<Pairs, String> {
    let named = |path: &Path| of_catalogue(path).unwrap_or_else(|| path.to_owned());
    let (old, new, cases) = (&named(&arguments.old), &named(&arguments.new), &arguments.cases);
    match (is_folder(old), is_folder(new)) {
        (false, false) => {
            // The old name is the one that logins know.
            Ok(Pairs { both: vec![Pair::new(rule_name(old), old, new, cases.as_deref())], ..Pairs::default() })
        }
        (true, true) if cases.is_some() => Err("`--cases` goes with two rule files, not with folders".into()),
        (true, true) => {
            let named = |folder: &Path| -> Result<BTreeMap<String, PathBuf>, String> {
                Ok(files(folder)?.into_iter().map(|path| (rule_name(&path), path)).collect())
            };
            let (old, new) = (named(old)?, named(new)?);
            let both = old.iter().filter_map(|(name, path)| Some((name, path, new.get(name)?)));
            let both: Vec<_> = both.map(|(name, old, new)| Pair::new(name.clone(), old, new, None)).collect();
            let only = |these: &BTreeMap<String, PathBuf>, those: &BTreeMap<String, PathBuf>| {
                these.keys().filter(|name| !those.contains_key(*name)).cloned().collect::<Vec<_>>()
            };
            if both.is_empty() {
                return Err("no rule is in both folders".into());
            }
            Ok(Pairs { both, added: only(&new, &old), removed: only(&old, &new) })
        }
        _ => Err("one of the two is a folder: compare two rule files, or two folders".into()),
    }
}

impl Changes {
    /// The cases in which the user becomes another: the name of the rule, of its subject and of the case.
    fn subjects(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.rules.iter().flat_map(|rule| {
            let cases = rule.cases.iter().filter_map(|case| Some((case.changes_subject()?, case)));
            cases.map(|(subject, case)| (rule.rule.as_str(), subject, case.name.as_str()))
        })
    }

    /// True if the result says nothing of a rule that has changed: none of its cases could be compared.
    fn is_blind(&self) -> bool {
        self.rules.iter().any(Comparison::is_blind)
    }

    fn json(&self) -> Value {
        let subjects: Vec<_> =
            self.subjects().map(|(rule, claim, case)| json!({ "rule": rule, "claim": claim, "case": case })).collect();
        let rules: Vec<_> = self.rules.iter().map(rule_json).collect();
        json!({ "rules": rules, "added": self.added, "removed": self.removed, "subjects": subjects })
    }
}

fn rule_json(rule: &Comparison) -> Value {
    let cases: Vec<_> = rule
        .cases
        .iter()
        .map(|case| {
            let (line, _) = case.place.line_and_column();
            let mut told = json!({ "name": case.name, "file": case.place.source.name, "line": line });
            match &case.outcome {
                Outcome::Same => told["compared"] = true.into(),
                Outcome::Incomparable(why) => {
                    told["compared"] = false.into();
                    told["why"] = json!(why);
                }
                Outcome::Different { claims, answer } => {
                    told["compared"] = true.into();
                    let claims =
                        claims.iter().map(|claim| json!({ "claim": claim.name, "old": claim.old, "new": claim.new }));
                    told["differences"] = claims.collect();
                    told["answer"] = answer.as_ref().map(|(old, new)| json!({ "old": old, "new": new })).into();
                }
            }
            told
        })
        .collect();
    let sides = |changes: &BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)>| -> Value {
        changes.iter().map(|(what, (gone, new))| (what.clone(), json!({ "removed": gone, "added": new }))).collect()
    };
    json!({
        "rule": rule.rule,
        "cases": cases,
        "calls": rule.calls.iter().map(|call| json!({ "call": call.name, "old": call.old, "new": call.new })).collect::<Vec<_>>(),
        "sets": sides(&rule.sets),
    })
}
