//! Where changes come from: the repositories under watch and their open pull requests.
//!
//! Owns the [`Forge`] trait and its implementations. A forge only reads: what it says is a hint to read again, what it read is
//! the truth. Called by the intake in `actors/`, and by `web/` for what GitHub sends.

pub mod account;
pub mod command;
pub mod github;
pub mod local;
pub mod opinion;
mod policy;

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use crate::domain::{CommitId, RepositoryName};
use crate::git::Repository;
use command::Method;
use opinion::Opinion;

/// One repository as its forge sees it.
pub trait Forge: Send + Sync {
    fn name(&self) -> &RepositoryName;

    /// Where its commits are read: all that [`Forge::read`] named are there.
    fn repository(&self) -> &Repository;

    /// Its web page, where it has one.
    fn url(&self) -> Option<String>;

    /// The truth at this moment. `held_open`: the pull requests that the house takes for open; a forge that numbers them itself
    /// tells what became of those that are not.
    fn read(&self, held_open: BTreeSet<u64>) -> BoxFuture<'_, Result<RepositoryState, ForgeError>>;

    /// What people who may write think of a pull request: of each the last that they said. A forge where nobody says anything has none.
    fn opinions(&self, _number: u64) -> BoxFuture<'_, Result<Vec<Opinion>, ForgeError>> {
        std::future::ready(Ok(Vec::new())).boxed()
    }

    /// A hint each time that something may have changed, coalesced; also one `every` so often without a reason, so that a
    /// missed change heals. What happens after this function returned is not missed: watch first, then read.
    fn watch(&self, every: Duration) -> BoxStream<'static, ()>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryState {
    /// The default branch: what is recorded is recorded of it.
    pub base_branch: String,
    pub base: CommitId,
    /// Pull requests, sorted. One that is not among them is closed.
    pub changes: Vec<Change>,
    /// How the forge lets pull requests be merged; `None`: it merges none.
    pub methods: Option<Vec<Method>>,
    /// What a merge queue is about to land, sorted. One that is not among them has landed, or was given up.
    pub groups: Vec<Group>,
}

/// A merge queue's group: pull requests that are merged already, on a branch of their own, and land when their checks succeed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    pub branch: String,
    pub head: CommitId,
    pub base_branch: String,
    /// What the group was made on: where the base branch was, or the head of the group before it.
    pub base: CommitId,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub number: Number,
    pub standing: Standing,
}

/// Whence a pull request has its number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Number {
    /// The forge numbers them.
    Given(u64),
    /// The house draws one for each branch.
    OfBranch(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    Open(Box<OpenChange>),
    /// All that it changes is in the base: merged, squashed into it, or nothing was committed yet.
    Merged,
    Closed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenChange {
    pub title: String,
    /// For people: a name or a login.
    pub author: String,
    pub origin: Origin,
    /// Of the head; `owner:branch` where it is in a fork.
    pub branch: String,
    pub head: CommitId,
    pub base_branch: String,
    /// Where the base branch is now.
    pub base: CommitId,
    pub created_at: jiff::Timestamp,
    /// When it changed last, or something was said of it; `None`: nobody says anything there.
    pub touched_at: Option<jiff::Timestamp>,
    /// Lines.
    pub additions: u64,
    pub deletions: u64,
}

/// Where the commits of a change come from, as far as rights depend on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A branch of the repository itself: who pushed it may write there.
    Here,
    /// A fork, which its owner writes to.
    Fork(Contributor),
}

/// Who opened a pull request from a fork.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contributor {
    /// Numeric and for ever: a login can be given up, and taken by somebody else. `None`: the account is gone.
    pub account: Option<u64>,
    pub relation: Relation,
}

/// How a contributor stands to the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// May push to it.
    Writer,
    /// Belongs to its owner's organization, or was invited to it, and may not push.
    Member,
    Stranger,
}

#[derive(Debug, thiserror::Error)]
pub enum ForgeError {
    #[error(transparent)]
    Git(#[from] crate::git::GitError),
    #[error("{repository} has no branch `{branch}`, which its configuration names as the base")]
    NoBaseBranch { repository: RepositoryName, branch: String },
    #[error("{repository} has no commits on its default branch yet")]
    Empty { repository: RepositoryName },
    #[error(transparent)]
    GitHub(#[from] github::client::GitHubError),
    #[error("{repository} is another repository by now; which ones there are is asked again")]
    Another { repository: RepositoryName },
}

impl ForgeError {
    /// Whether the repository may have gone, or have another name: which ones there are is to be asked.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Another { .. } | Self::GitHub(github::client::GitHubError::NotFound(_)))
    }
}
