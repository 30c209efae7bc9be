//! What jsonpath-rust accepts but RFC 9535 does not, or what it answers wrongly:
//! refused when the rule is loaded, so that no rule gets a wrong claim in silence.

use jsonpath_rust::parser::model::{
    Comparable, Comparison, Filter, FilterAtom, FnArg, JpQuery, Literal, Segment, Selector, SingularQuery,
    SingularQuerySegment, Test, TestFunction,
};

/// What running a query needs to know of it.
#[derive(Debug, Default)]
pub(super) struct Traits {
    /// It selects at most one node (RFC 9535, section 2.3.5.1).
    pub(super) singular: bool,
    /// A filter compares values, so numbers must be exact.
    pub(super) compares: bool,
    /// A filter orders values (`<`, `<=`, `>`, `>=`).
    pub(super) orders: bool,
    /// The parts of the document that filters mention by `$`.
    pub(super) absolute: Vec<String>,
    /// What `match` and `search` look for.
    pub(super) patterns: Vec<Pattern>,
}

/// A pattern of `match` or `search`.
#[derive(Debug)]
pub(super) enum Pattern {
    /// The rule says it: what it costs to compile.
    Literal(usize),
    /// The document says it, at a place that is the same for every node.
    Absolute(JpQuery),
}

/// Why a query is refused, and what to write instead.
type Refusal = (String, String);

/// The largest integer up to which every integer is a float: 2^53.
const EXACT: f64 = 9_007_199_254_740_992.0;

pub(super) fn validate(query: &JpQuery) -> Result<Traits, Refusal> {
    let mut traits = Traits { singular: query.segments.iter().all(is_singular), ..Traits::default() };
    segments(&query.segments, false, &mut traits)?;
    traits.absolute.sort();
    traits.absolute.dedup();
    Ok(traits)
}

fn is_singular(segment: &Segment) -> bool {
    matches!(segment, Segment::Selector(Selector::Name(_) | Selector::Index(_)))
}

/// What to do where the order of nodes would be wrong.
const WRITE_CHAIN: &str = "write one path for each, as a chain";

fn segments(segments: &[Segment], in_filter: bool, traits: &mut Traits) -> Result<(), Refusal> {
    let mut from_one = true;
    for segment in segments {
        match segment {
            Segment::Descendant(inner) => match &**inner {
                Segment::Selectors(several) if several.len() > 1 => {
                    return refuse("several selectors after `..`", WRITE_CHAIN);
                }
                inner => self::segments(std::slice::from_ref(inner), in_filter, traits)?,
            },
            Segment::Selector(one) => selector(one, in_filter, traits)?,
            // The crate runs each selector over all nodes, RFC 9535 all selectors over each node.
            Segment::Selectors(several) if several.len() > 1 && !in_filter && !from_one => {
                return refuse("several selectors after a segment that selects several nodes", WRITE_CHAIN);
            }
            Segment::Selectors(several) => {
                for one in several {
                    selector(one, in_filter, traits)?;
                }
            }
        }
        from_one &= is_singular(segment);
    }
    Ok(())
}

fn selector(selector: &Selector, in_filter: bool, traits: &mut Traits) -> Result<(), Refusal> {
    match selector {
        Selector::Filter(_) if in_filter => refuse(
            "a filter inside a filter",
            "select the inner nodes with a call of `rhai`, or by a path of their own",
        ),
        Selector::Filter(inner) => filter(inner, traits),
        Selector::Name(_) | Selector::Wildcard | Selector::Index(_) | Selector::Slice(..) => Ok(()),
    }
}

fn filter(expression: &Filter, traits: &mut Traits) -> Result<(), Refusal> {
    match expression {
        Filter::Or(all) | Filter::And(all) => all.iter().try_for_each(|one| filter(one, traits)),
        Filter::Atom(FilterAtom::Filter { expr, .. }) => filter(expr, traits),
        Filter::Atom(FilterAtom::Test { expr, .. }) => match &**expr {
            Test::Function(call) => match &**call {
                TestFunction::Match(..) | TestFunction::Search(..) => function(call, traits),
                TestFunction::Custom(..) => function(call, traits),
                TestFunction::Length(_) | TestFunction::Value(_) | TestFunction::Count(_) => refuse(
                    format!("`{}` gives a value, and is no test", name_of(call)),
                    "compare it: `length(@.x) > 0` (RFC 9535, section 2.4.3)",
                ),
            },
            test => query(test, traits),
        },
        Filter::Atom(FilterAtom::Comparison(comparison)) => {
            traits.compares = true;
            traits.orders |= !matches!(**comparison, Comparison::Eq(..) | Comparison::Ne(..));
            let (left, right) = comparison.vals();
            comparable(left, traits)?;
            comparable(right, traits)?;
            counted(comparison)
        }
    }
}

/// jsonpath-rust counts no nodes as nothing at all instead of 0, so a count may be compared only
/// with a number for which both come to the same.
fn counted(comparison: &Comparison) -> Result<(), Refusal> {
    let is_count = |side: &Comparable| matches!(side, Comparable::Function(TestFunction::Count(_)));
    let (left, right) = comparison.vals();
    let (other, turned) = match (is_count(left), is_count(right)) {
        (false, false) => return Ok(()),
        (true, _) => (right, false),
        (false, true) => (left, true),
    };
    let number = match other {
        Comparable::Literal(Literal::Int(number)) => Some(*number as f64),
        Comparable::Literal(Literal::Float(number)) => Some(*number),
        Comparable::Literal(_) => return Ok(()),
        Comparable::Function(_) | Comparable::SingularQuery(_) => None,
    };
    let sound = number.is_some_and(|number| match (comparison, turned) {
        (Comparison::Eq(..) | Comparison::Ne(..), _) => number != 0.0,
        (Comparison::Lt(..), false) | (Comparison::Gt(..), true) => number <= 0.0,
        (Comparison::Lte(..), false) | (Comparison::Gte(..), true) => number < 0.0,
        (Comparison::Gt(..), false) | (Comparison::Lt(..), true) => number >= 0.0,
        (Comparison::Gte(..), false) | (Comparison::Lte(..), true) => number > 0.0,
    });
    if sound {
        return Ok(());
    }
    refuse(
        "this comparison of a count would be wrong when there are no nodes",
        "write `!@.items[*]` for none, `@.items[*]` for some, or compare with a fixed number: `count(@.items[*]) > 1`",
    )
}

fn query(test: &Test, traits: &mut Traits) -> Result<(), Refusal> {
    match test {
        Test::RelQuery(inner) => segments(inner, true, traits),
        Test::AbsQuery(inner) => {
            absolute(inner.segments.first().and_then(name), traits)?;
            segments(&inner.segments, true, traits)
        }
        Test::Function(call) => function(call, traits),
    }
}

fn name(segment: &Segment) -> Option<&str> {
    match segment {
        Segment::Selector(Selector::Name(name)) => Some(name),
        _ => None,
    }
}

/// A `$` inside a filter must name the part of the document that it reads, as the whole path must.
fn absolute(name: Option<&str>, traits: &mut Traits) -> Result<(), Refusal> {
    match name {
        Some(name) => {
            traits.absolute.push(name.to_owned());
            Ok(())
        }
        None => refuse("`$` in a filter names no call", "write `$.call.member`"),
    }
}

fn comparable(value: &Comparable, traits: &mut Traits) -> Result<(), Refusal> {
    match value {
        Comparable::Literal(literal) => literal_is_exact(literal),
        Comparable::SingularQuery(SingularQuery::Current(_)) => Ok(()),
        Comparable::SingularQuery(SingularQuery::Root(segments)) => absolute(
            segments.first().and_then(|segment| match segment {
                SingularQuerySegment::Name(name) => Some(name.as_str()),
                SingularQuerySegment::Index(_) => None,
            }),
            traits,
        ),
        Comparable::Function(call) => match call {
            TestFunction::Length(_) | TestFunction::Value(_) | TestFunction::Count(_) => function(call, traits),
            TestFunction::Match(..) | TestFunction::Search(..) | TestFunction::Custom(..) => refuse(
                format!("`{}` is a test, and gives no value", name_of(call)),
                "use it without a comparison (RFC 9535, section 2.4.3)",
            ),
        },
    }
}

fn literal_is_exact(literal: &Literal) -> Result<(), Refusal> {
    match literal {
        Literal::Float(number) if number.abs() >= EXACT => refuse(
            "this number cannot be compared exactly",
            "a number in a path goes up to 2^53; a longer one can be compared with a value of an answer",
        ),
        _ => Ok(()),
    }
}

fn function(call: &TestFunction, traits: &mut Traits) -> Result<(), Refusal> {
    match call {
        TestFunction::Length(arg) => value_argument(call, arg, traits),
        TestFunction::Match(left, right) | TestFunction::Search(left, right) => {
            value_argument(call, left, traits)?;
            value_argument(call, right, traits)?;
            let pattern = pattern(right)?;
            traits.patterns.push(pattern);
            Ok(())
        }
        TestFunction::Count(arg) | TestFunction::Value(arg) => match arg {
            FnArg::Test(test) if !matches!(**test, Test::Function(_)) => query(test, traits),
            _ => refuse(
                format!("`{}` takes a query", name_of(call)),
                "for example `count(@.items[*])` (RFC 9535, section 2.4.5)",
            ),
        },
        TestFunction::Custom(name, _) => refuse(
            format!("no function `{name}` in RFC 9535"),
            "there are `length`, `count`, `value`, `match` and `search`",
        ),
    }
}

/// What it costs to compile a pattern, counted in nodes: jsonpath-rust does it again for each text.
///
/// # Errors
/// When it is too long, or stands for too much. One that is none at all matches nothing (RFC 9535, section 2.4.6).
pub(super) fn cost(pattern: &str) -> Result<usize, &'static str> {
    const COSTS: [(usize, usize); 3] = [(16 * 1024, 60), (64 * 1024, 400), (256 * 1024, 2_000)];
    if pattern.len() > 512 {
        return Err("it has more than 512 bytes");
    }
    for (size, cost) in COSTS {
        match regex::RegexBuilder::new(pattern).size_limit(size).dfa_size_limit(size).nest_limit(32).build() {
            Err(regex::Error::CompiledTooBig(_)) => {}
            Ok(_) | Err(_) => return Ok(cost),
        }
    }
    Err("it stands for too much")
}

fn pattern(argument: &FnArg) -> Result<Pattern, Refusal> {
    match argument {
        FnArg::Literal(Literal::String(text)) => match cost(text) {
            Ok(cost) => Ok(Pattern::Literal(cost)),
            Err(why) => {
                refuse(format!("this pattern is too large: {why}"), "repeat less, or write `[0-9]` instead of `\\d`")
            }
        },
        FnArg::Test(test) => match absolute_query(test) {
            Some(query) => Ok(Pattern::Absolute(query.clone())),
            None => refuse(
                "each value would be searched for a pattern of its own",
                "write the pattern, or a path to one text: `match(@.name, $.call.pattern)`",
            ),
        },
        // Not a text: it matches nothing.
        FnArg::Literal(_) | FnArg::Filter(_) => Ok(Pattern::Literal(0)),
    }
}

/// The query from the document that a value is, or that the function `value` is asked for.
fn absolute_query(test: &Test) -> Option<&JpQuery> {
    match test {
        Test::AbsQuery(query) => Some(query),
        Test::Function(call) => match &**call {
            TestFunction::Value(FnArg::Test(inner)) => absolute_query(inner),
            _ => None,
        },
        Test::RelQuery(_) => None,
    }
}

/// An argument that must be a value: a literal, a singular query, or a function that gives a value.
fn value_argument(call: &TestFunction, argument: &FnArg, traits: &mut Traits) -> Result<(), Refusal> {
    let help = "a literal or a path to one node (RFC 9535, section 2.4.3)";
    match argument {
        FnArg::Literal(_) => Ok(()),
        FnArg::Test(test) => match &**test {
            Test::RelQuery(inner) if inner.iter().all(is_singular) => query(test, traits),
            Test::AbsQuery(inner) if inner.segments.iter().all(is_singular) => query(test, traits),
            Test::Function(inner) if !matches!(**inner, TestFunction::Match(..) | TestFunction::Search(..)) => {
                function(inner, traits)
            }
            _ => refuse(format!("`{}` takes values, and this may be several nodes", name_of(call)), help),
        },
        FnArg::Filter(_) => refuse(format!("`{}` takes values, not a condition", name_of(call)), help),
    }
}

/// The name of a function; the library writes its arguments otherwise than the rule does.
fn name_of(call: &TestFunction) -> String {
    call.to_string().split('(').next().unwrap_or_default().to_owned()
}

fn refuse<T>(message: impl Into<String>, help: impl Into<String>) -> Result<T, Refusal> {
    Err((message.into(), help.into()))
}
