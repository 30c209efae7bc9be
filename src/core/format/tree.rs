//! A text of TOML as items in their order, with the comments and blank lines between them.

use toml_parser::{
    Source,
    parser::{Event, EventKind, parse_document},
};

/// What stands on lines of its own in a file, or between the brackets of a list.
#[derive(Debug)]
pub(super) enum Item<'a> {
    /// One or more blank lines.
    Blank,
    /// A comment with nothing before it.
    Comment(&'a str),
    /// `[table]` or `[[table]]`.
    Header(String, Option<Comment<'a>>),
    /// `key = value`, or an entry of an array.
    Pair(Pair<'a>),
}

/// `key = value`; an entry of an array has no key.
#[derive(Debug)]
pub(super) struct Pair<'a> {
    pub(super) key: Option<String>,
    pub(super) value: Value<'a>,
    pub(super) comment: Option<Comment<'a>>,
}

/// A value as written.
#[derive(Debug)]
pub(super) enum Value<'a> {
    /// Anything but the two below.
    Scalar(&'a str),
    /// An array or an inline table.
    List(List<'a>),
}

/// What stands between brackets.
#[derive(Debug)]
pub(super) struct List<'a> {
    /// `{` rather than `[`.
    pub(super) table: bool,
    /// It is written over several lines.
    pub(super) broken: bool,
    pub(super) items: Vec<Item<'a>>,
}

impl List<'_> {
    pub(super) fn brackets(&self) -> (char, char) {
        if self.table { ('{', '}') } else { ('[', ']') }
    }
}

/// A comment at the end of a line, and where it was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Comment<'a> {
    pub(super) text: &'a str,
    /// The characters of its line before it.
    pub(super) column: usize,
    /// The white space right before it, in characters.
    pub(super) gap: usize,
}

/// Reads a text that is known to be TOML: lists lie no deeper in one another than its parser allows.
pub(super) fn read(text: &str) -> Vec<Item<'_>> {
    let mut events: Vec<Event> = Vec::new();
    let tokens = Source::new(text).lex().into_vec();
    parse_document(&tokens, &mut events, &mut ());
    Reader { text, events: events.into_iter() }.items(None).0
}

struct Reader<'a> {
    text: &'a str,
    events: std::vec::IntoIter<Event>,
}

impl<'a> Reader<'a> {
    /// The items up to the closing bracket, or to the end; true if there are lines among them.
    fn items(&mut self, close: Option<EventKind>) -> (Vec<Item<'a>>, bool) {
        let mut items = Vec::new();
        let mut broken = false;
        // Nothing stands on this line yet; the line of an opening bracket is not a new one.
        let mut fresh = close.is_none();
        while let Some(event) = self.events.next().filter(|event| Some(event.kind()) != close) {
            match event.kind() {
                EventKind::Whitespace => continue,
                EventKind::Newline => {
                    if fresh {
                        items.push(Item::Blank);
                    }
                    broken = true;
                    fresh = true;
                    continue;
                }
                EventKind::Comment => {
                    let comment = self.comment(event);
                    match items.last_mut() {
                        Some(Item::Header(_, place) | Item::Pair(Pair { comment: place, .. }))
                            if !fresh && place.is_none() =>
                        {
                            *place = Some(comment);
                        }
                        _ => items.push(Item::Comment(comment.text)),
                    }
                }
                EventKind::StdTableOpen => items.push(Item::Header(self.key("[", "]"), None)),
                EventKind::ArrayTableOpen => items.push(Item::Header(self.key("[[", "]]"), None)),
                EventKind::SimpleKey => {
                    let key = format!("{}{}", self.slice(event), self.key("", ""));
                    let value = self.next_value();
                    items.extend(value.map(|value| Item::Pair(Pair { key: Some(key), value, comment: None })));
                }
                _ => {
                    let value = self.value(event);
                    items.extend(value.map(|value| Item::Pair(Pair { key: None, value, comment: None })));
                }
            }
            fresh = false;
        }
        (spaced(items), broken)
    }

    /// The rest of a key up to what ends it, without the white space in it.
    fn key(&mut self, open: &str, close: &str) -> String {
        let mut key = open.to_owned();
        for event in self.events.by_ref() {
            match event.kind() {
                EventKind::SimpleKey | EventKind::KeySep => {
                    key.push_str(&self.text[event.span().start()..event.span().end()]);
                }
                EventKind::Whitespace => {}
                _ => break,
            }
        }
        key + close
    }

    fn next_value(&mut self) -> Option<Value<'a>> {
        let event = self.events.find(|event| event.kind() != EventKind::Whitespace)?;
        self.value(event)
    }

    fn value(&mut self, event: Event) -> Option<Value<'a>> {
        let (table, close) = match event.kind() {
            EventKind::Scalar => return Some(Value::Scalar(self.slice(event))),
            EventKind::ArrayOpen => (false, EventKind::ArrayClose),
            EventKind::InlineTableOpen => (true, EventKind::InlineTableClose),
            // The comma between entries.
            _ => return None,
        };
        let (items, broken) = self.items(Some(close));
        Some(Value::List(List { table, broken, items }))
    }

    fn slice(&self, event: Event) -> &'a str {
        &self.text[event.span().start()..event.span().end()]
    }

    fn comment(&self, event: Event) -> Comment<'a> {
        let before = &self.text[..event.span().start()];
        let line = &before[before.rfind('\n').map_or(0, |at| at + 1)..];
        let code = line.trim_end_matches([' ', '\t']);
        let column = line.chars().count();
        Comment { text: self.slice(event).trim_end(), column, gap: column - code.chars().count() }
    }
}

/// The items with the blank lines that belong between them, and no others.
fn spaced(items: Vec<Item<'_>>) -> Vec<Item<'_>> {
    let mut spaced: Vec<Item<'_>> = Vec::with_capacity(items.len());
    for item in items {
        match item {
            Item::Blank if matches!(spaced.last(), None | Some(Item::Blank | Item::Header(..))) => continue,
            Item::Header(..) => {
                let comments = spaced.iter().rev().take_while(|item| matches!(item, Item::Comment(_))).count();
                let at = spaced.len() - comments;
                if at > 0 && !matches!(spaced[at - 1], Item::Blank) {
                    spaced.insert(at, Item::Blank);
                }
            }
            _ => {}
        }
        spaced.push(item);
    }
    if matches!(spaced.last(), Some(Item::Blank)) {
        spaced.pop();
    }
    spaced
}
