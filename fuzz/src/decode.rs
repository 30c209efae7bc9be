//! Bytes as the body of an answer, in each format: it is read, or it is no answer, and nothing of it is told. What is read
//! in part and what is read whole are the same, and integers keep their digits.

use std::sync::OnceLock;

use bytes::Bytes;
use claimsmith::core::{CompiledRule, Failure};
use serde_json::Value;

use super::{outcome, world};

/// Formats, as the rule names them; nothing for the one that the Content-Type decides.
const FORMATS: [&str; 8] = [
    "",
    "decode = \"json\"",
    "decode = \"text\"",
    "decode = \"form\"",
    "decode = \"jsonp\"",
    "decode = \"xml\"",
    "decode = { xml = { lists = [\"b\", \"email\"] } }",
    "decode = \"data_uri\"",
];

const CONTENT_TYPES: [&str; 8] = [
    "application/json",
    "",
    "text/html; charset=iso-8859-1",
    "application/xml; charset=utf-16",
    "application/x-www-form-urlencoded; charset=shift_jis",
    "text/xml",
    "image/png",
    "application/soap+xml; charset=\"x\"; charset=utf-8",
];

/// Two rules for a format: one reads members, the other all of the answer, and from it the same members.
struct Pair {
    part: CompiledRule,
    whole: CompiledRule,
}

impl Pair {
    fn new(format: &str) -> Pair {
        let rule = |more: &str| {
            let head = format!("[call.user]\nurl = \"https://api.example/user\"\n{format}\n");
            // A text has no members that could be read.
            let claims = match format.contains("text") || format.contains("data_uri") {
                true => "a = \"$.user\"\n",
                false => "a = \"$.user.a\"\nb = \"$.user.b.a\"\n",
            };
            world::sound(&format!("{head}{more}\n[claims]\nsub = {{ value = \"u1\" }}\n{claims}"))
        };
        // Never true, and asks for all that there is.
        let all = "fail_when = [{ when = \"type_of(user) == \\\"nothing\\\"\", error = \"access_denied\" }]";
        Pair { part: rule(""), whole: rule(all) }
    }
}

/// What is asked of an input. Its first two bytes choose format and Content-Type.
pub fn check(bytes: &[u8]) {
    static PAIRS: OnceLock<Vec<Pair>> = OnceLock::new();
    let [format, kind, body @ ..] = bytes else { return };
    let (format, kind) = (usize::from(format & 7), usize::from(kind & 7));
    let pairs = PAIRS.get_or_init(|| FORMATS.iter().map(|format| Pair::new(format)).collect());
    let body = Bytes::copy_from_slice(body);
    let answer = |_: &_, _| Ok(world::reply(200, CONTENT_TYPES[kind], body.clone()));
    let mark_free = outcome::is_mark_free(&String::from_utf8_lossy(&body));
    let run = |rule: &CompiledRule| {
        let outcome = outcome::run(rule, &world::World::new(&answer), mark_free);
        if let Some(failure) = &outcome.failure {
            nothing_is_told(failure, &body);
        }
        (outcome.response.status().as_u16(), outcome.response.into_body())
    };
    let (part, whole) = (run(&pairs[format].part), run(&pairs[format].whole));
    match (part.0, whole.0) {
        (200, 200) => assert_eq!(part, whole, "what is read in part is what is read whole"),
        // What is kept has a depth, what is dropped has none; and a script has limits of its own.
        (200, 502 | 500) => {}
        // What is no object has no members to read.
        (502, 200) => assert_eq!(&whole.1[..], br#"{"sub":"u1"}"#),
        (of_part, of_whole) => assert_eq!(of_part, of_whole, "a body is sound or not, whatever is read of it"),
    }
    if FORMATS[format].contains("json\"") && part.0 == 200 {
        digits(&body, &part.1);
    }
}

/// The words about a body hold no piece of it that could be a value. Words of ours may of course stand in a body, but
/// none is so long.
fn nothing_is_told(failure: &Failure, body: &[u8]) {
    let words = failure.words();
    let text = String::from_utf8_lossy(body);
    for run in text.split(|c: char| !c.is_alphanumeric()).filter(|run| run.len() >= 16) {
        assert!(!words.contains(run), "{words:?} tells {run:?}");
    }
}

/// An integer of the body is one in the claims, digit for digit.
fn digits(body: &[u8], claims: &[u8]) {
    let (Ok(body), Ok(claims)) = (serde_json::from_slice::<Value>(body), serde_json::from_slice::<Value>(claims))
    else {
        return;
    };
    for (claim, found) in [("a", &body["a"]), ("b", &body["b"]["a"])] {
        if found.is_number() {
            assert_eq!(claims[claim], *found, "{claim}");
        }
    }
}
