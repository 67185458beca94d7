//! What an evaluation yields.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{AttrPath, DrvPath, JobsetName, OutputName, StorePath, System, TreeId};

/// One jobset of one tree on one system: every attribute with its derivation or its error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    pub tree: TreeId,
    pub jobset: JobsetName,
    /// The system asked for; an attribute may name another.
    pub system: System,
    pub attrs: BTreeMap<AttrPath, Attr>,
    pub stats: EvalStats,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Attr {
    Derivation(Job),
    Failed(EvalError),
}

/// A derivation as an attribute names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    pub drv: DrvPath,
    /// `None`: the path is not known before the build (content-addressed derivations).
    pub outputs: BTreeMap<OutputName, Option<StorePath>>,
    pub system: System,
}

/// What only a changed attribute is asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Detail {
    pub pname: Option<String>,
    pub version: Option<String>,
    /// The fields of `meta` that a reviewer looks at; each one that threw is absent. Shared: each report of a review has them again.
    pub meta: Arc<serde_json::Map<String, serde_json::Value>>,
    /// `meta.timeout`
    pub timeout: Option<Duration>,
    /// `meta.maxSilent`
    pub max_silent: Option<Duration>,
}

/// An attribute's error: a line in the report, never the end of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvalError {
    /// Nix's message without trace and colour; paths of the tree are relative to its root.
    pub message: String,
    pub position: Option<Position>,
}

/// Where Nix places an error.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Position {
    /// Relative to the root of the tree where it lies in it.
    pub file: String,
    /// From 1.
    pub line: u32,
    pub column: u32,
}

/// What an evaluation cost.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EvalStats {
    pub attrs_evaluated: u64,
    pub attrs_reused: u64,
    /// User + system of all evaluating processes, tracing not included.
    pub cpu_seconds: f64,
    pub trace_cpu_seconds: f64,
    pub wall_seconds: f64,
    /// Of the largest evaluating process; the sum over those that ran at once is at most this times their number.
    pub peak_memory_bytes: u64,
}
