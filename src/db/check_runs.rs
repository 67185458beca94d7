//! Check runs on GitHub: which there are to be, and what they said last.

use diesel::prelude::*;

use super::columns::{count, integer, now, parsed};
use super::groups::of_group;
use super::schema::{check_runs as c, github_repositories as g, reviews as r};
use super::{Db, DbError};
use crate::domain::{CommitId, RepositoryName, ReviewId};

/// GitHub keeps check runs apart by these.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckRunKey {
    /// GitHub's number of the repository.
    pub repository: u64,
    pub head: CommitId,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckRunRow {
    pub key: CheckRunKey,
    pub review: ReviewId,
    /// The attribute that it is about; `None`: the whole review.
    pub attr: Option<String>,
    /// GitHub's number of it.
    pub remote: Option<u64>,
    /// A hash of what it said when it was last sent; an empty one: how the last sending ended was not heard.
    pub told: Option<String>,
    pub stale: Stale,
}

/// Since when a check run may say something else. What changes while it is being sent changes this too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stale(i64);

#[derive(Queryable, Selectable)]
#[diesel(table_name = super::schema::check_runs)]
struct Raw {
    repository: i64,
    head: String,
    name: String,
    review: String,
    attr: Option<String>,
    remote: Option<i64>,
    told: Option<String>,
    stale_since: Option<i64>,
}

impl TryFrom<Raw> for CheckRunRow {
    type Error = DbError;

    fn try_from(raw: Raw) -> Result<Self, DbError> {
        let key = CheckRunKey { repository: count(raw.repository), head: parsed("a check run", &raw.head)?, name: raw.name };
        Ok(Self {
            key,
            review: ReviewId::new(raw.review),
            attr: raw.attr,
            remote: raw.remote.map(count),
            told: raw.told,
            stale: Stale(raw.stale_since.unwrap_or_default()),
        })
    }
}

impl Db {
    /// The check runs of a review may have to say something else: that of its head, and those of these attributes, by name. The
    /// repository's number on GitHub; `None`: it is not there, or the review is of neither a pull request nor a merge queue's group.
    pub async fn check_runs_are_stale(
        &self,
        review: &ReviewId,
        name: &str,
        of_attributes: Vec<(String, String)>,
    ) -> Result<Option<u64>, DbError> {
        let (review, name) = (review.clone(), name.to_owned());
        self.threads
            .write(move |connection| {
                let on_forge = r::table.find(review.as_str()).filter(r::number.is_not_null().or(of_group()));
                let found: Option<(String, String, i64)> =
                    on_forge.select((r::repository, r::head_rev, r::created_at)).first(connection).optional()?;
                let Some((repository, head, created_at)) = found else { return Ok(None) };
                let id: Option<i64> = g::table.filter(g::name.eq(&repository)).select(g::id).first(connection).optional()?;
                let Some(id) = id else { return Ok(None) };
                // news of a review that was done again since
                let newer: Option<String> = c::table
                    .inner_join(r::table.on(r::id.eq(c::review)))
                    .filter(c::repository.eq(id).and(c::head.eq(&head)).and(c::name.eq(&name)))
                    .filter(r::created_at.gt(created_at))
                    .select(c::review)
                    .first(connection)
                    .optional()?;
                let review = newer.unwrap_or_else(|| review.to_string());
                let latest: Option<i64> = c::table.select(diesel::dsl::max(c::stale_since)).first(connection)?;
                // each time another one, so that what is sent meanwhile is told from what is to be sent
                let stale = now().max(latest.unwrap_or_default() + 1);
                let main = std::iter::once((&name, None));
                for (name, attr) in main.chain(of_attributes.iter().map(|(name, attr)| (name, Some(attr)))) {
                    diesel::insert_into(c::table)
                        .values((
                            (c::repository.eq(id), c::head.eq(&head), c::name.eq(name)),
                            (c::review.eq(&review), c::attr.eq(attr), c::stale_since.eq(stale)),
                        ))
                        .on_conflict((c::repository, c::head, c::name))
                        .do_update()
                        .set((c::review.eq(&review), c::stale_since.eq(stale)))
                        .execute(connection)?;
                }
                Ok(Some(count(id)))
            })
            .await
    }

    /// Of a repository, the first to become so first; the whole reviews before their attributes.
    pub async fn stale_check_runs(&self, repository: u64, limit: u32) -> Result<Vec<CheckRunRow>, DbError> {
        self.threads
            .read(move |connection| {
                let stale = c::table.filter(c::repository.eq(integer(repository))).filter(c::stale_since.is_not_null());
                let rows: Vec<Raw> = stale
                    .order((c::attr.is_not_null(), c::stale_since, c::name))
                    .limit(limit.into())
                    .select(Raw::as_select())
                    .load(connection)?;
                Ok(rows.into_iter().map(CheckRunRow::try_from).collect::<Result<_, _>>()?)
            })
            .await
    }

    /// Repositories with stale check runs: `(number, name, installation)`.
    pub async fn repositories_to_tell(&self) -> Result<Vec<(u64, RepositoryName, u64)>, DbError> {
        self.threads
            .read(|connection| {
                let stale = c::table.filter(c::stale_since.is_not_null()).select(c::repository).distinct();
                let rows: Vec<(i64, String, i64)> =
                    g::table.filter(g::id.eq_any(stale)).select((g::id, g::name, g::installation)).load(connection)?;
                Ok(rows.into_iter().map(|(id, name, at)| (count(id), RepositoryName::new(name), count(at))).collect())
            })
            .await
    }

    /// It is about to be sent for the first time: if nobody hears how that ends, it has to be looked for.
    pub async fn check_run_is_being_created(&self, key: &CheckRunKey) -> Result<(), DbError> {
        let key = key.clone();
        self.threads
            .write(move |connection| {
                let row = c::table.find((integer(key.repository), key.head.as_str(), &key.name));
                diesel::update(row).set(c::told.eq("")).execute(connection)?;
                Ok(())
            })
            .await
    }

    /// GitHub took it. `stale`: as it was when what it says was worked out.
    pub async fn check_run_was_told(&self, key: &CheckRunKey, remote: u64, told: String, stale: Stale) -> Result<(), DbError> {
        let key = key.clone();
        self.threads
            .write(move |connection| {
                let row = || c::table.find((integer(key.repository), key.head.as_str(), &key.name));
                diesel::update(row()).set((c::remote.eq(integer(remote)), c::told.eq(&told))).execute(connection)?;
                diesel::update(row().filter(c::stale_since.eq(stale.0)))
                    .set(c::stale_since.eq(None::<i64>))
                    .execute(connection)?;
                Ok(())
            })
            .await
    }

    /// There is nothing to tell: it says what it should, or GitHub does not want it.
    pub async fn check_run_is_well(&self, key: &CheckRunKey, stale: Stale) -> Result<(), DbError> {
        let key = key.clone();
        self.threads
            .write(move |connection| {
                let row = c::table.find((integer(key.repository), key.head.as_str(), &key.name));
                diesel::update(row.filter(c::stale_since.eq(stale.0))).set(c::stale_since.eq(None::<i64>)).execute(connection)?;
                Ok(())
            })
            .await
    }

    /// Reviews of pull requests on GitHub whose check runs may not say what they should, whatever happened before: those that are
    /// open, and those that ended after `since`.
    pub async fn reviews_to_tell(&self, since: jiff::Timestamp) -> Result<Vec<ReviewId>, DbError> {
        self.threads
            .read(move |connection| {
                let on_github = g::table.select(g::name);
                let recent = r::updated_at.ge(since.as_millisecond()).or(r::state.eq_any(["evaluating", "building"]));
                let newest_last = r::table
                    .filter(r::number.is_not_null().or(of_group()))
                    .filter(r::repository.eq_any(on_github))
                    .filter(recent)
                    .order((r::created_at, r::id));
                let ids: Vec<String> = newest_last.select(r::id).load(connection)?;
                Ok(ids.into_iter().map(ReviewId::new).collect())
            })
            .await
    }
}
