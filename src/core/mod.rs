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

// The whole.
mod audit;
mod compile;
mod evaluate;

// A rule on recorded answers.
mod case;

// A login as a case.
pub mod record;

pub use self::{
    calls::Summary,
    case::{Cases, Difference, Files, Verdict},
    compile::{CompiledRule, Compiler},
    evaluate::{Outcome, Reception, answer, evaluate, refuse},
    host::{Host, SecretSource},
    message::{Answer, FetchError, Outgoing, Request, Response, Secret},
    receiver::{Contract, Errors, Judgement, Standing, Trust, all as contracts},
    response::{Blame, Failure},
    route::Routes,
    rule::{MAX_SOURCE, is_rule_name},
    trace::{Step, Trace},
    value::{FUNCTIONS, Family, Function},
};
