//! Attempts to build, and what past ones foretell.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;

use super::columns::{self, CHUNK, count, integer, now, parsed};
use super::schema::{attempts as a, durations as d, outcome_sums as s};
use super::threads::Fault;
use super::{Db, DbError};
use crate::build::Usage;
use crate::domain::{DrvPath, Outcome, ReviewId};

const WHAT: &str = "an attempt";

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
    pub usage: Usage,
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
    pub usage: Usage,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = super::schema::attempts)]
struct Raw {
    drv: String,
    time: String,
    builder: String,
    review: Option<String>,
    started_at: i64,
    outcome: Option<String>,
    seconds: Option<f64>,
    message: Option<String>,
    cpu_seconds: Option<f64>,
    peak_memory_bytes: Option<i64>,
    io_read_bytes: Option<i64>,
    io_written_bytes: Option<i64>,
    copied_in_bytes: Option<i64>,
    copied_out_bytes: Option<i64>,
}

impl TryFrom<Raw> for AttemptRow {
    type Error = DbError;

    fn try_from(raw: Raw) -> Result<Self, DbError> {
        Ok(Self {
            drv: parsed(WHAT, &raw.drv)?,
            time: raw.time,
            builder: raw.builder,
            review: raw.review.map(ReviewId::new),
            started_at: columns::time(WHAT, raw.started_at)?,
            outcome: raw.outcome.map(|outcome| columns::outcome(WHAT, &outcome)).transpose()?,
            seconds: raw.seconds,
            message: raw.message,
            usage: Usage {
                cpu_seconds: raw.cpu_seconds,
                peak_memory_bytes: raw.peak_memory_bytes.map(count),
                io_read_bytes: raw.io_read_bytes.map(count),
                io_written_bytes: raw.io_written_bytes.map(count),
                copied_in_bytes: raw.copied_in_bytes.map(count),
                copied_out_bytes: raw.copied_out_bytes.map(count),
            },
        })
    }
}

/// How much the latest duration of a package weighs against all before it.
const LATEST: f64 = 0.4;

fn starting(attempt: NewAttempt) -> impl FnMut(&mut SqliteConnection) -> Result<(), Fault> + Send + 'static {
    let started_at = now();
    move |connection| {
        diesel::insert_into(a::table)
            .values((
                a::drv.eq(attempt.drv.as_str()),
                a::base_name.eq(attempt.drv.base_name()),
                a::time.eq(&attempt.time),
                a::builder.eq(&attempt.builder),
                a::review.eq(attempt.review.as_ref().map(ReviewId::as_str)),
                a::started_at.eq(started_at),
            ))
            .execute(connection)?;
        Ok(())
    }
}

fn finishing(end: AttemptEnd) -> impl FnMut(&mut SqliteConnection) -> Result<(), Fault> + Send + 'static {
    move |connection| {
        let attempt = a::table.filter(a::base_name.eq(end.drv.base_name())).filter(a::time.eq(&end.time));
        let ended = diesel::update(attempt.filter(a::outcome.is_null()))
            .set((
                a::outcome.eq(end.outcome.as_str()),
                a::seconds.eq(end.seconds),
                a::message.eq(&end.message),
                a::cpu_seconds.eq(end.usage.cpu_seconds),
                a::peak_memory_bytes.eq(end.usage.peak_memory_bytes.map(integer)),
                a::io_read_bytes.eq(end.usage.io_read_bytes.map(integer)),
                a::io_written_bytes.eq(end.usage.io_written_bytes.map(integer)),
                a::copied_in_bytes.eq(end.usage.copied_in_bytes.map(integer)),
                a::copied_out_bytes.eq(end.usage.copied_out_bytes.map(integer)),
            ))
            .execute(connection)?;
        // an end that was stored before counts once
        if ended > 0 {
            count_end(connection, end.outcome, end.seconds, &end.usage)?;
            if end.outcome == Outcome::Succeeded {
                learn(connection, end.drv.pname_version().0, end.seconds)?;
            }
        }
        Ok(())
    }
}

fn learn(connection: &mut SqliteConnection, pname: &str, seconds: f64) -> QueryResult<()> {
    diesel::insert_into(d::table)
        .values((d::pname.eq(pname), d::seconds.eq(seconds), d::samples.eq(1)))
        .on_conflict(d::pname)
        .do_update()
        .set((d::seconds.eq(d::seconds * (1.0 - LATEST) + seconds * LATEST), d::samples.eq(d::samples + 1)))
        .execute(connection)?;
    Ok(())
}

fn count_end(connection: &mut SqliteConnection, outcome: Outcome, seconds: f64, usage: &Usage) -> QueryResult<()> {
    let bytes = |bytes: Option<u64>| integer(bytes.unwrap_or_default());
    let (cpu, read, written) = (usage.cpu_seconds.unwrap_or_default(), bytes(usage.io_read_bytes), bytes(usage.io_written_bytes));
    let (copied_in, copied_out) = (bytes(usage.copied_in_bytes), bytes(usage.copied_out_bytes));
    diesel::insert_into(s::table)
        .values((
            s::outcome.eq(outcome.as_str()),
            s::attempts.eq(1),
            s::seconds.eq(seconds),
            s::cpu_seconds.eq(cpu),
            s::io_read_bytes.eq(read),
            s::io_written_bytes.eq(written),
            s::copied_in_bytes.eq(copied_in),
            s::copied_out_bytes.eq(copied_out),
        ))
        .on_conflict(s::outcome)
        .do_update()
        .set((
            s::attempts.eq(s::attempts + 1),
            s::seconds.eq(s::seconds + seconds),
            s::cpu_seconds.eq(s::cpu_seconds + cpu),
            s::io_read_bytes.eq(s::io_read_bytes + read),
            s::io_written_bytes.eq(s::io_written_bytes + written),
            s::copied_in_bytes.eq(s::copied_in_bytes + copied_in),
            s::copied_out_bytes.eq(s::copied_out_bytes + copied_out),
        ))
        .execute(connection)?;
    Ok(())
}

impl Db {
    /// What the last build of each derivation took, of those that were built here.
    pub async fn build_seconds(&self, drvs: Vec<DrvPath>) -> Result<HashMap<DrvPath, f64>, DbError> {
        self.threads
            .read(move |connection| {
                let mut known = HashMap::new();
                for part in drvs.chunks(CHUNK) {
                    let names = part.iter().map(DrvPath::base_name);
                    let ended = a::table.filter(a::base_name.eq_any(names)).filter(a::seconds.is_not_null());
                    let rows: Vec<(String, Option<f64>)> = ended.order(a::id).select((a::drv, a::seconds)).load(connection)?;
                    for (drv, seconds) in rows {
                        // in their order: a later one takes the place of an earlier one
                        known.extend(seconds.map(|seconds| Ok::<_, DbError>((parsed(WHAT, &drv)?, seconds))).transpose()?);
                    }
                }
                Ok(known)
            })
            .await
    }

    pub async fn start_attempt(&self, attempt: NewAttempt) -> Result<(), DbError> {
        self.threads.write(starting(attempt)).await
    }

    pub async fn finish_attempt(&self, end: AttemptEnd) -> Result<(), DbError> {
        self.threads.write(finishing(end)).await
    }

    /// As [`Db::start_attempt`], without waiting: a failure to write is logged.
    pub fn post_attempt_started(&self, attempt: NewAttempt) {
        self.threads.post("the start of an attempt", starting(attempt));
    }

    /// As [`Db::finish_attempt`], without waiting: a failure to write is logged.
    pub fn post_attempt_finished(&self, end: AttemptEnd) {
        self.threads.post("the end of an attempt", finishing(end));
    }

    /// Of the derivation with this base name (`HASH-NAME.drv`), newest first.
    pub async fn attempts(&self, base_name: &str) -> Result<Vec<AttemptRow>, DbError> {
        let base_name = base_name.to_owned();
        self.threads
            .read(move |connection| {
                let rows =
                    a::table.filter(a::base_name.eq(base_name)).order(a::id.desc()).select(Raw::as_select()).load(connection)?;
                Ok(rows.into_iter().map(AttemptRow::try_from).collect::<Result<_, _>>()?)
            })
            .await
    }

    /// The newest of all derivations, newest first.
    pub async fn latest_attempts(&self, limit: u32) -> Result<Vec<AttemptRow>, DbError> {
        self.threads
            .read(move |connection| {
                let rows = a::table.order(a::id.desc()).limit(limit.into()).select(Raw::as_select()).load(connection)?;
                Ok(rows.into_iter().map(AttemptRow::try_from).collect::<Result<_, _>>()?)
            })
            .await
    }

    /// Attempts without an end: at start, those that died with the process before.
    pub async fn unfinished_attempts(&self) -> Result<Vec<AttemptRow>, DbError> {
        self.threads
            .read(|connection| {
                let rows = a::table.filter(a::outcome.is_null()).order(a::id).select(Raw::as_select()).load(connection)?;
                Ok(rows.into_iter().map(AttemptRow::try_from).collect::<Result<_, _>>()?)
            })
            .await
    }

    /// Ends every unfinished attempt as `infrastructure`; how many there were. To be called once at start.
    pub async fn abandon_attempts(&self) -> Result<u64, DbError> {
        self.threads
            .write(|connection| {
                let abandoned = diesel::update(a::table.filter(a::outcome.is_null()))
                    .set((a::outcome.eq(Outcome::Infrastructure.as_str()), a::message.eq("snowgate ended while this build ran")))
                    .execute(connection)?;
                Ok(abandoned as u64)
            })
            .await
    }

    /// A weighted mean of the seconds that successful builds of each package took, recent ones weighing more. Packages
    /// (`pname` of [`DrvPath::pname_version`]) that never succeeded are absent.
    pub async fn expected_seconds(&self, pnames: &[String]) -> Result<HashMap<String, f64>, DbError> {
        let pnames = pnames.to_vec();
        self.threads
            .read(move |connection| {
                let mut expected = HashMap::new();
                for chunk in pnames.chunks(CHUNK) {
                    let rows: Vec<(String, f64)> =
                        d::table.filter(d::pname.eq_any(chunk)).select((d::pname, d::seconds)).load(connection)?;
                    expected.extend(rows);
                }
                Ok(expected)
            })
            .await
    }
}
