//! Text with `${…}`: compiled once, escaped for where it stands.

use std::{borrow::Cow, fmt, ops::Range};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{
    Expression, Failure, Known, Memory, Mentions, Offer, Path, Spot,
    expression::{Program, unknown_secret},
    from_script,
};
use crate::core::{
    facts::{Facts, Root},
    message::Secret,
    problem::{Code, Problems},
};

/// Where a text stands, and so how what is put into it is escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// A claim: nothing to escape.
    Claim,
    /// A URL: the origin from the rule alone, then one path segment, or one query value.
    Url,
    /// One query value: what the rule writes itself keeps its commas and colons.
    Query,
    /// One form field; the form is encoded as a whole.
    Form,
    /// One field's value in a form that the rule writes as text.
    FormText,
    /// One header value.
    Header,
    /// One JSON string, between its quotes.
    Json,
    /// Text as it is, in a body that says it is plain text.
    Raw,
}

/// The caller's token, where it may be written out.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// The token itself.
    pub token: &'a str,
}

/// A compiled text.
pub struct Template {
    pieces: Vec<Piece>,
    text: Box<str>,
}

enum Piece {
    /// Known when the rule is loaded. A secret is shown by its name.
    Fixed { text: String, shown: Option<String>, stands_in: bool },
    /// Known when the answers are.
    Path(Path, Escape),
    /// The caller's token.
    Token(Escape),
    /// A Rhai expression; `shown` stands for it if it reads a credential.
    Program(Program, Escape, Option<String>),
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({:?})", self.text)
    }
}

type Escape = fn(&str) -> Result<Cow<'_, str>, Failure>;

impl Template {
    /// Compiles a text.
    pub fn compile(
        spot: &Spot<'_>,
        text: &str,
        position: Position,
        offer: Offer,
        known: &Known<'_>,
        problems: &mut Problems,
    ) -> Option<Template> {
        let mut compiler = Compiler { position, offer, known, pieces: Vec::new(), in_query: false };
        let mut sound = true;
        let mut rest = 0;
        while let Some(start) = text[rest..].find("${").map(|at| rest + at) {
            let Some(end) = closing(text, start + 2) else {
                let problem = spot.problem(Code::BadTemplate, start..start + 2, "`${` without its `}`");
                problems.add(problem.label("opened here").help("close it with `}`"));
                return None;
            };
            compiler.literal(&text[rest..start]);
            sound &= compiler.expression(spot, text, start + 2..end, problems);
            rest = end + 1;
        }
        compiler.literal(&text[rest..]);
        sound.then(|| Template { pieces: compiler.pieces, text: text.into() })
    }

    /// The text as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The whole text, if it was known when the rule was loaded.
    pub fn fixed(&self) -> Option<Cow<'_, str>> {
        match &self.pieces[..] {
            [] => Some(Cow::Borrowed("")),
            [Piece::Fixed { text, .. }] => Some(Cow::Borrowed(text)),
            pieces => pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Fixed { text, .. } => Some(text.as_str()),
                    _ => None,
                })
                .collect::<Option<String>>()
                .map(Cow::Owned),
        }
    }

    /// True if a secret in it is not known, so that its value cannot be judged.
    pub fn stands_in(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Fixed { stands_in: true, .. }))
    }

    /// What stands at the start before anything that only a request knows.
    pub fn fixed_start(&self) -> String {
        self.pieces
            .iter()
            .map_while(|piece| match piece {
                Piece::Fixed { text, .. } => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }

    /// True if it holds a secret or the caller's token.
    pub fn is_secret(&self) -> bool {
        self.pieces.iter().any(|piece| match piece {
            Piece::Fixed { shown, .. } | Piece::Program(_, _, shown) => shown.is_some(),
            Piece::Token(_) => true,
            Piece::Path(..) => false,
        })
    }

    /// Adds what it reads.
    pub fn mentions(&self, mentions: &mut Mentions) {
        for piece in &self.pieces {
            match piece {
                Piece::Fixed { .. } => {}
                Piece::Path(path, _) => path.mentions(mentions),
                Piece::Token(_) => mentions.token = true,
                Piece::Program(program, ..) => mentions.extend(program.mentions()),
            }
        }
    }

    /// Puts the text together. `None` if a part is absent: then the whole is.
    pub fn render(
        &self,
        facts: &Facts<'_>,
        memory: &mut Memory,
        credentials: Option<Credentials<'_>>,
    ) -> Result<Option<String>, Failure> {
        self.put_together(facts, memory, credentials, false)
    }

    /// The same for human eyes: the token and the secrets are replaced by their names.
    pub fn show(&self, facts: &Facts<'_>, memory: &mut Memory) -> Result<Option<String>, Failure> {
        self.put_together(facts, memory, None, true)
    }

    fn put_together(
        &self,
        facts: &Facts<'_>,
        memory: &mut Memory,
        credentials: Option<Credentials<'_>>,
        show: bool,
    ) -> Result<Option<String>, Failure> {
        let mut whole = String::with_capacity(self.text.len() + 16);
        for piece in &self.pieces {
            match piece {
                Piece::Fixed { shown: Some(shown), .. } | Piece::Program(_, _, Some(shown)) if show => {
                    whole.push_str(shown);
                }
                Piece::Token(_) if show => whole.push_str("[token]"),
                Piece::Fixed { text, .. } => whole.push_str(text),
                Piece::Path(path, escape) => match path.first(facts)? {
                    Some(value) if !value.is_null() => whole.push_str(&escape(&as_text(&value)?)?),
                    _ => return Ok(None),
                },
                Piece::Token(escape) => match credentials {
                    Some(credentials) => whole.push_str(&escape(credentials.token)?),
                    None => return Ok(None),
                },
                Piece::Program(program, escape, _) => {
                    let value = program.run(facts, memory, credentials.map(|credentials| credentials.token))?;
                    let unfit = |why| Failure::Unfit { place: "a text", why };
                    match from_script(&value).map_err(unfit)? {
                        Some(value) => whole.push_str(&escape(&as_text(&value)?)?),
                        None => return Ok(None),
                    }
                }
            }
        }
        Ok(Some(whole))
    }
}

/// The `}` that closes an expression which starts at `from`; braces and strings of Rhai are stepped over.
pub fn closing(text: &str, from: usize) -> Option<usize> {
    let mut depth = 0;
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text[from..].char_indices() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '{') => depth += 1,
            (None, '}') if depth == 0 => return Some(from + at),
            (None, '}') => depth -= 1,
            (None, _) => {}
        }
    }
    None
}

struct Compiler<'a> {
    position: Position,
    offer: Offer,
    known: &'a Known<'a>,
    pieces: Vec<Piece>,
    in_query: bool,
}

impl Compiler<'_> {
    /// What the rule writes itself.
    fn literal(&mut self, text: &str) {
        match self.position {
            Position::Query => self.fixed(utf8_percent_encode(text, NOT_IN_QUERY).to_string()),
            _ => self.fixed(text.to_owned()),
        }
    }

    /// What is known now, and escaped already.
    fn fixed(&mut self, text: String) {
        if !text.is_empty() {
            self.in_query |= text.contains('?');
            self.pieces.push(Piece::Fixed { text, shown: None, stands_in: false });
        }
    }

    /// Compiles what stands between the braces. False if there was a problem.
    fn expression(&mut self, spot: &Spot<'_>, text: &str, range: Range<usize>, problems: &mut Problems) -> bool {
        let inner = &text[range.clone()];
        let spot = spot.at(range.start);
        let name = inner.trim();
        let at = inner.find(name).unwrap_or(0);
        if self.offer == Offer::Call {
            if name == "token" {
                self.pieces.push(Piece::Token(self.escape()));
                return true;
            }
            if let Some(secret) = name.strip_prefix("secrets.").filter(|name| crate::core::rule::is_variable_name(name))
            {
                return self.secret(&spot, at + "secrets.".len(), secret, problems);
            }
        }
        let Some(expression) = Expression::compile(&spot, inner, self.offer, self.known, problems) else {
            return false;
        };
        let escape = self.escape();
        match expression {
            Expression::Path(path) => match self.var(&path) {
                Some(Value::Null) => {
                    problems.add(
                        spot.problem(Code::UnknownName, at..at + name.len(), format!("there is no `{name}`"))
                            .label("nothing is there")
                            .help("a var is one value, without members"),
                    );
                    return false;
                }
                Some(value) => {
                    let raw = as_text(&value).unwrap_or_default().into_owned();
                    // The operator's word may name the origin and a base path, but no more than one segment after that.
                    let text = match escape(&raw) {
                        Ok(escaped) if !self.in_origin() => escaped.into_owned(),
                        _ => raw,
                    };
                    self.fixed(text);
                }
                None => self.pieces.push(Piece::Path(path, escape)),
            },
            Expression::Program(program) => {
                let mut mentions = Mentions::default();
                mentions.extend(program.mentions());
                let shown = (mentions.token || inner.contains("secrets")).then(|| format!("[{name}]"));
                self.pieces.push(Piece::Program(*program, escape, shown));
            }
        }
        true
    }

    /// The value of a var; null for one that does not exist; `None` if the path reads something else.
    fn var(&self, path: &Path) -> Option<Value> {
        let mut mentions = Mentions::default();
        path.mentions(&mut mentions);
        match &mentions.paths[..] {
            [(Root::Vars, members)] => {
                let value = members.iter().try_fold(self.known.vars, |value, name| value.get(name));
                Some(value.cloned().unwrap_or(Value::Null))
            }
            _ => None,
        }
    }

    fn secret(&mut self, spot: &Spot<'_>, at: usize, name: &str, problems: &mut Problems) -> bool {
        if !self.known.secret_names.iter().any(|known| known == name) {
            problems.add(unknown_secret(spot, at, name, self.known));
            return false;
        }
        // A secret that could not be resolved is a problem of its own; it was reported where it is declared.
        let secret = self.known.secrets.get(name);
        let value = secret.map_or("unresolved", |secret| secret.expose());
        let stands_in = secret.is_none_or(Secret::stands_in);
        let escaped = match (self.escape())(value) {
            Ok(escaped) => escaped.into_owned(),
            Err(failure) => {
                let why = match failure {
                    Failure::Unfit { why, .. } => why,
                    _ => "it cannot be escaped",
                };
                let message = format!("the value of the secret `{name}` cannot stand here");
                problems.add(
                    spot.problem(Code::BadHeader, at..at + name.len(), message)
                        .label(why)
                        .help("correct the value where the secret comes from"),
                );
                return false;
            }
        };
        self.pieces.push(Piece::Fixed { text: escaped, shown: Some(format!("[secrets.{name}]")), stands_in });
        true
    }

    /// True while a URL's scheme, host and port are not complete.
    fn in_origin(&self) -> bool {
        if self.position != Position::Url {
            return false;
        }
        let so_far: String = self
            .pieces
            .iter()
            .map(|piece| match piece {
                Piece::Fixed { text, .. } => text.as_str(),
                _ => "",
            })
            .collect();
        match so_far.split_once("://") {
            Some((_, after)) => !after.contains(['/', '?', '#']),
            None => true,
        }
    }

    fn escape(&self) -> Escape {
        match self.position {
            Position::Claim | Position::Raw | Position::Form => |text| Ok(Cow::Borrowed(text)),
            Position::Url if !self.in_query => segment,
            Position::Url | Position::Query | Position::FormText => field,
            Position::Header => header,
            Position::Json => json,
        }
    }
}

/// Everything but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What would end a query value, or would not be read as itself in one.
const NOT_IN_QUERY: &AsciiSet = &percent_encoding::CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b'\'')
    .add(b'+')
    .add(b'<')
    .add(b'>');

fn field(text: &str) -> Result<Cow<'_, str>, Failure> {
    Ok(utf8_percent_encode(text, RESERVED).into())
}

fn segment(text: &str) -> Result<Cow<'_, str>, Failure> {
    let refuse = |why| Err(Failure::Unfit { place: "a path segment", why });
    match text {
        "" => refuse("it is empty"),
        "." | ".." => refuse("it would be read as a step in the path"),
        _ => field(text),
    }
}

fn header(text: &str) -> Result<Cow<'_, str>, Failure> {
    if text.bytes().any(|byte| byte < 0x20 && byte != b'\t' || byte == 0x7f) {
        return Err(Failure::Unfit { place: "a header value", why: "it has a control character" });
    }
    Ok(Cow::Borrowed(text))
}

fn json(text: &str) -> Result<Cow<'_, str>, Failure> {
    let quoted = Value::String(text.to_owned()).to_string();
    Ok(Cow::Owned(quoted[1..quoted.len() - 1].to_owned()))
}

/// A scalar as text; numbers keep their digits.
fn as_text(value: &Value) -> Result<Cow<'_, str>, Failure> {
    match value {
        Value::String(text) => Ok(Cow::Borrowed(text)),
        Value::Number(number) => Ok(Cow::Borrowed(number.as_str())),
        Value::Bool(true) => Ok(Cow::Borrowed("true")),
        Value::Bool(false) => Ok(Cow::Borrowed("false")),
        Value::Null => Ok(Cow::Borrowed("")),
        Value::Array(_) | Value::Object(_) => Err(Failure::Unfit { place: "a text", why: "it is a list or an object" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_brace_is_found_past_braces_and_quotes_of_the_expression() {
        for (text, expected) in [
            ("${a}b", Some(3)),
            ("${#{x: 1}.x}", Some(11)),
            ("${\"}\"}", Some(5)),
            (r#"${"\"}"}"#, Some(7)),
            ("${a", None),
        ] {
            assert_eq!(closing(text, 2), expected, "{text}");
        }
    }

    #[test]
    fn hostile_values_stay_one_segment_or_are_refused() {
        for hostile in ["../x", "a/b", "?a=b", "#x", "@evil", "\\evil", "//evil", "%2e%2e", "a\r\nb", "\0", "․․", "／"]
        {
            let escaped = segment(hostile).expect("it can be escaped");
            assert!(!escaped.contains(['/', '?', '#', '@', '\\', '\r', '\n', '\0']), "{escaped}");
            assert!(!escaped.contains("%2e%2e"), "{escaped}");
        }
        for refused in ["", ".", ".."] {
            assert!(segment(refused).is_err(), "{refused:?}");
        }
        for refused in ["a\r\nX: y", "a\nb", "a\0", "\x7f"] {
            assert!(header(refused).is_err(), "{refused:?}");
        }
    }
}
