//! Our compiled paths against the RFC 9535 compliance suite and an independent implementation.

mod random;

use std::{borrow::Cow, fmt::Write};

use jsonpath_rust::{parser::parse_json_path, query::js_path_process};
use serde_json::{Value, json};

use super::{Path, Rest};
use crate::core::{
    facts::{Facts, Kept, Shape},
    problem::{Problems, Source},
    value::Failure,
};

/// Where the suite may stand, how many tests it has there, and how many of them our paths answer as it says;
/// the others are refused although they are valid.
const SUITES: [(&str, usize, usize); 2] = [
    (concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/conformance/jsonpath-cts.json"), 703, 699),
    // Somewhat older; `.ci/suites` installs it.
    (
        concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/suites/node_modules/jsonpath-rfc9535/src/__tests__/jsonpath-compliance-test-suite/cts.json"
        ),
        687,
        683,
    ),
];

/// Compiles a path in a rule with the one call `doc`.
fn compile(text: &str) -> Result<Path, String> {
    let words =
        |problems: Problems| problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>().join("; ");
    Path::alone(&Source::new("test", text), "doc").map_err(words)
}

/// All nodes that a path selects when `doc` answered with this.
fn nodes(path: &Path, document: &Value) -> Result<Vec<Value>, Failure> {
    let mut facts = Facts::new([&Shape::Whole].into_iter(), &Value::Null, Value::Null);
    facts.answer(0, Kept::Whole(document.clone()));
    let nodes = path.all(&facts)?.into_iter().map(Cow::into_owned).collect::<Vec<_>>();
    let first = path.first(&facts)?.map(Cow::into_owned);
    assert_eq!(first.as_ref(), nodes.first(), "the first node is the first of all");
    Ok(nodes)
}

/// A selector of the suite as a rule would write it: every `$` that is no text becomes `$.doc`.
fn rooted(selector: &str) -> String {
    let mut rooted = String::with_capacity(selector.len() + 8);
    let (mut quote, mut escaped) = (None, false);
    for c in selector.chars() {
        rooted.push(c);
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), _) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '$') => rooted.push_str(".doc"),
            (None, _) => {}
        }
    }
    rooted
}

/// A file of the suite. Marked once more as what it is, for the check that the core reads no files.
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the suite stands outside the package")]
fn read(file: &str) -> Option<String> {
    std::fs::read_to_string(file).ok()
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so, and the count is read by `.ci/suites`")]
fn the_compliance_suite_is_answered_right_or_refused() {
    for (file, tests, expected) in SUITES {
        let Some(text) = read(file) else {
            eprintln!("skipped: the JSONPath compliance suite is not at {file}");
            continue;
        };
        let suite: Value = serde_json::from_str(&text).expect("the suite is JSON");
        let (mut right, mut refused, mut wrong) = (0, 0, String::new());
        for test in suite["tests"].as_array().expect("the suite has tests") {
            match judge(test) {
                Ok(true) => right += 1,
                Ok(false) => refused += 1,
                Err(why) => _ = writeln!(wrong, "{} {}: {why}", test["name"], test["selector"]),
            }
        }
        assert!(wrong.is_empty(), "wrong:\n{wrong}");
        assert_eq!((right, refused), (expected, tests - expected), "right and refused");
        eprintln!("JSONPath compliance suite: {tests} tests, {right} right, {refused} refused");
    }
}

/// True for a test that our path answers right, false for one that is refused although it is valid.
fn judge(test: &Value) -> Result<bool, String> {
    let text = rooted(test["selector"].as_str().expect("a test has a selector"));
    let is_invalid = test["invalid_selector"] == json!(true);
    let path = match compile(&text) {
        Err(_) => return Ok(is_invalid),
        Ok(_) if is_invalid => return Err("it is invalid, and was accepted".into()),
        Ok(path) => path,
    };
    let found = nodes(&path, &test["document"]).map_err(|failure| failure.words())?;
    let allowed = match &test["results"] {
        Value::Array(several) => several.clone(),
        _ => vec![test["result"].clone()],
    };
    if !allowed.contains(&Value::from(found.clone())) {
        return Err(format!("it gave {found:?}, allowed: {allowed:?}"));
    }
    let whole = json!({ "doc": test["document"] });
    if matches!(path.rest, Rest::Steps(_) | Rest::Hops(_)) && engine(&text, &whole) != found {
        return Err("a cheap form and the engine differ".into());
    }
    let oracle = oracle(&text, &whole);
    if allowed.contains(&Value::from(oracle.clone())) {
        return Ok(true);
    }
    Err(format!("the other implementation gives {oracle:?}, allowed: {allowed:?}"))
}

/// What jsonpath-rust gives for a path without our cheap form.
fn engine(text: &str, whole: &Value) -> Vec<Value> {
    let query = parse_json_path(text).expect("what we accept is sound");
    let nodes = js_path_process(&query, whole).expect("what we accept can be run");
    nodes.into_iter().map(|node| node.val().clone()).collect()
}

/// What an independent implementation gives.
fn oracle(text: &str, whole: &Value) -> Vec<Value> {
    let oracle = serde_json_path::JsonPath::parse(text).expect("what we accept is valid");
    oracle.query(whole).all().into_iter().cloned().collect()
}

/// What a path gives, as JSON text; `refused` when it is loaded, `failed` when it is run.
fn given(text: &str, document: &str) -> String {
    let document: Value = serde_json::from_str(document).expect("test data is JSON");
    match compile(text).map(|path| nodes(&path, &document)) {
        Err(_) => "refused".into(),
        Ok(Err(_)) => "failed".into(),
        Ok(Ok(nodes)) => Value::from(nodes).to_string(),
    }
}

#[test]
fn big_integers_are_compared_digit_for_digit() {
    const IDS: &str = r#"[{"id":9007199254740992},{"id":9007199254740993},{"id":18446744073709551615},
        {"id":18446744073709551614},{"id":123456789012345678901234567890},{"id":123456789012345678901234567891},
        {"id":-9007199254740993},{"id":1},{"id":"9007199254740993"}]"#;
    for at in 0..9 {
        let document: Value = serde_json::from_str(IDS).expect("test data is JSON");
        let one = json!([document[at]]).to_string();
        assert_eq!(given(&format!("$.doc[?@.id == $.doc[{at}].id]"), IDS), one);
        let others: Vec<_> = (0..9).filter(|other| *other != at).map(|other| document[other].clone()).collect();
        let others = Value::from(others).to_string();
        assert_eq!(given(&format!("$.doc[?@.id != $.doc[{at}].id]"), IDS), others);
        assert_eq!(given(&format!("$.doc[?!(@.id == $.doc[{at}].id)]"), IDS), others);
    }
}

#[test]
fn what_cannot_be_compared_exactly_is_refused_or_fails() {
    const IDS: &str = r#"[9007199254740992, 9007199254740993]"#;
    for (path, document, expected) in [
        // Numbers of a path itself end at 2^53 - 1, as RFC 9535 has it for interoperability.
        ("$.doc[?@ == 9007199254740991]", "[9007199254740991, 9007199254740992]", "[9007199254740991]"),
        ("$.doc[?@ == 9007199254740993]", IDS, "refused"),
        ("$.doc[?@ != 9007199254740993]", IDS, "refused"),
        ("$.doc[?@ == 18446744073709551615]", IDS, "refused"),
        ("$.doc[?@ == 123456789012345678901234567890]", IDS, "refused"),
        ("$.doc[?@ == 9007199254740993.0]", IDS, "refused"),
        ("$.doc[?@ == 9.007199254740993e15]", IDS, "refused"),
        ("$.doc[?@ == 1e400]", IDS, "refused"),
        // Small numbers are ordered beside each other, not beside large ones.
        ("$.doc[?@ < 3]", "[1, 2.5, 3, 4]", "[1,2.5]"),
        ("$.doc[?@ < 3]", IDS, "failed"),
        ("$.doc[?@ <= 3]", IDS, "failed"),
        ("$.doc[?@ > 3]", IDS, "failed"),
        ("$.doc[?@ >= 3]", IDS, "failed"),
        ("$.doc[?@ > $.doc[0]]", IDS, "failed"),
        ("$.doc[?@ >= $.doc[1]]", IDS, "failed"),
        ("$.doc[?3 < @]", "[18446744073709551615]", "failed"),
        ("$.doc[?3 < @]", "[123456789012345678901234567890]", "failed"),
        ("$.doc[?3 < @]", "[-9007199254740993]", "failed"),
        // A fraction or exponent beyond 2^53 has no trusted digits.
        ("$.doc[?@ == 3]", "[9007199254740993.0]", "failed"),
        ("$.doc[?@ == 3]", "[1e300, 3]", "failed"),
        ("$.doc[?@ == 3]", "[1e400]", "failed"),
        ("$.doc[?@ == $.doc[0]]", "[[1e300], [1e300]]", "failed"),
        ("$.doc[?@ == 0]", "[1e-300, 0]", "failed"),
        // Selecting without comparing is always exact.
        (
            "$.doc[*]",
            "[1e300,9007199254740993.0,123456789012345678901234567890]",
            "[1e+300,9007199254740993.0,123456789012345678901234567890]",
        ),
    ] {
        assert_eq!(given(path, document), expected, "{path} on {document}");
    }
}

#[test]
fn what_the_crate_gets_wrong_is_right_or_refused() {
    for (path, document, expected) in [
        // Members stand in any order.
        ("$.doc[?@ == $.doc[0]]", r#"[{"a":1,"b":[2]},{"b":[2],"a":1}]"#, r#"[{"a":1,"b":[2]},{"a":1,"b":[2]}]"#),
        ("$.doc[?@ == $.doc[0]]", "[[9007199254740993],[9007199254740992]]", "[[9007199254740993]]"),
        // Fractions that are close are not equal, and 1 is 1.0.
        ("$.doc[?@ == 0.3]", "[0.3,0.30000000000000004]", "[0.3]"),
        ("$.doc[?@ < 0.30000000000000004]", "[0.3,0.30000000000000004]", "[0.3]"),
        ("$.doc[?@ == 0]", "[1e-17,0,-0,0.0]", "[0,-0,0.0]"),
        ("$.doc[?@ == 1]", "[1,1.0,1e0,10e-1]", "[1,1.0,1e+0,10e-1]"),
        // Two absent values are equal (RFC 9535, table 11).
        ("$.doc[?@.a == @.b]", "[1]", "[1]"),
        ("$.doc[?@.a <= @.b]", "[1]", "[1]"),
        ("$.doc[?@.a < @.b]", "[1]", "[]"),
        // No nodes are counted as nothing, not as 0.
        ("$.doc[?count(@.x[*]) == 0]", r#"[{"x":[]}]"#, "refused"),
        ("$.doc[?count(@.x[*]) < 2]", r#"[{"x":[]}]"#, "refused"),
        ("$.doc[?2 > count(@.x[*])]", r#"[{"x":[]}]"#, "refused"),
        ("$.doc[?count(@.x[*]) != @.n]", r#"[{"x":[]}]"#, "refused"),
        ("$.doc[?count(@.x[*]) == count(@.y[*])]", r#"[{"x":[]}]"#, "refused"),
        ("$.doc[?count(@.x[*]) > 0]", r#"[{"x":[]},{"x":[1]}]"#, r#"[{"x":[1]}]"#),
        ("$.doc[?1 <= count(@.x[*])]", r#"[{"x":[]},{"x":[1]}]"#, r#"[{"x":[1]}]"#),
        ("$.doc[?count(@.x[*]) != 1]", r#"[{"x":[]},{"x":[1]}]"#, r#"[{"x":[]}]"#),
        // Several selectors are run over each node in turn.
        ("$.doc['b','a']", r#"{"a":1,"b":2}"#, "[2,1]"),
        ("$.doc[*]['b','a']", r#"[{"a":1,"b":2},{"a":3}]"#, "refused"),
        ("$.doc[?@[-1] > 0]", "[[1],[0,2],[0],[]]", "[[1],[0,2]]"),
        // A `$` in a filter is the whole document, also where nothing is compared.
        ("$.doc[?$.doc]", "[1]", "[1]"),
        ("$.doc.list[?match(@, $.doc.like)]", r#"{"list":["ab","c"],"like":"a."}"#, r#"["ab"]"#),
        ("$.doc[?$]", "[1]", "refused"),
        ("$.doc[?@[?@ > 1]]", "[[2]]", "refused"),
        ("$.doc..['a','b']", "{}", "refused"),
        ("$.doc[?length(@.*) > 1]", "{}", "refused"),
        ("$.doc[?in(@, 'x')]", "{}", "refused"),
    ] {
        assert_eq!(given(path, document), expected, "{path} on {document}");
    }
}
