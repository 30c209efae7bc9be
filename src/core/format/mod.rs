//! The one look of rule files and case files.
//!
//! Only white space moves, and the comma after the last entry of a list: keys, values, comments and their
//! order stay, letter for letter. So a rule means the same before and after, and says so in the same words.
//!
//! - `=` stand below one another, up to the next blank line or table.
//! - One blank line stands before a table and the comment above it, and at most one elsewhere.
//! - A list that is written over several lines has one entry a line, and a comma after each. One of several
//!   tables is written so if its line would be longer than [`WIDTH`]; every other stays on its line.
//! - Comments at the ends of lines stay where they are, and those that stand below one another stay so.

mod tree;

use std::sync::Arc;

use self::tree::{Comment, Item, List, Pair, Value};
use super::{
    problem::{Problem, Problems, Source},
    rule,
};

/// No line with a list of several tables is longer, in characters.
const WIDTH: usize = 120;
/// What the entries of a list are set in by.
const INDENT: usize = 4;
/// The mark that some editors put at the start of a file.
const BOM: char = '\u{feff}';

/// The text as it should look.
///
/// # Errors
/// What keeps the text from being read as TOML.
pub fn format(source: &Arc<Source>) -> Result<String, Vec<Problem>> {
    let mut problems = Problems::default();
    if !rule::is_toml(source, &mut problems) {
        return Err(problems.sorted());
    }
    let mut lines = block(&tree::read(&source.text), 0, "");
    align_comments(&mut lines);
    let ends_with_cr = source.text.split_once('\n').is_some_and(|(line, _)| line.ends_with('\r'));
    let end = if ends_with_cr { "\r\n" } else { "\n" };
    let mark = source.text.chars().next().filter(|first| *first == BOM);
    let mut text: String = mark.into_iter().collect();
    text.extend(lines.iter().map(|line| line.write(end)));
    Ok(text)
}

/// One line of the result; its code has several if it ends with a long text.
#[derive(Debug, Default)]
struct Line<'a> {
    code: String,
    comment: Option<Comment<'a>>,
}

impl Line<'_> {
    fn write(&self, end: &str) -> String {
        match &self.comment {
            Some(Comment { text, gap, .. }) => format!("{}{:gap$}{text}{end}", self.code, ""),
            None => format!("{}{end}", self.code),
        }
    }

    fn width(&self) -> usize {
        width(&self.code)
    }

    /// Where its comment was found; what follows a long text stands in no column.
    fn column(&self) -> Option<usize> {
        self.comment.filter(|_| !self.code.contains('\n')).map(|comment| comment.column)
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Items one below the other; `mark` follows each entry.
fn block<'a>(items: &[Item<'a>], indent: usize, mark: &str) -> Vec<Line<'a>> {
    let mut lines = Vec::new();
    for group in items.split_inclusive(|item| matches!(item, Item::Blank | Item::Header(..))) {
        let keys = group.iter().filter_map(|item| match item {
            Item::Pair(pair) => pair.key.as_deref().map(width),
            _ => None,
        });
        let widest = keys.max().unwrap_or_default();
        for item in group {
            match item {
                Item::Blank => lines.push(Line::default()),
                Item::Comment(text) => lines.push(Line { code: format!("{:indent$}{text}", ""), comment: None }),
                Item::Header(code, comment) => lines.push(Line { code: code.clone(), comment: *comment }),
                Item::Pair(pair) => lines.extend(entry(pair, indent, widest, mark)),
            }
        }
    }
    lines
}

/// One entry; its key is as wide as the widest.
fn entry<'a>(pair: &Pair<'a>, indent: usize, widest: usize, mark: &str) -> Vec<Line<'a>> {
    let start = match &pair.key {
        Some(key) => format!("{:indent$}{key}{:pad$} = ", "", "", pad = widest - width(key)),
        None => " ".repeat(indent),
    };
    let mut comment = pair.comment;
    let mut lines = match &pair.value {
        Value::List(list) => match flat_list(list).filter(|flat| !is_too_long(list, width(&start) + width(flat))) {
            Some(flat) => vec![Line { code: start + flat.as_str(), comment: None }],
            None => {
                if let Some(comment) = comment.as_mut().filter(|_| !list.broken) {
                    // Where the end of the one line was says nothing of the end of the last of several.
                    comment.column = 0;
                }
                broken_list(list, &start, indent)
            }
        },
        Value::Scalar(text) => vec![Line { code: start + *text, comment: None }],
    };
    if let Some(last) = lines.last_mut() {
        last.code.push_str(mark);
        last.comment = comment;
    }
    lines
}

fn is_too_long(list: &List<'_>, width: usize) -> bool {
    let tables = list
        .items
        .iter()
        .all(|item| matches!(item, Item::Pair(Pair { value: Value::List(List { table: true, .. }), .. })));
    width > WIDTH && !list.table && tables && list.items.len() > 1
}

fn broken_list<'a>(list: &List<'a>, start: &str, indent: usize) -> Vec<Line<'a>> {
    let (open, close) = list.brackets();
    let mut lines = vec![Line { code: format!("{start}{open}"), comment: None }];
    lines.extend(block(&list.items, indent + INDENT, ","));
    lines.push(Line { code: format!("{:indent$}{close}", ""), comment: None });
    lines
}

/// The list on one line, if it may stand so.
fn flat_list(list: &List<'_>) -> Option<String> {
    if list.broken {
        return None;
    }
    let entries = list.items.iter().map(|item| match item {
        Item::Pair(pair) => {
            let value = match &pair.value {
                Value::Scalar(text) => (*text).to_owned(),
                Value::List(list) => flat_list(list)?,
            };
            Some(pair.key.as_ref().map(|key| format!("{key} = ")).unwrap_or_default() + value.as_str())
        }
        Item::Blank | Item::Comment(_) | Item::Header(..) => None,
    });
    let entries = entries.collect::<Option<Vec<_>>>()?.join(", ");
    let (open, close) = list.brackets();
    let space = if list.table && !entries.is_empty() { " " } else { "" };
    Some(format!("{open}{space}{entries}{space}{close}"))
}

/// Puts each comment where it was found, or further right where the code has grown to there. Those of lines that
/// follow one another and had one column keep having one.
fn align_comments(lines: &mut [Line<'_>]) {
    for run in lines.chunk_by_mut(|a, b| a.column().is_some() && a.column() == b.column()) {
        let wanted = run.iter().filter_map(|line| {
            let Comment { column, gap, .. } = line.comment?;
            let width = line.width();
            Some(if column > width { column } else { width + gap.max(1) })
        });
        let column = wanted.max().unwrap_or_default();
        for line in run {
            let (width, aligned) = (line.width(), line.column().is_some());
            if let Some(comment) = &mut line.comment {
                comment.gap = if aligned { column - width } else { comment.gap.max(1) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formatted(text: &str) -> String {
        format(&Source::new("r.toml", text)).expect("it is TOML")
    }

    #[test]
    fn a_text_gets_its_one_look_and_keeps_it() {
        let long = format!("{{ when = \"a\", reason = \"{}\" }}", "x".repeat(60));
        for (what, written, expected) in [
            ("nothing", "", String::new()),
            ("a blank line alone", "\n\n", String::new()),
            ("keys of different lengths", "a=1\nbcd  =   2", "a   = 1\nbcd = 2\n".into()),
            ("a quoted and a dotted key", "'ä.b' = 1\nc . d=2\n", "'ä.b' = 1\nc.d   = 2\n".into()),
            ("a comment parts no keys", "a = 1\n  # why\nbc = 2\n", "a  = 1\n# why\nbc = 2\n".into()),
            ("a blank line does", "a = 1\n\n\nbc = 2\n", "a = 1\n\nbc = 2\n".into()),
            ("a header, set in", "  [ a . \"b\" ]  \n\n  x=1", "[a.\"b\"]\nx = 1\n".into()),
            ("tables without a line between", "[a]\n[[b]]\n", "[a]\n\n[[b]]\n".into()),
            ("the comment of a table", "x = 1\n# of a\n[a]\n", "x = 1\n\n# of a\n[a]\n".into()),
            ("a comment of no table", "x = 1\n# of x\n\n[a]\n", "x = 1\n# of x\n\n[a]\n".into()),
            ("lists on a line", "a = [1,2 , 3,]\nb={c=1,d={ }}", "a = [1, 2, 3]\nb = { c = 1, d = {} }\n".into()),
            ("a list over lines", "a = [1,\n 2]\n", "a = [\n    1,\n    2,\n]\n".into()),
            (
                "comments in a list",
                "a = [ # all\n1, # one\n\n\n# two\n2 # too\n, 3\n# end\n]\n",
                "a = [\n    # all\n    1, # one\n\n    # two\n    2, # too\n    3,\n    # end\n]\n".into(),
            ),
            (
                "a list over lines in one on a line",
                "a = [{ b = [\n1] }]\n",
                "a = [\n    {\n        b = [\n            1,\n        ],\n    },\n]\n".into(),
            ),
            (
                "a long list of tables",
                &format!("ab = [{long}, {long}] # c\nc = 1\n"),
                format!("ab = [\n    {long},\n    {long},\n] # c\nc  = 1\n"),
            ),
            ("a long list of one table", &format!("a = [{long}]\n"), format!("a = [{long}]\n")),
            ("a long text", "a = '''\n  x  \n  '''   # c\nbc = 1\n", "a  = '''\n  x  \n  '''   # c\nbc = 1\n".into()),
            ("a comment without a blank", "a = 1#c  \n", "a = 1 #c\n".into()),
            ("a comment far away", "a = 1     # c\n", "a = 1     # c\n".into()),
            ("comments below one another", "a = 1  # c\nbcd = 2 # d\n", "a   = 1  # c\nbcd = 2 # d\n".into()),
            (
                "a comment in no column",
                "a = 1   # c\nbcdef = 2 # d\nb = 3     # e\n",
                "a     = 1   # c\nbcdef = 2 # d\nb     = 3 # e\n".into(),
            ),
            (
                "comments in a column too near",
                "a = 1 # c\nbcdefg = 'h'  # d\n",
                "a      = 1 # c\nbcdefg = 'h'  # d\n".into(),
            ),
            (
                "letters of several bytes",
                "'ключ' = 'x'  # é\na = 'ы' # d\n",
                "'ключ' = 'x'  # é\na      = 'ы' # d\n".into(),
            ),
            ("a mark and CR LF", "\u{feff}a=1\r\n\r\n\r\nb=2", "\u{feff}a = 1\r\n\r\nb = 2\r\n".into()),
        ] {
            let once = formatted(written);
            assert_eq!(once, expected, "{what}");
            assert_eq!(formatted(&once), once, "{what}, again");
        }
    }

    #[test]
    fn what_is_no_toml_is_a_problem_with_its_place() {
        let problems = format(&Source::new("r.toml", "a = 1\nb = x")).expect_err("it is not TOML");
        assert_eq!(problems.first().map(|problem| problem.place.line_and_column()), Some((2, 5)));
        let twice = format(&Source::new("r.toml", "a = 1\na = 2\n")).expect_err("a key stands twice");
        assert_eq!(twice.len(), 1);
        assert!(format(&Source::new("r.toml", " ".repeat(rule::MAX_SOURCE + 1))).is_err());
    }

    #[test]
    fn lists_in_lists_end_somewhere() {
        let deep = |depth: usize| format!("a = {}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(formatted(&deep(50)), deep(50) + "\n");
        assert!(format(&Source::new("r.toml", deep(100_000))).is_err());
    }
}
