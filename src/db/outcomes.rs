//! Failures remembered between runs, each with its expiry.

use std::collections::HashMap;
use std::time::Duration;

use super::{Db, DbError};
use crate::domain::{DrvPath, Outcome};

/// How long an outcome is remembered where nothing else is asked for: 30 days.
pub const DEFAULT_REMEMBER: Duration = Duration::from_secs(30 * 24 * 60 * 60);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    pub outcome: Outcome,
    pub at: jiff::Timestamp,
    pub message: Option<String>,
}

impl Db {
    /// What is remembered of any number of derivations. Expired outcomes are left out.
    pub async fn outcomes(&self, _drvs: &[DrvPath]) -> Result<HashMap<DrvPath, Remembered>, DbError> {
        todo!()
    }

    /// Remembers an outcome for `keep` from now on; see [`DEFAULT_REMEMBER`].
    pub async fn remember(
        &self,
        _drv: &DrvPath,
        _outcome: Outcome,
        _message: Option<String>,
        _keep: Duration,
    ) -> Result<(), DbError> {
        todo!()
    }

    /// As [`Db::remember`], without waiting: a failure to write is logged.
    pub fn post_outcome(&self, _drv: &DrvPath, _outcome: Outcome, _message: Option<String>, _keep: Duration) {
        todo!()
    }

    /// Forgets any number of derivations, as `--retry` asks.
    pub async fn forget_outcomes(&self, _drvs: &[DrvPath]) -> Result<(), DbError> {
        todo!()
    }
}
