//! A sample answer, taken apart: its objects and its single values, each with the path that leads to it.
//!
//! Of a list of objects one is followed: the one that a flag marks as the primary one, or the first.

use serde_json::{Map, Value};

/// Levels that are looked at; deeper ones belong to something else than a user.
const MAX_DEPTH: usize = 8;
/// Values that are looked at.
const MAX_FIELDS: usize = 2_000;

/// A step from a value to one inside of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A member of an object.
    Member(String),
    /// The first element of a list.
    First,
    /// The elements of a list in which these members lead to `true`.
    Flagged(Vec<String>),
    /// All elements of a list.
    Every,
}

/// Where something stands in the answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    /// The number of the call.
    pub(super) call: usize,
    /// The way from the answer of the call.
    pub(super) steps: Vec<Step>,
}

/// A value that is no object and no list of objects.
#[derive(Clone, Debug)]
pub(super) struct Field<'s> {
    pub(super) spot: Spot,
    pub(super) value: &'s Value,
}

/// An object.
#[derive(Clone, Debug)]
pub(super) struct Object<'s> {
    pub(super) spot: Spot,
    pub(super) members: &'s Map<String, Value>,
}

/// A list of objects.
#[derive(Clone, Debug)]
pub(super) struct List<'s> {
    pub(super) spot: Spot,
    pub(super) items: &'s [Value],
}

/// Everything in the samples.
#[derive(Debug, Default)]
pub(super) struct Parts<'s> {
    pub(super) fields: Vec<Field<'s>>,
    pub(super) objects: Vec<Object<'s>>,
    pub(super) lists: Vec<List<'s>>,
}

impl Spot {
    /// The names of the members on the way, in lower case and without marks: `avatarUrl` and `avatar_url` are one.
    pub(super) fn keys(&self) -> Vec<String> {
        self.steps.iter().filter_map(Step::name).map(plain).collect()
    }

    /// The object that holds this value: a list and its elements are one place with the member that they are in.
    pub(super) fn owner(&self) -> &[Step] {
        let last = self.steps.iter().rposition(|step| matches!(step, Step::Member(_))).unwrap_or_default();
        &self.steps[..last]
    }

    /// True if several nodes may be selected.
    pub(super) fn selects_several(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Flagged(_) | Step::Every))
    }

    pub(super) fn then(&self, step: Step) -> Spot {
        let mut steps = self.steps.clone();
        steps.push(step);
        Spot { call: self.call, steps }
    }
}

impl Step {
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Step::Member(name) => Some(name),
            Step::First | Step::Flagged(_) | Step::Every => None,
        }
    }
}

/// A name in lower case, letters and digits alone. A name that is an address is its last segment.
pub(super) fn plain(name: &str) -> String {
    let name = if name.contains("://") { name.rsplit('/').next().unwrap_or(name) } else { name };
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

impl<'s> Parts<'s> {
    /// Takes the answer of a call apart.
    pub(super) fn add(&mut self, call: usize, answer: &'s Value) {
        self.value(Spot { call, steps: Vec::new() }, answer);
    }

    fn value(&mut self, spot: Spot, value: &'s Value) {
        let depth = spot.steps.iter().filter(|step| step.name().is_some()).count();
        if depth > MAX_DEPTH || self.fields.len() + self.objects.len() > MAX_FIELDS {
            return;
        }
        match value {
            Value::Object(members) => {
                self.objects.push(Object { spot: spot.clone(), members });
                for (name, member) in members {
                    self.value(spot.then(Step::Member(name.clone())), member);
                }
            }
            Value::Array(items) if items.iter().any(Value::is_object) => {
                self.lists.push(List { spot: spot.clone(), items });
                let (step, item) = chosen(items);
                if let Some(item) = item {
                    self.value(spot.then(step), item);
                }
            }
            Value::Array(items) => {
                if let Some(first) = items.first().filter(|first| first.is_string()) {
                    self.fields.push(Field { spot: spot.then(Step::First), value: first });
                }
                self.fields.push(Field { spot, value });
            }
            _ => self.fields.push(Field { spot, value }),
        }
    }
}

/// The element of a list that is followed.
fn chosen(items: &[Value]) -> (Step, Option<&Value>) {
    let flagged = items.iter().find_map(|item| Some((flag(item)?, item)));
    match flagged {
        Some((flag, item)) => (Step::Flagged(flag), Some(item)),
        None => (Step::First, items.iter().find(|item| item.is_object())),
    }
}

/// Names of flags that mark one of several.
const FLAGS: [&str; 7] = ["primary", "isprimary", "default", "isdefault", "preferred", "main", "current"];

/// The members that lead to a flag that is set, if the element has one; it may be one level down.
fn flag(item: &Value) -> Option<Vec<String>> {
    let members = item.as_object()?;
    let set = |members: &Map<String, Value>| {
        // In the order of the names of flags, so that `primary` goes before `default`.
        FLAGS
            .iter()
            .find_map(|flag| members.iter().find(|(name, value)| plain(name) == *flag && **value == Value::Bool(true)))
            .map(|(name, _)| name.clone())
    };
    if let Some(name) = set(members) {
        return Some(vec![name]);
    }
    members.iter().find_map(|(name, value)| Some(vec![name.clone(), set(value.as_object()?)?]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_in_objects_and_in_one_element_of_a_list() {
        let answer = serde_json::json!({
            "data": [{"id": 7}, {"id": 8}],
            "emails": [{"value": "a", "meta": {"primary": false}}, {"value": "b", "meta": {"primary": true}}],
            "roles": ["x", "y"],
        });
        let mut parts = Parts::default();
        parts.add(0, &answer);
        let found: Vec<_> =
            parts.fields.iter().map(|field| (field.spot.keys().join("."), field.value.to_string())).collect();
        let found: Vec<_> = found.iter().map(|(path, value)| format!("{path}={value}")).collect();
        assert_eq!(
            found,
            ["data.id=7", "emails.meta.primary=true", "emails.value=\"b\"", "roles=\"x\"", "roles=[\"x\",\"y\"]"]
        );
        assert_eq!(parts.fields[2].spot.steps[1], Step::Flagged(vec!["meta".into(), "primary".into()]));
    }

    #[test]
    fn what_is_too_deep_or_too_much_is_left_out() {
        let mut deep = serde_json::json!({"id": 1});
        for _ in 0..50 {
            deep = serde_json::json!({"a": deep});
        }
        let wide: Value =
            (0..10_000).map(|number| (format!("m{number}"), Value::from(number))).collect::<Map<_, _>>().into();
        for answer in [deep, wide] {
            let mut parts = Parts::default();
            parts.add(0, &answer);
            assert!(parts.fields.len() <= MAX_FIELDS && parts.objects.len() <= MAX_DEPTH + 2);
        }
    }
}
