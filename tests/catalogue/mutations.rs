//! What holds when the answers are less than, or other than, what a case has: the first normal case of every rule, and
//! each part of its answers in turn changed or taken away.
//!
//! Nothing here knows how a rule reads an answer. Which parts make a claim is found by changing them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    findings,
    shelf::{Answer, Case, Entry},
    stage::{Login, Ready},
};

/// What a rule does otherwise than all others, and why it is right.
#[derive(Deserialize)]
struct Exceptions(BTreeMap<String, BTreeMap<String, String>>);

/// A text, number or boolean in an answer.
#[derive(Clone)]
struct Leaf {
    /// Which answer.
    answer: usize,
    place: Vec<Step>,
    value: Value,
}

#[derive(Clone, PartialEq)]
enum Step {
    Member(String),
    Element(usize),
}

/// The claims, if there are any.
type Claims = Option<Map<String, Value>>;

/// A rule on the stage, with what it makes of its first normal case.
struct Subject<'e> {
    ready: Ready<'e>,
    case: &'e Case,
    leaves: Vec<Leaf>,
    claims: Map<String, Value>,
    /// Leaves with the same value, which are one thing said in several places, and the claims that they make.
    makers: Vec<(Vec<usize>, BTreeSet<String>)>,
}

impl<'e> Subject<'e> {
    fn new(entry: &'e Entry, case: &'e Case) -> Self {
        let ready = Ready::new(entry, case);
        let claims = claims(&ready.login()).expect("a normal case ends in claims");
        let bodies = case.answers.iter().enumerate().filter(|(_, answer)| answer.fail.is_none());
        let bodies = bodies.filter_map(|(number, answer)| Some((number, serde_json::from_str(answer.text()).ok()?)));
        let mut leaves = Vec::new();
        bodies.for_each(|(number, body): (_, Value)| collect(number, &mut Vec::new(), &body, &mut leaves));
        let mut subject = Subject { ready, case, leaves, claims, makers: Vec::new() };
        subject.makers = subject.effects();
        subject
    }

    /// What each group of leaves makes: with another value of theirs these claims are other ones.
    fn effects(&self) -> Vec<(Vec<usize>, BTreeSet<String>)> {
        let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (number, leaf) in self.leaves.iter().enumerate() {
            groups.entry(leaf.value.to_string()).or_default().push(number);
        }
        let made = |group: &[usize]| {
            let leaves: Vec<_> = group.iter().map(|number| &self.leaves[*number]).collect();
            let found = claims(&self.with(&leaves, Some(&other(&leaves[0].value)?)))?;
            let names = self.claims.keys().filter(|name| found.get(*name) != self.claims.get(*name));
            Some(names.cloned().collect())
        };
        let groups = groups.into_values().map(|group| {
            let made = made(&group).unwrap_or_default();
            (group, made)
        });
        groups.collect()
    }

    /// A login with these leaves changed, or taken away. What is asked for by their value is asked for by the new one.
    fn with(&self, leaves: &[&Leaf], value: Option<&Value>) -> Login {
        let mut answers = self.case.answers.clone();
        for leaf in leaves {
            let answer = &mut answers[leaf.answer];
            let mut body: Value = serde_json::from_str(answer.text()).expect("it was JSON before");
            change(&mut body, &leaf.place, value);
            *body_of(answer) = Some(body.to_string());
        }
        let login = self.ready.login_with(answers.clone());
        let (Some(value), Some(leaf)) = (value.and_then(text), leaves.first()) else { return login };
        let Some(old) = text(&leaf.value).filter(|_| !login.strays.is_empty()) else { return login };
        for answer in &mut answers {
            answer.url = replaced(&answer.url, &old, &value);
        }
        self.ready.login_with(answers)
    }

    /// The groups that make a claim.
    fn makers(&self, claim: &str) -> Vec<Vec<&Leaf>> {
        let groups = self.makers.iter().filter(|(_, made)| made.contains(claim));
        groups.map(|(group, _)| group.iter().map(|number| &self.leaves[*number]).collect()).collect()
    }

    /// The same for a claim that does not say who the user is: without what does there is no login.
    fn free(&self, claim: &str) -> Vec<Vec<&Leaf>> {
        let groups = self.makers(claim);
        let singles = groups.iter().filter(|group| group.len() > 1).flatten().map(|leaf| vec![*leaf]);
        let all = groups.iter().cloned().chain(singles);
        all.filter(|group| !group.iter().any(|leaf| self.identifies(leaf))).collect()
    }

    /// True for a leaf without which, or without whose like, nobody is named.
    fn identifies(&self, leaf: &Leaf) -> bool {
        let made = self.makers.iter().filter(|(_, made)| made.contains("sub"));
        let mut alike = made.flat_map(|(group, _)| group).map(|number| &self.leaves[*number]);
        alike.any(|id| id.answer == leaf.answer && id.place == leaf.place)
    }
}

fn claims(login: &Login) -> Claims {
    if login.status == 200 { serde_json::from_str(&login.body).ok() } else { None }
}

fn body_of(answer: &mut Answer) -> &mut Option<String> {
    if answer.json.is_some() { &mut answer.json } else { &mut answer.body }
}

fn collect(answer: usize, place: &mut Vec<Step>, value: &Value, leaves: &mut Vec<Leaf>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                place.push(Step::Member(name.clone()));
                collect(answer, place, value, leaves);
                place.pop();
            }
        }
        Value::Array(items) => {
            for (at, value) in items.iter().enumerate() {
                place.push(Step::Element(at));
                collect(answer, place, value, leaves);
                place.pop();
            }
        }
        Value::Null => {}
        _ => leaves.push(Leaf { answer, place: place.clone(), value: value.clone() }),
    }
}

/// Sets what is at a place, or takes it away; an element of a list becomes null, so that the others keep their places.
fn change(body: &mut Value, place: &[Step], value: Option<&Value>) {
    let Some((first, rest)) = place.split_first() else { return };
    match (first, body) {
        (Step::Member(name), Value::Object(members)) if rest.is_empty() && value.is_none() => _ = members.remove(name),
        (Step::Member(name), Value::Object(members)) => {
            let slot = members.get_mut(name).expect("the place was there");
            if rest.is_empty() { *slot = value.cloned().unwrap_or_default() } else { change(slot, rest, value) }
        }
        (Step::Element(at), Value::Array(items)) => {
            if rest.is_empty() {
                items[*at] = value.cloned().unwrap_or_default();
            } else {
                change(&mut items[*at], rest, value);
            }
        }
        _ => panic!("the place was there"),
    }
}

/// What may stand in an address.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Another value of the same kind.
fn other(value: &Value) -> Option<Value> {
    match value {
        Value::String(text) if text.contains('@') => Some("0ther@example.net".into()),
        Value::String(text) if text.contains("://") => Some(format!("{text}0ther").into()),
        Value::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => Some("4711000815".into()),
        // `urn:user:7`, which a rule may look into.
        Value::String(text) => {
            Some(text.rsplit_once(':').map_or("0ther".into(), |(kind, _)| format!("{kind}:0ther").into()))
        }
        Value::Number(_) => Some(json!(4_711_000_815_u64)),
        _ => None,
    }
}

/// An address in which a whole word is another.
fn replaced(url: &str, old: &str, new: &str) -> String {
    let word = |c: char| c.is_alphanumeric();
    let mut found = String::new();
    let mut rest = url;
    while let Some(at) = rest.find(old) {
        let (before, after) = (&rest[..at], &rest[at + old.len()..]);
        let alone = !before.ends_with(word) && !after.starts_with(word);
        found.push_str(before);
        found.push_str(if alone { new } else { old });
        rest = after;
    }
    found + rest
}

/// The parts of an answer that a finding is about, in words.
fn named(group: &[&Leaf]) -> String {
    let places = group.iter().map(|leaf| {
        leaf.place.iter().map(|step| match step {
            Step::Member(name) => format!(".{name}"),
            Step::Element(at) => format!("[{at}]"),
        })
    });
    places.map(Iterator::collect::<String>).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
}

/// Everything that is found, by what it is about.
static FOUND: LazyLock<Vec<String>> = LazyLock::new(|| findings(examine));

fn examine(entry: &Entry) -> Vec<String> {
    let normal = Subject::new(entry, entry.normal());
    let mut found = Vec::new();
    let mut add = |kind: &str, said: Vec<String>| found.extend(said.into_iter().map(|said| format!("{kind}: {said}")));
    add("id", large_ids(&normal));
    add("nobody", nobody(&normal));
    add("email", emails(&normal));
    add("names", names(&normal));
    add("verified", verified(entry));
    add("missing", missing(&normal));
    for case in entry.cases.iter().filter(|case| case.claims.is_some() && case.name != normal.case.name) {
        add("missing", missing(&Subject::new(entry, case)));
    }
    found
}

/// Nothing is found of this kind but what is excused; and what is excused is found, or it hides something else one day.
fn hold(kind: &str) {
    let Exceptions(all) = toml::from_str(include_str!("exceptions.toml")).expect("the file is sound");
    let excused = all.get(kind).cloned().unwrap_or_default();
    let found = FOUND.iter().filter_map(|found| {
        let (rule, said) = found.split_once(": ")?;
        Some((rule, said.strip_prefix(kind)?.strip_prefix(": ")?))
    });
    let found: Vec<_> = found.collect();
    let idle: Vec<_> = excused.keys().filter(|name| !found.iter().any(|(rule, _)| rule == name)).collect();
    let found = found.iter().filter(|(rule, _)| !excused.contains_key(*rule));
    let found: Vec<_> = found.map(|(rule, said)| format!("{rule}: {said}")).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!(idle.is_empty(), "nothing is found any more in {idle:?}");
}

#[test]
fn an_id_of_64_bits_is_exact() {
    hold("id");
}

#[test]
fn nobody_logs_in_without_an_id() {
    hold("nobody");
}

#[test]
fn an_email_that_is_missing_is_not_made_up() {
    hold("email");
}

#[test]
fn an_email_is_verified_only_while_the_provider_says_so() {
    hold("verified");
}

#[test]
fn names_and_addresses_may_be_empty() {
    hold("names");
}

#[test]
fn whatever_else_is_missing_the_login_is_of_the_same_user() {
    hold("missing");
}

#[test]
fn a_rule_that_breaks_one_of_these_is_found() {
    const ANSWER: &str =
        r#"{"id": 7, "realm": "a", "mail": "ada@example.com", "public": "b@example.com", "ok": true, "pic": "xyz"}"#;
    const SUB: &str = "sub = \"$.user.id\"";
    for (kind, claims) in [
        ("", format!("{SUB}\nemail = \"$.user.mail\"\nemail_verified = \"$.user.ok\"\nname = \"$.user.pic\"")),
        ("id", "sub = { rhai = \"(user.id % 4711).to_string()\" }".to_owned()),
        ("nobody", "sub = \"${user.realm}-${user.id}\"".to_owned()),
        ("nobody", "sub = [\"$.user.id\", \"$.user.realm\"]".to_owned()),
        ("email", format!("{SUB}\nemail = [\"$.user.mail\", \"$.user.public\"]\nemail_verified = \"$.user.ok\"")),
        ("email", format!("{SUB}\nemail = {{ path = \"$.user.mail\", default = \"none\" }}")),
        ("verified", format!("{SUB}\nemail = \"$.user.mail\"\nemail_verified = {{ rhai = \"user.id != ()\" }}")),
        ("verified", format!("{SUB}\nemail = \"$.user.mail\"\nemail_verified = {{ rhai = \"user.ok != ()\" }}")),
        ("names", format!("{SUB}\npicture = \"https://img.example/${{user.pic}}\"")),
        ("missing", format!("{SUB}\nrole = {{ rhai = \"if user.pic.starts_with(`x`) {{ user.pic }}\" }}")),
    ] {
        let rule = format!("[call.user]\nurl = \"https://api.example.com/me\"\n[claims]\n{claims}\n");
        let case = format!(
            "[[case]]\nname = \"a user\"\nclaims = \"{{\\\"email_verified\\\": true}}\"\n\
             [[case.answer]]\nurl = \"https://api.example.com/me\"\njson = '{ANSWER}'\n"
        );
        let found = examine(&super::shelf::parse("acme", rule, &case));
        let kinds: BTreeSet<_> = found.iter().filter_map(|found| Some(found.split_once(": ")?.0)).collect();
        assert_eq!(kinds.is_empty(), kind.is_empty(), "{claims}: {found:?}");
        assert!(kind.is_empty() || kinds.contains(kind), "{claims}: {found:?}");
    }
}

fn large_ids(subject: &Subject<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let sub = subject.claims["sub"].as_str().unwrap_or_default();
    for group in subject.makers("sub") {
        let Value::Number(old) = &group[0].value else { continue };
        for digits in ["9007199254740993", "18446744073709551615"] {
            let login = subject.with(&group, Some(&digits.parse().map(Value::Number).expect("a number")));
            let new = claims(&login).map(|claims| claims["sub"].clone());
            if new != Some(replaced(sub, &old.to_string(), digits).into()) {
                found.push(format!("{} {digits}: {} {new:?} {:?}", named(&group), login.status, login.why));
            }
        }
    }
    found
}

fn nobody(subject: &Subject<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let makers = subject.makers("sub");
    if makers.is_empty() {
        found.push("nothing in the answers makes the id".to_owned());
    }
    for group in &makers {
        let mut values = vec![None, Some(Value::Null), Some("".into())];
        // As part of a composed id each of these may say something.
        let whole = text(&group[0].value).is_some_and(|text| subject.claims["sub"] == text.as_str());
        values.extend(whole.then(|| [Some(" ".into()), Some(json!(0)), Some("0".into())]).into_iter().flatten());
        for value in values {
            let login = subject.with(group, value.as_ref());
            if login.status == 200 {
                let sub = claims(&login).map(|claims| claims["sub"].clone());
                found.push(format!("{} {value:?}: {sub:?}", named(group)));
            }
        }
    }
    found
}

fn emails(subject: &Subject<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for group in subject.free("email") {
        for value in [None, Some(Value::Null), Some("".into())] {
            let login = subject.with(&group, value.as_ref());
            let told = format!("{} {value:?}: {} {:?}", named(&group), login.status, login.why);
            let Some(claims) = claims(&login) else {
                found.push(told);
                continue;
            };
            let email = claims.get("email");
            let other = email.is_some() && email != subject.claims.get("email");
            if other && vouched(&login) {
                found.push(format!("{told} vouches for another: {email:?}"));
            }
            found.extend(super::invariants::unsound(&claims).into_iter().map(|wrong| format!("{told} {wrong}")));
            if claims["sub"] != subject.claims["sub"] {
                found.push(format!("{told} is {}", claims["sub"]));
            }
        }
    }
    found
}

fn vouched(login: &Login) -> bool {
    claims(login).is_some_and(|claims| claims.get("email_verified") == Some(&true.into()))
}

fn verified(entry: &Entry) -> Vec<String> {
    let vouching =
        |case: &&Case| case.claims().is_some_and(|claims| claims.get("email_verified") == Some(&true.into()));
    let Some(case) = entry.cases.iter().find(vouching) else { return Vec::new() };
    let subject = Subject::new(entry, case);
    let is_address = |leaf: &Leaf| Some(&leaf.value) == subject.claims.get("email");
    // Without a flag there are claims that say less, or a guard refuses.
    let counts =
        |leaf: &&Leaf| !subject.identifies(leaf) && !is_address(leaf) && !vouched(&subject.with(&[leaf], None));
    let flags: Vec<_> = subject.leaves.iter().filter(counts).collect();
    let mut found = Vec::new();
    if flags.is_empty() && entry.accepts("CS9003").is_none() {
        found.push("whatever the provider answers, the e-mail is verified".to_owned());
    }
    for flag in flags {
        let mut values = vec![json!(false), json!(0), Value::Null, "".into()];
        let is_flag = ["true", "1", "yes"].contains(&flag.value.to_string().trim_matches('"'));
        values.extend(is_flag.then(|| ["false".into(), "0".into(), "no".into()]).into_iter().flatten());
        for value in values {
            let login = subject.with(&[flag], Some(&value));
            if vouched(&login) {
                found.push(format!("{} {value:?}: {}", named(&[flag]), login.body));
            }
        }
    }
    found
}

fn names(subject: &Subject<'_>) -> Vec<String> {
    const NAMES: [&str; 6] = ["name", "given_name", "family_name", "middle_name", "nickname", "preferred_username"];
    const ADDRESSES: [&str; 3] = ["picture", "profile", "website"];
    const BLANK: [&str; 2] = ["", " "];
    let mut found = Vec::new();
    let mut judge = |group: &[&Leaf], value: Option<&Value>| {
        let login = subject.with(group, value);
        let told = format!("{} {value:?}: {} {:?}", named(group), login.status, login.why);
        match claims(&login) {
            Some(claims) if claims["sub"] == subject.claims["sub"] => {
                found.extend(super::invariants::unsound(&claims).into_iter().map(|wrong| format!("{told} {wrong}")));
                let holes = claims.iter().filter(|(name, value)| has_hole(name, value, subject, group));
                found.extend(holes.map(|(name, value)| format!("{told} `{name}` is {value}")));
            }
            claims => found.push(format!("{told} is {:?}", claims.map(|claims| claims["sub"].clone()))),
        }
    };
    let mut makers = BTreeMap::new();
    for (claims, blank) in [(&NAMES[..], &BLANK[..]), (&ADDRESSES, &BLANK[..1])] {
        for group in claims.iter().flat_map(|claim| subject.free(claim)) {
            let texts = if group[0].value.is_string() { blank } else { &[] };
            let texts = texts.iter().map(|text| Some(Value::from(*text)));
            for value in [None, Some(Value::Null)].into_iter().chain(texts) {
                judge(&group, value.as_ref());
            }
            makers.insert(named(&group), group);
        }
    }
    makers.retain(|_, group| group[0].value.is_string());
    judge(&makers.into_values().flatten().collect::<Vec<_>>(), Some(&"".into()));
    found
}

/// True for an address in which nothing stands where something stood. That of a profile has the user name in it, and
/// everybody has one.
fn has_hole(name: &str, value: &Value, subject: &Subject<'_>, group: &[&Leaf]) -> bool {
    let before = subject.claims.get(name).and_then(Value::as_str);
    let (Some(value), Some(before), false) = (value.as_str(), before, name == "profile") else { return false };
    let part = group.first().and_then(|leaf| text(&leaf.value)).unwrap_or_default();
    before.starts_with("http") && value != before && value == before.replacen(&part, "", 1)
}

fn missing(subject: &Subject<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for leaf in subject.leaves.iter().filter(|leaf| !subject.identifies(leaf)) {
        for value in [None, Some(Value::Null)] {
            let login = subject.with(&[leaf], value.as_ref());
            let told = format!("{} {value:?}: {} {:?}", named(&[leaf]), login.status, login.why);
            match claims(&login) {
                None if login.status == 500 => found.push(told),
                Some(claims) if claims["sub"] != subject.claims["sub"] => {
                    found.push(format!("{told} is {}", claims["sub"]));
                }
                _ => {}
            }
        }
    }
    found
}
