//! What a rule may take for granted and Rhai does not: the text of a script with it written out.
//!
//! | written | run as | because otherwise |
//! |---|---|---|
//! | `if user.suspended` | `if user.suspended == true` | an absent condition fails |
//! | `user.list[0]` | `user.list._at(0)` | an object there, which has no member `0`, fails |
//! | `status in 200..user.end` | `status in 200..(user.end ?? …)` | Rhai takes an absent end for an open one |

use std::ops::{Range, RangeInclusive};

use rhai::{AST, ASTFlags, ASTNode, BinaryExpr, Expr, FnCallExpr, INT, Stmt};

use super::{
    Known,
    expression::{called, chain, offset},
};

/// The function that reads what stands in brackets; no name that a rule would think of.
pub(super) const AT: &str = "_at";
/// Ends of a range in which nothing is.
const NO_START: &str = " ?? 9223372036854775807)";
const NO_END: &str = " ?? -9223372036854775807)";

/// The text with everything written out; `None` if nothing is to be added. It parses to the same but for that.
pub(super) fn explicit(text: &str, ast: &AST, known: &Known<'_>) -> Option<String> {
    let mut edits = Edits { text, known, made: Vec::new() };
    ast.walk(&mut |path| {
        match path.last() {
            Some(ASTNode::Stmt(Stmt::If(flow, _) | Stmt::While(flow, _) | Stmt::Do(flow, ..))) => {
                edits.condition(&flow.expr);
            }
            Some(ASTNode::Expr(Expr::And(operands, _) | Expr::Or(operands, _))) => {
                operands.iter().for_each(|operand| edits.condition(operand));
            }
            Some(ASTNode::Expr(expression @ Expr::Index(..))) => edits.index(expression, path),
            _ => {}
        }
        if let Some((call, _)) = path.last().and_then(called) {
            edits.range(call);
        }
        true
    });
    edits.apply()
}

struct Edits<'a> {
    text: &'a str,
    known: &'a Known<'a>,
    /// What stands in the place of what.
    made: Vec<(Range<usize>, &'static str)>,
}

impl Edits<'_> {
    fn insert(&mut self, at: usize, words: &'static str) {
        self.made.push((at..at, words));
    }

    /// Where an operand stands that is nothing but a path.
    fn path(&self, operand: &Expr) -> Option<Range<usize>> {
        match operand {
            Expr::Variable(variable, _, position) if self.known.find(&variable.1).is_some() => {
                let at = offset(self.text, *position);
                Some(at..at + variable.1.len())
            }
            Expr::Dot(pair, ..) => {
                let chain = chain(operand).filter(|chain| chain.plain)?;
                let Expr::Variable(_, _, start) = &pair.lhs else { return None };
                let end = offset(self.text, chain.last) + chain.members.last().map_or(0, |name| name.len());
                Some(offset(self.text, *start)..end)
            }
            _ => None,
        }
    }

    /// An absent value is neither true nor false to Rhai, so `if user.suspended` would fail where the provider
    /// leaves the member out.
    fn condition(&mut self, operand: &Expr) {
        if let Some(place) = self.path(operand) {
            self.insert(place.end, " == true");
        }
    }

    /// `x in a..b`, where an end may be absent.
    fn range(&mut self, call: &FnCallExpr) {
        let [Expr::FnCall(range, _), _] = &call.args[..] else { return };
        if call.name != "contains" || !is_range(range) {
            return;
        }
        for (operand, otherwise) in range.args.iter().zip([NO_START, NO_END]) {
            if let Some(place) = self.path(operand) {
                self.insert(place.start, "(");
                self.insert(place.end, otherwise);
            }
        }
    }

    /// `x[i]`, where it is only read.
    fn index(&mut self, expression: &Expr, path: &[ASTNode<'_>]) {
        let Expr::Index(pair, flags, position) = expression else { return };
        let index = match &pair.rhs {
            Expr::Dot(next, ..) | Expr::Index(next, ..) if !flags.contains(ASTFlags::BREAK) => &next.lhs,
            whole => whole,
        };
        let is_slice = match index {
            Expr::FnCall(call, _) => is_range(call),
            // Rhai has put `1..9` together already.
            Expr::DynamicConstant(value, _) => value.is::<Range<INT>>() || value.is::<RangeInclusive<INT>>(),
            _ => false,
        };
        if is_slice || flags.contains(ASTFlags::NEGATED) || self.is_changed(expression, path) {
            return;
        }
        let open = offset(self.text, *position);
        if let Some(close) = closing_bracket(self.text, open) {
            self.made.push((open..open + 1, "._at("));
            self.made.push((close..close + 1, ")"));
        }
    }

    /// True if what an index gives may be written to: by an assignment, or by a method of something that is no
    /// constant. It has to be the element itself then, and not what it is.
    fn is_changed(&self, expression: &Expr, path: &[ASTNode<'_>]) -> bool {
        let mut top = expression;
        for node in path.iter().rev().skip(1) {
            match node {
                ASTNode::Expr(parent) if following(parent).is_some_and(|next| std::ptr::eq(next, top)) => top = parent,
                ASTNode::Stmt(Stmt::Assignment(assignment)) if std::ptr::eq(&raw const assignment.1.lhs, top) => {
                    return true;
                }
                _ => break,
            }
        }
        let of_document = match top {
            Expr::Dot(pair, ..) | Expr::Index(pair, ..) => match &pair.lhs {
                Expr::Variable(variable, ..) => self.known.find(&variable.1).is_some(),
                _ => false,
            },
            _ => false,
        };
        !of_document && has_method(expression)
    }

    fn apply(mut self) -> Option<String> {
        if self.made.is_empty() {
            return None;
        }
        // What encloses an operand comes before what is inside of it.
        self.made.sort_by_key(|(place, _)| (place.start, place.end));
        self.made.dedup();
        let mut whole = String::with_capacity(self.text.len() + 8 * self.made.len());
        let mut from = 0;
        for (place, words) in self.made {
            whole.push_str(self.text.get(from..place.start)?);
            whole.push_str(words);
            from = place.end;
        }
        whole.push_str(&self.text[from..]);
        Some(whole)
    }
}

fn is_range(call: &FnCallExpr) -> bool {
    matches!(call.name.as_str(), ".." | "..=")
}

/// The rest of a chain of members and indexes after a link of it.
fn following(expression: &Expr) -> Option<&Expr> {
    match expression {
        Expr::Dot(pair, flags, _) | Expr::Index(pair, flags, _) if !flags.contains(ASTFlags::BREAK) => Some(&pair.rhs),
        _ => None,
    }
}

/// True if a method is called further on in a chain.
fn has_method(expression: &Expr) -> bool {
    let mut rest = following(expression);
    while let Some(link) = rest {
        let this = match link {
            Expr::Dot(pair, ..) | Expr::Index(pair, ..) => {
                let BinaryExpr { lhs, .. } = &**pair;
                lhs
            }
            last => last,
        };
        if matches!(this, Expr::MethodCall(..)) {
            return true;
        }
        rest = following(link);
    }
    false
}

/// The `]` of the `[` at a byte; strings of Rhai are stepped over.
fn closing_bracket(text: &str, open: usize) -> Option<usize> {
    let mut depth = 0;
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.get(open..)?.strip_prefix('[')?.char_indices() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(mark), _) if c == mark => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(open + 1 + at),
            (None, ']') => depth -= 1,
            (None, _) => {}
        }
    }
    None
}
