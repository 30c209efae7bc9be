//! A place in a text, also inside a string of that text.

use std::{fmt, ops::Range, sync::Arc};

/// A range of bytes of one source text.
pub type Span = Range<usize>;

/// One text that a rule is made of: the rule file, or a script beside it.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// The name to show: usually a path.
    pub name: String,
    /// The whole text.
    pub text: String,
}

impl Source {
    /// Makes a shareable source.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Source { name: name.into(), text: text.into() })
    }
}

/// A range of bytes in a source.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    /// The text that it is in.
    pub source: Arc<Source>,
    /// The bytes of it.
    pub span: Span,
}

impl fmt::Debug for Place {
    // The whole text at every place would hide what is told of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{:?}", self.source.name, self.span)
    }
}

impl Place {
    /// Line and column of the start, both counted from 1; the column in characters.
    pub fn line_and_column(&self) -> (usize, usize) {
        let before = &self.source.text[..floor(&self.source.text, self.span.start)];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// The key to sort places by.
    pub(super) fn order(&self) -> (&str, usize, usize) {
        (&self.source.name, self.span.start, self.span.end)
    }
}

/// The nearest character boundary at or before `at`.
pub(super) fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Where byte `offset` of a TOML string's *value* stands in the source, given
/// the span of the literal with its quotes.
///
/// A value is shorter than its literal where the literal has escapes, so the
/// literal is walked once. It is known to be well formed: the parser read it.
pub fn inside_literal(source: &str, literal: &Span, offset: usize) -> usize {
    let raw = &source[literal.clone()];
    let (quotes, escapes) = if raw.starts_with("'''") {
        (3, false)
    } else if raw.starts_with("\"\"\"") {
        (3, true)
    } else {
        (1, raw.starts_with('"'))
    };
    let mut at = quotes;
    if quotes == 3 {
        // A newline right after the opening quotes is not part of the value.
        at += match raw.as_bytes().get(3..) {
            Some([b'\r', b'\n', ..]) => 2,
            Some([b'\n', ..]) => 1,
            _ => 0,
        };
    }
    let mut value = 0;
    while value < offset && at < raw.len() {
        let rest = &raw[at..];
        let (raw_len, value_len) = if escapes && rest.starts_with('\\') { escape(rest) } else { plain(rest) };
        at += raw_len;
        value += value_len;
    }
    literal.start + at
}

/// Length of one plain character in the literal and in the value.
fn plain(rest: &str) -> (usize, usize) {
    match rest.chars().next() {
        // A parser may hand CR LF on as LF.
        Some('\r') if rest.starts_with("\r\n") => (2, 1),
        Some(c) => (c.len_utf8(), c.len_utf8()),
        None => (1, 1),
    }
}

/// Length of one escape sequence in the literal and in the value.
fn escape(rest: &str) -> (usize, usize) {
    let code_point = |digits: usize| {
        let value = rest.get(2..2 + digits).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        (2 + digits, value.and_then(char::from_u32).map_or(1, char::len_utf8))
    };
    match rest.as_bytes().get(1) {
        Some(b'x') => code_point(2),
        Some(b'u') => code_point(4),
        Some(b'U') => code_point(8),
        // A backslash at the end of a line swallows the white space that follows.
        Some(b' ' | b'\t' | b'\r' | b'\n') => (1 + rest[1..].len() - rest[1..].trim_start().len(), 0),
        _ => (2, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_in_the_value_is_found_in_the_literal() {
        for (literal, offset, expected) in [
            (r#""abc""#, 1, "bc\""),
            (r#"'a\c'"#, 2, "c'"),
            (r#""a\"c""#, 2, "c\""),
            (r#""\u00e9x""#, 2, "x\""),
            (r#""\U0001F600x""#, 4, "x\""),
            ("'''\nabc'''", 1, "bc'''"),
            ("\"\"\"\r\na\\tc\"\"\"", 2, "c\"\"\""),
            ("\"\"\"a\\\n   b\"\"\"", 1, "\\\n   b\"\"\""),
            ("\"\"\"a\\\n   bc\"\"\"", 2, "c\"\"\""),
            ("\"\"", 0, "\""),
        ] {
            let found = inside_literal(literal, &(0..literal.len()), offset);
            assert_eq!(&literal[found..], expected, "{literal}");
        }
    }

    #[test]
    fn lines_and_columns_count_from_one_and_in_characters() {
        let source = Source::new("r.toml", "a = 1\né = x\n");
        for (at, expected) in [(0, (1, 1)), (4, (1, 5)), (6, (2, 1)), (11, (2, 5)), (99, (3, 1))] {
            let place = Place { source: source.clone(), span: at..at };
            assert_eq!(place.line_and_column(), expected, "byte {at}");
        }
    }
}
