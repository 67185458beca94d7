//! What the pages and the interface may ask of the house: the database and the logs to read, the events to follow, and the few
//! questions that only a running actor answers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::events::Events;
use super::intake::github::Delivered;
use super::recorder::agenda::{Background, RecordedFor};
use super::scheduler::DrainError;
use super::sources::Sources;
use crate::build::snapshot::{BuilderRow, Snapshot};
use crate::config::Settings;
use crate::db::{Db, DbError};
use crate::domain::{DrvPath, JobsetName, RepositoryName, ReviewId, StorePath, System, UserId};
use crate::eval::Confinement;
use crate::eval::trace::Tracing;
use crate::forge::github::GitHub;
use crate::forge::github::manifest::Registered;
use crate::store::PathInfo;
use crate::store::logs::Logs;

/// A clone is another handle on the same house.
#[derive(Clone)]
pub struct House {
    pub db: Db,
    pub logs: Logs,
    pub events: Events,
    pub sources: Sources,
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
    fn settings(&self) -> InForce;
    fn limiting(&self) -> Limiting;
    fn evaluator(&self) -> BoxFuture<'static, Result<EvaluatorFacts, Away>>;
    fn background(&self) -> Background;
    /// By trace key.
    fn recorded_for(&self) -> BTreeMap<String, RecordedFor>;
    fn rerun(&self, review: ReviewId) -> BoxFuture<'static, Result<(), ActionError>>;
    fn cancel(&self, review: ReviewId) -> BoxFuture<'static, Result<(), ActionError>>;
    fn bump(&self, review: ReviewId) -> BoxFuture<'static, Result<(), ActionError>>;
    /// `by`: whoever uses this machine, where it is nobody.
    fn allow(&self, review: ReviewId, by: Option<UserId>) -> BoxFuture<'static, Result<(), ActionError>>;
    fn drain(&self, builder: String, on: bool) -> BoxFuture<'static, Result<(), ActionError>>;
    /// `None`: this server has nothing to do with forges elsewhere.
    fn github(&self) -> Option<Arc<GitHub>>;
    /// A delivery is stored; what it hints at is to be looked at.
    fn delivered(&self, delivered: Delivered);
    /// What each of these refers to, as far as the store has them.
    fn references(&self, paths: BTreeSet<StorePath>) -> BoxFuture<'static, Result<BTreeMap<StorePath, PathInfo>, Away>>;
    fn register(&self, code: String) -> BoxFuture<'static, Result<Registered, ActionError>>;
}

/// The settings in force, and how they stand to their file.
#[derive(Debug, Clone, PartialEq)]
pub struct InForce {
    /// `None`: they come from a command.
    pub file: Option<PathBuf>,
    pub started: Arc<Settings>,
    /// As the file says by now. What applies at the next start only is as in `started`.
    pub current: Arc<Settings>,
    /// Why the file as it is now is not followed.
    pub refused: Option<String>,
}

/// What evaluates, and how well this machine lets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvaluatorFacts {
    pub nix_version: String,
    pub confinement: Confinement,
    /// How what evaluations read can be recorded.
    pub tracing: Tracing,
}

/// Whether builds on this machine have limits, for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Limiting {
    On {
        /// Who starts builds in control groups.
        by: String,
        /// Each local builder, and what one of its builds may use.
        classes: Vec<(String, String)>,
        /// What this machine has no controller for.
        beyond: Vec<&'static str>,
    },
    /// Why not, with the way out.
    Off(String),
}

/// The recordings of one jobset on one system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedRow {
    /// Whose bases they were made at, as far as that is known; a copy of a repository shares them.
    pub repositories: Vec<RepositoryName>,
    /// Files that are followed binding by binding; `None`: not recorded since the house was opened.
    pub tracked_files: Option<u64>,
    pub jobset: JobsetName,
    pub system: System,
    pub sets: u64,
    /// Of the newest set: attributes, and sets and roots on the way to them.
    pub attributes: u64,
    /// Those of them whose reads are known.
    pub traced: u64,
    /// Of all sets.
    pub bytes: u64,
    pub newest: Timestamp,
    pub oldest: Timestamp,
}

/// The actor that was asked is being restarted, or too busy to answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {0} does not answer at the moment; try again in a few seconds")]
pub struct Away(pub &'static str);

#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    #[error("there is no review {0}")]
    NoSuchReview(ReviewId),
    #[error("there is no builder named {0}")]
    NoSuchBuilder(String),
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
    pub fn new(db: Db, logs: Logs, events: Events, sources: Sources, closing: CancellationToken, staff: Arc<dyn Staff>) -> Self {
        Self { db, logs, events, sources, closing, staff }
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

    pub fn settings(&self) -> InForce {
        self.staff.settings()
    }

    pub fn limiting(&self) -> Limiting {
        self.staff.limiting()
    }

    pub async fn evaluator(&self) -> Result<EvaluatorFacts, Away> {
        self.staff.evaluator().await
    }

    /// What the store knows of these paths; those that it does not have are left out.
    pub async fn references(&self, paths: BTreeSet<StorePath>) -> Result<BTreeMap<StorePath, PathInfo>, Away> {
        self.staff.references(paths).await
    }

    /// What is recorded, by how it is evaluated; the largest first.
    pub async fn recorded(&self) -> Result<Vec<RecordedRow>, DbError> {
        let mut recorded_for = self.staff.recorded_for();
        let keys = self.db.all_trace_sets().await?;
        let mut rows: Vec<RecordedRow> = keys
            .into_iter()
            .filter_map(|(key, sets)| {
                let newest = sets.iter().max_by_key(|set| set.saved_at)?;
                let RecordedFor { repositories, tracked_files } = recorded_for.remove(&key).unwrap_or_default();
                Some(RecordedRow {
                    repositories: repositories.into_iter().collect(),
                    tracked_files,
                    jobset: newest.jobset.clone(),
                    system: newest.system.clone(),
                    sets: sets.len() as u64,
                    attributes: newest.attrs,
                    traced: newest.attrs.saturating_sub(newest.untraced),
                    bytes: sets.iter().map(|set| set.bytes).sum(),
                    newest: newest.saved_at,
                    oldest: sets.iter().map(|set| set.saved_at).min()?,
                })
            })
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.bytes));
        Ok(rows)
    }

    /// What goes on in the background, and what did.
    pub fn background(&self) -> Background {
        self.staff.background()
    }

    /// Reviews the same change again; what is remembered as failed is built again.
    pub async fn rerun(&self, review: ReviewId) -> Result<(), ActionError> {
        self.staff.rerun(review).await
    }

    /// Ends a review that is under way.
    pub async fn cancel(&self, review: ReviewId) -> Result<(), ActionError> {
        self.staff.cancel(review).await
    }

    /// Lets a stranger's change be evaluated and built: this head of it.
    pub async fn allow(&self, review: ReviewId, by: Option<UserId>) -> Result<(), ActionError> {
        self.staff.allow(review, by).await
    }

    /// What the review still has to build goes before what others have.
    pub async fn bump(&self, review: ReviewId) -> Result<(), ActionError> {
        self.staff.bump(review).await
    }

    /// While it is on, the builder takes nothing new.
    pub async fn drain(&self, builder: String, on: bool) -> Result<(), ActionError> {
        self.staff.drain(builder, on).await
    }

    /// Forgets how the derivation ended, and runs the current reviews again of those pull requests that it was built for, as far as
    /// `within` goes. Which ones; where there are none, whoever needs it next builds it.
    pub async fn build_again(&self, drv: &DrvPath, within: &Within) -> Result<Vec<ReviewId>, ActionError> {
        self.db.forget_outcomes(std::slice::from_ref(drv)).await?;
        let attempts = self.db.attempts(drv.base_name()).await?;
        let (mut seen, mut begun) = (BTreeSet::new(), Vec::new());
        for id in attempts.into_iter().filter_map(|attempt| attempt.review) {
            let Some(row) = self.db.review(&id).await?.filter(|row| within.has(&row.repository)) else { continue };
            let Some(number) = row.number else { continue };
            let current = self.db.pull(&row.repository, number).await?.and_then(|pull| pull.review);
            let Some(current) = current.filter(|current| seen.insert(current.clone())) else { continue };
            match self.rerun(current.clone()).await {
                Ok(()) => begun.push(current),
                // it is under way, or its pull request is closed
                Err(ActionError::NotNow(_) | ActionError::NoSuchReview(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(begun)
    }

    /// `None`: this server has nothing to do with forges elsewhere.
    pub fn github(&self) -> Option<Arc<GitHub>> {
        self.staff.github()
    }

    /// A delivery is stored; what it hints at is to be looked at.
    pub fn delivered(&self, delivered: Delivered) {
        self.staff.delivered(delivered);
    }

    /// Exchanges what GitHub gave for a new App's credentials.
    pub async fn register(&self, code: String) -> Result<Registered, ActionError> {
        self.staff.register(code).await
    }
}

/// In which repositories an order that concerns several is carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Within {
    All,
    These(BTreeSet<RepositoryName>),
}

impl Within {
    fn has(&self, repository: &RepositoryName) -> bool {
        match self {
            Self::All => true,
            Self::These(names) => names.contains(repository),
        }
    }
}

impl From<DrainError> for ActionError {
    fn from(error: DrainError) -> Self {
        match error {
            DrainError::UnknownBuilder(name) => Self::NoSuchBuilder(name),
            DrainError::Database(error) => Self::Database(error),
        }
    }
}
