//! What pages read of repositories: which files a change touches, and their texts. Only reads; needs no actor.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::domain::{CommitId, ObjectId, TreeId};
use crate::git::{FileChange, GitError, Repository};

/// Clones share what is opened.
#[derive(Clone)]
pub struct Sources(Arc<Shared>);

struct Shared {
    /// Where the objects of merges are.
    scratch: PathBuf,
    opened: Mutex<HashMap<PathBuf, Repository>>,
}

/// What would land, or what was asked to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Landing {
    /// The merge tree, beside the base.
    Merge { base: CommitId, tree: TreeId },
    /// It can't be merged: the head beside its merge base.
    Head { base: CommitId, head: CommitId },
}

impl Sources {
    pub fn new(scratch: PathBuf) -> Self {
        Self(Arc::new(Shared { scratch, opened: Mutex::default() }))
    }

    async fn open(&self, path: &Path) -> Result<Repository, GitError> {
        let mut opened = self.0.opened.lock().await;
        if let Some(repository) = opened.get(path) {
            return Ok(repository.clone());
        }
        let repository = Repository::open(path, &self.0.scratch).await?;
        opened.insert(path.to_owned(), repository.clone());
        Ok(repository)
    }

    /// The files that a change touches. An error where commits are gone: a branch that was pushed over, and collected.
    pub async fn changed(&self, path: &Path, landing: &Landing) -> Result<Vec<FileChange>, GitError> {
        let repository = self.open(path).await?;
        let (from, to) = match landing {
            Landing::Merge { base, tree } => (repository.tree_of(base).await?, tree.clone()),
            Landing::Head { base, head } => {
                let fork = match repository.merge_base(base, head).await {
                    Err(GitError::NoCommonAncestor { .. }) => base.clone(),
                    fork => fork?,
                };
                (repository.tree_of(&fork).await?, repository.tree_of(head).await?)
            }
        };
        repository.file_changes(&from, &to).await
    }

    /// How large files are, in bytes; `None` for what is absent.
    pub async fn sizes(&self, path: &Path, ids: &[ObjectId]) -> Result<Vec<Option<u64>>, GitError> {
        self.open(path).await?.blob_sizes(ids).await
    }

    /// The bytes of files, in their order; `None` for what is absent or larger than 16 MiB.
    pub async fn texts(&self, path: &Path, ids: &[ObjectId]) -> Result<Vec<Option<Vec<u8>>>, GitError> {
        self.open(path).await?.read_blobs(ids).await
    }
}
