use super::Policy;
use super::facts::{DetailKey, Facts};
use super::report::{ChangeKind, EvalErrorRow};
use crate::domain::{AttrPath, DrvPath, Evaluation, Job, JobsetName, Side, System};

/// What differs between the evaluations of base and head, before anything is built.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Ordered by jobset, system, attribute.
    pub rows: Vec<Row>,
    /// Derivations that are the same on both sides.
    pub unchanged: u64,
    /// Ordered by jobset, system, attribute.
    pub eval_errors: Vec<EvalErrorRow>,
}

/// The attributes of one jobset on one system that share a derivation on head and share one on the base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub jobset: JobsetName,
    pub system: System,
    /// The shortest name.
    pub attr: AttrPath,
    pub aliases: Vec<AttrPath>,
    pub change: ChangeKind,
    /// At least one head output is absent from all base outputs.
    pub rebuild: bool,
    pub base: Option<Job>,
    /// The base has the attribute, or the set that it lies in, as an evaluation error.
    pub base_errored: bool,
    pub head: Option<Job>,
}

pub fn compare(base: &[Evaluation], head: &[Evaluation]) -> Comparison {
    todo!()
}

impl Comparison {
    /// What has to be built: the head derivation of every rebuild, each once.
    pub fn head_targets(&self) -> Vec<DrvPath> {
        todo!()
    }

    /// Head derivations that are no rebuild: nothing is built for them, but where their outcome is known already (the outputs are
    /// valid, a failure is remembered) it belongs in the facts.
    pub fn head_lookups(&self) -> Vec<DrvPath> {
        todo!()
    }

    /// The base derivations that have to be built now, since the category of a row depends on their unknown outcome. Call it
    /// again as outcomes of head come in; a derivation whose outcome is in the facts is not named again.
    pub fn base_targets_for(&self, facts: &Facts, policy: &Policy) -> Vec<DrvPath> {
        todo!()
    }

    /// The attributes whose details (package name, version, meta) the report shows.
    pub fn details_wanted(&self, side: Side) -> Vec<DetailKey> {
        todo!()
    }
}
