//! What is being read at a place of a JSONPath or of Rhai: the names before it, and the part that is typed.

/// One step of the way from the document to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A member.
    Name(String),
    /// Elements of a list, or all members.
    Each,
}

/// The steps before a place, and what is typed there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) steps: Vec<Step>,
    /// The start of the name that is typed, in the text before the place.
    pub(crate) start: usize,
    /// The name stands in brackets and quotes already.
    pub(crate) quoted: bool,
}

/// Steps are followed no further than this.
const LONGEST: usize = 64;

/// The end of a JSONPath, as far as it is typed.
pub(crate) fn of_path(before: &str) -> Option<Chain> {
    let rest = before.strip_prefix('$')?;
    from(rest, 1, Vec::new())
}

/// Reads segments of a path; `offset` is where they start in the whole.
fn from(mut rest: &str, mut offset: usize, mut steps: Vec<Step>) -> Option<Chain> {
    while steps.len() < LONGEST {
        let at = |used: usize| offset + used;
        if let Some(name) = rest.strip_prefix('.') {
            let length = name.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(name.len());
            if length == name.len() {
                return Some(Chain { steps, start: at(1), quoted: false });
            }
            match &name[..length] {
                "" if name.starts_with('*') => {
                    steps.push(Step::Each);
                    (rest, offset) = (&name[1..], at(2));
                }
                // Any depth: what follows may be anywhere.
                "" => return None,
                word => {
                    steps.push(Step::Name(word.to_owned()));
                    (rest, offset) = (&name[length..], at(1 + length));
                }
            }
            continue;
        }
        let inner = rest.strip_prefix('[')?;
        match closed(inner) {
            Some(end) => {
                steps.push(in_brackets(&inner[..end]));
                (rest, offset) = (&inner[end + 1..], at(end + 2));
            }
            None => return open(inner, at(1), steps),
        }
    }
    None
}

/// What stands in brackets that were closed.
fn in_brackets(text: &str) -> Step {
    let text = text.trim();
    let quoted = |quote: char| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    match quoted('\'').or_else(|| quoted('"')) {
        Some(name) => Step::Name(name.to_owned()),
        None => Step::Each,
    }
}

/// What is typed in brackets that are still open.
fn open(inner: &str, offset: usize, mut steps: Vec<Step>) -> Option<Chain> {
    if let Some(name) = inner.strip_prefix(['\'', '"']) {
        return (!name.contains(['\'', '"'])).then_some(Chain { steps, start: offset + 1, quoted: true });
    }
    let filter = inner.strip_prefix('?')?;
    // The last operand, if it is a path: of the element, or of the document.
    let last = filter.rfind(['@', '$'])?;
    let start = offset + 1 + last + 1;
    let path = &filter[last + 1..];
    if path.contains([' ', '=', '<', '>', '&', '|', '(', ')']) {
        return None;
    }
    if filter.as_bytes()[last] == b'@' {
        steps.push(Step::Each);
        from(path, start, steps)
    } else {
        from(path, start, Vec::new())
    }
}

/// The end of brackets, quotes and brackets in them considered.
fn closed(inner: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0_usize, None);
    for (at, c) in inner.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '[' | '(') => depth += 1,
            (None, ')') => depth = depth.saturating_sub(1),
            (None, ']') if depth == 0 => return Some(at),
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The end of an expression of Rhai, as far as it is typed.
pub(crate) fn of_rhai(before: &str) -> Chain {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let start = before.trim_end_matches(is_word).len();
    let (mut rest, mut steps) = (&before[..start], Vec::new());
    while steps.len() < LONGEST {
        // A dot, with the question mark of an access that may fail.
        let Some(owner) = rest.strip_suffix('.') else { break };
        let mut owner = owner.strip_suffix('?').unwrap_or(owner);
        while let Some(inner) = owner.strip_suffix(']') {
            let Some(open) = inner.rfind('[') else { break };
            steps.push(in_brackets(&inner[open + 1..]));
            owner = &inner[..open];
        }
        let name = owner.trim_end_matches(is_word).len();
        if name == owner.len() {
            // What a call gives is not known.
            steps.push(Step::Name(String::new()));
            break;
        }
        steps.push(Step::Name(owner[name..].to_owned()));
        rest = &owner[..name];
    }
    steps.reverse();
    Chain { steps, start, quoted: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(chain: Option<Chain>, before: &str) -> String {
        let Some(chain) = chain else { return "none".into() };
        let step = |step: &Step| match step {
            Step::Name(name) => name.clone(),
            Step::Each => "*".into(),
        };
        let steps: Vec<_> = chain.steps.iter().map(step).collect();
        format!("{}|{}{}", steps.join("/"), &before[chain.start..], if chain.quoted { " quoted" } else { "" })
    }

    #[test]
    fn the_steps_of_a_path_are_known_up_to_where_it_is_typed() {
        for (before, expected) in [
            ("$.", "|"),
            ("$.us", "|us"),
            ("$.user.", "user|"),
            ("$.user.é", "user|é"),
            ("$['user'].na", "user|na"),
            ("$.user['na", "user|na quoted"),
            ("$.user[\"a.b\"][0].x", "user/a.b/*|x"),
            ("$.emails[*].", "emails/*|"),
            ("$.emails[?@.primary == true].ver", "emails/*|ver"),
            ("$.emails[?@.", "emails/*|"),
            ("$.emails[?@.a == 'x]' && @.b.c", "emails/*/b|c"),
            ("$.emails[?@.id == $.user.", "user|"),
            ("$.emails[?@.a == ", "none"),
            ("$.emails[?length(@.na", "emails/*|na"),
            ("$..x", "none"),
            ("$", "none"),
            ("user.", "none"),
            ("$.a[", "none"),
        ] {
            assert_eq!(shown(of_path(before), before), expected, "{before}");
        }
    }

    #[test]
    fn the_steps_of_an_expression_are_known() {
        for (before, expected) in [
            ("", "|"),
            ("us", "|us"),
            ("if user.", "user|"),
            ("user.profile.na", "user/profile|na"),
            ("user.list[0].na", "user/list/*|na"),
            ("user[\"a b\"]?.na", "user/a b|na"),
            ("f(x).na", "|na"),
            ("\"text\".", "|"),
            ("a + secrets.", "secrets|"),
        ] {
            assert_eq!(shown(Some(of_rhai(before)), before), expected, "{before}");
        }
    }

    #[test]
    fn no_text_is_too_much() {
        for text in ["[".repeat(100_000), ".a".repeat(100_000), "[?@".repeat(50_000), "]".repeat(100_000)] {
            let _ = of_path(&format!("${text}"));
            let _ = of_rhai(&text);
        }
    }
}
