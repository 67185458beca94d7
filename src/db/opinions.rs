//! What people think of pull requests.

use std::collections::{BTreeMap, HashMap};

use diesel::prelude::*;
use jiff::Timestamp;

use super::columns::{Word, count, integer, now, of_word, parsed, time, word};
use super::happenings::{What, note};
use super::schema::{opinions as o, opinions_read as d, pulls as p};
use super::threads::Fault;
use super::{Db, DbError};
use crate::domain::RepositoryName;
use crate::forge::opinion::{Opinion, Stance};

const WHAT: &str = "an opinion";

/// By pull request.
pub type Opinions = HashMap<(RepositoryName, u64), Vec<Opinion>>;

/// The forge's clock has seconds, and need not be ours: what was touched so shortly before it was read may have been touched once more
/// without another time.
const SETTLED: i64 = 60_000;

impl Word for Stance {
    const WORDS: &'static [(Self, &'static str)] =
        &[(Stance::Approves, "approves"), (Stance::RequestsChanges, "requests_changes")];
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = super::schema::opinions)]
struct Raw {
    repository: String,
    number: i64,
    by_id: i64,
    by_login: String,
    stance: String,
    head: Option<String>,
    said_at: i64,
}

impl TryFrom<Raw> for Opinion {
    type Error = DbError;

    fn try_from(raw: Raw) -> Result<Self, DbError> {
        Ok(Self {
            by: count(raw.by_id),
            login: raw.by_login,
            stance: of_word(WHAT, &raw.stance)?,
            head: raw.head.map(|head| parsed(WHAT, &head)).transpose()?,
            at: time(WHAT, raw.said_at)?,
        })
    }
}

impl Db {
    /// Of open pull requests.
    pub async fn opinions(&self) -> Result<Opinions, DbError> {
        self.threads
            .read(|connection| {
                let of_open = o::table
                    .inner_join(p::table.on(p::repository.eq(o::repository).and(p::number.eq(o::number))))
                    .filter(p::state.eq("open"));
                let rows: Vec<Raw> = of_open.select(Raw::as_select()).load(connection)?;
                let mut opinions = Opinions::new();
                for raw in rows {
                    let pull = (RepositoryName::new(&raw.repository), count(raw.number));
                    opinions.entry(pull).or_default().push(raw.try_into()?);
                }
                Ok(opinions)
            })
            .await
    }

    pub async fn opinions_of(&self, repository: &RepositoryName, number: u64) -> Result<Vec<Opinion>, DbError> {
        let repository = repository.clone();
        self.threads
            .read(move |connection| {
                let of = o::table.filter(o::repository.eq(repository.as_str())).filter(o::number.eq(integer(number)));
                let rows: Vec<Raw> = of.select(Raw::as_select()).load(connection)?;
                Ok(rows.into_iter().map(Opinion::try_from).collect::<Result<_, _>>()?)
            })
            .await
    }

    /// Those pull requests of which something may have been said since it was read, the last touched first.
    pub async fn opinions_due(
        &self,
        repository: &RepositoryName,
        mut touched: Vec<(u64, Timestamp)>,
    ) -> Result<Vec<(u64, Timestamp)>, DbError> {
        let repository = repository.clone();
        self.threads
            .read(move |connection| {
                let of = d::table.filter(d::repository.eq(repository.as_str()));
                let read: Vec<(i64, i64, i64)> = of.select((d::number, d::touched_at, d::read_at)).load(connection)?;
                let read: HashMap<i64, (i64, i64)> = read.into_iter().map(|(number, at, read)| (number, (at, read))).collect();
                touched.retain(|(number, at)| {
                    let known = read.get(&integer(*number));
                    known.is_none_or(|(known, read_at)| *known != at.as_millisecond() || known + SETTLED > *read_at)
                });
                touched.sort_by_key(|(_, at)| std::cmp::Reverse(*at));
                Ok(touched)
            })
            .await
    }

    /// All that stand, as the pull request was when it was touched last; what is new goes on its timeline.
    pub async fn opinions_are(
        &self,
        repository: &RepositoryName,
        number: u64,
        touched_at: Timestamp,
        opinions: Vec<Opinion>,
    ) -> Result<(), DbError> {
        let repository = repository.clone();
        self.threads
            .write(move |connection| store(connection, (repository.as_str(), integer(number)), touched_at, &opinions))
            .await
    }
}

fn store(
    connection: &mut diesel::sqlite::SqliteConnection,
    pull: (&str, i64),
    touched_at: Timestamp,
    opinions: &[Opinion],
) -> Result<(), Fault> {
    // it may have been forgotten while they were read
    let known: Option<i64> = p::table.find(pull).select(p::number).first(connection).optional()?;
    if known.is_none() {
        return Ok(());
    }
    let of = || o::table.filter(o::repository.eq(pull.0)).filter(o::number.eq(pull.1));
    let before: Vec<(i64, (String, i64, String))> =
        of().select((o::by_id, (o::stance, o::said_at, o::by_login))).load(connection)?;
    let mut before: BTreeMap<i64, (String, i64, String)> = before.into_iter().collect();
    diesel::delete(of()).execute(connection)?;
    for opinion in opinions {
        let (by, at) = (integer(opinion.by), opinion.at.as_millisecond());
        let head = opinion.head.as_ref().map(|head| head.as_str());
        diesel::insert_into(o::table)
            .values((
                (o::repository.eq(pull.0), o::number.eq(pull.1), o::by_id.eq(by), o::by_login.eq(&opinion.login)),
                (o::stance.eq(word(opinion.stance)), o::head.eq(head), o::said_at.eq(at)),
            ))
            .execute(connection)?;
        let said = before.remove(&by);
        if said.is_none_or(|(stance, said_at, _)| (stance.as_str(), said_at) != (word(opinion.stance), at)) {
            let what = match opinion.stance {
                Stance::Approves => What::Approved,
                Stance::RequestsChanges => What::ChangesRequested,
            };
            let of_head = head.map(|head| format!(", {}", &head[..8])).unwrap_or_default();
            note(connection, pull, None, what, &format!("by {}{of_head}", opinion.login))?;
        }
    }
    for (stance, _, login) in before.into_values() {
        let what = match of_word(WHAT, &stance)? {
            Stance::Approves => "the approval by",
            Stance::RequestsChanges => "the changes requested by",
        };
        note(connection, pull, None, What::Dismissed, &format!("{what} {login}"))?;
    }
    diesel::replace_into(d::table)
        .values((
            (d::repository.eq(pull.0), d::number.eq(pull.1)),
            (d::touched_at.eq(touched_at.as_millisecond()), d::read_at.eq(now())),
        ))
        .execute(connection)?;
    Ok(())
}
