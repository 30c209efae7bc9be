//! The header `Link` (RFC 8288), as far as it leads to the next page.

use http::{HeaderMap, header};

/// The target of the first link whose relation is `next`.
pub(super) fn next(headers: &HeaderMap) -> Option<String> {
    let fields = headers.get_all(header::LINK).iter().filter_map(|value| value.to_str().ok());
    fields.flat_map(links).find(|link| link.is_next).map(|link| link.target.to_owned())
}

struct Link<'h> {
    target: &'h str,
    is_next: bool,
}

/// The links of one field. What is not well formed ends it: half a link leads nowhere.
fn links(field: &str) -> Vec<Link<'_>> {
    let mut links = Vec::new();
    let mut rest = field.trim_start_matches([' ', '\t', ',']);
    while let Some((target, after)) = rest.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
        let (parameters, after) = split(after, ',');
        let relations = parameter(parameters, "rel");
        let is_next = relations.split_ascii_whitespace().any(|relation| relation.eq_ignore_ascii_case("next"));
        links.push(Link { target, is_next });
        rest = after.trim_start_matches([' ', '\t', ',']);
    }
    links
}

/// The value of a parameter; the first counts (RFC 8288, section 3.3).
fn parameter<'p>(parameters: &'p str, name: &str) -> &'p str {
    let mut rest = parameters;
    while !rest.is_empty() {
        let (one, after) = split(rest, ';');
        rest = after;
        if let Some((key, value)) = one.split_once('=')
            && key.trim().eq_ignore_ascii_case(name)
        {
            return value.trim().trim_matches('"');
        }
    }
    ""
}

/// Splits at the first mark that stands outside quotes; the mark is in neither part.
fn split(text: &str, mark: char) -> (&str, &str) {
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if c == mark && !quoted => return (&text[..at], &text[at + 1..]),
            _ => {}
        }
    }
    (text, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_among_other_links() {
        for (field, expected) in [
            (r#"<https://a.example/?page=2>; rel="next", <https://a.example/?page=9>; rel="last""#, Some("?page=2")),
            (r#"<https://a.example/?page=1>; rel="prev", <https://a.example/?page=3>; rel=next"#, Some("?page=3")),
            (r#"<https://a.example/?a=1,2;3>; title="x, \"y\"; rel=next"; rel="start next""#, Some("?a=1,2;3")),
            (r#"<https://a.example/?page=1>; rel="prev"; rel="next""#, None),
            (r#"<https://a.example/?page=2>; title="rel=next""#, None),
            (r#"<https://a.example/?page=2"#, None),
            ("next", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::LINK, field.parse().expect("a header value"));
            let found = next(&headers);
            assert_eq!(found.as_deref().map(|url| url.trim_start_matches("https://a.example/")), expected, "{field}");
        }
    }
}
