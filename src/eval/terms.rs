//! The words that the files of this room share: what is asked for, what it may cost, how it can fail.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::frontier::Found;
use crate::config::repository::Jobset;
use crate::domain::{AttrPath, Evaluation, System, TreeId};

/// `done`, `total` (known so far), `errors`.
pub type Progress = Arc<dyn Fn(u64, u64, u64) + Send + Sync>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of one evaluating process's data.
    pub memory_bytes: u64,
    /// How long one attribute may take.
    pub seconds_per_attribute: u64,
}

/// One jobset of one tree on one system.
#[derive(Debug, Clone)]
pub struct Request {
    pub tree: TreeId,
    /// A checkout of `tree`.
    pub checkout: PathBuf,
    pub jobset: Jobset,
    pub system: System,
    /// Nix settings of the user.
    pub options: BTreeMap<String, String>,
    /// Evaluating processes at once, at least one, and no more than the house has places.
    pub workers: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvalFailure {
    /// No evaluating process can be started here: nothing about the change.
    #[error("{0}")]
    Start(String),
    /// The jobset's file, or `flake.nix`, is not in the tree.
    #[error("the jobset's file `{0}` is not in the tree; name another with --file or in snowgate.toml")]
    NoSuchFile(String),
    /// What the jobset names can't be prepared: a file outside the tree, an argument that does not parse, an input that can't be fetched.
    #[error("{0}")]
    Jobset(String),
}

/// An evaluation, and whether it would be the same another time.
#[derive(Debug, Clone)]
pub struct Evaluated {
    pub evaluation: Evaluation,
    /// What every path was found to be, as the evaluating processes told it: sets, what is neither, and the root (the empty path)
    /// included; without what is not lasting. Of a flake's default outputs the root is the set of those that there are. Empty where
    /// the evaluation is larger than anything may be, or what the jobset names overlaps: such a one is never traced.
    pub found: BTreeMap<AttrPath, Found>,
    /// False where a limit of this machine, or a killed process, stands in it as an error.
    pub lasting: bool,
}
