//! Our compiled paths against the RFC 9535 compliance suite and an independent implementation.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt::Write,
    sync::{Arc, LazyLock},
    time::Duration,
};

use jsonpath_rust::{parser::parse_json_path, query::js_path_process};
use serde_json::{Value, json};

use super::Path;
use crate::core::{
    facts::{Facts, Kept, Shape},
    problem::{Problems, Source},
    value::{Engine, Failure, Known, Spot},
};

/// Tests of the suite that our paths answer as it says, and those that are refused although they are valid.
const RIGHT: usize = 699;
const REFUSED: usize = 4;

static ENGINE: LazyLock<Arc<Engine>> = LazyLock::new(|| Arc::new(Engine::new(|| Duration::ZERO, || Duration::ZERO)));

/// Compiles a path in a rule with the one call `doc`.
fn compile(text: &str) -> Result<Path, String> {
    let calls = ["doc".to_owned()];
    let secrets = BTreeMap::new();
    let known = Known {
        calls: &calls,
        vars: &Value::Null,
        secrets: &secrets,
        secret_names: &[],
        engine: &ENGINE,
        each: false,
        token: None,
    };
    let source = Source::new("test", text);
    let mut problems = Problems::default();
    let path = Path::compile(&Spot::file(&source), text, &known, &mut problems);
    path.ok_or_else(|| problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>().join("; "))
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
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn the_compliance_suite_is_answered_right_or_refused() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/conformance/jsonpath-cts.json");
    let Some(text) = read(file) else {
        eprintln!("skipped: the JSONPath compliance suite is not at {file}");
        return;
    };
    let suite: Value = serde_json::from_str(&text).expect("the suite is JSON");
    let (mut right, mut refused, mut wrong) = (0, 0, String::new());
    for test in suite["tests"].as_array().expect("the suite has tests") {
        let (name, selector) = (&test["name"], test["selector"].as_str().expect("a test has a selector"));
        let invalid = test["invalid_selector"] == json!(true);
        let outcome = match compile(&rooted(selector)) {
            Err(_) if invalid => Ok(&mut right),
            Err(_) => Ok(&mut refused),
            Ok(_) if invalid => Err("it is invalid, and was accepted".into()),
            Ok(path) => {
                let found = nodes(&path, &test["document"]).map(Value::from);
                let allowed = match &test["results"] {
                    Value::Array(several) => several.clone(),
                    _ => vec![test["result"].clone()],
                };
                match found {
                    Ok(found) if allowed.contains(&found) => Ok(&mut right),
                    Ok(found) => Err(format!("it gave {found}, allowed: {allowed:?}")),
                    Err(failure) => Err(failure.words()),
                }
            }
        };
        match outcome {
            Ok(count) => *count += 1,
            Err(why) => {
                let _ = writeln!(wrong, "{name} {selector}: {why}");
            }
        }
    }
    assert!(wrong.is_empty(), "wrong:\n{wrong}");
    assert_eq!((right, refused), (RIGHT, REFUSED), "right and refused");
}

/// A small generator (xorshift): the same tests in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).expect("it is below a usize")
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn document(&mut self, depth: usize) -> Value {
        match self.below(if depth == 0 { 4 } else { 8 }) {
            0 => json!(self.below(4)),
            1 => json!(self.pick(&["", "x", "y", "xy"])),
            2 => [json!(null), json!(true), json!(false)][self.below(3)].clone(),
            3 => [json!(0.5), json!(-1), json!(1e-17), json!(0.3), json!(0.30000000000000004)][self.below(5)].clone(),
            4 | 5 => (0..self.below(4)).map(|_| self.document(depth - 1)).collect(),
            _ => {
                let names = (0..self.below(4)).map(|_| self.pick(&["a", "b", "c"]).to_owned()).collect::<Vec<_>>();
                Value::Object(names.into_iter().map(|name| (name, self.document(depth - 1))).collect())
            }
        }
    }

    fn number(&mut self) -> String {
        self.pick(&["0", "1", "2", "-1", "-2", "3"]).to_owned()
    }

    fn slice(&mut self) -> String {
        let [start, end, step] = [0, 1, 2].map(|_| if self.below(3) == 0 { String::new() } else { self.number() });
        if step.is_empty() { format!("{start}:{end}") } else { format!("{start}:{end}:{step}") }
    }

    fn singular(&mut self) -> String {
        // Not `@[-1]`: the other implementation finds nothing there in a list of one.
        self.pick(&["@", "@.a", "@.b", "@['c']", "@[0]", "@[1]", "@.a.b", "@.a[1]", "$.doc.a", "$.doc[0]", "$.doc"])
            .to_owned()
    }

    fn comparable(&mut self) -> String {
        match self.below(8) {
            0 => self.pick(&["'x'", "''", "true", "false", "null", "0.5", "0.3", "1e-17"]).to_owned(),
            1 | 2 => self.number(),
            3 => format!("length({})", self.singular()),
            4 => format!("count({})", self.pick(&["@.*", "@..a", "@['a','b']", "@.a"])),
            5 => format!("value({})", self.pick(&["@.*", "@..a", "@.a", "@[0:1]"])),
            _ => self.singular(),
        }
    }

    fn condition(&mut self, depth: usize) -> String {
        match self.below(if depth == 0 { 6 } else { 9 }) {
            0 => self.singular(),
            1 => format!("!{}", self.singular()),
            2 => format!("{}({}, 'x.*')", self.pick(&["match", "search"]), self.singular()),
            3..=5 => {
                let operator = self.pick(&["==", "!=", "<", "<=", ">", ">="]);
                // Two absent values are equal, and so `<=` and `>=`; the other implementation says that they are not.
                let right = match operator {
                    "<=" | ">=" => self.pick(&["0", "1", "2", "'x'", "0.3", "1e-17", "null", "true"]).to_owned(),
                    _ => self.comparable(),
                };
                format!("{} {operator} {right}", self.comparable())
            }
            6 => format!("{} && {}", self.condition(depth - 1), self.condition(depth - 1)),
            7 => format!("{} || {}", self.condition(depth - 1), self.condition(depth - 1)),
            _ => format!("{}({})", self.pick(&["", "!"]), self.condition(depth - 1)),
        }
    }

    fn selector(&mut self) -> String {
        match self.below(8) {
            0 | 1 => format!("'{}'", self.pick(&["a", "b", "c"])),
            2 => self.number(),
            3 => "*".to_owned(),
            4 => self.slice(),
            _ => format!("?{}", self.condition(2)),
        }
    }

    fn path(&mut self) -> String {
        let mut path = String::from("$.doc");
        for _ in 0..=self.below(3) {
            path += &match self.below(8) {
                0..=2 => format!(".{}", self.pick(&["a", "b", "c", "*"])),
                3 => format!("..{}", self.pick(&["a", "b", "*", "[0]", "[1:]", "[?@.a]", "['b']"])),
                4 => format!("[{}, {}]", self.selector(), self.selector()),
                _ => format!("[{}]", self.selector()),
            };
        }
        path
    }
}

#[test]
fn random_paths_agree_with_an_independent_implementation() {
    const TESTS: usize = 20_000;
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let (mut compared, mut refused, mut wrong) = (0, 0, BTreeMap::new());
    for _ in 0..TESTS {
        let (document, text) = (random.document(3), random.path());
        let Ok(path) = compile(&text) else {
            refused += 1;
            continue;
        };
        let whole = json!({ "doc": document });
        let oracle = serde_json_path::JsonPath::parse(&text).expect("what we accept is valid");
        let mut expected: Vec<_> = oracle.query(&whole).all().into_iter().cloned().collect();
        let mut found = nodes(&path, &document).expect("there are no large numbers");
        if text.contains("..") {
            // RFC 9535 leaves the order of descendants open in part.
            expected.sort_by_key(Value::to_string);
            found.sort_by_key(Value::to_string);
        }
        if found == expected {
            compared += 1;
        } else {
            let shown = format!("{text}\n  on {document}\n  gave {found:?}\n  not {expected:?}");
            wrong.insert(shown.len(), shown);
        }
    }
    let shortest: Vec<_> = wrong.values().take(5).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{} of {TESTS} are wrong, for example:\n{}", wrong.len(), shortest.join("\n"));
    assert!(compared > TESTS / 2, "{compared} compared, {refused} refused");
}

#[test]
fn the_cheap_form_and_the_engine_agree() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..3_000 {
        let document = json!({ "doc": random.document(4) });
        let steps: String =
            (0..=random.below(4)).map(|_| random.pick(&[".a", ".b", "['c']", "[0]", "[1]", "[2]"])).collect();
        let text = format!("$.doc{steps}");
        let path = compile(&text).expect("a plain path is sound");
        assert!(matches!(path.rest, super::Rest::Steps(_)), "{text}");
        let query = parse_json_path(&text).expect("a plain path is sound");
        let engine = js_path_process(&query, &document).expect("a plain path can be run");
        let engine: Vec<_> = engine.into_iter().map(|node| node.val().clone()).collect();
        assert_eq!(nodes(&path, &document["doc"]), Ok(engine), "{text} on {document}");
    }
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
