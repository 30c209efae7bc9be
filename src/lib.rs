//! claimsmith: a userinfo transformation proxy.
pub mod core;
