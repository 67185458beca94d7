//! How a build ended, in the daemon's words and in ours.

use std::collections::BTreeMap;

use crate::domain::{Outcome, OutputName, StorePath};

/// The end of one build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildResult {
    pub outcome: Outcome,
    /// The daemon's message without colour; empty on success.
    pub message: String,
    pub outputs: BTreeMap<OutputName, StorePath>,
    /// Seconds since 1970; 0 when nothing was built.
    pub start: i64,
    pub stop: i64,
}
