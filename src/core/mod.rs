//! The pure core: rules in, answers out. It has no clock, socket, file or environment
//! of its own, and reaches the world through [`Host`] alone.

// What a request meets, in this order.
mod route;

mod token;

mod calls;

mod require;

mod claims;

mod script;

mod receiver;

mod response;

// The words that the steps share.
mod denial;
mod facts;
mod freshness;
mod host;
pub mod identity;
pub mod jose;
mod message;
pub mod problem;
mod secret;
pub mod store;
pub mod trace;

// Verified tokens, for the steps that want them.
mod keyring;

// What a rule says, and how it says a value.
mod rule;
mod value;

// How a rule looks, and what editors are told of it.
mod format;
mod schema;

// A rule for people, by its text.
mod card;

// The whole.
mod audit;
mod capability;
mod compile;
mod evaluate;

// A rule for people, and a rule on recorded answers.
mod case;
mod outline;

// A rule from recorded answers.
mod propose;

// A path without a rule.
mod select;

// A login as a case.
pub mod record;

pub use self::{
    calls::{Need, Outline as CallOutline, Summary},
    capability::{Capability, Degree, Platform, unfit},
    card::{Card, Line as CardLine, NEEDS, as_json as card_as_json},
    case::{
        Answered, Cases, Difference, Draft, DraftReply, Elsewhere, Fault, Files, Shown, Told, Verdict,
        kind as kind_of_value, set_clock,
    },
    claims::{STANDARD, STANDARD_SOURCE, Standard},
    compile::{CompiledRule, Compiler, Ingredients, ingredients},
    evaluate::{Outcome, Reception, answer, evaluate, refuse},
    format::format,
    host::{Host, SecretSource},
    message::{Answer, FetchError, Outgoing, Request, Response, Secret, Spare, method_name},
    outline::{LongestPath, Outline, Reader},
    propose::{Proposal, Proposed, Sample, propose},
    receiver::{Contract, Errors, Judgement, Standing, Trust, all as contracts},
    response::{Blame, Failure, TurnedAway},
    route::Routes,
    rule::{Lifetimes, MAX_SOURCE, is_claim_name, is_rule_name, words},
    schema::{meanings, schema},
    select::select,
    token::Token,
    trace::{Point, Reached, Step, Trace},
    value::{FUNCTIONS, Family, Function, closing as end_of_expression},
};
