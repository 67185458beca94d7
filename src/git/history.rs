//! Commits and what lies between them.
use super::{GitError, Repository};
use crate::domain::{CommitId, TreeId};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    pub id: CommitId,
    pub tree: TreeId,
    pub parents: Vec<CommitId>,
    pub author: String,
    pub subject: String,
    pub committed_at: jiff::Timestamp,
}

/// Lines and files that a change touches, as pull requests count them: from the merge base to the head.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiffStat {
    pub additions: u64,
    pub deletions: u64,
    pub files: u64,
}

impl Repository {
    pub async fn commit(&self, _id: &CommitId) -> Result<Commit, GitError> {
        todo!()
    }

    /// The best common ancestor; [`GitError::NoCommonAncestor`] when there is none.
    pub async fn merge_base(&self, _a: &CommitId, _b: &CommitId) -> Result<CommitId, GitError> {
        todo!()
    }

    pub async fn is_ancestor(&self, _ancestor: &CommitId, _descendant: &CommitId) -> Result<bool, GitError> {
        todo!()
    }

    pub async fn diff_stat(&self, _base: &CommitId, _head: &CommitId) -> Result<DiffStat, GitError> {
        todo!()
    }
}
