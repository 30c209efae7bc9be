//! A problem as text with its excerpt, and as JSON.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet, renderer::DecorStyle};
use serde_json::{Value, json};

use super::{Problem, Severity, place::floor};

/// How the text looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Without colours, for files and pipes.
    Plain,
    /// With colours, for a terminal.
    Coloured,
}

/// A problem as rustc would show it: headline, excerpt with label, remedy.
pub fn as_text(problem: &Problem, style: Style) -> String {
    let level = match problem.severity() {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Advice => Level::NOTE,
    };
    let text = &problem.place.source.text;
    let start = floor(text, problem.place.span.start);
    let end = floor(text, problem.place.span.end).max(start);
    let mark = AnnotationKind::Primary.span(start..end);
    let mark = if problem.label.is_empty() { mark } else { mark.label(problem.label.as_str()) };
    let mut group = level
        .primary_title(problem.message.as_str())
        .id(problem.code.id())
        .element(Snippet::source(text.as_str()).path(problem.place.source.name.as_str()).annotation(mark));
    if let Some(help) = &problem.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Coloured => Renderer::styled(),
    };
    renderer.decor_style(DecorStyle::Ascii).render(&[group])
}

/// A problem as a JSON object: `code`, `severity`, `level`, `message`, `file`, `line`,
/// `column`, `span` (bytes of the file), `label`, `help`.
pub fn as_json(problem: &Problem) -> Value {
    let (line, column) = problem.place.line_and_column();
    json!({
        "code": problem.code.id(),
        "severity": problem.severity().name(),
        "level": problem.code.level().name(),
        "message": problem.message,
        "file": problem.place.source.name,
        "line": line,
        "column": column,
        "span": [problem.place.span.start, problem.place.span.end],
        "label": problem.label,
        "help": problem.help,
    })
}
