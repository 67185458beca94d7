//! Alarms of the self-check: incremental evaluations that differed from full ones.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use diesel::prelude::*;
use jiff::Timestamp;

use super::columns::{self, count, integer, now, parsed};
use super::schema::eval_alarms as a;
use super::{Db, DbError};
use crate::domain::{JobsetName, ReviewId, System, TreeId};

const WHAT: &str = "an alarm";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvalAlarm {
    pub trace_key: String,
    pub tree: TreeId,
    pub jobset: JobsetName,
    pub system: System,
    /// The review that asked for the evaluation.
    pub review: Option<ReviewId>,
    /// One sentence for a person.
    pub summary: String,
    /// How many attributes differed.
    pub attrs: u64,
    /// The file with both sides; `None` where it could not be written.
    pub kept: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvalAlarm {
    pub id: i64,
    pub at: Timestamp,
    pub alarm: NewEvalAlarm,
    pub acknowledged_at: Option<Timestamp>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = a)]
pub(super) struct Raw {
    id: i64,
    at: i64,
    trace_key: String,
    tree: String,
    jobset: String,
    system: String,
    review: Option<String>,
    summary: String,
    attrs: i64,
    kept: Option<Vec<u8>>,
    acknowledged_at: Option<i64>,
}

impl TryFrom<Raw> for EvalAlarm {
    type Error = DbError;

    fn try_from(raw: Raw) -> Result<Self, DbError> {
        Ok(Self {
            id: raw.id,
            at: columns::time(WHAT, raw.at)?,
            alarm: NewEvalAlarm {
                trace_key: raw.trace_key,
                tree: parsed(WHAT, &raw.tree)?,
                jobset: JobsetName::new(raw.jobset),
                system: System::new(raw.system),
                review: raw.review.map(ReviewId::new),
                summary: raw.summary,
                attrs: count(raw.attrs),
                kept: raw.kept.map(|bytes| OsString::from_vec(bytes).into()),
            },
            acknowledged_at: raw.acknowledged_at.map(|at| columns::time(WHAT, at)).transpose()?,
        })
    }
}

impl Db {
    /// Returns the alarm's number.
    pub async fn add_eval_alarm(&self, alarm: NewEvalAlarm) -> Result<i64, DbError> {
        let at = now();
        self.threads
            .write(move |connection| {
                let id = diesel::insert_into(a::table)
                    .values((
                        a::at.eq(at),
                        a::trace_key.eq(&alarm.trace_key),
                        a::tree.eq(alarm.tree.as_str()),
                        a::jobset.eq(alarm.jobset.as_str()),
                        a::system.eq(alarm.system.as_str()),
                        a::review.eq(alarm.review.as_ref().map(ReviewId::as_str)),
                        a::summary.eq(&alarm.summary),
                        a::attrs.eq(integer(alarm.attrs)),
                        a::kept.eq(alarm.kept.as_ref().map(|path| path.as_os_str().as_bytes())),
                    ))
                    .returning(a::id)
                    .get_result(connection)?;
                Ok(id)
            })
            .await
    }

    /// All of them, the latest first.
    pub async fn eval_alarms(&self) -> Result<Vec<EvalAlarm>, DbError> {
        self.threads
            .read(|connection| {
                let rows = a::table.order(a::id.desc()).select(Raw::as_select()).load(connection)?;
                Ok(rows.into_iter().map(EvalAlarm::try_from).collect::<Result<_, _>>()?)
            })
            .await
    }

    /// How many nobody has acknowledged yet.
    pub async fn open_eval_alarms(&self) -> Result<u64, DbError> {
        self.threads
            .read(|connection| {
                let open: i64 = a::table.filter(a::acknowledged_at.is_null()).count().get_result(connection)?;
                Ok(count(open))
            })
            .await
    }

    /// Of an alarm that was acknowledged before, the first time stays. Returns whether there is such an alarm.
    pub async fn acknowledge_eval_alarm(&self, id: i64) -> Result<bool, DbError> {
        let at = now();
        self.threads
            .write(move |connection| {
                let open = a::table.find(id).filter(a::acknowledged_at.is_null());
                let acknowledged = diesel::update(open).set(a::acknowledged_at.eq(at)).execute(connection)?;
                let there: i64 = a::table.find(id).count().get_result(connection)?;
                Ok(acknowledged > 0 || there > 0)
            })
            .await
    }
}
