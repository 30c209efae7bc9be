//! claimsmith: a userinfo transformation proxy. Rules in, flat claims out.
//!
//! ```text
//!  listener ──> service ──> route ──> token ──> calls ──> require ──> claims ──> script ──> response
//!  gateway/     gateway/    core/     core/     core/     core/       core/      core/      core/
//!                                                │
//!                                                └──> Host ──> gateway/upstream.rs (reqwest)
//! ```
//!
//! A request meets these in this order; [`core::evaluate`] says the same in as many
//! statements. [`core`] is pure and builds alone (`--no-default-features`);
//! [`gateway`] is everything that touches a socket, a file or the
//! environment; [`cli`] is the program. Imports point from right to left in
//! that list, never the other way. [`catalogue`] has the rules that are shipped, [`authoring`] what is told to those who
//! write them.

pub mod core;

#[cfg(feature = "authoring")]
#[cfg_attr(not(feature = "cli"), expect(dead_code, reason = "editors know more kinds of texts than the playground"))]
pub mod authoring;
#[cfg(feature = "catalogue")]
pub mod catalogue;

#[cfg(feature = "gateway")]
pub mod config;
#[cfg(feature = "gateway")]
pub mod gateway;

#[cfg(feature = "cli")]
pub mod cli;
