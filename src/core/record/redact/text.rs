//! Texts: taken apart by what stands in them, and put together again.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;
use url::Url;

use super::Redactor;
use crate::core::record::{shapes, words::runs};

/// What ends an address, an id or a time in a text.
const BETWEEN: &str = "<>()[]{},;\"'|";
/// What may stand in a path segment as it is.
const SEGMENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@').remove(b':').remove(b'+');
/// The smallest picture.
const PICTURE: &str = "data:image/gif;base64,R0lGODlhAQABAAAAACw=";

impl Redactor {
    /// A text; `key` is the member, header or parameter that it stands under.
    pub fn text(&mut self, key: &str, text: &str) -> String {
        self.text_at(key, text, 0)
    }

    pub(super) fn text_at(&mut self, key: &str, text: &str, depth: usize) -> String {
        let short = text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit()) && !shapes::is_personal(key);
        if text.trim().is_empty() || self.literals.has(text) || shapes::is_flag(text) || short {
            return text.to_owned();
        }
        if let Some(inner) = json_inside(text) {
            return self.value_at(key, &inner, depth + 1).to_string();
        }
        if self.is_enumeration(key, text) || is_locale(key, text) {
            return text.to_owned();
        }
        self.pieces(key, text, depth)
    }

    /// One of a few words, none of which names this person.
    fn is_enumeration(&self, key: &str, text: &str) -> bool {
        shapes::is_enumeration(key, text) && !runs(text).any(|(run, _)| self.names.contains(&run.to_lowercase()))
    }

    /// Steps over credentials and over what the rule says.
    fn pieces(&mut self, key: &str, text: &str, depth: usize) -> String {
        let credential = self
            .fixed
            .iter()
            .find_map(|(form, made)| text.find(form.as_str()).map(|at| (at, form.len(), made.clone())));
        let found = credential.or_else(|| {
            let (at, length) = self.literals.part_of(text)?;
            Some((at, length, text[at..at + length].to_owned()))
        });
        let Some((at, length, made)) = found else { return self.chunks(key, text, depth) };
        let before = if at == 0 { String::new() } else { self.pieces(key, &text[..at], depth) };
        let after = &text[at + length..];
        let after = if after.is_empty() { String::new() } else { self.pieces(key, after, depth) };
        format!("{before}{made}{after}")
    }

    /// Parts between white space and brackets.
    fn chunks(&mut self, key: &str, text: &str, depth: usize) -> String {
        if let Some(made) = self.shaped(key, text, depth) {
            return made;
        }
        let mut made = String::with_capacity(text.len());
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find(|c: char| c.is_whitespace() || BETWEEN.contains(c)).unwrap_or(rest.len());
            let (chunk, after) = rest.split_at(end);
            let core = chunk.trim_end_matches(['.', ':', '!', '?']);
            match self.shaped(key, core, depth) {
                Some(shaped) => made.push_str(&shaped),
                None => made.push_str(&self.plain(core)),
            }
            made.push_str(&chunk[core.len()..]);
            let between = after.find(|c: char| !(c.is_whitespace() || BETWEEN.contains(c))).unwrap_or(after.len());
            made.push_str(&after[..between]);
            rest = &after[between..];
        }
        made
    }

    /// Runs of letters and digits, each by its own.
    fn plain(&mut self, text: &str) -> String {
        let mut made = String::with_capacity(text.len());
        for (run, inside) in runs(text) {
            if !inside {
                made.push_str(run);
                continue;
            }
            if run.bytes().all(|byte| byte.is_ascii_digit()) {
                self.note_digits(run);
            } else if run.len() >= 12 && run.bytes().any(|byte| byte.is_ascii_digit()) {
                self.strong.insert(run.to_owned());
            }
            made.push_str(&self.words.replace(run));
        }
        made
    }

    /// What has a shape of its own.
    fn shaped(&mut self, key: &str, text: &str, depth: usize) -> Option<String> {
        if text.is_empty() || depth > super::MAX_DEPTH {
            return None;
        }
        if let Some((local, domain)) = shapes::email(text) {
            return Some(self.email(text, local, domain));
        }
        if shapes::is_web_address(text) {
            return self.address(text, depth);
        }
        if text.starts_with("data:image/") {
            return Some(PICTURE.to_owned());
        }
        if shapes::is_uuid(text) {
            return Some(self.uuid(text));
        }
        if shapes::jwt(text).is_some() {
            return Some(self.jwt(text, depth + 1));
        }
        if let Some(ip) = shapes::ip(text) {
            return Some(self.machine(text, ip.is_ipv4()));
        }
        if let Some(found) = self.time(key, text) {
            return Some(found);
        }
        (shapes::is_domain(text) && self.domains.contains(&text.to_lowercase())).then(|| self.domain(text))
    }

    fn time(&mut self, key: &str, text: &str) -> Option<String> {
        if let Some(time) = shapes::date_time(text) {
            let made = self.times.date_time(time, &mut self.words)?.strftime("%Y-%m-%dT%H:%M:%S").to_string();
            let fraction = |c: char| if c.is_ascii_digit() { '0' } else { c };
            let tail = &text[19..];
            let zone = tail.find(['Z', 'z', '+', '-']).unwrap_or(tail.len());
            let tail: String = tail[..zone].chars().map(fraction).chain(tail[zone..].chars()).collect();
            return Some(format!("{}{}{}{tail}", &made[..10], &text[10..11], &made[11..]));
        }
        if let Some(date) = shapes::date(text) {
            return Some(self.times.date(date, &mut self.words)?.to_string());
        }
        if let Some((separator, year)) = shapes::written_date(text) {
            let date = self.times.date(jiff::civil::Date::new(year, 6, 15).ok()?, &mut self.words)?;
            // Whichever comes first, the day or the month.
            let part = |words: &mut crate::core::record::words::Words| 1 + words.number(12);
            let known = self.made.get(text).cloned();
            let made = known.unwrap_or_else(|| {
                let (first, second) = (part(&mut self.words), part(&mut self.words));
                format!("{first:02}{separator}{second:02}{separator}{:04}", date.year())
            });
            self.made.insert(text.to_owned(), made.clone());
            return Some(made);
        }
        let moved = shapes::epoch(text).filter(|_| shapes::is_time(key))?;
        Some(self.times.epoch(moved, &mut self.words, text))
    }

    /// `someone@example.com`, its local part by its words.
    fn email(&mut self, whole: &str, local: &str, domain: &str) -> String {
        self.strong.insert(whole.to_lowercase());
        let local = self.plain(local);
        format!("{local}@{}", self.domain(domain))
    }

    /// A domain that nobody can register (RFC 2606), in the case of the original.
    fn domain(&mut self, domain: &str) -> String {
        let lower = domain.to_lowercase();
        if self.literals.has(&lower) || self.literals.has(domain) {
            return domain.to_owned();
        }
        let number = self.domains.iter().position(|known| *known == lower).unwrap_or_else(|| {
            self.domains.push(lower);
            self.domains.len() - 1
        });
        let made = match number {
            0 => "example.com".to_owned(),
            1 => "example.org".to_owned(),
            2 => "example.net".to_owned(),
            number => format!("d{number}.example.com"),
        };
        let letters = || domain.chars().filter(|c| c.is_alphabetic());
        match (letters().next(), letters().all(char::is_uppercase)) {
            (_, true) => made.to_uppercase(),
            (Some(first), _) if first.is_uppercase() => made[..1].to_uppercase() + &made[1..],
            _ => made,
        }
    }

    /// An address in a block for documentation (RFC 5737, RFC 3849).
    fn machine(&mut self, text: &str, is_v4: bool) -> String {
        self.strong.insert(text.to_lowercase());
        let number = self.made.keys().filter(|key| shapes::ip(key).is_some()).count() + 1;
        let made = if is_v4 { format!("192.0.2.{}", number % 255) } else { format!("2001:db8::{number:x}") };
        self.made.entry(text.to_owned()).or_insert(made).clone()
    }

    /// A web address: its origin stays if the rule goes there, as does what the rule itself writes of its path.
    fn address(&mut self, text: &str, depth: usize) -> Option<String> {
        let url = Url::parse(text).ok()?;
        let origin = url.origin().ascii_serialization();
        let mut made =
            if self.origins.contains(&origin) || self.literals.holds(&origin) { origin } else { self.site(&url) };
        // A path of nothing but the root need not be written.
        let has_path = url.path() != "/" || text.trim_end_matches(['?', '#']).ends_with('/') || text.contains('?');
        if has_path {
            let segments: Vec<_> =
                url.path().trim_start_matches('/').split('/').map(|part| self.segment(part, depth)).collect();
            made.push('/');
            made.push_str(&segments.join("/"));
        }
        if let Some(query) = url.query() {
            made.push('?');
            made.push_str(&self.form(query, depth));
        }
        if let Some(fragment) = url.fragment() {
            made.push('#');
            made.push_str(&self.segment(fragment, depth));
        }
        Some(made)
    }

    fn site(&mut self, url: &Url) -> String {
        let host = url.host_str().unwrap_or_default().to_lowercase();
        let number = self.made.keys().filter(|key| key.starts_with("host ")).count() + 1;
        let site = self.made.entry(format!("host {host}")).or_insert_with(|| format!("site{number}.example")).clone();
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{site}{port}", url.scheme())
    }

    fn segment(&mut self, segment: &str, depth: usize) -> String {
        let decoded = percent_decode_str(segment).decode_utf8_lossy().into_owned();
        let (stem, extension) = match decoded.rsplit_once('.') {
            Some((stem, kind))
                if ["png", "jpg", "jpeg", "gif", "svg", "webp", "json", "xml", "html"].contains(&kind) =>
            {
                (stem.to_owned(), format!(".{kind}"))
            }
            _ => (decoded, String::new()),
        };
        let is_version =
            stem.len() <= 3 && stem.starts_with('v') && stem[1..].bytes().all(|byte| byte.is_ascii_digit());
        if stem.is_empty() || is_version || self.is_ours(&stem) {
            return segment.to_owned();
        }
        let made = format!("{}{extension}", self.pieces("", &stem, depth + 1));
        utf8_percent_encode(&made, SEGMENT).to_string()
    }

    /// A word of the rule, and of nobody's name.
    fn is_ours(&self, word: &str) -> bool {
        self.literals.says(word) && !self.names.contains(&word.to_lowercase())
    }

    /// A query or a form: its names stay.
    pub(in crate::core::record) fn form(&mut self, form: &str, depth: usize) -> String {
        let part = |this: &mut Self, part: &str| {
            let Some((name, value)) = part.split_once('=') else {
                return if part.is_empty() { String::new() } else { this.segment(part, depth) };
            };
            let read = |text: &str| {
                url::form_urlencoded::parse(format!("x={text}").as_bytes())
                    .next()
                    .map_or_else(String::new, |(_, value)| value.into_owned())
            };
            let (key, value) = (read(name), read(value));
            let is_short =
                value.len() < 5 && value.bytes().all(|byte| byte.is_ascii_digit()) && !shapes::is_personal(&key);
            let ours = is_short
                || value.bytes().all(|byte| byte.is_ascii_digit()) && shapes::counts(&key, &value)
                || this.is_ours(&value);
            let made = if ours { value } else { this.text_at(&key, &value, depth + 1) };
            let made: String = url::form_urlencoded::byte_serialize(made.as_bytes()).collect();
            format!("{}={made}", if this.member(&key) == key { name.to_owned() } else { this.member(&key) })
        };
        form.split('&').map(|one| part(self, one)).collect::<Vec<_>>().join("&")
    }
}

/// JSON that a provider put into a text.
fn json_inside(text: &str) -> Option<Value> {
    let is_json = text.trim_start().starts_with(['{', '[']);
    is_json.then(|| serde_json::from_str(text).ok()).flatten()
}

/// `en`, `en-GB`, `zh_Hans_CN` under a member that says so.
fn is_locale(key: &str, text: &str) -> bool {
    let key = shapes::plain_key(key);
    let named = ["locale", "lang", "language", "country", "region"].iter().any(|word| key.contains(word));
    let parts: Vec<_> = text.split(['-', '_']).collect();
    let part = |part: &&str| (2..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphabetic());
    named && parts.len() <= 3 && parts.iter().all(part) && parts[0].len() <= 3
}
