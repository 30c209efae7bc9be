//! claimsmith as a Worker: the core behind the platform's `fetch`.
//!
//! ```text
//!  core.mjs   ──> Gateway::begin ──> Task::step ──> core ──> Visit (its Host) ──> Outside.ask ──> fetch
//!  (JavaScript)                        ^                                                            │
//!                                      └────────────── Task::answered, Task::failed <───────────────┘
//! ```
//!
//! JavaScript owns the event loop: it begins a task for a request, has it make a step, and makes another one whenever an
//! answer came. No promise crosses the border, so a call costs two crossings, and a trap is an exception where the step
//! was asked for: `core.mjs` answers 500 and begins anew. Nothing here knows Cloudflare: whatever has `fetch` and can
//! run WebAssembly can be a host.

mod gateway;
mod line;
mod settings;
mod store;
mod task;
mod visit;

pub use self::{gateway::Gateway, task::Task};
