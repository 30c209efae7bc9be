//! Which functions a script may call: a misspelt one is a problem of the rule, not of the first login.
//!
//! It would even go unseen at run time, since calling anything of an absent value is absent.

use std::collections::BTreeSet;

use rhai::{AST, ASTNode, Expr, FnCallExpr, Position, Stmt};

use super::Function;

/// What Rhai resolves itself.
const KEYWORDS: [(&str, usize); 4] = [("Fn", 1), ("is_def_fn", 2), ("is_def_var", 1), ("type_of", 1)];
/// Functions that are there only to refuse.
const REFUSED: [&str; 1] = ["sleep"];

/// The names and numbers of arguments of all functions.
pub(in crate::core::value) type Functions = BTreeSet<(String, usize)>;

/// A call of a function that there is not.
pub(in crate::core::value) struct Unknown {
    pub(in crate::core::value) name: String,
    pub(in crate::core::value) position: Position,
    /// There is one of this name, for other numbers of arguments.
    pub(in crate::core::value) takes: Vec<usize>,
}

/// The functions of an engine.
pub(in crate::core::value) fn of_engine(rhai: &rhai::Engine) -> Functions {
    let all = rhai.collect_fn_metadata(
        None,
        |function| Some((function.metadata.name.to_string(), function.metadata.num_params)),
        true,
    );
    let keywords = KEYWORDS.map(|(name, arguments)| (name.to_owned(), arguments));
    // Getters are registered under names with a `$`.
    let plain = |name: &str| !name.contains('$') && !REFUSED.contains(&name);
    all.into_iter().filter(|(name, _)| plain(name)).chain(keywords).collect()
}

/// The calls of a script that no function answers, neither of the engine nor of its own.
pub(in crate::core::value) fn unknown(ast: &AST, functions: &Functions) -> Vec<Unknown> {
    // A member or a variable may hold a function.
    let mut holders = BTreeSet::new();
    ast.walk(&mut |path| {
        match path.last() {
            Some(ASTNode::Expr(Expr::Map(map, _))) => holders.extend(map.0.iter().map(|(key, _)| key.name.to_string())),
            // A map that nothing changes is made when the script is compiled.
            Some(ASTNode::Expr(Expr::DynamicConstant(value, _))) => {
                if let Ok(map) = value.as_map_ref() {
                    holders.extend(map.keys().map(ToString::to_string));
                }
            }
            Some(ASTNode::Expr(Expr::Property(property, _))) => {
                holders.insert(property.2.to_string());
            }
            Some(ASTNode::Stmt(Stmt::Var(variable, ..))) => {
                holders.insert(variable.0.name.to_string());
            }
            _ => {}
        }
        true
    });
    let mut unknown = Vec::new();
    ast.walk(&mut |path| {
        let Some((call, method, position)) = path.last().and_then(call_of) else { return true };
        let (name, arguments) = (call.name.as_str(), call.args.len());
        let own = |function: rhai::ScriptFnMetadata<'_>| {
            function.name == name && (function.params.len() == arguments || function.params.len() == arguments + method)
        };
        let operator = !name.starts_with(|c: char| c.is_alphabetic() || c == '_');
        let known = operator
            // What a function pointer takes is not known.
            || name == "call"
            || functions.contains(&(name.to_owned(), arguments + method))
            || holders.contains(name)
            || ast.iter_functions().any(own);
        if !known {
            let same = functions.iter().filter(|(other, _)| other == name);
            let takes = same.map(|(_, takes)| takes.saturating_sub(method)).collect();
            unknown.push(Unknown { name: name.to_owned(), position, takes });
        }
        true
    });
    unknown
}

/// An argument that is written out, and that its function cannot take.
pub(in crate::core::value) struct Misfit {
    pub(in crate::core::value) function: &'static str,
    pub(in crate::core::value) position: Position,
    /// What it wants, or what is wrong.
    pub(in crate::core::value) why: &'static str,
}

/// The arguments that are wrong whenever they are looked at.
pub(in crate::core::value) fn misfits(ast: &AST) -> Vec<Misfit> {
    let mut misfits = Vec::new();
    ast.walk(&mut |path| {
        let Some((call, method, _)) = path.last().and_then(call_of) else { return true };
        let Some(function) = Function::named(&call.name) else { return true };
        let own = ast.iter_functions().any(|own| own.name == call.name.as_str());
        if let Some((number, check)) = function.checked
            && !own
            && let Some(Expr::StringConstant(text, position)) =
                number.checked_sub(method).and_then(|number| call.args.get(number))
            && let Err(why) = check(text)
        {
            misfits.push(Misfit { function: function.name(), position: *position, why });
        }
        true
    });
    misfits
}

/// A call, how many arguments stand before its parentheses, and its position.
fn call_of<'a>(node: &ASTNode<'a>) -> Option<(&'a FnCallExpr, usize, Position)> {
    match node {
        ASTNode::Expr(Expr::FnCall(call, position)) | ASTNode::Stmt(Stmt::FnCall(call, position)) => {
            Some((call, 0, *position))
        }
        ASTNode::Expr(Expr::MethodCall(call, position)) => Some((call, 1, *position)),
        _ => None,
    }
}
