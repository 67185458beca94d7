//! Building: one graph over all reviews, one attempt per derivation however many wait for it.
//!
//! PURE: no clock, no database, no process. It owns the graph of what is to be built ([`Graph`]), the order in which ready
//! derivations are built ([`Queue`], [`Priority`]), the choice of a builder for each ([`Builders`]), and what becomes of a build that
//! ended, whichever way ([`Farm`], which joins them). The Scheduler (`actors/scheduler`) is the only caller of the farm; `web/` and
//! `cli/` read the snapshot types.

mod builder;
mod builders;
mod demand;
mod farm;
mod graph;
mod offer;
mod priority;
mod queue;
mod request;
pub mod snapshot;
mod usage;

pub use builder::Builder;
pub use builders::{Builders, Lane, Rest, Station};
pub use demand::{Demand, Past, Shortage, Size};
pub use farm::{After, Farm, Next, Patience, Start};
pub use graph::{Graph, Job, Progress};
pub use offer::{Offer, Requirements, unsupported};
pub use priority::Priority;
pub use queue::Queue;
pub use request::{Answer, Cause, Ending, Node, Request, Waiter};
pub use usage::Usage;
