//! Building: one graph over all reviews, one attempt per derivation however many wait for it.
//!
//! PURE: no clock, no database, no process. It owns the graph of what is to be built ([`Graph`]), the order in which ready
//! derivations are built ([`Queue`], [`Priority`]) and the question whether a builder can build something ([`Offer`]).
//! The Scheduler (`actors/scheduler`) is the only caller of the graph; `web/` and `cli/` read the snapshot types.

mod builder;
mod graph;
mod offer;
mod priority;
mod queue;
mod request;
pub mod snapshot;
mod usage;

pub use builder::Builder;
pub use graph::{Graph, Job, Progress};
pub use offer::{Offer, Requirements, unsupported};
pub use priority::Priority;
pub use queue::Queue;
pub use request::{Answer, Cause, Ending, Node, Request, Waiter};
pub use usage::Usage;
