//! claimsmith: a userinfo transformation proxy.
pub mod core;

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "gateway")]
pub mod config;
#[cfg(feature = "gateway")]
pub mod gateway;
