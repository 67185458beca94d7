//! Jobsets -> attributes. Owns the evaluating processes, how they are confined, and what they say; the Evaluator actor is its only
//! caller. Evaluated Nix code is hostile: it runs in a process of its own, without secrets, network or a writable store.
//!
//! An evaluation has three steps, each in a file: [`frontier`] (pure) knows which attributes are still to be asked for, [`worker`]
//! asks one evaluating process after the other for them, [`driver`] is that process and its language. What a changed attribute is
//! asked besides (its name, its `meta`, its derivation in the store) is [`details`].
//!
//! An evaluation is incremental where [`trace`] knows results that are still true in the tree: the frontier finds them by itself, and
//! only the rest is asked for, as [`plan`] decides.

pub mod confine;
mod details;
mod driver;
mod enclosure;
mod evaluator;
mod flake;
mod frontier;
mod key;
mod launch;
mod message;
mod nix_text;
mod plan;
pub mod self_check;
mod start;
mod store_access;
pub mod stored;
mod syntax;
mod terms;
pub mod trace;
mod worker;

pub use confine::Confinement;
pub use details::{Details, NotDescribed, Target};
pub use enclosure::Enclosure;
pub use evaluator::{Evaluator, wholly_known};
pub use frontier::Found;
pub use store_access::StoreSocket;
pub use terms::{EvalFailure, Evaluated, Limits, Progress, Request};
