//! Random paths on random documents: the cheap form, the engine and an independent implementation agree.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Rest, compile, engine, nodes, oracle};

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
            0 => self.integer(),
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

    fn integer(&mut self) -> Value {
        if self.below(2) == 0 { large(self.below(LARGE.len())) } else { json!(self.below(4)) }
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
                // It also says that a list is `>` than another one.
                let right = match operator {
                    "<=" | ">=" | ">" => self.pick(&["0", "1", "2", "'x'", "0.3", "1e-17", "null", "true"]).to_owned(),
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

/// Integers that no float holds, some of them next to each other, in their order.
const LARGE: [&str; 9] = [
    "-123456789012345678901234567890",
    "-9007199254740993",
    "9007199254740993",
    "9007199254740994",
    "18446744073709551614",
    "18446744073709551615",
    "18446744073709551616",
    "123456789012345678901234567890",
    "123456789012345678901234567891",
];

fn large(number: usize) -> Value {
    LARGE[number].parse().map(Value::Number).expect("a number with its digits")
}

/// The same document with small integers instead of large ones, in the same order and equal where those are: the
/// other implementation compares floats, and with these it is exact.
fn with_small_numbers(document: &Value) -> Value {
    match document {
        Value::Number(number) => match LARGE.iter().position(|large| *large == number.as_str()) {
            // Two of them are negative; no path and no document has the numbers between.
            Some(at @ 0..2) => json!(at as i64 - 1002),
            Some(at) => json!(at + 1000),
            None => document.clone(),
        },
        Value::Array(items) => items.iter().map(with_small_numbers).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), with_small_numbers(value))).collect()
        }
        other => other.clone(),
    }
}

/// How a path compares with the other implementation.
enum Outcome {
    /// The rule with it is refused.
    Refused,
    /// It fails, because it would have to order numbers that are large.
    Failed,
    /// Both select the same.
    Same,
    /// This differs.
    Other(String),
}

fn compare(text: &str, document: &Value) -> Outcome {
    let Ok(path) = compile(text) else { return Outcome::Refused };
    let small = with_small_numbers(document);
    let Ok(found) = nodes(&path, document) else {
        assert!(small != *document && text.contains(['<', '>']), "{text} fails without need on {document}");
        return Outcome::Failed;
    };
    let mut found: Vec<_> = found.iter().map(with_small_numbers).collect();
    let mut expected = oracle(text, &json!({ "doc": small }));
    if text.contains("..") {
        // RFC 9535 leaves the order of descendants open in part.
        expected.sort_by_key(Value::to_string);
        found.sort_by_key(Value::to_string);
    }
    if found == expected {
        Outcome::Same
    } else {
        Outcome::Other(format!("{text}\n  on {document}\n  gave {found:?}\n  not {expected:?}"))
    }
}

/// How many paths are refused, fail, and select the same; that any differs fails the test.
fn compare_all(tests: impl Iterator<Item = (String, Value)>) -> (usize, usize, usize) {
    let (mut refused, mut failed, mut same, mut other) = (0, 0, 0, BTreeMap::new());
    for (text, document) in tests {
        match compare(&text, &document) {
            Outcome::Refused => refused += 1,
            Outcome::Failed => failed += 1,
            Outcome::Same => same += 1,
            Outcome::Other(shown) => _ = other.insert(shown.len(), shown),
        }
    }
    let shortest: Vec<_> = other.values().take(5).map(String::as_str).collect();
    assert!(shortest.is_empty(), "for example these are wrong:\n{}", shortest.join("\n"));
    (refused, failed, same)
}

#[test]
fn random_paths_agree_with_an_independent_implementation() {
    const TESTS: usize = 20_000;
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let tests = (0..TESTS).map(|_| {
        let document = random.document(3);
        (random.path(), document)
    });
    let (refused, failed, same) = compare_all(tests);
    assert!(same > TESTS / 2, "{same} are the same, {refused} refused, {failed} fail");
}

#[test]
fn random_comparisons_of_large_integers_agree_or_fail() {
    const TESTS: usize = 10_000;
    let mut random = Random(0xd1b5_4a32_d192_ed03);
    let tests = (0..TESTS).map(|_| {
        let item = |random: &mut Random| match random.below(3) {
            0 => random.integer(),
            1 => json!({ "a": random.integer(), "b": random.integer() }),
            _ => json!({ "a": [random.integer()], "b": [random.integer()] }),
        };
        let document: Value = (0..=random.below(5)).map(|_| item(&mut random)).collect();
        let operator = random.pick(&["==", "!=", "==", "!=", "<", "<=", ">", ">="]);
        let left = random.pick(&["@", "@.a", "@.b", "@.a[0]", "value(@.*)", "$.doc[0]"]);
        let right = random.pick(&["@", "@.a", "@.b", "@.b[0]", "$.doc[0]", "$.doc[1].a", "2"]);
        // Where the other implementation is wrong, see `condition`.
        let right = if matches!(operator, "<=" | ">=" | ">") { "2" } else { right };
        (format!("$.doc[?{}({left} {operator} {right})]", random.pick(&["", "!"])), document)
    });
    let (refused, failed, same) = compare_all(tests);
    assert!(same > TESTS / 2 && failed > TESTS / 50, "{same} are the same, {refused} refused, {failed} fail");
}

#[test]
fn the_cheap_form_and_the_engine_agree() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..3_000 {
        let document = json!({ "doc": random.document(4) });
        let steps: String =
            (0..=random.below(4)).map(|_| random.pick(&[".a", ".b", "['c']", "[0]", "[1]", "[2]"])).collect();
        // Several nodes, and what counts from the end, are another walk.
        let plain = random.below(2) == 0;
        let steps = if plain {
            steps
        } else {
            let one = random
                .pick(&["[*]", ".*", "[-1]", "[-2]", "[1:]", "[::-1]", "[:-1]", "[2:0:-1]", "[::2]", "[5:1]", "[::0]"]);
            format!("{steps}{one}{}", random.pick(&["", ".a", "[0]", "[*]"]))
        };
        let text = format!("$.doc{steps}");
        let path = compile(&text).expect("a plain path is sound");
        assert!(if plain { matches!(path.rest, Rest::Steps(_)) } else { matches!(path.rest, Rest::Hops(_)) }, "{text}");
        let found = nodes(&path, &document["doc"]).expect("a plain path compares nothing");
        assert_eq!(found, engine(&text, &document), "{text} on {document}");
        assert_eq!(found, oracle(&text, &document), "{text} on {document}");
    }
}
