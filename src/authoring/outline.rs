//! What stands where in a text that may be unfinished: keys, values, tables, and what is being typed.
//!
//! A parser gives up where a text is not TOML, and a text that is being typed hardly ever is. So this goes over its
//! tokens, of which every text has some, and takes up the thread again at the next line that looks like a new entry.

use std::ops::Range;

use toml_parser::lexer::{Token, TokenKind};

/// A key or a value, with the names of the tables that it is in. Lists have no names: `[[a]]` is in `a`.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) path: Vec<String>,
    /// Which of the tables with the same name it is in: the number of the header before it.
    pub(crate) block: usize,
    pub(crate) span: Range<usize>,
}

/// A text, gone over.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    /// Keys, and the names in headers.
    pub(crate) keys: Vec<Entry>,
    /// Values that are no lists or tables.
    pub(crate) values: Vec<Entry>,
}

/// What is at a place of the text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Spot {
    /// A name in a header, after these names.
    Header { before: Vec<String>, span: Range<usize> },
    /// A key of the table with this path.
    Key { table: Vec<String>, block: usize, span: Range<usize> },
    /// The inside of a text that is the value of this path, with its quotes.
    Text { path: Vec<String>, literal: Range<usize> },
    /// A value of this path that is no text, or is not there yet.
    Value { path: Vec<String>, span: Range<usize> },
    /// Nothing of the language.
    Other,
}

impl Outline {
    pub(crate) fn new(text: &str) -> Outline {
        scan(text, None).0
    }

    /// The key with exactly this path; the first of several.
    pub(crate) fn key(&self, path: &[&str]) -> Option<&Entry> {
        self.keys.iter().find(|entry| entry.path == path)
    }

    /// The names that stand directly in a table.
    pub(crate) fn names(&self, table: &[&str]) -> Vec<&str> {
        let mut names = Vec::new();
        for entry in &self.keys {
            let inside = entry.path.len() > table.len() && entry.path.iter().zip(table).all(|(a, b)| a == b);
            if inside && !names.contains(&entry.path[table.len()].as_str()) {
                names.push(entry.path[table.len()].as_str());
            }
        }
        names
    }

    /// The value of a path, without its quotes.
    pub(crate) fn value<'t>(&self, text: &'t str, path: &[&str]) -> Option<&'t str> {
        let entry = self.values.iter().find(|entry| entry.path == path)?;
        Some(unquoted(&text[entry.span.clone()]))
    }
}

/// What is at a byte of a text.
pub(crate) fn spot(text: &str, at: usize) -> Spot {
    scan(text, Some(at)).1.unwrap_or(Spot::Other)
}

/// The letters of a literal without its quotes, escapes as they are.
pub(crate) fn unquoted(literal: &str) -> &str {
    let inner = inside(literal);
    &literal[inner]
}

/// Where the letters of a literal are; the quotes at its end may be missing.
pub(crate) fn inside(literal: &str) -> Range<usize> {
    for quotes in ["'''", "\"\"\"", "'", "\""] {
        if let Some(rest) = literal.strip_prefix(quotes) {
            let end = if rest.ends_with(quotes) { rest.len() - quotes.len() } else { rest.len() };
            return quotes.len()..quotes.len() + end;
        }
    }
    0..literal.len()
}

/// What is expected next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Key,
    Value,
    /// A comma, a bracket or the end of the line.
    End,
}

/// Names and brackets deeper than this are not followed: TOML is read no deeper either.
const DEPTH: usize = 80;

/// An open bracket.
struct Open {
    table: bool,
    /// The path of the value.
    path: Vec<String>,
}

struct Scanner<'t> {
    text: &'t str,
    outline: Outline,
    base: Vec<String>,
    blocks: usize,
    open: Vec<Open>,
    /// The names of the key so far.
    key: Vec<String>,
    next: Next,
}

fn scan(text: &str, wanted: Option<usize>) -> (Outline, Option<Spot>) {
    let tokens = toml_parser::Source::new(text).lex().into_vec();
    let mut scanner = Scanner {
        text,
        outline: Outline::default(),
        base: Vec::new(),
        blocks: 0,
        open: Vec::new(),
        key: Vec::new(),
        next: Next::Key,
    };
    let mut spot = None;
    let mut number = 0;
    while let Some(token) = tokens.get(number) {
        let header = scanner.open.is_empty()
            && scanner.next == Next::Key
            && scanner.key.is_empty()
            && token.kind() == TokenKind::LeftSquareBracket;
        if header {
            number += scanner.header(&tokens[number..], wanted, &mut spot);
            continue;
        }
        if let Some(at) = wanted.filter(|_| spot.is_none()) {
            spot = scanner.spot_in(token, at);
        }
        scanner.take(token, &tokens[number + 1..]);
        number += 1;
    }
    (scanner.outline, spot)
}

fn span(token: &Token) -> Range<usize> {
    token.span().start()..token.span().end()
}

fn is_text(kind: TokenKind) -> bool {
    matches!(
        kind,
        TokenKind::BasicString | TokenKind::LiteralString | TokenKind::MlBasicString | TokenKind::MlLiteralString
    )
}

impl Scanner<'_> {
    /// The path of the table that a key would be in.
    fn table(&self) -> Vec<String> {
        self.open.last().map_or(&self.base, |open| &open.path).clone()
    }

    /// The path of the value that is expected.
    fn path(&self) -> Vec<String> {
        let mut path = self.table();
        path.extend(self.key.iter().cloned());
        path
    }

    /// What is at a byte of this token, or right at its end if more of it may be typed there.
    fn spot_in(&self, token: &Token, at: usize) -> Option<Spot> {
        let Range { start, end } = span(token);
        let word = token.kind() == TokenKind::Atom || is_text(token.kind());
        let here = if word { start < at && at <= end || start == at } else { (start..end).contains(&at) };
        if !here && token.kind() != TokenKind::Eof || at < start {
            return None;
        }
        let literal = &self.text[start..end];
        Some(match (self.next, token.kind()) {
            (_, TokenKind::Comment) => Spot::Other,
            (Next::Value, kind) if is_text(kind) => {
                let inner = inside(literal);
                match (start + inner.start..=start + inner.end).contains(&at) {
                    true => Spot::Text { path: self.path(), literal: start..end },
                    false => Spot::Other,
                }
            }
            (Next::Value, TokenKind::Atom) => Spot::Value { path: self.path(), span: start..end },
            (Next::Value, _) => Spot::Value { path: self.path(), span: at..at },
            (Next::Key, TokenKind::Atom) if self.key.is_empty() => {
                Spot::Key { table: self.table(), block: self.blocks, span: start..end }
            }
            // A part of a dotted key.
            (Next::Key, TokenKind::Atom) => Spot::Key { table: self.path(), block: self.blocks, span: start..end },
            (Next::Key, kind) if is_text(kind) => {
                Spot::Key { table: self.path(), block: self.blocks, span: start..end }
            }
            (Next::Key, TokenKind::Whitespace | TokenKind::Newline | TokenKind::Eof | TokenKind::RightCurlyBracket)
                if self.key.is_empty() =>
            {
                Spot::Key { table: self.table(), block: self.blocks, span: at..at }
            }
            _ => Spot::Other,
        })
    }

    fn take(&mut self, token: &Token, rest: &[Token]) {
        let word = &self.text[span(token)];
        match token.kind() {
            TokenKind::Newline => self.new_line(rest),
            TokenKind::Equals => self.next = Next::Value,
            TokenKind::Comma => {
                self.key.clear();
                self.next = if self.open.last().is_some_and(|open| open.table) { Next::Key } else { Next::Value };
            }
            TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket
                if self.next == Next::Value && self.open.len() < DEPTH =>
            {
                let table = token.kind() == TokenKind::LeftCurlyBracket;
                self.open.push(Open { table, path: self.path() });
                self.key.clear();
                self.next = if table { Next::Key } else { Next::Value };
            }
            TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => {
                self.open.pop();
                self.key.clear();
                self.next = Next::End;
            }
            kind if kind == TokenKind::Atom || is_text(kind) => match self.next {
                Next::Key if self.key.len() < DEPTH => {
                    self.key.push(unquoted(word).to_owned());
                    let path = self.path();
                    self.outline.keys.push(Entry { path, block: self.blocks, span: span(token) });
                }
                Next::Value => {
                    let path = self.path();
                    self.outline.values.push(Entry { path, block: self.blocks, span: span(token) });
                    self.next = Next::End;
                }
                Next::Key | Next::End => {}
            },
            _ => {}
        }
    }

    /// A new line ends an entry, and what is open too if it looks like the start of another.
    fn new_line(&mut self, rest: &[Token]) {
        if !self.open.is_empty() && !starts_an_entry(self.text, rest) {
            return;
        }
        self.open.clear();
        self.key.clear();
        self.next = Next::Key;
    }

    /// A header; how many tokens it has.
    fn header(&mut self, tokens: &[Token], wanted: Option<usize>, spot: &mut Option<Spot>) -> usize {
        let length = tokens.iter().position(|token| matches!(token.kind(), TokenKind::Newline | TokenKind::Eof));
        let tokens = &tokens[..length.unwrap_or(tokens.len())];
        self.base.clear();
        self.blocks += 1;
        let mut closed = false;
        for token in tokens {
            let Range { start, end } = span(token);
            let word = token.kind() == TokenKind::Atom || is_text(token.kind());
            closed |= token.kind() == TokenKind::RightSquareBracket;
            if spot.is_none() && !closed && word && wanted.is_some_and(|at| (start..=end).contains(&at)) {
                *spot = Some(Spot::Header { before: self.base.clone(), span: start..end });
            }
            if word && !closed && self.base.len() < DEPTH {
                self.base.push(unquoted(&self.text[start..end]).to_owned());
                self.outline.keys.push(Entry { path: self.base.clone(), block: self.blocks, span: start..end });
            }
            // After an opening bracket or a dot, where a name may be typed.
            let opens = matches!(token.kind(), TokenKind::LeftSquareBracket | TokenKind::Dot);
            if let Some(at) = wanted.filter(|at| spot.is_none() && opens && *at == end) {
                let named = tokens.iter().any(|next| span(next).start == end && next.kind() == TokenKind::Atom);
                if !named {
                    *spot = Some(Spot::Header { before: self.base.clone(), span: at..at });
                }
            }
        }
        if let (Some(at), Some(first), Some(last)) = (wanted, tokens.first(), tokens.last())
            && spot.is_none()
            && (span(first).start..span(last).end).contains(&at)
        {
            *spot = Some(Spot::Other);
        }
        tokens.len()
    }
}

/// True for tokens that begin a line as `name = ` or `[name]` do, at its very start.
fn starts_an_entry(text: &str, tokens: &[Token]) -> bool {
    let line = tokens.split(|token| token.kind() == TokenKind::Newline).next().unwrap_or_default();
    let Some(first) = line.first() else { return false };
    match first.kind() {
        TokenKind::Atom => {
            let mut rest = line
                .iter()
                .skip_while(|token| matches!(token.kind(), TokenKind::Atom | TokenKind::Dot | TokenKind::Whitespace));
            rest.next().is_some_and(|token| token.kind() == TokenKind::Equals)
        }
        TokenKind::LeftSquareBracket => {
            let code = text[span(first).start..].lines().next().unwrap_or_default();
            let code = code.split('#').next().unwrap_or_default().trim();
            let name = code.trim_matches(['[', ']']);
            code.ends_with(']')
                && !name.is_empty()
                && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '"' | '\''))
                && name.starts_with(char::is_alphabetic)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The spot at `|`.
    fn at_mark(text: &str) -> (String, Spot) {
        let at = text.find('|').expect("there is a mark");
        let text = text.replacen('|', "", 1);
        let found = spot(&text, at);
        (text, found)
    }

    fn shown(text: &str) -> String {
        let (text, spot) = at_mark(text);
        let word = |span: &Range<usize>| text[span.clone()].to_owned();
        match spot {
            Spot::Header { before, span } => format!("header {} {}", before.join("."), word(&span)),
            Spot::Key { table, span, .. } => format!("key {} {}", table.join("."), word(&span)),
            Spot::Text { path, literal } => format!("text {} {}", path.join("."), word(&literal)),
            Spot::Value { path, span } => format!("value {} {}", path.join("."), word(&span)),
            Spot::Other => "other".into(),
        }
    }

    #[test]
    fn a_place_is_known_also_in_what_is_unfinished() {
        for (text, expected) in [
            ("|", "key  "),
            ("de|", "key  de"),
            ("[ca|", "header  ca"),
            ("[|", "header  "),
            ("[call.|\nurl = 1", "header call "),
            ("[call.us|er]", "header call user"),
            ("[[requ|ire]]", "header  require"),
            ("[call.user]\n|", "key call.user "),
            ("[call.user]\nur|\n[claims]", "key call.user ur"),
            ("[call.user]\nurl = |", "value call.user.url "),
            ("[call.user]\nurl =|\n", "value call.user.url "),
            ("[call.user]\noptional = tr|", "value call.user.optional tr"),
            ("[call.user]\ntoken = { he|", "key call.user.token he"),
            ("[call.user]\ntoken = { header = \"x\", | }", "key call.user.token "),
            ("[call.user]\nauth = { basic = { user = \"|\" } }", "text call.user.auth.basic.user \"\""),
            ("[call.user]\nfail_when = [\n    { when = \"a\", err|\n]\n", "key call.user.fail_when err"),
            ("[claims]\nsub = \"$.us|", "text claims.sub \"$.us"),
            ("[claims]\nsub = \"$.us|\nname = 1", "text claims.sub \"$.us"),
            ("[claims]\nname = [\"$.a\", '$.|']", "text claims.name '$.'"),
            // A list that was never closed does not swallow what follows.
            ("[claims]\nname = [\"$.a\",\nsub = \"$.|\"\n", "text claims.sub \"$.\""),
            ("[call.a]\nquery = { x = \"1\",\n[claims]\nsub = |", "value claims.sub "),
            ("a = 1 # [call.|", "other"),
            ("a.b|.c = 1", "key a b"),
            ("a = \"x\"|", "other"),
            ("a = '''\n|\n'''", "text a '''\n\n'''"),
            ("'quo|ted' = 1", "key  'quoted'"),
            ("} ] = [ |", "value  "),
        ] {
            assert_eq!(shown(text), expected, "{text:?}");
        }
    }

    #[test]
    fn keys_and_values_are_found_with_their_paths() {
        let text =
            "[vars]\nhost = \"h\"\n[call.user]\nurl = \"u\"\nquery = { a = 1 }\n[[require]]\nthat = 'x'\n[[require]]\n";
        let outline = Outline::new(text);
        assert_eq!(outline.names(&["call"]), ["user"]);
        assert_eq!(outline.names(&["call", "user"]), ["url", "query"]);
        assert_eq!(outline.value(text, &["vars", "host"]), Some("h"));
        assert_eq!(outline.value(text, &["call", "user", "query", "a"]), Some("1"));
        assert_eq!(outline.key(&["require"]).map(|entry| entry.block), Some(3));
    }

    #[test]
    fn any_text_can_be_gone_over_anywhere() {
        let text = "[a.\"b\nc = [[{ é = '''x\n]}=,. #\r\n[call.user] = \"\\u12\n😀";
        let deep = format!("a = {}{}", "{a=".repeat(50_000), ".b".repeat(50_000));
        let _ = spot(&deep, deep.len());
        for at in 0..=text.len() + 2 {
            let _ = spot(text, at);
        }
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
            let _ = Outline::new(&text[..end]);
            let _ = spot(&text[..end], end);
        }
    }
}
