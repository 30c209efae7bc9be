//! A value of a claim: where it comes from, and which of several nodes is meant.

use std::{borrow::Cow, sync::Arc};

use serde_json::Value;

use super::{
    Expression, Failure, Found, Known, Memory, Mentions, Offer, Path, Position, Spot, Template, from_script, is_empty,
    looks_like_path,
};
use crate::core::{
    facts::Facts,
    problem::{Code, Problems, Source},
    rule::{Options, Selection, Text, Written},
};

/// A compiled value.
#[derive(Debug)]
pub struct Plan {
    origin: Origin,
    pick: Pick,
    trim: bool,
    lower: bool,
    default: Option<Value>,
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

/// A value and the words of the rule that it came from.
#[derive(Debug)]
pub struct Taken<'f, 'p> {
    /// The value.
    pub value: Found<'f>,
    /// The path, text or expression as written, or `default` or `constant`.
    pub from: &'p str,
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
        let plain = |origin| Plan { origin, pick: Pick::First, trim: false, lower: false, default: None };
        match written {
            Written::Text(text) => origin(source, text, options, known, problems).map(plain),
            Written::Chain(items) => {
                let plans: Vec<_> =
                    items.iter().filter_map(|item| Plan::with(source, item, options, known, problems)).collect();
                (plans.len() == items.len()).then(|| plain(Origin::Chain(plans)))
            }
            Written::Options(options) => {
                let origin = match &options.selection {
                    Selection::Path(written) => match Plan::with(source, written, Some(options), known, problems)? {
                        Plan { origin, pick: Pick::First, trim: false, lower: false, default: None } => origin,
                        nested => Origin::Chain(vec![nested]),
                    },
                    Selection::Rhai(text) => {
                        let spot = Spot::text(source, text);
                        Origin::Expression(Expression::compile(&spot, &text.value, Offer::Document, known, problems)?)
                    }
                    Selection::Constant(value) => Origin::Constant(value.clone()),
                };
                let pick = match (&options.join, options.many) {
                    (Some(join), _) => Pick::Join(join.value.clone()),
                    (None, true) => Pick::Many,
                    (None, false) => Pick::First,
                };
                Some(Plan { origin, pick, trim: options.trim, lower: options.lower, default: options.default.clone() })
            }
        }
    }

    /// Adds what it reads.
    pub fn mentions(&self, mentions: &mut Mentions) {
        match &self.origin {
            Origin::Path(path) => path.mentions(mentions),
            Origin::Text(text) => text.mentions(mentions),
            Origin::Expression(expression) => expression.mentions(mentions),
            Origin::Constant(_) => {}
            Origin::Chain(plans) => plans.iter().for_each(|plan| plan.mentions(mentions)),
        }
    }

    /// The value; `None` if it is absent and has no default.
    pub fn take<'f, 'p>(&'p self, facts: &'f Facts<'_>, memory: &mut Memory) -> Result<Option<Taken<'f, 'p>>, Failure> {
        let taken = match &self.pick {
            Pick::First => self.first(facts, memory)?,
            Pick::Many => self.many(facts, memory)?,
            Pick::Join(with) => self.joined(with, facts, memory)?,
        };
        let taken = taken.map(|taken| self.polish(taken)).filter(|taken| !self.trim || !is_empty(&taken.value));
        let default = || self.default.as_ref().map(|value| Taken { value: Cow::Owned(value.clone()), from: "default" });
        Ok(taken.filter(|taken| !taken.value.is_null()).or_else(default))
    }

    fn first<'f, 'p>(&'p self, facts: &'f Facts<'_>, memory: &mut Memory) -> Result<Option<Taken<'f, 'p>>, Failure> {
        Ok(match &self.origin {
            Origin::Path(path) => path.first(facts)?.map(|value| Taken { value, from: path.text() }),
            Origin::Text(text) => text
                .render(facts, memory, None)?
                .map(|value| Taken { value: Cow::Owned(Value::String(value)), from: text.text() }),
            Origin::Expression(Expression::Path(path)) => {
                path.first(facts)?.map(|value| Taken { value, from: path.text() })
            }
            Origin::Expression(Expression::Program(program)) => {
                let value = program.run(facts, memory, None)?;
                let unfit = |why| Failure::Unfit { place: "a claim", why };
                from_script(&value)
                    .map_err(unfit)?
                    .map(|value| Taken { value: Cow::Owned(value), from: self.expression_text() })
            }
            Origin::Constant(value) => Some(Taken { value: Cow::Owned(value.clone()), from: "constant" }),
            Origin::Chain(plans) => {
                for plan in plans {
                    if let Some(taken) = plan.take(facts, memory)?.filter(|taken| !is_empty(&taken.value)) {
                        return Ok(Some(taken));
                    }
                }
                None
            }
        })
    }

    fn expression_text(&self) -> &str {
        match &self.origin {
            Origin::Expression(expression) => expression.text(),
            _ => "",
        }
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
            for plan in plans {
                if let Some(taken) = plan.many(facts, memory)?.filter(|taken| !is_empty(&taken.value)) {
                    return Ok(Some(taken));
                }
            }
            return Ok(None);
        }
        let items: Vec<_> = self.nodes(facts, memory)?.into_iter().filter(|node| !node.is_null()).collect();
        let value = Value::Array(items.into_iter().map(Cow::into_owned).collect());
        Ok(Some(Taken { value: Cow::Owned(value), from: self.words() }).filter(|taken| !is_empty(&taken.value)))
    }

    fn joined<'f, 'p>(
        &'p self,
        with: &str,
        facts: &'f Facts<'_>,
        memory: &mut Memory,
    ) -> Result<Option<Taken<'f, 'p>>, Failure> {
        let mut nodes = Vec::new();
        match &self.origin {
            Origin::Chain(plans) => {
                for plan in plans {
                    nodes.extend(plan.nodes(facts, memory)?);
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
        Ok(Some(Taken { value: Cow::Owned(Value::String(parts.join(with))), from: self.words() }))
    }

    fn words(&self) -> &str {
        match &self.origin {
            Origin::Path(path) => path.text(),
            Origin::Text(text) => text.text(),
            Origin::Expression(expression) => expression.text(),
            Origin::Constant(_) => "constant",
            Origin::Chain(_) => "joined",
        }
    }

    fn polish<'f, 'p>(&self, taken: Taken<'f, 'p>) -> Taken<'f, 'p> {
        if !self.trim && !self.lower {
            return taken;
        }
        let polish = |text: &str| {
            let text = if self.trim { text.trim() } else { text };
            Value::String(if self.lower { text.to_lowercase() } else { text.to_owned() })
        };
        let value = match &*taken.value {
            Value::String(text) => Cow::Owned(polish(text)),
            Value::Array(items) => {
                Cow::Owned(items.iter().map(|item| item.as_str().map_or_else(|| item.clone(), polish)).collect())
            }
            _ => return taken,
        };
        Taken { value, from: taken.from }
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
