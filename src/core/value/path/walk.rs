//! Paths that select several nodes and no node twice: names, indexes, slices and wildcards, one after another. What they
//! do is bounded by the document.

use jsonpath_rust::parser::model::{Segment, Selector};
use serde_json::Value;

/// One step, to any number of nodes.
#[derive(Debug, PartialEq)]
pub(super) enum Hop {
    Member(Box<str>),
    /// Counted from the end if it is negative.
    Index(i64),
    Wildcard,
    Slice(Option<i64>, Option<i64>, i64),
}

/// True if these segments are such a path.
pub(super) fn is_walk(segments: &[Segment]) -> bool {
    segments.iter().all(|segment| hop(segment).is_some())
}

/// The steps of such a path.
pub(super) fn hops(segments: &[Segment]) -> Box<[Hop]> {
    segments.iter().filter_map(hop).collect()
}

fn hop(segment: &Segment) -> Option<Hop> {
    let Segment::Selector(selector) = segment else { return None };
    Some(match selector {
        Selector::Name(name) => Hop::Member(name.as_str().into()),
        Selector::Index(index) => Hop::Index(*index),
        Selector::Wildcard => Hop::Wildcard,
        Selector::Slice(start, end, step) => Hop::Slice(*start, *end, step.unwrap_or(1)),
        Selector::Filter(_) => return None,
    })
}

/// All nodes, in order.
pub(super) fn all<'v>(start: &'v Value, hops: &[Hop]) -> Vec<&'v Value> {
    let mut nodes = vec![start];
    for hop in hops {
        let mut next = Vec::new();
        for node in nodes {
            hop.reach(node, &mut |found| {
                next.push(found);
                true
            });
        }
        nodes = next;
    }
    nodes
}

/// The first node; of what comes behind it no more is looked at than has to be.
pub(super) fn first<'v>(start: &'v Value, hops: &[Hop]) -> Option<&'v Value> {
    let Some((hop, rest)) = hops.split_first() else { return Some(start) };
    let mut found = None;
    hop.reach(start, &mut |node| {
        found = first(node, rest);
        found.is_none()
    });
    found
}

impl Hop {
    /// True if it may select more than one node.
    pub(super) fn is_plural(&self) -> bool {
        matches!(self, Hop::Wildcard | Hop::Slice(..))
    }

    /// Hands over the nodes that it selects of one, until no more is wanted.
    fn reach<'v>(&self, node: &'v Value, take: &mut dyn FnMut(&'v Value) -> bool) {
        match (self, node) {
            (Hop::Member(name), Value::Object(members)) => _ = members.get(&**name).is_some_and(take),
            (Hop::Index(index), Value::Array(items)) => _ = at(items, *index).is_some_and(take),
            (Hop::Wildcard, Value::Object(members)) => _ = members.values().all(take),
            (Hop::Wildcard, Value::Array(items)) => _ = items.iter().all(take),
            (Hop::Slice(start, end, step), Value::Array(items)) => slice(items, *start, *end, *step, take),
            _ => {}
        }
    }
}

fn at(items: &[Value], index: i64) -> Option<&Value> {
    match usize::try_from(index) {
        Ok(index) => items.get(index),
        Err(_) => items.len().checked_sub(usize::try_from(index.unsigned_abs()).ok()?).map(|index| &items[index]),
    }
}

/// RFC 9535, section 2.3.4.2.2.
fn slice<'v>(
    items: &'v [Value],
    start: Option<i64>,
    end: Option<i64>,
    step: i64,
    take: &mut dyn FnMut(&'v Value) -> bool,
) {
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let normal = |index: i64| if index >= 0 { index } else { length.saturating_add(index) };
    let mut taken = |index: i64| usize::try_from(index).ok().and_then(|index| items.get(index)).is_some_and(&mut *take);
    if step > 0 {
        let (mut index, end) =
            (normal(start.unwrap_or(0)).clamp(0, length), normal(end.unwrap_or(length)).clamp(0, length));
        while index < end && taken(index) {
            index = index.saturating_add(step);
        }
    } else if step < 0 {
        let (mut index, end) = (
            normal(start.unwrap_or(length - 1)).clamp(-1, length - 1),
            end.map_or(-1, |end| normal(end).clamp(-1, length - 1)),
        );
        while index > end && taken(index) {
            index = index.saturating_add(step);
        }
    }
}
