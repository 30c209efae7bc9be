//! Which statements of a script run. It is asked by coverage alone: the script is compiled once more, with a call
//! before each statement that notes it, for an engine of its own. So what an answer is made of never knows of it.

use std::{cell::RefCell, collections::BTreeSet, ops::Range};

use rhai::{AST, Dynamic, INT, Token};

use super::{Memory, functions};
use crate::core::problem::Place;

/// What is called before each statement. A script cannot come by it: no other engine has it.
const NOTE: &str = "claimsmith_statement_runs";
/// How much more an engine allows that watches: every statement is two.
pub(super) const ROOM: usize = 64;

thread_local! {
    static RAN: RefCell<BTreeSet<usize>> = const { RefCell::new(BTreeSet::new()) };
}

/// A script that tells which of its statements run.
pub(super) struct Watched {
    ast: AST,
    /// Each statement: where it stands, and its first line.
    pub(super) statements: Vec<(Place, String)>,
}

/// Adds the note to an engine.
pub(super) fn register(rhai: &mut rhai::Engine) {
    rhai.register_fn(NOTE, |number: INT| {
        RAN.with_borrow_mut(|ran| ran.extend(usize::try_from(number).ok()));
    });
}

impl Watched {
    /// Compiles a script that is known to be sound; `parse` does so with the names that it may use. `None` if it has
    /// no statement that can be told apart.
    pub(super) fn compile(
        text: &str,
        rhai: &rhai::Engine,
        place: impl Fn(Range<usize>) -> Place,
        parse: impl Fn(&str) -> Option<AST>,
    ) -> Option<Self> {
        let starts = starts(text, rhai);
        let (starts, ast) = match parse(&with_notes(text, &starts)) {
            Some(ast) => (starts, ast),
            // Some place cannot bear a note: those that can are kept, tried one by one.
            None => {
                let mut kept = Vec::new();
                for start in starts {
                    kept.push(start);
                    if parse(&with_notes(text, &kept)).is_none() {
                        kept.pop();
                    }
                }
                let ast = parse(&with_notes(text, &kept))?;
                (kept, ast)
            }
        };
        let statement = |start: &usize| {
            let line = text[*start..].lines().next().unwrap_or_default().trim_end();
            (place(*start..start + line.len()), line.to_owned())
        };
        Some(Watched { ast, statements: starts.iter().map(statement).collect() })
    }

    /// Runs it in the scope that the script itself would have, and gives the places of what ran. What comes out
    /// besides is of no interest, an error neither.
    pub(super) fn run(&self, rhai: &rhai::Engine, memory: &mut Memory) -> Vec<Place> {
        RAN.with_borrow_mut(BTreeSet::clear);
        let run = || rhai.eval_ast_with_scope::<Dynamic>(&mut memory.scope, &self.ast);
        let _ = functions::in_request(&mut memory.now, run);
        let ran = RAN.take();
        ran.into_iter().filter_map(|number| self.statements.get(number)).map(|(place, _)| place.clone()).collect()
    }
}

/// The text with a note at each of these bytes.
fn with_notes(text: &str, starts: &[usize]) -> String {
    let mut noted = String::with_capacity(text.len() + 40 * starts.len());
    let mut from = 0;
    for (number, start) in starts.iter().enumerate() {
        noted.push_str(&text[from..*start]);
        noted.push_str(&format!("{NOTE}({number}); "));
        from = *start;
    }
    noted.push_str(&text[from..]);
    noted
}

/// What a bracket opened.
#[derive(Clone, Copy, PartialEq)]
enum Open {
    /// A block of statements; of `do`, if it says so: what follows it belongs to it.
    Block { of_do: bool },
    /// The arms of a `switch`.
    Switch,
    /// An expression inside a text.
    InText,
    /// Anything else.
    Other,
}

/// Where statements start, as bytes of a script that is known to be sound.
fn starts(text: &str, rhai: &rhai::Engine) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    // A statement may start here.
    let mut fresh = true;
    // So many brackets are open where a `switch` waits for its arms.
    let mut switch: Option<usize> = None;
    let mut before: Option<Token> = None;
    let inputs = [text];
    let (tokens, control) = rhai.lex(&inputs);
    for (token, position) in tokens {
        let in_block = matches!(open.last(), None | Some(Open::Block { .. }));
        if fresh && in_block && begins(&token) {
            starts.push(super::expression::offset(text, position));
        }
        fresh = false;
        match &token {
            Token::EOF | Token::LexError(_) => break,
            Token::LeftBrace => {
                let opened = match &before {
                    Some(Token::InterpolatedString(_)) => Open::InText,
                    _ if switch == Some(open.len()) => Open::Switch,
                    Some(Token::Do) => Open::Block { of_do: true },
                    _ => Open::Block { of_do: false },
                };
                if opened == Open::Switch {
                    switch = None;
                }
                fresh = matches!(opened, Open::Block { .. });
                open.push(opened);
            }
            Token::MapStart | Token::LeftParen | Token::LeftBracket | Token::QuestionBracket => open.push(Open::Other),
            Token::RightParen | Token::RightBracket => _ = open.pop(),
            Token::RightBrace => match open.pop() {
                Some(Open::InText) => control.borrow_mut().is_within_text = true,
                Some(Open::Block { of_do: false } | Open::Switch) => fresh = true,
                _ => {}
            },
            Token::SemiColon => fresh = true,
            Token::Switch => switch = Some(open.len()),
            _ => {}
        }
        before = Some(token);
    }
    starts
}

/// True for what can stand first in a statement: not for what goes on with the one before, and not for the
/// definition of a function, which does nothing by itself.
fn begins(token: &Token) -> bool {
    match token {
        Token::RightBrace | Token::SemiColon | Token::Comma | Token::Else | Token::Catch | Token::In => false,
        Token::Fn | Token::Private | Token::EOF | Token::LexError(_) => false,
        Token::LeftBrace | Token::LeftParen | Token::LeftBracket | Token::MapStart | Token::Bang => true,
        Token::UnaryMinus | Token::UnaryPlus | Token::Switch | Token::Identifier(_) | Token::Reserved(_) => true,
        Token::IntegerConstant(_) | Token::FloatConstant(_) | Token::CharConstant(_) => true,
        Token::StringConstant(_) | Token::InterpolatedString(_) => true,
        other => other.is_standard_keyword(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::core::value::Engine;

    #[test]
    fn statements_start_where_a_reader_sees_them() {
        let engine = Engine::new(|| Duration::ZERO, || Duration::ZERO);
        for (text, expected) in [
            ("", vec![]),
            ("let a = 1; a + 1", vec!["let a = 1;", "a + 1"]),
            ("// Only words.\nlet a = 1;", vec!["let a"]),
            ("if a { b(); } else if c { d(); } else { e() }", vec!["if a", "b();", "d();", "e()"]),
            ("if a { b() } c();", vec!["if a", "b()", "c();"]),
            ("let x = if a { 1 } else { 2 }; x", vec!["let x", "1 }", "2 }", "x"]),
            ("for i in 0..3 { x += i; }\nwhile x > 0 { x -= 1; }", vec!["for", "x += i", "while", "x -= 1"]),
            ("do { x += 1; } while x < 3; y();", vec!["do", "x += 1", "y()"]),
            ("fn f(a) { let b = a; b }\nf(1)", vec!["let b", "b }", "f(1)"]),
            ("let m = #{ a: 1, b: #{ c: 2 } }; [1, 2].len();", vec!["let m", "[1, 2]"]),
            ("switch x { 1 => a(), 2 if y => { b(); c() } _ => #{} }\nd();", vec!["switch", "b();", "c()", "d();"]),
            ("try { a(); } catch (e) { b(); }", vec!["try", "a();", "b();"]),
            ("let t = `x; ${ a + `${b}` } { y; }`; z();", vec!["let t", "z();"]),
            ("list.filter(|x| { let y = x; y > 1 });", vec!["list", "let y", "y > 1"]),
            ("!a; -b; (c); { d; }", vec!["!a", "-b", "(c)", "{ d", "d;"]),
            ("return 1;", vec!["return"]),
        ] {
            let found: Vec<_> = starts(text, &engine.rhai).into_iter().map(|start| &text[start..]).collect();
            assert_eq!(found.len(), expected.len(), "{text}: {found:?}");
            for (found, expected) in found.iter().zip(&expected) {
                assert!(found.starts_with(expected), "{text}: {found} is not {expected}");
            }
        }
    }
}
