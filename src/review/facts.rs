//! What the pure functions are told: outcomes of builds, details of attributes, closures. An absent fact is one that is not known yet.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Policy;
use super::decisive::Excerpt;
use super::history::History;
use super::report::{EvaluationRow, Merge, Revision, State, Timings};
use super::sources::SourceChange;
use crate::domain::{
    Attr, AttrPath, Detail, DrvPath, Evaluation, JobsetName, Outcome, RepositoryName, ReviewId, Side, StorePath, System,
};

/// Names a detail: the attribute, of which jobset, on which system.
pub type DetailKey = (JobsetName, System, AttrPath);

#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// How builds ended: of head, of the base, and of dependencies that are a root cause.
    pub outcomes: HashMap<DrvPath, Fact>,
    pub base_details: HashMap<DetailKey, Detail>,
    pub head_details: HashMap<DetailKey, Detail>,
    /// Runtime closures of all outputs of a derivation together.
    pub closures: HashMap<DrvPath, Arc<Closure>>,
    /// Since when the base fails, by the attribute of a row.
    pub histories: HashMap<DetailKey, History>,
    /// Sources that are fetched from where they were, and are others.
    pub sources: Vec<SourceChange>,
    /// False with `--no-build`: no outcome will ever come, and none is asked for.
    pub building: bool,
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            outcomes: HashMap::new(),
            base_details: HashMap::new(),
            head_details: HashMap::new(),
            closures: HashMap::new(),
            histories: HashMap::new(),
            sources: Vec::new(),
            building: true,
        }
    }
}

impl Facts {
    pub fn outcome(&self, drv: &DrvPath) -> Option<Outcome> {
        self.outcomes.get(drv).map(|fact| fact.outcome)
    }
}

/// How one build ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    pub outcome: Outcome,
    /// The derivation that failed by itself, where it is another one.
    pub root_cause: Option<DrvPath>,
    /// The last lines of the log, as they were written.
    pub log_tail: Option<String>,
    pub log_url: Option<String>,
    /// The lines of the log that decide.
    pub decisive: Option<Excerpt>,
}

impl From<Outcome> for Fact {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, root_cause: None, log_tail: None, log_url: None, decisive: None }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Closure {
    /// The sum of NAR sizes.
    pub bytes: u64,
    /// NAR size of each path.
    pub paths: BTreeMap<StorePath, u64>,
}

/// What a report says besides the comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    pub id: ReviewId,
    pub repository: RepositoryName,
    /// RFC 3339
    pub created_at: String,
    pub base: Revision,
    pub head: Revision,
    pub merge: Merge,
    pub state: State,
    /// Why the review could not be completed, with `State::Error`.
    pub error: Option<String>,
    pub evaluations: Vec<EvaluationRow>,
    /// What the self-check found wrong in earlier evaluations that this review or the one before it relied on, a sentence each.
    pub alarms: Vec<String>,
    pub timings: Timings,
    pub policy: Policy,
}

impl EvaluationRow {
    pub fn new(side: Side, evaluation: &Evaluation) -> Self {
        let errors = evaluation.attrs.values().filter(|attr| matches!(attr, Attr::Failed(_))).count();
        let stats = &evaluation.stats;
        Self {
            jobset: evaluation.jobset.clone(),
            system: evaluation.system.clone(),
            side,
            attrs: evaluation.attrs.len() as u64,
            errors: errors as u64,
            attrs_evaluated: stats.attrs_evaluated,
            attrs_reused: stats.attrs_reused,
            cpu_seconds: stats.cpu_seconds,
            trace_cpu_seconds: stats.trace_cpu_seconds,
            wall_seconds: stats.wall_seconds,
            peak_memory_bytes: stats.peak_memory_bytes,
        }
    }
}
