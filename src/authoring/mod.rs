//! What people who write rules are told, wherever they write: in an editor, in the playground, on a terminal.
//!
//! ```text
//!  text ──> outline ──> here ──> complete, hover, insert      what may stand at a place, and what does
//!           (tokens)    (a place)
//!  case ──> report                                            one evaluation: claims, receiver, steps, failure
//!  cases of two versions ──> compare                          what an edit changes
//!  cases ──> rewriting                                        what they expect, rewritten
//!  playground                                                 all of these for a page, as JSON
//! ```
//!
//! Pure: texts in, words out. What is wrong with a rule is what the compiler says of it; what comes out is what the
//! evaluation of a request gives.

pub(crate) mod chain;
pub(crate) mod compare;
pub(crate) mod complete;
pub(crate) mod draft;
pub(crate) mod here;
pub(crate) mod hover;
mod insert;
pub(crate) mod outline;
pub(crate) mod place;
mod playground;
pub(crate) mod report;
pub(crate) mod rewriting;
pub(crate) mod samples;
mod used;

pub use self::playground::{Playground, Surroundings};
