//! Failures remembered between runs, each with its expiry.

use std::collections::HashMap;
use std::time::Duration;

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;

use super::columns::{self, CHUNK, now, parsed, time};
use super::schema::outcomes as o;
use super::threads::Fault;
use super::{Db, DbError};
use crate::domain::{DrvPath, Outcome};

const WHAT: &str = "a remembered outcome";

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
    pub async fn outcomes(&self, drvs: &[DrvPath]) -> Result<HashMap<DrvPath, Remembered>, DbError> {
        let drvs = drvs.to_vec();
        self.threads
            .read(move |connection| {
                let now = now();
                let mut found = HashMap::new();
                for chunk in drvs.chunks(CHUNK) {
                    let rows: Vec<(String, String, Option<String>, i64)> = o::table
                        .filter(o::drv.eq_any(chunk.iter().map(DrvPath::as_str)))
                        .filter(o::expires_at.gt(now))
                        .select((o::drv, o::outcome, o::message, o::at))
                        .load(connection)?;
                    for (drv, outcome, message, at) in rows {
                        let remembered = Remembered { outcome: columns::outcome(WHAT, &outcome)?, at: time(WHAT, at)?, message };
                        found.insert(parsed(WHAT, &drv)?, remembered);
                    }
                }
                Ok(found)
            })
            .await
    }

    /// Remembers an outcome for `keep` from now on; see [`DEFAULT_REMEMBER`].
    pub async fn remember(
        &self,
        drv: &DrvPath,
        outcome: Outcome,
        message: Option<String>,
        keep: Duration,
    ) -> Result<(), DbError> {
        self.threads.write(storing(drv, outcome, message, keep)).await
    }

    /// As [`Db::remember`], without waiting: a failure to write is logged.
    pub fn post_outcome(&self, drv: &DrvPath, outcome: Outcome, message: Option<String>, keep: Duration) {
        self.threads.post(WHAT, storing(drv, outcome, message, keep));
    }

    /// Forgets any number of derivations, as `--retry` asks.
    pub async fn forget_outcomes(&self, drvs: &[DrvPath]) -> Result<(), DbError> {
        let drvs = drvs.to_vec();
        self.threads
            .write(move |connection| {
                for chunk in drvs.chunks(CHUNK) {
                    diesel::delete(o::table.filter(o::drv.eq_any(chunk.iter().map(DrvPath::as_str)))).execute(connection)?;
                }
                Ok(())
            })
            .await
    }
}

/// What nobody will be told any more; done at start, so that the table does not grow for ever.
pub(super) fn expiring() -> impl FnMut(&mut SqliteConnection) -> Result<(), Fault> + Send + 'static {
    let now = now();
    move |connection| {
        diesel::delete(o::table.filter(o::expires_at.le(now))).execute(connection)?;
        Ok(())
    }
}

fn storing(
    drv: &DrvPath,
    outcome: Outcome,
    message: Option<String>,
    keep: Duration,
) -> impl FnMut(&mut SqliteConnection) -> Result<(), Fault> + Send + 'static {
    let drv = drv.clone();
    let at = now();
    let expires_at = at.saturating_add(i64::try_from(keep.as_millis()).unwrap_or(i64::MAX));
    move |connection| {
        let values = (o::outcome.eq(outcome.as_str()), o::message.eq(&message), o::at.eq(at), o::expires_at.eq(expires_at));
        diesel::insert_into(o::table)
            .values((o::drv.eq(drv.as_str()), values))
            .on_conflict(o::drv)
            .do_update()
            .set(values)
            .execute(connection)?;
        Ok(())
    }
}
