//! A repository on disk as a forge: every branch but the base is a pull request.
//!
//! Owns the watch on the repository's references. Called by the intake in `actors/`.

mod watch;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use super::{Change, Forge, ForgeError, Number, OpenChange, Origin, RepositoryState, Standing};
use crate::domain::{CommitId, RepositoryName};
use crate::git::{GitError, Repository};

/// A repository on disk.
#[derive(Debug)]
pub struct LocalForge {
    name: RepositoryName,
    repository: Repository,
    /// As configured; `None` asks the repository each time.
    base_branch: Option<String>,
    /// What is known of (base, head): both are ids, so it stays true. Only what the last reading used is kept.
    compared: Mutex<HashMap<(CommitId, CommitId), Compared>>,
}

#[derive(Debug, Clone, Copy)]
enum Compared {
    Merged,
    Open { additions: u64, deletions: u64 },
}

impl LocalForge {
    /// `base_branch`: `None` takes the default branch. `scratch`: a directory of ours for new objects.
    pub async fn open(
        name: RepositoryName,
        path: PathBuf,
        base_branch: Option<String>,
        scratch: PathBuf,
    ) -> Result<LocalForge, ForgeError> {
        let repository = Repository::open(&path, &scratch).await?;
        Ok(LocalForge { name, repository, base_branch, compared: Mutex::default() })
    }

    async fn state(&self) -> Result<RepositoryState, ForgeError> {
        let base_branch = match &self.base_branch {
            Some(branch) => branch.clone(),
            None => self.repository.default_local_branch().await?,
        };
        let mut branches = self.repository.branches_in_full().await?;
        let Some(base) = branches.iter().position(|branch| branch.name == base_branch) else {
            return Err(ForgeError::NoBaseBranch { repository: self.name.clone(), branch: base_branch });
        };
        let base = branches.remove(base).head;
        let mut changes = Vec::with_capacity(branches.len());
        let mut used = HashMap::with_capacity(branches.len());
        for branch in branches {
            let pair = (base.id.clone(), branch.head.id.clone());
            let known = self.compared.lock().unwrap_or_else(PoisonError::into_inner).get(&pair).copied();
            let compared = match known {
                Some(compared) => compared,
                None => self.compare(&base, &branch.head.id).await?,
            };
            used.insert(pair, compared);
            let standing = match compared {
                Compared::Merged => Standing::Merged,
                Compared::Open { additions, deletions } => Standing::Open(Box::new(OpenChange {
                    title: branch.head.subject,
                    author: branch.head.author,
                    origin: Origin::Here,
                    branch: branch.name.clone(),
                    head: branch.head.id,
                    base_branch: base_branch.clone(),
                    base: base.id.clone(),
                    created_at: branch.head.committed_at,
                    touched_at: None,
                    additions,
                    deletions,
                })),
            };
            changes.push(Change { number: Number::OfBranch(branch.name), standing });
        }
        *self.compared.lock().unwrap_or_else(PoisonError::into_inner) = used;
        Ok(RepositoryState { base_branch, base: base.id, changes, methods: None, groups: Vec::new() })
    }

    async fn compare(&self, base: &crate::git::Commit, head: &CommitId) -> Result<Compared, GitError> {
        if self.repository.is_ancestor(head, &base.id).await? {
            return Ok(Compared::Merged);
        }
        match self.repository.merge(&base.id, head).await {
            // squashed or rebased into the base: merging it once more would change nothing
            Ok(merge) if merge.tree.as_ref() == Some(&base.tree) => return Ok(Compared::Merged),
            Ok(_) | Err(GitError::NoCommonAncestor { .. }) => {}
            Err(error) => return Err(error),
        }
        let stat = self.repository.diff_stat(&base.id, head).await?;
        Ok(Compared::Open { additions: stat.additions, deletions: stat.deletions })
    }
}

impl Forge for LocalForge {
    fn name(&self) -> &RepositoryName {
        &self.name
    }

    fn repository(&self) -> &Repository {
        &self.repository
    }

    fn url(&self) -> Option<String> {
        None
    }

    fn read(&self, _: BTreeSet<u64>) -> BoxFuture<'_, Result<RepositoryState, ForgeError>> {
        // a branch that is gone was closed, and one that is there says itself that it is merged
        self.state().boxed()
    }

    fn watch(&self, every: Duration) -> BoxStream<'static, ()> {
        watch::hints(self.repository.common_dir(), every)
    }
}

#[cfg(test)]
mod tests;
