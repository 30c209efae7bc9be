//! `claimsmith functions`: what a rule may call besides Rhai's own functions.

use clap::Args;
use serde_json::{Value, json};

use super::{
    DONE,
    output::{self, Format},
};
use crate::core::{FUNCTIONS, Family, Function, problem::nearest};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only this function, with its example.
    name: Option<String>,
    /// How it is shown.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, String> {
    let shown = match (&arguments.name, arguments.format) {
        (None, Format::Text) => list(),
        (None, Format::Json) => FUNCTIONS.iter().map(as_json).collect::<Value>().to_string(),
        (Some(name), format) => {
            let function = find(name)?;
            if format == Format::Text { page(function) } else { as_json(function).to_string() }
        }
    };
    output::say(&shown);
    Ok(DONE)
}

/// The function of this name, which may also be written as it is called.
fn find(name: &str) -> Result<&'static Function, String> {
    let name = name.split('(').next().unwrap_or_default().trim();
    Function::named(name).ok_or_else(|| {
        let help = match nearest(name, FUNCTIONS.iter().map(Function::name)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "`claimsmith functions` lists them, and https://rhai.rs/book/lib those of Rhai".into(),
        };
        format!("there is no function `{name}`: {help}")
    })
}

/// All functions by family, one a line.
fn list() -> String {
    let width = FUNCTIONS.iter().map(|function| function.signature.len()).max().unwrap_or_default();
    let mut lines = Vec::new();
    for family in Family::ALL {
        lines.push(format!("{}:", family.name()));
        for function in FUNCTIONS.iter().filter(|function| function.family == family) {
            lines.push(format!("  {:width$}  {}", function.signature, plain(function.doc)));
        }
        lines.push(String::new());
    }
    lines.push("An argument with `?` may be left out. What is made of something absent is absent.".into());
    lines.push("`claimsmith functions NAME` shows an example. Rhai's own: https://rhai.rs/book/lib".into());
    lines.join("\n")
}

fn page(function: &Function) -> String {
    let Function { signature, family, doc, example, result, .. } = function;
    let doc = plain(doc);
    format!("{signature}\n\n  {doc}\n\n  example  {example}\n  gives    {result}\n  family   {}", family.name())
}

fn as_json(function: &Function) -> Value {
    json!({
        "name": function.name(),
        "signature": function.signature,
        "family": function.family.name(),
        "doc": plain(function.doc),
        "example": function.example,
        "result": function.result,
    })
}

/// Emphasis is for pages that show it.
fn plain(doc: &str) -> String {
    doc.replace("**", "")
}
