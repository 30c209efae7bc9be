//! Which calls wait for which.

use std::sync::Arc;

use crate::core::{
    calls::plan::Call,
    problem::{Code, Problem, Problems, Source},
    rule::{self, Text},
};

/// Has all calls wait for the one that says whether the token is good, but for those that it needs itself.
pub(super) fn put_first(first: usize, compiled: &mut [Option<Call>]) {
    let mut before = vec![first];
    let mut at = 0;
    while let Some(number) = before.get(at).copied() {
        let needs = compiled[number].as_ref().map(|call| call.needs.clone()).unwrap_or_default();
        for need in needs {
            if !before.contains(&need) {
                before.push(need);
            }
        }
        at += 1;
    }
    let others = compiled.iter_mut().enumerate().filter(|(number, _)| !before.contains(number));
    others.filter_map(|(_, call)| call.as_mut()).for_each(|call| call.needs.push(first));
}

/// A call that says whether the token is good must be made, must not fail in silence, and must carry the token.
pub(super) fn check_first(source: &Arc<Source>, name: &Text, call: &rule::Call, problems: &mut Problems) {
    let fault = match call {
        call if call.optional => "it is optional, so a bad token would pass",
        call if call.when.is_some() => "it has a `when`, so a bad token could pass",
        call if call.each.is_some() || call.paginate.is_some() => "it gives a list, not what is known of the token",
        _ => return,
    };
    let message = format!("the call `{}` cannot say whether the token is good", name.value);
    let problem = Problem::new(Code::BadValue, rule::place(source, &name.span), message);
    problems.add(problem.label(fault).help("a check is one request that always has to succeed"));
}

/// Reports calls that wait for one another. A call that could not be compiled waits for nothing.
pub(super) fn is_ordered(
    source: &Arc<Source>,
    compiled: &[Option<Call>],
    calls: &[rule::Call],
    problems: &mut Problems,
) -> bool {
    let needs = |at: usize| compiled[at].as_ref().map_or(&[][..], |call| &call.needs);
    let mut stuck: Vec<_> = (0..compiled.len()).collect();
    loop {
        // Calls that can run are taken away, and calls that nobody waits for: they are not what is wrong.
        let all = stuck.clone();
        stuck.retain(|at| needs(*at).iter().any(|need| all.contains(need)));
        stuck.retain(|at| all.iter().any(|other| needs(*other).contains(at)));
        if stuck.len() == all.len() {
            break;
        }
    }
    let Some(first) = stuck.first() else { return true };
    let names: Vec<_> = stuck.iter().map(|at| format!("`{}`", calls[*at].name.name)).collect();
    let (message, label, help) = match &names[..] {
        [name] => (
            format!("the call {name} waits for itself"),
            "reads its own answer",
            "before a call is sent it has no answer; `fail_when` can read it afterwards",
        ),
        _ => (
            format!("these calls wait for one another: {}", names.join(", ")),
            "one of them",
            "each reads an answer of another; take one mention away",
        ),
    };
    let place = rule::place(source, &calls[*first].span());
    problems.add(Problem::new(Code::Cycle, place, message).label(label).help(help));
    false
}
