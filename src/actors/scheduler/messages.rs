//! What others may say to the Scheduler, and what it answers.

use std::time::Duration;

use actix::{Message, Recipient};

use super::Builder;
use crate::build::snapshot::{BuilderRow, Snapshot};
use crate::domain::{DrvPath, Outcome, ReviewId, Side};

/// A review wants these derivations built. The answer says how much that is; then `report_to` gets exactly one [`Settled`] for
/// every distinct target, perhaps before the answer. A recipient that is gone counts as [`Forget`].
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Accepted, ScheduleError>")]
pub struct Want {
    pub review: ReviewId,
    pub side: Side,
    pub targets: Vec<Target>,
    pub retry: Retry,
    pub report_to: Recipient<Settled>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub drv: DrvPath,
    /// `meta.timeout`; `None` leaves the configured limit. The longest among those who wait counts.
    pub timeout: Option<Duration>,
    /// `meta.maxSilent`, likewise.
    pub max_silent: Option<Duration>,
}

impl Target {
    pub fn new(drv: DrvPath) -> Self {
        Self { drv, timeout: None, max_silent: None }
    }
}

/// Whether what is remembered as failed is built again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    Remembered,
    BuildAgain,
}

/// How much a [`Want`] is. Derivations that other reviews wait for too are counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Accepted {
    pub to_build: u64,
    pub to_substitute: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    #[error("{0} is not in the store; it has to be instantiated before it can be built")]
    NotInstantiated(DrvPath),
    #[error("the review was forgotten while its builds were being planned")]
    Forgotten,
    #[error("the Nix store could not be asked what is to be built: {0}")]
    Store(String),
    #[error("the database could not be asked what is known: {0}")]
    Database(String),
}

/// The end of one target. Its rows are queued at the database before this is sent.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct Settled {
    pub review: ReviewId,
    pub side: Side,
    pub drv: DrvPath,
    pub outcome: Outcome,
    /// The derivation at fault, where it is another one.
    pub root_cause: Option<DrvPath>,
    /// How that one ended.
    pub root_outcome: Option<Outcome>,
    /// One line for a person, where there is something to say.
    pub message: Option<String>,
}

/// The review no longer waits for anything: what only it needed is dropped, and cancelled where it runs.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Forget {
    pub review: ReviewId,
}

/// Asks for the queue, with at most `waiting` of those that wait.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Snapshot")]
pub struct QueueSnapshot {
    pub waiting: usize,
}

#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Vec<BuilderRow>")]
pub struct BuilderSnapshot;

/// A review's builds go before all others', but not before those of reviews that were raised before. The answer says whether any of
/// them was waiting.
#[derive(Debug, Clone, Message)]
#[rtype(result = "bool")]
pub struct Bump {
    pub review: ReviewId,
}

/// A builder takes no new builds while this is on, over restarts too; those that run come to their end.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<(), DrainError>")]
pub struct Drain {
    pub builder: String,
    pub on: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    #[error("there is no builder named {0}")]
    UnknownBuilder(String),
    #[error(transparent)]
    Database(#[from] crate::db::DbError),
}

/// All builders that are configured from now on, whether they are there or not: what none of them can build is unsupported.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Configured(pub Vec<Builder>);
