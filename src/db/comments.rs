//! Comments on GitHub that may order something, each once.

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;
use jiff::Timestamp;

use super::columns::{count, integer, now, parsed, time};
use super::schema::{comments as c, github_repositories as g, pulls as p, reviews as r};
use super::{Db, DbError};
use crate::domain::{CommitId, RepositoryName};

/// By GitHub's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommentKey {
    pub repository: u64,
    pub comment: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewComment {
    pub key: CommentKey,
    /// Of the pull request.
    pub number: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommentRow {
    pub key: CommentKey,
    pub number: u64,
    pub heard_at: Timestamp,
    /// That the pull request had here at that moment, as far as it was known.
    pub head: Option<CommitId>,
    /// What is ordered, as its reader wrote it; `None`: nobody has read it yet.
    pub orders: Option<String>,
    /// The same of the answer; `None`: not carried out yet.
    pub answer: Option<String>,
    pub reply: Replying,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replying {
    NotYet,
    /// It was begun, and how it ended was not heard.
    MayBeThere,
}

const WHAT: &str = "a comment";

/// Stores one that came with a delivery, and which head it came to.
pub(super) fn store(connection: &mut SqliteConnection, comment: &NewComment) -> QueryResult<()> {
    let name = g::table.find(integer(comment.key.repository)).select(g::name);
    let name: Option<String> = name.first(connection).optional()?;
    let head: Option<String> = match name {
        Some(name) => p::table.find((name, integer(comment.number))).select(p::head).first(connection).optional()?,
        None => None,
    };
    diesel::insert_into(c::table)
        .values((
            (c::repository.eq(integer(comment.key.repository)), c::id.eq(integer(comment.key.comment))),
            (c::number.eq(integer(comment.number)), c::heard_at.eq(now()), c::replying.eq(false), c::head.eq(head)),
        ))
        .on_conflict_do_nothing()
        .execute(connection)
        .map(drop)
}

/// Forgets those that were answered before `before`.
pub(super) fn forget(connection: &mut SqliteConnection, before: i64) -> QueryResult<()> {
    diesel::delete(c::table.filter(c::done_at.lt(before))).execute(connection).map(drop)
}

type Raw = (i64, i64, i64, i64, Option<String>, Option<String>, Option<String>, bool);

fn row((repository, id, number, heard_at, head, orders, answer, replying): Raw) -> Result<CommentRow, DbError> {
    Ok(CommentRow {
        key: CommentKey { repository: count(repository), comment: count(id) },
        number: count(number),
        heard_at: time(WHAT, heard_at)?,
        head: head.map(|head| parsed(WHAT, &head)).transpose()?,
        orders,
        answer,
        reply: if replying { Replying::MayBeThere } else { Replying::NotYet },
    })
}

impl Db {
    /// Repositories with comments of which something is still to be done.
    pub async fn repositories_with_comments(&self) -> Result<Vec<u64>, DbError> {
        self.threads
            .read(|connection| {
                let ids: Vec<i64> = c::table.filter(c::done_at.is_null()).select(c::repository).distinct().load(connection)?;
                Ok(ids.into_iter().map(count).collect())
            })
            .await
    }

    /// Of one repository, in the order in which they came.
    pub async fn comments_to_do(&self, repository: u64) -> Result<Vec<CommentRow>, DbError> {
        self.threads
            .read(move |connection| {
                let undone = c::table.filter(c::repository.eq(integer(repository))).filter(c::done_at.is_null());
                let columns = (c::repository, c::id, c::number, c::heard_at, c::head, c::orders, c::answer, c::replying);
                let rows: Vec<Raw> = undone.order((c::heard_at, c::id)).select(columns).load(connection)?;
                Ok(rows.into_iter().map(row).collect::<Result<_, DbError>>()?)
            })
            .await
    }

    pub async fn comment_orders(&self, key: CommentKey, orders: String) -> Result<(), DbError> {
        self.step(key, move |connection, row| diesel::update(row).set(c::orders.eq(&orders)).execute(connection)).await
    }

    pub async fn comment_is_carried_out(&self, key: CommentKey, answer: String) -> Result<(), DbError> {
        self.step(key, move |connection, row| diesel::update(row).set(c::answer.eq(&answer)).execute(connection)).await
    }

    pub async fn comment_is_being_replied_to(&self, key: CommentKey) -> Result<(), DbError> {
        self.step(key, |connection, row| diesel::update(row).set(c::replying.eq(true)).execute(connection)).await
    }

    pub async fn comment_is_done(&self, key: CommentKey) -> Result<(), DbError> {
        self.step(key, |connection, row| diesel::update(row).set(c::done_at.eq(now())).execute(connection)).await
    }

    async fn step(
        &self,
        key: CommentKey,
        mut step: impl FnMut(&mut SqliteConnection, diesel::dsl::Find<c::table, (i64, i64)>) -> QueryResult<usize> + Send + 'static,
    ) -> Result<(), DbError> {
        self.threads
            .write(move |connection| {
                step(connection, c::table.find((integer(key.repository), integer(key.comment))))?;
                Ok(())
            })
            .await
    }

    /// Since when a head of a pull request has been here to be read: its first review tells, whatever the base did since.
    pub async fn head_known_since(
        &self,
        repository: &RepositoryName,
        number: u64,
        head: &CommitId,
    ) -> Result<Option<Timestamp>, DbError> {
        let (repository, head) = (repository.clone(), head.clone());
        self.threads
            .read(move |connection| {
                let of = r::table.filter(r::repository.eq(repository.as_str()).and(r::number.eq(integer(number))));
                let first = of.filter(r::head_rev.eq(head.as_str())).select(diesel::dsl::min(r::created_at));
                let first: Option<i64> = first.first(connection)?;
                Ok(first.map(|at| time("a review", at)).transpose()?)
            })
            .await
    }

    /// The number of a repository on GitHub, and the installation that sees it.
    pub async fn github_repository_named(&self, name: &RepositoryName) -> Result<Option<(u64, u64)>, DbError> {
        let name = name.clone();
        self.threads
            .read(move |connection| {
                let of = g::table.filter(g::name.eq(name.as_str())).select((g::id, g::installation));
                let found: Option<(i64, i64)> = of.first(connection).optional()?;
                Ok(found.map(|(id, installation)| (count(id), count(installation))))
            })
            .await
    }

    /// What goes by this number on GitHub: its name, and the installation that sees it.
    pub async fn github_repository(&self, id: u64) -> Result<Option<(RepositoryName, u64)>, DbError> {
        self.threads
            .read(move |connection| {
                let found: Option<(String, i64)> =
                    g::table.find(integer(id)).select((g::name, g::installation)).first(connection).optional()?;
                Ok(found.map(|(name, installation)| (RepositoryName::new(name), count(installation))))
            })
            .await
    }
}
