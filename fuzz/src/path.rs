//! Bytes as a JSONPath and a document: the path is refused, or selects what an independent implementation selects.

use claimsmith::core::select;
use serde_json::{Value, json};

use super::problems;

/// What is asked of an input: a line with a path on the call `doc`, and a document.
pub fn check(bytes: &[u8]) {
    let Ok(input) = std::str::from_utf8(bytes) else { return };
    let (path, document) = input.split_once('\n').unwrap_or((input, ""));
    let document =
        if document.trim().is_empty() { usual() } else { serde_json::from_str(document).unwrap_or_default() };
    let found = match select(path, "doc", &document) {
        Err(found) => return assert!(problems::check(&found), "what is refused has an error"),
        Ok(Err(why)) => return assert!(!why.is_empty() && !is_ordinary(&document), "{path} fails without need: {why}"),
        Ok(Ok(found)) => found,
    };
    // What a filter selects of a list is in it; nothing is made up.
    assert!(found.len() <= MOST, "{}", found.len());
    let oracle = match serde_json_path::JsonPath::parse(path) {
        Ok(oracle) => oracle,
        // White space may stand before every segment (RFC 9535, section 2.5), which it does not know of all.
        Err(_) if path.contains([' ', '\t', '\n', '\r']) => return,
        Err(error) => panic!("{path} is accepted, and the other implementation says: {error}"),
    };
    if !is_ordinary(&document) || is_known(path) {
        return;
    }
    let whole = json!({ "doc": document });
    let mut expected: Vec<Value> = oracle.query(&whole).all().into_iter().cloned().collect();
    let mut found = found;
    if path.contains("..") {
        // RFC 9535 leaves the order of descendants open in part.
        expected.sort_by_key(Value::to_string);
        found.sort_by_key(Value::to_string);
    }
    assert_eq!(found, expected, "{path} on {document}");
}

/// More nodes than any document of an input has, even if each is selected by each of several selectors.
const MOST: usize = 1_000_000;

fn usual() -> Value {
    json!({
        "a": [{ "id": 1, "n": "x", "p": true }, { "id": 2, "n": "y", "p": false, "q": { "a": [0, 0.5, null] } }],
        "b": { "a": "xy", "b": { "a": 3 }, "c": [] },
        "c": [[1, 2, 3], ["x", "y"], "z", -1, null, true],
    })
}

/// True if a float holds every number exactly, so that it does not matter that the other implementation compares floats.
fn is_ordinary(document: &Value) -> bool {
    match document {
        Value::Number(number) => {
            let text = number.as_str();
            let digits = text.bytes().filter(u8::is_ascii_digit).count();
            digits <= 12 && !text.contains(['e', 'E'])
        }
        Value::Array(items) => items.iter().all(is_ordinary),
        Value::Object(members) => members.values().all(is_ordinary),
        _ => true,
    }
}

/// True for what the other implementation is known to get wrong: it orders lists, says that two absent values are neither
/// `<=` nor `>=`, and finds nothing at `[-1]` of a list of one in a filter.
fn is_known(path: &str) -> bool {
    path.contains('?') && (path.contains(['<', '>']) || path.contains("[-"))
}
