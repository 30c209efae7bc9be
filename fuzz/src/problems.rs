//! What holds for every problem: it has a code, words and a place in its text, and can be shown in every form.

use claimsmith::core::problem::{Problem, Severity};

/// Shows each of them, and tells whether they refuse what they are about.
pub fn check(problems: &[Problem]) -> bool {
    for problem in problems {
        let (span, text) = (&problem.place.span, &problem.place.source.text);
        assert!(span.start <= span.end && span.end <= text.len(), "{problem:?}");
        assert!(!problem.message.is_empty(), "{problem:?}");
        let (line, column) = problem.place.line_and_column();
        assert!(line >= 1 && line <= text.matches('\n').count() + 1 && column >= 1, "{problem:?}");
        let shown = claimsmith::core::problem::as_text(problem, claimsmith::core::problem::Style::Plain);
        assert!(shown.contains(problem.code.id()), "{shown}");
        let told = claimsmith::core::problem::as_json(problem);
        assert_eq!(told["line"], line);
    }
    problems.iter().any(|problem| problem.severity() == Severity::Error)
}
