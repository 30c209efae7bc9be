//! The quick way through an answer: a rule reads a few members of it, so most bytes are only stepped over.
//!
//! It knows the JSON of RFC 8259 and is strict about it. Where it is not sure it gives up, and
//! [`Shape::parse`] reads the text with serde_json, which also says what is wrong. It can so leave out
//! what is rare: names with escapes, and deep nesting.

use serde_json::Value;

use super::{
    shape::{Kept, Shape},
    weight::is_too_heavy,
};

/// Levels of nesting that it follows: fewer than serde_json allows where a value is kept.
const MAX_DEPTH: usize = 32;

/// What is kept of a text by a shape; `None` if the thorough way has to be gone.
pub(super) fn skim(shape: &Shape, text: &str) -> Option<Kept> {
    let mut reader = Reader { text, rest: text.as_bytes() };
    reader.space();
    let kept = reader.keep(shape, MAX_DEPTH)?;
    reader.space();
    reader.rest.is_empty().then_some(kept)
}

/// A text and what is left of it. Each step ends behind what it stepped over, or gives up.
struct Reader<'t> {
    text: &'t str,
    rest: &'t [u8],
}

impl<'t> Reader<'t> {
    /// Reads a value as far as the shape wants it.
    fn keep(&mut self, shape: &Shape, depth: usize) -> Option<Kept> {
        let start = self.at();
        match (shape, self.rest.first()?) {
            (Shape::Members(shapes), b'{') => self.members(shapes, depth),
            (Shape::Members(_), b'"') => self.string()?.then_some(Kept::Absent),
            (Shape::Members(_), _) => self.skip(depth).map(|()| Kept::Absent),
            // Most of what is read is text without escapes.
            (Shape::Whole, b'"') if self.string()? => {
                Some(Kept::Whole(Value::from(&self.text[start + 1..self.at() - 1])))
            }
            (Shape::Whole, first) => {
                if *first != b'"' {
                    self.skip(depth)?;
                }
                let text = &self.text[start..self.at()];
                if is_too_heavy(text) {
                    return None;
                }
                serde_json::from_str(text).ok().map(Kept::Whole)
            }
        }
    }

    /// Reads an object of which some members are wanted.
    fn members(&mut self, shapes: &[(String, Shape)], depth: usize) -> Option<Kept> {
        let mut slots: Vec<_> = shapes.iter().map(|_| Kept::Absent).collect();
        let depth = depth.checked_sub(1)?;
        if self.open(b'}') {
            return Some(Kept::Members(slots));
        }
        loop {
            let from = self.rest;
            if !self.string()? {
                return None;
            }
            let name = &from[1..from.len() - self.rest.len() - 1];
            self.colon()?;
            // They are a handful.
            match shapes.iter().position(|(known, _)| known.as_bytes() == name) {
                // Of a name that comes twice the last value holds, as everywhere.
                Some(at) => slots[at] = self.keep(&shapes[at].1, depth)?,
                None => self.skip(depth)?,
            }
            if !self.another(b'}')? {
                return Some(Kept::Members(slots));
            }
        }
    }

    /// Steps over a value.
    fn skip(&mut self, depth: usize) -> Option<()> {
        match self.rest.first()? {
            b'"' => self.string().map(|_| ()),
            b'{' => self.skip_all(b'}', depth),
            b'[' => self.skip_all(b']', depth),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => self.number(),
        }
    }

    /// Steps over an object or an array.
    fn skip_all(&mut self, end: u8, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        if self.open(end) {
            return Some(());
        }
        loop {
            if end == b'}' {
                self.string()?;
                self.colon()?;
            }
            self.skip(depth)?;
            if !self.another(end)? {
                return Some(());
            }
        }
    }

    /// Steps over a string. True if it has no escapes.
    #[inline(always)]
    fn string(&mut self) -> Option<bool> {
        let [b'"', rest @ ..] = self.rest else { return None };
        self.rest = &rest[plain(rest)..];
        if self.take(b'"') { Some(true) } else { self.escapes().map(|()| false) }
    }

    /// Steps over the rest of a string that has escapes.
    fn escapes(&mut self) -> Option<()> {
        while !self.take(b'"') {
            let rest = match self.rest {
                [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', rest @ ..] => rest,
                [b'\\', b'u', digits @ ..] if digits.get(..4)?.iter().all(u8::is_ascii_hexdigit) => &digits[4..],
                _ => return None,
            };
            self.rest = &rest[plain(rest)..];
        }
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Some(())
    }

    /// Steps over digits, at least one.
    fn digits(&mut self) -> Option<()> {
        let count = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.rest = &self.rest[count..];
        (count > 0).then_some(())
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(word)?;
        Some(())
    }

    /// Steps into an object or an array. True if nothing is in it: then it is stepped over.
    #[inline(always)]
    fn open(&mut self, end: u8) -> bool {
        self.rest = &self.rest[1..];
        self.space();
        self.take(end)
    }

    /// Steps to what follows a value: another one, or the end.
    #[inline(always)]
    fn another(&mut self, end: u8) -> Option<bool> {
        self.space();
        let more = self.take(b',');
        if more {
            self.space();
        }
        (more || self.take(end)).then_some(more)
    }

    #[inline(always)]
    fn colon(&mut self) -> Option<()> {
        self.space();
        let found = self.take(b':');
        self.space();
        found.then_some(())
    }

    #[inline(always)]
    fn space(&mut self) {
        while let [b' ' | b'\n' | b'\r' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// Steps over this byte, if it is next.
    #[inline(always)]
    fn take(&mut self, byte: u8) -> bool {
        match self.rest {
            [first, rest @ ..] if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// How far the text is read.
    fn at(&self) -> usize {
        self.text.len() - self.rest.len()
    }
}

/// How many bytes of a string stand before the first that means something: a quote, a backslash or a control
/// character, which may not stand there. Eight are looked at in one go: a byte's highest bit says that it does.
#[inline(always)]
fn plain(bytes: &[u8]) -> usize {
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    let (words, rest) = bytes.as_chunks();
    let mut at = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        // Right for the first such byte and for those below 128, and no others are asked for.
        let below = |word: u64, limit: u8| word.wrapping_sub(EACH * u64::from(limit));
        let equals = |byte: u8| below(word ^ (EACH * u64::from(byte)), 1);
        let special = (below(word, b' ') | equals(b'"') | equals(b'\\')) & !word & (EACH << 7);
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..b' ')).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPES: [&[&[&str]]; 4] = [&[&["a"]], &[&["b", "c"], &["d"]], &[&["e"], &["a", "x"], &["f", "g"]], &[]];

    const TEXTS: [&str; 4] = [
        r#" {"a": "x", "b": {"c": [1, -2.5e+3, 0.1, {"y": null}], "z": "é\\\u00e9\n"}, "d": true, "a": false} "#,
        r#"{"e":"é\ud83d\ude00","a":{"x":12345678901234567890,"y":[]},"f":[{"g":1}],"h":{},"\u0061":"1e5"}"#,
        r#"[{"a":"x"},0]"#,
        r#"{"f":"\ud83d\ude00"}"#,
    ];

    fn shape(paths: &[&[&str]]) -> Shape {
        let mut shape = Shape::nothing();
        for path in paths {
            shape.add(&path.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        }
        shape
    }

    #[test]
    fn it_keeps_what_the_thorough_way_keeps_or_gives_up() {
        let mut quick = 0;
        for shape in SHAPES.map(shape) {
            let mut compare = |text: &str| {
                if let Some(kept) = skim(&shape, text) {
                    assert_eq!(shape.parse_thoroughly(text).ok(), Some(kept), "{text}");
                    quick += 1;
                }
            };
            for text in TEXTS {
                compare(text);
                for (at, c) in text.char_indices() {
                    let (before, after) = (&text[..at], &text[at + c.len_utf8()..]);
                    compare(before);
                    compare(&format!("{before}{after}"));
                    for other in "{}[]:,\"\\ \n\t\u{1}\u{a0}é0129-+.eEutfn/".chars() {
                        compare(&format!("{before}{other}{after}"));
                        compare(&format!("{before}{other}{c}{after}"));
                    }
                }
            }
        }
        assert!(quick > 5_000, "{quick} texts were read the quick way");
    }

    #[test]
    fn ordinary_answers_are_read_the_quick_way() {
        for text in &TEXTS[..1] {
            assert!(skim(&shape(SHAPES[1]), text).is_some(), "{text}");
        }
        let deep = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(skim(&shape(SHAPES[1]), &deep(MAX_DEPTH - 1)).is_some());
        assert!(skim(&shape(SHAPES[1]), &deep(MAX_DEPTH)).is_none());
    }

    /// The files of JSONTestSuite: what has to be accepted (`y_`), refused (`n_`), or may be either (`i_`).
    #[test]
    #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
    #[expect(clippy::disallowed_methods, reason = "the suite stands outside the package")]
    fn the_parsing_suite_is_accepted_or_refused_as_it_says() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/conformance/json-parsing");
        let Ok(files) = std::fs::read_dir(folder) else {
            eprintln!("skipped: JSONTestSuite is not at {folder}");
            return;
        };
        let mut files: Vec<_> = files.map(|file| file.expect("the folder can be read").path()).collect();
        files.sort();
        let (mut accepted, mut refused) = (0, 0);
        for file in files {
            let name = file.file_name().expect("a file has a name").to_string_lossy();
            // What is no UTF-8 never comes this far.
            let Ok(text) = String::from_utf8(std::fs::read(&file).expect("the file can be read")) else {
                assert!(!name.starts_with("y_"), "{name}");
                continue;
            };
            let beside = format!("{{\"skipped\":{text},\"kept\":1}}");
            let results = [
                ("kept", Shape::Whole.parse(&text).is_ok()),
                ("dropped", Shape::nothing().parse(&text).is_ok()),
                ("kept in part", shape(&[&["a"]]).parse(&text).is_ok()),
                ("beside", shape(&[&["kept"]]).parse(&beside).is_ok()),
                ("in", shape(&[&["skipped"]]).parse(&beside).is_ok()),
            ];
            for (how, is_accepted) in results {
                match &name[..2] {
                    "y_" => assert!(is_accepted, "{name}, {how}"),
                    "n_" => assert!(!is_accepted, "{name}, {how}"),
                    _ => {}
                }
            }
            accepted += usize::from(name.starts_with("y_"));
            refused += usize::from(name.starts_with("n_"));
        }
        assert_eq!((accepted, refused), (95, 176), "accepted and refused");
    }
}
