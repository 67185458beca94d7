//! Merges that wait for a verdict.

use diesel::prelude::*;
use jiff::Timestamp;

use super::columns::{Word, count, integer, now, of_word, parsed, time, word};
use super::schema::{check_runs as c, merges as m};
use super::{Db, DbError};
use crate::domain::CommitId;
use crate::forge::command::Method;
use crate::forge::github::comments::Person;
use crate::forge::github::deeds::Words;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMerge {
    /// GitHub's number of the repository.
    pub repository: u64,
    pub number: u64,
    pub head: CommitId,
    pub method: Option<Method>,
    pub words: Words,
    pub by: Person,
    /// The comment that asks for it.
    pub comment: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeRow {
    pub repository: u64,
    pub number: u64,
    pub head: CommitId,
    pub method: Option<Method>,
    pub words: Words,
    pub by: Person,
    pub asked_at: Timestamp,
    pub state: MergeState,
    pub sentence: Option<String>,
}

/// What became of an order to merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// It waits, or this very thing was asked for before.
    Stands,
    /// Somebody else's order for the same head waits already.
    Before(Person),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeState {
    /// For the verdict.
    Waits,
    /// It was asked of GitHub, and the answer was not heard.
    Merging,
    Merged,
    Dropped,
}

impl Word for MergeState {
    const WORDS: &'static [(Self, &'static str)] =
        &[(Self::Waits, "waits"), (Self::Merging, "merging"), (Self::Merged, "merged"), (Self::Dropped, "dropped")];
}

impl Word for Method {
    const WORDS: &'static [(Self, &'static str)] = &[(Self::Merge, "merge"), (Self::Squash, "squash"), (Self::Rebase, "rebase")];
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = super::schema::merges)]
struct Raw {
    repository: i64,
    number: i64,
    head: String,
    method: Option<String>,
    by_id: i64,
    by_login: String,
    asked_at: i64,
    state: String,
    sentence: Option<String>,
    title: Option<String>,
    message: Option<String>,
}

const WHAT: &str = "a merge";

impl TryFrom<Raw> for MergeRow {
    type Error = DbError;

    fn try_from(raw: Raw) -> Result<Self, DbError> {
        Ok(Self {
            repository: count(raw.repository),
            number: count(raw.number),
            head: parsed(WHAT, &raw.head)?,
            method: raw.method.map(|method| of_word(WHAT, &method)).transpose()?,
            words: Words { title: raw.title, message: raw.message },
            by: Person { id: count(raw.by_id), login: raw.by_login },
            asked_at: time(WHAT, raw.asked_at)?,
            state: of_word(WHAT, &raw.state)?,
            sentence: raw.sentence,
        })
    }
}

impl Db {
    /// In the place of what was asked for before, unless this very thing was. What somebody else asked for stays while it waits: nobody
    /// alters how another's merge is done, or puts their own name to it.
    pub async fn ask_for_merge(&self, new: NewMerge) -> Result<Asked, DbError> {
        self.threads
            .write(move |connection| {
                let (repository, number) = (integer(new.repository), integer(new.number));
                let known: Option<(Option<i64>, Raw)> =
                    m::table.find((repository, number)).select((m::comment, Raw::as_select())).first(connection).optional()?;
                let comment = new.comment.map(integer);
                let known = known.map(|(by, row)| Ok::<_, DbError>((by, MergeRow::try_from(row)?))).transpose()?;
                let another = known
                    .as_ref()
                    .map(|(_, row)| row)
                    .filter(|row| row.by.id != new.by.id && row.head == new.head && row.state == MergeState::Waits);
                if let Some(row) = another {
                    return Ok(Asked::Before(row.by.clone()));
                }
                let same = known.is_some_and(|(by, row)| {
                    let is_it = (&row.method, &row.words, &row.by) == (&new.method, &new.words, &new.by);
                    let stands = match row.state {
                        MergeState::Waits => is_it,
                        MergeState::Merging | MergeState::Merged => true,
                        MergeState::Dropped => false,
                    };
                    (comment.is_some() && by == comment) || (row.head == new.head && stands)
                });
                if same {
                    return Ok(Asked::Stands);
                }
                diesel::replace_into(m::table)
                    .values((
                        (m::repository.eq(repository), m::number.eq(number), m::head.eq(new.head.as_str())),
                        (m::method.eq(new.method.map(word)), m::by_id.eq(integer(new.by.id)), m::by_login.eq(&new.by.login)),
                        (m::comment.eq(comment), m::asked_at.eq(now()), m::state.eq(word(MergeState::Waits))),
                        (m::sentence.eq(None::<String>), m::told.eq(false)),
                        (m::title.eq(&new.words.title), m::message.eq(&new.words.message)),
                    ))
                    .execute(connection)?;
                Ok(Asked::Stands)
            })
            .await
    }

    /// Of which something is still to be done or to be said.
    pub async fn merges_to_do(&self, repository: u64) -> Result<Vec<MergeRow>, DbError> {
        self.threads
            .read(move |connection| {
                let of = m::table.filter(m::repository.eq(integer(repository))).filter(m::told.eq(false));
                let rows: Vec<Raw> = of.order(m::asked_at).select(Raw::as_select()).load(connection)?;
                Ok(rows.into_iter().map(MergeRow::try_from).collect::<Result<_, _>>()?)
            })
            .await
    }

    pub async fn repositories_with_merges(&self) -> Result<Vec<u64>, DbError> {
        self.threads
            .read(|connection| {
                let ids: Vec<i64> = m::table.filter(m::told.eq(false)).select(m::repository).distinct().load(connection)?;
                Ok(ids.into_iter().map(count).collect())
            })
            .await
    }

    /// The last that was asked for.
    pub async fn merge_of(&self, repository: u64, number: u64) -> Result<Option<MergeRow>, DbError> {
        self.threads
            .read(move |connection| {
                let found: Option<Raw> = m::table
                    .find((integer(repository), integer(number)))
                    .select(Raw::as_select())
                    .first(connection)
                    .optional()?;
                Ok(found.map(MergeRow::try_from).transpose()?)
            })
            .await
    }

    /// Of this very order: one that was given since is another.
    pub async fn merge_is(&self, row: &MergeRow, state: MergeState, sentence: Option<String>) -> Result<(), DbError> {
        let row = row.clone();
        self.threads
            .write(move |connection| {
                let it = m::table
                    .filter(m::repository.eq(integer(row.repository)).and(m::number.eq(integer(row.number))))
                    .filter(m::asked_at.eq(row.asked_at.as_millisecond()));
                diesel::update(it).set((m::state.eq(word(state)), m::sentence.eq(&sentence))).execute(connection)?;
                Ok(())
            })
            .await
    }

    pub async fn merge_is_told(&self, row: &MergeRow) -> Result<(), DbError> {
        let row = row.clone();
        self.threads
            .write(move |connection| {
                let it = m::table
                    .filter(m::repository.eq(integer(row.repository)).and(m::number.eq(integer(row.number))))
                    .filter(m::asked_at.eq(row.asked_at.as_millisecond()));
                diesel::update(it).set(m::told.eq(true)).execute(connection)?;
                Ok(())
            })
            .await
    }

    /// Whether GitHub knows what this check run of a head has to say by now.
    pub async fn check_run_is_told(&self, repository: u64, head: &CommitId, name: &str) -> Result<bool, DbError> {
        let (head, name) = (head.clone(), name.to_owned());
        self.threads
            .read(move |connection| {
                let row = c::table.find((integer(repository), head.as_str(), &name));
                let stale: Option<Option<i64>> = row.select(c::stale_since).first(connection).optional()?;
                Ok(stale == Some(None))
            })
            .await
    }
}
