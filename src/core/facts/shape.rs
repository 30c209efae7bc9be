//! The part of an answer that a rule reads. The rest is checked to be JSON, and dropped
//! while it is parsed: most answers are many times larger than what is wanted of them.
//!
//! What is kept has no names of its own: the shape, made once when the rule is loaded, has them.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::{skim::skim, weight::is_too_heavy};

/// What is read of a JSON value.
#[derive(Debug, PartialEq)]
pub enum Shape {
    /// All of it.
    Whole,
    /// Only these members, sorted by name.
    Members(Vec<(String, Shape)>),
}

/// What is kept of a JSON value.
#[derive(Debug, PartialEq)]
pub enum Kept {
    /// All of it.
    Whole(Value),
    /// The members of the shape, in its order.
    Members(Vec<Kept>),
    /// Nothing: it is not there, or it is no object and only members of it are read.
    Absent,
}

/// A kept value with the names of its members.
#[derive(Clone, Copy, Debug)]
pub enum Part<'f> {
    /// All of a value.
    Whole(&'f Value),
    /// Some members of an object.
    Members(&'f [(String, Shape)], &'f [Kept]),
}

impl Shape {
    /// Nothing is read.
    pub fn nothing() -> Self {
        Shape::Members(Vec::new())
    }

    /// Widens the shape by a path of members.
    pub fn add(&mut self, path: &[String]) {
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
    /// When the text is not JSON, or nested deeper than 128 levels where it is kept; an error of data, if more would be
    /// kept than is good.
    pub fn parse(&self, text: &str) -> Result<Kept, serde_json::Error> {
        match self {
            Shape::Whole => self.parse_thoroughly(text),
            Shape::Members(_) => skim(self, text).map_or_else(|| self.parse_thoroughly(text), Ok),
        }
    }

    pub(super) fn parse_thoroughly(&self, text: &str) -> Result<Kept, serde_json::Error> {
        // Of a text that is not read the quick way it is not known how much of it is kept.
        if *self != Shape::nothing() && is_too_heavy(text) {
            return Err(serde::de::Error::custom("too much"));
        }
        let mut reader = serde_json::Deserializer::from_str(text);
        let kept = self.deserialize(&mut reader)?;
        reader.end()?;
        Ok(kept)
    }
}

impl<'f> Part<'f> {
    /// What was kept by this shape; `None` if that is nothing.
    pub fn of(shape: &'f Shape, kept: &'f Kept) -> Option<Self> {
        match (shape, kept) {
            (_, Kept::Whole(value)) => Some(Part::Whole(value)),
            (Shape::Members(shapes), Kept::Members(slots)) => Some(Part::Members(shapes, slots)),
            (_, Kept::Absent) | (Shape::Whole, Kept::Members(_)) => None,
        }
    }

    /// A member of an object.
    pub fn member(self, name: &str) -> Option<Self> {
        match self {
            Part::Whole(value) => value.as_object()?.get(name).map(Part::Whole),
            // They are a handful.
            Part::Members(shapes, slots) => {
                let at = shapes.iter().position(|(known, _)| known == name)?;
                Part::of(&shapes[at].1, &slots[at])
            }
        }
    }

    /// The value, if all of it is kept.
    pub fn whole(self) -> Option<&'f Value> {
        match self {
            Part::Whole(value) => Some(value),
            Part::Members(..) => None,
        }
    }
}

impl<'de> DeserializeSeed<'de> for &Shape {
    type Value = Kept;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Kept, D::Error> {
        match self {
            Shape::Whole => Value::deserialize(deserializer).map(Kept::Whole),
            Shape::Members(members) => deserializer.deserialize_any(Members(members)),
        }
    }
}

/// Keeps the named members of an object. A value of another type has none.
struct Members<'s>(&'s [(String, Shape)]);

impl<'de> Visitor<'de> for Members<'_> {
    type Value = Kept;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Kept, A::Error> {
        let mut slots: Vec<_> = self.0.iter().map(|_| Kept::Absent).collect();
        while let Some(member) = access.next_key_seed(Name(self.0))? {
            match member {
                // Of a name that comes twice the last value holds, as everywhere.
                Some(at) => slots[at] = access.next_value_seed(&self.0[at].1)?,
                None => {
                    access.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Kept::Members(slots))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Kept, A::Error> {
        while access.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Kept::Absent)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Kept, E> {
        Ok(Kept::Absent)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Kept, E> {
        Ok(Kept::Absent)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Kept, E> {
        Ok(Kept::Absent)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Kept, E> {
        Ok(Kept::Absent)
    }

    fn visit_str<E>(self, _: &str) -> Result<Kept, E> {
        Ok(Kept::Absent)
    }

    fn visit_unit<E>(self) -> Result<Kept, E> {
        Ok(Kept::Absent)
    }
}

/// Finds the place of a member by its name, without keeping the names of the others.
struct Name<'s>(&'s [(String, Shape)]);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|(known, _)| known == name))
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

    /// What is kept, with the names of the shape.
    fn view(part: Option<Part<'_>>) -> Value {
        match part {
            None => Value::Null,
            Some(Part::Whole(value)) => value.clone(),
            Some(Part::Members(shapes, slots)) => {
                let members = shapes.iter().zip(slots);
                members.map(|((name, shape), slot)| (name.clone(), view(Part::of(shape, slot)))).collect()
            }
        }
    }

    #[test]
    fn only_what_is_read_is_kept_and_kept_exactly() {
        let text = r#"{"id":18446744073709551616,"a":{"b":[1,{"c":2}],"x":9},"big":[[[]]],"id2":"é"}"#;
        for (paths, expected) in [
            (&["id"][..], r#"{"id":18446744073709551616}"#),
            (&["a.b"], r#"{"a":{"b":[1,{"c":2}]}}"#),
            (&["a.b", "a"], r#"{"a":{"b":[1,{"c":2}],"x":9}}"#),
            (&["id2", "none.deep"], r#"{"id2":"é","none":null}"#),
            (&["big.x", "id.y"], r#"{"big":null,"id":null}"#),
            (&[], "{}"),
        ] {
            let shape = shape(paths);
            let kept = shape.parse(text).expect("the text is JSON");
            assert_eq!(view(Part::of(&shape, &kept)).to_string(), expected, "{paths:?}");
        }
        assert_eq!(
            shape(&[""]).parse(text).expect("the text is JSON"),
            Kept::Whole(serde_json::from_str(text).expect("the text is JSON"))
        );
    }

    #[test]
    fn members_lead_through_what_is_kept_and_on_in_whole_values() {
        let shape = shape(&["a.b", "id", "twice"]);
        let kept = shape.parse(r#"{"twice":1,"id":null,"a":{"b":{"c":[1]},"x":2},"twice":"2"}"#).expect("it is JSON");
        let walk = |path: &str| {
            let part = path.split('.').try_fold(Part::of(&shape, &kept)?, Part::member)?;
            part.whole().map(Value::to_string)
        };
        assert_eq!(walk("a.b.c").as_deref(), Some("[1]"));
        assert_eq!(walk("twice").as_deref(), Some(r#""2""#));
        assert_eq!(walk("id").as_deref(), Some("null"));
        for absent in ["a", "a.x", "a.b.c.d", "id.deep", "none"] {
            assert_eq!(walk(absent), None, "{absent}");
        }
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
