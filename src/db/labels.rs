//! Pull requests on GitHub whose labels may have to be others.

use diesel::prelude::*;

use super::columns::{count, integer, now};
use super::schema::{github_repositories as g, labelled_pulls as l, reviews as r};
use super::{Db, DbError};
use crate::domain::ReviewId;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelRow {
    /// GitHub's number of the repository.
    pub repository: u64,
    pub number: u64,
    /// What was put on last, as it was written then.
    pub told: Option<String>,
    since: i64,
}

impl Db {
    /// The labels of the review's pull request may have to be others. False where it is of none on GitHub.
    pub async fn labels_are_stale(&self, review: &ReviewId) -> Result<bool, DbError> {
        let review = review.clone();
        self.threads
            .write(move |connection| {
                let found: Option<(String, Option<i64>)> =
                    r::table.find(review.as_str()).select((r::repository, r::number)).first(connection).optional()?;
                let Some((name, Some(number))) = found else { return Ok(false) };
                let id: Option<i64> = g::table.filter(g::name.eq(&name)).select(g::id).first(connection).optional()?;
                let Some(id) = id else { return Ok(false) };
                let latest: Option<i64> = l::table.select(diesel::dsl::max(l::stale_since)).first(connection)?;
                // each time another one, so that what changes while it is being told is told again
                let stale = now().max(latest.unwrap_or_default() + 1);
                diesel::insert_into(l::table)
                    .values((l::repository.eq(id), l::number.eq(number), l::stale_since.eq(stale)))
                    .on_conflict((l::repository, l::number))
                    .do_update()
                    .set(l::stale_since.eq(stale))
                    .execute(connection)?;
                Ok(true)
            })
            .await
    }

    pub async fn stale_labels(&self, repository: u64) -> Result<Vec<LabelRow>, DbError> {
        self.threads
            .read(move |connection| {
                let stale = l::table.filter(l::repository.eq(integer(repository))).filter(l::stale_since.is_not_null());
                let rows: Vec<(i64, Option<String>, Option<i64>)> =
                    stale.order(l::stale_since).select((l::number, l::told, l::stale_since)).load(connection)?;
                let row = |(number, told, since): (i64, Option<String>, Option<i64>)| LabelRow {
                    repository,
                    number: count(number),
                    told,
                    since: since.unwrap_or_default(),
                };
                Ok(rows.into_iter().map(row).collect())
            })
            .await
    }

    /// They are what they should be. `told`: which; `None`: as before.
    pub async fn labels_are_well(&self, row: &LabelRow, told: Option<String>) -> Result<(), DbError> {
        let row = row.clone();
        self.threads
            .write(move |connection| {
                let at = || l::table.find((integer(row.repository), integer(row.number)));
                if let Some(told) = &told {
                    diesel::update(at()).set(l::told.eq(told)).execute(connection)?;
                }
                diesel::update(at().filter(l::stale_since.eq(row.since)))
                    .set(l::stale_since.eq(None::<i64>))
                    .execute(connection)?;
                Ok(())
            })
            .await
    }
}
