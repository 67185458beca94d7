//! Jobsets -> attributes. Owns the evaluating processes, how they are confined, and what they say; the Evaluator actor is its only
//! caller. Evaluated Nix code is hostile: it runs in a process of its own, without secrets, network or a writable store.
//!
//! An evaluation has three steps, each in a file: [`frontier`] (pure) knows which attributes are still to be asked for, [`worker`]
//! asks one evaluating process after the other for them, [`driver`] is that process and its language. What a changed attribute is
//! asked besides (its name, its `meta`, its derivation in the store) is [`details`].
//!
//! The seam for traces: [`frontier::Frontier`] starts from whatever names it is given; today that is the root, so that
//! everything is evaluated; a plan from traces starts it with the dirty attributes alone.

pub mod confine;
mod details;
mod driver;
mod evaluator;
mod flake;
mod frontier;
mod key;
mod launch;
mod message;
mod nix_text;
mod store_access;
mod terms;
pub mod trace;
mod worker;

pub use confine::Confinement;
pub use details::{Details, NotDescribed, Target};
pub use evaluator::Evaluator;
pub use key::evaluation_key;
pub use store_access::StoreSocket;
pub use terms::{EvalFailure, Evaluated, Limits, Progress, Request};
