//! The part of an answer that a rule reads. The rest is checked to be JSON, and dropped
//! while it is parsed: most answers are many times larger than what is wanted of them.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// What is read of a JSON value.
#[derive(Debug, PartialEq)]
pub(super) enum Shape {
    /// All of it.
    Whole,
    /// Only these members, sorted by name.
    Members(Vec<(String, Shape)>),
}

impl Shape {
    pub(super) fn nothing() -> Self {
        Shape::Members(Vec::new())
    }

    /// Widens the shape by a path of members.
    pub(super) fn add(&mut self, path: &[String]) {
        let Shape::Members(members) = self else { return };
        let Some((first, rest)) = path.split_first() else {
            *self = Shape::Whole;
            return;
        };
        let at = match members.binary_search_by(|(name, _)| name.cmp(first)) {
            Ok(at) => at,
            Err(at) => {
                members.insert(at, (first.clone(), Shape::nothing()));
                at
            }
        };
        members[at].1.add(rest);
    }

    /// Parses a text, keeping what is in the shape.
    ///
    /// # Errors
    /// When the text is not JSON, or nested deeper than 128 levels where it is kept.
    pub(super) fn parse(&self, text: &str) -> Result<Value, serde_json::Error> {
        let mut reader = serde_json::Deserializer::from_str(text);
        let value = self.deserialize(&mut reader)?;
        reader.end()?;
        Ok(value)
    }
}

impl<'de> DeserializeSeed<'de> for &Shape {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self {
            Shape::Whole => serde::Deserialize::deserialize(deserializer),
            Shape::Members(members) => deserializer.deserialize_any(Members(members)),
        }
    }
}

/// Keeps the named members of an object. A value of another type has none, so it is null.
struct Members<'s>(&'s [(String, Shape)]);

impl<'de> Visitor<'de> for Members<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut kept = Map::new();
        while let Some(member) = access.next_key_seed(Name(self.0))? {
            match member {
                Some((name, shape)) => {
                    let value = access.next_value_seed(shape)?;
                    kept.insert(name.clone(), value);
                }
                None => {
                    access.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Value::Object(kept))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        while access.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_str<E>(self, _: &str) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

/// Finds a member by its name, without keeping the names of the others.
struct Name<'s>(&'s [(String, Shape)]);

impl<'de, 's> DeserializeSeed<'de> for Name<'s> {
    type Value = Option<&'s (String, Shape)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'s> Visitor<'_> for Name<'s> {
    type Value = Option<&'s (String, Shape)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().find(|(known, _)| known == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(paths: &[&str]) -> Shape {
        let mut shape = Shape::nothing();
        for path in paths {
            let path: Vec<_> = path.split('.').filter(|name| !name.is_empty()).map(str::to_owned).collect();
            shape.add(&path);
        }
        shape
    }

    #[test]
    fn only_what_is_read_is_kept_and_kept_exactly() {
        let text = r#"{"id":18446744073709551616,"a":{"b":[1,{"c":2}],"x":9},"big":[[[]]],"id2":"é"}"#;
        for (paths, expected) in [
            (&["id"][..], r#"{"id":18446744073709551616}"#),
            (&["a.b"], r#"{"a":{"b":[1,{"c":2}]}}"#),
            (&["a.b", "a"], r#"{"a":{"b":[1,{"c":2}],"x":9}}"#),
            (&["id2", "none.deep"], r#"{"id2":"é"}"#),
            (&["big.x", "id.y"], r#"{"big":null,"id":{}}"#),
            (&[], "{}"),
        ] {
            let kept = shape(paths).parse(text).expect("the text is JSON");
            assert_eq!(kept.to_string(), expected, "{paths:?}");
        }
        assert_eq!(
            shape(&[""]).parse(text).expect("the text is JSON"),
            serde_json::from_str::<Value>(text).expect("the text is JSON")
        );
    }

    #[test]
    fn what_is_dropped_must_be_json_all_the_same() {
        for broken in
            [r#"{"id":1,"x":}"#, r#"{"id":1"#, r#"{"id":1}}"#, r#"{"id":1,"x":01}"#, "", "<html>", r#"{"x":[1,]}"#]
        {
            assert!(shape(&["id"]).parse(broken).is_err(), "{broken}");
        }
    }
}
