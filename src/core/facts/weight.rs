//! How much memory a JSON text takes once it is kept: an object in eight bytes of text can take a hundred times as much.
//!
//! Only long texts are weighed, before they are parsed: short ones cannot do harm.

/// Texts of so many bytes can be kept whatever they say.
const LIGHT: usize = 64 * 1024;
/// Bytes of memory that may be kept of a text of up to a megabyte; of longer ones, which an operator has to allow, as
/// many times their length.
const MOST: usize = 16 * 1024 * 1024;
const TIMES: usize = 16;
/// What a value takes, with its place in a list that grows by doubling, the digits or letters that it owns, and part of its
/// copy as a claim.
const VALUE: usize = 128;
/// What the first member of an object takes besides: the node of a tree has room for eleven.
const OBJECT: usize = 640;

/// True for a text of which too much would have to be kept. It need not be JSON.
pub(super) fn is_too_heavy(text: &str) -> bool {
    text.len() > LIGHT && weight(text.as_bytes()) > MOST.max(text.len().saturating_mul(TIMES))
}

fn weight(text: &[u8]) -> usize {
    let (mut weight, mut in_text, mut escaped) = (text.len(), false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_text,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b',' | b'[' => weight += VALUE,
            b'{' => weight += VALUE + OBJECT,
            _ => {}
        }
    }
    weight
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_short_and_takes_much_is_too_heavy() {
        let list = |item: &str, bytes: usize| format!("[{}0]", format!("{item},").repeat(bytes / (item.len() + 1)));
        const MEGABYTE: usize = 1024 * 1024 - 16;
        for heavy in [list("0", MEGABYTE), list("[]", MEGABYTE), list("{}", MEGABYTE), list(r#"{"":0}"#, MEGABYTE)] {
            assert!(is_too_heavy(&heavy), "{}", &heavy[..20]);
        }
        let person = r#"{"id":583231,"login":"ada","name":"Ada Lovelace","url":"https://a.example/ada","admin":false}"#;
        for light in [
            list(person, MEGABYTE),
            list(r#""0123456789abcdef0123456789abcdef""#, MEGABYTE),
            list("0", LIGHT - 8),
            list(r#"{"":0}"#, LIGHT - 16),
            format!("\"{}\"", "{,[".repeat(MEGABYTE / 3)),
            format!(r#"["{}"]"#, r#"\",{"#.repeat(MEGABYTE / 4)),
            format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)),
        ] {
            assert!(!is_too_heavy(&light), "{}", &light[..20]);
        }
    }
}
