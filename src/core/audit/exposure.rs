//! Which credentials a text of a call writes out. What goes into a signature or a hash cannot be read there any more.

use crate::core::value::closing;

/// Functions whose answer does not say what they were given.
const ONE_WAY: [&str; 17] = [
    "contains",
    "ends_with",
    "hmac_sha1",
    "hmac_sha256",
    "hmac_sha512",
    "is_empty",
    "jwt_claims",
    "jwt_header",
    "len",
    "md5",
    "regex_match",
    "rsa_sha256",
    "sha1",
    "sha256",
    "sha512",
    "starts_with",
    "uuid5",
];

/// What a text does with credentials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Exposure {
    /// The caller's token, or something that it can be read from, is in what is sent.
    pub(super) token: bool,
    /// The same of a secret.
    pub(super) secret: bool,
    /// The caller's token is used for something.
    pub(super) uses_token: bool,
}

impl Exposure {
    /// Looks at a text with `${…}`.
    pub(super) fn of(text: &str) -> Exposure {
        let mut exposure = Exposure::default();
        exposure.template(text, false);
        exposure
    }

    fn template(&mut self, text: &str, sealed: bool) {
        let mut rest = text;
        while let Some((_, after)) = rest.split_once("${") {
            // One that is never closed is a problem already.
            let Some(end) = closing(after, 0) else { return };
            self.expression(&after[..end], sealed);
            rest = &after[end..];
        }
    }

    /// Looks at an expression; `sealed` if it stands in the argument of a function that is one way.
    fn expression(&mut self, text: &str, sealed: bool) {
        let mut at = 0;
        while let Some(c) = text[at..].chars().next() {
            at = match c {
                '"' | '\'' | '`' | '(' | '[' | '{' => self.operand(text, at, at, sealed),
                c if is_word(c) => self.operand(text, at, word_end(text, at), sealed),
                c => at + c.len_utf8(),
            };
        }
    }

    /// Looks at one operand with all that hangs on it, `token.sub_string(1).md5()`, and gives where it ends. Its word,
    /// if it starts with one, ends at `end`.
    fn operand(&mut self, text: &str, start: usize, end: usize, sealed: bool) -> usize {
        let word = &text[start..end];
        let (group, mut at) = group(text, end);
        let is_call = group.is_some_and(|_| text[end..].starts_with('('));
        let mut groups: Vec<_> = group.into_iter().collect();
        let mut sealed = sealed || is_call && ONE_WAY.contains(&word);
        let mut members = Vec::new();
        // A word alone may have an index, `list[0]`, which `group` has taken for its own.
        while let Some(name) = text[at..].strip_prefix('.').or_else(|| text[at..].strip_prefix("?.")) {
            let from = text.len() - name.len();
            let end = word_end(text, from);
            if end == from {
                break;
            }
            let is_method = text[end..].starts_with('(');
            sealed |= is_method && ONE_WAY.contains(&&text[from..end]);
            members.push(is_method);
            let (group, after) = self::group(text, end);
            groups.extend(group);
            at = after;
        }
        match word {
            // With a member it is what was verified of the token.
            "token" if !is_call && members.first() != Some(&false) => {
                self.uses_token = true;
                self.token |= !sealed;
            }
            "secrets" if !is_call => self.secret |= !sealed,
            _ => {}
        }
        for inner in groups {
            match inner.as_bytes().first() {
                Some(b'`') => self.template(inner, sealed),
                Some(b'"' | b'\'') => {}
                _ => self.expression(&inner[1..inner.len().max(2) - 1], sealed),
            }
        }
        at.max(start + 1)
    }
}

/// What stands in quotes, parentheses or brackets at a byte, with these, and where it ends.
fn group(text: &str, at: usize) -> (Option<&str>, usize) {
    let mut depth = 0_usize;
    let mut quote = None;
    let mut escaped = false;
    for (offset, c) in text[at..].char_indices() {
        let end = at + offset + c.len_utf8();
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), _) if c == open => {
                quote = None;
                if depth == 0 {
                    return (Some(&text[at..end]), end);
                }
            }
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return (Some(&text[at..end]), end);
                }
            }
            (None, _) => {}
        }
        if depth == 0 && quote.is_none() {
            break;
        }
    }
    (None, at)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn word_end(text: &str, at: usize) -> usize {
    text[at..].find(|c| !is_word(c)).map_or(text.len(), |end| at + end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_credential_that_can_be_read_is_written_out() {
        for (text, token, secret) in [
            ("${token}", true, false),
            ("x${ token }y", true, false),
            ("Bearer ${token} ${secrets.key}", true, true),
            ("${secrets.key}", false, true),
            ("a${ secrets.key }b", false, true),
            ("${hmac_sha256(secrets.key, token)}", false, false),
            ("${hmac_sha256(secrets.key, `a${token}b`)}", false, false),
            ("${base64(token)}", true, false),
            ("${base64(`${secrets.id}:${token}`)}", true, true),
            ("${md5(base64(token) + secrets.key)}", false, false),
            ("${token.md5()}", false, false),
            ("${token.trim().sha1(\"hex\")}", false, false),
            ("${(token + secrets.key).md5()}", false, false),
            ("${`${token}:${secrets.key}`.md5().to_upper()}", false, false),
            ("${token + token.md5()}", true, false),
            ("${md5(\"a\") + token}", true, false),
            ("${token.sub_string(0, 4)}", true, false),
            ("${jwt_claims(token).sub}", false, false),
            ("${token.sub}", false, false),
            ("${token.sub.to_lower()}", false, false),
            ("${\"token\" + user.token}", false, false),
            ("${user.list[token.len()]}", false, false),
            ("${[token][0]}", true, false),
            ("${md5(\")\") + \"token\"}", false, false),
            ("${if user.x { token } else { \"\" }}", true, false),
            ("${md5(`a${vars.x}`)}&key=${secrets.key}", false, true),
            ("${vars.key}", false, false),
            ("token secrets.key", false, false),
            ("${token", false, false),
            ("${((token}", true, false),
        ] {
            let found = Exposure::of(text);
            assert_eq!((found.token, found.secret), (token, secret), "{text}");
        }
        assert!(Exposure::of("${hmac_sha256(secrets.key, token)}").uses_token);
        assert!(!Exposure::of("${token.sub}").uses_token);
    }
}
