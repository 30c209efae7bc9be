//! Which functions a script may call: a misspelt one is a problem of the rule, not of the first login.
//!
//! It would even go unseen at run time, since calling anything of an absent value is absent.

use std::collections::BTreeSet;

use rhai::{AST, ASTNode, Expr, Position, Stmt};

/// What Rhai resolves itself.
const KEYWORDS: [(&str, usize); 4] = [("Fn", 1), ("is_def_fn", 2), ("is_def_var", 1), ("type_of", 1)];
/// Functions that are there only to refuse.
const REFUSED: [&str; 1] = ["sleep"];

/// The names and numbers of arguments of all functions.
pub(super) type Functions = BTreeSet<(String, usize)>;

/// A call of a function that there is not.
pub(super) struct Unknown {
    pub(super) name: String,
    pub(super) position: Position,
    /// There is one of this name, for other numbers of arguments.
    pub(super) takes: Vec<usize>,
}

/// The functions of an engine.
pub(super) fn of_engine(rhai: &rhai::Engine) -> Functions {
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
pub(super) fn unknown(ast: &AST, functions: &Functions) -> Vec<Unknown> {
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
        let (call, method, position) = match path.last() {
            Some(ASTNode::Expr(Expr::FnCall(call, position)) | ASTNode::Stmt(Stmt::FnCall(call, position))) => {
                (call, 0, *position)
            }
            Some(ASTNode::Expr(Expr::MethodCall(call, position))) => (call, 1, *position),
            _ => return true,
        };
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
