//! Strangers' changes: which heads a writer allowed to be evaluated and built, and the reviews that wait for that.

use diesel::prelude::*;

use super::columns::{integer, now, parsed};
use super::reviews;
use super::schema::{permissions as p, reviews as r};
use super::{Db, DbError, NewReview};
use crate::domain::{CommitId, RepositoryName, ReviewId, UserId};

/// The summary of a review that was not begun.
pub const WAITS: &str = "Waits for a writer's permission: its author may not write to the repository.";

impl Db {
    /// A row as [`Db::create_review`] makes it, of a review that is not begun before somebody allows it.
    pub async fn create_waiting_review(&self, review: NewReview) -> Result<Vec<ReviewId>, DbError> {
        self.threads
            .write(move |connection| {
                let now = now();
                let ended = reviews::create(connection, &review, now)?;
                diesel::update(r::table.find(review.id.as_str()))
                    .set((r::waits_since.eq(now), r::summary.eq(WAITS)))
                    .execute(connection)?;
                Ok(ended)
            })
            .await
    }

    /// Permits a head, and ends the waiting of its review; false where it did not wait. `by`: nobody whom the forge knows, but who
    /// uses this machine.
    pub async fn allow_review(
        &self,
        review: &ReviewId,
        repository: &RepositoryName,
        number: u64,
        head: &CommitId,
        by: Option<UserId>,
    ) -> Result<bool, DbError> {
        let (review, repository, head) = (review.clone(), repository.clone(), head.clone());
        self.threads
            .write(move |connection| {
                let waiting = r::table.find(review.as_str()).filter(r::waits_since.is_not_null());
                let released = diesel::update(waiting)
                    .set((r::waits_since.eq(None::<i64>), r::summary.eq(""), r::updated_at.eq(now())))
                    .execute(connection)?;
                diesel::insert_or_ignore_into(p::table)
                    .values((
                        p::repository.eq(repository.as_str()),
                        p::number.eq(integer(number)),
                        p::head.eq(head.as_str()),
                        p::allowed_by.eq(by.map(|user| integer(user.0))),
                        p::allowed_at.eq(now()),
                    ))
                    .execute(connection)?;
                Ok(released > 0)
            })
            .await
    }

    /// The heads of a pull request that were allowed, the latest first.
    pub async fn allowed_heads(&self, repository: &RepositoryName, number: u64) -> Result<Vec<CommitId>, DbError> {
        let repository = repository.clone();
        self.threads
            .read(move |connection| {
                let heads: Vec<String> = p::table
                    .filter(p::repository.eq(repository.as_str()))
                    .filter(p::number.eq(integer(number)))
                    .order(p::allowed_at.desc())
                    .select(p::head)
                    .load(connection)?;
                Ok(heads.iter().map(|head| parsed("a permission", head)).collect::<Result<_, _>>()?)
            })
            .await
    }
}
