//! `cache`: whether answers can be used again.

use std::sync::Arc;

use http::Method;

use super::{Compiler, lists::may_change};
use crate::core::{
    calls::{
        body::Body,
        cache::Cache,
        plan::{Address, Call, Plan},
    },
    problem::{Code, Problem, Problems, Source},
    rule,
    store::Key,
    value::Mentions,
};

const HELP: &str = "if it changes nothing, say so: `cache = { ttl = \"…\", safe = true }`";

/// True for a request that changes nothing, as far as can be told. A GraphQL query is one, whatever method carries it.
pub(super) fn is_safe(call: &rule::Call, method: &Method) -> bool {
    match &call.body {
        Some(rule::Body::Graphql { query, .. }) => !may_change(&query.value),
        _ => [Method::GET, Method::HEAD].contains(method),
    }
}

impl Compiler<'_> {
    /// The cache of a call, if it can have one.
    pub(super) fn cache(&mut self, call: &rule::Call, compiled: &Call) -> Option<Cache> {
        let written = call.cache.as_ref()?;
        let lifetimes = written.lifetimes(self.source, self.problems)?;
        let name = &call.name.name;
        let fault = if call.paginate.is_some() {
            let message = format!("the pages of `{name}` cannot be kept one by one");
            Some((message, "pages of different times make a list that never was", "cache the rule's answer: `[cache]`"))
        } else if !compiled.safe && !written.safe {
            let message = format!("the answer to a {} request is not used again", compiled.method);
            Some((message, "it may change something each time", HELP))
        } else if is_never_the_same(compiled) {
            let message = format!("no two requests of `{name}` are the same");
            let help = "take the time out of the request, or cache the rule's answer: `[cache]`";
            Some((message, "`now()` is part of them", help))
        } else {
            None
        };
        if let Some((message, label, help)) = fault {
            let place = rule::place(self.source, &written.span);
            self.problems.add(Problem::new(Code::Conflict, place, message).label(label).help(help));
            return None;
        }
        // The revision is known once the whole rule is.
        Some(Cache { lifetimes, revision: Key::new("no rule", &[]) })
    }
}

/// True if the time is part of a request.
fn is_never_the_same(call: &Call) -> bool {
    let mut mentions = Mentions::default();
    call.headers.iter().for_each(|(_, text)| text.mentions(&mut mentions));
    call.query.iter().for_each(|(_, text)| text.mentions(&mut mentions));
    if let Address::Template(text, _) = &call.address {
        text.mentions(&mut mentions);
    }
    match &call.body {
        Body::None => {}
        body => body.mentions(&mut mentions),
    }
    mentions.now
}

/// Reports a call that may change something where the answer of the whole rule is used again: it would be made less
/// often.
pub fn check_changes(source: &Arc<Source>, written: &rule::Cache, plan: &Plan, problems: &mut Problems) {
    let Some(call) = plan.calls.iter().find(|call| !call.safe).filter(|_| !written.safe) else { return };
    let message = format!("[call.{}] may change something, and would not be made each time", call.name);
    let problem = Problem::new(Code::Conflict, rule::place(source, &written.span), message);
    let help = HELP.replace("it changes", "the calls change");
    problems.add(problem.label(format!("a {} request", call.method)).help(help));
}

impl Plan {
    /// What is kept is kept for this revision of the rule; `watched` if its answers are used again as a whole.
    pub fn bind(&mut self, revision: Key, watched: bool) {
        for call in &mut self.calls {
            call.watched = watched;
            call.cache.iter_mut().for_each(|cache| cache.revision = revision);
        }
    }
}
