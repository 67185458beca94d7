//! One repository of the user's.
use std::path::Path;

use super::GitError;
use crate::domain::{CommitId, TreeId};

/// A repository that is read and never written. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Repository {}

impl Repository {
    /// `path`: anywhere inside a repository, bare or not, or a linked worktree. `scratch`: a directory of ours for new objects.
    pub async fn open(_path: &Path, _scratch: &Path) -> Result<Repository, GitError> {
        todo!()
    }

    /// Where the user said the repository is, absolute.
    pub fn path(&self) -> &Path {
        todo!()
    }

    /// The commit that a revision names: a branch, a tag, an id, `HEAD~2` …
    pub async fn resolve(&self, _rev: &str) -> Result<CommitId, GitError> {
        todo!()
    }

    pub async fn tree_of(&self, _commit: &CommitId) -> Result<TreeId, GitError> {
        todo!()
    }
}
