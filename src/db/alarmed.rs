//! Which reviews an alarm of the self-check concerns, and whether all of them were begun again.

use diesel::prelude::*;

use super::alarms::{EvalAlarm, Raw};
use super::columns::now;
use super::schema::{alarmed_reviews as ar, eval_alarms as a};
use super::{Db, DbError};
use crate::domain::ReviewId;

impl Db {
    /// The review relied on what the alarm is about, or takes the place of one that did. The same again changes nothing.
    pub async fn alarm_review(&self, review: &ReviewId, alarm: i64) -> Result<(), DbError> {
        let review = review.clone();
        self.threads
            .write(move |connection| {
                diesel::insert_or_ignore_into(ar::table)
                    .values((ar::review.eq(review.as_str()), ar::alarm.eq(alarm)))
                    .execute(connection)?;
                Ok(())
            })
            .await
    }

    /// The alarms that concern a review, the latest first.
    pub async fn alarms_of_review(&self, review: &ReviewId) -> Result<Vec<EvalAlarm>, DbError> {
        let review = review.clone();
        self.threads
            .read(move |connection| {
                let concern = ar::table.filter(ar::review.eq(review.as_str())).select(ar::alarm);
                let rows: Vec<Raw> =
                    a::table.filter(a::id.eq_any(concern)).order(a::id.desc()).select(Raw::as_select()).load(connection)?;
                Ok(rows.into_iter().map(EvalAlarm::try_from).collect::<Result<_, _>>()?)
            })
            .await
    }

    /// Alarms after which not all reviews were begun again yet, the oldest first.
    pub async fn unsettled_alarms(&self) -> Result<Vec<EvalAlarm>, DbError> {
        self.threads
            .read(|connection| {
                let open = a::table.filter(a::settled_at.is_null()).order(a::id);
                let rows: Vec<Raw> = open.select(Raw::as_select()).load(connection)?;
                Ok(rows.into_iter().map(EvalAlarm::try_from).collect::<Result<_, _>>()?)
            })
            .await
    }

    pub async fn settle_alarm(&self, alarm: i64) -> Result<(), DbError> {
        self.threads
            .write(move |connection| {
                diesel::update(a::table.find(alarm)).set(a::settled_at.eq(now())).execute(connection)?;
                Ok(())
            })
            .await
    }
}
