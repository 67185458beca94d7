//! Reviews of merge queues' groups: of no pull request, and known by the branch that GitHub made for the group.

use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable};

use super::reviews::{OPEN, Raw, insertion, rows};
use super::schema::reviews as r;
use super::{Db, DbError, ReviewRow};
use crate::domain::{MERGE_QUEUE, RepositoryName, ReviewId};

/// A review of a group, in SQL.
pub(super) fn of_group() -> Box<dyn BoxableExpression<r::table, diesel::sqlite::Sqlite, SqlType = Nullable<Bool>>> {
    Box::new(r::number.is_null().and(r::head_ref.like(format!("{MERGE_QUEUE}%"))))
}

impl Db {
    /// Those that are open, and the newest of each of these branches, oldest first.
    pub async fn reviews_of_groups(&self, repository: &RepositoryName, branches: Vec<String>) -> Result<Vec<ReviewRow>, DbError> {
        let repository = repository.clone();
        self.threads
            .read(move |connection| {
                let of = r::table.filter(r::repository.eq(repository.as_str())).filter(of_group());
                let known = r::head_ref.assume_not_null().eq_any(branches).or(r::state.eq_any(OPEN));
                rows(of.filter(known).order((r::created_at, insertion())).select(Raw::as_select()).load(connection)?)
            })
            .await
    }

    /// The newest review of a group with this head.
    pub async fn review_of_group_head(&self, repository: &RepositoryName, head: &str) -> Result<Option<ReviewId>, DbError> {
        let (repository, head) = (repository.clone(), head.to_owned());
        self.threads
            .read(move |connection| {
                let of = r::table.filter(r::repository.eq(repository.as_str())).filter(of_group()).filter(r::head_rev.eq(&head));
                let id: Option<String> =
                    of.order((r::created_at.desc(), insertion().desc())).select(r::id).first(connection).optional()?;
                Ok(id.map(ReviewId::new))
            })
            .await
    }
}
