//! `claimsmith explain`: what a problem means, why it matters, a wrong rule and the right one.

use std::io::{self, IsTerminal};

use clap::Args;
use serde_json::{Value, json};

use super::{
    DONE,
    output::{self, Format},
};
use crate::core::problem::{Code, Level};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The code as it is printed, such as CS2002; without one all are listed.
    code: Option<String>,
    /// How it is shown.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, String> {
    let shown = match (&arguments.code, arguments.format) {
        (None, Format::Text) => list(),
        (None, Format::Json) => Code::ALL.iter().map(|code| as_json(*code)).collect::<Value>().to_string(),
        (Some(code), format) => {
            let code = find(code)?;
            if format == Format::Text { page(code, io::stdout().is_terminal()) } else { as_json(code).to_string() }
        }
    };
    output::say(&shown);
    Ok(DONE)
}

/// The code that is meant: `CS2002`, `cs2002` or `2002`.
fn find(text: &str) -> Result<Code, String> {
    let upper = text.trim().to_ascii_uppercase();
    let id = if upper.starts_with("CS") { upper } else { format!("CS{upper}") };
    Code::parse(&id).ok_or_else(|| {
        // The codes of one part of a rule share their first digit, so one that is near in letters says nothing.
        let part = id.get(..3).unwrap_or_default();
        let near: Vec<_> = Code::ALL.iter().map(|code| code.id()).filter(|id| id.starts_with(part)).collect();
        let help = match near.len() {
            0 => "`claimsmith explain` lists them".to_owned(),
            _ => format!("there are {}", near.join(", ")),
        };
        format!("there is no problem with the code `{text}`: {help}")
    })
}

/// All codes with their titles, by what is looked at.
fn list() -> String {
    let mut lines = Vec::new();
    for level in Level::ALL {
        lines.push(format!("{}:", level.name()));
        for code in Code::ALL.into_iter().filter(|code| code.level() == level) {
            lines.push(format!("  {}  {:7}  {}", code.id(), code.severity().name(), code.page().title));
        }
        lines.push(String::new());
    }
    lines.push("`claimsmith explain CODE` says more of one.".into());
    lines.join("\n")
}

/// The page, with what belongs to the code; headings are bold on a terminal, and rules are set in.
fn page(code: Code, terminal: bool) -> String {
    let kind = format!("{} · {} · level \"{}\"", code.id(), code.severity().name(), code.level().name());
    let strong = |text: &str| if terminal { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() };
    let mut lines = vec![strong(&format!("{}: {}", code.id(), code.page().title)), kind];
    let mut inside = false;
    for line in code.page().text.lines().skip(1) {
        if line.starts_with("```") {
            inside = !inside;
        } else if inside {
            lines.push(format!("    {line}").trim_end().to_owned());
        } else {
            lines.push(line.strip_prefix("## ").map_or_else(|| line.to_owned(), strong));
        }
    }
    lines.join("\n").trim_end().to_owned()
}

fn as_json(code: Code) -> Value {
    let page = code.page();
    json!({
        "code": code.id(),
        "severity": code.severity().name(),
        "level": code.level().name(),
        "title": page.title,
        "text": page.text,
        "wrong": page.wrong,
        "right": page.right,
    })
}
