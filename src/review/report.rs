//! The report, schema 1: the same document comes from `review --json`, `GET /api/reviews/{id}` and the database.
//! Unknown or not-yet-known values are `null`, never absent.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::decisive::Excerpt;
use super::history::History;
use super::sources::SourceChange;
use crate::domain::{
    AttrPath, CommitId, DrvPath, JobsetName, Level, Outcome, OutputName, Position, RepositoryName, ReviewId, Side, StorePath,
    System, TreeId,
};

pub const SCHEMA: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    pub schema: u32,
    pub id: ReviewId,
    pub repository: RepositoryName,
    /// RFC 3339
    pub created_at: String,
    pub base: Revision,
    pub head: Revision,
    pub merge: Merge,
    pub state: State,
    pub verdict: Verdict,
    pub counts: Counts,
    pub evaluations: Vec<EvaluationRow>,
    pub changes: Vec<Change>,
    pub eval_errors: Vec<EvalErrorRow>,
    pub failures: Vec<Failure>,
    /// Sources that are fetched from where they were, and are others.
    #[serde(default)]
    pub sources: Vec<SourceChange>,
    pub timings: Timings,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Revision {
    pub rev: CommitId,
    /// The branch, where it is known.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Merge {
    /// The tree that is reviewed; `null` where the merge conflicts.
    pub tree: Option<TreeId>,
    /// Paths, relative to the root of the repository.
    pub conflicts: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Evaluating,
    Building,
    Complete,
    Cancelled,
    Error,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    pub decision: Decision,
    /// One sentence for a person.
    pub summary: String,
    pub reasons: Vec<Reason>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    Mergeable,
    Blocked,
    Pending,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    pub code: ReasonCode,
    pub level: Level,
    pub text: String,
    pub attrs: Vec<AttrPath>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReasonCode {
    MergeConflict,
    EvaluationFailed,
    NewEvalErrors,
    NewlyFailing,
    NewFailing,
    StillFailing,
    NewlySucceeding,
    FixedEvalErrors,
    NotBuilt,
    Infrastructure,
    NothingChanged,
    Removed,
    Cancelled,
    Pending,
    SelfCheck,
    ManyRebuilds,
    SourceHashChanged,
}

/// Rows of [`Report::changes`] and attributes, counted. An alias is an attribute; `added` to `rebuilds` count rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    pub added: u64,
    pub removed: u64,
    pub changed: u64,
    pub unchanged: u64,
    pub rebuilds: u64,
    pub newly_failing: u64,
    pub still_failing: u64,
    pub newly_succeeding: u64,
    pub still_succeeding: u64,
    pub new_succeeding: u64,
    pub new_failing: u64,
    pub pending: u64,
    pub eval_errors_new: u64,
    pub eval_errors_fixed: u64,
    pub eval_errors_still: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EvaluationRow {
    pub jobset: JobsetName,
    pub system: System,
    pub side: Side,
    pub attrs: u64,
    pub errors: u64,
    pub attrs_evaluated: u64,
    pub attrs_reused: u64,
    pub cpu_seconds: f64,
    pub trace_cpu_seconds: f64,
    pub wall_seconds: f64,
    pub peak_memory_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    pub jobset: JobsetName,
    /// The shortest name of the derivation; the others are `aliases`.
    pub attr: AttrPath,
    pub aliases: Vec<AttrPath>,
    pub system: System,
    pub change: ChangeKind,
    pub category: Category,
    /// At least one head output is absent from all base outputs.
    pub rebuild: bool,
    pub base: Option<ChangeSide>,
    pub head: Option<ChangeSide>,
    pub closure: Option<ClosureChange>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    Added,
    Removed,
    Changed,
    /// The base's very derivation: somebody asked for it to be built all the same.
    Same,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    NewlyFailing,
    StillFailing,
    NewlySucceeding,
    StillSucceeding,
    NewFailing,
    NewSucceeding,
    Removed,
    Pending,
    NotBuilt,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeSide {
    pub drv: DrvPath,
    pub outputs: BTreeMap<OutputName, Option<StorePath>>,
    pub pname: Option<String>,
    pub version: Option<String>,
    pub outcome: Option<Outcome>,
    pub root_cause: Option<DrvPath>,
    pub meta: Arc<serde_json::Map<String, serde_json::Value>>,
}

/// Runtime closures of all outputs together; names are of store paths without their hashes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClosureChange {
    pub base_bytes: u64,
    pub head_bytes: u64,
    pub added: Vec<String>,
    pub removed: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EvalErrorRow {
    pub jobset: JobsetName,
    pub attr: AttrPath,
    pub system: System,
    pub status: EvalErrorStatus,
    pub message: String,
    /// Where Nix places it: on head, of an error that is fixed on the base; `null` where it does not say.
    #[serde(default)]
    pub position: Option<Position>,
    /// How many attributes, derivations on the base, lie below this one and are out of sight on head.
    #[serde(default)]
    pub hides: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EvalErrorStatus {
    New,
    Fixed,
    Still,
}

/// A root cause on head: one derivation that failed by itself, and every attribute it blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    pub drv: DrvPath,
    pub outcome: Outcome,
    pub attrs: Vec<AttrPath>,
    /// The last lines of its log; `null` where there is none.
    pub log_tail: Option<String>,
    /// Where the whole log is: a path of the server, or a `file:` URL for a one-shot review.
    pub log_url: Option<String>,
    /// The lines of its log that decide; `null` where none stands out.
    #[serde(default)]
    pub decisive: Option<Excerpt>,
    /// Since when the base fails too: of the attribute that names the derivation, else of the first that it blocks; `null` where the
    /// base does not fail, or nothing is known.
    #[serde(default)]
    pub history: Option<History>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Timings {
    pub queued_seconds: Option<f64>,
    pub eval_seconds: Option<f64>,
    pub diff_seconds: Option<f64>,
    pub build_seconds: Option<f64>,
}
