//! Pull requests; a branch of a local repository counts as one.

use diesel::dsl::max;
use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;

use super::columns::{count, integer, now, of_word, parsed, time, word};
use super::happenings::{What, note};
use super::schema::{branch_numbers as n, pulls as p, repositories, reviews as r};
use super::threads::Fault;
use super::{Db, DbError, ReviewRow, reviews};
use crate::domain::{CommitId, RepositoryName, ReviewId};
use crate::review::report::Decision;

const WHAT: &str = "a pull request";

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum PullState {
    Open,
    Merged,
    Closed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRow {
    pub repository: RepositoryName,
    pub number: u64,
    pub title: String,
    pub author: String,
    pub branch: String,
    pub head: CommitId,
    pub base_branch: String,
    pub base: CommitId,
    pub state: PullState,
    /// Kept from the first time the pull request was stored.
    pub created_at: jiff::Timestamp,
    /// Of the last change of the row's content.
    pub updated_at: jiff::Timestamp,
    /// Lines.
    pub additions: u64,
    pub deletions: u64,
    /// The review of the current head. `upsert_pull` with `None` keeps the stored one while head and base are the same.
    pub review: Option<ReviewId>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct PullFilter {
    pub repository: Option<RepositoryName>,
    pub state: Option<PullState>,
    /// The branch that they are to be merged into.
    pub base_branch: Option<String>,
    pub order: PullOrder,
    /// At most so many; `None`: all.
    pub most: Option<u32>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PullOrder {
    /// Last changed first.
    #[default]
    Updated,
    /// Newest first.
    Created,
    /// Highest number first.
    Number,
    /// Fewest rebuilds first, then fewest lines; those without a review last.
    Rebuilds,
    /// Those that can be merged first, then those that are blocked.
    Verdict,
    /// Opened first.
    Oldest,
    /// By name.
    Author,
    /// By name.
    Repository,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = super::schema::pulls)]
struct Raw {
    repository: String,
    number: i64,
    title: String,
    author: String,
    branch: String,
    head: String,
    base_branch: String,
    base: String,
    state: String,
    created_at: i64,
    updated_at: i64,
    additions: i64,
    deletions: i64,
    review: Option<String>,
}

impl TryFrom<Raw> for PullRow {
    type Error = DbError;

    fn try_from(raw: Raw) -> Result<Self, DbError> {
        Ok(Self {
            repository: RepositoryName::new(raw.repository),
            number: count(raw.number),
            title: raw.title,
            author: raw.author,
            branch: raw.branch,
            head: parsed(WHAT, &raw.head)?,
            base_branch: raw.base_branch,
            base: parsed(WHAT, &raw.base)?,
            state: of_word(WHAT, &raw.state)?,
            created_at: time(WHAT, raw.created_at)?,
            updated_at: time(WHAT, raw.updated_at)?,
            additions: count(raw.additions),
            deletions: count(raw.deletions),
            review: raw.review.map(ReviewId::new),
        })
    }
}

impl PullRow {
    /// What of the stored row holds on: its beginning; its last change, unless this is one; its review, while it is of the
    /// same two commits.
    fn after(self, stored: Option<PullRow>) -> PullRow {
        let Some(stored) = stored else { return self };
        let same_commits = stored.head == self.head && stored.base == self.base;
        let kept = PullRow {
            created_at: stored.created_at,
            review: self.review.clone().or_else(|| stored.review.clone().filter(|_| same_commits)),
            ..self
        };
        let unchanged = PullRow { updated_at: stored.updated_at, ..kept.clone() };
        if unchanged == stored { stored } else { kept }
    }
}

fn stored(connection: &mut SqliteConnection, repository: &RepositoryName, number: u64) -> Result<Option<PullRow>, Fault> {
    let pull = p::table.find((repository.as_str(), integer(number)));
    Ok(pull.select(Raw::as_select()).first(connection).optional()?.map(PullRow::try_from).transpose()?)
}

fn repository_exists(connection: &mut SqliteConnection, name: &RepositoryName) -> Result<(), Fault> {
    let found: Option<String> =
        repositories::table.find(name.as_str()).select(repositories::name).first(connection).optional()?;
    found.map(drop).ok_or_else(|| DbError::NoSuchRepository(name.clone()).into())
}

fn store(connection: &mut SqliteConnection, row: &PullRow) -> QueryResult<()> {
    let values = (
        (p::title.eq(&row.title), p::author.eq(&row.author), p::branch.eq(&row.branch), p::head.eq(row.head.as_str())),
        (p::base_branch.eq(&row.base_branch), p::base.eq(row.base.as_str()), p::state.eq(word(row.state))),
        (p::created_at.eq(row.created_at.as_millisecond()), p::updated_at.eq(row.updated_at.as_millisecond())),
        (p::additions.eq(integer(row.additions)), p::deletions.eq(integer(row.deletions))),
        p::review.eq(row.review.as_ref().map(ReviewId::as_str)),
    );
    diesel::insert_into(p::table)
        .values(((p::repository.eq(row.repository.as_str()), p::number.eq(integer(row.number))), values))
        .on_conflict((p::repository, p::number))
        .do_update()
        .set(values)
        .execute(connection)?;
    Ok(())
}

/// Puts what is different now on the timeline.
fn note_moves(connection: &mut SqliteConnection, before: Option<&PullRow>, after: &PullRow) -> QueryResult<()> {
    let pull = (after.repository.as_str(), integer(after.number));
    let short = |commit: &CommitId| commit.as_str()[..8].to_owned();
    let Some(before) = before else {
        let detail = format!("by {}, {} into {}", after.author, short(&after.head), after.base_branch);
        return note(connection, pull, None, What::Opened, &detail);
    };
    if before.state != PullState::Open && after.state == PullState::Open {
        note(connection, pull, None, What::Reopened, "")?;
    }
    if before.head != after.head {
        note(connection, pull, None, What::Pushed, &format!("{}, before {}", short(&after.head), short(&before.head)))?;
    }
    if before.base_branch != after.base_branch {
        note(connection, pull, None, What::BaseMoved, &format!("to branch {}", after.base_branch))?;
    } else if before.base != after.base {
        note(connection, pull, None, What::BaseMoved, &format!("{} to {}", after.base_branch, short(&after.base)))?;
    }
    Ok(())
}

/// Draws the next number of the repository, or finds the branch's.
fn number_of(connection: &mut SqliteConnection, repository: &RepositoryName, branch: &str) -> Result<u64, Fault> {
    let drawn: Option<i64> = n::table.find((repository.as_str(), branch)).select(n::number).first(connection).optional()?;
    if let Some(number) = drawn {
        return Ok(count(number));
    }
    repository_exists(connection, repository)?;
    // pull requests of another forge may have numbers that no branch has drawn
    let highest = n::table.filter(n::repository.eq(repository.as_str())).select(max(n::number));
    let highest: Option<i64> = highest.first(connection)?;
    let of_pulls = p::table.filter(p::repository.eq(repository.as_str())).select(max(p::number));
    let of_pulls: Option<i64> = of_pulls.first(connection)?;
    let number = highest.max(of_pulls).unwrap_or(0) + 1;
    diesel::insert_into(n::table)
        .values((n::repository.eq(repository.as_str()), n::branch.eq(branch), n::number.eq(number)))
        .execute(connection)?;
    Ok(count(number))
}

impl Db {
    /// The number of the branch's pull request: the same for ever, drawn on first use.
    pub async fn pull_number(&self, repository: &RepositoryName, branch: &str) -> Result<u64, DbError> {
        let (repository, branch) = (repository.clone(), branch.to_owned());
        self.threads.write(move |connection| number_of(connection, &repository, &branch)).await
    }

    /// Adds the pull request, or replaces what is known of it; what stays is said at [`PullRow`]'s fields.
    pub async fn upsert_pull(&self, row: PullRow) -> Result<(), DbError> {
        self.threads
            .write(move |connection| {
                repository_exists(connection, &row.repository)?;
                let before = stored(connection, &row.repository, row.number)?;
                let after = row.clone().after(before.clone());
                if before.as_ref() != Some(&after) {
                    store(connection, &after)?;
                    note_moves(connection, before.as_ref(), &after)?;
                }
                Ok(())
            })
            .await
    }

    /// Each with its review's row, so that a list costs one query.
    pub async fn pulls(&self, filter: PullFilter) -> Result<Vec<(PullRow, Option<ReviewRow>)>, DbError> {
        self.threads
            .read(move |connection| {
                let selection = (Raw::as_select(), Option::<reviews::Raw>::as_select());
                let mut query = p::table.left_join(r::table.on(p::review.eq(r::id.nullable()))).select(selection).into_boxed();
                if let Some(repository) = &filter.repository {
                    query = query.filter(p::repository.eq(repository.as_str()));
                }
                if let Some(state) = filter.state {
                    query = query.filter(p::state.eq(word(state)));
                }
                if let Some(branch) = &filter.base_branch {
                    query = query.filter(p::base_branch.eq(branch));
                }
                if let Some(most) = filter.most {
                    query = query.limit(most.into());
                }
                query = match filter.order {
                    PullOrder::Updated => query.order(p::updated_at.desc()),
                    PullOrder::Created => query.order(p::created_at.desc()),
                    PullOrder::Number => query.order(p::number.desc()),
                    PullOrder::Rebuilds => query.order((
                        r::id.nullable().is_null(),
                        r::rebuilds.nullable().asc(),
                        (p::additions + p::deletions).asc(),
                    )),
                    PullOrder::Verdict => query.order((
                        r::id.nullable().is_null(),
                        r::decision.nullable().eq(word(Decision::Mergeable)).desc(),
                        r::decision.nullable().eq(word(Decision::Blocked)).desc(),
                        r::rebuilds.nullable().asc(),
                    )),
                    PullOrder::Oldest => query.order(p::created_at.asc()),
                    PullOrder::Author => query.order((p::author.asc(), p::created_at.asc())),
                    PullOrder::Repository => query.order(p::repository.asc()),
                };
                // a total order, so that pages of a long list meet without a gap
                let found: Vec<(Raw, Option<reviews::Raw>)> =
                    query.then_order_by((p::repository.asc(), p::number.desc())).load(connection)?;
                let rows = found
                    .into_iter()
                    .map(|(pull, review)| Ok((PullRow::try_from(pull)?, review.map(ReviewRow::try_from).transpose()?)));
                Ok(rows.collect::<Result<_, DbError>>()?)
            })
            .await
    }

    pub async fn pull(&self, repository: &RepositoryName, number: u64) -> Result<Option<PullRow>, DbError> {
        let repository = repository.clone();
        self.threads.read(move |connection| stored(connection, &repository, number)).await
    }

    /// The pull request of a branch, the latest if it had several.
    pub async fn pull_of_branch(&self, repository: &RepositoryName, branch: &str) -> Result<Option<u64>, DbError> {
        let (repository, branch) = (repository.clone(), branch.to_owned());
        self.threads
            .read(move |connection| {
                let of = p::table.filter(p::repository.eq(repository.as_str())).filter(p::branch.eq(&branch));
                let number: Option<i64> = of.order(p::number.desc()).select(p::number).first(connection).optional()?;
                Ok(number.map(count))
            })
            .await
    }

    /// Sets the state of a pull request that is not open any more.
    pub async fn close_pull(&self, repository: &RepositoryName, number: u64, state: PullState) -> Result<(), DbError> {
        let repository = repository.clone();
        self.threads
            .write(move |connection| {
                let pull = p::table.find((repository.as_str(), integer(number))).filter(p::state.ne(word(state)));
                let changed =
                    diesel::update(pull).set((p::state.eq(word(state)), p::updated_at.eq(now()))).execute(connection)?;
                if changed > 0 {
                    let what = if state == PullState::Merged { What::Merged } else { What::Closed };
                    note(connection, (repository.as_str(), integer(number)), None, what, "")?;
                }
                Ok(())
            })
            .await
    }
}
