//! Merging without a worktree.
use super::{GitError, Repository};
use crate::domain::{CommitId, TreeId};

/// The merge of a head into a base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeTree {
    /// `None` when there are conflicts.
    pub tree: Option<TreeId>,
    /// The paths in conflict, sorted.
    pub conflicts: Vec<String>,
}

impl Repository {
    /// The tree that would land. A conflict is a result, not an error.
    pub async fn merge(&self, _base: &CommitId, _head: &CommitId) -> Result<MergeTree, GitError> {
        todo!()
    }
}
