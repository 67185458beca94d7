//! Reviews and their reports.

use std::collections::VecDeque;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, MutexGuard, PoisonError};

use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel::sqlite::SqliteConnection;

use super::columns::{compressed, count, expanded, integer, now, of_word, parsed, time, word};
use super::happenings::{What, note};
use super::schema::{pulls as p, reports, reviews as r};
use super::threads::Fault;
use super::{Db, DbError};
use crate::domain::{CommitId, MERGE_QUEUE, RepositoryName, ReviewId, TreeId};
use crate::review::report::{Decision, Report, State, Verdict};

const WHAT: &str = "a review";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReview {
    pub id: ReviewId,
    pub repository: RepositoryName,
    /// The pull request; `None` for a one-shot review.
    pub number: Option<u64>,
    pub base_rev: CommitId,
    pub base_ref: Option<String>,
    pub head_rev: CommitId,
    pub head_ref: Option<String>,
    /// The merge tree, where it is known.
    pub tree: Option<TreeId>,
}

/// A review without its report, which [`Db::report`] loads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewRow {
    pub id: ReviewId,
    pub repository: RepositoryName,
    pub number: Option<u64>,
    pub base_rev: CommitId,
    pub base_ref: Option<String>,
    pub head_rev: CommitId,
    pub head_ref: Option<String>,
    pub tree: Option<TreeId>,
    pub state: State,
    pub decision: Decision,
    pub summary: String,
    pub rebuilds: u64,
    pub newly_failing: u64,
    pub created_at: jiff::Timestamp,
    pub updated_at: jiff::Timestamp,
    pub superseded_by: Option<ReviewId>,
    /// A stranger's change that nobody allowed yet, and since when: the review is not begun, whatever its state.
    pub waits_since: Option<jiff::Timestamp>,
    /// In state `error`: why the review could not be completed, in one sentence.
    pub error: Option<String>,
}

impl ReviewRow {
    /// It is of no pull request: a merge queue is about to land it.
    pub fn is_of_group(&self) -> bool {
        self.number.is_none() && self.head_ref.as_deref().is_some_and(|branch| branch.starts_with(MERGE_QUEUE))
    }

    /// It would begin if a writer allowed it.
    pub fn waits(&self) -> bool {
        self.waits_since.is_some() && self.state == State::Evaluating
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = super::schema::reviews)]
pub(super) struct Raw {
    id: String,
    repository: String,
    number: Option<i64>,
    base_rev: String,
    base_ref: Option<String>,
    head_rev: String,
    head_ref: Option<String>,
    tree: Option<String>,
    state: String,
    decision: String,
    summary: String,
    rebuilds: i64,
    newly_failing: i64,
    created_at: i64,
    updated_at: i64,
    superseded_by: Option<String>,
    waits_since: Option<i64>,
}

impl TryFrom<Raw> for ReviewRow {
    type Error = DbError;

    fn try_from(raw: Raw) -> Result<Self, DbError> {
        let state = of_word(WHAT, &raw.state)?;
        Ok(Self {
            id: ReviewId::new(raw.id),
            repository: RepositoryName::new(raw.repository),
            number: raw.number.map(count),
            base_rev: parsed(WHAT, &raw.base_rev)?,
            base_ref: raw.base_ref,
            head_rev: parsed(WHAT, &raw.head_rev)?,
            head_ref: raw.head_ref,
            tree: raw.tree.map(|tree| parsed(WHAT, &tree)).transpose()?,
            state,
            decision: of_word(WHAT, &raw.decision)?,
            error: (state == State::Error).then(|| raw.summary.clone()),
            summary: raw.summary,
            rebuilds: count(raw.rebuilds),
            newly_failing: count(raw.newly_failing),
            created_at: time(WHAT, raw.created_at)?,
            updated_at: time(WHAT, raw.updated_at)?,
            superseded_by: raw.superseded_by.map(ReviewId::new),
            waits_since: raw.waits_since.map(|at| time(WHAT, at)).transpose()?,
        })
    }
}

pub(super) fn rows(raw: Vec<Raw>) -> Result<Vec<ReviewRow>, Fault> {
    Ok(raw.into_iter().map(ReviewRow::try_from).collect::<Result<_, _>>()?)
}

/// So many are kept as they were stored: those of the reviews that build now.
const LATEST_REPORTS: usize = 3;

/// The summary of a review that a newer one ended.
const SUPERSEDED: &str = "Pending: a newer review took this one's place.";

pub(super) const OPEN: [&str; 2] = ["evaluating", "building"];

impl Db {
    /// A row in state `evaluating`, undecided. If the pull request is stored, the review becomes its current one, and its
    /// reviews before are superseded by this one; those that were open are cancelled and returned.
    pub async fn create_review(&self, review: NewReview) -> Result<Vec<ReviewId>, DbError> {
        self.threads.write(move |connection| create(connection, &review, now())).await
    }

    /// Stores the report, and from it state, decision, summary, tree and counters. The report of a review that was superseded
    /// before it was complete is dropped: its actor had not heard of it yet.
    pub async fn save_report(&self, report: &Report) -> Result<(), DbError> {
        self.store_report(Arc::new(report.clone())).await
    }

    /// [`Db::save_report`] of one that is shared: a report of ten thousand changes takes longer to copy than to work out.
    pub async fn store_report(&self, report: Arc<Report>) -> Result<(), DbError> {
        // before it is stored: whoever is told of it finds it
        self.keep_report(report.clone());
        let id = report.id.clone();
        let stored = self.write_report(report).await;
        if !matches!(stored, Ok(true)) {
            self.latest_reports().retain(|kept| kept.id != id);
        }
        stored.map(drop)
    }

    fn keep_report(&self, report: Arc<Report>) {
        let mut latest = self.latest_reports();
        latest.retain(|kept| kept.id != report.id);
        latest.push_front(report);
        latest.truncate(LATEST_REPORTS);
    }

    fn latest_reports(&self) -> MutexGuard<'_, VecDeque<Arc<Report>>> {
        // nothing is left half-done under this mutex
        self.latest_reports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// False: it was dropped.
    async fn write_report(&self, report: Arc<Report>) -> Result<bool, DbError> {
        // on a reading thread: the writer and the caller's arbiter have better things to do than to compress
        let (report, json) = self
            .threads
            .read(move |_| {
                let json = compressed("a report", &*report)?;
                Ok((report, json))
            })
            .await?;
        self.threads
            .write(move |connection| {
                let id = report.id.as_str();
                let before = state_of(connection, &report.id)?;
                let changed = diesel::update(r::table.find(id).filter(not_given_up()))
                    .set((
                        r::state.eq(word(report.state)),
                        r::decision.eq(word(report.verdict.decision)),
                        r::summary.eq(&report.verdict.summary),
                        r::tree.eq(report.merge.tree.as_ref().map(TreeId::as_str)),
                        r::rebuilds.eq(integer(report.counts.rebuilds)),
                        r::newly_failing.eq(integer(report.counts.newly_failing)),
                        r::updated_at.eq(now()),
                    ))
                    .execute(connection)?;
                if changed == 0 {
                    exists(connection, &report.id)?;
                    return Ok(false);
                }
                diesel::insert_into(reports::table)
                    .values((reports::review.eq(id), reports::json.eq(&json)))
                    .on_conflict(reports::review)
                    .do_update()
                    .set(reports::json.eq(&json))
                    .execute(connection)?;
                note_state(connection, &report.id, before, report.state, || told(&report))?;
                Ok(true)
            })
            .await
    }

    /// Moves a review on without a report: a restart, a cancellation, an error with its sentence, which becomes the summary.
    /// One that was superseded before it was complete stays cancelled.
    pub async fn set_review_state(&self, id: &ReviewId, state: State, sentence: Option<String>) -> Result<(), DbError> {
        let id = id.clone();
        self.threads
            .write(move |connection| {
                let before = state_of(connection, &id)?;
                let changed = diesel::update(r::table.find(id.as_str()).filter(not_given_up()))
                    .set((
                        (r::state.eq(word(state)), r::decision.eq(word(Decision::Pending))),
                        (sentence.as_ref().map(|text| r::summary.eq(text)), r::updated_at.eq(now())),
                    ))
                    .execute(connection)?;
                if changed == 0 {
                    return exists(connection, &id);
                }
                note_state(connection, &id, before, state, || sentence.clone().unwrap_or_default())
            })
            .await
    }

    /// Which repositories reviews are of, as far as they are known.
    pub async fn repositories_of(&self, reviews: BTreeSet<ReviewId>) -> Result<HashMap<ReviewId, RepositoryName>, DbError> {
        self.threads
            .read(move |connection| {
                let mut found = HashMap::new();
                for id in reviews {
                    let name: Option<String> = r::table.find(id.as_str()).select(r::repository).first(connection).optional()?;
                    if let Some(name) = name {
                        found.insert(id, RepositoryName::new(name));
                    }
                }
                Ok(found)
            })
            .await
    }

    pub async fn review(&self, id: &ReviewId) -> Result<Option<ReviewRow>, DbError> {
        let id = id.clone();
        self.threads
            .read(move |connection| {
                let found = r::table.find(id.as_str()).select(Raw::as_select()).first(connection).optional()?;
                Ok(found.map(ReviewRow::try_from).transpose()?)
            })
            .await
    }

    /// The report as it was stored last. A review that was ended since, by a newer one or by a fault, has no more recent one: it
    /// is given the end that its row tells.
    pub async fn report(&self, id: &ReviewId) -> Result<Option<Report>, DbError> {
        let id = id.clone();
        self.threads
            .read(move |connection| {
                let Some(json) = reports::table.find(id.as_str()).select(reports::json).first(connection).optional()? else {
                    return Ok(None);
                };
                let json: Vec<u8> = json;
                let row = r::table.find(id.as_str()).select(Raw::as_select()).first(connection)?;
                Ok(Some(as_of(expanded("a report", &json)?, ReviewRow::try_from(row)?)))
            })
            .await
    }

    /// The same, shared with whoever stored it lately: to read one of ten thousand changes takes longer than all the rest of a page.
    pub async fn shared_report(&self, id: &ReviewId) -> Result<Option<Arc<Report>>, DbError> {
        let kept = self.latest_reports().iter().find(|kept| kept.id == *id).cloned();
        if let Some(kept) = kept
            && self.review(id).await?.is_some_and(|row| row.state == kept.state)
        {
            return Ok(Some(kept));
        }
        Ok(self.report(id).await?.map(Arc::new))
    }

    /// Evaluating or building, oldest first: what a restart takes up again.
    pub async fn open_reviews(&self) -> Result<Vec<ReviewRow>, DbError> {
        self.threads
            .read(|connection| {
                let open = r::table.filter(r::state.eq_any(OPEN)).order((r::created_at, r::id));
                rows(open.select(Raw::as_select()).load(connection)?)
            })
            .await
    }

    /// Of one pull request, newest first.
    pub async fn reviews_of(&self, repository: &RepositoryName, number: u64) -> Result<Vec<ReviewRow>, DbError> {
        let repository = repository.clone();
        self.threads
            .read(move |connection| {
                let of = r::table.filter(r::repository.eq(repository.as_str())).filter(r::number.eq(integer(number)));
                rows(of.order((r::created_at.desc(), insertion().desc())).select(Raw::as_select()).load(connection)?)
            })
            .await
    }

    /// The current reviews of pull requests with this head.
    pub async fn current_reviews_of_head(&self, repository: &RepositoryName, head: &str) -> Result<Vec<ReviewId>, DbError> {
        let (repository, head) = (repository.clone(), head.to_owned());
        self.threads
            .read(move |connection| {
                let current =
                    p::table.filter(p::repository.eq(repository.as_str())).filter(p::review.is_not_null()).select(p::review);
                let of_head = r::table.filter(r::id.nullable().eq_any(current)).filter(r::head_rev.eq(&head));
                let ids: Vec<String> = of_head.select(r::id).load(connection)?;
                Ok(ids.into_iter().map(ReviewId::new).collect())
            })
            .await
    }

    /// The newest reviews of all repositories.
    pub async fn latest_reviews(&self, limit: u32) -> Result<Vec<ReviewRow>, DbError> {
        self.threads
            .read(move |connection| {
                let latest = r::table.order((r::created_at.desc(), insertion().desc())).limit(limit.into());
                rows(latest.select(Raw::as_select()).load(connection)?)
            })
            .await
    }
}

/// The order of insertion, for rows of the same millisecond.
pub(super) fn insertion() -> SqlLiteral<BigInt> {
    diesel::dsl::sql("reviews.rowid")
}

fn state_of(connection: &mut SqliteConnection, id: &ReviewId) -> Result<Option<State>, Fault> {
    let found: Option<String> = r::table.find(id.as_str()).select(r::state).first(connection).optional()?;
    Ok(found.map(|text| of_word(WHAT, &text)).transpose()?)
}

/// What a report says, for the timeline.
fn told(report: &Report) -> String {
    match report.state {
        State::Evaluating | State::Building => format!("{} changes, {} rebuilds", report.changes.len(), report.counts.rebuilds),
        State::Complete | State::Cancelled | State::Error => report.verdict.summary.clone(),
    }
}

/// Puts a review's next state on the timeline of its pull request.
fn note_state(
    connection: &mut SqliteConnection,
    id: &ReviewId,
    before: Option<State>,
    state: State,
    detail: impl FnOnce() -> String,
) -> Result<(), Fault> {
    if before == Some(state) {
        return Ok(());
    }
    let what = match state {
        State::Evaluating => What::Began,
        State::Building => What::Compared,
        State::Complete => What::Decided,
        State::Cancelled => What::Cancelled,
        State::Error => What::Failed,
    };
    let of = r::table.find(id.as_str()).select((r::repository, r::number));
    let (repository, number): (String, Option<i64>) = of.first(connection)?;
    match number {
        Some(number) => Ok(note(connection, (&repository, number), Some(id.as_str()), what, &detail())?),
        None => Ok(()),
    }
}

/// See [`Db::create_review`].
pub(super) fn create(connection: &mut SqliteConnection, review: &NewReview, now: i64) -> Result<Vec<ReviewId>, Fault> {
    insert(connection, review, now)?;
    match review.number {
        Some(number) => supersede(connection, review, integer(number), now),
        None => Ok(Vec::new()),
    }
}

fn insert(connection: &mut SqliteConnection, review: &NewReview, now: i64) -> QueryResult<()> {
    diesel::insert_into(r::table)
        .values((
            r::id.eq(review.id.as_str()),
            r::repository.eq(review.repository.as_str()),
            r::number.eq(review.number.map(integer)),
            r::base_rev.eq(review.base_rev.as_str()),
            r::base_ref.eq(&review.base_ref),
            r::head_rev.eq(review.head_rev.as_str()),
            r::head_ref.eq(&review.head_ref),
            r::tree.eq(review.tree.as_ref().map(TreeId::as_str)),
            (r::state.eq(word(State::Evaluating)), r::decision.eq(word(Decision::Pending)), r::summary.eq("")),
            (r::rebuilds.eq(0), r::newly_failing.eq(0), r::created_at.eq(now), r::updated_at.eq(now)),
        ))
        .execute(connection)?;
    Ok(())
}

/// Makes the review its pull request's current one; the open ones that it ends.
fn supersede(connection: &mut SqliteConnection, review: &NewReview, number: i64, now: i64) -> Result<Vec<ReviewId>, Fault> {
    let (id, repository) = (review.id.as_str(), review.repository.as_str());
    let before = r::table.filter(r::repository.eq(repository)).filter(r::number.eq(number)).filter(r::id.ne(id));
    let ended: Vec<String> = before.filter(r::state.eq_any(OPEN)).select(r::id).load(connection)?;
    diesel::update(before.filter(r::state.eq_any(OPEN)))
        .set((
            (r::state.eq(word(State::Cancelled)), r::updated_at.eq(now)),
            (r::decision.eq(word(Decision::Pending)), r::summary.eq(SUPERSEDED)),
        ))
        .execute(connection)?;
    diesel::update(before.filter(r::superseded_by.is_null())).set(r::superseded_by.eq(id)).execute(connection)?;
    diesel::update(p::table.find((repository, number))).set(p::review.eq(id)).execute(connection)?;
    let of = |commit: &CommitId| commit.as_str()[..8].to_owned();
    let detail = format!("of {} against {}", of(&review.head_rev), of(&review.base_rev));
    note(connection, (repository, number), Some(id), What::Began, &detail)?;
    Ok(ended.into_iter().map(ReviewId::new).collect())
}

fn as_of(mut report: Report, row: ReviewRow) -> Report {
    if report.state != row.state {
        report.state = row.state;
        report.verdict = Verdict { decision: row.decision, summary: row.summary, reasons: Vec::new() };
    }
    report
}

fn not_given_up() -> diesel::dsl::Or<diesel::dsl::IsNull<r::superseded_by>, diesel::dsl::NotEq<r::state, &'static str>> {
    r::superseded_by.is_null().or(r::state.ne("cancelled"))
}

fn exists(connection: &mut SqliteConnection, id: &ReviewId) -> Result<(), Fault> {
    let found: Option<String> = r::table.find(id.as_str()).select(r::id).first(connection).optional()?;
    found.map(drop).ok_or_else(|| DbError::NoSuchReview(id.clone()).into())
}
