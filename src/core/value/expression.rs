//! Rhai: one expression, or a whole script; what it mentions, and how it runs.

use std::{fmt, ops::Range, sync::Arc};

use rhai::{
    AST, ASTNode, Dynamic, EvalAltResult, Expr, FnCallExpr, LexError, Map, ParseErrorType, Position, Scope, Stmt,
};

use super::{
    Engine, Failure, Known, Memory, Mentions, Spot,
    engine::{End, MAX_SCRIPT, Rejection, end_run, start_run},
    explicit::explicit,
    functions::{self, Fault, Unknown},
    path::Path,
    watch::Watched,
};
use crate::core::{
    facts::{Facts, Root},
    message::Secret,
    problem::{Code, Place, Problem, Problems, did_you_mean, nearest},
};

/// What an expression may read besides the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Nothing.
    Document,
    /// The caller's token and the secrets: inside `${…}` of a call.
    Call,
    /// The claims, to change them: in `[script]`.
    Claims,
}

/// A Rhai expression; a plain path of members is not worth an engine.
#[derive(Debug)]
pub enum Expression {
    /// `user.name`
    Path(Path),
    /// Anything else.
    Program(Box<Program>),
}

/// A compiled expression or script.
pub struct Program {
    ast: AST,
    engine: Arc<Engine>,
    /// The parts of the document that it reads, by name.
    roots: Vec<(Root, Box<str>)>,
    mentions: Mentions,
    /// The secrets that it names, where those are offered.
    secrets: Option<Map>,
    /// The line of the file on which it starts.
    first_line: usize,
    text: Box<str>,
    /// For coverage: the same script, telling which of its statements run.
    watched: Option<Box<Watched>>,
    /// Where a script sets claims by name, for traces.
    sets: Vec<(Box<str>, Place)>,
}

impl fmt::Debug for Program {
    // The AST and the secrets are left out: constants in either may be private.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").field("roots", &self.roots).finish_non_exhaustive()
    }
}

impl Expression {
    /// Compiles one expression.
    pub fn compile(
        spot: &Spot<'_>,
        text: &str,
        offer: Offer,
        known: &Known<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let names: Vec<_> = text.trim().split('.').collect();
        if let Some(root) = known.find(names[0])
            && names.iter().all(|name| crate::core::rule::is_variable_name(name) || name == &names[0])
        {
            let at = text.find('.').map_or(0, |at| at + 1);
            if let Some(problem) = known.unknown_member(root, spot, text, at, &names[1..]) {
                problems.add(problem);
                return None;
            }
            return Some(Expression::Path(Path::members(root, &names[1..], text.trim())));
        }
        Program::compile(spot, text, offer, known, problems).map(|program| Expression::Program(Box::new(program)))
    }

    /// Adds what it reads.
    pub fn mentions(&self, mentions: &mut Mentions) {
        match self {
            Expression::Path(path) => path.mentions(mentions),
            Expression::Program(program) => mentions.extend(&program.mentions),
        }
    }

    /// The expression as written.
    pub fn text(&self) -> &str {
        match self {
            Expression::Path(path) => path.text(),
            Expression::Program(program) => &program.text,
        }
    }

    /// Runs it as a condition. Absent is false.
    pub(super) fn holds(&self, facts: &Facts<'_>, memory: &mut Memory) -> Result<bool, Failure> {
        match self {
            Expression::Path(path) => Ok(path.first(facts)?.is_some_and(|value| value.as_bool() == Some(true))),
            Expression::Program(program) => {
                let result = program.run(facts, memory, None)?;
                if result.is_unit() {
                    return Ok(false);
                }
                result.as_bool().map_err(|found| Failure::Script {
                    line: program.first_line,
                    message: format!("the condition is of type `{found}`, neither true nor false"),
                })
            }
        }
    }
}

impl Program {
    /// What it was compiled from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Compiles a whole script.
    pub fn script(spot: &Spot<'_>, text: &str, known: &Known<'_>, problems: &mut Problems) -> Option<Self> {
        Program::compile(spot, text, Offer::Claims, known, problems)
    }

    fn compile(spot: &Spot<'_>, text: &str, offer: Offer, known: &Known<'_>, problems: &mut Problems) -> Option<Self> {
        if text.len() > MAX_SCRIPT {
            let problem = spot.problem(Code::TooLarge, 0..0, format!("the script has {} bytes", text.len()));
            problems.add(problem.label("too long").help(format!("a script has at most {MAX_SCRIPT} bytes")));
            return None;
        }
        let parse = |text: &str| {
            let scope = names(offer, known);
            known.engine.rhai.compile_with_scope(&scope, text)
        };
        let ast = match parse(text) {
            Ok(ast) => ast,
            Err(error) => {
                problems.add(parse_problem(spot, text, error.err_type(), error.position(), offer, known));
                return None;
            }
        };
        unknown_functions(spot, text, &ast, known, problems);
        outside_functions(spot, text, &ast, problems);
        unfit_arguments(spot, text, &ast, problems);
        muddled_operators(spot, text, &ast, problems);
        let mut mentions = Mentions::default();
        let mut secrets = None;
        ast.walk(&mut |path| {
            if let Some(ASTNode::Expr(expression)) = path.last() {
                mention(expression, path, known, &mut mentions);
                secrets_of(expression, known, &mut secrets, spot, text, problems);
                unknown_member(expression, known, spot, text, problems);
            }
            mentions.now |= path.last().is_some_and(asks_the_time);
            true
        });
        let mut roots: Vec<(Root, Box<str>)> =
            mentions.paths.iter().map(|(root, _)| (*root, known.name(*root).into())).collect();
        roots.sort();
        roots.dedup();
        let first_line = spot.place(0..0).line_and_column().0;
        let watched = known.engine.watcher().filter(|_| offer == Offer::Claims).and_then(|rhai| {
            let parse = |text: &str| {
                let parse = |text: &str| rhai.compile_with_scope(&names(offer, known), text).ok();
                let ast = parse(text)?;
                explicit(text, &ast, known).and_then(|explicit| parse(&explicit)).or(Some(ast))
            };
            Watched::compile(text, rhai, |range| spot.place(range), parse).map(Box::new)
        });
        let sets = if offer == Offer::Claims { sets(spot, text, &ast) } else { Vec::new() };
        let ast = match explicit(text, &ast, known) {
            // The text differs from one that parsed only by what is put around whole operands.
            Some(explicit) => parse(&explicit).unwrap_or(ast),
            None => ast,
        };
        Some(Program {
            ast,
            engine: known.engine.clone(),
            roots,
            mentions,
            secrets,
            first_line,
            text: text.trim().into(),
            sets,
            watched,
        })
    }

    /// The statements of a script, if they are watched: where each stands, and its first line.
    pub fn statements(&self) -> &[(Place, String)] {
        self.watched.as_ref().map_or(&[], |watched| &watched.statements)
    }

    /// Runs a script that is watched on these claims, for nothing but to see which of its statements run.
    pub fn watch(&self, facts: &Facts<'_>, memory: &mut Memory, claims: Map) -> Vec<Place> {
        let (Some(watched), Some(rhai)) = (&self.watched, self.engine.watcher()) else { return Vec::new() };
        memory.recall(&self.roots, facts);
        let base = memory.scope.len();
        memory.scope.push_dynamic("claims", Dynamic::from_map(claims));
        start_run();
        let ran = watched.run(rhai, memory);
        end_run();
        memory.scope.rewind(base);
        ran
    }

    /// What it reads.
    pub fn mentions(&self) -> &Mentions {
        &self.mentions
    }

    /// Where a script sets or removes a claim by its name: the last of these places.
    pub fn sets(&self, claim: &str) -> Option<&Place> {
        self.sets.iter().rev().find(|(name, _)| **name == *claim).map(|(_, place)| place)
    }

    /// Runs it and gives its value.
    pub fn run(&self, facts: &Facts<'_>, memory: &mut Memory, token: Option<&str>) -> Result<Dynamic, Failure> {
        memory.recall(&self.roots, facts);
        let base = memory.scope.len();
        if let Some(token) = token.filter(|_| self.mentions.token) {
            memory.scope.push_constant("token", token.to_owned());
        }
        if let Some(secrets) = &self.secrets {
            memory.scope.push_constant("secrets", secrets.clone());
        }
        let result = self.eval(memory, base);
        memory.scope.rewind(base);
        result
    }

    /// Runs a script that may change `claims`, and gives the changed ones.
    pub fn change(&self, facts: &Facts<'_>, memory: &mut Memory, claims: Map) -> Result<Dynamic, Failure> {
        memory.recall(&self.roots, facts);
        let base = memory.scope.len();
        memory.scope.push_dynamic("claims", Dynamic::from_map(claims));
        let result = self.eval(memory, base);
        let claims = memory.scope.get_mut("claims").map(std::mem::take).unwrap_or_default();
        memory.scope.rewind(base);
        result.map(|_| claims)
    }

    fn eval(&self, memory: &mut Memory, base: usize) -> Result<Dynamic, Failure> {
        let engine = self.engine.with_room(memory.sizes(base));
        start_run();
        let run = || engine.eval_ast_with_scope::<Dynamic>(&mut memory.scope, &self.ast);
        let result = functions::in_request(&mut memory.now, run);
        let line = |error: &EvalAltResult| self.first_line + error.position().line().map_or(0, |line| line - 1);
        match (end_run(), result) {
            (Some(End::Rejected(Rejection { error, reason })), _) => Err(Failure::Rejected { error, reason }),
            (Some(End::Budget), result) => {
                let line = result.err().map_or(self.first_line, |error| line(&error));
                Err(Failure::Script { line, message: "it takes longer than 50 ms".into() })
            }
            (None, Ok(value)) => Ok(value),
            (None, Err(error)) => {
                let mut error = *error;
                while let EvalAltResult::ErrorInFunctionCall(_, _, inner, _) = error {
                    error = *inner;
                }
                Err(Failure::Script { line: line(&error), message: self.without_values(&error) })
            }
        }
    }

    /// What Rhai says, without anything that could be a value of the document.
    fn without_values(&self, error: &EvalAltResult) -> String {
        match error {
            EvalAltResult::ErrorFunctionNotFound(signature, _)
                if signature.starts_with(['&', '|', '^']) && signature.contains("bool") =>
            {
                let words =
                    "takes two integers or two truths, and a comparison binds more tightly: put it in parentheses";
                format!("`{}` {words}", &signature[..1])
            }
            // A function pointer may be made of any text, so only a name that the script writes is shown.
            EvalAltResult::ErrorFunctionNotFound(signature, _) => {
                match signature.split([' ', '(']).next().filter(|name| self.text.contains(name)) {
                    Some(name) => format!("there is no function `{name}` for these values"),
                    None => "there is no such function".into(),
                }
            }
            EvalAltResult::ErrorMismatchDataType(wanted, found, _) if found.is_empty() => {
                format!("a {wanted} is wanted")
            }
            EvalAltResult::ErrorMismatchDataType(wanted, found, _) => {
                format!("a {wanted} is wanted, and this is a {found}")
            }
            EvalAltResult::ErrorMismatchOutputType(wanted, found, _) => {
                format!("a {wanted} is wanted, and this is a {found}")
            }
            EvalAltResult::ErrorTooManyOperations(_) => {
                "it runs too long: more operations than a script may have".into()
            }
            EvalAltResult::ErrorTooManyVariables(_) => "it has too many variables".into(),
            EvalAltResult::ErrorStackOverflow(_) => "its functions call one another too deep".into(),
            EvalAltResult::ErrorDataTooLarge(what, _) => format!("it builds too much data: {}", what.to_lowercase()),
            EvalAltResult::ErrorAssignmentToConstant(name, _) => format!("`{name}` cannot be changed"),
            EvalAltResult::ErrorNonPureMethodCallOnConstant(name, _) => format!("`{name}` would change a constant"),
            EvalAltResult::ErrorArithmetic(..) => "the arithmetic overflows or divides by zero".into(),
            EvalAltResult::ErrorStringBounds(..) => "an index is outside its text".into(),
            EvalAltResult::ErrorIndexingType(kind, _) => format!("`{kind}` has no such member"),
            EvalAltResult::ErrorDotExpr(..) => "a member is set of something that has no members".into(),
            EvalAltResult::ErrorFor(_) => "`for` wants a list".into(),
            EvalAltResult::ErrorRuntime(thrown, _) if thrown.is::<Fault>() => {
                thrown.read_lock::<Fault>().map(|fault| fault.0.clone()).unwrap_or_default()
            }
            EvalAltResult::ErrorRuntime(..) => "it throws an error".into(),
            _ => "it fails".into(),
        }
    }
}

/// The scope that tells the parser which names there are.
fn names(offer: Offer, known: &Known<'_>) -> Scope<'static> {
    let mut scope = Scope::new();
    for name in known.roots() {
        scope.push(name, ());
    }
    match offer {
        Offer::Document => {}
        Offer::Call => {
            scope.push("token", ());
            scope.push("secrets", ());
        }
        Offer::Claims => {
            scope.push("claims", ());
        }
    }
    scope
}

fn parse_problem(
    spot: &Spot<'_>,
    text: &str,
    error: &ParseErrorType,
    position: Position,
    offer: Offer,
    known: &Known<'_>,
) -> Problem {
    let at = offset(text, position);
    let ParseErrorType::VariableUndefined(name) = error else {
        let end = at + text[at..].chars().next().map_or(0, char::len_utf8);
        let book = "the Rhai book has the syntax: https://rhai.rs/book";
        let (label, help) = match error {
            ParseErrorType::UnexpectedEOF => ("it ends too early".into(), book),
            ParseErrorType::BadInput(LexError::MalformedChar(_)) => {
                ("more than one character".into(), "Rhai writes a text as `\"…\"`; single quotes hold one character")
            }
            other => (other.to_string(), book),
        };
        return spot.problem(Code::BadScript, at..end, "this does not compile as Rhai").label(label).help(help);
    };
    let range = at..at + name.len();
    if matches!(name.as_str(), "token" | "secrets") && offer != Offer::Call {
        return spot.problem(Code::NotHere, range, format!("`{name}` is not readable here")).label("not offered").help(
            "write it inside `${…}` of a call, in its `url`, `query`, `headers` or body: the token and the secrets are \
             offered nowhere else, so that they cannot leak into claims",
        );
    }
    let mut names = known.roots();
    names.extend(match offer {
        Offer::Document => Vec::new(),
        Offer::Call => vec!["token".into(), "secrets".into()],
        Offer::Claims => vec!["claims".into()],
    });
    let help = match (text.contains("fn "), names.contains(name)) {
        (true, true) => "a function sees only its parameters: hand it over as one".into(),
        _ => did_you_mean(name, names.iter().map(String::as_str)),
    };
    spot.problem(Code::UnknownName, range, format!("nothing is named `{name}`")).label("unknown name").help(help)
}

/// Where `claims.NAME` or `claims["NAME"]` is set, or removed by its name.
fn sets(spot: &Spot<'_>, text: &str, ast: &AST) -> Vec<(Box<str>, Place)> {
    let mut found = Vec::new();
    ast.walk(&mut |path| {
        let name = match path.last() {
            Some(ASTNode::Stmt(Stmt::Assignment(assignment))) => set_claim(&assignment.1.lhs),
            Some(ASTNode::Expr(expression)) => removed_claim(expression),
            _ => None,
        };
        if let (Some(name), Some(node)) = (name, path.last()) {
            found.push((name.into(), spot.place(line_around(text, offset(text, node.position())))));
        }
        true
    });
    found
}

/// The line that a byte of a text stands in, without the white space around it.
fn line_around(text: &str, at: usize) -> Range<usize> {
    let start = text[..at].rfind('\n').map_or(0, |start| start + 1);
    let line = text[start..].lines().next().unwrap_or_default();
    let start = start + line.len() - line.trim_start().len();
    start..start + line.trim().len()
}

/// The claim that stands on the left of `=`.
fn set_claim(left: &Expr) -> Option<&str> {
    let (pair, name) = match left {
        Expr::Dot(pair, ..) => match &pair.rhs {
            Expr::Property(property, _) => (pair, property.2.as_str()),
            // What is set is inside of the claim.
            Expr::Dot(inner, ..) | Expr::Index(inner, ..) => match &inner.lhs {
                Expr::Property(property, _) => (pair, property.2.as_str()),
                _ => return None,
            },
            _ => return None,
        },
        Expr::Index(pair, ..) => (pair, key(&pair.rhs)?),
        _ => return None,
    };
    is_claims(&pair.lhs).then_some(name)
}

/// The claim that `claims.remove("…")` takes away.
fn removed_claim(expression: &Expr) -> Option<&str> {
    let Expr::Dot(pair, ..) = expression else { return None };
    let Expr::MethodCall(call, _) = &pair.rhs else { return None };
    let name = call.args.first().and_then(key)?;
    (is_claims(&pair.lhs) && matches!(call.name.as_str(), "remove" | "set")).then_some(name)
}

fn is_claims(expression: &Expr) -> bool {
    matches!(expression, Expr::Variable(variable, ..) if variable.1 == "claims")
}

/// Reports what a function reads besides its parameters: it would fail at every call.
fn outside_functions(spot: &Spot<'_>, text: &str, ast: &AST, problems: &mut Problems) {
    ast.clone_functions_only().walk(&mut |path| {
        if let Some(ASTNode::Expr(Expr::Variable(variable, short, position))) = path.last()
            && short.is_none()
            && variable.0.is_none()
        {
            let (name, at) = (&variable.1, offset(text, *position));
            problems.add(
                spot.problem(Code::UnknownName, at..at + name.len(), format!("a function does not see `{name}`"))
                    .label("outside the function")
                    .help("a function sees only its parameters: hand it over as one"),
            );
        }
        true
    });
}

/// Reports calls of functions that there are not.
fn unknown_functions(spot: &Spot<'_>, text: &str, ast: &AST, known: &Known<'_>, problems: &mut Problems) {
    for Unknown { name, position, takes } in functions::unknown(ast, &known.engine.functions) {
        let at = offset(text, position);
        let help = if takes.is_empty() {
            let own = ast.iter_functions().map(|function| function.name);
            let names: Vec<_> = known.engine.functions.iter().map(|(name, _)| name.as_str()).chain(own).collect();
            let words = |name: &&str| name.starts_with(char::is_alphabetic);
            match nearest(&name, names.into_iter().filter(words)) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "`claimsmith functions` lists ours, https://rhai.rs/book/lib those of Rhai".into(),
            }
        } else {
            let takes: Vec<_> = takes.iter().map(usize::to_string).collect();
            format!("`{name}` takes {} arguments here", takes.join(" or "))
        };
        let problem = spot.problem(Code::UnknownName, at..at + name.len(), format!("there is no function `{name}`"));
        problems.add(problem.label("unknown function").help(help));
    }
}

/// Reports what is written out as an argument, and would fail at every call.
fn unfit_arguments(spot: &Spot<'_>, text: &str, ast: &AST, problems: &mut Problems) {
    for functions::Misfit { function, position, why } in functions::misfits(ast) {
        let at = offset(text, position);
        let message = format!("`{function}` cannot use this argument");
        let help = format!("`claimsmith functions {function}` says what it takes");
        problems.add(spot.problem(Code::BadArgument, at..literal_end(text, at), message).label(why).help(help));
    }
}

/// Reports `user.flags & 4 != 0`, which Rhai reads as `user.flags & (4 != 0)`: bits of a truth, which fails.
fn muddled_operators(spot: &Spot<'_>, text: &str, ast: &AST, problems: &mut Problems) {
    ast.walk(&mut |path| {
        if let Some((call, position)) = path.last().and_then(called)
            && matches!(call.name.as_str(), "&" | "|" | "^")
            && let [left, right] = &call.args[..]
        {
            let is_integer = |operand: &Expr| matches!(operand, Expr::IntegerConstant(..));
            let meant_as_bits = match (comparison(text, left), comparison(text, right)) {
                // Two truths are fine.
                (Some(_), Some(_)) | (None, None) => false,
                (None, Some(compared)) => is_integer(left) || compared.is_none_or(|call| is_integer(&call.args[0])),
                (Some(compared), None) => is_integer(right) || compared.is_none(),
            };
            if meant_as_bits {
                let (name, at) = (&call.name, offset(text, position));
                let problem = spot.problem(
                    Code::BadArgument,
                    at..at + name.len(),
                    format!("`{name}` takes the comparison beside it for its operand"),
                );
                let help =
                    format!("a comparison binds more tightly: write `(… {name} …)` in parentheses, and compare that");
                problems.add(problem.label("between a number and a truth").help(help));
            }
        }
        true
    });
}

/// The function or operator that a node calls: one that is a statement is no expression to Rhai.
pub(super) fn called<'a>(node: &ASTNode<'a>) -> Option<(&'a FnCallExpr, Position)> {
    match node {
        ASTNode::Expr(Expr::FnCall(call, position)) | ASTNode::Stmt(Stmt::FnCall(call, position)) => {
            Some((call, *position))
        }
        _ => None,
    }
}

/// What an operand compares; the inner `None` for a comparison of constants, of which only the outcome is left.
#[expect(clippy::option_option, reason = "said above")]
fn comparison<'e>(text: &str, operand: &'e Expr) -> Option<Option<&'e FnCallExpr>> {
    match operand {
        Expr::FnCall(call, _) if matches!(call.name.as_str(), "==" | "!=" | "<" | "<=" | ">" | ">=") => {
            Some(Some(call))
        }
        Expr::BoolConstant(value, position) => {
            let rest = text.get(offset(text, *position)..).unwrap_or_default();
            (!rest.starts_with(if *value { "true" } else { "false" })).then_some(None)
        }
        _ => None,
    }
}

/// Where a text of Rhai's ends that starts at a byte.
fn literal_end(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let Some(quote) = rest.chars().next() else { return at };
    let mut escaped = false;
    let end = rest.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == quote && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    at + end.map_or(1, |(end, _)| end + 1)
}

/// The byte of a text at a position of Rhai's.
pub(super) fn offset(text: &str, position: Position) -> usize {
    let Some(line) = position.line() else { return text.len() };
    let start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let column = position.position().unwrap_or(1).max(1) - 1;
    let rest = text.get(start..).unwrap_or_default();
    start + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at)
}

/// The members that a chain of properties reads, the positions of the first and the last, and whether the chain is nothing else.
pub(super) struct Chain<'a> {
    root: &'a str,
    pub(super) members: Vec<&'a str>,
    /// The text in brackets that ends it: `headers["x-id"]`.
    index: Option<&'a str>,
    first: Position,
    pub(super) last: Position,
    pub(super) plain: bool,
}

/// `a.b.c` as a chain; a method call or an index ends it.
pub(super) fn chain(expression: &Expr) -> Option<Chain<'_>> {
    let Expr::Dot(pair, ..) = expression else { return None };
    let Expr::Variable(variable, ..) = &pair.lhs else { return None };
    let (first, last) = (Position::NONE, Position::NONE);
    let mut chain = Chain { root: &variable.1, members: Vec::new(), index: None, first, last, plain: false };
    let mut rest = &pair.rhs;
    loop {
        let (this, next) = match rest {
            Expr::Dot(pair, ..) => (&pair.lhs, Some(&pair.rhs)),
            Expr::Index(pair, ..) => (&pair.lhs, None),
            other => (other, None),
        };
        let Expr::Property(property, position) = this else { return Some(chain) };
        if chain.members.is_empty() {
            chain.first = *position;
        }
        chain.members.push(&property.2);
        chain.last = *position;
        match next {
            Some(next) => rest = next,
            None => {
                if let Expr::Index(pair, ..) = rest {
                    chain.index = key(&pair.rhs);
                }
                chain.plain = matches!(rest, Expr::Property(..));
                return Some(chain);
            }
        }
    }
}

/// The text in brackets, whatever follows them.
fn key(index: &Expr) -> Option<&str> {
    match index {
        Expr::StringConstant(name, _) => Some(name),
        Expr::Dot(pair, ..) | Expr::Index(pair, ..) => key(&pair.lhs),
        _ => None,
    }
}

fn mention(expression: &Expr, path: &[ASTNode<'_>], known: &Known<'_>, mentions: &mut Mentions) {
    if let Some(chain) = chain(expression) {
        if let Some(root) = known.find(chain.root) {
            mentions.add(root, chain.members.iter().map(|name| (*name).to_owned()));
        }
    } else if let Expr::Variable(variable, ..) = expression {
        let of_chain = path.iter().rev().nth(1).is_some_and(|parent| match parent {
            ASTNode::Expr(Expr::Dot(pair, ..)) => std::ptr::eq(&raw const pair.lhs, std::ptr::from_ref(expression)),
            _ => false,
        });
        if let Some(root) = known.find(&variable.1).filter(|_| !of_chain) {
            mentions.add(root, []);
        }
        mentions.token |= variable.1 == "token";
    }
}

fn asks_the_time(node: &ASTNode<'_>) -> bool {
    match node {
        ASTNode::Expr(Expr::FnCall(call, _) | Expr::MethodCall(call, _)) | ASTNode::Stmt(Stmt::FnCall(call, _)) => {
            call.name == "now"
        }
        _ => false,
    }
}

/// Notes the secrets that are named, and reports those that the rule does not declare.
fn secrets_of(
    expression: &Expr,
    known: &Known<'_>,
    secrets: &mut Option<Map>,
    spot: &Spot<'_>,
    text: &str,
    problems: &mut Problems,
) {
    let Some(chain) = chain(expression).filter(|chain| chain.root == "secrets") else { return };
    let Some(name) = chain.members.first() else { return };
    if !known.secret_names.iter().any(|secret| secret == name) {
        let at = text.find(&format!("secrets.{name}")).map_or(0, |at| at + "secrets.".len());
        problems.add(unknown_secret(spot, at, name, known));
    }
    let value = known.secrets.get(*name).map(Secret::expose).unwrap_or_default();
    secrets.get_or_insert_default().insert((*name).into(), value.into());
}

/// Reports a var that the rule does not have, and what `meta` does not say.
fn unknown_member(expression: &Expr, known: &Known<'_>, spot: &Spot<'_>, text: &str, problems: &mut Problems) {
    let Some(chain) = chain(expression) else { return };
    let Some(root) = known.find(chain.root) else { return };
    let members: Vec<_> = chain.members.iter().copied().chain(chain.index).collect();
    if let Some(problem) = known.unknown_member(root, spot, text, offset(text, chain.first), &members) {
        problems.add(problem);
    }
}

/// The problem of a secret that the rule does not declare.
pub(super) fn unknown_secret(spot: &Spot<'_>, at: usize, name: &str, known: &Known<'_>) -> Problem {
    let help = match known.secret_names {
        [] => format!("declare it in [secrets]: `{name} = {{ env = \"…\" }}`"),
        names => did_you_mean(name, names.iter().map(String::as_str)),
    };
    spot.problem(Code::UnknownName, at..at + name.len(), format!("no secret is named `{name}`"))
        .label("unknown name")
        .help(help)
}
