//! Pull requests; a branch of a local repository counts as one.

use super::{Db, DbError, ReviewRow};
use crate::domain::{CommitId, RepositoryName, ReviewId};

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum PullState {
    Open,
    Merged,
    Closed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRow {
    pub repository: RepositoryName,
    pub number: u64,
    pub title: String,
    pub author: String,
    pub branch: String,
    pub head: CommitId,
    pub base_branch: String,
    pub base: CommitId,
    pub state: PullState,
    /// Kept from the first time the pull request was stored.
    pub created_at: jiff::Timestamp,
    /// Of the last change of the row's content.
    pub updated_at: jiff::Timestamp,
    /// Lines.
    pub additions: u64,
    pub deletions: u64,
    /// The review of the current head. `upsert_pull` with `None` keeps the stored one while head and base are the same.
    pub review: Option<ReviewId>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PullFilter {
    pub repository: Option<RepositoryName>,
    pub state: Option<PullState>,
    pub order: PullOrder,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PullOrder {
    /// Last changed first.
    #[default]
    Updated,
    /// Newest first.
    Created,
    /// Highest number first.
    Number,
    /// Fewest rebuilds first, those without a review last.
    Rebuilds,
}

impl Db {
    /// The number of the branch's pull request: the same for ever, drawn on first use.
    pub async fn pull_number(&self, _repository: &RepositoryName, _branch: &str) -> Result<u64, DbError> {
        todo!()
    }

    pub async fn upsert_pull(&self, _row: PullRow) -> Result<(), DbError> {
        todo!()
    }

    /// Each with its review's row, so that a list costs one query.
    pub async fn pulls(&self, _filter: PullFilter) -> Result<Vec<(PullRow, Option<ReviewRow>)>, DbError> {
        todo!()
    }

    pub async fn pull(&self, _repository: &RepositoryName, _number: u64) -> Result<Option<PullRow>, DbError> {
        todo!()
    }

    /// Sets the state of a pull request that is not open any more.
    pub async fn close_pull(&self, _repository: &RepositoryName, _number: u64, _state: PullState) -> Result<(), DbError> {
        todo!()
    }
}
