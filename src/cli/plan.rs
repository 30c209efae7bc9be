//! `claimsmith plan`: the calls of a rule, what waits for what and why, and the longest path against the deadline.

mod formats;
mod text;

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{Common, DONE, WRONG, compile_offline, output, rule_file, rule_name};
use crate::{
    config,
    core::{Lifetimes, Outline},
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The name of a rule in the rules folder, or a rule file.
    rule: String,
    /// How the plan is drawn.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Round by round, for people.
    Text,
    /// A flowchart of Mermaid, for pages that draw it.
    Mermaid,
    /// A graph of Graphviz: `dot -Tsvg`.
    Dot,
    /// One JSON object, for programs.
    Json,
}

/// A rule's outline, with what belongs to it from the settings.
struct Plan {
    rule: String,
    outline: Outline,
    deadline: Duration,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, String> {
    let mut settings = config::load(&arguments.common.flags())?.settings;
    let path = rule_file(&arguments.rule, &mut settings);
    let compiled = compile_offline(&path, &rule_name(&path), &settings)?;
    output::show_problems(&compiled.problems);
    let Some(rule) = compiled.rule else { return Ok(WRONG) };
    let deadline = rule.deadline(settings.deadline.0);
    let plan = Plan { rule: rule.name().to_owned(), outline: rule.outline(), deadline };
    output::say(&match arguments.format {
        Format::Text => text::draw(&plan),
        Format::Mermaid => formats::mermaid(&plan),
        Format::Dot => formats::dot(&plan),
        Format::Json => formats::json(&plan).to_string(),
    });
    Ok(DONE)
}

impl Plan {
    fn call(&self, number: usize) -> &str {
        &self.outline.calls[number].name
    }

    /// What reads a call's answer: the names of claims, and the others by their kind.
    fn fed_by(&self, number: usize) -> Vec<String> {
        let readers = self.outline.readers.iter().filter(|reader| reader.calls.contains(&number));
        let mut fed: Vec<String> = Vec::new();
        for reader in readers {
            let word = if reader.kind == "claim" { reader.name.clone() } else { format!("[{}]", reader.kind) };
            if !fed.contains(&word) {
                fed.push(word);
            }
        }
        fed
    }

    /// What the longest path comes to, against the deadline.
    fn verdict(&self) -> String {
        let (path, deadline) = (&self.outline.longest, time(self.deadline));
        match (path.unlimited, path.time) {
            (0, longest) if longest.is_zero() => format!("no call; the deadline is {deadline}"),
            (0, longest) if longest <= self.deadline => format!("{} of the deadline of {deadline}", time(longest)),
            (0, longest) => format!(
                "{}, and the deadline is {deadline}: at the worst the answer is a 504 before these limits are reached",
                time(longest)
            ),
            (_, _) => format!("not everything on it has a limit of its own: the deadline of {deadline} ends it"),
        }
    }
}

/// How long an answer is used again.
fn kept(cache: &Lifetimes) -> String {
    let Lifetimes { ttl, stale, refused } = *cache;
    let mut words = vec![match ttl.is_zero() {
        true => "shared by requests at the same time".to_owned(),
        false => format!("kept for {}", time(ttl)),
    }];
    words.extend((!stale.is_zero()).then(|| format!("for {} more where there is no new one", time(stale))));
    words.extend((!refused.is_zero()).then(|| format!("a refusal for {}", time(refused))));
    words.join(", ")
}

/// A time with its unit: `500 ms`, `2.5 s`, `2 min`.
fn time(time: Duration) -> String {
    let millis = time.as_millis();
    match millis {
        0..1000 => format!("{millis} ms"),
        1000..120_000 => format!("{} s", millis as f64 / 1000.0),
        _ => format!("{} min", (millis / 6000) as f64 / 10.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_unit_that_reads_best() {
        for (millis, expected) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1000, "1 s"),
            (2500, "2.5 s"),
            (90_000, "90 s"),
            (120_000, "2 min"),
            (200_000, "3.3 min"),
        ] {
            assert_eq!(time(Duration::from_millis(millis)), expected);
        }
    }
}
