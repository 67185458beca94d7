//! What a writer ordered, and how it is carried out: again and again, should the program be killed in between, with the effect of once.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Tools;
use super::answer::{Outcome, help};
use crate::actors::house::ActionError;
use crate::actors::intake::allow::Allow;
use crate::actors::intake::orders::{Cancel, RerunAs};
use crate::actors::outbox::pauses::Stop;
use crate::actors::scheduler::Retry;
use crate::db::{Asked, CommentRow, NewMerge};
use crate::domain::{AttrPath, CommitId, DrvPath, RepositoryName, ReviewId, UserId};
use crate::forge::command::{Command, Method};
use crate::forge::github::comments::Person;
use crate::forge::github::deeds::Words;
use crate::review::markdown::escape::code;
use crate::review::report::{Category, Change, Report, State};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Orders {
    pub by: Person,
    /// The pull request's, when the comment was read.
    pub review: Option<ReviewId>,
    /// Its head, if that came after the comment was made: what is decided on a head needs its name then.
    #[serde(default)]
    pub later_head: Option<CommitId>,
    pub commands: Vec<Command>,
}

/// What a comment is about.
#[derive(Debug, Default)]
pub(super) struct Subject {
    pub review: Option<ReviewId>,
    /// As in [`Orders`].
    pub later_head: Option<CommitId>,
}

/// Characters of an attribute's name.
const NAME: usize = 200;

impl Tools {
    pub(super) async fn carry_out(
        &self,
        orders: &Orders,
        row: &CommentRow,
        name: &RepositoryName,
    ) -> Result<super::answer::Answer, Stop> {
        let mut outcomes = Vec::with_capacity(orders.commands.len());
        for (index, command) in orders.commands.iter().enumerate() {
            let outcome = match self.order(orders, row, index, command).await {
                Ok(outcome) => outcome,
                Err(ActionError::NotNow(sentence)) => Outcome::refused(&sentence),
                Err(ActionError::NoSuchReview(_)) => Outcome::refused("that review is gone"),
                Err(error) => return Err(Stop::Trouble(error.to_string())),
            };
            tracing::info!("{command:?} of {} in {name}#{}: {outcome:?}", orders.by.login, row.number);
            outcomes.push(outcome);
        }
        Ok(super::answer::Answer::to(outcomes))
    }

    async fn order(&self, orders: &Orders, row: &CommentRow, index: usize, command: &Command) -> Result<Outcome, ActionError> {
        let review = || {
            let none = || ActionError::NotNow("this pull request has no review yet; say it again in a moment".into());
            orders.review.clone().ok_or_else(none)
        };
        match command {
            Command::Help => Ok(Outcome::Told(help(&self.called()))),
            Command::Misspelt(sentence) => {
                let help = format!("`@{} help` says what can be ordered.", self.called());
                Ok(Outcome::Misunderstood(format!("{sentence} {help}")))
            }
            Command::Rerun => self.again(review()?, row, index, Retry::BuildAgain).await,
            Command::Cancel => self.cancel(review()?).await,
            Command::Build(attrs) => self.build(review()?, row, index, attrs).await,
            Command::Allow | Command::Merge(_) if orders.later_head.is_some() => {
                let head = orders.later_head.as_ref().map_or("", |head| &head.as_str()[..7]);
                let word = if matches!(command, Command::Allow) { "allow" } else { "merge" };
                Ok(Outcome::Refused(format!(
                    "The head is {head} by now, which came after that was said: read it, and say `@{} {word} {head}`.",
                    self.called()
                )))
            }
            Command::Allow => self.allow(review()?, orders).await,
            Command::Merge(method) => self.merge(review()?, orders, row, *method).await,
            Command::At(digits, command) => {
                let id = review()?;
                let head = self.db.review(&id).await?.ok_or(ActionError::NoSuchReview(id))?.head_rev;
                if !digits.begin(&head) {
                    let now = &head.as_str()[..7];
                    return Ok(Outcome::Refused(format!("{digits} is not the head of this pull request, which is at {now}.")));
                }
                let named = Orders { later_head: None, ..orders.clone() };
                Box::pin(self.order(&named, row, index, command)).await
            }
        }
    }

    fn called(&self) -> String {
        let slug = || self.github.app().and_then(|app| app.credentials().slug.clone());
        self.name.clone().or_else(slug).unwrap_or_else(|| "snowgate".into())
    }

    /// The new review is named by the comment, so that there is one, however often it is ordered.
    async fn again(&self, review: ReviewId, row: &CommentRow, index: usize, retry: Retry) -> Result<Outcome, ActionError> {
        self.intake.ask(RerunAs { review, id: named_by(row, index), retry }).await??;
        Ok(Outcome::Begun)
    }

    async fn cancel(&self, review: ReviewId) -> Result<Outcome, ActionError> {
        match self.intake.ask(Cancel(review.clone())).await? {
            Ok(()) => Ok(Outcome::Done),
            // by this very order, before the program was killed
            Err(ActionError::NotNow(_)) if self.db.review(&review).await?.is_some_and(|row| row.state == State::Cancelled) => {
                Ok(Outcome::Done)
            }
            Err(error) => Err(error),
        }
    }

    async fn allow(&self, id: ReviewId, orders: &Orders) -> Result<Outcome, ActionError> {
        let review = self.db.review(&id).await?.ok_or_else(|| ActionError::NoSuchReview(id.clone()))?;
        // by this very order, before the program was killed
        if let Some(number) = review.number
            && self.db.allowed_heads(&review.repository, number).await?.contains(&review.head_rev)
        {
            return Ok(Outcome::Done);
        }
        self.intake.ask(Allow { review: id, by: Some(UserId(orders.by.id)) }).await??;
        Ok(Outcome::Begun)
    }

    /// When the review of the head that was current says that it is mergeable.
    async fn merge(
        &self,
        review: ReviewId,
        orders: &Orders,
        row: &CommentRow,
        method: Option<Method>,
    ) -> Result<Outcome, ActionError> {
        let review = self.db.review(&review).await?.ok_or(ActionError::NoSuchReview(review))?;
        if review.waits() {
            return Err(ActionError::NotNow("nobody has allowed the review of this change yet".into()));
        }
        let merge = NewMerge {
            repository: row.key.repository,
            number: row.number,
            head: review.head_rev,
            method,
            words: Words::default(),
            by: orders.by.clone(),
            comment: Some(row.key.comment),
        };
        match self.db.ask_for_merge(merge).await? {
            Asked::Stands => Ok(Outcome::Begun),
            Asked::Before(other) => {
                let sentence = format!("{} has asked for this merge before; it waits for the verdict", other.login);
                Err(ActionError::NotNow(sentence))
            }
        }
    }

    /// What a change alters is built without being asked for; so this is about what failed, and about what is the same as on the base.
    async fn build(&self, review: ReviewId, row: &CommentRow, index: usize, attrs: &[String]) -> Result<Outcome, ActionError> {
        if self.db.review(&named_by(row, index)).await?.is_some() {
            return Ok(Outcome::Begun);
        }
        let not_yet =
            || ActionError::NotNow("the review is not complete: what it changes is still being found out and built".into());
        let report = self.db.report(&review).await?.filter(|report| report.state == State::Complete).ok_or_else(not_yet)?;
        let Sorted { unchanged, succeeded, again } = sort(&report, attrs);
        let mut sentences = Vec::new();
        if !unchanged.is_empty() {
            let names: Vec<String> = unchanged.iter().map(|attr| code(&attr.to_string(), NAME)).collect();
            sentences.push(format!(
                "Not changed by this pull request, and built all the same, as far as there are such attributes: {}.",
                names.join(", ")
            ));
        }
        if !succeeded.is_empty() {
            sentences.push(format!("Built already, and succeeded: {}.", succeeded.join(", ")));
        }
        if again.is_empty() && unchanged.is_empty() {
            return Ok(Outcome::Refused(sentences.join(" ")));
        }
        if !again.is_empty() && !sentences.is_empty() {
            sentences.push("The rest is built again.".into());
        }
        self.db.forget_outcomes(&again).await?;
        self.db.ask_builds(&named_by(row, index), unchanged).await?;
        let begun = self.again(review, row, index, Retry::Remembered).await?;
        Ok(if sentences.is_empty() { begun } else { Outcome::Told(sentences.join(" ")) })
    }
}

/// Attributes that were asked for; and what is to be built again for the rest.
#[derive(Default)]
struct Sorted {
    /// The same as on the base, or none at all.
    unchanged: BTreeSet<AttrPath>,
    /// As code.
    succeeded: Vec<String>,
    again: Vec<DrvPath>,
}

fn sort(report: &Report, attrs: &[String]) -> Sorted {
    let mut sorted = Sorted::default();
    for attr in attrs {
        let is_it = |change: &&Change| {
            change.head.is_some() && std::iter::once(&change.attr).chain(&change.aliases).any(|name| name.to_string() == *attr)
        };
        let changes: Vec<&Change> = report.changes.iter().filter(is_it).collect();
        let failed = changes.iter().filter(|change| !has_succeeded(change)).flat_map(|change| of_head(change));
        let failed: Vec<DrvPath> = failed.collect();
        if changes.is_empty() {
            // it was read from the comment as one
            sorted.unchanged.extend(attr.parse::<AttrPath>().ok());
        } else if failed.is_empty() {
            sorted.succeeded.push(code(attr, NAME));
        }
        sorted.again.extend(failed);
    }
    sorted
}

fn has_succeeded(change: &Change) -> bool {
    matches!(change.category, Category::NewlySucceeding | Category::StillSucceeding | Category::NewSucceeding)
}

/// What of a change's head is remembered as failed: itself, or what it needs.
fn of_head(change: &Change) -> impl Iterator<Item = DrvPath> + '_ {
    change.head.iter().flat_map(|head| std::iter::once(head.drv.clone()).chain(head.root_cause.clone()))
}

fn named_by(row: &CommentRow, index: usize) -> ReviewId {
    let what = format!("{}/{}/{index}", row.key.repository, row.key.comment);
    ReviewId::new(data_encoding::HEXLOWER.encode(&Sha256::digest(what)[..8]))
}
