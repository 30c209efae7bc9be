//! What is wrong with a rule, and where.
//!
//! A [`Problem`] has a headline that names the fault, a place with a label, a
//! remedy and a [`Code`] that never changes its meaning. Compiling collects all
//! of them: nothing stops at the first.

mod codes;
mod pages;
mod place;
mod render;

pub use codes::{Code, Level};
pub use pages::Page;
pub use place::{Place, Source, Span, inside_literal};
pub use render::{Style, as_json, as_text};

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The rule is sound; something could be better.
    Advice,
    /// The rule serves, but probably not as its author thinks.
    Warning,
    /// The rule is refused.
    Error,
}

impl Severity {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Advice => "advice",
        }
    }
}

/// One fault of a rule.
#[derive(Clone, Debug)]
pub struct Problem {
    /// What kind of fault this is; stable over versions.
    pub code: Code,
    /// The headline: what is the case, in one line.
    pub message: String,
    /// Where it stands.
    pub place: Place,
    /// The words beside the excerpt.
    pub label: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Problem {
    /// A problem at a place. The label is what the reader sees beside the excerpt.
    pub fn new(code: Code, place: Place, message: impl Into<String>) -> Self {
        Problem { code, message: message.into(), place, label: String::new(), help: None }
    }

    /// Adds the words beside the excerpt.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Adds the remedy.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Whether the rule is refused because of it.
    pub fn severity(&self) -> Severity {
        self.code.severity()
    }
}

/// All faults found so far, in the order in which they were found.
#[derive(Clone, Debug, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Notes one more.
    pub fn add(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// True if the rule must be refused.
    pub fn refuse(&self) -> bool {
        self.0.iter().any(|problem| problem.severity() == Severity::Error)
    }

    /// Takes those away that do not pass.
    pub fn retain(&mut self, pass: impl FnMut(&Problem) -> bool) {
        self.0.retain(pass);
    }

    /// True if nothing at all was found.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many were found.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The problems in the order of their places.
    pub fn sorted(mut self) -> Vec<Problem> {
        self.0.sort_by(|a, b| a.place.order().cmp(&b.place.order()));
        self.0
    }

    /// The problems in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

/// The name among `known` that somebody who wrote `found` most likely meant.
pub fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&found.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= 1 + name.len().min(found.len()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// The remedy for an unknown name: the one that was meant, or the list.
pub fn did_you_mean<'a>(found: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(name) = nearest(found, known.clone()) {
        return format!("did you mean `{name}`?");
    }
    let names: Vec<_> = known.into_iter().map(|name| format!("`{name}`")).collect();
    match names.len() {
        0 => "the rule declares none".into(),
        _ => format!("known here: {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_the_name_that_was_meant() {
        for (found, expected) in [
            ("headrs", Some("headers")),
            ("optonal", Some("optional")),
            ("Url", Some("url")),
            ("uesr", Some("user")),
            ("colour", None),
        ] {
            let known = ["url", "headers", "optional", "user"];
            assert_eq!(nearest(found, known), expected, "{found}");
        }
    }
}
