//! Where changes come from: the repositories under watch and their open pull requests.
//!
//! Owns the [`Forge`] trait and its implementations. A forge only reads: what it says is a hint to read again, what it read is
//! the truth. Called by the intake in `actors/` alone.

pub mod local;

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use crate::domain::{CommitId, RepositoryName};

/// One repository as its forge sees it.
pub trait Forge: Send + Sync {
    fn name(&self) -> &RepositoryName;

    /// The truth at this moment.
    fn read(&self) -> BoxFuture<'_, Result<RepositoryState, ForgeError>>;

    /// A hint each time that something may have changed, coalesced; also one `every` so often without a reason, so that a
    /// missed change heals. What happens after this function returned is not missed: watch first, then read.
    fn watch(&self, every: Duration) -> BoxStream<'static, ()>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryState {
    pub base_branch: String,
    pub base: CommitId,
    /// Every branch but the base, sorted by name.
    pub branches: Vec<BranchState>,
}

/// A branch, which counts as a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchState {
    pub branch: String,
    pub head: CommitId,
    /// First line of the last commit's message.
    pub subject: String,
    pub author: String,
    pub committed_at: jiff::Timestamp,
    /// All that it changes is in the base: merged, squashed into it, or nothing was committed yet.
    pub merged: bool,
    pub additions: u64,
    pub deletions: u64,
}

/// A pull request as its repository's page lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenChange {
    pub number: u64,
    pub title: String,
    pub author: String,
    pub branch: String,
    pub head: CommitId,
    pub base_branch: String,
    pub base: CommitId,
    pub created_at: jiff::Timestamp,
    pub additions: u64,
    pub deletions: u64,
}

impl RepositoryState {
    /// The branches that are not merged, numbered by `number_of`.
    pub fn open_changes(&self, mut number_of: impl FnMut(&str) -> u64) -> Vec<OpenChange> {
        let open = self.branches.iter().filter(|branch| !branch.merged);
        open.map(|branch| OpenChange {
            number: number_of(&branch.branch),
            title: branch.subject.clone(),
            author: branch.author.clone(),
            branch: branch.branch.clone(),
            head: branch.head.clone(),
            base_branch: self.base_branch.clone(),
            base: self.base.clone(),
            created_at: branch.committed_at,
            additions: branch.additions,
            deletions: branch.deletions,
        })
        .collect()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ForgeError {
    #[error(transparent)]
    Git(#[from] crate::git::GitError),
    #[error("{repository} has no branch `{branch}`, which its configuration names as the base")]
    NoBaseBranch { repository: RepositoryName, branch: String },
}
