//! One look at one repository: what is read of it, and what is stored made to agree with that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::events::Event;
use super::super::recorder::agenda::{Agenda, Base};
use super::super::reviewer::Wishes;
use super::super::reviews::Reviews;
use super::Configuration;
use super::begin::{is_final, revision};
use crate::config::server::Repository as Configured;
use crate::db::{PullFilter, PullRow, PullState, RepositoryRow, ReviewRow};
use crate::domain::RepositoryName;
use crate::forge::{Change, Forge, ForgeError, Number, OpenChange, RepositoryState, Standing};
use crate::review::report::State;

/// Of so many pull requests a reading asks what people said; a repository that is new here has thousands, and the rate limit is for all.
const HEARD_AT_ONCE: usize = 50;

/// One look at one repository.
pub(super) struct Visit {
    pub(super) reviews: Reviews,
    pub(super) configuration: Arc<Configuration>,
    pub(super) agenda: Agenda,
}

impl Visit {
    pub(super) async fn read(&self, forge: &dyn Forge) -> Result<RepositoryState, Unread> {
        let filter = PullFilter { repository: Some(forge.name().clone()), state: Some(PullState::Open), ..PullFilter::default() };
        let held_open = self.reviews.desk().db.pulls(filter).await?;
        let held_open = held_open.into_iter().map(|(pull, _)| pull.number).collect();
        Ok(forge.read(held_open).await?)
    }

    pub(super) async fn take_up(&self, forge: &dyn Forge, read: Result<RepositoryState, Unread>) -> Done {
        let name = forge.name().clone();
        let taken_up = match read {
            Ok(state) => self.apply(forge, state).await.map_err(Unread::Database),
            Err(error) => Err(error),
        };
        let done = if taken_up.is_ok() { Done::Yes } else { Done::No };
        if let Err(error) = taken_up {
            tracing::warn!("{name} can't be read: {error}");
            let unreadable = Unreadable {
                name: name.clone(),
                path: forge.repository().path().to_owned(),
                base_branch: self.configured(&name).and_then(|configured| configured.base_branch.clone()),
                url: forge.url(),
            };
            self.unreadable(unreadable, error.to_string()).await;
        }
        self.reviews.desk().events.send(Event::Repository { repository: name });
        done
    }

    fn configured(&self, name: &RepositoryName) -> Option<&Configured> {
        self.configuration.repositories.iter().find(|configured| configured.name == *name)
    }

    /// Makes the stored pull requests and the open reviews agree with what was read.
    async fn apply(&self, forge: &dyn Forge, state: RepositoryState) -> Result<(), crate::db::DbError> {
        let db = &self.reviews.desk().db;
        let name = forge.name();
        db.upsert_repository(RepositoryRow {
            name: name.clone(),
            path: forge.repository().path().to_owned(),
            base_branch: state.base_branch.clone(),
            url: forge.url(),
            read_at: Some(jiff::Timestamp::now()),
            error: None,
        })
        .await?;
        if let Some(methods) = &state.methods {
            db.merge_methods_are(name, methods).await?;
        }
        let filter = PullFilter { repository: Some(name.clone()), state: None, ..PullFilter::default() };
        let stored: BTreeMap<u64, (PullRow, Option<ReviewRow>)> =
            db.pulls(filter).await?.into_iter().map(|(pull, review)| (pull.number, (pull, review))).collect();
        let mut seen = BTreeSet::new();
        for change in &state.changes {
            let number = match &change.number {
                Number::Given(number) => *number,
                Number::OfBranch(branch) => db.pull_number(name, branch).await?,
            };
            seen.insert(number);
            let known = stored.get(&number);
            let over = match &change.standing {
                Standing::Open(open) => {
                    self.update(forge, open, number, known).await?;
                    continue;
                }
                Standing::Merged => PullState::Merged,
                Standing::Closed => PullState::Closed,
            };
            // one that was never open is no pull request yet
            if let Some((pull, review)) = known.filter(|(pull, _)| pull.state == PullState::Open) {
                self.close(pull, review.as_ref(), over).await?;
            }
        }
        for (number, (pull, review)) in &stored {
            if !seen.contains(number) && pull.state == PullState::Open {
                self.close(pull, review.as_ref(), PullState::Closed).await?;
            }
        }
        self.take_up_groups(forge, &state.groups).await?;
        // after the reviews: they come first
        let base = Base { git: forge.repository().clone(), rev: state.base, options: self.configuration.options.clone() };
        self.agenda.base_is(name.clone(), base);
        self.hear(forge, &state.changes).await
    }

    /// Reads what people said of the open pull requests that were touched. Where the forge can't say now, the next reading asks again.
    async fn hear(&self, forge: &dyn Forge, changes: &[Change]) -> Result<(), crate::db::DbError> {
        let db = &self.reviews.desk().db;
        let touched = |change: &Change| match (&change.number, &change.standing) {
            (Number::Given(number), Standing::Open(open)) => Some((*number, open.touched_at?)),
            _ => None,
        };
        let due = db.opinions_due(forge.name(), changes.iter().filter_map(touched).collect()).await?;
        for (number, touched_at) in due.into_iter().take(HEARD_AT_ONCE) {
            match forge.opinions(number).await {
                Ok(opinions) => db.opinions_are(forge.name(), number, touched_at, opinions).await?,
                // closed since, or the next reading finds the repository gone
                Err(error) if error.is_gone() => {}
                Err(error) => {
                    tracing::warn!("what people said of pull request {number} of {} can't be read: {error}", forge.name());
                    break;
                }
            }
        }
        Ok(())
    }

    async fn close(&self, pull: &PullRow, review: Option<&ReviewRow>, state: PullState) -> Result<(), crate::db::DbError> {
        if let Some(review) = review {
            self.reviews.cancel(&review.id);
        }
        self.reviews.desk().db.close_pull(&pull.repository, pull.number, state).await
    }

    /// An open pull request: its row, and a review of its head against the present base.
    async fn update(
        &self,
        forge: &dyn Forge,
        open: &OpenChange,
        number: u64,
        known: Option<&(PullRow, Option<ReviewRow>)>,
    ) -> Result<(), crate::db::DbError> {
        let db = &self.reviews.desk().db;
        db.upsert_pull(PullRow {
            repository: forge.name().clone(),
            number,
            title: open.title.clone(),
            author: open.author.clone(),
            branch: open.branch.clone(),
            head: open.head.clone(),
            base_branch: open.base_branch.clone(),
            base: open.base.clone(),
            state: PullState::Open,
            created_at: open.created_at,
            updated_at: jiff::Timestamp::now(),
            additions: open.additions,
            deletions: open.deletions,
            review: None,
        })
        .await?;
        let trusted = self.configuration.policy.trusts(&open.origin) || self.is_allowed(forge.name(), number, &open.head).await?;
        if let Some((pull, Some(review))) = known {
            let same = review.base_rev == open.base && review.head_rev == open.head;
            // closed in the middle of it, and open again: it was not a person who cancelled
            let cut_off = pull.state != PullState::Open && review.state == State::Cancelled;
            let settled = is_final(review.state) && !cut_off;
            if same && (self.reviews.is_open(&review.id) || settled || (review.waits() && !trusted)) {
                return Ok(());
            }
            self.reviews.cancel(&review.id);
        }
        let base = revision(open.base.clone(), Some(open.base_branch.clone()));
        let head = revision(open.head.clone(), Some(open.branch.clone()));
        if trusted {
            self.begin(forge, Some(number), base, head, Wishes::default(), None).await?;
        } else {
            tracing::info!("pull request {number} of {} waits for a writer's permission", forge.name());
            self.wait_for_permission(forge, number, base, head).await?;
        }
        Ok(())
    }

    pub(super) async fn unreadable(&self, repository: Unreadable, error: String) {
        let Unreadable { name, path, base_branch, url } = repository;
        let before = self.reviews.desk().db.repository(&name).await.unwrap_or_else(|error| {
            tracing::error!("what is known of {name} can't be read: {error}");
            None
        });
        let (known_base, read_at) = before.map(|row| (row.base_branch, row.read_at)).unwrap_or_default();
        let base_branch = base_branch.unwrap_or(known_base);
        let row = RepositoryRow { name: name.clone(), path, base_branch, url, read_at, error: Some(error) };
        if let Err(error) = self.reviews.desk().db.upsert_repository(row).await {
            tracing::error!("the state of {name} can't be stored: {error}");
        }
    }
}

/// Why a repository could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    #[error(transparent)]
    Forge(#[from] ForgeError),
    #[error(transparent)]
    Database(#[from] crate::db::DbError),
}

/// Whether what was read is taken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    Yes,
    No,
}

/// A repository that can't be read at the moment; it is shown all the same.
pub(super) struct Unreadable {
    pub(super) name: RepositoryName,
    pub(super) path: std::path::PathBuf,
    /// `None`: as it was when it could be read.
    pub(super) base_branch: Option<String>,
    pub(super) url: Option<String>,
}

impl Unreadable {
    pub(super) fn of(configured: &Configured) -> Self {
        let Configured { name, path, base_branch } = configured.clone();
        Self { name, path, base_branch, url: None }
    }
}
