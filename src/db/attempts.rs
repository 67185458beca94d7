//! Attempts to build, and what past ones foretell.

use std::collections::HashMap;

use super::{Db, DbError};
use crate::domain::{DrvPath, Outcome, ReviewId};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAttempt {
    pub drv: DrvPath,
    /// The attempt's time as its log's file name has it; with `drv` it names the attempt.
    pub time: String,
    pub builder: String,
    /// One of the reviews that wait for it.
    pub review: Option<ReviewId>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AttemptEnd {
    pub drv: DrvPath,
    /// As in [`NewAttempt::time`].
    pub time: String,
    pub outcome: Outcome,
    pub seconds: f64,
    pub message: Option<String>,
    /// `None` where it was not measured.
    pub cpu_seconds: Option<f64>,
    pub peak_memory_bytes: Option<u64>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AttemptRow {
    pub drv: DrvPath,
    pub time: String,
    pub builder: String,
    pub review: Option<ReviewId>,
    pub started_at: jiff::Timestamp,
    /// `None` while it runs.
    pub outcome: Option<Outcome>,
    pub seconds: Option<f64>,
    pub message: Option<String>,
    pub cpu_seconds: Option<f64>,
    pub peak_memory_bytes: Option<u64>,
}

/// Sums for the metrics.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BuildStats {
    /// Ended attempts by outcome, and their seconds.
    pub attempts: HashMap<Outcome, (u64, f64)>,
    pub repositories: u64,
    pub open_pulls: u64,
    pub reviews: u64,
    pub open_reviews: u64,
    pub evaluations: u64,
    pub remembered_outcomes: u64,
    pub database_bytes: u64,
}

impl Db {
    pub async fn start_attempt(&self, _attempt: NewAttempt) -> Result<(), DbError> {
        todo!()
    }

    pub async fn finish_attempt(&self, _end: AttemptEnd) -> Result<(), DbError> {
        todo!()
    }

    /// As [`Db::start_attempt`], without waiting: a failure to write is logged.
    pub fn post_attempt_started(&self, _attempt: NewAttempt) {
        todo!()
    }

    /// As [`Db::finish_attempt`], without waiting: a failure to write is logged.
    pub fn post_attempt_finished(&self, _end: AttemptEnd) {
        todo!()
    }

    /// Of the derivation with this base name (`HASH-NAME.drv`), newest first.
    pub async fn attempts(&self, _base_name: &str) -> Result<Vec<AttemptRow>, DbError> {
        todo!()
    }

    /// Attempts without an end: at start, those that died with the process before.
    pub async fn unfinished_attempts(&self) -> Result<Vec<AttemptRow>, DbError> {
        todo!()
    }

    /// Ends every unfinished attempt as `infrastructure`; how many there were. To be called once at start.
    pub async fn abandon_attempts(&self) -> Result<u64, DbError> {
        todo!()
    }

    /// A weighted mean of the seconds that successful builds of each package took, recent ones weighing more. Packages
    /// (`pname` of [`DrvPath::pname_version`]) that never succeeded are absent.
    pub async fn expected_seconds(&self, _pnames: &[String]) -> Result<HashMap<String, f64>, DbError> {
        todo!()
    }

    pub async fn stats(&self) -> Result<BuildStats, DbError> {
        todo!()
    }
}
