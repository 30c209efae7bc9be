//! The calls of an evaluation over time, as bars.

use std::time::Duration;

use crate::{
    authoring::report::{as_call, critical_path},
    core::{
        Step,
        trace::{Attempt, Call, Outcome, Span},
    },
};

/// An exchange is on its way.
const BUSY: char = '█';
/// Between two exchanges: before another attempt, before the next page.
const WAIT: char = '░';
/// Requests of one call that have a line of their own.
const MAX_LINES: usize = 10;
/// Columns that a bar gets at least, and at most: more tell nothing.
const BAR: (usize, usize) = (16, 60);

/// What is drawn as one bar.
struct Row {
    label: String,
    critical: bool,
    /// Its beginning and its end, and when it was busy in between.
    time: Option<(Span, Vec<Span>)>,
    words: String,
}

/// The lines of the picture, no longer than `width` where that can be; none if no call took any time.
pub(super) fn draw(steps: &[Step], width: usize) -> Vec<String> {
    let calls: Vec<_> = steps.iter().filter_map(as_call).collect();
    let critical = critical_path(&calls);
    let mut rows: Vec<_> = steps.iter().filter_map(verification).collect();
    for (at, call) in calls.iter().enumerate() {
        if calls[..at].iter().all(|other| other.name != call.name) {
            let own: Vec<_> = calls.iter().filter(|other| other.name == call.name).copied().collect();
            rows.extend(rows_of(&own, critical.contains(&call.name.as_str())));
        }
    }
    let Some(end) = rows.iter().filter_map(|row| Some(row.time.as_ref()?.0.1)).max() else { return Vec::new() };
    let mut lines = lines(&rows, end, width);
    if critical.len() > 1 {
        lines.push(format!("  * the longest way: {}", critical.join(" → ")));
    }
    lines
}

/// The token was verified before any call.
fn verification(step: &Step) -> Option<Row> {
    match step {
        Step::Receive { time: Some(time), .. } => Some(Row {
            label: "receive".into(),
            critical: true,
            time: Some((*time, vec![*time])),
            words: "the token is verified".into(),
        }),
        _ => None,
    }
}

/// A call's bar, and one for each of its requests and exchanges if there are several.
fn rows_of(requests: &[&Call], critical: bool) -> Vec<Row> {
    let times: Vec<_> = requests.iter().filter_map(|call| call.time).collect();
    let whole = times.iter().copied().reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)));
    let busy = requests.iter().flat_map(|call| busy(call)).collect();
    let last = requests.last();
    let words = match requests {
        [one] => one.words(),
        _ => match last.map(|last| &last.outcome) {
            Some(Outcome::Failed(_)) => last.map(|last| last.words()).unwrap_or_default(),
            _ => format!("{} requests", requests.len()),
        },
    };
    let label = last.map(|last| last.name.clone()).unwrap_or_default();
    let mut rows = vec![Row { label, critical, time: whole.map(|whole| (whole, busy)), words }];
    let parts: Vec<_> = match requests {
        [one] if one.attempts.len() > 1 => one.attempts.iter().map(attempt).collect(),
        [_] => Vec::new(),
        several => several.iter().map(|call| request(call)).collect(),
    };
    let more = parts.len().saturating_sub(MAX_LINES);
    rows.extend(parts.into_iter().take(MAX_LINES));
    if more > 0 {
        rows.push(Row { label: format!("  {more} more"), critical: false, time: None, words: String::new() });
    }
    rows
}

fn busy(call: &Call) -> Vec<Span> {
    match (&call.attempts[..], call.time) {
        ([], time) => time.into_iter().collect(),
        (attempts, _) => attempts.iter().map(|attempt| attempt.time).collect(),
    }
}

fn attempt(attempt: &Attempt) -> Row {
    let Attempt { what, words, time } = attempt;
    Row { label: format!("  {what}"), critical: false, time: Some((*time, vec![*time])), words: words.clone() }
}

fn request(call: &Call) -> Row {
    let tries = call.attempts.iter().filter(|attempt| attempt.what == "repeated").count();
    let tries = if tries == 0 { String::new() } else { format!(", {} attempts", tries + 1) };
    Row {
        label: format!("  {}", call.which),
        critical: false,
        time: call.time.map(|time| (time, busy(call))),
        words: format!("{}{tries}", call.words()),
    }
}

fn lines(rows: &[Row], end: Duration, width: usize) -> Vec<String> {
    let label = rows.iter().map(|row| row.label.chars().count()).max().unwrap_or_default();
    let times = |row: &Row| row.time.as_ref().map(|((from, to), _)| format!("{} – {}", millis(*from), millis(*to)));
    let times: Vec<_> = rows.iter().map(|row| times(row).unwrap_or_default()).collect();
    let room = times.iter().map(|text| text.chars().count()).max().unwrap_or_default();
    // Two for the mark, three gaps of two, and what most words need.
    let bar = width.saturating_sub(label + room + 2 + 6 + 20).clamp(BAR.0, BAR.1);
    let line = |(row, time): (&Row, &String)| {
        let mark = if row.critical { '*' } else { ' ' };
        let drawn = row.time.as_ref().map(|(whole, busy)| draw_bar(*whole, busy, end, bar)).unwrap_or_default();
        let line = format!("{mark} {:label$}  {drawn:bar$}  {time:>room$}  {}", row.label, row.words);
        line.trim_end().to_owned()
    };
    let head = format!("  {:label$}  {:bar$}  {:>room$}", "", "", "ms");
    std::iter::once(head).chain(rows.iter().zip(&times).map(line)).collect()
}

/// One bar: a cell is busy if anything was in its time.
fn draw_bar((from, to): Span, busy: &[Span], end: Duration, width: usize) -> String {
    let scale = width as f64 / end.as_secs_f64().max(1e-6);
    let cell = |time: Duration| ((time.as_secs_f64() * scale) as usize).min(width - 1);
    let cells = |(from, to): Span| cell(from)..=cell(to.saturating_sub(Duration::from_nanos(1)).max(from));
    let mut bar: Vec<_> = std::iter::repeat_n(' ', cell(from)).collect();
    bar.resize(cells((from, to)).end() + 1, WAIT);
    for cell in busy.iter().flat_map(|span| cells(*span)) {
        if let Some(cell) = bar.get_mut(cell) {
            *cell = BUSY;
        }
    }
    bar.into_iter().collect()
}

/// Milliseconds with one digit after the point.
pub(super) fn millis(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::problem::{Place, Source};

    fn at(from: u64, to: u64) -> Span {
        (Duration::from_millis(from), Duration::from_millis(to))
    }

    fn call(name: &str, which: &str, time: Span, after: &[&str], attempts: &[(&'static str, &str, Span)]) -> Step {
        let attempt = |(what, words, time): &(&'static str, &str, Span)| Attempt {
            what,
            words: (*words).to_owned(),
            time: *time,
        };
        Step::Call(Call {
            name: name.into(),
            place: Place { source: Source::new("a.toml", ""), span: 0..0 },
            which: which.into(),
            number: 0,
            after: after.iter().map(ToString::to_string).collect(),
            request: Vec::new(),
            outcome: Outcome::Answered,
            answer: Some((200, 12)),
            time: Some(time),
            decoded: None,
            attempts: attempts.iter().map(attempt).collect(),
        })
    }

    #[test]
    fn bars_stand_where_their_time_was_and_the_longest_way_is_marked() {
        let steps = [
            call("user", "", at(0, 100), &[], &[]),
            call("emails", "", at(0, 50), &[], &[]),
            call("teams", "", at(100, 200), &["user"], &[]),
        ];
        let expected = [
            "                                       ms",
            "* user    ████████            0.0 – 100.0  200, 12 bytes",
            "  emails  ████                 0.0 – 50.0  200, 12 bytes",
            "* teams           ████████  100.0 – 200.0  200, 12 bytes",
            "  * the longest way: user → teams",
        ];
        assert_eq!(draw(&steps, 60), expected);
        assert_eq!(crate::authoring::report::longest_way(&steps), ["user", "teams"]);
    }

    #[test]
    fn the_wait_before_another_attempt_is_seen() {
        let attempts = [("request", "503", at(0, 40)), ("repeated", "200", at(120, 160))];
        let drawn = draw(&[call("user", "", at(0, 160), &[], &attempts)], 60);
        assert!(drawn[1].contains("* user        ████░░░░░░░░████  "), "{drawn:#?}");
        assert!(drawn[2].contains("    request   ████  ") && drawn[2].ends_with("503"), "{drawn:#?}");
        assert!(drawn[3].contains("    repeated              ████  ") && drawn[3].ends_with("200"), "{drawn:#?}");
    }

    #[test]
    fn a_list_of_many_pages_has_few_lines() {
        let page = |number: u64| call("list", &format!("page {number}"), at(number * 10, number * 10 + 10), &[], &[]);
        let steps: Vec<_> = (0..30).map(page).collect();
        let drawn = draw(&steps, 100);
        assert_eq!(drawn.len(), 1 + 1 + MAX_LINES + 1, "{drawn:#?}");
        assert!(drawn[1].ends_with("30 requests") && drawn[12].ends_with("20 more"), "{drawn:#?}");
    }

    #[test]
    fn any_width_and_any_time_can_be_drawn() {
        let zero = call("a", "", at(0, 0), &["a"], &[("request", "200", at(0, 0))]);
        for width in [0, 1, 20, 80, 10_000] {
            let drawn = draw(&[zero.clone(), call("b", "", at(5, 5_000_000), &["a", "gone"], &[])], width);
            assert!(drawn.iter().all(|line| line.chars().count() < 200), "{drawn:#?}");
            assert!(!draw(std::slice::from_ref(&zero), width).is_empty());
        }
        assert!(draw(&[], 80).is_empty());
    }
}
