//! What goes to standard output and standard error. A closed pipe is no fault of ours.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use crate::core::{
    Step,
    problem::{Problem, Severity, Style, as_text},
};

/// A line of the command's result.
pub(super) fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// The command's result, byte for byte.
pub(super) fn write(bytes: &[u8]) {
    let _ = io::stdout().write_all(bytes);
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

/// Columns of the terminal on standard error; 100 if it is none.
pub(super) fn width() -> usize {
    terminal_size::terminal_size_of(io::stderr()).map_or(100, |(terminal_size::Width(width), _)| width.into())
}

/// So many of something.
pub(super) fn count(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

/// A step of an evaluation, in words.
pub(super) fn step(step: &Step) -> String {
    let stage = step.stage();
    match step {
        Step::Call(call) => {
            let which = if call.which.is_empty() { String::new() } else { format!("{}: ", call.which) };
            let time =
                call.time.map(|(from, to)| format!("  [{} to {} ms]", millis(from), millis(to))).unwrap_or_default();
            let lines = call.request.iter().map(|line| format!("\n    {line}")).collect::<String>();
            format!("{stage}: {which}{}{time}{lines}", call.words())
        }
        Step::Claim(claim) => match &claim.value {
            Some(value) => format!("{stage}: {} = {value}  (from {})", claim.name, claim.from.words()),
            None => format!("{stage}: {}: {}", claim.name, claim.from.words()),
        },
        Step::Condition(condition) => format!("{stage}: {}", condition.words()),
        Step::Judgement { receiver, claim, standing, words } => {
            format!("{stage} {receiver}: {standing:<4} {claim}: {words}")
        }
        Step::Respond { status, bytes } => format!("{stage}: {status}, {bytes} bytes"),
        Step::Failed { words, .. } => format!("{stage}: failed: {words}"),
        Step::Receive { words, .. }
        | Step::Decode { words, .. }
        | Step::Script { words }
        | Step::Note { words, .. } => {
            format!("{stage}: {words}")
        }
    }
}

fn millis(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1000.0)
}
