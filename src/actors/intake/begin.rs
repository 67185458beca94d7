//! Reviews are begun: new ones, those that wait for a writer's permission, and those that were open when the house last closed.

use super::super::events::Event;
use super::super::reviewer::{Order, Wishes};
use super::visit::Visit;
use crate::db::{DbError, NewReview, WAITS};
use crate::domain::{CommitId, ReviewId};
use crate::forge::Forge;
use crate::review::report::{Decision, Revision, State};

impl Visit {
    pub(super) async fn begin(
        &self,
        forge: &dyn Forge,
        number: Option<u64>,
        base: Revision,
        head: Revision,
        wishes: Wishes,
        alarm: Option<i64>,
    ) -> Result<ReviewId, DbError> {
        let id = new_id();
        self.enter(&id, forge, number, &base, &head).await?;
        if let Some(alarm) = alarm {
            self.reviews.desk().db.alarm_review(&id, alarm).await?;
        }
        self.reviews.begin(self.order(forge, id.clone(), number, base, head, jiff::Timestamp::now(), wishes));
        Ok(id)
    }

    pub(super) async fn begin_as(
        &self,
        id: ReviewId,
        forge: &dyn Forge,
        number: Option<u64>,
        base: Revision,
        head: Revision,
        wishes: Wishes,
    ) -> Result<(), DbError> {
        self.enter(&id, forge, number, &base, &head).await?;
        self.reviews.begin(self.order(forge, id, number, base, head, jiff::Timestamp::now(), wishes));
        Ok(())
    }

    /// The row of a review. Those whose place it takes end.
    async fn enter(
        &self,
        id: &ReviewId,
        forge: &dyn Forge,
        number: Option<u64>,
        base: &Revision,
        head: &Revision,
    ) -> Result<(), DbError> {
        for superseded in self.reviews.desk().db.create_review(row(id.clone(), forge, number, base, head)).await? {
            self.reviews.cancel(&superseded);
        }
        Ok(())
    }

    /// A stranger's change: the row that says so, and nobody who would do anything.
    pub(super) async fn wait_for_permission(
        &self,
        forge: &dyn Forge,
        number: u64,
        base: Revision,
        head: Revision,
    ) -> Result<(), DbError> {
        let id = new_id();
        let new = row(id.clone(), forge, Some(number), &base, &head);
        for superseded in self.reviews.desk().db.create_waiting_review(new).await? {
            self.reviews.cancel(&superseded);
        }
        // nobody else says that there is one
        self.reviews.desk().events.send(Event::Review {
            id,
            repository: forge.name().clone(),
            number: Some(number),
            state: State::Evaluating,
            decision: Decision::Pending,
            summary: WAITS.to_owned(),
        });
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one row")]
    pub(super) fn order(
        &self,
        forge: &dyn Forge,
        id: ReviewId,
        number: Option<u64>,
        base: Revision,
        head: Revision,
        created_at: jiff::Timestamp,
        mut wishes: Wishes,
    ) -> Order {
        wishes.selection.options = self.configuration.options.clone();
        Order { id, repository: forge.name().clone(), number, git: forge.repository().clone(), base, head, created_at, wishes }
    }

    /// Takes up the reviews of this repository that were open when the house last closed, or that a crash left behind.
    pub(super) async fn resume(&self, forge: &dyn Forge) {
        let open = match self.reviews.desk().db.open_reviews().await {
            Ok(open) => open,
            Err(error) => return tracing::error!("the open reviews can't be read: {error}"),
        };
        for row in open.into_iter().filter(|row| row.repository == *forge.name() && row.superseded_by.is_none()) {
            // nor one of a stranger's change before somebody allows it
            if (row.number.is_none() && !row.is_of_group()) || row.waits_since.is_some() || self.reviews.is_open(&row.id) {
                continue;
            }
            let (base, head) = (revision(row.base_rev, row.base_ref), revision(row.head_rev, row.head_ref));
            self.reviews.begin(self.order(forge, row.id, row.number, base, head, row.created_at, Wishes::default()));
        }
    }
}

fn row(id: ReviewId, forge: &dyn Forge, number: Option<u64>, base: &Revision, head: &Revision) -> NewReview {
    NewReview {
        id,
        repository: forge.name().clone(),
        number,
        base_rev: base.rev.clone(),
        base_ref: base.reference.clone(),
        head_rev: head.rev.clone(),
        head_ref: head.reference.clone(),
        tree: None,
    }
}

pub(super) fn revision(rev: CommitId, reference: Option<String>) -> Revision {
    Revision { rev, reference }
}

/// Nothing more will become of it by itself. What caused an error may heal, but nobody tells us: it is run again when somebody asks.
pub(super) fn is_final(state: State) -> bool {
    match state {
        State::Complete | State::Cancelled | State::Error => true,
        State::Evaluating | State::Building => false,
    }
}

/// Sixteen random hexadecimal digits.
pub fn new_id() -> ReviewId {
    use std::hash::{BuildHasher, Hasher};
    // the standard library seeds each state from the operating system's randomness
    let number = std::collections::hash_map::RandomState::new().build_hasher().finish();
    ReviewId::new(format!("{number:016x}"))
}
