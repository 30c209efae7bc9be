//! A value of a claim: where it comes from, and which of several nodes is meant.

use std::{borrow::Cow, sync::Arc};

use serde_json::Value;

use super::{
    Expression, Failure, Found, Known, Memory, Mentions, Offer, Path, Position, Spot, Template, from_script, is_empty,
    looks_like_path,
};
use crate::core::{
    facts::Facts,
    problem::{Code, Place, Problems, Source},
    rule::{Options, Selection, Text, Written, place},
    trace::{Point, PointKind, Provenance, Way},
};

/// A compiled value.
#[derive(Debug)]
pub struct Plan {
    origin: Origin,
    pick: Pick,
    trim: bool,
    lower: bool,
    default: Option<(Value, Place)>,
    /// Where it is written, for traces.
    place: Place,
    /// The parts of the document that it reads, by name, for traces.
    reads: Box<[Box<str>]>,
}

#[derive(Debug)]
enum Origin {
    Path(Path),
    Text(Template),
    Expression(Expression),
    Constant(Value),
    Chain(Vec<Plan>),
}

/// Which of the selected nodes are meant.
#[derive(Debug)]
enum Pick {
    First,
    Many,
    Join(String),
}

/// A value and the part of the rule that gave it.
#[derive(Debug)]
pub struct Taken<'f, 'p> {
    /// The value.
    pub value: Found<'f>,
    /// Where it came from.
    pub trail: Trail<'p>,
}

/// Where a value came from. It is noted for every value, so it only points to what a trace would say.
#[derive(Clone, Copy, Debug)]
pub struct Trail<'p> {
    plan: &'p Plan,
    how: How,
    /// Which alternative of the outermost chain, and of how many.
    choice: Option<(usize, usize)>,
    polish: Option<&'static str>,
}

#[derive(Clone, Copy, Debug)]
enum How {
    Written,
    Default,
    /// These alternatives contributed, a bit for each.
    Joined(u64),
}

impl Plan {
    /// Compiles a value as written.
    pub fn compile(
        source: &Arc<Source>,
        written: &Written,
        known: &Known<'_>,
        problems: &mut Problems,
    ) -> Option<Plan> {
        Plan::with(source, written, None, known, problems)
    }

    fn with(
        source: &Arc<Source>,
        written: &Written,
        options: Option<&Options>,
        known: &Known<'_>,
        problems: &mut Problems,
    ) -> Option<Plan> {
        match written {
            Written::Text(text) => {
                let origin = origin(source, text, options, known, problems)?;
                Some(Plan::plain(origin, place(source, &text.span), known))
            }
            Written::Chain(items) => {
                let plans: Vec<_> =
                    items.iter().filter_map(|item| Plan::with(source, item, options, known, problems)).collect();
                if plans.len() != items.len() {
                    return None;
                }
                let start = plans.first().map_or(0..0, |plan| plan.place.span.clone());
                let end = plans.last().map_or(0, |plan| plan.place.span.end);
                Some(Plan::plain(Origin::Chain(plans), place(source, &(start.start..end)), known))
            }
            Written::Options(options) => {
                let whole = place(source, &options.span);
                let plan = match &options.selection {
                    Selection::Path(written) => match Plan::with(source, written, Some(options), known, problems)? {
                        plain @ Plan { pick: Pick::First, trim: false, lower: false, default: None, .. } => plain,
                        nested => Plan::plain(Origin::Chain(vec![nested]), whole, known),
                    },
                    Selection::Rhai(text) => {
                        let spot = Spot::text(source, text);
                        let expression = Expression::compile(&spot, &text.value, Offer::Document, known, problems)?;
                        Plan::plain(Origin::Expression(expression), place(source, &text.span), known)
                    }
                    Selection::Constant(value) => Plan::plain(Origin::Constant(value.clone()), whole, known),
                };
                let pick = match (&options.join, options.many) {
                    (Some(join), _) => Pick::Join(join.value.clone()),
                    (None, true) => Pick::Many,
                    (None, false) => Pick::First,
                };
                let default = options.default.clone().map(|(value, span)| (value, place(source, &span)));
                Some(Plan { pick, trim: options.trim, lower: options.lower, default, ..plan })
            }
        }
    }

    /// A value without options.
    fn plain(origin: Origin, place: Place, known: &Known<'_>) -> Plan {
        let mut mentions = Mentions::default();
        origin.mentions(&mut mentions);
        let mut reads: Vec<Box<str>> = mentions.paths.iter().map(|(root, _)| known.name(*root).into()).collect();
        reads.sort_unstable();
        reads.dedup();
        Plan { origin, pick: Pick::First, trim: false, lower: false, default: None, place, reads: reads.into() }
    }

    /// Adds what it reads.
    pub fn mentions(&self, mentions: &mut Mentions) {
        self.origin.mentions(mentions);
    }

    /// What coverage asks of the value of a claim: that it comes from each of its sources, and is the default. A
    /// constant that stands alone cannot be missed.
    pub fn points(&self, claim: &str) -> Vec<Point> {
        let mut points = Vec::new();
        if !matches!(self.origin, Origin::Constant(_)) {
            self.add_points(claim, &mut points);
        } else if let Some(default) = self.default_point(claim) {
            points.push(default);
        }
        points
    }

    fn add_points(&self, claim: &str, points: &mut Vec<Point>) {
        let source = |plan: &Plan, words: &str| Point {
            kind: PointKind::Value,
            place: plan.place.clone(),
            words: format!("`{claim}` never {words} {}", plan.origin.short()),
        };
        match (&self.origin, &self.pick) {
            // What contributes is known, and no more: what an alternative is made of is not.
            (Origin::Chain(plans), Pick::Join(_)) => {
                points.extend(plans.iter().map(|plan| source(plan, "has a part from")));
            }
            (Origin::Chain(plans), _) => plans.iter().for_each(|plan| plan.add_points(claim, points)),
            _ => points.push(source(self, "comes from")),
        }
        points.extend(self.default_point(claim));
    }

    fn default_point(&self, claim: &str) -> Option<Point> {
        let (value, place) = self.default.as_ref()?;
        let words = format!("`{claim}` never takes its default {value}");
        Some(Point { kind: PointKind::Default, place: place.clone(), words })
    }

    /// The value; `None` if it is absent and has no default.
    pub fn take<'f, 'p>(&'p self, facts: &'f Facts<'_>, memory: &mut Memory) -> Result<Option<Taken<'f, 'p>>, Failure> {
        let taken = match &self.pick {
            Pick::First => self.first(facts, memory)?,
            Pick::Many => self.many(facts, memory)?,
            Pick::Join(with) => self.joined(with, facts, memory)?,
        };
        let taken = taken.map(|taken| self.polish(taken)).filter(|taken| !self.trim || !is_empty(&taken.value));
        let default = || {
            let (value, _) = self.default.as_ref()?;
            Some(Taken { value: Cow::Owned(value.clone()), trail: self.trail(How::Default) })
        };
        Ok(taken.filter(|taken| !taken.value.is_null()).or_else(default))
    }

    fn first<'f, 'p>(&'p self, facts: &'f Facts<'_>, memory: &mut Memory) -> Result<Option<Taken<'f, 'p>>, Failure> {
        let value = match &self.origin {
            Origin::Path(path) | Origin::Expression(Expression::Path(path)) => path.first(facts)?,
            Origin::Text(text) => text.render(facts, memory, None)?.map(|value| Cow::Owned(Value::String(value))),
            Origin::Expression(Expression::Program(program)) => {
                let value = program.run(facts, memory, None)?;
                let unfit = |why| Failure::Unfit { place: "a claim", why };
                from_script(&value).map_err(unfit)?.map(Cow::Owned)
            }
            Origin::Constant(value) => Some(Cow::Owned(value.clone())),
            Origin::Chain(plans) => return alternative(plans, |plan| plan.take(facts, memory)),
        };
        Ok(value.map(|value| Taken { value, trail: self.trail(How::Written) }))
    }

    /// Where a trace says that nothing was found.
    pub fn absence(&self) -> Provenance {
        let reads = self.reads.iter().map(ToString::to_string).collect();
        let place = Some(self.place.clone());
        Provenance { text: self.origin.words(), place, reads, ..Provenance::new(Way::Absent) }
    }

    fn trail(&self, how: How) -> Trail<'_> {
        Trail { plan: self, how, choice: None, polish: None }
    }

    /// All nodes: those of a path, or those of every alternative of a chain that is joined.
    fn nodes<'f>(&self, facts: &'f Facts<'_>, memory: &mut Memory) -> Result<Vec<Found<'f>>, Failure> {
        match &self.origin {
            Origin::Path(path) => {
                let nodes = path.all(facts)?;
                // A path to one list means its elements.
                match &nodes[..] {
                    [one] if !path.is_plural() && one.is_array() => Ok(match one {
                        Cow::Borrowed(Value::Array(items)) => items.iter().map(Cow::Borrowed).collect(),
                        other => other.as_array().into_iter().flatten().cloned().map(Cow::Owned).collect(),
                    }),
                    _ => Ok(nodes),
                }
            }
            _ => Ok(self.first(facts, memory)?.map(|taken| taken.value).into_iter().collect()),
        }
    }

    fn many<'f, 'p>(&'p self, facts: &'f Facts<'_>, memory: &mut Memory) -> Result<Option<Taken<'f, 'p>>, Failure> {
        if let Origin::Chain(plans) = &self.origin {
            return alternative(plans, |plan| plan.many(facts, memory));
        }
        let items: Vec<_> = self.nodes(facts, memory)?.into_iter().filter(|node| !node.is_null()).collect();
        let value = Value::Array(items.into_iter().map(Cow::into_owned).collect());
        Ok(Some(Taken { value: Cow::Owned(value), trail: self.trail(How::Written) })
            .filter(|taken| !is_empty(&taken.value)))
    }

    fn joined<'f, 'p>(
        &'p self,
        with: &str,
        facts: &'f Facts<'_>,
        memory: &mut Memory,
    ) -> Result<Option<Taken<'f, 'p>>, Failure> {
        let mut nodes = Vec::new();
        let mut contributed = 0;
        match &self.origin {
            Origin::Chain(plans) => {
                for (number, plan) in plans.iter().enumerate() {
                    let found = plan.nodes(facts, memory)?;
                    if found.iter().any(|node| !is_empty(node)) {
                        contributed |= 1 << number.min(63);
                    }
                    nodes.extend(found);
                }
            }
            _ => nodes = self.nodes(facts, memory)?,
        }
        let mut parts = Vec::new();
        for node in nodes.iter().filter(|node| !is_empty(node)) {
            match &**node {
                Value::String(text) => parts.push(text.as_str()),
                Value::Number(number) => parts.push(number.as_str()),
                _ => return Err(Failure::Unfit { place: "a joined text", why: "it is neither text nor number" }),
            }
        }
        if parts.is_empty() {
            return Ok(None);
        }
        Ok(Some(Taken {
            value: Cow::Owned(Value::String(parts.join(with))),
            trail: self.trail(How::Joined(contributed)),
        }))
    }

    fn polish<'f, 'p>(&self, mut taken: Taken<'f, 'p>) -> Taken<'f, 'p> {
        if !self.trim && !self.lower {
            return taken;
        }
        let polish = |text: &str| {
            let text = if self.trim { text.trim() } else { text };
            Value::String(if self.lower { text.to_lowercase() } else { text.to_owned() })
        };
        let value = match &*taken.value {
            Value::String(text) => polish(text),
            Value::Array(items) => {
                items.iter().map(|item| item.as_str().map_or_else(|| item.clone(), polish)).collect()
            }
            _ => return taken,
        };
        if *taken.value != value {
            taken.trail.polish = Some(match (self.trim, self.lower) {
                (true, true) => "trimmed and in lower case",
                (true, false) => "trimmed",
                (false, _) => "in lower case",
            });
        }
        Taken { value: Cow::Owned(value), trail: taken.trail }
    }
}

/// The first alternative that gives something.
fn alternative<'f, 'p>(
    plans: &'p [Plan],
    mut take: impl FnMut(&'p Plan) -> Result<Option<Taken<'f, 'p>>, Failure>,
) -> Result<Option<Taken<'f, 'p>>, Failure> {
    for (number, plan) in plans.iter().enumerate() {
        if let Some(mut taken) = take(plan)?.filter(|taken| !is_empty(&taken.value)) {
            taken.trail.choice = Some((number, plans.len()));
            return Ok(Some(taken));
        }
    }
    Ok(None)
}

impl Origin {
    fn mentions(&self, mentions: &mut Mentions) {
        match self {
            Origin::Path(path) => path.mentions(mentions),
            Origin::Text(text) => text.mentions(mentions),
            Origin::Expression(expression) => expression.mentions(mentions),
            Origin::Constant(_) => {}
            Origin::Chain(plans) => plans.iter().for_each(|plan| plan.origin.mentions(mentions)),
        }
    }

    /// In a few words.
    fn short(&self) -> String {
        match self {
            Origin::Constant(value) => format!("the constant {value}"),
            _ => format!("`{}`", self.words().split_whitespace().collect::<Vec<_>>().join(" ")),
        }
    }

    /// As written.
    fn words(&self) -> String {
        match self {
            Origin::Path(path) => path.text().to_owned(),
            Origin::Text(text) => text.text().to_owned(),
            Origin::Expression(expression) => expression.text().to_owned(),
            Origin::Constant(_) => "constant".to_owned(),
            Origin::Chain(plans) => plans.iter().map(|plan| plan.origin.words()).collect::<Vec<_>>().join(", "),
        }
    }
}

impl Trail<'_> {
    /// The same for people.
    pub fn provenance(&self) -> Provenance {
        let Trail { plan, how, choice, polish } = *self;
        let (way, text) = match (how, &plan.origin) {
            (How::Default, _) => (Way::Default, String::new()),
            (How::Joined(_), origin) => (Way::Joined, origin.words()),
            (How::Written, Origin::Path(_)) => (Way::Path, plan.origin.words()),
            (How::Written, Origin::Text(_)) => (Way::Text, plan.origin.words()),
            (How::Written, Origin::Expression(_)) => (Way::Expression, plan.origin.words()),
            (How::Written, Origin::Constant(_) | Origin::Chain(_)) => (Way::Constant, String::new()),
        };
        let parts = match (how, &plan.origin) {
            (How::Joined(contributed), Origin::Chain(plans)) => {
                let taken = plans.iter().enumerate().filter(|(number, _)| contributed & 1 << (*number).min(63) != 0);
                taken.map(|(_, plan)| plan.place.clone()).collect()
            }
            _ => Vec::new(),
        };
        let place = match (how, &plan.default) {
            (How::Default, Some((_, place))) => place,
            _ => &plan.place,
        };
        let reads = match how {
            How::Default => Vec::new(),
            How::Written | How::Joined(_) => plan.reads.iter().map(ToString::to_string).collect(),
        };
        Provenance { way, text, place: Some(place.clone()), reads, choice, parts, polish, conversion: None }
    }
}

/// A string of a claim: a path, or text with `${…}`.
fn origin(
    source: &Arc<Source>,
    text: &Text,
    options: Option<&Options>,
    known: &Known<'_>,
    problems: &mut Problems,
) -> Option<Origin> {
    let spot = Spot::text(source, text);
    if looks_like_path(&text.value) {
        let path = Path::compile(&spot, &text.value, known, problems)?;
        let said = options.is_some_and(|options| options.many || options.first || options.join.is_some());
        if path.is_plural() && !said {
            problems.add(
                spot.problem(Code::SeveralNodes, 0..text.value.len(), "this path can select several nodes")
                    .label("the first one is taken")
                    .help("say `first = true` if that is meant, or `many = true` for all of them: `{ path = \"…\", first = true }`"),
            );
        }
        return Some(Origin::Path(path));
    }
    if text.value.contains("${") {
        return Template::compile(&spot, &text.value, Position::Claim, Offer::Document, known, problems)
            .map(Origin::Text);
    }
    problems.add(
        spot.problem(Code::PlainText, 0..text.value.len(), "a plain text is no value of a claim")
            .label("neither a path nor a text with `${…}`")
            .help("write `{ value = … }` for a constant, `$.…` for a path"),
    );
    None
}
