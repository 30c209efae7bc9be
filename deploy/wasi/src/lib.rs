//! claimsmith as a component of `wasi:http`: for wasmtime, Spin, jco and their like.
//!
//! Most hosts give every request an instance of its own, so an instance reads its rules, compiles the one that is asked
//! for, answers, and is gone. Rules are data: `rules` has the place in the component that they are written to.

mod outside;
mod rules;
mod visit;

// The same settings and the same lines as a Worker has.
#[path = "../../cloudflare/src/line.rs"]
mod line;
#[path = "../../cloudflare/src/settings.rs"]
mod settings;

use std::time::Duration;

use claimsmith::core::{
    CompiledRule, Compiler, Failure, Host, Outcome, Platform, Reception, Request, answer,
    problem::{Severity, Source, as_json},
    refuse, unfit,
};
use http::{HeaderName, HeaderValue};
use wasip2::{
    exports::http::incoming_handler::Guest,
    http::types::{IncomingRequest, ResponseOutparam},
};

use self::{line::Level, outside::Arrived, rules::Bundle, settings::Settings, visit::Visit};

/// The header that carries a request's id, in and out.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// In place of the name of a rule, if there is none.
const NOWHERE: &str = "-";

struct Component;

wasip2::http::proxy::export!(Component);

impl Guest for Component {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let began = Visit::clock();
        let id = outside::request_id(&request);
        let Answered { method, rule, outcome, least } = respond(request, &id);
        let took = u64::try_from(Visit::clock().saturating_sub(began).as_millis()).unwrap_or(u64::MAX);
        let level = line::level(&outcome);
        if level >= least {
            outside::write_line(&line::write(level, rule.as_deref().unwrap_or(NOWHERE), &method, &outcome, took, &id));
        }
        let mut response = outcome.response;
        let id = HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("unknown"));
        response.headers_mut().insert(REQUEST_ID, id);
        outside::send(&response, out);
    }
}

/// An answer, and what the log says of it.
struct Answered {
    method: http::Method,
    /// The name of the rule that gives it.
    rule: Option<String>,
    outcome: Outcome,
    /// The least serious level that is written.
    least: Level,
}

fn respond(request: IncomingRequest, id: &str) -> Answered {
    let (settings, bundle) = match (outside::settings(), rules::read()) {
        (Ok(settings), Ok(bundle)) => (settings, bundle),
        (Err(why), _) | (_, Err(why)) => {
            outside::write_line(&serde_json::json!({ "level": "ERROR", "message": why, "status": 500 }).to_string());
            let outcome = refuse(None, Failure::Panic, id);
            return Answered { method: http::Method::GET, rule: None, outcome, least: Level::Info };
        }
    };
    let (arrived, request) = outside::receive(request, settings.max_request_body);
    let visit = Visit::new(&settings, &bundle);
    let rule = compile(&settings, &bundle, request.uri().path(), &visit);
    let rule = rule.as_ref();
    let outcome = match arrived {
        Arrived::Whole if request.headers().len() > settings.max_request_headers => {
            refuse(rule, Failure::TooManyHeaders, id)
        }
        Arrived::Whole => evaluate(&settings, rule, &request, id, &visit),
        Arrived::TooLarge => refuse(rule, Failure::RequestTooLarge, id),
        Arrived::Broken => refuse(rule, Failure::Unreadable, id),
    };
    let rule = rule.map(|rule| rule.name().to_owned());
    Answered { method: request.method().clone(), rule, outcome, least: settings.log.level }
}

fn evaluate(settings: &Settings, rule: Option<&CompiledRule>, request: &Request, id: &str, visit: &Visit) -> Outcome {
    let deadline: Duration = rule.map_or(settings.deadline, |rule| rule.deadline(settings.deadline));
    let until = Visit::clock().saturating_add(deadline);
    let reception = Reception { query_token: settings.query_token, until: Some(until) };
    let outcome = visit.run(deadline, answer(rule, request, id, reception, visit, None));
    outcome.unwrap_or_else(|| refuse(rule, Failure::Deadline, id))
}

/// The rule at a path. Why it is refused is written to the log; what else may be said of it was said by `bundle`, and
/// would be said for every request.
fn compile(settings: &Settings, bundle: &Bundle, path: &str, visit: &Visit) -> Option<CompiledRule> {
    let (name, text) = bundle.rules.get_key_value(path.strip_prefix('/')?)?;
    let none = serde_json::Map::new();
    let vars = settings.rule.get(name).map_or(&none, |rule| &rule.vars);
    let source = Source::new(format!("{name}.toml"), text.as_str());
    let (rule, problems) = Compiler::new::<Visit>().compile(name, &source, vars, visit);
    let mut problems = problems.sorted();
    problems.extend(unfit(&source, Platform::Wasi));
    let refused = problems.iter().any(|problem| problem.severity() == Severity::Error);
    for problem in problems.iter().filter(|problem| problem.severity() == Severity::Error) {
        outside::write_line(&as_json(problem).to_string());
    }
    rule.filter(|_| !refused)
}
