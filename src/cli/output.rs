//! What goes to standard output and standard error. A closed pipe is no fault of ours.

use std::io::{self, IsTerminal, Write};

use crate::core::problem::{Problem, Severity, Style, as_text};

/// A line of the command's result.
pub(super) fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// A line beside the result: progress, traces.
pub(super) fn remark(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Why the command could not do its work.
pub(super) fn complain(message: &str) {
    remark(&format!("claimsmith: {message}"));
}

/// Problems as text on standard error, coloured on a terminal. Advice is for `check`.
pub(super) fn show_problems(problems: &[Problem]) {
    let style = if io::stderr().is_terminal() { Style::Coloured } else { Style::Plain };
    for problem in problems.iter().filter(|problem| problem.severity() > Severity::Advice) {
        remark(&as_text(problem, style));
        remark("");
    }
}
