//! What a text looks like: an address, a time, an id, a word for one of a few things.

// Plain data: the core has no sockets.
use core::net::IpAddr;

/// The two sides of an e-mail address.
pub(super) fn email(text: &str) -> Option<(&str, &str)> {
    let (local, domain) = text.split_once('@')?;
    let is_local = !local.is_empty() && !local.contains(['/', ':']);
    (is_local && is_domain(domain)).then_some((local, domain))
}

/// A name of a host with at least one dot.
pub(super) fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-') && !label.starts_with('-')
    };
    text.contains('.')
        && text.split('.').all(label)
        && text.rsplit('.').next().is_some_and(|last| last.len() >= 2 && last.chars().all(char::is_alphabetic))
}

pub(super) fn is_web_address(text: &str) -> bool {
    let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
    lower.starts_with("http://") || lower.starts_with("https://")
}

pub(super) fn is_uuid(text: &str) -> bool {
    let groups: Vec<_> = text.split('-').map(str::len).collect();
    groups == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

pub(super) fn ip(text: &str) -> Option<IpAddr> {
    text.parse().ok().filter(|_| text.len() >= 3 && text.contains(['.', ':']))
}

/// The payload of a JWT as it stands there.
pub(super) fn jwt(text: &str) -> Option<(&str, &str)> {
    let mut parts = text.split('.');
    let (head, payload, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else { return None };
    (head.starts_with("ey") && payload.starts_with("ey")).then_some((head, payload))
}

/// A date and a time of day; how many bytes of the text they are.
pub(super) fn date_time(text: &str) -> Option<jiff::civil::DateTime> {
    let start = text.get(..19)?;
    let bytes = start.as_bytes();
    let sound = bytes[4] == b'-' && bytes[7] == b'-' && bytes[13] == b':' && matches!(bytes[10], b'T' | b't' | b' ');
    let rest = &text[19..];
    let tail = rest.bytes().all(|byte| byte.is_ascii_digit() || b".:+-Zz".contains(&byte));
    if !sound || !tail {
        return None;
    }
    format!("{}T{}", &start[..10], &start[11..]).parse().ok()
}

pub(super) fn date(text: &str) -> Option<jiff::civil::Date> {
    let bytes = text.as_bytes();
    (bytes.len() == 10 && bytes[4] == b'-' && bytes[7] == b'-').then(|| text.parse().ok())?
}

/// `31/12/1990`, `12/31/1990`, `31.12.1990`: the separator, and the year.
pub(super) fn written_date(text: &str) -> Option<(char, i16)> {
    let separator = text.chars().nth(2).filter(|c| matches!(c, '/' | '.'))?;
    let parts: Vec<_> = text.split(separator).collect();
    let digits = parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    let lengths: Vec<_> = parts.iter().map(|part| part.len()).collect();
    (digits && lengths == [2, 2, 4]).then(|| parts[2].parse().ok())?.map(|year| (separator, year))
}

/// Seconds or milliseconds since 1970, of this century.
pub(super) fn epoch(digits: &str) -> Option<(i64, i64)> {
    let number: i64 = digits.parse().ok()?;
    match digits.len() {
        9 | 10 if (900_000_000..4_200_000_000).contains(&number) => Some((number, 1)),
        12 | 13 if (900_000_000_000..4_200_000_000_000).contains(&number) => Some((number / 1000, 1000)),
        _ => None,
    }
}

/// A word for yes, no or nothing.
pub(super) fn is_flag(text: &str) -> bool {
    ["true", "false", "yes", "no", "on", "off", "null", "none", "undefined", "nil", "0", "1"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word))
}

/// The last part of a name such as `user.createdAt`, in lower case with `_` between its words.
pub(super) fn plain_key(key: &str) -> String {
    let mut plain = String::with_capacity(key.len() + 4);
    let mut before_was_lower = false;
    for c in key.chars() {
        if c.is_uppercase() && before_was_lower {
            plain.push('_');
        }
        before_was_lower = c.is_lowercase();
        match c {
            '-' | ' ' | '.' | ':' => plain.push('_'),
            c => plain.extend(c.to_lowercase()),
        }
    }
    plain.trim_matches(['_', '@', '#', '$']).to_owned()
}

/// Members that say one of a few words.
const WORDS: [&str; 18] = [
    "type",
    "kind",
    "status",
    "state",
    "role",
    "roles",
    "token_type",
    "currency",
    "visibility",
    "object",
    "provider",
    "typename",
    "event",
    "plan",
    "tier",
    "result",
    "category",
    "use",
];

/// Words that such members say of anybody. Others may be a name; those that the rule compares with stay anyway.
const USUAL: [&str; 58] = [
    "account",
    "active",
    "admin",
    "administrator",
    "banned",
    "basic",
    "bearer",
    "blocked",
    "bot",
    "business",
    "completed",
    "confirmed",
    "contributor",
    "custom",
    "default",
    "deleted",
    "disabled",
    "editor",
    "email",
    "enabled",
    "enterprise",
    "error",
    "external",
    "failed",
    "failure",
    "free",
    "guest",
    "home",
    "inactive",
    "individual",
    "internal",
    "invited",
    "manager",
    "member",
    "mobile",
    "moderator",
    "ok",
    "organization",
    "other",
    "owner",
    "pending",
    "person",
    "personal",
    "phone",
    "premium",
    "primary",
    "private",
    "pro",
    "public",
    "secondary",
    "service",
    "staff",
    "success",
    "suspended",
    "team",
    "user",
    "verified",
    "work",
];

/// Members that count or measure something.
const COUNTS: [&str; 17] = [
    "expires_in",
    "expires",
    "max_age",
    "ttl",
    "size",
    "count",
    "total",
    "limit",
    "offset",
    "width",
    "height",
    "page",
    "pages",
    "per_page",
    "page_size",
    "total_count",
    "total_pages",
];

/// Members that identify or locate a person, also by few digits.
const PERSONAL: [&str; 16] = [
    "id", "uid", "sub", "pk", "user", "number", "phone", "mobile", "tel", "zip", "postal", "pin", "age", "birth",
    "year", "key",
];

/// Members that name a person.
const NAMES: [&str; 14] = [
    "name", "login", "nick", "nickname", "username", "screen", "handle", "slug", "first", "last", "given", "family",
    "display", "surname",
];

/// One of a few words, under a member that says such.
pub(super) fn is_enumeration(key: &str, text: &str) -> bool {
    let key = plain_key(key);
    let of = |more: &str| text.len() <= 64 && text.chars().all(|c| c.is_ascii_lowercase() || more.contains(c));
    match key.as_str() {
        "scope" | "scopes" => of("_.:/- "),
        // `invalid_token`: nobody is called so.
        "error" | "code" | "error_code" => of("_") && text.contains('_'),
        "zoneinfo" | "timezone" | "time_zone" | "tz" => is_zone(text),
        key => WORDS.contains(&key) && USUAL.iter().any(|word| text.eq_ignore_ascii_case(word)),
    }
}

/// `Europe/Berlin`, `UTC`, `+02:00`.
fn is_zone(text: &str) -> bool {
    let is_area = |(area, place): (&str, &str)| {
        let areas =
            ["Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific", "Etc"];
        areas.contains(&area) && place.chars().all(|c| c.is_ascii_alphanumeric() || "_/+-".contains(c))
    };
    let is_offset = text.len() <= 9 && text.chars().all(|c| c.is_ascii_digit() || "+-:UTCGMZ".contains(c));
    is_offset || text.split_once('/').is_some_and(is_area)
}

/// A number under this member counts something, and is no id.
pub(super) fn counts(key: &str, digits: &str) -> bool {
    digits.len() <= 8 && COUNTS.contains(&plain_key(key).as_str())
}

/// A number under this member is personal however short it is.
pub(super) fn is_personal(key: &str) -> bool {
    plain_key(key)
        .split('_')
        .any(|part| PERSONAL.contains(&part) || part.strip_suffix('s').is_some_and(|part| PERSONAL.contains(&part)))
}

pub(super) fn is_name(key: &str) -> bool {
    plain_key(key).split('_').any(|part| NAMES.contains(&part))
}

/// A number under this member is a time.
pub(super) fn is_time(key: &str) -> bool {
    let key = plain_key(key);
    const PARTS: [&str; 17] = [
        "at",
        "on",
        "time",
        "timestamp",
        "date",
        "exp",
        "iat",
        "nbf",
        "expiry",
        "expires",
        "expiration",
        "updated",
        "created",
        "modified",
        "since",
        "until",
        "login",
    ];
    key.split('_').any(|part| PARTS.contains(&part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_told_apart() {
        assert_eq!(email("Ada.L+x@Engines.example"), Some(("Ada.L+x", "Engines.example")));
        for none in ["ada@", "@ada", "ada@host", "a b@", "https://u:p@a.example/x@y.example", "git@a.example:x"] {
            assert_eq!(email(none), None, "{none}");
        }
        assert!(is_uuid("3f2504e0-4f89-11d3-9a0c-0305e82c3301") && !is_uuid("3f2504e0-4f89"));
        assert!(ip("10.1.2.3").is_some() && ip("fe80::1").is_some() && ip("7").is_none());
        assert!(date_time("2026-10-02T18:04:11.5+02:00").is_some() && date_time("2026-10-02 18:04:11").is_some());
        assert!(date_time("2026-10-02T18:04:11 by ada").is_none() && date_time("2026-99-02T18:04:11Z").is_none());
        assert!(date("1990-12-31").is_some() && date("1990-13-31").is_none());
        assert_eq!(written_date("31/12/1990"), Some(('/', 1990)));
        assert_eq!(written_date("1990/12/31"), None);
        assert_eq!(epoch("1790964251"), Some((1_790_964_251, 1)));
        assert_eq!(epoch("1790964251000"), Some((1_790_964_251, 1000)));
        assert_eq!(epoch("5832310000"), None);
        assert_eq!((plain_key("createdAt"), plain_key("X-User-Id")), ("created_at".into(), "x_user_id".into()));
        assert!(is_personal("userId") && is_personal("user_ids") && !is_personal("valid"));
        assert!(is_enumeration("role", "Admin") && !is_enumeration("role", "ada") && !is_enumeration("bio", "admin"));
        assert!(is_enumeration("error", "invalid_token") && is_enumeration("tz", "Europe/Berlin"));
        assert!(!is_enumeration("tz", "Ada/Lovelace") && counts("expires_in", "86400") && !counts("id", "86400"));
    }
}
