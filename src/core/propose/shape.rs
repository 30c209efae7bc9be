//! What a value looks like.

use serde_json::Value;

/// What a claim wants its value to look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Something that may identify: a number or a word.
    Id,
    /// An e-mail address.
    Email,
    /// Words for a person.
    Name,
    /// A text without white space.
    Word,
    /// Any text.
    Text,
    /// An address of the web.
    Url,
    /// True or false, also as 1 or a word.
    Truth,
    /// A moment: seconds or milliseconds since 1970, or RFC 3339.
    Moment,
    /// A day, as in `1815-12-10`.
    Day,
    /// A language tag.
    Locale,
    /// A time zone by its name.
    Zone,
    /// A telephone number.
    Phone,
}

impl Shape {
    /// True for a value of this shape.
    pub(super) fn fits(self, value: &Value) -> bool {
        match self {
            Shape::Id => is_id(value),
            Shape::Email => value.as_str().is_some_and(is_email),
            Shape::Name => value.as_str().is_some_and(is_name),
            Shape::Word => {
                value.as_str().is_some_and(|text| is_text(text) && !text.contains(char::is_whitespace) && !is_url(text))
            }
            Shape::Text => value.as_str().is_some_and(|text| is_text(text) && text.len() <= 64 && !is_url(text)),
            Shape::Url => value.as_str().is_some_and(is_url),
            Shape::Truth => is_truth(value),
            Shape::Moment => moment(value).is_some(),
            Shape::Day => value.as_str().is_some_and(is_day),
            Shape::Locale => value.as_str().is_some_and(is_locale),
            Shape::Zone => value.as_str().is_some_and(is_zone),
            Shape::Phone => value.as_str().is_some_and(is_phone),
        }
    }
}

/// How a moment is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// Seconds since 1970, or RFC 3339: a claim of time takes it as it is.
    Plain,
    /// Something that `parse_time` reads.
    Other,
}

/// How this moment is written; none if it is no moment.
pub(super) fn moment(value: &Value) -> Option<Moment> {
    match value {
        Value::Number(number) => match number.as_str().len() {
            9..=10 => number.as_u64().map(|_| Moment::Plain),
            13 => number.as_u64().map(|_| Moment::Other),
            _ => None,
        },
        Value::String(text) if text.parse::<jiff::Timestamp>().is_ok() => Some(Moment::Plain),
        Value::String(text) if text.parse::<jiff::civil::DateTime>().is_ok() && text.len() > 10 => Some(Moment::Other),
        Value::String(text) if jiff::fmt::rfc2822::parse(text).is_ok() => Some(Moment::Other),
        _ => None,
    }
}

/// True for a value that says nothing of its shape.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        _ => false,
    }
}

/// True for an e-mail address.
pub(super) fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    !local.is_empty()
        && local.len() <= 64
        && !text.contains(|c: char| c.is_whitespace() || c.is_control() || "/:<>(),\"".contains(c))
        && domain.contains('.')
        && domain.split('.').all(|label| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-'))
}

/// True for an address of the web.
pub(super) fn is_url(text: &str) -> bool {
    (text.starts_with("https://") || text.starts_with("http://"))
        && url::Url::parse(text).is_ok_and(|url| url.has_host())
}

/// True for the address of a picture, by its ending.
pub(super) fn is_image(text: &str) -> bool {
    let path = text.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    is_url(text) && [".gif", ".jpeg", ".jpg", ".png", ".svg", ".webp"].iter().any(|ending| path.ends_with(ending))
}

/// True for an address that people look at: neither a picture nor a part of an API.
pub(super) fn is_page(text: &str) -> bool {
    let host = text.split_once("://").map_or(text, |(_, rest)| rest);
    is_url(text) && !is_image(text) && !host.starts_with("api.") && !host.contains("/api/")
}

/// True for a UUID.
pub(super) fn is_uuid(text: &str) -> bool {
    uuid::Uuid::try_parse(text).is_ok()
}

fn is_text(text: &str) -> bool {
    !text.trim().is_empty() && !text.chars().any(char::is_control)
}

fn is_id(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_str().bytes().all(|byte| byte.is_ascii_digit()) && number.as_str() != "0",
        Value::String(text) => {
            is_text(text)
                && text.len() <= 255
                && text.trim() != "0"
                && !text.contains(char::is_whitespace)
                && !is_email(text)
        }
        _ => false,
    }
}

fn is_name(text: &str) -> bool {
    is_text(text)
        && text.chars().any(char::is_alphabetic)
        && !is_email(text)
        && !is_url(text)
        && !is_uuid(text)
        && text.chars().count() <= 128
}

fn is_truth(value: &Value) -> bool {
    match value {
        Value::Bool(_) => true,
        Value::Number(number) => matches!(number.as_str(), "0" | "1"),
        Value::String(text) => ["true", "false"].iter().any(|word| text.eq_ignore_ascii_case(word)),
        _ => false,
    }
}

fn is_day(text: &str) -> bool {
    // OpenID Connect Core, section 5.1: the year may be 0000, or stand alone.
    let shaped = text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    shaped && (text.starts_with("0000-") || text.parse::<jiff::civil::Date>().is_ok())
}

fn is_locale(text: &str) -> bool {
    let mut parts = text.split(['-', '_']);
    parts.next().is_some_and(|language| {
        (2..=3).contains(&language.len()) && language.bytes().all(|byte| byte.is_ascii_alphabetic())
    }) && parts.all(|part| (2..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

fn is_zone(text: &str) -> bool {
    matches!(text, "UTC" | "GMT")
        || text.split_once('/').is_some_and(|(area, place)| {
            area.starts_with(|c: char| c.is_ascii_uppercase())
                && place.starts_with(|c: char| c.is_ascii_uppercase())
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_+-".contains(&byte))
        })
}

fn is_phone(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    (5..=15).contains(&digits)
        && text.strip_prefix('+').unwrap_or(text).chars().all(|c| c.is_ascii_digit() || " -.()/".contains(c))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_have_the_shapes_that_their_claims_want() {
        for (shape, fitting, others) in [
            (
                Shape::Id,
                vec![json!(7), json!("u_1"), json!("0f8fad5b-d9cb-469f-a165-70867728950e")],
                vec![json!(0), json!(1.5), json!("a@b.example"), json!("a b"), json!(null), json!(true)],
            ),
            (
                Shape::Email,
                vec![json!("ada@example.com"), json!("ada+x@mail.example.co.uk"), json!("ada@bücher.example")],
                vec![json!("@ada"), json!("ada@localhost"), json!("https://a@b.example/x"), json!("a b@c.example")],
            ),
            (
                Shape::Name,
                vec![json!("Ada Example"), json!("小艾"), json!("O'Neill")],
                vec![json!("12"), json!("ada@example.com"), json!("https://a.example"), json!("")],
            ),
            (
                Shape::Url,
                vec![json!("https://a.example/x.png")],
                vec![json!("/x.png"), json!("//a.example"), json!("avatar/large.png"), json!("ftp://a.example")],
            ),
            (Shape::Truth, vec![json!(true), json!(0), json!("TRUE")], vec![json!(2), json!("yes?"), json!(null)]),
            (
                Shape::Moment,
                vec![
                    json!(1_790_964_251),
                    json!(1_790_964_251_000_u64),
                    json!("2026-10-02T18:04:11Z"),
                    json!("2026-10-02 18:04:11"),
                ],
                vec![json!(12), json!("2026-10-02"), json!("soon")],
            ),
            (
                Shape::Day,
                vec![json!("1815-12-10"), json!("0000-12-10")],
                vec![json!("12/10/1815"), json!("1815-13-10"), json!("1815")],
            ),
            (
                Shape::Locale,
                vec![json!("en"), json!("pt-BR"), json!("zh_Hant_TW")],
                vec![json!("English"), json!("e"), json!("")],
            ),
            (
                Shape::Zone,
                vec![json!("Europe/Berlin"), json!("America/Argentina/Ushuaia"), json!("UTC")],
                vec![json!("CET"), json!("+02:00"), json!("a/b")],
            ),
            (
                Shape::Phone,
                vec![json!("+44 20 7946 0000"), json!("(020) 7946-0000")],
                vec![json!("12"), json!("x123456"), json!("2026-10-02T18:04:11Z")],
            ),
        ] {
            for value in fitting {
                assert!(shape.fits(&value), "{shape:?} {value}");
            }
            for value in others {
                assert!(!shape.fits(&value), "{shape:?} {value}");
            }
        }
    }
}
