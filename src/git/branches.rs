//! The branches of a repository.
use std::collections::{BTreeMap, BTreeSet};

use super::{GitError, Repository};
use crate::domain::CommitId;

/// A branch with what its last commit says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    pub name: String,
    pub head: CommitId,
    pub subject: String,
    pub author: String,
    pub committed_at: jiff::Timestamp,
}

impl Repository {
    /// What a change is compared with when nobody says: `main`, or `origin/main` where that is ahead.
    pub async fn default_branch(&self) -> Result<String, GitError> {
        todo!()
    }

    /// The same, but always a branch of this repository.
    pub async fn default_local_branch(&self) -> Result<String, GitError> {
        todo!()
    }

    pub async fn branches(&self) -> Result<BTreeMap<String, CommitId>, GitError> {
        todo!()
    }

    pub async fn branches_in_full(&self) -> Result<Vec<Branch>, GitError> {
        todo!()
    }

    /// The branches whose head is an ancestor of `base`.
    pub async fn branches_contained_in(&self, _base: &CommitId) -> Result<BTreeSet<String>, GitError> {
        todo!()
    }

    /// The branch that is checked out, or `None` when HEAD is detached.
    pub async fn current_branch(&self) -> Result<Option<String>, GitError> {
        todo!()
    }
}
