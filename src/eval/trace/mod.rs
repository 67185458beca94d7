//! Incremental evaluation: what each attribute read of its tree, so that an attribute whose reads are the same in another tree need
//! not be evaluated there.
//!
//! A [`Key`] names one thing that an evaluation can learn of a tree; its value is never stored: two trees are compared by git, and
//! [`Changes`] are the keys whose values differ. A [`TraceSet`] holds, for one jobset with all that can matter but the tree, every
//! attribute's result at one tree and the node of its reads. Nodes form a forest: a node's reads are its own and those of the nodes
//! above it, as an evaluating process that was forked has read what its parent had read.
//!
//! Whatever is not known for certain is dirty: an attribute without a node, a read of an unknown path, a process that died.
//! Results are those of plain evaluations; a recording evaluation only adds reads to them, and only where it came to the same result.
//!
//! Of files of many bindings an evaluation is told to have read only those that it evaluated: [`bindings`].
//!
//! What an evaluation reads is heard of by its supervisor ([`notify`], behind the [`filter`]) and told in [`frames`]; the [`library`]
//! forks it.

pub mod bindings;
mod calls;
mod chain;
mod changes;
mod checkout;
mod clock;
mod control;
pub(super) mod copies;
mod filter;
mod fragments;
pub mod frames;
mod grow;
mod key;
pub mod library;
mod needs;
pub(super) mod notify;
pub(super) mod probe;
mod reads;
mod recorder;
mod set;
mod shape;
pub mod stored;
mod survey;
mod work;

pub use changes::changed_keys;
pub use clock::{Name, may_tell_time};
pub use control::{Always, Control, Order};
pub use key::{Changes, Key};
pub use probe::Tracing;
pub use recorder::Recorded;
pub use set::{Dirty, Fragment, FragmentNode, Known, Node, NodeId, TraceSet, Traced};
pub use survey::Surveys;

/// Increased when reads are heard otherwise, kept otherwise, or asked of files that are instrumented otherwise: what was recorded before is
/// then recorded again.
const RECORDING: u32 = 2;

/// What a trace set depends on besides what an evaluation does; a part of its key.
pub(super) fn versions() -> serde_json::Value {
    serde_json::json!([stored::FORMAT, RECORDING, bindings::FORMAT, library::fingerprint()])
}
