//! The forms in which a rule writes a value.

use serde_json::Value;
use toml::{Spanned, de::DeValue};

use super::{
    text::{Reader, Text},
    words,
};
use crate::core::problem::Span;

/// A value as written: one string, a chain of alternatives, or a table of options.
#[derive(Debug)]
pub enum Written {
    /// A string: a JSONPath, or text with `${…}`.
    Text(Text),
    /// Alternatives: the first that is present, not null and not empty.
    Chain(Vec<Written>),
    /// A table.
    Options(Box<Options>),
}

/// A value written as a table.
#[derive(Debug)]
pub struct Options {
    /// The table's place.
    pub span: Span,
    /// Where the value comes from.
    pub selection: Selection,
    /// All nodes that the path selects, as an array.
    pub many: bool,
    /// The first node, said so on purpose.
    pub first: bool,
    /// Joins the nodes with this text.
    pub join: Option<Text>,
    /// The type that the claim must have.
    pub kind: Option<Text>,
    /// What stands in for an absent value, and where it is written.
    pub default: Option<(Value, Span)>,
    /// An absent value fails the request.
    pub required: bool,
    /// Removes white space at both ends.
    pub trim: bool,
    /// Makes it lower case.
    pub lower: bool,
    /// The separator that turns an object into flat members.
    pub flatten: Option<Text>,
}

/// The source of a value.
#[derive(Debug)]
pub enum Selection {
    /// `path`: a JSONPath, a text with `${…}`, or a chain of those.
    Path(Written),
    /// `rhai`: an expression.
    Rhai(Text),
    /// `value`: a constant.
    Constant(Value),
}

pub(super) fn read(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>, what: &str) -> Option<Written> {
    match value.get_ref() {
        DeValue::String(text) => Some(Written::Text(Text { value: text.to_string(), span: value.span() })),
        DeValue::Array(items) => {
            if items.is_empty() {
                reader.bad_value(
                    value.span(),
                    format!("`{what}` is an empty chain"),
                    "nothing in it",
                    "name at least one path",
                );
            }
            Some(Written::Chain(items.iter().filter_map(|item| read(reader, item, what)).collect()))
        }
        DeValue::Table(_) => options(reader, value, what).map(|options| Written::Options(Box::new(options))),
        _ => {
            reader.wrong_type(
                what,
                value,
                "a path, a text with `${…}`, a chain or a table; write `{ value = … }` for a constant",
            );
            None
        }
    }
}

fn options(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>, what: &str) -> Option<Options> {
    let table = reader.as_table(value, what)?;
    let sound = reader.known(&table, &words::VALUE);
    let sources = ["path", "rhai", "value"].iter().filter(|key| table.has(key)).count();
    if sources != 1 {
        match sources {
            0 if !sound => {}
            0 => reader.missing(&table, "path", "say where the value comes from: `path`, `rhai` or `value`"),
            _ => reader.conflict(&table, "`path`, `rhai` and `value` exclude one another"),
        }
        return None;
    }
    let selection = if let Some(path) = table.get("path") {
        Selection::Path(read(reader, path, &format!("{what}.path"))?)
    } else if table.has("rhai") {
        Selection::Rhai(reader.text(&table, "rhai")?)
    } else {
        Selection::Constant(reader.json(table.get("value")?)?)
    };
    if table.has("many") && table.has("first") {
        reader.conflict(&table, "`many` and `first` exclude each other");
    }
    Some(Options {
        span: table.span(),
        selection,
        many: reader.flag(&table, "many"),
        first: reader.flag(&table, "first"),
        join: reader.text(&table, "join"),
        kind: reader.text(&table, "type"),
        default: table.get("default").and_then(|default| Some((reader.json(default)?, default.span()))),
        required: reader.flag(&table, "required"),
        trim: reader.flag(&table, "trim"),
        lower: reader.flag(&table, "lower"),
        flatten: reader.text(&table, "flatten"),
    })
}
