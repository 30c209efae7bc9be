//! The header `Link` (RFC 8288), as far as it leads to the next page.

use http::{HeaderMap, header};

/// The target of the first link whose relation is `next`; `None` if there is no such link.
///
/// # Errors
/// When the header cannot be read to its end: a link that is not understood may be the one that leads on, and a
/// list must not end there.
pub(super) fn next(headers: &HeaderMap) -> Result<Option<String>, &'static str> {
    const UNREADABLE: &str = "its header Link cannot be read";
    let mut next = None;
    for value in headers.get_all(header::LINK) {
        let field = std::str::from_utf8(value.as_bytes()).map_err(|_| UNREADABLE)?;
        let links = links(field).ok_or(UNREADABLE)?;
        let target = links.into_iter().find(|link| link.is_next).map(|link| link.target.to_owned());
        next = next.or(target);
    }
    Ok(next)
}

struct Link<'h> {
    target: &'h str,
    is_next: bool,
}

/// The links of one field; `None` if it is not well formed.
fn links(field: &str) -> Option<Vec<Link<'_>>> {
    let mut links = Vec::new();
    let mut rest = start(field);
    while !rest.is_empty() {
        let (target, after) = rest.strip_prefix('<')?.split_once('>')?;
        let (parameters, after) = split(after, ',')?;
        if !matches!(parameters.trim_start().chars().next(), None | Some(';')) {
            return None;
        }
        let relations = parameter(parameters, "rel")?;
        let is_next = relations.split_ascii_whitespace().any(|relation| relation.eq_ignore_ascii_case("next"));
        links.push(Link { target, is_next });
        rest = start(after);
    }
    Some(links)
}

/// Where the next link begins: empty elements of a list mean nothing (RFC 9110, section 5.6.1).
fn start(field: &str) -> &str {
    field.trim_start_matches([' ', '\t', ','])
}

/// The value of a parameter; the first counts (RFC 8288, section 3.3). Empty if there is none.
fn parameter<'p>(parameters: &'p str, name: &str) -> Option<&'p str> {
    let mut rest = parameters;
    while !rest.is_empty() {
        let (one, after) = split(rest, ';')?;
        rest = after;
        if let Some((key, value)) = one.split_once('=')
            && key.trim().eq_ignore_ascii_case(name)
        {
            return Some(value.trim().trim_matches('"'));
        }
    }
    Some("")
}

/// Splits at the first mark that stands outside quotes; the mark is in neither part. `None` if a quote is never closed.
fn split(text: &str, mark: char) -> Option<(&str, &str)> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if c == mark && !quoted => return Some((&text[..at], &text[at + 1..])),
            _ => {}
        }
    }
    (!quoted).then_some((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(field: &str, expected: Result<Option<&str>, ()>) {
        let mut headers = HeaderMap::new();
        headers.insert(header::LINK, field.parse().expect("a header value"));
        let found = next(&headers).map_err(|_| ());
        let found = found.as_ref().map(|url| url.as_deref().map(|url| url.trim_start_matches("https://a.example/")));
        assert_eq!(found, expected.as_ref().map(|url| *url), "{field}");
    }

    #[test]
    fn the_next_page_is_found_among_other_links() {
        for (field, expected) in [
            (r#"<https://a.example/?page=2>; rel="next", <https://a.example/?page=9>; rel="last""#, Some("?page=2")),
            (r#"<https://a.example/?page=1>; rel="prev", <https://a.example/?page=3>; rel=next"#, Some("?page=3")),
            (r#"<https://a.example/?a=1,2;3>; title="x, \"y\"; rel=next"; rel="start next""#, Some("?a=1,2;3")),
            ("<https://a.example/?page=2>;rel=NEXT;,", Some("?page=2")),
            (r#"<https://a.example/?page=1>; rel="prev"; rel="next""#, None),
            (r#"<https://a.example/?page=2>; title="rel=next""#, None),
            ("<https://a.example/?page=2>", None),
            (" , ", None),
            ("", None),
        ] {
            check(field, Ok(expected));
        }
    }

    #[test]
    fn a_header_that_is_not_well_formed_is_no_header_without_a_next_page() {
        for field in [
            "<https://a.example/?page=2",
            "https://a.example/?page=2; rel=next",
            "next",
            r#"<https://a.example/?page=1>; title="open, <https://a.example/?page=2>; rel=next"#,
            "<https://a.example/?page=1>; rel=prev, and more",
            "<https://a.example/?page=1> rel=next",
        ] {
            check(field, Err(()));
        }
    }

    #[test]
    fn all_fields_count() {
        let mut headers = HeaderMap::new();
        headers.append(header::LINK, "</style>; rel=preload".parse().expect("a header value"));
        headers.append(header::LINK, "</?page=2>; rel=next".parse().expect("a header value"));
        assert_eq!(next(&headers), Ok(Some("/?page=2".into())));
        headers.append(header::LINK, http::HeaderValue::from_bytes(b"</\xff>; rel=last").expect("a header value"));
        assert!(next(&headers).is_err());
        assert_eq!(next(&HeaderMap::new()), Ok(None));
    }
}
