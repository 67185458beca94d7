//! Strangers' changes: the reviews that wait for a writer's permission.

use diesel::prelude::*;

use super::columns::now;
use super::reviews;
use super::schema::reviews as r;
use super::{Db, DbError, NewReview};
use crate::domain::ReviewId;

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
}
