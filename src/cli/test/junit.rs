//! Results of cases as JUnit XML, which CI systems show: a suite a rule, a test case a case.

use std::{io, time::Duration};

use quick_xml::{
    Writer,
    events::{BytesDecl, BytesText, Event},
};

use super::{Report, Tried, text};

/// One document of all results.
///
/// # Errors
/// None in practice: it is written to memory.
pub(super) fn document(reports: &[Report], require_cases: bool) -> io::Result<String> {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let counts: Vec<_> = reports.iter().map(|report| Counts::of(report, require_cases)).collect();
    let all = counts.iter().fold(Counts::default(), Counts::and);
    let attributes = all.attributes();
    writer
        .create_element("testsuites")
        .with_attribute(("name", "claimsmith"))
        .with_attributes(attributes.iter().map(|(name, value)| (*name, value.as_str())))
        .write_inner_content(|writer| {
            reports.iter().zip(&counts).try_for_each(|(report, counts)| suite(writer, report, counts, require_cases))
        })?;
    let mut text = String::from_utf8(writer.into_inner()).map_err(io::Error::other)?;
    text.push('\n');
    Ok(text)
}

#[derive(Clone, Copy, Default)]
struct Counts {
    tests: usize,
    failures: usize,
    errors: usize,
    time: Duration,
}

impl Counts {
    fn of(report: &Report, require_cases: bool) -> Self {
        let failures = report.tried().filter(|tried| !tried.passed()).count();
        let errors = usize::from(fault(report, require_cases).is_some());
        let tests = report.tried().count() + errors;
        Counts { tests, failures, errors, time: report.tried().map(|tried| tried.time).sum() }
    }

    fn and(self, other: &Counts) -> Self {
        Counts {
            tests: self.tests + other.tests,
            failures: self.failures + other.failures,
            errors: self.errors + other.errors,
            time: self.time + other.time,
        }
    }

    fn attributes(self) -> [(&'static str, String); 4] {
        [
            ("tests", self.tests.to_string()),
            ("failures", self.failures.to_string()),
            ("errors", self.errors.to_string()),
            ("time", seconds(self.time)),
        ]
    }
}

/// Why a rule could not be tried at all, as a headline and a text.
fn fault(report: &Report, require_cases: bool) -> Option<(&'static str, String)> {
    if report.is_unreadable() {
        let problems = report
            .problems
            .iter()
            .map(|problem| crate::core::problem::as_text(problem, crate::core::problem::Style::Plain));
        return Some(("the file of cases can be read", problems.collect::<Vec<_>>().join("\n\n")));
    }
    let without = require_cases && report.cases.is_none();
    without.then(|| ("there are cases", "no file of cases stands beside the rule".to_owned()))
}

fn suite(writer: &mut Writer<Vec<u8>>, report: &Report, counts: &Counts, require_cases: bool) -> io::Result<()> {
    let attributes = counts.attributes();
    let suite = writer
        .create_element("testsuite")
        .with_attribute(("name", &*clean(&report.rule)))
        .with_attributes(attributes.iter().map(|(name, value)| (*name, value.as_str())));
    if counts.tests == 0 {
        suite.write_empty()?;
        return Ok(());
    }
    suite.write_inner_content(|writer| {
        if let Some((name, words)) = fault(report, require_cases) {
            writer
                .create_element("testcase")
                .with_attributes([("name", name), ("classname", &*clean(&report.rule)), ("time", "0.000")])
                .write_inner_content(|writer| element(writer, "error", name, &words))?;
        }
        report.tried().try_for_each(|tried| case(writer, &report.rule, tried))
    })?;
    Ok(())
}

fn case(writer: &mut Writer<Vec<u8>>, rule: &str, tried: &Tried) -> io::Result<()> {
    let (line, _) = tried.place.line_and_column();
    let (name, rule, file) = (clean(&tried.verdict.name), clean(rule), clean(&tried.place.source.name));
    let (line, time) = (line.to_string(), seconds(tried.time));
    let case = writer.create_element("testcase").with_attributes([
        ("name", &*name),
        ("classname", &*rule),
        ("file", &*file),
        ("line", &*line),
        ("time", &*time),
    ]);
    if tried.passed() {
        case.write_empty()?;
        return Ok(());
    }
    let difference = text::difference(&tried.verdict);
    let message = difference.first().cloned().unwrap_or_default();
    let words = text::lines(tried, false).join("\n");
    case.write_inner_content(|writer| element(writer, "failure", &message, &words))?;
    Ok(())
}

fn element(writer: &mut Writer<Vec<u8>>, kind: &str, message: &str, words: &str) -> io::Result<()> {
    writer
        .create_element(kind)
        .with_attributes([("message", &*clean(message)), ("type", kind)])
        .write_text_content(BytesText::new(&clean(words)))?;
    Ok(())
}

fn seconds(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64())
}

/// XML 1.0 has no way to write most control characters, and a line break in an attribute would not come back.
fn clean(text: &str) -> String {
    let allowed = |c: char| matches!(c, '\n' | '\t') || !(c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}'));
    text.chars().map(|c| if allowed(c) { c } else { '\u{fffd}' }).collect()
}
