//! The last word: a script that sees the document and may change the claims.

use rhai::{Dynamic, Map};
use serde_json::Value;

use super::{
    claims::Claims,
    denial::Denial,
    facts::Facts,
    problem::{Code, Place, Problems, Source},
    rule::{Rule, Script},
    trace::{Claim, Point, PointKind, Provenance, Step, Trace, Way},
    value::{self, Known, Memory, Mentions, Program, Spot, members_from_script, to_script},
};

/// A compiled script.
#[derive(Debug)]
pub struct Plan {
    program: Program,
}

/// Why the script gave no claims.
#[derive(Clone, Debug)]
pub enum Failure {
    /// It called `reject`.
    Denied(Denial, String),
    /// It failed, met a limit, or left something that is no claim.
    Value(value::Failure),
}

/// Compiles `[script]`; `file` reads a script that stands beside the rule.
/// The outer `None` means a problem, the inner one a rule without a script.
#[expect(clippy::option_option, reason = "said above; every step's compile gives an `Option`")]
pub fn compile(
    rule: &Rule,
    file: impl Fn(&str) -> Result<String, String>,
    known: &Known<'_>,
    problems: &mut Problems,
) -> Option<Option<Plan>> {
    let program = match &rule.script {
        None => return Some(None),
        Some(Script::Inline(text)) => Program::script(&Spot::text(&rule.source, text), &text.value, known, problems),
        Some(Script::File(name)) => {
            let spot = Spot::text(&rule.source, name);
            let sound = name.value.ends_with(".rhai") && !name.value.contains(['/', '\\']);
            let read = if sound {
                file(&name.value)
            } else {
                Err("a script file has a name that ends in `.rhai`, and stands beside the rule".into())
            };
            match read {
                Ok(text) => {
                    let source = Source::new(name.value.as_str(), text);
                    Program::script(&Spot::file(&source), &source.text, known, problems)
                }
                Err(why) => {
                    let problem =
                        spot.problem(Code::MissingFile, 0..name.value.len(), format!("cannot read `{}`", name.value));
                    problems.add(problem.label(why).help("put the script into the folder of the rule"));
                    None
                }
            }
        }
    };
    program.map(|program| Some(Plan { program }))
}

impl Plan {
    /// The script itself.
    pub fn text(&self) -> &str {
        self.program.text()
    }

    /// The statements of the script, for coverage.
    pub fn points(&self) -> Vec<Point> {
        let statements = self.program.statements().iter();
        let point = |(place, line): &(Place, String)| Point {
            kind: PointKind::Statement,
            place: place.clone(),
            words: format!("`{line}` never runs"),
        };
        statements.map(point).collect()
    }

    /// Tells which statements run, where somebody wants to know.
    pub fn watch(&self, facts: &Facts<'_>, memory: &mut Memory, claims: &Claims<'_>, trace: Option<&Trace>) {
        if let Some(trace) = trace.filter(|_| !self.program.statements().is_empty()) {
            trace.ran(self.program.watch(facts, memory, to_map(claims)));
        }
    }

    /// Tells what the script made of the claims, to people who look on.
    pub fn tell(&self, trace: Option<&Trace>, before: &Claims<'_>, after: &Claims<'_>) {
        let Some(trace) = trace else { return };
        let of = |claims: &Claims<'_>, name: &str| {
            claims.iter().find(|(known, _)| known == name).map(|(_, value)| (**value).clone())
        };
        let mut counts = [0; 3];
        let mut tell = |name: &str, value: Option<Value>, way: Way, count: usize| {
            counts[count] += 1;
            let from = Provenance { place: self.program.sets(name).cloned(), ..Provenance::new(way) };
            trace.add(Step::Claim(Claim { name: name.to_owned(), value, from }));
        };
        for (name, value) in after {
            match of(before, name) {
                Some(known) if known == **value => {}
                Some(_) => tell(name, Some((**value).clone()), Way::Script { changed: true }, 0),
                None => tell(name, Some((**value).clone()), Way::Script { changed: false }, 1),
            }
        }
        for (name, _) in before.iter().filter(|(name, _)| of(after, name).is_none()) {
            tell(name, None, Way::Removed, 2);
        }
        let [changed, added, removed] = counts;
        let words = format!("{changed} claims changed, {added} added, {removed} removed");
        trace.add(Step::Script { words });
    }

    /// What the script reads.
    pub fn mentions(&self) -> &Mentions {
        self.program.mentions()
    }

    /// Runs the script, and gives the claims as it left them, by name.
    ///
    /// # Errors
    /// When it rejects the request, fails or meets a limit.
    pub fn run(
        &self,
        facts: &Facts<'_>,
        memory: &mut Memory,
        claims: &Claims<'_>,
    ) -> Result<Vec<(String, Value)>, Failure> {
        let changed: Dynamic = self.program.change(facts, memory, to_map(claims)).map_err(|failure| match failure {
            value::Failure::Rejected { error, reason } => match Denial::parse(&error) {
                Some(denial) => Failure::Denied(denial, reason),
                None => Failure::Value(value::Failure::Unfit {
                    place: "`reject`",
                    why: "its error is none that a rule can answer",
                }),
            },
            other => Failure::Value(other),
        })?;
        members_from_script(&changed).map_err(|why| Failure::Value(value::Failure::Unfit { place: "`claims`", why }))
    }
}

/// The claims as a script sees them.
fn to_map(claims: &Claims<'_>) -> Map {
    claims.iter().map(|(name, value)| ((&**name).into(), to_script(value))).collect()
}
