//! What people, and the self-check, order of the Intake: a review again, its end, and an alarm that has reviews begun again.

use actix::{Context, Handler, Message, ResponseActFuture, WrapFuture};

use super::super::evaluator::Reuse;
use super::super::house::ActionError;
use super::super::reviewer::Wishes;
use super::super::scheduler::Retry;
use super::Intake;
use super::begin::{is_final, new_id, revision};
use super::visit::Visit;
use crate::db::{DbError, PullFilter, PullState, ReviewRow};
use crate::domain::{ReviewId, System};
use crate::forge::Forge;
use crate::review::report::State;

/// Reviews the same change again.
#[derive(Clone, Message)]
#[rtype(result = "Result<(), ActionError>")]
pub struct Rerun(pub ReviewId);

/// The same in the name of whoever may order it again: where there is a review with this id, it is begun already.
#[derive(Clone, Message)]
#[rtype(result = "Result<(), ActionError>")]
pub struct RerunAs {
    pub review: ReviewId,
    pub id: ReviewId,
    pub retry: Retry,
}

/// Ends a review that is under way.
#[derive(Clone, Message)]
#[rtype(result = "Result<(), ActionError>")]
pub struct Cancel(pub ReviewId);

/// An alarm of the self-check: every review that may have relied on what was wrong is begun again. Tells whether all repositories
/// could be looked at.
#[derive(Clone, Message)]
#[rtype(result = "Result<Seen, DbError>")]
pub struct Distrust {
    pub alarm: i64,
    pub summary: String,
    pub system: System,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    All,
    /// A repository is not open yet.
    NotAll,
}

impl Intake {
    pub(super) fn rerun(
        &self,
        RerunAs { review: id, id: new, retry }: RerunAs,
    ) -> impl Future<Output = Result<(), ActionError>> + use<> {
        let visit = self.visit();
        let forges = self.forges();
        async move {
            if visit.reviews.desk().db.review(&new).await?.is_some() {
                return Ok(());
            }
            let row = visit.row(&id).await?;
            let forge = forges.get(&row.repository);
            let forge = forge.ok_or_else(|| ActionError::NotNow(format!("{} is not watched any more", row.repository)))?;
            visit.is_current(&row).await?;
            if row.waits_since.is_some() {
                return Err(waits());
            }
            if visit.reviews.is_open(&id) {
                return Err(ActionError::NotNow("the review is under way; cancel it first".into()));
            }
            let (base, head) = (revision(row.base_rev, row.base_ref), revision(row.head_rev, row.head_ref));
            let wishes = Wishes { retry, reuse: Reuse::Known, ..Wishes::default() };
            // what was asked for stays asked for
            let db = &visit.reviews.desk().db;
            db.ask_builds(&new, db.asked_builds(&id).await?).await?;
            visit.begin_as(new, &**forge, row.number, base, head, wishes).await?;
            Ok(())
        }
    }
}

impl Handler<Rerun> for Intake {
    type Result = ResponseActFuture<Self, Result<(), ActionError>>;

    fn handle(&mut self, Rerun(id): Rerun, _: &mut Context<Self>) -> Self::Result {
        Box::pin(self.rerun(RerunAs { review: id, id: new_id(), retry: Retry::BuildAgain }).into_actor(self))
    }
}

impl Handler<RerunAs> for Intake {
    type Result = ResponseActFuture<Self, Result<(), ActionError>>;

    fn handle(&mut self, rerun: RerunAs, _: &mut Context<Self>) -> Self::Result {
        Box::pin(self.rerun(rerun).into_actor(self))
    }
}

impl Handler<Cancel> for Intake {
    type Result = ResponseActFuture<Self, Result<(), ActionError>>;

    fn handle(&mut self, Cancel(id): Cancel, _: &mut Context<Self>) -> Self::Result {
        let visit = self.visit();
        Box::pin(
            async move {
                if visit.row(&id).await?.waits() {
                    return Err(waits());
                }
                if visit.reviews.cancel(&id) { Ok(()) } else { Err(ActionError::NotNow("the review is over".into())) }
            }
            .into_actor(self),
        )
    }
}

impl Handler<Distrust> for Intake {
    type Result = ResponseActFuture<Self, Result<Seen, DbError>>;

    fn handle(&mut self, alarm: Distrust, _: &mut Context<Self>) -> Self::Result {
        let (visit, forges) = (self.visit(), self.forges());
        let all = self.configuration.repositories.iter().all(|configured| forges.contains_key(&configured.name));
        let seen = if all { Seen::All } else { Seen::NotAll };
        Box::pin(
            async move {
                for forge in forges.values() {
                    visit.distrust(&**forge, &alarm).await?;
                }
                Ok(seen)
            }
            .into_actor(self),
        )
    }
}

impl Visit {
    pub(super) async fn row(&self, id: &ReviewId) -> Result<ReviewRow, ActionError> {
        self.reviews.desk().db.review(id).await?.ok_or_else(|| ActionError::NoSuchReview(id.clone()))
    }

    /// What was decided on one head must not be ordered for another.
    pub(super) async fn is_current(&self, row: &ReviewRow) -> Result<(), ActionError> {
        let Some(number) = row.number else { return Ok(()) };
        let pull = self.reviews.desk().db.pull(&row.repository, number).await?;
        match pull {
            Some(pull) if pull.head != row.head_rev || pull.base != row.base_rev => Err(ActionError::NotNow(
                "the change or its base has moved since that review; its newest review can be run again".into(),
            )),
            _ => Ok(()),
        }
    }

    /// Begins the reviews of open pull requests again that may have relied on what an alarm is about: of the same system, with
    /// anything that was not evaluated. Too many costs evaluations, too few a wrong verdict.
    async fn distrust(&self, forge: &dyn Forge, alarm: &Distrust) -> Result<(), DbError> {
        let db = &self.reviews.desk().db;
        let filter = PullFilter { repository: Some(forge.name().clone()), state: Some(PullState::Open), ..PullFilter::default() };
        for (pull, review) in db.pulls(filter).await? {
            let Some(review) = review else { continue };
            // nothing of it was evaluated
            if review.waits_since.is_some() {
                continue;
            }
            // it was begun after the alarm
            if db.alarms_of_review(&review.id).await?.iter().any(|known| known.id == alarm.alarm) {
                continue;
            }
            let report = db.report(&review.id).await?;
            let relied = match (&report, review.state) {
                (_, State::Evaluating) => true,
                (None, State::Building | State::Complete | State::Cancelled | State::Error) => false,
                (Some(report), State::Building | State::Complete | State::Cancelled | State::Error) => {
                    report.evaluations.iter().any(|row| row.system == alarm.system && row.attrs_reused > 0)
                }
            };
            // a cancelled one says nothing that could be wrong
            if !relied || review.state == State::Cancelled {
                continue;
            }
            tracing::warn!("review {} is begun again: {}", review.id, alarm.summary);
            let (base, head) = (revision(review.base_rev, review.base_ref), revision(review.head_rev, review.head_ref));
            // in full, whatever has been recorded since
            let wishes = Wishes { reuse: Reuse::Nothing, ..Wishes::default() };
            self.begin(forge, Some(pull.number), base, head, wishes, Some(alarm.alarm)).await?;
            if let Some(mut report) = report.filter(|_| is_final(review.state)) {
                report.verdict.reasons.push(crate::review::verdict::self_check(&alarm.summary));
                db.save_report(&report).await?;
            }
            db.alarm_review(&review.id, alarm.alarm).await?;
        }
        Ok(())
    }
}

pub(super) fn waits() -> ActionError {
    ActionError::NotNow("the review waits for a writer's permission: it is not begun".into())
}
