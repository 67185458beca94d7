//! Reviews and their reports.

use super::{Db, DbError};
use crate::domain::{CommitId, RepositoryName, ReviewId, TreeId};
use crate::review::report::{Decision, Report, State};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReview {
    pub id: ReviewId,
    pub repository: RepositoryName,
    /// The pull request; `None` for a one-shot review.
    pub number: Option<u64>,
    pub base_rev: CommitId,
    pub base_ref: Option<String>,
    pub head_rev: CommitId,
    pub head_ref: Option<String>,
    /// The merge tree, where it is known.
    pub tree: Option<TreeId>,
}

/// A review without its report, which [`Db::report`] loads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewRow {
    pub id: ReviewId,
    pub repository: RepositoryName,
    pub number: Option<u64>,
    pub base_rev: CommitId,
    pub base_ref: Option<String>,
    pub head_rev: CommitId,
    pub head_ref: Option<String>,
    pub tree: Option<TreeId>,
    pub state: State,
    pub decision: Decision,
    pub summary: String,
    pub rebuilds: u64,
    pub newly_failing: u64,
    pub created_at: jiff::Timestamp,
    pub updated_at: jiff::Timestamp,
    pub superseded_by: Option<ReviewId>,
    /// Why the review could not be completed, in one sentence.
    pub error: Option<String>,
}

impl Db {
    /// A row in state `evaluating`, undecided. If the pull request is stored, the review becomes its current one, and its open
    /// reviews before are cancelled and superseded by this one; they are returned.
    pub async fn create_review(&self, _review: NewReview) -> Result<Vec<ReviewId>, DbError> {
        todo!()
    }

    /// Stores the report, and from it state, decision, summary, tree and counters.
    pub async fn save_report(&self, _report: &Report) -> Result<(), DbError> {
        todo!()
    }

    /// Moves a review on without a report: a restart, a cancellation, an error with its sentence.
    pub async fn set_review_state(&self, _id: &ReviewId, _state: State, _error: Option<String>) -> Result<(), DbError> {
        todo!()
    }

    pub async fn review(&self, _id: &ReviewId) -> Result<Option<ReviewRow>, DbError> {
        todo!()
    }

    pub async fn report(&self, _id: &ReviewId) -> Result<Option<Report>, DbError> {
        todo!()
    }

    /// Evaluating or building, oldest first: what a restart takes up again.
    pub async fn open_reviews(&self) -> Result<Vec<ReviewRow>, DbError> {
        todo!()
    }

    /// Of one pull request, newest first.
    pub async fn reviews_of(&self, _repository: &RepositoryName, _number: u64) -> Result<Vec<ReviewRow>, DbError> {
        todo!()
    }

    /// The newest reviews of all repositories.
    pub async fn latest_reviews(&self, _limit: u32) -> Result<Vec<ReviewRow>, DbError> {
        todo!()
    }
}
