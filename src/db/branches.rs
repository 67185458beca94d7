//! Base branches over time: which states of them were evaluated, and what each attribute was from when to when. A point of a branch is
//! one such state; a span of an attribute reaches from the first point at which it was so to the last.

use std::collections::{BTreeSet, HashMap};

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel::sqlite::SqliteConnection;

use super::columns::{self, count, integer, now, parsed, time};
use super::schema::{attributes as a, branch_points as b, closure_sizes as c};
use super::threads::Fault;
use super::{Db, DbError};
use crate::domain::{AttrPath, CommitId, DrvPath, JobsetName, Outcome, RepositoryName, System};

const WHAT: &str = "the history of a branch";

/// Rows of one statement.
const ROWS: usize = 500;

/// A branch, and the repository that has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BranchKey {
    pub repository: RepositoryName,
    pub branch: String,
}

/// A state of a branch, evaluated.
#[derive(Debug, Clone, PartialEq)]
pub struct BranchPoint {
    /// Grows with time.
    pub id: i64,
    pub rev: CommitId,
    /// When it was noted.
    pub at: jiff::Timestamp,
    pub attributes: u64,
    pub errors: u64,
    /// Wall time; `None`: nothing had to be evaluated.
    pub eval_seconds: Option<f64>,
}

/// What an evaluation says of one attribute.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Evaluated {
    pub jobset: JobsetName,
    pub system: System,
    pub attr: AttrPath,
    /// `None`: an error.
    pub drv: Option<DrvPath>,
}

/// What an attribute was, and from when to when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    pub is: Evaluated,
    /// Points.
    pub first: i64,
    /// `None`: still.
    pub last: Option<i64>,
    /// How the derivation stood when a review last asked.
    pub outcome: Option<Outcome>,
    /// Of the runtime closure.
    pub closure_bytes: Option<u64>,
}

#[derive(QueryableByName)]
struct RawSpan {
    #[diesel(sql_type = Text)]
    jobset: String,
    #[diesel(sql_type = Text)]
    system: String,
    #[diesel(sql_type = Text)]
    attr: String,
    #[diesel(sql_type = Text)]
    drv: String,
    #[diesel(sql_type = BigInt)]
    first: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    last: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    outcome: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    bytes: Option<i64>,
}

impl TryFrom<RawSpan> for Span {
    type Error = DbError;

    fn try_from(raw: RawSpan) -> Result<Self, DbError> {
        Ok(Self {
            is: evaluated(&raw.jobset, &raw.system, &raw.attr, &raw.drv)?,
            first: raw.first,
            last: raw.last,
            outcome: raw.outcome.map(|text| columns::outcome(WHAT, &text)).transpose()?,
            closure_bytes: raw.bytes.map(count),
        })
    }
}

fn evaluated(jobset: &str, system: &str, attr: &str, drv: &str) -> Result<Evaluated, DbError> {
    Ok(Evaluated {
        jobset: JobsetName::new(jobset),
        system: System::new(system),
        attr: parsed(WHAT, attr)?,
        drv: if drv.is_empty() { None } else { Some(parsed(WHAT, drv)?) },
    })
}

/// What a span is told with: how its derivation stood, and how large its closure is.
const SPANS: &str = "SELECT a.jobset, a.system, a.attr, a.drv, a.first, a.last, s.outcome, c.bytes FROM attributes a \
     LEFT JOIN standings s ON s.drv = a.drv LEFT JOIN closure_sizes c ON c.drv = a.drv WHERE a.repository = ? AND a.branch = ?";

impl Db {
    /// Notes what a state of a branch evaluates to, if it is not the latest one noted. Of jobsets and systems that `all` has nothing
    /// of, nothing is said to have gone.
    pub async fn note_point(
        &self,
        key: &BranchKey,
        rev: &CommitId,
        all: Vec<Evaluated>,
        eval_seconds: Option<f64>,
    ) -> Result<(), DbError> {
        let (key, rev) = (key.clone(), rev.clone());
        self.threads.write(move |connection| note(connection, &key, &rev, &all, eval_seconds)).await
    }

    /// The points of a branch, the latest first.
    pub async fn points(&self, key: &BranchKey, most: u32) -> Result<Vec<BranchPoint>, DbError> {
        let key = key.clone();
        self.threads
            .read(move |connection| {
                let of = b::table.filter(b::repository.eq(key.repository.as_str())).filter(b::branch.eq(&key.branch));
                let rows: Vec<(i64, String, i64, i64, i64, Option<f64>)> = of
                    .order(b::id.desc())
                    .limit(most.into())
                    .select((b::id, b::rev, b::at, b::attributes, b::errors, b::eval_seconds))
                    .load(connection)?;
                let point = |(id, rev, at, attributes, errors, eval_seconds): (i64, String, i64, i64, i64, Option<f64>)| {
                    Ok::<_, Fault>(BranchPoint {
                        id,
                        rev: parsed(WHAT, &rev)?,
                        at: time(WHAT, at)?,
                        attributes: count(attributes),
                        errors: count(errors),
                        eval_seconds,
                    })
                };
                rows.into_iter().map(point).collect()
            })
            .await
    }

    /// What is at one of two points and not at the other, by spans: one that ended between them was at the earlier, one that began
    /// between them, and did not end, is at the later.
    pub async fn spans_between(&self, key: &BranchKey, earlier: i64, later: i64) -> Result<Vec<Span>, DbError> {
        let ended = format!("{SPANS} AND a.last >= ? AND a.last < ? AND a.first <= ?");
        let began = format!("{SPANS} AND a.first > ? AND a.first <= ? AND (a.last IS NULL OR a.last >= ?)");
        let mut spans = self.spans(key, ended, [earlier, later, earlier]).await?;
        spans.extend(self.spans(key, began, [earlier, later, later]).await?);
        Ok(spans)
    }

    async fn spans(&self, key: &BranchKey, query: String, numbers: [i64; 3]) -> Result<Vec<Span>, DbError> {
        let key = key.clone();
        self.threads
            .read(move |connection| {
                let query = diesel::sql_query(&query)
                    .bind::<Text, _>(key.repository.as_str())
                    .bind::<Text, _>(&key.branch)
                    .bind::<BigInt, _>(numbers[0])
                    .bind::<BigInt, _>(numbers[1])
                    .bind::<BigInt, _>(numbers[2]);
                let raw: Vec<RawSpan> = query.load(connection)?;
                Ok(raw.into_iter().map(Span::try_from).collect::<Result<_, _>>()?)
            })
            .await
    }

    /// What an attribute was over time, the latest first.
    pub async fn history(&self, key: &BranchKey, attr: &AttrPath) -> Result<Vec<Span>, DbError> {
        let (key, attr) = (key.clone(), attr.to_string());
        self.threads
            .read(move |connection| {
                let query = format!("{SPANS} AND a.attr = ? ORDER BY a.first DESC, a.jobset, a.system");
                let query = diesel::sql_query(query)
                    .bind::<Text, _>(key.repository.as_str())
                    .bind::<Text, _>(&key.branch)
                    .bind::<Text, _>(&attr);
                let raw: Vec<RawSpan> = query.load(connection)?;
                Ok(raw.into_iter().map(Span::try_from).collect::<Result<_, _>>()?)
            })
            .await
    }

    /// The spans whose derivations are known to stand or to fail; of most of a branch nothing is known.
    pub async fn known_spans(&self, key: &BranchKey) -> Result<Vec<Span>, DbError> {
        let key = key.clone();
        self.threads
            .read(move |connection| {
                // what is known is less than what there is
                let query = "SELECT a.jobset, a.system, a.attr, a.drv, a.first, a.last, s.outcome, NULL AS bytes FROM standings s \
                     CROSS JOIN attributes a ON a.drv = s.drv WHERE a.repository = ? AND a.branch = ?";
                let query =
                    diesel::sql_query(query).bind::<Text, _>(key.repository.as_str()).bind::<Text, _>(&key.branch);
                let raw: Vec<RawSpan> = query.load(connection)?;
                Ok(raw.into_iter().map(Span::try_from).collect::<Result<_, _>>()?)
            })
            .await
    }

    /// Notes how large runtime closures are, in bytes.
    pub async fn save_closure_sizes(&self, sizes: Vec<(DrvPath, u64)>) -> Result<(), DbError> {
        self.threads
            .write(move |connection| {
                for (drv, bytes) in &sizes {
                    diesel::replace_into(c::table)
                        .values((c::drv.eq(drv.as_str()), c::bytes.eq(integer(*bytes))))
                        .execute(connection)?;
                }
                Ok(())
            })
            .await
    }
}

fn note(
    connection: &mut SqliteConnection,
    key: &BranchKey,
    rev: &CommitId,
    all: &[Evaluated],
    eval_seconds: Option<f64>,
) -> Result<(), Fault> {
    let (repository, branch) = (key.repository.as_str(), key.branch.as_str());
    let stored: Option<String> = super::schema::repositories::table
        .find(repository)
        .select(super::schema::repositories::name)
        .first(connection)
        .optional()?;
    let latest: Option<(i64, String)> = b::table
        .filter(b::repository.eq(repository))
        .filter(b::branch.eq(branch))
        .order(b::id.desc())
        .select((b::id, b::rev))
        .first(connection)
        .optional()?;
    // a repository that went meanwhile, and a state that is noted
    if stored.is_none() || latest.as_ref().is_some_and(|(_, noted)| noted == rev.as_str()) {
        return Ok(());
    }
    let errors = all.iter().filter(|one| one.drv.is_none()).count() as u64;
    diesel::insert_into(b::table)
        .values((
            (b::repository.eq(repository), b::branch.eq(branch), b::rev.eq(rev.as_str()), b::at.eq(now())),
            (
                b::attributes.eq(integer(all.len() as u64 - errors)),
                b::errors.eq(integer(errors)),
                b::eval_seconds.eq(eval_seconds),
            ),
        ))
        .execute(connection)?;
    let point: i64 = diesel::select(diesel::dsl::sql::<BigInt>("last_insert_rowid()")).first(connection)?;
    let before: Vec<(i64, String, String, String, String)> = a::table
        .filter(a::repository.eq(repository))
        .filter(a::branch.eq(branch))
        .filter(a::last.is_null())
        .select((a::id, a::jobset, a::system, a::attr, a::drv))
        .load(connection)?;
    let evaluated: BTreeSet<(&str, &str)> = all.iter().map(|one| (one.jobset.as_str(), one.system.as_str())).collect();
    let drv = |one: &Evaluated| one.drv.as_ref().map(|drv| drv.as_str().to_owned()).unwrap_or_default();
    let mut is: HashMap<(&str, &str, String), String> =
        all.iter().map(|one| ((one.jobset.as_str(), one.system.as_str(), one.attr.to_string()), drv(one))).collect();
    let mut over = Vec::new();
    for (id, jobset, system, attr, drv) in &before {
        let place = (jobset.as_str(), system.as_str(), attr.clone());
        match is.get(&place) {
            Some(now) if now == drv => {
                is.remove(&place);
            }
            Some(_) => over.push(*id),
            None if evaluated.contains(&(jobset.as_str(), system.as_str())) => over.push(*id),
            None => {}
        }
    }
    if let Some((previous, _)) = latest {
        for ids in over.chunks(ROWS) {
            diesel::update(a::table.filter(a::id.eq_any(ids))).set(a::last.eq(previous)).execute(connection)?;
        }
    }
    let rows: Vec<_> = is
        .iter()
        .map(|((jobset, system, attr), drv)| {
            let name = drv.rsplit_once('/').and_then(|(_, base)| base.split_once('-')).map_or("", |(_, name)| name);
            (
                (a::repository.eq(repository), a::branch.eq(branch), a::jobset.eq(*jobset), a::system.eq(*system)),
                (a::attr.eq(attr), a::drv.eq(drv), a::name.eq(name.strip_suffix(".drv").unwrap_or(name)), a::first.eq(point)),
            )
        })
        .collect();
    for rows in rows.chunks(ROWS) {
        diesel::insert_into(a::table).values(rows.to_vec()).execute(connection)?;
    }
    Ok(())
}
