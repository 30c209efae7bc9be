//! What is proposed from a sample answer, measured against the rules that are shipped: their first case has an answer
//! and the claims that a person's rule makes of it.

use std::{fs, path::PathBuf};

use claimsmith::core::{Sample, propose};
use serde_json::Value;

use crate::support::block_on;

/// The claims by which a proposal is judged.
const JUDGED: [&str; 3] = ["sub", "email", "name"];

/// Of a hundred shipped rules, for how many these claims must all be right.
const FLOOR: usize = 80;

/// The first case of a shipped rule with one call: what the provider answers, and what a person's rule makes of it.
struct Yardstick {
    rule: String,
    answer: String,
    claims: toml::Table,
}

/// The rules to measure with: those that are shipped, or those of the folder that `MEASURE` names.
fn yardsticks() -> Vec<Yardstick> {
    let shipped = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("rules");
    let folder = std::env::var_os("MEASURE").map_or_else(shipped, PathBuf::from);
    let read = |name: &str| -> toml::Table {
        let text = fs::read_to_string(folder.join(name)).expect("the rules can be read");
        toml::from_str(&text).expect("they are TOML")
    };
    let mut names: Vec<_> = fs::read_dir(&folder)
        .expect("the rules can be listed")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".test.toml").map(str::to_owned))
        .collect();
    names.sort();
    let usable = names.into_iter().filter_map(|rule| {
        let calls = read(&format!("{rule}.toml")).get("call")?.as_table()?.len();
        let cases = read(&format!("{rule}.test.toml"));
        let case = cases["case"].as_array()?.first()?;
        let answers = case.get("answer")?.as_array()?;
        let claims = case.get("claims")?.as_table()?.clone();
        let answer = answers[0].get("json").or(answers[0].get("body"))?.as_str()?.to_owned();
        (calls == 1 && answers.len() == 1).then_some(Yardstick { rule, answer, claims })
    });
    usable.collect()
}

fn text(value: Option<&toml::Value>) -> Option<String> {
    value.map(|value| value.as_str().map_or_else(|| format!("{value:?}"), str::to_owned))
}

#[test]
#[expect(clippy::print_stdout, reason = "the figure and the misses are what one looks at")]
fn proposals_agree_with_the_rules_that_people_wrote() {
    let yardsticks = yardsticks();
    assert!(yardsticks.len() >= 40, "only {} rules can be measured with", yardsticks.len());
    let (mut right, mut pictures, mut misses) = (0, 0, Vec::new());
    for Yardstick { rule, answer, claims } in &yardsticks {
        let sample = Sample { call: "user".into(), url: None, text: answer.clone() };
        let proposal = match block_on(propose("measured", &[sample])) {
            Ok(proposal) => proposal,
            Err(why) => {
                misses.push(format!("{rule}: {why}"));
                continue;
            }
        };
        let proposed = |claim: &str| {
            let value = proposal.claims.iter().find(|proposed| proposed.claim == claim)?.value.as_ref()?;
            let value: Value = serde_json::from_str(value).expect("claims are JSON");
            Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        };
        let wrong: Vec<_> = JUDGED.iter().filter(|claim| proposed(claim) != text(claims.get(**claim))).collect();
        right += usize::from(wrong.is_empty());
        pictures += usize::from(proposed("picture") == text(claims.get("picture")));
        for claim in JUDGED.iter().chain(&["picture"]) {
            if proposed(claim) != text(claims.get(*claim)) {
                let (expected, found) = (text(claims.get(*claim)), proposed(claim));
                misses.push(format!("{rule}: {claim} is {found:?}, and a person has {expected:?}"));
            }
        }
    }
    println!(
        "{right} of {} have sub, email and name right, {pictures} the picture\n{}",
        yardsticks.len(),
        misses.join("\n")
    );
    assert!(
        100 * right >= FLOOR * yardsticks.len(),
        "{right} of {} are right:\n{}",
        yardsticks.len(),
        misses.join("\n")
    );
}

/// Samples in many shapes, each with what it is and, after it, how each claim is made of it.
#[test]
fn samples_of_many_shapes_become_the_claims_that_one_would_write() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/propose/shapes.txt");
    let text = fs::read_to_string(&path).expect("the samples can be read");
    let blocks: Vec<_> = text.trim_end().split("\n\n").collect();
    assert!(blocks.len() >= 50, "{} samples", blocks.len());
    let shown: Vec<_> = blocks
        .iter()
        .map(|block| {
            let mut lines = block.lines();
            let (what, sample) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
            format!("{what}\n{sample}\n{}", proposed(sample))
        })
        .collect();
    let shown = shown.join("\n\n") + "\n";
    if std::env::var_os("UPDATE").is_some() {
        return fs::write(&path, &shown).expect("the samples can be written");
    }
    let differ = shown.split("\n\n").zip(&blocks).filter(|(shown, block)| shown.trim_end() != **block);
    let differ: Vec<_> = differ.map(|(shown, block)| format!("{shown}\ninstead of\n{block}")).collect();
    assert!(differ.is_empty(), "`UPDATE=1` rewrites {}:\n{}", path.display(), differ.join("\n\n"));
}

/// How each claim is made, and which failures are seen.
fn proposed(sample: &str) -> String {
    let sample = Sample { call: "user".into(), url: None, text: sample.into() };
    match block_on(propose("shape", &[sample])) {
        Ok(proposal) => {
            let claims = proposal.claims.iter().map(|claim| format!("    {} = {}", claim.claim, claim.written));
            let failing = proposal.rule.lines().filter_map(|line| {
                let (_, after) = line.split_once("{ when = ")?;
                Some(format!("    fails when {}", after.split(", error =").next()?))
            });
            let remarks = proposal.rule.lines().filter(|line| line.starts_with("# `$"));
            let remarks = remarks.map(|line| format!("    {line}"));
            claims.chain(failing).chain(remarks).collect::<Vec<_>>().join("\n")
        }
        Err(why) => format!("    {why}"),
    }
}
