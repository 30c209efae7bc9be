//! Places in a text as the protocol counts them: lines, and UTF-16 units in a line.

use std::ops::Range;

use serde_json::{Value, json};

/// The byte at a position of the protocol; a position beyond a line is its end, as the protocol says.
pub(super) fn byte(text: &str, position: &Value) -> Option<usize> {
    let line = usize::try_from(position.get("line")?.as_u64()?).ok()?;
    let wanted = usize::try_from(position.get("character")?.as_u64()?).ok()?;
    let start = match line {
        0 => 0,
        line => text.match_indices('\n').nth(line - 1)?.0 + 1,
    };
    let rest = &text[start..];
    let end = rest.find('\n').unwrap_or(rest.len());
    let line = rest[..end].trim_end_matches('\r');
    let mut units = 0;
    for (at, c) in line.char_indices() {
        if units >= wanted {
            return Some(start + at);
        }
        units += c.len_utf16();
    }
    Some(start + line.len())
}

/// The position of a byte.
pub(super) fn position(text: &str, byte: usize) -> Value {
    let mut at = byte.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let before = &text[..at];
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let character: usize = before[start..].chars().map(char::len_utf16).sum();
    json!({ "line": before.matches('\n').count(), "character": character })
}

/// A range of bytes.
pub(super) fn range(text: &str, span: &Range<usize>) -> Value {
    json!({ "start": position(text, span.start), "end": position(text, span.end.max(span.start)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_utf16_units() {
        let text = "a = 1\r\n# é 😀 x\nb";
        for (line, character, found) in [
            (0, 0, "a"),
            (0, 5, "\r"),
            (0, 99, "\r"),
            (1, 2, "é"),
            (1, 3, " 😀"),
            (1, 4, "😀"),
            // In the middle of a pair: the place after it.
            (1, 5, " x"),
            (1, 6, " x"),
            (1, 7, "x"),
            (2, 0, "b"),
            (2, 1, ""),
        ] {
            let at = byte(text, &json!({ "line": line, "character": character })).expect("the line is there");
            assert!(text[at..].starts_with(found), "{line}:{character} is at {:?}", &text[at..]);
        }
        assert_eq!(byte(text, &json!({ "line": 3, "character": 0 })), None);
        assert_eq!(byte(text, &json!({ "line": -1, "character": 0 })), None);
        assert_eq!(position(text, text.find('x').expect("it is there")), json!({ "line": 1, "character": 7 }));
        assert_eq!(position(text, 9_999), json!({ "line": 2, "character": 1 }));
        // Not the start of a letter.
        assert_eq!(position("é", 1), json!({ "line": 0, "character": 0 }));
    }
}
