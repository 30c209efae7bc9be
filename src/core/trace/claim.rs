//! A claim in a trace: its value, and where that came from.

use serde_json::Value;

use super::Stage;
use crate::core::problem::Place;

/// A claim that got its value, or none.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Its name.
    pub name: String,
    /// Its value; `None` for an absent one.
    pub value: Option<Value>,
    /// Where that came from.
    pub from: Provenance,
}

/// Where the value of a claim came from.
#[derive(Clone, Debug)]
pub struct Provenance {
    /// By what way.
    pub way: Way,
    /// The path, text or expression as written; empty where the rule writes none.
    pub text: String,
    /// Where that stands: the whole literal, or the table of a constant. For a claim that a script set, the line that
    /// does. `None` where the rule does not say it.
    pub place: Option<Place>,
    /// The parts of the document that it reads, calls by their names.
    pub reads: Vec<String>,
    /// Which alternative of a chain it is, counted from 0, and how many there are; those before it are absent or empty.
    pub choice: Option<(usize, usize)>,
    /// The places of all alternatives that contributed to a joined text.
    pub parts: Vec<Place>,
    /// What `trim` and `lower` changed.
    pub polish: Option<&'static str>,
    /// How it was converted to the claim's type.
    pub conversion: Option<&'static str>,
}

/// By what way a claim got its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// A JSONPath.
    Path,
    /// A text with `${…}`.
    Text,
    /// A Rhai expression.
    Expression,
    /// Several values, joined to one text.
    Joined,
    /// `default`: nothing else was there.
    Default,
    /// `value`.
    Constant,
    /// A member of an included object, by its name there.
    Include(String),
    /// The script set it.
    Script {
        /// It was there before, and the script changed it.
        changed: bool,
    },
    /// The receiver reads it in another form.
    Contract,
    /// It says that a list was cut short.
    Truncated,
    /// Nothing gave it a value.
    Absent,
    /// The script took it away.
    Removed,
}

impl Way {
    /// The name that programs see.
    pub fn name(&self) -> &'static str {
        match self {
            Way::Path => "path",
            Way::Text => "text",
            Way::Expression => "expression",
            Way::Joined => "joined",
            Way::Default => "default",
            Way::Constant => "constant",
            Way::Include(_) => "include",
            Way::Script { .. } => "script",
            Way::Contract => "contract",
            Way::Truncated => "truncated",
            Way::Absent => "absent",
            Way::Removed => "removed",
        }
    }
}

impl Provenance {
    /// A provenance of which nothing more is known than the way.
    pub fn new(way: Way) -> Self {
        Provenance {
            way,
            text: String::new(),
            place: None,
            reads: Vec::new(),
            choice: None,
            parts: Vec::new(),
            polish: None,
            conversion: None,
        }
    }

    /// In words, without the place.
    pub fn words(&self) -> String {
        let text = &self.text;
        let mut words = match &self.way {
            Way::Path | Way::Text => text.clone(),
            Way::Expression => format!("`{text}`"),
            Way::Joined => format!("joined: {text}"),
            Way::Default => "default".into(),
            Way::Constant => "constant".into(),
            Way::Include(member) => format!("include {text}, member `{member}`"),
            Way::Script { changed: true } => "changed by the script".into(),
            Way::Script { changed: false } => "added by the script".into(),
            Way::Contract => "put in the form that the receiver reads".into(),
            Way::Truncated => "a list that was cut short".into(),
            Way::Absent if text.is_empty() => "absent".into(),
            Way::Absent => format!("absent: {text} gives nothing"),
            Way::Removed => "removed by the script".into(),
        };
        if let Some((taken, all)) = self.choice.filter(|(_, all)| *all > 1) {
            words.push_str(&format!(", alternative {} of {all}", taken + 1));
        }
        for more in [self.polish, self.conversion].into_iter().flatten() {
            words.push_str(", ");
            words.push_str(more);
        }
        words
    }
}

impl Claim {
    pub(super) fn stage(&self) -> Stage {
        match self.from.way {
            Way::Script { .. } | Way::Removed => Stage::Script,
            Way::Contract => Stage::Contract,
            _ => Stage::Map,
        }
    }
}

/// The JSON type of a value, as people call it.
pub fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
