//! Base branches over time: which states of them were evaluated, and what each attribute was from when to when. A point of a branch is
//! one such state; a span of an attribute reaches from the first point at which it was so to the last.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::columns::{self, count, integer, parsed, time};
use super::schema::{branch_points as b, closure_sizes as c};
use super::threads::Fault;
use super::{Db, DbError};
use crate::domain::{AttrPath, CommitId, DrvPath, JobsetName, Outcome, RepositoryName, System};

const WHAT: &str = "the history of a branch";

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

/// From one point to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lasted {
    pub first: i64,
    /// `None`: still.
    pub last: Option<i64>,
}

#[derive(QueryableByName)]
struct RawLasted {
    #[diesel(sql_type = Text)]
    outcome: String,
    #[diesel(sql_type = BigInt)]
    first: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    last: Option<i64>,
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

    /// From which point to which an attribute was a derivation that is known to fail, of those that were so at this point or later; of
    /// most of a branch nothing is known.
    pub async fn failing_since(&self, key: &BranchKey, point: i64) -> Result<Vec<Lasted>, DbError> {
        let key = key.clone();
        self.threads
            .read(move |connection| {
                // what is known is less than what there is
                let query = "SELECT s.outcome, a.first, a.last FROM standings s CROSS JOIN attributes a ON a.drv = s.drv \
                     WHERE a.repository = ? AND a.branch = ? AND (a.last IS NULL OR a.last >= ?)";
                let query = diesel::sql_query(query)
                    .bind::<Text, _>(key.repository.as_str())
                    .bind::<Text, _>(&key.branch)
                    .bind::<BigInt, _>(point);
                let mut failing = Vec::new();
                for RawLasted { outcome, first, last } in query.load::<RawLasted>(connection)? {
                    if columns::outcome(WHAT, &outcome)?.is_failure() {
                        failing.push(Lasted { first, last });
                    }
                }
                Ok(failing)
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
