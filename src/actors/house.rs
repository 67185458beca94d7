//! What the pages and the interface may ask of the house: the database and the logs to read, the events to follow, and the few
//! questions that only a running actor answers.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::events::Events;
use crate::build::snapshot::{BuilderRow, Snapshot};
use crate::db::Db;
use crate::domain::ReviewId;
use crate::store::logs::Logs;

/// A clone is another handle on the same house.
#[derive(Clone)]
pub struct House {
    pub db: Db,
    pub logs: Logs,
    pub events: Events,
    /// Cancelled when the house closes: streams end, the listener takes no more connections.
    pub closing: CancellationToken,
    staff: Arc<dyn Staff>,
}

/// The questions and orders that actors answer.
pub trait Staff: Send + Sync {
    /// The queue, with at most `waiting` of those that wait.
    fn queue(&self, waiting: usize) -> BoxFuture<'static, Result<Snapshot, Away>>;
    fn builders(&self) -> BoxFuture<'static, Result<Vec<BuilderRow>, Away>>;
    fn health(&self) -> BoxFuture<'static, Vec<ActorHealth>>;
    fn rerun(&self, review: ReviewId) -> BoxFuture<'static, Result<(), ActionError>>;
    fn cancel(&self, review: ReviewId) -> BoxFuture<'static, Result<(), ActionError>>;
}

/// The actor that was asked is being restarted, or too busy to answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {0} does not answer at the moment; try again in a few seconds")]
pub struct Away(pub &'static str);

#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    #[error("there is no review {0}")]
    NoSuchReview(ReviewId),
    /// The sentence says why not.
    #[error("{0}")]
    NotNow(String),
    #[error(transparent)]
    Away(#[from] Away),
    #[error(transparent)]
    Database(#[from] crate::db::DbError),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ActorHealth {
    pub name: String,
    pub state: ActorState,
    /// Since the house was opened.
    pub restarts: u64,
    /// Messages that wait, where the actor counts them.
    pub mailbox: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorState {
    Running,
    /// Crashed, and about to be started again.
    Restarting,
    /// Given up, or ended in order.
    Stopped,
}

impl House {
    pub fn new(db: Db, logs: Logs, events: Events, closing: CancellationToken, staff: Arc<dyn Staff>) -> Self {
        Self { db, logs, events, closing, staff }
    }

    /// The queue, with at most `waiting` of those that wait.
    pub async fn queue(&self, waiting: usize) -> Result<Snapshot, Away> {
        self.staff.queue(waiting).await
    }

    pub async fn builders(&self) -> Result<Vec<BuilderRow>, Away> {
        self.staff.builders().await
    }

    pub async fn health(&self) -> Vec<ActorHealth> {
        self.staff.health().await
    }

    /// Reviews the same change again; what is remembered as failed is built again.
    pub async fn rerun(&self, review: ReviewId) -> Result<(), ActionError> {
        self.staff.rerun(review).await
    }

    /// Ends a review that is under way.
    pub async fn cancel(&self, review: ReviewId) -> Result<(), ActionError> {
        self.staff.cancel(review).await
    }
}
